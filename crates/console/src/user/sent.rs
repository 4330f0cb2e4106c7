//! What was sent, and what became of it for each recipient.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Html;
use control::{AttemptView, RecipientView, Request, SentView};

use super::mail::{Before, subject};
use crate::app::{Shared, User};
use crate::error::Error;
use crate::limits::PAGE_ENTRIES;
use crate::page::{self, Chrome};
use crate::words::{self, Moment};

/// Recipients that the list names of one message; the page of the message names all.
const PEOPLE_SHOWN: usize = 6;

#[derive(Template)]
#[template(path = "sent.html")]
struct ListPage {
    chrome: Chrome,
    sent: Vec<Row>,
    older: bool,
    next: Option<u64>,
}

#[derive(Template)]
#[template(path = "sent_show.html")]
struct ShowPage {
    chrome: Chrome,
    one: Row,
    size: String,
    release: Option<Moment>,
    closed: Option<Moment>,
    attempts: Vec<Attempt>,
    identity: String,
}

struct Row {
    number: u64,
    subject: String,
    people: Vec<Person>,
    people_more: usize,
    at: Moment,
}

/// One recipient and what became of it.
pub(crate) struct Person {
    pub(crate) address: String,
    /// A word for the looks.
    pub(crate) kind: &'static str,
    pub(crate) words: String,
    pub(crate) text: Option<String>,
    /// By which rule and on what evidence it came in, for the operator.
    pub(crate) why: Option<String>,
}

impl Person {
    pub(crate) fn new(one: &RecipientView) -> Person {
        let (kind, said) = match one.disposition.as_str() {
            "accepted" => ("good", "arrived"),
            "refused" => ("bad", "refused"),
            "pending" => ("watch", "on its way"),
            "deferred" => ("watch", "deferred"),
            "withdrawn" => ("bad", "withdrawn"),
            "expired" => ("bad", "expired"),
            "relayed" => ("good", "handed to a legacy server"),
            "redirected" => ("watch", "redirected"),
            _ => ("none", "unknown"),
        };
        // What is said of waiting is two things: a few words, and what went wrong last.
        let waits = one.waits.as_deref().filter(|_| one.disposition == "pending").map(words::line);
        let (said, trouble) = match &waits {
            Some(waits) => match waits.split_once(": ") {
                Some((said, trouble)) => (said.to_owned(), Some(trouble.to_owned())),
                None => (waits.clone(), None),
            },
            None => (said.to_owned(), None),
        };
        let text = match (&one.text, &one.code) {
            (Some(text), Some(code)) => Some(format!("{} ({code})", words::line(text))),
            (Some(text), None) => Some(words::line(text)),
            (None, Some(code)) => Some(code.clone()),
            (None, None) => trouble,
        };
        let why = one.why.as_deref().map(words::line);
        Person { address: words::line(&one.address), kind, words: said, text, why }
    }
}

/// One attempt as it is shown.
#[derive(Clone)]
pub(crate) struct Attempt {
    pub(crate) at: Moment,
    pub(crate) host: String,
    pub(crate) step: String,
    pub(crate) code: Option<String>,
    pub(crate) text: String,
    pub(crate) recipient: Option<String>,
    pub(crate) took: String,
}

impl Attempt {
    pub(crate) fn new(attempt: &AttemptView, now_ms: u64) -> Attempt {
        Attempt {
            at: Moment::new(attempt.at_ms, now_ms),
            host: words::line(&attempt.host),
            step: words::line(&attempt.step),
            code: attempt.code.clone(),
            text: words::line(&attempt.text),
            recipient: attempt.recipient.as_deref().map(words::line),
            took: words::span(attempt.took_ms),
        }
    }
}

impl Row {
    fn new(sent: &SentView, shown: usize, now_ms: u64) -> Row {
        let envelope = &sent.envelope;
        Row {
            number: envelope.number,
            subject: match &sent.subject {
                Some(found) => subject(Some(found)),
                None => format!("Message {}", words::short(&envelope.identity)),
            },
            people: envelope.recipients.iter().take(shown).map(Person::new).collect(),
            people_more: envelope.recipients.len().saturating_sub(shown),
            at: Moment::new(envelope.accepted_at_ms, now_ms),
        }
    }
}

/// A page of what was sent, the newest first.
pub(crate) async fn list(
    State(app): State<Shared>,
    User(account, session): User,
    Query(Before { before }): Query<Before>,
) -> Result<Html<String>, Error> {
    let request = Request::Sent { account, before, limit: PAGE_ENTRIES };
    let control::Response::Sent { sent } = app.ask(request).await? else { return Err(Error::Answer) };
    let full = sent.len() >= PAGE_ENTRIES as usize;
    let next = sent.last().map(|one| one.envelope.number).filter(|_| full);
    let sent = sent.iter().map(|one| Row::new(one, PEOPLE_SHOWN, app.now_ms())).collect();
    page::html(&ListPage {
        chrome: Chrome::new("Sent", "sent", &session),
        sent,
        older: before.is_some(),
        next,
    })
}

/// One message with its attempts.
pub(crate) async fn show(
    State(app): State<Shared>,
    User(account, session): User,
    Path(envelope): Path<u64>,
) -> Result<Html<String>, Error> {
    let request = Request::SentShow { account, envelope };
    let control::Response::Sent { sent } = app.ask(request).await? else { return Err(Error::Answer) };
    let sent = sent.first().ok_or(Error::NoSuchPage)?;
    let now_ms = app.now_ms();
    let one = Row::new(sent, usize::MAX, now_ms);
    page::html(&ShowPage {
        chrome: Chrome::new(one.subject.clone(), "sent", &session),
        size: words::size(sent.envelope.octets),
        release: sent.release_at_ms.map(|at_ms| Moment::new(at_ms, now_ms)),
        closed: sent.envelope.closed_at_ms.map(|at_ms| Moment::new(at_ms, now_ms)),
        attempts: sent.envelope.attempts.iter().map(|one| Attempt::new(one, now_ms)).collect(),
        identity: sent.envelope.identity.clone(),
        one,
    })
}
