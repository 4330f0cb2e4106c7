//! Asking others over HTTPS: nobody but the domain itself, for a short time, and little of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use dns::Resolver;
use hyper::Method;
use message::address::Domain;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::Later;
use crate::https::{self, Question, Trouble};
use crate::limits::{FORWARD_DOCUMENT_OCTETS_MAX, FORWARD_FETCH_TIME_MAX};

/// The port of HTTPS.
const PORT: u16 = 443;
/// Addresses of one host that are tried: both families, and one more.
const ADDRESSES_MAX: usize = 3;

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The status.
    pub status: u16,
    /// The body, whole.
    pub body: Bytes,
}

/// Why nothing was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// It is not reached, or does not answer in time.
    #[error("not reached: {0}")]
    Unreachable(String),
    /// It is not who it must be, or does what it must not.
    #[error("refused: {0}")]
    Refused(String),
}

/// Who asks others.
pub trait Fetch: Send + Sync + 'static {
    /// GET of a path at a domain that proves its name.
    fn get<'a>(&'a self, domain: &'a Domain, path: &'a str) -> Later<'a, Result<Fetched, FetchError>>;

    /// POST to a path at a domain that proves its name.
    fn post<'a>(
        &'a self,
        domain: &'a Domain,
        path: &'a str,
        media_type: &'a str,
        body: Vec<u8>,
    ) -> Later<'a, Result<Fetched, FetchError>>;
}

/// Asks over HTTPS. keeps: FWD-10, FWD-15
pub struct Https {
    resolver: Arc<dyn Resolver>,
    tls: TlsConnector,
    hosts: BTreeMap<Domain, SocketAddr>,
    allowed: fn(SocketAddr) -> bool,
}

impl Https {
    /// With these authorities, in PEM. `hosts` are addresses that the operator has named for domains; any other must be
    /// `allowed`.
    ///
    /// # Errors
    /// In words, where there is no authority in it.
    pub fn new(
        resolver: Arc<dyn Resolver>,
        roots: &str,
        hosts: BTreeMap<Domain, SocketAddr>,
        allowed: fn(SocketAddr) -> bool,
    ) -> Result<Https, String> {
        let mut store = RootCertStore::empty();
        let found = CertificateDer::pem_slice_iter(roots.as_bytes()).filter_map(Result::ok);
        if store.add_parsable_certificates(found).0 == 0 {
            return Err("there is no authority in it".to_owned());
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Https { resolver, tls: TlsConnector::from(Arc::new(config)), hosts, allowed })
    }

    async fn ask(
        &self,
        method: Method,
        domain: &Domain,
        path: &str,
        content: Option<(&str, Vec<u8>)>,
    ) -> Result<Fetched, FetchError> {
        let asking = self.ask_in_time(method, domain, path, content);
        match tokio::time::timeout(FORWARD_FETCH_TIME_MAX, asking).await {
            Ok(answer) => answer,
            Err(_) => Err(FetchError::Unreachable(format!("{domain} does not answer in time"))),
        }
    }

    async fn ask_in_time(
        &self,
        method: Method,
        domain: &Domain,
        path: &str,
        content: Option<(&str, Vec<u8>)>,
    ) -> Result<Fetched, FetchError> {
        let stream = self.connect(domain).await?;
        let question = Question {
            method,
            host: domain.as_str(),
            path,
            accept: "application/json",
            content,
            octets_max: FORWARD_DOCUMENT_OCTETS_MAX,
        };
        match https::ask(stream, &self.tls, question).await {
            Ok(answer) => Ok(Fetched { status: answer.status, body: answer.body }),
            Err(Trouble::Unreachable(text)) => Err(FetchError::Unreachable(text)),
            Err(Trouble::Refused(text)) => Err(FetchError::Refused(text)),
        }
    }

    /// To the address that the operator has named, or to one in the DNS that may be connected to. The name of the domain
    /// is proved afterwards, whatever the DNS says.
    async fn connect(&self, domain: &Domain) -> Result<TcpStream, FetchError> {
        let unreachable =
            |error: &dyn std::fmt::Display| FetchError::Unreachable(format!("{domain}: {error}"));
        if let Some(named) = self.hosts.get(domain) {
            return TcpStream::connect(named).await.map_err(|error| unreachable(&error));
        }
        let found = self.resolver.addresses(domain.as_str()).await.map_err(|error| unreachable(&error))?;
        let mut last = FetchError::Unreachable(format!("{domain} has no address"));
        for address in found.records.into_iter().take(ADDRESSES_MAX) {
            let at = SocketAddr::new(address, PORT);
            if !(self.allowed)(at) {
                last = FetchError::Refused(format!("{domain} is at {address}, where nothing is asked"));
                continue;
            }
            match TcpStream::connect(at).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = unreachable(&error),
            }
        }
        Err(last)
    }
}

impl Fetch for Https {
    fn get<'a>(&'a self, domain: &'a Domain, path: &'a str) -> Later<'a, Result<Fetched, FetchError>> {
        Box::pin(self.ask(Method::GET, domain, path, None))
    }

    fn post<'a>(
        &'a self,
        domain: &'a Domain,
        path: &'a str,
        media_type: &'a str,
        body: Vec<u8>,
    ) -> Later<'a, Result<Fetched, FetchError>> {
        Box::pin(self.ask(Method::POST, domain, path, Some((media_type, body))))
    }
}
