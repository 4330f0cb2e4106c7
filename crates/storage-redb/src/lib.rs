//! The second embedded engine: redb, one table, every commit with immediate durability.
//!
//! redb is a copy-on-write B-tree with checksums: a transaction is durable when `commit` returns, and readers see one
//! state. It stands beside sled behind the same trait and the same tests (`spec/decisions/0004-storage-engine.md`).
//!
//! keeps: STO-21

use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use redb::{Database, Durability, ReadableDatabase, TableDefinition};
use storage::{Batch, Engine, Error, Keeper, Logged, Pair, Settings, View, guarded};

/// The one table: keys carry the prefix of their own table.
const PAIRS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("pairs");
/// Octets of memory that redb uses for its cache.
const CACHE_OCTETS: usize = 64 * 1024 * 1024;

/// A redb database. Over some damage redb panics; that is taken for the damage that it is, also where it is closed.
#[derive(Debug)]
pub struct Redb {
    /// Compacting needs it alone; everything else shares it. There until it is dropped.
    database: RwLock<Option<Database>>,
    /// Held while writing: redb would wait by itself, but compaction must not come in between.
    writing: Mutex<()>,
}

impl Redb {
    /// Opens the database in this file, or makes it.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be opened or is in use; [`Error::Damaged`] where it is not sound.
    pub fn open(file: &Path) -> Result<Redb, Error> {
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent)?;
        }
        if !file.exists() {
            make(file)?;
        }
        let database = guarded("redb", || builder().open(file).map_err(failure))?;
        Ok(Redb { database: RwLock::new(Some(database)), writing: Mutex::new(()) })
    }

    fn shared<T>(&self, act: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, Error> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(Error::Closed)?;
        guarded("redb", || act(database).map_err(failure))
    }

    fn alone<T>(&self, act: impl FnOnce(&mut Database) -> Result<T, redb::Error>) -> Result<T, Error> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_mut().ok_or(Error::Closed)?;
        guarded("redb", || act(database).map_err(failure))
    }
}

impl Drop for Redb {
    fn drop(&mut self) {
        let database = self.database.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // There is nobody left to be told: what is wrong with the file is found when it is opened again.
        let _ = guarded("redb", || {
            drop(database);
            Ok(())
        });
    }
}

fn write(database: &Database, batch: &Batch) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    // After a crash the database is opened without a walk through all of it, and what is half written is not told by a checksum alone,
    // over octets that whoever writes messages may choose.
    transaction.set_quick_repair(true);
    {
        let mut table = transaction.open_table(PAIRS)?;
        for (key, value) in batch.changes() {
            match value {
                Some(value) => table.insert(key, value)?,
                None => table.remove(key)?,
            };
        }
    }
    Ok(transaction.commit()?)
}

fn read(database: &Database, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, redb::Error> {
    let table = database.begin_read()?.open_table(PAIRS)?;
    let mut pairs = Vec::new();
    for pair in table.range::<&[u8]>(from..to)?.take(limit) {
        let (key, value) = pair?;
        pairs.push((key.value().to_vec(), value.value().to_vec()));
    }
    Ok(pairs)
}

fn read_back(database: &Database, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, redb::Error> {
    let table = database.begin_read()?.open_table(PAIRS)?;
    let mut pairs = Vec::new();
    for pair in table.range::<&[u8]>(from..to)?.rev().take(limit) {
        let (key, value) = pair?;
        pairs.push((key.value().to_vec(), value.value().to_vec()));
    }
    Ok(pairs)
}

/// Opens the store of a node in this directory: the database in `store.redb`, the log in
/// front of it in `wal`, the files of large parts beside them.
///
/// # Errors
/// As [`Redb::open`] and [`Keeper::open`].
pub fn open(directory: &Path, settings: Settings) -> Result<Keeper<Logged<Redb>>, Error> {
    let file = directory.join("store.redb");
    storage::make_room(directory, &file, settings)?;
    let engine = Logged::open(Redb::open(&file)?, &directory.join("wal"))?;
    Keeper::open(engine, directory, settings)
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_OCTETS);
    builder
}

/// Makes an empty database under another name, which it keeps until it is whole and durable: redb does not open a file
/// that it has not finished when the power failed.
fn make(file: &Path) -> Result<(), Error> {
    let unfinished = file.with_extension("new");
    if unfinished.exists() {
        std::fs::remove_file(&unfinished)?;
    }
    let database = builder().create(&unfinished).map_err(failure)?;
    // The table is made at once, so that reading needs no case for its absence.
    let transaction = database.begin_write().map_err(failure)?;
    transaction.open_table(PAIRS).map_err(failure)?;
    transaction.commit().map_err(failure)?;
    drop(database);
    File::open(&unfinished)?.sync_all()?;
    std::fs::rename(&unfinished, file)?;
    if let Some(parent) = file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

fn failure(error: impl Into<redb::Error>) -> Error {
    match error.into() {
        redb::Error::Io(error) => error.into(),
        redb::Error::Corrupted(what) => Error::Damaged { key: format!("redb: {what}") },
        other => Error::Io(other.to_string()),
    }
}

impl View for Redb {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.shared(|database| {
            let table = database.begin_read()?.open_table(PAIRS)?;
            Ok(table.get(key)?.map(|value| value.value().to_vec()))
        })
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        if from >= to {
            return Ok(Vec::new());
        }
        self.shared(|database| read(database, from, to, limit))
    }

    fn range_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        if from >= to {
            return Ok(Vec::new());
        }
        self.shared(|database| read_back(database, from, to, limit))
    }
}

impl Engine for Redb {
    fn apply(&self, batch: &Batch) -> Result<(), Error> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared(|database| write(database, batch))
    }

    fn check(&self) -> Result<Vec<String>, Error> {
        Ok(match self.alone(|database| Ok(database.check_integrity()?)) {
            Ok(true) => Vec::new(),
            Ok(false) => vec!["redb: the database was not sound and has been repaired".to_owned()],
            Err(error) => vec![error.to_string()],
        })
    }

    fn compact(&self) -> Result<(), Error> {
        self.alone(|database| Ok(database.compact().map(drop)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::conformance::{self, Open, OpenEngine};

    /// proves: STO-19
    #[test]
    fn no_room_is_made_below_a_store_that_is_open() {
        let directory = tempfile::tempdir().unwrap();
        let store = Box::new(open(directory.path(), Settings::default()).unwrap());
        conformance::run_room(store, directory.path(), &directory.path().join("store.redb"));
    }

    /// proves: STO-21
    #[test]
    fn the_suite_passes() {
        conformance::run(&|| -> Open {
            let directory = tempfile::tempdir().unwrap();
            Box::new(move || Box::new(open(directory.path(), Settings::default()).unwrap()))
        });
    }

    #[test]
    fn it_does_what_an_engine_must() {
        let directory = tempfile::tempdir().unwrap();
        conformance::run_engine(&|| Redb::open(&directory.path().join("store.redb")).unwrap());
    }

    /// redb writes the first octets of a file last: without them is how a loss of power leaves it.
    /// proves: STO-21
    #[test]
    fn a_database_that_was_not_finished_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("store.new"), vec![0; 100_000]).unwrap();
        for _ in 0..2 {
            assert_eq!(Redb::open(&directory.path().join("store.redb")).unwrap().value(b"k"), Ok(None));
            assert!(!directory.path().join("store.new").exists());
        }
    }

    #[test]
    fn it_does_what_an_engine_must_behind_a_log_too() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("wal");
        conformance::run_engine(&|| {
            Logged::open(Redb::open(&directory.path().join("store.redb")).unwrap(), &log).unwrap()
        });
    }

    #[test]
    fn a_crash_at_any_step_loses_nothing() {
        conformance::run_crashes(&|| -> OpenEngine<Redb> {
            let directory = tempfile::tempdir().unwrap();
            Box::new(move || {
                let engine = Redb::open(&directory.path().join("store.redb")).unwrap();
                (engine, directory.path().to_owned())
            })
        });
    }

    /// proves: STO-21
    #[test]
    fn what_is_acknowledged_survives_being_killed() {
        conformance::run_kills("tests::what_is_acknowledged_survives_being_killed", &|directory| {
            Box::new(open(directory, Settings::default()).unwrap())
        });
    }
}
