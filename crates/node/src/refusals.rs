//! Refusals remembered: an offer that was refused leaves no envelope, and its recipient or an operator may still be asked
//! why it was. What is kept says which rule and which evidence, for as long as other status is kept.
//!
//! Nobody who is refused may fill a disk by it or slow down mail that is accepted. So a refusal waits in memory and is written
//! later, some at a time; there are only so many, of which the oldest goes; one party adds only so many within an hour; and
//! the same refusal again takes the place of the one before.
//!
//! keeps: POL-13

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use message::address::Address;
use message::cbor::{as_bytes, as_uint, bytes, decode, encode, find, map, text, uint};
use message::{Code, Digest, Disposition, Identity};
use storage::{LegacyChange, LegacyRecord, Origin};

use crate::Node;
use crate::accept::{Failure, trouble};
use crate::commit::Why;
use crate::limits::{
    REFUSALS_MAX, REFUSALS_PER_HOUR_MAX, REFUSALS_WAITING_MAX, REFUSALS_WRITTEN_MAX, REFUSING_PARTIES_MAX,
};

/// Where they stand: the node's own kind among the records of the gateway, under keys that begin so.
const KIND: u8 = 0;
const PREFIX: &[u8] = b"refused\0";
const VERSION: u64 = 1;
const HOUR_MS: u64 = 3_600_000;

/// An offer that was refused for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// Which message.
    pub identity: Identity,
    /// Who offered it, as [`Origin::holder`] says.
    pub origin: String,
    /// For whom.
    pub recipient: String,
    /// What was answered.
    pub code: Code,
    /// What was answered, for people.
    pub text: String,
    /// By which rule and on what evidence. Peers are not told.
    pub why: String,
}

/// What is to be written, and what there is.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// By their keys, so that the same refusal again is one.
    waiting: BTreeMap<Vec<u8>, Refusal>,
    /// What is in the store, the oldest first; `None` until it was looked at.
    kept: Option<Kept>,
    /// How many each party has added since when.
    parties: HashMap<String, (u32, u64)>,
}

#[derive(Debug, Default)]
struct Kept {
    by_age: BTreeSet<(u64, Vec<u8>)>,
    ages: HashMap<Vec<u8>, u64>,
}

impl Refusals {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn add(&mut self, refusal: Refusal) {
        let key = refusal.key();
        let new = !self.waiting.contains_key(&key);
        if new && (self.waiting.len() >= REFUSALS_WAITING_MAX || !self.may_add(&refusal)) {
            return;
        }
        self.waiting.insert(key, refusal);
    }

    fn may_add(&mut self, refusal: &Refusal) -> bool {
        let now_ms = refusal.at_ms;
        let over = |since_ms: u64| now_ms.abs_diff(since_ms) >= HOUR_MS;
        if self.parties.len() >= REFUSING_PARTIES_MAX {
            self.parties.retain(|_, (_, since_ms)| !over(*since_ms));
            if self.parties.len() >= REFUSING_PARTIES_MAX {
                return false;
            }
        }
        let (count, since_ms) = self.parties.entry(refusal.origin.clone()).or_insert((0, now_ms));
        if over(*since_ms) {
            (*count, *since_ms) = (0, now_ms);
        }
        *count += 1;
        *count <= REFUSALS_PER_HOUR_MAX
    }
}

impl Kept {
    fn put(&mut self, key: Vec<u8>, at_ms: u64) {
        if let Some(before_ms) = self.ages.insert(key.clone(), at_ms) {
            self.by_age.remove(&(before_ms, key.clone()));
        }
        self.by_age.insert((at_ms, key));
    }

    /// The oldest, where there is no room for it or its time is over; it is forgotten here.
    fn too_many(&mut self, now_ms: u64) -> Option<Vec<u8>> {
        let (at_ms, _) = self.by_age.first()?;
        let old = at_ms.saturating_add(storage::limits::RETENTION_MS_DEFAULT) <= now_ms;
        if self.by_age.len() <= REFUSALS_MAX && !old {
            return None;
        }
        let (_, key) = self.by_age.pop_first()?;
        self.ages.remove(&key);
        Some(key)
    }
}

impl Refusal {
    fn key(&self) -> Vec<u8> {
        let by = Digest::of(format!("{}\0{}", self.origin, self.recipient).as_bytes());
        [PREFIX, self.identity.as_bytes(), &by.as_bytes()[..16]].concat()
    }

    fn encode(&self) -> Vec<u8> {
        encode(&map([
            (0, Some(uint(VERSION))),
            (1, Some(uint(self.at_ms))),
            (2, Some(bytes(self.identity.as_bytes()))),
            (3, Some(text(&self.origin))),
            (4, Some(text(&self.recipient))),
            (5, Some(text(&self.code.to_string()))),
            (6, Some(text(&self.text))),
            (7, Some(text(&self.why))),
        ]))
    }

    /// What cannot be read is left out: nothing follows from it.
    fn decode(octets: &[u8]) -> Option<Refusal> {
        let value = decode(octets).ok()?;
        let fields = value.as_map()?;
        let words = |key| find(fields, key).and_then(|value| value.as_text()).map(str::to_owned);
        if find(fields, 0).and_then(as_uint)? != VERSION {
            return None;
        }
        Some(Refusal {
            at_ms: find(fields, 1).and_then(as_uint)?,
            identity: Identity::from_bytes(find(fields, 2).and_then(as_bytes)?.try_into().ok()?),
            origin: words(3)?,
            recipient: words(4)?,
            code: Code::parse(&words(5)?).ok()?,
            text: words(6)?,
            why: words(7)?,
        })
    }
}

impl Node {
    /// Remembers that an offer was refused for a recipient; what is no refusal, and what was answered before, is not.
    pub(crate) fn note_refusal(
        &self,
        origin: &Origin,
        identity: Identity,
        recipient: &Address,
        disposition: &Disposition,
        why: &Why,
    ) {
        let Disposition::Refused { code, text } = disposition else { return };
        if why.is_before() {
            return;
        }
        let refusal = Refusal {
            at_ms: self.now_ms(),
            identity,
            origin: origin.holder(),
            recipient: recipient.to_string(),
            code: *code,
            text: cut(text),
            why: cut(&why.to_string()),
        };
        self.inner.refusals.lock().add(refusal);
    }

    /// The refusals of messages whose identities are between these two, both included, by identity.
    ///
    /// # Errors
    /// A code and a text where the store cannot be read.
    pub fn refusals(&self, first: Identity, last: Identity, limit: usize) -> Result<Vec<Refusal>, Failure> {
        let after = [PREFIX, first.as_bytes()].concat();
        let kept = self.store().legacy_records(KIND, PREFIX, Some(&after), limit).map_err(trouble)?;
        let now_ms = self.now_ms();
        let kept = kept.into_iter().filter(|record| now_ms < record.expires_at_ms);
        let mut found: BTreeMap<Vec<u8>, Refusal> = kept
            .filter_map(|record| Refusal::decode(&record.value).map(|refusal| (record.key, refusal)))
            .filter(|(_, refusal)| refusal.identity.as_bytes() <= last.as_bytes())
            .collect();
        let table = self.inner.refusals.lock();
        let waiting = table
            .waiting
            .iter()
            .filter(|(_, one)| (first.as_bytes()..=last.as_bytes()).contains(&one.identity.as_bytes()));
        found.extend(waiting.map(|(key, refusal)| (key.clone(), refusal.clone())));
        Ok(found.into_values().take(limit).collect())
    }

    /// Writes those that wait, some in each transaction, and takes away those for which there is no room. Each is gone past
    /// once: what is refused again and again meanwhile is written the next time.
    ///
    /// keeps: POL-13
    pub(crate) async fn write_refusals(&self) -> Result<(), storage::Error> {
        let mut from = Bound::Unbounded;
        loop {
            let some = self.inner.refusals.lock().page(from);
            let Some((last, _)) = some.last() else { return Ok(()) };
            from = Bound::Excluded(last.clone());
            self.look_at_kept_refusals().await?;
            let changes = self.inner.refusals.lock().changes(&some, self.now_ms());
            self.store().change_legacy_records(changes).await?;
            self.inner.refusals.lock().written(&some);
        }
    }

    /// Counts what is in the store, once, before something is added.
    async fn look_at_kept_refusals(&self) -> Result<(), storage::Error> {
        if self.inner.refusals.lock().kept.is_some() {
            return Ok(());
        }
        let (mut kept, mut after): (Kept, Option<Vec<u8>>) = (Kept::default(), None);
        loop {
            let (store, from) = (self.store().clone(), after.clone());
            let page = move || store.legacy_records(KIND, PREFIX, from.as_deref(), storage::limits::LIST_MAX);
            let page = self.blocking(page).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for record in page {
                // What cannot be read is the first to go.
                kept.put(record.key, Refusal::decode(&record.value).map_or(0, |refusal| refusal.at_ms));
            }
        }
        self.inner.refusals.lock().kept = Some(kept);
        Ok(())
    }
}

impl Table {
    /// Some of those that wait.
    fn page(&self, from: Bound<Vec<u8>>) -> Vec<(Vec<u8>, Refusal)> {
        let some = self.waiting.range((from, Bound::Unbounded)).take(REFUSALS_WRITTEN_MAX);
        some.map(|(key, refusal)| (key.clone(), refusal.clone())).collect()
    }

    /// These wait no more. What was refused again meanwhile does.
    fn written(&mut self, some: &[(Vec<u8>, Refusal)]) {
        for (key, refusal) in some {
            if self.waiting.get(key) == Some(refusal) {
                self.waiting.remove(key);
            }
        }
    }

    /// What is to be written for some, and taken away for them.
    fn changes(&mut self, some: &[(Vec<u8>, Refusal)], now_ms: u64) -> Vec<LegacyChange> {
        let kept = self.kept.get_or_insert_default();
        let mut changes = Vec::with_capacity(2 * some.len());
        for (key, refusal) in some {
            changes.push(LegacyChange::Put(LegacyRecord {
                kind: KIND,
                key: key.clone(),
                value: refusal.encode(),
                expires_at_ms: refusal.at_ms.saturating_add(storage::limits::RETENTION_MS_DEFAULT),
            }));
            kept.put(key.clone(), refusal.at_ms);
        }
        while changes.len() < 2 * REFUSALS_WRITTEN_MAX
            && let Some(key) = kept.too_many(now_ms)
        {
            changes.push(LegacyChange::Remove { kind: KIND, key });
        }
        changes
    }
}

/// A text as it fits in a record, cut between characters.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(storage::limits::TEXT_OCTETS_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(number: u64, origin: &str, at_ms: u64) -> Refusal {
        let mut identity = [0; 32];
        identity[..8].copy_from_slice(&number.to_be_bytes());
        Refusal {
            at_ms,
            identity: Identity::from_bytes(identity),
            origin: origin.to_owned(),
            recipient: "bob@south.test".to_owned(),
            code: Code::NO_SUCH_ADDRESS,
            text: "no such address here".to_owned(),
            why: "rule no-such-address: no account has it".to_owned(),
        }
    }

    #[test]
    fn a_refusal_comes_back_as_it_was() {
        let one = refusal(7, "north.test", 5);
        assert_eq!(Refusal::decode(&one.encode()), Some(one.clone()));
        let octets = one.encode();
        assert!((0..octets.len()).all(|end| Refusal::decode(&octets[..end]).is_none()));
        assert!(one.key().len() <= storage::limits::LEGACY_KEY_OCTETS_MAX);
        assert_eq!(cut(&"é".repeat(400)).len(), storage::limits::TEXT_OCTETS_MAX);
    }

    /// proves: POL-13
    #[test]
    fn a_flood_takes_a_bounded_place() {
        let mut table = Table::default();
        // The same again is one.
        table.add(refusal(1, "north.test", 1));
        table.add(refusal(1, "north.test", 2));
        assert_eq!(table.waiting.values().map(|one| one.at_ms).collect::<Vec<_>>(), [2]);
        // One party adds only so many within an hour, and others still can.
        for number in 0..10_000 {
            table.add(refusal(number, "flood.test", 3));
        }
        assert_eq!(table.waiting.len() as u32, 1 + REFUSALS_PER_HOUR_MAX);
        table.add(refusal(2, "north.test", 3));
        assert_eq!(table.waiting.len() as u32, 2 + REFUSALS_PER_HOUR_MAX);
        table.add(refusal(20_000, "flood.test", 3 + HOUR_MS));
        assert_eq!(table.waiting.len() as u32, 3 + REFUSALS_PER_HOUR_MAX);
        // Whatever many of them do, memory is bounded.
        for number in 0..2 * REFUSING_PARTIES_MAX as u64 {
            table.add(refusal(number, &format!("{number}.test"), 3));
        }
        assert!(table.waiting.len() <= REFUSALS_WAITING_MAX && table.parties.len() <= REFUSING_PARTIES_MAX);
    }

    /// What is refused again while it is written is written the next time, and not at once and again.
    ///
    /// proves: POL-13
    #[test]
    fn each_is_gone_past_once() {
        let mut table = Table::default();
        let again = |table: &mut Table, at_ms| {
            (0..2 * REFUSALS_WRITTEN_MAX as u64)
                .for_each(|number| table.add(refusal(number, "north.test", at_ms)));
        };
        again(&mut table, 1);
        let (mut from, mut pages) = (Bound::Unbounded, 0);
        loop {
            let some = table.page(from);
            let Some((last, _)) = some.last() else { break };
            from = Bound::Excluded(last.clone());
            pages += 1;
            again(&mut table, 1 + pages);
            table.written(&some);
        }
        assert_eq!((pages, table.waiting.len()), (2, 2 * REFUSALS_WRITTEN_MAX));
    }

    /// proves: POL-13
    #[test]
    fn the_oldest_goes_where_there_is_no_room() {
        let mut table = Table::default();
        let mut stored: BTreeSet<Vec<u8>> = BTreeSet::new();
        let mut add = |numbers: std::ops::Range<u64>| {
            let some: Vec<_> = numbers.map(|number| refusal(number, "north.test", number + 1)).collect();
            for some in some.chunks(REFUSALS_WRITTEN_MAX) {
                let some: Vec<_> = some.iter().map(|one| (one.key(), one.clone())).collect();
                for change in table.changes(&some, 1) {
                    match change {
                        LegacyChange::Put(record) => drop(stored.insert(record.key)),
                        LegacyChange::Remove { key, .. } => assert!(stored.remove(&key)),
                    }
                }
            }
            stored.clone()
        };
        let most = REFUSALS_MAX as u64;
        assert_eq!(add(0..most).len(), REFUSALS_MAX);
        let stored = add(most..most + 100);
        assert_eq!(stored.len(), REFUSALS_MAX);
        assert!(!stored.contains(&refusal(99, "north.test", 0).key()));
        assert!(stored.contains(&refusal(100, "north.test", 0).key()));
        // What is too old goes in any case.
        let late = 1 + most + 100 + storage::limits::RETENTION_MS_DEFAULT;
        assert_eq!(table.changes(&[], late).len(), 2 * REFUSALS_WRITTEN_MAX);
    }
}
