//! Room in memory for messages that leave for the old world, where a message has to be whole. Small, middling and large ones
//! have rooms of their own, so that none waits for larger ones. Those of a room come in the order in which they have asked: who
//! finds no room gives its worker back to the queue, and keeps its place until it comes again. A few wait with their workers.
//!
//! keeps: GW-109

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use message::Identity;
use message::address::Domain;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;
/// Octets that one message may need at the most, and what there is for large ones together.
pub(super) const ROOM_OCTETS_MAX: u32 = 256 * MIB;
/// How long a message waits with a worker of the queue, which has it come again after as long.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// For how long a place is kept for whoever does not come: far longer than the queue takes, and what has expired meanwhile
/// keeps others waiting no longer than that.
const PLACE_KEPT: Duration = Duration::from_secs(120);
/// Messages that have a place in one room; who comes when there are more waits without one.
const PLACES_MAX: usize = 1_000;
/// And those of one holder among them.
const PLACES_OF_ONE_MAX: usize = PLACES_MAX / 4;

/// Which message, where it goes, and under whom it counts.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) message: Identity,
    pub(super) to: Domain,
    pub(super) holder: String,
}

/// The rooms, and who waits.
pub(crate) struct Room {
    small: Class,
    middling: Class,
    large: Class,
}

/// Messages of about one size, and the room that they share.
struct Class {
    /// What one of them needs at the most.
    one_max: u32,
    /// What one of them takes at the most: half of the room, so that no message has to wait until all others have left.
    cost_max: u32,
    room: Arc<Semaphore>,
    /// Who may wait with a worker of the queue.
    workers: Semaphore,
    places: Mutex<Vec<Place>>,
}

/// A place in the row: room is put aside for it as it gets free, whether somebody waits with it or not.
struct Place {
    wanted: Wanted,
    turn: Turn,
    left_at: Instant,
}

type Turn = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

impl Room {
    pub(crate) fn new() -> Room {
        Room {
            // A message of 256 KiB needs 600 while its legacy form is made. There are 128 for each worker of the queue, which most
            // do not need; they leave soon, so some more may wait.
            small: Class::new(600 * KIB, 32 * MIB, 64),
            middling: Class::new(8 * MIB, 64 * MIB, 8),
            large: Class::new(ROOM_OCTETS_MAX, ROOM_OCTETS_MAX, 8),
        }
    }

    /// Room for a message that needs so many octets, no more than [`ROOM_OCTETS_MAX`]; none where there is none now, and who
    /// wants it is to come again.
    pub(super) async fn take(&self, wanted: &Wanted, octets: u32) -> Option<OwnedSemaphorePermit> {
        let classes = [&self.small, &self.middling];
        let class = classes.into_iter().find(|class| octets <= class.one_max).unwrap_or(&self.large);
        class.take(wanted, octets).await
    }
}

impl Class {
    fn new(one_max: u32, all: u32, workers: usize) -> Class {
        Class {
            one_max,
            cost_max: all / 2,
            room: Arc::new(Semaphore::new(all as usize)),
            workers: Semaphore::new(workers),
            places: Mutex::default(),
        }
    }

    async fn take(&self, wanted: &Wanted, octets: u32) -> Option<OwnedSemaphorePermit> {
        let mut turn = self.place_of(wanted).unwrap_or_else(|| {
            let room = self.room.clone();
            Box::pin(room.acquire_many_owned(octets.min(self.cost_max)))
        });
        // What is there at once is had without waiting; else this is where it gets its place in the row.
        let at_once = std::future::poll_fn(|context| Poll::Ready(turn.as_mut().poll(context))).await;
        if let Poll::Ready(room) = at_once {
            return room.ok();
        }
        if let Ok(_worker) = self.workers.try_acquire()
            && let Ok(room) = timeout(WAIT_MAX, &mut turn).await
        {
            return room.ok();
        }
        self.keep(wanted, turn);
        None
    }

    /// The place that somebody has had before.
    fn place_of(&self, wanted: &Wanted) -> Option<Turn> {
        let mut places = self.places();
        let at = places.iter().position(|place| place.wanted == *wanted)?;
        Some(places.remove(at).turn)
    }

    /// Nobody has so many places that others would have none.
    fn keep(&self, wanted: &Wanted, turn: Turn) {
        let mut places = self.places();
        let of_one = places.iter().filter(|place| place.wanted.holder == wanted.holder).count();
        if places.len() < PLACES_MAX && of_one < PLACES_OF_ONE_MAX {
            places.push(Place { wanted: wanted.clone(), turn, left_at: Instant::now() });
        }
    }

    /// All places but those of who has not come.
    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|place| place.left_at.elapsed() < PLACE_KEPT);
        places
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    fn wanted_by(holder: &str, number: u32) -> Wanted {
        let mut identity = [0; 32];
        identity[..4].copy_from_slice(&number.to_be_bytes());
        Wanted {
            message: Identity::from_bytes(identity),
            to: Domain::parse("far.test").unwrap(),
            holder: holder.to_owned(),
        }
    }

    fn wanted(number: u32) -> Wanted {
        wanted_by("account:ann", number)
    }

    /// All of the room for large ones, as what is under way has it.
    async fn all_of(room: &Room) -> Vec<OwnedSemaphorePermit> {
        let mut all = Vec::new();
        for number in 0..16 {
            all.push(room.take(&wanted(number), 16 * MIB).await.unwrap());
        }
        all
    }

    /// proves: GW-109
    #[tokio::test(start_paused = true)]
    async fn large_ones_without_room_hold_few_workers_and_small_ones_wait_for_none() {
        let room = Arc::new(Room::new());
        let _large = all_of(&room).await;
        let mut middling = Vec::new();
        for number in 100..108 {
            middling.push(room.take(&wanted(number), 8 * MIB).await.unwrap());
        }
        // One user sends 20 MiB to 300 domains, and something less to as many.
        let began = Instant::now();
        let mut workers = tokio::task::JoinSet::new();
        for number in 1_000..1_600 {
            let room = room.clone();
            let octets = if number < 1_300 { 47 * MIB } else { 2 * MIB };
            workers.spawn(async move { room.take(&wanted(number), octets).await.is_some() });
        }
        for _ in 0..600 - 16 {
            assert!(!workers.join_next().await.unwrap().unwrap());
        }
        assert_eq!((began.elapsed(), workers.len()), (Duration::ZERO, 16), "eight of each wait");
        // The largest of the small ones have room at once meanwhile.
        let mut small = Vec::new();
        for number in 2_000..2_050 {
            small.push(room.take(&wanted(number), 600 * KIB).await.unwrap());
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        while workers.join_next().await.is_some() {}
        assert_eq!(began.elapsed(), WAIT_MAX, "and the others are away after ten seconds");
    }

    /// proves: GW-109
    #[tokio::test(start_paused = true)]
    async fn small_ones_have_their_bound_too() {
        let room = Room::new();
        let mut small = Vec::new();
        for number in 0..54 {
            small.push(room.take(&wanted(number), 600 * KIB).await.unwrap());
        }
        assert!(room.take(&wanted(100), 600 * KIB).await.is_none());
        small.pop();
        // One that is smaller does not go before it.
        assert!(room.take(&wanted(101), 500 * KIB).await.is_none());
        assert!(room.take(&wanted(100), 600 * KIB).await.is_some());
        assert!(room.take(&wanted(101), 500 * KIB).await.is_some());
    }

    /// Each time that one of the smaller ones is sent, another one is there already: without a place the largest would never
    /// find room for all of it at once.
    ///
    /// proves: GW-109
    #[tokio::test(start_paused = true)]
    async fn who_gives_its_worker_back_keeps_its_place() {
        let room = Room::new();
        let mut under_way = all_of(&room).await;
        let largest = wanted(100);
        assert!(room.take(&largest, 100 * MIB).await.is_none());
        // While it is away, others ask, and room gets free bit by bit.
        for number in 101..107 {
            assert!(room.take(&wanted(number), 16 * MIB).await.is_none());
            under_way.pop();
        }
        assert!(room.take(&largest, 100 * MIB).await.is_none(), "96 are free");
        under_way.pop();
        let room_for_it = room.take(&largest, 100 * MIB).await;
        assert!(room_for_it.is_some_and(|room| room.num_permits() == (100 * MIB) as usize));
        // Then it is the turn of those behind it, in their order.
        for number in 101..107 {
            assert!(room.take(&wanted(number), 16 * MIB).await.is_some());
        }
        assert!(room.large.places().is_empty());
    }

    /// proves: GW-109
    #[tokio::test(start_paused = true)]
    async fn the_largest_takes_half_of_the_room() {
        let room = Room::new();
        let mut under_way = all_of(&room).await;
        let largest = wanted(100);
        assert!(room.take(&largest, ROOM_OCTETS_MAX).await.is_none());
        under_way.truncate(8);
        let room_for_it = room.take(&largest, ROOM_OCTETS_MAX).await.unwrap();
        assert_eq!(room_for_it.num_permits(), (ROOM_OCTETS_MAX / 2) as usize);
    }

    /// proves: GW-109
    #[tokio::test(start_paused = true)]
    async fn who_does_not_come_again_keeps_nobody_waiting() {
        let room = Room::new();
        let all = all_of(&room).await;
        assert!(room.take(&wanted(101), 128 * MIB).await.is_none());
        assert!(room.take(&wanted(102), 128 * MIB).await.is_none());
        drop(all);
        assert!(room.take(&wanted(103), 16 * MIB).await.is_none(), "all of it is put aside for the others");
        tokio::time::advance(PLACE_KEPT).await;
        assert!(room.take(&wanted(103), 16 * MIB).await.is_some());
    }

    /// proves: GW-109
    #[tokio::test(start_paused = true)]
    async fn places_are_bounded_and_one_holder_has_a_quarter_of_them() {
        let room = Room::new();
        let _all = all_of(&room).await;
        let ask = |holder: &str, number: u32| {
            let wanted = wanted_by(holder, number);
            let mut turn: Turn = Box::pin(room.large.room.clone().acquire_many_owned(16 * MIB));
            assert!(turn.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            room.large.keep(&wanted, turn);
        };
        (0..PLACES_MAX as u32).for_each(|number| ask("account:eve", number));
        assert_eq!(room.large.places().len(), PLACES_OF_ONE_MAX);
        for holder in ["account:ann", "account:bob", "smtp:far.test", "smtp:old.test"] {
            (0..PLACES_MAX as u32).for_each(|number| ask(holder, number));
        }
        assert_eq!(room.large.places().len(), PLACES_MAX);
    }
}
