//! The signed structures of keys: untagged COSE_Sign1 with Ed25519, everything in one spelling.

use bytes::Bytes;
use ciborium::Value;
use ciborium::value::Integer;

use crate::cbor::{self, as_bytes, as_uint};
use crate::limits::KEY_NAME_OCTETS_MAX;
use crate::{Error, PublicKey, SecretKey};

/// What the signed structure begins with (RFC 9052 section 4.4).
const CONTEXT: &str = "Signature1";
/// Parameters and claims, as in seals: `04-seals.md`.
const EDDSA: i64 = -8;
const ALGORITHM: i64 = 1;
const KEY_ID: i64 = 4;
const CWT_CLAIMS: i64 = 15;
const CLAIM_ISSUER: i64 = 1;
const CLAIM_ISSUED_AT: i64 = 6;

/// One of them, read and not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    protected: Vec<u8>,
    pub(super) key_name: Vec<u8>,
    /// Who says so and when, in seconds since 1970, where that stands in it.
    pub(super) issued: Option<(String, u64)>,
    /// What it carries; `None` where that is detached.
    pub(super) payload: Option<Vec<u8>>,
    signature: Vec<u8>,
}

/// What is to be signed.
pub(super) struct ToSign<'a> {
    /// What keeps it from being taken for any other signature.
    pub(super) external: &'a [u8],
    pub(super) key_name: &'a [u8],
    pub(super) issued: Option<(&'a str, u64)>,
    pub(super) payload: &'a [u8],
    /// Whether the payload stands in it.
    pub(super) attached: bool,
}

impl ToSign<'_> {
    /// Signs it.
    pub(super) fn by(&self, key: &SecretKey) -> Bytes {
        let claims = self.issued.map(|(issuer, at)| {
            cbor::map([(CLAIM_ISSUER, Some(cbor::text(issuer))), (CLAIM_ISSUED_AT, Some(cbor::uint(at)))])
        });
        let protected = cbor::encode(&cbor::map([
            (ALGORITHM, Some(Value::Integer(Integer::from(EDDSA)))),
            (KEY_ID, Some(cbor::bytes(self.key_name))),
            (CWT_CLAIMS, claims),
        ]));
        let signature = key.sign(&signed_octets(&protected, self.external, self.payload));
        Bytes::from(cbor::encode(&Value::Array(vec![
            cbor::bytes(&protected),
            Value::Map(Vec::new()),
            if self.attached { cbor::bytes(self.payload) } else { Value::Null },
            cbor::bytes(&signature),
        ])))
    }
}

impl Signed {
    /// Reads one; nothing is believed yet. Neither the array nor the header has a second spelling. keeps: KEY-2
    pub(super) fn parse(octets: &[u8]) -> Result<Signed, Error> {
        let value = cbor::decode_deterministic(octets)?;
        let Some([protected, unprotected, payload, signature]) = value.as_array().map(Vec::as_slice) else {
            return Err(Error::Key("not a COSE_Sign1"));
        };
        if !unprotected.as_map().is_some_and(Vec::is_empty) {
            return Err(Error::Key("its unprotected header is not an empty map"));
        }
        let payload = match payload {
            Value::Null => None,
            other => Some(as_bytes(other).ok_or(Error::Key("its payload is not octets"))?.to_vec()),
        };
        let signature = as_bytes(signature).ok_or(Error::Key("its signature is not octets"))?.to_vec();
        let protected = as_bytes(protected).ok_or(Error::Key("its protected header is not octets"))?.to_vec();
        let header = cbor::decode_deterministic(&protected)?;
        let entries = header.as_map().ok_or(Error::Key("its protected header is not a map"))?;
        if cbor::find(entries, ALGORITHM).and_then(Value::as_integer) != Some(Integer::from(EDDSA)) {
            return Err(Error::Key("its algorithm is not EdDSA"));
        }
        let key_name = cbor::find(entries, KEY_ID)
            .and_then(as_bytes)
            .filter(|name| (1..=KEY_NAME_OCTETS_MAX).contains(&name.len()))
            .ok_or(Error::Key("it does not name its key"))?
            .to_vec();
        let issued = cbor::find(entries, CWT_CLAIMS).map(read_issued).transpose()?;
        // Nothing else is known, and nothing else may count.
        if entries.len() != 2 + usize::from(issued.is_some()) {
            return Err(Error::Key("its header holds what is not known"));
        }
        Ok(Signed { protected, key_name, issued, payload, signature })
    }

    /// Checks the signature over what it carries, or over what is detached from it.
    pub(super) fn verify(&self, external: &[u8], payload: &[u8], key: &PublicKey) -> Result<(), Error> {
        key.verify(&signed_octets(&self.protected, external, payload), &self.signature)
            .map_err(|_| Error::KeySignature)
    }
}

fn read_issued(value: &Value) -> Result<(String, u64), Error> {
    let wrong = Error::Key("its claims are not an issuer and a time");
    let entries = value.as_map().filter(|entries| entries.len() == 2).ok_or(wrong.clone())?;
    let issuer = cbor::find(entries, CLAIM_ISSUER).and_then(Value::as_text).ok_or(wrong.clone())?;
    let at = cbor::find(entries, CLAIM_ISSUED_AT).and_then(as_uint).ok_or(wrong)?;
    Ok((issuer.to_owned(), at))
}

/// The Sig_structure of RFC 9052 section 4.4.
fn signed_octets(protected: &[u8], external: &[u8], payload: &[u8]) -> Vec<u8> {
    cbor::encode(&Value::Array(vec![
        cbor::text(CONTEXT),
        cbor::bytes(protected),
        cbor::bytes(external),
        cbor::bytes(payload),
    ]))
}
