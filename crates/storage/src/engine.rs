//! What the keeper needs of an ordered key-value engine. Nothing of it is seen above [`crate::Store`].

use std::collections::BTreeMap;

use crate::Error;
use crate::limits::SETTLE_CHANGES_MAX;

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Something that can be read by key: an engine, or an engine under the changes of a transaction.
pub trait View {
    /// The value of a key.
    ///
    /// # Errors
    /// [`Error::Io`] where the engine cannot read, [`Error::Damaged`] where it finds damage.
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// The pairs with `from <= key < to` in the order of their keys, at most `limit`.
    ///
    /// # Errors
    /// As [`View::value`].
    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error>;

    /// The last pairs with `from <= key < to`, the greatest key first, at most `limit`.
    ///
    /// # Errors
    /// As [`View::value`].
    fn range_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error>;
}

/// An ordered key-value engine: keys of at most [`crate::limits::KEY_OCTETS_MAX`] octets, values of at most
/// [`crate::limits::VALUE_OCTETS_MAX`].
///
/// Only one thread calls [`Engine::apply`], [`Engine::settle`] and [`Engine::compact`]; any thread reads at any time.
///
/// keeps: STO-2
pub trait Engine: View + Send + Sync + 'static {
    /// Applies all changes of the batch or none, and returns when they are durable.
    ///
    /// # Errors
    /// Any error means that it is not known whether the batch is durable. The engine is not written to again.
    fn apply(&self, batch: &Batch) -> Result<(), Error>;

    /// Takes changes that stand in a log, too, and returns when they are durable. Nobody reads them here until then, and after a
    /// crash they come again: they need not be there together, and are applied in pieces of so many octets unless the
    /// engine has a faster way.
    ///
    /// keeps: STO-29
    ///
    /// # Errors
    /// As [`Engine::apply`].
    fn settle(&self, changes: &Batch, piece_octets: usize) -> Result<(), Error> {
        let mut piece = Batch::default();
        for (key, value) in changes.changes() {
            match value {
                Some(value) => piece.put(key.to_vec(), value.to_vec()),
                None => piece.remove(key.to_vec()),
            }
            if piece.len() >= SETTLE_CHANGES_MAX || piece.octets() >= piece_octets {
                self.apply(&std::mem::take(&mut piece))?;
            }
        }
        if piece.is_empty() { Ok(()) } else { self.apply(&piece) }
    }

    /// What the engine finds wrong with itself, one line each.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot look.
    fn check(&self) -> Result<Vec<String>, Error>;

    /// Gives room back where it can.
    ///
    /// # Errors
    /// [`Error::Io`] where it fails; nothing is lost.
    fn compact(&self) -> Result<(), Error>;
}

/// Does something with an engine that may panic over a damaged file, and takes its panic for what it is: damage.
///
/// # Errors
/// What `act` says; [`Error::Damaged`] where it panics. After a panic in [`Engine::apply`] it is not known whether the batch
/// is durable, as after any error there.
pub fn guarded<T>(engine: &str, act: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // Nothing of ours is half done where an engine panics: a reader has nothing then, and after an error of a commit the keeper writes no
    // more.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<&str>().copied().map(str::to_owned);
        let words = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(Error::Damaged { key: format!("{engine}: {words}") })
    })
}

/// Changes that belong together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Octets of all keys and values ever put in: at least those that are there.
    octets: usize,
}

impl Batch {
    /// The changes in the order of their keys: a value to write, or `None` to remove the key.
    pub fn changes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.changes.iter().map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// How many keys change.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Writes a value.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.octets += key.len() + value.len();
        self.changes.insert(key, Some(value));
    }

    /// Removes a key.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.octets += key.len();
        self.changes.insert(key, None);
    }

    /// Says nothing of a key any more.
    pub(crate) fn forget(&mut self, key: &[u8]) {
        self.changes.remove(key);
    }

    /// Takes in later changes.
    pub(crate) fn append(&mut self, later: Batch) {
        self.octets += later.octets;
        self.changes.extend(later.changes);
    }

    /// Octets of the changes, or more where a key changed several times.
    pub(crate) fn octets(&self) -> usize {
        self.octets
    }

    /// What this batch says of a key: nothing, that it is removed, or its value.
    pub(crate) fn change(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.changes.get(key).map(Option::as_deref)
    }

    /// The changes in a range of keys.
    pub(crate) fn changes_in(
        &self,
        from: &[u8],
        to: &[u8],
    ) -> impl DoubleEndedIterator<Item = (&Vec<u8>, &Option<Vec<u8>>)> {
        // A range whose start is past its end would panic.
        let to = to.max(from);
        self.changes.range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Excluded(to)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_an_engine_is_damage() {
        let good = guarded("e", || Ok(7));
        let bad = guarded("e", || -> Result<(), Error> { panic!("{}", "a page is torn") });
        assert_eq!((good, bad), (Ok(7), Err(Error::Damaged { key: "e: a page is torn".to_owned() })));
    }
}
