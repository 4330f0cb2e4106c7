//! What a node has told its observer: tests wait for events, they never sleep.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use message::{Disposition, Identity};
use node::{Event, Observer};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a test waits for an event before it fails: some wait until a handshake that nobody answers is given up, which takes ten
/// seconds.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// All events of a node, across its restarts.
#[derive(Debug)]
pub struct Events {
    seen: Mutex<Vec<(Event, Instant)>>,
    changed: watch::Sender<usize>,
}

impl Default for Events {
    fn default() -> Self {
        Events { seen: Mutex::default(), changed: watch::channel(0).0 }
    }
}

impl Observer for Events {
    fn event(&self, event: &Event) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push((event.clone(), Instant::now()));
        self.changed.send_modify(|count| *count += 1);
    }
}

impl Events {
    /// Everything so far.
    pub fn all(&self) -> Vec<Event> {
        self.seen().into_iter().map(|(event, _)| event).collect()
    }

    /// When the first such event was told.
    pub fn when(&self, such: &dyn Fn(&Event) -> bool) -> Option<Instant> {
        self.seen().into_iter().find(|(event, _)| such(event)).map(|(_, at)| at)
    }

    fn seen(&self) -> Vec<(Event, Instant)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many events so far are such.
    pub fn count(&self, such: impl Fn(&Event) -> bool) -> usize {
        self.all().iter().filter(|event| such(event)).count()
    }

    /// What the first event says for which there is something to say; waits for it.
    pub async fn find<T>(&self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
        self.until(what, |events| events.iter().find_map(&pick)).await
    }

    /// Waits until the events so far say something.
    pub async fn until<T>(&self, what: &str, pick: impl Fn(&[Event]) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        let found = tokio::time::timeout(WAIT_MAX, async {
            loop {
                changed.borrow_and_update();
                if let Some(found) = pick(&self.all()) {
                    return found;
                }
                changed.changed().await.unwrap();
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_) => panic!("no event: {what}; there were {:#?}", self.all()),
        }
    }

    /// The final disposition of a recipient at this node, once there is one.
    pub async fn settled(&self, identity: Identity, recipient: &str) -> Disposition {
        self.find(&format!("{recipient} settled"), |event| match event {
            Event::Settled { identity: of, recipient: one, disposition, .. }
            | Event::Decided { identity: of, recipient: one, disposition, .. }
                if *of == identity && one.to_string() == recipient && disposition.is_final() =>
            {
                Some(disposition.clone())
            }
            _ => None,
        })
        .await
    }

    /// Waits until a message is in the mailbox of a recipient here.
    pub async fn delivered(&self, identity: Identity, recipient: &str) {
        self.find(&format!("{identity:?} delivered to {recipient}"), |event| match event {
            Event::Delivered { identity: of, recipient: one }
                if *of == identity && one.to_string() == recipient =>
            {
                Some(())
            }
            _ => None,
        })
        .await;
    }
}
