//! Peers: who is connected, what is remembered of whom, and what one peer's standing rests on.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{Html, Redirect};
use control::{PeerDetailView, PeerRecordView, PeerView, Request};
use serde::Deserialize;

use crate::app::{Operating, Shared};
use crate::error::Error;
use crate::guard::Posted;
use crate::limits::PAGE_ENTRIES;
use crate::page::{self, Chrome};
use crate::words::{self, Moment};

#[derive(Template)]
#[template(path = "peers.html")]
struct PeersPage {
    chrome: Chrome,
    peers: Vec<Peer>,
    records: Vec<Record>,
    paged: bool,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "peer.html")]
struct PeerPage {
    chrome: Chrome,
    domain: String,
    kind: &'static str,
    grade: String,
    reasons: Vec<String>,
    /// Question, name, answer, and what it counts: in a word for the looks, and in a word.
    questions: Vec<(String, String, String, &'static str, String)>,
    until: Option<Moment>,
    record: Option<Record>,
    /// Limit, used, of, and how many hundredths that is.
    limits: Vec<(String, u64, u64)>,
}

struct Peer {
    name: String,
    address: String,
    protocol: String,
    inbound: bool,
    since: Moment,
    round_trip: String,
    sent: String,
    received: String,
    lost: u64,
    /// The page of a peer that is a domain.
    path: Option<String>,
}

struct Record {
    domain: String,
    path: String,
    first: Moment,
    last: Moment,
    accepted: u64,
    refused: u64,
    held: u64,
    declined: u64,
    complaints: u64,
}

impl Record {
    fn new(record: &PeerRecordView, now_ms: u64) -> Record {
        Record {
            domain: words::line(&record.domain),
            path: words::encoded(&record.domain),
            first: Moment::new(record.first_seen_ms, now_ms),
            last: Moment::new(record.last_seen_ms, now_ms),
            accepted: record.accepted,
            refused: record.refused,
            held: record.held,
            declined: record.declined,
            complaints: record.complaints,
        }
    }
}

impl Peer {
    fn new(peer: &PeerView, now_ms: u64) -> Peer {
        let domain = peer.protocol == "exchange" && peer.name.contains('.');
        Peer {
            name: words::line(&peer.name),
            address: words::line(&peer.address),
            protocol: words::line(&peer.protocol),
            inbound: peer.inbound,
            since: Moment::new(peer.since_ms, now_ms),
            round_trip: format!("{:.1} ms", peer.round_trip_us as f64 / 1_000.0),
            sent: words::size(peer.octets_sent),
            received: words::size(peer.octets_received),
            lost: peer.packets_lost,
            path: domain.then(|| words::encoded(&peer.name)),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct After {
    after: Option<String>,
}

/// Who is connected, and whom the node remembers.
pub(crate) async fn peers(
    State(app): State<Shared>,
    Operating(session): Operating,
    Query(After { after }): Query<After>,
) -> Result<Html<String>, Error> {
    let control::Response::Peers { peers } = app.ask(Request::Peers).await? else {
        return Err(Error::Answer);
    };
    let paged = after.is_some();
    let request = Request::PeerRecords { after, limit: PAGE_ENTRIES };
    let control::Response::PeerRecords { peers: records } = app.ask(request).await? else {
        return Err(Error::Answer);
    };
    let full = records.len() >= PAGE_ENTRIES as usize;
    let now_ms = app.now_ms();
    page::html(&PeersPage {
        chrome: Chrome::new("Peers", "peers", &session),
        peers: peers.iter().map(|peer| Peer::new(peer, now_ms)).collect(),
        next: records.last().map(|one| words::encoded(&one.domain)).filter(|_| full),
        records: records.iter().map(|record| Record::new(record, now_ms)).collect(),
        paged,
    })
}

/// One peer: its standing and why, what the DNS says of it, what is remembered, what it uses of its limits.
pub(crate) async fn peer(
    State(app): State<Shared>,
    Operating(session): Operating,
    Path(domain): Path<String>,
) -> Result<Html<String>, Error> {
    let control::Response::PeerRecord(detail) = app.ask(Request::PeerRecord { domain }).await? else {
        return Err(Error::Answer);
    };
    let PeerDetailView { domain, grade, reasons, questions, until_ms, record, limits } = *detail;
    let now_ms = app.now_ms();
    let question = |one: &control::PeerQuestionView| {
        let kind = match one.counts.as_str() {
            "for" => "good",
            "against" => "bad",
            "failed" => "watch",
            _ => "none",
        };
        (
            words::line(&one.question),
            words::line(&one.name),
            words::line(&one.answer),
            kind,
            words::line(&one.counts),
        )
    };
    page::html(&PeerPage {
        chrome: Chrome::new(format!("Peer {}", words::line(&domain)), "peers", &session),
        domain: words::line(&domain),
        kind: match grade.as_str() {
            "good" => "good",
            "bad" => "bad",
            _ => "none",
        },
        grade: words::line(&grade),
        reasons: reasons.iter().map(|reason| words::line(reason)).collect(),
        questions: questions.iter().map(question).collect(),
        until: until_ms.map(|at_ms| Moment::new(at_ms, now_ms)),
        record: record.as_ref().map(|record| Record::new(record, now_ms)),
        limits: limits.iter().map(|one| (words::line(&one.limit), one.used, one.of)).collect(),
    })
}

/// What is remembered of a peer is forgotten.
pub(crate) async fn forget(
    State(app): State<Shared>,
    Posted(session, fields): Posted,
) -> Result<Redirect, Error> {
    if !session.operator {
        return Err(Error::NotAnOperator);
    }
    app.ask(Request::PeerForget { domain: fields.one("domain")?.to_owned() }).await?;
    Ok(Redirect::to("/peers"))
}
