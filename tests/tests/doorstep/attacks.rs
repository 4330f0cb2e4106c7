//! Who tries to have mail redirected, delivered or reported that is not theirs.

use message::{Code, Disposition, Identity};
use protocol::{Frame, Taken, Way};
use transport::{Alpn, AskError, Expectation, HostKey, ed25519_key_digest};
use waxwing_tests::world::random;
use waxwing_tests::{Memory, Peer, Porch, Site, User, World, letter};

use crate::delivery::mailbox;
use crate::fallbacks::{offer_at_door, redirect_by_hand, stranger};

async fn one_world() -> (World, User) {
    let world = World::started(&[Site::new("north.test"), Site::new("south.test")]).await;
    let carol = world.user("carol@south.test").await;
    (world, carol)
}

/// A program of a user that asks its node by hand.
async fn program(world: &World, device: &message::SecretKey) -> Peer {
    let key = HostKey::from_ed25519_seed(&device.seed(), &[]).unwrap();
    let (at, node) = (world.address("south.test"), world.expectation("south.test"));
    Peer::connect(Some(key), at, &node, Alpn::Submission).await.unwrap()
}

fn refused(answer: Result<Frame, AskError>) -> Code {
    match answer {
        Err(AskError::Failed(failure)) => failure.code,
        other => panic!("not refused: {other:?}"),
    }
}

/// A device that is not enrolled registers nothing; a port of the system is not taken; an account has four.
///
/// proves: DOOR-3, DOOR-4
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_for_enrolled_devices_at_ports_that_are_allowed_and_few() {
    let (world, carol) = one_world().await;
    let unknown = message::SecretKey::from_seed(&[1; 32]);
    let answer = program(&world, &unknown).await.ask(&Frame::Doorstep { port: 7_626 }).await;
    assert_eq!(refused(answer), Code::AUTHENTICATION_FAILED);
    let known = program(&world, &carol.device).await;
    for port in [0, 25, 53, 80, 442, 1_023] {
        assert_eq!(refused(known.ask(&Frame::Doorstep { port }).await), Code::NOT_AUTHORIZED, "{port}");
    }
    let mut programs = Vec::new();
    for number in 0..5 {
        let mut seed = [0; 32];
        random(&mut seed);
        let device = message::SecretKey::from_seed(&seed);
        let record = storage::DeviceRecord {
            public_key: *device.public().as_bytes(),
            name: format!("device {number}"),
            enrolled_at_ms: 0,
        };
        world.node("south.test").store().put_device("carol", record).await.unwrap();
        let program = program(&world, &device).await;
        let answer = program.ask(&Frame::Doorstep { port: 7_626 }).await;
        match number {
            4 => assert_eq!(refused(answer), Code::SYSTEM_TROUBLE),
            _ => assert!(matches!(answer, Ok(Frame::DoorstepLease(lease)) if lease.address == "127.0.0.1")),
        }
        programs.push(program);
    }
    // Renewed as often as one likes.
    for _ in 0..100 {
        assert!(programs[0].ask(&Frame::Doorstep { port: 7_627 }).await.is_ok());
    }
}

/// Another account's lease and its end are no matter of Carol's; and a device that was removed gets nothing any more.
///
/// proves: DOOR-3, DOOR-4
#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_over_or_ends_the_lease_of_another_account() {
    let (world, carol) = one_world().await;
    let mallory = world.user("mallory@south.test").await;
    let porch = world.open_porch(&carol).await;
    let other = program(&world, &mallory.device).await;
    assert!(other.ask(&Frame::Doorstep { port: 7_626 }).await.is_ok());
    assert_eq!(other.ask(&Frame::DoorstepEnd).await, Ok(Frame::Done));
    let message = letter("alice@north.test", "Still to Carol.");
    let redirect = redirect_by_hand(&world, &message).await;
    assert_eq!(redirect.key_digest, ed25519_key_digest(porch.device.public().as_bytes()));
    assert_eq!((redirect.address.as_str(), redirect.port), ("127.0.0.1", porch.listen.port()));

    let key = *carol.device.public().as_bytes();
    world.node("south.test").remove_device("carol", &key).await.unwrap();
    let peer = world.peer("north.test", "south.test").await;
    let outcome = peer.offer(&message, &["carol@south.test"]).await.unwrap();
    assert_eq!(outcome.dispositions, [Disposition::Accepted], "the node takes it itself");
}

/// A ticket is for one delivery at one doorstep by one sender; whoever has seen it has nothing.
///
/// proves: DOOR-6, DOOR-7, DOOR-10
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_of_no_use_to_others_or_for_others() {
    let (world, carol) = one_world().await;
    let porch = world.open_porch(&carol).await;
    let dan = world.user("dan@south.test").await;
    let other = world.open_porch(&dan).await;
    let message = letter("alice@north.test", "A ticket.");
    let ticket = redirect_by_hand(&world, &message).await.ticket;

    assert_eq!(offer_at_door(&world, &other, &message, &ticket).await, Err(Code::NOT_AUTHORIZED));
    let another = letter("alice@north.test", "Another message.");
    assert_eq!(offer_at_door(&world, &porch, &another, &ticket).await, Err(Code::NOT_AUTHORIZED));
    assert_eq!(offer_at_door(&world, &porch, &message, &[]).await, Err(Code::NOT_AUTHORIZED));
    // A thief who has the ticket, and a certificate in the name of the sender with another key.
    let thief = at_door(&porch, Some((*stranger()).clone())).await;
    let mut offer = waxwing_tests::peer::offer(&message, &[], &["carol@south.test"]);
    offer.way = Way::Ticket(ticket.clone());
    let supply = waxwing_tests::peer::supply(&message, &[]);
    let answer = thief.offer_as(offer, supply, &Memory::of(&message)).await;
    assert!(matches!(answer, Err(AskError::Failed(failure)) if failure.code == Code::NOT_AUTHORIZED));
    assert!(porch.mail().is_empty() && other.mail().is_empty());

    // Its own sender has it taken, and when it asks again has the same answer.
    for _ in 0..2 {
        assert_eq!(offer_at_door(&world, &porch, &message, &ticket).await, Ok(vec![Disposition::Accepted]));
    }
    assert_eq!(porch.mail(), [message.identity()]);
}

async fn at_door(porch: &Porch, own: Option<HostKey>) -> Peer {
    let digests = vec![ed25519_key_digest(porch.device.public().as_bytes())];
    Peer::connect(own, porch.listen, &Expectation::Pinned { digests }, Alpn::Doorstep).await.unwrap()
}

/// At a doorstep nothing is asked, and nothing offered without a ticket or for two; elsewhere tickets are nothing.
///
/// proves: DOOR-1
#[tokio::test(flavor = "multi_thread")]
async fn each_protocol_takes_its_own_offers() {
    let (world, carol) = one_world().await;
    let porch = world.open_porch(&carol).await;
    let message = letter("alice@north.test", "In the wrong place.");
    let door = at_door(&porch, Some(world.host_key("north.test"))).await;
    let node = world.peer("north.test", "south.test").await;
    let check = async |what: &str, peer: &Peer, to: &[&str], way: Way| {
        let mut offer = waxwing_tests::peer::offer(&message, &[], to);
        offer.way = way;
        let supply = waxwing_tests::peer::supply(&message, &[]);
        match peer.offer_as(offer, supply, &Memory::of(&message)).await {
            Err(AskError::Failed(failure)) => assert_eq!(failure.code, Code::INVALID_COMMAND, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    };
    let ticket = redirect_by_hand(&world, &sealed_letter()).await.ticket;
    let carol_alone = &["carol@south.test"][..];
    check("no ticket", &door, carol_alone, Way::Plain).await;
    check("after a redirect", &door, carol_alone, Way::RedirectFailed).await;
    let two = &["carol@south.test", "dan@south.test"];
    check("for two", &door, two, Way::Ticket(ticket.clone())).await;
    check("a ticket at the node", &node, carol_alone, Way::Ticket(ticket)).await;
    for request in [Frame::Poll(Vec::new()), Frame::GiveUp(Vec::new()), Frame::Doorstep { port: 7_626 }] {
        assert_eq!(refused(door.ask(&request).await), Code::INVALID_COMMAND);
    }
    assert!(porch.mail().is_empty());
}

fn sealed_letter() -> message::Message {
    letter("alice@north.test", "For its ticket.")
}

/// Nobody reports for others: what a doorstep says of foreign recipients is passed over.
///
/// proves: DOOR-11
#[tokio::test(flavor = "multi_thread")]
async fn a_report_about_somebody_elses_mail_is_passed_over() {
    let (world, carol) = one_world().await;
    let mallory = world.user("mallory@south.test").await;
    let message = letter("alice@north.test", "Not for Mallory.");
    let taken = |recipient: &User, identity: Identity| Taken {
        identity,
        recipient: recipient.address.clone(),
        by: message::address::Domain::from_wire("north.test").unwrap(),
    };
    let program = program(&world, &mallory.device).await;
    let own = letter("alice@north.test", "For Mallory.");
    let report = vec![taken(&carol, message.identity()), taken(&mallory, own.identity())];
    assert_eq!(program.ask(&Frame::DoorstepTook(report)).await, Ok(Frame::Done));
    let peer = world.peer("north.test", "south.test").await;
    peer.offer(&message, &["carol@south.test"]).await.unwrap();
    peer.offer(&own, &["mallory@south.test"]).await.unwrap();
    assert_eq!(mailbox(&world, "south.test", "carol").len(), 1);
    assert!(mailbox(&world, "south.test", "mallory").is_empty(), "who says that it is there has it there");
}
