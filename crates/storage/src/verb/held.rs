//! Held recipients: the list of them, more content for them, and decisions.

use std::collections::BTreeMap;

use message::address::Address;
use message::{Disposition, Identity, Selection};

use super::accept::{add_leg, envelope_of, hold_recipient, put_mail, short};
use super::content::{load_message, store_message, stored};
use super::status::{close_if_final, end_hold, finish, load_envelope, save_envelope};
use super::{cut, list, load};
use crate::engine::View;
use crate::limits::LIST_MAX;
use crate::record::{CookieRecord, Held, Record};
use crate::transaction::Transaction;
use crate::{
    Again, Decision, Effect, EnvelopeId, EnvelopeRecord, Error, HeldRecord, Lane, NewMessage, Pend, Ruling,
    SealMark, Stage, Supply, key,
};

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
        found.push(held_record(&envelope, place, &recipient.address, held));
    }
    Ok(found)
}

pub(crate) fn held_record(
    envelope: &EnvelopeRecord,
    place: u32,
    address: &Address,
    held: Held,
) -> HeldRecord {
    HeldRecord {
        envelope: envelope.id,
        recipient: place,
        identity: envelope.identity,
        octets: envelope.octets,
        address: address.clone(),
        account: held.account,
        origin: envelope.origin.clone(),
        reason: held.reason,
        stage: held.stage,
        wanted: held.wanted,
        seals: held.seals,
        here: held.here.map(|here| here.into_iter().map(|part| part as usize).collect()),
        since_ms: held.since_ms,
        until_ms: held.until_ms,
    }
}

/// The held recipients of one message, the oldest envelope first.
pub(crate) fn held_for(view: &dyn View, identity: Identity, limit: usize) -> Result<Vec<HeldRecord>, Error> {
    let mut found = Vec::new();
    for (key, _) in list(view, &key::envelopes_for(identity), None, LIST_MAX)? {
        // What cannot be read is left out: the check reports it.
        let Some(Ok(Some(envelope))) =
            key::last_long(&key).map(|number| load_envelope(view, EnvelopeId(number)))
        else {
            continue;
        };
        for (place, recipient) in envelope.recipients.iter().enumerate().filter(|(_, one)| one.held) {
            let place = place as u32;
            if let Ok(Some(held)) = load::<Held>(view, &key::held(envelope.id, place))
                && found.len() < limit.min(LIST_MAX)
            {
                found.push(held_record(&envelope, place, &recipient.address, held));
            }
        }
    }
    Ok(found)
}

/// How many recipients are held for an account, as far as this many, and how many of those these holders have brought. One
/// range of the index is read, which says both: no counter has to be kept, mended and checked for what is bounded anyway.
pub(crate) fn held_count(
    view: &dyn View,
    account: &str,
    theirs: &dyn Fn(&str) -> bool,
    most: usize,
) -> Result<(usize, usize), Error> {
    let prefix = key::helds_of(account);
    let found = view.range(&prefix, &key::after_prefix(&prefix), most)?;
    let own = found.iter().filter(|(_, by)| std::str::from_utf8(by).is_ok_and(theirs)).count();
    Ok((found.len(), own))
}

/// The envelopes in which these are pending, or were, each read once.
pub(crate) fn envelopes_of(
    tx: &Transaction,
    identity: Identity,
    again: &[Again],
) -> Result<BTreeMap<EnvelopeId, EnvelopeRecord>, Error> {
    let mut envelopes = BTreeMap::new();
    for id in again.iter().map(|one| one.envelope) {
        if envelopes.contains_key(&id) {
            continue;
        }
        let envelope = envelope_of(tx, id)?;
        if envelope.identity != identity {
            return Err(Error::Invalid("another message is pending there"));
        }
        envelopes.insert(id, envelope);
    }
    Ok(envelopes)
}

/// Carries out what was decided about a recipient that was pending, when its sender has offered the message again. The caller
/// closes the envelope where all of it is final, and writes it.
pub(crate) fn judge_again(
    tx: &mut Transaction,
    envelope: &mut EnvelopeRecord,
    again: &Again,
    (here, seals): (Option<&[u32]>, &[SealMark]),
    (expires_at_ms, now_ms): (u64, u64),
    lanes: &mut Vec<(Lane, Vec<u32>)>,
) -> Result<(), Error> {
    bring_seals(envelope, seals);
    let place = again.recipient;
    let recipient = envelope.recipients.get(place as usize).ok_or(Error::NotFound("held recipient"))?;
    let address = recipient.address.clone();
    if let Some(recipient) = envelope.recipients.get_mut(place as usize).filter(|_| again.why.is_some()) {
        recipient.why = short(again.why.as_deref());
    }
    match &again.effect {
        // It came too late.
        _ if is_over(tx, again.envelope, place, now_ms)? => {
            finish(tx, envelope, place, Disposition::Expired)?;
        }
        Effect::Mailbox { account, seals } => {
            put_mail(tx, envelope, &address, account, seals.clone(), now_ms)?;
            finish(tx, envelope, place, Disposition::Accepted)?;
        }
        Effect::Elsewhere => drop(finish(tx, envelope, place, Disposition::Accepted)?),
        Effect::Refuse { code, text } => {
            finish(tx, envelope, place, Disposition::refused(*code, text))?;
        }
        Effect::Queue { lane } | Effect::Forward { lane, .. } => {
            if let (Effect::Forward { forwarded, .. }, Some(recipient)) =
                (&again.effect, envelope.recipients.get_mut(place as usize))
            {
                recipient.forwarded = Some(forwarded.clone());
            }
            queue_held(tx, envelope, place, lane, expires_at_ms, now_ms)?;
            lanes.push((lane.clone(), Vec::new()));
        }
        Effect::Pend(pend) => pend_again(tx, envelope, place, pend, here)?,
    }
    Ok(())
}

/// A recipient stays pending, for another reason, for another time or with more of the message.
fn pend_again(
    tx: &mut Transaction,
    envelope: &EnvelopeRecord,
    place: u32,
    pend: &Pend,
    here: Option<&[u32]>,
) -> Result<(), Error> {
    let before =
        load::<Held>(tx, &key::held(envelope.id, place))?.ok_or(Error::NotFound("held recipient"))?;
    if let Some(account) = &before.account {
        tx.remove(key::held_of(account, envelope.id, place));
    }
    let mut reason = pend.reason.clone();
    cut(&mut reason);
    let mut held = Held {
        account: pend.account.clone(),
        reason,
        stage: pend.stage,
        seals: pend.seals.clone(),
        ..before
    };
    add_here(&mut held, here);
    hold_recipient(tx, envelope, place, held)?;
    set_wanted(tx, envelope, place, pend.wanted.clone())
}

/// Notes the leaves that came for this recipient.
fn add_here(held: &mut Held, here: Option<&[u32]>) {
    let Some(came) = here else { return };
    let known = held.here.get_or_insert_default();
    known.extend(came);
    known.sort_unstable();
    known.dedup();
}

/// Adds content to a message that is held.
pub(crate) fn supply(tx: &mut Transaction, supply: Supply) -> Result<(), Error> {
    let mut envelope = envelope_of(tx, supply.envelope)?;
    if envelope.closed_at_ms.is_some() {
        return Err(Error::NotFound("held recipient"));
    }
    let here: Vec<u32> = supply.message.parts.iter().map(|(part, _)| *part as u32).collect();
    add_content(tx, &mut envelope, supply.message)?;
    save_envelope(tx, &envelope)?;
    for place in 0..envelope.recipients.len() as u32 {
        let key = key::held(envelope.id, place);
        if let Some(mut held) = load::<Held>(tx, &key)? {
            add_here(&mut held, Some(&here));
            tx.put(key, held.encode())?;
        }
        set_wanted(tx, &envelope, place, None)?;
    }
    Ok(())
}

/// What came now came with this envelope, too: its sender has brought the message again. keeps: STO-30
fn bring_seals(envelope: &mut EnvelopeRecord, seals: &[SealMark]) {
    if !seals.is_empty() {
        envelope.seals = seals.to_vec();
    }
}

fn add_content(
    tx: &mut Transaction,
    envelope: &mut EnvelopeRecord,
    message: NewMessage,
) -> Result<(), Error> {
    if message.manifest.identity() != envelope.identity {
        return Err(Error::Invalid("the content is that of another message"));
    }
    let (_, seals) = store_message(tx, message)?;
    bring_seals(envelope, &seals);
    Ok(())
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
    let wanted_at_ms = held.wanted_at_ms();
    tx.put(key, held.encode())?;
    let told = envelope.recipients.get(place as usize).map(|recipient| &recipient.told);
    if let Some(Disposition::Pending { cookie, .. }) = told {
        let key = key::cookie(cookie);
        if let Some(mut record) = load::<CookieRecord>(tx, &key)? {
            record.wanted = wanted;
            record.wanted_at_ms = wanted_at_ms;
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
    if is_over(tx, envelope.id, place, now_ms)? {
        return Err(Error::NotFound("held recipient"));
    }
    match ruling {
        Ruling::Accept { wanted } => {
            let key = key::held(envelope.id, place);
            let mut held = load::<Held>(tx, &key)?.ok_or(Error::NotFound("held recipient"))?;
            held.stage = Stage::Accepted;
            tx.put(key, held.encode())?;
            set_wanted(tx, &envelope, place, Some(wanted))?;
        }
        Ruling::Want(selection) => set_wanted(tx, &envelope, place, selection)?,
        Ruling::Refuse { code, text } => {
            finish(tx, &mut envelope, place, Disposition::refused(code, &text))?;
        }
        Ruling::Deliver { account, seals, message } => {
            complete(tx, &mut envelope, message)?;
            put_mail(tx, &envelope, &address, &account, seals, now_ms)?;
            finish(tx, &mut envelope, place, Disposition::Accepted)?;
        }
        Ruling::Queue { lane, expires_at_ms, message } => {
            complete(tx, &mut envelope, message)?;
            queue_held(tx, &mut envelope, place, &lane, expires_at_ms, now_ms)?;
        }
    }
    close_if_final(tx, &mut envelope, now_ms)?;
    save_envelope(tx, &envelope)?;
    let recipient = envelope.recipients.get(place as usize);
    recipient.map(|recipient| recipient.current().clone()).ok_or(Error::NotFound("held recipient"))
}

/// Whether the time of a held recipient is over, swept up or not. keeps: STA-18
pub(super) fn is_over(
    tx: &Transaction,
    envelope: EnvelopeId,
    place: u32,
    now_ms: u64,
) -> Result<bool, Error> {
    Ok(load::<Held>(tx, &key::held(envelope, place))?.is_some_and(|held| held.is_over(now_ms)))
}

/// A recipient that was held is queued; its cookie stays open.
fn queue_held(
    tx: &mut Transaction,
    envelope: &mut EnvelopeRecord,
    place: u32,
    lane: &Lane,
    expires_at_ms: u64,
    now_ms: u64,
) -> Result<(), Error> {
    set_wanted(tx, envelope, place, None)?;
    end_hold(tx, envelope.id, place)?;
    envelope.expires_at_ms = expires_at_ms;
    if let Some(recipient) = envelope.recipients.get_mut(place as usize) {
        recipient.held = false;
    }
    add_leg(tx, envelope, lane, vec![place], now_ms)
}

/// Adds what came and checks that the message is whole.
fn complete(
    tx: &mut Transaction,
    envelope: &mut EnvelopeRecord,
    message: Option<NewMessage>,
) -> Result<(), Error> {
    if let Some(message) = message {
        add_content(tx, envelope, message)?;
    }
    let record = load_message(tx, envelope.identity)?.ok_or(Error::Incomplete)?;
    if stored(record).is_complete() { Ok(()) } else { Err(Error::Incomplete) }
}
