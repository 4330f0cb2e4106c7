//! What happens to messages, remembered for a while and told to whoever watches: an observer beside the one that prints.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use control::FlowView;
use control::limits::{FLOW_MAX, LIST_MAX, WATCH_SECONDS_MAX};
use message::{Disposition, Identity};
use node::{Event, Observer};
use tokio::sync::watch;

use crate::clock::now_ms;

/// The latest events, and the observer that hears of them, too.
pub(crate) struct Flow {
    next: Arc<dyn Observer>,
    events: Mutex<VecDeque<Seen>>,
    last: watch::Sender<u64>,
}

impl Flow {
    /// Remembers events and passes them on.
    pub(crate) fn before(next: Arc<dyn Observer>) -> Flow {
        // Whoever watched an earlier run of the node asks after a number of that run: numbers go on from the time.
        let last = now_ms().saturating_mul(1_000);
        Flow { next, events: Mutex::default(), last: watch::channel(last).0 }
    }

    /// Those after a number that concern somebody, and the number to ask after next. Without a number those that are
    /// remembered; with one it waits, where there are none, as long as it is asked to.
    pub(crate) async fn since(
        &self,
        after: Option<u64>,
        seconds: u32,
        concerns: impl Fn(&FlowView) -> bool,
    ) -> (Vec<FlowView>, u64) {
        let mut news = self.last.subscribe();
        let Some(after) = after else { return self.after(0, &concerns) };
        let waiting = async {
            loop {
                let found = self.after(after, &concerns);
                if !found.0.is_empty() || news.changed().await.is_err() {
                    return found;
                }
            }
        };
        let time = Duration::from_secs(seconds.min(WATCH_SECONDS_MAX).into());
        match tokio::time::timeout(time, waiting).await {
            Ok(found) => found,
            Err(_) => self.after(after, &concerns),
        }
    }

    fn after(&self, after: u64, concerns: &impl Fn(&FlowView) -> bool) -> (Vec<FlowView>, u64) {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = events.iter().filter(|seen| seen.number > after).map(Seen::view);
        (newer.filter(concerns).take(LIST_MAX).collect(), *self.last.borrow())
    }
}

impl Observer for Flow {
    fn event(&self, event: &Event) {
        self.next.event(event);
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.last.borrow().saturating_add(1);
        events.push_back(Seen { number, at_ms: now_ms(), event: event.clone() });
        while events.len() > FLOW_MAX {
            events.pop_front();
        }
        self.last.send_replace(number);
    }
}

/// An event as it came: what is said of it is made for whoever asks.
struct Seen {
    number: u64,
    at_ms: u64,
    event: Event,
}

impl Seen {
    fn view(&self) -> FlowView {
        let (kind, text) = told(&self.event);
        FlowView {
            number: self.number,
            at_ms: self.at_ms,
            kind: kind.to_owned(),
            identity: self.event.identity().map(Identity::to_string),
            recipient: self.event.recipient().map(ToString::to_string),
            by: self.event.by().map(str::to_owned),
            text,
        }
    }
}

/// What kind of event it is, and what is said of it.
fn told(event: &Event) -> (&'static str, String) {
    match event {
        Event::Offered { by, octets, recipients, .. } => {
            ("offered", format!("{octets} octets by {by} for {recipients} recipients"))
        }
        Event::Asked { .. } => ("asked", "content was asked for".to_owned()),
        Event::SealChecked { issuer, role, verified, .. } => {
            let found = if *verified { "verified" } else { "NOT verified" };
            ("seal", format!("{role} seal by {issuer}: {found}"))
        }
        Event::Decided { disposition, rule, evidence, .. } => {
            let why = if evidence.is_empty() { String::new() } else { format!(": {evidence}") };
            ("decided", format!("{} by rule {rule}{why}", words(disposition)))
        }
        Event::Committed { envelope, .. } => ("committed", format!("durable, as envelope {envelope}")),
        Event::Delivered { .. } => ("delivered", "in the mailbox".to_owned()),
        Event::Trying { domain, .. } => ("trying", format!("to {domain}")),
        Event::Step { step, detail, .. } => ("step", format!("{step}: {detail}")),
        Event::Settled { disposition, .. } => ("settled", words(disposition)),
        Event::Retrying { domain, reason, .. } => ("retrying", format!("{domain}: {reason}")),
        Event::Trouble { what } => ("trouble", what.clone()),
    }
}

fn words(disposition: &Disposition) -> String {
    match disposition {
        Disposition::Refused { code, text } => format!("refused ({code}): {text}"),
        Disposition::Deferred { code, after_seconds } => format!("deferred ({code}) for {after_seconds} s"),
        other => other.word().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Time is virtual: nothing that happens within the hour ends a wait of a minute after a minute.
    #[tokio::test(start_paused = true)]
    async fn a_watcher_hears_of_what_concerns_it_and_of_nothing_else() {
        let flow = Flow::before(Arc::new(node::Quiet));
        let tell = |what: &str| flow.event(&Event::Trouble { what: what.to_owned() });
        tell("first");
        let (events, last) = flow.since(None, 0, |_| true).await;
        assert_eq!(events.len(), 1);
        let waiting = flow.since(Some(last), 60, |event| event.text == "third");
        let telling = async {
            tokio::task::yield_now().await;
            tell("second");
            tokio::task::yield_now().await;
            tell("third");
        };
        let ((events, next), ()) = tokio::join!(waiting, telling);
        assert_eq!(events.iter().map(|event| event.text.as_str()).collect::<Vec<_>>(), ["third"]);
        assert_eq!(next, last + 2);
        assert_eq!(flow.since(Some(next), 3_600, |_| true).await, (Vec::new(), next));
        for _ in 0..=FLOW_MAX {
            tell("many");
        }
        assert_eq!(flow.since(None, 0, |_| true).await.0.len(), FLOW_MAX);
    }
}
