//! Content: staging, resuming, reading, going.

use message::address::Domain;
use message::{Claims, Extent, Message, Role, Seal, SecretKey};

use super::Open;
use super::fixture::*;
use crate::{Again, Content, Effect, EnvelopeId, EnvelopeRecord, Error, NewMessage, Origin, SealNote};

/// proves: STO-8
pub(super) fn a_message_comes_back_as_it_was(open: &Open) {
    let bodies =
        [octets(1, 10), octets(2, 0), octets(3, 32 * 1024), octets(4, 32 * 1024 + 1), octets(5, LARGE)];
    let message = letter("whole", &bodies);
    let store = open();
    add_account(&*store, "ann").unwrap();
    accept(&*store, &message, peer(), vec![to_mailbox("ann@here.test", "ann")]).unwrap();
    drop(store);
    let store = open();
    let stored = store.message(message.identity()).unwrap().unwrap();
    assert!(stored.is_complete());
    assert_eq!(&stored.manifest, message.manifest());
    assert_eq!(stored.headers.as_ref(), Some(message.headers()));
    for (number, _, _) in message.manifest().leaves() {
        let octets = read_part(&*store, message.identity(), number).unwrap();
        assert_eq!(&octets[..], &message.body(number).unwrap()[..], "part {number}");
    }
    assert!(store.open_part(message.identity(), 0).unwrap().is_none(), "a container has no octets");
    assert!(store.open_part(message.identity(), 999).unwrap().is_none());
}

/// proves: STO-9
pub(super) fn a_part_is_resumed_where_it_stopped(open: &Open) {
    let body = octets(1, LARGE);
    let extent = Extent::of(&body);
    let store = open();
    let mut writer = store.stage("peer.test", extent, NOW).unwrap();
    writer.write(&body[..60_000]).unwrap();
    assert!(matches!(store.stage("peer.test", extent, NOW), Err(Error::Busy)));
    assert_eq!(
        store.stage("other.test", extent, NOW).unwrap().offset(),
        0,
        "another owner knows nothing of it"
    );
    drop(writer);
    drop(store);
    let store = open();
    let mut writer = store.stage("peer.test", extent, NOW).unwrap();
    assert_eq!(writer.offset(), 60_000);
    writer.write(&body[60_000..]).unwrap();
    // Staged, not accepted: it waits at its end for the next attempt.
    drop(writer.finish().unwrap());
    assert_eq!(store.stage("peer.test", extent, NOW).unwrap().offset(), LARGE as u64);
    let message = letter("resumed", std::slice::from_ref(&body));
    add_account(&*store, "ann").unwrap();
    accept(&*store, &message, peer(), vec![to_mailbox("ann@here.test", "ann")]).unwrap();
    assert_eq!(read_part(&*store, message.identity(), 0).unwrap(), &body[..]);
    assert_eq!(store.stage("peer.test", extent, NOW).unwrap().offset(), 0, "nothing is left in staging");
}

/// proves: EXC-24
pub(super) fn wrong_octets_are_thrown_away(open: &Open) {
    let store = open();
    for count in [100, LARGE] {
        let body = octets(1, count);
        let extent = Extent::of(&body);
        let mut wrong = body.to_vec();
        wrong[50] ^= 1;
        let mut writer = store.stage("peer.test", extent, NOW).unwrap();
        writer.write(&wrong).unwrap();
        assert!(matches!(writer.finish(), Err(Error::Digest)));
        let mut writer = store.stage("peer.test", extent, NOW).unwrap();
        assert_eq!(writer.offset(), 0, "wrong octets are not resumed");
        writer.write(&body).unwrap();
        assert_eq!(writer.write(b"x"), Err(Error::Digest), "more than announced");
        let mut writer = {
            drop(writer);
            store.stage("peer.test", extent, NOW).unwrap()
        };
        writer.write(&body[..10]).unwrap();
        assert!(matches!(writer.finish(), Err(Error::Digest)), "less than announced");
    }
    // What an earlier transfer has left may have changed here: that is no word about the sender.
    let body = octets(2, LARGE);
    let extent = Extent::of(&body);
    let mut writer = store.stage("peer.test", extent, NOW).unwrap();
    writer.write(&[0; 10]).unwrap();
    drop(writer);
    let mut writer = store.stage("peer.test", extent, NOW).unwrap();
    assert_eq!(writer.offset(), 10);
    writer.write(&body[10..]).unwrap();
    assert!(matches!(writer.finish(), Err(Error::Remains)));
    let mut writer = store.stage("peer.test", extent, NOW).unwrap();
    assert_eq!(writer.offset(), 0);
    writer.write(&body).unwrap();
    assert!(writer.finish().is_ok());
}

pub(super) fn a_part_is_known_to_its_sender_only(open: &Open) {
    let body = octets(1, LARGE);
    let extent = Extent::of(&body);
    let message = letter("first", std::slice::from_ref(&body));
    let store = open();
    add_account(&*store, "ann").unwrap();
    assert!(store.known("peer.test", extent).unwrap().is_none());
    accept(&*store, &message, peer(), vec![to_mailbox("ann@here.test", "ann")]).unwrap();
    assert!(store.known("other.test", extent).unwrap().is_none());
    let known = store.known("peer.test", extent).unwrap().unwrap();
    let second = letter("second", std::slice::from_ref(&body));
    let content = NewMessage {
        manifest: second.manifest().clone(),
        headers: Some(second.headers().clone()),
        seals: Vec::new(),
        parts: vec![(0, known)],
    };
    let late = store.known("peer.test", extent).unwrap().unwrap();
    let content = acceptance(Content::New(content), peer(), vec![to_mailbox("ann@here.test", "ann")]);
    block_on(store.accept(content)).unwrap();
    assert_eq!(read_part(&*store, second.identity(), 0).unwrap(), &body[..]);
    for entry in store.mailbox("ann", None, 10).unwrap() {
        block_on(store.remove_mail("ann", entry.uid)).unwrap();
    }
    let third = letter("third", std::slice::from_ref(&body));
    let content = NewMessage {
        manifest: third.manifest().clone(),
        headers: Some(third.headers().clone()),
        seals: Vec::new(),
        parts: vec![(0, late)],
    };
    let content = acceptance(Content::New(content), peer(), vec![to_mailbox("ann@here.test", "ann")]);
    assert_eq!(block_on(store.accept(content)), Err(Error::Gone));
}

/// proves: STO-8
pub(super) fn content_goes_with_its_last_holder(open: &Open) {
    let message = letter("shared", &[octets(1, 500), octets(2, LARGE)]);
    let store = open();
    add_account(&*store, "ann").unwrap();
    add_account(&*store, "eve").unwrap();
    let both = vec![to_mailbox("ann@here.test", "ann"), to_mailbox("eve@here.test", "eve")];
    accept(&*store, &message, peer(), both).unwrap();
    let of = |account: &str| store.mailbox(account, None, 10).unwrap()[0].uid;
    let reader = store.open_part(message.identity(), 2).unwrap().unwrap();
    block_on(store.remove_mail("ann", of("ann"))).unwrap();
    assert!(store.message(message.identity()).unwrap().is_some());
    assert!(read_part(&*store, message.identity(), 2).is_some());
    block_on(store.remove_mail("eve", of("eve"))).unwrap();
    assert!(store.message(message.identity()).unwrap().is_none());
    assert!(store.open_part(message.identity(), 2).unwrap().is_none());
    assert!(store.known("peer.test", Extent::of(message.body(2).unwrap())).unwrap().is_none());
    let mut first = [0; 4];
    assert_eq!(reader.read_at(0, &mut first), Ok(4), "an open reader goes on");
    assert_eq!(findings(&*store), Vec::<String>::new());
}

/// A seal, and one that says the same as another at another time.
fn seal(message: &Message, issuer: &str, role: Role, issued_at: u64) -> Seal {
    let claims = Claims {
        issuer: issuer.to_owned(),
        issued_at,
        expires_at: None,
        role,
        submitter: None,
        recipient: None,
        authorization: None,
        checks: Vec::new(),
    };
    Seal::sign(message.manifest().octets(), claims, b"s1", &SecretKey::from_seed(&[7; 32]))
}

/// Whatever others bring of the same message, there is room for the seals of the next delivery, and each goes on with its own.
///
/// proves: STO-30
pub(super) fn each_delivery_has_its_own_seals(open: &Open) {
    let message = letter("sealed", &[octets(1, 100)]);
    let store = open();
    let bring = |from: u32, seals: Vec<Seal>| {
        let mut content = staged(&*store, "peer.test", &message).unwrap();
        content.seals = seals;
        let origin = Origin::Peer { domain: Domain::parse(&format!("peer{from}.test")).unwrap() };
        let to = to_queue("bob@there.test", "exchange:there.test", from as u8);
        let receipt = block_on(store.accept(acceptance(Content::New(content), origin, vec![to]))).unwrap();
        store.envelope(receipt.envelope).unwrap().unwrap()
    };
    let of = |envelope: &EnvelopeRecord| {
        store.message(message.identity()).unwrap().unwrap().brought_by(envelope).seals
    };
    let junk = |from: u64| -> Vec<Seal> {
        (0..16).map(|number| seal(&message, "junk.test", Role::Forwarder, 100 * from + number)).collect()
    };
    let thief = bring(1, junk(1));
    let own = vec![seal(&message, "author.test", Role::Submission, 1)];
    let author = bring(2, own.clone());
    assert_eq!(of(&author), own);
    assert_eq!(of(&thief), junk(1));
    // A gateway that says the same again is kept once, and forty deliveries find room.
    let gateway =
        (10..50).map(|from| bring(from, vec![seal(&message, "here.test", Role::Gateway, u64::from(from))]));
    let gateway: Vec<EnvelopeRecord> = gateway.collect();
    let first = vec![seal(&message, "here.test", Role::Gateway, 10)];
    assert!(gateway.iter().all(|envelope| of(envelope) == first));
    // Past the bound the oldest go.
    for from in 3..8 {
        assert_eq!(of(&bring(from, junk(from.into()))), junk(from.into()));
    }
    assert!(of(&thief).is_empty());
    let shown = store.message(message.identity()).unwrap().unwrap();
    assert_eq!(shown.seals.len(), 16);
    let note = |issuer: &str, role| SealNote {
        issuer: issuer.to_owned(),
        role,
        verified: true,
        key_name: String::new(),
        key: None,
        author_key: None,
    };
    let shown = shown.noted_as(&[note("junk.test", Role::Forwarder)]);
    assert_eq!(shown.seals.len(), 16);
    drop(store);
    // After a start as before.
    let store = open();
    let envelope = store.envelope(gateway[39].id).unwrap().unwrap();
    assert_eq!(store.message(message.identity()).unwrap().unwrap().brought_by(&envelope).seals, Vec::new());
}

/// Who offers again, with content, what pended without has its own seals as if it had brought them at first; and what needs its
/// seals to go on keeps them, whatever others bring and have delivered.
///
/// proves: STO-30
pub(super) fn an_envelope_that_waits_keeps_its_seals(open: &Open) {
    let message = letter("waits", &[octets(1, 100)]);
    let store = open();
    add_account(&*store, "ann").unwrap();
    let origin = |from: u32| Origin::Peer { domain: Domain::parse(&format!("peer{from}.test")).unwrap() };
    let content = |seals: Vec<Seal>| {
        let mut content = staged(&*store, "peer.test", &message).unwrap();
        content.seals = seals;
        Content::New(content)
    };
    let junk = |from: u64| -> Vec<Seal> {
        (0..16).map(|number| seal(&message, "junk.test", Role::Forwarder, 100 * from + number)).collect()
    };
    let deliver = |from: u32| {
        let to = vec![to_mailbox(&format!("ann{from}@here.test"), "ann")];
        block_on(store.accept(acceptance(content(junk(from.into())), origin(from), to))).unwrap();
    };
    let of = |envelope: EnvelopeId| {
        let envelope = store.envelope(envelope).unwrap().unwrap();
        store.message(message.identity()).unwrap().unwrap().brought_by(&envelope).seals
    };
    // Somebody else was first, with sixteen. The author's offer pends by its header alone, and comes again with everything.
    deliver(1);
    let held = vec![to_hold("bob@here.test", "ann", 7)];
    let offered = Content::Offered { identity: message.identity() };
    let author = block_on(store.accept(acceptance(offered, origin(2), held))).unwrap().envelope;
    let own = vec![seal(&message, "author.test", Role::Submission, 1)];
    let mut again = acceptance(content(own.clone()), origin(2), Vec::new());
    again.again = vec![Again {
        envelope: author,
        recipient: 0,
        effect: Effect::Queue { lane: lane("exchange:there.test") },
        why: None,
    }];
    block_on(store.accept(again)).unwrap();
    assert_eq!(of(author), own);
    // Others have theirs delivered, far more than are kept.
    (3..9).for_each(deliver);
    assert_eq!(of(author), own);
    assert_eq!(store.message(message.identity()).unwrap().unwrap().kept.len(), 64);
    assert!(findings(&*store).is_empty());
}

/// Whichever of two equal leaves comes first, the other refers to it.
///
/// proves: STO-9
pub(super) fn equal_leaves_may_come_in_any_order(open: &Open) {
    let body = octets(3, LARGE);
    let message = letter("twins", &[body.clone(), body.clone()]);
    let store = open();
    add_account(&*store, "ann").unwrap();
    let extent = Extent::of(&body);
    assert!(!store.is_begun("peer.test", extent));
    let mut writer = store.stage("peer.test", extent, NOW).unwrap();
    assert!(store.is_begun("peer.test", extent));
    writer.write(&body[..1000]).unwrap();
    drop(writer);
    assert!(store.is_begun("peer.test", extent));
    assert!(!store.is_begun("other.test", extent));
    let second = stage(&*store, "peer.test", &body).unwrap();
    let parts = vec![(1, second.twin()), (2, second)];
    let content = NewMessage {
        manifest: message.manifest().clone(),
        headers: Some(message.headers().clone()),
        seals: Vec::new(),
        parts,
    };
    let content = acceptance(Content::New(content), peer(), vec![to_mailbox("ann@here.test", "ann")]);
    block_on(store.accept(content)).unwrap();
    assert_eq!(read_part(&*store, message.identity(), 1).unwrap(), &body[..]);
    assert_eq!(read_part(&*store, message.identity(), 2).unwrap(), &body[..]);
}
