//! Aliases that lead to aliases, on one node and beyond it; and the grant for a forwarder that keeps the sender.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use control::{ForwardOrder, Request, Response};
use message::address::{Address, Domain};
use message::{Code, Disposition};
use node::LegacyOffer;
use storage::{ForwardRecord, ForwardState, Passage};
use waxwing_tests::world::until;
use waxwing_tests::{Site, User, World, letter};

const ALICE: &str = "alice@north.test";

async fn order(world: &World, order: ForwardOrder) -> Response {
    let mut client = control::Client::connect(&world.data("one.test").join("control.sock")).await.unwrap();
    client.call(&Request::Forward { order }).await.unwrap()
}

async fn add(world: &World, alias: &str, target: &str, conceal: bool) -> Response {
    let (alias, target) = (alias.to_owned(), target.to_owned());
    let add = ForwardOrder::Add { alias, target, conceal, rewrite: false, granted: true, keep_sender: false };
    order(world, add).await
}

async fn remove(world: &World, alias: &str, target: &str) {
    let (alias, target) = (alias.to_owned(), target.to_owned());
    let removed = order(world, ForwardOrder::Remove { alias, target, forget: false }).await;
    assert_eq!(removed, Response::Done);
}

async fn world() -> World {
    let sites = ["north.test", "one.test", "two.test"]
        .map(|domain| Site::new(domain).lines("[policy]\nfirst-contact = \"accept\""));
    World::started(&sites).await
}

/// What becomes of a letter that is another one each time.
async fn settled(world: &World, alice: &mut User, to: &str) -> Disposition {
    static SENT: AtomicU32 = AtomicU32::new(0);
    let text = format!("By aliases, number {}\r\n", SENT.fetch_add(1, Ordering::Relaxed));
    let sent = alice.send(&letter(ALICE, &text), &[to]).await;
    world.events("north.test").settled(sent, to).await
}

/// proves: FWD-7, FWD-26
#[tokio::test]
async fn an_alias_leads_through_others_and_ends_with_any_of_them() {
    let world = world().await;
    let (mut alice, bob, zoe) =
        (world.user(ALICE).await, world.user("bob@one.test").await, world.user("zoe@two.test").await);
    // What leads to nobody cannot be made.
    assert!(matches!(add(&world, "a@one.test", "b@one.test", false).await, Response::Failure(_)));
    for (alias, target) in [
        ("c@one.test", "bob@one.test"),
        ("b@one.test", "c@one.test"),
        ("a@one.test", "b@one.test"),
        ("z@one.test", "zoe@two.test"),
        ("y@one.test", "z@one.test"),
    ] {
        assert!(matches!(
            add(&world, alias, target, alias.starts_with('y')).await,
            Response::Forwards { .. }
        ));
    }
    assert_eq!(settled(&world, &mut alice, "a@one.test").await, Disposition::Accepted);
    assert_eq!(settled(&world, &mut alice, "y@one.test").await, Disposition::Accepted);
    let count = |user: &User| {
        let store = world.node(user.address.domain().as_str()).store().clone();
        store.mailbox(&user.account, None, 9).unwrap().len()
    };
    assert!(until(|| (count(&bob), count(&zoe)) == (1, 1)).await);
    // One of them conceals it: what is said there is not passed back.
    assert!(matches!(add(&world, "z@one.test", "nobody@two.test", false).await, Response::Forwards { .. }));
    remove(&world, "z@one.test", "zoe@two.test").await;
    let order = |target: &str, forget| ForwardOrder::Remove {
        alias: "z@one.test".to_owned(),
        target: target.to_owned(),
        forget,
    };
    assert_eq!(self::order(&world, order("zoe@two.test", true)).await, Response::Done);
    let Disposition::Refused { code, text } = settled(&world, &mut alice, "y@one.test").await else {
        panic!("nobody has that address")
    };
    assert_eq!(code, Code::NO_SUCH_ADDRESS);
    assert!(text.contains("y@one.test") && !text.contains("two.test"), "{text}");
    // The end of one in the middle ends all before it.
    remove(&world, "b@one.test", "c@one.test").await;
    let ended = settled(&world, &mut alice, "a@one.test").await;
    assert!(matches!(ended, Disposition::Refused { code, .. } if code == Code::new(5, 1, 6)), "{ended:?}");
}

/// proves: FWD-26
#[tokio::test]
async fn aliases_that_lead_back_or_too_far_are_refused() {
    let world = world().await;
    let (mut alice, bob) = (world.user(ALICE).await, world.user("bob@one.test").await);
    assert!(matches!(add(&world, "l0@one.test", "bob@one.test", false).await, Response::Forwards { .. }));
    for number in 1..=10 {
        let (alias, target) = (format!("l{number}@one.test"), format!("l{}@one.test", number - 1));
        assert!(matches!(add(&world, &alias, &target, false).await, Response::Forwards { .. }), "{alias}");
    }
    assert_eq!(settled(&world, &mut alice, "l10@one.test").await, Disposition::Accepted);
    assert!(matches!(add(&world, "l11@one.test", "l10@one.test", false).await, Response::Failure(_)));
    // Back to the beginning, over one step and over many, also as a second target.
    for (alias, target) in [("l0@one.test", "l0@one.test"), ("l0@one.test", "l7@one.test")] {
        assert!(matches!(add(&world, alias, target, false).await, Response::Failure(_)), "{alias}");
    }
    // What stands in the records all the same, as by two who write at once, goes round for nobody.
    let store = world.node("one.test").store().clone();
    let record = |alias: &str, target: &str, secret| ForwardRecord {
        alias: Address::parse(alias).unwrap(),
        target: Address::parse(target).unwrap(),
        ask: [secret; 32],
        credential: [secret + 1; 32],
        state: ForwardState::Granted,
        ..store.forwards(None, 1).unwrap().remove(0)
    };
    store.put_forward(record("m@one.test", "n@one.test", 100)).await.unwrap();
    store.put_forward(record("n@one.test", "m@one.test", 102)).await.unwrap();
    let refused = settled(&world, &mut alice, "m@one.test").await;
    assert!(matches!(refused, Disposition::Refused { code, .. } if code == Code::LOOP), "{refused:?}");
    // Of a list the member that goes round is left out, and who is reached by two ways has it once.
    for (place, target) in ["m@one.test", "bob@one.test", "l0@one.test"].iter().enumerate() {
        store.put_forward(record("list@one.test", target, 110 + 2 * place as u8)).await.unwrap();
    }
    let before = store.mailbox(&bob.account, None, 9).unwrap().len();
    assert_eq!(settled(&world, &mut alice, "list@one.test").await, Disposition::Accepted);
    assert!(until(|| store.mailbox(&bob.account, None, 9).unwrap().len() > before).await);
    assert_eq!(store.mailbox(&bob.account, None, 9).unwrap().len(), before + 1);
}

/// Whoever writes to a list and then offers the same message to those who may be on it is answered as if they were not.
///
/// proves: FWD-6, POL-15
#[tokio::test]
async fn who_is_on_a_list_is_not_found_out_by_another_offer() {
    let one = Site::new("one.test").rule("hold-bob", "bob@one.test", "hold all").rule(
        "hold-list",
        "list@one.test",
        "hold all",
    );
    let mut world = World::new(&[Site::new("hand.test"), one, Site::new("two.test")]).await;
    world.start("one.test").await;
    world.start("two.test").await;
    let (bob, zoe) = (world.user("bob@one.test").await, world.user("zoe@two.test").await);
    for target in ["bob@one.test", "zoe@two.test"] {
        assert!(matches!(add(&world, "list@one.test", target, true).await, Response::Forwards { .. }));
    }
    let hand = world.peer("hand.test", "one.test").await;
    let message = letter("alice@hand.test", "Who is on it?");
    let offer = async |to: &str| hand.offer(&message, &[to]).await.unwrap().dispositions.remove(0);
    let count = |user: &User| {
        let store = world.node(user.address.domain().as_str()).store().clone();
        store.mailbox(&user.account, None, 9).unwrap().len()
    };
    // Nobody could decide for the list, and so it goes on.
    assert_eq!(offer("list@one.test").await, Disposition::Accepted);
    assert!(until(|| (count(&bob), count(&zoe)) == (1, 1)).await);
    for guess in ["zoe@two.test", "nobody@two.test"] {
        let told = offer(guess).await;
        assert!(matches!(told, Disposition::Refused { code, .. } if code == Code::NOT_AUTHORIZED), "{guess}");
    }
    let told = offer("bob@one.test").await;
    assert!(matches!(told, Disposition::Pending { .. }), "{told:?}");
    assert_eq!(offer("list@one.test").await, Disposition::Accepted);
    assert!(world.node("one.test").store().legs(None, None, 9).unwrap().is_empty());
    assert_eq!((count(&bob), count(&zoe)), (1, 1));
}

/// Where the sender was kept, the forwarder is known by its host's name; that counts for what it forwards only.
///
/// proves: FWD-18, FWD-25
#[tokio::test]
async fn a_grant_counts_for_a_forwarder_that_keeps_the_sender() {
    let north = Site::new("north.test").lines("[policy]\nfirst-contact = \"hold all\"");
    let world = World::started(&[north]).await;
    world.user("bob@north.test").await;
    let node = world.node("north.test");
    let take = async |subject: &str, from: &str, path: Option<&str>, forwarder: Option<&str>| {
        let eml =
            format!("From: {from}\r\nMessage-ID: <{subject}@x.test>\r\nSubject: {subject}\r\n\r\nhi\r\n");
        let message =
            translate::import(eml.as_bytes(), &translate::ImportOptions::default()).unwrap().message;
        let offer = LegacyOffer {
            client: IpAddr::from([192, 0, 2, 1]),
            return_path: path.map(|path| Address::parse(path).unwrap()),
            verified: true,
            author: None,
            checks: Vec::new(),
            received: String::new(),
            authentication_results: String::new(),
            recipients: vec![Address::parse("bob@north.test").unwrap()],
            passage: Passage {
                forwarder: forwarder.map(|name| Domain::parse(name).unwrap()),
                ..Passage::default()
            },
        };
        node.take_legacy(offer, &message).await.unwrap().remove(0).disposition
    };
    let held = |disposition: Disposition| matches!(disposition, Disposition::Pending { .. });
    let (carl, host) = ("carl@legacy.test", Some("mx.old.test"));
    assert!(held(take("before", carl, Some(carl), host).await));
    let decide = ForwardOrder::Decide {
        account: Some("bob".to_owned()),
        recipient: "bob@north.test".to_owned(),
        forwarder: "old.test".to_owned(),
        granted: true,
    };
    let mut client = control::Client::connect(&world.data("north.test").join("control.sock")).await.unwrap();
    assert_eq!(client.call(&Request::Forward { order: decide }).await.unwrap(), Response::Done);
    assert_eq!(take("after", carl, Some(carl), host).await, Disposition::Accepted);
    assert_eq!(take("null", carl, None, host).await, Disposition::Accepted);
    // Not known as a forwarder; a name that only looks alike; and what its own users write, by either address.
    assert!(held(take("nobody", carl, Some(carl), None).await));
    assert!(held(take("alike", carl, Some(carl), Some("mx.bold.test")).await));
    assert!(held(take("below", carl, Some(carl), Some("old.test.evil.test")).await));
    assert!(held(take("own", "eve@old.test", Some("eve@old.test"), host).await));
    assert!(held(take("own-author", "eve@old.test", Some(carl), host).await));
}
