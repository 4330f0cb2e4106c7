//! The queue: by lane and age, one lane, one leg.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{Html, Redirect};
use control::{LegView, Legs, Request};
use serde::Deserialize;

use crate::app::{Operating, Shared};
use crate::error::Error;
use crate::guard::Posted;
use crate::limits::{PAGE_ENTRIES, QUEUE_ROWS};
use crate::page::{self, Chrome};
use crate::user::sent::{Attempt, Person};
use crate::words::{self, Moment};

/// The columns of [`control::AGES_MS`].
const AGES: [&str; 6] = ["< 5 min", "< 30 min", "< 2 h", "< 12 h", "< 1 day", "older"];
/// Recipients that a row names.
const PEOPLE_SHOWN: usize = 3;

#[derive(Template)]
#[template(path = "queue.html")]
struct QueuePage {
    chrome: Chrome,
    ages: [&'static str; 6],
    rows: Vec<Row>,
    totals: Vec<String>,
    more: u64,
    waiting: String,
    active: String,
    urgent: usize,
    uptime: String,
    version: String,
    domains: String,
    connections: u64,
    next_due: Option<Moment>,
}

struct Row {
    lane: String,
    path: String,
    count: String,
    held: u64,
    error: Option<String>,
    /// The number, and how hot it is, from 0 to 5.
    cells: Vec<(String, u32)>,
}

#[derive(Template)]
#[template(path = "lane.html")]
struct LanePage {
    chrome: Chrome,
    lane: String,
    /// As the node calls it.
    name: String,
    path: String,
    legs: Vec<Leg>,
    paged: bool,
    next: Option<u64>,
}

#[derive(Template)]
#[template(path = "leg.html")]
struct LegPage {
    chrome: Chrome,
    lane: String,
    path: String,
    leg: Leg,
    identity: String,
    short: String,
    expires: Moment,
    people: Vec<Person>,
    attempts: Vec<Attempt>,
}

struct Leg {
    number: u64,
    state: String,
    kind: &'static str,
    recipients: Vec<String>,
    recipients_more: usize,
    origin: String,
    since: Moment,
    due: Moment,
    tries: u32,
    size: String,
}

impl Leg {
    fn new(leg: &LegView, now_ms: u64) -> Leg {
        let kind = match leg.state.as_str() {
            "held" => "none",
            "retrying" => "bad",
            "pending" => "watch",
            _ => "good",
        };
        Leg {
            number: leg.number,
            state: words::line(&leg.state),
            kind,
            recipients: leg
                .recipients
                .iter()
                .take(PEOPLE_SHOWN)
                .map(|one| words::line(&one.address))
                .collect(),
            recipients_more: leg.recipients.len().saturating_sub(PEOPLE_SHOWN),
            origin: words::line(&leg.origin),
            since: Moment::new(leg.accepted_at_ms, now_ms),
            due: Moment::new(leg.due_at_ms, now_ms),
            tries: leg.tries,
            size: words::size(leg.octets),
        }
    }
}

/// How hot a cell is: by how many wait, a power of ten for each step, and the older the hotter.
fn heat(count: u64, column: usize) -> u32 {
    if count == 0 {
        return 0;
    }
    let (many, old) = (count.ilog10(), [0, 0, 1, 2, 3, 4].get(column).copied().unwrap_or(4));
    (1 + many.min(3) / 2 + old).min(5)
}

fn number(count: u64) -> String {
    if count == 0 { "·".to_owned() } else { words::count(count) }
}

/// What waits, by where it goes and how old it is.
pub(crate) async fn queue(
    State(app): State<Shared>,
    Operating(session): Operating,
) -> Result<Html<String>, Error> {
    let control::Response::Status(status) = app.ask(Request::Status).await? else {
        return Err(Error::Answer);
    };
    let control::Response::Ages { lanes, lanes_more } =
        app.ask(Request::QueueAges { limit: QUEUE_ROWS }).await?
    else {
        return Err(Error::Answer);
    };
    let control::Response::Alerts { alerts } = app.ask(Request::Alerts).await? else {
        return Err(Error::Answer);
    };
    let mut totals = [0_u64; 6];
    for lane in &lanes {
        totals.iter_mut().zip(lane.ages).for_each(|(total, count)| *total += count);
    }
    let row = |lane: &control::LaneAgesView| Row {
        lane: words::lane(&lane.lane),
        path: words::encoded(&lane.lane),
        count: words::count(lane.count),
        held: lane.held,
        error: lane.last_error.as_deref().map(words::line),
        cells: lane
            .ages
            .iter()
            .enumerate()
            .map(|(column, count)| (number(*count), heat(*count, column)))
            .collect(),
    };
    page::html(&QueuePage {
        chrome: Chrome::new("Queue", "queue", &session),
        ages: AGES,
        rows: lanes.iter().map(row).collect(),
        totals: totals.iter().map(|total| number(*total)).collect(),
        more: lanes_more,
        waiting: words::count(status.queue.waiting),
        active: words::count(status.queue.active),
        urgent: alerts.iter().filter(|alert| alert.urgent).count(),
        uptime: words::span(status.uptime_ms),
        version: status.version.clone(),
        domains: status.domains.join(", "),
        connections: status.connections,
        next_due: status.queue.next_due_ms.map(|at_ms| Moment::new(at_ms, app.now_ms())),
    })
}

#[derive(Deserialize)]
pub(crate) struct OfLane {
    name: String,
    after: Option<u64>,
}

/// What waits for one lane.
pub(crate) async fn lane(
    State(app): State<Shared>,
    Operating(session): Operating,
    Query(OfLane { name, after }): Query<OfLane>,
) -> Result<Html<String>, Error> {
    let request = Request::QueueList { lane: Some(name.clone()), after, limit: PAGE_ENTRIES };
    let control::Response::Legs { legs } = app.ask(request).await? else { return Err(Error::Answer) };
    let full = legs.len() >= PAGE_ENTRIES as usize;
    let next = legs.last().map(|leg| leg.number).filter(|_| full);
    let shown = words::lane(&name);
    page::html(&LanePage {
        chrome: Chrome::new(format!("Queue for {shown}"), "queue", &session),
        lane: shown,
        name: words::line(&name),
        path: words::encoded(&name),
        legs: legs.iter().map(|leg| Leg::new(leg, app.now_ms())).collect(),
        paged: after.is_some(),
        next,
    })
}

/// One leg with its recipients and attempts.
pub(crate) async fn leg(
    State(app): State<Shared>,
    Operating(session): Operating,
    Path(number): Path<u64>,
) -> Result<Html<String>, Error> {
    let request = Request::QueueShow { leg: number };
    let control::Response::Leg(leg) = app.ask(request).await? else { return Err(Error::Answer) };
    let now_ms = app.now_ms();
    page::html(&LegPage {
        chrome: Chrome::new(format!("Leg {number}"), "queue", &session),
        lane: words::lane(&leg.lane),
        path: words::encoded(&leg.lane),
        identity: leg.identity.clone(),
        short: words::short(&leg.identity),
        expires: Moment::new(leg.expires_at_ms, now_ms),
        people: leg.recipients.iter().map(Person::new).collect(),
        attempts: leg.attempts.iter().map(|attempt| Attempt::new(attempt, now_ms)).collect(),
        leg: Leg::new(&leg, now_ms),
    })
}

/// The operator does something to one leg or to all of a lane.
pub(crate) async fn change(
    State(app): State<Shared>,
    Posted(session, fields): Posted,
) -> Result<Redirect, Error> {
    if !session.operator {
        return Err(Error::NotAnOperator);
    }
    let (legs, back) = match (fields.find("leg"), fields.find("lane")) {
        (Some(leg), _) => {
            let number = leg.parse().map_err(|_| Error::Form("leg"))?;
            (Legs::Numbers(vec![number]), format!("/queue/leg/{number}"))
        }
        (None, Some(lane)) => {
            (Legs::Lane(lane.to_owned()), format!("/queue/lane?name={}", words::encoded(lane)))
        }
        (None, None) => return Err(Error::Form("leg or lane")),
    };
    let one = matches!(legs, Legs::Numbers(_));
    let (request, back) = match fields.one("act")? {
        // What is tried now may be gone when the page is asked for.
        "retry" if one => (Request::QueueRetry { legs }, "/queue".to_owned()),
        "retry" => (Request::QueueRetry { legs }, back),
        "hold" => (Request::QueueHold { legs }, back),
        "release" => (Request::QueueRelease { legs }, back),
        "remove" if one => (Request::QueueRemove { legs }, "/queue".to_owned()),
        _ => return Err(Error::Form("act")),
    };
    app.ask(request).await?;
    Ok(Redirect::to(&back))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_hotter_than_what_is_much() {
        assert_eq!(heat(0, 5), 0);
        assert_eq!(heat(1, 0), 1);
        assert!(heat(1_000, 0) > heat(1, 0));
        assert!(heat(1, 5) > heat(1_000_000, 0));
        assert_eq!(heat(u64::MAX, 5), 5);
    }
}
