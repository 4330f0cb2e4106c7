//! What a node needs from outside: the time, randomness, and threads for what blocks.

use std::future::Future;
use std::pin::Pin;

/// An answer that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The time, randomness and threads. The daemon gives the real ones, a test its own.
pub trait Clock: Send + Sync + 'static {
    /// Unix milliseconds. May jump; what must not is decided by due times in the store.
    fn now_ms(&self) -> u64;

    /// Waits until this time.
    fn sleep_until(&self, at_ms: u64) -> Later<'_, ()>;

    /// Fills the octets with randomness fit for secrets.
    fn random(&self, octets: &mut [u8]);

    /// Carries out work that blocks, by default on a thread of the runtime for such work. A simulation, which has no
    /// other threads, does it at once.
    fn carry_out(&self, work: Box<dyn FnOnce() + Send>) {
        drop(tokio::task::spawn_blocking(work));
    }
}
