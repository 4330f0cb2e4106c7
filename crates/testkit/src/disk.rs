//! A disk that outlives the node that writes on it, and that may fail, fill up, lose its power or lie.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use storage::{Batch, Engine, Error, Keeper, MemoryFiles, Pair, Settings, View};
use tokio::sync::Notify;

use crate::clock::Life;

/// The octet that begins the keys of the records by which an offer counts once (`spec/12-storage.md`).
const ONCE_TABLE: u8 = b'O';
/// Commits that a lying disk keeps in its cache.
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
    /// It loses the records by which an offer counts once.
    LosesOnceRecords,
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

    /// Opens the store on it, for one life of its node.
    ///
    /// # Errors
    /// What the faults of the disk lead to.
    pub fn open(&self, life: &Arc<Life>) -> Result<Keeper<DiskEngine>, Error> {
        let engine = DiskEngine { disk: self.clone(), life: life.clone() };
        Keeper::open_in_place(engine, &self.files, Settings::default())
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

    /// What happens to a disk whose power goes: what it only said to be durable is lost.
    pub fn lose_cache(&self) {
        let mut state = self.state();
        state.cut = None;
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
        self.steps += 1;
        let mut before = Vec::new();
        for (key, value) in batch.changes() {
            if self.vice == Vice::LosesOnceRecords && key.first() == Some(&ONCE_TABLE) {
                continue;
            }
            let old = put(&mut self.pairs, key.to_vec(), value.map(<[u8]>::to_vec));
            if self.vice == Vice::LiesAboutFlushes {
                before.push((key.to_vec(), old));
            }
        }
        if self.vice == Vice::LiesAboutFlushes {
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
        if self.life.goes_on() {
            Ok(self.disk.state())
        } else {
            Err(Error::Io("the node has ended".to_owned()))
        }
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
        let mut state = self.state()?;
        match &mut state.cut {
            Some(PowerCut { steps: 0, after }) => {
                if *after {
                    state.carry_out(batch);
                }
                self.life.end();
                self.disk.power.notify_one();
                return Err(Error::Io("the power is gone".to_owned()));
            }
            Some(cut) => cut.steps -= 1,
            None => {}
        }
        if matches!(state.fault, Fault::Commits | Fault::Everything) {
            if state.steps % 2 == 0 {
                state.carry_out(batch);
            } else {
                state.steps += 1;
            }
            return Err(Error::Io("the disk cannot be written".to_owned()));
        }
        state.carry_out(batch);
        Ok(())
    }

    fn check(&self) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }

    fn compact(&self) -> Result<(), Error> {
        Ok(())
    }
}
