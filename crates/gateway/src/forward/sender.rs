//! Under which sender a forwarded message goes on over SMTP where nothing is queued for it.

use message::address::{Address, Domain};

use super::State;
use crate::ReturnPath;
use crate::srs::{Srs, SrsError};

/// The sender of a forwarded message: as it came where the target has granted it, rewritten to the forwarder's domain (SRS)
/// where it has not, and nobody stays nobody. `None` where it does not go on now.
///
/// # Errors
/// [`SrsError::NoAddress`] where it cannot be rewritten: then it does not go on as it came.
///
/// keeps: FWD-9
pub fn sender(
    state: State,
    return_path: ReturnPath,
    (srs, forwarder): (&Srs, &Domain),
    now_seconds: u64,
) -> Result<Option<ReturnPath>, SrsError> {
    match (state, return_path) {
        (State::Waiting | State::Deleted, _) => Ok(None),
        (State::Granted, path) | (State::Rewriting, path @ None) => Ok(Some(path)),
        (State::Rewriting, Some(path)) => {
            let rewritten = srs.forward(&path.to_string(), forwarder.as_str(), now_seconds)?;
            Address::from_wire(&rewritten).map(|path| Some(Some(path))).map_err(|_| SrsError::NoAddress)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    /// proves: FWD-9
    #[test]
    fn only_what_nobody_has_granted_is_rewritten() {
        let (srs, forwarder) = (Srs::new(b"a secret"), Domain::from_wire("f.test").unwrap());
        let ann = || Some(Address::from_wire("ann@a.test").unwrap());
        let of = |state, path| sender(state, path, (&srs, &forwarder), NOW).unwrap();
        let check = |state, path: ReturnPath, expected| assert_eq!(of(state, path), expected, "{state:?}");
        check(State::Granted, ann(), Some(ann()));
        check(State::Granted, None, Some(None));
        check(State::Rewriting, None, Some(None));
        check(State::Waiting, ann(), None);
        check(State::Deleted, ann(), None);
        let rewritten = of(State::Rewriting, ann()).flatten().unwrap();
        assert_eq!(rewritten.domain(), &forwarder);
        assert_eq!(srs.reverse(&rewritten.to_string(), NOW), Ok("ann@a.test".to_owned()));
        // What has no room for the rewriting does not go on as it came.
        let long = Address::from_wire(&format!("{}@{}.test", "a".repeat(60), "b".repeat(60))).unwrap();
        let path = sender(State::Rewriting, Some(long), (&srs, &forwarder), NOW);
        assert_eq!(path, Err(SrsError::NoAddress));
    }
}
