//! The network: streams whose octets take their time, stop, are lost or cut off, and places that cannot reach each other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::clock::{Life, Timeline};
use crate::random::Random;

/// After so long without an octet a stream is given up, as the transport does (`protocol::limits::STALL_MS`).
const STALL_MS: u64 = protocol::limits::STALL_MS;
/// Octets of a chunk at the most.
const CHUNK_OCTETS_MAX: u64 = 4_000;

/// Two places: the way between them is the same in both directions.
pub type Way = (usize, usize);

/// How the network behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weather {
    /// The shortest time that octets take, in milliseconds.
    pub delay_ms_min: u64,
    /// The longest.
    pub delay_ms_max: u64,
    /// Of a hundred streams so many break off at some octet, in some direction.
    pub breaks_percent: u64,
    /// Of a hundred streams so many fall silent at some octet, in some direction.
    pub silences_percent: u64,
}

/// How an end of a stream finds that it is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The other side, or something between, has cut it off.
    Reset,
    /// Nothing came for too long.
    Stalled,
}

/// The network of a world.
pub struct Network {
    timeline: Timeline,
    state: Mutex<State>,
}

struct State {
    random: Random,
    weather: Weather,
    /// Ways that are cut, and how many times they were.
    cut: BTreeMap<Way, u32>,
}

/// What becomes of one direction of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Fine,
    BreaksAfter(u64),
    SilentAfter(u64),
}

enum Sent {
    Octets(Bytes),
    End,
    Reset,
}

/// One end of a stream.
pub struct Pipe {
    network: Arc<Network>,
    way: Way,
    life: Arc<Life>,
    out: mpsc::UnboundedSender<(Instant, Sent)>,
    incoming: mpsc::UnboundedReceiver<(Instant, Sent)>,
    fate: Fate,
    sent: u64,
    last: Instant,
    ended: bool,
    silent: bool,
}

impl Network {
    /// A network in this weather.
    pub fn new(timeline: Timeline, weather: Weather, random: Random) -> Network {
        Network { timeline, state: Mutex::new(State { random, weather, cut: BTreeMap::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the weather.
    pub fn set_weather(&self, weather: Weather) {
        self.state().weather = weather;
    }

    /// Cuts a way; it takes as many [`Network::mend`] to have it again.
    pub fn cut(&self, one: usize, other: usize) {
        *self.state().cut.entry(way(one, other)).or_default() += 1;
    }

    /// Mends a way.
    pub fn mend(&self, one: usize, other: usize) {
        let mut state = self.state();
        let way = way(one, other);
        match state.cut.get_mut(&way) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(state.cut.remove(&way)),
        }
    }

    /// Mends everything, for good weather.
    pub fn mend_all(&self, weather: Weather) {
        let mut state = self.state();
        state.cut.clear();
        state.weather = weather;
    }

    /// Whether nothing gets through.
    pub fn is_cut(&self, one: usize, other: usize) -> bool {
        self.state().cut.contains_key(&way(one, other))
    }

    /// How long something takes to get to the other side.
    pub fn delay_ms(&self) -> u64 {
        let mut state = self.state();
        let Weather { delay_ms_min, delay_ms_max, .. } = state.weather;
        state.random.between(delay_ms_min, delay_ms_max)
    }

    /// Whether something happens that does so in so many of a hundred cases.
    pub fn chance(&self, percent: u64) -> bool {
        self.state().random.chance(percent)
    }

    /// A number below a bound.
    pub fn below(&self, bound: u32) -> u32 {
        (self.state().random.next_number() % u64::from(bound.max(1))) as u32
    }

    /// A stream between two places: the end of him who opens it, and the other's.
    pub fn stream(
        self: &Arc<Self>,
        (from, opener): (usize, &Arc<Life>),
        (to, other): (usize, &Arc<Life>),
    ) -> (Pipe, Pipe) {
        let (one_out, other_in) = mpsc::unbounded_channel();
        let (other_out, one_in) = mpsc::unbounded_channel();
        let (forth, back) = self.state().fates();
        let now = Instant::now();
        let end = |out, incoming, fate, life: &Arc<Life>| Pipe {
            network: self.clone(),
            way: (from, to),
            life: life.clone(),
            out,
            incoming,
            fate,
            sent: 0,
            last: now,
            ended: false,
            silent: false,
        };
        (end(one_out, one_in, forth, opener), end(other_out, other_in, back, other))
    }
}

impl State {
    /// What becomes of both directions. The answer, which comes last and is small, is lost as often as the rest.
    fn fates(&mut self) -> (Fate, Fate) {
        let kind = self.random.next_number() % 100;
        let breaks = kind < self.weather.breaks_percent;
        if !breaks && kind >= self.weather.breaks_percent + self.weather.silences_percent {
            return (Fate::Fine, Fate::Fine);
        }
        let forth = self.random.chance(50);
        let octets = if forth { self.random.between(0, 6_000) } else { self.random.between(0, 200) };
        let fate = if breaks { Fate::BreaksAfter(octets) } else { Fate::SilentAfter(octets) };
        if forth { (fate, Fate::Fine) } else { (Fate::Fine, fate) }
    }
}

fn way(one: usize, other: usize) -> Way {
    (one.min(other), one.max(other))
}

impl Pipe {
    /// Sends octets, which arrive in their order, later.
    pub async fn write(&mut self, mut octets: Bytes) {
        self.life.or_never().await;
        while !octets.is_empty() {
            let size = self.network.state().random.between(1, CHUNK_OCTETS_MAX) as usize;
            let mut chunk = octets.split_to(size.min(octets.len()));
            if self.network.is_cut(self.way.0, self.way.1) {
                self.silent = true;
            }
            match self.fate {
                Fate::BreaksAfter(limit) if self.sent + chunk.len() as u64 > limit => {
                    chunk.truncate(limit.saturating_sub(self.sent) as usize);
                    self.send(Sent::Octets(chunk));
                    self.send(Sent::Reset);
                    self.silent = true;
                    return;
                }
                Fate::SilentAfter(limit) if self.sent + chunk.len() as u64 > limit => self.silent = true,
                _ => {}
            }
            self.sent += chunk.len() as u64;
            self.send(Sent::Octets(chunk));
        }
    }

    /// Sends no more.
    pub fn finish(&mut self) {
        self.ended = true;
        self.send(Sent::End);
    }

    fn send(&mut self, what: Sent) {
        if self.silent || !self.life.goes_on() {
            return;
        }
        let arrives = Instant::now() + std::time::Duration::from_millis(self.network.delay_ms());
        // Octets of one stream do not overtake each other.
        self.last = self.last.max(arrives);
        // Where the other side has gone, nobody misses it.
        let _ = self.out.send((self.last, what));
    }

    /// The next octets; `None` where the other side sends no more.
    ///
    /// # Errors
    /// How the stream was lost.
    pub async fn read(&mut self) -> Result<Option<Bytes>, Lost> {
        let next = tokio::time::timeout(std::time::Duration::from_millis(STALL_MS), async {
            let (arrives, what) = match self.incoming.recv().await {
                Some(next) => next,
                // The other side has gone without a word: a crash, or an error that was not told.
                None if self.network.chance(50) => (Instant::now(), Sent::Reset),
                None => std::future::pending().await,
            };
            tokio::time::sleep_until(arrives).await;
            what
        });
        let next = next.await;
        self.life.or_never().await;
        match next {
            Ok(Sent::Octets(octets)) => Ok(Some(octets)),
            Ok(Sent::End) => Ok(None),
            Ok(Sent::Reset) => Err(Lost::Reset),
            Err(_) => Err(Lost::Stalled),
        }
    }

    /// The time of the world that this stream is in.
    pub fn timeline(&self) -> Timeline {
        self.network.timeline
    }
}

/// An end that goes without having ended its side lets the other side know, where something still gets through.
impl Drop for Pipe {
    fn drop(&mut self) {
        if !self.ended {
            self.send(Sent::Reset);
        }
    }
}
