//! The log of a store on a disk whose power goes, again and again, also while it recovers: every commit that was answered
//! is there afterwards, and of the one that was not, all or nothing.

use std::collections::BTreeMap;

use storage::{Batch, Engine, Error, Logged, View};
use testkit::clock::Life;
use testkit::disk::{Disk, DiskEngine, Fault, LogFate, LogPlan, PowerCut, Vice};
use testkit::{Plan, Random};

/// Disks, each with a life of its own.
const SEEDS: u64 = 1_000;
/// How often the power of each goes.
const CUTS: u64 = 12;
/// Durable steps of a life with some turns, and those of one until it has recovered.
const FIRST_STEPS: u64 = 50;
const SECOND_STEPS: u64 = 12;
/// How often for each two of them.
const LEAVES: u64 = 2;

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

/// What is on a disk by what was answered, and the commit of which it is not known.
#[derive(Default)]
struct Model {
    sure: Pairs,
    unsure: Option<Batch>,
}

impl Model {
    /// Takes in what is there. Says what is wrong with it.
    fn compare(&mut self, found: Pairs) -> Result<(), String> {
        let mut with = self.sure.clone();
        if let Some(batch) = self.unsure.take() {
            carry_out(&mut with, &batch);
        }
        if found != self.sure && found != with {
            let missing: Vec<_> = self.sure.keys().filter(|key| !found.contains_key(*key)).collect();
            return Err(format!("{} pairs, {} were sure, {missing:?}", found.len(), self.sure.len()));
        }
        self.sure = found;
        Ok(())
    }
}

fn carry_out(pairs: &mut Pairs, batch: &Batch) {
    for (key, value) in batch.changes() {
        match value {
            Some(value) => pairs.insert(key.to_vec(), value.to_vec()),
            None => pairs.remove(key),
        };
    }
}

fn all(view: &impl View) -> Pairs {
    let mut pairs: Pairs = view.range(b"", b"\xff", usize::MAX).unwrap().into_iter().collect();
    // The number that the engine keeps for the log (STO-28).
    pairs.retain(|key, _| !key.starts_with(b"Zsettled"));
    pairs
}

fn batch(random: &mut Random) -> Batch {
    let mut batch = Batch::default();
    for _ in 0..random.between(1, 5) {
        let key = random.between(0, 40).to_be_bytes().to_vec();
        match random.place(3) {
            0 => batch.remove(key),
            _ => {
                let octets = random.between(0, 3_000) as usize;
                batch.put(key, random.octets(octets));
            }
        }
    }
    batch
}

/// A log of a seed, with the disk that it is on and what must be there.
struct Scene {
    random: Random,
    log: LogPlan,
    disk: Disk,
    model: Model,
}

impl Scene {
    fn new(seed: u64, vice: Vice) -> Scene {
        let log = Plan::of(seed).with_logs(true).sites[0].log.unwrap();
        let disk = Disk::new(vice).with_log(Some(log));
        Scene { random: Random::new(seed), log, disk, model: Model::default() }
    }

    /// Opens the log, and commits until the power goes or the disk fails, but at most so often. Says what was wrong.
    fn live(&mut self, cut: Option<PowerCut>, fault: Fault, commits: u64) -> Result<(), String> {
        let life = Life::begin();
        match cut {
            Some(cut) => self.disk.cut_power(cut),
            None => self.disk.keep_power(),
        }
        match self.disk.logged(&life, self.log) {
            Ok(logged) => {
                self.model.compare(all(&logged))?;
                self.disk.set_fault(fault);
                self.commit(&logged, commits);
                life.end();
            }
            // The power has gone.
            Err(Error::Io(_)) if cut.is_some() && !life.goes_on() => {}
            Err(error) => return Err(error.to_string()),
        }
        self.disk.set_fault(Fault::None);
        Ok(())
    }

    fn commit(&mut self, logged: &Logged<DiskEngine>, commits: u64) {
        for _ in 0..commits {
            let batch = batch(&mut self.random);
            if logged.apply(&batch).is_err() {
                self.model.unsure = Some(batch);
                return;
            }
            carry_out(&mut self.model.sure, &batch);
        }
    }

    /// Many lives, each with a cut at some step, often while what the last one has left is recovered.
    fn live_often(&mut self) -> Result<(), String> {
        for _ in 0..CUTS {
            let most = if self.random.chance(40) { 12 } else { 80 };
            let cut = PowerCut { steps: self.random.between(0, most), after: self.random.chance(50) };
            let faults = [Fault::Commits, Fault::Full].map(|fault| (self.random.chance(10), fault));
            let fault = faults.into_iter().find(|(now, _)| *now).map_or(Fault::None, |(_, fault)| fault);
            let commits = self.random.between(0, 60);
            self.live(Some(cut), fault, commits)?;
            // Or only the process has ended, and what it had written is read again.
            if self.random.chance(80) {
                self.disk.lose_cache();
            }
        }
        self.live(None, Fault::None, 0)
    }
}

/// proves: STO-7, STO-26, STO-27, STO-28, STO-29
#[test]
fn what_was_answered_is_there_whatever_the_power_leaves() {
    let mut fate = LogFate::default();
    let mut wrong = Vec::new();
    for seed in 0..SEEDS {
        let mut scene = Scene::new(seed, Vice::None);
        wrong.extend(scene.live_often().err().map(|what| format!("seed {seed}: {what}")));
        fate.add(&scene.disk.log_fate());
    }
    println!("{fate:?}");
    assert_eq!(wrong, Vec::<String>::new());
    // What is not tried is not shown: writes of every kind, and files that the engine has got.
    assert!(fate.kept.min(fate.lost) > 600 && fate.torn > 1_800, "{fate:?}");
    assert!(fate.heads - 2 * fate.opened > 1_000, "{fate:?}");
}

/// A disk that says that the log is durable loses it, and it is seen: as a gap, and as commits that are not there. Where it is only
/// the engine's octets that it has in its cache, the log tells.
///
/// proves: STO-28
#[test]
fn a_disk_that_lies_is_found_out() {
    let wrong = |vice| -> Vec<String> {
        (0..40).filter_map(|seed| Scene::new(seed, vice).live_often().err()).collect()
    };
    let (lying, holding) = (wrong(Vice::LiesAboutFlushes), wrong(Vice::HoldsTheEngineBack));
    let told = |wrong: &[String], what: &str| wrong.iter().filter(|one| one.contains(what)).count();
    assert!(told(&lying, "were sure") > 0 && told(&lying, "damaged: log") > 0, "{lying:?}");
    assert!(told(&holding, "damaged: engine: it has lost") > 20, "{holding:?}");
}

/// The power goes at each step of a log that turns its files, and at each step of what is done about it afterwards.
///
/// proves: STO-26, STO-28
#[test]
fn the_power_may_go_at_any_step_and_at_any_of_the_recovery() {
    let cuts = |most| (0..most).flat_map(|steps| [false, true].map(|after| PowerCut { steps, after }));
    let both = cuts(FIRST_STEPS).flat_map(|first| cuts(SECOND_STEPS).map(move |second| (first, second)));
    let mut wrong = Vec::new();
    for (number, (first, second)) in both.enumerate() {
        for leaves in 0..LEAVES {
            let mut scene = Scene::new(number as u64 * LEAVES + leaves, Vice::None);
            scene.log.octets_max = 3 * 4096;
            let lives = [(Some(first), 20), (Some(second), 5), (None, 5), (None, 0)];
            let result = lives.into_iter().try_for_each(|(cut, commits)| {
                scene.live(cut, Fault::None, commits)?;
                scene.disk.lose_cache();
                Ok::<_, String>(())
            });
            wrong.extend(result.err().map(|what| format!("{first:?}, {second:?}: {what}")));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
