//! Room in memory for messages that leave for the old world, where a message has to be whole. Small ones and large ones have
//! rooms of their own, so that neither waits for the others. Large ones come in the order in which they have asked: who finds
//! no room for some seconds gives its worker back to the queue, and keeps its place until it comes again.
//!
//! keeps: GW-109

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use message::Identity;
use message::address::Domain;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// Octets of large messages at a time, and of one at the most.
pub(super) const LARGE_OCTETS_MAX: u32 = 256 * 1024 * 1024;
/// Octets of small ones at a time.
const SMALL_OCTETS_MAX: u32 = 64 * 1024 * 1024;
/// Up to so many octets a message is a small one: nearly all are, and eight of them go at a time whatever they have.
const SMALL_MESSAGE_OCTETS_MAX: u32 = 8 * 1024 * 1024;
/// How long a message waits with a worker of the queue; it comes again after a second.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// For how long a place is kept for whoever does not come: far longer than the queue takes, and what has expired meanwhile
/// keeps others waiting no longer than that.
const PLACE_KEPT: Duration = Duration::from_secs(120);
/// Large messages that have a place; who comes when there are more waits without one.
const PLACES_MAX: usize = 1_000;

/// Which message, and where it goes.
pub(super) type Wanted = (Identity, Domain);

/// The rooms, and who waits.
pub(crate) struct Room {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    places: Mutex<Vec<Place>>,
}

/// A place in the row of the large ones: room is put aside for it as it gets free, whether somebody waits with it or not.
struct Place {
    wanted: Wanted,
    turn: Turn,
    left_at: Instant,
}

type Turn = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

impl Room {
    pub(crate) fn new() -> Room {
        let room = |octets: u32| Arc::new(Semaphore::new(octets as usize));
        Room { small: room(SMALL_OCTETS_MAX), large: room(LARGE_OCTETS_MAX), places: Mutex::default() }
    }

    /// Room for so many octets, no more than [`LARGE_OCTETS_MAX`]; none where there is none now, and who wants it is to come
    /// again.
    pub(super) async fn take(&self, wanted: &Wanted, octets: u32) -> Option<OwnedSemaphorePermit> {
        if octets <= SMALL_MESSAGE_OCTETS_MAX {
            return timeout(WAIT_MAX, self.small.clone().acquire_many_owned(octets)).await.ok()?.ok();
        }
        let mut turn = self.place_of(wanted).unwrap_or_else(|| {
            let large = self.large.clone();
            Box::pin(large.acquire_many_owned(octets))
        });
        match timeout(WAIT_MAX, &mut turn).await {
            Ok(room) => room.ok(),
            Err(_) => {
                self.keep(wanted, turn);
                None
            }
        }
    }

    /// The place that somebody has had before.
    fn place_of(&self, wanted: &Wanted) -> Option<Turn> {
        let mut places = self.places();
        let at = places.iter().position(|place| place.wanted == *wanted)?;
        Some(places.remove(at).turn)
    }

    fn keep(&self, wanted: &Wanted, turn: Turn) {
        let mut places = self.places();
        if places.len() < PLACES_MAX {
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
    use super::*;

    const MIB: u32 = 1024 * 1024;

    fn wanted(number: u8) -> Wanted {
        (Identity::from_bytes([number; 32]), Domain::parse("far.test").unwrap())
    }

    /// proves: GW-109
    #[tokio::test(start_paused = true)]
    async fn small_ones_wait_for_no_large_one_and_large_ones_for_no_small_one() {
        let room = Room::new();
        let large = room.take(&wanted(1), LARGE_OCTETS_MAX).await;
        assert!(large.is_some());
        let began = Instant::now();
        assert!(room.take(&wanted(2), 9 * MIB).await.is_none(), "there is no room");
        assert_eq!(began.elapsed(), WAIT_MAX, "and that is known after ten seconds");
        let mut small = Vec::new();
        for number in 10..18 {
            small.push(room.take(&wanted(number), SMALL_MESSAGE_OCTETS_MAX).await.unwrap());
        }
        assert_eq!(began.elapsed(), WAIT_MAX, "a small one does not wait behind a large one");
        assert!(room.take(&wanted(20), MIB).await.is_none(), "small ones have their bound, too");
        drop(large);
        assert!(room.take(&wanted(2), 9 * MIB).await.is_some());
    }

    /// Each time that one of the smaller ones is sent, another one is there already: without a place the largest would never
    /// find room for all of it at once.
    ///
    /// proves: GW-109
    #[tokio::test(start_paused = true)]
    async fn who_gives_its_worker_back_keeps_its_place() {
        let room = Room::new();
        let mut under_way = Vec::new();
        for number in 0..16 {
            under_way.push(room.take(&wanted(number), 16 * MIB).await.unwrap());
        }
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
        assert!(room.places().is_empty());
    }

    /// proves: GW-109
    #[tokio::test(start_paused = true)]
    async fn who_does_not_come_again_keeps_nobody_waiting() {
        let room = Room::new();
        let all = room.take(&wanted(1), LARGE_OCTETS_MAX).await;
        assert!(room.take(&wanted(2), LARGE_OCTETS_MAX).await.is_none());
        drop(all);
        assert!(room.take(&wanted(3), 16 * MIB).await.is_none(), "all of it is put aside for the other");
        tokio::time::advance(PLACE_KEPT).await;
        assert!(room.take(&wanted(3), 16 * MIB).await.is_some());
        // Places are bounded.
        let _all = room.take(&wanted(4), LARGE_OCTETS_MAX - 16 * MIB).await;
        for _ in 0..PLACES_MAX + 2 {
            let turn = Box::pin(room.large.clone().acquire_many_owned(16 * MIB));
            room.keep(&wanted(5), turn);
        }
        assert_eq!(room.places().len(), PLACES_MAX);
    }
}
