//! The local part of an address: what everybody in transit checks, whatever the owning domain makes of it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::AddressError;
use super::code_point;
use super::limits::{LOCAL_PART_OCTETS_MAX, USER_LOCAL_PART_OCTETS_MAX};

/// The part before the `@`: UTF-8 in NFC, 1 to 64 octets, of a form that never needs quoting. Case is kept, and two
/// spellings that differ in case are two local parts to everybody but the owning domain
/// ([`AccountKey`](super::fold::AccountKey)). A clone costs one reference count.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalPart(Arc<str>);

impl LocalPart {
    /// Reads a local part from the wire: text that is not NFC is refused, not mended.
    ///
    /// # Errors
    ///
    /// One of the `LocalPart` errors of [`AddressError`].
    ///
    /// keeps: ADDR-2, ADDR-6, ADDR-7, ADDR-8, ADDR-9
    pub fn from_wire(text: &str) -> Result<LocalPart, AddressError> {
        check(text)?;
        Ok(LocalPart(text.into()))
    }

    /// Reads a local part as a person typed it: brings it to NFC, keeps its case, then checks it as from the wire.
    ///
    /// # Errors
    ///
    /// One of the `LocalPart` errors of [`AddressError`].
    ///
    /// keeps: ADDR-3
    pub fn parse(text: &str) -> Result<LocalPart, AddressError> {
        if text.len() > USER_LOCAL_PART_OCTETS_MAX {
            return Err(AddressError::LocalPartTooLong);
        }
        let normalized: String = text.nfc().collect();
        LocalPart::from_wire(&normalized)
    }

    /// The local part as it stands on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LocalPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for LocalPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LocalPart({self})")
    }
}

/// The same as [`LocalPart::from_wire`].
impl FromStr for LocalPart {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<LocalPart, AddressError> {
        LocalPart::from_wire(text)
    }
}

fn check(text: &str) -> Result<(), AddressError> {
    if text.is_empty() {
        return Err(AddressError::LocalPartEmpty);
    }
    if text.len() > LOCAL_PART_OCTETS_MAX {
        return Err(AddressError::LocalPartTooLong);
    }
    if text.split('.').any(str::is_empty) {
        return Err(AddressError::LocalPartDot);
    }
    if let Some(character) = code_point::first_forbidden_in_transit(text) {
        return Err(AddressError::LocalPartCharacter(character));
    }
    if is_nfc(text) { Ok(()) } else { Err(AddressError::LocalPartNotNormalized) }
}
