//! Who forwards to a user, and what the user says to that.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{Html, Redirect};
use control::{ChainHopView, ForwardOrder, GrantView, Request};
use serde::Deserialize;

use crate::app::{Shared, User};
use crate::error::Error;
use crate::guard::Posted;
use crate::limits::PAGE_ENTRIES;
use crate::page::{self, Chrome};
use crate::words::{self, Moment};

#[derive(Template)]
#[template(path = "forwarding.html")]
struct ForwardingPage {
    chrome: Chrome,
    grants: Vec<Row>,
    paged: bool,
    next: Option<String>,
    chain: Vec<Hop>,
}

struct Row {
    recipient: String,
    forwarder: String,
    alias: String,
    state: String,
    /// A word for the looks.
    kind: &'static str,
    since: Moment,
    by: String,
    /// A link, where it leads to a page of just this forwarder.
    page: Option<String>,
    walk: String,
}

impl Row {
    fn new(one: &GrantView, now_ms: u64) -> Row {
        let own = format!("https://{}/", one.forwarder);
        Row {
            recipient: words::line(&one.recipient),
            forwarder: words::line(&one.forwarder),
            alias: words::line(one.alias.as_deref().unwrap_or("")),
            kind: kind(&one.state),
            state: words::line(&one.state),
            since: Moment::new(one.since_ms, now_ms),
            by: words::line(&one.by),
            page: one.page.clone().filter(|page| page.starts_with(&own)),
            walk: format!(
                "recipient={}&forwarder={}",
                words::encoded(&one.recipient),
                words::encoded(&one.forwarder)
            ),
        }
    }
}

/// One forwarder of a chain.
struct Hop {
    alias: String,
    target: String,
    kind: &'static str,
    state: String,
}

impl Hop {
    fn new(hop: &ChainHopView) -> Hop {
        let shown = |text: &Option<String>| words::line(text.as_deref().unwrap_or("?"));
        Hop {
            alias: shown(&hop.alias),
            target: shown(&hop.target),
            kind: hop.state.as_deref().map_or("bad", kind),
            state: shown(&hop.state.clone().or_else(|| hop.trouble.clone())),
        }
    }
}

/// The word for the looks of a state.
pub(crate) fn kind(state: &str) -> &'static str {
    match state {
        "granted" => "good",
        "refused" | "deleted" => "bad",
        _ => "watch",
    }
}

/// The chain that is to be walked, and the recipient and forwarder after which the list goes on.
#[derive(Deserialize)]
pub(crate) struct Walked {
    recipient: Option<String>,
    forwarder: Option<String>,
    after_recipient: Option<String>,
    after_forwarder: Option<String>,
}

/// Who forwards to a user, and one chain where it is asked for.
pub(crate) async fn list(
    State(app): State<Shared>,
    User(account, session): User,
    Query(Walked { recipient, forwarder, after_recipient, after_forwarder }): Query<Walked>,
) -> Result<Html<String>, Error> {
    let after = after_recipient.zip(after_forwarder);
    let paged = after.is_some();
    let order = ForwardOrder::Grants { account: Some(account.clone()), after, limit: PAGE_ENTRIES };
    let control::Response::Grants { grants } = app.ask(Request::Forward { order }).await? else {
        return Err(Error::Answer);
    };
    let mut chain = Vec::new();
    if let (Some(recipient), Some(forwarder)) = (recipient, forwarder) {
        let order = ForwardOrder::Walk { account: Some(account), recipient, forwarder };
        let control::Response::Chain { hops } = app.ask(Request::Forward { order }).await? else {
            return Err(Error::Answer);
        };
        chain = hops.iter().map(Hop::new).collect();
    }
    let full = grants.len() >= PAGE_ENTRIES as usize;
    let query = |one: &GrantView| {
        let (recipient, forwarder) = (words::encoded(&one.recipient), words::encoded(&one.forwarder));
        format!("after_recipient={recipient}&after_forwarder={forwarder}")
    };
    page::html(&ForwardingPage {
        paged,
        next: grants.last().filter(|_| full).map(query),
        chrome: Chrome::new("Forwarding", "forwarding", &session),
        grants: grants.iter().map(|one| Row::new(one, app.now_ms())).collect(),
        chain,
    })
}

/// A forwarder may, may not, or is forgotten.
pub(crate) async fn decide(
    State(app): State<Shared>,
    Posted(session, fields): Posted,
) -> Result<Redirect, Error> {
    let account = Some(session.account.ok_or(Error::NoMailbox)?);
    let (recipient, forwarder) =
        (fields.one("recipient")?.trim().to_owned(), fields.one("forwarder")?.trim().to_owned());
    let order = match fields.one("decision")? {
        "grant" => ForwardOrder::Decide { account, recipient, forwarder, granted: true },
        "refuse" => ForwardOrder::Decide { account, recipient, forwarder, granted: false },
        "forget" => ForwardOrder::Forget { account, recipient, forwarder },
        _ => return Err(Error::Form("decision")),
    };
    app.ask(Request::Forward { order }).await?;
    Ok(Redirect::to("/forwarding"))
}
