//! Measures Waxwing side by side with others: see `scripts/bench` and `bench/RESULTS.md`.

mod floor;
mod ours;

/// What goes wrong in a measurement.
type Trouble = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Trouble> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, otherwise: u64| -> u64 {
        arguments.get(place).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
    };
    match arguments.first().map(String::as_str) {
        Some("floor") => {
            let folder = tempfile::tempdir()?;
            let floor = floor::Floor::start(folder.path()).await?;
            for (in_flight, count) in [(1, 2000), (20, 10_000), (100, 30_000)] {
                println!("floor {in_flight}: {:.0}/s", floor.small(in_flight, count).await?);
            }
            println!("stream: {:.0} MB/s", floor.stream(1 << 30).await? / 1e6);
            floor.stop().await;
        }
        Some("one") => {
            let ours = ours::Ours::start().await?;
            let (in_flight, messages) = (number(2, 100) as usize, number(3, 10_000));
            let octets = number(4, 4096);
            let rounds = number(5, 1);
            for _ in 0..rounds {
                let value = match arguments.get(1).map(String::as_str) {
                    Some("exchange") => ours.exchange(in_flight, messages, octets).await?,
                    Some("poll") => ours.poll(in_flight, messages, 500).await?,
                    _ => ours.submit(in_flight, messages, octets).await?,
                };
                println!("{value}");
            }
        }
        _ => return Err("what is to be measured?".into()),
    }
    Ok(())
}
