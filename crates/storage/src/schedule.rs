//! The schedule beside the queue: which lane is due when, whose turn it is, which legs are claimed. It holds no truth:
//! it is built from the store when that is opened, and a restart voids all claims.
//!
//! Each lane has a *head*, the first of its legs that is not claimed. Lanes whose head is due stand in a line and are
//! served in turn, one leg at a time; the others wait in the order of their heads. So a claim costs in proportion to
//! what it takes, however long the queue is.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::ages::{self, Ages};
use crate::engine::View;
use crate::limits::PASSED_OVER_MAX;
use crate::transaction::QueueChange;
use crate::{Error, Lane, LegId, key};

/// Keys that are read at a time while looking for a leg that is not claimed.
const PAGE: usize = 16;
/// Keys that are read at a time when the schedule is built.
const BUILD_PAGE: usize = 4096;

/// The schedule.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    lanes: BTreeMap<Lane, LaneState>,
    /// Lanes in the order of their heads.
    waiting: BTreeSet<(u64, Lane)>,
    /// Lanes that are due, in the order of their turns.
    ready: BTreeMap<u64, Lane>,
    next_turn: u64,
    claims: HashMap<LegId, Claimed>,
    given_back: BTreeSet<(u64, LegId)>,
    quarantined: HashSet<LegId>,
    fence: u64,
}

#[derive(Debug, Default)]
struct LaneState {
    legs: u64,
    held: u64,
    head: Option<(u64, LegId)>,
    turn: Option<u64>,
    ages: Ages,
}

#[derive(Debug)]
struct Claimed {
    fence: u64,
    /// Whether a settlement has shown it.
    shown: bool,
    /// When it ends by itself: set once it was given back without a settlement.
    ends_ms: Option<u64>,
    lane: Lane,
    due_ms: u64,
    held: bool,
}

/// The numbers of one lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneNumbers {
    pub(crate) legs: u64,
    pub(crate) held: u64,
    pub(crate) next_due_ms: Option<u64>,
}

/// Lanes with their numbers.
pub(crate) type Lanes = Vec<(Lane, LaneNumbers)>;

/// Lanes that one claim leaves out, with their turns.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    aside: Vec<(u64, Lane)>,
}

impl Schedule {
    /// Builds the schedule from the index of the lanes. Fences begin above `fence`.
    pub(crate) fn build(view: &dyn View, fence: u64) -> Result<Schedule, Error> {
        let mut schedule = Schedule { fence, ..Schedule::default() };
        let mut from = vec![key::table::LANE_DUE];
        let to = key::after_prefix(&from);
        let mut legs = Vec::new();
        loop {
            let page = view.range(&from, &to, BUILD_PAGE)?;
            let Some((last, _)) = page.last() else { break };
            from = key::successor(last);
            for (key, _) in &page {
                // What is no such key stays for the check to report.
                if let Some((lane, due_ms, leg)) = read_lane_due(key) {
                    // The keys are in the order of the lanes: one that is not known yet is the last.
                    let known = schedule.lanes.contains_key(&lane);
                    legs.push((leg, schedule.lanes.len() - usize::from(known)));
                    let state = schedule.lanes.entry(lane).or_default();
                    state.legs += 1;
                    state.held += u64::from(due_ms == u64::MAX);
                    if due_ms < u64::MAX && state.head.is_none() {
                        state.head = Some((due_ms, leg));
                    }
                }
            }
        }
        legs.sort_unstable_by_key(|(leg, _)| *leg);
        let mut counted = vec![Ages::default(); schedule.lanes.len()];
        ages::count(view, &legs, &mut counted)?;
        for (state, ages) in schedule.lanes.values_mut().zip(counted) {
            state.ages = ages;
        }
        let waiting = schedule.lanes.iter().filter_map(|(lane, state)| Some((state.head?.0, lane.clone())));
        schedule.waiting = waiting.collect();
        Ok(schedule)
    }

    /// Ends claims that were given back and puts the lanes that have become due into the line.
    pub(crate) fn wake(&mut self, now_ms: u64) {
        while let Some((ends_ms, leg)) = self.given_back.first().copied()
            && ends_ms <= now_ms
        {
            if let Some(claim) = self.end_claim(leg)
                && !claim.held
            {
                self.bring_forward(&claim.lane, (claim.due_ms, leg));
            }
        }
        while let Some((due_ms, _)) = self.waiting.first()
            && *due_ms <= now_ms
        {
            let Some((_, lane)) = self.waiting.pop_first() else { break };
            self.line_up(lane);
        }
    }

    pub(crate) fn begin_turn(&self) -> Turn {
        Turn::default()
    }

    /// Puts the lanes that were left out back into their places in the line; behind all others where a whole turn went past
    /// nothing else, so that the next one comes to those.
    pub(crate) fn end_turn(&mut self, turn: Turn) {
        if turn.aside.len() < PASSED_OVER_MAX {
            self.ready.extend(turn.aside);
        } else {
            turn.aside.into_iter().for_each(|(_, lane)| self.line_up(lane));
        }
    }

    /// The next leg that is due, of the lane whose turn it is.
    pub(crate) fn take_next(
        &mut self,
        view: &dyn View,
        turn: &mut Turn,
        now_ms: u64,
        may: &dyn Fn(&Lane) -> bool,
    ) -> Result<Option<(LegId, u64, Lane)>, Error> {
        while turn.aside.len() < PASSED_OVER_MAX
            && let Some((number, lane)) = self.ready.pop_first()
        {
            if !may(&lane) {
                turn.aside.push((number, lane));
                continue;
            }
            let head = self.lanes.get_mut(&lane).and_then(|state| {
                state.turn = None;
                state.head
            });
            let Some((due_ms, leg)) = head else { continue };
            if due_ms > now_ms {
                self.waiting.insert((due_ms, lane));
                continue;
            }
            let next = match self.first_unclaimed(view, &lane, Some((due_ms, leg))) {
                Ok(next) => next,
                Err(error) => {
                    self.line_up(lane);
                    return Err(error);
                }
            };
            self.set_head(&lane, next);
            if next.is_some_and(|(due_ms, _)| due_ms <= now_ms) {
                self.waiting.remove(&(next.map_or(0, |(due_ms, _)| due_ms), lane.clone()));
                self.line_up(lane.clone());
            }
            return Ok(Some((leg, due_ms, lane)));
        }
        Ok(None)
    }

    /// Claims a leg and returns the fence of the claim.
    pub(crate) fn claim(&mut self, leg: LegId, lane: &Lane, due_ms: u64) -> u64 {
        self.fence += 1;
        let claim = Claimed {
            fence: self.fence,
            shown: false,
            ends_ms: None,
            lane: lane.clone(),
            due_ms,
            held: false,
        };
        self.claims.insert(leg, claim);
        self.fence
    }

    /// Ends a claim at this time, if it is still the current one.
    pub(crate) fn let_go(&mut self, leg: LegId, fence: u64, ends_ms: u64) {
        if let Some(claim) = self.claims.get_mut(&leg).filter(|claim| claim.fence == fence) {
            if let Some(before_ms) = claim.ends_ms.replace(ends_ms) {
                self.given_back.remove(&(before_ms, leg));
            }
            self.given_back.insert((ends_ms, leg));
        }
    }

    /// Ends the claims that were given back.
    pub(crate) fn end_given_back(&mut self, now_ms: u64) {
        let legs: Vec<_> = std::mem::take(&mut self.given_back).into_iter().map(|(_, leg)| leg).collect();
        for leg in legs {
            if let Some(claim) = self.claims.get_mut(&leg) {
                claim.ends_ms = Some(now_ms);
            }
            self.given_back.insert((now_ms, leg));
        }
    }

    /// Leaves a leg alone whose records cannot be read.
    pub(crate) fn quarantine(&mut self, leg: LegId) {
        self.quarantined.insert(leg);
    }

    /// Takes the fence of a claim for a settlement: from here on no other settlement can show it.
    pub(crate) fn take_fence(&mut self, leg: LegId, fence: u64) -> Result<(), Error> {
        match self.claims.get_mut(&leg) {
            Some(claim) if claim.fence == fence && !claim.shown => {
                claim.shown = true;
                Ok(())
            }
            _ => Err(Error::Stale),
        }
    }

    /// Gives a fence back where the settlement was not carried out.
    pub(crate) fn return_fence(&mut self, leg: LegId, fence: u64) {
        if let Some(claim) = self.claims.get_mut(&leg).filter(|claim| claim.fence == fence) {
            claim.shown = false;
        }
    }

    /// Whether somebody has it who will say when it is due; who has given it back does not.
    pub(crate) fn is_worked_on(&self, leg: LegId) -> bool {
        self.claims.get(&leg).is_some_and(|claim| claim.ends_ms.is_none() || claim.shown)
    }

    pub(crate) fn is_claimed(&self, leg: LegId) -> bool {
        self.claims.contains_key(&leg)
    }

    /// When there is something to claim, or a claim ends that was given back.
    pub(crate) fn next_due(&self, now_ms: u64) -> Option<u64> {
        let ready = (!self.ready.is_empty()).then_some(now_ms);
        let waiting = self.waiting.first().map(|(due_ms, _)| *due_ms);
        let claim = self.given_back.first().map(|(ends_ms, _)| *ends_ms);
        [ready, waiting, claim].into_iter().flatten().min().map(|due_ms| due_ms.max(now_ms))
    }

    /// The lanes after the given one.
    pub(crate) fn lanes(&self, after: Option<&Lane>, limit: usize) -> Lanes {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let lanes = self.lanes.range((from, std::ops::Bound::Unbounded));
        lanes.take(limit).map(|(lane, state)| (lane.clone(), state.numbers())).collect()
    }

    /// The fullest lanes, each with the counts of its legs by age, and how many lanes there are beyond those.
    pub(crate) fn ages(
        &self,
        now_ms: u64,
        bounds_ms: &[u64],
        limit: usize,
    ) -> (Vec<(Lane, LaneNumbers, Vec<u64>)>, u64) {
        let mut fullest: Vec<(&Lane, &LaneState)> = self.lanes.iter().collect();
        fullest.sort_by_key(|(_, state)| std::cmp::Reverse(state.legs));
        let more = fullest.len().saturating_sub(limit) as u64;
        let shown = fullest.into_iter().take(limit);
        (
            shown
                .map(|(lane, state)| (lane.clone(), state.numbers(), state.ages.below(now_ms, bounds_ms)))
                .collect(),
            more,
        )
    }

    /// Legs, lanes, claimed legs, quarantined legs.
    pub(crate) fn counts(&self) -> [u64; 4] {
        let legs = self.lanes.values().map(|state| state.legs).sum();
        [legs, self.lanes.len() as u64, self.claims.len() as u64, self.quarantined.len() as u64]
    }

    /// Takes in what a commit has changed.
    pub(crate) fn apply(&mut self, view: &dyn View, change: QueueChange) {
        match change {
            QueueChange::Added { lane, leg, due_ms, created_at_ms } => {
                let state = self.lanes.entry(lane.clone()).or_default();
                state.legs += 1;
                state.ages.add(created_at_ms);
                self.bring_forward(&lane, (due_ms, leg));
            }
            QueueChange::Moved { lane, leg, due_ms, held_before, held } => {
                if let Some(state) = self.lanes.get_mut(&lane) {
                    state.held = state.held.saturating_sub(held_before.into()) + u64::from(held);
                }
                // Who gave it back does not work on it: whoever moves it says when it is due.
                if self.claims.get(&leg).is_some_and(|claim| claim.ends_ms.is_some() && !claim.shown) {
                    self.end_claim(leg);
                }
                if let Some(claim) = self.claims.get_mut(&leg) {
                    claim.due_ms = due_ms;
                    claim.held = held;
                }
                self.reconsider(view, &lane, leg);
                if !held {
                    self.bring_forward(&lane, (due_ms, leg));
                }
            }
            QueueChange::Removed { lane, leg, held, created_at_ms } => {
                self.end_claim(leg);
                if let Some(state) = self.lanes.get_mut(&lane) {
                    state.legs = state.legs.saturating_sub(1);
                    state.held = state.held.saturating_sub(held.into());
                    state.ages.remove(created_at_ms);
                }
                self.reconsider(view, &lane, leg);
                if self.lanes.get(&lane).is_some_and(|state| state.legs == 0) {
                    self.set_head(&lane, None);
                    self.lanes.remove(&lane);
                }
            }
            QueueChange::Unclaimed(leg, fence) => {
                if self.claims.get(&leg).is_some_and(|claim| claim.fence == fence) {
                    self.end_claim(leg);
                }
            }
        }
    }

    /// Finds the head of a lane anew where it was this leg.
    fn reconsider(&mut self, view: &dyn View, lane: &Lane, leg: LegId) {
        let was_head = self.lanes.get(lane).and_then(|state| state.head).is_some_and(|(_, head)| head == leg);
        if was_head {
            // Where the engine cannot be read, the old head stays: a claim that finds no such leg goes on.
            if let Ok(head) = self.first_unclaimed(view, lane, None) {
                self.set_head(lane, head);
            }
        }
    }

    /// Makes a leg the head of its lane where it comes before the one that is.
    pub(crate) fn bring_forward(&mut self, lane: &Lane, leg: (u64, LegId)) {
        let Some(state) = self.lanes.get(lane) else { return };
        let claimed = self.claims.contains_key(&leg.1) || self.quarantined.contains(&leg.1);
        if !claimed && state.head.is_none_or(|head| leg < head) {
            self.set_head(lane, Some(leg));
        }
    }

    /// Sets the head of a lane and its place among those that wait. A lane in the line stays there: when its turn
    /// comes, its head is looked at.
    fn set_head(&mut self, lane: &Lane, head: Option<(u64, LegId)>) {
        let Some(state) = self.lanes.get_mut(lane) else { return };
        if let Some((due_ms, _)) = state.head {
            self.waiting.remove(&(due_ms, lane.clone()));
        }
        state.head = head;
        match (head, state.turn) {
            (None, Some(turn)) => {
                self.ready.remove(&turn);
                state.turn = None;
            }
            (Some((due_ms, _)), None) => {
                self.waiting.insert((due_ms, lane.clone()));
            }
            _ => {}
        }
    }

    /// Puts a lane at the end of the line.
    fn line_up(&mut self, lane: Lane) {
        if let Some(state) = self.lanes.get_mut(&lane) {
            self.next_turn += 1;
            state.turn = Some(self.next_turn);
            self.ready.insert(self.next_turn, lane);
        }
    }

    fn end_claim(&mut self, leg: LegId) -> Option<Claimed> {
        let claim = self.claims.remove(&leg)?;
        if let Some(ends_ms) = claim.ends_ms {
            self.given_back.remove(&(ends_ms, leg));
        }
        Some(claim)
    }

    /// The first leg of a lane after the given one that nobody has claimed. The given one is none of them, wherever it
    /// stands: a commit may have moved it, of which the schedule has not heard yet.
    fn first_unclaimed(
        &self,
        view: &dyn View,
        lane: &Lane,
        after: Option<(u64, LegId)>,
    ) -> Result<Option<(u64, LegId)>, Error> {
        let mut from = match after {
            Some((due_ms, leg)) => key::successor(&key::lane_due(lane, due_ms, leg)),
            None => key::lane_dues(lane),
        };
        let to = key::lane_due(lane, u64::MAX, LegId(0));
        loop {
            let page = view.range(&from, &to, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(None) };
            from = key::successor(last);
            let free = page
                .iter()
                .filter_map(|(key, _)| read_lane_due(key))
                .filter(|(_, _, leg)| after.is_none_or(|(_, taken)| taken != *leg))
                .find(|(_, _, leg)| !self.claims.contains_key(leg) && !self.quarantined.contains(leg));
            if let Some((_, due_ms, leg)) = free {
                return Ok(Some((due_ms, leg)));
            }
        }
    }
}

impl LaneState {
    fn numbers(&self) -> LaneNumbers {
        LaneNumbers { legs: self.legs, held: self.held, next_due_ms: self.head.map(|(due_ms, _)| due_ms) }
    }
}

/// Reads a key of the index of the lanes.
pub(crate) fn read_lane_due(key: &[u8]) -> Option<(Lane, u64, LegId)> {
    let name = key.get(1..key.len().checked_sub(17)?)?;
    let lane = Lane::new(std::str::from_utf8(name).ok()?).ok()?;
    Some((lane, key::long_before(key, 8)?, LegId(key::last_long(key)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, Engine, Memory};

    /// A leg is hastened in the moment in which it is claimed: the engine has moved it, the schedule does not know yet.
    ///
    /// proves: STO-16
    #[test]
    fn a_leg_that_moves_while_it_is_claimed_is_claimed_once() {
        let (engine, lane, leg) = (Memory::new(), Lane::new("far.test").unwrap(), LegId(7));
        let mut batch = Batch::default();
        batch.put(key::lane_due(&lane, 10, leg), Vec::new());
        engine.apply(&batch).unwrap();
        let mut schedule = Schedule::build(&engine, 0).unwrap();
        let mut batch = Batch::default();
        batch.remove(key::lane_due(&lane, 10, leg));
        batch.put(key::lane_due(&lane, 12, leg), Vec::new());
        engine.apply(&batch).unwrap();
        schedule.wake(20);
        let mut turn = schedule.begin_turn();
        let taken = schedule.take_next(&engine, &mut turn, 20, &|_| true).unwrap();
        assert_eq!(taken, Some((leg, 10, lane.clone())));
        let fence = schedule.claim(leg, &lane, 10);
        let moved = QueueChange::Moved { lane, leg, due_ms: 12, held_before: false, held: false };
        for heard in [false, true] {
            if heard {
                schedule.apply(&engine, moved.clone());
            }
            schedule.wake(20);
            assert_eq!(schedule.take_next(&engine, &mut turn, 20, &|_| true), Ok(None), "heard: {heard}");
        }
        assert_eq!(schedule.take_fence(leg, fence), Ok(()));
    }

    /// So many lanes may not have another worker that one claim does not go past them all. Who stands behind them has its turn
    /// in the next, and each of them keeps a place.
    ///
    /// proves: SEC-9
    #[test]
    fn one_claim_goes_past_so_many_and_the_next_goes_on() {
        let engine = Memory::new();
        let slow = |number: usize| Lane::new(&format!("{number:05}.slow.test")).unwrap();
        let quick = Lane::new("zoe.test").unwrap();
        let mut batch = Batch::default();
        let lanes = (0..PASSED_OVER_MAX + 500).map(slow).chain([quick.clone()]);
        for (number, lane) in lanes.enumerate() {
            // The quick one is due last, and so the last in the line.
            batch.put(key::lane_due(&lane, 10 + number as u64, LegId(number as u64)), Vec::new());
        }
        engine.apply(&batch).unwrap();
        let mut schedule = Schedule::build(&engine, 0).unwrap();
        schedule.wake(100_000);
        let mut claim = |may: &dyn Fn(&Lane) -> bool| {
            let mut turn = schedule.begin_turn();
            let taken = schedule.take_next(&engine, &mut turn, 100_000, may).unwrap();
            schedule.end_turn(turn);
            taken.map(|(_, _, lane)| lane)
        };
        assert_eq!(claim(&|lane| *lane == quick), None);
        assert_eq!(claim(&|lane| *lane == quick), Some(quick));
        // The first of those that were not gone past is the first now, and all are there.
        let mut all: BTreeSet<Lane> = BTreeSet::new();
        while let Some(lane) = claim(&|_| true) {
            assert!(all.insert(lane), "each has one leg");
        }
        assert_eq!(all.len(), PASSED_OVER_MAX + 500);
    }
}
