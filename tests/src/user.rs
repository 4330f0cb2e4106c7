//! Users: an account at a node, and a program that speaks for it as any user's would.

use cli::client::{Incoming, Outgoing, Session, Submitted};
use cli::profile::Trust;
use message::address::Address;
use message::{Cookie, Disposition, Identity, Message, SecretKey, Selection};
use protocol::{Enrol, StatusQuery, SubmissionOptions};

use crate::World;
use crate::world::random;

/// Octets of a message that a test reads back.
const OCTETS_MAX: u64 = 64 * 1024 * 1024;

/// A user with an enrolled device.
pub struct User {
    /// The address.
    pub address: Address,
    /// The account; its name is the local part of the address.
    pub account: String,
    /// The conversation with the user's node.
    pub session: Session,
    /// The key of the device.
    pub device: SecretKey,
}

impl World {
    /// Makes an account for this address at the node of its domain, and enrols a device.
    pub async fn user(&self, address: &str) -> User {
        let address = Address::parse(address).unwrap();
        let account = address.local().as_str().to_owned();
        let (domain, password) = (address.domain().as_str().to_owned(), format!("password of {account}"));
        let own = std::slice::from_ref(&address);
        self.node(&domain).put_account(&account, own, Some(password.clone())).await.unwrap();
        let mut seed = [0; 32];
        random(&mut seed);
        let device = SecretKey::from_seed(&seed);
        let mut session = self.session_of(&domain, &device).await.unwrap();
        let enrol = Enrol { account: account.clone(), password, device: "a test".to_owned() };
        session.enrol(enrol).await.unwrap();
        User { address, account, session, device }
    }

    /// A conversation with a node by a device that nobody knows yet.
    pub async fn session(&self, domain: &str) -> Result<Session, cli::Error> {
        let mut seed = [0; 32];
        random(&mut seed);
        self.session_of(domain, &SecretKey::from_seed(&seed)).await
    }

    /// A conversation with a node by a device.
    pub async fn session_of(&self, domain: &str, device: &SecretKey) -> Result<Session, cli::Error> {
        let trust = Trust::Pinned(self.host_key(domain).key_digest());
        let node = self.address(domain).to_string().parse().unwrap();
        Session::connect(&node, &trust, device).await
    }
}

impl User {
    /// Hands a message over.
    pub async fn submit(&mut self, message: &Message, to: &[&str]) -> Result<Submitted, cli::Error> {
        self.submit_with(message, to, SubmissionOptions::default()).await
    }

    /// Hands a message over with options.
    pub async fn submit_with(
        &mut self,
        message: &Message,
        to: &[&str],
        options: SubmissionOptions,
    ) -> Result<Submitted, cli::Error> {
        let recipients: Vec<Address> = to.iter().map(|text| Address::parse(text).unwrap()).collect();
        let outgoing = Outgoing::from_message(message, Vec::new());
        self.session.submit(&outgoing, &recipients, options, &|_| {}).await
    }

    /// Hands a message over that must be taken; its identity from then on.
    pub async fn send(&mut self, message: &Message, to: &[&str]) -> Identity {
        self.submit(message, to).await.unwrap().identity
    }

    /// What the status of a message says of its recipients, in the order of the submission.
    pub async fn dispositions(&mut self, identity: Identity) -> Vec<Disposition> {
        let records = self.session.status(StatusQuery::Of(identity)).await.unwrap();
        records.into_iter().flat_map(|record| record.recipients).map(|one| one.disposition).collect()
    }

    /// Fetches all of a message of the mailbox into memory, where every octet is held against the identity.
    pub async fn fetch(&mut self, identity: Identity) -> Result<cli::client::Fetched, cli::Error> {
        let mut incoming = Incoming::into_memory(identity, OCTETS_MAX);
        self.session.fetch(identity, Selection::All, &mut incoming).await?;
        Ok(incoming.finish().unwrap())
    }
}

/// The cookie of a pending disposition.
pub fn cookie(disposition: &Disposition) -> Cookie {
    match disposition {
        Disposition::Pending { cookie, .. } => *cookie,
        other => panic!("not pending: {other:?}"),
    }
}
