//! Once: what became of offers that were made before, and whether there is room for those that were not.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use message::address::Address;
use message::{Disposition, Identity};

use super::accept::is_pending;
use super::held::{held_count, held_record, is_over};
use super::peer::pending;
use super::status::load_envelope;
use super::{load, load_legible};
use crate::engine::View;
use crate::record::{Held, OnceRecord};
use crate::transaction::Transaction;
use crate::{
    Acceptance, Effect, EnvelopeId, EnvelopeRecord, Error, Intended, OfferedBefore, Origin, Pend, Room, key,
};

/// What is offered, and by whom.
pub(crate) struct Offer<'a> {
    pub(crate) holder: &'a str,
    pub(crate) offered_as: Identity,
    pub(crate) now_ms: u64,
}

impl Offer<'_> {
    fn key(&self, recipient: &Address) -> Vec<u8> {
        key::once(self.holder, self.offered_as, &recipient.to_string())
    }
}

/// What earlier offers have left for each of these recipients. An envelope is read and decoded once, however many of them are
/// in it: whoever offers the same again costs no more than who offers something new. Who was only reached by a list was not
/// offered: whoever writes to a list must not find out by another offer who is on it.
///
/// keeps: EXC-12, FWD-6
pub(crate) fn offered_before<'a>(
    view: &dyn View,
    offer: &Offer<'_>,
    recipients: impl Iterator<Item = &'a Address>,
) -> Result<Vec<Option<OfferedBefore>>, Error> {
    let mut envelopes: BTreeMap<EnvelopeId, Option<EnvelopeRecord>> = BTreeMap::new();
    recipients
        .map(|recipient| {
            let key = offer.key(recipient);
            let once = load::<OnceRecord>(view, &key)?.filter(|once| !once.member);
            let Some(once) = once else { return Ok(None) };
            let envelope = match envelopes.entry(once.envelope) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(load_envelope(view, once.envelope)?),
            };
            let Some(envelope) = envelope else { return Ok(None) };
            let recipient = envelope.recipients.get(once.recipient as usize);
            let recipient = recipient.ok_or_else(|| Error::Damaged { key: key::readable(&key) })?;
            let held = match recipient.held {
                true => load_legible::<Held>(view, &key::held(envelope.id, once.recipient))?,
                false => None,
            };
            let wanted = held.filter(|held| held.is_wanted(offer.now_ms));
            Ok(Some(OfferedBefore {
                envelope: envelope.id,
                answer: recipient.answer().clone(),
                wanted: wanted.map(|held| held_record(envelope, once.recipient, &recipient.address, held)),
            }))
        })
        .collect()
}

/// What is known of a recipient before anything is done.
pub(crate) struct Known {
    /// Of an earlier offer.
    pub(crate) envelope: Option<EnvelopeId>,
    /// That of the earlier offer, or of one for whom there is no room.
    pub(crate) answer: Option<Disposition>,
}

/// Looks up which recipients the same peer has offered before, and for which of the others there is no room; returns the places
/// of those for whom something is to be done.
pub(crate) fn split_offered_before(
    tx: &Transaction,
    acceptance: &Acceptance,
) -> Result<(Vec<Known>, Vec<usize>), Error> {
    let Acceptance { origin, recipients, .. } = acceptance;
    let holder = origin.holder();
    let offer = Offer { holder: &holder, offered_as: acceptance.offered_as, now_ms: acceptance.now_ms };
    let addresses = recipients.iter().map(|intended| &intended.address);
    let mut known: Vec<Known> = offered_before(tx, &offer, addresses)?
        .into_iter()
        .map(|before| match before {
            Some(before) => Known { envelope: Some(before.envelope), answer: Some(before.answer) },
            None => Known { envelope: None, answer: None },
        })
        .collect();
    let mut fresh: Vec<usize> = (0..known.len()).filter(|place| known[*place].answer.is_none()).collect();
    let intended: Vec<&Intended> = fresh.iter().map(|place| &recipients[*place]).collect();
    let out = crowded_out(tx, origin, acceptance.room.as_ref(), &intended)?;
    for (place, answer) in fresh.iter().zip(out) {
        known[*place].answer = answer;
    }
    fresh.retain(|place| known[*place].answer.is_none());
    Ok((known, fresh))
}

/// The members of lists who have not got this message from here. They are served where something is done for a recipient that is new,
/// or for a list that was pending until now (`reopened`); where the lists were served by an earlier offer they were, too.
pub(crate) fn fresh_members(
    tx: &Transaction,
    acceptance: &Acceptance,
    fresh: &[usize],
    reopened: &BTreeMap<EnvelopeId, EnvelopeRecord>,
) -> Result<Vec<usize>, Error> {
    let mut served = !fresh.is_empty();
    for one in acceptance.again.iter().filter(|one| matches!(one.effect, Effect::Elsewhere)) {
        let over = is_over(tx, one.envelope, one.recipient, acceptance.now_ms)?;
        served |= is_pending(reopened, one) && !over;
    }
    if !served {
        return Ok(Vec::new());
    }
    let holder = acceptance.origin.holder();
    let offer = Offer { holder: &holder, offered_as: acceptance.offered_as, now_ms: acceptance.now_ms };
    let mut members = Vec::new();
    for (place, member) in acceptance.members.iter().enumerate() {
        if !has_come(tx, &offer, &member.address)? {
            members.push(place);
        }
    }
    Ok(members)
}

/// Whether this message has come here for this address before, by an offer or by a list.
fn has_come(view: &dyn View, offer: &Offer<'_>, address: &Address) -> Result<bool, Error> {
    Ok(load::<OnceRecord>(view, &offer.key(address))?.is_some())
}

/// What those are answered for whom there is no room, in the order given; `None` for the others. Nothing is written.
///
/// keeps: STA-14, REP-14, SEC-5
fn crowded_out(
    tx: &Transaction,
    origin: &Origin,
    room: Option<&Room>,
    fresh: &[&Intended],
) -> Result<Vec<Option<Disposition>>, Error> {
    let waits = |intended: &&Intended| matches!(intended.answer, Disposition::Pending { .. });
    let counted = fresh.iter().any(waits) && !matches!(origin, Origin::Submission { .. });
    let Some(room) = room.filter(|_| counted) else { return Ok(vec![None; fresh.len()]) };
    let holder = origin.holder();
    let mut waiting = pending(tx, &holder)?;
    // How many are held for each account, and how many of those the holder and whoever shares the places has brought.
    let mut accounts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut out = Vec::with_capacity(fresh.len());
    for intended in fresh {
        if !waits(intended) {
            out.push(None);
            continue;
        }
        if waiting >= room.pending_max {
            out.push(Some(room.pending_full.clone()));
            continue;
        }
        if let Effect::Pend(Pend { account: Some(account), .. }) = &intended.effect {
            let counted = match accounts.entry(account) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    let theirs = |by: &str| (room.shared)(by, &holder);
                    place.insert(held_count(tx, account, &theirs, room.held_max)?)
                }
            };
            if counted.0 >= room.held_max || counted.1 >= room.held_shared_max {
                out.push(Some(room.held_full.clone()));
                continue;
            }
            *counted = (counted.0 + 1, counted.1 + 1);
        }
        waiting += 1;
        out.push(None);
    }
    Ok(out)
}
