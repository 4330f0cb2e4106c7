//! Notices that are due to senders of the old world: written, sent, and then forgotten. They go with the null return path,
//! to return paths that were proved, and to nobody else; by SMTP, as the message came, whatever else their domain speaks.
//!
//! keeps: GW-93

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gateway::notice::{Action, Owed, Said};
use gateway::out::{Outcome, Sender, Shipment};
use message::{Code, Disposition};
use node::{Node, delay_ms};
use storage::NoticeDue;

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

/// Sends what is due.
pub(crate) struct Notices {
    pub(crate) node: Node,
    /// Who sends; none where nothing goes out.
    pub(crate) sender: Option<Arc<Sender>>,
    pub(crate) host: String,
}

/// How often a notice was tried, and when it is tried next. Not kept beyond the process: then it is tried at once.
#[derive(Default)]
struct Tries {
    count: u32,
    next_ms: u64,
}

impl Notices {
    pub(crate) async fn run(self) {
        let mut tries: BTreeMap<u64, Tries> = BTreeMap::new();
        let (mut after, mut looks) = (None, 0);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            // Numbers only grow, so what is new stands behind what was seen.
            looks += 1;
            if looks % LOOKS_PER_ROUND == 0 {
                after = None;
            }
            loop {
                let due = match self.node.store().notices_due(after, TURN_MAX) {
                    Ok(due) => due,
                    Err(error) => {
                        tracing::warn!(%error, "notices cannot be read now");
                        break;
                    }
                };
                let Some(last) = due.last() else { break };
                after = Some(last.id);
                self.turn(&due, &mut tries).await;
            }
        }
    }

    async fn turn(&self, due: &[NoticeDue], tries: &mut BTreeMap<u64, Tries>) {
        let mut done = Vec::new();
        // What goes into a mailbox here waits for nobody's server.
        let (here, away): (Vec<_>, Vec<_>) = due.iter().partition(|notice| notice.account.is_some());
        for notice in here.into_iter().chain(away) {
            let now_ms = clock::now_ms();
            let own = tries.entry(notice.id).or_default();
            if own.next_ms > now_ms {
                continue;
            }
            own.count += 1;
            own.next_ms = now_ms + delay_ms(own.count, RETRY_MS.0, RETRY_MS.1, notice.id);
            if self.is_settled(notice, now_ms).await {
                done.push(notice.id);
                tries.remove(&notice.id);
            }
        }
        if !done.is_empty()
            && let Err(error) = self.node.store().remove_notices(done).await
        {
            tracing::warn!(%error, "notices that were sent cannot be removed; they are sent again");
        }
    }

    /// Whether nothing is left to be done: it is sent, or cannot be.
    async fn is_settled(&self, notice: &NoticeDue, now_ms: u64) -> bool {
        if let Some(account) = &notice.account {
            return self.is_in_mailbox(account, notice).await;
        }
        let Some(sender) = &self.sender else { return false };
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
            Some(Outcome::Taken { .. }) => true,
            Some(Outcome::Deferred { .. }) => now_ms > notice.received_at_ms.saturating_add(2 * TRIED_MS),
            refused => {
                tracing::info!(to = %notice.return_path, ?refused, "a notice of failure is not taken");
                true
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
