//! Notices that are due to senders of the old world: written, sent, and then forgotten. They go with the null return path,
//! to return paths that were proved, and to nobody else; by SMTP, as the message came, whatever else their domain speaks.
//!
//! keeps: GW-93, GW-97

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::time::Duration;

use gateway::notice::{Action, Owed, Said};
use gateway::out::{Outcome, Sender, Shipment, Step};
use message::address::Domain;
use message::{Code, Disposition};
use node::{Node, delay_ms};
use storage::NoticeDue;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::error::Elapsed;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clock;

/// How often it is looked for new notices: they are about what has failed for good, and nobody waits for one.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Notices that are read at a time, and that a domain is told in one turn.
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
/// Notices to one domain, or into mailboxes here, whose numbers are remembered; what is behind them waits in the store.
const REMEMBERED_MAX: usize = 10_000;
/// The same for all domains together.
const REMEMBERED_IN_ALL_MAX: usize = 200_000;
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

/// Notices by their numbers alone: what they say is read when they are sent, so that a backlog costs no more than that.
type Numbers = BTreeMap<u64, Tries>;

impl Tries {
    fn count(&mut self, now_ms: u64, salt: u64) {
        self.count += 1;
        self.next_ms = now_ms + delay_ms(self.count, RETRY_MS.0, RETRY_MS.1, salt);
    }
}

/// The first that are due, which count as tried from now on.
fn take_due(numbers: &mut Numbers, now_ms: u64) -> Vec<u64> {
    let due = numbers.iter_mut().filter(|(_, tries)| tries.next_ms <= now_ms).take(TURN_MAX);
    due.map(|(number, tries)| {
        tries.count(now_ms, *number);
        *number
    })
    .collect()
}

/// What is due, what is under way, and what is known of what was tried.
#[derive(Default)]
struct Work {
    /// Behind which notice the next look begins: numbers only grow, so what is new stands behind what was seen. See also
    /// [`Work::look_back`].
    after: Option<u64>,
    /// What goes into mailboxes of this node.
    here: Numbers,
    /// What each domain is owed.
    owed: BTreeMap<Domain, Numbers>,
    /// Who is owed more than there was room for; nobody's name stands for mailboxes here.
    left_out: BTreeSet<Option<Domain>>,
    /// Whether there was no room for anybody's.
    full: bool,
    /// Behind which domain the next one is looked for, so that each has its turn.
    turn: Option<Domain>,
    /// The domains that have stalled.
    stalled: BTreeMap<Domain, Tries>,
    /// The domains that are told something now, and whether they have stalled before.
    busy: HashMap<Id, (Domain, bool)>,
    tasks: JoinSet<Told>,
}

/// How a domain took what it was told.
struct Told {
    settled: Vec<u64>,
    /// Whether it stalled; none where it was not asked.
    stalled: Option<bool>,
}

/// A domain that can be told something now.
struct Turn {
    domain: Domain,
    /// Whether it has stalled before.
    stalled: bool,
    due: Vec<u64>,
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
    fn place(&self, domain: &Domain, now_ms: u64) -> Option<bool> {
        let before = self.stalled.get(domain);
        if before.is_some_and(|tries| tries.next_ms > now_ms) {
            return None;
        }
        let stalled = before.is_some();
        let most = if stalled { STALLED_AT_ONCE_MAX } else { AT_ONCE_MAX };
        let alike = self.busy.values().filter(|(_, other)| *other == stalled).count();
        let free = alike < most && !self.busy.values().any(|(busy, _)| busy == domain);
        free.then_some(stalled)
    }

    /// Notes what was read, each behind the last, as far as there is room. keeps: GW-97
    fn note(&mut self, read: &[NoticeDue]) {
        let mut remembered = self.remembered();
        for notice in read {
            self.after = Some(notice.id);
            let domain = notice.account.is_none().then(|| notice.return_path.domain().clone());
            if remembered >= REMEMBERED_IN_ALL_MAX {
                self.full = true;
                continue;
            }
            let numbers = match &domain {
                None => &mut self.here,
                Some(domain) => self.owed.entry(domain.clone()).or_default(),
            };
            if numbers.len() >= REMEMBERED_MAX {
                self.left_out.insert(domain);
                continue;
            }
            // One that is read once more was tried as often as it was.
            let before = numbers.len();
            numbers.entry(notice.id).or_default();
            remembered += numbers.len() - before;
        }
    }

    fn remembered(&self) -> usize {
        self.here.len() + self.owed.values().map(Numbers::len).sum::<usize>()
    }

    /// Where there is room again for what was left out, everything is read from the beginning.
    fn look_back(&mut self) {
        let fits = |domain: &Option<Domain>| match domain {
            None => self.here.len() <= REMEMBERED_MAX / 2,
            Some(domain) => self.owed.get(domain).is_none_or(|owed| owed.len() <= REMEMBERED_MAX / 2),
        };
        let freed = self.full && self.remembered() <= REMEMBERED_IN_ALL_MAX / 2;
        if freed || self.left_out.iter().any(fits) {
            self.full = false;
            self.left_out.clear();
            self.after = None;
        }
    }

    /// The next domain that has a place and something due.
    fn next_turn(&mut self, now_ms: u64) -> Option<Turn> {
        let behind = self.turn.as_ref().map_or(Unbounded, Excluded);
        let behind = self.owed.range::<Domain, _>((behind, Unbounded)).chain(&self.owed);
        let is_due = |numbers: &Numbers| numbers.values().any(|tries| tries.next_ms <= now_ms);
        let (domain, stalled) = behind.take(self.owed.len()).find_map(|(domain, numbers)| {
            let stalled = self.place(domain, now_ms)?;
            is_due(numbers).then(|| (domain.clone(), stalled))
        })?;
        let due = take_due(self.owed.get_mut(&domain)?, now_ms);
        self.turn = Some(domain.clone());
        Some(Turn { domain, stalled, due })
    }

    fn end(&mut self, ended: Result<(Id, Told), JoinError>) {
        let (id, told) = match ended {
            Ok((id, told)) => (id, told),
            Err(error) => (error.id(), Told { settled: Vec::new(), stalled: Some(true) }),
        };
        let Some((domain, _)) = self.busy.remove(&id) else { return };
        if let Some(owed) = self.owed.get_mut(&domain) {
            for number in told.settled {
                owed.remove(&number);
            }
            if owed.is_empty() {
                self.owed.remove(&domain);
            }
        }
        match told.stalled {
            Some(true) => {
                let salt = domain.as_str().bytes().map(u64::from).sum();
                self.stalled.entry(domain).or_default().count(clock::now_ms(), salt);
            }
            Some(false) => drop(self.stalled.remove(&domain)),
            None => {}
        }
    }
}

impl Notices {
    pub(crate) async fn run(self) {
        let notices = Arc::new(self);
        let mut work = Work::default();
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => notices.look(&mut work).await,
                Some(ended) = work.tasks.join_next_with_id() => work.end(ended),
            }
        }
    }

    /// Reads what is new, each once, and begins with what is due.
    async fn look(self: &Arc<Self>, work: &mut Work) {
        work.look_back();
        loop {
            match self.read(work.after, TURN_MAX).await {
                Ok(new) if new.is_empty() => break,
                Ok(new) => work.note(&new),
                Err(error) => {
                    tracing::warn!(%error, "notices cannot be read now");
                    break;
                }
            }
        }
        let now_ms = clock::now_ms();
        work.stalled.retain(|_, tries| now_ms < tries.next_ms.saturating_add(RETRY_MS.1));
        self.fill_mailboxes(&mut work.here, now_ms).await;
        // What goes to another domain goes in a task of its own.
        let Some(sender) = &self.sender else { return };
        while let Some(Turn { domain, stalled, due }) = work.next_turn(now_ms) {
            let (notices, sender) = (self.clone(), sender.clone());
            let limit = if stalled { STALLED_ATTEMPT_MAX } else { ATTEMPT_MAX };
            let task = work.tasks.spawn(async move { notices.tell(&sender, due, limit).await });
            work.busy.insert(task.id(), (domain, stalled));
        }
    }

    async fn read(&self, after: Option<u64>, limit: usize) -> Result<Vec<NoticeDue>, String> {
        let store = self.node.store().clone();
        let read = tokio::task::spawn_blocking(move || store.notices_due(after, limit)).await;
        read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// What one notice says; none where it is not due any more.
    async fn notice(&self, number: u64) -> Result<Option<NoticeDue>, String> {
        let found = self.read(number.checked_sub(1), 1).await?;
        Ok(found.into_iter().find(|notice| notice.id == number))
    }

    /// What goes into a mailbox here waits for nobody's server.
    async fn fill_mailboxes(&self, here: &mut Numbers, now_ms: u64) {
        loop {
            let due = take_due(here, now_ms);
            if due.is_empty() {
                return;
            }
            for number in due {
                let settled = match self.notice(number).await {
                    Ok(Some(notice)) => self.is_in_mailbox(&notice).await && self.is_forgotten(number).await,
                    Ok(None) => true,
                    Err(_) => false,
                };
                if settled {
                    here.remove(&number);
                }
            }
        }
    }

    /// Tells one domain what it is owed, one notice after the other, until one cannot be brought there now.
    async fn tell(&self, sender: &Sender, due: Vec<u64>, limit: Duration) -> Told {
        let (mut settled, mut stalled) = (Vec::new(), None);
        for number in due {
            let notice = match self.notice(number).await {
                Ok(Some(notice)) => notice,
                Ok(None) => {
                    settled.push(number);
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, "a notice cannot be read now");
                    break;
                }
            };
            let began_ms = clock::now_ms();
            let attempt = self.attempt(sender, &notice, began_ms, limit).await;
            let too_old = began_ms > notice.received_at_ms.saturating_add(2 * TRIED_MS);
            let attempt = if too_old { Ok(Attempt::Settled) } else { attempt };
            if attempt != Ok(Attempt::Settled) {
                let took_ms = clock::now_ms().saturating_sub(began_ms);
                stalled = Some(attempt.is_err() || took_ms >= STALLS_FROM_MS);
                break;
            }
            stalled = Some(false);
            if self.is_forgotten(number).await {
                settled.push(number);
            }
        }
        Told { settled, stalled }
    }

    async fn is_forgotten(&self, notice: u64) -> bool {
        match self.node.store().remove_notices(vec![notice]).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "a notice that was sent cannot be removed; it is sent again");
                false
            }
        }
    }

    /// Each time that it is offered takes so long at the most.
    async fn attempt(
        &self,
        sender: &Sender,
        notice: &NoticeDue,
        now_ms: u64,
        limit: Duration,
    ) -> Result<Attempt, Elapsed> {
        let (mut outcome, step) =
            timeout(limit, self.sent(sender, notice, self.written(notice, now_ms))).await?;
        if outcome.as_ref().is_some_and(|outcome| is_about_content(outcome, step))
            && !notice.header.is_empty()
        {
            // The sender's own words in it may be what is not taken; what became of the message can be said without them.
            let bare = NoticeDue { header: Vec::new(), ..notice.clone() };
            (outcome, _) = timeout(limit, self.sent(sender, notice, self.written(&bare, now_ms))).await?;
        }
        Ok(match outcome {
            Some(Outcome::Taken { .. }) => Attempt::Settled,
            Some(Outcome::Deferred { .. }) => Attempt::PutOff,
            refused => {
                tracing::info!(to = %notice.return_path, ?refused, "a notice of failure is not taken");
                Attempt::Settled
            }
        })
    }

    /// What its server has said to these octets, and at which step it did not take them.
    async fn sent(
        &self,
        sender: &Sender,
        notice: &NoticeDue,
        octets: Vec<u8>,
    ) -> (Option<Outcome>, Option<Step>) {
        let shipment = Shipment {
            domain: notice.return_path.domain().clone(),
            return_path: None,
            recipients: vec![gateway::Recipient {
                address: notice.return_path.clone(),
                notify: None,
                original: None,
            }],
            octets: octets.into(),
            needs_smtputf8: false,
            envelope_id: None,
            headers_only: Some(true),
            parameters: Vec::new(),
            forwarded: false,
        };
        let report = sender.send(&shipment, &|_, _| {}).await;
        (report.recipients.into_iter().next(), report.tried.last().map(|tried| tried.step))
    }

    /// A user is told of a failure in the own mailbox, unless the account does not want it any more: it is put there, and is
    /// offered to nobody. keeps: STA-21
    async fn is_in_mailbox(&self, notice: &NoticeDue) -> bool {
        let Some(account) = notice.account.as_deref() else { return true };
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

/// Whether something is not taken for what is in it, and not for whom it is or where it comes from: by the subject of the code
/// (RFC 3463) the system, as where it is too large; the content; or a policy, as a filter's that has seen it. keeps: GW-93
fn is_about_content(outcome: &Outcome, step: Option<Step>) -> bool {
    match outcome {
        Outcome::Unfit { .. } => true,
        Outcome::Refused { code, .. } => match code.subject {
            3 | 6 => true,
            7 => step.is_some_and(|step| step >= Step::Data),
            _ => false,
        },
        Outcome::Taken { .. } | Outcome::Deferred { .. } => false,
    }
}

#[cfg(test)]
mod tests;
