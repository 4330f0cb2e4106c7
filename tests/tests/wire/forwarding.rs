//! Forwarding by authorization between whole nodes: old.test forwards to south.test, and both speak HTTPS about it.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use control::{ForwardOrder, ForwardView, GrantView, Request, Response};
use message::address::Address;
use message::{Code, Disposition};
use node::Event;
use waxwing_tests::world::{free_address, until};
use waxwing_tests::{Site, World, letter};

use crate::delivery::until_written;

const ALICE: &str = "alice@north.test";
const ANN: &str = "ann@old.test";
const BOB: &str = "bob@south.test";
/// No rule but that of a new configuration: who is not known is held.
const STRANGERS: &str = "[policy]\nfirst-contact = \"hold text\"";

/// North writes, old forwards, south takes; `south` are lines of its section `[forwarding]`, `old` of old's.
async fn world(old: &str, south: &str) -> World {
    let (at_old, at_south) = (free_address(), free_address());
    let section = |listen, lines: &str| {
        format!(
            "[forwarding]\nlisten = \"{listen}\"\nroots = \"../roots.pem\"\n{lines}\n[forwarding.hosts]\n\
             \"old.test\" = \"{at_old}\"\n\"south.test\" = \"{at_south}\""
        )
    };
    let mut world = World::new(&[
        Site::new("north.test"),
        Site::new("old.test").lines(&section(at_old, old)),
        Site::new("south.test").lines(&section(at_south, south)).lines(STRANGERS),
    ])
    .await;
    let roots = ["old.test", "south.test"].map(|domain| world.host_key(domain).chain_pem()).concat();
    fs::write(world.folder().join("roots.pem"), roots).unwrap();
    for domain in ["north.test", "old.test", "south.test"] {
        world.start(domain).await;
    }
    world
}

async fn order(world: &World, domain: &str, order: ForwardOrder) -> Response {
    let mut client = control::Client::connect(&world.data(domain).join("control.sock")).await.unwrap();
    client.call(&Request::Forward { order }).await.unwrap()
}

fn add(target: &str, granted: bool) -> ForwardOrder {
    ForwardOrder::Add {
        alias: ANN.to_owned(),
        target: target.to_owned(),
        conceal: true,
        rewrite: false,
        granted,
        keep_sender: false,
    }
}

async fn forward(world: &World, what: ForwardOrder) -> ForwardView {
    match order(world, "old.test", what).await {
        Response::Forwards { forwards } => forwards.into_iter().next().unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn ask(world: &World) -> ForwardView {
    forward(world, ForwardOrder::Ask { alias: ANN.to_owned(), target: BOB.to_owned() }).await
}

async fn grants(world: &World) -> Vec<GrantView> {
    let what = ForwardOrder::Grants { account: Some("bob".to_owned()), after: None, limit: 10 };
    match order(world, "south.test", what).await {
        Response::Grants { grants } => grants,
        other => panic!("{other:?}"),
    }
}

async fn decide(world: &World, granted: bool) {
    let what = ForwardOrder::Decide {
        account: Some("bob".to_owned()),
        recipient: BOB.to_owned(),
        forwarder: "old.test".to_owned(),
        granted,
    };
    assert_eq!(order(world, "south.test", what).await, Response::Done);
}

/// proves: EXC-22, FWD-1, FWD-5, FWD-18, FWD-19
#[tokio::test]
async fn a_grant_makes_a_forwarded_message_more_than_first_contact() {
    let world = world("", "grant = \"everybody\"").await;
    let (mut alice, mut bob) = (world.user(ALICE).await, world.user(BOB).await);
    // Old believes that it may, and south knows nothing of it.
    assert_eq!(forward(&world, add(BOB, true)).await.state, "granted");
    let first = alice.send(&letter(ALICE, "By way of Ann"), &[ANN]).await;
    let pending = world.events("south.test").find("held", |event| match event {
        Event::Decided { identity, recipient, disposition, rule, .. }
            if *identity == first && recipient.to_string() == BOB =>
        {
            Some((disposition.clone(), rule.clone()))
        }
        _ => None,
    });
    let (disposition, rule) = pending.await;
    assert!(matches!(disposition, Disposition::Pending { .. }), "{disposition:?}");
    assert_eq!(rule, "first-contact");

    let granted = ask(&world).await;
    let [grant] = grants(&world).await.try_into().unwrap();
    assert_eq!((&*grant.state, grant.automatic, &*grant.forwarder), ("granted", true, "old.test"));
    assert_eq!(
        (granted.state, granted.authorization),
        ("granted".to_owned(), Some(grant.number.to_string()))
    );
    let second = alice.send(&letter(ALICE, "And again"), &[ANN]).await;
    // What became of it comes back under the address that Alice has written to.
    assert_eq!(world.events("north.test").settled(second, ANN).await, Disposition::Accepted);
    let [entry] = bob.session.mailbox(0, 10).await.unwrap().try_into().unwrap();
    assert_eq!((entry.identity, entry.recipient.to_string()), (second, BOB.to_owned()));
    let message = world.node("south.test").store().message(second).unwrap().unwrap();
    let claims = message.seals.iter().map(|seal| seal.claims()).find(|claims| claims.issuer == "old.test");
    let claims = claims.unwrap();
    assert_eq!(claims.recipient.as_deref(), Some(BOB));
    assert_eq!(claims.authorization, Some(grant.number.to_string()));
}

/// proves: FWD-4, FWD-7, FWD-16
#[tokio::test]
async fn mail_waits_for_the_grant_and_is_refused_after_its_end() {
    let world = world("", "").await;
    let (mut alice, mut bob) = (world.user(ALICE).await, world.user(BOB).await);
    assert_eq!(forward(&world, add(BOB, false)).await.state, "waiting");
    let first = alice.send(&letter(ALICE, "Wait for me"), &[ANN]).await;
    let old = world.node("old.test");
    let waits = || old.store().legs(None, None, 10).unwrap().iter().any(|leg| leg.last_error.is_some());
    assert!(until(waits).await, "it does not wait in the queue");
    assert!(
        world.node("south.test").store().envelopes_for(first, 1).unwrap().is_empty(),
        "nothing was offered"
    );
    decide(&world, true).await;
    assert_eq!(ask(&world).await.state, "granted");
    assert_eq!(world.events("north.test").settled(first, ANN).await, Disposition::Accepted);
    assert_eq!(bob.session.mailbox(0, 10).await.unwrap().len(), 1);
    // Bob takes it back: old is told with his credential.
    decide(&world, false).await;
    let list = || ForwardOrder::List { after: None, limit: 10 };
    while forward(&world, list()).await.state != "deleted" {
        tokio::task::yield_now().await;
    }
    let second = alice.send(&letter(ALICE, "Too late"), &[ANN]).await;
    let refused = world.events("north.test").settled(second, ANN).await;
    let Disposition::Refused { code, text } = refused else { panic!("{refused:?}") };
    assert_eq!(code, Code::new(5, 1, 6));
    assert!(!text.contains("south"), "{text}");
}

/// proves: FWD-4
#[tokio::test]
async fn mail_is_put_off_where_the_operator_says_so() {
    let world = world("while-waiting = \"put-off\"", "").await;
    let (mut alice, _bob) = (world.user(ALICE).await, world.user(BOB).await);
    assert_eq!(forward(&world, add(BOB, false)).await.state, "waiting");
    let identity = alice.send(&letter(ALICE, "Come again"), &[ANN]).await;
    let deferred = world.events("old.test").find("put off", |event| match event {
        Event::Decided { identity: of, disposition, .. } if *of == identity => Some(disposition.clone()),
        _ => None,
    });
    let Disposition::Deferred { code, .. } = deferred.await else { panic!("not deferred") };
    assert_eq!(code, Code::new(4, 7, 1));
    assert!(world.node("old.test").store().legs(None, None, 10).unwrap().is_empty());
}

/// A list: one target here, one elsewhere, one that nobody has.
///
/// proves: FWD-5, FWD-6, FWD-8
#[tokio::test]
async fn a_list_serves_each_target_for_itself() {
    let world = world("", "grant = \"everybody\"\ntrusted = [\"old.test\"]").await;
    let (mut alice, mut carol) = (world.user(ALICE).await, world.user("carol@old.test").await);
    let mut bob = world.user(BOB).await;
    for target in [BOB, "carol@old.test"] {
        assert_eq!(forward(&world, add(target, false)).await.state, "granted", "{target}");
    }
    assert_eq!(forward(&world, add("nobody@south.test", true)).await.state, "granted");
    let identity = alice.send(&letter(ALICE, "To all of you"), &[ANN]).await;
    assert_eq!(world.events("north.test").settled(identity, ANN).await, Disposition::Accepted);
    world.events("south.test").delivered(identity, BOB).await;
    for user in [&mut bob, &mut carol] {
        assert_eq!(user.session.mailbox(0, 10).await.unwrap().len(), 1, "{}", user.account);
    }
    // Who follows the mailboxes hears of those to whom a list leads, too.
    let maildir = world.data("old.test").join("maildir").join("carol");
    assert_eq!(until_written(&maildir, 1).await.len(), 1);
    let message = world.node("south.test").store().message(identity).unwrap().unwrap();
    assert!(
        message.seals.iter().all(|seal| seal.claims().recipient.is_none()),
        "who is on a list is told nobody"
    );
    // Alone and concealed: the code comes back, and nothing else of where it went.
    for target in [BOB, "carol@old.test"] {
        let what = ForwardOrder::Remove { alias: ANN.to_owned(), target: target.to_owned(), forget: true };
        assert_eq!(order(&world, "old.test", what).await, Response::Done);
    }
    let identity = alice.send(&letter(ALICE, "Nobody there"), &[ANN]).await;
    let refused = world.events("north.test").settled(identity, ANN).await;
    let Disposition::Refused { code, text } = refused else { panic!("{refused:?}") };
    assert_eq!(code, Code::NO_SUCH_ADDRESS);
    assert!(text.contains(ANN) && !text.contains("south") && !text.contains("nobody"), "{text}");
}

/// proves: FWD-22
#[tokio::test]
async fn what_is_blocked_is_reported_to_the_forwarder() {
    let world = world("", "grant = \"everybody\"\ncomplain = true").await;
    let (mut alice, _bob) = (world.user(ALICE).await, world.user(BOB).await);
    let mut node = control::Client::connect(&world.data("south.test").join("control.sock")).await.unwrap();
    // It came before the grant, so that it is held.
    forward(&world, add(BOB, true)).await;
    let identity = alice.send(&letter(ALICE, "Gold for you"), &[ANN]).await;
    let south = world.node("south.test");
    assert!(until(|| !south.store().held_for(identity, 1).unwrap().is_empty()).await, "it is not held");
    assert_eq!(ask(&world).await.complaints, 0);
    let block = Request::HeldDecide {
        identity: identity.to_string(),
        recipient: None,
        decision: control::HeldDecision::Block,
        account: None,
    };
    assert!(matches!(node.call(&block).await.unwrap(), Response::HeldDecided { .. }));
    let list = || ForwardOrder::List { after: None, limit: 10 };
    while forward(&world, list()).await.complaints != 1 {
        tokio::task::yield_now().await;
    }
}

/// A letter of the old world comes to an alias, and goes on natively.
///
/// proves: FWD-4, FWD-7, FWD-23
#[tokio::test]
async fn mail_of_the_old_world_is_forwarded_under_a_grant() {
    let world = world("", "grant = \"everybody\"").await;
    let mut bob = world.user(BOB).await;
    let (old, client) = (world.node("old.test"), IpAddr::from([192, 0, 2, 1]));
    let (ann, carl) = (Address::parse(ANN).unwrap(), "carl@legacy.test");
    let take = async |subject: &str| {
        let eml = format!(
            "From: {carl}\r\nMessage-ID: <{subject}@legacy.test>\r\nSubject: {subject}\r\n\r\nhi\r\n"
        );
        let message =
            translate::import(eml.as_bytes(), &translate::ImportOptions::default()).unwrap().message;
        let offer = node::LegacyOffer {
            client,
            return_path: Some(Address::parse(carl).unwrap()),
            verified: true,
            author: None,
            checks: vec![("spf".to_owned(), "pass".to_owned())],
            received: String::new(),
            authentication_results: String::new(),
            recipients: vec![ann.clone()],
            passage: storage::Passage::default(),
        };
        let answers = old.take_legacy(offer, &message).await.unwrap();
        assert!(answers[0].kept && answers[0].custody, "{answers:?}");
        message.manifest().identity()
    };
    // Nothing is granted, and nobody has sealed it for its author.
    forward(&world, add(BOB, true)).await;
    assert_eq!(old.legacy_recipient(client, &ann), Ok(()));
    let first = take("first").await;
    let refused = world.events("old.test").settled(first, ANN).await;
    assert!(
        matches!(refused, Disposition::Refused { code, .. } if code == Code::NOT_AUTHORIZED),
        "{refused:?}"
    );
    assert_eq!(ask(&world).await.state, "granted");
    let second = take("second").await;
    assert_eq!(world.events("old.test").settled(second, ANN).await, Disposition::Accepted);
    let [entry] = bob.session.mailbox(0, 10).await.unwrap().try_into().unwrap();
    assert_eq!(entry.identity, second);
    let what = ForwardOrder::Remove { alias: ANN.to_owned(), target: BOB.to_owned(), forget: false };
    assert_eq!(order(&world, "old.test", what).await, Response::Done);
    let (code, _) = old.legacy_recipient(client, &ann).unwrap_err();
    assert_eq!(code, Code::new(5, 1, 6));
}

/// A letter of the old world for Bob comes to south: which it is, and what is answered.
async fn take_for_bob(
    south: &node::Node,
    subject: &str,
    (from, return_path, verified): (&str, &str, bool),
) -> (message::Identity, Disposition) {
    let eml = format!("From: {from}\r\nMessage-ID: <{subject}@x.test>\r\nSubject: {subject}\r\n\r\nhi\r\n");
    let message = translate::import(eml.as_bytes(), &translate::ImportOptions::default()).unwrap().message;
    let offer = node::LegacyOffer {
        client: IpAddr::from([192, 0, 2, 1]),
        return_path: Some(Address::parse(return_path).unwrap()),
        verified,
        author: None,
        checks: Vec::new(),
        received: String::new(),
        authentication_results: String::new(),
        recipients: vec![Address::parse(BOB).unwrap()],
        passage: storage::Passage::default(),
    };
    let answer = south.take_legacy(offer, &message).await.unwrap().remove(0).disposition;
    (message.manifest().identity(), answer)
}

/// Over SMTP a forwarder is known by the return path that it has proved, and by nothing that stands in the message.
///
/// proves: FWD-18
#[tokio::test]
async fn a_grant_counts_over_smtp_too() {
    let world = world("", "grant = \"everybody\"").await;
    let _bob = world.user(BOB).await;
    let south = world.node("south.test");
    let take = async |subject: &str, from: &str, return_path: &str, verified: bool| {
        take_for_bob(south, subject, (from, return_path, verified)).await.1
    };
    let held = |disposition: Disposition| matches!(disposition, Disposition::Pending { .. });
    let (carl, tagged) = ("carl@legacy.test", "tag@old.test");
    assert!(held(take("before", carl, tagged, true).await));
    forward(&world, add(BOB, false)).await;
    assert_eq!(take("after", carl, tagged, true).await, Disposition::Accepted);
    // Not proved; of another domain; and what a user of the forwarder writes, which is no forwarding.
    assert!(held(take("forged", carl, tagged, false).await));
    assert!(held(take("other", carl, "tag@older.test", true).await));
    assert!(held(take("own", "eve@old.test", tagged, true).await));
}

/// What was delivered is reported by its reader, natively and over SMTP, and what was held over SMTP is blocked: each time the
/// forwarder is told, once, and nobody else.
///
/// proves: FWD-22, FWD-40, REP-8
#[tokio::test]
async fn what_is_reported_from_the_mailbox_is_told_to_the_forwarder() {
    let world = world("", "grant = \"everybody\"\ncomplain = true").await;
    let (mut alice, mut bob) = (world.user(ALICE).await, world.user(BOB).await);
    let south = world.node("south.test");
    let (carl, tagged) = ("carl@legacy.test", "tag@old.test");
    let (held, answer) = take_for_bob(south, "held", (carl, tagged, true)).await;
    assert!(matches!(answer, Disposition::Pending { .. }), "{answer:?}");
    forward(&world, add(BOB, false)).await;
    let sent = alice.send(&letter(ALICE, "Gold for you"), &[ANN]).await;
    assert_eq!(world.events("north.test").settled(sent, ANN).await, Disposition::Accepted);
    let (_, answer) = take_for_bob(south, "more-gold", (carl, tagged, true)).await;
    assert_eq!(answer, Disposition::Accepted);
    bob.send(&letter(BOB, "To myself"), &[BOB]).await;

    let mut node = control::Client::connect(&world.data("south.test").join("control.sock")).await.unwrap();
    let told = async |count: u64| {
        let list = || ForwardOrder::List { after: None, limit: 10 };
        let waiting = async {
            while forward(&world, list()).await.complaints != count {
                tokio::task::yield_now().await;
            }
        };
        let heard = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        assert!(heard.is_ok(), "{count}: {:?}", forward(&world, list()).await);
    };
    let report = |number| Request::MailReport { account: "bob".to_owned(), number };
    let numbers: Vec<u64> =
        south.store().mailbox("bob", None, 9).unwrap().iter().map(|entry| entry.uid.0).collect();
    assert_eq!(numbers.len(), 3);
    assert_eq!(node.call(&report(numbers[0])).await.unwrap(), Response::Done);
    told(1).await;
    let remembered =
        south.remembered(&message::address::Domain::parse("old.test").unwrap()).unwrap().unwrap();
    assert_eq!(remembered.complaints, 1_000, "one, in thousandths");
    assert_eq!(node.call(&report(numbers[1])).await.unwrap(), Response::Done);
    told(2).await;
    let block = Request::HeldDecide {
        identity: held.to_string(),
        recipient: None,
        decision: control::HeldDecision::Block,
        account: None,
    };
    assert!(matches!(node.call(&block).await.unwrap(), Response::HeldDecided { .. }));
    told(3).await;
    // Twice is once; what is not there, somebody else's and one's own is nothing.
    for (account, number) in [("bob", numbers[0]), ("bob", 99), ("eve", numbers[1]), ("bob", numbers[2])] {
        let request = Request::MailReport { account: account.to_owned(), number };
        let answer = node.call(&request).await.unwrap();
        assert!(matches!(answer, Response::Failure(_)), "{account} {number}: {answer:?}");
    }
    // A day has an end of them.
    for number in 0..50 {
        take_for_bob(south, &format!("spam-{number}"), ("dora@legacy.test", tagged, true)).await;
    }
    let more: Vec<u64> =
        south.store().mailbox("bob", None, 99).unwrap().iter().skip(3).map(|entry| entry.uid.0).collect();
    let mut taken = 0;
    for number in &more {
        taken += usize::from(node.call(&report(*number)).await.unwrap() == Response::Done);
    }
    assert_eq!((more.len(), taken), (50, 48), "two were reported before");
}
