//! The one place in this crate that looks at the clock and draws randomness.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::Error;

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a command is where the time of its user comes in")]
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The seed of a new device key.
#[expect(clippy::disallowed_methods, reason = "a device key is made where its user is")]
pub(crate) fn random_seed() -> Result<[u8; 32], Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Error::Local(format!("no randomness: {error}")))?;
    Ok(seed)
}
