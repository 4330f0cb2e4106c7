//! The hot paths of the house, ready to be run again and again: timed by `benches/parts.rs`, counted in instructions by
//! `tests/instructions.rs`.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use message::address::{Address, Domain};
use message::{
    Claims, Disposition, Draft, DraftContent, DraftPart, Envelope, Extent, HeaderBuilder, Hop, Message, Role,
    Seal, SecretKey,
};
use protocol::{
    Answering, AnsweringEvent, AnsweringOutput, Eager, Frame, Item, Offer, Offering, OfferingOutput, Outcome,
    Protocol, Reader, Settings, Supply, encode,
};
use storage::{
    Acceptance, AccountRecord, Content, Effect, Intended, Keeper, Memory, MemoryFiles, NewMessage, Origin,
    Store,
};

/// What goes wrong where a path is made ready.
pub type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// A path that is ready: each call goes along it once.
pub type Path = Box<dyn FnMut() -> Result<(), Trouble>>;

/// The names of the paths.
pub const NAMES: [&str; 6] =
    ["seal-verify", "manifest-decode", "offer-frame", "offer-machines", "storage-accept", "mail-import"];

/// A mail as others send it.
const MAIL: &[u8] = include_bytes!("../../examples/letter.eml");
/// Octets of the text of a message.
const TEXT_OCTETS: usize = 4096;
/// 2026-01-01, in milliseconds.
const NOW_MS: u64 = 1_767_225_600_000;

/// Makes a path ready to be gone along so many times.
///
/// # Errors
/// Where the name is not one of [`NAMES`], or what is needed cannot be made.
pub fn path(name: &str, count: u64) -> Result<Path, Trouble> {
    let key = SecretKey::from_seed(&[7; 32]);
    let message = message(0)?;
    let seal = seal(&message, &key);
    match name {
        "seal-verify" => {
            let public = key.public();
            Ok(Box::new(move || {
                seal.verify(message.manifest().octets(), &public, NOW_MS / 1000)?;
                Ok(())
            }))
        }
        "manifest-decode" => {
            let octets = message.manifest().octets().to_vec();
            Ok(Box::new(move || {
                message::Manifest::decode(&octets)?;
                Ok(())
            }))
        }
        "offer-frame" => {
            let frame = Frame::Offer(Box::new(offer(&message)?));
            Ok(Box::new(move || {
                let mut reader = Reader::new();
                reader.push(&encode(&frame));
                match reader.next_item()? {
                    Some(Item::Frame(read)) if read == frame => Ok(()),
                    other => Err(format!("{other:?}").into()),
                }
            }))
        }
        "offer-machines" => {
            let (offer, supply) = (offer(&message)?, supply(&message, &seal));
            Ok(Box::new(move || exchange(&message, offer.clone(), supply.clone())))
        }
        "storage-accept" => accept(&key, count),
        "mail-import" => Ok(Box::new(|| {
            translate::import(MAIL, &translate::ImportOptions::default())?;
            Ok(())
        })),
        other => Err(format!("there is no path {other}").into()),
    }
}

fn message(number: u64) -> Result<Message, Trouble> {
    let mut header = HeaderBuilder::new();
    header.push("From", "alice@north.test")?;
    header.push("To", "bob@south.test")?;
    header.push("Subject", &format!("number {number}"))?;
    header.push("Date", "Thu, 1 Jan 2026 12:00:00 +0000")?;
    header.push("Message-Id", &format!("<{number}@north.test>"))?;
    let text = Bytes::from(format!("{number:x<TEXT_OCTETS$}"));
    let root = DraftPart {
        media_type: "text/plain".to_owned(),
        parameters: String::new(),
        fields: Vec::new(),
        content: DraftContent::Body(Extent::of(&text)),
    };
    Ok(Message::assemble(&Draft { header: header.finish()?, root }, vec![text])?)
}

fn seal(message: &Message, key: &SecretKey) -> Seal {
    let claims = Claims {
        issuer: "north.test".to_owned(),
        issued_at: NOW_MS / 1000,
        expires_at: None,
        role: Role::Submission,
        submitter: Some("alice@north.test".to_owned()),
        recipient: None,
        authorization: None,
        checks: Vec::new(),
    };
    Seal::sign(message.manifest().octets(), claims, b"key1", key)
}

fn offer(message: &Message) -> Result<Offer, Trouble> {
    let envelope = Envelope {
        identity: message.identity(),
        octets: message.manifest().message_octets(),
        issuers: vec!["north.test".to_owned()],
        recipients: vec![Address::parse("bob@south.test")?],
        trace: vec![Hop { by: Domain::parse("north.test")?, at: NOW_MS / 1000 }],
    };
    Ok(Offer { envelope, eager: Eager::Nothing, submission: None, way: protocol::Way::Plain })
}

fn supply(message: &Message, seal: &Seal) -> Supply {
    Supply {
        manifest: message.manifest().clone(),
        headers: message.headers().octets(),
        seals: vec![seal.octets().clone()],
    }
}

/// One offer through both machines, everything with it, and its answer.
fn exchange(message: &Message, offer: Offer, supply: Supply) -> Result<(), Trouble> {
    let settings = Settings::default();
    let mut offering = Offering::new(0, offer, supply, &settings);
    let mut answering = Answering::with_settings(0, Protocol::Exchange, settings);
    while let Some(output) = offering.poll() {
        match output {
            OfferingOutput::Send(octets) => answering.handle(0, Some(&octets))?,
            OfferingOutput::SendBody { part, .. } => {
                answering.handle(0, message.body(part).map(|body| &body[..]))?;
            }
            _ => {}
        }
    }
    let mut supplied = false;
    while let Some(output) = answering.poll() {
        supplied |= matches!(output, AnsweringOutput::Event(AnsweringEvent::Supplied));
    }
    answering.answer(&Outcome { dispositions: vec![Disposition::Accepted], sealed: None });
    while let Some(output) = answering.poll() {
        if let AnsweringOutput::Send(octets) = output {
            offering.handle(0, Some(&octets))?;
        }
    }
    if supplied { Ok(()) } else { Err("not everything came".into()) }
}

/// Acceptances into a mailbox, on the engine in memory and without a thread.
fn accept(key: &SecretKey, count: u64) -> Result<Path, Trouble> {
    let store = Keeper::open_in_place(Memory::new(), &MemoryFiles::new(), storage::Settings::default())?;
    let bob = Address::parse("bob@south.test")?;
    finish(store.put_account(AccountRecord {
        name: "bob".to_owned(),
        addresses: vec![bob.clone()],
        password_hash: None,
        scram: None,
        devices: Vec::new(),
        disabled: false,
        notices: false,
    }))?;
    let origin = Origin::Peer { domain: Domain::parse("north.test")? };
    let mut waiting = Vec::new();
    for number in 0..count {
        let message = message(number)?;
        let seal = seal(&message, key);
        let (part, leaf, digest) = message.manifest().leaves().next().ok_or("a message has a leaf")?;
        let mut writer = store.stage("north.test", Extent { octets: leaf.octets, digest }, NOW_MS)?;
        writer.write(&message.bodies()[0])?;
        waiting.push(Acceptance {
            offered_as: message.identity(),
            content: Content::New(NewMessage {
                manifest: message.manifest().clone(),
                headers: Some(message.headers().clone()),
                seals: vec![seal],
                parts: vec![(part, writer.finish()?)],
            }),
            octets: message.manifest().message_octets(),
            origin: origin.clone(),
            trace: Vec::new(),
            now_ms: NOW_MS,
            expires_at_ms: NOW_MS + 1,
            release_at_ms: None,
            recipients: vec![Intended {
                address: bob.clone(),
                effect: Effect::Mailbox { account: "bob".to_owned(), seals: Vec::new() },
                answer: Disposition::Accepted,
                why: None,
            }],
            again: Vec::new(),
            members: Vec::new(),
            room: None,
        });
    }
    Ok(Box::new(move || {
        let acceptance = waiting.pop().ok_or("more were asked for than were made ready")?;
        finish(store.accept(acceptance))?;
        Ok(())
    }))
}

/// A future that waits for nobody else: a store without a thread does its work when it is polled.
fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}
