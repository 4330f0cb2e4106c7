//! What comes into the mailboxes, handed on to a mailbox server over LMTP, beside the Maildirs.
//!
//! Mail is handed over in the order in which it came, a mailbox at a time. How far a mailbox has come is written durably
//! behind each message, so after a crash nothing is lost, and at most the message twice whose reply was not yet written
//! down. What the server does not take is put aside (`handover`), so that it holds up nothing.
//!
//! keeps: GW-94

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway::out::{Lmtp, LmtpPlace, Outcome, Report, Shipment, Times};
use message::{Code, Identity};
use node::{NoLegacyForm, Node, delay_ms};
use storage::{AccountRecord, MailUid, MailboxEntry, Origin};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::{Duration, Sleep, sleep};

use super::handover::{Aside, Handover, RETRY_MS, State};
use super::settings;
use crate::config::Config;
use crate::limits::HANDOVER_MS_DEFAULT;
use crate::{Error, clock};

/// Accounts or entries that are read at a time.
const PAGE: usize = 100;
/// Mailboxes that are handed on at a time, and as many in which something is tried again: sessions with a server of this
/// site.
const MAILBOXES_AT_ONCE: usize = 8;
/// The pause where the store itself cannot be read or written.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);

/// Follows the mailboxes of a node.
pub(crate) struct LmtpCourier {
    node: Node,
    handover: Arc<Handover>,
    lmtp: Lmtp,
    /// For how long a message is tried after it was put off first, in milliseconds.
    longest_ms: u64,
    /// As whom checks of this node are written down: nobody else may be believed under these names.
    checkers: Vec<String>,
}

/// The mailboxes that are being handed on, or in which something is tried again.
#[derive(Default)]
struct Work {
    tasks: JoinSet<(String, Result<(), Trouble>)>,
    busy: BTreeSet<String>,
    /// Whether one has found no place.
    more: bool,
    /// How often the server was not there.
    away: u32,
    /// Runs while nothing is begun.
    pause: Option<Pin<Box<Sleep>>>,
}

/// What became of one message.
enum Handed {
    /// The server has it, or it is not here any more.
    Settled,
    /// The server does not want it now.
    PutOff(Code, String),
    /// The server will never take it.
    Refused(Code, String),
    /// The server is not there: it was not told of the message.
    Away(String),
}

/// Why a turn came to nothing.
enum Trouble {
    /// The server is not there.
    Away(String),
    /// The store cannot be read or written.
    Store(String),
}

impl Work {
    fn is_free(&self) -> bool {
        self.pause.is_none() && self.busy.len() < MAILBOXES_AT_ONCE
    }

    /// A mailbox is done with for now.
    fn end(&mut self, name: &str, result: Result<(), Trouble>, handover: &Handover) {
        self.busy.remove(name);
        match result {
            Ok(()) => self.away = 0,
            Err(trouble) => self.rest(trouble, handover),
        }
    }

    /// Where the server is not there everything waits, and nothing counts as tried. Others that find the same meanwhile say
    /// nothing new. keeps: GW-94
    fn rest(&mut self, trouble: Trouble, handover: &Handover) {
        if self.pause.is_some() {
            return;
        }
        let pause = match trouble {
            Trouble::Away(text) => {
                tracing::warn!(%text, "the mailbox server is not there; mail for it waits");
                handover.note_away(Some(&text));
                let delay = delay_ms(self.away, RETRY_MS.0, RETRY_MS.1, clock::now_ms());
                self.away = self.away.saturating_add(1);
                Duration::from_millis(delay)
            }
            Trouble::Store(error) => {
                tracing::warn!(%error, "mail cannot be handed to the mailbox server now");
                TROUBLE_PAUSE
            }
        };
        self.pause = Some(Box::pin(sleep(pause)));
    }
}

/// The end of a pause, once for each.
async fn over(pause: &mut Option<Pin<Box<Sleep>>>) {
    match pause {
        Some(running) => running.as_mut().await,
        None => std::future::pending().await,
    }
    *pause = None;
}

impl From<String> for Trouble {
    fn from(text: String) -> Trouble {
        Trouble::Store(text)
    }
}

impl LmtpCourier {
    /// One, where the configuration names a mailbox server.
    ///
    /// # Errors
    /// Where it is no place.
    pub(crate) fn of(
        config: &Config,
        node: &Node,
        handover: &Arc<Handover>,
    ) -> Result<Option<LmtpCourier>, Error> {
        let Some(place) = &config.mailbox.lmtp else { return Ok(None) };
        let lmtp = Lmtp::new(parse(config, place)?, settings::host(config)?, Times::default());
        let longest_ms =
            config.mailbox.lmtp_seconds.map_or(HANDOVER_MS_DEFAULT, |seconds| u64::from(seconds) * 1000);
        let checkers = settings::checkers(config)?;
        Ok(Some(LmtpCourier { node: node.clone(), handover: handover.clone(), lmtp, longest_ms, checkers }))
    }

    /// Hands on what arrives, for as long as the node runs. What was put aside goes a way of its own, so that a message over
    /// which the server falls silent holds up nothing that comes.
    pub(crate) async fn run(self) {
        let courier = Arc::new(self);
        tokio::join!(courier.clone().follow(), courier.come_again());
    }

    /// Each mailbox in which something has come, some of them at a time: where the server falls silent over a message of one, the
    /// others go on.
    async fn follow(self: Arc<Self>) {
        let mut arrived = self.node.mail_arrived();
        let mut work = Work::default();
        let mut begun = self.begin_all(&mut work);
        loop {
            if let Err(text) = begun {
                work.rest(Trouble::Store(text), &self.handover);
            }
            begun = tokio::select! {
                name = arrived.recv() => match name {
                    Ok(name) => self.begin(&name, &mut work),
                    Err(RecvError::Lagged(_)) => self.begin_all(&mut work),
                    Err(RecvError::Closed) => return,
                },
                () = self.handover.room.notified() => self.begin_all(&mut work),
                () = over(&mut work.pause) => self.begin_all(&mut work),
                Some(done) = work.tasks.join_next() => match done {
                    Ok((name, result)) => {
                        work.end(&name, result, &self.handover);
                        // Something may have come for it at the last moment, or another has waited for the place.
                        match std::mem::take(&mut work.more) {
                            true => self.begin_all(&mut work),
                            false => self.begin(&name, &mut work),
                        }
                    }
                    // A task that has panicked leaves its mailbox alone until the node starts again.
                    Err(_) => Ok(()),
                }
            };
        }
    }

    fn begin_all(self: &Arc<Self>, work: &mut Work) -> Result<(), String> {
        let mut after: Option<String> = None;
        while work.pause.is_none() {
            let accounts = self.node.store().accounts(after.as_deref(), PAGE).map_err(words)?;
            let Some(last) = accounts.last() else { return Ok(()) };
            after = Some(last.name.clone());
            for account in &accounts {
                self.begin(&account.name, work)?;
            }
        }
        Ok(())
    }

    /// Begins with a mailbox that has something to hand on, unless that is being done, or too much of it waits already. After a
    /// pause all are looked at.
    fn begin(self: &Arc<Self>, name: &str, work: &mut Work) -> Result<(), String> {
        if work.pause.is_some() || work.busy.contains(name) {
            return Ok(());
        }
        let after = self.handover.progress(name)?.map(MailUid);
        let something = !self.node.store().mailbox(name, after, 1).map_err(words)?.is_empty();
        if !something || self.handover.is_full(name)? {
            return Ok(());
        }
        if !work.is_free() {
            work.more = true;
            return Ok(());
        }
        let Some(account) = self.node.store().account(name).map_err(words)? else { return Ok(()) };
        work.busy.insert(name.to_owned());
        let (courier, name) = (self.clone(), name.to_owned());
        work.tasks.spawn(async move {
            let result = courier.mailbox(&account).await;
            (name, result)
        });
        Ok(())
    }

    /// What was put aside, whenever something of a mailbox is due, some of them at a time: where the server falls silent over a
    /// message of one, the others are tried again all the same. keeps: GW-95
    async fn come_again(self: Arc<Self>) {
        let mut work = Work::default();
        while let Err(text) = self.all_waiting().await {
            work.rest(Trouble::Store(text), &self.handover);
            over(&mut work.pause).await;
        }
        loop {
            self.begin_due(&mut work);
            let next_ms = self.handover.next_due_ms(&work.busy).filter(|_| work.is_free());
            let wait = next_ms.map(|next_ms| Duration::from_millis(next_ms.saturating_sub(clock::now_ms())));
            tokio::select! {
                () = self.handover.due.notified() => {}
                () = sleep(wait.unwrap_or_default()), if wait.is_some() => {}
                () = over(&mut work.pause) => {}
                Some(done) = work.tasks.join_next() => {
                    // A task that has panicked leaves its mailbox alone until the node starts again.
                    let Ok((name, result)) = done else { continue };
                    if result.is_err() {
                        self.handover.note_due(&name, clock::now_ms());
                    }
                    work.end(&name, result, &self.handover);
                }
            }
        }
    }

    /// Reads when something is due, in all mailboxes.
    async fn all_waiting(&self) -> Result<(), String> {
        let handover = self.handover.clone();
        tokio::task::spawn_blocking(move || handover.note_waiting(None)).await.map_err(words)?
    }

    fn begin_due(self: &Arc<Self>, work: &mut Work) {
        while work.is_free() {
            let Some(name) = self.handover.take_due(&work.busy, clock::now_ms()) else { return };
            work.busy.insert(name.clone());
            let courier = self.clone();
            work.tasks.spawn(async move {
                let result = courier.asides(&name).await;
                (name, result)
            });
        }
    }

    /// What of one mailbox was put aside and is due.
    async fn asides(&self, account: &str) -> Result<(), Trouble> {
        for aside in self.handover.waiting(Some(account))? {
            self.again(&aside).await?;
        }
        Ok(self.handover.note_waiting(Some(account))?)
    }

    /// One that was put aside, once more, as it stands by now: where others were taken or the operator wants it, that has
    /// changed. keeps: GW-94, GW-95, GW-96
    async fn again(&self, listed: &Aside) -> Result<(), Trouble> {
        let Some(aside) = self.handover.as_it_stands(listed)? else { return Ok(()) };
        if aside.next_ms > clock::now_ms() {
            return Ok(());
        }
        let account = self.node.store().account(&aside.account).map_err(words)?;
        let before = aside.number.checked_sub(1).map(MailUid);
        let entries = self.node.store().mailbox(&aside.account, before, 1).map_err(words)?;
        let entry = entries.into_iter().find(|entry| entry.uid.0 == aside.number);
        // An account or an entry that is gone wants nothing any more.
        let (Some(account), Some(entry)) = (account, entry) else {
            return Ok(self.handover.settle(&aside, None).await?);
        };
        let after = match self.hand(&account, &entry).await? {
            Handed::Settled => None,
            Handed::PutOff(code, text) => {
                Some(aside.clone().put_off(code, &text, clock::now_ms(), self.longest_ms))
            }
            Handed::Refused(code, text) => Some(aside.clone().refused(code, &text, clock::now_ms())),
            Handed::Away(text) => return Err(Trouble::Away(text)),
        };
        let taken = after.is_none();
        after.iter().for_each(tell);
        self.handover.settle(&aside, after).await?;
        if taken {
            self.handover.hasten(&aside.account).await?;
        }
        Ok(())
    }

    /// Hands on what is in one mailbox, unless too much of it waits already.
    async fn mailbox(&self, account: &AccountRecord) -> Result<(), Trouble> {
        loop {
            let after = self.handover.progress(&account.name)?.map(MailUid);
            let entries = self.node.store().mailbox(&account.name, after, PAGE).map_err(words)?;
            if entries.is_empty() {
                return Ok(());
            }
            for entry in &entries {
                if self.handover.is_full(&account.name)? {
                    return Ok(());
                }
                let first = |identity: Identity| {
                    Aside::first(&account.name, entry.uid.0, identity.to_string(), clock::now_ms())
                };
                let aside = match self.hand(account, entry).await? {
                    Handed::Settled => None,
                    Handed::PutOff(code, text) => {
                        let now_ms = clock::now_ms();
                        Some(first(entry.identity).put_off(code, &text, now_ms, self.longest_ms))
                    }
                    Handed::Refused(code, text) => {
                        Some(first(entry.identity).refused(code, &text, clock::now_ms()))
                    }
                    Handed::Away(text) => return Err(Trouble::Away(text)),
                };
                aside.iter().for_each(tell);
                self.handover.go_on(&account.name, entry.uid.0, aside).await?;
            }
        }
    }

    async fn hand(&self, account: &AccountRecord, entry: &MailboxEntry) -> Result<Handed, String> {
        let (store, copy) = (self.node.store().clone(), entry.clone());
        let checkers = self.checkers.clone();
        let written = tokio::task::spawn_blocking(move || -> Result<_, storage::Error> {
            let Some(stored) = store.message(copy.identity)? else { return Ok(None) };
            let octets = node::legacy_form(store.as_ref(), &stored, &checkers);
            Ok(Some(octets.map(|octets| [fields(&copy.origin).into_bytes(), octets].concat())))
        });
        let octets = match written.await.map_err(words)?.map_err(words)? {
            Some(Ok(octets)) => octets,
            // It is told and listed as what the server itself refuses.
            Some(Err(reason)) => {
                let text = format!("not handed over: {reason}");
                return Ok(match reason {
                    NoLegacyForm::TooLarge { .. } => Handed::Refused(Code::MESSAGE_TOO_LARGE, text),
                    NoLegacyForm::Untranslatable(_) => Handed::Refused(Code::new(5, 6, 5), text),
                    // The disk may have it when it is asked again.
                    NoLegacyForm::Incomplete => Handed::PutOff(Code::SYSTEM_TROUBLE, text),
                });
            }
            None => return Ok(Handed::Settled),
        };
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
            headers_only: Some(true),
            parameters: Vec::new(),
            forwarded: false,
        };
        let told = AtomicBool::new(false);
        let step = |step: &str, _: &str| {
            told.fetch_or(step == "mail", Ordering::Relaxed);
        };
        let report = self.lmtp.send(&shipment, &step).await;
        let handed = handed(&report, told.load(Ordering::Relaxed));
        if !matches!(handed, Handed::Away(_)) {
            self.handover.note_away(None);
        }
        Ok(handed)
    }
}

/// What a report says of the one recipient, where the server was told of the message, and where not: a session that ends
/// after that, by whatever cause, is about this message, or nothing would tell it from one that the server cannot bear.
/// keeps: GW-94, GW-95
fn handed(report: &Report, told: bool) -> Handed {
    match report.recipients.first() {
        Some(Outcome::Taken { .. }) => Handed::Settled,
        Some(Outcome::Deferred { code, text }) if told => Handed::PutOff(*code, text.clone()),
        Some(Outcome::Deferred { text, .. }) => Handed::Away(text.clone()),
        Some(Outcome::Refused { code, text }) => Handed::Refused(*code, text.clone()),
        Some(Outcome::Unfit { host, .. }) => {
            Handed::Refused(Code::new(5, 6, 7), format!("{host} takes no such message"))
        }
        None => Handed::Away("the mailbox server gave no answer".to_owned()),
    }
}

/// Tells the log of one that was put off or has ended.
fn tell(aside: &Aside) {
    let Aside { account, identity, code, text, .. } = aside;
    match aside.state {
        State::Waiting => {
            tracing::info!(%account, %identity, %code, %text, "the mailbox server puts a message off");
        }
        State::Refused | State::GivenUp => tracing::warn!(
            %account, %identity, %code, %text, state = aside.state.word(),
            "the mailbox server has not taken a message; it stays in the native mailbox"
        ),
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
