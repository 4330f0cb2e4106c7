//! The write-ahead log: two files, written in turn, in which each commit is one record. It is what makes a commit
//! durable; the engine follows behind it ([`crate::Logged`]).
//!
//! A file begins with a head that says up to which record the engine has followed, and then has records, each at a
//! multiple of [`BLOCK_OCTETS`]. So a record that was acknowledged is never in a block that is written again before the
//! engine has it. The files are filled with zeroes ahead of the records and are used again: to write over what is there
//! takes a disk a third of the time that growing a file takes.
//!
//! What is in a record comes from anybody, and what an earlier use of a file has left is looked at when it is opened. So the check
//! of a record is made with a secret of this log: no content of a message looks like a record.
//!
//! keeps: STO-26, STO-27, STO-28

use std::sync::Arc;

use crate::Error;
use crate::engine::Batch;
use crate::limits::{KEY_OCTETS_MAX, LOG_AHEAD_OCTETS, VALUE_OCTETS_MAX};
use crate::log_place::{LogFile, LogPlace};

/// Octets of a block: what a disk writes as a whole, and a page of memory.
pub(crate) const BLOCK_OCTETS: usize = 4096;
/// How a file begins.
const FILE_MARK: &[u8; 16] = b"waxwing log 1\r\n\0";
/// Octets of a head: the mark, the secret (32), the number (8), the check (16).
const HEAD_OCTETS: usize = 72;
/// How a record begins.
const RECORD_MARK: &[u8; 4] = b"WREC";
/// Octets of a record before its changes: the mark, the octets of the changes (4), the number (8), the check (16).
const RECORD_HEAD_OCTETS: usize = 32;
/// Stands in the place of the length of a value that is removed.
const REMOVED: u32 = u32::MAX;

/// The names of the two files.
const NAMES: [&str; 2] = ["wal-0", "wal-1"];

/// The log, open for appending. Only one thread appends.
#[derive(Debug)]
pub(crate) struct Log {
    files: [Appended; 2],
    active: usize,
    /// How many records were appended to it.
    records: u64,
    next: u64,
    /// From how many octets on a file is full.
    octets_max: u64,
    /// By how many octets it grows.
    ahead_octets: u64,
    secret: Secret,
    /// Where a record is put together; kept, so that it is made once.
    record: Vec<u8>,
}

/// What only this log knows: by it a record is told from octets that look like one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Secret([u8; 32]);

#[derive(Debug)]
struct Appended {
    file: Arc<dyn LogFile>,
    /// Where the next record begins.
    end: u64,
    /// Octets that the file has, durably.
    octets: u64,
}

/// Writes the heads of the two files, apart from who appends to them.
#[derive(Debug)]
pub(crate) struct Heads {
    files: [Arc<dyn LogFile>; 2],
    secret: Secret,
}

/// What a log holds that the engine may not have yet.
#[derive(Debug)]
pub(crate) struct Found {
    /// The changes of each record, the earliest first.
    pub(crate) batches: Vec<Batch>,
    /// The number of the last record, or of the last that the engine has.
    pub(crate) last: u64,
    /// Up to which record the engine has everything, by what the heads say; `None` where neither says anything.
    pub(crate) settled: Option<u64>,
    /// The files in the order in which their heads are to be written: first the one whose head cannot be read. Were the other
    /// one cut off before it, there would be none, and so no secret.
    pub(crate) order: [usize; 2],
}

impl Log {
    /// Opens the log in this place, or makes it, and reads what the engine may lack, which itself says up to which record it
    /// `has` everything. [`Heads::write`] is to be called for
    /// both files, in [`Found::order`], with [`Found::last`], once the engine has all that was found and before anything is
    /// appended.
    ///
    /// # Errors
    /// [`Error::Io`] where a file cannot be read or written; [`Error::Damaged`] where records are missing that were
    /// written.
    pub(crate) fn open(
        place: &dyn LogPlace,
        octets_max: u64,
        has: u64,
    ) -> Result<(Log, Heads, Found), Error> {
        let (mut files, mut contents) = (Vec::new(), Vec::new());
        for name in NAMES {
            let (file, octets) = place.open(name)?;
            // The head is written by who opens it, so that it counts.
            let length = octets.len().max(BLOCK_OCTETS) as u64;
            files.push(Appended { file, end: BLOCK_OCTETS as u64, octets: length });
            contents.push(octets);
        }
        let heads: Vec<_> = contents.iter().map(|octets| Head::read(octets)).collect();
        let short = |octets: &Vec<u8>| octets.len() < BLOCK_OCTETS;
        if heads.iter().all(Option::is_none) {
            // Both have their first block, durably, before either has a head.
            for (one, octets) in files.iter().zip(&contents) {
                if short(octets) {
                    one.file.write_at(&[0; BLOCK_OCTETS], 0)?;
                }
                one.file.sync_all()?;
            }
        } else if contents.iter().any(short) {
            return Err(damaged("one of its two files is gone"));
        }
        let secret = Secret::of(&heads, &contents, place)?;
        let read =
            |(octets, head): (&Vec<u8>, &Option<Head>)| Contents::read(octets, head.as_ref(), &secret, has);
        let found = contents.iter().zip(&heads).map(read).collect::<Result<_, _>>()?;
        let order = if heads[0].is_some() && heads[1].is_none() { [1, 0] } else { [0, 1] };
        place.sync_names()?;
        let [first, second] = <[Appended; 2]>::try_from(files).map_err(|_| Error::Closed)?;
        let heads = Heads { files: [first.file.clone(), second.file.clone()], secret };
        let found = joined(found, has, order)?;
        // A process that has ended may have written what is read here and not synced it: it must not be lost again once the engine
        // has a part of it.
        if !found.batches.is_empty() {
            first.file.sync_all()?;
            second.file.sync_all()?;
        }
        let next = found.last + 1;
        let ahead_octets = ahead_octets(octets_max);
        let files = [first, second];
        let log =
            Log { files, active: 0, records: 0, next, octets_max, ahead_octets, secret, record: Vec::new() };
        Ok((log, heads, found))
    }

    /// Whether the file that is written is to be followed by the other.
    pub(crate) fn is_full(&self) -> bool {
        self.files[self.active].end >= self.octets_max
    }

    /// Whether nothing was appended to the file that is written.
    pub(crate) fn is_empty(&self) -> bool {
        self.files[self.active].end == BLOCK_OCTETS as u64
    }

    /// How many records were appended to the file that is written.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Goes on in the other file, all of which the engine has, as its head says. Returns which file was left, and the number
    /// of its last record.
    pub(crate) fn turn(&mut self) -> (usize, u64) {
        let left = self.active;
        self.active = 1 - left;
        self.records = 0;
        self.files[self.active].end = BLOCK_OCTETS as u64;
        (left, self.next - 1)
    }

    /// Appends the changes as one record and returns when it is durable.
    ///
    /// # Errors
    /// [`Error::Bound`] where a key or value is too long, with nothing written; [`Error::Io`]: it is not known whether the record
    /// is durable, and nothing more is to be appended.
    pub(crate) fn append(&mut self, batch: &Batch) -> Result<(), Error> {
        encode(&mut self.record, &self.secret, self.next, batch)?;
        let padded = self.record.len().next_multiple_of(BLOCK_OCTETS);
        self.record.resize(padded, 0);
        self.files[self.active].append(&self.record, self.ahead_octets)?;
        self.next += 1;
        self.records += 1;
        Ok(())
    }
}

/// A smaller file grows in smaller steps.
fn ahead_octets(octets_max: u64) -> u64 {
    (octets_max / 4).next_multiple_of(BLOCK_OCTETS as u64).clamp(BLOCK_OCTETS as u64, LOG_AHEAD_OCTETS)
}

impl Appended {
    fn append(&mut self, record: &[u8], ahead_octets: u64) -> Result<(), Error> {
        let end = self.end + record.len() as u64;
        if end > self.octets {
            let octets = end.next_multiple_of(ahead_octets);
            let zeroes = vec![0; (octets - self.octets) as usize];
            self.file.write_at(&zeroes, self.octets)?;
            self.file.sync_all()?;
            self.octets = octets;
        }
        self.file.write_at(record, self.end)?;
        self.file.sync_data()?;
        self.end = end;
        Ok(())
    }
}

impl Heads {
    /// Says durably in the head of a file that the engine has all records up to this one.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub(crate) fn write(&self, file: usize, settled: u64) -> Result<(), Error> {
        let mut head = [0; BLOCK_OCTETS];
        head[..16].copy_from_slice(FILE_MARK);
        head[16..48].copy_from_slice(&self.secret.0);
        head[48..56].copy_from_slice(&settled.to_be_bytes());
        let check = self.secret.check(&[&head[..56]]);
        head[56..HEAD_OCTETS].copy_from_slice(&check);
        self.files[file].write_at(&head, 0)?;
        self.files[file].sync_data()
    }
}

impl Secret {
    /// That of the heads; a new one for a log in which nothing was written yet.
    fn of(heads: &[Option<Head>], contents: &[Vec<u8>], place: &dyn LogPlace) -> Result<Secret, Error> {
        let mut said = heads.iter().flatten().map(|head| head.secret);
        match (said.next(), said.next()) {
            (Some(one), Some(other)) if one != other => Err(damaged("its two files are not of one log")),
            (Some(one), _) => Ok(one),
            // Heads are written before any record. The first of them may have been cut off.
            (None, _)
                if contents
                    .iter()
                    .all(|octets| octets.iter().skip(BLOCK_OCTETS).all(|octet| *octet == 0)) =>
            {
                place.secret().map(Secret)
            }
            (None, _) => Err(damaged("the heads of its files cannot be read")),
        }
    }

    /// The first 16 octets of the keyed BLAKE3 digest.
    fn check(&self, pieces: &[&[u8]]) -> [u8; 16] {
        let mut writer = message::DigestWriter::keyed(&self.0);
        pieces.iter().for_each(|piece| writer.update(piece));
        let mut short = [0; 16];
        short.copy_from_slice(&writer.digest().as_bytes()[..16]);
        short
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// What the first block of a file says.
#[derive(Debug)]
struct Head {
    secret: Secret,
    /// Up to which record the engine has followed.
    settled: u64,
}

impl Head {
    /// `None` where it is not whole.
    fn read(octets: &[u8]) -> Option<Head> {
        let octets = octets.get(..HEAD_OCTETS).filter(|head| head[..16] == *FILE_MARK)?;
        let secret = Secret(octets[16..48].try_into().ok()?);
        let settled = u64::from_be_bytes(octets[48..56].try_into().ok()?);
        (secret.check(&[&octets[..56]]) == octets[56..]).then_some(Head { secret, settled })
    }
}

/// One record: its head, and the changes, each a key with its length before it (2), then a value with its (4).
fn encode(record: &mut Vec<u8>, secret: &Secret, number: u64, batch: &Batch) -> Result<(), Error> {
    record.clear();
    record.resize(RECORD_HEAD_OCTETS, 0);
    for (key, value) in batch.changes() {
        let octets = value.map_or(0, <[u8]>::len);
        if key.len() > KEY_OCTETS_MAX || octets > VALUE_OCTETS_MAX {
            return Err(Error::Bound { what: "octets of a value", bound: VALUE_OCTETS_MAX as u64 });
        }
        record.extend_from_slice(&(key.len() as u16).to_be_bytes());
        record.extend_from_slice(key);
        record.extend_from_slice(&value.map_or(REMOVED, |value| value.len() as u32).to_be_bytes());
        record.extend_from_slice(value.unwrap_or_default());
    }
    let octets = u32::try_from(record.len() - RECORD_HEAD_OCTETS)
        .map_err(|_| Error::Bound { what: "octets of a commit", bound: u64::from(u32::MAX) })?;
    record[..4].copy_from_slice(RECORD_MARK);
    record[4..8].copy_from_slice(&octets.to_be_bytes());
    record[8..16].copy_from_slice(&number.to_be_bytes());
    let check = secret.check(&[&record[..16], &record[RECORD_HEAD_OCTETS..]]);
    record[16..32].copy_from_slice(&check);
    Ok(())
}

/// A record that is whole: its number and the octets of its changes. `None` for anything else.
fn record_at<'a>(octets: &'a [u8], at: usize, secret: &Secret) -> Option<(u64, &'a [u8])> {
    let (head, rest) = octets.get(at..)?.split_at_checked(RECORD_HEAD_OCTETS)?;
    if head[..4] != *RECORD_MARK {
        return None;
    }
    let length = u32::from_be_bytes(head[4..8].try_into().ok()?);
    let changes = rest.get(..usize::try_from(length).ok()?)?;
    let number = u64::from_be_bytes(head[8..16].try_into().ok()?);
    (secret.check(&[&head[..16], changes]) == head[16..32]).then_some((number, changes))
}

fn decode(mut octets: &[u8]) -> Option<Batch> {
    let mut batch = Batch::default();
    while !octets.is_empty() {
        let length = u16::from_be_bytes(take(&mut octets, 2)?.try_into().ok()?);
        let key = take(&mut octets, usize::from(length))?.to_vec();
        match u32::from_be_bytes(take(&mut octets, 4)?.try_into().ok()?) {
            REMOVED => batch.remove(key),
            length => batch.put(key, take(&mut octets, usize::try_from(length).ok()?)?.to_vec()),
        }
    }
    Some(batch)
}

fn take<'a>(octets: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = octets.split_at_checked(length)?;
    *octets = rest;
    Some(taken)
}

/// What one file holds.
#[derive(Debug)]
struct Contents {
    /// Up to which record the engine has followed, where its head says so.
    settled: Option<u64>,
    /// Records that follow one another, by number.
    records: Vec<(u64, Batch)>,
}

impl Contents {
    fn read(octets: &[u8], head: Option<&Head>, secret: &Secret, has: u64) -> Result<Contents, Error> {
        let settled = head.map(|head| head.settled);
        let mut records: Vec<(u64, Batch)> = Vec::new();
        let mut at = BLOCK_OCTETS;
        while let Some((number, changes)) = record_at(octets, at, secret)
            && records.last().is_none_or(|(last, _)| number == last + 1)
        {
            let batch = decode(changes).ok_or_else(|| damaged("a record cannot be read"))?;
            records.push((number, batch));
            at += (RECORD_HEAD_OCTETS + changes.len()).next_multiple_of(BLOCK_OCTETS);
        }
        // What ends here is either the end, with what an earlier use of the file has left behind it, or damage. The head alone does
        // not tell them apart: it may have been cut off when it was written at the last opening.
        let last = records.last().map_or(settled, |(last, _)| Some(*last)).unwrap_or(0).max(has);
        let later = (at..octets.len()).step_by(BLOCK_OCTETS).filter_map(|at| record_at(octets, at, secret));
        if later.into_iter().any(|(number, _)| number > last) {
            return Err(damaged("a record is broken, and there are records after it"));
        }
        Ok(Contents { settled, records })
    }
}

/// What both files say together.
fn joined(files: Vec<Contents>, has: u64, order: [usize; 2]) -> Result<Found, Error> {
    let said = files.iter().filter_map(|file| file.settled).max();
    let settled = said.unwrap_or(0).max(has);
    let mut records: Vec<_> = files.into_iter().flat_map(|file| file.records).collect();
    records.retain(|(number, _)| *number > settled);
    records.sort_by_key(|(number, _)| *number);
    if records.iter().zip(settled + 1..).any(|((number, _), wanted)| *number != wanted) {
        return Err(damaged("records are missing"));
    }
    let last = records.last().map_or(settled, |(number, _)| *number);
    let batches = records.into_iter().map(|(_, batch)| batch).collect();
    Ok(Found { batches, last, settled: said, order })
}

fn damaged(what: &str) -> Error {
    Error::Damaged { key: format!("log: {what}") }
}

#[cfg(test)]
mod tests;
