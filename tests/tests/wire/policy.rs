//! What the rules of a new configuration make of strangers, of friends, of those who bring others' mail and of those
//! whom somebody has blocked; and that each of them is told no more than the name of a rule.

use control::{Client, Failure, FailureKind, Request, Response};
use message::{Code, Disposition, Identity, Message, Role};
use node::Event;
use protocol::{Choice, CookieAnswer, Decide, HeldEntry};
use storage::Regard;
use waxwing_tests::peer::{offer, supply};
use waxwing_tests::{Memory, Peer, Site, User, World, letter};

const SOUTH: &str = "south.test";
const BOB: &str = "bob@south.test";
const CAROL: &str = "carol@south.test";
/// What `waxwing config init` writes.
const INIT: &str = include_str!("../../../crates/daemon/src/init.toml");

/// South has the policy of a new configuration.
fn south() -> Site {
    let section = INIT.split("\n[").find(|section| section.starts_with("policy]")).unwrap();
    Site::new(SOUTH).lines(&format!("[{section}"))
}

/// What south has decided, by which rule and on what evidence.
async fn decided(world: &World, identity: Identity, recipient: &str) -> (Disposition, String, String) {
    let such = |event: &Event| match event {
        Event::Decided { identity: of, recipient: one, disposition, rule, evidence }
            if *of == identity && one.to_string() == recipient =>
        {
            Some((disposition.clone(), rule.clone(), evidence.clone()))
        }
        _ => None,
    };
    world.events(SOUTH).find(&format!("decided for {recipient}"), such).await
}

/// By what `waxwing trace` says that a message was decided when it came in, for each recipient.
async fn traced(world: &World, identity: Identity) -> Vec<String> {
    let mut client = Client::connect(&world.data(SOUTH).join("control.sock")).await.unwrap();
    let trace = Request::Trace { identity: identity.to_string() };
    let Response::Envelopes { envelopes, .. } = client.call(&trace).await.unwrap() else {
        panic!("no trace")
    };
    let recipients = envelopes.into_iter().flat_map(|envelope| envelope.recipients);
    recipients.filter_map(|recipient| recipient.why).collect()
}

/// proves: POL-5, POL-8, POL-11
#[tokio::test]
async fn a_stranger_is_held_and_whom_one_has_written_to_is_not() {
    let world = World::started(&[Site::new("north.test"), south()]).await;
    let (mut alice, mut bob) = (world.user("alice@north.test").await, world.user(BOB).await);
    let first = alice.send(&letter("alice@north.test", "You do not know me."), &[BOB]).await;
    let (disposition, rule, evidence) = decided(&world, first, BOB).await;
    assert!(matches!(disposition, Disposition::Pending { .. }), "{disposition:?}");
    assert_eq!(rule, "first-contact");
    assert!(evidence.contains("alice@north.test"), "{evidence}");
    let [entry] = bob.session.held(None, 10).await.unwrap().try_into().unwrap();
    assert_eq!((entry.identity, entry.reason), (first, format!("rule first-contact: {evidence}")));
    assert!(bob.session.mailbox(0, 10).await.unwrap().is_empty());
    assert_eq!(traced(&world, first).await, [format!("rule first-contact: {evidence}")]);

    let answer = bob.send(&letter(BOB, "Now I do."), &["alice@north.test"]).await;
    world.events("north.test").delivered(answer, "alice@north.test").await;
    let second = alice.send(&letter("alice@north.test", "How do you do?"), &[BOB]).await;
    world.events(SOUTH).delivered(second, BOB).await;
    let [why] = traced(&world, second).await.try_into().unwrap();
    assert!(why.starts_with("rule default: ") && why.len() > "rule default: ".len(), "{why}");
    let held = bob.session.held(None, 10).await.unwrap();
    assert_eq!(held.iter().map(|entry| entry.identity).collect::<Vec<_>>(), [first], "it waits as before");
}

/// What is held of a user, in the order in which it came.
async fn held(user: &mut User, count: usize) -> Vec<HeldEntry> {
    let listed = async {
        loop {
            let held = user.session.held(None, 10).await.unwrap();
            if held.len() == count {
                return held;
            }
            tokio::task::yield_now().await;
        }
    };
    let listed = tokio::time::timeout(std::time::Duration::from_secs(30), listed).await;
    listed.unwrap_or_else(|_| panic!("there are never {count} messages held"))
}

/// What `waxwing held accept --trust` and `waxwing held block` ask for, as a user over QUIC.
///
/// proves: STA-16, POL-11
#[tokio::test]
async fn a_user_trusts_the_author_of_one_message_and_blocks_that_of_another() {
    let world = World::started(&[Site::new("north.test"), south()]).await;
    let (mut alice, mut eve) = (world.user("alice@north.test").await, world.user("eve@north.test").await);
    let mut bob = world.user(BOB).await;
    let welcome = alice.send(&letter("alice@north.test", "Welcome"), &[BOB]).await;
    decided(&world, welcome, BOB).await;
    let unwelcome = eve.send(&letter("eve@north.test", "Unwelcome"), &[BOB]).await;
    decided(&world, unwelcome, BOB).await;
    assert_eq!(
        held(&mut bob, 2).await.iter().map(|one| one.identity).collect::<Vec<_>>(),
        [welcome, unwelcome]
    );

    let recipient = bob.address.clone();
    let decide = |identity, choice| Decide { identity, recipient: recipient.clone(), choice };
    bob.session.decide(decide(welcome, Choice::Accept { trust: true })).await.unwrap();
    world.events(SOUTH).delivered(welcome, BOB).await;
    let answer = bob.session.decide(decide(unwelcome, Choice::Block)).await.unwrap();
    assert!(matches!(answer, CookieAnswer::Final(Disposition::Refused { .. })), "{answer:?}");
    assert_eq!(world.events("north.test").settled(welcome, BOB).await, Disposition::Accepted);
    let told = world.events("north.test").settled(unwelcome, BOB).await;
    assert!(matches!(told, Disposition::Refused { code, .. } if code == Code::NOT_AUTHORIZED), "{told:?}");
    assert!(held(&mut bob, 0).await.is_empty());

    let known = world.node(SOUTH).correspondents("bob", None, 10).unwrap();
    let known: Vec<_> = known.iter().map(|one| (one.who.as_str(), one.regard)).collect();
    assert_eq!(known, [("alice@north.test", Regard::Trusted), ("eve@north.test", Regard::Blocked)]);
    // The next ones are not held: that of the one comes in, that of the other is refused.
    let again = alice.send(&letter("alice@north.test", "Again"), &[BOB]).await;
    world.events(SOUTH).delivered(again, BOB).await;
    let again = eve.send(&letter("eve@north.test", "Again"), &[BOB]).await;
    let (disposition, rule, _) = decided(&world, again, BOB).await;
    assert!(matches!(disposition, Disposition::Refused { .. }), "{disposition:?}");
    assert_eq!(rule, "blocked");
    assert_eq!(bob.session.mailbox(0, 10).await.unwrap().len(), 2);
}

/// South and its peers by hand; Bob knows Alice, and has blocked Eve and everybody else at her domain.
async fn scene() -> (World, Peer, Peer) {
    let mut world = World::new(&[Site::new("hand.test"), Site::new("thief.test"), south()]).await;
    world.start(SOUTH).await;
    let node = world.node(SOUTH);
    for address in [BOB, CAROL] {
        let address = message::address::Address::parse(address).unwrap();
        node.put_account(address.local().as_str(), std::slice::from_ref(&address), None).await.unwrap();
    }
    for (who, regard) in [
        ("alice@hand.test", Regard::Known),
        ("eve@hand.test", Regard::Blocked),
        ("hand.test", Regard::Blocked),
    ] {
        node.put_correspondent("bob", who, regard, "").await.unwrap();
    }
    let peers = (world.peer("hand.test", SOUTH).await, world.peer("thief.test", SOUTH).await);
    (world, peers.0, peers.1)
}

/// Offers what somebody else has sealed, with a seal of its own as a forwarder.
async fn bring(thief: &Peer, message: &Message, hand: &Peer) -> Disposition {
    let seals = [hand.seal(message, Role::Submission), thief.seal(message, Role::Forwarder)];
    let (offer, supply) = (offer(message, &seals, &[BOB]), supply(message, &seals));
    let outcome = thief.offer_as(offer, supply, &Memory::of(message)).await.unwrap();
    outcome.dispositions.into_iter().next().unwrap()
}

/// Alice is known, and her message with all her seals is not worth more to whoever got hold of it than any other.
///
/// proves: EXC-22, POL-5
#[tokio::test]
async fn a_thief_is_a_first_contact_whoever_has_written() {
    let (world, hand, thief) = scene().await;
    let own = letter("alice@hand.test", "By my own hand");
    assert_eq!(hand.offer(&own, &[BOB]).await.unwrap().dispositions, [Disposition::Accepted]);
    let stolen = letter("alice@hand.test", "By another's");
    let told = bring(&thief, &stolen, &hand).await;
    assert!(matches!(told, Disposition::Pending { .. }), "{told:?}");
    let (_, rule, evidence) = decided(&world, stolen.identity(), BOB).await;
    assert_eq!(rule, "first-contact");
    assert!(evidence.contains("thief.test"), "{evidence}");
    // Unless Bob has said that this domain may: then it is as if Alice had come herself.
    world
        .node(SOUTH)
        .put_correspondent("bob", "thief.test", Regard::Trusted, "my old address")
        .await
        .unwrap();
    let forwarded = letter("alice@hand.test", "By one whom Bob trusts");
    assert_eq!(bring(&thief, &forwarded, &hand).await, Disposition::Accepted);
}

/// proves: POL-1, POL-8, POL-9, POL-11
#[tokio::test]
async fn the_blocked_are_told_a_name_and_the_operator_why() {
    let (world, hand, _) = scene().await;
    let known = letter("alice@hand.test", "The address counts before its domain");
    assert_eq!(hand.offer(&known, &[BOB]).await.unwrap().dispositions, [Disposition::Accepted]);
    let blocked = Disposition::refused(Code::NOT_AUTHORIZED, "refused by rule blocked");
    for author in ["eve@hand.test", "mallory@hand.test"] {
        let message = letter(author, "Let me in");
        let told = hand.offer(&message, &[BOB, CAROL, "nobody@south.test"]).await.unwrap().dispositions;
        // Neither that Carol has not blocked her nor whom Bob has blocked, the address or its domain, shows.
        assert_eq!(told[0], blocked, "{author}");
        assert!(matches!(told[1], Disposition::Pending { .. }), "{author}: {told:?}");
        assert_eq!(told[2], Disposition::refused(Code::NO_SUCH_ADDRESS, "no such address here"));
        let (disposition, rule, evidence) = decided(&world, message.identity(), BOB).await;
        assert_eq!((disposition, rule.as_str()), (blocked.clone(), "blocked"));
        assert_eq!(evidence, format!("from {author}, whom {BOB} has blocked"));
        let (_, rule, evidence) = decided(&world, message.identity(), "nobody@south.test").await;
        assert_eq!(
            (rule.as_str(), evidence.as_str()),
            ("no-such-address", "no account has nobody@south.test")
        );
    }
}

/// An alias that leads to Bob is no way round what he has said, nor round the rules.
///
/// proves: FWD-42, POL-1, POL-5
#[tokio::test]
async fn an_alias_that_leads_to_an_account_is_judged_as_the_account_is() {
    let (world, hand, thief) = scene().await;
    let mut client = Client::connect(&world.data(SOUTH).join("control.sock")).await.unwrap();
    for (alias, target) in [("b@south.test", BOB), ("both@south.test", BOB), ("both@south.test", CAROL)] {
        let order = control::ForwardOrder::Add {
            alias: alias.to_owned(),
            target: target.to_owned(),
            conceal: false,
            rewrite: false,
            granted: true,
            keep_sender: false,
        };
        let added = client.call(&Request::Forward { order }).await.unwrap();
        assert!(matches!(added, Response::Forwards { .. }), "{added:?}");
    }
    let offer = async |peer: &Peer, message: &Message, to: &str| {
        peer.offer(message, &[to]).await.unwrap().dispositions.remove(0)
    };
    let known = letter("alice@hand.test", "You know me");
    assert_eq!(offer(&hand, &known, "b@south.test").await, Disposition::Accepted);
    let blocked = letter("eve@hand.test", "Let me in by the back door");
    let told = offer(&hand, &blocked, "b@south.test").await;
    assert_eq!(told, Disposition::refused(Code::NOT_AUTHORIZED, "refused by rule blocked"));
    let stranger = letter("tom@thief.test", "You do not know me");
    let told = offer(&thief, &stranger, "b@south.test").await;
    assert!(matches!(told, Disposition::Pending { .. }), "{told:?}");
    let store = world.node(SOUTH).store().clone();
    let [held] = store.held(Some("bob"), None, 9).unwrap().try_into().unwrap();
    assert_eq!((held.identity, held.address.to_string().as_str()), (stranger.identity(), "b@south.test"));
    // Of a list he is left out.
    let both = letter("eve@hand.test", "To both of you");
    assert_eq!(offer(&hand, &both, "both@south.test").await, Disposition::Accepted);
    let has = |account: &str| store.mail_of(account, both.identity()).unwrap().is_some();
    assert_eq!((has("bob"), has("carol")), (false, true));
}

/// What would be decided about a file that the node has never seen, by whoever brings it; nothing is done about it.
///
/// proves: POL-8
#[tokio::test]
async fn a_file_is_explained_without_being_sent() {
    let (world, hand, thief) = scene().await;
    let message = letter("alice@hand.test", "Shall I send it?");
    let base64 = |octets: &[u8]| data_encoding::BASE64.encode(octets);
    let seals = [hand.seal(&message, Role::Submission), thief.seal(&message, Role::Forwarder)];
    let request = |to: &str, peer: Option<&str>, seals: &[message::Seal]| Request::PolicyExplainFile {
        manifest: base64(message.manifest().octets()),
        headers: base64(&message.headers().octets()),
        seals: seals.iter().map(|seal| base64(seal.octets())).collect(),
        to: to.to_owned(),
        peer: peer.map(str::to_owned),
    };
    let mut client = Client::connect(&world.data(SOUTH).join("control.sock")).await.unwrap();
    for (to, peer, seals, rule, verdict) in [
        (BOB, None, &seals[..], "default", "accept"),
        (CAROL, None, &seals[..], "first-contact", "hold text"),
        (BOB, Some("thief.test"), &seals[..], "first-contact", "hold text"),
        (BOB, None, &[][..], "seal-missing", "refuse 5.7.1"),
    ] {
        let Response::Explanation(told) = client.call(&request(to, peer, seals)).await.unwrap() else {
            panic!("nothing is explained")
        };
        assert_eq!((told.rule.as_str(), told.identity.clone()), (rule, message.identity().to_string()));
        assert!(told.verdict.starts_with(verdict), "{told:?}");
        assert_eq!((told.origin.as_str(), told.recipient.as_str()), (peer.unwrap_or("hand.test"), to));
        assert!(!told.evidence.is_empty(), "{told:?}");
    }
    // What does not belong to the manifest is found out.
    let mut other = request(BOB, None, &seals);
    if let Request::PolicyExplainFile { headers, .. } = &mut other {
        *headers = base64(&vec![b'x'; message.headers().octets().len()]);
    }
    let told = client.call(&other).await.unwrap();
    assert!(matches!(told, Response::Failure(Failure { kind: FailureKind::Invalid, .. })), "{told:?}");
    let events = world.events(SOUTH);
    assert_eq!(events.count(|event| matches!(event, Event::Offered { .. } | Event::Decided { .. })), 0);
}
