//! A disk that outlives the node that writes on it, and that may fail, fill up, lose its power or lie. On it is an engine, and in
//! front of that the files of a log, where one is planned: then the store is what it is in a real node but for the engine.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use storage::{
    Batch, Engine, Error, Keeper, LogFile, LogPlace, Logged, MemoryFiles, Pair, Settings, Store, View,
};
use tokio::sync::Notify;

use crate::clock::Life;
use crate::random::Random;
pub use crate::wal::LogFate;
use crate::wal::LogFiles;

/// The octet that begins the keys of what there is of a message, and the one that stands behind the identity where it is a record
/// by which an offer counts once (`spec/12-storage.md`).
const ONCE: (u8, u8) = (b'm', b'O');
/// Commits that a lying disk keeps in its cache, and writes to each file of a log.
const CACHE_BATCHES: usize = 3;

/// What is wrong with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Commits fail. Whether they are durable nevertheless is up to the disk: it takes turns.
    Commits,
    /// Nothing can be read, and commits fail.
    Everything,
    /// There is no room for more.
    Full,
}

/// What a disk does that no disk should, to show that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Vice {
    /// Nothing.
    #[default]
    None,
    /// It says that octets are durable which it still holds in its cache.
    LiesAboutFlushes,
    /// So it does where the engine writes, but not where the log does: what the log says of the engine is durable sooner than
    /// what the engine has.
    HoldsTheEngineBack,
    /// It loses the records by which an offer counts once.
    LosesOnceRecords,
}

/// How the log in front of the engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPlan {
    /// From how many octets on a file of it is full.
    pub octets_max: u64,
    /// After how many records of the one file the engine gets what is in the other.
    pub settle_after: u64,
    /// From which its secret follows, and what is left of writes that were not synced when the power goes.
    pub seed: u64,
}

/// When the power goes: at this durable step from now, before or after it is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerCut {
    /// How many steps are carried out before.
    pub steps: u64,
    /// Whether that step itself is carried out.
    pub after: bool,
}

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;
/// What a batch has changed, as it was before.
type Before = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// What is on the disk.
#[derive(Debug, Default)]
struct State {
    pairs: Pairs,
    fault: Fault,
    vice: Vice,
    cut: Option<PowerCut>,
    steps: u64,
    /// What a lying disk would have to put back: the values before each batch in its cache, the newest last.
    cache: Vec<Before>,
    log: Option<LogPlan>,
    log_files: LogFiles,
    /// What the power leaves of a log.
    leaves: Option<Random>,
}

/// A disk. A clone is the same one.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    state: Arc<Mutex<State>>,
    files: MemoryFiles,
    power: Arc<Notify>,
}

impl Disk {
    /// An empty disk with this vice.
    pub fn new(vice: Vice) -> Disk {
        let disk = Disk::default();
        disk.state().vice = vice;
        disk
    }

    /// The same disk, where the store that is opened on it has this log, or none.
    pub fn with_log(self, log: Option<LogPlan>) -> Disk {
        {
            let mut state = self.state();
            state.log = log;
            state.leaves = log.map(|log| Random::new(log.seed));
        }
        self
    }

    /// Opens the store on it, for one life of its node.
    ///
    /// # Errors
    /// What the faults of the disk lead to.
    pub fn open(&self, life: &Arc<Life>) -> Result<Arc<dyn Store>, Error> {
        let planned = self.state().log;
        Ok(match planned {
            None => Arc::new(Keeper::open_in_place(self.engine(life), &self.files, Settings::default())?),
            Some(log) => {
                let engine = self.logged(life, log)?;
                Arc::new(Keeper::open_in_place(engine, &self.files, Settings::default())?)
            }
        })
    }

    /// Opens the engine on it without a log, for one life of its node.
    pub fn engine(&self, life: &Arc<Life>) -> DiskEngine {
        DiskEngine { disk: self.clone(), life: life.clone() }
    }

    /// Opens the engine on it behind this log, for one life of its node.
    ///
    /// # Errors
    /// What the faults of the disk lead to.
    pub fn logged(&self, life: &Arc<Life>, log: LogPlan) -> Result<Logged<DiskEngine>, Error> {
        let place = DiskLog { disk: self.clone(), life: life.clone(), seed: log.seed };
        Logged::open_in_place(self.engine(life), &place, log.octets_max, log.settle_after)
    }

    /// From now on this is wrong with it.
    pub fn set_fault(&self, fault: Fault) {
        self.files.set_room_octets((fault == Fault::Full).then_some(0));
        self.state().fault = fault;
    }

    /// Whether nothing is wrong with it.
    pub fn is_sound(&self) -> bool {
        self.state().fault == Fault::None
    }

    /// Plans that the power goes.
    pub fn cut_power(&self, cut: PowerCut) {
        self.state().cut = Some(cut);
    }

    /// The power does not go, where that was planned and has not come about.
    pub fn keep_power(&self) {
        self.state().cut = None;
    }

    /// Waits until the power has gone as planned.
    pub async fn power_gone(&self) {
        self.power.notified().await;
    }

    /// What happens to a disk whose power goes: what it only said to be durable is lost, and of what was written to a log and
    /// not synced anything may be.
    pub fn lose_cache(&self) {
        let mut state = self.state();
        let state = &mut *state;
        state.cut = None;
        if let Some(leaves) = &mut state.leaves {
            state.log_files.lose(leaves);
        }
        while let Some(before) = state.cache.pop() {
            for (key, value) in before {
                put(&mut state.pairs, key, value);
            }
        }
    }

    /// Octets of all keys and values.
    pub fn octets(&self) -> u64 {
        self.state().pairs.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }

    /// What became of the log on it.
    pub fn log_fate(&self) -> LogFate {
        self.state().log_files.fate()
    }

    /// The disk as long as this life goes on.
    fn state_in(&self, life: &Life) -> Result<MutexGuard<'_, State>, Error> {
        if life.goes_on() { Ok(self.state()) } else { Err(Error::Io("the node has ended".to_owned())) }
    }

    /// Carries out a durable step of a life, where the power does not go and the disk does not fail.
    fn step(&self, life: &Life, carry_out: impl FnOnce(&mut State)) -> Result<(), Error> {
        let mut state = self.state_in(life)?;
        match &mut state.cut {
            Some(PowerCut { steps: 0, after }) => {
                if *after {
                    carry_out(&mut state);
                }
                life.end();
                self.power.notify_one();
                return Err(Error::Io("the power is gone".to_owned()));
            }
            Some(cut) => cut.steps -= 1,
            None => {}
        }
        let fails = matches!(state.fault, Fault::Commits | Fault::Everything);
        if !fails || state.steps % 2 == 0 {
            carry_out(&mut state);
        }
        state.steps += 1;
        if fails { Err(Error::Io("the disk cannot be written".to_owned())) } else { Ok(()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put(pairs: &mut Pairs, key: Vec<u8>, value: Option<Vec<u8>>) -> Option<Vec<u8>> {
    match value {
        Some(value) => pairs.insert(key, value),
        None => pairs.remove(&key),
    }
}

impl State {
    fn carry_out(&mut self, batch: &Batch) {
        let holds_back = matches!(self.vice, Vice::LiesAboutFlushes | Vice::HoldsTheEngineBack);
        let mut before = Vec::new();
        for (key, value) in batch.changes() {
            let once = key.first() == Some(&ONCE.0) && key.get(33) == Some(&ONCE.1);
            if self.vice == Vice::LosesOnceRecords && once {
                continue;
            }
            let old = put(&mut self.pairs, key.to_vec(), value.map(<[u8]>::to_vec));
            if holds_back {
                before.push((key.to_vec(), old));
            }
        }
        if holds_back {
            before.reverse();
            self.cache.push(before);
            if self.cache.len() > CACHE_BATCHES {
                self.cache.remove(0);
            }
        }
    }

    fn readable(&self) -> Result<(), Error> {
        match self.fault {
            Fault::Everything => Err(Error::Io("the disk cannot be read".to_owned())),
            _ => Ok(()),
        }
    }
}

/// The engine of one store on a [`Disk`], for one life of its node.
#[derive(Debug, Clone)]
pub struct DiskEngine {
    disk: Disk,
    life: Arc<Life>,
}

impl DiskEngine {
    fn state(&self) -> Result<MutexGuard<'_, State>, Error> {
        self.disk.state_in(&self.life)
    }
}

impl View for DiskEngine {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let state = self.state()?;
        state.readable()?;
        Ok(state.pairs.get(key).cloned())
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        let state = self.state()?;
        state.readable()?;
        if from >= to {
            return Ok(Vec::new());
        }
        let range = state.pairs.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        Ok(range.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn range_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        let state = self.state()?;
        state.readable()?;
        if from >= to {
            return Ok(Vec::new());
        }
        let range = state.pairs.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        Ok(range.rev().take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

impl Engine for DiskEngine {
    fn apply(&self, batch: &Batch) -> Result<(), Error> {
        self.disk.step(&self.life, |state| state.carry_out(batch))
    }

    fn check(&self) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }

    fn compact(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// The files of the log on a [`Disk`], for one life of its node. Each write and each sync is a durable step.
struct DiskLog {
    disk: Disk,
    life: Arc<Life>,
    seed: u64,
}

impl LogPlace for DiskLog {
    fn open(&self, name: &str) -> Result<(Arc<dyn LogFile>, Vec<u8>), Error> {
        let mut state = self.disk.state_in(&self.life)?;
        state.readable()?;
        let octets = state.log_files.open(name);
        let file = DiskLogFile { disk: self.disk.clone(), life: self.life.clone(), name: name.to_owned() };
        Ok((Arc::new(file), octets))
    }

    fn sync_names(&self) -> Result<(), Error> {
        self.disk.step(&self.life, |state| state.log_files.sync_names())
    }

    fn secret(&self) -> Result<[u8; 32], Error> {
        let mut octets = [0; 32];
        Random::new(self.seed).fill(&mut octets);
        Ok(octets)
    }
}

#[derive(Debug)]
struct DiskLogFile {
    disk: Disk,
    life: Arc<Life>,
    name: String,
}

impl LogFile for DiskLogFile {
    fn write_at(&self, octets: &[u8], at: u64) -> Result<(), Error> {
        {
            let mut state = self.disk.state_in(&self.life)?;
            let grows = at + octets.len() as u64 > state.log_files.octets(&self.name) as u64;
            if state.fault == Fault::Full && grows {
                return Err(Error::Full);
            }
        }
        self.disk.step(&self.life, |state| state.log_files.write(&self.name, octets, at))
    }

    fn sync_data(&self) -> Result<(), Error> {
        self.disk.step(&self.life, |state| {
            let held_back = if state.vice == Vice::LiesAboutFlushes { CACHE_BATCHES } else { 0 };
            state.log_files.sync(&self.name, held_back);
        })
    }

    fn sync_all(&self) -> Result<(), Error> {
        self.sync_data()
    }
}
