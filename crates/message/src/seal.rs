//! Seals: any number of independent signatures over a manifest, each a COSE_Sign1 with a detached payload.

use bytes::Bytes;
use ciborium::Value;
use ciborium::value::Integer;

use crate::address::Domain;
use crate::cbor::{self, as_bytes, as_uint};
use crate::limits::{
    CHECK_METHOD_OCTETS_MAX, CHECK_RESULT_OCTETS_MAX, CHECKS_MAX, CLAIM_OCTETS_MAX, KEY_NAME_OCTETS_MAX,
    SEAL_CLOCK_SKEW_SECONDS, SEAL_OCTETS_MAX,
};
use crate::{Error, PublicKey, SecretKey};

/// The external data of every seal (RFC 9052 section 4.3): keeps a seal from being read as any other signature.
const EXTERNAL_DATA: &[u8] = b"waxwing seal 1";
/// What the signed structure begins with (RFC 9052 section 4.4).
const CONTEXT: &str = "Signature1";
/// The algorithm EdDSA (RFC 9053 section 2.2), which with the keys of this house is Ed25519.
const EDDSA: i64 = -8;
/// Protected header parameters (RFC 9052 section 3.1), and that of CWT claims (RFC 9597).
const ALGORITHM: i64 = 1;
const CRITICAL: i64 = 2;
const KEY_ID: i64 = 4;
const CWT_CLAIMS: i64 = 15;
/// CWT claims (RFC 8392 section 3.1) and our own in the private range.
const CLAIM_ISSUER: i64 = 1;
const CLAIM_EXPIRES_AT: i64 = 4;
const CLAIM_ISSUED_AT: i64 = 6;
const CLAIM_ROLE: i64 = -70_001;
const CLAIM_SUBMITTER: i64 = -70_002;
const CLAIM_RECIPIENT: i64 = -70_003;
const CLAIM_AUTHORIZATION: i64 = -70_004;
const CLAIM_CHECKS: i64 = -70_005;

/// The check of a gateway that says which domain is proved to be the author's: its name, or `none`.
pub const CHECK_AUTHOR: &str = "author";

/// In what capacity a seal was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The author, with a key of the user's own.
    Author,
    /// The domain attests which authenticated user submitted the message.
    Submission,
    /// Who forwarded it, for which recipient, under which authorization.
    Forwarder,
    /// A mailing list.
    List,
    /// What a gateway's checks of the legacy message found.
    Gateway,
    /// An accreditor.
    Vouch,
    /// A role that this version does not know: carried and shown, never trusted.
    Unknown(u64),
}

impl Role {
    /// The number in the registry.
    pub fn number(self) -> u64 {
        match self {
            Role::Author => 1,
            Role::Submission => 2,
            Role::Forwarder => 3,
            Role::List => 4,
            Role::Gateway => 5,
            Role::Vouch => 6,
            Role::Unknown(number) => number,
        }
    }

    /// The role of this number.
    pub fn from_number(number: u64) -> Role {
        match number {
            1 => Role::Author,
            2 => Role::Submission,
            3 => Role::Forwarder,
            4 => Role::List,
            5 => Role::Gateway,
            6 => Role::Vouch,
            other => Role::Unknown(other),
        }
    }

    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Role::Author => "author",
            Role::Submission => "submission",
            Role::Forwarder => "forwarder",
            Role::List => "list",
            Role::Gateway => "gateway",
            Role::Vouch => "vouch",
            Role::Unknown(_) => "unknown",
        }
    }
}

/// What a seal says: the CWT claims in its protected header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who sealed: an address or a domain, in wire form.
    pub issuer: String,
    /// When, in seconds since 1970.
    pub issued_at: u64,
    /// Until when it is good, in seconds since 1970.
    pub expires_at: Option<u64>,
    /// In what capacity.
    pub role: Role,
    /// Of a submission: the address of the authenticated user.
    pub submitter: Option<String>,
    /// Of a forwarder: the recipient for whom it was forwarded.
    pub recipient: Option<String>,
    /// Of a forwarder: the authorization it acted under.
    pub authorization: Option<String>,
    /// Of a gateway: what it has checked and what it has found, such as `spf` and `pass`; at most [`CHECKS_MAX`].
    pub checks: Vec<(String, String)>,
}

/// A seal that was read and not checked.
///
/// keeps: SEAL-1, SEAL-2, SEAL-3
#[derive(Clone, PartialEq, Eq)]
pub struct Seal {
    octets: Bytes,
    /// The protected header as it came: the signature stands over these octets.
    protected: Vec<u8>,
    key_name: Vec<u8>,
    /// Whether the algorithm is one that is checked here.
    ed25519: bool,
    claims: Claims,
    signature: Vec<u8>,
}

/// A seal whose signature was checked over a manifest with a key. Only [`Seal::verify`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSeal {
    claims: Claims,
    key: PublicKey,
}

impl VerifiedSeal {
    /// What the seal says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The key that signed.
    pub fn key(&self) -> PublicKey {
        self.key
    }
}

impl Claims {
    /// The domain that a gateway has found to be the author's; `None` where it has found none, or this is no gateway.
    pub fn author_found(&self) -> Option<Domain> {
        let (_, domain) = self.checks.iter().find(|(method, _)| method == CHECK_AUTHOR)?;
        if self.role == Role::Gateway { Domain::from_wire(domain).ok() } else { None }
    }
}

impl Seal {
    /// Seals a manifest.
    ///
    /// `key_name` is the selector of a domain key or the octets of a user's [`crate::KeyId`].
    pub fn sign(manifest: &[u8], claims: Claims, key_name: &[u8], key: &SecretKey) -> Seal {
        let protected = cbor::encode(&cbor::map([
            (ALGORITHM, Some(Value::Integer(Integer::from(EDDSA)))),
            (KEY_ID, Some(cbor::bytes(key_name))),
            (CWT_CLAIMS, Some(claims_value(&claims))),
        ]));
        let signature = key.sign(&signed_octets(&protected, manifest)).to_vec();
        let octets = Bytes::from(cbor::encode(&Value::Array(vec![
            cbor::bytes(&protected),
            Value::Map(Vec::new()),
            Value::Null,
            cbor::bytes(&signature),
        ])));
        Seal { octets, protected, key_name: key_name.to_vec(), ed25519: true, claims, signature }
    }

    /// Reads a seal; nothing is believed yet.
    ///
    /// # Errors
    /// [`Error::Seal`] where it is not a COSE_Sign1 with a detached payload and the claims it must have,
    /// [`Error::Bound`] past [`SEAL_OCTETS_MAX`].
    pub fn parse(octets: Bytes) -> Result<Seal, Error> {
        if octets.len() > SEAL_OCTETS_MAX {
            return Err(Error::Bound { what: "octets of a seal", bound: SEAL_OCTETS_MAX as u64 });
        }
        let value = cbor::decode(&octets)?;
        // The array around the header and the signature is not signed: it must have one spelling.
        if cbor::encode(&value) != octets {
            return Err(Error::Seal("its array is not in the deterministic encoding"));
        }
        let Some([protected, unprotected, payload, signature]) = value.as_array().map(Vec::as_slice) else {
            return Err(Error::Seal("not a COSE_Sign1"));
        };
        let protected = as_bytes(protected).ok_or(Error::Seal("its protected header is not octets"))?;
        if !unprotected.as_map().ok_or(Error::Seal("its unprotected header is not a map"))?.is_empty() {
            return Err(Error::Seal("it has unprotected header parameters"));
        }
        if !payload.is_null() {
            return Err(Error::Seal("it carries a payload; the manifest is detached"));
        }
        let signature = as_bytes(signature).ok_or(Error::Seal("its signature is not octets"))?.to_vec();
        let header = cbor::decode(protected)?;
        if !cbor::keys_once(&header) {
            return Err(Error::Seal("a key stands twice"));
        }
        let entries = header.as_map().ok_or(Error::Seal("its protected header is not a map"))?;
        if cbor::find(entries, CRITICAL).is_some() {
            return Err(Error::Seal("it has critical header parameters that are not known"));
        }
        let key_name = cbor::find(entries, KEY_ID)
            .and_then(as_bytes)
            .filter(|name| (1..=KEY_NAME_OCTETS_MAX).contains(&name.len()))
            .ok_or(Error::Seal("it does not name its key"))?
            .to_vec();
        let algorithm = cbor::find(entries, ALGORITHM).ok_or(Error::Seal("it names no algorithm"))?;
        let claims =
            cbor::find(entries, CWT_CLAIMS).ok_or(Error::Seal("it has no claims in its protected header"))?;
        let claims = read_claims(claims)?;
        let ed25519 = algorithm.as_integer() == Some(Integer::from(EDDSA));
        let protected = protected.to_vec();
        Ok(Seal { octets, protected, key_name, ed25519, claims, signature })
    }

    /// The octets as they came.
    pub fn octets(&self) -> &Bytes {
        &self.octets
    }

    /// What the seal claims; believed only once it is verified.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The name of the key: a selector or the octets of a [`crate::KeyId`].
    pub fn key_name(&self) -> &[u8] {
        &self.key_name
    }

    /// Checks the signature over the manifest with `verify_strict`, and the times.
    ///
    /// # Errors
    /// [`Error::Seal`] where the algorithm is not Ed25519, [`Error::Signature`] where the signature does not verify,
    /// [`Error::SealTime`] where it is too old or, by more than five minutes, from the future.
    ///
    /// keeps: SEAL-4, SEAL-5, SEAL-6
    pub fn verify(&self, manifest: &[u8], key: &PublicKey, now_seconds: u64) -> Result<VerifiedSeal, Error> {
        if !self.ed25519 {
            return Err(Error::Seal("its algorithm is not one that is checked here"));
        }
        key.verify(&signed_octets(&self.protected, manifest), &self.signature)?;
        if self.claims.expires_at.is_some_and(|expires_at| expires_at <= now_seconds) {
            return Err(Error::SealTime("it has expired"));
        }
        if self.claims.issued_at > now_seconds.saturating_add(SEAL_CLOCK_SKEW_SECONDS) {
            return Err(Error::SealTime("it was issued in the future"));
        }
        Ok(VerifiedSeal { claims: self.claims.clone(), key: *key })
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seal({} by {})", self.claims.role.word(), self.claims.issuer)
    }
}

/// The octets that a seal signs: the Sig_structure of RFC 9052 section 4.4.
fn signed_octets(protected: &[u8], manifest: &[u8]) -> Vec<u8> {
    cbor::encode(&Value::Array(vec![
        cbor::text(CONTEXT),
        cbor::bytes(protected),
        cbor::bytes(EXTERNAL_DATA),
        cbor::bytes(manifest),
    ]))
}

fn claims_value(claims: &Claims) -> Value {
    let text = |value: &Option<String>| value.as_deref().map(cbor::text);
    // Ascending by encoding: the unsigned keys stand before the negative ones.
    cbor::map([
        (CLAIM_ISSUER, Some(cbor::text(&claims.issuer))),
        (CLAIM_EXPIRES_AT, claims.expires_at.map(cbor::uint)),
        (CLAIM_ISSUED_AT, Some(cbor::uint(claims.issued_at))),
        (CLAIM_ROLE, Some(cbor::uint(claims.role.number()))),
        (CLAIM_SUBMITTER, text(&claims.submitter)),
        (CLAIM_RECIPIENT, text(&claims.recipient)),
        (CLAIM_AUTHORIZATION, text(&claims.authorization)),
        (CLAIM_CHECKS, (!claims.checks.is_empty()).then(|| checks_value(&claims.checks))),
    ])
}

fn checks_value(checks: &[(String, String)]) -> Value {
    let pair =
        |(method, result): &(String, String)| Value::Array(vec![cbor::text(method), cbor::text(result)]);
    Value::Array(checks.iter().map(pair).collect())
}

fn read_checks(value: &Value) -> Option<Vec<(String, String)>> {
    let text = |value: &Value, octets_max: usize| {
        let text = value.as_text().filter(|text| text.len() <= octets_max)?;
        (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
    };
    let pair = |value: &Value| match value.as_array()?.as_slice() {
        [method, result] => {
            Some((text(method, CHECK_METHOD_OCTETS_MAX)?, text(result, CHECK_RESULT_OCTETS_MAX)?))
        }
        _ => None,
    };
    value.as_array().filter(|checks| (1..=CHECKS_MAX).contains(&checks.len()))?.iter().map(pair).collect()
}

fn read_claims(value: &Value) -> Result<Claims, Error> {
    let entries = value.as_map().ok_or(Error::Seal("its claims are not a map"))?;
    let text = |key| -> Result<Option<String>, Error> {
        match cbor::find(entries, key) {
            None => Ok(None),
            Some(Value::Text(text))
                if text.len() <= CLAIM_OCTETS_MAX && !text.chars().any(char::is_control) =>
            {
                Ok(Some(text.clone()))
            }
            Some(_) => Err(Error::Seal("a claim is not the text it must be")),
        }
    };
    let number = |key| -> Result<Option<u64>, Error> {
        match cbor::find(entries, key) {
            None => Ok(None),
            Some(value) => {
                as_uint(value).map(Some).ok_or(Error::Seal("a claim is not the number it must be"))
            }
        }
    };
    Ok(Claims {
        issuer: text(CLAIM_ISSUER)?.ok_or(Error::Seal("it names no issuer"))?,
        issued_at: number(CLAIM_ISSUED_AT)?.ok_or(Error::Seal("it does not say when it was issued"))?,
        expires_at: number(CLAIM_EXPIRES_AT)?,
        role: Role::from_number(number(CLAIM_ROLE)?.ok_or(Error::Seal("it names no role"))?),
        submitter: text(CLAIM_SUBMITTER)?,
        recipient: text(CLAIM_RECIPIENT)?,
        authorization: text(CLAIM_AUTHORIZATION)?,
        checks: match cbor::find(entries, CLAIM_CHECKS) {
            None => Vec::new(),
            Some(value) => read_checks(value).ok_or(Error::Seal("its checks are not pairs of texts"))?,
        },
    })
}
