//! What is kept for the gateway: its small records, and the notices that are due.

use message::Disposition;
use message::address::Address;

use super::check::{Inspection, each};
use super::content::load_message;
use super::{list, load, load_legible};
use crate::engine::View;
use crate::key::table;
use crate::limits::{
    LEGACY_CHANGES_MAX, LEGACY_KEY_OCTETS_MAX, LEGACY_VALUE_OCTETS_MAX, LIST_MAX, NOTICE_HEADER_OCTETS_MAX,
};
use crate::record::{LegacyValue, Record};
use crate::transaction::Transaction;
use crate::{
    AccountRecord, EnvelopeRecord, Error, FindingKind, LegacyChange, LegacyRecord, NoticeDue, Origin, key,
};

/// Makes all of the changes, in their order.
///
/// keeps: STO-24
pub(crate) fn change(tx: &mut Transaction, changes: Vec<LegacyChange>) -> Result<(), Error> {
    if changes.len() > LEGACY_CHANGES_MAX {
        return Err(Error::Bound { what: "changes", bound: LEGACY_CHANGES_MAX as u64 });
    }
    for change in changes {
        match change {
            LegacyChange::Put(record) => put(tx, record)?,
            LegacyChange::Remove { kind, key } => remove(tx, kind, &key)?,
        }
    }
    Ok(())
}

fn put(tx: &mut Transaction, record: LegacyRecord) -> Result<(), Error> {
    let LegacyRecord { kind, key, value, expires_at_ms } = record;
    if value.len() > LEGACY_VALUE_OCTETS_MAX {
        return Err(Error::Bound { what: "octets of a record", bound: LEGACY_VALUE_OCTETS_MAX as u64 });
    }
    remove(tx, kind, &key)?;
    tx.mark(key::expiry_of_legacy(expires_at_ms, kind, &key));
    tx.put(key::legacy(kind, &key), LegacyValue { value, expires_at_ms }.encode())
}

fn remove(tx: &mut Transaction, kind: u8, key: &[u8]) -> Result<(), Error> {
    if key.is_empty() || key.len() > LEGACY_KEY_OCTETS_MAX {
        return Err(Error::Bound { what: "octets of a key", bound: LEGACY_KEY_OCTETS_MAX as u64 });
    }
    let place = key::legacy(kind, key);
    match load::<LegacyValue>(tx, &place) {
        Ok(Some(before)) => tx.remove(key::expiry_of_legacy(before.expires_at_ms, kind, key)),
        // What cannot be read goes as well; the sweep finds nothing under the time that it had.
        Ok(None) | Err(Error::Damaged { .. }) => {}
        Err(error) => return Err(error),
    }
    tx.remove(place);
    Ok(())
}

/// One record.
pub(crate) fn find(view: &dyn View, kind: u8, key: &[u8]) -> Result<Option<LegacyRecord>, Error> {
    let found = load::<LegacyValue>(view, &key::legacy(kind, key))?;
    Ok(found.map(|found| record(kind, key, found)))
}

fn record(kind: u8, key: &[u8], LegacyValue { value, expires_at_ms }: LegacyValue) -> LegacyRecord {
    LegacyRecord { kind, key: key.to_vec(), value, expires_at_ms }
}

/// The records of a kind whose keys begin so, after the given one. What cannot be read is left out: the check reports it.
pub(crate) fn records(
    view: &dyn View,
    kind: u8,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<LegacyRecord>, Error> {
    let prefix = key::legacy(kind, prefix);
    let from = after.map_or_else(Vec::new, |after| key::successor(&key::legacy(kind, after)));
    let pairs = view.range(&prefix.clone().max(from), &key::after_prefix(&prefix), limit.min(LIST_MAX))?;
    Ok(pairs.iter().filter_map(read).collect())
}

/// The record of a pair; `None` where it cannot be read.
pub(crate) fn read((key, value): &(Vec<u8>, Vec<u8>)) -> Option<LegacyRecord> {
    let (kind, within) = key.get(1..)?.split_first()?;
    Some(record(*kind, within, LegacyValue::decode(value, key).ok()?))
}

/// The time of a record has come; `name` is its kind and its key.
pub(crate) fn expire(tx: &mut Transaction, name: &[u8], now_ms: u64) -> Result<(), Error> {
    let Some((kind, within)) = name.split_first() else { return Ok(()) };
    let place = key::legacy(*kind, within);
    match load::<LegacyValue>(tx, &place) {
        Ok(Some(record)) if record.expires_at_ms <= now_ms => tx.remove(place),
        Ok(_) | Err(Error::Damaged { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Notes that a legacy sender is to be told of a failure, where responsibility had been taken and the sender is proved; or of
/// a delivery, where it has asked for that; and a user of this node of a failure, in the own mailbox, where the account has
/// it so. Nobody else is ever told: a forged return path is not.
///
/// keeps: STO-25, STA-13, STA-21, GW-64, GW-65
pub(crate) fn note_end(tx: &mut Transaction, envelope: &EnvelopeRecord, place: u32) -> Result<(), Error> {
    let Some(recipient) = envelope.recipients.get(place as usize) else { return Ok(()) };
    let Some(outcome) = &recipient.outcome else { return Ok(()) };
    // For those on a list, who are answered for at once, nobody is told who they are: they were not named by the sender.
    let waited = matches!(recipient.told, Disposition::Pending { .. });
    let failed = matches!(outcome, Disposition::Refused { .. } | Disposition::Expired);
    let notice = |id: u64, return_path: &Address| NoticeDue {
        id,
        envelope: envelope.id,
        identity: envelope.identity,
        recipient: recipient.address.clone(),
        return_path: return_path.clone(),
        disposition: outcome.clone(),
        received_at_ms: envelope.received_at_ms,
        header: Vec::new(),
        original: None,
        envelope_id: None,
        account: None,
    };
    let notice = match &envelope.origin {
        Origin::Legacy(origin) => {
            let Some(return_path) = origin.notice_to() else { return Ok(()) };
            let passage = &origin.passage;
            let wanted = match outcome {
                _ if failed => waited && passage.wants_failure(&recipient.address),
                Disposition::Accepted => passage.wants_success(&recipient.address),
                Disposition::Relayed => waited && passage.wants_success(&recipient.address),
                _ => false,
            };
            if !wanted {
                return Ok(());
            }
            let original = passage.wish(&recipient.address).and_then(|wish| wish.original.clone());
            let envelope_id = passage.envelope_id.clone();
            NoticeDue { original, envelope_id, ..notice(tx.allocate()?, return_path) }
        }
        // What was answered at once was heard by whoever has submitted it. keeps: STA-21
        Origin::Submission { account } if waited && failed => {
            let Some(record) = load_legible::<AccountRecord>(tx, &key::account(account))? else {
                return Ok(());
            };
            let Some(own) = record.addresses.first().filter(|_| record.notices) else { return Ok(()) };
            NoticeDue { account: Some(account.clone()), ..notice(tx.allocate()?, own) }
        }
        Origin::Submission { .. } | Origin::Peer { .. } => return Ok(()),
    };
    let notice = NoticeDue { header: header_of(tx, envelope), ..notice };
    tx.put(key::notice(notice.id), notice.encode())
}

/// The header block of the message, as much of it as fits in whole lines. A notice goes without it where it cannot be
/// read.
fn header_of(tx: &Transaction, envelope: &EnvelopeRecord) -> Vec<u8> {
    let Ok(Some(record)) = load_message(tx, envelope.identity) else { return Vec::new() };
    let Some(headers) = record.headers else { return Vec::new() };
    let octets = headers.message().octets();
    let most = octets.len().min(NOTICE_HEADER_OCTETS_MAX);
    let end = match octets.len() > most {
        true => octets[..most].iter().rposition(|octet| *octet == b'\n').map_or(0, |line| line + 1),
        false => most,
    };
    octets[..end].to_vec()
}

/// Notices that are due after the given one, in the order of their numbers. What cannot be read is left out.
pub(crate) fn notices(view: &dyn View, after: Option<u64>, limit: usize) -> Result<Vec<NoticeDue>, Error> {
    let pairs = list(view, &[table::NOTICE], after.map(key::notice), limit)?;
    Ok(pairs.iter().filter_map(|(key, value)| NoticeDue::decode(value, key).ok()).collect())
}

/// These notices were written, or nobody wants them.
pub(crate) fn remove_notices(tx: &mut Transaction, ids: &[u64]) -> Result<(), Error> {
    if ids.len() > LIST_MAX {
        return Err(Error::Bound { what: "notices", bound: LIST_MAX as u64 });
    }
    ids.iter().for_each(|id| tx.remove(key::notice(*id)));
    Ok(())
}

/// Each record can be read, and stands in the order of the times as its own says.
pub(super) fn check_legacy(inspection: &mut Inspection) -> Result<(), Error> {
    let view = inspection.view;
    each(view, table::LEGACY, &mut |pair| {
        let Some(found) = inspection.decode::<LegacyValue>(pair) else { return Ok(()) };
        let Some((kind, within)) = pair.0.get(1..).and_then(<[u8]>::split_first) else { return Ok(()) };
        inspection.refers(&pair.0, &key::expiry_of_legacy(found.expires_at_ms, *kind, within))
    })?;
    each(view, table::EXPIRY, &mut |(key, _)| match (key.get(9), key.get(10..)) {
        (Some(&key::EXPIRES_LEGACY), Some(name)) => {
            let mut place = vec![table::LEGACY];
            place.extend_from_slice(name);
            inspection.refers(key, &place)
        }
        _ => Ok(()),
    })?;
    each(view, table::NOTICE, &mut |pair| {
        let notice = inspection.decode::<NoticeDue>(pair);
        if notice.is_some_and(|notice| key::notice(notice.id) != pair.0) {
            let detail = "it says another number";
            inspection.say(FindingKind::Damaged, key::readable(&pair.0), detail);
        }
        Ok(())
    })
}
