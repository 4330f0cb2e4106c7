//! The domain of an address: A-labels on the wire, U-labels for the eye.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::AddressError;
use super::limits::{DOMAIN_LABELS_MIN, DOMAIN_OCTETS_MAX, USER_DOMAIN_OCTETS_MAX};

/// A mail domain, held in its canonical form: lower-case A-labels (RFC 5890), two or more, at most 253 octets, no
/// final dot. A clone costs one reference count.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Arc<str>);

impl Domain {
    /// Reads a domain as a person typed it: U-labels or A-labels, in any case, mapped by UTS #46 without transitional
    /// processing and with the strict options.
    ///
    /// # Errors
    ///
    /// [`AddressError::DomainTooLong`], [`DomainInvalid`](AddressError::DomainInvalid),
    /// [`DomainTooFewLabels`](AddressError::DomainTooFewLabels) or [`DomainIsAddress`](AddressError::DomainIsAddress).
    ///
    /// keeps: ADDR-3, ADDR-4, ADDR-5
    pub fn parse(text: &str) -> Result<Domain, AddressError> {
        let canonical = canonical(text, USER_DOMAIN_OCTETS_MAX)?;
        Ok(Domain(canonical.into()))
    }

    /// Reads a domain from the wire, where only the canonical form exists: anything else is refused, not mended.
    ///
    /// # Errors
    ///
    /// As [`Domain::parse`], and [`AddressError::DomainNotCanonical`] for another spelling of a valid domain.
    ///
    /// keeps: ADDR-2, ADDR-4, ADDR-5
    pub fn from_wire(text: &str) -> Result<Domain, AddressError> {
        let canonical = canonical(text, DOMAIN_OCTETS_MAX)?;
        if canonical == text { Ok(Domain(canonical.into())) } else { Err(AddressError::DomainNotCanonical) }
    }

    /// Whether the other domain is this one, or below it.
    pub fn holds(&self, other: &Domain) -> bool {
        let below = other.as_str().strip_suffix(self.as_str());
        below.is_some_and(|front| front.is_empty() || front.ends_with('.'))
    }

    /// The canonical form: ASCII, lower-case A-labels.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The domain in U-labels. For display only.
    pub fn to_unicode(&self) -> String {
        // The result beside the text reports invalid labels, and a value of this type has none.
        idna::domain_to_unicode(&self.0).0
    }

    /// The labels from left to right, as A-labels.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Domain({self})")
    }
}

/// The same as [`Domain::from_wire`].
impl FromStr for Domain {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Domain, AddressError> {
        Domain::from_wire(text)
    }
}

fn canonical(text: &str, octets_max: usize) -> Result<String, AddressError> {
    if text.len() > octets_max {
        return Err(AddressError::DomainTooLong);
    }
    if text.starts_with('[') {
        return Err(AddressError::DomainIsAddress);
    }
    let ascii = idna::domain_to_ascii_strict(text).map_err(|_| AddressError::DomainInvalid)?;
    if ascii.split('.').count() < DOMAIN_LABELS_MIN {
        return Err(AddressError::DomainTooFewLabels);
    }
    // No top-level domain is all digits (RFC 3696 section 2), and a resolver may take such a name for an address.
    let last = ascii.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(AddressError::DomainIsAddress);
    }
    Ok(ascii)
}
