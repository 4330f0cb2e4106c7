//! The aliases of a node: what leads where, and how it stands.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, Redirect};
use control::{ForwardOrder, ForwardView, Request};

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
}

struct Row {
    alias: String,
    target: String,
    state: String,
    /// A word for the looks.
    kind: &'static str,
    since: Moment,
    note: String,
    complaints: String,
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
            complaints: words::count(one.complaints),
        }
    }
}

/// The aliases.
pub(crate) async fn aliases(
    State(app): State<Shared>,
    Operating(session): Operating,
) -> Result<Html<String>, Error> {
    let order = ForwardOrder::List { after: None, limit: PAGE_ENTRIES };
    let control::Response::Forwards { forwards } = app.ask(Request::Forward { order }).await? else {
        return Err(Error::Answer);
    };
    page::html(&AliasesPage {
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
