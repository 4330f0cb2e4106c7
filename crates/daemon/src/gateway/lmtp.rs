//! What comes into the mailboxes, handed on to a mailbox server over LMTP, beside the Maildirs.
//!
//! Mail is handed over in the order in which it came, a mailbox at a time. How far a mailbox has come is written durably
//! behind each message, so after a crash nothing is lost, and at most the message twice whose reply was not yet written
//! down.
//!
//! keeps: GW-94

use std::collections::BTreeMap;

use gateway::out::{Lmtp, LmtpPlace, Outcome, Shipment, Times};
use gateway::{Change, Kind, Record, Records};
use message::Digest;
use node::{Node, delay_ms};
use storage::{AccountRecord, MailUid, MailboxEntry, Origin};
use tokio::time::{Duration, sleep};

use super::records::StoreRecords;
use super::settings;
use crate::config::Config;
use crate::{Error, clock};

/// Accounts or entries that are read at a time.
const PAGE: usize = 100;
/// The first and the longest time between two attempts: a mailbox server is of this site, and comes back soon.
const RETRY_MS: (u64, u64) = (500, 5 * 60_000);
/// The pause where the store itself cannot be read or written.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);

/// Follows the mailboxes of a node.
pub(crate) struct LmtpCourier {
    node: Node,
    records: StoreRecords,
    lmtp: Lmtp,
}

/// A mailbox whose next message was refused for now. Not kept beyond the process: then it is tried at once.
#[derive(Clone, Copy, Default)]
struct Pause {
    count: u32,
    next_ms: u64,
}

/// By the names of accounts.
type Pauses = BTreeMap<String, Pause>;

/// What became of one message.
enum Handed {
    /// It is settled: the server has it, or will never have it.
    Settled,
    /// It is to be tried again.
    Again,
}

impl LmtpCourier {
    /// One, where the configuration names a mailbox server.
    ///
    /// # Errors
    /// Where it is no place.
    pub(crate) fn of(config: &Config, node: &Node) -> Result<Option<LmtpCourier>, Error> {
        let Some(place) = &config.mailbox.lmtp else { return Ok(None) };
        let lmtp = Lmtp::new(parse(config, place)?, settings::host(config)?, Times::default());
        Ok(Some(LmtpCourier { node: node.clone(), records: StoreRecords(node.store().clone()), lmtp }))
    }

    /// Hands on what arrives, for as long as the node runs.
    pub(crate) async fn run(self) {
        let mut arrived = self.node.mail_arrived();
        let mut pauses = Pauses::new();
        loop {
            if let Err(error) = self.turn(&mut pauses).await {
                tracing::warn!(%error, "mail cannot be handed to the mailbox server now");
                sleep(TROUBLE_PAUSE).await;
                continue;
            }
            let next_ms = pauses.values().map(|pause| pause.next_ms).min().unwrap_or(u64::MAX);
            let wait = Duration::from_millis(next_ms.saturating_sub(clock::now_ms()));
            tokio::select! {
                changed = arrived.changed() => if changed.is_err() { return },
                () = sleep(wait), if next_ms < u64::MAX => {}
            }
        }
    }

    /// Every mailbox that is not paused, once.
    async fn turn(&self, pauses: &mut Pauses) -> Result<(), String> {
        // Only what is said anew stays: an account that was removed has no pause any more.
        let mut before = std::mem::take(pauses);
        let mut after: Option<String> = None;
        loop {
            let accounts = self.node.store().accounts(after.as_deref(), PAGE).map_err(words)?;
            let Some(last) = accounts.last() else { return Ok(()) };
            after = Some(last.name.clone());
            for account in accounts {
                let pause = match before.remove(&account.name) {
                    Some(pause) if pause.next_ms > clock::now_ms() => Some(pause),
                    pause => self.mailbox(&account, pause.unwrap_or_default()).await?,
                };
                if let Some(pause) = pause {
                    pauses.insert(account.name, pause);
                }
            }
        }
    }

    /// Hands on what is in one mailbox; the pause where it has to stop before the end.
    async fn mailbox(&self, account: &AccountRecord, mut pause: Pause) -> Result<Option<Pause>, String> {
        let key = Digest::of(account.name.as_bytes()).as_bytes().to_vec();
        loop {
            let after = self.progress(&key)?;
            let entries = self.node.store().mailbox(&account.name, after, PAGE).map_err(words)?;
            if entries.is_empty() {
                return Ok(None);
            }
            for entry in &entries {
                if matches!(self.hand(account, entry).await?, Handed::Again) {
                    let delay = delay_ms(pause.count, RETRY_MS.0, RETRY_MS.1, entry.uid.0);
                    let (count, next_ms) = (pause.count.saturating_add(1), clock::now_ms() + delay);
                    return Ok(Some(Pause { count, next_ms }));
                }
                pause = Pause::default();
                let value = entry.uid.0.to_be_bytes().to_vec();
                let record = Record { key: key.clone(), value, expires_at_ms: u64::MAX };
                self.records.change(vec![Change::Put(Kind::Handed, record)]).await.map_err(words)?;
            }
        }
    }

    /// The last entry that is settled.
    fn progress(&self, key: &[u8]) -> Result<Option<MailUid>, String> {
        let found = self.records.record(Kind::Handed, key, clock::now_ms()).map_err(words)?;
        Ok(found.and_then(|record| Some(MailUid(u64::from_be_bytes(record.value.try_into().ok()?)))))
    }

    async fn hand(&self, account: &AccountRecord, entry: &MailboxEntry) -> Result<Handed, String> {
        let (store, copy) = (self.node.store().clone(), entry.clone());
        let written = tokio::task::spawn_blocking(move || -> Result<Option<Vec<u8>>, storage::Error> {
            let stored = store.message(copy.identity)?;
            let octets = stored.and_then(|stored| node::legacy_form(store.as_ref(), &stored));
            Ok(octets.map(|octets| [fields(&copy.origin).into_bytes(), octets].concat()))
        });
        // What has no such form stays native mail; why, is logged where it is found out.
        let Some(octets) = written.await.map_err(words)?.map_err(words)? else { return Ok(Handed::Settled) };
        let address = account.addresses.first().unwrap_or(&entry.recipient).clone();
        let proved = match &entry.origin {
            Origin::Legacy(origin) => origin.notice_to().cloned(),
            Origin::Submission { .. } | Origin::Peer { .. } => None,
        };
        let shipment = Shipment {
            domain: address.domain().clone(),
            return_path: proved,
            recipients: vec![gateway::Recipient { address, notify: None, original: None }],
            octets: octets.into(),
            needs_smtputf8: false,
            envelope_id: None,
            headers_only: true,
            parameters: Vec::new(),
        };
        let report = self.lmtp.send(&shipment, &|_, _| {}).await;
        Ok(match report.recipients.first() {
            Some(Outcome::Taken { .. }) => Handed::Settled,
            Some(Outcome::Deferred { code, text }) => {
                tracing::warn!(account = %account.name, %code, %text, "the mailbox server does not take mail now");
                Handed::Again
            }
            refused => {
                tracing::warn!(
                    account = %account.name, identity = %entry.identity, ?refused,
                    "the mailbox server refuses a message; it stays in the native mailbox"
                );
                Handed::Settled
            }
        })
    }
}

/// What stands before the message: all that a Maildir has but Return-Path, which is the mailbox server's to write
/// (RFC 5321 section 4.4).
fn fields(origin: &Origin) -> String {
    let Origin::Legacy(origin) = origin else { return String::new() };
    let trace = origin.trace();
    match trace.split_once("\r\n") {
        Some((first, rest)) if first.starts_with("Return-Path:") => rest.to_owned(),
        _ => trace,
    }
}

/// `unix:` and a path, or an address and a port.
fn parse(config: &Config, place: &str) -> Result<LmtpPlace, Error> {
    if let Some(path) = place.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Ok(LmtpPlace::Unix(config.path(path.as_ref())));
    }
    let wrong = || {
        let good = "\"unix:/run/dovecot/lmtp\" or \"127.0.0.1:24\"";
        Error::Other(format!("[mailbox] lmtp = {place:?} is no place of a mailbox server, such as {good}"))
    };
    match place.parse::<std::net::SocketAddr>() {
        Ok(address) if address.port() != 25 => Ok(LmtpPlace::Tcp(address)),
        _ => Err(wrong()),
    }
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
