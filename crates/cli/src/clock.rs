//! The one place in this crate that looks at the clock and draws randomness.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::Error;

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a command is where the time of its user comes in")]
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Now, for stretches of time.
#[expect(clippy::disallowed_methods, reason = "what is measured is time")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// The seed of a new device key.
pub(crate) fn random_seed() -> Result<[u8; 32], Error> {
    random()
}

/// What names one submission among all of this user's.
pub(crate) fn random_token() -> Result<[u8; 16], Error> {
    random()
}

#[expect(clippy::disallowed_methods, reason = "keys and tokens of a user are made where the user is")]
fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).map_err(|error| Error::Local(format!("no randomness: {error}")))?;
    Ok(octets)
}
