//! Mail that is held in part, and decided by those it is for.

use control::{Client, HeldDecision, HeldState, Request, Response};
use message::address::Address;
use message::{Code, Cookie, Disposition, Identity, Message, Role, Selection};
use node::{Choice, Event};
use protocol::{CookieAnswer, Decide, Frame};
use waxwing_tests::user::cookie;
use waxwing_tests::world::{random, until};
use waxwing_tests::{Memory, Peer, Site, User, World, letter, letter_with};

const CAROL: &str = "carol@south.test";
const DAVE: &str = "dave@south.test";
const ERIN: &str = "erin@south.test";
const DAY_MS: u64 = 24 * 3_600_000;
/// What a stranger's message may cost until somebody accepts it.
const UNACCEPTED_MAX: u64 = 64 * 1024;

/// A letter with a text and an attachment that nobody can guess.
fn with_attachment(from: &str, subject: &str, octets: usize) -> Message {
    let mut film = vec![0; octets];
    random(&mut film);
    let fields = [
        ("From", from),
        ("Subject", subject),
        ("Date", "Thu, 1 Jan 2026 12:00:00 +0000"),
        ("Message-Id", "<1@held.test>"),
    ];
    letter_with(&fields, &[("text/plain", b"Shall I send you the film?"), ("video/example", &film)])
}

/// South holds everything that is for these, with its text.
fn south(holds: &[&str]) -> Site {
    holds.iter().fold(Site::new("south.test"), |site, to| site.rule(&format!("hold-{to}"), to, "hold text"))
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// Waits until a message is held at south for a recipient.
async fn held(world: &World, identity: Identity, recipient: &str) {
    let such = |event: &Event| match event {
        Event::Decided { identity: of, recipient: one, disposition: Disposition::Pending { .. }, .. } => {
            (*of == identity && one.to_string() == recipient).then_some(())
        }
        _ => None,
    };
    world.events("south.test").find(&format!("held for {recipient}"), such).await;
}

async fn decide(user: &mut User, identity: Identity, choice: protocol::Choice) -> CookieAnswer {
    let recipient = user.address.clone();
    user.session.decide(Decide { identity, recipient, choice }).await.unwrap()
}

const ACCEPT: protocol::Choice = protocol::Choice::Accept { trust: false };

/// What south has asked for of a message so far.
fn asked(world: &World, identity: Identity) -> Vec<Selection> {
    let of = |event: Event| match event {
        Event::Asked { identity: of, selection } if of == identity => Some(selection),
        _ => None,
    };
    world.events("south.test").all().into_iter().filter_map(of).collect()
}

async fn operator(world: &World, domain: &str) -> Client {
    Client::connect(&world.data(domain).join("control.sock")).await.unwrap()
}

/// Octets that south has received of north on all connections, in UDP datagrams.
async fn received(world: &World) -> u64 {
    let mut client = operator(world, "south.test").await;
    let Response::Peers { peers } = client.call(&Request::Peers).await.unwrap() else { panic!("no peers") };
    let of = |peer: &&control::PeerView| peer.name == "north.test" && peer.protocol == "exchange";
    peers.iter().filter(of).map(|peer| peer.octets_received).sum()
}

/// proves: STA-7, STA-9, STA-15, STA-16, EXC-28, EXC-29
#[tokio::test]
async fn thirty_megabytes_of_a_stranger_cost_little_until_they_are_accepted() {
    const FILM: usize = 30_000_000;
    let world = World::started(&[Site::new("north.test"), south(&[CAROL])]).await;
    let mut alice = world.user("alice@north.test").await;
    let mut carol = world.user(CAROL).await;
    let message = with_attachment("alice@north.test", "A film", FILM);
    let identity = alice.send(&message, &[CAROL]).await;
    held(&world, identity, CAROL).await;
    let settled = |event: &Event| match event {
        Event::Settled { disposition: Disposition::Pending { .. }, .. } => Some(()),
        _ => None,
    };
    world.events("north.test").find("pending at south", settled).await;
    assert!(matches!(alice.dispositions(identity).await[..], [Disposition::Pending { .. }]));
    let before = received(&world).await;
    assert!(before < UNACCEPTED_MAX, "{before} octets were received and nobody has accepted");

    // The recipient sees who, what and why, and what was saved.
    let [entry] = carol.session.held(None, 10).await.unwrap().try_into().unwrap();
    assert_eq!((entry.identity, entry.recipient.clone()), (identity, address(CAROL)));
    assert_eq!((entry.octets_missing, entry.accepted), (FILM as u64, false));
    assert_eq!(entry.subject.as_deref(), Some("A film"));
    assert!(entry.reason.contains("hold-carol"), "{}", entry.reason);
    assert!(entry.seals.iter().any(|seal| seal.verified && seal.issuer == "north.test"), "{:?}", entry.seals);
    assert_eq!(carol.session.held(Some(entry.place), 10).await.unwrap(), []);
    assert!(carol.session.mailbox(0, 10).await.unwrap().is_empty());
    // What is here can be fetched and checked by her own program; what is not is said to be missing.
    let mut text = cli::client::Incoming::into_memory(identity, 1 << 20);
    carol.session.fetch(identity, Selection::Text, &mut text).await.unwrap();
    let text = text.finish().unwrap();
    assert_eq!(text.bodies.values().next().unwrap(), message.body(1).unwrap());
    let mut all = cli::client::Incoming::into_memory(identity, 1 << 20);
    assert!(carol.session.fetch(identity, Selection::All, &mut all).await.is_err());
    // The operator sees the same, and which parts are here.
    let mut client = operator(&world, "south.test").await;
    let show = Request::HeldShow { identity: identity.to_string(), recipient: None, account: None };
    let Response::Held(detail) = client.call(&show).await.unwrap() else { panic!("nothing is shown") };
    assert_eq!(detail.text.as_deref(), Some("Shall I send you the film?"));
    assert!(detail.sealed && !detail.text_is_cut, "{detail:?}");
    assert_eq!(detail.parts.iter().map(|part| part.here).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!((detail.held.octets_missing, detail.held.state), (FILM as u64, HeldState::Undecided));

    // Nobody else may decide.
    let mut dave = world.user(DAVE).await;
    assert_eq!(dave.session.held(None, 10).await.unwrap(), []);
    let foreign = Decide { identity, recipient: address(CAROL), choice: ACCEPT };
    assert!(dave.session.decide(foreign).await.is_err());

    let answer = decide(&mut carol, identity, ACCEPT).await;
    assert_eq!(answer, CookieAnswer::Want(Selection::Parts(vec![(2, 0)])));
    world.events("south.test").delivered(identity, CAROL).await;
    assert_eq!(world.events("north.test").settled(identity, CAROL).await, Disposition::Accepted);
    let after = received(&world).await;
    assert!(after < FILM as u64 + FILM as u64 / 10, "{after} octets: something came twice");
    let film = Selection::Parts(vec![(2, 0)]);
    assert_eq!(asked(&world, identity).iter().filter(|one| **one == film).count(), 1);
    assert_eq!(asked(&world, identity).last(), Some(&film));
    assert_eq!(carol.fetch(identity).await.unwrap().bodies.get(&2), message.body(2));
    assert_eq!(carol.session.held(None, 10).await.unwrap(), []);
    assert_eq!(alice.dispositions(identity).await, [Disposition::Accepted]);
}

/// A rule for each recipient that wants something else to be seen first.
///
/// proves: EXC-10, EXC-24, EXC-28
#[tokio::test]
async fn each_selection_and_a_range_is_asked_for_by_a_policy() {
    let range = "want = { part = 2, offset = 16384, octets = 5000 }";
    let rules = ["digest", "signers", "headers", "text", "all"].map(|word| format!("want = {word:?}"));
    let selections = [
        Selection::Digest,
        Selection::Signers,
        Selection::Headers,
        Selection::Text,
        Selection::All,
        Selection::Range { part: 2, offset: 16_384, octets: 5_000 },
    ];
    let mut site = Site::new("south.test").limits("eager-octets = 0\n");
    for (number, rule) in rules.iter().map(String::as_str).chain([range]).enumerate() {
        site =
            site.lines(&format!("[[rules]]\nname = \"r{number}\"\nto = \"u{number}@south.test\"\n{rule}\n"));
    }
    let world = World::started(&[Site::new("north.test"), site]).await;
    let mut alice = world.user("alice@north.test").await;
    for (number, selection) in selections.iter().enumerate() {
        let to = format!("u{number}@south.test");
        let mut user = world.user(&to).await;
        let message = with_attachment("alice@north.test", &format!("Number {number}"), 100_000);
        let identity = alice.send(&message, &[&to]).await;
        world.events("south.test").delivered(identity, &to).await;
        let asked = asked(&world, identity);
        assert!(asked.contains(selection), "{selection:?} is not among {asked:?}");
        // Nothing is asked for twice: what was seen before it was decided is kept.
        let whole = [Selection::All, Selection::Parts(vec![(1, 0), (2, 0)]), Selection::Parts(vec![(2, 0)])];
        assert_eq!(asked.iter().filter(|one| whole.contains(one)).count(), 1, "{asked:?}");
        assert_eq!(user.fetch(identity).await.unwrap().bodies.get(&2), message.body(2));
    }
}

/// proves: STA-16, EXC-16, EXC-11
#[tokio::test]
async fn recipients_of_one_message_decide_each_for_themselves() {
    let world = World::started(&[Site::new("north.test"), south(&[CAROL, DAVE, ERIN])]).await;
    let mut alice = world.user("alice@north.test").await;
    let (mut carol, mut dave) = (world.user(CAROL).await, world.user(DAVE).await);
    let mut erin = world.user(ERIN).await;
    let message = with_attachment("alice@north.test", "For three", 200_000);
    let identity = alice.send(&message, &[CAROL, DAVE, ERIN]).await;
    for one in [CAROL, DAVE, ERIN] {
        held(&world, identity, one).await;
    }
    let code = Code::new(5, 2, 0);
    let refused = decide(&mut dave, identity, protocol::Choice::Refuse { code: Some(code) }).await;
    assert!(matches!(refused, CookieAnswer::Final(Disposition::Refused { code: told, .. }) if told == code));
    assert!(matches!(decide(&mut carol, identity, ACCEPT).await, CookieAnswer::Want(_)));
    world.events("south.test").delivered(identity, CAROL).await;
    let events = world.events("north.test");
    assert_eq!(events.settled(identity, CAROL).await, Disposition::Accepted);
    assert!(
        matches!(events.settled(identity, DAVE).await, Disposition::Refused { code: told, .. } if told == code)
    );
    assert!(matches!(alice.dispositions(identity).await[2], Disposition::Pending { .. }), "Erin has time");
    assert!(matches!(
        decide(&mut erin, identity, ACCEPT).await,
        CookieAnswer::Final(_) | CookieAnswer::Want(_)
    ));
    world.events("south.test").delivered(identity, ERIN).await;
    assert_eq!(events.settled(identity, ERIN).await, Disposition::Accepted);
    let film = asked(&world, identity).into_iter().filter(|one| *one == Selection::Parts(vec![(2, 0)]));
    assert_eq!(film.count(), 1, "what one has fetched is there for the other");
    assert!(dave.session.mailbox(0, 10).await.unwrap().is_empty());
}

/// proves: STA-7, STA-16, EXC-12
#[tokio::test]
async fn a_decision_outlives_both_nodes() {
    let mut world = World::started(&[Site::new("north.test"), south(&[CAROL])]).await;
    let mut alice = world.user("alice@north.test").await;
    let mut carol = world.user(CAROL).await;
    let message = with_attachment("alice@north.test", "Restarted", 300_000);
    let identity = alice.send(&message, &[CAROL]).await;
    held(&world, identity, CAROL).await;
    drop(alice);
    world.stop("north.test").await;
    assert!(matches!(decide(&mut carol, identity, ACCEPT).await, CookieAnswer::Want(_)));
    drop(carol);
    world.stop("south.test").await;
    world.start("south.test").await;
    let listed = world.node("south.test").held(Some("carol"), None, 10).unwrap();
    assert_eq!(listed[0].record.stage, storage::Stage::Accepted, "what was decided is known");
    world.start("north.test").await;
    world.events("south.test").delivered(identity, CAROL).await;
    assert_eq!(world.events("north.test").settled(identity, CAROL).await, Disposition::Accepted);
    let store = world.node("south.test").store().clone();
    assert!(until(|| store.mailbox("carol", None, 10).unwrap().len() == 1).await);
}

/// A message of this peer that is held for Carol with its text; its cookie.
async fn offered(hand: &Peer, message: &Message) -> Cookie {
    cookie(&hand.offer(message, &[CAROL]).await.unwrap().dispositions[0])
}

async fn poll(hand: &Peer, given: Cookie) -> CookieAnswer {
    match hand.ask(&Frame::Poll(vec![given])).await.unwrap() {
        Frame::Answers(answers) => answers.into_iter().next().unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn hands() -> (World, Peer, User) {
    hands_and(south(&[CAROL])).await
}

async fn hands_and(south: Site) -> (World, Peer, User) {
    let mut world = World::new(&[Site::new("hand.test"), Site::new("other.test"), south]).await;
    world.start("south.test").await;
    let hand = world.peer("hand.test", "south.test").await;
    let carol = world.user(CAROL).await;
    (world, hand, carol)
}

/// Everything that ends what was held, or was accepted and has not come, with the message as the sender offers it again.
///
/// proves: STA-8, STA-16
#[tokio::test]
async fn what_is_not_wanted_or_not_brought_in_time_ends() {
    let (world, hand, mut carol) = hands().await;
    let node = world.node("south.test");
    // The sender gives up, after it was accepted too.
    for accepted in [false, true] {
        let message = with_attachment("alice@hand.test", &format!("Given up {accepted}"), 100_000);
        let given = offered(&hand, &message).await;
        if accepted {
            decide(&mut carol, message.identity(), ACCEPT).await;
            assert!(matches!(poll(&hand, given).await, CookieAnswer::Want(_)));
        }
        hand.ask(&Frame::GiveUp(vec![given])).await.unwrap();
        assert_eq!(poll(&hand, given).await, CookieAnswer::Final(Disposition::Withdrawn));
        let late = hand.offer(&message, &[CAROL]).await.unwrap();
        assert_eq!(late.dispositions, [Disposition::Withdrawn], "the same offer, the same answer");
        let decided = node.decide_held(None, message.identity(), &address(CAROL), Choice::ACCEPT).await;
        assert_eq!(decided.unwrap_err().0, Code::INVALID_ARGUMENTS);
    }
    // Nobody decides in time; or the sender never comes back with the rest.
    for accepted in [false, true] {
        let message = with_attachment("alice@hand.test", &format!("Too late {accepted}"), 100_000);
        let given = offered(&hand, &message).await;
        if accepted {
            decide(&mut carol, message.identity(), ACCEPT).await;
        }
        node.store().expire(node.now_ms() + 6 * DAY_MS, 100).await.unwrap();
        assert_eq!(poll(&hand, given).await, CookieAnswer::Final(Disposition::Expired));
        assert!(carol.session.held(None, 10).await.unwrap().is_empty());
        assert!(node.store().message(message.identity()).unwrap().is_none(), "what was kept of it is gone");
    }
    assert!(carol.session.mailbox(0, 10).await.unwrap().is_empty());
}

/// Tricks: a stranger learns nothing of what others have sent, and an accepted message that comes back with seals that do
/// not hold is refused.
///
/// proves: EXC-11, STA-7
#[tokio::test]
async fn an_acceptance_is_no_way_in_for_something_else() {
    let (world, hand, mut carol) = hands().await;
    let message = with_attachment("alice@hand.test", "The same", 100_000);
    // Another domain brings the same message, sealed by its author's domain and forwarded: it has to bring all of it.
    let given = offered(&hand, &message).await;
    let other = world.peer("other.test", "south.test").await;
    let seals = [hand.seal(&message, Role::Submission), other.seal(&message, Role::Forwarder)];
    let offer = || waxwing_tests::peer::offer(&message, &seals, &[CAROL]);
    let supply = || waxwing_tests::peer::supply(&message, &seals);
    let second = other.offer_as(offer(), supply(), &Memory::of(&message)).await.unwrap();
    let second = cookie(&second.dispositions[0]);
    assert_ne!(given, second);
    decide(&mut carol, message.identity(), ACCEPT).await;
    assert!(matches!(poll(&hand, given).await, CookieAnswer::Want(_)));
    hand.offer(&message, &[CAROL]).await.unwrap();
    assert_eq!(poll(&hand, given).await, CookieAnswer::Final(Disposition::Accepted));
    // What the first has brought is of no use to the second, who cannot see that it was.
    assert_eq!(poll(&other, second).await, CookieAnswer::Want(Selection::Parts(vec![(2, 0)])));
    other.offer_as(offer(), supply(), &Memory::of(&message)).await.unwrap();
    assert_eq!(poll(&other, second).await, CookieAnswer::Final(Disposition::Accepted));
    assert_eq!(carol.session.mailbox(0, 10).await.unwrap().len(), 1, "and it is in the mailbox once");

    // Accepted, and offered again with a seal that says something else.
    let message = with_attachment("alice@hand.test", "Changed", 100_000);
    let given = offered(&hand, &message).await;
    decide(&mut carol, message.identity(), ACCEPT).await;
    let stranger = letter("alice@hand.test", "Of another message");
    let broken = [hand.seal(&stranger, Role::Submission)];
    let offer = waxwing_tests::peer::offer(&message, &broken, &[CAROL]);
    let supply = waxwing_tests::peer::supply(&message, &broken);
    let answer = hand.offer_as(offer, supply, &Memory::of(&message)).await.unwrap();
    let refused =
        matches!(answer.dispositions[0], Disposition::Refused { code, .. } if code == Code::INTEGRITY_FAILED);
    assert!(refused, "{answer:?}");
    assert!(matches!(poll(&hand, given).await, CookieAnswer::Final(Disposition::Refused { .. })));
}

/// proves: STA-14
#[tokio::test]
async fn a_flood_of_held_mail_is_bounded_and_put_off() {
    let (world, hand, _carol) = hands_and(south(&["south.test"])).await;
    let node = world.node("south.test");
    let full = |answer: &protocol::Outcome| matches!(answer.dispositions[..], [Disposition::Deferred { code, .. }] if code == Code::MAILBOX_FULL);
    // One peer has a share of the places; others have room then.
    let mut count = 0;
    while count < node::limits::HELD_PER_PEER_MAX - 50 {
        count += 50;
        // A name below its domain costs nothing.
        let name = format!("mx{count}.hand.test");
        node.store().accept(flood(&name, node.now_ms())).await.unwrap();
    }
    // Recipients of one offer are counted with each other.
    let many: Vec<String> = (0..60).map(|number| format!("d{number}@south.test")).collect();
    let own: Vec<Address> = many.iter().map(|one| address(one)).chain([address(CAROL)]).collect();
    node.put_account("carol", &own, None).await.unwrap();
    let to: Vec<&str> = many.iter().map(String::as_str).collect();
    let told = hand.offer(&letter("alice@hand.test", "To all of you"), &to).await.unwrap().dispositions;
    let waits = |one: &&Disposition| matches!(one, Disposition::Pending { .. });
    assert_eq!(told.iter().filter(waits).count(), 50, "{told:?}");
    count += 50;
    let message = letter("alice@hand.test", "One more");
    let answer = hand.offer(&message, &[CAROL]).await.unwrap();
    assert!(full(&answer), "{answer:?}");
    let other = world.peer("other.test", "south.test").await;
    let of_other = letter("olga@other.test", "Of another peer");
    let answer = other.offer(&of_other, &[CAROL]).await.unwrap();
    assert!(matches!(answer.dispositions[..], [Disposition::Pending { .. }]), "{answer:?}");
    // All places.
    while count < node::limits::HELD_PER_ACCOUNT_MAX {
        count += 50;
        node.store().accept(flood("third.test", node.now_ms())).await.unwrap();
    }
    let of_other = letter("olga@other.test", "Another of another peer");
    assert!(full(&other.offer(&of_other, &[CAROL]).await.unwrap()));
    // There is room again once something is decided.
    let [first, second] = node.store().held(Some("carol"), None, 2).unwrap().try_into().unwrap();
    node.decide_held(None, first.identity, &first.address, Choice::REFUSE).await.unwrap();
    node.decide_held(None, second.identity, &second.address, Choice::REFUSE).await.unwrap();
    let answer = hand.offer(&message, &[CAROL]).await.unwrap();
    assert!(matches!(answer.dispositions[..], [Disposition::Pending { .. }]), "{answer:?}");
}

/// An acceptance of fifty recipients of this peer that are held for Carol, of whom nothing but the envelope is here.
fn flood(peer: &str, now_ms: u64) -> storage::Acceptance {
    let fresh = || {
        let mut octets = [0; 32];
        random(&mut octets);
        octets
    };
    let identity = Identity::from_bytes(fresh());
    let recipients = (0..50).map(|number| storage::Intended {
        address: address(&format!("c{number}@south.test")),
        effect: storage::Effect::Pend(storage::Pend {
            account: Some("carol".to_owned()),
            stage: storage::Stage::Undecided,
            wanted: None,
            reason: "a flood".to_owned(),
            seals: Vec::new(),
        }),
        answer: Disposition::Pending {
            cookie: Cookie::from_bytes(fresh()),
            min_seconds: 1,
            max_seconds: 60,
            until: now_ms / 1_000 + 3_600,
        },
        why: None,
    });
    storage::Acceptance {
        content: storage::Content::Offered { identity },
        offered_as: identity,
        octets: 1,
        origin: storage::Origin::Peer { domain: message::address::Domain::parse(peer).unwrap() },
        trace: Vec::new(),
        now_ms,
        expires_at_ms: now_ms + DAY_MS,
        release_at_ms: None,
        recipients: recipients.collect(),
        again: Vec::new(),
        members: Vec::new(),
        room: None,
    }
}

/// A rule makes everybody wait: nothing is kept meanwhile, and the same cookie leads to the answer.
///
/// proves: STA-7, STA-17
#[tokio::test]
async fn what_pends_is_wanted_later_and_judged_anew() {
    let slow = Site::new("south.test")
        .lines("[[rules]]\nname = \"slowly\"\nto = \"carol@south.test\"\npend-seconds = 2\n");
    let world = World::started(&[Site::new("north.test"), slow]).await;
    let mut alice = world.user("alice@north.test").await;
    let mut carol = world.user(CAROL).await;
    let identity = alice.send(&letter("alice@north.test", "Slowly"), &[CAROL]).await;
    held(&world, identity, CAROL).await;
    let south = world.node("south.test");
    assert!(south.store().message(identity).unwrap().is_none(), "nothing of it is kept");
    assert!(carol.session.held(None, 10).await.unwrap().is_empty(), "there is nothing to decide");
    let pending = |event: &Event| match event {
        Event::Settled { disposition: Disposition::Pending { min_seconds, .. }, .. } => Some(*min_seconds),
        _ => None,
    };
    assert_eq!(world.events("north.test").find("pending", pending).await, 2);
    world.events("south.test").delivered(identity, CAROL).await;
    assert_eq!(world.events("north.test").settled(identity, CAROL).await, Disposition::Accepted);
    let offers = world.events("south.test").count(|event| matches!(event, Event::Offered { .. }));
    assert_eq!(offers, 2);
}

/// The operator decides over the control socket where the user does not.
///
/// proves: STA-16
#[tokio::test]
async fn an_operator_may_decide_too() {
    let (world, hand, _carol) = hands().await;
    let message = with_attachment("alice@hand.test", "To the operator", 100_000);
    let given = offered(&hand, &message).await;
    let mut client = operator(&world, "south.test").await;
    let list = Request::HeldList { account: Some("carol".to_owned()), after: None, limit: 10 };
    let Response::HeldList { held } = client.call(&list).await.unwrap() else { panic!("no list") };
    assert_eq!((held.len(), held[0].octets_missing), (1, 100_000));
    let decide = |decision| Request::HeldDecide {
        identity: message.identity().to_string(),
        recipient: Some(CAROL.to_owned()),
        decision,
        account: None,
    };
    let wrong = HeldDecision::Refuse { code: Some("4.7.1".to_owned()) };
    assert!(matches!(client.call(&decide(wrong)).await.unwrap(), Response::Failure(_)));
    let refuse = HeldDecision::Refuse { code: Some("5.7.2".to_owned()) };
    let Response::HeldDecided { disposition, .. } = client.call(&decide(refuse)).await.unwrap() else {
        panic!("not decided")
    };
    assert_eq!(disposition, "refused");
    let CookieAnswer::Final(Disposition::Refused { code, text }) = poll(&hand, given).await else {
        panic!("not refused")
    };
    assert_eq!(code, Code::new(5, 7, 2));
    assert!(!text.contains("hold"), "the sender is not told why: {text}");
}

/// What two messages have in common is fetched for the one that is accepted, though it is missing of the other as well.
#[tokio::test]
async fn one_of_two_with_the_same_file_is_accepted() {
    let world = World::started(&[Site::new("north.test"), south(&[CAROL])]).await;
    let mut alice = world.user("alice@north.test").await;
    let mut carol = world.user(CAROL).await;
    let film = vec![b'f'; 288_000];
    let mut identities = Vec::new();
    for subject in ["Minutes", "A third letter"] {
        let fields = [
            ("From", "alice@north.test"),
            ("Subject", subject),
            ("Date", "Thu, 1 Jan 2026 12:00:00 +0000"),
            ("Message-Id", "<1@held.test>"),
        ];
        let message = letter_with(&fields, &[("text/plain", b"Attached."), ("text/csv", &film)]);
        let identity = alice.send(&message, &[CAROL]).await;
        held(&world, identity, CAROL).await;
        identities.push(identity);
    }
    for identity in identities.into_iter().rev() {
        decide(&mut carol, identity, ACCEPT).await;
        world.events("south.test").delivered(identity, CAROL).await;
        assert_eq!(world.events("north.test").settled(identity, CAROL).await, Disposition::Accepted);
    }
}
