//! What happens as it happens, and the way of one message.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Html;
use control::{EnvelopeView, FlowView, RefusalView, Request};
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
    /// `own` says whether a user of this node has handed the message in.
    fn new(event: &FlowView, own: bool, now_ms: u64) -> Event {
        let kind = match event.kind.as_str() {
            // It goes into the queue, as it should.
            "decided" if own && event.text.starts_with("pending") => "none",
            "delivered" => "good",
            "trouble" => "bad",
            "retrying" => "watch",
            "settled" | "decided" if event.text.starts_with("accepted") => "good",
            "settled" | "decided" if event.text.starts_with("pending") => "watch",
            // A legacy server has it: that is well, as far as it can be known.
            "settled" if event.text.starts_with("relayed") => "none",
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
    refusals: Vec<Refusal>,
    events: Vec<Event>,
}

/// An offer that was refused.
struct Refusal {
    at: Moment,
    origin: String,
    recipient: String,
    said: String,
    why: String,
}

impl Refusal {
    fn new(refusal: &RefusalView, now_ms: u64) -> Refusal {
        Refusal {
            at: Moment::new(refusal.at_ms, now_ms),
            origin: words::line(&refusal.origin),
            recipient: words::line(&refusal.recipient),
            said: format!("{} ({})", words::line(&refusal.text), words::line(&refusal.code)),
            why: words::line(&refusal.why),
        }
    }
}

struct Envelope {
    number: u64,
    origin: String,
    size: String,
    accepted: Moment,
    closed: Option<Moment>,
    hops: Vec<(String, Option<Moment>)>,
    people: Vec<Person>,
    attempts: Vec<Attempt>,
}

impl Envelope {
    fn new(envelope: &EnvelopeView, now_ms: u64) -> Envelope {
        let hop = |hop: &String| {
            let (by, at) = hop.rsplit_once(' ').unwrap_or((hop, ""));
            let at = at.parse::<u64>().ok().map(|seconds| Moment::new(seconds.saturating_mul(1_000), now_ms));
            (words::line(by), at)
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

/// Those that are asked for, as they are shown.
fn shown(events: &[FlowView], which: impl Fn(&FlowView) -> bool, now_ms: u64) -> Vec<Event> {
    let by_user = |by: &String| by.starts_with("account:");
    let handed_in = events.iter().filter(|event| event.by.as_ref().is_some_and(by_user));
    let own: BTreeSet<&str> = handed_in.filter_map(|event| event.identity.as_deref()).collect();
    let is_own = |event: &FlowView| event.identity.as_deref().is_some_and(|identity| own.contains(identity));
    let which = events.iter().filter(|event| which(event));
    which.map(|event| Event::new(event, is_own(event), now_ms)).collect()
}

/// What has happened of late, the latest first.
pub(crate) async fn flow(
    State(app): State<Shared>,
    Operating(session): Operating,
) -> Result<Html<String>, Error> {
    let events = remembered(&app).await?;
    let events = shown(&events, |_| true, app.now_ms()).into_iter().rev().take(FLOW_ROWS).collect();
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
    let (mut envelopes, mut refusals, mut wrong, mut events) = (Vec::new(), Vec::new(), None, Vec::new());
    if !id.is_empty() {
        match app.ask(Request::Trace { identity: id.clone() }).await {
            Ok(control::Response::Envelopes { envelopes: found, refusals: refused }) => {
                let identity = found.first().map(|one| one.identity.clone());
                let identity = identity.or_else(|| refused.first().map(|one| one.identity.clone()));
                refusals = refused.iter().map(|one| Refusal::new(one, now_ms)).collect();
                let of_it = |event: &FlowView| identity.is_some() && event.identity == identity;
                events = shown(&remembered(&app).await?, of_it, now_ms);
                envelopes = found.iter().map(|one| Envelope::new(one, now_ms)).collect();
            }
            Ok(_) => return Err(Error::Answer),
            Err(Error::Node(failure)) => wrong = Some(words::line(&failure.text)),
            Err(error) => return Err(error),
        }
    }
    let chrome = Chrome::new("Trace", "trace", &session);
    page::html(&TracePage { chrome, id: words::line(&id), wrong, envelopes, refusals, events })
}
