//! Who has proved nothing: how long such a connection stays, and who leaves when all places are taken.

use crate::common::{NAME, client, host_key, pin, services, socket};
use protocol::{Failure, Frame};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use waxwing_transport::{
    Alpn, Client, Connected, Error, Expectation, Handler, HostKey, Later, Limits, Link, OfferSession, Pace,
    Reply, Server, Session, ask, serve,
};

/// Lets everybody in. A poll waits until it is let go; a request for the devices proves who the peer is.
#[derive(Clone)]
struct Door {
    let_go: Arc<Semaphore>,
}

struct Met {
    door: Door,
    proved: AtomicBool,
}

impl Handler for Door {
    fn meet<'a>(&'a self, _: &'a Link) -> Later<'a, Result<Arc<dyn Session>, Failure>> {
        let met = Met { door: self.clone(), proved: AtomicBool::new(false) };
        Box::pin(async { Ok(Arc::new(met) as Arc<dyn Session>) })
    }
}

impl Session for Met {
    fn has_proved(&self) -> bool {
        self.proved.load(Ordering::Relaxed)
    }

    fn offer(&self) -> Box<dyn OfferSession> {
        panic!("nothing is offered")
    }

    fn ask(&self, request: Frame) -> Later<'_, Reply> {
        Box::pin(async move {
            match request {
                Frame::Devices => self.proved.store(true, Ordering::Relaxed),
                _ => self.door.let_go.acquire().await.unwrap().forget(),
            }
            Reply::Frame(Frame::Done)
        })
    }
}

struct Scene {
    server: Server,
    door: Door,
    key: HostKey,
    address: SocketAddr,
}

impl Scene {
    fn set(limits: &Limits) -> Scene {
        let key = host_key();
        let server = Server::bind(socket(), &key.clone().into(), services(), limits).unwrap();
        let address = server.local_address().unwrap();
        let door = Door { let_go: Arc::new(Semaphore::new(0)) };
        tokio::spawn(serve(server.clone(), limits.clone(), Arc::new(door.clone())));
        Scene { server, door, key, address }
    }

    fn expectation(&self) -> Expectation {
        pin(&self.key)
    }

    /// A connection from the point of view of both: the server has seen the end of the handshake.
    async fn connect(&self, client: &Client) -> Result<Connected, Error> {
        let before = self.server.counts().authenticated;
        let connected = client.connect(self.address, NAME, Alpn::Submission, &self.expectation()).await?;
        while self.server.counts().authenticated == before {
            tokio::task::yield_now().await;
        }
        Ok(connected)
    }
}

fn pace() -> Pace {
    Pace::start(&Limits::default())
}

async fn why(connected: &Connected) -> u64 {
    match tokio::time::timeout(Duration::from_secs(60), connected.closed()).await {
        Ok(Error::ClosedByPeer { number, .. }) => number,
        other => panic!("{other:?}"),
    }
}

const IDLE: u64 = 0xb;

/// One does nothing, one has a transaction open, one has proved who it is.
///
/// proves: TRA-24
#[tokio::test]
async fn who_proves_nothing_and_asks_for_nothing_does_not_stay() {
    let limits = Limits { unproved_time: Duration::from_secs(2), ..Limits::default() };
    let scene = Scene::set(&limits);
    // Signs of life, which are no use of a connection.
    let client = client(None, &Limits { keep_alive: Some(Duration::from_millis(100)), ..Limits::default() });
    let waiting = scene.connect(&client).await.unwrap();
    let asking = tokio::spawn({
        let link = waiting.link().clone();
        async move { ask(&link, pace(), &Frame::Poll(vec![])).await }
    });
    let known = scene.connect(&client).await.unwrap();
    assert_eq!(ask(&known, pace(), &Frame::Devices).await, Ok(Frame::Done));
    let idle = scene.connect(&client).await.unwrap();
    assert_eq!(why(&idle).await, IDLE);
    assert!(waiting.ended().is_none() && known.ended().is_none(), "they were there before");
    scene.door.let_go.add_permits(1);
    assert_eq!(asking.await.unwrap(), Ok(Frame::Done));
    assert_eq!(why(&waiting).await, IDLE);
    assert!(known.ended().is_none());
    assert_eq!(ask(&known, pace(), &Frame::Devices).await, Ok(Frame::Done));
}

/// proves: TRA-24
#[tokio::test]
async fn when_all_places_are_taken_the_longest_unused_makes_room() {
    let scene = Scene::set(&Limits { connections: 2, ..Limits::default() });
    let client = client(None, &Limits::default());
    let known = scene.connect(&client).await.unwrap();
    assert_eq!(ask(&known, pace(), &Frame::Devices).await, Ok(Frame::Done));
    let mut last = scene.connect(&client).await.unwrap();
    for displaced in 1..4 {
        let newcomer = scene.connect(&client).await.unwrap();
        assert_eq!(why(&last).await, IDLE);
        let counts = scene.server.counts();
        assert_eq!((counts.open, counts.displaced, counts.refused), (2, displaced, 0));
        last = newcomer;
    }
    assert_eq!(ask(&last, pace(), &Frame::Devices).await, Ok(Frame::Done));
    // Who is known stays, whatever comes.
    assert_eq!(scene.connect(&client).await.unwrap_err(), Error::Refused);
    assert_eq!(ask(&known, pace(), &Frame::Devices).await, Ok(Frame::Done));
}
