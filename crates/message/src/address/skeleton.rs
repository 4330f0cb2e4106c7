//! Skeletons: what a name looks like.

use super::{Address, fold::AccountKey};

/// What a name looks like to a reader (UTS #39 section 4, `skeleton`): two different names with one skeleton are
/// confusable. A skeleton is for comparison and for an index, never for display and never an identifier; it depends
/// on the version of the Unicode tables, so a stored one must be computed anew when they change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Skeleton(String);

impl Skeleton {
    /// The skeleton of an account's key, as registration compares it.
    pub fn of_key(key: &AccountKey) -> Skeleton {
        Skeleton::of_text(key.as_str())
    }

    /// The skeleton of an address as it is shown: the local part in its own case, the domain in Unicode.
    pub fn of_address(address: &Address) -> Skeleton {
        Skeleton::of_text(&address.to_unicode())
    }

    /// The skeleton of any text. Its time and length are linear in the text, so the caller bounds them.
    pub(super) fn of_text(text: &str) -> Skeleton {
        Skeleton(unicode_security::skeleton(text).collect())
    }

    /// The skeleton as text, for an index.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests;
