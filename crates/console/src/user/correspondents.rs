//! Whom a user knows, trusts and blocks.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{Html, Redirect};
use control::{CorrespondentView, Request};
use serde::Deserialize;

use crate::app::{Shared, User};
use crate::error::Error;
use crate::guard::Posted;
use crate::limits::PAGE_ENTRIES;
use crate::page::{self, Chrome};
use crate::words::{self, Moment};

#[derive(Template)]
#[template(path = "correspondents.html")]
struct ListPage {
    chrome: Chrome,
    people: Vec<Row>,
    paged: bool,
    next: Option<String>,
}

struct Row {
    who: String,
    regard: String,
    /// A word for the looks.
    kind: &'static str,
    since: Moment,
    note: String,
    /// Who sealed the last letter, with which key, and when it came.
    seal: Option<Seal>,
    /// Keys of their own by which they are known, the newest last.
    keys: Vec<String>,
    /// A newer key that none of those has signed.
    broken_by: Option<String>,
}

struct Seal {
    issuer: String,
    key: String,
    at: Moment,
}

impl Row {
    fn new(one: &CorrespondentView, now_ms: u64) -> Row {
        Row {
            who: words::line(&one.who),
            kind: match one.regard.as_str() {
                "trusted" => "good",
                "blocked" => "bad",
                _ => "none",
            },
            regard: words::line(&one.regard),
            since: Moment::new(one.since_ms, now_ms),
            note: words::line(&one.note),
            keys: one.keys.iter().map(|key| words::line(key)).collect(),
            broken_by: one.broken_by.as_deref().map(words::line),
            seal: one.seal.as_ref().map(|seal| Seal {
                issuer: words::line(&seal.issuer),
                key: match &seal.key {
                    Some(key) => format!("{} {}", words::line(&seal.key_name), words::line(key)),
                    None => words::line(&seal.key_name),
                },
                at: Moment::new(one.sealed_at_ms.unwrap_or_default(), now_ms),
            }),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct After {
    after: Option<String>,
}

/// A page of those whom a user knows.
pub(crate) async fn list(
    State(app): State<Shared>,
    User(account, session): User,
    Query(After { after }): Query<After>,
) -> Result<Html<String>, Error> {
    let paged = after.is_some();
    let request = Request::Correspondents { account, after, limit: PAGE_ENTRIES };
    let control::Response::Correspondents { correspondents } = app.ask(request).await? else {
        return Err(Error::Answer);
    };
    let full = correspondents.len() >= PAGE_ENTRIES as usize;
    page::html(&ListPage {
        chrome: Chrome::new("People", "correspondents", &session),
        next: correspondents.last().map(|one| words::encoded(&one.who)).filter(|_| full),
        people: correspondents.iter().map(|one| Row::new(one, app.now_ms())).collect(),
        paged,
    })
}

/// Somebody is trusted, blocked or forgotten.
pub(crate) async fn put(
    State(app): State<Shared>,
    Posted(session, fields): Posted,
) -> Result<Redirect, Error> {
    let account = session.account.ok_or(Error::NoMailbox)?;
    let who = fields.one("who")?.trim().to_owned();
    let request = match fields.one("regard")? {
        regard @ ("trusted" | "blocked") => Request::CorrespondentPut {
            account,
            who,
            regard: regard.to_owned(),
            note: "decided in the console".to_owned(),
        },
        "nobody" => Request::CorrespondentRemove { account, who },
        _ => return Err(Error::Form("regard")),
    };
    app.ask(request).await?;
    Ok(Redirect::to("/correspondents"))
}
