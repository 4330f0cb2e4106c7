//! One small text over HTTPS, for policies.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::limits::{STS_FETCH_TIME_MAX, STS_HEAD_OCTETS_MAX, STS_POLICY_OCTETS_MAX};
use super::tls::{Protection, handshake};
use std::net::SocketAddr;

/// Fetches `https://host/path` from one of the addresses. The certificate must be one of a public authority for the host;
/// only 200 counts, no redirection is followed, and the text must be `text/plain`. keeps: GW-44
///
/// # Errors
/// With why not, for people.
pub(super) async fn fetch(
    addresses: &[SocketAddr],
    host: &str,
    path: &str,
    roots: &Arc<RootCertStore>,
) -> Result<Bytes, String> {
    match timeout(STS_FETCH_TIME_MAX, fetch_in_time(addresses, host, path, roots)).await {
        Ok(text) => text,
        Err(_) => Err("no answer in time".to_owned()),
    }
}

async fn fetch_in_time(
    addresses: &[SocketAddr],
    host: &str,
    path: &str,
    roots: &Arc<RootCertStore>,
) -> Result<Bytes, String> {
    let stream = TcpStream::connect(addresses).await.map_err(|error| error.to_string())?;
    let stream = handshake(stream, host, &Protection::WebPki, roots, STS_FETCH_TIME_MAX)
        .await
        .map_err(|trouble| trouble.text)?;
    let mut settings = http1::Builder::new();
    settings.max_buf_size(STS_HEAD_OCTETS_MAX);
    let (mut sender, connection) =
        settings.handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // It drives the connection, and ends with this call: a set of tasks aborts what is left of it.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = Request::get(path)
        .header(HOST, host)
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    if response.status() != StatusCode::OK {
        return Err(format!("it answered {}", response.status()));
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("text/plain") {
        return Err(format!("it is {kind:?} and not text/plain"));
    }
    let body = Limited::new(response.into_body(), STS_POLICY_OCTETS_MAX);
    body.collect().await.map(|body| body.to_bytes()).map_err(|error| error.to_string())
}
