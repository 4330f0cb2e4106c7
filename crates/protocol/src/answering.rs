//! The side that is asked: one stream, one offer or one request.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use message::{Headers, Manifest, Seal, Selection};

use crate::limits::{SEALS_OCTETS_MAX, SLICE_OCTETS_MAX, STALL_MS, WANTS_MAX};
use crate::{
    ContentHead, Eager, Error, Failure, Frame, Item, Offer, Outcome, Piece, Protocol, Reader, encode,
};

/// What the machine has for its driver.
#[derive(Debug, Clone)]
pub enum AnsweringOutput {
    /// Octets to send.
    Send(Bytes),
    /// Nothing more is sent on this stream.
    Finish,
    /// Something to act upon.
    Event(AnsweringEvent),
}

/// What has happened. Every piece of content was checked against the identity of the offer before it stands here,
/// except the octets of bodies: whoever stores them checks their digest when the body has ended.
#[derive(Debug, Clone)]
pub enum AnsweringEvent {
    /// A message is offered. What comes eagerly follows; then [`AnsweringEvent::Supplied`].
    Offered(Box<Offer>),
    /// The manifest, whose digest is the identity offered.
    Manifest(Box<Manifest>),
    /// The seals, read and not verified.
    Seals(Vec<Seal>),
    /// The header blocks, which are those in the manifest.
    Headers(Box<Headers>),
    /// The body of a leaf begins at this octet and goes to its end.
    BodyStart {
        /// The number of the part.
        part: usize,
        /// The first octet.
        from: u64,
    },
    /// Octets of that body.
    Body(Bytes),
    /// That body has ended.
    BodyEnd {
        /// The number of the part.
        part: usize,
    },
    /// A range with its proof, to be verified against the digest of its part.
    Slice {
        /// The number of the part.
        part: usize,
        /// The first octet of the range.
        from: u64,
        /// The range with its proof.
        slice: Bytes,
    },
    /// All that was wanted, or came eagerly, is there.
    Supplied,
    /// A request other than an offer; one reply is due.
    Asked(Frame),
}

/// The answering machine.
///
/// keeps: EXC-6, EXC-7, EXC-8
#[derive(Debug)]
pub struct Answering {
    protocol: Protocol,
    reader: Reader,
    state: State,
    manifest: Option<Manifest>,
    output: VecDeque<AnsweringOutput>,
    deadline: u64,
    wants: usize,
}

#[derive(Debug)]
enum State {
    AwaitFirst,
    /// Content of an offer comes; `piece` is the one that is being read.
    AwaitContent {
        offer: Box<Offer>,
        wanted: Selection,
        piece: Option<Open>,
    },
    /// The application is to want more or to answer.
    AwaitDecision {
        offer: Box<Offer>,
    },
    AwaitReply,
    Done,
}

/// A piece of content that is being read.
#[derive(Debug)]
struct Open {
    head: ContentHead,
    left: u64,
    /// Octets of a small piece, gathered; bodies pass through.
    gathered: BytesMut,
}

impl Answering {
    /// A machine for one stream that the peer has opened.
    pub fn new(now_ms: u64, protocol: Protocol) -> Answering {
        Answering {
            protocol,
            reader: Reader::new(),
            state: State::AwaitFirst,
            manifest: None,
            output: VecDeque::new(),
            deadline: now_ms + STALL_MS,
            wants: 0,
        }
    }

    /// Takes in octets; `None` says that the peer sends no more.
    ///
    /// # Errors
    /// What the peer did wrong. The driver sends [`Answering::failure`] and resets what is left.
    pub fn handle(&mut self, now_ms: u64, octets: Option<&[u8]>) -> Result<(), Error> {
        self.deadline = now_ms + STALL_MS;
        match octets {
            Some(octets) => self.reader.push(octets),
            None => {
                return match self.state {
                    State::AwaitFirst | State::AwaitContent { .. } => Err(Error::Truncated),
                    _ if !self.reader.at_boundary() => Err(Error::Truncated),
                    _ => Ok(()),
                };
            }
        }
        while let Some(item) = self.reader.next_item()? {
            self.step(item)?;
        }
        Ok(())
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<AnsweringOutput> {
        self.output.pop_front()
    }

    /// When the peer must have moved on, in milliseconds; `None` while the application has the turn.
    pub fn deadline(&self) -> Option<u64> {
        match self.state {
            State::AwaitFirst | State::AwaitContent { .. } => Some(self.deadline),
            _ => None,
        }
    }

    /// Asks for content. Only after [`AnsweringEvent::Supplied`].
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] where it is not the application's turn, [`Error::Bound`] past [`WANTS_MAX`].
    pub fn want(&mut self, now_ms: u64, wanted: Selection) -> Result<(), Error> {
        let State::AwaitDecision { offer } = std::mem::replace(&mut self.state, State::Done) else {
            return Err(Error::OutOfOrder("content can be asked for only between offers and answers"));
        };
        if self.wants == WANTS_MAX {
            return Err(Error::Bound { what: "requests for content", bound: WANTS_MAX as u64 });
        }
        self.wants += 1;
        self.deadline = now_ms + STALL_MS;
        self.output.push_back(AnsweringOutput::Send(encode(&Frame::Want(wanted.clone()))));
        self.state = State::AwaitContent { offer, wanted, piece: None };
        Ok(())
    }

    /// Answers the offer; possible at any time after it, also while content still comes, which is then not read.
    pub fn answer(&mut self, outcome: &Outcome) {
        self.end(&Frame::Outcome(outcome.clone()));
    }

    /// Replies to a request.
    pub fn reply(&mut self, reply: &Frame) {
        self.end(reply);
    }

    /// Sends octets of content in reply to a fetch, which its caller frames.
    pub fn fail(&mut self, failure: Failure) {
        self.end(&Frame::Failure(failure));
    }

    fn end(&mut self, frame: &Frame) {
        self.state = State::Done;
        self.output.push_back(AnsweringOutput::Send(encode(frame)));
        self.output.push_back(AnsweringOutput::Finish);
    }

    fn step(&mut self, item: Item) -> Result<(), Error> {
        match (std::mem::replace(&mut self.state, State::Done), item) {
            (State::AwaitFirst, Item::Frame(frame)) => self.first(frame),
            (State::AwaitContent { offer, wanted, piece: None }, Item::Frame(Frame::Content(head))) => {
                self.check_head(&offer, &wanted, &head)?;
                self.open(offer, wanted, head)
            }
            (State::AwaitContent { offer, wanted, piece: Some(mut open) }, Item::Content(octets)) => {
                open.left = open.left.saturating_sub(octets.len() as u64);
                match open.head.piece {
                    Piece::Body { .. } => self.event(AnsweringEvent::Body(octets)),
                    _ => open.gathered.extend_from_slice(&octets),
                }
                self.proceed(offer, wanted, open)
            }
            // The outcome is sent: what still comes on this stream is of no use and is not read as anything else.
            (State::Done, _) => Ok(()),
            _ => Err(Error::OutOfOrder("a frame that may not come here")),
        }
    }

    fn first(&mut self, frame: Frame) -> Result<(), Error> {
        let submission = self.protocol == Protocol::Submission;
        match frame {
            Frame::Offer(offer) => {
                if offer.submission.is_some() != submission {
                    return Err(Error::OutOfOrder("an offer of the other protocol"));
                }
                self.event(AnsweringEvent::Offered(offer.clone()));
                let wanted = match offer.eager {
                    Eager::Nothing => {
                        self.event(AnsweringEvent::Supplied);
                        self.state = State::AwaitDecision { offer };
                        return Ok(());
                    }
                    Eager::Headers => Selection::Headers,
                    Eager::All => Selection::All,
                };
                self.state = State::AwaitContent { offer, wanted, piece: None };
                Ok(())
            }
            Frame::Poll(_) | Frame::GiveUp(_) => self.asked(frame),
            Frame::Enrol(_) | Frame::Status(_) | Frame::Mailbox { .. } | Frame::Fetch { .. }
                if submission =>
            {
                self.asked(frame)
            }
            _ => Err(Error::OutOfOrder("a stream does not begin with this frame")),
        }
    }

    fn asked(&mut self, frame: Frame) -> Result<(), Error> {
        self.event(AnsweringEvent::Asked(frame));
        self.state = State::AwaitReply;
        Ok(())
    }

    /// Whether this piece belongs to what was wanted, and keeps its bound.
    fn check_head(&self, offer: &Offer, wanted: &Selection, head: &ContentHead) -> Result<(), Error> {
        let bounded = |bound: u64| {
            if head.octets > bound {
                Err(Error::Bound { what: "octets of a piece of content", bound })
            } else {
                Ok(())
            }
        };
        let parts_too = matches!(wanted, Selection::All | Selection::Text | Selection::Headers);
        match head.piece {
            Piece::Manifest if matches!(wanted, Selection::Digest) => bounded(0),
            Piece::Manifest if parts_too => bounded(message::limits::MANIFEST_OCTETS_MAX as u64),
            Piece::Seals if parts_too || matches!(wanted, Selection::Signers) => bounded(SEALS_OCTETS_MAX),
            Piece::Headers if parts_too && self.manifest.is_some() => {
                bounded(message::limits::HEADERS_OCTETS_MAX)
            }
            Piece::Body { part, from } => {
                let manifest =
                    self.manifest.as_ref().ok_or(Error::OutOfOrder("a body before its manifest"))?;
                let asked = match wanted {
                    Selection::All => from == 0,
                    Selection::Text => from == 0 && manifest.first_text() == Some(part),
                    Selection::Parts(parts) => parts.contains(&(part, from)),
                    _ => false,
                };
                let octets =
                    manifest.part(part).filter(|entry| entry.leaf().is_some()).map(|entry| entry.octets);
                if !asked || octets.is_none_or(|octets| octets.checked_sub(from) != Some(head.octets)) {
                    return Err(Error::OutOfOrder("a body that was not asked for, or not of its length"));
                }
                Ok(())
            }
            Piece::Slice { part, from } => match wanted {
                Selection::Range { part: asked, offset, .. } if (part, from) == (*asked, *offset) => {
                    bounded(SLICE_OCTETS_MAX)
                }
                _ => Err(Error::OutOfOrder("a range that was not asked for")),
            },
            _ => {
                let _ = offer;
                Err(Error::OutOfOrder("a piece of content that was not asked for"))
            }
        }
    }

    fn open(&mut self, offer: Box<Offer>, wanted: Selection, head: ContentHead) -> Result<(), Error> {
        if let Piece::Body { part, from } = head.piece {
            self.event(AnsweringEvent::BodyStart { part, from });
        }
        self.proceed(offer, wanted, Open { head, left: head.octets, gathered: BytesMut::new() })
    }

    /// Goes on after octets of a piece, or closes it and, after the last, gives the turn to the application.
    fn proceed(&mut self, offer: Box<Offer>, wanted: Selection, open: Open) -> Result<(), Error> {
        if open.left > 0 {
            self.state = State::AwaitContent { offer, wanted, piece: Some(open) };
            return Ok(());
        }
        let last = open.head.last;
        self.close(&offer, open)?;
        self.state = if last {
            self.event(AnsweringEvent::Supplied);
            State::AwaitDecision { offer }
        } else {
            State::AwaitContent { offer, wanted, piece: None }
        };
        Ok(())
    }

    /// Checks a whole piece and tells of it.
    fn close(&mut self, offer: &Offer, open: Open) -> Result<(), Error> {
        let octets = open.gathered.freeze();
        match open.head.piece {
            Piece::Manifest if octets.is_empty() => {}
            Piece::Manifest => {
                let manifest = Manifest::decode(&octets)?;
                if manifest.identity() != offer.envelope.identity {
                    return Err(message::Error::Digest("the manifest").into());
                }
                if manifest.message_octets() != offer.envelope.octets {
                    return Err(message::Error::Manifest("the message is not as long as was offered").into());
                }
                self.manifest = Some(manifest.clone());
                self.event(AnsweringEvent::Manifest(Box::new(manifest)));
            }
            Piece::Seals => self.event(AnsweringEvent::Seals(read_seals(&octets)?)),
            Piece::Headers => {
                let manifest =
                    self.manifest.as_ref().ok_or(Error::OutOfOrder("headers before their manifest"))?;
                let headers = Headers::verify(manifest, octets)?;
                self.event(AnsweringEvent::Headers(Box::new(headers)));
            }
            Piece::Body { part, .. } => self.event(AnsweringEvent::BodyEnd { part }),
            Piece::Slice { part, from } => self.event(AnsweringEvent::Slice { part, from, slice: octets }),
        }
        Ok(())
    }

    fn event(&mut self, event: AnsweringEvent) {
        self.output.push_back(AnsweringOutput::Event(event));
    }
}

fn read_seals(octets: &[u8]) -> Result<Vec<Seal>, Error> {
    let value = message::cbor::decode(octets)?;
    let items = value.as_array().ok_or(Error::Malformed("the seals are not a list"))?;
    if items.len() > message::limits::SEALS_MAX {
        return Err(Error::Bound { what: "seals", bound: message::limits::SEALS_MAX as u64 });
    }
    items
        .iter()
        .map(|item| {
            let octets = item.as_bytes().ok_or(Error::Malformed("a seal is not a byte string"))?;
            Ok(Seal::parse(Bytes::copy_from_slice(octets))?)
        })
        .collect()
}
