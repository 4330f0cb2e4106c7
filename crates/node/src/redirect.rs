//! Follow a redirect: from the recipient's node to the recipient's own daemon, and back where that fails.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use message::{Code, Disposition, Redirect};

use crate::courier::{Consignment, Courier, Report, Trouble, TryRecord};
use crate::doorstep::may_redirect_to;
use crate::limits::REDIRECTS_MS_MAX;
use crate::{Event, Node};

/// Seconds after which an offer is made again where the node could not take it after a redirect that has failed; the
/// back-off is longer.
const AGAIN_SECONDS: u32 = 1;
/// How an attempt at a doorstep is called in the journal.
const STEP: &str = "doorstep";

type Tell<'a> = &'a (dyn Fn(&str, &str) + Send + Sync);

impl Node {
    /// Takes the recipients that were redirected to their doorsteps, and those that this has failed for back to the node
    /// at once. All doorsteps of one offer together have a time: one that never answers holds nothing up.
    ///
    /// keeps: EXC-19, DOOR-9
    pub(crate) async fn follow_redirects(
        &self,
        consignment: Consignment,
        courier: &dyn Courier,
        step: Tell<'_>,
        mut report: Report,
    ) -> Report {
        let Ok(answers) = &mut report.result else { return report };
        let until_ms = self.now_ms().saturating_add(REDIRECTS_MS_MAX);
        let mut failed = Vec::new();
        for place in 0..answers.len().min(consignment.envelope.recipients.len()) {
            let Disposition::Redirected(redirect) = &answers[place] else { continue };
            let one = consignment.only(&[place]);
            let tried = match address_of(redirect, self.settings().loopback_doorsteps) {
                Some(_) => self.try_doorstep(&one, courier, redirect, step, until_ms).await,
                None => failure(redirect, Code::NOT_AUTHORIZED, "nobody may be redirected to that address"),
            };
            let taken = tried.result == Ok(vec![Disposition::Accepted]);
            report.tried.extend(tried.tried);
            if taken {
                answers[place] = Disposition::Accepted;
            } else {
                failed.push(place);
            }
        }
        if failed.is_empty() {
            return report;
        }
        let mut rest = consignment.only(&failed);
        rest.redirect_failed = true;
        let everybody = failed.len() == answers.len();
        let again = courier.deliver(&rest, step).await;
        report.tried.extend(again.tried);
        match again.result {
            Ok(dispositions) => {
                for (place, disposition) in failed.iter().zip(dispositions) {
                    answers[*place] = disposition;
                }
            }
            // Nothing else is known: as where there had been no redirect.
            Err(trouble) if everybody => report.result = Err(trouble),
            Err(Trouble::Permanent(code, text)) => {
                failed.iter().for_each(|place| answers[*place] = Disposition::refused(code, &text));
            }
            Err(Trouble::Temporary(code, _)) => {
                let later = Disposition::Deferred { code, after_seconds: AGAIN_SECONDS };
                failed.iter().for_each(|place| answers[*place] = later.clone());
            }
            Err(Trouble::Throttled | Trouble::NoRoom) => {
                let later =
                    Disposition::Deferred { code: Code::SYSTEM_TROUBLE, after_seconds: AGAIN_SECONDS };
                failed.iter().for_each(|place| answers[*place] = later.clone());
            }
        }
        report
    }

    async fn try_doorstep(
        &self,
        one: &Consignment,
        courier: &dyn Courier,
        redirect: &Redirect,
        step: Tell<'_>,
        until_ms: u64,
    ) -> Report {
        let identity = one.envelope.identity;
        self.tell(Event::Step { identity, step: STEP.to_owned(), detail: host(redirect) });
        let report = tokio::select! {
            biased;
            report = courier.deliver_to_doorstep(one, redirect, step) => report,
            () = self.inner.clock.sleep_until(until_ms) => {
                failure(redirect, Code::NO_ANSWER, "the doorstep has not taken the message in time")
            }
        };
        if let Err(Trouble::Temporary(code, text) | Trouble::Permanent(code, text)) = &report.result {
            let detail = format!("{}: {text} ({code}); back to the node", host(redirect));
            self.tell(Event::Step { identity, step: STEP.to_owned(), detail });
        }
        report
    }
}

impl Consignment {
    /// The same for some of its recipients.
    fn only(&self, places: &[usize]) -> Consignment {
        let mut envelope = self.envelope.clone();
        envelope.recipients =
            places.iter().filter_map(|place| self.envelope.recipients.get(*place).cloned()).collect();
        Consignment {
            domain: self.domain.clone(),
            envelope,
            holder: self.holder.clone(),
            message: self.message.clone(),
            store: Arc::clone(&self.store),
            redirect_failed: self.redirect_failed,
            again: self.again,
            legacy: self.legacy.clone(),
            onward: places.iter().filter_map(|place| self.onward.get(*place).cloned()).collect(),
        }
    }
}

/// The address of a redirect that may be followed.
fn address_of(redirect: &Redirect, loopback: bool) -> Option<SocketAddr> {
    let at = SocketAddr::new(redirect.address.parse::<IpAddr>().ok()?, redirect.port);
    may_redirect_to(at, loopback).then_some(at)
}

fn host(redirect: &Redirect) -> String {
    match redirect.address.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, redirect.port).to_string(),
        Err(_) => format!("port {}", redirect.port),
    }
}

fn failure(redirect: &Redirect, code: Code, text: &str) -> Report {
    let tried = TryRecord {
        host: host(redirect),
        step: STEP.to_owned(),
        code: Some(code),
        text: text.to_owned(),
        recipient: None,
    };
    Report {
        result: Err(Trouble::Temporary(code, text.to_owned())),
        tried: vec![tried],
        passed_on: Vec::new(),
    }
}
