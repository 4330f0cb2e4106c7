//! A policy service: a program of the operator's own that may decide where the rules leave it open.

use std::sync::Arc;

use policy::{Decision, Evidence, Verdict};

use crate::{Later, Node};

/// Who is asked. The daemon gives a client for a socket, a test its own.
pub trait PolicyService: Send + Sync + 'static {
    /// What it says about one recipient, given the evidence and what the rules have come to; `None` where it leaves it at
    /// that. It answers within a bounded time, with what was set for its silence where the program behind it says nothing.
    fn judge<'a>(&'a self, evidence: &'a Evidence, decided: &'a Decision) -> Later<'a, Option<Decision>>;

    /// Since when it has not answered, in Unix milliseconds, and why; `None` where it has answered the last question.
    fn silent_since(&self) -> Option<(u64, String)> {
        None
    }
}

impl Node {
    /// Has this service asked from now on; the first that is given stays.
    pub fn consult(&self, service: Arc<dyn PolicyService>) {
        // One that is there already stays: settings do not change while a node runs.
        let _ = self.inner.service.set(service);
    }

    /// What is decided about one recipient: by the rules, and then by the service, where there is one and the rules have
    /// neither refused nor put off nor wait for content. keeps: REP-15, REP-16, SEC-6
    pub(crate) async fn judge(&self, evidence: &Evidence) -> Decision {
        let decided = self.settings().rules.decide(evidence);
        self.ask_service(evidence, &decided).await.flatten().unwrap_or(decided)
    }

    /// What the service says, `None` in it where it leaves it at that; `None` where it is not asked.
    pub(crate) async fn ask_service(
        &self,
        evidence: &Evidence,
        decided: &Decision,
    ) -> Option<Option<Decision>> {
        let open = matches!(decided.verdict, Verdict::Accept | Verdict::Hold { .. } | Verdict::Pend { .. });
        let service = self.inner.service.get().filter(|_| open && !evidence.is_submitted())?;
        let said = service.judge(evidence, decided).await;
        Some(said.filter(|said| !is_satisfied(evidence, said)))
    }

    /// Since when the policy service has not answered, in Unix milliseconds, and why; `None` where there is none, or it has
    /// answered the last question.
    pub fn policy_service_silent_since(&self) -> Option<(u64, String)> {
        self.inner.service.get().and_then(|service| service.silent_since())
    }
}

/// Whether what was asked for is here, or the time has passed: asking for it again would never end.
fn is_satisfied(evidence: &Evidence, said: &Decision) -> bool {
    match &said.verdict {
        Verdict::Want(selection) => evidence.has(selection),
        Verdict::Pend { after_seconds } => {
            evidence.waited_seconds.is_some_and(|waited| waited >= u64::from(*after_seconds))
        }
        _ => false,
    }
}
