//! The server of both roles: HTTPS with a certificate of the domain, few paths, small bodies.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State as Shared};
use axum::http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use message::address::Domain;
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::document::{FromDocument, RecordDocument, VERSION, WELL_KNOWN, secret};
use super::page;
use super::{Ask, BookError, Change, Forwarding, Way};
use crate::limits::{
    FORWARD_CONNECTION_TIME_MAX, FORWARD_CONNECTIONS_MAX, FORWARD_CONNECTIONS_PER_NETWORK_MAX,
    FORWARD_DOCUMENT_OCTETS_MAX, FORWARD_FETCH_TIME_MAX, FORWARD_REPORT_OCTETS_MAX,
};
use crate::neighbours::Neighbours;

/// By what the server shows which domain it is.
pub struct Certificate(TlsAcceptor);

impl Certificate {
    /// A chain and its key, in PEM.
    ///
    /// # Errors
    /// In words, where they cannot be read or do not belong together.
    pub fn from_pem(chain: &str, key: &str) -> Result<Certificate, String> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
        let chain = chain.map_err(|error| error.to_string())?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| error.to_string())?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| error.to_string())?;
        Ok(Certificate(TlsAcceptor::from(Arc::new(config))))
    }
}

/// What is served, and where.
pub struct Door {
    /// Where it listens.
    pub listener: TcpListener,
    /// As whom it shows itself.
    pub certificate: Certificate,
    /// Who answers.
    pub forwarding: Arc<Forwarding>,
}

/// Serves until the future is dropped. keeps: FWD-10
pub async fn serve(door: Door) {
    let router = router(door.forwarding);
    let places = Arc::new(Semaphore::new(FORWARD_CONNECTIONS_MAX));
    let neighbours = Neighbours::new(FORWARD_CONNECTIONS_PER_NETWORK_MAX);
    let mut open = tokio::task::JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        // The semaphore is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (stream, from) = match door.listener.accept().await {
            Ok((stream, from)) => (stream, from.ip()),
            Err(error) => {
                tracing::debug!(%error, "a connection was lost before it was there");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        // Who has as many as it may have is not spoken with: others wait for the place.
        let Some(near) = neighbours.take(from) else { continue };
        let (acceptor, router) = (door.certificate.0.clone(), router.clone().layer(Extension(Came(from))));
        open.spawn(async move {
            let _places = (place, near);
            let talk = talk(stream, acceptor, router);
            if tokio::time::timeout(FORWARD_CONNECTION_TIME_MAX, talk).await.is_err() {
                tracing::debug!("a connection was closed because it took too long");
            }
        });
    }
}

async fn talk(stream: TcpStream, acceptor: TlsAcceptor, router: Router) {
    let Ok(Ok(stream)) = tokio::time::timeout(FORWARD_FETCH_TIME_MAX, acceptor.accept(stream)).await else {
        return;
    };
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(FORWARD_FETCH_TIME_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection has ended badly");
    }
}

/// From where a connection comes.
#[derive(Clone, Copy)]
struct Came(IpAddr);

type Ours = Arc<Forwarding>;

fn router(forwarding: Ours) -> Router {
    let reports = DefaultBodyLimit::max(FORWARD_REPORT_OCTETS_MAX);
    Router::new()
        .route(WELL_KNOWN, get(capabilities))
        .route(&format!("{WELL_KNOWN}/asks"), post(asked))
        .route(&format!("{WELL_KNOWN}/asks/{{ask}}"), get(question))
        .route(&format!("{WELL_KNOWN}/asks/{{ask}}/complaints"), post(complained).layer(reports))
        .route(&format!("{WELL_KNOWN}/records/{{credential}}"), get(record).post(change))
        .layer(DefaultBodyLimit::max(FORWARD_DOCUMENT_OCTETS_MAX))
        .with_state(forwarding)
}

/// The domain that is asked, which must be one of ours.
fn asked_of(ours: &Forwarding, headers: &HeaderMap) -> Result<Domain, StatusCode> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).ok_or(StatusCode::BAD_REQUEST)?;
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let domain = Domain::parse(name).map_err(|_| StatusCode::BAD_REQUEST)?;
    if ours.serves(&domain) { Ok(domain) } else { Err(StatusCode::MISDIRECTED_REQUEST) }
}

async fn capabilities(Shared(ours): Shared<Ours>, headers: HeaderMap) -> Response {
    match asked_of(&ours, &headers) {
        Ok(domain) => json(&ours.capabilities(&domain)),
        Err(status) => status.into_response(),
    }
}

async fn asked(
    Shared(ours): Shared<Ours>,
    Extension(Came(from)): Extension<Came>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(status) = asked_of(&ours, &headers) {
        return status.into_response();
    }
    let Ok(ask) = serde_json::from_slice::<Ask>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match ours.answer(&ask, from).await {
        Ok(standing) => json(&standing),
        Err(error) => later(&error),
    }
}

async fn question(Shared(ours): Shared<Ours>, headers: HeaderMap, Path(ask): Path<String>) -> Response {
    let domain = match asked_of(&ours, &headers) {
        Ok(domain) => domain,
        Err(status) => return status.into_response(),
    };
    match ours.question(&domain, &ask) {
        Ok(Some(question)) => json(&question),
        Ok(None) => nothing(),
        Err(error) => later(&error),
    }
}

async fn complained(
    Shared(ours): Shared<Ours>,
    headers: HeaderMap,
    Path(ask): Path<String>,
    body: Bytes,
) -> Response {
    let domain = match asked_of(&ours, &headers) {
        Ok(domain) => domain,
        Err(status) => return status.into_response(),
    };
    // The boundary stands in the header of what came, and a report says it again in its own.
    let media_type = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let report = [b"MIME-Version: 1.0\r\nContent-Type: ", media_type, b"\r\n\r\n", &body[..]].concat();
    match ours.take_report(&domain, &ask, &report).await {
        Ok(true) => StatusCode::NO_CONTENT.into_response(),
        Ok(false) => nothing(),
        Err(error) => later(&error),
    }
}

async fn record(Shared(ours): Shared<Ours>, headers: HeaderMap, Path(credential): Path<String>) -> Response {
    match found(&ours, &headers, &credential) {
        Ok((_, way)) => shown(&ours, &headers, &way),
        Err(answer) => *answer,
    }
}

/// keeps: FWD-20
async fn change(
    Shared(ours): Shared<Ours>,
    headers: HeaderMap,
    Path(credential): Path<String>,
    body: Bytes,
) -> Response {
    let (secret, way) = match found(&ours, &headers, &credential) {
        Ok(found) => found,
        Err(answer) => return *answer,
    };
    let wanted = match page::wanted(&headers, &body) {
        Some(word) => Change::from_word(&word),
        None => None,
    };
    let Some(wanted) = wanted else { return StatusCode::BAD_REQUEST.into_response() };
    if let Err(error) = ours.book.change(way, wanted).await {
        return later(&error);
    }
    match ours.book.way_by_credential(&secret) {
        Ok(Some(way)) => shown(&ours, &headers, &way),
        Ok(None) => nothing(),
        Err(error) => later(&error),
    }
}

/// The record with this credential.
fn found(ours: &Forwarding, headers: &HeaderMap, credential: &str) -> Result<([u8; 32], Way), Box<Response>> {
    asked_of(ours, headers).map_err(|status| Box::new(status.into_response()))?;
    let secret = secret(credential).ok_or_else(|| Box::new(nothing()))?;
    let way = ours.book.way_by_credential(&secret).map_err(|error| Box::new(later(&error)))?;
    let way = way.ok_or_else(|| Box::new(nothing()))?;
    Ok((secret, way))
}

fn shown(ours: &Forwarding, headers: &HeaderMap, way: &Way) -> Response {
    let upstream = match ours.book.upstream(&way.alias) {
        Ok(upstream) => upstream,
        Err(error) => return later(&error),
    };
    let from = upstream
        .into_iter()
        .map(|one| FromDocument { forwarder: one.forwarder.as_str().to_owned(), page: one.page });
    let document = RecordDocument {
        version: VERSION,
        alias: way.alias.to_string(),
        target: way.target.to_string(),
        state: way.state.word().to_owned(),
        since_ms: way.since_ms,
        conceal: way.conceal,
        from: from.collect(),
    };
    let accepts = headers.get(ACCEPT).and_then(|accepts| accepts.to_str().ok()).unwrap_or("");
    if accepts.contains("application/json") {
        return json(&document);
    }
    guarded((StatusCode::OK, [(CONTENT_TYPE, "text/html; charset=utf-8")], page::page(&document)))
}

fn json(document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(octets) => guarded((StatusCode::OK, [(CONTENT_TYPE, "application/json")], octets)),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The same for what never was, is gone and cannot be read.
fn nothing() -> Response {
    guarded((StatusCode::NOT_FOUND, [(ALLOW, "GET")], "there is nothing here\n"))
}

fn later(error: &BookError) -> Response {
    tracing::debug!(%error, "a question about forwarding is put off");
    guarded((StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "60")], "not now\n"))
}

/// keeps: FWD-20
fn guarded(answer: impl IntoResponse) -> Response {
    let fields: [(HeaderName, &str); 5] = [
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
    ];
    (fields, answer).into_response()
}

/// Says the same to whoever comes, for tests of those who ask.
#[cfg(test)]
pub(super) async fn say(listener: TcpListener, certificate: Certificate, answer: &'static [u8]) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(mut stream) = certificate.0.accept(stream).await else { continue };
        let mut octets = [0; 4096];
        let _ = stream.read(&mut octets).await;
        let _ = stream.write_all(answer).await;
        let _ = stream.shutdown().await;
    }
}
