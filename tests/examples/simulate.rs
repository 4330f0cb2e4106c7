//! Simulated worlds from the command line: see `scripts/simulate`.

use std::process::ExitCode;

use testkit::Plan;
use waxwing_tests::simulation::{HouseDoors, sweep};

const USAGE: &str = "usage: simulate [--from S] --seeds N    the worlds of N seeds
       simulate --seed S               the world of one seed, with its story";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)?.parse::<u64>().ok()
    };
    match (number("--seed"), number("--seeds")) {
        (Some(seed), None) => one(seed),
        (None, Some(count)) => {
            let from = number("--from").unwrap_or(0);
            many(from, count)
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn one(seed: u64) -> ExitCode {
    let ended = testkit::run(&Plan::of(seed), std::sync::Arc::new(HouseDoors), true);
    ended.story.iter().for_each(|line| println!("{line}"));
    println!("seed {seed}: {} happenings, digest {}", ended.happened, ended.digest.to_hex());
    println!("{} messages acknowledged, {} mails", ended.acknowledged, ended.delivered);
    ended.broken.iter().for_each(|broken| println!("BROKEN {}: {}", broken.invariant, broken.what));
    if ended.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn many(from: u64, count: u64) -> ExitCode {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let progress = |done: u64| {
        if done.is_multiple_of(20) || done == count {
            eprint!("\r{done} of {count}");
        }
    };
    let all = sweep(from..from + count, threads, &progress);
    eprintln!();
    println!(
        "{} worlds, {} days in them, {} happenings, {} messages acknowledged, {} mails",
        all.worlds,
        all.lasted_ms / 86_400_000,
        all.happened,
        all.acknowledged,
        all.delivered
    );
    println!("what became of recipients: {:?}", all.outcomes);
    for (seed, broken) in &all.failed {
        println!("FAILED seed {seed}: {}: {}", broken.invariant, broken.what);
    }
    println!(
        "{} failed{}",
        all.failed.len(),
        if all.failed.is_empty() { "" } else { "; scripts/simulate --seed S tells the story" }
    );
    if all.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
