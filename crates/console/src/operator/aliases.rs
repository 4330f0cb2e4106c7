//! The aliases of a node: what leads where, and how it stands.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{Html, Redirect};
use control::{ForwardOrder, ForwardView, Request};
use serde::Deserialize;

use crate::app::{Operating, Shared};
use crate::error::Error;
use crate::guard::Posted;
use crate::limits::PAGE_ENTRIES;
use crate::page::{self, Chrome};
use crate::user::forwarding_kind;
use crate::words::{self, Moment};

#[derive(Template)]
#[template(path = "aliases.html")]
struct AliasesPage {
    chrome: Chrome,
    forwards: Vec<Row>,
    paged: bool,
    /// The query of the page after this one.
    next: Option<String>,
}

/// The alias and target after which the list goes on.
#[derive(Deserialize)]
pub(crate) struct After {
    alias: Option<String>,
    target: Option<String>,
}

struct Row {
    alias: String,
    target: String,
    state: String,
    /// A word for the looks.
    kind: &'static str,
    since: Moment,
    note: String,
    complaints: Option<String>,
}

impl Row {
    fn new(one: &ForwardView, now_ms: u64) -> Row {
        Row {
            alias: words::line(&one.alias),
            target: words::line(&one.target),
            kind: forwarding_kind(&one.state),
            state: words::line(&one.state),
            since: Moment::new(one.since_ms, now_ms),
            note: words::line(&one.note),
            complaints: (one.complaints > 0).then(|| words::count(one.complaints)),
        }
    }
}

/// The aliases.
pub(crate) async fn aliases(
    State(app): State<Shared>,
    Operating(session): Operating,
    Query(After { alias, target }): Query<After>,
) -> Result<Html<String>, Error> {
    let after = alias.zip(target);
    let paged = after.is_some();
    let order = ForwardOrder::List { after, limit: PAGE_ENTRIES };
    let control::Response::Forwards { forwards } = app.ask(Request::Forward { order }).await? else {
        return Err(Error::Answer);
    };
    let full = forwards.len() >= PAGE_ENTRIES as usize;
    let query = |one: &ForwardView| {
        format!("alias={}&target={}", words::encoded(&one.alias), words::encoded(&one.target))
    };
    page::html(&AliasesPage {
        paged,
        next: forwards.last().filter(|_| full).map(query),
        chrome: Chrome::new("Aliases", "aliases", &session),
        forwards: forwards.iter().map(|one| Row::new(one, app.now_ms())).collect(),
    })
}

/// An alias is made, asked about or ended.
pub(crate) async fn alias_change(
    State(app): State<Shared>,
    Posted(session, fields): Posted,
) -> Result<Redirect, Error> {
    if !session.operator {
        return Err(Error::NotAnOperator);
    }
    let (alias, target) = (fields.one("alias")?.trim().to_owned(), fields.one("target")?.trim().to_owned());
    let said = |name: &str| fields.find(name).is_some();
    let order = match fields.one("act")? {
        "add" => {
            let (conceal, rewrite, keep_sender) = (said("conceal"), said("rewrite"), said("keep-sender"));
            ForwardOrder::Add { alias, target, conceal, rewrite, granted: false, keep_sender }
        }
        "ask" => ForwardOrder::Ask { alias, target },
        "remove" => ForwardOrder::Remove { alias, target, forget: false },
        "forget" => ForwardOrder::Remove { alias, target, forget: true },
        _ => return Err(Error::Form("act")),
    };
    app.ask(Request::Forward { order }).await?;
    Ok(Redirect::to("/aliases"))
}
