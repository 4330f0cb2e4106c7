//! Every way in which a redirect can fail: the mail is at the node then, once, and nobody else has seen it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use message::address::{Address, Domain};
use message::{Disposition, Identity, Redirect, SecretKey, TicketFor};
use protocol::{Offer, Way};
use transport::{HostKey, KeyKind};
use waxwing_tests::{Porch, Site, User, World, letter, letter_with};

use crate::delivery::{mailbox, redirects};
use crate::redirecting::{DyingDoorstep, RedirectingNode, Where};

#[expect(clippy::disallowed_methods, reason = "tickets of a test are good now")]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Any date will do.
const DATE: (&str, &str) = ("Date", "Thu, 1 Jan 2026 00:00:00 +0000");

fn host_key(device: &SecretKey) -> HostKey {
    HostKey::from_ed25519_seed(&device.seed(), &[]).unwrap()
}

async fn two_nodes() -> (World, User, User) {
    let world = World::started(&[Site::new("north.test"), Site::new("south.test")]).await;
    let alice = world.user("alice@north.test").await;
    let carol = world.user("carol@south.test").await;
    (world, alice, carol)
}

/// The mail has come to the node, after a redirect, and the author knows it as accepted.
async fn at_the_node(world: &World, identity: Identity, what: &str) {
    let settled = world.events("north.test").settled(identity, "carol@south.test").await;
    assert_eq!(settled, Disposition::Accepted, "{what}");
    let here: Vec<Identity> = mailbox(world, "south.test", "carol").iter().map(|one| one.identity).collect();
    assert_eq!(here, [identity], "{what}");
    assert_eq!(redirects(world, "south.test", "carol@south.test"), 1, "{what}");
}

/// The machine is switched off, and the node does not know yet.
///
/// proves: DOOR-9
#[tokio::test(flavor = "multi_thread")]
async fn the_user_is_gone() {
    let (world, mut alice, carol) = two_nodes().await;
    let mut porch = world.open_porch(&carol).await;
    porch.kill();
    let identity = alice.send(&letter("alice@north.test", "Are you there?"), &["carol@south.test"]).await;
    at_the_node(&world, identity, "nobody listens there").await;
}

/// Somebody else has that address now, with a doorstep of their own at the same port: the key is another one.
///
/// proves: DOOR-2, DOOR-9
#[tokio::test(flavor = "multi_thread")]
async fn another_user_has_the_address() {
    let (world, mut alice, carol) = two_nodes().await;
    let mallory = world.user("mallory@south.test").await;
    let mut porch = world.open_porch(&carol).await;
    porch.kill();
    world.until_bindable(porch.listen).await;
    let mut other = world.porch(&mallory);
    other.listen = porch.listen;
    other.start().await;
    other.registered(1).await;
    let identity = alice.send(&letter("alice@north.test", "For Carol's eyes."), &["carol@south.test"]).await;
    at_the_node(&world, identity, "the key is another one").await;
    assert!(other.mail().is_empty());
}

/// No room at home: it answers `deferred`, and the node takes it.
///
/// proves: DOOR-9, DOOR-10
#[tokio::test(flavor = "multi_thread")]
async fn the_doorstep_is_full() {
    let (world, mut alice, carol) = two_nodes().await;
    let mut porch = world.porch(&carol);
    // A store without room takes no account either: it is made while there is some.
    porch.start().await;
    porch.registered(1).await;
    porch.stop().await;
    porch.free_octets = 1 << 60;
    porch.start().await;
    porch.registered(2).await;
    let identity = alice.send(&letter("alice@north.test", "Have you room?"), &["carol@south.test"]).await;
    at_the_node(&world, identity, "there is no room").await;
    assert!(porch.mail().is_empty());
}

/// It dies while the body comes, and meanwhile the node has restarted and knows of no lease.
///
/// proves: DOOR-4, DOOR-9
#[tokio::test(flavor = "multi_thread")]
async fn the_doorstep_dies_in_the_middle_and_the_node_restarts() {
    for restarts in [false, true] {
        let (mut world, mut alice, carol) = two_nodes().await;
        let mut porch = world.open_porch(&carol).await;
        porch.kill();
        world.until_bindable(porch.listen).await;
        let dying = DyingDoorstep::start(host_key(&porch.device), porch.listen);
        let fields =
            [("From", "alice@north.test"), ("Subject", "large"), DATE, ("Message-Id", "<large@north.test>")];
        let message = letter_with(&fields, &[("application/octet-stream", &[7; 1 << 20])]);
        let identity = alice.send(&message, &["carol@south.test"]).await;
        dying.reached.notified().await;
        if restarts {
            world.stop("south.test").await;
            world.start("south.test").await;
        }
        dying.may_die.notify_one();
        at_the_node(&world, identity, if restarts { "with a restart" } else { "without" }).await;
    }
}

/// The node restarts between the redirect and the delivery: the doorstep still knows the ticket.
///
/// proves: DOOR-7
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_outlives_a_restart_of_the_node() {
    let (mut world, _alice, carol) = two_nodes().await;
    let porch = world.open_porch(&carol).await;
    let message = letter("alice@north.test", "With a ticket from before.");
    let redirect = redirect_by_hand(&world, &message).await;
    world.stop("south.test").await;
    world.start("south.test").await;
    porch.registered(2).await;
    let outcome = offer_at_door(&world, &porch, &message, &redirect.ticket).await;
    assert_eq!(outcome, Ok(vec![Disposition::Accepted]));
    assert_eq!(porch.mail(), [message.identity()]);
}

/// It dies after it has the message and before it says so: the node takes it as well. When the doorstep is back it tells
/// the node, and then the message is in one place.
///
/// proves: DOOR-11, DOOR-12
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_message_that_both_have_taken_is_one() {
    let (world, mut alice, carol) = two_nodes().await;
    let mut porch = world.open_porch(&carol).await;
    let gate = porch.gate();
    let identity = alice.send(&letter("alice@north.test", "Twice?"), &["carol@south.test"]).await;
    let gate = gate.reached().await;
    porch.kill();
    at_the_node(&world, identity, "the answer has not come").await;
    drop(gate);
    porch.start().await;
    assert_eq!(porch.mail(), [identity], "it has it as well");
    porch.told(1).await;
    assert!(mailbox(&world, "south.test", "carol").is_empty(), "the user has it at home");
    assert_eq!(porch.mail(), [identity]);
}

/// One party by hand that redirects badly.
struct Bad {
    what: &'static str,
    place: Where,
    /// Whether it is good in truth.
    good: bool,
}

/// What a redirect is made of that is as it must be.
#[derive(Clone)]
struct Good {
    at: (String, u16),
    door: [u8; 32],
    ticket_key: [u8; 32],
    sender: [u8; 32],
}

impl Good {
    /// The redirect for an offer, where the test changes what it likes.
    fn redirect(&self, offer: &Offer, change: impl Fn(&mut Parts)) -> Redirect {
        let mut parts = Parts {
            address: self.at.0.clone(),
            port: self.at.1,
            door: self.door,
            ticket_key: self.ticket_key,
            sender: self.sender,
            recipient: offer.envelope.recipients[0].clone(),
            identity: offer.envelope.identity,
            domain: Domain::from_wire("north.test").unwrap(),
            expiry: now() + 300,
        };
        change(&mut parts);
        let ticket_for = TicketFor {
            recipient: &parts.recipient,
            identity: parts.identity,
            domain: &parts.domain,
            key_digest: &parts.sender,
        };
        Redirect {
            address: parts.address.clone(),
            port: parts.port,
            key_digest: parts.door,
            ticket: ticket_for.write(&parts.ticket_key, parts.expiry),
            not_after: parts.expiry,
        }
    }
}

struct Parts {
    address: String,
    port: u16,
    door: [u8; 32],
    ticket_key: [u8; 32],
    sender: [u8; 32],
    recipient: Address,
    identity: Identity,
    domain: Domain,
    expiry: u64,
}

/// A node that redirects to what is not allowed, or with a ticket that is not good: the sender comes back each time, with
/// *redirect failed*, at once; and to no port that is not allowed has anything been sent.
///
/// proves: EXC-19, DOOR-2, DOOR-7, DOOR-9
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_that_is_not_good_leads_back_to_the_node() {
    let mut world = World::new(&[Site::new("north.test"), Site::new("south.test")]).await;
    world.start("north.test").await;
    let mut alice = world.user("alice@north.test").await;
    let device = SecretKey::from_seed(&[9; 32]);
    let (ticket_key, domain) = ([5; 32], Domain::from_wire("south.test").unwrap());
    let mut porch = Porch::new(device, world.address("south.test"), world.expectation("south.test"), domain);
    let good = Good {
        at: ("127.0.0.1".to_owned(), porch.listen.port()),
        door: transport::ed25519_key_digest(porch.device.public().as_bytes()),
        ticket_key,
        sender: world.host_key("north.test").key_digest(),
    };
    let bad = |what, change: fn(&mut Parts)| {
        let good = good.clone();
        Bad { what, place: Box::new(move |offer| good.redirect(offer, change)), good: false }
    };
    let cases = vec![
        Bad { good: true, ..bad("as it must be", |_| {}) },
        bad("a ticket that has expired", |parts| parts.expiry = now() - 1),
        bad("a ticket for an hour", |parts| parts.expiry += 3_600),
        bad("a ticket for another message", |parts| parts.identity = Identity::from_bytes([1; 32])),
        bad("a ticket for another recipient", |parts| {
            parts.recipient = Address::from_wire("dan@south.test").unwrap();
        }),
        bad("a ticket for another domain", |parts| parts.domain = Domain::from_wire("east.test").unwrap()),
        bad("a ticket for another sender's key", |parts| parts.sender = [1; 32]),
        bad("a ticket of another doorstep", |parts| parts.ticket_key = [1; 32]),
        bad("another user's key", |parts| parts.door = [1; 32]),
        bad("a private address", |parts| parts.address = "10.0.0.1".to_owned()),
        bad("the address of a cloud's secrets", |parts| parts.address = "169.254.169.254".to_owned()),
        bad("the sender itself, by another name", |parts| parts.address = "0.0.0.0".to_owned()),
        bad("a multicast address", |parts| parts.address = "ff02::1".to_owned()),
        bad("a port of the system", |parts| parts.port = 53),
        bad("port 0", |parts| parts.port = 0),
    ];
    let first: Where = Box::new({
        let good = good.clone();
        move |offer| good.redirect(offer, |_| {})
    });
    let node = RedirectingNode::start(&world, "south.test", ticket_key, first);
    porch.start().await;
    porch.registered(1).await;
    for Bad { what, place, good } in cases {
        node.redirect(place);
        let message = letter("alice@north.test", what);
        let before = porch.mail().len();
        let identity = alice.send(&message, &["carol@south.test"]).await;
        let settled = world.events("north.test").settled(identity, "carol@south.test").await;
        assert_eq!(settled, Disposition::Accepted, "{what}");
        let ways = if good { vec![Way::Plain] } else { vec![Way::Plain, Way::RedirectFailed] };
        assert_eq!(node.seen(), ways, "{what}");
        assert_eq!(porch.mail().len() - before, usize::from(good), "{what}");
    }
}

/// A node that redirects an offer again that says that this has failed breaks the rule; it is asked again later, and not
/// led round in circles.
///
/// proves: DOOR-8
#[tokio::test(flavor = "multi_thread")]
async fn who_says_that_it_has_failed_is_not_redirected() {
    let (world, _alice, carol) = two_nodes().await;
    let porch = world.open_porch(&carol).await;
    let peer = world.peer("north.test", "south.test").await;
    let message = letter("alice@north.test", "Not again.");
    let (mut offer, supply) = peer.offer_of(&message, &["carol@south.test"]);
    offer.way = Way::RedirectFailed;
    let source = waxwing_tests::Memory::of(&message);
    let outcome = peer.offer_as(offer, supply, &source).await.unwrap();
    assert_eq!(outcome.dispositions, [Disposition::Accepted]);
    assert_eq!(mailbox(&world, "south.test", "carol").len(), 1);
    assert!(porch.mail().is_empty());
    // What its policy would not take at once it does not send there either.
    let unsealed = letter("alice@north.test", "Who says so?");
    let (offer, supply) = (
        waxwing_tests::peer::offer(&unsealed, &[], &["carol@south.test"]),
        waxwing_tests::peer::supply(&unsealed, &[]),
    );
    let source = waxwing_tests::Memory::of(&unsealed);
    let outcome = peer.offer_as(offer, supply, &source).await.unwrap();
    assert!(matches!(outcome.dispositions[..], [Disposition::Refused { .. }]), "{outcome:?}");
}

/// Where south redirects a message of north, as its sender is told.
pub(crate) async fn redirect_by_hand(world: &World, message: &message::Message) -> Redirect {
    let peer = world.peer("north.test", "south.test").await;
    let outcome = peer.offer(message, &["carol@south.test"]).await.unwrap();
    match <[Disposition; 1]>::try_from(outcome.dispositions) {
        Ok([Disposition::Redirected(redirect)]) => redirect,
        other => panic!("not redirected: {other:?}"),
    }
}

/// Offers a message of north at a doorstep, with a ticket.
pub(crate) async fn offer_at_door(
    world: &World,
    porch: &Porch,
    message: &message::Message,
    ticket: &[u8],
) -> Result<Vec<Disposition>, message::Code> {
    let digest = transport::ed25519_key_digest(porch.device.public().as_bytes());
    let expectation = transport::Expectation::Pinned { digests: vec![digest] };
    let own = Some(world.host_key("north.test"));
    let alpn = transport::Alpn::Doorstep;
    let peer = waxwing_tests::Peer::connect(own, porch.listen, &expectation, alpn).await.unwrap();
    let mut offer = waxwing_tests::peer::offer(message, &[], &["carol@south.test"]);
    offer.way = Way::Ticket(ticket.to_vec());
    let supply = waxwing_tests::peer::supply(message, &[]);
    match peer.offer_as(offer, supply, &waxwing_tests::Memory::of(message)).await {
        Ok(outcome) => Ok(outcome.dispositions),
        Err(transport::AskError::Failed(failure)) => Err(failure.code),
        Err(other) => panic!("{other}"),
    }
}

/// A key of which nobody has heard, with a certificate in the name of the sender.
pub(crate) fn stranger() -> Arc<HostKey> {
    Arc::new(HostKey::generate(KeyKind::EcdsaP256, &["north.test"]).unwrap())
}
