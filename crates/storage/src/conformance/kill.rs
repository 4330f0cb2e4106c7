//! A process that accepts mail is killed again and again; what it has acknowledged must be there.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use message::{Cookie, Disposition, Identity};

use super::fixture::*;
use crate::{Effect, Intended, Store};

/// Tells the child where its store is.
const DIRECTORY: &str = "WAXWING_KILL_DIRECTORY";
/// Tells the child which of the rounds it is.
const ROUND: &str = "WAXWING_KILL_ROUND";
/// How often the process is killed.
const ROUNDS: u64 = 20;
/// How many threads accept at the same time, so that there are groups.
const THREADS: usize = 8;

/// Starts this test program again for the test of this name, kills it while it accepts mail, and looks whether all
/// that it acknowledged is there. To be the whole of a test with just this name.
///
/// proves: STO-1
pub fn run_kills(test: &str, open: &dyn Fn(&Path) -> Box<dyn Store>) {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        let round = std::env::var(ROUND).unwrap().parse().unwrap();
        accept_for_ever(&*open(directory.as_ref()), round);
    }
    let directory = tempfile_directory(test);
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, &directory)
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // It goes on while its lines are read, so that the kill meets it anywhere.
        let until = 1 + (round * 2_654_435_761 % 97) as usize;
        let mut take = |line: String| {
            let hex = line.split("acknowledged ").nth(1).filter(|hex| hex.len() == 64);
            hex.is_some_and(|hex| acknowledged.insert(Identity::from_hex(hex).unwrap()))
        };
        let mut seen = 0;
        while seen < until {
            let line = lines.next().expect("the child ended by itself").unwrap();
            seen += usize::from(take(line));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it still said before it died was acknowledged too.
        lines.map_while(Result::ok).for_each(|line| {
            take(line);
        });
        verify(&*open(&directory), &acknowledged, round);
    }
    println!("{} acknowledged in {ROUNDS} rounds, none lost", acknowledged.len());
    std::fs::remove_dir_all(&directory).unwrap();
}

fn tempfile_directory(test: &str) -> std::path::PathBuf {
    let name = format!("waxwing-kill-{}-{}", std::process::id(), test.replace("::", "-"));
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// Accepts mail on several threads, and says so, until the process is killed.
fn accept_for_ever(store: &dyn Store, round: u64) {
    let numbers = AtomicU64::new(0);
    let accept_some = || {
        loop {
            let number = numbers.fetch_add(1, Ordering::SeqCst);
            let size = if number.is_multiple_of(8) { 40_000 } else { 3_000 };
            let mut body = octets(round as u8, size).to_vec();
            body[..8].copy_from_slice(&number.to_be_bytes());
            let message = letter(&format!("{round} {number}"), &[body.into()]);
            let mut cookie = [0; 32];
            cookie[..8].copy_from_slice(&round.to_be_bytes());
            cookie[8..16].copy_from_slice(&number.to_be_bytes());
            let to = Intended {
                address: address("a@far.test"),
                effect: Effect::Queue { lane: lane("far.test") },
                answer: Disposition::Pending {
                    cookie: Cookie::from_bytes(cookie),
                    min_seconds: 60,
                    max_seconds: 3600,
                    until: NOW / 1000,
                },
                why: None,
            };
            accept(store, &message, peer(), vec![to]).unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "acknowledged {}", message.identity()).unwrap();
            out.flush().unwrap();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(accept_some);
        }
    });
}

fn verify(store: &dyn Store, acknowledged: &BTreeSet<Identity>, round: u64) {
    for identity in acknowledged {
        let message = store.message(*identity).unwrap();
        let message = message.unwrap_or_else(|| panic!("round {round}: {identity} is lost"));
        assert!(message.is_complete(), "round {round}: {identity} is not whole");
        let octets = read_part(store, *identity, 0).unwrap();
        assert_eq!(Some(message::Digest::of(&octets)), message.manifest.root().leaf(), "round {round}");
        let answer = store.answered(&domain("peer.test"), *identity, &address("a@far.test")).unwrap();
        assert!(matches!(answer, Some(Disposition::Pending { .. })), "round {round}: {identity}");
    }
    assert!(store.statistics().legs >= acknowledged.len() as u64);
    store
        .check(&mut |finding| {
            assert_eq!(finding.kind, crate::FindingKind::Staging, "round {round}: {finding:?}");
        })
        .unwrap();
}
