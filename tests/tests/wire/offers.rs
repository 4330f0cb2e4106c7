//! Offers that are made again, and offers with something wrong.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use message::address::Address;
use message::{Code, Disposition, Message, Role, Seal};
use node::Event;
use protocol::{ContentHead, Eager, Failure, Frame, Item, Offer, Piece, Supply};
use transport::{
    Alpn, AskError, Expectation, HostKey, KeyKind, Later, Limits, Pace, Server, Service, Socket, Source,
};
use waxwing_tests::peer::{offer, seal, supply};
use waxwing_tests::{Memory, Peer, Site, World, letter, letter_with};

const BOB: &str = "bob@south.test";
const CAROL: &str = "carol@south.test";

/// As long as EXC-13 says at least, in milliseconds.
const TEN_DAYS_MS: u64 = 10 * 24 * HOUR_MS;
const HOUR_MS: u64 = 3_600_000;

/// Content, piece by piece.
type Pieces = Vec<(Piece, Bytes)>;

/// A node with Bob, and with Carol for whom everything is held; peers are driven by hand.
async fn south(limits: &str) -> World {
    let south = Site::new("south.test").rule("hold-carol", CAROL, "hold all").limits(limits);
    let mut world =
        World::new(&[Site::new("hand.test"), Site::new("other.test"), Site::new("late.test"), south]).await;
    world.start("south.test").await;
    for (account, address) in [("bob", BOB), ("bob2", "bob2@south.test"), ("carol", CAROL)] {
        let address = Address::parse(address).unwrap();
        world.node("south.test").put_account(account, &[address], None).await.unwrap();
    }
    world
}

/// proves: EXC-12, EXC-13
#[tokio::test]
async fn the_same_offer_gets_the_same_answer() {
    let mut world = south("").await;
    let message = letter("alice@hand.test", "Once");
    let to = [BOB, "nobody@south.test", CAROL];
    let hand = world.peer("hand.test", "south.test").await;
    let first = hand.offer(&message, &to).await.unwrap();
    assert_eq!(first.dispositions[0], Disposition::Accepted);
    assert!(matches!(first.dispositions[2], Disposition::Pending { .. }), "{first:?}");
    assert_eq!(hand.offer(&message, &to).await.unwrap(), first, "on the same connection");
    let again = world.peer("hand.test", "south.test").await;
    assert_eq!(again.offer(&message, &to).await.unwrap(), first, "on another connection");
    // In another order, and with somebody else beside: each by itself.
    let mixed = again.offer(&message, &[CAROL, "no@south.test", BOB]).await.unwrap();
    assert_eq!(mixed.dispositions[0], first.dispositions[2]);
    assert_eq!(mixed.dispositions[2], first.dispositions[0]);
    drop((hand, again));

    world.stop("south.test").await;
    world.start("south.test").await;
    let hand = world.peer("hand.test", "south.test").await;
    assert_eq!(hand.offer(&message, &to).await.unwrap(), first, "after the node was begun anew");

    // What is asked again is the answer as it stands now.
    let carol = Address::parse(CAROL).unwrap();
    world
        .node("south.test")
        .decide_held(None, message.identity(), &carol, node::Choice::ACCEPT)
        .await
        .unwrap();
    assert_eq!(hand.offer(&message, &to).await.unwrap().dispositions[2], Disposition::Accepted);
    // Upkeep of almost ten days later takes nothing of it away.
    let node = world.node("south.test");
    node.store().expire(node.now_ms() + TEN_DAYS_MS - HOUR_MS, 1_000).await.unwrap();
    let late = hand.offer(&message, &to).await.unwrap().dispositions;
    assert_eq!([&late[0], &late[2]], [&Disposition::Accepted; 2]);
    let committed = world.events("south.test").count(|event| matches!(event, Event::Committed { .. }));
    assert_eq!(committed, 1);
    check_delivered_once(&world, &message, &["bob", "carol"]);
}

/// In each of these mailboxes the message stands once, and in no other.
fn check_delivered_once(world: &World, message: &Message, accounts: &[&str]) {
    for account in accounts {
        let entries = world.node("south.test").store().mailbox(account, None, 10).unwrap();
        let those = entries.iter().filter(|entry| entry.identity == message.identity()).count();
        assert_eq!(those, 1, "{account}");
    }
    let node = world.node("south.test");
    let all = node.store().accounts(None, 10).unwrap();
    let entries = |name: &str| node.store().mailbox(name, None, 10).unwrap();
    let of_message =
        all.iter().flat_map(|one| entries(&one.name)).filter(|one| one.identity == message.identity());
    assert_eq!(of_message.count(), accounts.len());
}

/// Eight times at once: a small message, and one whose body goes through a file.
///
/// proves: EXC-12
#[tokio::test]
async fn the_same_offer_at_the_same_time_delivers_once() {
    let world = south("").await;
    let hand = world.peer("hand.test", "south.test").await;
    for octets in [100, 300_000] {
        let message = letter_with(
            &[("From", "alice@hand.test"), ("Subject", "Eight times")],
            &[("application/octet-stream", &vec![b'8'; octets])],
        );
        let offers = (0..8).map(|_| hand.offer(&message, &[BOB, CAROL]));
        let mut answers = Vec::new();
        for outcome in join_all(offers).await {
            match outcome {
                Ok(outcome) => answers.push(outcome.dispositions),
                // The same part is on its way on another stream: nothing is said about any recipient.
                Err(AskError::Failed(failure)) => assert_eq!(failure.code.class, 4, "{failure:?}"),
                Err(error) => panic!("{octets}: {error}"),
            }
        }
        answers.push(hand.offer(&message, &[BOB, CAROL]).await.unwrap().dispositions);
        answers.dedup();
        assert_eq!(answers.len(), 1, "{octets}: {answers:#?}");
        check_delivered_once(&world, &message, &["bob"]);
        let held = world.node("south.test").store().held(Some("carol"), None, 10).unwrap();
        assert_eq!(held.iter().filter(|held| held.identity == message.identity()).count(), 1);
    }
}

/// The bodies of a message, and how many files for parts this process had open at most while they were read.
struct Watched(Memory, AtomicUsize);

impl Source for Watched {
    fn read(&self, part: usize, offset: u64, octets_max: usize) -> Later<'_, std::io::Result<Bytes>> {
        let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        let parts = targets.filter(|path| path.extension().is_some_and(|end| end == "part")).count();
        self.1.fetch_max(parts, Ordering::Relaxed);
        self.0.read(part, offset, octets_max)
    }

    fn slice(&self, part: usize, offset: u64, octets: u64) -> Later<'_, std::io::Result<Bytes>> {
        self.0.slice(part, offset, octets)
    }
}

/// A message of as many parts as a message can have, each of which goes through a file: one of them is open at a time.
///
/// proves: SEC-5
#[tokio::test]
async fn a_message_of_many_parts_opens_one_file_at_a_time() {
    let world = south("").await;
    let hand = world.peer("hand.test", "south.test").await;
    let bodies: Vec<Vec<u8>> = (0..200_u8).map(|number| vec![number; 33_000]).collect();
    let parts: Vec<(&str, &[u8])> =
        bodies.iter().map(|body| ("application/octet-stream", body.as_slice())).collect();
    let message = letter_with(&[("From", "alice@hand.test"), ("Subject", "Many")], &parts);
    let (offer, supply) = hand.offer_of(&message, &[BOB]);
    let source = Watched(Memory::of(&message), AtomicUsize::new(0));
    let outcome = hand.offer_as(offer, supply, &source).await.unwrap();
    assert_eq!(outcome.dispositions, [Disposition::Accepted]);
    let most = source.1.load(Ordering::Relaxed);
    assert!((1..=2).contains(&most), "{most} files were open at once");
}

/// A node that answers before it has what comes unasked, and takes no more of it: the answer is read all the same.
///
/// proves: TRA-23
#[tokio::test]
async fn an_answer_that_does_not_wait_for_the_content_is_read() {
    let settings = protocol::Settings { eager_octets: 65_536, part_octets_max: 1 << 20, recipients_max: 100 };
    let octets = protocol::encode(&Frame::Settings(settings));
    let key = HostKey::generate(KeyKind::EcdsaP256, &["node.test"]).unwrap();
    // The client cannot have written all before it is stopped.
    let limits = Limits { stream_window: 2_000, ..Limits::default() };
    let services = vec![Service { alpn: Alpn::Exchange, settings: octets }];
    let socket = || Socket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let server = Server::bind(socket(), &key.clone().into(), services, &limits).unwrap();
    let address = server.local_address().unwrap();
    let answering = tokio::spawn(async move {
        let link = server.accept().await.unwrap().authenticated().await.unwrap();
        for (body, code) in [
            (false, transport::Code::NotWanted),
            (true, transport::Code::NotWanted),
            (false, transport::Code::ProtocolViolation),
            (true, transport::Code::ProtocolViolation),
        ] {
            let (mut send, mut receive) = link.accept_bi().await.unwrap();
            let pace = Pace::start(&Limits::default());
            // Of the second offer the body has begun when it is stopped.
            let mut octets = 0;
            while octets < if body { 3_000 } else { 1 } {
                octets += pace.read(&mut receive, 1_000).await.unwrap().unwrap().len();
            }
            receive.stop(code.into()).unwrap();
            let failure = Failure { code: Code::NOT_AUTHORIZED, text: "no".to_owned() };
            pace.write(&mut send, protocol::encode(&Frame::Failure(failure))).await.unwrap();
            send.finish();
            pace.delivered(&mut send).await.unwrap();
        }
        link.closed().await;
    });
    let trust = Expectation::Pinned { digests: vec![key.key_digest()] };
    let own = HostKey::generate(KeyKind::EcdsaP256, &["hand.test"]).unwrap();
    let peer = Peer::connect(Some(own), address, &trust, Alpn::Exchange).await.unwrap();
    let message = letter_with(
        &[("From", "alice@hand.test"), ("Subject", "Unasked")],
        &[("text/plain", "Nobody has asked for this.\r\n".repeat(1_500).as_bytes())],
    );
    for _ in 0..4 {
        let answer =
            peer.offer_as(offer(&message, &[], &[BOB]), supply(&message, &[]), &Memory::of(&message)).await;
        assert!(
            matches!(&answer, Err(AskError::Failed(failure)) if failure.code == Code::NOT_AUTHORIZED),
            "{answer:?}"
        );
    }
    drop(peer);
    answering.await.unwrap();
}

/// Runs futures at the same time.
async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in running.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(result) = future.as_mut().poll(context)
            {
                *done = Some(result);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// What a peer without a word of its own, or with a false one, is told.
///
/// proves: EXC-16, EXC-17, EXC-22
#[tokio::test]
async fn a_peer_answers_for_what_it_offers_with_its_seal() {
    let mut world = south("").await;
    let hand = world.peer("hand.test", "south.test").await;
    let (own, others) = (world.domain_key("hand.test"), world.domain_key("other.test"));
    let message = letter("alice@hand.test", "Sealed");
    let something_else = letter("alice@hand.test", "Something else");
    let by = |domain: &str, key, role| seal(&message, domain, key, role);
    let cases: Vec<(&str, Vec<Seal>, Code)> = vec![
        ("no seal", vec![], Code::NOT_AUTHORIZED),
        ("over something else", vec![hand.seal(&something_else, Role::Submission)], Code::INTEGRITY_FAILED),
        ("with another key", vec![by("hand.test", &others, Role::Submission)], Code::INTEGRITY_FAILED),
        ("of another domain only", vec![by("other.test", &others, Role::Submission)], Code::NOT_AUTHORIZED),
        ("in another domain's name", vec![by("other.test", &own, Role::Submission)], Code::NOT_AUTHORIZED),
        ("of an author only", vec![by("alice@hand.test", &own, Role::Author)], Code::NOT_AUTHORIZED),
        ("of a role that is not known", vec![by("hand.test", &own, Role::Unknown(99))], Code::NOT_AUTHORIZED),
        ("of a subdomain", vec![by("sub.hand.test", &own, Role::Submission)], Code::NOT_AUTHORIZED),
    ];
    for (what, seals, code) in &cases {
        let offered = offer(&message, seals, &[BOB, "nobody@south.test"]);
        let outcome = hand.offer_as(offered, supply(&message, seals), &Memory::of(&message)).await.unwrap();
        let [bobs, nobodys] = &outcome.dispositions[..] else { panic!("{what}: {outcome:?}") };
        assert!(matches!(bobs, Disposition::Refused { code: told, .. } if told == code), "{what}: {bobs:?}");
        assert!(
            matches!(nobodys, Disposition::Refused { code, .. } if *code == Code::NO_SUCH_ADDRESS),
            "{what}: {nobodys:?}"
        );
    }
    assert_eq!(world.node("south.test").store().mailbox("bob", None, 10).unwrap(), []);

    // A broken one beside a good one does no harm. What another domain's user has written may be brought by a
    // forwarder that says so with its own seal; either seal alone is not enough.
    let theirs = letter("alice@other.test", "Forwarded");
    let (submitted, forwarded) =
        (seal(&theirs, "other.test", &others, Role::Submission), hand.seal(&theirs, Role::Forwarder));
    let broken = hand.seal(&something_else, Role::Submission);
    let cases = [
        ("good", &message, vec![broken.clone(), hand.seal(&message, Role::Submission)], true),
        ("forwarded", &theirs, vec![submitted.clone(), broken, forwarded.clone()], true),
        ("not submitted", &theirs, vec![forwarded], false),
        ("not forwarded", &theirs, vec![submitted], false),
    ];
    for (what, message, seals, taken) in cases {
        let offered = offer(message, &seals, if taken { &[BOB] } else { &["bob2@south.test"] });
        let outcome = hand.offer_as(offered, supply(message, &seals), &Memory::of(message)).await.unwrap();
        match &outcome.dispositions[0] {
            Disposition::Accepted => assert!(taken, "{what}"),
            Disposition::Refused { code, .. } => {
                assert!(!taken && *code == Code::NOT_AUTHORIZED, "{what}: {code}")
            }
            other => panic!("{what}: {other:?}"),
        }
    }

    // Nobody can be asked for the key of a third domain, which was not needed before: not now, and no refusal.
    let late = world.peer("late.test", "south.test").await;
    world.stop_dns("south.test").await;
    let outcome = late.offer(&letter("alice@late.test", "No DNS"), &[BOB]).await.unwrap();
    let [Disposition::Deferred { code, after_seconds }] = outcome.dispositions[..] else {
        panic!("{outcome:?}");
    };
    assert_eq!((code, after_seconds > 0), (Code::DIRECTORY_FAILURE, true));
}

/// Every way in which the content is not what was offered ends that transaction with its code, and no other.
///
/// proves: EXC-6, EXC-7, EXC-8, EXC-14, EXC-24, SEC-2
#[tokio::test]
async fn content_that_is_not_what_was_offered_is_refused() {
    let world = south("").await;
    let hand = world.peer("hand.test", "south.test").await;
    // A transaction that began before all the others, and ends after them.
    let good = letter("alice@hand.test", "Good");
    let (mut begun, supplied) = hand.offer_of(&good, &[BOB]);
    begun.eager = Eager::All;
    let mut early = hand.raw().await;
    early.frame(&Frame::Offer(Box::new(begun))).await;

    let message = letter("alice@hand.test", "The body of this letter");
    let body = message.bodies()[0].clone();
    let changed: Bytes = body.iter().map(|octet| octet ^ 1).collect::<Vec<_>>().into();
    let other = letter("alice@hand.test", "Another one");
    let seals = [hand.seal(&message, Role::Submission)];
    let (own, others) = (supply(&message, &seals), supply(&other, &seals));
    let of_other = Supply { headers: others.headers.clone(), ..own.clone() };
    let mut longer = offer(&message, &seals, &[BOB]);
    longer.envelope.octets += 1;
    let offered = || offer(&message, &seals, &[BOB]);
    let cases: Vec<(&str, Offer, Pieces, Code)> = vec![
        ("another digest", offered(), pieces(&own, &changed), Code::INTEGRITY_FAILED),
        ("another manifest", offered(), pieces(&others, &other.bodies()[0]), Code::INTEGRITY_FAILED),
        ("another header", offered(), pieces(&of_other, &body), Code::INTEGRITY_FAILED),
        ("a shorter body", offered(), pieces(&own, &body.slice(1..)), Code::INVALID_COMMAND),
        ("a longer body", offered(), pieces(&own, &[&body[..], b"!"].concat().into()), Code::INVALID_COMMAND),
        ("another length of the message", longer, pieces(&own, &body), Code::CONTENT_MALFORMED),
        ("a body twice", offered(), twice(pieces(&own, &body), 3), Code::INVALID_COMMAND),
        ("seals twice", offered(), twice(pieces(&own, &body), 1), Code::INVALID_COMMAND),
        ("no manifest", offered(), pieces(&own, &body)[1..].to_vec(), Code::INVALID_COMMAND),
        ("no seals", offered(), without(pieces(&own, &body), 1), Code::INVALID_COMMAND),
        ("no headers", offered(), without(pieces(&own, &body), 2), Code::INVALID_COMMAND),
        ("no body", offered(), without(pieces(&own, &body), 3), Code::INVALID_COMMAND),
    ];
    for (what, offer, pieces, code) in cases {
        let answer = offer_raw(&hand, offer, &pieces).await;
        match answer {
            Some(Item::Frame(Frame::Failure(Failure { code: told, .. }))) => assert_eq!(told, code, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    assert_eq!(world.node("south.test").store().mailbox("bob", None, 10).unwrap(), []);

    // No record was left: what was offered wrongly can be offered rightly, and the transaction that waited ends well.
    let outcome = hand.offer(&message, &[BOB]).await.unwrap();
    assert_eq!(outcome.dispositions, [Disposition::Accepted]);
    send_pieces(&mut early, &pieces(&supplied, &good.bodies()[0])).await;
    let Some(Item::Frame(Frame::Outcome(outcome))) = early.next().await else { panic!("no outcome") };
    assert_eq!(outcome.dispositions, [Disposition::Accepted]);
}

/// The content of a message with one leaf, as EXC-7 orders it.
fn pieces(supply: &Supply, body: &Bytes) -> Pieces {
    vec![
        (Piece::Manifest, Bytes::copy_from_slice(supply.manifest.octets())),
        (Piece::Seals, supply.seals_octets().into()),
        (Piece::Headers, supply.headers.clone()),
        (Piece::Body { part: 0, from: 0 }, body.clone()),
    ]
}

fn twice(mut pieces: Pieces, place: usize) -> Pieces {
    pieces.insert(place, pieces[place].clone());
    pieces
}

fn without(mut pieces: Pieces, place: usize) -> Pieces {
    pieces.remove(place);
    pieces
}

/// Offers with everything at once, and gives the first thing that is answered.
async fn offer_raw(peer: &Peer, mut offer: Offer, pieces: &[(Piece, Bytes)]) -> Option<Item> {
    let mut stream = peer.raw().await;
    offer.eager = Eager::All;
    stream.frame(&Frame::Offer(Box::new(offer))).await;
    send_pieces(&mut stream, pieces).await;
    stream.next().await
}

async fn send_pieces(stream: &mut waxwing_tests::RawStream, pieces: &[(Piece, Bytes)]) {
    for (place, (piece, octets)) in pieces.iter().enumerate() {
        let last = place + 1 == pieces.len();
        let head = ContentHead { piece: *piece, octets: octets.len() as u64, last };
        stream.frame(&Frame::Content(head)).await;
        stream.octets(octets.clone()).await;
    }
}

/// proves: EXC-1, FRM-4, FRM-7
#[tokio::test]
async fn too_much_is_refused() {
    let world = south("message-octets = 20000\npart-octets = 10000\n").await;
    let hand = world.peer("hand.test", "south.test").await;
    let body = |octets: usize| vec![b'x'; octets];
    let fields = [("From", "alice@hand.test"), ("Subject", "Much")];
    let parts = [body(9_000), body(9_001), body(9_002)];
    let leaves: Vec<(&str, &[u8])> =
        parts.iter().map(|body| ("application/octet-stream", body.as_slice())).collect();

    let outcome = hand.offer(&letter_with(&fields, &leaves), &[BOB, "nobody@south.test"]).await.unwrap();
    for disposition in outcome.dispositions {
        assert!(
            matches!(disposition, Disposition::Refused { code, .. } if code == Code::MESSAGE_TOO_LARGE),
            "a message too large: {disposition:?}"
        );
    }
    let one = [("application/octet-stream", &body(10_001)[..])];
    match hand.offer(&letter_with(&fields, &one), &[BOB]).await {
        Ok(outcome) => assert!(
            matches!(outcome.dispositions[0], Disposition::Refused { code, .. } if code == Code::MESSAGE_TOO_LARGE)
        ),
        Err(AskError::Failed(failure)) => assert_eq!(failure.code, Code::MESSAGE_TOO_LARGE),
        Err(error) => panic!("{error}"),
    }
    let outcome = hand.offer(&letter_with(&fields, &leaves[..2]), &[BOB]).await.unwrap();
    assert_eq!(outcome.dispositions, [Disposition::Accepted], "just small enough");

    let message = letter("alice@hand.test", "To many");
    for (count, taken) in [(100, true), (101, false)] {
        let to: Vec<String> = (0..count).map(|number| format!("bob{number}@south.test")).collect();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        match hand.offer(&message, &to).await {
            Ok(outcome) => assert!(taken && outcome.dispositions.len() == count),
            Err(AskError::Failed(failure)) => {
                let codes = [Code::TOO_MANY_RECIPIENTS, Code::MESSAGE_TOO_LARGE];
                assert!(!taken && codes.contains(&failure.code), "{count}: {failure:?}");
            }
            Err(error) => panic!("{count}: {error}"),
        }
    }
    // The same recipient twice.
    match hand.offer(&message, &[BOB, BOB]).await {
        Err(AskError::Failed(failure)) => assert_eq!(failure.code.class, 5),
        other => panic!("{other:?}"),
    }
    // A stream that begins with something else, and one with an offer of the other protocol.
    let mut stream = hand.raw().await;
    stream.frame(&Frame::Mailbox { after: 0, limit: 1 }).await;
    let answer = stream.next().await;
    assert!(
        matches!(&answer, Some(Item::Frame(Frame::Failure(failure))) if failure.code == Code::INVALID_COMMAND)
    );
    let (mut offer, _) = hand.offer_of(&message, &[BOB]);
    offer.submission = Some(protocol::SubmissionOptions::default());
    let answer = offer_raw(&hand, offer, &[]).await;
    assert!(
        matches!(&answer, Some(Item::Frame(Frame::Failure(failure))) if failure.code == Code::INVALID_COMMAND)
    );
    assert_eq!(hand.offer(&message, &[BOB]).await.unwrap().dispositions, [Disposition::Accepted]);
}

/// The connection breaks in the middle of a body of 16 MiB; what came is not asked for again, and what was on its way is
/// less than 1 MiB.
///
/// proves: EXC-9, EXC-11
#[tokio::test]
async fn an_interrupted_transfer_goes_on_where_it_stopped() {
    const OCTETS: usize = 16 << 20;
    /// What may have to be sent again.
    const AGAIN_OCTETS_MAX: u64 = 1 << 20;
    let world = south("").await;
    let body: Vec<u8> = (0..OCTETS / 4).flat_map(|word| (word as u32).to_le_bytes()).collect();
    let message = letter_with(
        &[("From", "alice@hand.test"), ("Subject", "Large")],
        &[("text/plain", b"See there"), ("application/octet-stream", &body)],
    );
    let hand = world.peer("hand.test", "south.test").await;
    let (mut offered, supplied) = hand.offer_of(&message, &[BOB]);
    offered.eager = Eager::Headers;
    let mut stream = hand.raw().await;
    stream.frame(&Frame::Offer(Box::new(offered))).await;
    send_pieces(&mut stream, &pieces(&supplied, &Bytes::new())[..3]).await;
    let Some(Item::Frame(Frame::Want(message::Selection::Parts(wanted)))) = stream.next().await else {
        panic!("parts are wanted");
    };
    let large = wanted.iter().find(|(part, _)| *part == 2).unwrap();
    assert_eq!(*large, (2, 0));
    let text = &message.bodies()[0];
    let head = |part, octets, last| ContentHead { piece: Piece::Body { part, from: 0 }, octets, last };
    stream.frame(&Frame::Content(head(1, text.len() as u64, false))).await;
    stream.octets(text.clone()).await;
    stream.frame(&Frame::Content(head(2, OCTETS as u64, true))).await;
    // More than one window ahead of the receiver cannot be sent: when this is out, some of it was read.
    stream.octets(message.bodies()[1].slice(..OCTETS / 2)).await;
    hand.connected.close(transport::Code::NoError, "cut");

    let hand = world.peer("hand.test", "south.test").await;
    let outcome = loop {
        match hand.offer(&message, &[BOB]).await {
            Ok(outcome) => break outcome,
            // The node is still about to notice that the first connection is gone.
            Err(AskError::Failed(failure)) => assert_eq!(failure.code.class, 4, "{failure:?}"),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(outcome.dispositions, [Disposition::Accepted]);
    let asked: Vec<u64> = world
        .events("south.test")
        .all()
        .iter()
        .filter_map(|event| match event {
            Event::Asked { selection: message::Selection::Parts(parts), .. } => {
                parts.iter().find(|(part, _)| *part == 2).map(|(_, from)| *from)
            }
            _ => None,
        })
        .collect();
    assert_eq!(asked[0], 0);
    let resumed = *asked.last().unwrap();
    let again = (OCTETS as u64 / 2).checked_sub(resumed);
    assert!(again.is_some_and(|again| again < AGAIN_OCTETS_MAX), "asked from {asked:?}");
    check_delivered_once(&world, &message, &["bob"]);
    let kept = world.node("south.test").store().open_part(message.identity(), 2).unwrap().unwrap();
    let mut read = vec![0; OCTETS];
    let mut at = 0;
    while at < OCTETS {
        match kept.read_at(at as u64, &mut read[at..]).unwrap() {
            0 => break,
            count => at += count,
        }
    }
    assert!(read == body, "what was put together is what was sent");
}
