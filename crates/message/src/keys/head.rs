//! Tree heads: what a domain says its log is, signed.

use bytes::Bytes;

use super::cose::{Signed, ToSign};
use super::tree::Hash;
use crate::address::Domain;
use crate::cbor::{self, as_bytes, as_uint};
use crate::limits::TREE_HEAD_OCTETS_MAX;
use crate::{Error, PublicKey, SecretKey};

const EXTERNAL_HEAD: &[u8] = b"waxwing key head 1";

/// The head of a log, read and not checked.
///
/// keeps: KEY-11
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeHead {
    octets: Bytes,
    signed: Signed,
    /// Whose log.
    pub domain: Domain,
    /// How many statements are in it.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// When this was said, in seconds since 1970.
    pub at: u64,
}

impl TreeHead {
    /// Signs a head with a key of the domain.
    ///
    /// # Errors
    /// Where what comes of it is none, as with a selector that is none.
    pub fn sign(
        domain: &Domain,
        (size, root): (u64, &Hash),
        at: u64,
        selector: &str,
        key: &SecretKey,
    ) -> Result<TreeHead, Error> {
        let payload = cbor::encode(&cbor::map([
            (1, Some(cbor::text(domain.as_str()))),
            (2, Some(cbor::uint(size))),
            (3, Some(cbor::bytes(root))),
            (4, Some(cbor::uint(at))),
        ]));
        let to_sign = ToSign {
            external: EXTERNAL_HEAD,
            key_name: selector.as_bytes(),
            issued: None,
            payload: &payload,
            attached: true,
        };
        TreeHead::parse(to_sign.by(key))
    }

    /// Reads a head; nothing is believed yet.
    ///
    /// # Errors
    /// [`Error::Key`] and [`Error::Cbor`] where it is none, [`Error::Bound`] past [`TREE_HEAD_OCTETS_MAX`].
    pub fn parse(octets: Bytes) -> Result<TreeHead, Error> {
        if octets.len() > TREE_HEAD_OCTETS_MAX {
            return Err(Error::Bound { what: "octets of a tree head", bound: TREE_HEAD_OCTETS_MAX as u64 });
        }
        let signed = Signed::parse(&octets)?;
        let payload = signed.payload.as_deref().ok_or(Error::Key("the head does not stand in it"))?;
        let value = cbor::decode_deterministic(payload)?;
        let wrong = Error::Key("a tree head is a domain, a size, a root and a time");
        let entries = value.as_map().filter(|entries| entries.len() == 4 && signed.issued.is_none());
        let entries = entries.ok_or(wrong.clone())?;
        let find = |key| cbor::find(entries, key);
        let domain = find(1).and_then(ciborium::Value::as_text).and_then(|text| Domain::from_wire(text).ok());
        let root = find(3).and_then(as_bytes).and_then(|octets| octets.try_into().ok());
        let (Some(domain), Some(size), Some(root), Some(at)) =
            (domain, find(2).and_then(as_uint), root, find(4).and_then(as_uint))
        else {
            return Err(wrong);
        };
        Ok(TreeHead { octets, signed, domain, size, root, at })
    }

    /// The octets.
    pub fn octets(&self) -> &Bytes {
        &self.octets
    }

    /// The name of the key of the domain; `None` where it is no selector.
    pub fn selector(&self) -> Option<&str> {
        std::str::from_utf8(&self.signed.key_name).ok()
    }

    /// Whether this key of the domain has signed it.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let payload = self.signed.payload.as_deref().unwrap_or_default();
        self.signed.verify(EXTERNAL_HEAD, payload, key).is_ok()
    }
}
