//! placeholder
#![allow(missing_docs)]
use std::sync::Arc;
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Arc<str>);
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("address")]
pub struct AddressError;
impl Domain {
    pub fn from_wire(s: &str) -> Result<Domain, AddressError> {
        Ok(Domain(s.into()))
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl std::fmt::Display for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalPart(Arc<str>);
impl LocalPart {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    local: LocalPart,
    domain: Domain,
}
impl Address {
    pub fn from_wire(s: &str) -> Result<Address, AddressError> {
        let (l, d) = s.rsplit_once('@').ok_or(AddressError)?;
        Ok(Address { local: LocalPart(l.into()), domain: Domain::from_wire(d)? })
    }
    pub fn local(&self) -> &LocalPart {
        &self.local
    }
    pub fn domain(&self) -> &Domain {
        &self.domain
    }
}
impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.local.0, self.domain.0)
    }
}
