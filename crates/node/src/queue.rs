//! The queue: claims what is due and hands it to workers. The truth is in the store; what is kept here is a hint.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use message::Cookie;
use message::address::Domain;
use storage::limits::CLOCK_FELL_MS;
use storage::{Claim, Lane, LegId, NextHop};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use crate::deliver::domain_of;
use crate::limits::{
    ABANDONED_MS, EXPIRE_MAX, POLL_COOKIES_MAX, UPKEEP_MS, WORKERS_MAX, WORKERS_PER_LANE_MAX,
    WORKERS_RESERVED,
};
use crate::{Courier, Event, Node};

/// Rings when there may be something to do, and remembers which lanes are in trouble.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    notify: Notify,
    troubled: Mutex<HashSet<Lane>>,
    /// Next hops that are to be told that we have stopped caring. A crash forgets them: they see that nobody polls.
    given_up: Mutex<Vec<NextHop>>,
}

impl Bell {
    pub(crate) fn ring(&self) {
        self.notify.notify_one();
    }

    pub(crate) fn to_tell(&self, hops: Vec<NextHop>) {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).extend(hops);
        self.ring();
    }

    fn take_given_up(&self) -> Vec<NextHop> {
        std::mem::take(&mut *self.given_up.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn troubled(&self, lane: &Lane) {
        self.troubled.lock().unwrap_or_else(PoisonError::into_inner).insert(lane.clone());
    }

    fn is_troubled(&self, lane: &Lane) -> bool {
        self.troubled.lock().unwrap_or_else(PoisonError::into_inner).contains(lane)
    }

    /// Whether the lane was in trouble; it is not any more.
    pub(crate) fn was_troubled(&self, lane: &Lane) -> bool {
        self.troubled.lock().unwrap_or_else(PoisonError::into_inner).remove(lane)
    }
}

/// The place of one worker, and its claim. Both are given back however the work has ended: one claim that cannot be worked on
/// does not hold up the others of its lane, and is not lost.
///
/// keeps: SEC-7, STO-16
struct Place {
    node: Node,
    lane: Lane,
    claim: (LegId, u64),
    done: mpsc::UnboundedSender<Lane>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let (leg, fence) = self.claim;
        // It has no effect where the claim was settled.
        self.node.store().let_go(leg, fence, self.node.now_ms().saturating_add(ABANDONED_MS));
        // The dispatcher is gone only where the node stops.
        let _ = self.done.send(self.lane.clone());
    }
}

/// Runs the queue of one node.
pub struct Dispatcher {
    node: Node,
    courier: Arc<dyn Courier>,
}

impl Node {
    /// The dispatcher of this node, which delivers by this courier.
    pub fn dispatcher(&self, courier: Arc<dyn Courier>) -> Dispatcher {
        Dispatcher { node: self.clone(), courier }
    }

    /// Has next hops told that we have stopped caring about these cookies of theirs.
    pub fn tell_given_up(&self, hops: Vec<NextHop>) {
        self.inner.queue.to_tell(hops);
    }

    /// Says that something in the queue may be due now, after an operator has changed it.
    pub fn wake_queue(&self) {
        self.inner.queue.ring();
    }

    /// Ends what is past its time now. What becomes so meanwhile has time until the next round.
    pub(crate) async fn expire_all(&self) -> Result<(), storage::Error> {
        let now_ms = self.now_ms();
        while self.store().expire(now_ms, EXPIRE_MAX).await? > 0 {}
        Ok(())
    }

    /// Removes what is past its time, round by round, for as long as the node runs.
    pub async fn upkeep(&self) {
        loop {
            if let Err(error) = self.expire_all().await {
                self.tell(Event::Trouble { what: format!("upkeep: {error}") });
            }
            let (store, now_ms) = (self.store().clone(), self.now_ms());
            if let Err(error) = self.blocking(move || store.sweep(now_ms)).await {
                self.tell(Event::Trouble { what: format!("partial transfers: {error}") });
            }
            for done in [self.sweep_memory().await, self.write_memory().await] {
                if let Err(error) = done {
                    self.tell(Event::Trouble {
                        what: format!("what is remembered of peers and refusals: {error}"),
                    });
                }
            }
            self.inner.clock.sleep_until(self.now_ms() + UPKEEP_MS).await;
        }
    }
}

impl Dispatcher {
    /// Claims and works until the future is dropped, and all workers with it. What is being worked on then is claimed
    /// again by the next start.
    pub async fn run(self) {
        let mut workers = JoinSet::new();
        let (done, mut finished) = mpsc::unbounded_channel::<Lane>();
        let mut busy: HashMap<Lane, usize> = HashMap::new();
        let mut working = 0_usize;
        let mut told_ms = self.latest_ms();
        loop {
            self.watch_clock(&mut told_ms).await;
            while let Ok(lane) = finished.try_recv() {
                release(&mut busy, &mut working, &lane);
            }
            while workers.try_join_next().is_some() {}
            self.tell_next_hops();
            self.node.poll_heard();
            let claims = self.claim(&busy, WORKERS_MAX - working).await;
            let more = !claims.is_empty();
            for claim in claims {
                *busy.entry(claim.leg.lane.clone()).or_default() += 1;
                working += 1;
                let (node, courier, done) = (self.node.clone(), self.courier.clone(), done.clone());
                let (lane, own) = (claim.leg.lane.clone(), (claim.leg.id, claim.fence));
                let place = Place { node: node.clone(), lane, claim: own, done };
                workers.spawn(async move {
                    node.work(claim, courier).await;
                    drop(place);
                });
            }
            if more && working < WORKERS_MAX {
                continue;
            }
            if let Some(lane) = self.wait(&mut finished, working).await {
                release(&mut busy, &mut working, &lane);
            }
        }
    }

    /// When the latest leg was made, as the clock said then.
    fn latest_ms(&self) -> u64 {
        self.node.store().latest_leg().ok().flatten().map_or(0, |leg| leg.created_at_ms)
    }

    /// Where the clock was set back since it was looked at last, the queue follows: what came under a clock that was ahead does not
    /// wait until it is that late. keeps: STO-32
    async fn watch_clock(&self, told_ms: &mut u64) {
        let (now_ms, before_ms) = (self.node.now_ms(), *told_ms);
        *told_ms = now_ms;
        if before_ms <= now_ms.saturating_add(CLOCK_FELL_MS) {
            return;
        }
        tracing::warn!(
            seconds = (before_ms - now_ms) / 1_000,
            "the clock was set back: what waits in the queue is due anew"
        );
        let mut after = None;
        loop {
            match self.node.store().clock_fell(after, now_ms).await {
                Ok(None) => return,
                Ok(last) => after = last,
                Err(error) => {
                    // The rest of them is looked at the next time.
                    *told_ms = before_ms;
                    let what = format!("after the clock was set back: {error}");
                    return self.node.tell(Event::Trouble { what });
                }
            }
        }
    }

    /// Tells next hops, in tasks of their own, what was given up since the last round.
    fn tell_next_hops(&self) {
        // In the order of their names, so that the same work is done in the same order each time.
        let mut by_domain: BTreeMap<Domain, Vec<Cookie>> = BTreeMap::new();
        for hop in self.node.inner.queue.take_given_up() {
            self.node.inner.hints.forget(&hop.cookie);
            if let Some(domain) = domain_of(&hop.lane) {
                by_domain.entry(domain).or_default().push(hop.cookie);
            }
        }
        for (domain, cookies) in by_domain {
            let courier = self.courier.clone();
            tokio::spawn(async move {
                for some in cookies.chunks(POLL_COOKIES_MAX) {
                    courier.give_up(&domain, some).await;
                }
            });
        }
    }

    async fn claim(&self, busy: &HashMap<Lane, usize>, room: usize) -> Vec<Claim> {
        if room == 0 {
            return Vec::new();
        }
        let now_ms = self.node.now_ms();
        let bell = &self.node.inner.queue;
        let may = |lane: &Lane, given| {
            let has = busy.get(lane).copied().unwrap_or(0) + given;
            may_have_another(has, room, || bell.is_troubled(lane))
        };
        match self.node.store().claim(now_ms, at_once(room), &may).await {
            Ok(claims) => claims,
            Err(error) => {
                self.node.tell(Event::Trouble { what: format!("claiming: {error}") });
                self.node.inner.clock.sleep_until(now_ms + 1_000).await;
                Vec::new()
            }
        }
    }

    /// Waits until a worker is free, the bell rings, or something is due.
    async fn wait(&self, finished: &mut mpsc::UnboundedReceiver<Lane>, working: usize) -> Option<Lane> {
        let now_ms = self.node.now_ms();
        let due_ms = match self.node.store().next_due(now_ms) {
            // While workers run, what is due now may be in a full lane: then a worker ends the wait.
            Ok(Some(due_ms)) if working > 0 => due_ms.max(now_ms + 50),
            Ok(Some(due_ms)) => due_ms,
            Ok(None) => now_ms + UPKEEP_MS,
            Err(_) => now_ms + 1_000,
        };
        let due_ms = due_ms.min(now_ms + UPKEEP_MS);
        tokio::select! {
            // In this order, and not by lot: what happens follows from what has happened before.
            biased;
            lane = finished.recv() => lane,
            () = self.node.inner.queue.notify.notified() => None,
            () = self.node.inner.clock.sleep_until(due_ms) => None,
        }
    }
}

/// Whether a lane that has so many workers gets another where `room` are free. The fewer are free, the fewer may one lane
/// have; and the last are for lanes that are in no trouble. So peers that are slow leave some to the others.
///
/// keeps: SEC-9
fn may_have_another(has: usize, room: usize, troubled: impl FnOnce() -> bool) -> bool {
    let share = WORKERS_PER_LANE_MAX.min((room / 2).max(1));
    has < share && (room > WORKERS_RESERVED || !troubled())
}

/// How many are claimed at once where `room` are free: a part of them, after which shares are looked at again.
fn at_once(room: usize) -> usize {
    let before_the_reserve = room.saturating_sub(WORKERS_RESERVED);
    let most = if before_the_reserve > 0 { before_the_reserve } else { room };
    (room / 4).clamp(1, most.clamp(1, WORKERS_PER_LANE_MAX))
}

fn release(busy: &mut HashMap<Lane, usize>, working: &mut usize, lane: &Lane) {
    *working = working.saturating_sub(1);
    if let Some(count) = busy.get_mut(lane) {
        *count -= 1;
        if *count == 0 {
            busy.remove(lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The workers, as lanes with more mail than there are workers take what they are given.
    #[derive(Default)]
    struct Workers(HashMap<usize, usize>);

    impl Workers {
        fn free(&self) -> usize {
            WORKERS_MAX - self.0.values().sum::<usize>()
        }

        /// One lane alone has something due; returns how many it has then.
        fn take(&mut self, lane: usize, troubled: bool) -> usize {
            loop {
                let (room, before) = (self.free(), self.0.get(&lane).copied().unwrap_or(0));
                let mut has = before;
                while room > 0 && has - before < at_once(room) && may_have_another(has, room, || troubled) {
                    has += 1;
                }
                if has == before {
                    return has;
                }
                self.0.insert(lane, has);
            }
        }
    }

    /// Peers that never answer come one after the other. Each leaves something; and however many they are, once they are known
    /// to be in trouble the last workers are not for them.
    ///
    /// proves: SEC-9
    #[test]
    fn slow_lanes_leave_some_to_the_others() {
        let mut workers = Workers::default();
        assert_eq!(workers.take(0, false), 64, "one alone has as many as one may");
        let got: Vec<usize> = (1..8).map(|lane| workers.take(lane, false)).collect();
        assert!(got.is_sorted_by(|a, b| a >= b) && got.iter().all(|got| *got > 0), "{got:?}");
        let mut workers = Workers::default();
        let got: Vec<usize> = (0..300).map(|lane| workers.take(lane, true)).collect();
        assert_eq!(workers.free(), 32, "{got:?}");
        // Those that are in no trouble get them, the last one too.
        let got: Vec<usize> = (300..340).map(|lane| workers.take(lane, false)).collect();
        assert!(got[0] > 1 && got.iter().filter(|got| **got > 0).count() > 5, "{got:?}");
        assert_eq!(workers.free(), 0);
    }

    /// Any lane that may is given some, and none is claimed for whom nobody may.
    #[test]
    fn where_there_is_room_somebody_gets_it() {
        for room in 1..=WORKERS_MAX {
            assert!((1..=room.min(WORKERS_PER_LANE_MAX)).contains(&at_once(room)), "{room}");
            assert!(may_have_another(0, room, || false), "{room}");
            assert_eq!(may_have_another(0, room, || true), room > WORKERS_RESERVED, "{room}");
            assert!(!may_have_another(WORKERS_PER_LANE_MAX, room, || false), "{room}");
        }
    }
}
