//! What happens as it happens, and the way of one message.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Html;
use control::{EnvelopeView, FlowView, Request};
use serde::Deserialize;

use crate::app::{Operating, Shared};
use crate::error::Error;
use crate::limits::FLOW_ROWS;
use crate::page::{self, Chrome};
use crate::user::sent::{Attempt, Person};
use crate::words::{self, Moment};

#[derive(Template)]
#[template(path = "flow.html")]
struct FlowPage {
    chrome: Chrome,
    events: Vec<Event>,
}

struct Event {
    at: Moment,
    /// A word for the looks.
    kind: &'static str,
    word: String,
    identity: Option<String>,
    short: String,
    recipient: Option<String>,
    text: String,
}

impl Event {
    fn new(event: &FlowView, now_ms: u64) -> Event {
        let kind = match event.kind.as_str() {
            "delivered" => "good",
            "trouble" => "bad",
            "retrying" => "watch",
            "settled" | "decided" if event.text.starts_with("accepted") => "good",
            "settled" | "decided" if event.text.starts_with("pending") => "watch",
            "settled" | "decided" => "bad",
            "seal" if event.text.contains("NOT") => "bad",
            _ => "none",
        };
        Event {
            at: Moment::new(event.at_ms, now_ms),
            kind,
            word: words::line(&event.kind),
            short: event.identity.as_deref().map(words::short).unwrap_or_default(),
            identity: event.identity.clone(),
            recipient: event.recipient.as_deref().map(words::line),
            text: words::line(&event.text),
        }
    }
}

#[derive(Template)]
#[template(path = "trace.html")]
struct TracePage {
    chrome: Chrome,
    id: String,
    wrong: Option<String>,
    envelopes: Vec<Envelope>,
    events: Vec<Event>,
}

struct Envelope {
    number: u64,
    origin: String,
    size: String,
    accepted: Moment,
    closed: Option<Moment>,
    hops: Vec<(String, String)>,
    people: Vec<Person>,
    attempts: Vec<Attempt>,
}

impl Envelope {
    fn new(envelope: &EnvelopeView, now_ms: u64) -> Envelope {
        let hop = |hop: &String| {
            let (by, at) = hop.rsplit_once(' ').unwrap_or((hop, ""));
            let at = at.parse::<u64>().map(|seconds| words::absolute(seconds.saturating_mul(1_000)));
            (words::line(by), at.unwrap_or_default())
        };
        Envelope {
            number: envelope.number,
            origin: words::line(&envelope.origin),
            size: words::size(envelope.octets),
            accepted: Moment::new(envelope.accepted_at_ms, now_ms),
            closed: envelope.closed_at_ms.map(|at_ms| Moment::new(at_ms, now_ms)),
            hops: envelope.trace.iter().map(hop).collect(),
            people: envelope.recipients.iter().map(Person::new).collect(),
            attempts: envelope.attempts.iter().map(|attempt| Attempt::new(attempt, now_ms)).collect(),
        }
    }
}

async fn remembered(app: &Shared) -> Result<Vec<FlowView>, Error> {
    match app.ask(Request::Watch { account: None, after: None, seconds: 0 }).await? {
        control::Response::Flow { events, .. } => Ok(events),
        _ => Err(Error::Answer),
    }
}

/// What has happened of late, the latest first.
pub(crate) async fn flow(
    State(app): State<Shared>,
    Operating(session): Operating,
) -> Result<Html<String>, Error> {
    let events = remembered(&app).await?;
    let events = events.iter().rev().take(FLOW_ROWS).map(|event| Event::new(event, app.now_ms())).collect();
    page::html(&FlowPage { chrome: Chrome::new("Flow", "flow", &session), events })
}

#[derive(Deserialize)]
pub(crate) struct Which {
    id: Option<String>,
}

/// The way of one message, from its offer to its dispositions.
pub(crate) async fn trace(
    State(app): State<Shared>,
    Operating(session): Operating,
    Query(Which { id }): Query<Which>,
) -> Result<Html<String>, Error> {
    let id = id.map(|id| id.trim().to_ascii_lowercase()).unwrap_or_default();
    let now_ms = app.now_ms();
    let (mut envelopes, mut wrong, mut events) = (Vec::new(), None, Vec::new());
    if !id.is_empty() {
        match app.ask(Request::Trace { identity: id.clone() }).await {
            Ok(control::Response::Envelopes { envelopes: found }) => {
                let identity = found.first().map(|one| one.identity.clone());
                let of_it = |event: &&FlowView| identity.is_some() && event.identity == identity;
                events = remembered(&app)
                    .await?
                    .iter()
                    .filter(of_it)
                    .map(|event| Event::new(event, now_ms))
                    .collect();
                envelopes = found.iter().map(|one| Envelope::new(one, now_ms)).collect();
            }
            Ok(_) => return Err(Error::Answer),
            Err(Error::Node(failure)) => wrong = Some(words::line(&failure.text)),
            Err(error) => return Err(error),
        }
    }
    let chrome = Chrome::new("Trace", "trace", &session);
    page::html(&TracePage { chrome, id: words::line(&id), wrong, envelopes, events })
}
