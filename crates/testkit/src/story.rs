//! What has happened in a world, in order: told to people where they ask for it, and always its digest, by which two runs
//! of one seed are held against each other.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use message::{Digest, DigestWriter};

use crate::clock::Timeline;

/// The story of one run.
pub struct Story {
    timeline: Timeline,
    told: Mutex<Told>,
}

struct Told {
    digest: DigestWriter,
    lines: Option<Vec<String>>,
    count: u64,
    broken: Vec<Broken>,
}

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which one; one of the names in [`crate::invariants`].
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

impl Story {
    /// A story that begins now, and keeps its lines where they are to be read.
    pub(crate) fn new(timeline: Timeline, keep: bool) -> Story {
        let told =
            Told { digest: DigestWriter::new(), lines: keep.then(Vec::new), count: 0, broken: Vec::new() };
        Story { timeline, told: Mutex::new(told) }
    }

    /// Something has happened at this place.
    pub(crate) fn tell(&self, place: &str, what: &dyn std::fmt::Display) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let ms = self.timeline.elapsed_ms();
        let mut line = String::new();
        let (days, hours, minutes) = (ms / 86_400_000, ms / 3_600_000 % 24, ms / 60_000 % 60);
        // Writing into a string does not fail.
        let _ = write!(
            line,
            "day {days} {hours:02}:{minutes:02}:{:02}.{:03} {place:<8} {what}",
            ms / 1000 % 60,
            ms % 1000
        );
        told.digest.update(line.as_bytes());
        told.count += 1;
        if let Some(lines) = &mut told.lines {
            lines.push(line);
        }
    }

    /// An invariant does not hold.
    pub(crate) fn broken(&self, invariant: &'static str, what: String) {
        self.tell("BROKEN", &format!("{invariant}: {what}"));
        self.told.lock().unwrap_or_else(PoisonError::into_inner).broken.push(Broken { invariant, what });
    }

    pub(crate) fn end(&self) -> (Digest, u64, Vec<String>, Vec<Broken>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = told.lines.take().unwrap_or_default();
        (told.digest.digest(), told.count, lines, std::mem::take(&mut told.broken))
    }
}
