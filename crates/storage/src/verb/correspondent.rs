//! Whom an account knows, trusts and has blocked.

use message::address::{Address, Domain};

use super::check::{Inspection, each};
use super::{check_name, list, load};
use crate::engine::View;
use crate::key::table;
use crate::limits::{
    ACCOUNT_NAME_OCTETS_MAX, CORRESPONDENTS_FORGOTTEN, CORRESPONDENTS_MAX, CORRESPONDENTS_SPOKEN_MAX,
    LIST_MAX, TEXT_OCTETS_MAX,
};
use crate::record::Record;
use crate::transaction::Transaction;
use crate::{AccountRecord, CorrespondentRecord, Error, FindingKind, Regard, key};

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
    let before = find(tx, &record.account, &record.who)?;
    let spoken = |one: &CorrespondentRecord| one.regard != Regard::Known;
    if spoken(&record) && !before.as_ref().is_some_and(spoken) {
        let all = all(tx, &record.account)?;
        if all.iter().filter(|one| spoken(one)).count() >= CORRESPONDENTS_SPOKEN_MAX {
            return Err(Error::Bound {
                what: "correspondents who are trusted or blocked",
                bound: CORRESPONDENTS_SPOKEN_MAX as u64,
            });
        }
    }
    if before.is_none() && !count_one_more(tx, &record.account)? {
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
    if find(tx, account, &who)?.is_some() {
        return Ok(());
    }
    if !count_one_more(tx, account)? {
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
    let count = count(tx, account)?;
    tx.remove(key::correspondent(account, who));
    put_count(tx, account, count.saturating_sub(1))
}

/// Forgets all of an account.
pub(crate) fn remove_all(tx: &mut Transaction, account: &str) -> Result<(), Error> {
    tx.remove_all(&key::correspondents(account))?;
    put_count(tx, account, 0)
}

/// Counts somebody new. Where there are as many as there may be, the oldest of those who are only known are forgotten: so
/// many at once that all are read for few of those who come. What the user has said is never forgotten: where there is
/// nothing else, as in stores of before, nobody new finds a place, and this is false.
///
/// keeps: POL-11
fn count_one_more(tx: &mut Transaction, account: &str) -> Result<bool, Error> {
    let mut count = count(tx, account)?;
    if count >= CORRESPONDENTS_MAX as u64 {
        let mut known = all(tx, account)?;
        known.retain(|one| one.regard == Regard::Known);
        if known.is_empty() {
            return Ok(false);
        }
        known.sort_unstable_by(|a, b| (a.since_ms, &a.who).cmp(&(b.since_ms, &b.who)));
        for oldest in known.iter().take(CORRESPONDENTS_FORGOTTEN) {
            tx.remove(key::correspondent(account, &oldest.who));
            count -= 1;
        }
    }
    put_count(tx, account, count + 1)?;
    Ok(true)
}

/// How many correspondents an account has.
fn count(view: &dyn View, account: &str) -> Result<u64, Error> {
    super::count(view, &key::correspondents_count(account), &key::correspondents(account))
}

fn put_count(tx: &mut Transaction, account: &str, count: u64) -> Result<(), Error> {
    super::put_count(tx, key::correspondents_count(account), count)
}

fn all(view: &dyn View, account: &str) -> Result<Vec<CorrespondentRecord>, Error> {
    correspondents(view, account, None, CORRESPONDENTS_MAX)
}

/// Each record can be read, and there are as many as are counted.
pub(super) fn check_correspondents(inspection: &mut Inspection) -> Result<(), Error> {
    each(inspection.view, table::CORRESPONDENT, &mut |pair| {
        inspection.decode::<CorrespondentRecord>(pair);
        Ok(())
    })?;
    check_counts(inspection, table::CORRESPONDENTS_COUNT, table::CORRESPONDENT)
}

/// There are as many keys in a table as is noted in the other one.
pub(super) fn check_counts(inspection: &mut Inspection, noted: u8, counted: u8) -> Result<(), Error> {
    each(inspection.view, noted, &mut |(key, value)| {
        let mut prefix = key.clone();
        prefix[0] = counted;
        let there = list(inspection.view, &prefix, None, LIST_MAX)?.len() as u64;
        if *value != there.to_be_bytes() {
            let detail = format!("it does not say that there are {there}");
            inspection.say(FindingKind::Damaged, key::readable(key), &detail);
        }
        Ok(())
    })
}
