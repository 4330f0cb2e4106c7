//! The real time and the real randomness. The one place in the house that reads a clock for the node.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use node::{Clock, Later};

/// The clock of this machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn sleep_until(&self, at_ms: u64) -> Later<'_, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(at_ms.saturating_sub(now_ms()))))
    }

    #[expect(clippy::disallowed_methods, reason = "this is where randomness enters the house")]
    fn random(&self, octets: &mut [u8]) {
        // Without randomness nothing here is safe: better to end than to go on with guessable cookies.
        if getrandom::fill(octets).is_err() {
            std::process::abort();
        }
    }
}

/// Unix milliseconds.
#[expect(clippy::disallowed_methods, reason = "this is where time enters the house")]
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A uniform number below `bound`.
pub(crate) fn random_below(bound: u32) -> u32 {
    let mut octets = [0; 8];
    SystemClock.random(&mut octets);
    // 64 bits against a bound of 32: the bias is below 2^-32.
    (u64::from_be_bytes(octets) % u64::from(bound.max(1))) as u32
}
