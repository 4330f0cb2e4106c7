//! Ranges for which nobody waits any more: each may cost the whole part.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use message::{Disposition, Message, Selection};
use protocol::{Failure, Frame, Outcome, Settings, encode};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use transport::{
    Alpn, Code, Handler, HostKey, KeyKind, Later, Limits, Link, OfferSession, Pace, Reply, Server,
    ServerIdentity, Service, Session, Socket, Source,
};
use waxwing_tests::peer::{offer, supply};
use waxwing_tests::world::free_address;
use waxwing_tests::{Peer, letter_with};

/// One octet of the only part.
fn range_of(message: &Message) -> Selection {
    let (part, ..) = message.manifest().leaves().next().unwrap();
    Selection::Range { part, offset: 0, octets: 1 }
}

/// What happens to a range.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Begun,
    GivenUp,
}

/// Makes ranges for ever, and tells when it begins and when it is given up.
#[derive(Clone)]
struct Slow(UnboundedSender<Told>);

struct Making(UnboundedSender<Told>);

impl Drop for Making {
    fn drop(&mut self) {
        let _ = self.0.send(Told::GivenUp);
    }
}

impl Source for Slow {
    fn read(&self, _: usize, _: u64, _: usize) -> Later<'_, std::io::Result<Bytes>> {
        panic!("only a range is asked for")
    }

    fn slice(&self, _: usize, _: u64, _: u64) -> Later<'_, std::io::Result<Bytes>> {
        self.0.send(Told::Begun).unwrap();
        let making = Making(self.0.clone());
        Box::pin(async move {
            let _making = making;
            std::future::pending().await
        })
    }
}

/// A server that answers each fetch with a range from there.
struct Door {
    message: Message,
    source: Slow,
}

impl Handler for Door {
    fn meet<'a>(&'a self, _: &'a Link) -> Later<'a, Result<Arc<dyn Session>, Failure>> {
        let met = Door { message: self.message.clone(), source: self.source.clone() };
        Box::pin(async { Ok(Arc::new(met) as Arc<dyn Session>) })
    }
}

impl Session for Door {
    fn offer(&self) -> Box<dyn OfferSession> {
        panic!("nothing is offered")
    }

    fn ask(&self, _: Frame) -> Later<'_, Reply> {
        let (supply, selection) = (supply(&self.message, &[]), range_of(&self.message));
        let source = Arc::new(self.source.clone());
        Box::pin(async { Reply::Content { supply, selection, source } })
    }
}

/// What is told next, within a time that nothing but a fault takes.
async fn next(told: &mut UnboundedReceiver<Told>) -> Option<Told> {
    timeout(Duration::from_secs(60), told.recv()).await.unwrap()
}

struct Scene {
    message: Message,
    source: Slow,
    told: UnboundedReceiver<Told>,
    peer: Peer,
}

impl Scene {
    /// A client and a server, which somebody has to serve.
    async fn set(alpn: Alpn, serving: impl FnOnce(&Server, &Message, &Slow)) -> Scene {
        let message = letter_with(&[("From", "alice@north.test")], &[("text/plain", b"Some text")]);
        let (sender, told) = unbounded_channel();
        let source = Slow(sender);
        let key = HostKey::generate(KeyKind::EcdsaP256, &["south.test"]).unwrap();
        let expectation = transport::Expectation::Pinned { digests: vec![key.key_digest()] };
        let address = free_address();
        let settings = Settings { eager_octets: 0, ..Settings::default() };
        let services = vec![Service { alpn, settings: encode(&Frame::Settings(settings)) }];
        let identity = ServerIdentity::from(key);
        let server =
            Server::bind(Socket::bind(address).unwrap(), &identity, services, &Limits::default()).unwrap();
        serving(&server, &message, &source);
        let peer = Peer::connect(None, address, &expectation, alpn).await.unwrap();
        Scene { message, source, told, peer }
    }
}

/// Who fetches a range stops the stream, or goes away altogether.
///
/// proves: SEC-10
#[tokio::test]
async fn a_range_that_is_fetched_by_nobody_is_not_made() {
    let mut scene = Scene::set(Alpn::Submission, |server, message, source| {
        let door = Door { message: message.clone(), source: source.clone() };
        tokio::spawn(transport::serve(server.clone(), Limits::default(), Arc::new(door)));
    })
    .await;
    let fetch =
        encode(&Frame::Fetch { identity: scene.message.identity(), selection: range_of(&scene.message) });
    for closes in [false, true] {
        let (mut send, mut receive) = scene.peer.connected.open_bi().await.unwrap();
        Pace::start(&Limits::default()).write(&mut send, fetch.clone()).await.unwrap();
        assert_eq!(next(&mut scene.told).await, Some(Told::Begun));
        match closes {
            false => receive.stop(Code::NotWanted.into()).unwrap(),
            true => scene.peer.connected.close(Code::NoError, ""),
        }
        assert_eq!(next(&mut scene.told).await, Some(Told::GivenUp));
    }
}

/// A receiver wants the same range twice, stops the stream while the first is made, and answers.
///
/// proves: SEC-10, TRA-23
#[tokio::test]
async fn a_range_that_the_receiver_wants_no_more_is_not_made() {
    let (links, mut accepted) = unbounded_channel();
    let mut scene = Scene::set(Alpn::Exchange, |server, _, _| {
        let server = server.clone();
        tokio::spawn(async move {
            links.send(server.accept().await.unwrap().authenticated().await.unwrap()).unwrap();
        });
    })
    .await;
    let link = accepted.recv().await.unwrap();
    let (message, told) = (&scene.message, &mut scene.told);
    let offering =
        scene.peer.offer_as(offer(message, &[], &["bob@south.test"]), supply(message, &[]), &scene.source);
    let receiving = async {
        let (mut send, mut receive) = link.accept_bi().await.unwrap();
        let pace = Pace::start(&Limits::default());
        pace.read(&mut receive, 1 << 16).await.unwrap();
        let want = encode(&Frame::Want(range_of(message)));
        pace.write(&mut send, [want.clone(), want].concat().into()).await.unwrap();
        assert_eq!(next(told).await, Some(Told::Begun));
        receive.stop(Code::NotWanted.into()).unwrap();
        assert_eq!(next(told).await, Some(Told::GivenUp));
        let outcome = Outcome { dispositions: vec![Disposition::Accepted], sealed: None };
        pace.write(&mut send, encode(&Frame::Outcome(outcome))).await.unwrap();
        send.finish();
    };
    let (outcome, ()) = tokio::join!(offering, receiving);
    assert_eq!(outcome.unwrap().dispositions, [Disposition::Accepted]);
    assert!(scene.told.is_empty(), "the second was not begun");
}
