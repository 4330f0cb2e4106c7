//! Held mail: the short form of each message, and the decision.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{Html, Redirect};
use control::{HeldDecision, HeldDetailView, HeldPlace, HeldState, HeldView, Request};
use serde::Deserialize;

use super::mail::{subject, warnings};
use super::{Sealed, sealed};
use crate::app::{App, Shared, User};
use crate::error::Error;
use crate::guard::Posted;
use crate::limits::PAGE_ENTRIES;
use crate::page::{self, Chrome};
use crate::words::{self, Moment};

#[derive(Template)]
#[template(path = "held.html")]
struct ListPage {
    chrome: Chrome,
    held: Vec<Card>,
    later: bool,
    next: Option<(u64, u32)>,
}

#[derive(Template)]
#[template(path = "held_show.html")]
struct ShowPage {
    chrome: Chrome,
    one: Card,
    checked: String,
    text: Option<String>,
    cut: bool,
    /// Name, kind and size, and whether it is here.
    parts: Vec<(String, String, bool)>,
    fields: Vec<(String, String)>,
}

struct Card {
    key: String,
    identity: String,
    recipient: String,
    recipient_path: String,
    subject: String,
    from: String,
    seal: (&'static str, String),
    sealed: String,
    warnings: Vec<String>,
    reason: String,
    size: String,
    missing: Option<String>,
    since: Moment,
    until: Moment,
    undecided: bool,
    /// Whether it is known who has written it: only then there is somebody to trust or to block.
    author_is_here: bool,
    state: &'static str,
}

impl Card {
    fn new(held: &HeldView, now_ms: u64) -> Card {
        let from = held.from.clone().unwrap_or_else(|| held.origin.clone());
        let (name, address) = words::author(&from);
        let known = held.author.as_ref();
        let Sealed { kind, brief, sentence } = sealed(&held.seals, &held.origin, &address, known);
        Card {
            key: format!("{}-{}", held.place.envelope, held.place.recipient),
            identity: held.identity.clone(),
            recipient: held.recipient.clone(),
            recipient_path: words::encoded(&held.recipient),
            subject: match &held.subject {
                Some(found) => subject(Some(found)),
                None => "(the subject was not fetched)".to_owned(),
            },
            from: if name.is_empty() { address } else { format!("{name} <{address}>") },
            seal: (kind, brief),
            sealed: sentence,
            warnings: warnings(known),
            reason: words::line(&held.reason),
            size: words::size(held.octets),
            missing: (held.octets_missing > 0).then(|| words::size(held.octets_missing)),
            since: Moment::new(held.since_ms, now_ms),
            until: Moment::new(held.until_ms, now_ms),
            undecided: held.state == HeldState::Undecided,
            author_is_here: held.from.is_some(),
            state: match held.state {
                HeldState::Undecided => "undecided",
                HeldState::Fetching => "accepted; the rest is being fetched",
                HeldState::Later => "waits for its time; nothing is to be decided",
            },
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct After {
    envelope: Option<u64>,
    recipient: Option<u32>,
}

/// A page of what is held, the oldest first.
pub(crate) async fn list(
    State(app): State<Shared>,
    User(account, session): User,
    Query(After { envelope, recipient }): Query<After>,
) -> Result<Html<String>, Error> {
    let after = envelope.zip(recipient).map(|(envelope, recipient)| HeldPlace { envelope, recipient });
    let request = Request::HeldList { account: Some(account), after, limit: PAGE_ENTRIES };
    let control::Response::HeldList { held } = app.ask(request).await? else { return Err(Error::Answer) };
    let full = held.len() >= PAGE_ENTRIES as usize;
    let next = held.last().filter(|_| full).map(|one| (one.place.envelope, one.place.recipient));
    let held = held.iter().map(|one| Card::new(one, app.now_ms())).collect();
    page::html(&ListPage {
        chrome: Chrome::new("Held for you", "held", &session),
        held,
        later: after.is_some(),
        next,
    })
}

/// One held message, as far as it is here.
pub(crate) async fn show(
    State(app): State<Shared>,
    User(account, session): User,
    Path((identity, recipient)): Path<(String, String)>,
) -> Result<Html<String>, Error> {
    let detail = own(&app, &account, &identity, &recipient).await?;
    let one = Card::new(&detail.held, app.now_ms());
    let leaves = detail.parts.iter().filter(|part| part.level > 0 || detail.parts.len() == 1);
    let part = |part: &control::HeldPartView| {
        let kind = part.media_type.as_deref().unwrap_or("kind not fetched");
        let name = part.name.as_deref().map_or_else(|| unnamed(kind).to_owned(), words::line);
        (name, format!("{}, {}", words::line(kind), words::size(part.octets)), part.here)
    };
    page::html(&ShowPage {
        chrome: Chrome::new(one.subject.clone(), "held", &session),
        checked: words::line(&detail.checked),
        text: detail.text.as_deref().map(words::lines),
        cut: detail.text_is_cut,
        parts: leaves.map(part).collect(),
        fields: detail.headers.iter().map(|(name, value)| (words::line(name), words::line(value))).collect(),
        one,
    })
}

/// What a part is called that has no name.
fn unnamed(kind: &str) -> &'static str {
    match kind.split_once('/') {
        Some(("text", "plain")) => "The text",
        Some(("text", "html")) => "The text, formatted",
        Some(("image", _)) => "A picture",
        Some(("message", _)) => "Another message",
        Some(_) => "A file without a name",
        None => "Something of it",
    }
}

/// A held message, if it is this account's to decide about.
async fn own(app: &App, account: &str, identity: &str, recipient: &str) -> Result<HeldDetailView, Error> {
    let request = Request::HeldShow {
        identity: identity.to_owned(),
        recipient: Some(recipient.to_owned()),
        account: Some(account.to_owned()),
    };
    let control::Response::Held(detail) = app.ask(request).await? else { return Err(Error::Answer) };
    if detail.held.account.as_deref() == Some(account) { Ok(*detail) } else { Err(Error::NoSuchPage) }
}

/// The decision.
pub(crate) async fn decide(
    State(app): State<Shared>,
    Posted(session, fields): Posted,
) -> Result<Redirect, Error> {
    let account = session.account.ok_or(Error::NoMailbox)?;
    let (identity, recipient) = (fields.one("identity")?, fields.one("recipient")?);
    let decision = match fields.one("decision")? {
        "accept" => HeldDecision::Accept { trust: false },
        "trust" => HeldDecision::Accept { trust: true },
        "refuse" => HeldDecision::Refuse { code: None },
        "block" => HeldDecision::Block,
        _ => return Err(Error::Form("decision")),
    };
    let held = own(&app, &account, identity, recipient).await?.held;
    let (identity, recipient) = (held.identity, Some(held.recipient));
    app.ask(Request::HeldDecide { identity, recipient, decision, account: Some(account) }).await?;
    Ok(Redirect::to("/held"))
}
