//! Reading the queue: claims, legs, lanes, and lanes that are hastened.

use std::collections::HashMap;

use super::settle::move_leg;
use super::status::load_envelope;
use super::{list, load};
use crate::engine::View;
use crate::limits::{CLAIM_MAX, CLOCK_FELL_MS, CLOCK_PAGE, LIST_MAX};
use crate::record::Record;
use crate::schedule::{LaneNumbers, Lanes, Schedule, Turn};
use crate::transaction::Transaction;
use crate::{Claim, Error, Lane, LaneAges, LaneSummary, LegId, LegRecord, key};

/// Takes legs that are due. What cannot be read is put aside and does not stop the others.
///
/// keeps: STO-15, STO-16
pub(crate) fn claim(
    view: &dyn View,
    schedule: &mut Schedule,
    now_ms: u64,
    max: usize,
    may: &dyn Fn(&Lane, usize) -> bool,
) -> Result<Vec<Claim>, Error> {
    let mut claims = Vec::new();
    schedule.wake(now_ms);
    let mut turn = schedule.begin_turn();
    let claimed = claim_into(&mut claims, view, schedule, &mut turn, now_ms, max.min(CLAIM_MAX), may);
    schedule.end_turn(turn);
    // What was claimed before an error is handed out: otherwise nobody could ever give it back. The error comes again.
    if claims.is_empty() { claimed.map(|()| claims) } else { Ok(claims) }
}

fn claim_into(
    claims: &mut Vec<Claim>,
    view: &dyn View,
    schedule: &mut Schedule,
    turn: &mut Turn,
    now_ms: u64,
    max: usize,
    may: &dyn Fn(&Lane, usize) -> bool,
) -> Result<(), Error> {
    let mut given: HashMap<Lane, usize> = HashMap::new();
    while claims.len() < max {
        let may = |lane: &Lane| may(lane, given.get(lane).copied().unwrap_or(0));
        let Some((leg, due_ms, lane)) = schedule.take_next(view, turn, now_ms, &may)? else { break };
        let record = load::<LegRecord>(view, &key::leg(leg));
        if matches!(record, Ok(None)) {
            // It was removed a moment ago, and the schedule is about to be told.
            continue;
        }
        let read = record.and_then(|record| match record {
            Some(record) => Ok(load_envelope(view, record.envelope)?.map(|envelope| (record, envelope))),
            None => Ok(None),
        });
        match read {
            Ok(Some((record, envelope))) => {
                let fence = schedule.claim(leg, &lane, due_ms);
                *given.entry(lane).or_default() += 1;
                claims.push(Claim { leg: record, envelope, fence });
            }
            Ok(None) | Err(Error::Damaged { .. }) => schedule.quarantine(leg),
            Err(error) => {
                schedule.bring_forward(&lane, (due_ms, leg));
                return Err(error);
            }
        }
    }
    Ok(())
}

/// The leg that was made last, where it can be read.
pub(crate) fn latest_leg(view: &dyn View) -> Result<Option<LegRecord>, Error> {
    let prefix = [key::table::LEG];
    let last = view.range_back(&prefix, &key::after_prefix(&prefix), 1)?;
    Ok(last.first().and_then(|(key, value)| LegRecord::decode(value, key).ok()))
}

/// The clock has been set back: legs that were made or last tried at a time that is still to come wait from now on for as long as
/// they were to wait from then. Goes through so many legs after the given one; returns the last of them, or nothing where
/// there are no more.
///
/// keeps: STO-32
pub(crate) fn clock_fell(
    tx: &mut Transaction,
    after: Option<LegId>,
    now_ms: u64,
    worked_on: &dyn Fn(LegId) -> bool,
) -> Result<Option<LegId>, Error> {
    let page = list(tx, &[key::table::LEG], after.map(key::leg), CLOCK_PAGE)?;
    let last = page.last().and_then(|(key, _)| key::last_long(key)).map(LegId);
    for (key, value) in page {
        // What cannot be read is the claim's to find out, and whoever works on a leg says when it is due.
        let Ok(mut leg) = LegRecord::decode(&value, &key) else { continue };
        if leg.held || worked_on(leg.id) {
            continue;
        }
        let attempts = super::status::attempts(tx, leg.envelope)?;
        let tried = attempts.iter().filter(|one| one.lane == leg.lane).map(|one| one.at_ms).max();
        let from_ms = tried.unwrap_or(0).max(leg.created_at_ms);
        let ahead_ms = from_ms.saturating_sub(now_ms);
        // Each of these times is set right once, however often the clock is set.
        if ahead_ms > CLOCK_FELL_MS && from_ms > leg.ahead_ms {
            let due_ms = leg.due_ms.saturating_sub(ahead_ms).max(now_ms);
            leg.ahead_ms = from_ms;
            move_leg(tx, leg, due_ms, false)?;
        }
    }
    Ok(last)
}

/// Legs after the given one, of one lane or of all. What cannot be read is left out.
pub(crate) fn legs(
    view: &dyn View,
    lane: Option<&Lane>,
    after: Option<LegId>,
    limit: usize,
) -> Result<Vec<LegRecord>, Error> {
    let mut legs = Vec::new();
    match lane {
        Some(lane) => {
            let after = after.map(|leg| key::lane_leg(lane, leg));
            for (key, _) in list(view, &key::lane_legs(lane), after, limit)? {
                let Some(leg) = key::last_long(&key) else { continue };
                if let Ok(Some(leg)) = load::<LegRecord>(view, &key::leg(LegId(leg))) {
                    legs.push(leg);
                }
            }
        }
        None => {
            for (key, value) in list(view, &[key::table::LEG], after.map(key::leg), limit)? {
                legs.extend(LegRecord::decode(&value, &key));
            }
        }
    }
    Ok(legs)
}

/// The lanes at a glance: numbers from the schedule, the rest from the oldest leg of each.
pub(crate) fn lanes(view: &dyn View, lanes: Lanes) -> Result<Vec<LaneSummary>, Error> {
    let mut summaries = Vec::new();
    for (lane, numbers) in lanes {
        let oldest = legs(view, Some(&lane), None, 1)?.into_iter().next();
        summaries.push(LaneSummary {
            lane,
            legs: numbers.legs,
            held: numbers.held,
            oldest_ms: oldest.as_ref().map(|leg| leg.created_at_ms),
            next_due_ms: numbers.next_due_ms,
            last_error: oldest.and_then(|leg| leg.last_error),
        });
    }
    Ok(summaries)
}

/// The fullest lanes by age.
pub(crate) fn ages(
    view: &dyn View,
    lanes: Vec<(Lane, LaneNumbers, Vec<u64>)>,
) -> Result<Vec<LaneAges>, Error> {
    let (counts, lanes): (Vec<_>, Lanes) =
        lanes.into_iter().map(|(lane, numbers, counts)| (counts, (lane, numbers))).unzip();
    let summaries = self::lanes(view, lanes)?;
    Ok(summaries.into_iter().zip(counts).map(|(summary, counts)| LaneAges { summary, counts }).collect())
}

/// Makes the legs of a lane due now: those that wait for a later time, are not held and are released. A leg in which
/// a recipient waits for the answer of a next hop keeps its time: the next hop has said how soon it may be asked.
///
/// keeps: STA-4
pub(crate) fn release_lane(
    tx: &mut Transaction,
    lane: &Lane,
    now_ms: u64,
    claimed: &dyn Fn(LegId) -> bool,
) -> Result<usize, Error> {
    let from = key::lane_due(lane, now_ms.saturating_add(1), LegId(0));
    let to = key::lane_due(lane, u64::MAX, LegId(0));
    let mut count = 0;
    for (key, _) in tx.range(&from, &to, LIST_MAX)? {
        let Some(leg) = key::last_long(&key).map(LegId).filter(|leg| !claimed(*leg)) else { continue };
        let Ok(Some(record)) = load::<LegRecord>(tx, &key::leg(leg)) else { continue };
        // What waits for an answer, for its time or because it was asked to, waits on.
        if !record.unreached {
            continue;
        }
        let released = match load_envelope(tx, record.envelope) {
            Ok(Some(envelope)) => {
                let mut recipients =
                    record.recipients.iter().map(|place| envelope.recipients.get(*place as usize));
                envelope.release_at_ms.is_none_or(|at_ms| at_ms <= now_ms)
                    && !recipients.any(|one| one.is_some_and(|one| one.next_hop.is_some()))
            }
            _ => false,
        };
        if released {
            let held = record.held;
            move_leg(tx, record, now_ms, held)?;
            count += 1;
        }
    }
    Ok(count)
}
