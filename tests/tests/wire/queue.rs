//! The queue: what cannot be delivered now.

use std::sync::{Arc, Mutex};

use message::{Code, Disposition};
use node::Event;
use protocol::{AnsweringEvent, Failure, Frame, Outcome, Settings, StatusQuery, encode};
use transport::{
    Alpn, Handler, HostKey, KeyKind, Later, Limits, Link, OfferSession, Reply, Server, ServerIdentity,
    Service, Session, Socket, Step,
};
use waxwing_tests::world::until;
use waxwing_tests::{Site, World, letter};

const BOB: &str = "bob@south.test";

/// Somebody else answers at the address of a node that is not started: an attempt fails at once and not for good.
pub(crate) fn impostor(world: &World, domain: &str) -> Server {
    let other = HostKey::generate(KeyKind::EcdsaP256, &[domain]).unwrap();
    Server::bind(
        Socket::bind(world.address(domain)).unwrap(),
        &ServerIdentity::from(other),
        vec![Service { alpn: Alpn::Exchange, settings: bytes::Bytes::new() }],
        &Limits::default(),
    )
    .unwrap()
}

/// Takes connections, of which none comes to an end, until it is dropped.
pub(crate) fn answering(server: Server) -> tokio::task::JoinSet<()> {
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        while let Some(accepted) = server.accept().await {
            // The other side ends the handshake.
            let _ = accepted.authenticated().await;
        }
    });
    tasks
}

/// The times at which attempts are made again, in Unix milliseconds, once there are so many.
pub(crate) async fn retries(world: &World, count: usize) -> Vec<u64> {
    world
        .events("north.test")
        .until("retries", |events| {
            let times: Vec<u64> = events
                .iter()
                .filter_map(|event| match event {
                    Event::Retrying { at_ms, .. } => Some(*at_ms),
                    _ => None,
                })
                .collect();
            (times.len() >= count).then_some(times)
        })
        .await
}

/// proves: EXC-18, STA-11, STA-12
#[tokio::test]
async fn what_fails_is_tried_again_later_and_later() {
    let mut world = World::new(&[Site::new("north.test"), Site::new("south.test")]).await;
    world.start("north.test").await;
    let _impostor = answering(impostor(&world, "south.test"));
    let mut alice = world.user("alice@north.test").await;
    let identity = alice.send(&letter("alice@north.test", "Nobody home"), &[BOB]).await;
    // The delays are 1, 2 and 4 seconds, less up to a fifth.
    let times = retries(&world, 3).await;
    let (second, third) = (times[1] - times[0], times[2] - times[1]);
    assert!(second >= 1_600 && third >= 3_200, "{times:?}");

    let [record] = alice.session.status(StatusQuery::Of(identity)).await.unwrap().try_into().unwrap();
    assert_eq!(record.recipients.len(), 1);
    assert_eq!(record.recipients[0].address.to_string(), BOB);
    assert!(matches!(record.recipients[0].disposition, Disposition::Pending { .. }));
    assert!(record.attempts.len() >= 3);
    let host = format!("host.south.test:{}", world.address("south.test").port());
    for attempt in &record.attempts {
        assert_eq!((attempt.host.as_str(), attempt.step.as_str()), (host.as_str(), "connect"));
        assert!(attempt.code.is_some_and(|code| code.class == 4), "{attempt:?}");
    }
}

/// The next attempt would be ten minutes away; what the peer sends says that it is back.
#[tokio::test]
async fn a_peer_that_is_heard_from_gets_its_mail_at_once() {
    let slow = "retry-first-seconds = 600\npoll-min-seconds = 1\n";
    let mut world = World::new(&[Site::new("north.test").queue(slow), Site::new("south.test")]).await;
    world.start("north.test").await;
    let impostor = impostor(&world, "south.test");
    let accepting = answering(impostor.clone());
    let mut alice = world.user("alice@north.test").await;
    let identity = alice.send(&letter("alice@north.test", "When you are back"), &[BOB]).await;
    let at_ms = retries(&world, 1).await[0];
    assert!(at_ms > world.node("north.test").now_ms() + 400_000);

    impostor.close("the place is needed").await;
    drop((impostor, accepting));
    world.until_free("south.test").await;
    world.start("south.test").await;
    let mut bob = world.user(BOB).await;
    bob.send(&letter(BOB, "I am back"), &["alice@north.test"]).await;
    assert_eq!(world.events("north.test").settled(identity, BOB).await, Disposition::Accepted);
    assert_eq!(retries(&world, 1).await.len(), 1, "there was no other attempt between");
    assert_eq!(bob.session.mailbox(0, 10).await.unwrap().len(), 1);
}

/// A receiver that never has room.
struct Full;

impl Handler for Full {
    fn meet<'a>(&'a self, _: &'a Link) -> Later<'a, Result<Arc<dyn Session>, Failure>> {
        Box::pin(async { Ok(Arc::new(Full) as Arc<dyn Session>) })
    }
}

impl Session for Full {
    fn offer(&self) -> Box<dyn OfferSession> {
        Box::new(Full)
    }

    fn ask(&self, _: Frame) -> Later<'_, Reply> {
        Box::pin(async { Reply::Frame(Frame::Done) })
    }
}

impl OfferSession for Full {
    fn handle(&mut self, _: AnsweringEvent) -> Later<'_, Result<Step, Failure>> {
        let dispositions = vec![Disposition::Deferred { code: Code::SYSTEM_FULL, after_seconds: 100 }];
        Box::pin(async { Ok(Step::Answer(Outcome { dispositions, sealed: None })) })
    }
}

/// It asks for a hundred seconds each time; the first pauses of the sender are shorter than that, the later ones longer.
///
/// proves: EXC-14, EXC-18
#[tokio::test]
async fn what_is_deferred_is_offered_later_and_later() {
    let site = Site::new("north.test").queue("retry-first-seconds = 75\n");
    let mut world = World::new(&[site, Site::new("south.test")]).await;
    let server = Server::bind(
        Socket::bind(world.address("south.test")).unwrap(),
        &ServerIdentity::from(world.host_key("south.test")),
        vec![Service { alpn: Alpn::Exchange, settings: encode(&Frame::Settings(Settings::default())) }],
        &Limits::default(),
    )
    .unwrap();
    tokio::spawn(transport::serve(server, Limits::default(), Arc::new(Full)));
    world.start("north.test").await;
    let mut alice = world.user("alice@north.test").await;
    alice.send(&letter("alice@north.test", "No room"), &[BOB]).await;
    let node = world.node("north.test");
    // 75 seconds less up to a fifth, doubled each time: 60 to 75, 120 to 150, 240 to 300. A hundred is the least.
    for (tries, least_ms, most_ms) in [(1, 100_000, 101_000), (2, 120_000, 151_000), (3, 240_000, 301_000)] {
        let leg = || node.store().legs(None, None, 1).unwrap().remove(0);
        assert!(until(|| leg().attempts == tries).await, "{:?}", leg());
        let wait_ms = leg().due_ms.saturating_sub(node.now_ms());
        assert!((least_ms - 5_000..=most_ms).contains(&wait_ms), "{tries}: {wait_ms}");
        node.store().retry(leg().id, node.now_ms()).await.unwrap();
        node.wake_queue();
    }
}

/// A receiver that takes two recipients at once, and writes down for whom it was asked. Of each offer with Carol among them it
/// says the same.
#[derive(Clone)]
struct Few {
    offers: Arc<Mutex<Vec<Vec<String>>>>,
    of_carol: Code,
}

const TWO: Settings = Settings { eager_octets: 0, part_octets_max: 1 << 20, recipients_max: 2 };

impl Handler for Few {
    fn settings(&self) -> Settings {
        TWO
    }

    fn meet<'a>(&'a self, _: &'a Link) -> Later<'a, Result<Arc<dyn Session>, Failure>> {
        Box::pin(async { Ok(Arc::new(self.clone()) as Arc<dyn Session>) })
    }
}

impl Session for Few {
    fn offer(&self) -> Box<dyn OfferSession> {
        Box::new(self.clone())
    }

    fn ask(&self, _: Frame) -> Later<'_, Reply> {
        Box::pin(async { Reply::Frame(Frame::Done) })
    }
}

impl OfferSession for Few {
    fn handle(&mut self, event: AnsweringEvent) -> Later<'_, Result<Step, Failure>> {
        let AnsweringEvent::Offered(offer) = event else { panic!("nothing was wanted") };
        let to: Vec<String> = offer.envelope.recipients.iter().map(ToString::to_string).collect();
        let step = match to.iter().any(|to| to.starts_with("carol")) {
            true => Err(Failure { code: self.of_carol, text: "not for Carol".to_owned() }),
            false => Ok(Step::Answer(Outcome {
                dispositions: vec![Disposition::Accepted; to.len()],
                sealed: None,
            })),
        };
        self.offers.lock().unwrap().push(to);
        Box::pin(async { step })
    }
}

/// Five recipients, and each gets the answer that was given about it.
///
/// proves: EXC-31
#[tokio::test]
async fn a_receiver_of_few_recipients_is_offered_few_at_once() {
    let to = ["ann", "bob", "carol", "dan", "eve"].map(|name| format!("{name}@south.test"));
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    for (of_carol, offers) in [
        (Code::NOT_AUTHORIZED, vec![vec![to[0], to[1]], vec![to[2], to[3]], vec![to[4]]]),
        (Code::SYSTEM_FULL, vec![vec![to[0], to[1]], vec![to[2], to[3]]]),
    ] {
        let mut world = World::new(&[Site::new("north.test"), Site::new("south.test")]).await;
        let server = Server::bind(
            Socket::bind(world.address("south.test")).unwrap(),
            &ServerIdentity::from(world.host_key("south.test")),
            vec![Service { alpn: Alpn::Exchange, settings: encode(&Frame::Settings(TWO)) }],
            &Limits::default(),
        )
        .unwrap();
        let few = Few { offers: Arc::default(), of_carol };
        tokio::spawn(transport::serve(server, Limits::default(), Arc::new(few.clone())));
        world.start("north.test").await;
        let mut alice = world.user("alice@north.test").await;
        let identity = alice.send(&letter("alice@north.test", "To five"), &to).await;
        assert!(until(|| few.offers.lock().unwrap().len() >= offers.len()).await);
        for accepted in [to[0], to[1]] {
            assert_eq!(world.events("north.test").settled(identity, accepted).await, Disposition::Accepted);
        }
        assert_eq!(few.offers.lock().unwrap()[..offers.len()], offers);
        if of_carol.class == 5 {
            for refused in [to[2], to[3]] {
                let told = world.events("north.test").settled(identity, refused).await;
                assert_eq!(told, Disposition::refused(of_carol, "not for Carol"));
            }
            assert_eq!(world.events("north.test").settled(identity, to[4]).await, Disposition::Accepted);
        } else {
            // The others are offered later, and wait until then.
            let told = alice.dispositions(identity).await;
            let waiting = told.iter().filter(|told| matches!(told, Disposition::Pending { .. })).count();
            assert_eq!(waiting, 3, "{told:?}");
        }
    }
}

/// What was taken is sent by the node that is begun anew. The first one stops in the middle of an attempt to connect to
/// somebody who never answers, and lets go of its store at once.
#[tokio::test]
async fn what_was_taken_outlives_the_node() {
    let mut world = World::new(&[Site::new("north.test"), Site::new("south.test")]).await;
    world.start("north.test").await;
    let silent = std::net::UdpSocket::bind(world.address("south.test")).unwrap();
    let mut alice = world.user("alice@north.test").await;
    let identity = alice.send(&letter("alice@north.test", "Some day"), &[BOB]).await;
    let resolved =
        |event: &Event| matches!(event, Event::Step { step, .. } if step == "resolve").then_some(());
    world.events("north.test").find("an attempt", resolved).await;
    world.stop("north.test").await;
    drop(silent);
    world.start("south.test").await;
    let mut bob = world.user(BOB).await;
    world.start("north.test").await;
    assert_eq!(world.events("north.test").settled(identity, BOB).await, Disposition::Accepted);
    assert_eq!(bob.fetch(identity).await.unwrap().manifest.unwrap().identity(), identity);
    assert_eq!(alice.dispositions(identity).await, [Disposition::Accepted], "on a connection opened anew");
}

/// With no time at all to try, it expires at once: a record, and no message about it.
///
/// proves: STA-13
#[tokio::test]
async fn what_is_past_its_time_expires() {
    let site = Site::new("north.test").queue("hours = 0\n");
    let mut world = World::new(&[site, Site::new("south.test")]).await;
    world.start("north.test").await;
    let mut alice = world.user("alice@north.test").await;
    let identity = alice.send(&letter("alice@north.test", "Too late"), &[BOB]).await;
    assert_eq!(world.events("north.test").settled(identity, BOB).await, Disposition::Expired);
    assert_eq!(alice.dispositions(identity).await, [Disposition::Expired]);
    assert!(alice.session.mailbox(0, 10).await.unwrap().is_empty());
}

/// A domain that is not in the DNS, and one that says that it takes no mail.
#[tokio::test]
async fn where_no_way_leads_the_answer_is_final() {
    let mut world = World::new(&[Site::new("north.test"), Site::new("closed.test").takes_no_mail()]).await;
    world.start("north.test").await;
    let mut alice = world.user("alice@north.test").await;
    let identity = alice.send(&letter("alice@north.test", "No way"), &["x@closed.test"]).await;
    let settled = world.events("north.test").settled(identity, "x@closed.test").await;
    assert!(matches!(settled, Disposition::Refused { code, .. } if code == Code::NO_ROUTE), "{settled:?}");
}
