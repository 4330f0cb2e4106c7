//! A session by hand: octets in, replies out, questions answered by fakes at once.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use message::address::{Address, Domain};

use crate::fake::FakeHandler;
use crate::mav::Rules;
use crate::smtp::{
    Cookies, Encrypted, Environment, Input, Limits, NoChecks, Output, Parts, Server, Session, Settings,
};
use crate::{Client, Later, Letter, Reply, Service};

/// The time at which sessions begin.
pub(super) const BEGIN_MS: u64 = 1_800_000_000_000;

/// One session and the server behind it.
pub(super) struct Talk {
    pub(super) handler: Arc<FakeHandler>,
    pub(super) session: Session,
    pub(super) now_ms: u64,
    pub(super) closed: bool,
    pub(super) handshake: bool,
    pub(super) paused_ms: u64,
    pub(super) sends: usize,
    server: Arc<Server>,
    said: Vec<u8>,
}

/// A handler with one domain, `in.test`, and one account.
pub(super) fn handler() -> FakeHandler {
    FakeHandler::of(&["in.test"]).with_account("bob", "secret")
}

/// The parts of a server with everything switched on but TLS itself.
pub(super) fn parts(handler: Arc<FakeHandler>) -> Parts {
    Parts {
        settings: Settings {
            host: "mx.in.test".to_owned(),
            domain: Domain::parse("in.test").unwrap(),
            limits: Limits { message_octets_max: 100_000, ..Limits::default() },
        },
        handler,
        checks: Arc::new(NoChecks),
        cookies: Some(Arc::new(KnownCookie)),
        rules: Arc::new(Rules::default()),
        host_names: None,
        tls: None,
        environment: Environment { now_ms: Arc::new(|| BEGIN_MS), seed: Arc::new(|| [7; 32]) },
    }
}

impl Talk {
    /// A session at a port.
    pub(super) fn at(service: Service) -> Talk {
        Talk::of(service, parts(Arc::new(handler())), Arc::new(handler()))
    }

    /// A session with parts of its own.
    pub(super) fn with(service: Service, change: impl FnOnce(&mut Parts)) -> Talk {
        let mut parts = parts(Arc::new(handler()));
        change(&mut parts);
        Talk::of(service, parts, Arc::new(handler()))
    }

    fn of(service: Service, mut parts: Parts, handler: Arc<FakeHandler>) -> Talk {
        parts.handler = Arc::clone(&handler) as Arc<dyn crate::Handler>;
        Talk::on(Server::new(parts), service, handler)
    }

    fn on(server: Arc<Server>, service: Service, handler: Arc<FakeHandler>) -> Talk {
        let client = Client {
            address: "192.0.2.7".parse().unwrap(),
            came_to: std::net::IpAddr::from([127, 0, 0, 1]),
            helo: String::new(),
            extended: false,
            service,
            tls: None,
            certificate_digest: None,
            account: None,
        };
        let mut session = server.session(client);
        session.offer_tls();
        let mut talk = Talk {
            handler,
            session,
            now_ms: BEGIN_MS,
            closed: false,
            handshake: false,
            paused_ms: 0,
            sends: 0,
            server,
            said: Vec::new(),
        };
        talk.drain();
        talk
    }

    /// Another session of the same server.
    pub(super) fn neighbour(&self) -> Talk {
        let service = self.session.client().service;
        Talk::on(Arc::clone(&self.server), service, Arc::clone(&self.handler))
    }

    /// Sends octets; gives what is said to them.
    pub(super) fn send(&mut self, octets: impl AsRef<[u8]>) -> String {
        let before = self.said.len();
        self.session.handle(self.now_ms, Input::Octets(octets.as_ref()));
        self.drain();
        String::from_utf8_lossy(&self.said[before..]).into_owned()
    }

    /// Says what has happened.
    pub(super) fn happens(&mut self, input: Input<'_>) -> String {
        let before = self.said.len();
        self.session.handle(self.now_ms, input);
        self.drain();
        String::from_utf8_lossy(&self.said[before..]).into_owned()
    }

    /// The handshake that was asked for is done.
    pub(super) fn encrypt(&mut self) {
        assert!(std::mem::take(&mut self.handshake), "no handshake was asked for");
        self.happens(Input::Encrypted(encrypted()));
    }

    /// EHLO, and TLS and AUTH where the port asks for them.
    pub(super) fn ready(service: Service) -> Talk {
        Talk::at(service).made_ready()
    }

    /// The same for a session that is there.
    pub(super) fn made_ready(mut self) -> Talk {
        let service = self.session.client().service;
        self.send("EHLO client.test\r\n");
        if service != Service::Transfer {
            self.send("STARTTLS\r\n");
            self.encrypt();
            self.send("EHLO client.test\r\n");
            assert!(self.send("AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n").starts_with("235 "));
        }
        self
    }

    /// All that was said.
    pub(super) fn said(&self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }

    /// The letters that were taken.
    pub(super) fn taken(&self) -> Vec<Letter> {
        self.handler.taken()
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Pause(milliseconds) => self.paused_ms += milliseconds,
                Output::Send(octets) => {
                    self.sends += 1;
                    self.said.extend_from_slice(&octets);
                }
                Output::Ask(question) => {
                    let client = Arc::clone(self.session.client());
                    let answer = now(self.server.answer(&client, question));
                    self.session.handle(self.now_ms, answer);
                }
                Output::StartTls => self.handshake = true,
                Output::Close => self.closed = true,
            }
        }
    }
}

/// The value of a future that does not wait.
pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a fake has waited"),
    }
}

/// Knows one cookie.
struct KnownCookie;

impl Cookies for KnownCookie {
    fn announce(&self, _client: &Client) -> Option<String> {
        Some("COOKIES".to_owned())
    }

    fn test<'a>(
        &'a self,
        _client: &'a Client,
        id: &'a str,
        sender: &'a Address,
        address: IpAddr,
    ) -> Later<'a, Reply> {
        let known = id == "c1" && sender.to_string() == "eve@far.test" && address.is_ipv4();
        let code = message::Code::new(if known { 2 } else { 5 }, 7, 1);
        let digits = if known { 250 } else { 550 };
        Box::pin(async move { Reply { digits, code, text: "cookie".to_owned() } })
    }
}

/// A connection that was encrypted before the first word.
pub(super) fn encrypted() -> Encrypted {
    let description = "TLSv1.3 with TLS_AES_128_GCM_SHA256".to_owned();
    Encrypted { description, certificate_digest: None }
}
