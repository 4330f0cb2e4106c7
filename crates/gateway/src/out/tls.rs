//! TLS towards a server, and what its certificate must be.

use std::sync::Arc;
use std::time::Duration;

use message::Code;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connection::Duplex;
use super::dane::{Association, anchors, is_named};
use super::trip::Trouble;

/// How a connection has to be protected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protection {
    /// By TLS where it is offered, whatever the certificate: better than nothing, and no more is known (RFC 7435).
    Opportunistic,
    /// By TLS, whatever the certificate.
    Encrypt,
    /// By TLS with a certificate of a public authority for the host's name.
    WebPki,
    /// By TLS with a certificate that secure DNS names; where its chain leads to a named one, for one of these names.
    Dane(Vec<Association>, Vec<String>),
}

impl Protection {
    pub(super) fn is_required(&self) -> bool {
        *self != Protection::Opportunistic
    }
}

/// The cryptography of the house.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Makes the handshake.
///
/// # Errors
/// With the kind of failure that a TLS report names (RFC 8460 section 4.3).
pub(super) async fn handshake<S: Duplex>(
    stream: S,
    host: &str,
    protection: &Protection,
    roots: &Arc<RootCertStore>,
    limit: Duration,
) -> Result<TlsStream<S>, Trouble> {
    let failed = |kind, text: String| Err(Trouble::of_tls(kind, Code::new(4, 7, 5), text));
    let settings = match client_settings(protection, roots) {
        Ok(settings) => settings,
        Err(text) => return failed("validation-failure", text),
    };
    let Ok(name) = ServerName::try_from(host.to_owned()) else {
        return failed("validation-failure", format!("{host} is no name that a certificate can have"));
    };
    let connector = TlsConnector::from(Arc::new(settings));
    match timeout(limit, connector.connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => failed(kind_of(&error), format!("TLS with {host}: {error}")),
        Err(_) => failed("validation-failure", format!("TLS with {host}: no end of the handshake in time")),
    }
}

/// How a client speaks TLS where this is wanted of the other side.
pub(super) fn client_settings(
    protection: &Protection,
    roots: &Arc<RootCertStore>,
) -> Result<ClientConfig, String> {
    let provider = provider();
    let verifier = Verifier {
        protection: protection.clone(),
        roots: Arc::clone(roots),
        provider: Arc::clone(&provider),
    };
    let mut settings = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    settings.resumption = Resumption::disabled();
    Ok(settings)
}

fn kind_of(error: &std::io::Error) -> &'static str {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(reason)) => match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "certificate-expired",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "certificate-host-mismatch"
            }
            CertificateError::UnknownIssuer => "certificate-not-trusted",
            _ => "validation-failure",
        },
        _ => "validation-failure",
    }
}

#[derive(Debug)]
struct Verifier {
    protection: Protection,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn by_authority(
        &self,
        roots: &Arc<RootCertStore>,
        chain: (&CertificateDer<'_>, &[CertificateDer<'_>]),
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if roots.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(chain.0, chain.1, name, &[], now)
    }

    /// keeps: GW-47
    fn by_dane(
        &self,
        associations: &[Association],
        names: &[String],
        (end_entity, intermediates): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if is_named(associations, end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        let anchors = Arc::new(anchors(associations, intermediates));
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let fitting = names.iter().filter_map(|name| ServerName::try_from(name.clone()).ok());
        let fitting = fitting.into_iter().find(|name| verify_server_name(&parsed, name).is_ok());
        let name = fitting.ok_or(CertificateError::NotValidForName)?;
        self.by_authority(&anchors, (end_entity, intermediates), &name, now)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = (end_entity, intermediates);
        match &self.protection {
            Protection::Opportunistic | Protection::Encrypt => Ok(ServerCertVerified::assertion()),
            Protection::WebPki => self.by_authority(&self.roots, chain, server_name, now),
            Protection::Dane(associations, names) => self.by_dane(associations, names, chain, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
