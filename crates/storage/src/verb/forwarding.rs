//! The records of a forwarder, and the grants of a target.

use message::Digest;
use message::address::{Address, Domain};

use super::check::{Inspection, each};
use super::{check_name, list, load};
use crate::engine::{Engine, Pair, View};
use crate::key::{Key, table};
use crate::limits::{
    ACCOUNT_NAME_OCTETS_MAX, FORWARDS_PER_ALIAS_MAX, GRANTS_PER_RECIPIENT_MAX, TEXT_OCTETS_MAX,
};
use crate::record::Record;
use crate::transaction::Transaction;
use crate::{
    Error, Exported, FindingKind, ForwardRecord, ForwardingStore, GrantRecord, GrantState, Keeper, Wait, key,
};

impl<E: Engine> ForwardingStore for Keeper<E> {
    fn put_forward(&self, record: ForwardRecord) -> Wait<'_, ()> {
        self.submit_growing(move |tx| put_forward(tx, &record))
    }

    fn forward(&self, alias: &Address, target: &Address) -> Result<Option<ForwardRecord>, Error> {
        load(&self.shared.engine, &forward_key(alias, target))
    }

    fn forwards_of(&self, alias: &Address) -> Result<Vec<ForwardRecord>, Error> {
        let pairs = list(&self.shared.engine, &forwards_key(alias), None, FORWARDS_PER_ALIAS_MAX)?;
        pairs.iter().map(|(key, value)| ForwardRecord::decode(value, key)).collect()
    }

    fn forward_by_secret(&self, secret: &[u8; 32]) -> Result<Option<ForwardRecord>, Error> {
        match self.shared.engine.value(&secret_key(secret))? {
            Some(place) => load(&self.shared.engine, &place),
            None => Ok(None),
        }
    }

    fn forwards(
        &self,
        after: Option<(&Address, &Address)>,
        limit: usize,
    ) -> Result<Vec<ForwardRecord>, Error> {
        let after = after.map(|(alias, target)| forward_key(alias, target));
        Ok(readable(&list(&self.shared.engine, &[table::FORWARD], after, limit)?))
    }

    fn remove_forward(&self, alias: &Address, target: &Address) -> Wait<'_, ()> {
        let place = forward_key(alias, target);
        self.submit(move |tx| {
            let record = load::<ForwardRecord>(tx, &place)?.ok_or(Error::NotFound("forwarding"))?;
            tx.remove(secret_key(&record.ask));
            tx.remove(secret_key(&record.credential));
            tx.remove(place);
            Ok(())
        })
    }

    fn put_grant(&self, record: GrantRecord) -> Wait<'_, u64> {
        self.submit_growing(move |tx| put_grant(tx, record))
    }

    fn grant(&self, recipient: &Address, forwarder: &Domain) -> Result<Option<GrantRecord>, Error> {
        load(&self.shared.engine, &grant_key(recipient, forwarder))
    }

    fn grants(
        &self,
        recipient: Option<&Address>,
        after: Option<(&Address, &Domain)>,
        limit: usize,
    ) -> Result<Vec<GrantRecord>, Error> {
        let prefix = recipient.map_or_else(|| vec![table::GRANT], grants_key);
        let after = after.map(|(recipient, forwarder)| grant_key(recipient, forwarder));
        Ok(readable(&list(&self.shared.engine, &prefix, after, limit)?))
    }

    fn remove_grant(&self, recipient: &Address, forwarder: &Domain) -> Wait<'_, ()> {
        let place = grant_key(recipient, forwarder);
        self.submit(move |tx| {
            load::<GrantRecord>(tx, &place)?.ok_or(Error::NotFound("grant"))?;
            tx.remove(place);
            Ok(())
        })
    }
}

/// What cannot be read is left out: the check reports it.
fn readable<R: Record>(pairs: &[Pair]) -> Vec<R> {
    pairs.iter().filter_map(|(key, value)| R::decode(value, key).ok()).collect()
}

fn forwards_key(alias: &Address) -> Vec<u8> {
    Key::of(table::FORWARD).name(&alias.to_string()).done()
}

fn forward_key(alias: &Address, target: &Address) -> Vec<u8> {
    Key::of(table::FORWARD).name(&alias.to_string()).name(&target.to_string()).done()
}

/// Secrets are found by their digest, so that the search itself tells nothing about one.
fn secret_key(secret: &[u8; 32]) -> Vec<u8> {
    Key::of(table::FORWARD_SECRET).octets(Digest::of(secret).as_bytes()).done()
}

fn grants_key(recipient: &Address) -> Vec<u8> {
    Key::of(table::GRANT).name(&recipient.to_string()).done()
}

fn grant_key(recipient: &Address, forwarder: &Domain) -> Vec<u8> {
    Key::of(table::GRANT).name(&recipient.to_string()).name(forwarder.as_str()).done()
}

fn check_text(text: &str) -> Result<(), Error> {
    match text.len() > TEXT_OCTETS_MAX {
        true => Err(Error::Bound { what: "octets of a text", bound: TEXT_OCTETS_MAX as u64 }),
        false => Ok(()),
    }
}

/// An address that an account has is no alias: its mail must not go elsewhere unseen.
fn put_forward(tx: &mut Transaction, record: &ForwardRecord) -> Result<(), Error> {
    check_text(&record.note)?;
    check_text(record.authorization.as_deref().unwrap_or(""))?;
    if tx.value(&key::address(&record.alias.to_string()))?.is_some() {
        return Err(Error::Taken("address"));
    }
    let place = forward_key(&record.alias, &record.target);
    let before = load::<ForwardRecord>(tx, &place)?;
    if before.is_none() {
        let targets = list(tx, &forwards_key(&record.alias), None, FORWARDS_PER_ALIAS_MAX)?;
        if targets.len() >= FORWARDS_PER_ALIAS_MAX {
            return Err(Error::Bound { what: "targets of an alias", bound: FORWARDS_PER_ALIAS_MAX as u64 });
        }
    }
    if record.ask == record.credential {
        return Err(Error::Invalid("a question and a credential are two secrets"));
    }
    for secret in before.iter().flat_map(|before| [before.ask, before.credential]) {
        tx.remove(secret_key(&secret));
    }
    for secret in [&record.ask, &record.credential] {
        let known = tx.value(&secret_key(secret))?;
        if known.is_some_and(|known| known != place) {
            return Err(Error::Taken("secret"));
        }
        tx.put(secret_key(secret), place.clone())?;
    }
    tx.put(place, record.encode())
}

fn put_grant(tx: &mut Transaction, mut record: GrantRecord) -> Result<u64, Error> {
    check_name(&record.by, ACCOUNT_NAME_OCTETS_MAX)?;
    for text in [&record.alias, &record.page, &record.complaints_to].into_iter().flatten() {
        check_text(text)?;
    }
    let place = grant_key(&record.recipient, &record.forwarder);
    if load::<GrantRecord>(tx, &place)?.is_none() {
        make_room(tx, &record.recipient)?;
    }
    if record.number == 0 {
        record.number = tx.allocate()?;
    }
    tx.put(place, record.encode())?;
    Ok(record.number)
}

/// Anybody can ask: the oldest of those that were only asked for makes room. What somebody has decided stays.
///
/// keeps: FWD-14
fn make_room(tx: &mut Transaction, recipient: &Address) -> Result<(), Error> {
    let pairs = list(tx, &grants_key(recipient), None, GRANTS_PER_RECIPIENT_MAX)?;
    if pairs.len() < GRANTS_PER_RECIPIENT_MAX {
        return Ok(());
    }
    let asked = pairs.iter().filter_map(|(key, value)| {
        let record = GrantRecord::decode(value, key).ok()?;
        (record.state == GrantState::Asked).then_some((record.since_ms, key))
    });
    match asked.min() {
        Some((_, oldest)) => {
            tx.remove(oldest.clone());
            Ok(())
        }
        None => Err(Error::Bound { what: "grants", bound: GRANTS_PER_RECIPIENT_MAX as u64 }),
    }
}

/// Each record can be read, and each secret leads to the record that has it.
pub(super) fn check_forwarding(inspection: &mut Inspection) -> Result<(), Error> {
    let view = inspection.view;
    each(view, table::FORWARD, &mut |pair| {
        inspection.decode::<ForwardRecord>(pair);
        Ok(())
    })?;
    each(view, table::GRANT, &mut |pair| {
        inspection.decode::<GrantRecord>(pair);
        Ok(())
    })?;
    each(view, table::FORWARD_SECRET, &mut |(key, place)| {
        let whose = load::<ForwardRecord>(view, place).ok().flatten();
        let leads = |record: &ForwardRecord| {
            [&record.ask, &record.credential].into_iter().any(|secret| secret_key(secret) == *key)
        };
        if !whose.as_ref().is_some_and(leads) {
            let detail = "a secret of a forwarding leads to no record that has it";
            inspection.say(FindingKind::Dangling, key::readable(key), detail);
        }
        Ok(())
    })
}

/// Hands out all records of forwarding.
pub(super) fn export_forwarding(view: &dyn View, take: &mut dyn FnMut(Exported)) -> Result<(), Error> {
    each(view, table::FORWARD, &mut |(key, value)| {
        let record = ForwardRecord::decode(value, key);
        take(
            record.map_or_else(|_| super::check::skipped(key), |record| Exported::Forward(Box::new(record))),
        );
        Ok(())
    })?;
    each(view, table::GRANT, &mut |(key, value)| {
        let record = GrantRecord::decode(value, key);
        take(record.map_or_else(|_| super::check::skipped(key), |record| Exported::Grant(Box::new(record))));
        Ok(())
    })
}
