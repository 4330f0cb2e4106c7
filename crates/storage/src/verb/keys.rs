//! Users' keys: statements, the log of each domain, what is pinned, and heads of other logs.

use message::address::{Address, Domain};
use message::keys::tree::{self, Hash, Nodes};
use message::keys::{KeyRecord, SeenHead, TreeHead};
use message::limits::KEY_CHAIN_MAX;

use super::check::{Inspection, each};
use super::{check_name, correspondent, list, load};
use crate::engine::{Engine, Pair, View};
use crate::key::{Key, table};
use crate::limits::{ACCOUNT_NAME_OCTETS_MAX, PINS_MAX};
use crate::record::Record;
use crate::transaction::Transaction;
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
        let place = pin_key(account, address);
        self.submit(move |tx| {
            load::<PinRecord>(tx, &place)?.ok_or(Error::NotFound("pin"))?;
            tx.remove(place);
            Ok(())
        })
    }

    fn put_head(&self, record: HeadRecord, seen: Option<SeenHead>) -> Wait<'_, bool> {
        self.submit_growing(move |tx| put_head(tx, record, seen))
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
        let pins = list(tx, &pins_key(&record.account), None, PINS_MAX)?;
        if pins.len() >= PINS_MAX {
            // Strangers can fill the list, and nobody is forgotten for a stranger. For a correspondent one of them is.
            if !is_correspondent(tx, &record.account, &record.address)? {
                return Ok(());
            }
            let Some(stranger) = first_stranger(tx, &record.account, &pins)? else { return Ok(()) };
            tx.remove(stranger);
        }
    }
    tx.put(place, record.encode())
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
    tx.remove_all(&pins_key(account))
}

/// keeps: KEY-14
fn put_head(tx: &mut Transaction, mut record: HeadRecord, seen: Option<SeenHead>) -> Result<bool, Error> {
    let place = head_key(&record.head.domain);
    let before = load::<HeadRecord>(tx, &place)?;
    let there = before.as_ref().map(|before| SeenHead { size: before.head.size, root: before.head.root });
    let contradicted = before.as_ref().is_some_and(|before| before.contradicted_by.is_some());
    if there != seen || contradicted {
        return Ok(false);
    }
    if let (Some(before), true) = (before, record.contradicted_by.is_some()) {
        record.head = before.head;
    }
    tx.put(place, record.encode())?;
    Ok(true)
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

fn head_key(domain: &Domain) -> Vec<u8> {
    Key::of(table::HEAD).name(domain.as_str()).done()
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
    each(view, table::HEAD, &mut |pair| {
        inspection.decode::<HeadRecord>(pair);
        Ok(())
    })
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
