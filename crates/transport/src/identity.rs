//! Who one is: a host's or device's own key with its certificate, and what a peer has shown.
//!
//! The digest of a key is the SHA-256 of its SubjectPublicKeyInfo, as in `TLSA 3 1 1` (RFC 6698, section
//! 2.1), so the same 32 octets serve pinning and DANE. Whether a peer may do what it asks for is not decided
//! here.

use crate::error::Error;
use crate::limits::{CERTIFICATE_NAMES_MAX, CHAIN_CERTIFICATES_MAX, CHAIN_OCTETS_MAX, PEM_OCTETS_MAX};
use crate::tls::{Roots, provider, verify_web_pki};
use data_encoding::BASE64;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use std::{fmt, sync::Arc, time::Duration};
use zeroize::Zeroizing;

/// How a SubjectPublicKeyInfo with an Ed25519 key begins; the 32 octets of the key follow (RFC 8410, section
/// 4).
const ED25519_INFO_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// How a PKCS#8 structure with an Ed25519 key begins; the 32 octets of the seed follow (RFC 8410, section 7).
const ED25519_PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// PEM lines have 64 characters (RFC 7468, section 2).
const PEM_LINE_CHARACTERS: usize = 64;

/// SHA-256 of the certificate's SubjectPublicKeyInfo. keeps: TRA-5
///
/// # Errors
/// [`Error::BadCertificate`] where the octets are no X.509 version 3 certificate.
pub fn key_digest(certificate: &CertificateDer<'_>) -> Result<[u8; 32], Error> {
    Ok(Sha256::digest(public_key_info(certificate)?).into())
}

/// The same digest of an Ed25519 public key, as a device shows it.
pub fn ed25519_key_digest(public_key: &[u8; 32]) -> [u8; 32] {
    Sha256::digest([&ED25519_INFO_PREFIX[..], public_key].concat()).into()
}

/// Which kind of key to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256: what public certificate authorities certify; for hosts.
    EcdsaP256,
    /// Ed25519: for devices, whose public key is their identity.
    Ed25519,
}

/// A private key and the certificate chain that goes with it. Cheap to clone.
#[derive(Clone)]
pub struct HostKey(Arc<Inner>);

struct Inner {
    key: PrivateKeyDer<'static>,
    certified: Arc<CertifiedKey>,
    key_digest: [u8; 32],
    chain_digest: [u8; 32],
}

impl HostKey {
    /// Makes a new key and a self-signed certificate for the given DNS names.
    ///
    /// # Errors
    /// [`Error::BadName`] for a name that no certificate can carry; [`Error::OwnIdentity`] where signing
    /// fails.
    pub fn generate(kind: KeyKind, names: &[&str]) -> Result<Self, Error> {
        let algorithm = match kind {
            KeyKind::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyKind::Ed25519 => &rcgen::PKCS_ED25519,
        };
        Self::self_signed(&rcgen::KeyPair::generate_for(algorithm).map_err(unusable)?, names)
    }

    /// Wraps the Ed25519 key with this seed (RFC 8032, section 5.1.5) into a self-signed certificate.
    ///
    /// # Errors
    /// As [`HostKey::generate`].
    pub fn from_ed25519_seed(seed: &[u8; 32], names: &[&str]) -> Result<Self, Error> {
        let document = Zeroizing::new([&ED25519_PKCS8_PREFIX[..], seed].concat());
        let key = PrivatePkcs8KeyDer::from(document.as_slice());
        let pair =
            rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ED25519).map_err(unusable)?;
        Self::self_signed(&pair, names)
    }

    /// Takes a key and its chain, end entity first.
    ///
    /// # Errors
    /// [`Error::OwnIdentity`] where the key is of an unknown kind, the chain is empty, too long or malformed,
    /// or the two do not belong together.
    pub fn from_der(key: PrivateKeyDer<'static>, chain: Vec<CertificateDer<'static>>) -> Result<Self, Error> {
        check_chain(&chain).map_err(unusable)?;
        let end_entity = chain.first().ok_or_else(|| unusable("the chain is empty"))?;
        let key_digest = key_digest(end_entity).map_err(unusable)?;
        let mut chain_hash = Sha256::new();
        for certificate in &chain {
            chain_hash.update((certificate.len() as u64).to_be_bytes());
            chain_hash.update(certificate);
        }
        let certified = CertifiedKey::from_der(chain, key.clone_key(), &provider()).map_err(unusable)?;
        Ok(Self(Arc::new(Inner {
            key,
            certified: Arc::new(certified),
            key_digest,
            chain_digest: chain_hash.finalize().into(),
        })))
    }

    /// Reads a key and its chain from PEM texts (RFC 7468); both may be the same text.
    ///
    /// # Errors
    /// [`Error::OwnIdentity`] as for [`HostKey::from_der`], and where the PEM is malformed or too long.
    pub fn from_pem(key: &str, chain: &str) -> Result<Self, Error> {
        if key.len().max(chain.len()) > PEM_OCTETS_MAX {
            return Err(unusable("the PEM text is too long"));
        }
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(unusable)?;
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
            .take(CHAIN_CERTIFICATES_MAX + 1)
            .collect::<Result<Vec<_>, _>>()
            .map_err(unusable)?;
        Self::from_der(key, chain)
    }

    /// The private key as PEM. Whoever writes it to a file makes that file readable to its owner alone.
    pub fn key_pem(&self) -> Zeroizing<String> {
        let label = match self.0.key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        Zeroizing::new(pem(label, self.0.key.secret_der()))
    }

    /// The chain as PEM, end entity first.
    pub fn chain_pem(&self) -> String {
        self.chain().iter().map(|certificate| pem("CERTIFICATE", certificate)).collect()
    }

    /// The chain, end entity first; never empty.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.certified.cert
    }

    /// The digest by which others pin this key or publish it as `TLSA 3 1 1`.
    pub fn key_digest(&self) -> [u8; 32] {
        self.0.key_digest
    }

    /// The dNSName entries of the certificate, in lower case; at most [`CERTIFICATE_NAMES_MAX`].
    pub fn names(&self) -> Vec<String> {
        let parsed = self.chain().first().and_then(|first| webpki::EndEntityCert::try_from(first).ok());
        parsed.map(|parsed| names(&parsed)).unwrap_or_default()
    }

    /// What rustls signs with.
    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        self.0.certified.clone()
    }

    /// Tells two identities apart, even where a renewed certificate has the same key.
    pub(crate) fn chain_digest(&self) -> [u8; 32] {
        self.0.chain_digest
    }

    fn self_signed(pair: &rcgen::KeyPair, names: &[&str]) -> Result<Self, Error> {
        let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let parameters =
            rcgen::CertificateParams::new(owned).map_err(|_| Error::BadName(names.join(", ")))?;
        let certificate = parameters.self_signed(pair).map_err(unusable)?;
        let key = PrivatePkcs8KeyDer::from(pair.serialize_der());
        Self::from_der(key.into(), vec![certificate.der().clone()])
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = data_encoding::HEXLOWER.encode(&self.key_digest());
        f.debug_struct("HostKey").field("key_digest", &digest).finish_non_exhaustive()
    }
}

fn names(certificate: &webpki::EndEntityCert<'_>) -> Vec<String> {
    certificate.valid_dns_names().take(CERTIFICATE_NAMES_MAX).map(str::to_ascii_lowercase).collect()
}

/// What a peer has proved in the handshake: that it holds the key of this certificate. Cheap to clone.
///
/// Nothing else is implied: who that is follows from a pin, from DANE, or from [`Peer::web_pki_valid_for`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer(Arc<PeerInner>);

#[derive(Debug, PartialEq, Eq)]
struct PeerInner {
    chain: Vec<CertificateDer<'static>>,
    key_info: Vec<u8>,
    key_digest: [u8; 32],
    names: Vec<String>,
}

impl Peer {
    /// Reads a chain, end entity first, whose possession the handshake has proved.
    pub(crate) fn from_chain(chain: Vec<CertificateDer<'static>>) -> Result<Self, Error> {
        check_chain(&chain)?;
        let end_entity = chain.first().ok_or_else(|| malformed("the chain is empty"))?;
        let parsed = webpki::EndEntityCert::try_from(end_entity).map_err(malformed)?;
        let key_info = parsed.subject_public_key_info().to_vec();
        let names = names(&parsed);
        let key_digest = Sha256::digest(&key_info).into();
        Ok(Self(Arc::new(PeerInner { chain, key_info, key_digest, names })))
    }

    /// The chain, end entity first; never empty.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.chain
    }

    /// Digest of the peer's public key, to be compared with pins and `TLSA 3 1 1` records.
    pub fn key_digest(&self) -> [u8; 32] {
        self.0.key_digest
    }

    /// The dNSName entries of the certificate, in lower case: a claim, not a proof. May hold wildcards; at
    /// most [`CERTIFICATE_NAMES_MAX`] are kept.
    pub fn names(&self) -> &[String] {
        &self.0.names
    }

    /// The peer's public key, where it is an Ed25519 key. keeps: TRA-8
    pub fn ed25519_public_key(&self) -> Option<[u8; 32]> {
        self.0.key_info.strip_prefix(&ED25519_INFO_PREFIX[..])?.try_into().ok()
    }

    /// Whether the certificate chains to one of `roots` and is valid for one of `names` at this time; returns
    /// the name that it is valid for.
    ///
    /// The certificate is judged as a server's: public authorities no longer issue for the client's purpose,
    /// and a sending host shows the certificate under which it also receives. keeps: TRA-9
    ///
    /// # Errors
    /// [`Error::NotValidForNames`] with the reason.
    pub fn web_pki_valid_for<'n>(
        &self,
        names: &'n [String],
        roots: &Roots,
        now_ms: u64,
    ) -> Result<&'n str, Error> {
        let now = UnixTime::since_unix_epoch(Duration::from_millis(now_ms));
        let (end_entity, intermediates) =
            self.0.chain.split_first().ok_or_else(|| malformed("the chain is empty"))?;
        verify_web_pki(end_entity, intermediates, names, roots, now)
            .map_err(|error| Error::NotValidForNames(error.to_string()))
    }
}

/// Refuses a chain that is longer than any honest one.
pub(crate) fn check_chain(chain: &[CertificateDer<'_>]) -> Result<(), Error> {
    let octets: usize = chain.iter().map(|certificate| certificate.len()).sum();
    if chain.len() > CHAIN_CERTIFICATES_MAX || octets > CHAIN_OCTETS_MAX {
        return Err(malformed("the chain is too long"));
    }
    Ok(())
}

fn public_key_info(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, Error> {
    let parsed = webpki::EndEntityCert::try_from(certificate).map_err(malformed)?;
    Ok(parsed.subject_public_key_info().to_vec())
}

fn pem(label: &str, der: &[u8]) -> String {
    let encoded = Zeroizing::new(BASE64.encode(der));
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(PEM_LINE_CHARACTERS));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

fn unusable(reason: impl fmt::Display) -> Error {
    Error::OwnIdentity(reason.to_string())
}

fn malformed(reason: impl fmt::Display) -> Error {
    Error::BadCertificate(reason.to_string())
}
