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

    /// What is to be sent for a selection: [`OfferingOutput::Send`], [`OfferingOutput::SendBody`] and
    /// [`OfferingOutput::MakeSlice`] only.
    ///
    /// # Errors
    /// [`Error::Content`] where the message has no such part or range.
    pub fn content(&self, wanted: &Selection) -> Result<Vec<OfferingOutput>, Error> {
        Ok(match wanted {
            Selection::All => self.all_content(),
            Selection::Headers => self.headers_content(true),
            // The identity came with the offer: an empty piece says so.
            Selection::Digest => piece_content(Piece::Manifest, Bytes::new(), true),
            Selection::Signers => piece_content(Piece::Seals, Bytes::from(self.seals_octets()), true),
            Selection::Text => {
                let text = self.manifest.first_text();
                let mut output = self.headers_content(text.is_none());
                if let Some(part) = text {
                    output.extend(body_content(part, 0, self.leaf_octets(part)?, true));
                }
                output
            }
            Selection::Parts(parts) => {
                let mut output = Vec::new();
                for (place, (part, from)) in parts.iter().enumerate() {
                    let octets = self
                        .leaf_octets(*part)?
                        .checked_sub(*from)
                        .ok_or(message::Error::NoSuchPart("a body from past its end"))?;
                    output.extend(body_content(*part, *from, octets, place + 1 == parts.len()));
                }
                output
            }
            Selection::Range { part, offset, octets } => {
                let leaf = self.leaf_octets(*part)?;
                if offset.checked_add(*octets).is_none_or(|end| end > leaf) {
                    return Err(message::Error::NoSuchPart("a range past the end of its part").into());
                }
                vec![OfferingOutput::MakeSlice { part: *part, offset: *offset, octets: *octets }]
            }
        })
    }

    fn all_content(&self) -> Vec<OfferingOutput> {
        let leaves: Vec<(usize, u64)> =
            self.manifest.leaves().map(|(part, entry, _)| (part, entry.octets)).collect();
        let mut output = self.headers_content(leaves.is_empty());
        for (place, (part, octets)) in leaves.iter().enumerate() {
            output.extend(body_content(*part, 0, *octets, place + 1 == leaves.len()));
        }
        output
    }

    fn headers_content(&self, last: bool) -> Vec<OfferingOutput> {
        let mut output =
            piece_content(Piece::Manifest, Bytes::copy_from_slice(self.manifest.octets()), false);
        output.extend(piece_content(Piece::Seals, Bytes::from(self.seals_octets()), false));
        output.extend(piece_content(Piece::Headers, self.headers.clone(), last));
        output
    }

    fn leaf_octets(&self, part: usize) -> Result<u64, Error> {
        match self.manifest.part(part) {
            Some(entry) if entry.leaf().is_some() => Ok(entry.octets),
            _ => Err(message::Error::NoSuchPart("no leaf has this number").into()),
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
/// keeps: EXC-1, EXC-2, EXC-4, EXC-5, EXC-9, EXC-26
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
            deadline: now_ms.saturating_add(STALL_MS),
        };
        // keeps: EXC-3
        match eager {
            Eager::Nothing => {}
            Eager::Headers => machine.output.extend(machine.supply.headers_content(true)),
            Eager::All => machine.output.extend(machine.supply.all_content()),
        }
        machine
    }

    /// Takes in octets of the answer; `None` says that the stream has ended.
    ///
    /// # Errors
    /// Why the answer is not one.
    pub fn handle(&mut self, now_ms: u64, octets: Option<&[u8]>) -> Result<(), Error> {
        // How octets were cut on their way must make no difference: what follows the answer is never read.
        if self.state == State::Done {
            return Ok(());
        }
        self.deadline = now_ms.saturating_add(STALL_MS);
        self.reader.push(octets.ok_or(Error::Truncated)?);
        while self.state != State::Done
            && let Some(item) = self.reader.next_item()?
        {
            self.step(item)?;
        }
        Ok(())
    }

    /// Says that the peer has acknowledged octets of a body: a long transfer is no stall.
    pub fn progress(&mut self, now_ms: u64) {
        self.deadline = now_ms.saturating_add(STALL_MS);
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
        for octets in slice_content(part, offset, slice).into_iter().rev() {
            self.output.push_front(OfferingOutput::Send(octets));
        }
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
        // Content that was not sent yet is of no use any more.
        self.output.retain(|output| matches!(output, OfferingOutput::Event(_)));
        self.output.push_back(OfferingOutput::Event(event));
        self.output.push_back(OfferingOutput::Finish);
    }

    fn supply(&mut self, wanted: &Selection) -> Result<(), Error> {
        self.output.extend(self.supply.content(wanted)?);
        Ok(())
    }
}

/// The frame and the octets of a range with its proof.
pub fn slice_content(part: usize, offset: u64, slice: Bytes) -> [Bytes; 2] {
    let head =
        ContentHead { piece: Piece::Slice { part, from: offset }, octets: slice.len() as u64, last: true };
    [encode(&Frame::Content(head)), slice]
}

fn piece_content(piece: Piece, octets: Bytes, last: bool) -> Vec<OfferingOutput> {
    let head = ContentHead { piece, octets: octets.len() as u64, last };
    let mut output = vec![OfferingOutput::Send(encode(&Frame::Content(head)))];
    if !octets.is_empty() {
        output.push(OfferingOutput::Send(octets));
    }
    output
}

fn body_content(part: usize, from: u64, octets: u64, last: bool) -> Vec<OfferingOutput> {
    let head = ContentHead { piece: Piece::Body { part, from }, octets, last };
    let mut output = vec![OfferingOutput::Send(encode(&Frame::Content(head)))];
    if octets > 0 {
        output.push(OfferingOutput::SendBody { part, from, octets });
    }
    output
}
