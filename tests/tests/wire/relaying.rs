//! Relays: the sender's cookie stays open until the next hop's is settled, and nothing is relayed that no rule allows.

use message::{Code, Disposition, Hop, Role};
use node::Event;
use storage::CookieAnswer;
use waxwing_tests::peer::{offer, seal, supply};
use waxwing_tests::user::cookie;
use waxwing_tests::world::until;
use waxwing_tests::{Memory, Peer, Site, World, letter};

use crate::delivery::{decide, held};

/// A message that has all the seals that it can have is nothing that a relay could answer for; who is here gets it.
///
/// proves: EXC-16
#[tokio::test]
async fn what_has_no_room_for_the_seal_of_a_relay_is_refused_where_it_would_go_on() {
    let relay = Site::new("relay.test").relay("hand.test", "south.test");
    let mut world = World::new(&[Site::new("hand.test"), relay, Site::new("south.test")]).await;
    world.start("relay.test").await;
    let _bob = world.user("bob@relay.test").await;
    let hand = world.peer("hand.test", "relay.test").await;
    let message = letter("alice@hand.test", "With many seals");
    let key = world.domain_key("hand.test");
    let others = (1..message::limits::SEALS_MAX)
        .map(|number| seal(&message, &format!("list{number}.test"), &key, Role::Forwarder));
    let seals: Vec<_> = std::iter::once(hand.seal(&message, Role::Submission)).chain(others).collect();
    let to = ["zoe@south.test", "bob@relay.test", "nobody@relay.test"];
    let (offer, supply) = (offer(&message, &seals, &to), supply(&message, &seals));
    let told = hand.offer_as(offer, supply, &Memory::of(&message)).await.unwrap().dispositions;
    assert!(matches!(told[0], Disposition::Refused { code, .. } if code == Code::NOT_AUTHORIZED), "{told:?}");
    assert_eq!(told[1], Disposition::Accepted);
    assert!(
        matches!(told[2], Disposition::Refused { code, .. } if code == Code::NO_SUCH_ADDRESS),
        "{told:?}"
    );
}

/// proves: EXC-20, EXC-23
#[tokio::test]
async fn the_final_answer_travels_back_along_the_cookies() {
    let world = World::started(&[
        Site::new("north.test").via("south.test", "relay.test"),
        Site::new("relay.test").relay("north.test", "south.test"),
        Site::new("south.test").rule("hold-carol", "carol@south.test", "hold all"),
    ])
    .await;
    let mut alice = world.user("alice@north.test").await;
    let mut bob = world.user("bob@south.test").await;
    let _carol = world.user("carol@south.test").await;
    let (bobs, nobodys, carols) = ("bob@south.test", "nobody@south.test", "carol@south.test");
    let identity = alice.send(&letter("alice@north.test", "By way of"), &[bobs, nobodys, carols]).await;

    held(&world, "south.test", identity, carols).await;
    let north = world.events("north.test");
    assert_eq!(north.settled(identity, bobs).await, Disposition::Accepted);
    let refused = north.settled(identity, nobodys).await;
    assert!(
        matches!(refused, Disposition::Refused { code, .. } if code == Code::NO_SUCH_ADDRESS),
        "{refused:?}"
    );

    // The relay waits for the next hop itself: what it has told the first node is pending still, at both.
    let (relay, now_ms) = (world.node("relay.test"), world.node("relay.test").now_ms());
    let record = world.node("north.test").store().envelopes_for(identity, 10).unwrap().remove(0);
    let given = cookie(record.recipients[2].next_hop.as_ref().unwrap());
    let [answer] = relay.store().poll("north.test", &[given], now_ms).unwrap().try_into().unwrap();
    assert!(matches!(answer, CookieAnswer::Pending { .. }), "{answer:?}");
    let pending = alice.dispositions(identity).await.remove(2);
    assert_ne!(cookie(&pending), given, "the user's cookie is another one than the next hop's");

    decide(&world, "south.test", identity, carols, true).await;
    assert_eq!(north.settled(identity, carols).await, Disposition::Accepted);
    let [answer] = relay.store().poll("north.test", &[given], now_ms).unwrap().try_into().unwrap();
    assert_eq!(answer, CookieAnswer::Final(Disposition::Accepted));

    let [entry] = bob.session.mailbox(0, 10).await.unwrap().try_into().unwrap();
    let seals: Vec<_> =
        entry.seals.iter().map(|seal| (seal.issuer.as_str(), seal.role.as_str(), seal.verified)).collect();
    assert_eq!(seals, [("north.test", "submission", true), ("relay.test", "forwarder", true)]);
    assert_eq!((entry.origin.as_str(), entry.identity), ("relay.test", identity));
    let at_south = world.node("south.test").store().envelopes_for(identity, 10).unwrap().remove(0);
    let way: Vec<String> = at_south.trace.iter().map(|hop| hop.by.to_string()).collect();
    assert_eq!(way, ["north.test", "relay.test", "south.test"]);
}

/// What the author gives up is given up at each hop, and the recipient has nothing to decide about any more.
///
/// proves: STA-8, STA-10
#[tokio::test]
async fn giving_up_travels_on() {
    let world = World::started(&[
        Site::new("north.test").via("south.test", "relay.test"),
        Site::new("relay.test").relay("north.test", "south.test"),
        Site::new("south.test").rule("hold-carol", "carol@south.test", "hold all"),
    ])
    .await;
    let mut alice = world.user("alice@north.test").await;
    let mut carol = world.user("carol@south.test").await;
    let submitted =
        alice.submit(&letter("alice@north.test", "Never mind"), &["carol@south.test"]).await.unwrap();
    let identity = submitted.identity;
    // Each hop has the next one's cookie from then on.
    for domain in ["relay.test", "north.test"] {
        world
            .events(domain)
            .find("pending at the next hop", |event| match event {
                Event::Settled { disposition: Disposition::Pending { .. }, .. } => Some(()),
                _ => None,
            })
            .await;
    }
    alice.session.give_up(vec![cookie(&submitted.outcomes[0].1)]).await.unwrap();
    assert_eq!(alice.dispositions(identity).await, [Disposition::Withdrawn]);
    let south = world.node("south.test");
    assert!(until(|| south.store().held(None, None, 10).unwrap().is_empty()).await, "it is held still");
    let record = south.store().envelopes_for(identity, 10).unwrap().remove(0);
    assert_eq!(record.recipients[0].outcome, Some(Disposition::Withdrawn));
    assert!(carol.session.mailbox(0, 10).await.unwrap().is_empty());
    assert!(world.node("relay.test").store().legs(None, None, 10).unwrap().is_empty());
}

/// Two nodes that relay to each other for a third.
///
/// proves: EXC-21
#[tokio::test]
async fn a_loop_ends() {
    let mut world = World::new(&[
        Site::new("east.test").via("far.test", "west.test").relay("west.test", "far.test"),
        Site::new("west.test").via("far.test", "east.test").relay("east.test", "far.test"),
        Site::new("far.test"),
    ])
    .await;
    world.start("east.test").await;
    world.start("west.test").await;
    let mut alice = world.user("alice@east.test").await;
    let identity = alice.send(&letter("alice@east.test", "Round and round"), &["x@far.test"]).await;
    let settled = world.events("east.test").settled(identity, "x@far.test").await;
    assert!(matches!(settled, Disposition::Refused { code, .. } if code == Code::LOOP), "{settled:?}");
    let offered = |domain| world.events(domain).count(|event| matches!(event, Event::Offered { .. }));
    assert_eq!((offered("west.test"), offered("east.test")), (1, 2), "once around, and no more");
}

/// proves: EXC-21
#[tokio::test]
async fn a_trace_without_room_is_a_loop() {
    let mut world = World::new(&[Site::new("hand.test"), Site::new("south.test")]).await;
    world.start("south.test").await;
    let _bob = world.user("bob@south.test").await;
    let hand = world.peer("hand.test", "south.test").await;
    for (hops, taken) in [(message::limits::HOPS_MAX - 1, true), (message::limits::HOPS_MAX, false)] {
        let message = letter("alice@hand.test", &format!("After {hops} hops"));
        let (mut offer, supply) = hand.offer_of(&message, &["bob@south.test"]);
        let by = message::address::Domain::parse("elsewhere.test").unwrap();
        offer.envelope.trace = vec![Hop { by, at: 1_767_225_600 }; hops];
        let outcome = hand.offer_as(offer, supply, &Memory::of(&message)).await.unwrap();
        match &outcome.dispositions[0] {
            Disposition::Accepted => assert!(taken, "{hops}"),
            Disposition::Refused { code, .. } => assert!(!taken && *code == Code::LOOP, "{hops}: {code}"),
            other => panic!("{hops}: {other:?}"),
        }
    }
}

/// The node relays from one domain to one domain; whatever else is tried is refused, and nothing ever waits there.
#[tokio::test]
async fn nothing_is_relayed_that_no_rule_allows() {
    let mut world = World::new(&[
        Site::new("friend.test"),
        Site::new("hand.test"),
        Site::new("sub.friend.test"),
        Site::new("east.test"),
        Site::new("south.test").relay("friend.test", "east.test"),
        Site::new("north.test"),
    ])
    .await;
    world.start("south.test").await;
    world.start("north.test").await;
    let _bob = world.user("bob@south.test").await;
    let attempts: &[(&str, &str, &str, Code)] = &[
        ("a stranger", "hand.test", "x@east.test", Code::NOT_AUTHORIZED),
        ("to itself", "hand.test", "x@hand.test", Code::NOT_AUTHORIZED),
        ("to a domain that relays here", "hand.test", "x@friend.test", Code::NOT_AUTHORIZED),
        ("to nowhere", "hand.test", "x@nowhere.test", Code::NOT_AUTHORIZED),
        ("a percent sign", "hand.test", "x%east.test@south.test", Code::NO_SUCH_ADDRESS),
        ("a bang path", "hand.test", "east.test!x@south.test", Code::NO_SUCH_ADDRESS),
        ("an equals sign", "hand.test", "x=east.test@south.test", Code::NO_SUCH_ADDRESS),
        ("the other way round", "friend.test", "x@friend.test", Code::NOT_AUTHORIZED),
        ("to another domain", "friend.test", "x@north.test", Code::NOT_AUTHORIZED),
        ("to a subdomain", "friend.test", "x@sub.east.test", Code::NOT_AUTHORIZED),
        ("to a longer name", "friend.test", "x@northeast.test", Code::NOT_AUTHORIZED),
        ("to a name that begins so", "friend.test", "x@east.test.nowhere.test", Code::NOT_AUTHORIZED),
        ("from a subdomain", "sub.friend.test", "x@east.test", Code::NOT_AUTHORIZED),
        ("below the node itself", "hand.test", "bob@sub.south.test", Code::NOT_AUTHORIZED),
    ];
    for (what, from, to, code) in attempts {
        let peer = world.peer(from, "south.test").await;
        let outcome = peer.offer(&letter("alice@hand.test", what), &[to]).await.unwrap();
        let [Disposition::Refused { code: told, .. }] = &outcome.dispositions[..] else {
            panic!("{what}: {outcome:?}");
        };
        assert_eq!(told, code, "{what}");
        // Who may relay at one node may not at another.
        let peer = world.peer(from, "north.test").await;
        let outcome = peer.offer(&letter("alice@hand.test", what), &["x@east.test"]).await.unwrap();
        assert!(
            matches!(outcome.dispositions[0], Disposition::Refused { code, .. } if code == Code::NOT_AUTHORIZED)
        );
    }

    // What is claimed in the offer or in the seals opens nothing.
    let hand = world.peer("hand.test", "south.test").await;
    let message = letter("alice@friend.test", "as a friend");
    let friends = seal(&message, "friend.test", &world.domain_key("friend.test"), Role::Submission);
    let forged = seal(&message, "friend.test", &world.domain_key("hand.test"), Role::Submission);
    let forwarded = hand.seal(&message, Role::Forwarder);
    for seals in [vec![friends.clone()], vec![forged], vec![friends, forwarded]] {
        let mut claimed = offer(&message, &seals, &["x@east.test", "bob@south.test"]);
        let by = message::address::Domain::parse("friend.test").unwrap();
        claimed.envelope.trace = vec![Hop { by, at: 1_767_225_600 }];
        let outcome = hand.offer_as(claimed, supply(&message, &seals), &Memory::of(&message)).await.unwrap();
        let east = &outcome.dispositions[0];
        assert!(
            matches!(east, Disposition::Refused { code, .. } if *code == Code::NOT_AUTHORIZED),
            "{east:?}"
        );
    }
    for domain in ["south.test", "north.test"] {
        assert_eq!(world.node(domain).store().legs(None, None, 10).unwrap(), []);
        assert_eq!(world.events(domain).count(|event| matches!(event, Event::Trying { .. })), 0);
    }

    // And so that this can fail: the rule itself works.
    let friend: Peer = world.peer("friend.test", "south.test").await;
    let outcome = friend.offer(&letter("alice@friend.test", "allowed"), &["x@east.test"]).await.unwrap();
    assert!(matches!(outcome.dispositions[0], Disposition::Pending { .. }), "{outcome:?}");
}
