//! Notices that are due to senders of the old world: written, sent, and then forgotten. They go with the null return path,
//! to return paths that were proved, and to nobody else; by SMTP, as the message came, whatever else their domain speaks.
//!
//! keeps: GW-93, GW-97

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use gateway::notice::{Action, Owed, Said};
use gateway::out::{Outcome, Sender, Shipment};
use message::address::Domain;
use message::{Code, Disposition};
use node::{Node, delay_ms};
use storage::NoticeDue;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clock;

/// How often it is looked for new notices: they are about what has failed for good, and nobody waits for one.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After how many looks those that were tried before are looked at again.
const LOOKS_PER_ROUND: u32 = 30;
/// Notices that are looked at in one turn.
const TURN_MAX: usize = 100;
/// For how long one is tried.
const TRIED_MS: u64 = 5 * 86_400_000;
/// The first and the longest time between two attempts.
const RETRY_MS: (u64, u64) = (60_000, 4 * 3_600_000);
/// Domains that are told something at the same time: a notice is small, and its server may be slow on purpose.
const AT_ONCE_MAX: usize = 32;
/// How many of them, beside those, may be such as have stalled before: they only take places from each other.
const STALLED_AT_ONCE_MAX: usize = 8;
/// How long an attempt may take, from the first question of the DNS on; most servers answer within seconds.
const ATTEMPT_MAX: Duration = Duration::from_secs(60);
/// The same for a domain that has stalled before: RFC 5321 lets a server take minutes for an answer.
const STALLED_ATTEMPT_MAX: Duration = Duration::from_secs(600);
/// From when on an attempt that has come to nothing was one that stalls.
const STALLS_FROM_MS: u64 = 20_000;

/// Sends what is due.
pub(crate) struct Notices {
    pub(crate) node: Node,
    /// Who sends; none where nothing goes out.
    pub(crate) sender: Option<Arc<Sender>>,
    pub(crate) host: String,
}

/// How often something was tried, and when it is tried next. Not kept beyond the process: then it is tried at once.
#[derive(Default)]
struct Tries {
    count: u32,
    next_ms: u64,
}

impl Tries {
    fn count(&mut self, now_ms: u64, salt: u64) {
        self.count += 1;
        self.next_ms = now_ms + delay_ms(self.count, RETRY_MS.0, RETRY_MS.1, salt);
    }
}

/// What is under way, and what is known of what was tried.
#[derive(Default)]
struct Work {
    /// Behind which notice the next look begins: numbers only grow, so what is new stands behind what was seen.
    after: Option<u64>,
    tries: BTreeMap<u64, Tries>,
    /// The domains that have stalled.
    stalled: BTreeMap<Domain, Tries>,
    /// The domains that are told something now, and whether they have stalled before.
    busy: HashMap<Id, (Domain, bool)>,
    tasks: JoinSet<Told>,
    /// Whether some were passed over because their domain is busy, or no place was free.
    left: bool,
    /// Whether a place has become free since.
    ended: bool,
}

/// How a domain took what it was told.
struct Told {
    settled: Vec<u64>,
    stalled: bool,
}

/// What became of one attempt.
#[derive(PartialEq)]
enum Attempt {
    /// Nothing is left to be done: it is sent, or cannot be.
    Settled,
    /// Not now.
    PutOff,
}

impl Work {
    /// Whether this domain can be told something now, and whether it has stalled before. keeps: GW-97
    fn place(&mut self, domain: &Domain, now_ms: u64) -> Option<bool> {
        let before = self.stalled.get(domain);
        if before.is_some_and(|tries| tries.next_ms > now_ms) {
            return None;
        }
        let stalled = before.is_some();
        let most = if stalled { STALLED_AT_ONCE_MAX } else { AT_ONCE_MAX };
        let alike = self.busy.values().filter(|(_, other)| *other == stalled).count();
        let free = alike < most && !self.busy.values().any(|(busy, _)| busy == domain);
        self.left |= !free;
        free.then_some(stalled)
    }

    fn end(&mut self, ended: Result<(Id, Told), JoinError>) {
        let (id, told) = match ended {
            Ok((id, told)) => (id, told),
            Err(error) => (error.id(), Told { settled: Vec::new(), stalled: true }),
        };
        self.ended = true;
        for notice in told.settled {
            self.tries.remove(&notice);
        }
        let Some((domain, _)) = self.busy.remove(&id) else { return };
        if told.stalled {
            let salt = domain.as_str().bytes().map(u64::from).sum();
            self.stalled.entry(domain).or_default().count(clock::now_ms(), salt);
        } else {
            self.stalled.remove(&domain);
        }
    }

    /// Everything is looked at again in each round, and sooner where something has waited for a place.
    fn begin_look(&mut self, looks: u32) {
        let round = looks.is_multiple_of(LOOKS_PER_ROUND);
        if round || (self.left && self.ended) {
            (self.after, self.left, self.ended) = (None, false, false);
        }
        if round {
            let now_ms = clock::now_ms();
            self.stalled.retain(|_, tries| now_ms < tries.next_ms.saturating_add(RETRY_MS.1));
        }
    }
}

impl Notices {
    pub(crate) async fn run(self) {
        let notices = Arc::new(self);
        let mut work = Work::default();
        let mut looks = 0_u32;
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    looks = looks.wrapping_add(1);
                    work.begin_look(looks);
                    notices.look(&mut work).await;
                }
                Some(ended) = work.tasks.join_next_with_id() => work.end(ended),
            }
        }
    }

    async fn look(self: &Arc<Self>, work: &mut Work) {
        loop {
            let due = match self.node.store().notices_due(work.after, TURN_MAX) {
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!(%error, "notices cannot be read now");
                    return;
                }
            };
            let Some(last) = due.last() else { return };
            work.after = Some(last.id);
            self.turn(due, work).await;
        }
    }

    /// What goes into a mailbox here waits for nobody's server; what goes to another domain goes in a task of its own.
    async fn turn(self: &Arc<Self>, due: Vec<NoticeDue>, work: &mut Work) {
        let now_ms = clock::now_ms();
        let mut away: BTreeMap<Domain, Vec<NoticeDue>> = BTreeMap::new();
        for notice in due {
            if work.tries.get(&notice.id).is_some_and(|tries| tries.next_ms > now_ms) {
                continue;
            }
            let Some(account) = &notice.account else {
                away.entry(notice.return_path.domain().clone()).or_default().push(notice);
                continue;
            };
            work.tries.entry(notice.id).or_default().count(now_ms, notice.id);
            if self.is_in_mailbox(account, &notice).await {
                self.forget(notice.id).await;
                work.tries.remove(&notice.id);
            }
        }
        let Some(sender) = &self.sender else { return };
        for (domain, due) in away {
            let Some(stalled) = work.place(&domain, now_ms) else { continue };
            for notice in &due {
                work.tries.entry(notice.id).or_default().count(now_ms, notice.id);
            }
            let (notices, sender) = (self.clone(), sender.clone());
            let limit = if stalled { STALLED_ATTEMPT_MAX } else { ATTEMPT_MAX };
            let task = work.tasks.spawn(async move { notices.tell(&sender, due, limit).await });
            work.busy.insert(task.id(), (domain, stalled));
        }
    }

    /// Tells one domain what it is owed, one notice after the other, until one cannot be brought there now.
    async fn tell(&self, sender: &Sender, due: Vec<NoticeDue>, limit: Duration) -> Told {
        let mut settled = Vec::new();
        for notice in due {
            let began_ms = clock::now_ms();
            let attempt = timeout(limit, self.attempt(sender, &notice, began_ms)).await;
            let too_old = began_ms > notice.received_at_ms.saturating_add(2 * TRIED_MS);
            let attempt = if too_old { Ok(Attempt::Settled) } else { attempt };
            if attempt != Ok(Attempt::Settled) {
                let took_ms = clock::now_ms().saturating_sub(began_ms);
                let stalled = attempt.is_err() || took_ms >= STALLS_FROM_MS;
                return Told { settled, stalled };
            }
            self.forget(notice.id).await;
            settled.push(notice.id);
        }
        Told { settled, stalled: false }
    }

    async fn forget(&self, notice: u64) {
        if let Err(error) = self.node.store().remove_notices(vec![notice]).await {
            tracing::warn!(%error, "a notice that was sent cannot be removed; it is sent again");
        }
    }

    async fn attempt(&self, sender: &Sender, notice: &NoticeDue, now_ms: u64) -> Attempt {
        let shipment = Shipment {
            domain: notice.return_path.domain().clone(),
            return_path: None,
            recipients: vec![gateway::Recipient {
                address: notice.return_path.clone(),
                notify: None,
                original: None,
            }],
            octets: self.written(notice, now_ms).into(),
            needs_smtputf8: false,
            envelope_id: None,
            headers_only: Some(true),
            parameters: Vec::new(),
            forwarded: false,
        };
        let report = sender.send(&shipment, &|_, _| {}).await;
        match report.recipients.first() {
            Some(Outcome::Taken { .. }) => Attempt::Settled,
            Some(Outcome::Deferred { .. }) => Attempt::PutOff,
            refused => {
                tracing::info!(to = %notice.return_path, ?refused, "a notice of failure is not taken");
                Attempt::Settled
            }
        }
    }

    /// A user is told of a failure in the own mailbox, unless the account does not want it any more: it is put there, and is
    /// offered to nobody. keeps: STA-21
    async fn is_in_mailbox(&self, account: &str, notice: &NoticeDue) -> bool {
        let wanted = match self.node.store().account(account) {
            Ok(found) => found.is_some_and(|account| account.notices && !account.disabled),
            Err(_) => return false,
        };
        if !wanted {
            return true;
        }
        // The same notice has the same octets whenever it is written, so that it is put there once.
        let closed = self.node.store().envelope(notice.envelope).ok().flatten();
        let at_ms = closed.and_then(|envelope| envelope.closed_at_ms).unwrap_or(notice.received_at_ms);
        let octets = self.written(notice, at_ms);
        let message = match translate::import(&octets, &translate::ImportOptions::default()) {
            Ok(imported) => imported.message,
            Err(refusal) => {
                tracing::warn!(%refusal, account, "a notice has no native form");
                return true;
            }
        };
        match self.node.put_notice(account, notice.return_path.clone(), &message).await {
            Ok(()) => true,
            Err((code, text)) => {
                tracing::warn!(%code, text, account, "a notice cannot be put into the mailbox now");
                false
            }
        }
    }

    fn written(&self, notice: &NoticeDue, now_ms: u64) -> Vec<u8> {
        let (action, code, text) = match &notice.disposition {
            Disposition::Refused { code, text } => (Action::Failed, *code, text.clone()),
            Disposition::Expired => {
                (Action::Failed, Code::EXPIRED, "the time to deliver has run out".to_owned())
            }
            // Its node has it for the recipient.
            Disposition::Accepted => (Action::Delivered, Code::new(2, 1, 5), String::new()),
            Disposition::Relayed => (Action::Relayed, Code::new(2, 1, 9), String::new()),
            other => (Action::Failed, Code::new(5, 0, 0), other.word().to_owned()),
        };
        let said = Said {
            address: notice.recipient.clone(),
            original: notice.original.clone(),
            action,
            code,
            remote: None,
            text,
        };
        Owed {
            reporter: self.host.clone(),
            domain: self.node.settings().domain.clone(),
            to: notice.return_path.clone(),
            envelope_id: notice.envelope_id.clone(),
            arrived_ms: notice.received_at_ms,
            now_ms,
            recipients: vec![said],
            header: notice.header.clone(),
        }
        .write()
    }
}
