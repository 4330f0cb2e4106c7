//! The client of a policy service: one HTTP/1.1 request for each question, over a Unix socket or loopback.
//!
//! What goes over it stands in `spec/15-reputation.md`. Whatever comes back but a well-formed answer in time is silence, and
//! for that the operator has set what is done.

mod call;
mod words;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use message::{Code, Selection};
use node::{Later, PolicyService};
use policy::{Decision, Evidence, Verdict};
use tokio::sync::Semaphore;

pub(crate) use call::Place;

use crate::clock::now_ms;
use crate::limits::{SERVICE_QUESTION_OCTETS_MAX, SERVICE_QUESTIONS_MAX, SERVICE_REST_MS};

/// The name of the rule under which a service decides that gives none, and under which its silence does.
const RULE: &str = "policy-service";
/// Seconds after which an offer may be made again that was put off because the service is silent.
const SILENT_AFTER_SECONDS: u32 = 300;

/// What is done where the service says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// What the rules have come to.
    Rules,
    /// The offer is put off.
    Defer,
    /// The recipient decides.
    Hold,
}

/// One service.
pub(crate) struct ServiceClient {
    place: Place,
    limit: Duration,
    silence: Silence,
    at_once: Arc<Semaphore>,
    /// Until when it is not asked, in Unix milliseconds, because it did not answer.
    rests_until_ms: AtomicU64,
    /// Since when it has not answered, and why not the last time.
    silent: Mutex<Option<(u64, String)>>,
}

impl ServiceClient {
    pub(crate) fn new(place: Place, limit: Duration, silence: Silence) -> ServiceClient {
        let at_once = Arc::new(Semaphore::new(SERVICE_QUESTIONS_MAX));
        ServiceClient {
            place,
            limit,
            silence,
            at_once,
            rests_until_ms: AtomicU64::new(0),
            silent: Mutex::default(),
        }
    }

    /// `Ok(None)` where the service leaves it to the rules; an error is silence. keeps: REP-16, REP-17
    async fn ask(&self, evidence: &Evidence, decided: &Decision) -> Result<Option<Decision>, String> {
        let now_ms = now_ms();
        let rests_until_ms = self.rests_until_ms.load(Ordering::Relaxed);
        if rests_until_ms > now_ms && rests_until_ms <= now_ms.saturating_add(SERVICE_REST_MS) {
            return Err("it did not answer a moment ago".to_owned());
        }
        let _place = self.at_once.try_acquire().map_err(|_| "too many questions are under way".to_owned())?;
        let question = words::question(evidence, decided).map_err(|error| error.to_string())?;
        if question.len() > SERVICE_QUESTION_OCTETS_MAX {
            return Err("the question is too long".to_owned());
        }
        let answered = tokio::time::timeout(self.limit, self.place.ask(question)).await;
        let answered = answered.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        match answered {
            // What is malformed is malformed each time, and costs no waiting: only what does not answer rests.
            Ok(octets) => words::answer(&octets),
            Err(error) => {
                self.rests_until_ms.store(now_ms.saturating_add(SERVICE_REST_MS), Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Remembers whether it has answered. What it was not asked says nothing about it: the first reason stays.
    fn remember(&self, reason: Option<&String>) {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        match (reason, silent.is_some()) {
            (None, _) => *silent = None,
            (Some(reason), false) => *silent = Some((now_ms(), reason.clone())),
            (Some(_), true) => {}
        }
    }

    fn silent(&self, reason: &str) -> Option<Decision> {
        let verdict = match self.silence {
            Silence::Rules => return None,
            Silence::Defer => {
                Verdict::Defer { code: Code::SYSTEM_TROUBLE, after_seconds: SILENT_AFTER_SECONDS }
            }
            Silence::Hold => Verdict::Hold { keep: Selection::Headers },
        };
        let evidence = format!("the policy service is silent: {reason}");
        Some(Decision { verdict, rule: RULE.to_owned(), evidence })
    }
}

impl PolicyService for ServiceClient {
    fn judge<'a>(&'a self, evidence: &'a Evidence, decided: &'a Decision) -> Later<'a, Option<Decision>> {
        Box::pin(async move {
            let asked = self.ask(evidence, decided).await;
            self.remember(asked.as_ref().err());
            match asked {
                Ok(said) => said,
                Err(reason) => {
                    tracing::warn!(%reason, place = %self.place, "the policy service");
                    self.silent(&reason)
                }
            }
        })
    }

    fn silent_since(&self) -> Option<(u64, String)> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests;
