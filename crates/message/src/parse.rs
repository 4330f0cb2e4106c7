//! The streaming parser: octets of a message in, pieces out, a manifest at the end. It never holds a body.

use bytes::{Buf, Bytes, BytesMut};

use crate::compose::{PartHeader, read_part_header};
use crate::limits::{DEPTH_MAX, HEADERS_OCTETS_MAX, LENGTH_MAX, PARTS_MAX};
use crate::manifest::{TRAILER, is_container};
use crate::{Digest, DigestWriter, Error, Extent, HeaderBlock, Limits, Manifest, Part, PartContent};

/// What the parser has found.
#[derive(Debug, Clone)]
pub enum Event {
    /// The header block of the message.
    Header(HeaderBlock),
    /// A part begins.
    PartStart {
        /// The number of the part.
        part: usize,
        /// Its header block.
        header: HeaderBlock,
        /// Octets of its body.
        octets: u64,
        /// Whether child parts follow rather than octets.
        container: bool,
    },
    /// Octets of the body of a leaf, in order.
    Body {
        /// The number of the part.
        part: usize,
        /// Some of its octets.
        octets: Bytes,
    },
    /// A part has ended.
    PartEnd {
        /// The number of the part.
        part: usize,
        /// The digest of its body where it is a leaf.
        digest: Option<Digest>,
    },
    /// The message is whole. Octets after it are an error of the call that follows, and of [`Parser::finish`].
    End(Box<Manifest>),
}

/// Reads a message from octets that come in pieces of any size.
///
/// [`Parser::push`] octets, then drain [`Parser::next_event`] until it gives `None`; [`Parser::finish`] when no more
/// come. After an error the parser is of no more use.
///
/// keeps: MSG-1, MSG-5, MSG-6, MSG-7, MSG-8, MSG-9, SEC-1
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    input: BytesMut,
    state: State,
    /// The open parts, the root first.
    open: Vec<Open>,
    header: Option<Extent>,
    parts: usize,
    headers_octets: u64,
    /// How far the input was already searched for the end of a header block.
    searched: usize,
    /// The manifest, between the end of the root part and [`Event::End`].
    whole: Option<Box<Manifest>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    AwaitHeader,
    AwaitPartHeader,
    AwaitBody,
    AwaitTrailer,
    Done,
}

#[derive(Debug)]
struct Open {
    number: usize,
    media_type: String,
    header: Extent,
    octets: u64,
    /// Octets of the body still to come.
    remaining: u64,
    body: Option<DigestWriter>,
    children: Vec<Part>,
}

impl Parser {
    /// A parser that holds what it reads to these bounds, and to the constants where those are lower.
    pub fn new(limits: Limits) -> Parser {
        let limits = Limits {
            parts: limits.parts.min(PARTS_MAX),
            depth: limits.depth.min(DEPTH_MAX),
            headers_octets: limits.headers_octets.min(HEADERS_OCTETS_MAX),
            part_octets: limits.part_octets.min(LENGTH_MAX),
        };
        Parser {
            limits,
            input: BytesMut::new(),
            state: State::AwaitHeader,
            open: Vec::new(),
            header: None,
            parts: 0,
            headers_octets: 0,
            searched: 0,
            whole: None,
        }
    }

    /// Takes in octets.
    pub fn push(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
    }

    /// The next thing found, or `None` where more octets are needed or the message has ended.
    ///
    /// # Errors
    /// The rule that is broken, with its place.
    pub fn next_event(&mut self) -> Result<Option<Event>, Error> {
        match self.state {
            State::AwaitHeader => self.message_header(),
            State::AwaitPartHeader => self.part_header(),
            State::AwaitBody => Ok(self.body()),
            State::AwaitTrailer => self.trailer(),
            State::Done if self.whole.is_some() => Ok(self.whole.take().map(Event::End)),
            State::Done if self.input.is_empty() => Ok(None),
            State::Done => Err(Error::Trailing),
        }
    }

    /// Says that no more octets come.
    ///
    /// # Errors
    /// [`Error::Truncated`] when the message is not whole.
    pub fn finish(&self) -> Result<(), Error> {
        match self.state {
            State::AwaitHeader => Err(Error::Truncated("in the header block")),
            State::AwaitPartHeader => Err(Error::Truncated("where a part should begin")),
            State::AwaitBody => Err(Error::Truncated("in the body of a part")),
            State::AwaitTrailer => Err(Error::Truncated("before the empty line that ends a part")),
            State::Done if self.input.is_empty() => Ok(()),
            State::Done => Err(Error::Trailing),
        }
    }

    fn message_header(&mut self) -> Result<Option<Event>, Error> {
        let Some(block) = self.take_block()? else { return Ok(None) };
        self.header = Some(Extent::of(block.octets()));
        self.state = State::AwaitPartHeader;
        Ok(Some(Event::Header(block)))
    }

    fn part_header(&mut self) -> Result<Option<Event>, Error> {
        let Some(block) = self.take_block()? else { return Ok(None) };
        let number = self.parts;
        self.parts += 1;
        if self.parts > self.limits.parts {
            return Err(Error::Bound { what: "parts", bound: self.limits.parts as u64 });
        }
        if self.open.len() >= self.limits.depth {
            return Err(Error::Bound { what: "levels of parts", bound: self.limits.depth as u64 });
        }
        let PartHeader { media_type, octets } = read_part_header(&block, number)?;
        let container = is_container(&media_type);
        self.check_length(number, &block, octets, container)?;
        self.open.push(Open {
            number,
            media_type,
            header: Extent::of(block.octets()),
            octets,
            remaining: octets,
            body: (!container).then(DigestWriter::new),
            children: Vec::new(),
        });
        self.state = match (container, octets) {
            (_, 0) => State::AwaitTrailer,
            (true, _) => State::AwaitPartHeader,
            (false, _) => State::AwaitBody,
        };
        Ok(Some(Event::PartStart { part: number, header: block, octets, container }))
    }

    /// Checks the stated length against the bounds and against the room that the enclosing container has left.
    fn check_length(
        &mut self,
        number: usize,
        block: &HeaderBlock,
        octets: u64,
        container: bool,
    ) -> Result<(), Error> {
        let bound = if container { LENGTH_MAX } else { self.limits.part_octets };
        if octets > bound {
            return Err(Error::Bound { what: "octets of a part", bound });
        }
        if let Some(parent) = self.open.last_mut() {
            let total = block.octets().len() as u64 + octets + TRAILER.len() as u64;
            parent.remaining = parent.remaining.checked_sub(total).ok_or(Error::Part {
                part: number,
                reason: "it is longer than the container it stands in",
            })?;
        }
        Ok(())
    }

    fn body(&mut self) -> Option<Event> {
        let part = self.open.last_mut()?;
        if self.input.is_empty() {
            return None;
        }
        let take = usize::try_from(part.remaining).unwrap_or(usize::MAX).min(self.input.len());
        let octets = self.input.split_to(take).freeze();
        part.remaining -= take as u64;
        if let Some(body) = &mut part.body {
            body.update(&octets);
        }
        if part.remaining == 0 {
            self.state = State::AwaitTrailer;
        }
        Some(Event::Body { part: part.number, octets })
    }

    fn trailer(&mut self) -> Result<Option<Event>, Error> {
        let Some(part) = self.open.last() else { return Ok(None) };
        let have = self.input.len().min(TRAILER.len());
        if self.input[..have] != TRAILER[..have] {
            return Err(Error::Part {
                part: part.number,
                reason: "its body does not end where its length says",
            });
        }
        if have < TRAILER.len() {
            return Ok(None);
        }
        self.input.advance(TRAILER.len());
        self.close_part()
    }

    /// Closes the innermost part and moves on to what follows it.
    fn close_part(&mut self) -> Result<Option<Event>, Error> {
        let Some(open) = self.open.pop() else { return Ok(None) };
        let number = open.number;
        let digest = open.body.as_ref().map(DigestWriter::digest);
        let content = match digest {
            Some(digest) => PartContent::Leaf(digest),
            None => PartContent::Container(open.children),
        };
        let part = Part { media_type: open.media_type, header: open.header, octets: open.octets, content };
        match self.open.last_mut() {
            Some(parent) => {
                parent.children.push(part);
                self.state = if parent.remaining == 0 { State::AwaitTrailer } else { State::AwaitPartHeader };
            }
            None => {
                self.state = State::Done;
                let header = self.header.ok_or(Error::Truncated("in the header block"))?;
                self.whole = Some(Box::new(Manifest::new(header, part)?));
            }
        }
        Ok(Some(Event::PartEnd { part: number, digest }))
    }

    /// Takes one whole header block from the input, once it is there.
    fn take_block(&mut self) -> Result<Option<HeaderBlock>, Error> {
        let room = self.limits.headers_octets.saturating_sub(self.headers_octets);
        let end = match self.find_block_end() {
            Some(end) if end as u64 <= room => end,
            None if self.input.len() as u64 <= room => return Ok(None),
            _ => return Err(Error::Bound { what: "octets of headers", bound: self.limits.headers_octets }),
        };
        self.headers_octets += end as u64;
        self.searched = 0;
        HeaderBlock::parse(self.input.split_to(end).freeze()).map(Some)
    }

    /// Where the header block at the start of the input ends, the empty line included.
    fn find_block_end(&mut self) -> Option<usize> {
        if self.input.starts_with(b"\r\n") {
            return Some(2);
        }
        let from = self.searched.saturating_sub(3);
        let found = self.input[from..].windows(4).position(|window| window == TRAILER);
        self.searched = self.input.len();
        found.map(|at| from + at + 4)
    }
}
