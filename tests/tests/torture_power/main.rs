//! The power of a node fails at random moments and under load (see [`Volume`] for how). What it has acknowledged is on its
//! disk when it comes back: looked up in the store before the node runs again, and once more from end to end.
//!
//! `WAXWING_TORTURE_CUTS` sets how often the power fails for each engine (3 where it is not set): half of it in a store
//! that grows old, half within the first second of new ones; and so often while a store is made.
//! `WAXWING_TORTURE_SEED` sets the moments.

#[cfg(test)]
mod settled;

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use daemon::EngineConfig;
use waxwing_tests::torture::{
    DISK_MEBIOCTETS, Disk, Load, MEDIUM_DISK_MEBIOCTETS, Node, Random, SMALL_DISK_MEBIOCTETS, Trouble, User,
    Volume, World, keeps_by_page, setting, write_out,
};

/// How often the power fails for each engine in the short form.
const CUTS: u64 = 3;
/// How long everything may take to settle after the last cut, as for kills.
const SETTLE_TIME: Duration = Duration::from_secs(300);
/// How long a node may take until it begins to make a store.
const STARTING_TIME: Duration = Duration::from_secs(60);
/// Microseconds within which a store is made, most of the time.
const CREATION_MICROSECONDS: u64 = 60_000;
/// Milliseconds after its first acknowledged message within which the power of a new node fails.
const NEW_MS: u64 = 700;
/// Milliseconds from one cut to the next, at most; the start is included.
const PAUSE_MS: u64 = 2_500;

#[tokio::test]
async fn what_was_acknowledged_is_there_when_the_power_comes_back_in_sled() -> Result<(), Trouble> {
    cuts_under_load(EngineConfig::Sled).await
}

#[tokio::test]
async fn what_was_acknowledged_is_there_when_the_power_comes_back_in_redb() -> Result<(), Trouble> {
    cuts_under_load(EngineConfig::Redb).await
}

async fn cuts_under_load(engine: EngineConfig) -> Result<(), Trouble> {
    let (cuts, seed) = (setting("WAXWING_TORTURE_CUTS", CUTS), setting("WAXWING_TORTURE_SEED", 1));
    let Some(volume) = Volume::make()? else { return Ok(()) };
    println!("{engine:?}: {cuts} cuts, seed {seed}");
    round(&volume, engine, cuts - cuts / 2, PAUSE_MS, seed).await?;
    for number in 1..=cuts / 2 {
        round(&volume, engine, 1, NEW_MS, seed.wrapping_add(number)).await?;
    }
    println!("{engine:?}: {cuts} cuts, nothing lost");
    Ok(())
}

/// A node makes its store, and the power fails meanwhile. Nothing was acknowledged, but what was begun must not be in the
/// way of the store that is made then.
#[tokio::test]
async fn a_store_that_was_not_finished_is_made_anew() -> Result<(), Trouble> {
    let (cuts, seed) = (setting("WAXWING_TORTURE_CUTS", CUTS), setting("WAXWING_TORTURE_SEED", 1));
    let Some(volume) = Volume::make()? else { return Ok(()) };
    for engine in [EngineConfig::Sled, EngineConfig::Redb] {
        let mut world = World::lay_out(|config| config.store.engine = engine).await?;
        let data = world.south.config()?.data();
        let mut random = Random::new(seed);
        let (mut found, mut made) = (0, 0);
        for cut in 1..=cuts {
            let mut disk = volume.disk("new", &data, SMALL_DISK_MEBIOCTETS)?;
            world.south.start()?;
            // It is waited for the first trace of a store, so that the cut is not before it.
            let begun = tokio::time::Instant::now();
            while !data.join("store").exists() {
                assert!(begun.elapsed() < STARTING_TIME, "{}", world.south.last_words());
                std::thread::sleep(Duration::from_micros(200));
            }
            std::thread::sleep(Duration::from_micros(random.between(0, CREATION_MICROSECONDS)));
            world.south.stop()?;
            made += u64::from(data.join("control.sock").exists());
            disk.fail()?;
            world.south.kill()?;
            disk.come_back()?;
            found += u64::from(data.join("store").exists());
            User::open_accounts(&world.south, &["bob".to_owned()])
                .await
                .map_err(|error| format!("cut {cut} of {engine:?}, kept nothing: {error}"))?;
            check_whole(&world.south)?;
        }
        println!(
            "{engine:?}: {cuts} cuts while a store is made; of {found} there was something, {made} were done"
        );
    }
    Ok(())
}

/// The control: without it, nobody would know whether what was never synced is lost here as it is where power fails.
#[tokio::test]
async fn what_was_not_synced_is_lost() -> Result<(), Trouble> {
    let Some(volume) = Volume::make()? else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let mut disk = volume.disk("control", &folder.path().join("disk"), SMALL_DISK_MEBIOCTETS)?;
    let written = |name: &str, synced: bool| -> Result<(), Trouble> {
        let mut file = File::create(disk.folder().join(name))?;
        file.write_all(&[0x77; 100_000])?;
        if synced {
            file.sync_all()?;
            File::open(disk.folder())?.sync_all()?;
        }
        Ok(())
    };
    written("synced", true)?;
    written("forgotten", false)?;
    disk.fail()?;
    disk.come_back()?;
    assert_eq!(std::fs::read(disk.folder().join("synced"))?, [0x77; 100_000]);
    let forgotten = std::fs::read(disk.folder().join("forgotten")).unwrap_or_default();
    assert!(forgotten.iter().all(|octet| *octet != 0x77), "nobody has asked for it to be kept");
    Ok(())
}

/// The control of the other kind of failure: of what was written over synced octets and never synced, some is there and some is not.
#[tokio::test]
async fn what_was_not_synced_is_kept_in_part() -> Result<(), Trouble> {
    const OCTETS: usize = 8 << 20;
    if !keeps_by_page() {
        println!("left out: ext4 without encryption may write more than it is asked for");
        return Ok(());
    }
    let Some(volume) = Volume::make()? else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let mut disk = volume.disk("control", &folder.path().join("disk"), SMALL_DISK_MEBIOCTETS)?;
    let path = disk.folder().join("written over");
    std::fs::write(&path, vec![0x11; OCTETS])?;
    File::open(&path)?.sync_all()?;
    File::open(disk.folder())?.sync_all()?;
    let mut file = File::options().write(true).open(&path)?;
    file.write_all(&vec![0x77; OCTETS])?;
    drop(file);
    // The file system has handed it to the disk; the disk was not told to flush.
    write_out(&path, &[(0, OCTETS as u64)])?;
    disk.fail_keeping(&mut Random::new(1))?;
    disk.come_back()?;
    let found = std::fs::read(&path)?;
    let kept = found.iter().filter(|octet| **octet == 0x77).count();
    assert_eq!(found.len(), OCTETS);
    if kept == OCTETS {
        println!("left out: the kernel writes more than it is asked for");
        return Ok(());
    }
    assert!((OCTETS / 4..OCTETS / 4 * 3).contains(&kept), "{kept} of {OCTETS} octets");
    Ok(())
}

/// Two nodes, each with a disk of its own.
struct Scene {
    // In this order: the disks let go of their folders before the folder of the world is removed.
    disks: [Disk; 2],
    world: World,
}

/// One world under load, whose power fails so many times; then everything has to be in its place.
async fn round(
    volume: &Volume,
    engine: EngineConfig,
    cuts: u64,
    pause_ms: u64,
    seed: u64,
) -> Result<(), Trouble> {
    let world = World::lay_out(|config| config.store.engine = engine).await?;
    let mebioctets = match cuts {
        0..=1 => SMALL_DISK_MEBIOCTETS,
        2..=4 => MEDIUM_DISK_MEBIOCTETS,
        _ => DISK_MEBIOCTETS,
    };
    let disks = [
        volume.disk("north", &world.north.config()?.data(), mebioctets)?,
        volume.disk("south", &world.south.config()?.data(), mebioctets)?,
    ];
    let mut scene = Scene { disks, world };
    let load = Load::prepare(&scene.world, seed).await?;
    scene.world.start()?;
    let tasks = tokio::task::LocalSet::new();
    let result = tasks.run_until(run(&mut scene, load, cuts, pause_ms, &mut Random::new(seed))).await;
    if result.is_err() {
        println!("{}\n{}", scene.world.north.last_words(), scene.world.south.last_words());
        println!("kept: {}", scene.keep()?.display());
    }
    result
}

async fn run(
    scene: &mut Scene,
    mut load: Load,
    cuts: u64,
    pause_ms: u64,
    random: &mut Random,
) -> Result<(), Trouble> {
    load.begin();
    for number in 1..=cuts {
        load.is_under_way().await?;
        tokio::time::sleep(Duration::from_millis(random.between(0, pause_ms))).await;
        let (which, words) = [(&[0][..], "north.test"), (&[1], "south.test"), (&[0, 1], "both nodes")]
            [random.between(0, 2) as usize];
        let acknowledged = load.acknowledged();
        let keeps = random.between(0, 1) == 1;
        scene.cut(which, keeps.then_some(&mut *random))?;
        let looked_up = scene.look_up(which, &load)?;
        for place in which {
            scene.node(*place).start()?;
        }
        load.change(random);
        let kept = if keeps { "some" } else { "nothing" };
        println!(
            "cut {number} of {cuts}: {words}, {kept} of what was not flushed; {acknowledged} messages acknowledged, {looked_up} records looked up"
        );
    }
    load.end().await?;
    load.check_settled(SETTLE_TIME).await?;
    load.check_mailboxes(&scene.world).await?;
    scene.world.north.kill()?;
    scene.world.south.kill()?;
    for node in [&scene.world.north, &scene.world.south] {
        check_whole(node)?;
    }
    Ok(())
}

impl Scene {
    fn node(&mut self, place: usize) -> &mut Node {
        if place == 0 { &mut self.world.north } else { &mut self.world.south }
    }

    /// The power of these nodes fails, all at once, and comes back. Where lots are given, the disks have kept some of what was not
    /// flushed.
    fn cut(&mut self, which: &[usize], mut lots: Option<&mut Random>) -> Result<(), Trouble> {
        for place in which {
            self.node(*place).stop()?;
        }
        for place in which {
            match &mut lots {
                Some(random) => self.disks[*place].fail_keeping(random)?,
                None => self.disks[*place].fail()?,
            }
        }
        for place in which {
            self.node(*place).kill()?;
            self.disks[*place].come_back()?;
        }
        Ok(())
    }

    fn look_up(&mut self, which: &[usize], load: &Load) -> Result<usize, Trouble> {
        let mut looked_up = 0;
        for place in which {
            let node = if *place == 0 { &self.world.north } else { &self.world.south };
            looked_up += load.check_kept(&self.world, node)?;
            check_whole(node)?;
        }
        Ok(looked_up)
    }

    /// Keeps what there is, for a look at what went wrong: the data as it is, beside where it was mounted.
    fn keep(mut self) -> Result<std::path::PathBuf, Trouble> {
        for node in [&mut self.world.north, &mut self.world.south] {
            // It may be that one that does not run is what went wrong.
            let _ = node.kill();
            let data = node.config()?.data();
            std::process::Command::new("cp")
                .arg("-a")
                .arg(&data)
                .arg(data.with_extension("kept"))
                .status()?;
        }
        drop(self.disks);
        Ok(self.world.keep())
    }
}

/// A check of the store finds nothing but partial transfers, and each part has its digest.
fn check_whole(node: &Node) -> Result<(), Trouble> {
    let findings = World::check_store(node)?;
    if findings.is_empty() { Ok(()) } else { Err(format!("{}: {findings:?}", node.site.domain).into()) }
}
