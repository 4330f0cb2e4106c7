//! One operation's view of the store: its own changes over those of its group, over those that are being committed, over
//! the engine.

use std::collections::BTreeMap;

use message::Digest;

use crate::engine::{Batch, Pair, View};
use crate::files::StagingFile;
use crate::limits::{CHUNK_OCTETS, VALUE_OCTETS_MAX};
use crate::queue::{Lane, LegId};
use crate::{Error, key};

/// What the writer does besides the batch when an operation has succeeded.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Files to move among the parts before the commit.
    pub(crate) placing: Vec<(StagingFile, Digest)>,
    /// Staging files that nobody needs any more.
    pub(crate) superfluous: Vec<StagingFile>,
    /// Parts that lost a reference: their files go after the commit unless something refers to them.
    pub(crate) loosened: Vec<Digest>,
    /// Changes to the schedule, after the commit.
    pub(crate) queue: Vec<QueueChange>,
}

/// What a commit changes in the schedule of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QueueChange {
    Added {
        lane: Lane,
        leg: LegId,
        due_ms: u64,
        created_at_ms: u64,
    },
    Moved {
        lane: Lane,
        leg: LegId,
        due_ms: u64,
        held_before: bool,
        held: bool,
    },
    Removed {
        lane: Lane,
        leg: LegId,
        held: bool,
        created_at_ms: u64,
    },
    /// The claim of the leg under this fence ends, by a settlement.
    Unclaimed(LegId, u64),
}

/// One operation under way.
pub(crate) struct Transaction<'a> {
    engine: &'a dyn View,
    pending: Option<&'a Batch>,
    group: &'a Batch,
    own: Batch,
    pub(crate) effects: Effects,
    pub(crate) retention_ms: u64,
    /// Values written so far, also over one another.
    #[cfg(test)]
    pub(crate) written: usize,
}

impl<'a> Transaction<'a> {
    /// A view over an engine that may have any of the pending changes already.
    pub(crate) fn new(
        engine: &'a dyn View,
        pending: Option<&'a Batch>,
        group: &'a Batch,
        retention_ms: u64,
    ) -> Transaction<'a> {
        Transaction {
            engine,
            pending,
            group,
            own: Batch::default(),
            effects: Effects::default(),
            retention_ms,
            #[cfg(test)]
            written: 0,
        }
    }

    /// What the operation has changed.
    pub(crate) fn into_changes(self) -> (Batch, Effects) {
        (self.own, self.effects)
    }

    /// Octets of what the operation has changed.
    pub(crate) fn octets(&self) -> usize {
        self.own.octets()
    }

    /// Writes a value, which must fit.
    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), Error> {
        if value.len() > VALUE_OCTETS_MAX {
            return Err(Error::Bound { what: "octets of a record", bound: VALUE_OCTETS_MAX as u64 });
        }
        #[cfg(test)]
        {
            self.written += 1;
        }
        self.own.put(key, value);
        Ok(())
    }

    /// Writes a key that only has to be there.
    pub(crate) fn mark(&mut self, key: Vec<u8>) {
        self.own.put(key, Vec::new());
    }

    /// Removes a key.
    pub(crate) fn remove(&mut self, key: Vec<u8>) {
        self.own.remove(key);
    }

    /// Removes all keys that begin so.
    pub(crate) fn remove_all(&mut self, prefix: &[u8]) -> Result<(), Error> {
        let (mut from, to) = (prefix.to_vec(), key::after_prefix(prefix));
        loop {
            let page = self.range(&from, &to, 256)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            from = key::successor(last);
            for (key, _) in page {
                self.own.remove(key);
            }
        }
    }

    /// Writes a record that may be larger than one value, in chunks, over one that may have had more of them.
    pub(crate) fn put_chunked(&mut self, prefix: &[u8], record: &[u8]) -> Result<(), Error> {
        let mut leftover = self.put_new_chunked(prefix, record)?;
        while let Some(key) = chunk_key(prefix, leftover)
            && self.value(&key)?.is_some()
        {
            self.own.remove(key);
            leftover += 1;
        }
        Ok(())
    }

    /// Writes a record that was not there before, in chunks; returns in how many.
    pub(crate) fn put_new_chunked(&mut self, prefix: &[u8], record: &[u8]) -> Result<usize, Error> {
        let chunks = record.len() / CHUNK_OCTETS + 1;
        let too_many = Error::Bound { what: "octets of a record", bound: (CHUNK_OCTETS * 255) as u64 };
        for number in 0..chunks {
            let start = number * CHUNK_OCTETS;
            let chunk = &record[start..record.len().min(start + CHUNK_OCTETS)];
            self.put(chunk_key(prefix, number).ok_or(too_many.clone())?, chunk.to_vec())?;
        }
        Ok(chunks)
    }

    /// A number never given out before, growing with time.
    pub(crate) fn allocate(&mut self) -> Result<u64, Error> {
        let key = key::meta("number");
        let number = read_number(self, &key)?.unwrap_or(0) + 1;
        self.put(key, number.to_be_bytes().to_vec())?;
        Ok(number)
    }

    /// Whether any key begins so.
    pub(crate) fn any(&self, prefix: &[u8]) -> Result<bool, Error> {
        Ok(!self.range(prefix, &key::after_prefix(prefix), 1)?.is_empty())
    }
}

impl View for Transaction<'_> {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let pending = || self.pending.and_then(|pending| pending.change(key));
        match self.own.change(key).or_else(|| self.group.change(key)).or_else(pending) {
            Some(change) => Ok(change.map(<[u8]>::to_vec)),
            None => self.engine.value(key),
        }
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        let pairs =
            self.changed_range(from, to, |most| self.engine.range(from, to, limit.saturating_add(most)))?;
        Ok(pairs.into_iter().take(limit).collect())
    }

    fn range_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        let pairs = self
            .changed_range(from, to, |most| self.engine.range_back(from, to, limit.saturating_add(most)))?;
        Ok(pairs.into_iter().rev().take(limit).collect())
    }
}

impl Transaction<'_> {
    /// What `read` finds in the engine, with the changes of this range. It is told how many pairs these may hide.
    fn changed_range(
        &self,
        from: &[u8],
        to: &[u8],
        read: impl FnOnce(usize) -> Result<Vec<Pair>, Error>,
    ) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
        let pending = self.pending.iter().flat_map(|pending| pending.changes_in(from, to));
        let mut changed: BTreeMap<&Vec<u8>, &Option<Vec<u8>>> = pending.collect();
        changed.extend(self.group.changes_in(from, to));
        changed.extend(self.own.changes_in(from, to));
        // Every change may hide one pair of the engine.
        let removed = changed.values().filter(|value| value.is_none()).count();
        let mut pairs: BTreeMap<Vec<u8>, Vec<u8>> = read(removed)?.into_iter().collect();
        for (key, value) in changed {
            match value {
                Some(value) => pairs.insert(key.clone(), value.clone()),
                None => pairs.remove(key),
            };
        }
        Ok(pairs)
    }
}

/// Chunks of a record: their number is one octet.
const CHUNKS_MAX: usize = 256;

fn chunk_key(prefix: &[u8], number: usize) -> Option<Vec<u8>> {
    let mut key = prefix.to_vec();
    key.push(u8::try_from(number).ok()?);
    Some(key)
}

/// Reads a record that was written in chunks. A chunk of the full size is followed by another: then all of them are read at one
/// moment, since the record may be written anew meanwhile.
pub(crate) fn read_chunked(view: &dyn View, prefix: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let damaged = || Error::Damaged { key: key::readable(prefix) };
    let first = chunk_key(prefix, 0).ok_or_else(damaged)?;
    let Some(chunk) = view.value(&first)? else { return Ok(None) };
    if chunk.len() < CHUNK_OCTETS {
        return Ok(Some(chunk));
    }
    let end = [prefix, &[u8::MAX, 0]].concat();
    let mut record = Vec::new();
    for (number, (key, chunk)) in view.range(&first, &end, CHUNKS_MAX)?.into_iter().enumerate() {
        if chunk_key(prefix, number).as_ref() != Some(&key) {
            break;
        }
        record.extend_from_slice(&chunk);
        if chunk.len() < CHUNK_OCTETS {
            return Ok(Some(record));
        }
    }
    Err(damaged())
}

/// Reads a number of eight octets.
pub(crate) fn read_number(view: &dyn View, key: &[u8]) -> Result<Option<u64>, Error> {
    let Some(value) = view.value(key)? else { return Ok(None) };
    match value.try_into() {
        Ok(octets) => Ok(Some(u64::from_be_bytes(octets))),
        Err(_) => Err(Error::Damaged { key: key::readable(key) }),
    }
}
