//! Settled: hints that cookies have settled, to those who hold them and from those who gave them to us. A hint saves a
//! poll; nothing is lost with it, so all of this is forgotten in a crash, and dropped where it would grow.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use message::{Cookie, Disposition};
use storage::LegId;
use tokio::sync::mpsc;

use crate::Node;
use crate::limits::{HINTS_WAITING_MAX, LISTENERS_LOOK_AT, LISTENERS_PER_HOLDER_MAX, NEWS_WAITING_MAX};

/// Who listens, and which cookies of others we wait for.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    listeners: Mutex<Listeners>,
    /// The leg that waits for a cookie, and whether there was a hint already.
    waiting: Mutex<HashMap<[u8; 32], (LegId, bool)>>,
    heard: Mutex<Vec<LegId>>,
}

/// Who listens, by holder.
#[derive(Debug, Default)]
struct Listeners {
    of: HashMap<String, Vec<mpsc::Sender<Cookie>>>,
    /// From how many holders on those who have gone are looked for: twice as many as there were the last time, so that a peer that
    /// comes once does not stay here, and looking costs each who comes the same.
    look_at: usize,
}

impl Listeners {
    fn of(&mut self, holder: &str) -> &mut Vec<mpsc::Sender<Cookie>> {
        if self.of.len() >= self.look_at {
            self.of.retain(|_, own| own.iter().any(|listener| !listener.is_closed()));
            self.look_at = LISTENERS_LOOK_AT.max(2 * self.of.len());
        }
        self.of.entry(holder.to_owned()).or_default()
    }
}

impl Hints {
    /// Tells those who listen for this holder. Who cannot keep up misses it.
    pub(crate) fn tell(&self, holder: &str, cookie: Cookie) {
        let mut listeners = lock(&self.listeners);
        let Some(own) = listeners.of.get_mut(holder) else { return };
        own.retain(|listener| !listener.is_closed());
        if own.is_empty() {
            listeners.of.remove(holder);
            return;
        }
        for listener in own {
            let _ = listener.try_send(cookie);
        }
    }

    /// Notes that this leg waits for a cookie of the next hop.
    pub(crate) fn wait_for(&self, cookie: &Cookie, leg: LegId) {
        let mut waiting = lock(&self.waiting);
        if waiting.len() < HINTS_WAITING_MAX || waiting.contains_key(cookie.as_bytes()) {
            waiting.entry(*cookie.as_bytes()).or_insert((leg, false)).0 = leg;
        }
    }

    /// Nobody waits for this cookie any more.
    pub(crate) fn forget(&self, cookie: &Cookie) {
        lock(&self.waiting).remove(cookie.as_bytes());
    }

    /// The legs that were said to have settled since the last time.
    pub(crate) fn take_heard(&self) -> Vec<LegId> {
        let mut heard = std::mem::take(&mut *lock(&self.heard));
        heard.sort_unstable();
        heard.dedup();
        heard
    }
}

impl Node {
    /// The cookies of this holder as they settle from now on, for a connection that lives. `None` where as many listen
    /// for this holder as may.
    ///
    /// keeps: STA-9
    pub fn settlements(&self, holder: &str) -> Option<mpsc::Receiver<Cookie>> {
        let mut listeners = lock(&self.inner.hints.listeners);
        let own = listeners.of(holder);
        own.retain(|listener| !listener.is_closed());
        if own.len() >= LISTENERS_PER_HOLDER_MAX {
            return None;
        }
        let (teller, listener) = mpsc::channel(NEWS_WAITING_MAX);
        own.push(teller);
        Some(listener)
    }

    /// What to call with cookies that a next hop says have settled: what waits for them is asked about now. A cookie that
    /// we do not wait for is passed over, and each counts once, so nobody can make this node poll more often than it
    /// would. Who keeps it does not keep the node.
    ///
    /// keeps: STA-9
    pub fn settled_listener(&self) -> impl Fn(Vec<Cookie>) + Send + Sync + 'static {
        let node = Arc::downgrade(&self.inner);
        move |cookies| {
            if let Some(inner) = node.upgrade() {
                Node { inner }.heard_settled(&cookies);
            }
        }
    }

    fn heard_settled(&self, cookies: &[Cookie]) {
        let legs: Vec<LegId> = {
            let mut waiting = lock(&self.inner.hints.waiting);
            let first =
                |(leg, hinted): &mut (LegId, bool)| (!std::mem::replace(hinted, true)).then_some(*leg);
            cookies.iter().filter_map(|cookie| waiting.get_mut(cookie.as_bytes()).and_then(first)).collect()
        };
        if !legs.is_empty() {
            lock(&self.inner.hints.heard).extend(legs);
            self.inner.queue.ring();
        }
    }

    /// Tells the holder of a cookie that it has settled.
    pub(crate) fn tell_settled(&self, holder: &str, told: &Disposition) {
        if let Disposition::Pending { cookie, .. } = told {
            self.inner.hints.tell(holder, *cookie);
        }
    }

    /// Makes due what next hops said has settled, in a task of its own.
    pub(crate) fn poll_heard(&self) {
        for leg in self.inner.hints.take_heard() {
            let node = self.clone();
            tokio::spawn(async move {
                // The leg may have gone meanwhile; then there is nothing left to ask.
                if node.store().retry(leg, node.now_ms()).await.is_ok() {
                    node.inner.queue.ring();
                }
            });
        }
    }
}

/// A panic elsewhere while a lock was held leaves nothing half done that matters here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(number: u8) -> Cookie {
        Cookie::from_bytes([number; 32])
    }

    /// proves: STA-9
    #[test]
    fn a_hint_reaches_its_holder_only_and_never_blocks() {
        let hints = Hints::default();
        let (teller, mut listener) = mpsc::channel(2);
        lock(&hints.listeners).of("a.test").push(teller);
        hints.tell("b.test", cookie(1));
        for number in 2..9 {
            hints.tell("a.test", cookie(number));
        }
        assert_eq!(listener.try_recv(), Ok(cookie(2)));
        assert_eq!(listener.try_recv(), Ok(cookie(3)));
        assert!(listener.try_recv().is_err(), "what does not fit is not told");
        drop(listener);
        hints.tell("a.test", cookie(9));
        assert!(lock(&hints.listeners).of.is_empty(), "who has gone is forgotten");
    }

    #[test]
    fn what_is_waited_for_is_bounded() {
        let hints = Hints::default();
        for number in 0..HINTS_WAITING_MAX as u64 + 10 {
            let mut octets = [0; 32];
            octets[..8].copy_from_slice(&number.to_be_bytes());
            hints.wait_for(&Cookie::from_bytes(octets), LegId(number));
        }
        assert_eq!(lock(&hints.waiting).len(), HINTS_WAITING_MAX);
    }

    /// Peers that come once and go do not stay, however many; one that is there does.
    #[test]
    fn who_has_gone_leaves_nothing_behind() {
        let hints = Hints::default();
        let (stays, _listening) = mpsc::channel(1);
        lock(&hints.listeners).of("stays.test").push(stays);
        for number in 0..100_000 {
            let (teller, _) = mpsc::channel(1);
            lock(&hints.listeners).of(&format!("peer{number}.test")).push(teller);
        }
        let listeners = lock(&hints.listeners);
        assert!(listeners.of.len() <= LISTENERS_LOOK_AT, "{}", listeners.of.len());
        assert!(listeners.of.contains_key("stays.test"));
    }
}
