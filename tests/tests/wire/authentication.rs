//! Who a peer is, and who a user is.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use message::address::Address;
use message::{Code, Disposition, Selection};
use protocol::{Enrol, Failure, Frame, StatusQuery, SubmissionOptions};
use storage::AccountRecord;
use transport::{Alpn, AskError, Code as Closed, Error, HostKey, KeyKind};
use waxwing_tests::{Memory, Peer, Site, World, letter};

/// Whoever this is, the node closes the connection as with one who is not authenticated.
async fn check_not_authenticated(world: &World, identity: Option<HostKey>, what: &str) {
    let address = world.address("south.test");
    let expectation = world.expectation("south.test");
    let message = letter("alice@hand.test", what);
    let offer = waxwing_tests::peer::offer(&message, &[], &["bob@south.test"]);
    let supply = waxwing_tests::peer::supply(&message, &[]);
    // It may be closed before the settings have been read.
    let answer = match Peer::connect(identity, address, &expectation, Alpn::Exchange).await {
        Ok(peer) => peer.offer_as(offer, supply, &Memory::of(&message)).await,
        Err(error) => Err(AskError::Transport(error)),
    };
    match answer {
        Err(AskError::Transport(Error::ClosedByPeer { number, .. })) => {
            assert_eq!(Closed::from_number(number), Some(Closed::NotAuthenticated), "{what}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

/// proves: TRA-8, TRA-9
#[tokio::test]
async fn a_peer_is_who_its_key_is() {
    let mut world = World::new(&[
        Site::new("hand.test").named("friend.test"),
        Site::new("friend.test"),
        Site::new("stranger.test"),
        Site::new("south.test").relay("friend.test", "east.test").unpinned("stranger.test"),
        Site::new("east.test"),
    ])
    .await;
    world.start("south.test").await;
    let _bob = world.user("bob@south.test").await;
    let made = |names: &[&str]| Some(HostKey::generate(KeyKind::EcdsaP256, names).unwrap());
    check_not_authenticated(&world, None, "no certificate").await;
    check_not_authenticated(&world, made(&[]), "a certificate without names").await;
    check_not_authenticated(&world, made(&["nowhere.test"]), "a domain that is not there").await;
    check_not_authenticated(&world, made(&["friend.test"]), "the name of a pinned domain").await;
    check_not_authenticated(&world, made(&["south.test"]), "the name of the node itself").await;
    check_not_authenticated(&world, made(&["east.test", "friend.test", "hand.test"]), "many names").await;
    check_not_authenticated(&world, Some(world.host_key("stranger.test")), "a domain without pin or TLSA")
        .await;

    // A key that is known, in a certificate that claims another domain's name before its own.
    let hand = world.peer("hand.test", "south.test").await;
    let to = ["bob@south.test", "x@east.test"];
    let outcome = hand.offer(&letter("alice@hand.test", "as hand"), &to).await.unwrap();
    assert_eq!(outcome.dispositions[0], Disposition::Accepted);
    assert!(
        matches!(outcome.dispositions[1], Disposition::Refused { code, .. } if code == Code::NOT_AUTHORIZED)
    );
    let friend = world.peer("friend.test", "south.test").await;
    let outcome = friend.offer(&letter("alice@friend.test", "as friend"), &to).await.unwrap();
    assert!(matches!(outcome.dispositions[1], Disposition::Pending { .. }), "{outcome:?}");
}

/// proves: SUB-1
#[tokio::test]
async fn a_device_that_is_not_enrolled_can_only_enrol() {
    let world = World::started(&[Site::new("north.test")]).await;
    let mut alice = world.user("alice@north.test").await;
    let known = alice.send(&letter("alice@north.test", "Mine"), &["alice@north.test"]).await;
    let address = world.address("north.test");
    let expectation = world.expectation("north.test");
    let device = HostKey::from_ed25519_seed(&[9; 32], &[]).unwrap();
    let host = world.host_key("north.test");
    for (who, identity) in [("a device", Some(device)), ("nobody", None), ("the node's own key", Some(host))]
    {
        let peer = Peer::connect(identity, address, &expectation, Alpn::Submission).await.unwrap();
        let requests = [
            Frame::Status(StatusQuery::Latest { before: 0, limit: 10 }),
            Frame::Status(StatusQuery::Of(known)),
            Frame::Mailbox { after: 0, limit: 10 },
            Frame::Fetch { identity: known, selection: Selection::All },
            Frame::Poll(vec![message::Cookie::from_bytes([7; 32])]),
            Frame::GiveUp(vec![message::Cookie::from_bytes([7; 32])]),
        ];
        for request in requests {
            match peer.ask(&request).await {
                Err(AskError::Failed(Failure { code, .. })) => {
                    assert_eq!(code, Code::AUTHENTICATION_FAILED, "{who}: {request:?}");
                }
                other => panic!("{who}: {request:?}: {other:?}"),
            }
        }
        let message = letter("alice@north.test", who);
        let mut offer = waxwing_tests::peer::offer(&message, &[], &["alice@north.test"]);
        offer.submission = Some(SubmissionOptions::default());
        let supply = waxwing_tests::peer::supply(&message, &[]);
        match peer.offer_as(offer, supply, &Memory::of(&message)).await {
            Err(AskError::Failed(Failure { code, .. })) => {
                assert_eq!(code, Code::AUTHENTICATION_FAILED, "{who}")
            }
            other => panic!("{who}: {other:?}"),
        }
    }
    assert_eq!(alice.session.mailbox(0, 10).await.unwrap().len(), 1);
}

/// How often it is measured at the most.
const ROUNDS: u8 = 6;
/// Tries of each case in one measurement.
const TRIES: u8 = 20;

/// Twenty tries of each case, in turn. What is compared is the least processor time that this process, node and all, has
/// taken for one: what else runs on the machine does not count, and least of all where it came between.
///
/// proves: SUB-2, SUB-3
#[tokio::test]
async fn a_failed_enrolment_tells_nothing() {
    let world = World::started(&[Site::new("north.test")]).await;
    world
        .node("north.test")
        .put_account("model", &[Address::parse("model@north.test").unwrap()], Some("right".to_owned()))
        .await
        .unwrap();
    // Other tests may run in this process, where nothing gives each one of its own: not every time at that moment.
    let (mut measured, mut alike) = (Vec::new(), false);
    for round in 0..ROUNDS {
        let ratios = ratios(&world, round).await;
        alike = ratios.iter().all(|ratio| (0.8..1.25).contains(ratio));
        measured.push(ratios);
        if alike {
            break;
        }
    }
    assert!(alike, "unknown and closed against wrong: {measured:?}");
    // And so that this can fail: the right password of an open account is taken.
    let peer = device(&world, Ipv4Addr::LOCALHOST).await;
    assert_eq!(enrol(&peer, "model", "right").await.0, Ok(Frame::Done));
    assert_eq!(peer.ask(&Frame::Mailbox { after: 0, limit: 1 }).await, Ok(Frame::MailboxList(Vec::new())));
}

/// A device that is not enrolled yet, at an address of its own.
async fn device(world: &World, own: Ipv4Addr) -> Peer {
    let key = HostKey::from_ed25519_seed(&[9; 32], &[]).unwrap();
    let (address, expectation) = (world.address("north.test"), world.expectation("north.test"));
    Peer::connect_from(own, Some(key), address, &expectation, Alpn::Submission).await.unwrap()
}

/// Tries three cases in turn: a wrong password, an account that is not there, and one that is closed. Every answer is
/// the same; the least times of the second and the third against that of the first. Each turn has accounts and an
/// address of its own, for the node counts what fails.
async fn ratios(world: &World, round: u8) -> Vec<f64> {
    let store = world.node("north.test").store();
    let model = store.account("model").unwrap().unwrap();
    let (mut times, mut answers) = ([const { Vec::new() }; 3], Vec::new());
    for turn in 0..TRIES {
        let names = ["open", "none", "closed"].map(|name| format!("{name}-{round}-{turn}"));
        for name in [&names[0], &names[2]] {
            let addresses = vec![Address::parse(&format!("{name}@north.test")).unwrap()];
            let disabled = name.starts_with("closed");
            let account = AccountRecord {
                name: name.clone(),
                addresses,
                devices: Vec::new(),
                disabled,
                ..model.clone()
            };
            store.put_account(account).await.unwrap();
        }
        let peer = device(world, Ipv4Addr::new(127, 0, round + 1, turn + 1)).await;
        let passwords = ["wrong", "wrong", "right"];
        for ((name, password), times) in names.iter().zip(passwords).zip(&mut times) {
            let (answer, time) = enrol(&peer, name, password).await;
            answers.push(answer.unwrap_err());
            times.push(time);
        }
    }
    answers.dedup();
    let [AskError::Failed(Failure { code, .. })] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(*code, Code::AUTHENTICATION_FAILED);
    let [first, others @ ..] = times.map(|times| times.into_iter().min().unwrap_or_default());
    others.iter().map(|other| other.div_duration_f64(first)).collect()
}

/// proves: SUB-3
#[tokio::test]
async fn guessing_is_bounded_by_account_and_by_network() {
    const FAILURES: u8 = 10;
    let world = World::started(&[Site::new("north.test")]).await;
    for name in ["alice", "bob"] {
        let address = Address::parse(&format!("{name}@north.test")).unwrap();
        world.node("north.test").put_account(name, &[address], Some("right".to_owned())).await.unwrap();
    }
    let code = |answer: (Result<Frame, AskError>, Duration)| match answer.0 {
        Err(AskError::Failed(failure)) => failure.code,
        other => panic!("{other:?}"),
    };
    // One network, many accounts; that one of them exists makes no difference.
    let guesser = device(&world, Ipv4Addr::new(127, 0, 0, 2)).await;
    for number in 0..FAILURES {
        let name = if number == 0 { "bob".to_owned() } else { format!("guess-{number}") };
        assert_eq!(code(enrol(&guesser, &name, "wrong").await), Code::AUTHENTICATION_FAILED);
    }
    let barred = Code::new(4, 7, 0);
    assert_eq!(code(enrol(&guesser, "bob", "right").await), barred);
    assert_eq!(code(enrol(&guesser, "nobody", "wrong").await), barred);
    // One account, many networks; whether it exists makes no difference.
    for name in ["alice", "nobody"] {
        for number in 0..=FAILURES {
            let peer = device(&world, Ipv4Addr::new(127, 0, 1, number + 1)).await;
            let expected = if number < FAILURES { Code::AUTHENTICATION_FAILED } else { barred };
            assert_eq!(code(enrol(&peer, name, "wrong").await), expected, "{name} {number}");
        }
    }
    let elsewhere = device(&world, Ipv4Addr::new(127, 0, 0, 3)).await;
    assert_eq!(enrol(&elsewhere, "bob", "right").await.0, Ok(Frame::Done), "others are not in the way");
}

/// The answer, and the processor time that it took.
async fn enrol(peer: &Peer, account: &str, password: &str) -> (Result<Frame, AskError>, Duration) {
    let enrol = Enrol { account: account.into(), password: password.into(), device: "a test".into() };
    let since = processor_time();
    let answer = peer.ask(&Frame::Enrol(enrol)).await;
    (answer, processor_time() - since)
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap()
}

/// An account that was closed is closed at once, on connections that live too.
///
/// proves: SUB-4
#[tokio::test]
async fn a_closed_account_is_refused_at_once() {
    let world = World::started(&[Site::new("north.test")]).await;
    let mut alice = world.user("alice@north.test").await;
    assert!(alice.session.mailbox(0, 1).await.is_ok());
    let store = world.node("north.test").store();
    let mut account = store.account("alice").unwrap().unwrap();
    let devices = std::mem::take(&mut account.devices);
    store.put_account(account.clone()).await.unwrap();
    assert!(
        matches!(alice.session.mailbox(0, 1).await, Err(cli::Error::NotAuthorised { .. })),
        "removed device"
    );
    account.devices = devices;
    store.put_account(account.clone()).await.unwrap();
    assert!(alice.session.mailbox(0, 1).await.is_ok());
    account.disabled = true;
    store.put_account(account).await.unwrap();
    let refused = alice.submit(&letter("alice@north.test", "Too late"), &["alice@north.test"]).await;
    assert!(matches!(refused, Err(cli::Error::NotAuthorised { .. })), "{refused:?}");
}

/// A user lists and removes the devices of the account, this one too; another's cannot be named.
///
/// proves: SUB-4
#[tokio::test]
async fn a_user_removes_a_device_that_was_lost() {
    let world = World::started(&[Site::new("north.test")]).await;
    let mut alice = world.user("alice@north.test").await;
    let mut lost = world.user("alice@north.test").await;
    let mut bob = world.user("bob@north.test").await;
    let devices = alice.session.devices().await.unwrap();
    assert_eq!(devices, lost.session.devices().await.unwrap());
    assert_eq!(devices.len(), 2);
    let (own, other) = (devices[0].public_key, devices[1].public_key);
    let of_bob = bob.session.devices().await.unwrap().remove(0).public_key;

    for stranger in [of_bob, [7; 32]] {
        let refused = alice.session.remove_device(stranger).await;
        assert!(
            matches!(&refused, Err(cli::Error::Refused(failure)) if failure.code.class == 5),
            "{refused:?}"
        );
    }
    assert!(bob.session.mailbox(0, 1).await.is_ok());
    assert!(lost.session.mailbox(0, 1).await.is_ok());
    alice.session.remove_device(other).await.unwrap();
    assert!(
        matches!(lost.session.mailbox(0, 1).await, Err(cli::Error::NotAuthorised { .. })),
        "the lost one"
    );
    alice.session.remove_device(own).await.unwrap();
    assert!(matches!(alice.session.devices().await, Err(cli::Error::NotAuthorised { .. })), "this one");
}

/// An address that looks like somebody's is not given to somebody else; the names that a domain reserves may be given by
/// its operator.
///
/// proves: ADDR-12, ADDR-13
#[tokio::test]
async fn an_address_that_looks_like_anothers_is_not_given() {
    let world = World::started(&[Site::new("north.test")]).await;
    let node = world.node("north.test");
    let add = async |name: &str, address: &str| {
        let address = message::address::Address::parse(address).unwrap();
        node.put_account(name, std::slice::from_ref(&address), None).await.map_err(|(_, text)| text)
    };
    assert_eq!(add("alice", "alice@north.test").await, Ok(()));
    assert_eq!(add("alice", "alice@north.test").await, Ok(()), "its own");
    assert_eq!(add("office", "postmaster@north.test").await, Ok(()));
    // A digit one for the letter l, a Cyrillic letter among Latin ones, a reserved name in disguise.
    for address in ["a1ice@north.test", "\u{430}lice@north.test", "adrnin@north.test", "ALICE@north.test"] {
        assert!(add("eve", address).await.is_err(), "{address}");
    }
    assert_eq!(add("eve", "eve@north.test").await, Ok(()));
}

/// Who has not enrolled has proved nothing, whatever key it shows, and who has enrolled has: the connection stays.
///
/// proves: TRA-24
#[tokio::test]
async fn an_enrolled_device_has_proved_something() {
    let world = World::started(&[Site::new("north.test")]).await;
    let node = world.node("north.test");
    let alice = Address::parse("alice@north.test").unwrap();
    node.put_account("alice", &[alice], Some("right".to_owned())).await.unwrap();
    let session = |device| {
        let seen_at = Ipv4Addr::LOCALHOST.into();
        daemon::user_session(node.clone(), device, seen_at, Arc::default())
    };
    assert!(!session(None).has_proved());
    let device = session(Some([7; 32]));
    for (password, proved) in [("wrong", false), ("right", true)] {
        assert!(!device.has_proved());
        let enrol = Enrol { account: "alice".into(), password: password.into(), device: "a test".into() };
        device.ask(Frame::Enrol(enrol)).await;
        assert_eq!(device.has_proved(), proved, "{password}");
    }
    assert!(session(Some([7; 32])).has_proved() && !session(Some([8; 32])).has_proved());
}
