//! Records that were written long ago, and have not been changed since, while others are changed over and over: the engine moves
//! them about in its files, and the disk keeps of that what it likes when the power fails. Each is there all the same.
//!
//! `WAXWING_TORTURE_CUTS` sets how often the power fails for each engine (3 where it is not set), `WAXWING_TORTURE_SEED` the moments.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use storage::{Batch, Engine, Logged};
use storage_redb::Redb;
use storage_sled::Sled;
use waxwing_tests::torture::{Random, SMALL_DISK_MEBIOCTETS, Trouble, Volume, setting, stop};

/// The name of the test, by which the child is started.
const TEST: &str = "settled::what_was_settled_long_ago_is_there_when_the_power_comes_back";
/// Tells the child which engine it has, where, and the number of its first commit.
const CHILD: &str = "WAXWING_CHURN";
/// How often the power fails for each engine in the short form.
const CUTS: u64 = 3;
/// How many records there are.
const KEYS: u64 = 6_000;
/// Of these, how many are changed most of the time.
const BUSY_KEYS: u64 = 600;
/// Records that one commit changes.
const CHANGES: u64 = 40;
/// Commits after which the power fails, at most; some hundred fill a file of the log.
const COMMITS_MAX: u64 = 3_000;

#[test]
fn what_was_settled_long_ago_is_there_when_the_power_comes_back() -> Result<(), Trouble> {
    if let Ok(child) = std::env::var(CHILD) {
        let words: Vec<&str> = child.splitn(3, ' ').collect();
        return change_for_ever(words[0], words[1].parse()?, Path::new(words[2]));
    }
    let (cuts, seed) = (setting("WAXWING_TORTURE_CUTS", CUTS), setting("WAXWING_TORTURE_SEED", 1));
    let Some(volume) = Volume::make()? else { return Ok(()) };
    for engine in ["sled", "redb"] {
        let folder = tempfile::tempdir()?;
        let mut disk = volume.disk("churn", &folder.path().join("disk"), SMALL_DISK_MEBIOCTETS)?;
        let mut random = Random::new(seed);
        let mut last = 0;
        for cut in 1..=cuts {
            let until = last + random.between(1, COMMITS_MAX);
            let child = Command::new(std::env::current_exe()?)
                .args([TEST, "--exact", "--nocapture", "--test-threads=1"])
                .env(CHILD, format!("{engine} {} {}", last + 1, disk.folder().display()))
                .stdout(Stdio::piped())
                .spawn()?;
            let mut child = Killed(child);
            let mut lines = BufReader::new(child.0.stdout.take().ok_or("no output")?).lines();
            let number =
                |line: &str| line.split("acknowledged ").nth(1).and_then(|number| number.parse().ok());
            while last < until {
                let line =
                    lines.next().ok_or_else(|| format!("{engine}, cut {cut}: the child has ended"))??;
                last = number(&line).unwrap_or(last);
            }
            stop(child.0.id())?;
            if random.between(0, 3) == 0 {
                disk.fail()?;
            } else {
                disk.fail_keeping(&mut random)?;
            }
            drop(child);
            // What it still said before it was stopped was acknowledged too.
            lines.map_while(Result::ok).for_each(|line| last = number(&line).unwrap_or(last));
            disk.come_back()?;
            last = verify(engine, disk.folder(), last)
                .map_err(|error| format!("{engine}, cut {cut}: {error}"))?;
        }
        println!("{engine}: {cuts} cuts, {last} commits, all {KEYS} records there");
    }
    Ok(())
}

/// A process that is killed when this value goes, also one that was stopped: it holds on to the disk.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The records that a commit changes. The first commits write all of them once.
fn changed(commit: u64) -> Vec<u64> {
    let mut random = Random::new(commit);
    let first = (commit - 1) * CHANGES;
    let one = |place| match first + place {
        new if new < KEYS => new,
        _ if random.between(0, 99) < 97 => random.between(0, BUSY_KEYS - 1),
        _ => random.between(BUSY_KEYS, KEYS - 1),
    };
    (0..CHANGES).map(one).collect()
}

fn key(number: u64) -> Vec<u8> {
    // Those that are often changed lie between the others.
    format!("k{:020}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes()
}

fn value(number: u64, commit: u64) -> Vec<u8> {
    let mut octets = vec![0; 8 + Random::new(number ^ commit << 32).between(50, 900) as usize];
    octets[8..].fill(commit as u8 ^ number as u8);
    octets[..8].copy_from_slice(&commit.to_be_bytes());
    octets
}

fn open(engine: &str, folder: &Path) -> Result<Box<dyn Engine>, Trouble> {
    let log = folder.join("wal");
    Ok(match engine {
        "sled" => Box::new(Logged::open(Sled::open(&folder.join("sled"))?, &log)?),
        _ => Box::new(Logged::open(Redb::open(&folder.join("store.redb"))?, &log)?),
    })
}

fn change_for_ever(engine: &str, first: u64, folder: &Path) -> Result<(), Trouble> {
    let engine = open(engine, folder)?;
    for commit in first.. {
        let mut batch = Batch::default();
        for number in changed(commit) {
            batch.put(key(number), value(number, commit));
        }
        engine.apply(&batch)?;
        writeln!(std::io::stdout(), "acknowledged {commit}")?;
    }
    Ok(())
}

/// Every record is as the last commit left it that was acknowledged, or as the one after it; returns which of them was the last.
fn verify(engine: &str, folder: &Path, last: u64) -> Result<u64, Trouble> {
    let engine = open(engine, folder)?;
    let findings = engine.check()?;
    if !findings.is_empty() {
        return Err(format!("{findings:?}").into());
    }
    let next = changed(last + 1);
    let has_next = engine.value(&key(next[0]))? == Some(value(next[0], last + 1));
    let last = if has_next { last + 1 } else { last };
    let commits: HashMap<u64, u64> = (1..=last)
        .flat_map(|commit| changed(commit).into_iter().map(move |number| (number, commit)))
        .collect();
    for (number, commit) in commits {
        if engine.value(&key(number))? != Some(value(number, commit)) {
            return Err(format!("record {number} of commit {commit} is lost, {last} was acknowledged").into());
        }
    }
    Ok(last)
}
