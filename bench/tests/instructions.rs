//! What the hot paths cost in instructions, held against what is recorded in `instructions.toml`. Times are noisy,
//! instructions are not.
//!
//! `scripts/bench --instructions` runs it, with `--record` it writes the file anew. It is for optimised builds and needs
//! valgrind; elsewhere it says so and passes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;

use waxwing_bench::NAMES;

/// How often a path is gone along for the count.
const TIMES: u64 = 50;
/// How much more than recorded is allowed: the hash maps of the standard library are seeded at random.
const TOLERANCE: f64 = 0.05;
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.toml");

#[test]
fn hot_paths_cost_no_more_than_is_recorded() {
    if cfg!(debug_assertions) {
        return println!(
            "skipped: instructions are counted in optimised builds: scripts/bench --instructions"
        );
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        return println!("skipped: valgrind is not here, so no instructions are counted");
    }
    let counted: BTreeMap<&str, u64> = NAMES.into_iter().map(|name| (name, cost(name))).collect();
    if std::env::var("WAXWING_RECORD").is_ok_and(|word| word == "--record") {
        return record(&counted);
    }
    let budget = recorded();
    let mut over = Vec::new();
    for (name, count) in &counted {
        let allowed = budget.get(*name).copied().unwrap_or(0);
        println!("{name}: {count} instructions, {allowed} recorded");
        if *count as f64 > allowed as f64 * (1.0 + TOLERANCE) {
            over.push(*name);
        }
    }
    assert!(
        over.is_empty(),
        "more than recorded: {over:?}; if it is worth it: scripts/bench --instructions --record"
    );
    assert_eq!(budget.len(), counted.len(), "what is recorded is what is counted");
}

/// Instructions of going along a path once: a run with the path less one without.
fn cost(name: &str) -> u64 {
    (run(name, TIMES) - run(name, 0)) / TIMES
}

fn run(name: &str, times: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", env!("CARGO_BIN_EXE_hot-path"), name])
        .args([TIMES.to_string(), times.to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let count = said.lines().find_map(|line| line.split_once("Collected :")).unwrap().1;
    count.trim().parse().unwrap()
}

fn recorded() -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(FILE).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
    lines.map(|(name, count)| (name.to_owned(), count.replace('_', "").parse().unwrap())).collect()
}

fn record(counted: &BTreeMap<&str, u64>) {
    let mut text = "# Instructions of each hot path, as callgrind counts them in a release build.\n\
                    # Written by `scripts/bench --instructions --record`.\n"
        .to_owned();
    for (name, count) in counted {
        writeln!(text, "{name} = {count}").unwrap();
    }
    std::fs::write(FILE, text).unwrap();
}
