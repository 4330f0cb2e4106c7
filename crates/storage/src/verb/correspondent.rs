//! Whom an account knows, trusts and has blocked.

use message::address::{Address, Domain};

use super::check::{Inspection, each};
use super::{check_name, list, load};
use crate::engine::View;
use crate::key::table;
use crate::limits::{ACCOUNT_NAME_OCTETS_MAX, CORRESPONDENTS_MAX, TEXT_OCTETS_MAX};
use crate::record::Record;
use crate::transaction::Transaction;
use crate::{AccountRecord, CorrespondentRecord, Error, Regard, key};

/// Writes what an account has to do with somebody, in place of what was.
pub(crate) fn put(tx: &mut Transaction, record: CorrespondentRecord) -> Result<(), Error> {
    check_name(&record.account, ACCOUNT_NAME_OCTETS_MAX)?;
    if record.note.len() > TEXT_OCTETS_MAX {
        return Err(Error::Bound { what: "octets of a note", bound: TEXT_OCTETS_MAX as u64 });
    }
    if Address::from_wire(&record.who).is_err() && Domain::from_wire(&record.who).is_err() {
        return Err(Error::Invalid("a correspondent is an address or a domain"));
    }
    if load::<AccountRecord>(tx, &key::account(&record.account))?.is_none() {
        return Err(Error::NotFound("account"));
    }
    if find(tx, &record.account, &record.who)?.is_none() && !make_room(tx, &record.account)? {
        return Err(Error::Bound { what: "correspondents", bound: CORRESPONDENTS_MAX as u64 });
    }
    tx.put(key::correspondent(&record.account, &record.who), record.encode())
}

/// The account writes to somebody, who is known from now on. Whom it has on its list stays as it stands there.
///
/// keeps: POL-11
pub(crate) fn note_written_to(
    tx: &mut Transaction,
    account: &str,
    address: &Address,
    now_ms: u64,
) -> Result<(), Error> {
    let who = address.to_string();
    if find(tx, account, &who)?.is_some() || !make_room(tx, account)? {
        return Ok(());
    }
    let record = CorrespondentRecord {
        account: account.to_owned(),
        who,
        regard: Regard::Known,
        since_ms: now_ms,
        note: String::new(),
    };
    tx.put(key::correspondent(account, &record.who), record.encode())
}

/// What the account has to do with this address or domain.
pub(crate) fn find(view: &dyn View, account: &str, who: &str) -> Result<Option<CorrespondentRecord>, Error> {
    load(view, &key::correspondent(account, who))
}

/// Correspondents after the given one. What cannot be read is left out: the check reports it.
pub(crate) fn correspondents(
    view: &dyn View,
    account: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<CorrespondentRecord>, Error> {
    let after = after.map(|who| key::correspondent(account, who));
    let pairs = list(view, &key::correspondents(account), after, limit)?;
    Ok(pairs.iter().filter_map(|(key, value)| CorrespondentRecord::decode(value, key).ok()).collect())
}

/// Forgets what the account has to do with somebody.
pub(crate) fn remove(tx: &mut Transaction, account: &str, who: &str) -> Result<(), Error> {
    find(tx, account, who)?.ok_or(Error::NotFound("correspondent"))?;
    tx.remove(key::correspondent(account, who));
    Ok(())
}

/// Forgets all of an account.
pub(crate) fn remove_all(tx: &mut Transaction, account: &str) -> Result<(), Error> {
    for (key, _) in list(tx, &key::correspondents(account), None, CORRESPONDENTS_MAX)? {
        tx.remove(key);
    }
    Ok(())
}

/// Whether there is room for one more: where there is none, the oldest of those who are only known is forgotten. What
/// the user has said is never forgotten.
///
/// keeps: POL-11
fn make_room(tx: &mut Transaction, account: &str) -> Result<bool, Error> {
    let pairs = list(tx, &key::correspondents(account), None, CORRESPONDENTS_MAX)?;
    if pairs.len() < CORRESPONDENTS_MAX {
        return Ok(true);
    }
    let known = pairs.iter().filter_map(|(key, value)| {
        let record = CorrespondentRecord::decode(value, key).ok()?;
        (record.regard == Regard::Known).then_some((record.since_ms, key))
    });
    match known.min() {
        Some((_, oldest)) => {
            tx.remove(oldest.clone());
            Ok(true)
        }
        None => Ok(false),
    }
}

/// Each record can be read.
pub(super) fn check_correspondents(inspection: &mut Inspection) -> Result<(), Error> {
    each(inspection.view, table::CORRESPONDENT, &mut |pair| {
        inspection.decode::<CorrespondentRecord>(pair);
        Ok(())
    })
}
