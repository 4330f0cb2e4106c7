//! Floods, measured: handshakes of nobody, connections, streams, and answers that nobody reads.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use message::address::Address;
use message::{Code, Disposition};
use protocol::{Enrol, Frame};
use tokio::net::UdpSocket;
use tokio::time::timeout;
use transport::{Alpn, AskError, Client, Expectation, HostKey, Later, Limits, Pace, Socket, Source};
use waxwing_tests::{Memory, Peer, letter, letter_with};

use crate::octets::{array, bytes, fields, frame, uint};
use crate::scene::{BOB, Held, NODE, Peak, Scene};

/// How often octets may come back before an address is proved (RFC 9000 section 8.1).
const AMPLIFICATION_MAX: f64 = 3.0;
/// How long answers are counted: several retransmissions of a handshake.
const COUNTED: Duration = Duration::from_millis(2_500);
/// Handshakes that nobody goes on with.
const HANDSHAKES: usize = 300;

/// The first flights of so many clients, datagram by datagram, as they would be sent to a server.
async fn first_flights(count: usize) -> Vec<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    // As many at a time as the kernel keeps for a socket.
    while all.len() < count {
        all.extend(some_first_flights((count - all.len()).min(20)).await);
    }
    all
}

async fn some_first_flights(count: usize) -> Vec<Vec<Vec<u8>>> {
    let trap = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = trap.local_addr().unwrap();
    let client =
        Client::bind(Socket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap(), None, &Limits::default());
    let client = client.unwrap();
    let mut by_connection: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    let mut connecting = tokio::task::JoinSet::new();
    for _ in 0..count {
        let client = client.clone();
        connecting.spawn(async move {
            let expectation = Expectation::Pinned { digests: vec![[0; 32]] };
            let _ = client.connect(address, "node.test", Alpn::Exchange, &expectation).await;
        });
    }
    let mut datagram = [0; 2000];
    while by_connection.len() < count || by_connection.values().any(|flight| flight.len() < 2) {
        let received = timeout(Duration::from_secs(20), trap.recv(&mut datagram)).await.unwrap().unwrap();
        // RFC 9000 section 17.2: the form, the version, the length of the destination's connection id, and the id.
        let id = datagram[6..6 + usize::from(datagram[5])].to_vec();
        let flight = by_connection.entry(id).or_default();
        if !flight.contains(&datagram[..received].to_vec()) && flight.len() < 2 {
            flight.push(datagram[..received].to_vec());
        }
    }
    connecting.shutdown().await;
    by_connection.into_values().collect()
}

/// Sends datagrams from an address of nobody's and counts what comes back, octets and retries.
async fn provoke(
    server: SocketAddr,
    own: Ipv4Addr,
    datagrams: &[Vec<u8>],
    counted: Duration,
) -> (usize, usize) {
    let socket = UdpSocket::bind((own, 0)).await.unwrap();
    for datagram in datagrams {
        socket.send_to(datagram, server).await.unwrap();
    }
    let (mut octets, mut retries, mut answer) = (0, 0, [0; 2000]);
    let until = tokio::time::Instant::now() + counted;
    while let Ok(received) = tokio::time::timeout_at(until, socket.recv(&mut answer)).await {
        octets += received.unwrap();
        // RFC 9000 section 17.2.5: a long header of the type 3.
        retries += usize::from(answer[0] & 0xf0 == 0xf0 && answer[1..5] == [0, 0, 0, 1]);
    }
    (octets, retries)
}

/// Nobody's address gets more than three times what came from it, whatever came.
///
/// proves: TRA-10, TRA-12
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_flooded_through_a_node() {
    let mut scene = Scene::set().await;
    let server = scene.world.address(NODE);
    let flights = first_flights(3).await;
    let [whole, other, third] = &flights[..] else { panic!("{}", flights.len()) };
    let mut unknown = whole[0].clone();
    unknown[1..5].copy_from_slice(&[0x1a, 0x2a, 0x3a, 0x4a]);
    let mut broken = other[0].clone();
    broken[600] ^= 1;
    let short = whole[0][..300].to_vec();
    let reset = [&[0x40][..], &[7; 60]].concat();
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("a whole first flight", whole.clone()),
        ("its first datagram", third[..1].to_vec()),
        ("its first datagram, ten times", vec![other[0].clone(); 10]),
        ("its second datagram alone", vec![other[1].clone()]),
        ("an unknown version", vec![unknown]),
        ("a broken packet", vec![broken]),
        ("a first packet of 300 octets", vec![short]),
        ("a packet of no connection", vec![reset]),
        ("an octet", vec![vec![0xc0]]),
        ("1,200 octets of noise", vec![vec![0xff; 1200]]),
    ];
    let mut measured = Vec::new();
    let mut running = tokio::task::JoinSet::new();
    for (place, (what, datagrams)) in cases.into_iter().enumerate() {
        let own = Ipv4Addr::new(127, 0, 9, place as u8 + 1);
        running.spawn(async move {
            let sent: usize = datagrams.iter().map(Vec::len).sum();
            let (back, _) = provoke(server, own, &datagrams, COUNTED).await;
            (what, sent, back)
        });
    }
    while let Some(one) = running.join_next().await {
        measured.push(one.unwrap());
    }
    for (what, sent, back) in &measured {
        let times = *back as f64 / *sent as f64;
        println!("amplification: {what}: {sent} octets sent, {back} came back, {times:.2} times");
        assert!(times <= AMPLIFICATION_MAX, "{what}: {times}");
    }
    assert!(measured.iter().any(|(_, _, back)| *back > 0), "so that this can fail");
    scene.others_are_served("packets of nobody").await;
}

/// Three hundred handshakes of nobody at once: beyond the set number an address has to be proved, and a good peer that
/// is new gets in meanwhile.
///
/// proves: TRA-12
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_handshakes_keeps_nobody_out() {
    let mut scene = Scene::set().await;
    let server = scene.world.address(NODE);
    let flights = first_flights(HANDSHAKES).await;
    let before = Held::now();
    scene.peak = Peak::begin();
    let mut flood = tokio::task::JoinSet::new();
    for (number, flight) in flights.into_iter().enumerate() {
        let own = Ipv4Addr::new(127, 1, (number / 200) as u8, (number % 200) as u8 + 1);
        flood.spawn(async move {
            // As a line would bring them: all at once would be lost in the kernel's buffer, unseen by the node.
            tokio::time::sleep(Duration::from_millis(3 * number as u64)).await;
            let sent: usize = flight.iter().map(Vec::len).sum();
            let (back, retries) = provoke(server, own, &flight, COUNTED).await;
            (sent, back, retries)
        });
    }
    let begun = now();
    let late = scene.world.peer("good.test", NODE).await;
    let took = begun.elapsed();
    drop(late);
    scene.others_are_served("a flood of handshakes, while it lasts").await;
    let (mut sent, mut back, mut retried) = (0, 0, 0);
    while let Some(one) = flood.join_next().await {
        scene.peak.sample();
        let (octets, answered, retries) = one.unwrap();
        assert!(answered as f64 <= AMPLIFICATION_MAX * octets as f64);
        (sent, back, retried) = (sent + octets, back + answered, retried + usize::from(retries > 0));
    }
    println!(
        "{HANDSHAKES} handshakes of nobody: {sent} octets sent, {back} came back ({:.2} times), {retried} had to prove \
         their address; a new good peer connected in {} ms meanwhile",
        back as f64 / sent as f64,
        took.as_millis()
    );
    // Fewer where the kernel has lost some of them on the way.
    assert!(retried >= HANDSHAKES / 4, "{retried}");
    // Sooner than a handshake that nobody answers is given up.
    assert!(took < Limits::default().handshake_time, "{took:?}");
    // Each of nobody's clients is a socket of this process.
    scene.peak.check("a flood of handshakes", HANDSHAKES + 16, 48 * 1024);
    before.check_after("a flood of handshakes", 16, 48 * 1024).await;
}

#[expect(clippy::disallowed_methods, reason = "how long a connection takes is what is measured")]
fn now() -> Instant {
    Instant::now()
}

/// One address takes all the connections it may, on each all the streams it may, and says half a word on each.
///
/// proves: TRA-13, TRA-15
#[tokio::test]
async fn who_takes_everything_takes_only_its_share() {
    const STREAMS: usize = 100;
    let mut scene = Scene::set().await;
    let before = Held::now();
    scene.peak = Peak::begin();
    let (address, expectation) = (scene.world.address(NODE), scene.world.expectation(NODE));
    let own = Ipv4Addr::new(127, 0, 0, 7);
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..40 {
        let key = Some(scene.world.host_key("hand.test"));
        match Peer::connect_from(own, key, address, &expectation, Alpn::Exchange).await {
            Ok(peer) => held.push(peer),
            Err(transport::Error::Refused) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    // The share of an address where nothing is set (09-transport.md leaves the number to the server).
    assert_eq!((held.len(), refused), (Limits::default().connections_per_address, 40 - held.len()));
    scene.others_are_served("all connections of one address").await;
    let mut streams = Vec::new();
    for peer in &held[..3] {
        for _ in 0..STREAMS {
            let (mut send, receive) =
                timeout(Duration::from_secs(20), peer.connected.open_bi()).await.unwrap().unwrap();
            Pace::start(&Limits::default()).write(&mut send, Bytes::from_static(&[0x41])).await.unwrap();
            streams.push((send, receive));
        }
        let one_more = timeout(Duration::from_millis(200), peer.connected.open_bi()).await;
        assert!(one_more.is_err(), "more than {STREAMS} streams");
    }
    scene.others_are_served("all streams of three connections").await;
    // The clients are in this process too, each with a socket of its own and the buffers for it.
    scene.peak.check("all connections of one address", 48, 96 * 1024);
    // What is given up can be had again.
    drop(streams);
    let again = timeout(Duration::from_secs(20), held[0].connected.open_bi()).await;
    assert!(again.is_ok_and(|opened| opened.is_ok()));
    drop(held);
    scene.others_are_served("all of it").await;
    before.check_after("all connections of one address", 48, 96 * 1024).await;
}

/// The bodies of a message of which the last never comes; says when it would be its turn.
struct NeverWhole {
    bodies: Memory,
    last: usize,
    asked: tokio::sync::mpsc::UnboundedSender<()>,
}

impl Source for NeverWhole {
    fn read(&self, part: usize, offset: u64, octets_max: usize) -> Later<'_, std::io::Result<Bytes>> {
        if part == self.last {
            let _ = self.asked.send(());
            return Box::pin(std::future::pending());
        }
        self.bodies.read(part, offset, octets_max)
    }

    fn slice(&self, part: usize, offset: u64, octets: u64) -> Later<'_, std::io::Result<Bytes>> {
        self.bodies.slice(part, offset, octets)
    }
}

/// A peer whose mail is accepted sends all small parts of each message but one, and has the node keep them in memory: there is
/// room for so many octets of it, and for others beside it. The bound is that of SEC-5 (`node::limits`), here 16 MiB.
///
/// proves: SEC-5
#[tokio::test]
async fn who_never_ends_an_offer_holds_no_more_than_a_share_of_the_memory() {
    const PARTS: usize = 100;
    let mut scene = Scene::set().await;
    scene.peak = Peak::begin();
    let hand = Arc::new(scene.world.peer("hand.test", NODE).await);
    let (asked, mut at_the_last) = tokio::sync::mpsc::unbounded_channel();
    let bodies: Vec<Vec<u8>> = (0..PARTS).map(|part| vec![part as u8; 32 * 1024]).collect();
    let parts: Vec<(&str, &[u8])> =
        bodies.iter().map(|body| ("application/octet-stream", &body[..])).collect();
    let mut open = Vec::new();
    let failure = loop {
        let subject = format!("Number {}", open.len());
        let message = letter_with(&[("From", "alice@hand.test"), ("Subject", &subject)], &parts);
        let (offer, supply) = hand.offer_of(&message, &[BOB]);
        let source = NeverWhole { bodies: Memory::of(&message), last: PARTS, asked: asked.clone() };
        let own = Arc::clone(&hand);
        let mut offering = tokio::spawn(async move { own.offer_as(offer, supply, &source).await });
        tokio::select! {
            _ = at_the_last.recv() => open.push(offering),
            ended = &mut offering => match ended.unwrap() {
                Err(AskError::Failed(failure)) => break failure,
                other => panic!("{other:?}"),
            },
        }
        assert!(open.len() < 10, "nothing bounds it");
    };
    assert_eq!(failure.code, Code::SYSTEM_FULL);
    assert_eq!(open.len(), 5, "99 parts are 3.2 MB, and 16 MiB are five times as much");
    scene.others_are_served("a share of the memory").await;
    scene.peak.check("a share of the memory", 24, 96 * 1024);
    // It is given back however they end.
    open.iter().for_each(tokio::task::JoinHandle::abort);
    let message = letter("alice@hand.test", "And now for something small");
    let served = async {
        while hand.offer(&message, &[BOB]).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), served).await.unwrap();
}

/// Somebody asks for four megabytes on each of eighty streams and reads nothing of it: what waits is one window.
///
/// proves: TRA-15, SEC-1
#[tokio::test]
async fn who_reads_nothing_holds_one_window() {
    const OCTETS: usize = 3_900_000;
    const STREAMS: usize = 80;
    let mut scene = Scene::set().await;
    let message = letter_with(
        &[("From", "alice@hand.test"), ("Subject", "Large")],
        &[("application/octet-stream", &vec![b'4'; OCTETS])],
    );
    let eve = Address::parse("eve@south.test").unwrap();
    scene.world.node(NODE).put_account("eve", &[eve], Some("right".to_owned())).await.unwrap();
    let (offer, supply) = scene.hand.offer_of(&message, &["eve@south.test"]);
    let outcome = scene.hand.offer_as(offer, supply, &Memory::of(&message)).await.unwrap();
    assert_eq!(outcome.dispositions, [Disposition::Accepted]);
    let key = HostKey::from_ed25519_seed(&[5; 32], &[]).unwrap();
    let (address, expectation) = (scene.world.address(NODE), scene.world.expectation(NODE));
    let device = Peer::connect(Some(key), address, &expectation, Alpn::Submission).await.unwrap();
    let enrol = Enrol { account: "eve".into(), password: "right".into(), device: "a test".into() };
    assert_eq!(device.ask(&Frame::Enrol(enrol)).await, Ok(Frame::Done));
    scene.others_are_served("nothing").await;
    let before = Held::now();
    scene.peak = Peak::begin();
    let fetch =
        frame(&fields(&[(0, uint(21)), (1, bytes(message.identity().as_bytes())), (2, array(&[uint(0)]))]));
    let mut streams = Vec::new();
    // A few less than there may be: streams that have ended are given back some at a time.
    for _ in 0..STREAMS {
        let (mut send, receive) = device.connected.open_bi().await.unwrap();
        Pace::start(&Limits::default()).write(&mut send, fetch.clone().into()).await.unwrap();
        send.finish();
        streams.push((send, receive));
    }
    for round in 0..10 {
        scene.others_are_served(&format!("round {round} of a slow reader")).await;
        scene.peak.sample();
    }
    // A window on either side, both of which are in this process, and a chunk for each stream.
    // Not 80 times 3.9 MB at any moment either.
    scene.peak.check("80 times 3.9 MB that nobody reads", 120, 64 * 1024);
    before.check_after("80 times 3.9 MB that nobody reads", 120, 64 * 1024).await;
    drop(streams);
    // Another request on the same connection, of somebody who reads: it waits for its turn, and is answered.
    let listed =
        timeout(Duration::from_secs(20), device.ask(&Frame::Mailbox { after: 0, limit: 1 })).await.unwrap();
    assert!(matches!(listed, Ok(Frame::MailboxList(entries)) if entries.len() == 1));
}
