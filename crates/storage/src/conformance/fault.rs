//! Engines that fail when told to, and engines that count.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::engine::{Batch, Engine, Pair, View};
use crate::{Error, Memory};

/// When durable steps fail. A clone is the same plan.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    plan: Arc<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    steps: AtomicU64,
    fail_at: AtomicU64,
    after: AtomicBool,
    down: AtomicBool,
}

impl Faults {
    /// Nothing fails, but steps are counted.
    pub fn none() -> Faults {
        Faults::default()
    }

    /// The durable step of this number, counted from 1, fails, and so does everything after it, as when the power goes:
    /// `after` says whether the step itself has been carried out nevertheless.
    pub fn at(step: u64, after: bool) -> Faults {
        let faults = Faults::default();
        faults.plan.fail_at.store(step, Ordering::SeqCst);
        faults.plan.after.store(after, Ordering::SeqCst);
        faults
    }

    /// How many durable steps were begun.
    pub fn steps(&self) -> u64 {
        self.plan.steps.load(Ordering::SeqCst)
    }

    /// Carries out a durable step, or fails before or after it.
    pub(crate) fn step(&self, carry_out: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let plan = &self.plan;
        let cut = || Error::Io("the power is cut".to_owned());
        if plan.down.load(Ordering::SeqCst) {
            return Err(cut());
        }
        if plan.steps.fetch_add(1, Ordering::SeqCst) + 1 == plan.fail_at.load(Ordering::SeqCst) {
            plan.down.store(true, Ordering::SeqCst);
            if plan.after.load(Ordering::SeqCst) {
                carry_out()?;
            }
            return Err(cut());
        }
        carry_out()
    }
}

/// An engine whose durable steps fail by plan.
#[derive(Debug)]
pub struct FaultyEngine<E> {
    engine: E,
    faults: Faults,
}

impl<E: Engine> FaultyEngine<E> {
    /// The engine under a plan.
    pub fn new(engine: E, faults: Faults) -> FaultyEngine<E> {
        FaultyEngine { engine, faults }
    }
}

impl<E: Engine> View for FaultyEngine<E> {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.engine.value(key)
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        self.engine.range(from, to, limit)
    }

    fn range_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        self.engine.range_back(from, to, limit)
    }
}

impl<E: Engine> Engine for FaultyEngine<E> {
    fn apply(&self, batch: &Batch) -> Result<(), Error> {
        self.faults.step(|| self.engine.apply(batch))
    }

    fn check(&self) -> Result<Vec<String>, Error> {
        self.engine.check()
    }

    fn compact(&self) -> Result<(), Error> {
        self.engine.compact()
    }
}

/// An engine in memory that counts what is read.
#[derive(Debug, Clone, Default)]
pub struct Counter {
    engine: Memory,
    reads: Arc<AtomicU64>,
}

impl Counter {
    /// An empty one.
    pub fn new() -> Counter {
        Counter::default()
    }

    /// Values and pairs read so far.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }
}

impl View for Counter {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.engine.value(key)
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        let pairs = self.engine.range(from, to, limit)?;
        self.reads.fetch_add(1 + pairs.len() as u64, Ordering::SeqCst);
        Ok(pairs)
    }

    fn range_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        let pairs = self.engine.range_back(from, to, limit)?;
        self.reads.fetch_add(1 + pairs.len() as u64, Ordering::SeqCst);
        Ok(pairs)
    }
}

impl Engine for Counter {
    fn apply(&self, batch: &Batch) -> Result<(), Error> {
        self.engine.apply(batch)
    }

    fn check(&self) -> Result<Vec<String>, Error> {
        self.engine.check()
    }

    fn compact(&self) -> Result<(), Error> {
        self.engine.compact()
    }
}

/// What becomes of a read.
#[cfg(test)]
pub(crate) enum Tamper {
    /// It goes on.
    Leave,
    /// It finds nothing.
    Hide,
    /// It fails.
    Fail,
}

/// Says what becomes of a read: of this key, or of a range from it on.
#[cfg(test)]
type TamperWith = dyn Fn(&[u8]) -> Tamper + Send + Sync;

/// An engine in memory whose reads are tampered with.
#[cfg(test)]
#[derive(Clone)]
pub(crate) struct Tampered {
    engine: Memory,
    tamper: Arc<TamperWith>,
}

#[cfg(test)]
impl Tampered {
    pub(crate) fn new(engine: Memory, tamper: impl Fn(&[u8]) -> Tamper + Send + Sync + 'static) -> Tampered {
        Tampered { engine, tamper: Arc::new(tamper) }
    }

    fn read<T: Default>(&self, key: &[u8], read: Result<T, Error>) -> Result<T, Error> {
        match (self.tamper)(key) {
            Tamper::Leave => read,
            Tamper::Hide => Ok(T::default()),
            Tamper::Fail => Err(Error::Io("it cannot be read".to_owned())),
        }
    }
}

#[cfg(test)]
impl View for Tampered {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.read(key, self.engine.value(key))
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        self.read(from, self.engine.range(from, to, limit))
    }

    fn range_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        self.read(from, self.engine.range_back(from, to, limit))
    }
}

#[cfg(test)]
impl Engine for Tampered {
    fn apply(&self, batch: &Batch) -> Result<(), Error> {
        self.engine.apply(batch)
    }

    fn check(&self) -> Result<Vec<String>, Error> {
        self.engine.check()
    }

    fn compact(&self) -> Result<(), Error> {
        self.engine.compact()
    }
}
