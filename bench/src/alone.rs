//! What only we have: polls, few round trips, and a queue that is large.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use message::address::Address;
use message::{Cookie, Disposition, Role};
use storage::{Acceptance, Content, Effect, Intended, Lane, NewMessage, Origin, Store};
use tests::{DelayingRelay, Memory, Peer};
use tokio::task::JoinSet;
use transport::{Alpn, Expectation};

use crate::Trouble;
use crate::compare::{number, resident};
use crate::floor::stopwatch;
use crate::ours::Ours;
use crate::table::Table;

/// One way of the slow link.
const ONE_WAY: Duration = Duration::from_millis(25);
/// Recipients of one message of the large queue.
const RECIPIENTS: u64 = 100;
/// Messages of the large queue that wait for the disk at once.
const FILLERS: usize = 64;

/// Cookies in a second.
pub(crate) async fn polls(ours: &Ours, table: &mut Table) -> Result<(), Trouble> {
    let report = ours.poll(4, 1_000, 500).await?;
    let rate = number(&report, "per_second") * 500.0;
    table.fact(
        "polls, 500 cookies in a frame, 4 frames in flight",
        format!("{rate:.0} cookies/s"),
        "100,000 cookies/s",
    );
    Ok(())
}

/// Octets on the wire for each message.
pub(crate) async fn wire(ours: &Ours, table: &mut Table) -> Result<(), Trouble> {
    for (in_flight, count) in [(1, 200), (20, 2_000)] {
        let report = ours.exchange(in_flight, count, 4096).await?;
        let each = number(&report, "wire_octets_sent") / number(&report, "answered");
        let back = number(&report, "wire_octets_received") / number(&report, "answered");
        let size = |name: &str| number(&report["sizes"], name);
        let (message, manifest, seals, offer) =
            (size("message"), size("manifest"), size("seals"), size("offer"));
        let name = format!("octets in UDP datagrams for 4 KiB with one seal, live, {in_flight} in flight");
        let value = format!(
            "{each:.0} there, {back:.0} back: {:.1} % more than the message with its header ({message:.0}): {offer:.0} are \
             the offer, {manifest:.0} the manifest, {seals:.0} the seal, {:.0} QUIC and the heads of the pieces",
            ((each + back) / message - 1.0) * 100.0,
            each - message - manifest - seals - offer
        );
        table.fact(&name, value, "under 15 % more (with two seals)");
    }
    Ok(())
}

/// Round trips over a slow link.
pub(crate) async fn link(ours: &mut Ours, table: &mut Table) -> Result<(), Trouble> {
    const RAW: &str = "raw quinn: 64 KiB 2.2 live; 1 MiB 9.3 cold, 2.7 live";
    for (name, octets, target) in
        [("4 KiB", 4096, "2 cold, 1 live"), ("64 KiB", 1 << 16, RAW), ("1 MiB", 1 << 20, RAW)]
    {
        let name = format!("{name} over a link of 50 ms, from connecting to the answer");
        table.fact(&name, over_link(ours, octets).await?, target);
    }
    ours.widen(2 << 20)?;
    // Whoever knocks before it is there tries again later and later, and slowly at first.
    ours.ready().await?;
    let name = "1 MiB over the same link, to a node that takes 2 MiB unasked (`eager_octets`)";
    table.fact(name, over_link(ours, 1 << 20).await?, RAW);
    Ok(())
}

/// How long the answers to four messages over one new connection take.
async fn over_link(ours: &Ours, octets: usize) -> Result<String, Trouble> {
    let (north, south) = (ours.north()?, ours.south()?);
    let relay = DelayingRelay::start((Ipv4Addr::LOCALHOST, 0).into(), south.listen.address, ONE_WAY).await;
    let pin = north.pins()?.values().next().copied().ok_or("the other node is not pinned")?;
    let trust = Expectation::Pinned { digests: vec![pin] };
    let settings = north.settings()?;
    let key = settings.domains.get(&settings.domain).ok_or("a node has a key")?.key.clone();
    let elapsed = stopwatch();
    let peer = Peer::connect(Some(north.host_key()?), relay.address, &trust, Alpn::Exchange).await?;
    let mut told = Vec::new();
    for number in 0..4 {
        let before = if number == 0 { Duration::ZERO } else { elapsed() };
        let text = format!("{number} of {octets} over {}", relay.address);
        let text = format!("{text}{}", "x".repeat(octets - text.len()));
        let message = tests::letter("alice@north.test", &text);
        let seals = [tests::peer::seal(&message, "north.test", &key, Role::Submission)];
        let (offer, supply) = (
            tests::peer::offer(&message, &seals, &["bob@south.test"]),
            tests::peer::supply(&message, &seals),
        );
        let outcome = peer.offer_as(offer, supply, &Memory::of(&message)).await?;
        if outcome.dispositions != [Disposition::Accepted] {
            return Err(format!("{:?}", outcome.dispositions).into());
        }
        told.push((elapsed() - before).as_secs_f64() * 1000.0);
    }
    let trips = |ms: f64| format!("{ms:.0} ms = {:.1}", ms / (2.0 * ONE_WAY.as_secs_f64() * 1000.0));
    Ok(format!(
        "{} round trips cold; {} live; {} live, the third",
        trips(told[0]),
        trips(told[1]),
        trips(told[3])
    ))
}

/// How long a start takes where so many recipients are queued.
pub(crate) async fn start_up(recipients: u64, table: &mut Table) -> Result<(), Trouble> {
    println!("  filling a queue with {recipients} recipients");
    let mut ours = Ours::lay_out().await?;
    let config = ours.north()?;
    let store = daemon::open_store(&config)?;
    fill(&store, recipients / RECIPIENTS).await?;
    drop(store);
    let elapsed = stopwatch();
    ours.start_north()?;
    ours.north_ready().await?;
    let took = elapsed().as_secs_f64();
    let memory = resident(ours.sender());
    let name = format!("start with {recipients} queued recipients in {} legs", recipients / RECIPIENTS);
    let value = format!("{took:.1} s, {:.0} MiB resident", memory as f64 / (1 << 20) as f64);
    table.fact(&name, value, "2 s; 300 MiB (for 1,000,000)");
    Ok(())
}

/// Queues messages of [`RECIPIENTS`] each, in a thousand lanes, for a day on which nobody is in a hurry.
async fn fill(store: &Arc<dyn Store>, messages: u64) -> Result<(), Trouble> {
    let mut waiting = JoinSet::new();
    for number in 0..messages {
        if waiting.len() >= FILLERS
            && let Some(done) = waiting.join_next().await
        {
            done??;
        }
        let (store, acceptance) = (store.clone(), acceptance(number)?);
        waiting.spawn(async move { store.accept(acceptance).await });
    }
    while let Some(done) = waiting.join_next().await {
        done??;
    }
    Ok(())
}

fn acceptance(number: u64) -> Result<Acceptance, Trouble> {
    // 2100-01-01: nothing of it is due.
    const THEN_MS: u64 = 4_102_444_800_000;
    let domain = format!("far{}.test", number % 1000);
    let lane = Lane::new(&format!("exchange:{domain}"))?;
    let recipient = |place: u64| -> Result<Intended, Trouble> {
        let mut cookie = [0; 32];
        cookie[..8].copy_from_slice(&number.to_be_bytes());
        cookie[8..16].copy_from_slice(&place.to_be_bytes());
        Ok(Intended {
            address: Address::from_wire(&format!("user{place}@{domain}"))?,
            effect: Effect::Queue { lane: lane.clone() },
            answer: Disposition::Pending {
                cookie: Cookie::from_bytes(*message::Digest::of(&cookie).as_bytes()),
                min_seconds: 60,
                max_seconds: 3600,
                until: THEN_MS / 1000,
            },
            why: None,
        })
    };
    // A message of one empty part: what is measured is the queue.
    let letter = tests::letter_with(
        &[("From", "alice@north.test"), ("Subject", &number.to_string())],
        &[("text/plain", b"")],
    );
    let (manifest, headers) = (letter.manifest().clone(), letter.headers().clone());
    Ok(Acceptance {
        offered_as: manifest.identity(),
        content: Content::New(NewMessage {
            manifest,
            headers: Some(headers),
            seals: Vec::new(),
            parts: Vec::new(),
        }),
        octets: 1,
        origin: Origin::Submission { account: "alice".to_owned() },
        trace: Vec::new(),
        now_ms: 1_767_225_600_000,
        expires_at_ms: THEN_MS,
        release_at_ms: Some(THEN_MS),
        recipients: (0..RECIPIENTS).map(recipient).collect::<Result<_, _>>()?,
        again: Vec::new(),
        members: Vec::new(),
        room: None,
    })
}
