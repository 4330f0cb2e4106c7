//! Users: an account, a device key, and a session of the user's program.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use cli::NodeAddress;
use cli::client::{Fetched, Incoming, Session};
use cli::profile::{Profile, Trust};
use data_encoding::HEXLOWER;
use message::address::Address;
use message::{Disposition, Identity, SecretKey, Selection};
use protocol::{MailboxEntry, StatusQuery, StatusRecord};
use storage::{AccountRecord, DeviceRecord};

use super::{Node, Trouble, until};

/// How long a session may take to come up: a node that starts reads its store first.
const CONNECT_TIME: Duration = Duration::from_secs(30);
/// Octets of a message that is read into memory.
const READ_OCTETS_MAX: u64 = 16 * 1024 * 1024;

/// Somebody with an account at a node.
#[derive(Debug, Clone)]
pub struct User {
    /// Their address.
    pub address: Address,
    /// Their account.
    pub account: String,
    key: SecretKey,
    node: NodeAddress,
    trust: Trust,
}

impl User {
    /// Opens accounts at a node that does not run, one for each name, each with a device.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn open_accounts(node: &Node, names: &[String]) -> Result<Vec<User>, Trouble> {
        let config = node.config()?;
        let store = daemon::open_store(&config)?;
        let mut users = Vec::new();
        for name in names {
            let user = User::of(node, name)?;
            let device = DeviceRecord {
                public_key: *user.key.public().as_bytes(),
                name: "torture".to_owned(),
                enrolled_at_ms: 1,
            };
            let account = AccountRecord {
                name: name.clone(),
                addresses: vec![user.address.clone()],
                password_hash: None,
                scram: None,
                devices: vec![device],
                disabled: false,
                notices: false,
            };
            store.put_account(account).await?;
            users.push(user);
        }
        Ok(users)
    }

    /// The user of this name, whose account was opened before: key and address follow from the name.
    ///
    /// # Errors
    /// Where the name makes no address.
    pub fn of(node: &Node, name: &str) -> Result<User, Trouble> {
        let mut seed = [0x5a; 32];
        for (place, octet) in seed.iter_mut().zip(name.bytes()) {
            *place = octet;
        }
        Ok(User {
            address: Address::from_wire(&format!("{name}@{}", node.site.domain))?,
            account: name.to_owned(),
            key: SecretKey::from_seed(&seed),
            node: node.config()?.listen.address.to_string().parse()?,
            trust: Trust::Pinned(node.site.pin),
        })
    }

    /// Writes the profile of this user, with the device's key, as enrolling does.
    ///
    /// # Errors
    /// Those of the files.
    pub fn save_profile(&self, folder: &Path) -> Result<(), Trouble> {
        let profile = Profile {
            address: self.address.clone(),
            account: self.account.clone(),
            node: self.node.clone(),
            trust: self.trust.clone(),
            device: "torture".to_owned(),
        };
        profile.save(folder)?;
        let mut key_file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join("device.key"))?;
        Ok(writeln!(key_file, "{}", HEXLOWER.encode(&*self.key.seed()))?)
    }

    /// A session, as soon as the node lets one in.
    ///
    /// # Errors
    /// Where it does not in time.
    pub async fn session(&self) -> Result<Session, Trouble> {
        until(CONNECT_TIME, "a session", async || {
            Ok(Session::connect(&self.node, &self.trust, &self.key).await.ok())
        })
        .await
    }
}

/// All status records of a user, the newest first.
///
/// # Errors
/// Those of the session.
pub async fn statuses(session: &mut Session) -> Result<Vec<StatusRecord>, Trouble> {
    let mut all: Vec<StatusRecord> = Vec::new();
    loop {
        let before = all.last().map_or(0, |record| record.number);
        let page = session.status(StatusQuery::Latest { before, limit: 20 }).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// What became of one message, by recipient.
///
/// # Errors
/// Those of the session.
pub async fn dispositions(
    session: &mut Session,
    identity: Identity,
) -> Result<BTreeMap<String, Disposition>, Trouble> {
    let records = session.status(StatusQuery::Of(identity)).await?;
    let recipients = records.into_iter().flat_map(|record| record.recipients);
    Ok(recipients.map(|one| (one.address.to_string(), one.disposition)).collect())
}

/// All entries of a mailbox.
///
/// # Errors
/// Those of the session.
pub async fn mailbox(session: &mut Session) -> Result<Vec<MailboxEntry>, Trouble> {
    let mut all: Vec<MailboxEntry> = Vec::new();
    loop {
        let after = all.last().map_or(0, |entry| entry.number);
        let page = session.mailbox(after, 100).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// A whole message, every octet of which was checked against its identity.
///
/// # Errors
/// Those of the session, and where octets are wrong or missing.
pub async fn read_all(session: &mut Session, identity: Identity) -> Result<Fetched, Trouble> {
    let mut incoming = Incoming::into_memory(identity, READ_OCTETS_MAX);
    session.fetch(identity, Selection::All, &mut incoming).await?;
    let fetched = incoming.finish()?;
    let leaves = fetched.manifest.as_ref().map_or(0, |manifest| manifest.leaves().count());
    if leaves == 0 || fetched.bodies.len() != leaves {
        return Err(format!("{identity} is not whole: {} of {leaves} parts", fetched.bodies.len()).into());
    }
    Ok(fetched)
}

/// The headers and the manifest of a message.
///
/// # Errors
/// As [`read_all`].
pub async fn read_headers(session: &mut Session, identity: Identity) -> Result<Fetched, Trouble> {
    let mut incoming = Incoming::into_memory(identity, READ_OCTETS_MAX);
    session.fetch(identity, Selection::Headers, &mut incoming).await?;
    Ok(incoming.finish()?)
}
