//! A bad network between two nodes: 5 % of the datagrams are lost each way, the others take 50 ms, and now and then nothing
//! gets through for some seconds. What was acknowledged arrives once.
//!
//! The network is a relay between the processes: few kernels on which tests run have `tc netem`, and none is needed.
//! `WAXWING_TORTURE_SECONDS` sets how long it lasts (12 where it is not set).

use std::time::Duration;

use waxwing_tests::DelayingRelay;
use waxwing_tests::torture::{Load, Random, Trouble, World, setting};

/// How long one way takes.
const DELAY: Duration = Duration::from_millis(50);
const LOST_PERCENT: u64 = 5;
/// Milliseconds between two partitions, and of one, at most.
const WHOLE_MS: u64 = 6_000;
const PARTITION_MS: u64 = 5_000;
/// Milliseconds between two messages of a sender, at most: such a way carries some hundred KiB in a second.
const PAUSE_MS: u64 = 6_000;
/// How long everything may take to settle: connections that were cut are given up after 30 seconds.
const SETTLE_TIME: Duration = Duration::from_secs(300);

#[tokio::test]
async fn what_was_acknowledged_arrives_once_through_a_bad_network() -> Result<(), Trouble> {
    let (seconds, seed) = (setting("WAXWING_TORTURE_SECONDS", 12), setting("WAXWING_TORTURE_SEED", 1));
    println!("{seconds} seconds, seed {seed}");
    let mut world = World::lay_out(|_| {}).await?;
    // The DNS tells where the relay is; the node of the south listens elsewhere.
    let announced = world.south.config()?.listen.address;
    let elsewhere = waxwing_tests::world::free_address();
    world.south.configure(|config| config.listen.address = elsewhere)?;
    let relay = DelayingRelay::start_losing(announced, elsewhere, DELAY, LOST_PERCENT).await;
    let mut load = Load::prepare(&world, seed).await?;
    load.pause_ms = PAUSE_MS;
    world.start()?;
    let tasks = tokio::task::LocalSet::new();
    let result = tasks.run_until(run(&mut world, load, &relay, seconds, &mut Random::new(seed))).await;
    if result.is_err() {
        println!("{}\n{}", world.north.last_words(), world.south.last_words());
        println!("kept: {}", world.keep().display());
    }
    result
}

async fn run(
    world: &mut World,
    mut load: Load,
    relay: &DelayingRelay,
    seconds: u64,
    random: &mut Random,
) -> Result<(), Trouble> {
    load.begin();
    load.is_under_way().await?;
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
    let mut partitions = 0;
    while tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(random.between(1_000, WHOLE_MS))).await;
        relay.cut();
        let lasting_ms = random.between(1_000, PARTITION_MS);
        tokio::time::sleep(Duration::from_millis(lasting_ms)).await;
        relay.mend();
        partitions += 1;
        load.change(random);
        println!("partition {partitions}: {lasting_ms} ms; {} messages acknowledged", load.acknowledged());
    }
    load.end().await?;
    let begun = tokio::time::Instant::now();
    load.check_settled(SETTLE_TIME).await?;
    println!(
        "settled {} s after the last partition; {} datagrams lost",
        begun.elapsed().as_secs(),
        relay.lost()
    );
    assert!(relay.lost() > 0, "a network that loses nothing proves nothing");
    load.check_mailboxes(world).await?;
    world.north.kill()?;
    world.south.kill()?;
    for node in [&world.north, &world.south] {
        let findings = World::check_store(node)?;
        assert!(findings.is_empty(), "{}: {findings:?}", node.site.domain);
    }
    Ok(())
}
