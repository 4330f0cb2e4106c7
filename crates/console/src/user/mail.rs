//! The mailbox.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use bytes::Bytes;
use control::{AuthorView, MailDetailView, MailView, PartView, Request};
use data_encoding::BASE64;
use serde::Deserialize;

use super::{Sealed, sealed};
use crate::app::{App, Shared, User};
use crate::error::Error;
use crate::guard::Posted;
use crate::harmless::wishes;
use crate::limits::PAGE_ENTRIES;
use crate::page::{self, Chrome};
use crate::simple::simple;
use crate::words::{self, Moment};

/// What a frame with mail in HTML may do: look like our style says, and open a link in another window.
const FRAME_POLICY: &str = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'self'; \
    form-action 'none'; base-uri 'none'; frame-ancestors 'self'";

#[derive(Template)]
#[template(path = "mail.html")]
struct ListPage {
    chrome: Chrome,
    mails: Vec<Row>,
    older: bool,
    next: Option<u64>,
}

#[derive(Template)]
#[template(path = "mail_show.html")]
struct ShowPage {
    chrome: Chrome,
    mail: Row,
    warnings: Vec<String>,
    has_text: bool,
    has_html: bool,
    as_html: bool,
    wishes: usize,
    text: String,
    /// Whether text or HTML goes on after what the node gives of it.
    cut: bool,
    /// Whether the HTML has more markup than is shown.
    html_cut: bool,
    files: Vec<File>,
    fields: Vec<(String, String)>,
}

struct Row {
    number: u64,
    identity: String,
    name: String,
    address: String,
    subject: String,
    recipient: String,
    attachments: u32,
    seen: bool,
    /// A word for the looks, and a few words.
    seal: (&'static str, String),
    sealed: String,
    at: Moment,
    size: String,
}

struct File {
    number: u32,
    name: String,
    media_type: String,
    size: String,
    here: bool,
}

impl Row {
    fn new(mail: &MailView, now_ms: u64) -> Row {
        let from = mail.from.clone().unwrap_or_else(|| mail.origin.clone());
        let (name, address) = words::author(&from);
        let Sealed { kind, brief, sentence } =
            sealed(&mail.seals, &mail.origin, &address, mail.author.as_ref());
        Row {
            number: mail.number,
            identity: mail.identity.clone(),
            name,
            address,
            subject: subject(mail.subject.as_deref()),
            recipient: words::line(&mail.recipient),
            attachments: mail.attachments,
            seen: mail.seen,
            seal: (kind, brief),
            sealed: sentence,
            at: Moment::new(mail.received_at_ms, now_ms),
            size: words::size(mail.octets),
        }
    }
}

/// What a reader should look at twice.
pub(super) fn warnings(author: Option<&AuthorView>) -> Vec<String> {
    author.map_or(Vec::new(), |author| author.warnings.iter().map(|one| words::line(one)).collect())
}

/// A subject as it is shown.
pub(super) fn subject(subject: Option<&str>) -> String {
    match subject.map(str::trim) {
        Some(subject) if !subject.is_empty() => words::line(subject),
        _ => "(no subject)".to_owned(),
    }
}

/// Which page of a list that begins with the newest.
#[derive(Deserialize)]
pub(crate) struct Before {
    pub(super) before: Option<u64>,
}

/// A page of the mailbox, the newest first.
pub(crate) async fn list(
    State(app): State<Shared>,
    User(account, session): User,
    Query(Before { before }): Query<Before>,
) -> Result<Html<String>, Error> {
    let request = Request::MailList { account, before, limit: PAGE_ENTRIES };
    let control::Response::Mails { mails } = app.ask(request).await? else { return Err(Error::Answer) };
    let full = mails.len() >= PAGE_ENTRIES as usize;
    let next = mails.last().map(|mail| mail.number).filter(|_| full);
    let mails = mails.iter().map(|mail| Row::new(mail, app.now_ms())).collect();
    page::html(&ListPage {
        chrome: Chrome::new("Mail", "mail", &session),
        mails,
        older: before.is_some(),
        next,
    })
}

#[derive(Deserialize)]
pub(crate) struct View {
    view: Option<String>,
}

/// One message. To look at it marks it as read.
pub(crate) async fn show(
    State(app): State<Shared>,
    User(account, session): User,
    Path(number): Path<u64>,
    Query(View { view }): Query<View>,
) -> Result<Html<String>, Error> {
    let detail = detail(&app, &account, number).await?;
    if !detail.mail.seen {
        app.ask(Request::MailSeen { account, number, seen: true }).await?;
    }
    let mail = Row::new(&detail.mail, app.now_ms());
    let as_html = detail.html.is_some() && (detail.text.is_none() || view.as_deref() == Some("html"));
    let html_cut = detail.html.as_deref().is_some_and(|html| simple(html).cut);
    let plain = |(name, value): &(String, String)| (words::line(name), words::line(value));
    page::html(&ShowPage {
        chrome: Chrome::new(mail.subject.clone(), "mail", &session),
        warnings: warnings(detail.mail.author.as_ref()),
        has_text: detail.text.is_some(),
        has_html: detail.html.is_some(),
        as_html,
        wishes: detail.html.as_deref().map_or(0, wishes),
        text: words::lines(detail.text.as_deref().unwrap_or_default()),
        cut: detail.cut,
        html_cut,
        files: detail.parts.iter().filter(|part| !part.shown || detail.cut || html_cut).map(file).collect(),
        fields: detail.fields.iter().map(plain).collect(),
        mail,
    })
}

/// The HTML of a message, made harmless, for a frame.
pub(crate) async fn html(
    State(app): State<Shared>,
    User(account, _): User,
    Path(number): Path<u64>,
) -> Result<Response, Error> {
    let html = detail(&app, &account, number).await?.html.ok_or(Error::NoSuchPage)?;
    let policy = HeaderValue::from_static(FRAME_POLICY);
    let document = app.harmless(html).await?;
    Ok(([(header::CONTENT_SECURITY_POLICY, policy)], Html(document)).into_response())
}

async fn detail(app: &App, account: &str, number: u64) -> Result<MailDetailView, Error> {
    match app.ask(Request::MailShow { account: account.to_owned(), number }).await? {
        control::Response::Mail(detail) => Ok(*detail),
        _ => Err(Error::Answer),
    }
}

fn file(part: &PartView) -> File {
    File {
        number: part.number,
        name: file_name(part),
        media_type: words::line(&part.media_type),
        size: words::size(part.octets),
        here: part.here,
    }
}

/// A name under which a file can be kept: no path, no hidden file, nothing that turns its ending around.
fn file_name(part: &PartView) -> String {
    let given = part.name.as_deref().unwrap_or_default();
    let clean: String = words::line(given)
        .chars()
        .map(|c| {
            if matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | '\u{fffd}') {
                '_'
            } else {
                c
            }
        })
        .take(120)
        .collect();
    let clean = clean.trim_matches(['.', ' ']);
    if clean.is_empty() { format!("part-{}", part.number) } else { clean.to_owned() }
}

/// A part as a file, fetched piece by piece from the node as the browser takes it.
pub(crate) async fn part(
    State(app): State<Shared>,
    User(account, _): User,
    Path((number, part)): Path<(u64, u32)>,
) -> Result<Response, Error> {
    let detail = detail(&app, &account, number).await?;
    let found = detail.parts.iter().find(|one| one.number == part).filter(|one| one.here);
    let found = found.ok_or(Error::NoSuchPage)?;
    let name = file_name(found);
    // RFC 6266 section 4.3: the name in UTF-8, and for programs that do not know that form a plain one.
    let plain: String =
        name.chars().map(|c| if c.is_ascii_graphic() && c != '%' { c } else { '_' }).collect();
    let disposition = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", words::encoded(&name));
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CONTENT_LENGTH, found.octets.to_string()),
    ];
    let pieces = Pieces { app, account, number, part, offset: 0, octets: found.octets };
    Ok((headers, Body::from_stream(futures_util::stream::unfold(pieces, Pieces::next))).into_response())
}

/// A part on its way.
struct Pieces {
    app: Arc<App>,
    account: String,
    number: u64,
    part: u32,
    offset: u64,
    octets: u64,
}

impl Pieces {
    async fn next(mut self) -> Option<(Result<Bytes, Error>, Pieces)> {
        if self.offset >= self.octets {
            return None;
        }
        let request = Request::MailPart {
            account: self.account.clone(),
            number: self.number,
            part: self.part,
            offset: self.offset,
        };
        let piece = match self.app.ask(request).await {
            Ok(control::Response::Piece { base64, .. }) => {
                BASE64.decode(base64.as_bytes()).ok().filter(|piece| !piece.is_empty()).ok_or(Error::Answer)
            }
            Ok(_) => Err(Error::Answer),
            Err(error) => Err(error),
        };
        // After an error the stream ends: the browser sees that the file is not whole.
        self.offset = piece.as_ref().map_or(self.octets, |piece| self.offset + piece.len() as u64);
        Some((piece.map(Bytes::from), self))
    }
}

/// A message becomes read or unread.
pub(crate) async fn seen(
    State(app): State<Shared>,
    Path(number): Path<u64>,
    Posted(session, fields): Posted,
) -> Result<Redirect, Error> {
    let account = session.account.ok_or(Error::NoMailbox)?;
    let seen = fields.one("seen")? == "yes";
    app.ask(Request::MailSeen { account, number, seen }).await?;
    Ok(Redirect::to("/mail"))
}

/// A message is reported as abuse.
pub(crate) async fn report(
    State(app): State<Shared>,
    Path(number): Path<u64>,
    Posted(session, _): Posted,
) -> Result<Redirect, Error> {
    let account = session.account.ok_or(Error::NoMailbox)?;
    app.ask(Request::MailReport { account, number }).await?;
    Ok(Redirect::to("/mail"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_name_that_is_no_path() {
        let check = |given: Option<&str>, expected: &str| {
            let part = PartView {
                number: 3,
                media_type: "image/png".to_owned(),
                octets: 1,
                name: given.map(str::to_owned),
                here: true,
                shown: false,
            };
            assert_eq!(file_name(&part), expected, "{given:?}");
        };
        check(Some("holiday.png"), "holiday.png");
        check(Some("../../etc/passwd"), "_.._etc_passwd");
        check(Some("C:\\x\".exe"), "C__x_.exe");
        check(Some("pic\u{202e}gnp.exe"), "pic_gnp.exe");
        check(Some("Grüße.txt\r\nX: y"), "Grüße.txt__X_ y");
        check(Some(".."), "part-3");
        check(None, "part-3");
    }
}
