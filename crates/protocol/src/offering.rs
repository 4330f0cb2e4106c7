//! The side that has a message: offer, supply what is wanted, end with the outcome.

use std::collections::VecDeque;

use bytes::Bytes;
use message::{Manifest, Selection};

use crate::limits::{STALL_MS, WANTS_MAX};
use crate::{
    ContentHead, Eager, Error, Failure, Frame, Item, Offer, Outcome, Piece, Reader, Settings, encode,
};

/// What the offering side can supply at once; bodies stay where they are kept.
#[derive(Debug, Clone)]
pub struct Supply {
    /// The manifest.
    pub manifest: Manifest,
    /// All header blocks, one after the other.
    pub headers: Bytes,
    /// The seals.
    pub seals: Vec<Bytes>,
}

impl Supply {
    /// The seals as a content frame carries them: a CBOR array of byte strings.
    pub fn seals_octets(&self) -> Vec<u8> {
        let seals = self.seals.iter().map(|seal| message::cbor::bytes(seal)).collect();
        message::cbor::encode(&ciborium::Value::Array(seals))
    }

    /// What of this message goes unasked with an offer when the window has this size.
    ///
    /// keeps: EXC-3
    pub fn eager(&self, settings: &Settings) -> Eager {
        let headers = (self.manifest.octets().len() + self.headers.len() + self.seals_octets().len()) as u64;
        let bodies: u64 = self.manifest.leaves().map(|(_, part, _)| part.octets).sum();
        match settings.eager_octets {
            window if headers.saturating_add(bodies) <= window => Eager::All,
            window if headers <= window => Eager::Headers,
            _ => Eager::Nothing,
        }
    }
}

/// What the machine has for its driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfferingOutput {
    /// Octets to send.
    Send(Bytes),
    /// The octets of the body of this leaf, from this octet to its end, are to be sent.
    SendBody {
        /// The number of the part.
        part: usize,
        /// The first octet.
        from: u64,
        /// How many.
        octets: u64,
    },
    /// A range with its proof is to be made; then [`Offering::slice`].
    MakeSlice {
        /// The number of the part.
        part: usize,
        /// The first octet.
        offset: u64,
        /// How many.
        octets: u64,
    },
    /// Nothing more is sent on this stream.
    Finish,
    /// Something to act upon.
    Event(OfferingEvent),
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfferingEvent {
    /// The receiver wants this; it is being supplied.
    Wanted(Selection),
    /// The answer for each recipient.
    Outcome(Outcome),
    /// The receiver could not answer.
    Failed(Failure),
}

/// The offering machine.
///
/// keeps: EXC-1, EXC-2, EXC-4, EXC-5
#[derive(Debug)]
pub struct Offering {
    supply: Supply,
    recipients: usize,
    reader: Reader,
    state: State,
    output: VecDeque<OfferingOutput>,
    deadline: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    AwaitAnswer { wants: usize },
    Done,
}

impl Offering {
    /// Offers; what goes eagerly follows at once. `offer.eager` is worked out here.
    pub fn new(now_ms: u64, mut offer: Offer, supply: Supply, settings: &Settings) -> Offering {
        offer.eager = supply.eager(settings);
        let (eager, recipients) = (offer.eager, offer.envelope.recipients.len());
        let mut machine = Offering {
            supply,
            recipients,
            reader: Reader::new(),
            state: State::AwaitAnswer { wants: 0 },
            output: VecDeque::from([OfferingOutput::Send(encode(&Frame::Offer(Box::new(offer))))]),
            deadline: now_ms + STALL_MS,
        };
        match eager {
            Eager::Nothing => {}
            Eager::Headers => machine.send_headers(true),
            Eager::All => machine.send_all(),
        }
        machine
    }

    /// Takes in octets of the answer; `None` says that the stream has ended.
    ///
    /// # Errors
    /// Why the answer is not one.
    pub fn handle(&mut self, now_ms: u64, octets: Option<&[u8]>) -> Result<(), Error> {
        self.deadline = now_ms + STALL_MS;
        match octets {
            Some(octets) => self.reader.push(octets),
            None if self.state == State::Done && self.reader.at_boundary() => return Ok(()),
            None => return Err(Error::Truncated),
        }
        while let Some(item) = self.reader.next_item()? {
            self.step(item)?;
        }
        Ok(())
    }

    /// Says that the peer has acknowledged octets of a body: a long transfer is no stall.
    pub fn progress(&mut self, now_ms: u64) {
        self.deadline = now_ms + STALL_MS;
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<OfferingOutput> {
        self.output.pop_front()
    }

    /// When the peer must have moved on, in milliseconds.
    pub fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Takes the range with its proof that [`OfferingOutput::MakeSlice`] asked for.
    pub fn slice(&mut self, part: usize, offset: u64, slice: Bytes) {
        let head = ContentHead {
            piece: Piece::Slice { part, from: offset },
            octets: slice.len() as u64,
            last: true,
        };
        self.output.push_front(OfferingOutput::Send(slice));
        self.output.push_front(OfferingOutput::Send(encode(&Frame::Content(head))));
    }

    fn step(&mut self, item: Item) -> Result<(), Error> {
        let State::AwaitAnswer { wants } = self.state else {
            return Err(Error::OutOfOrder("a frame after the outcome"));
        };
        match item {
            Item::Frame(Frame::Want(wanted)) => {
                if wants == WANTS_MAX {
                    return Err(Error::Bound { what: "requests for content", bound: WANTS_MAX as u64 });
                }
                self.state = State::AwaitAnswer { wants: wants + 1 };
                self.output.push_back(OfferingOutput::Event(OfferingEvent::Wanted(wanted.clone())));
                self.supply(&wanted)
            }
            Item::Frame(Frame::Outcome(outcome)) => {
                if outcome.dispositions.len() != self.recipients {
                    return Err(Error::Malformed("an outcome has one disposition for each recipient"));
                }
                self.end(OfferingEvent::Outcome(outcome));
                Ok(())
            }
            Item::Frame(Frame::Failure(failure)) => {
                self.end(OfferingEvent::Failed(failure));
                Ok(())
            }
            _ => Err(Error::OutOfOrder("neither a request for content nor an outcome")),
        }
    }

    fn end(&mut self, event: OfferingEvent) {
        self.state = State::Done;
        self.output.push_back(OfferingOutput::Event(event));
        self.output.push_back(OfferingOutput::Finish);
    }

    /// Queues the content of a selection.
    fn supply(&mut self, wanted: &Selection) -> Result<(), Error> {
        match wanted {
            Selection::All => self.send_all(),
            Selection::Headers => self.send_headers(true),
            // The identity came with the offer: an empty piece says so.
            Selection::Digest => self.send_piece(Piece::Manifest, Bytes::new(), true),
            Selection::Signers => {
                self.send_piece(Piece::Seals, Bytes::from(self.supply.seals_octets()), true)
            }
            Selection::Text => {
                let text = self.supply.manifest.first_text();
                self.send_headers(text.is_none());
                if let Some(part) = text {
                    self.send_body(part, 0, true)?;
                }
            }
            Selection::Parts(parts) => {
                for (place, (part, from)) in parts.iter().enumerate() {
                    self.send_body(*part, *from, place + 1 == parts.len())?;
                }
            }
            Selection::Range { part, offset, octets } => {
                let leaf = self.leaf_octets(*part)?;
                if offset.checked_add(*octets).is_none_or(|end| end > leaf) {
                    return Err(message::Error::NoSuchPart("a range past the end of its part").into());
                }
                let (part, offset, octets) = (*part, *offset, *octets);
                self.output.push_back(OfferingOutput::MakeSlice { part, offset, octets });
            }
        }
        Ok(())
    }

    fn send_all(&mut self) {
        let leaves: Vec<(usize, u64)> =
            self.supply.manifest.leaves().map(|(part, entry, _)| (part, entry.octets)).collect();
        self.send_headers(leaves.is_empty());
        for (place, (part, octets)) in leaves.iter().enumerate() {
            self.send_body_octets(*part, 0, *octets, place + 1 == leaves.len());
        }
    }

    fn send_headers(&mut self, last: bool) {
        self.send_piece(Piece::Manifest, Bytes::copy_from_slice(self.supply.manifest.octets()), false);
        self.send_piece(Piece::Seals, Bytes::from(self.supply.seals_octets()), false);
        self.send_piece(Piece::Headers, self.supply.headers.clone(), last);
    }

    fn send_piece(&mut self, piece: Piece, octets: Bytes, last: bool) {
        let head = ContentHead { piece, octets: octets.len() as u64, last };
        self.output.push_back(OfferingOutput::Send(encode(&Frame::Content(head))));
        if !octets.is_empty() {
            self.output.push_back(OfferingOutput::Send(octets));
        }
    }

    fn leaf_octets(&self, part: usize) -> Result<u64, Error> {
        match self.supply.manifest.part(part) {
            Some(entry) if entry.leaf().is_some() => Ok(entry.octets),
            _ => Err(message::Error::NoSuchPart("no leaf has this number").into()),
        }
    }

    fn send_body(&mut self, part: usize, from: u64, last: bool) -> Result<(), Error> {
        let octets = self.leaf_octets(part)?;
        if from > octets {
            return Err(message::Error::NoSuchPart("a body from past its end").into());
        }
        self.send_body_octets(part, from, octets - from, last);
        Ok(())
    }

    fn send_body_octets(&mut self, part: usize, from: u64, octets: u64, last: bool) {
        let head = ContentHead { piece: Piece::Body { part, from }, octets, last };
        self.output.push_back(OfferingOutput::Send(encode(&Frame::Content(head))));
        if octets > 0 {
            self.output.push_back(OfferingOutput::SendBody { part, from, octets });
        }
    }
}
