//! What time ends: held recipients, and records whose retention has passed.

use message::Disposition;

use super::load;
use super::status::{close_if_final, finish, load_envelope, save_envelope};
use crate::engine::View;
use crate::limits::{EXPIRE_OCTETS_MAX, LIST_MAX};
use crate::record::OnceRecord;
use crate::transaction::Transaction;
use crate::{EnvelopeId, EnvelopeRecord, Error, Origin, key};

/// Ends what is past its time, in the order of the times; returns how many entries it went through. What one envelope takes
/// may be much: past so many octets the rest is left to the next time.
///
/// keeps: STO-17, STO-33
pub(crate) fn expire(tx: &mut Transaction, now_ms: u64, max: usize) -> Result<usize, Error> {
    let from = vec![key::table::EXPIRY];
    let to = key::Key::of(key::table::EXPIRY).long(now_ms.saturating_add(1)).done();
    let due = tx.range(&from, &to, max.min(LIST_MAX))?;
    let mut count = 0;
    for (key, _) in due {
        if tx.octets() > EXPIRE_OCTETS_MAX {
            break;
        }
        count += 1;
        let kind = key.get(9).copied();
        if kind == Some(key::EXPIRES_LEGACY) {
            super::legacy::expire(tx, &key[10..], now_ms)?;
        } else if let (Some(id), Some(place)) =
            (key::long_before(&key, 4).map(EnvelopeId), key::last_short(&key))
        {
            match load_envelope(tx, id) {
                Ok(Some(envelope)) if kind == Some(b'E') => forget(tx, &envelope)?,
                Ok(Some(envelope)) if kind == Some(b'W') => end_held(tx, envelope, place, now_ms)?,
                // What is damaged loses its entry here, so that it does not come up for ever; the check reports it.
                Ok(_) | Err(Error::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        tx.remove(key);
    }
    Ok(count)
}

/// Nobody decided in time.
fn end_held(
    tx: &mut Transaction,
    mut envelope: EnvelopeRecord,
    place: u32,
    now_ms: u64,
) -> Result<(), Error> {
    let held = envelope.recipients.get(place as usize).is_some_and(|recipient| recipient.held);
    if held {
        finish(tx, &mut envelope, place, Disposition::Expired)?;
        close_if_final(tx, &mut envelope, now_ms)?;
        save_envelope(tx, &envelope)?;
    }
    Ok(())
}

/// Removes an envelope and all that was kept for answering about it.
fn forget(tx: &mut Transaction, envelope: &EnvelopeRecord) -> Result<(), Error> {
    let holder = envelope.origin.holder();
    for recipient in &envelope.recipients {
        if let Disposition::Pending { cookie, .. } = &recipient.told {
            tx.remove(key::cookie(cookie));
        }
        // Who came by a list and was written to as well has a record of another envelope.
        let once = key::once(&holder, envelope.offered_as, &recipient.address.to_string());
        let own = match load::<OnceRecord>(tx, &once) {
            Ok(once) => once.is_some_and(|once| once.envelope == envelope.id),
            // What cannot be read answers nothing.
            Err(Error::Damaged { .. }) => true,
            Err(error) => return Err(error),
        };
        if own {
            tx.remove(once);
        }
    }
    if let Origin::Submission { account } = &envelope.origin {
        tx.remove(key::envelope_of(account, envelope.id));
    }
    tx.remove(key::envelope_for(envelope.identity, envelope.id));
    tx.remove_all(&key::attempts(envelope.id))?;
    tx.remove_all(&key::envelope(envelope.id))
}
