//! The side that is asked: one stream, one offer or one request.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use message::{Headers, Manifest, Seal, Selection};

use crate::due::Due;
use crate::limits::{STALL_MS, WANTS_MAX};
use crate::{
    ContentHead, Eager, Error, Failure, Frame, Item, Offer, Outcome, Piece, Protocol, Reader, Settings, Way,
    encode,
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
/// keeps: EXC-4, EXC-6, EXC-7, EXC-8, EXC-9, FRM-7, FRM-9, SUB-5
#[derive(Debug)]
pub struct Answering {
    protocol: Protocol,
    reader: Reader,
    state: State,
    manifest: Option<Manifest>,
    output: VecDeque<AnsweringOutput>,
    deadline: u64,
    wants: usize,
    /// What was promised to peers, where the driver wants it enforced here.
    settings: Option<Settings>,
    /// Whether the one answer or reply of this stream was given.
    replied: bool,
}

#[derive(Debug)]
enum State {
    AwaitFirst,
    /// Content of an offer comes; `piece` is the one that is being read.
    AwaitContent {
        offer: Box<Offer>,
        due: Due,
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
            deadline: now_ms.saturating_add(STALL_MS),
            wants: 0,
            settings: None,
            replied: false,
        }
    }

    /// The same, which also refuses what goes past the settings: more eager content, larger parts, more recipients.
    ///
    /// keeps: EXC-3
    pub fn with_settings(now_ms: u64, protocol: Protocol, settings: Settings) -> Answering {
        Answering { settings: Some(settings), ..Answering::new(now_ms, protocol) }
    }

    /// Takes in octets; `None` says that the peer sends no more.
    ///
    /// # Errors
    /// What the peer did wrong. The driver calls [`Answering::fail`] and resets what is left.
    pub fn handle(&mut self, now_ms: u64, octets: Option<&[u8]>) -> Result<(), Error> {
        // The outcome is sent: what still comes on this stream is of no use and is not read as anything else.
        if matches!(self.state, State::Done) {
            return Ok(());
        }
        self.deadline = now_ms.saturating_add(STALL_MS);
        let more = matches!(self.state, State::AwaitFirst | State::AwaitContent { .. });
        self.reader.take(octets, !more)?;
        while let Some(item) = self.next_item()? {
            self.step(item)?;
        }
        Ok(())
    }

    fn next_item(&mut self) -> Result<Option<Item>, Error> {
        self.reader.next_item().inspect_err(|_| self.state = State::Done)
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

    /// Gives the machine the manifest of the message that is offered, where the receiver has it from an earlier offer:
    /// single parts can be asked for then. Only after [`AnsweringEvent::Offered`].
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] where no offer is under way; [`Error::Content`] where it is the manifest of another message.
    pub fn know(&mut self, manifest: Manifest) -> Result<(), Error> {
        let (State::AwaitContent { offer, .. } | State::AwaitDecision { offer }) = &self.state else {
            return Err(Error::OutOfOrder("a manifest belongs to an offer"));
        };
        if manifest.identity() != offer.envelope.identity {
            return Err(message::Error::Digest("the manifest").into());
        }
        self.manifest = Some(manifest);
        Ok(())
    }

    /// Asks for content. Only after [`AnsweringEvent::Supplied`].
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] where it is not the application's turn, or bodies are wanted before the manifest came;
    /// [`Error::Bound`] past [`WANTS_MAX`]; [`Error::Content`] where the manifest has no such part. Nothing has changed
    /// then.
    pub fn want(&mut self, now_ms: u64, wanted: Selection) -> Result<(), Error> {
        if !matches!(self.state, State::AwaitDecision { .. }) {
            return Err(Error::OutOfOrder("content can be asked for only between offers and answers"));
        }
        if self.wants == WANTS_MAX {
            return Err(Error::Bound { what: "requests for content", bound: WANTS_MAX as u64 });
        }
        let due = Due::of(&wanted, self.manifest.as_ref())?;
        let State::AwaitDecision { offer } = std::mem::replace(&mut self.state, State::Done) else {
            return Ok(());
        };
        self.wants += 1;
        self.deadline = now_ms.saturating_add(STALL_MS);
        self.output.push_back(AnsweringOutput::Send(encode(&Frame::Want(wanted))));
        self.state = State::AwaitContent { offer, due, piece: None };
        Ok(())
    }

    /// Answers the offer; possible at any time after it, also while content still comes, which is then not read. Only
    /// the first answer, reply or failure of a stream is sent.
    pub fn answer(&mut self, outcome: &Outcome) {
        self.end(&Frame::Outcome(outcome.clone()));
    }

    /// Replies to a request.
    pub fn reply(&mut self, reply: &Frame) {
        self.end(reply);
    }

    /// Says that there is no answer or reply, and why.
    pub fn fail(&mut self, failure: Failure) {
        self.end(&Frame::Failure(failure));
    }

    fn end(&mut self, frame: &Frame) {
        self.state = State::Done;
        if std::mem::replace(&mut self.replied, true) {
            return;
        }
        self.output.push_back(AnsweringOutput::Send(encode(frame)));
        self.output.push_back(AnsweringOutput::Finish);
    }

    fn step(&mut self, item: Item) -> Result<(), Error> {
        match (std::mem::replace(&mut self.state, State::Done), item) {
            (State::AwaitFirst, Item::Frame(frame)) => self.first(frame),
            (State::AwaitContent { offer, mut due, piece: None }, Item::Frame(Frame::Content(head))) => {
                due.check(&head)?;
                if let Piece::Body { part, from } = head.piece {
                    self.event(AnsweringEvent::BodyStart { part, from });
                }
                self.proceed(offer, due, Open { head, left: head.octets, gathered: BytesMut::new() })
            }
            (State::AwaitContent { offer, due, piece: Some(mut open) }, Item::Content(octets)) => {
                open.left = open.left.saturating_sub(octets.len() as u64);
                match open.head.piece {
                    Piece::Body { .. } => self.event(AnsweringEvent::Body(octets)),
                    _ => open.gathered.extend_from_slice(&octets),
                }
                self.proceed(offer, due, open)
            }
            _ => Err(Error::OutOfOrder("a frame that may not come here")),
        }
    }

    fn first(&mut self, frame: Frame) -> Result<(), Error> {
        let submission = self.protocol == Protocol::Submission;
        match frame {
            Frame::Offer(offer) => {
                self.check_way(&offer)?;
                let settings = self.settings.unwrap_or(UNBOUNDED);
                if offer.envelope.recipients.len() as u64 > settings.recipients_max {
                    return Err(Error::Bound { what: "recipients", bound: settings.recipients_max });
                }
                let eager = match offer.eager {
                    Eager::Nothing => None,
                    Eager::Headers => Some(Selection::Headers),
                    Eager::All => Some(Selection::All),
                };
                self.event(AnsweringEvent::Offered(offer.clone()));
                self.state = match eager {
                    Some(wanted) => {
                        let due = Due::of(&wanted, None)?.within(settings.eager_octets);
                        State::AwaitContent { offer, due, piece: None }
                    }
                    None => {
                        self.event(AnsweringEvent::Supplied);
                        State::AwaitDecision { offer }
                    }
                };
                Ok(())
            }
            Frame::Poll(_) | Frame::GiveUp(_) | Frame::Key(_) if self.protocol != Protocol::Doorstep => {
                self.asked(frame)
            }
            Frame::Enrol(_)
            | Frame::Status(_)
            | Frame::Mailbox { .. }
            | Frame::Fetch { .. }
            | Frame::Devices
            | Frame::RemoveDevice(_)
            | Frame::Held { .. }
            | Frame::Decide(_)
            | Frame::Doorstep { .. }
            | Frame::DoorstepTook(_)
            | Frame::DoorstepEnd
            | Frame::KeyPublish(_)
            | Frame::KeyPinned { .. }
                if submission =>
            {
                self.asked(frame)
            }
            _ => Err(Error::OutOfOrder("a stream does not begin with this frame")),
        }
    }

    /// Whether an offer may come in this protocol. At a doorstep there is one recipient: a ticket is for one.
    ///
    /// keeps: FRM-7, DOOR-1
    fn check_way(&self, offer: &Offer) -> Result<(), Error> {
        let fits = match (self.protocol, &offer.way) {
            (Protocol::Submission, Way::Plain) => offer.submission.is_some(),
            (Protocol::Exchange, Way::Plain | Way::RedirectFailed) => offer.submission.is_none(),
            (Protocol::Doorstep, Way::Ticket(_)) => {
                offer.submission.is_none() && offer.envelope.recipients.len() == 1
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(Error::OutOfOrder("an offer of another protocol")) }
    }

    fn asked(&mut self, frame: Frame) -> Result<(), Error> {
        self.event(AnsweringEvent::Asked(frame));
        self.state = State::AwaitReply;
        Ok(())
    }

    /// Goes on after octets of a piece, or closes it and, after the last, gives the turn to the application.
    fn proceed(&mut self, offer: Box<Offer>, mut due: Due, open: Open) -> Result<(), Error> {
        if open.left > 0 {
            self.state = State::AwaitContent { offer, due, piece: Some(open) };
            return Ok(());
        }
        self.close(&offer, &mut due, open)?;
        self.state = if due.is_settled() {
            self.event(AnsweringEvent::Supplied);
            State::AwaitDecision { offer }
        } else {
            State::AwaitContent { offer, due, piece: None }
        };
        Ok(())
    }

    /// Checks a whole piece and tells of it.
    fn close(&mut self, offer: &Offer, due: &mut Due, open: Open) -> Result<(), Error> {
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
                let bound = self.settings.unwrap_or(UNBOUNDED).part_octets_max;
                if manifest.leaves().any(|(_, part, _)| part.octets > bound) {
                    return Err(Error::Bound { what: "octets of a part", bound });
                }
                due.learn(&manifest);
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

/// Where the driver enforces its settings itself.
const UNBOUNDED: Settings =
    Settings { eager_octets: u64::MAX, part_octets_max: u64::MAX, recipients_max: u64::MAX };

/// keeps: SEAL-7
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
