//! What every request has to pass, and what every answer carries.

use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequest, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use crate::Caller;
use crate::app::{Shared, Somebody};
use crate::error::Error;
use crate::limits::{FIELD_OCTETS_MAX, FORM_OCTETS_MAX, REQUEST_SECONDS_MAX};
use crate::session::Session;

/// What pages may do: nothing but what comes from here, and no script or style that stands in the page.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    connect-src 'self'; frame-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Checks the host and, where something is to be done, the origin; then puts the headers on the answer.
pub(crate) async fn check(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let mut response = match pass(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    // A page that says what it may do itself (mail in HTML, which may do less) keeps its word.
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_POLICY));
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Others never hear where a link was followed from. With `no-referrer` browsers would hide the origin of our own
        // forms from us, too, which is checked.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn pass(app: &Shared, request: &Request) -> Result<(), Error> {
    let host = host(request.headers()).ok_or(Error::WrongHost)?;
    // Whoever points a name of their own at this address (DNS rebinding) is refused by the name.
    let scheme = scheme_of(app, host).ok_or(Error::WrongHost)?;
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(());
    }
    let origin = request.headers().get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    if origin.is_some_and(|origin| origin.eq_ignore_ascii_case(&format!("{scheme}://{host}"))) {
        Ok(())
    } else {
        Err(Error::NotOurs)
    }
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST).and_then(|host| host.to_str().ok())
}

/// How browsers reach this host: `http` on loopback, `https` under the names that were set; `None` for any other.
fn scheme_of(app: &Shared, host: &str) -> Option<&'static str> {
    let listen = app.settings.listen;
    let own = [listen.to_string(), format!("localhost:{}", listen.port())];
    if own.iter().any(|name| name.eq_ignore_ascii_case(host)) {
        Some("http")
    } else {
        app.settings.hosts.iter().any(|name| name.eq_ignore_ascii_case(host)).then_some("https")
    }
}

/// Where a login comes from. What something that does TLS before us says of it is believed under its names only.
///
/// keeps: CON-4
pub(crate) fn network(app: &Shared, parts: &Parts) -> String {
    let shown = host(&parts.headers).is_some_and(|host| scheme_of(app, host) == Some("https"));
    // Each proxy adds to the end, some as a line of their own: what stands before may be the caller's invention.
    let named = parts.headers.get_all("x-forwarded-for").iter().next_back();
    let named = named.and_then(|value| value.to_str().ok());
    let named = named.and_then(|value| value.rsplit(',').next()).map(str::trim).filter(|_| shown);
    let caller = parts.extensions.get::<ConnectInfo<Caller>>().map(|ConnectInfo(caller)| caller.0.ip());
    let mut network = match (named, caller) {
        (Some(named), _) => named.to_owned(),
        (None, Some(address)) => address.to_string(),
        (None, None) => "here".to_owned(),
    };
    network.truncate(network.floor_char_boundary(64));
    format!("console:{network}")
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

/// The header that sets the cookie of a session, or takes it away.
pub(crate) fn set_cookie(app: &Shared, headers: &HeaderMap, value: Option<&str>) -> String {
    let name = app.cookie_name();
    let secure = host(headers).and_then(|host| scheme_of(app, host)) == Some("https");
    let secure = if secure { "; Secure" } else { "" };
    let (value, age) = match value {
        Some(value) => (value, ""),
        None => ("", "; Max-Age=0"),
    };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}")
}

/// The page that was asked for, to go on with after logging in; `None` where no page was.
pub(crate) fn page_of(parts: &Parts) -> Option<String> {
    let path = parts.uri.path_and_query()?.as_str();
    let page = parts.method == Method::GET && path != "/live";
    page.then(|| path.to_owned())
}

/// Whether a page is one of ours, so that nobody is led elsewhere after logging in.
pub(crate) fn is_our_page(page: &str) -> bool {
    let plain = page.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'\\');
    plain && page.starts_with('/') && !page.starts_with("//") && page.len() <= FIELD_OCTETS_MAX
}

/// The fields of a form.
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(crate) fn one(&self, name: &'static str) -> Result<&str, Error> {
        self.find(name).ok_or(Error::Form(name))
    }

    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Fields, Error> {
        let form = axum::Form::<Vec<(String, String)>>::from_request(request, state);
        let form = tokio::time::timeout(Duration::from_secs(REQUEST_SECONDS_MAX), form).await;
        let form = form.map_err(|_| Error::Form("it does not come"))?;
        let axum::Form(fields) = form.map_err(|_| Error::Form("it cannot be read"))?;
        if fields.iter().any(|(_, value)| value.len() > FIELD_OCTETS_MAX.min(FORM_OCTETS_MAX)) {
            return Err(Error::Form("a field is too long"));
        }
        Ok(Fields(fields))
    }
}

/// A form of somebody who need not be logged in. Its origin was checked.
pub(crate) struct Sent(pub(crate) Fields);

impl FromRequest<Shared> for Sent {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Shared) -> Result<Sent, Error> {
        Fields::read(request, app).await.map(Sent)
    }
}

/// A form of somebody who is logged in, which shows the secret that only pages of this session know.
pub(crate) struct Posted(pub(crate) Session, pub(crate) Fields);

impl FromRequest<Shared> for Posted {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Shared) -> Result<Posted, Error> {
        let (mut parts, body) = request.into_parts();
        let Somebody(session) =
            <Somebody as axum::extract::FromRequestParts<Shared>>::from_request_parts(&mut parts, app)
                .await?;
        let fields = Fields::read(Request::from_parts(parts, body), app).await?;
        let shown = fields.find("csrf").unwrap_or_default();
        if bool::from(session.csrf.as_bytes().ct_eq(shown.as_bytes())) {
            Ok(Posted(session, fields))
        } else {
            Err(Error::NotOurs)
        }
    }
}
