//! Which local parts are the same mailbox. Only the owning domain may ask: to anybody else, case is part of the name.

use std::fmt;
use std::sync::Arc;

use super::LocalPart;
use super::precis;

/// The name under which the owning domain keeps an account: two local parts are one mailbox exactly when their keys
/// are equal. A clone costs one reference count.
///
/// The key is the local part after PRECIS UsernameCaseMapped (RFC 8265 section 3.3): width mapping, lower case, NFC.
/// A local part that the profile refuses (a symbol, an unassigned code point, a broken bidi order) is not folded at
/// all: its key is its own octets. Such a name can never be registered, and folding is idempotent, so a name that was
/// not folded never meets the key of one that was.
///
/// keeps: ADDR-10, ADDR-11
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountKey(Arc<str>);

impl AccountKey {
    /// The key of a local part of one's own domain.
    pub fn of(local: &LocalPart) -> AccountKey {
        let text = local.as_str();
        AccountKey(match precis::username_case_mapped(text) {
            Some(folded) => folded.into(),
            None => text.into(),
        })
    }

    /// The key as text, at most three times as long as the local part.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AccountKey({self})")
    }
}

/// Whether two local parts of one's own domain are the same mailbox.
///
/// keeps: ADDR-10
pub fn same_mailbox(one: &LocalPart, other: &LocalPart) -> bool {
    one == other || AccountKey::of(one) == AccountKey::of(other)
}
