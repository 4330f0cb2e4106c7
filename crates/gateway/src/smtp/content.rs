//! The content of a message while it comes: line ends are watched, dots undone, the memory of all sessions bounded.

use std::sync::Arc;

use bytes::BytesMut;
use memchr::memchr3;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{SMTP_MEMORY_DECLARED_OCTETS_MAX, SMTP_MEMORY_STEP_OCTETS};

/// The octets of content that all sessions together may hold in memory.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    steps: Arc<Semaphore>,
}

impl Memory {
    /// Room for so many octets, in whole steps.
    pub(super) fn of(octets: usize) -> Memory {
        let steps = (octets / SMTP_MEMORY_STEP_OCTETS).clamp(1, Semaphore::MAX_PERMITS);
        Memory { steps: Arc::new(Semaphore::new(steps)) }
    }

    /// Takes room without waiting: who waits while it holds room could wait for ever.
    fn take(&self, octets: usize) -> Option<OwnedSemaphorePermit> {
        let steps = u32::try_from(octets.div_ceil(SMTP_MEMORY_STEP_OCTETS)).ok()?;
        Arc::clone(&self.steps).try_acquire_many_owned(steps).ok()
    }
}

/// Why a content is not taken. What still comes of it is read and forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is larger than is taken.
    TooLarge,
    /// All sessions together hold as much as they may.
    NoMemory,
    /// A CR or LF stands alone, or there is a NUL (RFC 5321 section 2.3.8).
    LineEnds,
}

/// A content that grows.
#[derive(Debug)]
pub(super) struct Content {
    octets: BytesMut,
    held: OwnedSemaphorePermit,
    memory: Memory,
    octets_max: usize,
    fault: Option<Fault>,
}

impl Content {
    /// Begins one, with room for what was declared, as far as that is little; nothing where there is no room now. Who
    /// declares much has not sent it yet, and must not take the room of others with a word.
    pub(super) fn begin(memory: &Memory, declared: usize, octets_max: usize) -> Option<Content> {
        let room = declared.clamp(SMTP_MEMORY_STEP_OCTETS, SMTP_MEMORY_DECLARED_OCTETS_MAX);
        let held = memory.take(room)?;
        let octets = BytesMut::with_capacity(room);
        Some(Content { octets, held, memory: memory.clone(), octets_max, fault: None })
    }

    /// What is wrong with it so far.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Marks it as not to be taken, and lets go of what it holds.
    pub(super) fn spoil(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
        self.octets = BytesMut::new();
    }

    /// Whether the last line has come whole.
    pub(super) fn ends_a_line(&self) -> bool {
        self.octets.is_empty() || self.octets.ends_with(b"\r\n")
    }

    /// Adds octets, unless it is spoilt.
    pub(super) fn push(&mut self, octets: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        let length = self.octets.len() + octets.len();
        if length > self.octets_max {
            return self.spoil(Fault::TooLarge);
        }
        if length > self.octets.capacity() && !self.grow(length) {
            return self.spoil(Fault::NoMemory);
        }
        self.octets.extend_from_slice(octets);
    }

    /// The octets, and the room that they take for as long as it is held.
    pub(super) fn finish(self) -> (BytesMut, OwnedSemaphorePermit) {
        (self.octets, self.held)
    }

    /// Doubles the buffer, or more where that is not enough; never more than may come at all.
    fn grow(&mut self, length: usize) -> bool {
        let wanted = length.max(self.octets.capacity() * 2).min(self.octets_max.max(length));
        let room = self.held.num_permits() * SMTP_MEMORY_STEP_OCTETS;
        if wanted > room {
            match self.memory.take(wanted - room) {
                Some(more) => self.held.merge(more),
                None => return false,
            }
        }
        self.octets.reserve(wanted - self.octets.len());
        true
    }
}

/// How far the reading of DATA has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is more to come.
    More,
    /// The line with nothing but a dot has come.
    End,
    /// A line end is not CRLF, or there is a NUL.
    Broken,
}

/// Where in a line the reading stands. Only CRLF ends a line, and only a whole line of one dot ends the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Place {
    /// At the begin of a line.
    #[default]
    Start,
    /// Behind a dot that began a line.
    Dot,
    /// Behind a dot that began a line, and a CR.
    DotReturn,
    /// Within a line.
    Text,
    /// Behind a CR.
    Return,
}

impl Place {
    /// Reads on: how many octets were used, and how far that went. Dots are undone (RFC 5321 section 4.5.2).
    ///
    /// keeps: GW-5
    pub(super) fn undot(&mut self, octets: &[u8], content: &mut Content) -> (usize, Progress) {
        let mut at = 0;
        while let Some(&next) = octets.get(at) {
            *self = match (*self, next) {
                (Place::Start, b'.') => Place::Dot,
                (Place::Dot, b'\r') => Place::DotReturn,
                (Place::DotReturn, b'\n') => return (at + 1, Progress::End),
                (Place::Return, b'\n') => {
                    content.push(b"\r\n");
                    Place::Start
                }
                (Place::DotReturn | Place::Return, _) => return (at, Progress::Broken),
                (Place::Start | Place::Dot | Place::Text, _) => match line(&octets[at..], content) {
                    Line::Unfinished => {
                        *self = Place::Text;
                        return (octets.len(), Progress::More);
                    }
                    Line::Return(length) => {
                        at += length;
                        Place::Return
                    }
                    Line::Broken => return (at, Progress::Broken),
                },
            };
            at += 1;
        }
        (at, Progress::More)
    }

    /// Reads a chunk of BDAT, in which a dot is a dot. Gives whether all lines end as they should.
    ///
    /// keeps: GW-5
    pub(super) fn chunk(&mut self, octets: &[u8], content: &mut Content) -> bool {
        let mut at = 0;
        while let Some(&next) = octets.get(at) {
            if *self == Place::Return {
                if next != b'\n' {
                    return false;
                }
                content.push(b"\r\n");
                *self = Place::Start;
            } else {
                match line(&octets[at..], content) {
                    Line::Unfinished => {
                        *self = Place::Text;
                        return true;
                    }
                    Line::Return(length) => {
                        at += length;
                        *self = Place::Return;
                    }
                    Line::Broken => return false,
                }
            }
            at += 1;
        }
        true
    }
}

enum Line {
    /// The octets end before the line does.
    Unfinished,
    /// A CR stands behind so many octets.
    Return(usize),
    /// An LF or a NUL comes first.
    Broken,
}

fn line(octets: &[u8], content: &mut Content) -> Line {
    match memchr3(b'\r', b'\n', 0, octets) {
        None => {
            content.push(octets);
            Line::Unfinished
        }
        Some(length) if octets[length] == b'\r' => {
            content.push(&octets[..length]);
            Line::Return(length)
        }
        Some(_) => Line::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undotted(pieces: &[&[u8]]) -> (Vec<u8>, Progress) {
        let mut content = Content::begin(&Memory::of(1 << 20), 0, 1 << 20).unwrap();
        let mut place = Place::default();
        let mut progress = Progress::More;
        for piece in pieces {
            (_, progress) = place.undot(piece, &mut content);
            if progress != Progress::More {
                break;
            }
        }
        // What is broken off is for nothing, however much of it there is.
        let octets = if progress == Progress::Broken { Vec::new() } else { content.finish().0.to_vec() };
        (octets, progress)
    }

    #[test]
    fn dots_are_undone_and_only_a_whole_line_of_one_ends() {
        let check = |octets: &[u8], content: &[u8], progress| {
            assert_eq!(undotted(&[octets]), (content.to_vec(), progress), "{octets:?}");
            let singly: Vec<&[u8]> = octets.chunks(1).collect();
            assert_eq!(undotted(&singly), (content.to_vec(), progress), "{octets:?} one by one");
        };
        check(b".\r\n", b"", Progress::End);
        check(b"a\r\n.\r\n", b"a\r\n", Progress::End);
        check(b"..\r\n...a\r\n.\r\n", b".\r\n..a\r\n", Progress::End);
        check(b".a\r\n..", b"a\r\n.", Progress::More);
        check(b"\r\n\r\n.\r\n", b"\r\n\r\n", Progress::End);
        check(b"a\n.\r\n", b"", Progress::Broken);
        check(b".\n", b"", Progress::Broken);
        check(b".\r.", b"", Progress::Broken);
        check(b"a\r\r\n", b"", Progress::Broken);
    }

    #[test]
    fn a_content_is_bounded_by_itself_and_by_all_together() {
        let memory = Memory::of(2 * SMTP_MEMORY_STEP_OCTETS);
        let step = vec![b'a'; SMTP_MEMORY_STEP_OCTETS];
        let mut one = Content::begin(&memory, 0, 10 * SMTP_MEMORY_STEP_OCTETS).unwrap();
        let two = Content::begin(&memory, 0, 10 * SMTP_MEMORY_STEP_OCTETS).unwrap();
        assert!(Content::begin(&memory, 0, 10).is_none(), "nothing is left");
        one.push(&step);
        assert_eq!(one.fault(), None);
        one.push(b"a");
        assert_eq!(one.fault(), Some(Fault::NoMemory));
        drop(two);
        let mut small = Content::begin(&memory, 0, 3).unwrap();
        small.push(b"abc");
        assert_eq!(small.fault(), None);
        small.push(b"d");
        assert_eq!(small.fault(), Some(Fault::TooLarge));
    }
}
