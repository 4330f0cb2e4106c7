//! The words of the queue: lanes, legs, claims and settlements.

use std::fmt;
use std::sync::Arc;

use message::Disposition;

use crate::limits::LANE_OCTETS_MAX;
use crate::{Attempt, EnvelopeRecord, Error};

/// The number of an envelope, unique in one store and growing with time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvelopeId(pub u64);

/// The number of a leg, unique in one store and growing with time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId(pub u64);

/// The number of a mailbox entry, unique in one store and growing with time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailUid(pub u64);

impl fmt::Display for EnvelopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for LegId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for MailUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where legs wait together, because what delays one delays them all: a next hop. The name is the node's; the store
/// only compares it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(Arc<str>);

impl Lane {
    /// A lane of this name.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the name is empty or has control characters; [`Error::Bound`] past
    /// [`LANE_OCTETS_MAX`].
    pub fn new(name: &str) -> Result<Lane, Error> {
        if name.len() > LANE_OCTETS_MAX {
            return Err(Error::Bound { what: "octets of a lane's name", bound: LANE_OCTETS_MAX as u64 });
        }
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(Error::Invalid("a lane needs a name without control characters"));
        }
        Ok(Lane(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The recipients of one envelope that travel along one lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegRecord {
    /// Its number.
    pub id: LegId,
    /// The envelope.
    pub envelope: EnvelopeId,
    /// The lane.
    pub lane: Lane,
    /// The places of its recipients in [`EnvelopeRecord::recipients`], those that are not final.
    pub recipients: Vec<u32>,
    /// When it was made, in Unix milliseconds.
    pub created_at_ms: u64,
    /// When it is to be tried next, in Unix milliseconds.
    pub due_ms: u64,
    /// How often it was settled after a claim.
    pub attempts: u32,
    /// How many steps the back-off has advanced.
    pub backoff: u32,
    /// Whether it waits because the next hop was not reached: then it is due as soon as that is heard of.
    pub unreached: bool,
    /// Up to which time, in Unix milliseconds, what a clock that was ahead had put into it was set right; 0 where nothing was.
    pub ahead_ms: u64,
    /// Whether an operator holds it: it is not claimed until released.
    pub held: bool,
    /// The text of the last attempt that failed; none once the next hop has answered.
    pub last_error: Option<String>,
}

/// A leg that is ours to work on until it is settled or given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The leg.
    pub leg: LegRecord,
    /// The envelope it belongs to.
    pub envelope: EnvelopeRecord,
    /// What the settlement has to show.
    pub fence: u64,
}

/// What an attempt brought for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is over: accepted, refused, withdrawn or expired.
    Final(Disposition),
    /// The next hop has it and will tell: `Pending` with the next hop's cookie, which is kept. The recipient stays in
    /// the leg, so that the next claim asks.
    Waiting(Disposition),
    /// Nothing was reached: try again. A cookie of the next hop that was kept is forgotten.
    Again,
}

/// How a claim ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Which leg.
    pub leg: LegId,
    /// The fence of its claim.
    pub fence: u64,
    /// Now, in Unix milliseconds.
    pub now_ms: u64,
    /// What became of recipients, by their places in the envelope. One that is not named stays as it is.
    pub outcomes: Vec<(u32, Outcome)>,
    /// Recipients for whom whoever took the message has also taken over the duty to give notices (RFC 3461).
    pub passed_on: Vec<u32>,
    /// What was tried, for the journal; at most 64 in one settlement.
    pub attempts: Vec<Attempt>,
    /// When the leg is due again, in Unix milliseconds; needed where recipients remain.
    pub next_due_ms: Option<u64>,
    /// Why the leg waits until then.
    pub pause: Pause,
}

/// Why a leg waits between a settlement and the next claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// The next hop was reached and has answered: back-off begins anew.
    Answered,
    /// We held ourselves back: back-off stays where it is.
    OurOwn,
    /// The next hop was not reached, or has failed: back-off advances, and ends as soon as the next hop is heard of.
    Failed,
    /// The next hop has said how long it wants to be left alone: back-off advances, and hearing of it changes nothing.
    Asked,
}

/// What a settlement, a withdrawal or a removal has left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// Recipients that remain in the leg.
    pub remaining: usize,
    /// Whether the envelope is closed: all its recipients are final.
    pub closed: bool,
}

/// What waits for one lane, by age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneAges {
    /// The lane at a glance.
    pub summary: LaneSummary,
    /// How many legs are younger than each of the bounds that were asked for, and no younger than the one before, to
    /// the minute; the older ones last.
    pub counts: Vec<u64>,
}

/// One lane at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneSummary {
    /// Which lane.
    pub lane: Lane,
    /// How many legs wait or are being worked on, the held ones included.
    pub legs: u64,
    /// How many of them are held.
    pub held: u64,
    /// When the oldest of them was made, in Unix milliseconds.
    pub oldest_ms: Option<u64>,
    /// When the next is due, in Unix milliseconds; those that are claimed do not count.
    pub next_due_ms: Option<u64>,
    /// The last error of the oldest leg.
    pub last_error: Option<String>,
}
