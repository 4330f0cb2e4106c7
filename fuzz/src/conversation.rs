//! Both sides of a stream, and somebody who says anything in any order.

use bytes::Bytes;
use message::address::Address;
use message::{
    Code, Disposition, Draft, DraftContent, DraftPart, Envelope, Extent, HeaderBuilder, Message, Selection,
};
use protocol::limits::WANTS_MAX;
use protocol::{
    Answering, AnsweringEvent, AnsweringOutput, Asking, ContentHead, Eager, Failure, Frame, Offer, Offering,
    OfferingEvent, OfferingOutput, Outcome, Piece, Protocol, Settings, Supply, encode,
};

/// Everything that was said so far may be held this many times over, and a little more.
const HELD_FACTOR: usize = 4;

fn letter() -> (Message, Supply) {
    let mut header = HeaderBuilder::new();
    header.push("From", "ada@north.test").unwrap();
    let bodies: Vec<Bytes> = [&b"first"[..], b"second", b""].map(Bytes::from_static).to_vec();
    let leaf = |body: &Bytes| DraftPart {
        media_type: "text/plain".into(),
        parameters: String::new(),
        fields: Vec::new(),
        content: DraftContent::Body(Extent::of(body)),
    };
    let root = DraftPart {
        media_type: "multipart/mixed".into(),
        content: DraftContent::Parts(bodies.iter().map(leaf).collect()),
        ..leaf(&bodies[0])
    };
    let message = Message::assemble(&Draft { header: header.finish().unwrap(), root }, bodies).unwrap();
    let supply = Supply {
        manifest: message.manifest().clone(),
        headers: message.headers().octets(),
        seals: Vec::new(),
    };
    (message, supply)
}

struct Talk {
    message: Message,
    supply: Supply,
    answering: Answering,
    offering: Offering,
    asking: Asking,
    /// What the offering side has to say, and is not yet with the other.
    to_answering: Vec<u8>,
    to_offering: Vec<u8>,
    said: usize,
    supplied: usize,
    finished: usize,
    ended: bool,
}

/// Each step is an octet, some with octets behind them: what was really said travels in pieces, and in between come
/// octets of anybody's.
pub(crate) fn conversation(octets: &[u8]) {
    let (message, supply) = letter();
    let [first, steps @ ..] = octets else { return };
    let settings = Settings {
        eager_octets: [0, 300, 1 << 20][usize::from(first % 3)],
        part_octets_max: 1 << 20,
        recipients_max: 9,
    };
    let envelope = Envelope {
        identity: message.identity(),
        octets: message.manifest().message_octets(),
        issuers: Vec::new(),
        recipients: vec![Address::from_wire("bob@south.test").unwrap()],
        trace: Vec::new(),
    };
    let identity = message.identity();
    let offer = Offer { envelope, eager: Eager::Nothing, submission: None, way: protocol::Way::Plain };
    let protocol = if first & 8 == 0 { Protocol::Exchange } else { Protocol::Submission };
    let mut talk = Talk {
        answering: Answering::with_settings(0, protocol, settings),
        offering: Offering::new(0, offer, supply.clone(), &settings),
        asking: Asking::new(0, &Frame::Fetch { identity, selection: Selection::All }),
        message,
        supply,
        to_answering: Vec::new(),
        to_offering: Vec::new(),
        said: 0,
        supplied: 0,
        finished: 0,
        ended: false,
    };
    talk.drain();
    let mut rest = steps;
    while let [step, tail @ ..] = rest {
        rest = talk.step(*step, tail);
        talk.drain();
    }
}

impl Talk {
    fn step<'a>(&mut self, step: u8, tail: &'a [u8]) -> &'a [u8] {
        let selections = [
            Selection::All,
            Selection::Headers,
            Selection::Digest,
            Selection::Signers,
            Selection::Text,
            Selection::Parts(vec![(2, 1), (1, 0)]),
            Selection::Parts(vec![(9, 0)]),
            Selection::Range { part: 1, offset: 0, octets: 5 },
        ];
        match step % 8 {
            // What was said arrives, all of it or a piece.
            0 | 1 => {
                let count = if step & 8 == 0 { usize::MAX } else { usize::from(step >> 4) + 1 };
                let take = count.min(self.to_answering.len());
                let octets: Vec<u8> = self.to_answering.drain(..take).collect();
                self.hear(&octets);
            }
            2 => {
                let octets = std::mem::take(&mut self.to_offering);
                let _ = self.offering.handle(0, Some(&octets));
                let _ = self.asking.handle(0, Some(&octets));
            }
            // Anybody's octets, to all.
            3 => {
                let [length, tail @ ..] = tail else { return &[] };
                let (octets, tail) = tail.split_at(usize::from(*length).min(tail.len()));
                self.said += octets.len();
                self.hear(octets);
                let _ = self.offering.handle(0, Some(octets));
                let _ = self.asking.handle(0, Some(octets));
                return tail;
            }
            4 => {
                let wanted = selections[usize::from(step >> 3) % selections.len()].clone();
                let _ = self.answering.want(0, wanted);
            }
            5 => self.answering.answer(&Outcome { dispositions: vec![Disposition::Accepted], sealed: None }),
            6 if step & 8 == 0 => {
                self.answering.fail(Failure { code: Code::SYSTEM_TROUBLE, text: "no".into() });
            }
            6 => {
                let _ = self.answering.handle(0, None);
                let _ = self.offering.handle(0, None);
                let _ = self.asking.handle(0, None);
            }
            // A piece of content out of its place.
            _ => {
                let pieces = [
                    (Piece::Manifest, self.supply.manifest.octets().to_vec()),
                    (Piece::Headers, self.supply.headers.to_vec()),
                    (Piece::Seals, self.supply.seals_octets()),
                    (Piece::Body { part: 1, from: 0 }, self.message.bodies()[0].to_vec()),
                ];
                let (piece, octets) = pieces[usize::from(step >> 3) % pieces.len()].clone();
                let head = ContentHead { piece, octets: octets.len() as u64, last: step & 128 != 0 };
                let said = [encode(&Frame::Content(head)).to_vec(), octets].concat();
                self.said += said.len();
                self.hear(&said);
            }
        }
        tail
    }

    /// As a driver does: after an error the stream is failed and not read again.
    fn hear(&mut self, octets: &[u8]) {
        if self.ended {
            return;
        }
        if let Err(error) = self.answering.handle(0, Some(octets)) {
            self.answering.fail(Failure { code: error.code(), text: error.to_string() });
            self.ended = true;
        }
    }

    fn drain(&mut self) {
        let mut events = 0;
        while let Some(output) = self.answering.poll() {
            assert!(self.finished == 0, "something after the end: {output:?}");
            match output {
                AnsweringOutput::Send(octets) => self.to_offering.extend_from_slice(&octets),
                AnsweringOutput::Finish => self.finished += 1,
                AnsweringOutput::Event(AnsweringEvent::Supplied) => self.supplied += 1,
                AnsweringOutput::Event(AnsweringEvent::Manifest(manifest)) => {
                    assert_eq!(Bytes::copy_from_slice(manifest.octets()).len(), manifest.octets().len());
                    events += 1;
                }
                AnsweringOutput::Event(_) => events += 1,
            }
        }
        assert!(self.supplied <= WANTS_MAX + 1, "more turns than there may be");
        let mut outcomes = 0;
        while let Some(output) = self.offering.poll() {
            match output {
                OfferingOutput::Send(octets) => {
                    self.said += octets.len();
                    self.to_answering.extend_from_slice(&octets);
                }
                OfferingOutput::SendBody { part, from, octets } => {
                    let number = part.checked_sub(1).expect("a leaf of this message");
                    let body = &self.message.bodies()[number];
                    assert_eq!(from + octets, body.len() as u64, "a body goes to its end");
                    self.to_answering.extend_from_slice(&body[from as usize..]);
                    self.said += body.len();
                }
                OfferingOutput::MakeSlice { part, offset, octets } => {
                    assert!(octets <= protocol::limits::RANGE_OCTETS_MAX);
                    self.offering.slice(part, offset, Bytes::from_static(b"slice"));
                }
                OfferingOutput::Event(OfferingEvent::Outcome(_) | OfferingEvent::Failed(_)) => outcomes += 1,
                OfferingOutput::Finish | OfferingOutput::Event(_) => {}
            }
        }
        assert!(outcomes <= 1, "one answer");
        while self.asking.poll().is_some() {}
        assert!(events <= HELD_FACTOR * (self.said + 64), "{events} events out of {} octets", self.said);
    }
}
