//! The default embedded engine: sled, by rules that make it durable.
//!
//! sled 0.34 alone does not keep what it promises: `flush` does not reach the disk (it uses `sync_file_range`, sled issue
//! 1452), `flush_async` can deadlock (issue 1308), and values from 128 KiB on go to files that are never synced. So here
//! (`spec/decisions/0004-storage-engine.md`):
//!
//! - only [`Sled`] has the database, and only its [`Engine::apply`] and [`Engine::settle`] write: one batch, or changes one by one,
//!   then `flush`, then `fdatasync` on a handle of its own of the file `db`, and then it returns;
//! - all files and directories are synced when the database is made;
//! - values are never larger than [`storage::limits::VALUE_OCTETS_MAX`];
//! - the file `db` has the attribute by which each write to it is durable when it returns, where the file system knows it: so nothing is
//!   written over before what replaces it is on the disk;
//! - after an error of flush or sync nothing is written any more: a sync that failed once cannot be repeated;
//! - a snapshot that was being written when the process ended is removed before the database is opened: sled takes it for the newest
//!   one, and then the whole for damaged.
//!
//! keeps: STO-20

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use storage::limits::{KEY_OCTETS_MAX, VALUE_OCTETS_MAX};
use storage::{Batch, Engine, Error, Keeper, Logged, Pair, Settings, View, guarded};

/// Octets of memory that sled uses for its cache. What a queue has in flight fits; the rest the kernel has in its cache of the file.
/// With 64 MiB the process is 45 MiB larger and some 2 to 4 % faster (`bench/RESULTS.md`).
const CACHE_OCTETS: u64 = 16 * 1024 * 1024;
/// Milliseconds between sled's own flushes. They add nothing to durability and bound what a clean close has to do.
const FLUSH_EVERY_MS: u64 = 500;

/// Threads that write what is settled, at most: one more is worth it where two cores wait for it.
const SETTLE_THREADS_MAX: usize = 4;
/// Changes that are worth a thread.
const SETTLE_SHARE_MIN: usize = 100;

/// How often and how long to wait for the lock: five seconds in all. Flushing what is left takes milliseconds.
const LOCK_WAITS: u32 = 250;
const LOCK_WAIT: Duration = Duration::from_millis(20);

/// A sled database that is written to by the rules of this crate only.
#[derive(Debug)]
pub struct Sled {
    tree: sled::Db,
    /// A handle of our own: sled does not lend its.
    file: File,
    failed: AtomicBool,
}

impl Sled {
    /// Opens the database in this directory, or makes it and all that leads to it.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be opened, is in use by another process, or cannot be synced.
    pub fn open(directory: &Path) -> Result<Sled, Error> {
        let path = directory.join("db");
        let fresh = !path.exists();
        if let Ok(file) = File::open(&path) {
            // What sled writes while it is opened is written so, too.
            write_through(&file);
        }
        let tree = guarded("sled", || open_unlocked(directory))?;
        let file = File::open(&path)?;
        if fresh {
            write_through(&file);
            tree.flush().map_err(failure)?;
        }
        // Whoever made it may have been killed before its names were durable.
        sync_creation(directory)?;
        Ok(Sled { tree, file, failed: AtomicBool::new(false) })
    }

    /// Writes changes and commits them. After an error nothing is written any more.
    fn write(&self, changes: &Batch, write: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        if self.failed.load(Ordering::SeqCst) {
            return Err(Error::ReadOnly("an earlier commit failed".to_owned()));
        }
        let too_long = |(key, value): (&[u8], Option<&[u8]>)| {
            key.len() > KEY_OCTETS_MAX || value.is_some_and(|value| value.len() > VALUE_OCTETS_MAX)
        };
        if changes.changes().any(too_long) {
            return Err(Error::Bound { what: "octets of a value", bound: VALUE_OCTETS_MAX as u64 });
        }
        let done = guarded("sled", || write().and_then(|()| self.commit()));
        if done.is_err() {
            self.failed.store(true, Ordering::SeqCst);
        }
        done
    }

    /// Writes changes one by one.
    fn write_each(&self, changes: &[(&[u8], Option<&[u8]>)]) -> Result<(), Error> {
        for (key, value) in changes {
            let before = match value {
                Some(value) => self.tree.insert(key, *value),
                None => self.tree.remove(key),
            };
            before.map_err(failure)?;
        }
        Ok(())
    }

    /// Flushes and syncs: what was written is durable when this returns.
    fn commit(&self) -> Result<(), Error> {
        self.tree.flush().map_err(failure)?;
        // `flush` only asks the kernel to begin writing. This waits until the disk has it.
        Ok(self.file.sync_data()?)
    }
}

/// Has each write to this file be durable when it returns, where the file system can do that (`chattr +S`: ext4, XFS, Btrfs).
///
/// sled moves what is still needed out of an old segment and then writes over that, and takes `sync_file_range` for enough in between.
/// A disk that keeps the second of two writes and loses the first would then have neither.
fn write_through(file: &File) {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
        // Where there is no such thing it is as sled does it.
        let _ = ioctl_getflags(file).and_then(|flags| ioctl_setflags(file, flags | IFlags::SYNC));
    }
}

/// Removes snapshots that were not finished: `snap.<number>.generating`, which get their name when they are whole and synced. sled
/// leaves out files with another ending, which it does not write, and opens with these. What a snapshot says is also in the log.
/// Where somebody has the database nothing is removed. And what a process that was killed has written and not synced is made durable:
/// sled writes and syncs a new snapshot of it before it is opened, and that would be ahead of it if the power went.
fn remove_unfinished(directory: &Path) -> Result<(), Error> {
    let Ok(database) = File::open(directory.join("db")) else { return Ok(()) };
    if database.try_lock().is_err() {
        return Ok(());
    }
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            std::fs::remove_file(path)?;
        }
    }
    database.sync_all()?;
    Ok(())
}

/// Opens the database, and waits a while where it is locked: a database that was dropped in this process lets go of its
/// lock from a thread of its own and tells nobody.
fn open_unlocked(directory: &Path) -> Result<sled::Db, Error> {
    let config =
        sled::Config::new().path(directory).cache_capacity(CACHE_OCTETS).flush_every_ms(Some(FLUSH_EVERY_MS));
    let mut waits = LOCK_WAITS;
    loop {
        remove_unfinished(directory)?;
        match config.open() {
            Err(error) if is_locked(&error) && waits > 0 => {
                waits -= 1;
                std::thread::sleep(LOCK_WAIT);
            }
            opened => return opened.map_err(failure),
        }
    }
}

/// Whether someone has the lock: sled says it in the words of an input or output error.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

/// Opens the store of a node in this directory: the database in `sled`, the log in
/// front of it in `wal`, the files of large parts beside them.
///
/// # Errors
/// As [`Sled::open`] and [`Keeper::open`].
pub fn open(directory: &Path, settings: Settings) -> Result<Keeper<Logged<Sled>>, Error> {
    storage::make_room(directory, &database(directory).join("db"), settings)?;
    let engine = Logged::open(Sled::open(&database(directory))?, &directory.join("wal"))?;
    Keeper::open(engine, directory, settings)
}

/// Where the database of a store is.
fn database(directory: &Path) -> PathBuf {
    directory.join("sled")
}

/// Syncs what sled makes and does not sync: its files, their directory, and the names of the directories above.
fn sync_creation(directory: &Path) -> Result<(), Error> {
    for name in ["conf", "db"] {
        File::open(directory.join(name))?.sync_all()?;
    }
    for above in directory.ancestors().take(3).filter(|above| !above.as_os_str().is_empty()) {
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

fn failure(error: sled::Error) -> Error {
    match error {
        sled::Error::Io(error) => error.into(),
        sled::Error::Corruption { at, .. } => Error::Damaged { key: format!("sled: a page at {at:?}") },
        sled::Error::ReportableBug(words) => Error::Damaged { key: format!("sled: {words}") },
        other => Error::Io(other.to_string()),
    }
}

/// A pair that outlives what sled has in memory.
fn owned(pair: sled::Result<(sled::IVec, sled::IVec)>) -> Result<Pair, Error> {
    pair.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(failure)
}

/// sled can panic over a file that is damaged: that is an error like any other.
impl View for Sled {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        guarded("sled", || Ok(self.tree.get(key).map_err(failure)?.map(|value| value.to_vec())))
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        if from >= to {
            return Ok(Vec::new());
        }
        guarded("sled", || self.tree.range(from..to).take(limit).map(owned).collect())
    }

    fn range_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        if from >= to {
            return Ok(Vec::new());
        }
        guarded("sled", || self.tree.range(from..to).rev().take(limit).map(owned).collect())
    }
}

impl Engine for Sled {
    fn apply(&self, batch: &Batch) -> Result<(), Error> {
        self.write(batch, || {
            let mut changes = sled::Batch::default();
            for (key, value) in batch.changes() {
                match value {
                    Some(value) => changes.insert(key, value),
                    None => changes.remove(key),
                }
            }
            self.tree.apply_batch(changes).map_err(failure)
        })
    }

    /// One by one, in several threads, each of which has keys that follow one another: so they rarely meet in a leaf, and readers
    /// never wait for a batch.
    fn settle(&self, changes: &Batch, _piece_octets: usize) -> Result<(), Error> {
        self.write(changes, || {
            let changes: Vec<_> = changes.changes().collect();
            let threads = std::thread::available_parallelism().map_or(1, usize::from).min(SETTLE_THREADS_MAX);
            let share = changes.len().div_ceil(threads).max(SETTLE_SHARE_MIN);
            std::thread::scope(|scope| {
                let begin = |part| {
                    let thread = std::thread::Builder::new().name("storage-settle".to_owned());
                    thread.spawn_scoped(scope, move || self.write_each(part)).map_err(|_| part)
                };
                let begun: Vec<_> = changes.chunks(share).map(begin).collect();
                begun.into_iter().try_for_each(|part| match part {
                    // A panic over a damaged file is one of who settles: `guarded` is around it.
                    Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                    // Where there are no more threads to be had, this one does it.
                    Err(part) => self.write_each(part),
                })
            })
        })
    }

    fn check(&self) -> Result<Vec<String>, Error> {
        // Reading every pair checks the checksum of every page.
        guarded("sled", || {
            let broken = self.tree.iter().filter_map(|pair| pair.err()).map(|error| error.to_string());
            Ok(broken.take(100).collect())
        })
    }

    fn compact(&self) -> Result<(), Error> {
        // sled gives room back by itself; all that can be done is to write out what it has in memory.
        self.commit()
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
        conformance::run_room(store, directory.path(), &database(directory.path()).join("db"));
    }

    /// proves: STO-20
    #[test]
    fn the_suite_passes() {
        conformance::run(&|| -> Open {
            let directory = tempfile::tempdir().unwrap();
            Box::new(move || Box::new(open(directory.path(), Settings::default()).unwrap()))
        });
    }

    #[test]
    fn a_value_that_sled_would_not_sync_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let engine = Sled::open(&directory.path().join("sled")).unwrap();
        let mut batch = Batch::default();
        batch.put(b"k".to_vec(), vec![0; VALUE_OCTETS_MAX + 1]);
        assert!(matches!(engine.apply(&batch), Err(Error::Bound { .. })));
        assert_eq!(engine.value(b"k"), Ok(None));
    }

    /// Whoever copies or restores the files loses the attribute: it is set anew whenever the database is opened.
    ///
    /// proves: STO-20
    #[cfg(target_os = "linux")]
    #[test]
    fn what_sled_writes_is_durable_in_the_order_in_which_it_is_written() {
        use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
        let directory = tempfile::tempdir().unwrap();
        drop(Sled::open(directory.path()).unwrap());
        let file = File::open(directory.path().join("db")).unwrap();
        let Ok(flags) = ioctl_getflags(&file) else {
            println!("left out: files have no attributes here");
            return;
        };
        if ioctl_setflags(&file, flags | IFlags::SYNC).is_err() {
            println!("left out: files do not have this attribute here");
            return;
        }
        ioctl_setflags(&file, flags - IFlags::SYNC).unwrap();
        drop(Sled::open(directory.path()).unwrap());
        assert!(ioctl_getflags(&file).unwrap().contains(IFlags::SYNC));
    }

    /// Found by killing nodes: one was writing a snapshot when it was killed, and could not be opened again.
    ///
    /// proves: STO-20
    #[test]
    fn a_snapshot_that_was_not_finished_is_no_damage() {
        for octets in [&b""[..], b"some octets of a snapshot"] {
            let directory = tempfile::tempdir().unwrap();
            let mut batch = Batch::default();
            batch.put(b"k".to_vec(), b"v".to_vec());
            Sled::open(directory.path()).unwrap().apply(&batch).unwrap();
            let unfinished = directory.path().join("snap.0FFFFFFFFFFFFFFF.generating");
            std::fs::write(&unfinished, octets).unwrap();
            assert_eq!(Sled::open(directory.path()).unwrap().value(b"k"), Ok(Some(b"v".to_vec())));
            assert!(!unfinished.exists());
        }
    }

    #[test]
    fn it_does_what_an_engine_must() {
        let directory = tempfile::tempdir().unwrap();
        conformance::run_engine(&|| Sled::open(&database(directory.path())).unwrap());
    }

    #[test]
    fn it_does_what_an_engine_must_behind_a_log_too() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("wal");
        conformance::run_engine(&|| {
            Logged::open(Sled::open(&database(directory.path())).unwrap(), &log).unwrap()
        });
    }

    #[test]
    fn a_crash_at_any_step_loses_nothing() {
        conformance::run_crashes(&|| -> OpenEngine<Sled> {
            let directory = tempfile::tempdir().unwrap();
            Box::new(move || {
                let engine = Sled::open(&database(directory.path())).unwrap();
                (engine, directory.path().to_owned())
            })
        });
    }

    /// proves: STO-20
    #[test]
    fn what_is_acknowledged_survives_being_killed() {
        conformance::run_kills("tests::what_is_acknowledged_survives_being_killed", &|directory| {
            Box::new(open(directory, Settings::default()).unwrap())
        });
    }
}
