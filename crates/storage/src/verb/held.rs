//! Held recipients: the list of them, more content for them, and decisions.

use message::{Disposition, Selection};

use super::accept::{add_leg, envelope_of, put_mail};
use super::content::{load_message, store_message, stored};
use super::status::{close_if_final, end_hold, finish, load_envelope, save_envelope};
use super::{list, load};
use crate::engine::View;
use crate::limits::LIST_MAX;
use crate::record::{CookieRecord, Held, Record};
use crate::transaction::Transaction;
use crate::{Decision, EnvelopeId, EnvelopeRecord, Error, HeldRecord, NewMessage, Ruling, Supply, key};

/// Held recipients after the given place.
pub(crate) fn held(
    view: &dyn View,
    account: Option<&str>,
    after: Option<(EnvelopeId, u32)>,
    limit: usize,
) -> Result<Vec<HeldRecord>, Error> {
    let (prefix, after) = match account {
        Some(account) => (key::helds_of(account), after.map(|(id, place)| key::held_of(account, id, place))),
        None => (vec![key::table::HELD], after.map(|(id, place)| key::held(id, place))),
    };
    let mut found = Vec::new();
    for (key, _) in list(view, &prefix, after, limit.min(LIST_MAX))? {
        let (Some(id), Some(place)) = (key::long_before(&key, 4), key::last_short(&key)) else { continue };
        let id = EnvelopeId(id);
        // What went meanwhile or cannot be read is left out: the check reports it.
        let (Ok(Some(held)), Ok(Some(envelope))) =
            (load::<Held>(view, &key::held(id, place)), load_envelope(view, id))
        else {
            continue;
        };
        let Some(recipient) = envelope.recipients.get(place as usize) else { continue };
        found.push(HeldRecord {
            envelope: id,
            recipient: place,
            identity: envelope.identity,
            address: recipient.address.clone(),
            account: held.account,
            origin: envelope.origin.clone(),
            reason: held.reason,
            wanted: held.wanted,
            since_ms: held.since_ms,
            until_ms: held.until_ms,
        });
    }
    Ok(found)
}

/// Adds content to a message that is held.
pub(crate) fn supply(tx: &mut Transaction, supply: Supply) -> Result<(), Error> {
    let envelope = envelope_of(tx, supply.envelope)?;
    if envelope.closed_at_ms.is_some() {
        return Err(Error::NotFound("held recipient"));
    }
    add_content(tx, &envelope, supply.message)?;
    for place in 0..envelope.recipients.len() as u32 {
        set_wanted(tx, &envelope, place, None)?;
    }
    Ok(())
}

fn add_content(tx: &mut Transaction, envelope: &EnvelopeRecord, message: NewMessage) -> Result<(), Error> {
    if message.manifest.identity() != envelope.identity {
        return Err(Error::Invalid("the content is that of another message"));
    }
    store_message(tx, message).map(|_| ())
}

/// Writes down what is asked of the sender at the next poll.
fn set_wanted(
    tx: &mut Transaction,
    envelope: &EnvelopeRecord,
    place: u32,
    wanted: Option<Selection>,
) -> Result<(), Error> {
    let key = key::held(envelope.id, place);
    let Some(mut held) = load::<Held>(tx, &key)? else { return Ok(()) };
    held.wanted = wanted.clone();
    tx.put(key, held.encode())?;
    let told = envelope.recipients.get(place as usize).map(|recipient| &recipient.told);
    if let Some(Disposition::Pending { cookie, .. }) = told {
        let key = key::cookie(cookie);
        if let Some(mut record) = load::<CookieRecord>(tx, &key)? {
            record.wanted = wanted;
            tx.put(key, record.encode())?;
        }
    }
    Ok(())
}

/// Carries out a decision.
pub(crate) fn decide(tx: &mut Transaction, decision: Decision) -> Result<Disposition, Error> {
    let Decision { envelope, recipient: place, ruling, now_ms } = decision;
    let mut envelope = envelope_of(tx, envelope)?;
    let recipient = envelope.recipients.get(place as usize).filter(|recipient| recipient.held);
    let address = recipient.ok_or(Error::NotFound("held recipient"))?.address.clone();
    match ruling {
        Ruling::Want(selection) => set_wanted(tx, &envelope, place, selection)?,
        Ruling::Refuse { code, text } => {
            finish(tx, &mut envelope, place, Disposition::refused(code, &text))?;
        }
        Ruling::Deliver { account, seals, message } => {
            complete(tx, &envelope, message)?;
            put_mail(tx, &envelope, &address, &account, seals, now_ms)?;
            finish(tx, &mut envelope, place, Disposition::Accepted)?;
        }
        Ruling::Queue { lane, expires_at_ms, message } => {
            complete(tx, &envelope, message)?;
            set_wanted(tx, &envelope, place, None)?;
            end_hold(tx, envelope.id, place)?;
            envelope.expires_at_ms = expires_at_ms;
            if let Some(recipient) = envelope.recipients.get_mut(place as usize) {
                recipient.held = false;
            }
            add_leg(tx, &mut envelope, &lane, vec![place], now_ms)?;
        }
    }
    close_if_final(tx, &mut envelope, now_ms)?;
    save_envelope(tx, &envelope)?;
    let recipient = envelope.recipients.get(place as usize);
    recipient.map(|recipient| recipient.current().clone()).ok_or(Error::NotFound("held recipient"))
}

/// Adds what came and checks that the message is whole.
fn complete(
    tx: &mut Transaction,
    envelope: &EnvelopeRecord,
    message: Option<NewMessage>,
) -> Result<(), Error> {
    if let Some(message) = message {
        add_content(tx, envelope, message)?;
    }
    let record = load_message(tx, envelope.identity)?.ok_or(Error::Incomplete)?;
    if stored(record).is_complete() { Ok(()) } else { Err(Error::Incomplete) }
}
