//! One small text over HTTPS, for policies.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use rustls::RootCertStore;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::limits::{STS_FETCH_TIME_MAX, STS_POLICY_OCTETS_MAX};
use super::tls::{Protection, client_settings};
use crate::https::{Question, Trouble, ask};

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
    let tls = TlsConnector::from(Arc::new(client_settings(&Protection::WebPki, roots)?));
    let (content, octets_max) = (None, STS_POLICY_OCTETS_MAX);
    let question = Question { method: Method::GET, host, path, accept: "text/plain", content, octets_max };
    let asking = async {
        let stream = TcpStream::connect(addresses).await.map_err(|error| error.to_string())?;
        ask(stream, &tls, question).await.map_err(Trouble::text)
    };
    let answer = timeout(STS_FETCH_TIME_MAX, asking).await.map_err(|_| "no answer in time".to_owned())??;
    if answer.status != StatusCode::OK.as_u16() {
        return Err(format!("it answered {}", answer.status));
    }
    match answer.media_type.eq_ignore_ascii_case("text/plain") {
        true => Ok(answer.body),
        false => Err(format!("it is {:?} and not text/plain", answer.media_type)),
    }
}
