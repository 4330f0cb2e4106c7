//! [`Keeper`]: the one implementation of [`Store`], over any [`Engine`].

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use message::{Cookie, Digest, Extent};
use tokio::sync::{Semaphore, oneshot};

use crate::engine::{Batch, Engine};
use crate::files::{Files, lock};
use crate::format::{FORMAT, bring_up};
use crate::group::{Answer, Work};
use crate::limits::{
    FREE_OCTETS_FLOOR_DEFAULT, INLINE_OCTETS_MAX, OWNER_OCTETS_MAX, POLLS_REMEMBERED_MAX,
    RETENTION_MS_DEFAULT, STAGING_MS_DEFAULT, WAITING_OPERATIONS_MAX,
};
use crate::part::Source;
use crate::record::{CookieRecord, Record};
use crate::schedule::Schedule;
use crate::transaction::{Transaction, read_number};
use crate::verb::{check_name, load};
use crate::writer::Writer;
use crate::{CookieAnswer, Error, MemoryFiles, PartWriter, StagedPart, Statistics, Wait, key};

/// What a node may set about its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long final dispositions stay answerable, in milliseconds.
    pub retention_ms: u64,
    /// How long a partial transfer waits for its resumption, in milliseconds.
    pub staging_ms: u64,
    /// Octets of free space below which nothing new is accepted.
    pub free_octets_floor: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            retention_ms: RETENTION_MS_DEFAULT,
            staging_ms: STAGING_MS_DEFAULT,
            free_octets_floor: FREE_OCTETS_FLOOR_DEFAULT,
        }
    }
}

/// The store over an engine. Dropping it waits until what was begun is committed.
#[derive(Debug)]
pub struct Keeper<E: Engine> {
    pub(crate) shared: Arc<Shared<E>>,
    places: Arc<Semaphore>,
    writer: Writer<E>,
}

/// What readers and the writer share.
#[derive(Debug)]
pub(crate) struct Shared<E> {
    pub(crate) engine: E,
    pub(crate) files: Arc<Files>,
    pub(crate) settings: Settings,
    pub(crate) schedule: Mutex<Schedule>,
    failure: Mutex<Option<String>>,
    polls: Mutex<BTreeMap<Vec<u8>, u64>>,
    commits: AtomicU64,
    operations: AtomicU64,
}

impl<E: Engine> Keeper<E> {
    /// Opens the store of this engine, with its files below this directory; makes it where it is not there, and
    /// removes the orphans of an earlier crash.
    ///
    /// # Errors
    /// [`Error::Io`] where a directory or the engine cannot be read or written; [`Error::Newer`] where a newer program has written
    /// the store.
    pub fn open(engine: E, directory: &Path, settings: Settings) -> Result<Keeper<E>, Error> {
        Keeper::open_with(engine, Files::in_directory(directory)?, settings)
    }

    /// Opens a store that has no thread: whoever waits for a commit carries it out, for all who wait at that moment.
    /// Its files are in memory. So everything that it does follows from what it is asked, as a simulation needs it.
    ///
    /// # Errors
    /// As [`Keeper::open`].
    pub fn open_in_place(engine: E, files: &MemoryFiles, settings: Settings) -> Result<Keeper<E>, Error> {
        Keeper::open_with_in_place(engine, Files::in_memory(files.clone()), settings)
    }

    pub(crate) fn open_with_in_place(
        engine: E,
        files: Files,
        settings: Settings,
    ) -> Result<Keeper<E>, Error> {
        Keeper::prepare(engine, files, settings, Writer::in_place)
    }

    pub(crate) fn open_with(engine: E, files: Files, settings: Settings) -> Result<Keeper<E>, Error> {
        Keeper::prepare(engine, files, settings, Writer::thread)
    }

    fn prepare(
        engine: E,
        files: Files,
        settings: Settings,
        writer: impl FnOnce(Arc<Shared<E>>) -> Result<Writer<E>, Error>,
    ) -> Result<Keeper<E>, Error> {
        let opened = begin(&engine)?;
        bring_up(&engine)?;
        // The fences of this opening are above those of all earlier ones.
        let schedule = Schedule::build(&engine, opened << 32)?;
        let shared = Arc::new(Shared {
            engine,
            files: Arc::new(files),
            settings,
            schedule: Mutex::new(schedule),
            failure: Mutex::default(),
            polls: Mutex::default(),
            commits: AtomicU64::new(0),
            operations: AtomicU64::new(0),
        });
        for digest in shared.files.parts()?.0 {
            shared.remove_unused(digest)?;
        }
        let writer = writer(shared.clone())?;
        Ok(Keeper { shared, places: Arc::new(Semaphore::new(WAITING_OPERATIONS_MAX)), writer })
    }

    /// Has the writer run an operation.
    pub(crate) fn submit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Wait<'_, T> {
        self.submit_or(operation, || {})
    }

    /// As [`Keeper::submit`], with what is to be done where the operation was run and its changes were certainly not committed.
    pub(crate) fn submit_or<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send + 'static,
        undone: impl FnOnce() + Send + 'static,
    ) -> Wait<'_, T> {
        Box::pin(async move {
            self.shared.writable()?;
            let place = self.places.clone().acquire_owned().await.map_err(|_| Error::Closed)?;
            let (reply, answer) = oneshot::channel();
            let work: Work = Box::new(move |transaction| {
                let result = transaction.and_then(operation);
                let counts = result.is_ok();
                let answer: Answer = Box::new(move |commit| {
                    if counts && matches!(&commit, Err(error) if !matches!(error, Error::Unknown(_))) {
                        undone();
                    }
                    // Whoever asked may have stopped waiting.
                    let _ = reply.send(commit.and(result));
                });
                (counts, answer)
            });
            self.writer.take(work, place).await?;
            answer.await.map_err(|_| Error::Closed)?
        })
    }

    /// Has the writer run an operation that makes the store grow, where there is room.
    pub(crate) fn submit_growing<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Wait<'_, T> {
        match self.shared.room() {
            Ok(()) => self.submit(operation),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    pub(crate) fn compact_engine(&self) -> Result<(), Error> {
        self.writer.compact()
    }
}

/// Has partial transfers give way below this directory where less than the floor is free: an engine that cannot write cannot be
/// opened. Nothing happens where somebody has the engine open, whose file this is: those transfers may be under way.
///
/// # Errors
/// [`Error::Io`] where the directory cannot be read, or a file of it not be removed.
///
/// keeps: STO-19
pub fn make_room(directory: &Path, engine: &Path, settings: Settings) -> Result<(), Error> {
    let Ok(file) = File::open(engine) else { return Ok(()) };
    // Nobody can open the engine while this lock is held.
    if file.try_lock().is_ok() && directory.join("staging").exists() {
        Files::as_found(directory).make_room(settings.free_octets_floor)?;
    }
    Ok(())
}

/// Checks or writes the format and counts this opening.
fn begin<E: Engine>(engine: &E) -> Result<u64, Error> {
    let (format, opened) = (key::meta("format"), key::meta("opened"));
    match read_number(engine, &format)? {
        None | Some(1..=FORMAT) => {}
        Some(format) => return Err(Error::Newer { format, known: FORMAT }),
    }
    let count = read_number(engine, &opened)?.unwrap_or(0) + 1;
    let mut batch = Batch::default();
    batch.put(format, FORMAT.to_be_bytes().to_vec());
    batch.put(opened, count.to_be_bytes().to_vec());
    engine.apply(&batch)?;
    Ok(count)
}

impl<E: Engine> Shared<E> {
    /// Whether the store may be written to.
    pub(crate) fn writable(&self) -> Result<(), Error> {
        match lock(&self.failure).as_ref() {
            Some(reason) => Err(Error::ReadOnly(reason.clone())),
            None => Ok(()),
        }
    }

    /// Turns the store read-only: it is not known whether the last commit is durable.
    pub(crate) fn poison(&self, error: &Error) -> Error {
        let reason = error.to_string();
        lock(&self.failure).get_or_insert_with(|| reason.clone());
        Error::Unknown(reason)
    }

    /// Whether there is room for more. What waits for a resumption gives way: peers that leave much behind keep out nobody
    /// else's mail.
    ///
    /// keeps: STO-19
    pub(crate) fn room(&self) -> Result<(), Error> {
        let made = self.files.make_room(self.settings.free_octets_floor)?;
        if made { Ok(()) } else { Err(Error::Full) }
    }

    /// Counts a group of operations.
    pub(crate) fn count(&self, operations: usize) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.operations.fetch_add(operations as u64, Ordering::Relaxed);
    }

    /// Removes the file of a part that nothing refers to.
    pub(crate) fn remove_unused(&self, digest: Digest) -> Result<(), Error> {
        let uses = key::part_uses(digest);
        if self.engine.range(&uses, &key::after_prefix(&uses), 1)?.is_empty() {
            self.files.remove_part(digest)?;
        }
        Ok(())
    }

    /// Remembers when the holder polled its cookies until the next commit.
    pub(crate) fn remember_polls(&self, cookies: &[Cookie], answers: &[CookieAnswer], now_ms: u64) {
        let mut polls = lock(&self.polls);
        let room = POLLS_REMEMBERED_MAX.saturating_sub(polls.len());
        let own = cookies.iter().zip(answers).filter(|(_, answer)| **answer != CookieAnswer::Unknown);
        polls.extend(own.take(room).map(|(cookie, _)| (key::cookie(cookie), now_ms)));
    }

    /// Removes partial transfers that nobody resumed in time; returns how many. One that cannot be removed keeps no other.
    pub(crate) fn sweep_staging(&self, now_ms: u64) -> Result<usize, Error> {
        let (mut swept, mut failure) = (0, None);
        for entry in self.files.staging()? {
            if entry.touched_ms.saturating_add(self.settings.staging_ms) <= now_ms {
                match self.files.remove_staging(&entry.name) {
                    Ok(()) => swept += 1,
                    Err(error) => failure = Some(error),
                }
            }
        }
        failure.map_or(Ok(swept), Err)
    }

    /// Writes the times of polls into a batch that is about to be committed.
    pub(crate) fn note_polls(&self, batch: &mut Batch) {
        for (key, now_ms) in std::mem::take(&mut *lock(&self.polls)) {
            // A record that this batch changes keeps its older time: being late is allowed, being wrong is not.
            if batch.change(&key).is_some() {
                continue;
            }
            if let Ok(Some(mut record)) = load::<CookieRecord>(&self.engine, &key) {
                record.polled_at_ms = Some(now_ms);
                batch.put(key, record.encode());
            }
        }
    }

    pub(crate) fn stage(&self, owner: &str, extent: Extent, now_ms: u64) -> Result<PartWriter, Error> {
        self.writable()?;
        self.room()?;
        check_name(owner, OWNER_OCTETS_MAX)?;
        if extent.octets <= INLINE_OCTETS_MAX {
            return Ok(PartWriter::in_memory(owner, extent));
        }
        let floor = self.settings.free_octets_floor;
        let file = self.files.stage(owner, extent.digest, now_ms, floor)?;
        // All that is still to come has to fit: nobody is let begin what there is no room for.
        let here = file.octets()?;
        if !self.files.fits(floor, extent.octets.saturating_sub(here))? {
            file.let_be(here);
            return Err(Error::Full);
        }
        PartWriter::in_file(owner, extent, file)
    }

    pub(crate) fn known(&self, owner: &str, extent: Extent) -> Result<Option<StagedPart>, Error> {
        check_name(owner, OWNER_OCTETS_MAX)?;
        if extent.octets <= INLINE_OCTETS_MAX
            || self.engine.value(&key::part_sender(extent.digest, owner))?.is_none()
        {
            return Ok(None);
        }
        let kept = self.files.open_part(extent.digest)?.is_some_and(|(octets, _)| octets == extent.octets);
        Ok(kept.then(|| StagedPart { owner: owner.to_owned(), extent, source: Source::Known }))
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let [legs, lanes, claimed, quarantined] = lock(&self.schedule).counts();
        Statistics {
            legs,
            lanes,
            claimed,
            quarantined,
            commits: self.commits.load(Ordering::Relaxed),
            operations: self.operations.load(Ordering::Relaxed),
            free_octets: self.files.free_octets(),
            read_only: self.writable().is_err(),
        }
    }
}

#[cfg(test)]
mod tests;
