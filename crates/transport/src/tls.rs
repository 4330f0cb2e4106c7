//! The TLS settings, made by hand: TLS 1.3 alone, hybrid key exchange first, no early data, no tickets, and
//! the house's own answer to "who is the server?" ([`Expectation`]).
//!
//! A client's certificate is only checked for possession here; who that client is gets decided after the
//! handshake by those who have DNS and settings, from [`crate::identity::Peer`].

use crate::endpoint::{Alpn, ServerIdentity};
use crate::error::Error;
use crate::identity::{HostKey, check_chain, key_digest};
use crate::limits::PEM_OCTETS_MAX;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore};
use rustls::{ServerConfig, SignatureScheme};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fmt, hash, sync::Arc};

/// Who the server must be. May differ from one connection to the next.
///
/// An empty list matches nobody.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expectation {
    /// A certificate that chains to one of the roots, is within its dates, and names one of the names.
    /// keeps: TRA-6
    WebPki {
        /// The names, any of which will do: the mail domain, or the target where DNSSEC vouches for it.
        names: Vec<String>,
        /// The authorities that are trusted.
        roots: Roots,
    },
    /// A key that secure DNS names (`TLSA 3 1 1`); names and dates do not count (RFC 7671, section 5.1).
    /// keeps: TRA-7
    Dane {
        /// SHA-256 of the SubjectPublicKeyInfo, one of each record.
        digests: Vec<[u8; 32]>,
    },
    /// A key that the settings name; names and dates do not count. keeps: TRA-7
    Pinned {
        /// SHA-256 of the SubjectPublicKeyInfo, any of which will do.
        digests: Vec<[u8; 32]>,
    },
}

/// A set of trusted certificate authorities. Cheap to clone; equal where the authorities are the same.
#[derive(Clone)]
pub struct Roots {
    store: Arc<RootCertStore>,
    digest: [u8; 32],
}

impl Roots {
    /// Takes a store.
    pub fn new(store: RootCertStore) -> Self {
        let mut digest = Sha256::new();
        for anchor in &store.roots {
            let constraints = anchor.name_constraints.as_ref().map_or(&[][..], |found| found.as_ref());
            for field in [anchor.subject.as_ref(), anchor.subject_public_key_info.as_ref(), constraints] {
                digest.update((field.len() as u64).to_be_bytes());
                digest.update(field);
            }
        }
        Self { store: Arc::new(store), digest: digest.finalize().into() }
    }

    /// Reads authorities from PEM, as in an operator's own bundle.
    ///
    /// # Errors
    /// [`Error::OwnIdentity`] where the text is malformed, too long, or holds no certificate.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        let unusable = |reason: &dyn fmt::Display| Error::OwnIdentity(reason.to_string());
        // A system's whole bundle has some 150 authorities, four times what a key or chain may have.
        if text.len() > 4 * PEM_OCTETS_MAX {
            return Err(unusable(&"the PEM text is too long"));
        }
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
            let certificate = certificate.map_err(|error| unusable(&error))?;
            store.add(certificate).map_err(|error| unusable(&error))?;
        }
        if store.is_empty() {
            return Err(unusable(&"the PEM text holds no certificate"));
        }
        Ok(Self::new(store))
    }
}

impl PartialEq for Roots {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Roots {}

impl hash::Hash for Roots {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({} authorities)", self.store.len())
    }
}

/// The cryptography of the house: aws-lc-rs, hybrid X25519MLKEM768 preferred. keeps: TRA-2
///
/// Built anew on every call, which copies some pointers, so that the process needs no global one.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    // The order is the preference; a client sends key shares for the first and for X25519.
    provider.kx_groups = vec![
        aws_lc_rs::kx_group::X25519MLKEM768,
        aws_lc_rs::kx_group::X25519,
        aws_lc_rs::kx_group::SECP256R1,
        aws_lc_rs::kx_group::SECP384R1,
    ];
    Arc::new(provider)
}

/// TLS settings of a client that shows `identity`, if any, and accepts only what `expectation` says.
/// keeps: TRA-2, TRA-3
pub(crate) fn client_config(
    identity: Option<&HostKey>,
    expectation: &Expectation,
    alpn: Alpn,
) -> Result<ClientConfig, Error> {
    let verifier = ServerVerifier {
        expectation: expectation.clone(),
        algorithms: provider().signature_verification_algorithms,
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Error::OwnIdentity(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity {
        Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key.certified()))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.name().to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

/// TLS settings of a server that speaks these protocols. keeps: TRA-2, TRA-3, TRA-8
pub(crate) fn server_config(identity: &ServerIdentity, alpns: &[Alpn]) -> Result<ServerConfig, Error> {
    let by_name =
        identity.by_name.iter().map(|(name, key)| (name.to_ascii_lowercase(), key.certified())).collect();
    let resolver = ByName { by_name, otherwise: identity.otherwise.certified() };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Error::OwnIdentity(error.to_string()))?
        .with_client_cert_verifier(Arc::new(ClientVerifier {
            algorithms: provider().signature_verification_algorithms,
        }))
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = alpns.iter().map(|alpn| alpn.name().to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.send_half_rtt_data = false;
    Ok(config)
}

/// Checks a chain by WebPKI for the first of `names` that the certificate carries, and returns that name.
pub(crate) fn verify_web_pki<'n>(
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    names: &'n [String],
    roots: &Roots,
    now: UnixTime,
) -> Result<&'n str, rustls::Error> {
    // Names are compared first, because that is cheap and the signatures are not.
    let parsed = ParsedCertificate::try_from(end_entity)?;
    let named = names.iter().find_map(|text| {
        let name = ServerName::try_from(text.as_str()).ok()?;
        verify_server_name(&parsed, &name).ok().map(|()| (text, name))
    });
    let (text, name) = named.ok_or(CertificateError::NotValidForName)?;
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.store.clone(), provider())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    verifier.verify_server_cert(end_entity, intermediates, &name, &[], now)?;
    Ok(text)
}

/// The methods by which either verifier checks that the other side holds its key: in TLS 1.3 only, since QUIC has no
/// TLS 1.2 (RFC 9001, section 4.2), so that such a signature is never asked for.
macro_rules! tls13_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _certificate: &CertificateDer<'_>,
            _signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Err(rustls::PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            verify_tls13_signature(message, certificate, signature, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}

/// Performs an [`Expectation`], and nothing else.
struct ServerVerifier {
    expectation: Expectation,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        check_chain(intermediates).map_err(|_| CertificateError::BadEncoding)?;
        match &self.expectation {
            Expectation::WebPki { names, roots } => {
                verify_web_pki(end_entity, intermediates, names, roots, now)?;
            }
            Expectation::Dane { digests } | Expectation::Pinned { digests } => {
                let digest = key_digest(end_entity).map_err(|_| CertificateError::BadEncoding)?;
                if !digests.contains(&digest) {
                    return Err(CertificateError::ApplicationVerificationFailure.into());
                }
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    tls13_signatures!();
}

impl fmt::Debug for ServerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerVerifier").field(&self.expectation).finish()
    }
}

/// Asks every client for a certificate, requires none, and checks that the client holds its key.
struct ClientVerifier {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        check_chain(intermediates).map_err(|_| CertificateError::BadEncoding)?;
        ParsedCertificate::try_from(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    tls13_signatures!();
}

impl fmt::Debug for ClientVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientVerifier")
    }
}

/// Chooses the server's certificate by the name that the client asks for.
#[derive(Debug)]
struct ByName {
    by_name: BTreeMap<String, Arc<CertifiedKey>>,
    otherwise: Arc<CertifiedKey>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.by_name.get(&name.to_ascii_lowercase()));
        Some(named.unwrap_or(&self.otherwise).clone())
    }
}

#[cfg(test)]
mod tests;
