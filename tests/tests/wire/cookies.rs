//! Cookies: who may ask, what is answered, and what giving up does.

use message::address::Address;
use message::{Code, Cookie, Disposition};
use node::Event;
use protocol::{CookieAnswer, Frame, encode};
use transport::AskError;
use waxwing_tests::user::cookie;
use waxwing_tests::{Peer, Site, World, letter};

/// Nobody polls before an hour has passed.
const SELDOM: &str = "retry-first-seconds = 1\npoll-min-seconds = 3600\n";

const CAROL: &str = "carol@south.test";
const HOUR_MS: u64 = 3_600_000;
/// As long as final dispositions are kept at least, in milliseconds (STA-5).
const TEN_DAYS_MS: u64 = 10 * 24 * HOUR_MS;

/// A node that holds everything for Carol, and one message that is held.
async fn held(text: &str) -> (World, Peer, Cookie, message::Identity) {
    let south = Site::new("south.test").rule("hold-carol", CAROL, "hold all");
    let mut world = World::new(&[Site::new("hand.test"), Site::new("other.test"), south]).await;
    world.start("south.test").await;
    let carol = Address::parse(CAROL).unwrap();
    world.node("south.test").put_account("carol", &[carol], None).await.unwrap();
    let hand = world.peer("hand.test", "south.test").await;
    let message = letter("alice@hand.test", text);
    let outcome = hand.offer(&message, &[CAROL]).await.unwrap();
    let given = cookie(&outcome.dispositions[0]);
    (world, hand, given, message.identity())
}

async fn poll(peer: &Peer, cookies: &[Cookie]) -> Vec<CookieAnswer> {
    match peer.ask(&Frame::Poll(cookies.to_vec())).await.unwrap() {
        Frame::Answers(answers) => answers,
        other => panic!("{other:?}"),
    }
}

/// proves: STA-3, STA-4, STA-5, STA-6
#[tokio::test]
async fn an_answer_is_for_whom_the_cookie_was_given() {
    let (world, hand, given, identity) = held("For whom").await;
    let other = world.peer("other.test", "south.test").await;
    let never = Cookie::from_bytes([7; 32]);
    let [CookieAnswer::Pending { min_seconds, max_seconds, until }] = poll(&hand, &[given]).await[..] else {
        panic!("pending");
    };
    // As the configuration says, and in the future: 2026 is past.
    assert_eq!((min_seconds, max_seconds), (1, 6 * 3600));
    assert!(until > 1_767_225_600);

    let carol = Address::parse(CAROL).unwrap();
    let node = world.node("south.test");
    for settled in [false, true] {
        if settled {
            node.decide_held(None, identity, &carol, node::Choice::ACCEPT).await.unwrap();
        }
        // Foreign, never issued and past its time: the same answer, octet for octet.
        let foreign = poll(&other, &[given]).await;
        let unknown = poll(&hand, &[never]).await;
        assert_eq!(encode(&Frame::Answers(foreign)), encode(&Frame::Answers(unknown)), "settled: {settled}");
        assert_eq!(poll(&other, &[given]).await, [CookieAnswer::Unknown]);
    }
    assert_eq!(poll(&hand, &[given]).await, [CookieAnswer::Final(Disposition::Accepted)]);
    let kept = node.store().poll("hand.test", &[given], node.now_ms() + TEN_DAYS_MS - HOUR_MS).unwrap();
    assert_eq!(kept, [storage::CookieAnswer::Final(Disposition::Accepted)]);
    let expired = node.store().poll("hand.test", &[given], node.now_ms() + TEN_DAYS_MS + HOUR_MS).unwrap();
    assert_eq!(expired, [storage::CookieAnswer::Unknown]);
    // A user's cookies are not a peer's either.
    assert_eq!(node.poll("account:carol", &[given]).await.unwrap(), [storage::CookieAnswer::Unknown]);
}

/// proves: STA-6
#[tokio::test]
async fn many_cookies_go_into_one_poll() {
    let (_world, hand, given, _) = held("Many").await;
    let mut cookies: Vec<Cookie> = (0..1_000_u32)
        .map(|number| {
            let mut octets = [0; 32];
            octets[..4].copy_from_slice(&number.to_be_bytes());
            Cookie::from_bytes(octets)
        })
        .collect();
    cookies[0] = given;
    cookies[617] = given;
    cookies[999] = given;
    let answers = poll(&hand, &cookies).await;
    assert_eq!(answers.len(), 1_000);
    for (place, answer) in answers.iter().enumerate() {
        let pending = matches!(answer, CookieAnswer::Pending { .. });
        assert_eq!(pending, [0, 617, 999].contains(&place), "{place}: {answer:?}");
    }
    cookies.push(given);
    match hand.ask(&Frame::Poll(cookies)).await {
        Err(AskError::Failed(failure)) => assert_eq!(failure.code.class, 5),
        other => panic!("{other:?}"),
    }
    assert_eq!(poll(&hand, &[given]).await.len(), 1, "the connection goes on");
}

/// proves: STA-5, STA-8
#[tokio::test]
async fn giving_up_withdraws_what_is_not_final() {
    let (world, hand, given, identity) = held("Given up").await;
    let node = world.node("south.test");
    let other = world.peer("other.test", "south.test").await;
    let never = Cookie::from_bytes([7; 32]);
    assert_eq!(other.ask(&Frame::GiveUp(vec![given, never])).await, Ok(Frame::Done));
    assert!(
        matches!(poll(&hand, &[given]).await[..], [CookieAnswer::Pending { .. }]),
        "it was not the other's"
    );
    assert_eq!(node.store().held(None, None, 10).unwrap().len(), 1);

    assert_eq!(hand.ask(&Frame::GiveUp(vec![never, given])).await, Ok(Frame::Done));
    assert_eq!(poll(&hand, &[given]).await, [CookieAnswer::Final(Disposition::Withdrawn)]);
    assert_eq!(node.store().held(None, None, 10).unwrap(), []);
    let carol = Address::parse(CAROL).unwrap();
    let (code, _) = node.decide_held(None, identity, &carol, node::Choice::ACCEPT).await.unwrap_err();
    assert_eq!(code, Code::INVALID_ARGUMENTS);
    assert_eq!(node.store().mailbox("carol", None, 10).unwrap(), []);

    // What is final stays what it is.
    let message = letter("alice@hand.test", "Final");
    let outcome = hand.offer(&message, &[CAROL]).await.unwrap();
    let second = cookie(&outcome.dispositions[0]);
    assert_ne!(second, given, "each delivery has a cookie of its own");
    node.decide_held(None, message.identity(), &carol, node::Choice::ACCEPT).await.unwrap();
    assert_eq!(hand.ask(&Frame::GiveUp(vec![second])).await, Ok(Frame::Done));
    assert_eq!(poll(&hand, &[second]).await, [CookieAnswer::Final(Disposition::Accepted)]);
    assert_eq!(node.store().mailbox("carol", None, 10).unwrap().len(), 1);
}

/// Nobody asks within the time of this test: what settles is told along the chain as it happens.
///
/// proves: STA-9
#[tokio::test]
async fn what_settles_is_told_unasked_on_live_connections() {
    let north = Site::new("north.test").via("south.test", "hub.test").queue(SELDOM);
    let hub = Site::new("hub.test").relay("north.test", "south.test").queue(SELDOM);
    let south = Site::new("south.test").rule("hold-carol", CAROL, "hold all").queue(SELDOM);
    let world = World::started(&[north, hub, south]).await;
    let _carol = world.user(CAROL).await;
    let mut alice = world.user("alice@north.test").await;
    let identity = alice.send(&letter("alice@north.test", "Told"), &[CAROL]).await;
    let pending = |event: &Event| match event {
        Event::Settled { disposition: Disposition::Pending { .. }, .. } => Some(()),
        _ => None,
    };
    for domain in ["north.test", "hub.test"] {
        world.events(domain).find("waits for the next hop", pending).await;
    }
    let carol = Address::parse(CAROL).unwrap();
    world.node("south.test").decide_held(None, identity, &carol, node::Choice::REFUSE).await.unwrap();
    let settled = world.events("north.test").settled(identity, CAROL).await;
    let refused = matches!(settled, Disposition::Refused { code, .. } if code == Code::NOT_AUTHORIZED);
    assert!(refused, "{settled:?}");
}
