//! What the tests share: messages, acceptances, and a way to wait.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use bytes::Bytes;
use message::address::{Address, Domain};
use message::{
    Cookie, Disposition, Draft, DraftContent, DraftPart, Extent, HeaderBuilder, Hop, Identity, Message,
};

use crate::{
    Acceptance, AccountRecord, Content, Effect, Error, Intended, Lane, NewMessage, Origin, Pend, Receipt,
    Stage, StagedPart, Store,
};

/// The time at which the tests begin, in Unix milliseconds.
pub(super) const NOW: u64 = 1_700_000_000_000;
/// Octets of a body that is kept as a file.
pub(super) const LARGE: usize = 100_000;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread until the future is done.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Waits for all of them, having begun all of them first.
pub(super) fn block_on_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut all: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    block_on(std::future::poll_fn(|context| {
        for (future, output) in all.iter_mut().filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(ready) = future.as_mut().poll(context) {
                *output = Some(ready);
            }
        }
        if all.iter().all(|(_, output)| output.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    }));
    all.into_iter().filter_map(|(_, output)| output).collect()
}

pub(super) fn address(text: &str) -> Address {
    Address::from_wire(text).unwrap()
}

pub(super) fn domain(text: &str) -> Domain {
    Domain::from_wire(text).unwrap()
}

pub(super) fn lane(name: &str) -> Lane {
    Lane::new(name).unwrap()
}

pub(super) fn peer() -> Origin {
    Origin::Peer { domain: domain("peer.test") }
}

pub(super) fn user() -> Origin {
    Origin::Submission { account: "ann".to_owned() }
}

/// Octets that no two seeds share and that do not repeat soon.
pub(super) fn octets(seed: u8, count: usize) -> Bytes {
    (0..count as u32).map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed).collect()
}

/// A message with these bodies: one part, or a container of several.
pub(super) fn letter(subject: &str, bodies: &[Bytes]) -> Message {
    let mut header = HeaderBuilder::new();
    header.push("From", "bob@peer.test").unwrap();
    header.push("Subject", subject).unwrap();
    let leaf = |body: &Bytes| DraftPart {
        media_type: "text/plain".to_owned(),
        parameters: String::new(),
        fields: Vec::new(),
        content: DraftContent::Body(Extent::of(body)),
    };
    let root = match bodies {
        [body] => leaf(body),
        bodies => DraftPart {
            media_type: "multipart/mixed".to_owned(),
            parameters: String::new(),
            fields: Vec::new(),
            content: DraftContent::Parts(bodies.iter().map(leaf).collect()),
        },
    };
    let draft = Draft { header: header.finish().unwrap(), root };
    Message::assemble(&draft, bodies.to_vec()).unwrap()
}

/// Stages one body.
pub(super) fn stage(store: &dyn Store, owner: &str, body: &[u8]) -> Result<StagedPart, Error> {
    let mut writer = store.stage(owner, Extent::of(body), NOW)?;
    let offset = writer.offset() as usize;
    for piece in body[offset..].chunks(10_007) {
        writer.write(piece)?;
    }
    writer.finish()
}

/// Stages all of a message.
pub(super) fn staged(store: &dyn Store, owner: &str, message: &Message) -> Result<NewMessage, Error> {
    let parts = message.manifest().leaves().map(|(number, _, _)| number).collect::<Vec<_>>();
    let parts = parts
        .into_iter()
        .map(|number| Ok((number, stage(store, owner, message.body(number).unwrap())?)))
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(NewMessage {
        manifest: message.manifest().clone(),
        headers: Some(message.headers().clone()),
        seals: Vec::new(),
        parts,
    })
}

pub(super) fn pending(cookie: u8) -> Disposition {
    Disposition::Pending {
        cookie: Cookie::from_bytes([cookie; 32]),
        min_seconds: 60,
        max_seconds: 3600,
        until: NOW / 1000 + 5 * 24 * 3600,
    }
}

pub(super) fn to_mailbox(to: &str, account: &str) -> Intended {
    Intended {
        address: address(to),
        effect: Effect::Mailbox { account: account.to_owned(), seals: Vec::new() },
        answer: Disposition::Accepted,
        why: None,
    }
}

pub(super) fn to_queue(to: &str, along: &str, cookie: u8) -> Intended {
    Intended {
        address: address(to),
        effect: Effect::Queue { lane: lane(along) },
        answer: pending(cookie),
        why: None,
    }
}

pub(super) fn to_hold(to: &str, account: &str, cookie: u8) -> Intended {
    Intended {
        address: address(to),
        effect: Effect::Pend(Pend {
            account: Some(account.to_owned()),
            stage: Stage::Undecided,
            wanted: Some(message::Selection::Headers),
            reason: "first contact".to_owned(),
            seals: Vec::new(),
        }),
        answer: pending(cookie),
        why: None,
    }
}

pub(super) fn acceptance(content: Content, origin: Origin, recipients: Vec<Intended>) -> Acceptance {
    Acceptance {
        offered_as: offered_as(content.identity(), &origin, &recipients),
        content,
        octets: 1000,
        origin,
        trace: vec![Hop { by: domain("peer.test"), at: NOW / 1000 }],
        now_ms: NOW,
        expires_at_ms: NOW + 5 * 24 * 3600 * 1000,
        release_at_ms: None,
        recipients,
        again: Vec::new(),
        members: Vec::new(),
        room: None,
    }
}

/// A peer offers a message as itself; each submission, told apart here by the first cookie, is one of its own.
fn offered_as(identity: Identity, origin: &Origin, recipients: &[Intended]) -> Identity {
    match (origin, recipients.first().map(|intended| &intended.answer)) {
        (Origin::Submission { .. }, Some(Disposition::Pending { cookie, .. })) => {
            Identity::from_bytes(*message::Digest::of(cookie.as_bytes()).as_bytes())
        }
        _ => identity,
    }
}

/// Stages a message and accepts it.
pub(super) fn accept(
    store: &dyn Store,
    message: &Message,
    origin: Origin,
    recipients: Vec<Intended>,
) -> Result<Receipt, Error> {
    let content = Content::New(staged(store, &origin.holder(), message)?);
    block_on(store.accept(acceptance(content, origin, recipients)))
}

/// Writes an account with one address.
pub(super) fn add_account(store: &dyn Store, name: &str) -> Result<(), Error> {
    block_on(store.put_account(AccountRecord {
        name: name.to_owned(),
        addresses: vec![address(&format!("{name}@here.test"))],
        password_hash: None,
        scram: None,
        devices: Vec::new(),
        disabled: false,
        notices: false,
    }))
}

/// All octets of a leaf.
pub(super) fn read_part(store: &dyn Store, identity: Identity, part: usize) -> Option<Vec<u8>> {
    let reader = store.open_part(identity, part).unwrap()?;
    let mut octets = vec![0; reader.octets() as usize];
    let mut offset = 0;
    while offset < octets.len() {
        let count = reader.read_at(offset as u64, &mut octets[offset..]).unwrap();
        assert!(count > 0, "the part is shorter than it says");
        offset += count;
    }
    assert_eq!(reader.read_at(octets.len() as u64, &mut [0]), Ok(0));
    Some(octets)
}

/// The findings of a check, in readable form.
pub(super) fn findings(store: &dyn Store) -> Vec<String> {
    let mut found = Vec::new();
    store
        .check(&mut |finding| found.push(format!("{:?} {}: {}", finding.kind, finding.key, finding.detail)))
        .unwrap();
    found
}
