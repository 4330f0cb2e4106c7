//! Parties by hand: a node that redirects wherever a test says and takes what comes back, and a doorstep that dies.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use message::{Disposition, Redirect};
use protocol::{AnsweringEvent, DoorstepLease, Failure, Frame, Offer, Outcome, Way, encode};
use tokio::sync::Notify;
use transport::{
    Alpn, Code, Handler, HostKey, Later, Limits, Link, OfferSession, Reply, Server, Service, Session, Socket,
    Step,
};
use waxwing_tests::World;

/// Where an offer is redirected.
pub(crate) type Where = Box<dyn Fn(&Offer) -> Redirect + Send + Sync>;

/// A server in the place of a domain's node, which is not started. Dropping it ends it.
pub(crate) struct RedirectingNode {
    server: Server,
    shared: Arc<Shared>,
}

struct Shared {
    place: Mutex<Where>,
    seen: Mutex<Vec<Way>>,
    ticket_key: [u8; 32],
}

impl RedirectingNode {
    /// One that gives this ticket key to every doorstep.
    pub(crate) fn start(world: &World, domain: &str, ticket_key: [u8; 32], place: Where) -> RedirectingNode {
        let shared = Arc::new(Shared { place: Mutex::new(place), seen: Mutex::default(), ticket_key });
        let meets = Meets(Arc::new(Redirecting(shared.clone())));
        let key = world.host_key(domain);
        let server = serve(key, world.address(domain), &[Alpn::Exchange, Alpn::Submission], meets);
        RedirectingNode { server, shared }
    }

    /// From now on it redirects there.
    pub(crate) fn redirect(&self, place: Where) {
        *self.shared.place.lock().unwrap() = place;
    }

    /// In which ways it was offered to since it was asked last.
    pub(crate) fn seen(&self) -> Vec<Way> {
        std::mem::take(&mut *self.shared.seen.lock().unwrap())
    }
}

impl Drop for RedirectingNode {
    fn drop(&mut self) {
        self.server.hang_up("the test is over");
    }
}

/// Serves these protocols with this key.
pub(crate) fn serve(key: HostKey, at: SocketAddr, alpns: &[Alpn], handler: impl Handler) -> Server {
    let settings = encode(&Frame::Settings(protocol::Settings::default()));
    let service = |alpn: &Alpn| Service { alpn: *alpn, settings: settings.clone() };
    let limits = Limits::default();
    let services = alpns.iter().map(service).collect();
    let server = Server::bind(Socket::bind(at).unwrap(), &key.into(), services, &limits).unwrap();
    tokio::spawn(transport::serve(server.clone(), limits, Arc::new(handler)));
    server
}

/// Answers everybody by one session.
struct Meets(Arc<dyn Session>);

impl Handler for Meets {
    fn meet<'a>(&'a self, _: &'a Link) -> Later<'a, Result<Arc<dyn Session>, Failure>> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

struct Redirecting(Arc<Shared>);

impl Session for Redirecting {
    fn offer(&self) -> Box<dyn OfferSession> {
        Box::new(Redirecting(self.0.clone()))
    }

    fn ask(&self, request: Frame) -> Later<'_, Reply> {
        let lease =
            DoorstepLease { seconds: 300, address: "127.0.0.1".to_owned(), ticket_key: self.0.ticket_key };
        Box::pin(async move {
            Reply::Frame(match request {
                Frame::Doorstep { .. } => Frame::DoorstepLease(lease),
                _ => Frame::Done,
            })
        })
    }
}

impl OfferSession for Redirecting {
    fn handle(&mut self, event: AnsweringEvent) -> Later<'_, Result<Step, Failure>> {
        let AnsweringEvent::Offered(offer) = event else { return Box::pin(async { Ok(Step::Continue) }) };
        self.0.seen.lock().unwrap().push(offer.way.clone());
        let answer = |_: &_| match offer.way {
            Way::Plain => Disposition::Redirected((self.0.place.lock().unwrap())(&offer)),
            _ => Disposition::Accepted,
        };
        let dispositions = offer.envelope.recipients.iter().map(answer).collect();
        Box::pin(async { Ok(Step::Answer(Outcome { dispositions, sealed: None })) })
    }
}

/// A doorstep that dies when the body comes: it says so, waits until it may, and the connection is gone.
pub(crate) struct DyingDoorstep {
    pub(crate) reached: Arc<Notify>,
    pub(crate) may_die: Arc<Notify>,
    pub(crate) server: Server,
}

struct Dying {
    reached: Arc<Notify>,
    may_die: Arc<Notify>,
}

impl DyingDoorstep {
    pub(crate) fn start(key: HostKey, at: SocketAddr) -> DyingDoorstep {
        let (reached, may_die) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let handler = Dying { reached: reached.clone(), may_die: may_die.clone() };
        DyingDoorstep { reached, may_die, server: serve(key, at, &[Alpn::Doorstep], handler) }
    }
}

impl Drop for DyingDoorstep {
    fn drop(&mut self) {
        self.server.hang_up("the test is over");
    }
}

impl Handler for Dying {
    fn meet<'a>(&'a self, link: &'a Link) -> Later<'a, Result<Arc<dyn Session>, Failure>> {
        let session =
            DyingSession { link: link.clone(), reached: self.reached.clone(), may: self.may_die.clone() };
        Box::pin(async move { Ok(Arc::new(session) as Arc<dyn Session>) })
    }
}

#[derive(Clone)]
struct DyingSession {
    link: Link,
    reached: Arc<Notify>,
    may: Arc<Notify>,
}

impl Session for DyingSession {
    fn offer(&self) -> Box<dyn OfferSession> {
        Box::new(self.clone())
    }

    fn ask(&self, _: Frame) -> Later<'_, Reply> {
        Box::pin(async { Reply::Frame(Frame::Done) })
    }
}

impl OfferSession for DyingSession {
    fn handle(&mut self, event: AnsweringEvent) -> Later<'_, Result<Step, Failure>> {
        Box::pin(async move {
            match event {
                // The eager headers are there: the bodies are asked for.
                AnsweringEvent::Supplied => return Ok(Step::Want(message::Selection::All)),
                AnsweringEvent::BodyStart { .. } => {
                    self.reached.notify_one();
                    self.may.notified().await;
                    self.link.close(Code::Internal, "dead");
                }
                _ => {}
            }
            Ok(Step::Continue)
        })
    }
}
