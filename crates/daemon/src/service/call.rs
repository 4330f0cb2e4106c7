//! One call of a policy service.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;

use crate::limits::{SERVICE_ANSWER_OCTETS_MAX, SERVICE_HEAD_OCTETS_MAX};

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A socket of this machine.
    Unix(PathBuf),
    /// An address of this machine, and the path of the resource.
    Loopback(SocketAddr, String),
}

impl Place {
    /// Reads `unix:PATH`, the path seen from this folder, or `http://127.0.0.1:PORT/PATH`. Other machines are not asked:
    /// what is known about mail would go there in clear.
    pub(crate) fn parse(text: &str, folder: &Path) -> Result<Place, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: needs the path of a socket".to_owned()),
                path => Ok(Place::Unix(folder.join(path))),
            };
        }
        let wrong = || format!("{text:?} is neither unix:PATH nor http://127.0.0.1:PORT/PATH");
        let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
        let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
        let address: SocketAddr = address.parse().map_err(|_| wrong())?;
        let path = format!("/{path}");
        let clean = path.bytes().all(|octet| octet.is_ascii_graphic()) && path.parse::<hyper::Uri>().is_ok();
        match address.ip().is_loopback() && clean {
            true => Ok(Place::Loopback(address, path)),
            false => Err(wrong()),
        }
    }

    /// Asks, and gives the octets of the answer; none where the service has nothing to say (204).
    pub(crate) async fn ask(&self, question: Vec<u8>) -> Result<Bytes, String> {
        match self {
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|error| error.to_string())?;
                exchange(stream, "localhost", "/", question).await
            }
            Place::Loopback(address, path) => {
                let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
                exchange(stream, &address.to_string(), path, question).await
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Place::Loopback(address, path) => write!(formatter, "http://{address}{path}"),
        }
    }
}

async fn exchange<S>(stream: S, host: &str, path: &str, question: Vec<u8>) -> Result<Bytes, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut settings = http1::Builder::new();
    settings.max_buf_size(SERVICE_HEAD_OCTETS_MAX);
    let (mut sender, connection) =
        settings.handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // It drives the connection, and ends with this call: a set of tasks aborts what is left of it.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = Request::post(path)
        .header(HOST, host)
        .header(CONNECTION, "close")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(question)))
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    match response.status() {
        StatusCode::OK => {
            let body = Limited::new(response.into_body(), SERVICE_ANSWER_OCTETS_MAX);
            body.collect().await.map(|body| body.to_bytes()).map_err(|error| error.to_string())
        }
        StatusCode::NO_CONTENT => Ok(Bytes::new()),
        status => Err(format!("it answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: REP-15
    #[test]
    fn a_service_is_on_this_machine() {
        let check = |text: &str, expected: Option<&str>| {
            let place = Place::parse(text, Path::new("/etc/waxwing")).ok().map(|place| place.to_string());
            assert_eq!(place.as_deref(), expected, "{text}");
        };
        check("unix:policy.sock", Some("unix:/etc/waxwing/policy.sock"));
        check("unix:/run/policy.sock", Some("unix:/run/policy.sock"));
        check("http://127.0.0.1:8080", Some("http://127.0.0.1:8080/"));
        check("http://127.0.0.1:8080/mail/policy?v=1", Some("http://127.0.0.1:8080/mail/policy?v=1"));
        check("http://[::1]:8080/x", Some("http://[::1]:8080/x"));
        check("unix:", None);
        check("http://192.0.2.1:8080/", None);
        check("http://0.0.0.0:8080/", None);
        check("http://localhost:8080/", None);
        check("http://127.0.0.1/", None);
        check("https://127.0.0.1:8080/", None);
        check("http://127.0.0.1:8080/a b", None);
        check("http://127.0.0.1:8080/a\r\nX: y", None);
        check("", None);
    }
}
