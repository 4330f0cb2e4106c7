//! What this node remembers of each peer: how often its mail was taken, refused, held, refused by users and complained
//! about. The counts fade, so that a name is judged by what it does lately.
//!
//! They are kept in memory and written together, so that they cost the way of the data nothing. A crash loses what was
//! counted since the last writing.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use message::address::Domain;
use storage::{Origin, PeerRecord};

use crate::Node;
use crate::accept::{Failure, trouble};
use crate::limits::{PEERS_FADED_AFTER_MS, PEERS_IN_MEMORY_MAX, PEERS_KEPT_MAX, PEERS_SWEEP_MS};

/// One event in the unit of the counts.
pub(crate) const ONE: u64 = 1000;
/// What is left of a count after a day, in millionths: 2^(-1/30), so that it halves in 30 days.
const LEFT_AFTER_A_DAY: u128 = 977_160;
/// Milliseconds of a day: counts fade by whole days, or rounding would eat what is counted rarely.
const DAY_MS: u64 = 24 * 3600 * 1000;
/// Days after which nothing of a count is left, whatever it was.
const DAYS_MAX: u64 = 30 * 40;

/// What happened with a peer's mail for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It was taken.
    Accepted,
    /// This node has refused it.
    Refused,
    /// It is held for the recipient's decision.
    Held,
    /// The recipient has refused it.
    Declined,
    /// The recipient has complained about it, or blocked its author.
    Complaint,
}

/// The peers in memory.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// In the order of the names, so that the same is written in the same order each time.
    peers: BTreeMap<Domain, Remembered>,
    /// How many the store has, where they were counted.
    kept: Option<usize>,
    swept_at_ms: u64,
    /// Whether nobody can go before something is written: then it is not looked for each time.
    packed: bool,
}

#[derive(Debug, Clone)]
struct Remembered {
    record: PeerRecord,
    /// Whether the store has it so.
    written: bool,
    /// Whether the store has it at all.
    stored: bool,
}

impl Node {
    /// Counts what happened with mail of a peer. A peer that there is no room for is not counted: what is remembered of
    /// others stays. keeps: REP-8, REP-9
    pub fn remember(&self, peer: &Domain, deed: Deed) {
        let now_ms = self.now_ms();
        let mut table = self.inner.memory.lock();
        if !table.peers.contains_key(peer) {
            // Whoever is not in memory is looked up once; where the store fails, nothing is counted.
            let Ok(stored) = self.store().peer(peer) else { return };
            if !table.make_room(stored.is_some()) {
                return;
            }
            let remembered = match stored {
                Some(record) => Remembered { record, written: true, stored: true },
                None => Remembered { record: unknown(peer, now_ms), written: false, stored: false },
            };
            table.peers.insert(peer.clone(), remembered);
        }
        if let Some(remembered) = table.peers.get_mut(peer) {
            remembered.written = false;
            count(&mut remembered.record, deed, now_ms);
        }
    }

    /// Counts what happened with mail of this origin, where it is a peer; of a legacy message for the domain of its author,
    /// where that is proved. keeps: REP-19
    pub(crate) fn note_deed(&self, origin: &Origin, deed: Deed) {
        if let Some(domain) = answers_for(origin) {
            self.remember(domain, deed);
        }
    }

    /// What is remembered of a peer, faded to now; `None` where it was never met or is forgotten.
    ///
    /// # Errors
    /// A code and a text where the store cannot be read.
    pub fn remembered(&self, peer: &Domain) -> Result<Option<PeerRecord>, Failure> {
        let here = self.inner.memory.lock().peers.get(peer).map(|remembered| remembered.record.clone());
        let record = match here {
            Some(record) => Some(record),
            None => self.store().peer(peer).map_err(trouble)?,
        };
        Ok(record.map(|record| faded(record, self.now_ms())))
    }

    /// The peers after the given one that are remembered, in the order of their names, faded to now. Those first met
    /// since the last writing are written first.
    ///
    /// # Errors
    /// A code and a text where the store cannot be read or written.
    pub async fn all_remembered(
        &self,
        after: Option<&Domain>,
        limit: usize,
    ) -> Result<Vec<PeerRecord>, Failure> {
        self.write_memory().await.map_err(trouble)?;
        let peers = self.store().peers(after, limit).map_err(trouble)?;
        Ok(peers.into_iter().map(|record| faded(record, self.now_ms())).collect())
    }

    /// Forgets a peer, in memory and in the store; whether there was anything to forget.
    ///
    /// # Errors
    /// A code and a text where the store cannot be written.
    pub async fn forget_peer(&self, peer: &Domain) -> Result<bool, Failure> {
        let known = self.remembered(peer)?.is_some();
        self.inner.memory.lock().peers.remove(peer);
        self.inner.standings.forget(peer);
        self.store().remove_peers(vec![peer.clone()]).await.map_err(trouble)?;
        Ok(known)
    }

    /// Writes what has changed since the last time, of peers and of refusals. The daemon calls it when it ends; [`Node::upkeep`] once a minute.
    /// keeps: REP-9
    ///
    /// # Errors
    /// Those of [`storage::Store::put_peers`]; then it is tried again the next time.
    pub async fn write_memory(&self) -> Result<(), storage::Error> {
        self.write_refusals().await?;
        loop {
            let (some, more) = self.inner.memory.lock().to_write();
            if some.is_empty() {
                return Ok(());
            }
            self.store().put_peers(some.clone()).await?;
            self.inner.memory.lock().was_written(&some);
            if !more {
                return Ok(());
            }
        }
    }

    /// Once a day, and after the start: removes peers of which nothing is left, and counts the others. keeps: REP-10
    pub(crate) async fn sweep_memory(&self) -> Result<(), storage::Error> {
        let now_ms = self.now_ms();
        {
            let mut table = self.inner.memory.lock();
            let due = now_ms.abs_diff(table.swept_at_ms) >= PEERS_SWEEP_MS;
            if table.kept.is_some() && !due {
                return Ok(());
            }
            table.swept_at_ms = now_ms;
        }
        let (mut after, mut kept): (Option<Domain>, usize) = (None, 0);
        loop {
            let (store, from) = (self.store().clone(), after.clone());
            let page = self.blocking(move || store.peers(from.as_ref(), storage::limits::LIST_MAX)).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.domain.clone());
            let gone: Vec<Domain> =
                page.iter().filter(|peer| is_faded(peer, now_ms)).map(|peer| peer.domain.clone()).collect();
            kept += page.len() - gone.len();
            if !gone.is_empty() {
                self.inner.memory.lock().peers.retain(|domain, _| gone.binary_search(domain).is_err());
                self.store().remove_peers(gone).await?;
            }
        }
        self.inner.memory.lock().kept = Some(kept);
        Ok(())
    }
}

impl Memory {
    /// A panic elsewhere while the lock was held leaves nothing half done that matters here.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Makes room for one more, which the store has or not: those that the store has just so can go, and for one that it has those
    /// that it has no room for. Whether there is room. keeps: REP-10
    fn make_room(&mut self, stored: bool) -> bool {
        if self.is_full() && !self.packed {
            self.peers.retain(|_, remembered| !remembered.written);
            self.packed = self.is_full();
        }
        if self.is_full() && stored && self.kept.is_some_and(|kept| kept >= PEERS_KEPT_MAX) {
            self.peers.retain(|_, remembered| remembered.stored);
        }
        !self.is_full()
    }

    fn is_full(&self) -> bool {
        self.peers.len() >= PEERS_IN_MEMORY_MAX
    }

    /// The records that have changed, no more than are written at once, and whether there are others. New ones are left
    /// out where the store has as many as it may.
    fn to_write(&self) -> (Vec<PeerRecord>, bool) {
        // Until the store was counted nobody knows whether there is room.
        let mut room = self.kept.map_or(0, |kept| PEERS_KEPT_MAX.saturating_sub(kept));
        let mut some = Vec::new();
        for remembered in self.peers.values().filter(|remembered| !remembered.written) {
            if some.len() == storage::limits::PEERS_PUT_MAX {
                return (some, true);
            }
            if !remembered.stored {
                if room == 0 {
                    continue;
                }
                room -= 1;
            }
            some.push(remembered.record.clone());
        }
        (some, false)
    }

    fn was_written(&mut self, records: &[PeerRecord]) {
        self.packed = false;
        for record in records {
            let Some(remembered) = self.peers.get_mut(&record.domain) else { continue };
            if !remembered.stored {
                remembered.stored = true;
                self.kept = self.kept.map(|kept| kept + 1);
            }
            // What was counted meanwhile is written the next time.
            remembered.written = remembered.record == *record;
        }
    }
}

/// The domain whose name stands for what this origin brings.
pub(crate) fn answers_for(origin: &Origin) -> Option<&Domain> {
    match origin {
        Origin::Peer { domain } => Some(domain),
        Origin::Legacy(legacy) => legacy.author.as_ref(),
        Origin::Submission { .. } => None,
    }
}

fn unknown(peer: &Domain, now_ms: u64) -> PeerRecord {
    PeerRecord {
        domain: peer.clone(),
        first_seen_ms: now_ms,
        last_seen_ms: now_ms,
        counted_at_ms: now_ms,
        accepted: 0,
        refused: 0,
        held: 0,
        declined: 0,
        complaints: 0,
    }
}

fn count(record: &mut PeerRecord, deed: Deed, now_ms: u64) {
    *record = faded(record.clone(), now_ms);
    record.last_seen_ms = now_ms;
    let counted = match deed {
        Deed::Accepted => &mut record.accepted,
        Deed::Refused => &mut record.refused,
        Deed::Held => &mut record.held,
        Deed::Declined => &mut record.declined,
        Deed::Complaint => &mut record.complaints,
    };
    *counted = counted.saturating_add(ONE);
}

/// The record with its counts as they are now. A clock that was set back fades nothing, and one that had run ahead by
/// more than a day is put right: counts that belong to the future would never fade. keeps: REP-8
fn faded(mut record: PeerRecord, now_ms: u64) -> PeerRecord {
    if record.counted_at_ms > now_ms.saturating_add(DAY_MS) {
        record.counted_at_ms = now_ms;
        record.last_seen_ms = record.last_seen_ms.min(now_ms);
        record.first_seen_ms = record.first_seen_ms.min(now_ms);
    }
    let days = now_ms.saturating_sub(record.counted_at_ms) / DAY_MS;
    record.counted_at_ms = record.counted_at_ms.saturating_add(days.saturating_mul(DAY_MS));
    for count in [
        &mut record.accepted,
        &mut record.refused,
        &mut record.held,
        &mut record.declined,
        &mut record.complaints,
    ] {
        *count = left(*count, days);
    }
    record
}

/// What is left of a count after so many days.
fn left(count: u64, days: u64) -> u64 {
    if days > DAYS_MAX {
        return 0;
    }
    let mut left = u128::from(count);
    for _ in 0..days {
        // Rounded to the nearest thousandth.
        left = (left * LEFT_AFTER_A_DAY + 500_000) / 1_000_000;
    }
    u64::try_from(left).unwrap_or(u64::MAX)
}

/// Whether nothing is left worth keeping: it was not met for long, and less than one event of any kind remains.
fn is_faded(record: &PeerRecord, now_ms: u64) -> bool {
    let now = faded(record.clone(), now_ms);
    let most = [now.accepted, now.refused, now.held, now.declined, now.complaints].into_iter().max();
    now_ms.saturating_sub(now.last_seen_ms) >= PEERS_FADED_AFTER_MS && most.unwrap_or(0) < ONE
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn peer(name: &str) -> Domain {
        Domain::from_wire(name).unwrap()
    }

    fn with(accepted: u64, counted_at_ms: u64) -> PeerRecord {
        PeerRecord { accepted, counted_at_ms, ..unknown(&peer("a.test"), counted_at_ms) }
    }

    /// proves: REP-8
    #[test]
    fn counts_halve_in_thirty_days() {
        let check = |days: u64, expected: std::ops::RangeInclusive<u64>| {
            let left = faded(with(1_000_000, NOW), NOW + days * DAY_MS).accepted;
            assert!(expected.contains(&left), "{days} days: {left}");
        };
        check(0, 1_000_000..=1_000_000);
        check(30, 499_900..=500_100);
        check(60, 249_900..=250_100);
        check(300, 950..=1_000);
        check(10_000, 0..=0);
        check(u64::MAX / DAY_MS - NOW / DAY_MS - 1, 0..=0);
    }

    /// proves: REP-8
    #[test]
    fn rare_events_outlast_frequent_ones() {
        let mut record = with(0, NOW);
        record.declined = 5 * ONE;
        // One message a minute for a day takes nothing away from what users have refused.
        for minute in 0..1440 {
            count(&mut record, Deed::Accepted, NOW + minute * 60_000);
        }
        assert_eq!((record.accepted, record.declined), (1440 * ONE, 5 * ONE));
        count(&mut record, Deed::Accepted, NOW + DAY_MS);
        assert!(record.declined < 5 * ONE && record.declined > 4 * ONE, "{}", record.declined);
    }

    /// proves: REP-8
    #[test]
    fn clocks_that_jump_neither_fade_nor_freeze_counts() {
        let check = |now_ms: u64, accepted: u64, counted_at_ms: u64| {
            let record = faded(with(ONE, NOW), now_ms);
            assert_eq!((record.accepted, record.counted_at_ms), (accepted, counted_at_ms), "{now_ms}");
        };
        // Set back by an hour, and by a year: nothing fades, and it fades from the right time on.
        check(NOW - 3_600_000, ONE, NOW);
        check(NOW - 365 * DAY_MS, ONE, NOW - 365 * DAY_MS);
        check(0, ONE, 0);
        check(u64::MAX, 0, NOW + (u64::MAX - NOW) / DAY_MS * DAY_MS);
        let record = PeerRecord { accepted: u64::MAX, ..with(0, NOW) };
        assert!(faded(record, NOW + DAY_MS).accepted < u64::MAX);
    }

    /// proves: REP-10
    #[test]
    fn the_table_is_bounded_and_what_is_unwritten_stays() {
        let mut table = Table { kept: Some(PEERS_KEPT_MAX - 1), ..Table::default() };
        for number in 0..PEERS_IN_MEMORY_MAX {
            assert!(table.make_room(false));
            let domain = peer(&format!("p{number}.test"));
            let record = unknown(&domain, NOW);
            let written = number % 2 == 0;
            table.peers.insert(domain, Remembered { record, written, stored: written });
        }
        assert!(table.make_room(false));
        assert_eq!(table.peers.len(), PEERS_IN_MEMORY_MAX / 2);
        // There is room in the store for one more.
        let (some, more) = table.to_write();
        assert_eq!((some.len(), more), (1, false));
        table.was_written(&some);
        assert_eq!(table.kept, Some(PEERS_KEPT_MAX));
        assert_eq!(table.to_write().0, Vec::new());
        for remembered in table.peers.values_mut() {
            remembered.written = false;
        }
        assert_eq!(table.to_write().0.len(), 1, "what the store has may still change");
    }

    /// Names that nobody can keep do not keep out those that are known.
    ///
    /// proves: REP-10
    #[test]
    fn whom_the_store_has_is_counted_however_many_others_come() {
        let mut table = Table { kept: Some(PEERS_KEPT_MAX), ..Table::default() };
        let insert = |table: &mut Table, name: &str, stored: bool| {
            let there = table.make_room(stored);
            if there {
                let record = unknown(&peer(name), NOW);
                table.peers.insert(peer(name), Remembered { record, written: false, stored });
            }
            there
        };
        assert!((0..PEERS_IN_MEMORY_MAX).all(|number| insert(&mut table, &format!("p{number}.test"), false)));
        assert!(!insert(&mut table, "new.test", false) && table.packed);
        assert!(insert(&mut table, "known.test", true));
        assert_eq!(table.to_write().0.len(), 1);
    }

    /// proves: REP-10
    #[test]
    fn what_has_faded_goes() {
        let check = |accepted: u64, days: u64, gone: bool| {
            assert_eq!(is_faded(&with(accepted, NOW), NOW + days * DAY_MS), gone, "{accepted}, {days} days");
        };
        check(0, 1, false);
        check(0, 90, true);
        check(4 * ONE, 59, false);
        check(4 * ONE, 90, true);
        check(100 * ONE, 90, false);
        check(100 * ONE, 300, true);
    }
}
