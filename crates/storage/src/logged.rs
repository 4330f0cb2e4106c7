//! [`Logged`]: an engine behind a write-ahead log.
//!
//! A commit is one record of the log, durable with one sync, and then a change to a table in memory that readers see over the
//! engine. When the file of the log is full, a thread of its own hands the table to the engine, in the order of its keys,
//! while commits go on in the other file. What came and went in between never reaches the engine. After a crash the log is
//! read, and the engine gets what it lacks: records say what a key is afterwards, so it does not matter how much of it the
//! engine has already.
//!
//! In a simulation there is no thread: whoever would wait for it hands the table over ([`Logged::open_in_place`]).
//!
//! It is no engine of its own: there is nothing in it for long. Readers see only what is durable.
//!
//! keeps: STO-23, STO-26, STO-27, STO-29

use std::iter::Peekable;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;

use crate::engine::{Batch, Engine, Pair, View, guarded};
use crate::files::lock;
use crate::limits::{LOG_OCTETS, RANGE_AHEAD, SETTLE_OCTETS_MAX};
use crate::log::{Heads, Log};
use crate::log_place::{LogDirectory, LogPlace};
use crate::transaction::read_number;
use crate::{Error, key};

/// The name under which the engine keeps the number of the last record that it has.
const SETTLED: &str = "settled";

/// An engine that follows behind a log. Dropping it waits until the engine has everything.
#[derive(Debug)]
pub struct Logged<E: Engine> {
    shared: Arc<Shared<E>>,
    log: Mutex<Log>,
    settler: Settler,
    /// What was found when it was opened.
    findings: Vec<String>,
}

/// Who hands a table to the engine.
#[derive(Debug)]
enum Settler {
    /// A thread, which is there until the log is dropped.
    Thread(Option<JoinHandle<()>>),
    /// Who commits, after so many records of the other file.
    InPlace { after: u64 },
}

/// What readers, the writer and who settles share.
#[derive(Debug)]
struct Shared<E> {
    engine: E,
    tables: RwLock<Tables>,
    work: Mutex<Work>,
    changed: Condvar,
    heads: Heads,
    /// Octets that the engine gets at once.
    piece_octets: usize,
}

/// The changes that the engine does not have yet.
#[derive(Debug, Default)]
struct Tables {
    /// Of the file of the log that is written.
    recent: Batch,
    /// Of the other file: the engine is getting them, and may have any of them.
    settling: Option<Arc<Batch>>,
}

/// What is to be settled.
#[derive(Debug, Default)]
struct Work {
    /// A file of the log, and the number of its last record.
    file: Option<(usize, u64)>,
    closing: bool,
    /// Why nothing is written any more.
    failure: Option<Error>,
}

impl<E: Engine> Logged<E> {
    /// Puts the log in this directory in front of an engine, which gets at once what it lacks.
    ///
    /// # Errors
    /// What the engine says; [`Error::Io`] where the log cannot be read or written; [`Error::Damaged`] where records of it
    /// are missing.
    pub fn open(engine: E, directory: &Path) -> Result<Logged<E>, Error> {
        Logged::open_with(engine, directory, LOG_OCTETS)
    }

    fn open_with(engine: E, directory: &Path, log_octets_max: u64) -> Result<Logged<E>, Error> {
        let mut logged = Logged::prepare(engine, &LogDirectory::make(directory)?, log_octets_max)?;
        let own = logged.shared.clone();
        let settler = std::thread::Builder::new()
            .name("storage-settle".to_owned())
            .spawn(move || while own.settle_next() {})?;
        logged.settler = Settler::Thread(Some(settler));
        Ok(logged)
    }

    /// Puts the log in this place in front of an engine, without a thread: who commits the record number `settle_after` of a
    /// file hands the other one to the engine before it returns, or whoever needs it settled sooner. So everything that
    /// it does follows from what it is asked, as a simulation needs it. A file is full from `log_octets_max` octets on.
    ///
    /// # Errors
    /// As [`Logged::open`].
    pub fn open_in_place(
        engine: E,
        place: &dyn LogPlace,
        log_octets_max: u64,
        settle_after: u64,
    ) -> Result<Logged<E>, Error> {
        let mut logged = Logged::prepare(engine, place, log_octets_max)?;
        logged.settler = Settler::InPlace { after: settle_after };
        Ok(logged)
    }

    /// A log whose engine has everything, and nobody yet who settles.
    fn prepare(engine: E, place: &dyn LogPlace, log_octets_max: u64) -> Result<Logged<E>, Error> {
        let has = read_number(&engine, &key::meta(SETTLED))?.unwrap_or(0);
        let (log, heads, found) = Log::open(place, log_octets_max, has)?;
        let (last, mut findings) = (found.last, Vec::new());
        // The engine says so itself, in its last write: one that loses the end of what it had, and does not notice, is noticed here.
        match found.settled {
            Some(settled) if has < settled => {
                return Err(Error::Damaged { key: "engine: it has lost what it had last".to_owned() });
            }
            None if has > 0 => {
                findings
                    .push("log: it was missing; what was acknowledged last may be missing too".to_owned());
            }
            _ => {}
        }
        let mut lacking = Batch::default();
        found.batches.into_iter().for_each(|batch| lacking.append(batch));
        let piece_octets = (log_octets_max / 4).min(SETTLE_OCTETS_MAX as u64) as usize;
        if last > has {
            guarded("engine", || settle(&engine, &lacking, last, piece_octets))?;
        }
        for file in found.order {
            heads.write(file, last)?;
        }
        let shared = Arc::new(Shared {
            engine,
            tables: RwLock::default(),
            work: Mutex::default(),
            changed: Condvar::new(),
            heads,
            piece_octets,
        });
        Ok(Logged { shared, log: Mutex::new(log), settler: Settler::Thread(None), findings })
    }

    /// Hands what is in the log to the engine, whether the file is full or not, and goes on in the other one.
    fn turn(&self, log: &mut Log) -> Result<(), Error> {
        let shared = &self.shared;
        let mut work = self.settled()?;
        {
            let mut tables = shared.tables.write().unwrap_or_else(PoisonError::into_inner);
            tables.settling = Some(Arc::new(std::mem::take(&mut tables.recent)));
        }
        work.file = Some(log.turn());
        shared.changed.notify_all();
        Ok(())
    }

    /// Has the engine get everything.
    fn settle_all(&self) -> Result<(), Error> {
        let mut log = lock(&self.log);
        if !log.is_empty() {
            self.turn(&mut log)?;
        }
        self.settled().map(drop)
    }

    /// Waits until the engine has what was handed to it, or hands it over, and holds on to the work.
    fn settled(&self) -> Result<MutexGuard<'_, Work>, Error> {
        if matches!(self.settler, Settler::InPlace { .. }) {
            self.shared.settle_waiting();
        }
        self.shared.settled()
    }
}

impl<E: Engine> Drop for Logged<E> {
    fn drop(&mut self) {
        // What the engine cannot get now it gets from the log when it is opened again.
        let _ = self.settle_all();
        lock(&self.shared.work).closing = true;
        self.shared.changed.notify_all();
        if let Settler::Thread(settler) = &mut self.settler
            && let Some(settler) = settler.take()
        {
            // It ends with its work; what it had to say is in there.
            let _ = settler.join();
        }
    }
}

impl<E: Engine> Engine for Logged<E> {
    fn apply(&self, batch: &Batch) -> Result<(), Error> {
        let mut log = lock(&self.log);
        let failure = lock(&self.shared.work).failure.clone();
        if let Some(error) = failure {
            return Err(error);
        }
        if log.is_full() {
            self.turn(&mut log)?;
        }
        let done = guarded("log", || log.append(batch).and_then(|()| self.shared.show(batch)));
        if let Err(error) = done {
            // The log may have what readers and the table lack: it must not be said to be settled.
            if !matches!(error, Error::Bound { .. }) {
                lock(&self.shared.work).failure = Some(error.clone());
            }
            return Err(error);
        }
        if let Settler::InPlace { after } = self.settler
            && log.records() >= after
        {
            self.shared.settle_waiting();
        }
        Ok(())
    }

    fn check(&self) -> Result<Vec<String>, Error> {
        let mut findings = self.findings.clone();
        findings.extend(self.shared.engine.check()?);
        Ok(findings)
    }

    fn compact(&self) -> Result<(), Error> {
        self.settle_all()?;
        self.shared.engine.compact()
    }
}

impl<E: Engine> Shared<E> {
    /// Waits until the engine has what was handed to it, and holds on to the work.
    fn settled(&self) -> Result<MutexGuard<'_, Work>, Error> {
        let work = self
            .changed
            .wait_while(lock(&self.work), |work| work.file.is_some() && work.failure.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        match &work.failure {
            Some(error) => Err(error.clone()),
            None => Ok(work),
        }
    }

    /// Takes durable changes into the table that readers see.
    fn show(&self, batch: &Batch) -> Result<(), Error> {
        let mut changes = batch.clone();
        // What came and goes again before the engine has heard of it needs no place at all.
        let gone = {
            let tables = self.tables();
            let come = |key: &[u8]| matches!(tables.recent.change(key), Some(Some(_)));
            let removed = batch.changes().filter(|(key, value)| value.is_none() && come(key));
            let mut gone = Vec::new();
            for (key, _) in removed {
                let before = match tables.settling.as_ref().and_then(|settling| settling.change(key)) {
                    Some(change) => change.is_some(),
                    None => self.engine.value(key)?.is_some(),
                };
                if !before {
                    gone.push(key.to_vec());
                }
            }
            gone
        };
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for key in gone {
            changes.forget(&key);
            tables.recent.forget(&key);
        }
        tables.recent.append(changes);
        Ok(())
    }

    /// Waits for a table and hands it to the engine. Returns whether there can be more.
    fn settle_next(&self) -> bool {
        let work = self
            .changed
            .wait_while(lock(&self.work), |work| {
                !work.closing && (work.file.is_none() || work.failure.is_some())
            })
            .unwrap_or_else(PoisonError::into_inner);
        let closing = work.closing;
        drop(work);
        self.settle_waiting() || !closing
    }

    /// Hands the table that waits to the engine. Returns whether there was one.
    fn settle_waiting(&self) -> bool {
        let work = lock(&self.work);
        let Some((file, last)) = work.file.filter(|_| work.failure.is_none()) else { return false };
        drop(work);
        let table = self.tables().settling.clone().unwrap_or_default();
        let done = guarded("engine", || settle(&self.engine, &table, last, self.piece_octets))
            .and_then(|()| self.heads.write(file, last));
        if done.is_ok() {
            self.tables.write().unwrap_or_else(PoisonError::into_inner).settling = None;
        }
        let mut work = lock(&self.work);
        match done {
            Ok(()) => work.file = None,
            // What was acknowledged is in the log, and readers see it still.
            Err(error) => work.failure = Some(error),
        }
        self.changed.notify_all();
        true
    }

    fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands changes to an engine. A crash may leave it with some of them: then the log has them all. What is written last says up to
/// which record the engine has everything.
fn settle(engine: &impl Engine, table: &Batch, last: u64, piece_octets: usize) -> Result<(), Error> {
    engine.settle(table, piece_octets)?;
    let mut number = Batch::default();
    number.put(key::meta(SETTLED), last.to_be_bytes().to_vec());
    engine.apply(&number)
}

impl<E: Engine> View for Logged<E> {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let tables = self.shared.tables();
        let settling = || tables.settling.as_ref().and_then(|settling| settling.change(key));
        match tables.recent.change(key).or_else(settling) {
            Some(change) => Ok(change.map(<[u8]>::to_vec)),
            None => self.shared.engine.value(key),
        }
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        self.merged(Direction::Forwards, from, to, limit)
    }

    fn range_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        self.merged(Direction::Backwards, from, to, limit)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forwards,
    Backwards,
}

impl Direction {
    /// Whether one key comes before another.
    fn before(self, one: &[u8], other: &[u8]) -> bool {
        match self {
            Direction::Forwards => one < other,
            Direction::Backwards => one > other,
        }
    }
}

type Change<'a> = (&'a Vec<u8>, &'a Option<Vec<u8>>);

impl<E: Engine> Logged<E> {
    /// The first pairs of a range in one direction: those of the engine under the changes of both tables. What is read is
    /// in proportion to what is found and to what is removed before it.
    fn merged(&self, direction: Direction, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        let tables = self.shared.tables();
        let empty = Batch::default();
        let settling = tables.settling.as_deref().unwrap_or(&empty);
        let mut recent = in_direction(&tables.recent, direction, from, to).peekable();
        let mut settling = in_direction(settling, direction, from, to).peekable();
        let mut below = Below {
            engine: &self.shared.engine,
            direction,
            from: from.to_vec(),
            to: to.to_vec(),
            page: Vec::new().into_iter().peekable(),
            over: from >= to,
        };
        let mut pairs = Vec::new();
        while pairs.len() < limit {
            let change = next_change(direction, &mut recent, &mut settling);
            let wanted = limit - pairs.len();
            match change {
                None => match below.next(wanted)? {
                    Some(pair) => pairs.push(pair),
                    None => break,
                },
                Some((key, value)) => {
                    while pairs.len() < limit && below.is_before(key, wanted)? {
                        pairs.extend(below.next(wanted)?);
                    }
                    if pairs.len() == limit {
                        break;
                    }
                    below.pass_over(key, wanted)?;
                    pairs.extend(value.as_ref().map(|value| (key.clone(), value.clone())));
                }
            }
        }
        Ok(pairs)
    }
}

fn in_direction<'a>(
    table: &'a Batch,
    direction: Direction,
    from: &'a [u8],
    to: &'a [u8],
) -> Box<dyn Iterator<Item = Change<'a>> + 'a> {
    let changes = table.changes_in(from, to);
    match direction {
        Direction::Forwards => Box::new(changes),
        Direction::Backwards => Box::new(changes.rev()),
    }
}

/// The next change of two tables, of which the first has the last word.
fn next_change<'a>(
    direction: Direction,
    recent: &mut Peekable<impl Iterator<Item = Change<'a>>>,
    settling: &mut Peekable<impl Iterator<Item = Change<'a>>>,
) -> Option<Change<'a>> {
    match (recent.peek(), settling.peek()) {
        (Some((one, _)), Some((other, _))) if one == other => {
            settling.next();
            recent.next()
        }
        (Some((one, _)), Some((other, _))) if direction.before(other, one) => settling.next(),
        (None, Some(_)) => settling.next(),
        _ => recent.next(),
    }
}

/// The pairs of the engine in a range, page by page.
struct Below<'a, E> {
    engine: &'a E,
    direction: Direction,
    /// What is left of the range.
    from: Vec<u8>,
    to: Vec<u8>,
    page: Peekable<std::vec::IntoIter<Pair>>,
    /// Whether the engine has nothing more.
    over: bool,
}

impl<E: Engine> Below<'_, E> {
    fn peek(&mut self, wanted: usize) -> Result<Option<&Pair>, Error> {
        if self.page.peek().is_none() && !self.over {
            let limit = wanted.saturating_add(RANGE_AHEAD);
            let page = match self.direction {
                Direction::Forwards => self.engine.range(&self.from, &self.to, limit)?,
                Direction::Backwards => self.engine.range_back(&self.from, &self.to, limit)?,
            };
            self.over = page.len() < limit;
            match (page.last(), self.direction) {
                (Some((last, _)), Direction::Forwards) => self.from = key::successor(last),
                (Some((last, _)), Direction::Backwards) => self.to.clone_from(last),
                (None, _) => {}
            }
            self.page = page.into_iter().peekable();
        }
        Ok(self.page.peek())
    }

    fn next(&mut self, wanted: usize) -> Result<Option<Pair>, Error> {
        self.peek(wanted)?;
        Ok(self.page.next())
    }

    /// Whether there is a pair that comes before this key.
    fn is_before(&mut self, key: &[u8], wanted: usize) -> Result<bool, Error> {
        let direction = self.direction;
        Ok(self.peek(wanted)?.is_some_and(|(own, _)| direction.before(own, key)))
    }

    /// Leaves out the pair of this key, if it is the next.
    fn pass_over(&mut self, key: &[u8], wanted: usize) -> Result<(), Error> {
        if self.peek(wanted)?.is_some_and(|(own, _)| own == key) {
            self.page.next();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
