//! Settlements of claims, and the ways out of the queue that need no claim.

use std::collections::{BTreeMap, BTreeSet};

use message::{Cookie, Disposition};

use super::accept::envelope_of;
use super::load;
use super::status::{add_attempts, close_if_final, finish, finish_told, own_cookie, save_envelope};
use crate::limits::{ATTEMPTS_FIRST, ATTEMPTS_LAST, COOKIES_MAX};
use crate::record::Record;
use crate::transaction::{QueueChange, Transaction};
use crate::{
    EnvelopeId, EnvelopeRecord, Error, LegId, LegRecord, NextHop, Origin, Outcome, Pause, Settled,
    Settlement, key,
};

/// Ends a claim; the writer has compared the fence.
pub(crate) fn settle(tx: &mut Transaction, settlement: Settlement) -> Result<Settled, Error> {
    if settlement.attempts.len() as u32 > ATTEMPTS_FIRST + ATTEMPTS_LAST {
        return Err(Error::Bound { what: "attempts", bound: (ATTEMPTS_FIRST + ATTEMPTS_LAST).into() });
    }
    let mut leg = load::<LegRecord>(tx, &key::leg(settlement.leg))?.ok_or(Error::Stale)?;
    let mut envelope = envelope_of(tx, leg.envelope)?;
    for (place, outcome) in settlement.outcomes {
        if !leg.recipients.contains(&place) {
            // It may have been withdrawn while the claim was worked on: its final disposition stands.
            let known = envelope.recipients.get(place as usize);
            if known.is_some_and(|recipient| recipient.outcome.is_some()) {
                continue;
            }
            return Err(Error::Invalid("the leg has no such recipient"));
        }
        let tell = !settlement.passed_on.contains(&place);
        settle_recipient(tx, &mut envelope, place, outcome, tell)?;
    }
    let failed = settlement.attempts.iter().rev().find(|attempt| !attempt.text.is_empty());
    leg.last_error = match settlement.pause {
        // What was said then is no error, and what went wrong before is over.
        Pause::Answered => None,
        _ => failed.map(|attempt| attempt.text.clone()).or(leg.last_error),
    };
    leg.last_error.iter_mut().for_each(super::cut);
    leg.attempts = leg.attempts.saturating_add(1);
    leg.backoff = match settlement.pause {
        Pause::Answered => 0,
        Pause::OurOwn => leg.backoff,
        Pause::Failed | Pause::Asked => leg.backoff.saturating_add(1),
    };
    leg.unreached = settlement.pause == Pause::Failed;
    add_attempts(tx, &mut envelope, settlement.attempts)?;
    tx.effects.queue.push(QueueChange::Unclaimed(leg.id, settlement.fence));
    let remaining = keep_or_remove(tx, &envelope, leg, settlement.next_due_ms)?;
    let closed = close_if_final(tx, &mut envelope, settlement.now_ms)?;
    save_envelope(tx, &envelope)?;
    Ok(Settled { remaining, closed })
}

fn settle_recipient(
    tx: &mut Transaction,
    envelope: &mut EnvelopeRecord,
    place: u32,
    outcome: Outcome,
    tell: bool,
) -> Result<(), Error> {
    let next_hop = match outcome {
        Outcome::Final(disposition) if disposition.is_final() => {
            finish_told(tx, envelope, place, disposition, tell)?;
            return Ok(());
        }
        Outcome::Waiting(disposition @ Disposition::Pending { .. }) => Some(disposition),
        Outcome::Again => None,
        _ => return Err(Error::Invalid("an outcome is neither final nor pending as it says")),
    };
    let recipient = envelope.recipients.get_mut(place as usize);
    if let Some(recipient) = recipient.filter(|recipient| recipient.outcome.is_none()) {
        recipient.next_hop = next_hop;
    }
    Ok(())
}

/// Writes a leg with the recipients that are not final, or removes it where none remains; returns how many do.
fn keep_or_remove(
    tx: &mut Transaction,
    envelope: &EnvelopeRecord,
    mut leg: LegRecord,
    next_due_ms: Option<u64>,
) -> Result<usize, Error> {
    let waits = |place: &u32| {
        envelope.recipients.get(*place as usize).is_some_and(|recipient| recipient.outcome.is_none())
    };
    leg.recipients.retain(waits);
    if leg.recipients.is_empty() {
        remove_leg(tx, &leg);
        return Ok(0);
    }
    let due_ms = next_due_ms.ok_or(Error::Invalid("recipients remain and no due time is given"))?;
    let remaining = leg.recipients.len();
    let held = leg.held;
    move_leg(tx, leg, due_ms, held)?;
    Ok(remaining)
}

/// Removes the records of a leg.
fn remove_leg(tx: &mut Transaction, leg: &LegRecord) {
    tx.remove(key::leg(leg.id));
    tx.remove(key::lane_leg(&leg.lane, leg.id));
    tx.remove(key::lane_due(&leg.lane, place_of(leg), leg.id));
    let change = QueueChange::Removed {
        lane: leg.lane.clone(),
        leg: leg.id,
        held: leg.held,
        created_at_ms: leg.created_at_ms,
    };
    tx.effects.queue.push(change);
}

/// Where a leg stands in its lane: those that are held stand at the end.
fn place_of(leg: &LegRecord) -> u64 {
    if leg.held { u64::MAX } else { leg.due_ms }
}

/// Writes a leg with another due time, or held or released.
pub(crate) fn move_leg(
    tx: &mut Transaction,
    mut leg: LegRecord,
    due_ms: u64,
    held: bool,
) -> Result<(), Error> {
    tx.remove(key::lane_due(&leg.lane, place_of(&leg), leg.id));
    let held_before = leg.held;
    leg.due_ms = due_ms;
    leg.held = held;
    tx.mark(key::lane_due(&leg.lane, place_of(&leg), leg.id));
    tx.effects.queue.push(QueueChange::Moved {
        lane: leg.lane.clone(),
        leg: leg.id,
        due_ms,
        held_before,
        held,
    });
    tx.put(key::leg(leg.id), leg.encode())
}

/// What an operator does with one leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LegChange {
    Hold,
    Release,
}

/// Holds or releases a leg.
pub(crate) fn change_leg(tx: &mut Transaction, id: LegId, change: LegChange) -> Result<(), Error> {
    let leg = load::<LegRecord>(tx, &key::leg(id))?.ok_or(Error::NotFound("leg"))?;
    let (due_ms, held) = match change {
        LegChange::Hold => (leg.due_ms, true),
        LegChange::Release => (leg.due_ms, false),
    };
    move_leg(tx, leg, due_ms, held)
}

/// Makes a leg due now. What its author can still take back does not leave, whoever is in a hurry. keeps: SUB-12
pub(crate) fn hasten(tx: &mut Transaction, id: LegId, now_ms: u64) -> Result<(), Error> {
    let leg = load::<LegRecord>(tx, &key::leg(id))?.ok_or(Error::NotFound("leg"))?;
    // One that cannot be read is the delivery's to find out.
    let envelope = super::status::load_envelope(tx, leg.envelope).ok().flatten();
    let release_at_ms = envelope.and_then(|envelope| envelope.release_at_ms).unwrap_or_default();
    let held = leg.held;
    move_leg(tx, leg, now_ms.max(release_at_ms), held)
}

/// Takes a leg out of the queue.
pub(crate) fn remove(tx: &mut Transaction, id: LegId, now_ms: u64) -> Result<Vec<NextHop>, Error> {
    let leg = load::<LegRecord>(tx, &key::leg(id))?.ok_or(Error::NotFound("leg"))?;
    let mut envelope = envelope_of(tx, leg.envelope)?;
    withdraw_recipients(tx, &mut envelope, &leg.recipients, now_ms)
}

/// The submitter gives up on an envelope.
pub(crate) fn withdraw(
    tx: &mut Transaction,
    id: EnvelopeId,
    account: &str,
    now_ms: u64,
) -> Result<Vec<NextHop>, Error> {
    let mut envelope = envelope_of(tx, id)?;
    if !matches!(&envelope.origin, Origin::Submission { account: own } if own == account) {
        return Err(Error::NotFound("envelope"));
    }
    let places: Vec<u32> = (0..envelope.recipients.len() as u32).collect();
    withdraw_recipients(tx, &mut envelope, &places, now_ms)
}

/// A holder gives up on cookies.
pub(crate) fn give_up(
    tx: &mut Transaction,
    holder: &str,
    cookies: &[Cookie],
    now_ms: u64,
) -> Result<Vec<NextHop>, Error> {
    if cookies.len() > COOKIES_MAX {
        return Err(Error::Bound { what: "cookies", bound: COOKIES_MAX as u64 });
    }
    // The same cookie may stand there again and again, and an envelope has as many as recipients: each is read and written
    // once, and not at all where all of it is final.
    let mut open: BTreeMap<EnvelopeId, BTreeSet<u32>> = BTreeMap::new();
    for cookie in cookies {
        match own_cookie(tx, holder, cookie) {
            Ok(Some(record)) if record.outcome.is_none() => {
                open.entry(record.envelope).or_default().insert(record.recipient);
            }
            // What is damaged must not keep the others from ending; the check reports it.
            Ok(_) | Err(Error::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let mut told = Vec::new();
    for (envelope, places) in open {
        match envelope_of(tx, envelope) {
            Ok(mut envelope) => {
                let places: Vec<u32> = places.into_iter().collect();
                told.extend(withdraw_recipients(tx, &mut envelope, &places, now_ms)?);
            }
            Err(Error::Damaged { .. } | Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(told)
}

/// Makes recipients withdrawn where they are not final, takes them out of their legs and closes the envelope. Where all are
/// final nothing is written.
pub(crate) fn withdraw_recipients(
    tx: &mut Transaction,
    envelope: &mut EnvelopeRecord,
    places: &[u32],
    now_ms: u64,
) -> Result<Vec<NextHop>, Error> {
    let (mut told, mut legs) = (Vec::new(), Vec::<LegRecord>::new());
    let mut changed = false;
    for place in places {
        let known = envelope
            .recipients
            .get(*place as usize)
            .ok_or(Error::Invalid("the envelope has no such recipient"))?;
        if known.outcome.is_some() {
            continue;
        }
        changed = true;
        let leg = known.leg;
        let cookie = finish(tx, envelope, *place, Disposition::Withdrawn)?;
        let Some(leg) = leg else { continue };
        let at = match legs.iter().position(|known| known.id == leg) {
            Some(at) => at,
            None => {
                let Some(leg) = load::<LegRecord>(tx, &key::leg(leg))? else { continue };
                legs.push(leg);
                legs.len() - 1
            }
        };
        told.extend(cookie.map(|cookie| NextHop { lane: legs[at].lane.clone(), cookie }));
    }
    if !changed {
        return Ok(told);
    }
    for leg in legs {
        let due_ms = leg.due_ms;
        keep_or_remove(tx, envelope, leg, Some(due_ms))?;
    }
    close_if_final(tx, envelope, now_ms)?;
    save_envelope(tx, envelope)?;
    Ok(told)
}
