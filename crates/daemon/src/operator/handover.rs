//! What the mailbox server has not taken.

use control::{AlertView, Failure, FailureKind, HandoverOrder, HandoverView, Response};
use data_encoding::HEXLOWER;

use super::{Answered, LocalOperator, bounded};
use crate::clock::now_ms;
use crate::gateway::handover::{Aside, State};

/// Milliseconds after which it is told that the mailbox server puts a message off.
const LATE_MS: u64 = 2 * 3_600_000;

impl LocalOperator {
    pub(super) async fn handover(&self, order: HandoverOrder) -> Answered {
        let found = match order {
            HandoverOrder::List { after, limit } => {
                let after = after.map(|text| HEXLOWER.decode(text.as_bytes())).transpose();
                let after = after.map_err(|_| Failure::new(FailureKind::Invalid, "that is no place"))?;
                let list = self.handover.list(after.as_deref(), bounded(limit)).map_err(internal)?;
                let handovers = list.into_iter().map(|(place, aside)| view(&place, aside)).collect();
                return Ok(Response::Handovers { handovers });
            }
            HandoverOrder::Retry { account, number } => self.handover.retry(&account, number).await,
            HandoverOrder::Forget { account, number } => self.handover.forget(&account, number).await,
        };
        match found.map_err(internal)? {
            true => Ok(Response::Done),
            false => Err(Failure::new(FailureKind::NotFound, "no such message waits for the mailbox server")
                .hint("`waxwing lmtp list` names those that do")),
        }
    }

    /// What an operator has to know of the mailbox server. keeps: GW-96
    pub(super) fn handover_alerts(&self) -> Result<Vec<AlertView>, Failure> {
        let mut alerts = Vec::new();
        let mut tell = |urgent: bool, text: String, hint: &str| {
            let (kind, hint) = ("mailbox-server".to_owned(), hint.to_owned());
            alerts.push(AlertView { kind, urgent, text, hint, lane: None });
        };
        if let Some((since_ms, text)) = self.handover.away() {
            let minutes = now_ms().saturating_sub(since_ms) / 60_000;
            let hint = "All mail is in the native mailboxes. Start the server, or look at `[mailbox] lmtp`.";
            tell(true, format!("The mailbox server is away for {minutes} min: {text}"), hint);
        }
        let list = self.handover.list(None, control::limits::LIST_MAX).map_err(internal)?;
        let count = |such: &dyn Fn(&Aside) -> bool| list.iter().filter(|(_, aside)| such(aside)).count();
        let late = |aside: &Aside| {
            aside.state == State::Waiting && now_ms().saturating_sub(aside.since_ms) >= LATE_MS
        };
        let (late, ended) = (count(&late), count(&|aside| aside.state != State::Waiting));
        let hint = "`waxwing lmtp list` says which and why; retry them there, or forget them.";
        if late > 0 {
            let text = format!("The mailbox server puts off {late} messages for more than two hours.");
            tell(false, text, hint);
        }
        if ended > 0 {
            let text = format!(
                "The mailbox server has not taken {ended} messages; they are in the native mailboxes only."
            );
            tell(false, text, hint);
        }
        Ok(alerts)
    }
}

fn view(place: &[u8], aside: Aside) -> HandoverView {
    HandoverView {
        place: HEXLOWER.encode(place),
        account: aside.account,
        number: aside.number,
        identity: aside.identity,
        state: aside.state.word().to_owned(),
        since_ms: aside.since_ms,
        tries: aside.tries,
        next_ms: aside.next_ms,
        code: aside.code,
        text: aside.text,
    }
}

fn internal(text: String) -> Failure {
    Failure::new(FailureKind::Internal, text)
}
