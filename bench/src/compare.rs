//! One run: everybody with the same messages on the same cores, in turns.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::floor::{self, Floor, stopwatch};
use crate::ours::Ours;
use crate::peers::{Peer, Role, resident_of_descendants};
use crate::table::{Table, Who};
use crate::{Trouble, alone};

/// Octets of a message of the usual size.
const MESSAGE_OCTETS: u64 = 4096;
const MIB: u64 = 1 << 20;
/// How long what was relayed may take to arrive.
const ARRIVAL_TIME: Duration = Duration::from_secs(60);
/// Messages that are looked at with strace.
const TRACED_MESSAGES: u64 = 20;

/// What is to be measured, and with whom.
pub(crate) struct Options {
    /// Less of everything.
    pub(crate) short: bool,
    /// Where Postfix was unpacked.
    pub(crate) postfix: Option<PathBuf>,
    /// Where OpenSMTPD was unpacked.
    pub(crate) opensmtpd: Option<PathBuf>,
}

/// Everybody who takes part.
struct Everybody {
    ours: Ours,
    floor: Floor,
    postfix: Option<Peer>,
    /// A Postfix that sends on to the one above.
    relay: Option<Peer>,
    opensmtpd: Option<Peer>,
    floor_folder: tempfile::TempDir,
}

/// The most octets that the receiving node had resident while it did something.
#[derive(Default)]
struct Most {
    small: u64,
    relayed: u64,
    large: u64,
}

/// Measures everything.
///
/// # Errors
/// Where one of them does not do its work.
pub(crate) async fn run(options: &Options) -> Result<Table, Trouble> {
    let mut table = Table::default();
    println!("what is synced before the answer");
    durability(options, &mut table).await?;
    println!("starting everybody");
    let mut all = Everybody::start(options).await?;
    let idle = all.ours.resident();
    let rounds = if options.short { 2 } else { 5 };
    let mut most = Most::default();
    for round in 1..=rounds {
        println!("round {round} of {rounds}: small messages");
        all.ours.forget_most_resident()?;
        all.small(&mut table, options.short).await?;
        most.small = most.small.max(all.ours.most_resident());
        println!("round {round} of {rounds}: relayed");
        all.ours.forget_most_resident()?;
        all.relayed(&mut table, options.short).await?;
        most.relayed = most.relayed.max(all.ours.most_resident());
        println!("round {round} of {rounds}: large messages");
        all.ours.forget_most_resident()?;
        all.large(&mut table, options.short, round).await?;
        most.large = most.large.max(all.ours.most_resident());
    }
    println!("ours alone");
    memory(&all, idle, &most, &mut table);
    let polls = alone::polls(&all.ours, &mut table).await;
    tell_missing(&mut table, "polls", polls);
    let wire = alone::wire(&all.ours, &mut table).await;
    tell_missing(&mut table, "octets on the wire", wire);
    let link = alone::link(&mut all.ours, &mut table).await;
    tell_missing(&mut table, "the slow link", link);
    all.floor.stop().await;
    drop((all.ours, all.postfix, all.relay, all.opensmtpd));
    let started = alone::start_up(if options.short { 100_000 } else { 1_000_000 }, &mut table).await;
    tell_missing(&mut table, "the start with a large queue", started);
    Ok(table)
}

/// Only what comes in by SMTP: the gateway, and Postfix with TLS and without, in turns, in three rounds.
///
/// # Errors
/// Where one of them cannot be started, or does not accept a message.
pub(crate) async fn gateway(options: &Options) -> Result<Table, Trouble> {
    let mut table = Table::default();
    let at = options.postfix.as_deref().ok_or("the gateway is measured beside Postfix: say --postfix DIR")?;
    let postfix = Peer::postfix(at, Role::Keeps, None)?;
    let ours = Ours::start().await?;
    let octets = MESSAGE_OCTETS as usize;
    for _ in 0..3 {
        for (sessions, count) in [(1, 600), (20, 4_000), (100, 8_000)] {
            let count = if options.short { count / 2 } else { count };
            let row = format!("4 KiB accepted by SMTP (the gateway), {sessions} sessions");
            let loads = [
                (Who::PostfixTls, postfix.smtp(true)),
                (Who::Postfix, postfix.smtp(false)),
                (Who::Ours, ours.gateway()?),
            ];
            for (who, smtp) in loads {
                let load = tokio::task::spawn_blocking(move || smtp.load(sessions, count, octets));
                table.sample(&row, who, load.await??);
                postfix.empty();
            }
        }
    }
    Ok(table)
}

/// What could not be measured of us alone does not take the rest with it.
fn tell_missing(table: &mut Table, what: &str, measured: Result<(), Trouble>) {
    if let Err(error) = measured {
        table.note(format!("NOT MEASURED: {what}: {error}"));
    }
}

impl Everybody {
    async fn start(options: &Options) -> Result<Everybody, Trouble> {
        let folder = tempfile::Builder::new().prefix("waxwing-bench-").tempdir()?;
        let floor = Floor::start(folder.path()).await?;
        let postfix =
            options.postfix.as_deref().map(|at| Peer::postfix(at, Role::Keeps, None)).transpose()?;
        let relay = match (&options.postfix, &postfix) {
            (Some(at), Some(next)) => Some(Peer::postfix(at, Role::Relays(next.port()), None)?),
            _ => None,
        };
        let opensmtpd = options.opensmtpd.as_deref().map(|at| Peer::opensmtpd(at, None)).transpose()?;
        let ours = Ours::start().await?;
        Ok(Everybody { ours, floor, postfix, relay, opensmtpd, floor_folder: folder })
    }

    async fn small(&self, table: &mut Table, short: bool) -> Result<(), Trouble> {
        for (in_flight, count) in [(1, 600), (20, 4_000), (100, 8_000)] {
            let row = format!("4 KiB accepted, {in_flight} in flight");
            let count = if short { count / 2 } else { count };
            table.sample(&row, Who::Floor, self.floor.small(in_flight, 3 * count).await?);
            let by_smtp = format!("4 KiB accepted by SMTP with TLS (the gateway), {in_flight} sessions");
            for (who, rate) in self.smtp_loads(in_flight, count, MESSAGE_OCTETS as usize).await? {
                table.sample(&row, who, rate);
                table.sample(&by_smtp, who, rate);
            }
            let gateway = self.ours.gateway()?;
            let load =
                tokio::task::spawn_blocking(move || gateway.load(in_flight, count, MESSAGE_OCTETS as usize));
            table.sample(&by_smtp, Who::Ours, load.await??);
            let ours = self.ours.exchange(in_flight, 2 * count, MESSAGE_OCTETS).await?;
            table.sample(&row, Who::Ours, number(&ours, "per_second"));
        }
        Ok(())
    }

    /// The rates of those that speak SMTP.
    async fn smtp_loads(
        &self,
        sessions: usize,
        count: u64,
        octets: usize,
    ) -> Result<Vec<(Who, f64)>, Trouble> {
        let mut rates = Vec::new();
        let loads = [
            (Who::PostfixTls, &self.postfix, true),
            (Who::Postfix, &self.postfix, false),
            (Who::Opensmtpd, &self.opensmtpd, false),
        ];
        for (who, peer, tls) in loads {
            let Some(peer) = peer else { continue };
            let smtp = peer.smtp(tls);
            let load = tokio::task::spawn_blocking(move || smtp.load(sessions, count, octets));
            rates.push((who, load.await??));
            peer.empty();
        }
        Ok(rates)
    }

    async fn relayed(&self, table: &mut Table, short: bool) -> Result<(), Trouble> {
        for (in_flight, count) in [(1, 300), (20, 2_000), (100, 3_000)] {
            let row = format!("4 KiB from submission to the other node, {in_flight} in flight");
            let count = if short { count / 2 } else { count };
            if let (Some(relay), Some(next)) = (&self.relay, &self.postfix) {
                let (smtp, before, elapsed) = (relay.smtp(true), next.kept(), stopwatch());
                let load =
                    tokio::task::spawn_blocking(move || smtp.load(in_flight, count, MESSAGE_OCTETS as usize));
                load.await??;
                while next.kept() < before + count {
                    if elapsed() > ARRIVAL_TIME {
                        return Err("what Postfix relays does not arrive".into());
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                table.sample(&row, Who::PostfixTls, count as f64 / elapsed().as_secs_f64());
                next.empty();
            }
            let ours = self.ours.submit(in_flight, count, MESSAGE_OCTETS).await?;
            table.sample(&row, Who::Ours, number(&ours, "delivered_per_second"));
        }
        let ours = self.ours.submit(1, if short { 5 } else { 20 }, 10 * MIB).await?;
        let rate = number(&ours, "delivered_per_second") * (10 * MIB) as f64 / 1e6;
        table.sample("10 MiB from submission to the other node, MB/s", Who::Ours, rate);
        Ok(())
    }

    async fn large(&self, table: &mut Table, short: bool, round: usize) -> Result<(), Trouble> {
        let row = "10 MiB accepted, one at a time, MB/s";
        let count = if short { 5 } else { 20 };
        table.sample(row, Who::Floor, self.floor.stream(count * 10 * MIB).await? / 1e6);
        table.sample(row, Who::Disk, floor::disk(self.floor_folder.path(), 10 * MIB, count)? / 1e6);
        for (who, rate) in self.smtp_loads(1, count, 10 * MIB as usize).await? {
            table.sample(row, who, rate * (10 * MIB) as f64 / 1e6);
        }
        let ours = self.ours.exchange(1, count, 10 * MIB).await?;
        table.sample(row, Who::Ours, number(&ours, "per_second") * (10 * MIB) as f64 / 1e6);
        // A part of 1 GiB fills the disk with what it measures: not in every round.
        if round <= if short { 1 } else { 2 } {
            let row = "1 GiB accepted, MB/s";
            table.sample(row, Who::Floor, self.floor.stream(1024 * MIB).await? / 1e6);
            table.sample(row, Who::Disk, floor::disk(self.floor_folder.path(), 1024 * MIB, 1)? / 1e6);
            let ours = self.ours.exchange(1, 1, 1024 * MIB).await?;
            table.sample(row, Who::Ours, number(&ours, "per_second") * (1024 * MIB) as f64 / 1e6);
        }
        Ok(())
    }
}

fn memory(all: &Everybody, idle: u64, most: &Most, table: &mut Table) {
    let mib = |octets: u64| format!("{:.0} MiB", octets as f64 / MIB as f64);
    table.fact("resident, idle after ten messages", mib(idle), "30 MiB");
    let name =
        "most resident of the receiving node, while it accepts 4 KiB, up to 100 in flight and sessions";
    table.fact(name, mib(most.small), "100 MiB");
    table.fact("the same, while it gets what another node was handed", mib(most.relayed), "-");
    table.fact("the same, while it accepts 10 MiB and 1 GiB", mib(most.large), "150 MiB");
    for (name, peer) in [("Postfix", &all.postfix), ("OpenSMTPD", &all.opensmtpd)] {
        if let Some(peer) = peer {
            let name = format!("{name}: resident after the same, its processes added up");
            table.fact(&name, mib(peer.resident_octets()), "-");
        }
    }
}

/// Counts with strace what each of them syncs for a message, one at a time.
async fn durability(options: &Options, table: &mut Table) -> Result<(), Trouble> {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        table.note("What is synced was not looked at: strace is not here.".to_owned());
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("trace");
    let mut told = Vec::new();
    if let Some(at) = &options.postfix {
        let peer = Peer::postfix(at, Role::Keeps, Some(&file))?;
        told.push(("Postfix", traced_smtp(&peer, &file)?));
    }
    if let Some(at) = &options.opensmtpd {
        let peer = Peer::opensmtpd(at, Some(&file))?;
        told.push(("OpenSMTPD", traced_smtp(&peer, &file)?));
    }
    let ours = Ours::start().await?;
    let mut strace = Traced::attach(ours.receiver().ok_or("the node does not run")?, &file)?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    ours.exchange(1, TRACED_MESSAGES, MESSAGE_OCTETS).await?;
    strace.end()?;
    told.push(("Waxwing", syncs(&file)));
    let words: Vec<String> = told
        .iter()
        .map(|(name, count)| format!("{name} {:.1}", *count as f64 / TRACED_MESSAGES as f64))
        .collect();
    table.note(format!(
        "Calls of fsync and fdatasync for each message before its answer, one message at a time, as strace counts them: {}.",
        words.join(", ")
    ));
    Ok(())
}

fn traced_smtp(peer: &Peer, file: &Path) -> Result<u64, Trouble> {
    peer.smtp(false).load(1, 2, MESSAGE_OCTETS as usize)?;
    let before = syncs(file);
    peer.smtp(false).load(1, TRACED_MESSAGES, MESSAGE_OCTETS as usize)?;
    Ok(syncs(file) - before)
}

/// Calls that wait until the disk has something.
fn syncs(file: &Path) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let begins =
        |line: &&str| (line.contains("fsync(") || line.contains("fdatasync(")) && !line.contains("resumed>");
    text.lines().filter(begins).count() as u64
}

/// A process that is looked at.
struct Traced(Child);

impl Traced {
    fn attach(process: u32, file: &Path) -> Result<Traced, Trouble> {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-o"]).arg(file);
        Ok(Traced(command.args(["-p", &process.to_string()]).stderr(Stdio::null()).spawn()?))
    }

    fn end(&mut self) -> Result<(), Trouble> {
        Command::new("kill").args(["-INT", &self.0.id().to_string()]).status()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // It has ended where `end` was called.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A number of a report of `waxwing bench`.
pub(crate) fn number(report: &Value, name: &str) -> f64 {
    report[name].as_f64().unwrap_or(f64::NAN)
}

/// Octets resident of one process.
pub(crate) fn resident(process: Option<u32>) -> u64 {
    process.map_or(0, resident_of_descendants)
}
