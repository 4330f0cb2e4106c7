//! Both nodes are killed at random moments, with SIGKILL and under load, and started again. What was acknowledged is in
//! its mailboxes once, what was refused is refused, and both stores are whole.
//!
//! `WAXWING_TORTURE_KILLS` sets the number of kills (24 where it is not set), `WAXWING_TORTURE_SEED` the moments.

use std::time::Duration;

use waxwing_tests::torture::{Load, Node, Random, Trouble, World, setting};

/// How long everything may take to settle after the last kill: what a killed peer has half sent is given up by its
/// receiver after 30 seconds, and only then is taken again.
const SETTLE_TIME: Duration = Duration::from_secs(100);
/// After how many kills the progress is printed.
const KILLS_PER_LINE: u64 = 50;

#[tokio::test]
async fn nodes_are_killed_at_random_moments_and_nothing_is_lost_or_doubled() -> Result<(), Trouble> {
    let (kills, seed) = (setting("WAXWING_TORTURE_KILLS", 24), setting("WAXWING_TORTURE_SEED", 1));
    println!("kills {kills}, seed {seed}");
    let mut world = World::lay_out(|_| {}).await?;
    let load = Load::prepare(&world, seed).await?;
    world.start()?;
    let tasks = tokio::task::LocalSet::new();
    let result = tasks.run_until(run(&mut world, load, kills, seed)).await;
    if result.is_err() {
        println!("{}\n{}", world.north.last_words(), world.south.last_words());
        println!("kept: {}", world.keep().display());
    }
    result
}

async fn run(world: &mut World, mut load: Load, kills: u64, seed: u64) -> Result<(), Trouble> {
    load.begin();
    kill_at_random(world, &load, kills, &mut Random::new(seed)).await?;
    load.end().await?;
    let begun = tokio::time::Instant::now();
    load.check_settled(SETTLE_TIME).await?;
    println!("settled {} s after the last kill", begun.elapsed().as_secs());
    print_repetitions(world, load.ledger.borrow().iter().map(Vec::len).sum())?;
    load.check_mailboxes(world).await?;
    check_stores(world)
}

async fn kill_at_random(
    world: &mut World,
    load: &Load,
    kills: u64,
    random: &mut Random,
) -> Result<(), Trouble> {
    let mut killed = [0; 2];
    for number in 1..=kills {
        // At first the nodes have to come up; then from the middle of starting to long after.
        tokio::time::sleep(Duration::from_millis(random.between(50, 1_200))).await;
        let north = random.between(0, 1) == 0;
        killed[usize::from(north)] += 1;
        let node = if north { &mut world.north } else { &mut world.south };
        node.kill()?;
        node.start()?;
        load.change(random);
        if number % KILLS_PER_LINE == 0 {
            println!("{number} of {kills} kills, {} messages acknowledged", load.acknowledged());
        }
    }
    println!("killed: south.test {} times, north.test {} times", killed[0], killed[1]);
    Ok(())
}

/// How often kills were in the way: offers that had to be made again.
fn print_repetitions(world: &World, messages: usize) -> Result<(), Trouble> {
    let count = |node: &Node, word: &str| -> Result<usize, Trouble> {
        Ok(node.events()?.iter().filter(|event| event["event"] == word).count())
    };
    let (submitted, tried) = (count(&world.north, "offered")?, count(&world.north, "trying")?);
    let (again, offered) = (submitted.saturating_sub(messages), count(&world.south, "offered")?);
    println!(
        "submissions offered again: {again}; attempts to deliver {tried}, of which {offered} reached the other node"
    );
    Ok(())
}

/// Both nodes are killed a last time; their stores have nothing to report.
fn check_stores(world: &mut World) -> Result<(), Trouble> {
    world.north.kill()?;
    world.south.kill()?;
    for node in [&world.north, &world.south] {
        let findings = World::check_store(node)?;
        assert!(findings.is_empty(), "{}: {findings:?}", node.site.domain);
    }
    Ok(())
}
