//! Under which sender a forwarded message goes on over SMTP.

use super::State;
use crate::ReturnPath;

/// The sender of a forwarded message: as it came where the target has granted it, rewritten by `rewrite` where it has not,
/// and nobody stays nobody. `None` where it does not go on now.
///
/// keeps: FWD-9
pub fn sender<E>(
    state: State,
    return_path: ReturnPath,
    rewrite: impl FnOnce(&message::address::Address) -> Result<message::address::Address, E>,
) -> Result<Option<ReturnPath>, E> {
    match (state, return_path) {
        (State::Waiting | State::Deleted, _) => Ok(None),
        (State::Granted, path) | (State::Rewriting, path @ None) => Ok(Some(path)),
        (State::Rewriting, Some(path)) => rewrite(&path).map(|path| Some(Some(path))),
    }
}

#[cfg(test)]
mod tests {
    use message::address::Address;

    use super::*;

    /// proves: FWD-9
    #[test]
    fn only_what_nobody_has_granted_is_rewritten() {
        let (path, srs) = ("ann@a.test", "SRS0=h=t=a.test=ann@f.test");
        let check = |state, path: Option<&str>, expected: Option<Option<&str>>| {
            let address = |text: &str| Address::from_wire(text).unwrap();
            let rewritten = |_: &Address| Ok::<_, ()>(address(srs));
            let found = sender(state, path.map(address), rewritten);
            assert_eq!(found, Ok(expected.map(|path| path.map(address))), "{state:?} {path:?}");
        };
        check(State::Granted, Some(path), Some(Some(path)));
        check(State::Rewriting, Some(path), Some(Some(srs)));
        check(State::Granted, None, Some(None));
        check(State::Rewriting, None, Some(None));
        check(State::Waiting, Some(path), None);
        check(State::Deleted, Some(path), None);
        let refused = sender(State::Rewriting, Some(Address::from_wire(path).unwrap()), |_| Err("no key"));
        assert_eq!(refused, Err("no key"), "what cannot be rewritten does not go on as it came");
    }
}
