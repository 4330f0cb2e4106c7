//! Statements: what a user says of a key, and what the domain says to that.

use bytes::Bytes;
use ciborium::Value;

use super::cose::{Signed, ToSign};
use super::tree::{self, Hash};
use crate::address::{Address, Domain};
use crate::cbor::{self, as_bytes, as_uint};
use crate::limits::{KEY_RECORD_OCTETS_MAX, STATEMENT_OCTETS_MAX};
use crate::{Digest, Error, PublicKey, SecretKey};

const EXTERNAL_STATEMENT: &[u8] = b"waxwing key 1";
const EXTERNAL_SUCCESSION: &[u8] = b"waxwing key previous 1";
const EXTERNAL_COUNTERSIGNATURE: &[u8] = b"waxwing key domain 1";

const VERSION: u64 = 1;
/// The one purpose that is in use. Number 2 is kept for keys to encrypt to.
const PURPOSE_SIGN: u64 = 1;

/// What a user says of a key that signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementClaims {
    /// Whose key.
    pub address: Address,
    /// The key.
    pub key: PublicKey,
    /// From when it is good, in seconds since 1970.
    pub not_before: u64,
    /// Until when it is good, in seconds since 1970: at that time it is not any more.
    pub not_after: u64,
    /// The digest of the statement before, where there is one.
    pub previous: Option<Digest>,
    /// Whether the key must not be trusted any more.
    pub revoked: bool,
}

/// A statement that the key in it has signed. Only [`Statement::sign`] and [`Statement::parse`] make one.
///
/// keeps: KEY-1, KEY-2
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    octets: Bytes,
    claims: StatementClaims,
}

impl Statement {
    /// Signs a statement with the key that it is about, whose public half takes the place of the one in the claims.
    pub fn sign(claims: StatementClaims, key: &SecretKey) -> Statement {
        let claims = StatementClaims { key: key.public(), ..claims };
        let payload = cbor::encode(&cbor::map([
            (0, Some(cbor::uint(VERSION))),
            (1, Some(cbor::text(&claims.address.to_string()))),
            (2, Some(cbor::bytes(claims.key.as_bytes()))),
            (3, Some(cbor::uint(PURPOSE_SIGN))),
            (4, Some(cbor::uint(claims.not_before))),
            (5, Some(cbor::uint(claims.not_after))),
            (6, claims.previous.map(|digest| cbor::bytes(digest.as_bytes()))),
            (7, claims.revoked.then_some(Value::Bool(true))),
        ]));
        let to_sign = ToSign {
            external: EXTERNAL_STATEMENT,
            key_name: &claims.key.id().0,
            issued: None,
            payload: &payload,
            attached: true,
        };
        Statement { octets: to_sign.by(key), claims }
    }

    /// Reads a statement and checks that its key has signed it.
    ///
    /// # Errors
    /// [`Error::Key`] and [`Error::Cbor`] where it is none, [`Error::Bound`] past [`STATEMENT_OCTETS_MAX`],
    /// [`Error::KeySignature`] where the signature is not that of the key.
    pub fn parse(octets: Bytes) -> Result<Statement, Error> {
        if octets.len() > STATEMENT_OCTETS_MAX {
            return Err(Error::Bound { what: "octets of a statement", bound: STATEMENT_OCTETS_MAX as u64 });
        }
        let signed = Signed::parse(&octets)?;
        let payload = signed.payload.as_deref().ok_or(Error::Key("the statement does not stand in it"))?;
        let claims = read_claims(&cbor::decode_deterministic(payload)?)?;
        if signed.issued.is_some() || signed.key_name != claims.key.id().0 {
            return Err(Error::Key("its header is not that of a statement by its own key"));
        }
        signed.verify(EXTERNAL_STATEMENT, payload, &claims.key)?;
        Ok(Statement { octets, claims })
    }

    /// The octets.
    pub fn octets(&self) -> &Bytes {
        &self.octets
    }

    /// What it says.
    pub fn claims(&self) -> &StatementClaims {
        &self.claims
    }

    /// By what the next statement names it.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.octets)
    }

    /// What the previous key signs where another takes its place: that this statement is meant. keeps: KEY-3
    pub fn succeed(&self, previous: &SecretKey) -> Bytes {
        let to_sign = ToSign {
            external: EXTERNAL_SUCCESSION,
            key_name: &previous.public().id().0,
            issued: None,
            payload: &self.octets,
            attached: false,
        };
        to_sign.by(previous)
    }

    /// Whether the holder of this key has signed that this statement takes the place of its own.
    pub fn is_succession_by(&self, succession: &[u8], previous: &PublicKey) -> bool {
        Signed::parse(succession).is_ok_and(|signed| {
            signed.payload.is_none()
                && signed.issued.is_none()
                && signed.key_name == previous.id().0
                && signed.verify(EXTERNAL_SUCCESSION, &self.octets, previous).is_ok()
        })
    }
}

fn read_claims(value: &Value) -> Result<StatementClaims, Error> {
    let entries = value.as_map().ok_or(Error::Key("a statement is not a map"))?;
    let number = |key| cbor::find(entries, key).and_then(as_uint).ok_or(Error::Key("a number is missing"));
    let octets = |value: &Value| as_bytes(value).and_then(|octets| <[u8; 32]>::try_from(octets).ok());
    if entries.iter().any(|(key, _)| !key.as_integer().is_some_and(|key| (0..=7).contains(&i128::from(key))))
    {
        return Err(Error::Key("it holds what is not known"));
    }
    if number(0)? != VERSION {
        return Err(Error::Key("its version is not known"));
    }
    if number(3)? != PURPOSE_SIGN {
        return Err(Error::Key("its purpose is not known"));
    }
    let address = cbor::find(entries, 1)
        .and_then(Value::as_text)
        .and_then(|text| Address::from_wire(text).ok())
        .ok_or(Error::Key("it names no address"))?;
    let key = cbor::find(entries, 2).and_then(octets).ok_or(Error::Key("it names no key"))?;
    let previous = match cbor::find(entries, 6) {
        None => None,
        Some(value) => Some(octets(value).ok_or(Error::Key("the digest before is none"))?),
    };
    let revoked = match cbor::find(entries, 7) {
        None => false,
        Some(Value::Bool(true)) => true,
        Some(_) => return Err(Error::Key("a revocation is `true` or left out")),
    };
    let (not_before, not_after) = (number(4)?, number(5)?);
    if not_before >= not_after {
        return Err(Error::Key("it ends before it begins"));
    }
    Ok(StatementClaims {
        address,
        key: PublicKey::from_bytes(&key)?,
        not_before,
        not_after,
        previous: previous.map(Digest::from_bytes),
        revoked,
    })
}

/// A statement as the log of its domain has it: with the signature of the key before, where there is one, and the
/// countersignature of the domain. Whether that is the domain's is for [`KeyRecord::is_countersigned_by`].
///
/// keeps: KEY-4
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    octets: Bytes,
    statement: Statement,
    succession: Option<Bytes>,
    countersignature: Signed,
    domain: Domain,
}

impl KeyRecord {
    /// Countersigns a statement with a key of its domain, at this time in seconds since 1970.
    ///
    /// # Errors
    /// Where what comes of it is none, as with a selector that is none.
    pub fn countersign(
        statement: &Statement,
        succession: Option<&[u8]>,
        selector: &str,
        key: &SecretKey,
        now: u64,
    ) -> Result<KeyRecord, Error> {
        let to_sign = ToSign {
            external: EXTERNAL_COUNTERSIGNATURE,
            key_name: selector.as_bytes(),
            issued: Some((statement.claims.address.domain().as_str(), now)),
            payload: &countersigned(statement, succession),
            attached: false,
        };
        KeyRecord::parse(Bytes::from(cbor::encode(&Value::Array(vec![
            cbor::bytes(&statement.octets),
            succession.map_or(Value::Null, cbor::bytes),
            cbor::bytes(&to_sign.by(key)),
        ]))))
    }

    /// Reads one, and checks that the key in it has signed it.
    ///
    /// # Errors
    /// As [`Statement::parse`], and [`Error::Bound`] past [`KEY_RECORD_OCTETS_MAX`].
    pub fn parse(octets: Bytes) -> Result<KeyRecord, Error> {
        if octets.len() > KEY_RECORD_OCTETS_MAX {
            return Err(Error::Bound { what: "octets of a key record", bound: KEY_RECORD_OCTETS_MAX as u64 });
        }
        let value = cbor::decode_deterministic(&octets)?;
        let Some([statement, succession, countersignature]) = value.as_array().map(Vec::as_slice) else {
            return Err(Error::Key("a record has three members"));
        };
        let statement = as_bytes(statement).ok_or(Error::Key("a statement is not octets"))?;
        let statement = Statement::parse(Bytes::copy_from_slice(statement))?;
        let succession = match succession {
            Value::Null => None,
            other => Some(as_bytes(other).ok_or(Error::Key("a succession is not octets"))?),
        };
        let countersignature =
            as_bytes(countersignature).ok_or(Error::Key("a countersignature is not octets"))?;
        let countersignature = Signed::parse(countersignature)?;
        let domain = countersignature
            .issued
            .as_ref()
            .filter(|_| countersignature.payload.is_none())
            .and_then(|(issuer, _)| Domain::from_wire(issuer).ok())
            .filter(|domain| domain == statement.claims.address.domain())
            .ok_or(Error::Key("it is not countersigned for the domain of its address"))?;
        let succession = succession.map(Bytes::copy_from_slice);
        Ok(KeyRecord { octets, statement, succession, countersignature, domain })
    }

    /// The octets, which are the leaf of the log.
    pub fn octets(&self) -> &Bytes {
        &self.octets
    }

    /// The leaf of the log.
    pub fn leaf(&self) -> Hash {
        tree::leaf(&self.octets)
    }

    /// The statement.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The domain that countersigns, and when, in seconds since 1970.
    pub fn countersigned(&self) -> (&Domain, u64) {
        (&self.domain, self.countersignature.issued.as_ref().map_or(0, |(_, at)| *at))
    }

    /// The name of the key of the domain; `None` where it is no selector.
    pub fn selector(&self) -> Option<&str> {
        std::str::from_utf8(&self.countersignature.key_name).ok()
    }

    /// Whether this key of the domain has countersigned it.
    pub fn is_countersigned_by(&self, key: &PublicKey) -> bool {
        let payload = countersigned(&self.statement, self.succession.as_deref());
        self.countersignature.verify(EXTERNAL_COUNTERSIGNATURE, &payload, key).is_ok()
    }

    /// How this statement stands to the one before it.
    ///
    /// keeps: KEY-5
    pub fn link(&self, before: &Statement) -> Link {
        let (claims, earlier) = (&self.statement.claims, &before.claims);
        let follows = claims.previous == Some(before.digest()) && claims.address == earlier.address;
        let signed =
            self.succession.as_deref().is_some_and(|one| self.statement.is_succession_by(one, &earlier.key));
        match follows && !earlier.revoked {
            true if claims.key == earlier.key => Link::Same,
            true if signed && !claims.revoked => Link::Rotated,
            _ => Link::Broken,
        }
    }
}

/// How a statement stands to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// It is about the same key.
    Same,
    /// It is about another key, which the one before has signed.
    Rotated,
    /// Nothing of the one before says that it is to be believed.
    Broken,
}

fn countersigned(statement: &Statement, succession: Option<&[u8]>) -> Vec<u8> {
    cbor::encode(&Value::Array(vec![
        cbor::bytes(&statement.octets),
        succession.map_or(Value::Null, cbor::bytes),
    ]))
}
