//! Seals: any number of independent signatures over a manifest, each a COSE_Sign1 with a detached payload.

use bytes::Bytes;
use ciborium::Value;
use coset::{CborSerializable, CoseSign1, CoseSign1Builder, HeaderBuilder, Label, iana};

use crate::cbor::{self, as_uint};
use crate::limits::SEAL_OCTETS_MAX;
use crate::{Error, PublicKey, SecretKey};

/// The external data of every seal (RFC 9052 section 4.3): keeps a seal from being read as any other signature.
const EXTERNAL_DATA: &[u8] = b"waxwing seal 1";
/// The protected header parameter that holds CWT claims (RFC 9597).
const CWT_CLAIMS: i64 = 15;
/// CWT claims (RFC 8392 section 3.1) and our own in the private range.
const CLAIM_ISSUER: i64 = 1;
const CLAIM_EXPIRES_AT: i64 = 4;
const CLAIM_ISSUED_AT: i64 = 6;
const CLAIM_ROLE: i64 = -70_001;
const CLAIM_SUBMITTER: i64 = -70_002;
const CLAIM_RECIPIENT: i64 = -70_003;
const CLAIM_AUTHORIZATION: i64 = -70_004;

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
}

/// A seal that was read and not checked.
///
/// keeps: SEAL-1, SEAL-2, SEAL-3
#[derive(Clone, PartialEq)]
pub struct Seal {
    octets: Bytes,
    cose: CoseSign1,
    claims: Claims,
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

impl Seal {
    /// Seals a manifest.
    ///
    /// `key_name` is the selector of a domain key or the octets of a user's [`crate::KeyId`].
    pub fn sign(manifest: &[u8], claims: Claims, key_name: &[u8], key: &SecretKey) -> Seal {
        let protected = HeaderBuilder::new()
            .algorithm(iana::Algorithm::EdDSA)
            .key_id(key_name.to_vec())
            .value(CWT_CLAIMS, claims_value(&claims))
            .build();
        let cose = CoseSign1Builder::new()
            .protected(protected)
            .create_detached_signature(manifest, EXTERNAL_DATA, |signed| key.sign(signed).to_vec())
            .build();
        let octets = Bytes::from(cose.clone().to_vec().unwrap_or_default());
        Seal { octets, cose, claims }
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
        // coset recurses freely: the depth is bounded by our own reader first.
        cbor::decode(&octets)?;
        let cose = CoseSign1::from_slice(&octets).map_err(|_| Error::Seal("not a COSE_Sign1"))?;
        if cose.payload.is_some() {
            return Err(Error::Seal("it carries a payload; the manifest is detached"));
        }
        if !cose.unprotected.is_empty() {
            return Err(Error::Seal("it has unprotected header parameters"));
        }
        if !cose.protected.header.crit.is_empty() {
            return Err(Error::Seal("it has critical header parameters that are not known"));
        }
        let claims = cose
            .protected
            .header
            .rest
            .iter()
            .find(|(label, _)| *label == Label::Int(CWT_CLAIMS))
            .map(|(_, value)| value)
            .ok_or(Error::Seal("it has no claims in its protected header"))?;
        let claims = read_claims(claims)?;
        Ok(Seal { octets, cose, claims })
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
        &self.cose.protected.header.key_id
    }

    /// Checks the signature over the manifest with `verify_strict`, and the times.
    ///
    /// # Errors
    /// [`Error::Seal`] where the algorithm is not Ed25519, [`Error::Signature`] where the signature does not verify,
    /// [`Error::SealTime`] where it is too old or, by more than five minutes, from the future.
    ///
    /// keeps: SEAL-4, SEAL-5, SEAL-6
    pub fn verify(&self, manifest: &[u8], key: &PublicKey, now_seconds: u64) -> Result<VerifiedSeal, Error> {
        let algorithm = self.cose.protected.header.alg.as_ref();
        if algorithm != Some(&coset::RegisteredLabelWithPrivate::Assigned(iana::Algorithm::EdDSA)) {
            return Err(Error::Seal("its algorithm is not one that is checked here"));
        }
        self.cose.verify_detached_signature(manifest, EXTERNAL_DATA, |signature, signed| {
            key.verify(signed, signature)
        })?;
        if self.claims.expires_at.is_some_and(|expires_at| expires_at <= now_seconds) {
            return Err(Error::SealTime("it has expired"));
        }
        if self.claims.issued_at > now_seconds.saturating_add(300) {
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
    ])
}

fn read_claims(value: &Value) -> Result<Claims, Error> {
    let entries = value.as_map().ok_or(Error::Seal("its claims are not a map"))?;
    let text = |key| -> Result<Option<String>, Error> {
        match cbor::find(entries, key) {
            None => Ok(None),
            Some(Value::Text(text)) if text.len() <= 512 && !text.chars().any(char::is_control) => {
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
    })
}
