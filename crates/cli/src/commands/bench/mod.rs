//! `bench`: a load for a node, and what it says about it.

mod latency;
mod letter;
mod load;
mod watch;

use message::SecretKey;
use message::address::Domain;
use serde::Serialize;
use transport::{Alpn, Expectation, HostKey};

use self::letter::{Mould, Sizes};
use self::load::{Lines, Tally, Work};
use self::watch::{Arrivals, Watch};
use super::End;
use crate::client::{device_identity, expectation};
use crate::output::{BAD, Output, STRONG, paint, size};
use crate::profile::{self, Profile};
use crate::{BenchCommand, BenchLoad, BenchPeer, BenchSubmitArgs, Command, Error, Global, Invocation};

/// As whom a node is met by `bench exchange` and `bench poll`.
pub struct PeerIdentity {
    /// The domain, which stands in the certificate.
    pub domain: Domain,
    /// Where the key of its seals stands in the DNS.
    pub selector: String,
    /// The key of its seals.
    pub key: SecretKey,
    /// Its certificate.
    pub host: HostKey,
    /// The keys by which it knows others.
    pub pins: std::collections::BTreeMap<Domain, [u8; 32]>,
}

/// `bench submit`.
pub(super) async fn submit(
    global: &Global,
    arguments: &BenchSubmitArgs,
    output: &mut Output,
) -> Result<End, Error> {
    let folder = profile::folder(global)?;
    let (profile, device) = (Profile::load(&folder)?, profile::device_key(&folder)?);
    let mould = Mould::of_user(&profile.address, &arguments.letters.to, arguments.letters.size)?;
    let sizes = mould.sizes()?;
    let work = Work::letters(mould, &arguments.load)?;
    let watch = match &arguments.watch {
        Some(folder) => Some(Watch::open(folder).await?),
        None => None,
    };
    let trust = expectation(&profile.node, &profile.trust)?;
    let lines = Lines::open(
        &profile.node,
        Alpn::Submission,
        &trust,
        device_identity(&device)?,
        arguments.load.connections,
    )
    .await?;
    let watching = watch.map(|watch| watch.start());
    let tally = load::run(&lines, work, &arguments.load, output).await;
    lines.close().await;
    let arrivals = match watching {
        Some(watching) => Some(watching.until(tally.done).await?),
        None => None,
    };
    let octets = (arguments.letters.size, Some(sizes));
    report("submit", &tally, arrivals, &arguments.load, octets, output)
}

/// `bench exchange` and `bench poll`.
pub(crate) async fn as_peer(
    invocation: &Invocation,
    identity: PeerIdentity,
    output: &mut Output,
) -> Result<End, Error> {
    match &invocation.command {
        Command::Bench(BenchCommand::Exchange(arguments)) => {
            let first = arguments.letters.to.first().map(|address| address.domain().as_str());
            let lines = open_as(&identity, &arguments.peer, first, &arguments.load).await?;
            let size = arguments.letters.size;
            let mould = Mould::of_peer(identity, &arguments.letters.to, size)?;
            let octets = (size, Some(mould.sizes()?));
            let work = Work::letters(mould, &arguments.load)?;
            let tally = load::run(&lines, work, &arguments.load, output).await;
            lines.close().await;
            report("exchange", &tally, None, &arguments.load, octets, output)
        }
        Command::Bench(BenchCommand::Poll(arguments)) => {
            let lines = open_as(&identity, &arguments.peer, None, &arguments.load).await?;
            let cookies = usize::try_from(arguments.cookies).unwrap_or(usize::MAX);
            let tally = load::run(&lines, Work::Polls { cookies }, &arguments.load, output).await;
            lines.close().await;
            report("poll", &tally, None, &arguments.load, (32 * arguments.cookies, None), output)
        }
        _ => Err(Error::usage("that is not a load as another node")),
    }
}

async fn open_as(
    identity: &PeerIdentity,
    peer: &BenchPeer,
    recipient: Option<&str>,
    load: &BenchLoad,
) -> Result<Lines, Error> {
    let pinned = peer.pin.or_else(|| {
        let name = Domain::parse(peer.domain.as_deref().or(recipient)?).ok()?;
        identity.pins.get(&name).copied()
    });
    let digest = pinned.ok_or_else(|| Error::Usage {
        text: format!("it is not known who {} must be", peer.node),
        hint: Some("give the digest of its key with --pin, or its --domain where that is pinned".to_owned()),
    })?;
    let trust = Expectation::Pinned { digests: vec![digest] };
    Lines::open(&peer.node, Alpn::Exchange, &trust, identity.host.clone(), load.connections).await
}

/// What programs read.
#[derive(Serialize)]
struct Report<'a> {
    load: &'a str,
    connections: u32,
    in_flight: u32,
    octets: u64,
    sizes: Option<Sizes>,
    answered: u64,
    refused: u64,
    failed: u64,
    seconds: f64,
    per_second: f64,
    p50_us: u64,
    p90_us: u64,
    p99_us: u64,
    p999_us: u64,
    longest_us: u64,
    wire_octets_sent: u64,
    wire_octets_received: u64,
    delivered: Option<u64>,
    delivered_per_second: Option<f64>,
    trouble: Option<&'a str>,
}

fn report(
    load: &str,
    tally: &Tally,
    arrivals: Option<Arrivals>,
    asked: &BenchLoad,
    (octets, sizes): (u64, Option<Sizes>),
    output: &mut Output,
) -> Result<End, Error> {
    let seconds = tally.took.as_secs_f64().max(f64::EPSILON);
    let percentile = |share| tally.latency.percentile_us(share);
    let report = Report {
        load,
        connections: asked.connections,
        in_flight: asked.in_flight,
        octets,
        sizes,
        answered: tally.done,
        refused: tally.refused,
        failed: tally.failed,
        seconds,
        per_second: tally.done as f64 / seconds,
        p50_us: percentile(0.5),
        p90_us: percentile(0.9),
        p99_us: percentile(0.99),
        p999_us: percentile(0.999),
        longest_us: tally.latency.longest_us(),
        wire_octets_sent: tally.wire.0,
        wire_octets_received: tally.wire.1,
        delivered: arrivals.as_ref().map(|arrivals| arrivals.count),
        delivered_per_second: arrivals.as_ref().map(|arrivals| {
            let seconds = arrivals.last.duration_since(tally.began).as_secs_f64();
            arrivals.count as f64 / seconds.max(f64::EPSILON)
        }),
        trouble: tally.trouble.as_deref(),
    };
    let missing = report.delivered.is_some_and(|delivered| delivered < tally.done);
    if output.is_json() {
        output.object(&report)?;
    } else {
        print(&report, output)?;
    }
    Ok(if tally.refused + tally.failed > 0 || missing { End::Bad } else { End::Good })
}

fn print(report: &Report<'_>, output: &mut Output) -> Result<(), Error> {
    let per_second = paint(STRONG, &format!("{:.0} per second", report.per_second));
    output.line(&format!(
        "{per_second}, {} of {} in {:.2} s; {} at once over {}",
        report.answered,
        size(report.octets),
        report.seconds,
        report.in_flight,
        if report.connections == 1 {
            "1 connection".to_owned()
        } else {
            format!("{} connections", report.connections)
        },
    ))?;
    let ms = |us: u64| us as f64 / 1000.0;
    output.line(&format!(
        "answers after {:.2} ms (half), {:.2} ms (90 %), {:.2} ms (99 %), {:.2} ms (99.9 %), {:.2} ms (all)",
        ms(report.p50_us),
        ms(report.p90_us),
        ms(report.p99_us),
        ms(report.p999_us),
        ms(report.longest_us)
    ))?;
    let each = report.answered.max(1);
    output.line(&format!(
        "on the wire for each: {} octets there, {} back",
        report.wire_octets_sent / each,
        report.wire_octets_received / each
    ))?;
    if let Some(sizes) = report.sizes {
        output.line(&format!(
            "in it: {} octets of the message with its header, {} of its manifest, {} of seals, {} of the offer",
            sizes.message, sizes.manifest, sizes.seals, sizes.offer
        ))?;
    }
    if let (Some(delivered), Some(per_second)) = (report.delivered, report.delivered_per_second) {
        output.line(&format!("{delivered} in the mailbox, {per_second:.0} per second from end to end"))?;
    }
    if let Some(trouble) = report.trouble {
        let words = format!("{} refused, {} without an answer; the first: ", report.refused, report.failed);
        output.line(&format!("{}{}", paint(BAD, &words), crate::output::clean(trouble)))?;
    }
    Ok(())
}
