//! The operator's side, over the control socket of a running node.

use control::{Client, Error, Legs, Request, Response};
use message::Disposition;
use protocol::SubmissionOptions;
use waxwing_tests::{Site, User, World, letter};

use crate::queue::{answering, impostor, retries};

const BOB: &str = "bob@south.test";
const LANE: &str = "exchange:south.test";

async fn operator(world: &World) -> Client {
    Client::connect(&world.data("north.test").join("control.sock")).await.unwrap()
}

async fn ask(client: &mut Client, request: Request) -> Response {
    client.call(&request).await.unwrap()
}

/// Submits a message that waits for an hour; its identity.
async fn submit_later(alice: &mut User, text: &str) -> message::Identity {
    let options = SubmissionOptions { release_after_seconds: 3600, ..SubmissionOptions::default() };
    alice.submit_with(&letter("alice@north.test", text), &[BOB], options).await.unwrap().identity
}

async fn legs(client: &mut Client) -> Vec<control::LegView> {
    match ask(client, Request::QueueList { lane: Some(LANE.to_owned()), after: None, limit: 10 }).await {
        Response::Legs { legs } => legs,
        other => panic!("{other:?}"),
    }
}

/// Held, released and tried: but never what its author can still take back.
///
/// proves: SUB-12
#[tokio::test]
async fn an_operator_orders_the_queue() {
    let slow = Site::new("north.test").queue("retry-first-seconds = 600\n");
    let mut world = World::new(&[slow, Site::new("south.test")]).await;
    world.start("north.test").await;
    let impostor = impostor(&world, "south.test");
    let accepting = answering(impostor.clone());
    let mut alice = world.user("alice@north.test").await;
    let identity = alice.send(&letter("alice@north.test", "Held, released, tried"), &[BOB]).await;
    assert_eq!(retries(&world, 1).await.len(), 1);
    let mut client = operator(&world).await;

    let Response::Status(status) = ask(&mut client, Request::Status).await else { panic!("no status") };
    assert_eq!(status.domains, ["north.test"]);
    assert_eq!((status.queue.waiting, status.store.read_only), (1, None));
    assert_eq!(status.listeners[0].address, world.address("north.test").to_string());
    assert!(status.connections >= 1, "Alice's own");
    let [leg] = legs(&mut client).await.try_into().unwrap();
    assert_eq!((leg.identity, leg.origin.as_str(), leg.tries), (identity.to_string(), "account:alice", 1));
    assert_eq!(leg.recipients[0].address, BOB);
    // The list says what the leg itself says, but for its attempts.
    let Response::Leg(shown) = ask(&mut client, Request::QueueShow { leg: leg.number }).await else {
        panic!("no leg")
    };
    assert!(leg.attempts.is_empty() && !shown.attempts.is_empty());
    assert_eq!(leg.recipients, shown.recipients);
    assert!(leg.recipients[0].waits.as_ref().is_some_and(|waits| waits.starts_with("not delivered yet")));
    let number = Legs::Numbers(vec![leg.number]);

    let changed = |answer: Response| matches!(answer, Response::Changed { count: 1 });
    assert!(changed(ask(&mut client, Request::QueueHold { legs: number.clone() }).await));
    assert_eq!(legs(&mut client).await[0].state, "held");
    let Response::Lanes { lanes } = ask(&mut client, Request::QueueLanes).await else { panic!("no lanes") };
    assert_eq!((lanes[0].lane.as_str(), lanes[0].count, lanes[0].held), (LANE, 1, 1));
    assert!(changed(ask(&mut client, Request::QueueRelease { legs: number.clone() }).await));
    assert_eq!(legs(&mut client).await[0].state, "retrying");

    let kept = submit_later(&mut alice, "Perhaps not").await.to_string();
    impostor.close("the place is needed").await;
    drop((impostor, accepting));
    world.until_free("south.test").await;
    world.start("south.test").await;
    let _bob = world.user(BOB).await;
    let hastened = ask(&mut client, Request::QueueRetry { legs: Legs::Lane(LANE.to_owned()) }).await;
    assert!(matches!(hastened, Response::Changed { count: 2 }), "{hastened:?}");
    assert_eq!(world.events("north.test").settled(identity, BOB).await, Disposition::Accepted);
    let [left] = legs(&mut client).await.try_into().unwrap();
    assert_eq!((left.identity, left.tries, left.state.as_str()), (kept, 0, "waiting"));
    let none = ask(&mut client, Request::QueueRetry { legs: number }).await;
    assert!(matches!(none, Response::Changed { count: 0 }), "{none:?}");

    let Response::Envelopes { envelopes, .. } =
        ask(&mut client, Request::Trace { identity: identity.to_string() }).await
    else {
        panic!("no trace")
    };
    assert_eq!(envelopes[0].recipients[0].disposition, "accepted");
    assert!(!envelopes[0].attempts.is_empty());
    let unknown = ask(&mut client, Request::Trace { identity: "7".repeat(64) }).await;
    assert!(matches!(unknown, Response::Failure(failure) if failure.kind == control::FailureKind::NotFound));
}

/// What is so already, or cannot be so, is not done without a word; and what a node lacks for an order is said.
#[tokio::test]
async fn an_order_that_changes_nothing_is_told() {
    let world = World::started(&[Site::new("north.test")]).await;
    let _alice = world.user("alice@north.test").await;
    let mut client = operator(&world).await;
    let name = || "alice".to_owned();
    let failed = async |client: &mut Client, request: Request| match ask(client, request).await {
        Response::Failure(failure) => failure.kind,
        other => panic!("{other:?}"),
    };
    let add = Request::AccountAddressAdd { name: name(), address: "alice@north.test".to_owned() };
    assert_eq!(failed(&mut client, add).await, control::FailureKind::Conflict);
    let remove = Request::AccountAddressRemove { name: name(), address: "other@north.test".to_owned() };
    assert_eq!(failed(&mut client, remove).await, control::FailureKind::NotFound);
    assert_eq!(failed(&mut client, Request::Reload).await, control::FailureKind::NotFound);
    let taken = Request::AccountAdd {
        name: "eve".to_owned(),
        addresses: vec!["alice@north.test".to_owned()],
        password: None,
    };
    let Response::Failure(failure) = ask(&mut client, taken).await else { panic!("it is alice's") };
    assert!(failure.text.contains("another account has it"), "{failure}");
    let order = control::ForwardOrder::Add {
        alias: "old@north.test".to_owned(),
        target: "new@south.test".to_owned(),
        conceal: false,
        rewrite: false,
        granted: false,
        keep_sender: false,
    };
    let Response::Forwards { forwards } = ask(&mut client, Request::Forward { order }).await else {
        panic!("no alias")
    };
    assert!(forwards[0].note.contains("no `[forwarding] listen`"), "{forwards:?}");
}

/// Both sides of a connection are listed, and whose device it is.
#[tokio::test]
async fn the_peers_that_are_connected_are_listed() {
    let world = World::started(&[Site::new("north.test"), Site::new("south.test")]).await;
    let mut alice = world.user("alice@north.test").await;
    let _bob = world.user(BOB).await;
    let identity = alice.send(&letter("alice@north.test", "Who is there?"), &[BOB]).await;
    assert_eq!(world.events("north.test").settled(identity, BOB).await, Disposition::Accepted);
    let south = Client::connect(&world.data("south.test").join("control.sock")).await.unwrap();
    for (mut client, peer, account, inbound) in [
        (operator(&world).await, "south.test", "account:alice", false),
        (south, "north.test", "account:bob", true),
    ] {
        let Response::Peers { peers } = ask(&mut client, Request::Peers).await else { panic!("no peers") };
        let of = |name: &str| peers.iter().filter(|one| one.name == name).collect::<Vec<_>>();
        let [user] = of(account)[..] else { panic!("{peers:?}") };
        assert!(user.inbound && user.protocol == "submission" && user.octets_received > 0, "{user:?}");
        let [other] = of(peer)[..] else { panic!("{peers:?}") };
        assert_eq!((other.inbound, other.protocol.as_str()), (inbound, "exchange"));
        assert!(other.round_trip_us > 0 && other.octets_sent > 1000, "{other:?}");
        if !inbound {
            assert_eq!(other.address, world.address("south.test").to_string());
        }
    }
}

/// Few digits name a message or a device; too few, unknown or ambiguous ones do not.
///
/// proves: CTL-5
#[tokio::test]
async fn a_message_is_named_by_its_first_digits() {
    let world = World::started(&[Site::new("north.test"), Site::new("south.test")]).await;
    let mut alice = world.user("alice@north.test").await;
    let _bob = world.user(BOB).await;
    let identity = submit_later(&mut alice, "Named by its first digits").await.to_string();
    let other = submit_later(&mut alice, "Another").await.to_string();
    let mut client = operator(&world).await;
    let prefix = identity[..6].to_uppercase();
    let Response::Envelopes { envelopes, .. } = ask(&mut client, Request::Trace { identity: prefix }).await
    else {
        panic!("no trace")
    };
    assert_eq!(envelopes[0].identity, identity);
    let of = |identity: &str| Request::QueueOf { identity: identity.to_owned() };
    let Response::Legs { legs } = ask(&mut client, of(&other[..8])).await else { panic!("no legs") };
    assert_eq!(legs.iter().map(|leg| leg.identity.as_str()).collect::<Vec<_>>(), [&other]);
    let hold = Request::QueueHold { legs: Legs::Message(other[..8].to_owned()) };
    assert_eq!(ask(&mut client, hold).await, Response::Changed { count: 1 });
    let Response::Legs { legs } = ask(&mut client, of(&other)).await else { panic!("no legs") };
    assert_eq!(legs[0].state, "held");

    let unknown = if identity.starts_with("123456") { "654321" } else { "123456" };
    for (digits, kind) in [
        (unknown, control::FailureKind::NotFound),
        (&identity[..5], control::FailureKind::Invalid),
        ("xyzxyz", control::FailureKind::Invalid),
    ] {
        let Response::Failure(failure) = ask(&mut client, of(digits)).await else { panic!("{digits}") };
        assert_eq!(failure.kind, kind, "{digits}: {failure}");
    }
}

/// A device that an operator removes is refused at once, on the connection that lives.
///
/// proves: SUB-4, CTL-5
#[tokio::test]
async fn a_removed_device_is_refused_at_once() {
    let world = World::started(&[Site::new("north.test")]).await;
    let mut alice = world.user("alice@north.test").await;
    let mut client = operator(&world).await;
    let list = || Request::AccountDevices { name: "alice".to_owned() };
    let Response::Devices { devices } = ask(&mut client, list()).await else { panic!("no devices") };
    let [device] = devices.try_into().unwrap();
    // Two more, whose keys begin alike: none of them is removed by what they share.
    let store = world.node("north.test").store();
    let mut account = store.account("alice").unwrap().unwrap();
    for last in [1, 2] {
        let mut public_key = [0; 32];
        public_key[31] = last;
        let name = format!("made up {last}");
        account.devices.push(storage::DeviceRecord { public_key, name, enrolled_at_ms: 0 });
    }
    store.put_account(account).await.unwrap();
    let mut remove = async |device: &str| {
        let device = device.to_owned();
        ask(&mut client, Request::AccountDeviceRemove { name: "alice".to_owned(), device }).await
    };
    let Response::Failure(failure) = remove("00000000").await else { panic!("ambiguous") };
    assert!(failure.text.starts_with("00000000 is ambiguous: 0000"), "{failure}");
    assert!(alice.session.mailbox(0, 1).await.is_ok());
    assert_eq!(remove(&device.public_key[..6]).await, Response::Done);
    assert!(matches!(alice.session.mailbox(0, 1).await, Err(cli::Error::NotAuthorised { .. })));
    let gone = remove(&device.public_key).await;
    assert!(matches!(gone, Response::Failure(failure) if failure.kind == control::FailureKind::NotFound));
    let Response::Devices { devices } = ask(&mut client, list()).await else { panic!("no devices") };
    assert_eq!(devices.len(), 2);
}

/// proves: STA-10
#[tokio::test]
async fn what_an_operator_removes_is_withdrawn() {
    let world = World::started(&[Site::new("north.test"), Site::new("south.test")]).await;
    let mut alice = world.user("alice@north.test").await;
    let _bob = world.user(BOB).await;
    let identity = submit_later(&mut alice, "Removed").await;
    let mut client = operator(&world).await;
    let number = legs(&mut client).await[0].number;
    let removed = ask(&mut client, Request::QueueRemove { legs: Legs::Numbers(vec![number]) }).await;
    assert!(matches!(removed, Response::Changed { count: 1 }), "{removed:?}");
    assert_eq!(alice.dispositions(identity).await, [Disposition::Withdrawn]);
    assert_eq!(legs(&mut client).await, []);
    assert!(world.events("south.test").all().is_empty(), "nobody heard of it");
    let Response::Findings { findings, more } = ask(&mut client, Request::StoreCheck).await else {
        panic!("no findings")
    };
    assert_eq!((findings, more), (Vec::new(), false), "the store is sound");
}

#[tokio::test]
async fn an_operator_ends_a_node() {
    let mut world = World::started(&[Site::new("north.test")]).await;
    let mut client = operator(&world).await;
    assert_eq!(ask(&mut client, Request::Shutdown).await, Response::Done);
    world.running("north.test").asked_to_stop().await;
    world.stop("north.test").await;
    let socket = world.data("north.test").join("control.sock");
    assert!(matches!(Client::connect(&socket).await, Err(Error::NotRunning { .. })));
    // And begun again it is as it was.
    world.start("north.test").await;
    assert!(matches!(ask(&mut operator(&world).await, Request::Status).await, Response::Status(_)));
}

/// What is known of a peer is shown to its operator, with each record asked and its answer, and forgotten.
#[tokio::test]
async fn what_is_known_of_a_peer_is_shown_and_forgotten() {
    let world = World::started(&[Site::new("north.test"), Site::new("south.test")]).await;
    let mut alice = world.user("alice@north.test").await;
    let _bob = world.user(BOB).await;
    let identity = alice.send(&letter("alice@north.test", "To be remembered"), &[BOB]).await;
    assert_eq!(world.events("north.test").settled(identity, BOB).await, Disposition::Accepted);
    let mut client = Client::connect(&world.data("south.test").join("control.sock")).await.unwrap();

    let show = || Request::PeerRecord { domain: "north.test".to_owned() };
    let Response::PeerRecord(peer) = ask(&mut client, show()).await else { panic!("no peer") };
    let record = peer.record.unwrap();
    assert_eq!((peer.grade.as_str(), record.accepted, record.declined), ("neutral", 1, 0));
    // About the domain, and about the host that stands for it (REP-20).
    let [csa, of_host] = peer.questions.try_into().unwrap();
    assert_eq!((csa.question.as_str(), csa.name.as_str()), ("csa", "_client._waxwing.north.test"));
    assert_eq!(
        (of_host.question.as_str(), of_host.name.as_str()),
        ("csa", "_client._waxwing.host.north.test")
    );
    assert_eq!((peer.limits[0].limit.as_str(), peer.limits[0].used), ("peer-pending", 0));

    let forget = || Request::PeerForget { domain: "north.test".to_owned() };
    assert!(matches!(ask(&mut client, forget()).await, Response::Done));
    let again = ask(&mut client, forget()).await;
    assert!(matches!(again, Response::Failure(failure) if failure.kind == control::FailureKind::NotFound));
    let list = Request::PeerRecords { after: None, limit: 10 };
    assert_eq!(ask(&mut client, list).await, Response::PeerRecords { peers: Vec::new() });
}
