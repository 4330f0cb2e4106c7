//! Real QUIC and TLS between two ends on simulated time, where only the flights of datagrams take any.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use message::address::{Address, Domain};
use message::{Disposition, Message, Role, SecretKey};
use node::Node;
use protocol::{Frame, Item, Reader, encode};
use storage::AccountRecord;
use testkit::clock::{Life, NodeClock, Shift, Timeline};
use testkit::datagrams::{Datagrams, Treatment};
use testkit::disk::{Disk, Vice};
use testkit::{Random, site};
use tokio::time::Instant;
use transport::{
    Alpn, Client, Connected, Expectation, Handler, HostKey, Later, Limits, Link, Pace, Server,
    ServerIdentity, Service, Session, offer, serve,
};
use waxwing_tests::{Memory, letter, letter_with, peer};

const ALICES: &str = "hand.test";
const BOBS: &str = "south.test";
const TO: &[&str] = &["bob@south.test"];

/// Everybody who connects is taken for the same peer: who that is, is not what is shown here.
struct Door(Node);

impl Handler for Door {
    fn meet<'a>(&'a self, _: &'a Link) -> Later<'a, Result<Arc<dyn Session>, protocol::Failure>> {
        let session = daemon::peer_session(self.0.clone(), Domain::from_wire(ALICES).unwrap(), None);
        Box::pin(async move { Ok(session) })
    }
}

/// A node behind a server, and the client of another one.
struct Ends {
    node: Node,
    client: Client,
    server: SocketAddr,
    expectation: Expectation,
    key: SecretKey,
}

impl Ends {
    async fn new(network: &Datagrams) -> Ends {
        let key = |seed| SecretKey::from_seed(&[seed; 32]);
        let zones = Arc::new(dns::FixedZones::new());
        site::publish(&zones, ALICES, &key(1));
        let life = Life::begin();
        let store = Disk::new(Vice::None).open(&life).unwrap();
        let account = AccountRecord {
            name: "bob".to_owned(),
            addresses: vec![Address::from_wire(TO[0]).unwrap()],
            password_hash: None,
            scram: None,
            devices: Vec::new(),
            disabled: false,
            notices: false,
        };
        store.put_account(account).await.unwrap();
        let clock = NodeClock::new(Timeline::begin(), Arc::new(Shift::default()), life, Random::new(1));
        let settings = site::settings(BOBS, &key(2));
        let node = Node::new(settings, store, zones, Arc::new(clock), Arc::new(node::Quiet));

        let (server, client) = ("10.0.0.1:7625".parse().unwrap(), "10.0.0.2:9000".parse().unwrap());
        let host = HostKey::from_ed25519_seed(&[3; 32], &[BOBS]).unwrap();
        let expectation = Expectation::Pinned { digests: vec![host.key_digest()] };
        let settings = encode(&Frame::Settings(protocol::Settings::default()));
        let services = [Alpn::Exchange, Alpn::Submission]
            .map(|alpn| Service { alpn, settings: settings.clone() })
            .to_vec();
        let limits = Limits::default();
        let listening =
            Server::bind(network.socket(server), &ServerIdentity::from(host), services, &limits).unwrap();
        tokio::spawn(serve(listening, limits.clone(), Arc::new(Door(node.clone()))));
        let own = HostKey::from_ed25519_seed(&[4; 32], &[ALICES]).unwrap();
        let client = Client::bind(network.socket(client), Some(own), &limits).unwrap();
        Ends { node, client, server, expectation, key: key(1) }
    }

    async fn connect(&self) -> (Connected, protocol::Settings) {
        let connected =
            self.client.connect(self.server, BOBS, Alpn::Exchange, &self.expectation).await.unwrap();
        let mut reader = Reader::new();
        reader.push(&connected.settings().await.unwrap());
        let Ok(Some(Item::Frame(Frame::Settings(settings)))) = reader.next_item() else {
            panic!("a server begins with its settings");
        };
        (connected, settings)
    }

    async fn offer(&self, connected: &Connected, settings: &protocol::Settings, message: &Message) {
        let seals = [peer::seal(message, ALICES, &self.key, Role::Submission)];
        let (offered, supply) = (peer::offer(message, &seals, TO), peer::supply(message, &seals));
        let pace = Pace::start(&Limits::default());
        let bodies = Memory::of(message);
        let outcome = offer(connected, pace, offered, supply, settings, &bodies, |_| {}).await.unwrap();
        assert_eq!(outcome.dispositions, [Disposition::Accepted]);
    }

    fn mails(&self) -> usize {
        self.node.store().mailbox("bob", None, 100).unwrap().len()
    }
}

/// From the first datagram of the handshake to the answer, which is durable: the handshake is one round trip, and the
/// offer with its content and its answer the other. Nothing else takes time here, so the counts are exact.
///
/// proves: EXC-3, TRA-10
#[tokio::test(start_paused = true)]
async fn a_small_message_takes_two_round_trips_cold_and_one_on_a_live_connection() {
    const ONE_WAY: Duration = Duration::from_millis(100);
    let treatment = Treatment { delay_ms: 100, jitter_ms: 0, lost_percent: 0, doubled_percent: 0 };
    let ends = Ends::new(&Datagrams::new(treatment, 1)).await;
    let text = "All is well. ".repeat(4096 / 13);
    let round_trips = |began: Instant| began.elapsed().div_duration_f64(2 * ONE_WAY);
    let began = Instant::now();
    let (connected, settings) = ends.connect().await;
    ends.offer(&connected, &settings, &letter("alice@hand.test", &text)).await;
    let cold = round_trips(began);
    let began = Instant::now();
    ends.offer(&connected, &settings, &letter("alice@hand.test", &format!("{text} Still."))).await;
    let live = round_trips(began);
    println!("round trips on simulated time, 4 KiB: cold {cold:.2}, live {live:.2}");
    // The timer of the runtime has milliseconds.
    assert!((2.0..2.03).contains(&cold), "cold: {cold}");
    assert!((1.0..1.03).contains(&live), "live: {live}");
    assert_eq!(ends.mails(), 2);
}

/// Datagrams are lost, doubled and overtake each other; messages arrive whole, and once.
#[tokio::test(start_paused = true)]
async fn messages_get_through_a_bad_network() {
    for seed in 0..8 {
        let treatment = Treatment { delay_ms: 20, jitter_ms: 60, lost_percent: 15, doubled_percent: 15 };
        let ends = Ends::new(&Datagrams::new(treatment, seed)).await;
        let (connected, settings) = ends.connect().await;
        for (number, octets) in [10, 10_000, 200_000].into_iter().enumerate() {
            let body = vec![b'a' + number as u8; octets];
            let from = [
                ("From", "alice@hand.test"),
                ("Date", "Thu, 1 Jan 2026 12:00:00 +0000"),
                ("Message-Id", "<1@x>"),
            ];
            let message = letter_with(&from, &[("text/plain", &body)]);
            ends.offer(&connected, &settings, &message).await;
            ends.offer(&connected, &settings, &message).await;
        }
        assert_eq!(ends.mails(), 3, "seed {seed}");
    }
}
