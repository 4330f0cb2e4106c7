//! The two machines of an offer, driven by hand: no network, no clock, no disk.
//!
//! `protocol` does no I/O. Octets go in with `handle`, what is to be done comes out of `poll`, and time is
//! an argument. So a whole transfer, the loss of a connection in its middle and the resumption at the octet
//! where it stopped fit into one small program, and run the same way each time.
//!
//! ```text
//! cargo run -p waxwing-examples --example drive_protocol
//! ```

use std::error::Error;

use bytes::Bytes;
use message::{
    Digest, Disposition, Draft, DraftContent, DraftPart, Envelope, Extent, HeaderBuilder, Manifest, Message,
    Selection,
};
use protocol::{
    Answering, AnsweringEvent, AnsweringOutput, Eager, Offer, Offering, OfferingEvent, OfferingOutput,
    Outcome, Protocol, Settings, Supply,
};

/// Octets that come through in one go, as a network would cut them.
const PIECE_OCTETS: usize = 10_000;
/// Number of the one part of the message below.
const PART: usize = 0;

fn main() -> Result<(), Box<dyn Error>> {
    let message = film()?;
    let mut receiver = Receiver::default();

    println!("The first connection is lost after about 120,000 octets:");
    let lost = transfer(&message, &mut receiver, Some(120_000))?;
    assert!(lost.is_none(), "the connection was lost, so there is no outcome");
    let kept = receiver.body.len();
    assert!(0 < kept && kept < message.bodies()[PART].len(), "something has come, and not everything");
    println!("  kept: {kept} octets\n");

    println!("The second one goes on where the first one stopped:");
    let outcome = transfer(&message, &mut receiver, None)?.ok_or("no outcome")?;
    assert_eq!(outcome.dispositions, [Disposition::Accepted]);
    assert_eq!(receiver.body, message.bodies()[PART]);
    assert_eq!(
        receiver.asked,
        [
            Selection::Headers,
            Selection::Parts(vec![(PART, 0)]),
            Selection::Headers,
            Selection::Parts(vec![(PART, kept as u64)])
        ]
    );
    println!("  kept: {} octets, and their digest is the one in the manifest", receiver.body.len());
    Ok(())
}

/// One transaction on one stream. `lost_after` is how many octets come through before the connection is gone.
fn transfer(
    message: &Message,
    receiver: &mut Receiver,
    lost_after: Option<usize>,
) -> Result<Option<Outcome>, Box<dyn Error>> {
    let (now_ms, settings) = (0, Settings { eager_octets: 0, ..Settings::default() });
    let supply = Supply {
        manifest: message.manifest().clone(),
        headers: message.headers().octets(),
        seals: Vec::new(),
    };
    let mut sender = Offering::new(now_ms, offer(message)?, supply, &settings);
    let mut answering = Answering::new(now_ms, Protocol::Exchange);
    let mut line = Line { left: lost_after.unwrap_or(usize::MAX) };

    loop {
        // What the sender has for the receiver.
        while let Some(output) = sender.poll() {
            let octets = match output {
                OfferingOutput::Send(octets) => octets,
                // The machine never holds a body. It says which octets are due, and the driver has them.
                OfferingOutput::SendBody { part, from, octets } => {
                    message.bodies()[part].slice(from as usize..(from + octets) as usize)
                }
                OfferingOutput::Event(OfferingEvent::Wanted(wanted)) => {
                    println!("  the receiver wants {wanted:?}");
                    continue;
                }
                OfferingOutput::Event(OfferingEvent::Outcome(outcome)) => return Ok(Some(outcome)),
                OfferingOutput::Event(OfferingEvent::Failed(failure)) => return Err(failure.text.into()),
                OfferingOutput::MakeSlice { .. } | OfferingOutput::Finish => continue,
            };
            for piece in octets.chunks(PIECE_OCTETS) {
                if !line.carries(piece) {
                    return Ok(None);
                }
                answering.handle(now_ms, Some(piece))?;
                receiver.drain(&mut answering, &mut sender)?;
            }
        }
    }
}

/// A connection that holds for so many octets.
struct Line {
    left: usize,
}

impl Line {
    fn carries(&mut self, octets: &[u8]) -> bool {
        self.left = self.left.saturating_sub(octets.len());
        self.left > 0
    }
}

/// The side that takes the message: what it has outlives a connection, as it would on a disk.
#[derive(Default)]
struct Receiver {
    manifest: Option<Manifest>,
    body: Vec<u8>,
    asked: Vec<Selection>,
}

impl Receiver {
    /// Does what the machine says, and gives to the sender what the machine has for it.
    fn drain(&mut self, answering: &mut Answering, sender: &mut Offering) -> Result<(), Box<dyn Error>> {
        while let Some(output) = answering.poll() {
            match output {
                AnsweringOutput::Send(octets) => sender.handle(0, Some(&octets))?,
                AnsweringOutput::Finish => {}
                AnsweringOutput::Event(AnsweringEvent::Manifest(manifest)) => self.manifest = Some(*manifest),
                AnsweringOutput::Event(AnsweringEvent::Body(octets)) => self.body.extend_from_slice(&octets),
                AnsweringOutput::Event(AnsweringEvent::Offered(_)) => self.asked_anew(),
                AnsweringOutput::Event(AnsweringEvent::Supplied) => self.decide(answering)?,
                AnsweringOutput::Event(_) => {}
            }
        }
        Ok(())
    }

    /// A new offer: the manifest comes with its headers again, the octets of the body that are here stay.
    fn asked_anew(&mut self) {
        self.manifest = None;
    }

    /// It is our turn: ask for the headers, then for what is missing, then answer.
    fn decide(&mut self, answering: &mut Answering) -> Result<(), Box<dyn Error>> {
        let wanted = match &self.manifest {
            None => Selection::Headers,
            Some(manifest) => {
                let part = manifest.part(PART).ok_or("no such part")?;
                if self.body.len() as u64 == part.octets {
                    // Nothing is believed: what was gathered over two connections must have the digest that
                    // the manifest states, and the manifest's own digest was checked against the offer by
                    // the machine.
                    assert_eq!(Some(Digest::of(&self.body)), part.leaf());
                    answering.answer(&Outcome { dispositions: vec![Disposition::Accepted], sealed: None });
                    return Ok(());
                }
                Selection::Parts(vec![(PART, self.body.len() as u64)])
            }
        };
        self.asked.push(wanted.clone());
        Ok(answering.want(0, wanted)?)
    }
}

fn offer(message: &Message) -> Result<Offer, Box<dyn Error>> {
    let envelope = Envelope {
        identity: message.identity(),
        octets: message.manifest().message_octets(),
        issuers: vec!["north.test".to_owned()],
        recipients: vec![message::address::Address::parse("bob@south.test")?],
        trace: Vec::new(),
    };
    // What goes unasked is worked out by the machine from the settings of the receiver: here nothing.
    Ok(Offer { envelope, eager: Eager::Nothing, submission: None, way: protocol::Way::Plain })
}

/// A message with one part of 300,000 octets.
fn film() -> Result<Message, Box<dyn Error>> {
    let body: Bytes = (0..300_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut header = HeaderBuilder::new();
    header.push("From", "alice@north.test")?;
    header.push("Subject", "How the cakes are made")?;
    let root = DraftPart {
        media_type: "video/x-matroska".to_owned(),
        parameters: String::new(),
        fields: Vec::new(),
        content: DraftContent::Body(Extent::of(&body)),
    };
    Ok(Message::assemble(&Draft { header: header.finish()?, root }, vec![body])?)
}

#[cfg(test)]
#[test]
fn runs() {
    main().unwrap();
}
