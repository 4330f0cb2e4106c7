//! Addresses: `local@domain`, their wire form and the rules around them (`spec/02-addresses.md`).
//!
//! Three readers of an address have three duties, and each has a module of its own so that nobody takes over the
//! duty of another:
//!
//! - everybody in transit checks the form and changes nothing: [`Address::from_wire`];
//! - only the owning domain decides which local parts are the same mailbox ([`fold`]) and which may be given out
//!   ([`registration`]);
//! - a program that shows an address to a person warns of look-alikes ([`display`]).
//!
//! What is not here: whether a domain exists, and where its mail goes.

mod code_point;
pub mod display;
mod domain;
pub mod fold;
pub mod limits;
mod local_part;
mod precis;
pub mod registration;
mod skeleton;

use std::fmt;
use std::str::FromStr;

pub use domain::Domain;
pub use local_part::LocalPart;
pub use skeleton::Skeleton;

/// A mail address in its canonical form.
///
/// A value of this type is always valid on the wire: it can only be made by a check. Two addresses are equal when
/// their octets are; whether two *different* addresses are one mailbox is known only to the owning domain
/// ([`fold::AccountKey`]). Addresses sort by domain and then by local part. A clone costs two reference counts.
///
/// keeps: ADDR-1
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    domain: Domain,
    local: LocalPart,
}

impl Address {
    /// Puts an address together from parts that were checked before.
    pub fn new(local: LocalPart, domain: Domain) -> Address {
        Address { domain, local }
    }

    /// Reads an address as a peer or a stored record has it: refuses whatever is not canonical, repairs nothing.
    ///
    /// # Errors
    ///
    /// The first rule that the text breaks, which is the fault of whoever wrote it.
    ///
    /// keeps: ADDR-1, ADDR-2
    pub fn from_wire(text: &str) -> Result<Address, AddressError> {
        let (local, domain) = split(text)?;
        Ok(Address { local: LocalPart::from_wire(local)?, domain: Domain::from_wire(domain)? })
    }

    /// Reads an address as a person typed it: the domain may be in Unicode and in any case, the local part need not
    /// be normalized yet (it is brought to NFC). Its case is kept, for only the owning domain may fold it.
    ///
    /// # Errors
    ///
    /// The first rule that the text breaks after that conversion.
    ///
    /// keeps: ADDR-3
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        let (local, domain) = split(text)?;
        Ok(Address { local: LocalPart::parse(local)?, domain: Domain::parse(domain)? })
    }

    /// The part before the `@`.
    pub fn local(&self) -> &LocalPart {
        &self.local
    }

    /// The part after the `@`.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The address as a person reads it, with the domain in Unicode. For display only: what is shown is not
    /// necessarily what [`Address::from_wire`] accepts. Show it with the warnings of [`display`].
    pub fn to_unicode(&self) -> String {
        format!("{}@{}", self.local, self.domain.to_unicode())
    }
}

/// The wire form.
impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.local, self.domain)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Address({self})")
    }
}

/// The same as [`Address::from_wire`].
impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        Address::from_wire(text)
    }
}

/// What is wrong with the text of an address. It is always the fault of whoever wrote the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no `@`, so there is no local part or no domain.
    #[error("an address needs a local part, an @ and a domain")]
    NoAt,
    /// Nothing stands before the `@`.
    #[error("the local part is empty")]
    LocalPartEmpty,
    /// The local part has more octets than [`limits::LOCAL_PART_OCTETS_MAX`], or the text a user gave has more
    /// than [`limits::USER_LOCAL_PART_OCTETS_MAX`].
    #[error("the local part is too long")]
    LocalPartTooLong,
    /// A dot stands first, last or beside another dot.
    #[error("a dot in the local part is first, last or doubled")]
    LocalPartDot,
    /// This character may not stand in a local part, or not at this place.
    #[error("the local part holds U+{:04X}, which is not permitted there", u32::from(*.0))]
    LocalPartCharacter(char),
    /// The local part is not in Unicode Normalization Form C.
    #[error("the local part is not in normalization form C")]
    LocalPartNotNormalized,
    /// The text is no domain name by UTS #46 with the strict options, or breaks the lengths of the DNS.
    #[error("the domain is not a valid internationalized domain name")]
    DomainInvalid,
    /// The domain has more octets than it may have.
    #[error("the domain is too long")]
    DomainTooLong,
    /// The domain has fewer labels than [`limits::DOMAIN_LABELS_MIN`].
    #[error("the domain needs two labels or more")]
    DomainTooFewLabels,
    /// An address literal, or a name that software mistakes for an IPv4 address since its last label is all digits.
    #[error("an IP address cannot stand in place of a domain")]
    DomainIsAddress,
    /// The domain may be valid, but this is not its lower-case A-label form.
    #[error("the domain is not in its canonical form")]
    DomainNotCanonical,
}

/// Cuts at the only `@`: a second one fails later, since neither side may hold it.
fn split(text: &str) -> Result<(&str, &str), AddressError> {
    text.rsplit_once('@').ok_or(AddressError::NoAt)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
#[path = "../../tests/vectors/mod.rs"]
pub(crate) mod vectors;
