//! The engine in memory, for tests and simulated worlds.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use crate::engine::{Batch, Engine, Pair, View};
use crate::{Error, Keeper, MemoryFiles, Settings};

/// An engine in memory. A clone is the same engine: it outlives the store that uses it, as a disk does.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    pairs: Arc<RwLock<BTreeMap<Vec<u8>, Vec<u8>>>>,
    files: MemoryFiles,
}

impl Memory {
    /// An empty one.
    pub fn new() -> Memory {
        Memory::default()
    }

    /// Opens a store over it.
    ///
    /// # Errors
    /// As [`Keeper::open`].
    pub fn open(&self, settings: Settings) -> Result<Keeper<Memory>, Error> {
        Keeper::open_with(self.clone(), crate::files::Files::in_memory(self.files.clone()), settings)
    }
}

impl View for Memory {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.pairs.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        if from >= to {
            return Ok(Vec::new());
        }
        let pairs = self.pairs.read().unwrap_or_else(PoisonError::into_inner);
        let range = pairs.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        Ok(range.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn range_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        if from >= to {
            return Ok(Vec::new());
        }
        let pairs = self.pairs.read().unwrap_or_else(PoisonError::into_inner);
        let range = pairs.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        Ok(range.rev().take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

impl Engine for Memory {
    fn apply(&self, batch: &Batch) -> Result<(), Error> {
        let mut pairs = self.pairs.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in batch.changes() {
            match value {
                Some(value) => pairs.insert(key.to_vec(), value.to_vec()),
                None => pairs.remove(key),
            };
        }
        Ok(())
    }

    fn check(&self) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }

    fn compact(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, Open, OpenEngine};

    #[test]
    fn the_suite_passes_in_memory() {
        conformance::run(&|| -> Open {
            let memory = Memory::new();
            Box::new(move || Box::new(memory.open(Settings::default()).unwrap()))
        });
    }

    #[test]
    fn the_suite_passes_without_a_thread() {
        conformance::run(&|| -> Open {
            let (memory, files) = (Memory::new(), MemoryFiles::new());
            Box::new(move || {
                Box::new(Keeper::open_in_place(memory.clone(), &files, Settings::default()).unwrap())
            })
        });
    }

    #[test]
    fn the_suite_passes_in_memory_with_files_on_a_disk() {
        conformance::run(&|| -> Open {
            let memory = Memory::new();
            let directory = tempfile::tempdir().unwrap();
            Box::new(move || {
                Box::new(Keeper::open(memory.clone(), directory.path(), Settings::default()).unwrap())
            })
        });
    }

    #[test]
    fn it_does_what_an_engine_must() {
        let memory = Memory::new();
        conformance::run_engine(&|| memory.clone());
    }

    #[test]
    fn a_crash_at_any_step_loses_nothing() {
        conformance::run_crashes(&|| -> OpenEngine<Memory> {
            let memory = Memory::new();
            let directory = tempfile::tempdir().unwrap();
            Box::new(move || (memory.clone(), directory.path().to_owned()))
        });
    }
}
