//! Measures Waxwing side by side with others: see `scripts/bench` and `bench/RESULTS.md`.

mod alone;
mod compare;
mod floor;
mod ours;
mod peers;
mod table;

use std::path::PathBuf;

use compare::Options;
use floor::stopwatch;

/// What goes wrong in a measurement.
type Trouble = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str =
    "waxwing-bench [--short] [--postfix DIR] [--opensmtpd DIR] [--results FILE] [--machine TEXT]
waxwing-bench gateway --postfix DIR [--short]                        only what comes in by SMTP
waxwing-bench ours exchange|submit|poll IN-FLIGHT COUNT [OCTETS]    one load against two nodes of ours
waxwing-bench start RECIPIENTS                                       how long a start takes with so many queued
waxwing-bench link                                                   round trips over a link of 50 ms
waxwing-bench floor                                                  the bare floor alone";

#[tokio::main]
async fn main() -> Result<(), Trouble> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("floor") => floor_alone().await,
        Some("start") => start_alone(&arguments[1..]).await,
        Some("link") => link_alone().await,
        Some("ours") => ours_alone(&arguments[1..]).await,
        _ => compare_all(arguments).await,
    }
}

async fn compare_all(arguments: Vec<String>) -> Result<(), Trouble> {
    let mut options = Options { short: false, postfix: None, opensmtpd: None };
    let (mut results, mut machine) = (None, String::new());
    let mut gateway = false;
    let mut rest = arguments.into_iter();
    while let Some(name) = rest.next() {
        let mut value = || rest.next().ok_or(USAGE);
        match name.as_str() {
            "gateway" => gateway = true,
            "--short" => options.short = true,
            "--postfix" => options.postfix = Some(PathBuf::from(value()?)),
            "--opensmtpd" => options.opensmtpd = Some(PathBuf::from(value()?)),
            "--results" => results = Some(PathBuf::from(value()?)),
            "--machine" => machine = value()?,
            _ => return Err(USAGE.into()),
        }
    }
    let elapsed = stopwatch();
    let table = if gateway { compare::gateway(&options).await? } else { compare::run(&options).await? };
    let text = table.markdown(&machine);
    println!("\n{text}\n{:.0} s", elapsed().as_secs_f64());
    match results {
        Some(path) => table::write_between_marks(&path, &text),
        None => Ok(()),
    }
}

async fn start_alone(arguments: &[String]) -> Result<(), Trouble> {
    let recipients = arguments.first().and_then(|count| count.parse().ok()).ok_or(USAGE)?;
    let mut table = table::Table::default();
    alone::start_up(recipients, &mut table).await?;
    println!("{}", table.markdown(""));
    Ok(())
}

async fn link_alone() -> Result<(), Trouble> {
    let (mut ours, mut table) = (ours::Ours::start().await?, table::Table::default());
    alone::link(&mut ours, &mut table).await?;
    println!("{}", table.markdown(""));
    Ok(())
}

async fn ours_alone(arguments: &[String]) -> Result<(), Trouble> {
    let number = |place: usize| -> Option<u64> { arguments.get(place)?.parse().ok() };
    let (in_flight, count) = (number(1).ok_or(USAGE)?, number(2).ok_or(USAGE)?);
    let (in_flight, octets) = (usize::try_from(in_flight)?, number(3).unwrap_or(4096));
    let ours = ours::Ours::start().await?;
    let report = match arguments[0].as_str() {
        "exchange" => ours.exchange(in_flight, count, octets).await?,
        "submit" => ours.submit(in_flight, count, octets).await?,
        "poll" => ours.poll(in_flight, count, 500).await?,
        _ => return Err(USAGE.into()),
    };
    println!("{report}");
    Ok(())
}

async fn floor_alone() -> Result<(), Trouble> {
    let folder = tempfile::tempdir()?;
    let floor = floor::Floor::start(folder.path()).await?;
    for (in_flight, count) in [(1, 2_000), (20, 10_000), (100, 30_000)] {
        println!("{in_flight} in flight: {:.0} per second", floor.small(in_flight, count).await?);
    }
    println!("one stream: {:.0} MB/s", floor.stream(1 << 30).await? / 1e6);
    floor.stop().await;
    Ok(())
}
