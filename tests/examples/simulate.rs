//! Simulated worlds from the command line: see `scripts/simulate`.

use std::process::ExitCode;

use testkit::Plan;
use waxwing_tests::simulation::{HouseDoors, sweep};

const USAGE: &str = "usage: simulate [--from S] --seeds N    the worlds of N seeds
       simulate --seed S               the world of one seed, with its story
       simulate --large [N]            queues of up to N recipients (1,000,000), with redb in a temporary folder;
                                       up to 100,000 of them are delivered, with --deliver all";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)?.parse::<u64>().ok()
    };
    if arguments.iter().any(|argument| argument == "--large") {
        let deliver = arguments.iter().any(|argument| argument == "--deliver");
        return large(number("--large").unwrap_or(1_000_000), deliver);
    }
    if let Some(recipients) = number("--measure") {
        return measure(recipients, arguments.iter().any(|argument| argument == "--deliver"));
    }
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
    println!("what became of their logs: {:?}", all.logs);
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

/// Each size in a process of its own, so that none is measured with the memory of another.
fn large(most: u64, deliver: bool) -> ExitCode {
    let sizes = std::iter::successors(Some(10_000), |size| Some(size * 10)).take_while(|size| *size <= most);
    for size in sizes {
        let itself = std::env::current_exe().expect("a program knows where it is");
        let mut command = std::process::Command::new(itself);
        command.args(["--measure", &size.to_string()]);
        if deliver || size <= 100_000 {
            command.arg("--deliver");
        }
        match command.status() {
            Ok(status) if status.success() => {}
            other => {
                eprintln!("{size} recipients: {other:?}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn measure(recipients: u64, deliver: bool) -> ExitCode {
    let folder = tempfile::Builder::new().prefix("waxwing-large-").tempdir().expect("a temporary folder");
    let measured = waxwing_tests::large::measure(recipients, folder.path(), deliver);
    let [offers, polls, cookies] = measured.spoken;
    let [before, after] = measured.resident_kib.map(|kib| kib / 1024);
    println!("{recipients} recipients at {} domains", waxwing_tests::large::DOMAINS);
    println!("  accepted in        {:.1} s", measured.filling.as_secs_f64());
    println!(
        "  start              {:.3} s, {before} MiB before, {after} MiB after",
        measured.starting.as_secs_f64()
    );
    for (due, took) in &measured.ticks {
        println!("  tick, {due:>5} due    {:.3} ms", took.as_secs_f64() * 1000.0);
    }
    if deliver {
        let [real, within] = measured.working.map(|took| took.as_secs_f64());
        println!("  all final after    {real:.1} s, {:.1} h in the world", within / 3600.0);
        println!("  said               {offers} offers, {polls} polls about {cookies} cookies");
    }
    println!("  most memory        {} MiB", measured.most_kib / 1024);
    println!("  store              {} MiB", measured.store_octets >> 20);
    ExitCode::SUCCESS
}
