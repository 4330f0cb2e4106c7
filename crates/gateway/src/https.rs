//! One question over HTTPS and its answer: to somebody who has proved the name, without redirection, and of a bounded size. How
//! long it may take, and which addresses may be asked, is for whoever asks.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::limits::HTTPS_HEAD_OCTETS_MAX;

/// What is asked.
pub(crate) struct Question<'a> {
    pub(crate) method: Method,
    /// Who has to prove this name.
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    /// The media type that is wanted.
    pub(crate) accept: &'a str,
    /// The media type and the octets of what is sent.
    pub(crate) content: Option<(&'a str, Vec<u8>)>,
    /// Octets of the answer at the most.
    pub(crate) octets_max: usize,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The media type without its parameters, as it was said.
    pub(crate) media_type: String,
    pub(crate) body: Bytes,
}

/// Why nothing was.
pub(crate) enum Trouble {
    /// It does not answer.
    Unreachable(String),
    /// It is not who it must be, or does what it must not.
    Refused(String),
}

impl Trouble {
    /// What it is, for people.
    pub(crate) fn text(self) -> String {
        match self {
            Trouble::Unreachable(text) | Trouble::Refused(text) => text,
        }
    }
}

/// Asks on a connection that is there, and closes it.
///
/// # Errors
/// Why there is no answer.
pub(crate) async fn ask(
    stream: TcpStream,
    tls: &TlsConnector,
    question: Question<'_>,
) -> Result<Answer, Trouble> {
    let refused = |error: &dyn std::fmt::Display| Trouble::Refused(error.to_string());
    let unreachable = |error: &dyn std::fmt::Display| Trouble::Unreachable(error.to_string());
    let Question { method, host, path, accept, content, octets_max } = question;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| refused(&error))?;
    let stream = tls.connect(name, stream).await.map_err(|error| refused(&error))?;
    let mut settings = http1::Builder::new();
    settings.max_buf_size(HTTPS_HEAD_OCTETS_MAX);
    let (mut sender, connection) =
        settings.handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
    // It drives the connection, and ends with this call: a set of tasks aborts what is left of it.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, host)
        .header(ACCEPT, accept)
        .header(CONNECTION, "close")
        .header(USER_AGENT, "waxwing");
    let (media_type, body) = content.unwrap_or_default();
    if !media_type.is_empty() {
        request = request.header(CONTENT_TYPE, media_type);
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| refused(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
    let status = answer.status();
    if status.is_redirection() {
        return Err(Trouble::Refused(format!("{host} leads elsewhere ({})", status.as_u16())));
    }
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = kind.split(';').next().unwrap_or_default().trim().to_owned();
    let body =
        Limited::new(answer.into_body(), octets_max).collect().await.map_err(|error| refused(&error))?;
    Ok(Answer { status: status.as_u16(), media_type, body: body.to_bytes() })
}
