//! Virtual time: it stands still while anybody works and jumps to the next moment at which something happens. Each node
//! has a clock of its own, which may be wrong.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use node::Later;
use tokio::time::Instant;

use crate::random::Random;

/// When every world begins, in Unix milliseconds: 2026-01-05, a Monday.
pub const BEGIN_MS: u64 = 1_767_571_200_000;
/// Sleeps at one and the same moment after which a node is said to run in circles.
const SLEEPS_AT_ONE_MOMENT_MAX: u64 = 10_000;

/// The true time of a world.
#[derive(Debug, Clone, Copy)]
pub struct Timeline {
    began: Instant,
}

impl Timeline {
    /// Begins now. Only within a tokio runtime whose clock is paused.
    pub fn begin() -> Timeline {
        Timeline { began: Instant::now() }
    }

    /// Milliseconds since the world began.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The true time in Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        BEGIN_MS + self.elapsed_ms()
    }

    /// Waits for so many milliseconds of true time.
    pub async fn pass(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// One life of a node, from a start to a crash. What still runs of it after its end does nothing any more.
#[derive(Debug)]
pub struct Life {
    alive: AtomicBool,
}

impl Life {
    /// A life that begins.
    pub fn begin() -> Arc<Life> {
        Arc::new(Life { alive: AtomicBool::new(true) })
    }

    /// Whether it goes on.
    pub fn goes_on(&self) -> bool {
        self.alive.load(Ordering::SeqCst)
    }

    /// Ends it.
    pub fn end(&self) {
        self.alive.store(false, Ordering::SeqCst);
    }

    /// Comes back only where the life goes on.
    pub async fn or_never(&self) {
        if !self.goes_on() {
            pending::<()>().await;
        }
    }
}

/// How far the clock of a node is off, in milliseconds. It outlives the node's crashes.
#[derive(Debug, Default)]
pub struct Shift(AtomicI64);

impl Shift {
    /// Makes the clock jump.
    pub fn jump(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// What the clock says at this true time.
    pub fn of(&self, true_ms: u64) -> u64 {
        true_ms.saturating_add_signed(self.0.load(Ordering::SeqCst))
    }

    /// Sets the clock right.
    pub fn mend(&self) {
        self.0.store(0, Ordering::SeqCst);
    }
}

/// The clock of a node, for one life of it.
pub struct NodeClock {
    timeline: Timeline,
    shift: Arc<Shift>,
    life: Arc<Life>,
    random: Mutex<Random>,
    slept_at: AtomicU64,
    sleeps: AtomicU64,
}

impl NodeClock {
    /// A clock with this error and this randomness.
    pub fn new(timeline: Timeline, shift: Arc<Shift>, life: Arc<Life>, random: Random) -> NodeClock {
        let random = Mutex::new(random);
        NodeClock { timeline, shift, life, random, slept_at: AtomicU64::new(0), sleeps: AtomicU64::new(0) }
    }

    /// Whether too many sleeps at this very moment show that the node runs in circles.
    fn in_circles(&self) -> bool {
        let now_ms = self.timeline.elapsed_ms();
        if self.slept_at.swap(now_ms, Ordering::SeqCst) != now_ms {
            self.sleeps.store(0, Ordering::SeqCst);
        }
        self.sleeps.fetch_add(1, Ordering::SeqCst) > SLEEPS_AT_ONE_MOMENT_MAX
    }
}

impl node::Clock for NodeClock {
    fn now_ms(&self) -> u64 {
        self.shift.of(self.timeline.now_ms())
    }

    fn sleep_until(&self, at_ms: u64) -> Later<'_, ()> {
        // As the daemon does: what a jump of the clock does to a sleep that has begun is nothing.
        let sleep = tokio::time::sleep(Duration::from_millis(at_ms.saturating_sub(self.now_ms())));
        assert!(!self.in_circles(), "a node sleeps at one moment again and again");
        Box::pin(async move {
            sleep.await;
            self.life.or_never().await;
        })
    }

    fn random(&self, octets: &mut [u8]) {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).fill(octets);
    }

    fn carry_out(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}
