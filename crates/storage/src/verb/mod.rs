//! The verbs: each file is what one topic does in a transaction, and how it reads.

pub(crate) mod accept;
pub(crate) mod account;
pub(crate) mod check;
mod check_peers;
pub(crate) mod content;
pub(crate) mod correspondent;
pub(crate) mod expire;
mod forwarding;
pub(crate) mod held;
pub(crate) mod keys;
pub(crate) mod legacy;
pub(crate) mod mailbox;
pub(crate) mod once;
pub(crate) mod peer;
pub(crate) mod queue;
pub(crate) mod settle;
pub(crate) mod status;
mod store;

use crate::engine::{Pair, View};
use crate::record::Record;
use crate::transaction::{Transaction, read_number};
use crate::{Error, key, limits};

/// Reads a record; `None` where it is not there.
pub(crate) fn load<T: Record>(view: &dyn View, key: &[u8]) -> Result<Option<T>, Error> {
    view.value(key)?.map(|octets| T::decode(&octets, key)).transpose()
}

/// The same for what stands beside the record that an operation is about: where it cannot be read it counts as not there, and the
/// operation goes on without it; the check reports it. keeps: STO-5
pub(crate) fn load_legible<T: Record>(view: &dyn View, key: &[u8]) -> Result<Option<T>, Error> {
    match load(view, key) {
        Err(Error::Damaged { .. }) => Ok(None),
        read => read,
    }
}

/// The pairs whose keys begin so, after the given key, no more than a listing returns.
pub(crate) fn list(
    view: &dyn View,
    prefix: &[u8],
    after: Option<Vec<u8>>,
    limit: usize,
) -> Result<Vec<Pair>, Error> {
    let from = after.map_or_else(|| prefix.to_vec(), |last| key::successor(&last));
    view.range(&from, &key::after_prefix(prefix), limit.min(limits::LIST_MAX))
}

/// How many keys begin so, which is noted at the other one; where that is not legible or not there, they are counted.
pub(crate) fn count(view: &dyn View, noted: &[u8], prefix: &[u8]) -> Result<u64, Error> {
    match read_number(view, noted) {
        Ok(Some(count)) => Ok(count),
        Ok(None) | Err(Error::Damaged { .. }) => Ok(list(view, prefix, None, limits::LIST_MAX)?.len() as u64),
        Err(error) => Err(error),
    }
}

/// Notes how many there are; nothing where there are none.
pub(crate) fn put_count(tx: &mut Transaction, noted: Vec<u8>, count: u64) -> Result<(), Error> {
    match count {
        0 => tx.remove(noted),
        count => tx.put(noted, count.to_be_bytes().to_vec())?,
    }
    Ok(())
}

/// Checks a name that stands in keys.
pub(crate) fn check_name(name: &str, octets_max: usize) -> Result<(), Error> {
    if name.len() > octets_max {
        return Err(Error::Bound { what: "octets of a name", bound: octets_max as u64 });
    }
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Error::Invalid("a name is empty or has control characters"));
    }
    Ok(())
}

/// Cuts a text at the bound, between characters.
pub(crate) fn cut(text: &mut String) {
    while text.len() > limits::TEXT_OCTETS_MAX {
        text.pop();
    }
}
