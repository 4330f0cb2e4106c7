//! Two machines and a wire that cuts what goes over it.

use std::ops::Range;

use bytes::BytesMut;
use message::{Message, Selection};
use waxwing_protocol::*;

use super::letter::{letter, offer, supply};

/// Two machines and the octets between them.
pub(crate) struct Pair {
    pub(crate) message: Message,
    pub(crate) offering: Offering,
    pub(crate) answering: Answering,
    /// Into pieces of how many octets each write is cut.
    pub(crate) cut: usize,
    pub(crate) sent: usize,
    pub(crate) offering_events: Vec<OfferingEvent>,
    /// What the answering side has heard, one word for each event, bodies joined.
    pub(crate) heard: Vec<String>,
    pub(crate) bodies: Vec<(usize, u64, BytesMut)>,
}

impl Pair {
    pub(crate) fn new(settings: Settings, cut: usize) -> Pair {
        Pair {
            message: letter().0,
            offering: Offering::new(0, offer(), supply(), &settings),
            answering: Answering::with_settings(0, Protocol::Exchange, settings),
            cut,
            sent: 0,
            offering_events: vec![],
            heard: vec![],
            bodies: vec![],
        }
    }

    /// Carries what the offering side has to say, then what the answering side has.
    pub(crate) fn pump(&mut self) -> Result<(), Error> {
        while let Some(output) = self.offering.poll() {
            match output {
                OfferingOutput::Send(octets) => self.carry(&octets)?,
                OfferingOutput::SendBody { part, from, octets } => {
                    let body = self.message.body(part).expect("a leaf").slice(from as usize..);
                    assert_eq!(body.len() as u64, octets);
                    self.carry(&body)?;
                }
                OfferingOutput::MakeSlice { part, offset, octets } => {
                    let range = slice_range(offset, octets);
                    let slice = self.message.body(part).expect("a leaf").slice(range);
                    self.offering.slice(part, offset, slice);
                }
                OfferingOutput::Finish => self.answering.handle(0, None)?,
                OfferingOutput::Event(event) => self.offering_events.push(event),
            }
        }
        self.hear();
        Ok(())
    }

    pub(crate) fn carry(&mut self, octets: &[u8]) -> Result<(), Error> {
        self.sent += octets.len();
        for piece in octets.chunks(self.cut) {
            self.answering.handle(0, Some(piece))?;
            self.hear();
        }
        Ok(())
    }

    pub(crate) fn hear(&mut self) {
        while let Some(output) = self.answering.poll() {
            let event = match output {
                AnsweringOutput::Event(event) => event,
                AnsweringOutput::Send(octets) => {
                    for piece in octets.chunks(self.cut) {
                        self.offering.handle(0, Some(piece)).expect("the answering side keeps the rules");
                    }
                    continue;
                }
                AnsweringOutput::Finish => continue,
            };
            let word = match event {
                AnsweringEvent::Offered(_) => "offered".into(),
                AnsweringEvent::Manifest(_) => "manifest".into(),
                AnsweringEvent::Seals(seals) => format!("seals {}", seals.len()),
                AnsweringEvent::Headers(_) => "headers".into(),
                AnsweringEvent::BodyStart { part, from } => {
                    self.bodies.push((part, from, BytesMut::new()));
                    continue;
                }
                AnsweringEvent::Body(octets) => {
                    self.bodies.last_mut().expect("a body has begun").2.extend_from_slice(&octets);
                    continue;
                }
                AnsweringEvent::BodyEnd { part } => {
                    let (begun, from, body) = self.bodies.last().expect("a body has begun");
                    assert_eq!(*begun, part);
                    assert_eq!(body[..], self.message.body(part).expect("a leaf")[*from as usize..]);
                    format!("body {part} from {from}")
                }
                AnsweringEvent::Slice { part, from, slice } => format!("slice {part} {from} {}", slice.len()),
                AnsweringEvent::Supplied => "supplied".into(),
                AnsweringEvent::Asked(_) => "asked".into(),
            };
            self.heard.push(word);
        }
    }

    pub(crate) fn want(&mut self, wanted: Selection) {
        self.answering.want(0, wanted).expect("it is the receiver's turn");
        self.hear();
        self.pump().expect("the offering side keeps the rules");
    }
}

/// The proof is not the matter of these machines: any octets will do.
pub(crate) fn slice_range(offset: u64, octets: u64) -> Range<usize> {
    offset as usize..(offset + octets) as usize
}

pub(crate) const HEADERS: [&str; 3] = ["manifest", "seals 1", "headers"];
pub(crate) const BODIES: [&str; 4] = ["body 1 from 0", "body 3 from 0", "body 4 from 0", "body 5 from 0"];
