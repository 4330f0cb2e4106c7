//! Users' keys: statements, the log of each domain, what is pinned, and heads of other logs.

use message::address::{Address, Domain};
use message::keys::tree::{self, Hash, Nodes};
use message::keys::{KeyRecord, SeenHead, TreeHead};
use message::limits::KEY_CHAIN_MAX;

use super::check::{Inspection, each};
use super::correspondent::check_counts;
use super::{check_name, correspondent, count, list, load, put_count};
use crate::engine::{Engine, Pair, View};
use crate::key::{Key, table};
use crate::limits::{ACCOUNT_NAME_OCTETS_MAX, HEADS_CONTRADICTED_MAX, HEADS_MAX, PINS_MAX};
use crate::record::Record;
use crate::transaction::{Transaction, read_number};
use crate::{
    Error, Exported, FindingKind, HeadRecord, Keeper, KeyStore, PinRecord, Regard, StatementRecord, Wait, key,
};

impl<E: Engine> KeyStore for Keeper<E> {
    fn publish_key(&self, record: KeyRecord, folded: Address, stated: usize, now_ms: u64) -> Wait<'_, u64> {
        self.submit_growing(move |tx| publish(tx, record, &folded, stated, now_ms))
    }

    fn stated(&self, folded: &Address) -> Result<Vec<u64>, Error> {
        stated(&self.shared.engine, folded)
    }

    fn key_statements(&self, address: &Address) -> Result<Vec<StatementRecord>, Error> {
        statements(&self.shared.engine, address)
    }

    fn key_log_size(&self, domain: &Domain) -> Result<u64, Error> {
        size(&self.shared.engine, domain)
    }

    fn key_log_node(&self, domain: &Domain, level: u32, place: u64) -> Result<Hash, Error> {
        Log { view: &self.shared.engine, domain }.node(level, place)
    }

    fn put_pins(&self, records: Vec<PinRecord>) -> Wait<'_, ()> {
        self.submit_growing(move |tx| records.iter().try_for_each(|record| put_pin(tx, record)))
    }

    fn pin(&self, account: &str, address: &Address) -> Result<Option<PinRecord>, Error> {
        load(&self.shared.engine, &pin_key(account, address))
    }

    fn pins(&self, account: &str, after: Option<&Address>, limit: usize) -> Result<Vec<PinRecord>, Error> {
        let after = after.map(|address| pin_key(account, address));
        let pairs = list(&self.shared.engine, &pins_key(account), after, limit)?;
        // What cannot be read is left out: the check reports it.
        Ok(pairs.iter().filter_map(|(key, value)| PinRecord::decode(value, key).ok()).collect())
    }

    fn remove_pin(&self, account: &str, address: &Address) -> Wait<'_, ()> {
        let (account, place) = (account.to_owned(), pin_key(account, address));
        self.submit(move |tx| {
            load::<PinRecord>(tx, &place)?.ok_or(Error::NotFound("pin"))?;
            remove_pin(tx, &account, place)
        })
    }

    fn put_head(&self, record: HeadRecord, seen: Option<SeenHead>) -> Wait<'_, bool> {
        self.submit_growing(move |tx| put_head(tx, record, seen, [HEADS_MAX, HEADS_CONTRADICTED_MAX]))
    }

    fn head(&self, domain: &Domain) -> Result<Option<HeadRecord>, Error> {
        load(&self.shared.engine, &head_key(domain))
    }
}

/// The log of a domain of ours: only nodes of full subtrees are kept, and those never change.
struct Log<'a> {
    view: &'a dyn View,
    domain: &'a Domain,
}

impl Nodes for Log<'_> {
    type Error = Error;

    fn node(&self, level: u32, place: u64) -> Result<Hash, Error> {
        let key = node_key(self.domain, level, place);
        let value = self.view.value(&key)?.ok_or(Error::NotFound("node of a log"))?;
        value.try_into().map_err(|_| Error::Damaged { key: key::readable(&key) })
    }
}

/// keeps: KEY-7, KEY-8
fn publish(
    tx: &mut Transaction,
    record: KeyRecord,
    folded: &Address,
    before: usize,
    now_ms: u64,
) -> Result<u64, Error> {
    let claims = record.statement().claims();
    let (address, domain) = (claims.address.clone(), claims.address.domain().clone());
    let place = list(tx, &statements_key(&address), None, KEY_CHAIN_MAX + 1)?.len();
    let mut stated = stated(tx, folded)?;
    if place.max(stated.len()) >= KEY_CHAIN_MAX {
        return Err(Error::Bound { what: "statements of an address", bound: KEY_CHAIN_MAX as u64 });
    }
    if stated.len() != before {
        return Err(Error::Taken("place among the statements"));
    }
    stated.push(now_ms);
    tx.put(stated_key(folded), stated.iter().flat_map(|at_ms| at_ms.to_be_bytes()).collect())?;
    let leaf = size(tx, &domain)?;
    let grown = tree::grow(leaf, record.leaf(), &Log { view: tx, domain: &domain })?;
    for (level, place, hash) in grown {
        tx.put(node_key(&domain, level, place), hash.to_vec())?;
    }
    tx.put(size_key(&domain), (leaf + 1).to_be_bytes().to_vec())?;
    let place = u32::try_from(place).map_err(|_| Error::Invalid("a place among the statements"))?;
    let record = StatementRecord { record, leaf, at_ms: now_ms };
    tx.put(statement_key(&address, place), record.encode())?;
    Ok(leaf)
}

fn statements(view: &dyn View, address: &Address) -> Result<Vec<StatementRecord>, Error> {
    let pairs = list(view, &statements_key(address), None, KEY_CHAIN_MAX)?;
    pairs.iter().map(|(key, value)| StatementRecord::decode(value, key)).collect()
}

/// When statements were taken of an address, however it is spelled. Where that is not noted, those of this spelling count.
fn stated(view: &dyn View, folded: &Address) -> Result<Vec<u64>, Error> {
    let key = stated_key(folded);
    match view.value(&key)? {
        None => Ok(statements(view, folded)?.iter().map(|one| one.at_ms).collect()),
        Some(value) => times(&value).ok_or_else(|| Error::Damaged { key: key::readable(&key) }),
    }
}

fn times(value: &[u8]) -> Option<Vec<u64>> {
    let (times, rest) = value.as_chunks::<8>();
    (rest.is_empty() && times.len() <= KEY_CHAIN_MAX)
        .then(|| times.iter().map(|time| u64::from_be_bytes(*time)).collect())
}

fn size(view: &dyn View, domain: &Domain) -> Result<u64, Error> {
    let key = size_key(domain);
    match view.value(&key)? {
        None => Ok(0),
        Some(value) => key::last_long(&value).ok_or_else(|| Error::Damaged { key: key::readable(&key) }),
    }
}

fn put_pin(tx: &mut Transaction, record: &PinRecord) -> Result<(), Error> {
    check_name(&record.account, ACCOUNT_NAME_OCTETS_MAX)?;
    let place = pin_key(&record.account, &record.address);
    if tx.value(&place)?.is_none() {
        if count_pins(tx, &record.account)? >= PINS_MAX as u64 {
            // Strangers can fill the list, and nobody is forgotten for a stranger. For a correspondent one of them is.
            if !is_correspondent(tx, &record.account, &record.address)? {
                return Ok(());
            }
            let pins = list(tx, &pins_key(&record.account), None, PINS_MAX)?;
            let Some(stranger) = first_stranger(tx, &record.account, &pins)? else { return Ok(()) };
            remove_pin(tx, &record.account, stranger)?;
        }
        let count = count_pins(tx, &record.account)?;
        put_count(tx, pins_count_key(&record.account), count + 1)?;
    }
    tx.put(place, record.encode())
}

fn remove_pin(tx: &mut Transaction, account: &str, place: Vec<u8>) -> Result<(), Error> {
    let count = count_pins(tx, account)?;
    tx.remove(place);
    put_count(tx, pins_count_key(account), count.saturating_sub(1))
}

fn count_pins(view: &dyn View, account: &str) -> Result<u64, Error> {
    count(view, &pins_count_key(account), &pins_key(account))
}

/// The first pin of somebody who is no correspondent.
fn first_stranger(tx: &Transaction, account: &str, pins: &[Pair]) -> Result<Option<Vec<u8>>, Error> {
    for (key, value) in pins {
        let Ok(pin) = PinRecord::decode(value, key) else { continue };
        if !is_correspondent(tx, account, &pin.address)? {
            return Ok(Some(key.clone()));
        }
    }
    Ok(None)
}

fn is_correspondent(tx: &Transaction, account: &str, address: &Address) -> Result<bool, Error> {
    let found = correspondent::find(tx, account, &address.to_string())?;
    Ok(found.is_some_and(|found| found.regard != Regard::Blocked))
}

/// Forgets all that is pinned for an account.
pub(crate) fn remove_pins(tx: &mut Transaction, account: &str) -> Result<(), Error> {
    tx.remove_all(&pins_key(account))?;
    put_count(tx, pins_count_key(account), 0)
}

/// `bounds` are how many there may be: without a contradiction, and with one.
///
/// keeps: KEY-14
fn put_head(
    tx: &mut Transaction,
    mut record: HeadRecord,
    seen: Option<SeenHead>,
    bounds: [u64; 2],
) -> Result<bool, Error> {
    let place = head_key(&record.head.domain);
    let before = load::<HeadRecord>(tx, &place)?;
    let there = before.as_ref().map(|before| SeenHead { size: before.head.size, root: before.head.root });
    let contradicted = before.as_ref().is_some_and(|before| before.contradicted_by.is_some());
    if there != seen || contradicted {
        return Ok(false);
    }
    count_heads_of_before(tx)?;
    if let Some(before) = before {
        tx.remove(head_seen_key(&before));
        let count = count_heads(tx, false)?;
        tx.put(heads_count_key(false), count.saturating_sub(1).to_be_bytes().to_vec())?;
        if record.contradicted_by.is_some() {
            record.head = before.head;
        }
    }
    let contradicted = record.contradicted_by.is_some();
    let count = make_room_for_head(tx, contradicted, bounds[usize::from(contradicted)])?;
    tx.put(heads_count_key(contradicted), (count + 1).to_be_bytes().to_vec())?;
    tx.mark(head_seen_key(&record));
    tx.put(place, record.encode())?;
    Ok(true)
}

/// Forgets the heads that were seen longest ago, until there are fewer than the bound; how many there are then.
fn make_room_for_head(tx: &mut Transaction, contradicted: bool, bound: u64) -> Result<u64, Error> {
    let mut count = count_heads(tx, contradicted)?;
    while count >= bound {
        // In pages: a store of before may have many too many.
        let too_many = usize::try_from(count - bound + 1).unwrap_or(usize::MAX);
        let page = list(tx, &heads_seen_key(contradicted), None, too_many)?;
        if page.is_empty() {
            break;
        }
        count = count.saturating_sub(page.len() as u64);
        for (oldest, _) in page {
            // Behind kind and time it ends as the key of the head does.
            let domain = oldest.get(HEAD_SEEN_BEFORE_DOMAIN..).unwrap_or_default();
            tx.remove([&[table::HEAD], domain].concat());
            tx.remove(oldest);
        }
    }
    Ok(count)
}

fn count_heads(view: &dyn View, contradicted: bool) -> Result<u64, Error> {
    Ok(read_number(view, &heads_count_key(contradicted))?.unwrap_or(0))
}

/// Notes when the heads were seen, where that is not noted or how many there are is not legible.
fn count_heads_of_before(tx: &mut Transaction) -> Result<(), Error> {
    if count_noted(tx, false)? && count_noted(tx, true)? {
        return Ok(());
    }
    let (mut counts, mut seen) = ([0_u64; 2], Vec::new());
    each(tx, table::HEAD, &mut |(key, value)| {
        // What cannot be read is left out: the check reports it.
        if let Ok(record) = HeadRecord::decode(value, key) {
            counts[usize::from(record.contradicted_by.is_some())] += 1;
            seen.push(head_seen_key(&record));
        }
        Ok(())
    })?;
    tx.remove_all(&[table::HEAD_SEEN])?;
    seen.into_iter().for_each(|key| tx.mark(key));
    for (contradicted, count) in [false, true].into_iter().zip(counts) {
        tx.put(heads_count_key(contradicted), count.to_be_bytes().to_vec())?;
    }
    Ok(())
}

fn count_noted(view: &dyn View, contradicted: bool) -> Result<bool, Error> {
    match read_number(view, &heads_count_key(contradicted)) {
        Ok(count) => Ok(count.is_some()),
        Err(Error::Damaged { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn statements_key(address: &Address) -> Vec<u8> {
    Key::of(table::STATEMENT).name(&address.to_string()).done()
}

fn statement_key(address: &Address, place: u32) -> Vec<u8> {
    Key::of(table::STATEMENT).name(&address.to_string()).short(place).done()
}

fn stated_key(folded: &Address) -> Vec<u8> {
    Key::of(table::STATED).name(&folded.to_string()).done()
}

fn size_key(domain: &Domain) -> Vec<u8> {
    Key::of(table::LOG_SIZE).name(domain.as_str()).done()
}

fn node_key(domain: &Domain, level: u32, place: u64) -> Vec<u8> {
    Key::of(table::LOG_NODE).name(domain.as_str()).short(level).long(place).done()
}

fn pins_key(account: &str) -> Vec<u8> {
    Key::of(table::PIN).name(account).done()
}

fn pin_key(account: &str, address: &Address) -> Vec<u8> {
    Key::of(table::PIN).name(account).name(&address.to_string()).done()
}

fn pins_count_key(account: &str) -> Vec<u8> {
    Key::of(table::PINS_COUNT).name(account).done()
}

fn head_key(domain: &Domain) -> Vec<u8> {
    Key::of(table::HEAD).name(domain.as_str()).done()
}

/// Octets of the table, the kind and the time.
const HEAD_SEEN_BEFORE_DOMAIN: usize = 10;

fn heads_seen_key(contradicted: bool) -> Vec<u8> {
    Key::of(table::HEAD_SEEN).octets(&[u8::from(contradicted)]).done()
}

fn head_seen_key(record: &HeadRecord) -> Vec<u8> {
    let kind = u8::from(record.contradicted_by.is_some());
    let key = Key::of(table::HEAD_SEEN).octets(&[kind]).long(record.seen_at_ms);
    key.name(record.head.domain.as_str()).done()
}

fn heads_count_key(contradicted: bool) -> Vec<u8> {
    key::meta(if contradicted { "contradicted" } else { "heads" })
}

/// Each record can be read; each statement is the leaf of its log that it says, and each node stands over the two below it.
pub(super) fn check_keys(inspection: &mut Inspection) -> Result<(), Error> {
    let view = inspection.view;
    each(view, table::STATEMENT, &mut |pair| {
        let Some(found) = inspection.decode::<StatementRecord>(pair) else { return Ok(()) };
        let domain = found.record.statement().claims().address.domain();
        let leaf = Log { view, domain }.node(0, found.leaf).ok();
        if leaf != Some(found.record.leaf()) || size(view, domain)? <= found.leaf {
            let detail = "a statement is not in the log of its domain";
            inspection.say(FindingKind::Dangling, key::readable(&pair.0), detail);
        }
        Ok(())
    })?;
    each(view, table::STATED, &mut |(key, value)| {
        if times(value).is_none() {
            inspection.say(FindingKind::Damaged, key::readable(key), "these are not the times of statements");
        }
        Ok(())
    })?;
    each(view, table::LOG_NODE, &mut |(place, hash)| {
        if !is_sound(view, place, hash) {
            let detail = "a node of a log does not stand over those below it";
            inspection.say(FindingKind::Dangling, key::readable(place), detail);
        }
        Ok(())
    })?;
    each(view, table::PIN, &mut |pair| {
        inspection.decode::<PinRecord>(pair);
        Ok(())
    })?;
    check_counts(inspection, table::PINS_COUNT, table::PIN)?;
    check_heads(inspection)
}

/// Where heads are counted, it is noted of each when it was seen, and there are as many as are counted.
fn check_heads(inspection: &mut Inspection) -> Result<(), Error> {
    let view = inspection.view;
    let mut there = [0_u64; 2];
    let noted = read_number(view, &heads_count_key(false)).is_ok_and(|count| count.is_some());
    each(view, table::HEAD, &mut |pair| {
        let Some(found) = inspection.decode::<HeadRecord>(pair) else { return Ok(()) };
        there[usize::from(found.contradicted_by.is_some())] += 1;
        if noted && view.value(&head_seen_key(&found))?.is_none() {
            let detail = "it is not noted when this head was seen";
            inspection.say(FindingKind::Dangling, key::readable(&pair.0), detail);
        }
        Ok(())
    })?;
    for (contradicted, there) in [false, true].into_iter().zip(there) {
        let key = heads_count_key(contradicted);
        if view.value(&key)?.is_some_and(|value| value != there.to_be_bytes()) {
            let detail = format!("it does not say that there are {there}");
            inspection.say(FindingKind::Damaged, key::readable(&key), &detail);
        }
    }
    Ok(())
}

fn is_sound(view: &dyn View, key: &[u8], hash: &[u8]) -> bool {
    let read = || {
        let place = key::last_long(key)?;
        let level = key::last_short(key.get(..key.len().checked_sub(8)?)?)?;
        let name = std::str::from_utf8(key.get(1..key.len().checked_sub(13)?)?).ok()?;
        Some((Domain::from_wire(name).ok()?, level, place))
    };
    let Some((domain, level, place)) = read() else { return false };
    let Some(below) = level.checked_sub(1) else { return hash.len() == 32 };
    let log = Log { view, domain: &domain };
    match (log.node(below, place * 2), log.node(below, place * 2 + 1)) {
        (Ok(left), Ok(right)) => tree::parent(&left, &right)[..] == *hash,
        _ => false,
    }
}

/// Hands out all statements, what is pinned, and heads that were seen.
pub(super) fn export_keys(view: &dyn View, take: &mut dyn FnMut(Exported)) -> Result<(), Error> {
    each(view, table::STATEMENT, &mut |(key, value)| {
        let record = StatementRecord::decode(value, key);
        let whole = |record| Exported::Statement(Box::new(record));
        take(record.map_or_else(|_| super::check::skipped(key), whole));
        Ok(())
    })?;
    each(view, table::PIN, &mut |(key, value)| {
        let record = PinRecord::decode(value, key);
        take(record.map_or_else(|_| super::check::skipped(key), |record| Exported::Pin(Box::new(record))));
        Ok(())
    })?;
    each(view, table::HEAD, &mut |(key, value)| {
        let record = HeadRecord::decode(value, key);
        let head = |record: HeadRecord| {
            let TreeHead { domain, size, root, .. } = record.head;
            Exported::Head { domain, size, root, contradicted: record.contradicted_by.is_some() }
        };
        take(record.map_or_else(|_| super::check::skipped(key), head));
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use message::keys::{Pin, PinnedKey};
    use message::{Digest, SecretKey};

    use super::*;
    use crate::Memory;
    use crate::engine::Batch;

    /// An engine that counts how many pairs are read of it.
    #[derive(Default)]
    struct Counting(Memory, Cell<usize>);

    impl View for Counting {
        fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
            self.1.set(self.1.get() + 1);
            self.0.value(key)
        }

        fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
            let found = self.0.range(from, to, limit)?;
            self.1.set(self.1.get() + found.len());
            Ok(found)
        }

        fn range_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
            self.0.range_back(from, to, limit)
        }
    }

    impl Counting {
        /// What the operation returns, and how many pairs it has read.
        fn run<T>(&self, operation: impl FnOnce(&mut Transaction) -> Result<T, Error>) -> (T, usize) {
            let group = Batch::default();
            let mut tx = Transaction::new(self, None, &group, 0);
            self.1.set(0);
            let found = operation(&mut tx).unwrap();
            self.0.apply(&tx.into_changes().0).unwrap();
            (found, self.1.get())
        }
    }

    fn head(domain: &str, size: u64) -> TreeHead {
        let domain = Domain::from_wire(domain).unwrap();
        TreeHead::sign(&domain, (size, &[7; 32]), size, "one", &SecretKey::from_seed(&[9; 32])).unwrap()
    }

    /// Names are free: what is remembered of them has an end, and a proof gives way to no name.
    ///
    /// proves: KEY-14
    #[test]
    fn the_heads_that_were_seen_longest_ago_make_room() {
        let store = Counting::default();
        let see = |number: u64, seen_at_ms: u64, seen: Option<u64>, contradicted: bool| {
            let head = head(&format!("n{number}.test"), seen.unwrap_or(0) + 1);
            let contradicted_by = contradicted.then(|| head.clone());
            let seen = seen.map(|size| SeenHead { size, root: [7; 32] });
            let record = HeadRecord { head, seen_at_ms, contradicted_by };
            assert!(store.run(|tx| put_head(tx, record, seen, [3, 2])).0);
        };
        let there = || -> Vec<u64> {
            let one = |number: &u64| {
                let domain = Domain::from_wire(&format!("n{number}.test")).unwrap();
                load::<HeadRecord>(&store.0, &head_key(&domain)).unwrap().is_some()
            };
            (0..200).filter(one).collect()
        };
        for number in 0..3 {
            see(number, 10 + number, None, false);
        }
        see(0, 20, Some(1), false);
        see(3, 21, None, false);
        assert_eq!(there(), [0, 2, 3]);
        see(2, 22, Some(1), true);
        for number in 10..20 {
            see(number, 20 + number, None, false);
        }
        assert_eq!(there(), [2, 17, 18, 19]);
        see(18, 50, Some(1), true);
        see(19, 51, Some(1), true);
        see(20, 52, None, false);
        assert_eq!(there(), [17, 18, 19, 20], "of the proofs, too, the oldest goes");
        // Those of a store that has not noted when they were seen are found once, and give way as others do.
        for key in [heads_count_key(false), heads_seen_key(false), heads_seen_key(true)] {
            store.run(|tx| tx.remove_all(&key));
        }
        for number in 21..23 {
            see(number, 40 + number, None, false);
        }
        assert_eq!(there(), [18, 19, 20, 21, 22]);
        let ((), read) = store.run(|tx| {
            put_head(
                tx,
                HeadRecord { head: head("x.test", 1), seen_at_ms: 99, contradicted_by: None },
                None,
                [3, 2],
            )
            .map(|_| ())
        });
        assert!(read < 10, "{read} were read for one");
    }

    /// proves: KEY-17
    #[test]
    fn who_comes_when_all_is_full_has_nobody_read_all_pins() {
        let store = Counting::default();
        let put = |number: usize| {
            let key = PinnedKey {
                key: SecretKey::from_seed(&[1; 32]).public(),
                statement: Digest::of(b"x"),
                not_before: 1,
                not_after: 9,
                revoked: false,
            };
            let address = Address::from_wire(&format!("s{number}@far.test")).unwrap();
            let pin = Pin { keys: vec![key], broken_by: None };
            let record = PinRecord { account: "ann".to_owned(), address, pin, since_ms: 1 };
            store.run(|tx| put_pin(tx, &record)).1
        };
        let reads: Vec<usize> = (0..PINS_MAX + 2).map(put).collect();
        assert!(reads.iter().all(|read| *read < 10), "{:?} were read for one", reads.iter().max());
        assert_eq!(list(&store.0, &pins_key("ann"), None, PINS_MAX).unwrap().len(), PINS_MAX);
        assert_eq!(count_pins(&store.0, "ann"), Ok(PINS_MAX as u64));
    }
}
