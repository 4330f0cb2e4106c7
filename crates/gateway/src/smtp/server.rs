//! The listeners: who may connect, and how it all ends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::{Authenticity, Client, Letter, Reply, ReturnPath, Service};

use super::content::Memory;
use super::session::{Input, Offer, Question, Session};
use super::settings::{Parts, Settings};
use super::{connection, reply};

/// An SMTP server. Its bounds hold over all its ports together.
pub struct Server {
    pub(super) parts: Parts,
    settings: Arc<Settings>,
    memory: Memory,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Server {
    /// Puts a server together. It listens nowhere as yet.
    pub fn new(parts: Parts) -> Arc<Server> {
        let settings = Arc::new(parts.settings.clone());
        let memory = Memory::of(settings.limits.memory_octets_max);
        Arc::new(Server { parts, settings, memory, open: Mutex::default() })
    }

    /// Serves one port, until `stop` says true or its sender is gone. Sessions that have nothing under way end at once
    /// with 421, others when their message is answered; what is left after the time of grace is cut off.
    ///
    /// keeps: GW-14
    pub async fn serve(
        self: Arc<Server>,
        listener: TcpListener,
        service: Service,
        stop: watch::Receiver<bool>,
    ) {
        let mut sessions = JoinSet::new();
        let mut stopped = stop.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => break,
                Some(_) = sessions.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, from)) => self.greet(&mut sessions, stream, from.ip(), service, &stop),
                Err(error) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        let grace = Duration::from_millis(self.settings.limits.grace_ms);
        let all = async { while sessions.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_err() {
            sessions.shutdown().await;
        }
    }

    fn greet(
        self: &Arc<Server>,
        sessions: &mut JoinSet<()>,
        stream: TcpStream,
        address: IpAddr,
        service: Service,
        stop: &watch::Receiver<bool>,
    ) {
        // Replies are small and waited for.
        let _ = stream.set_nodelay(true);
        let Some(place) = Place::take(self, address) else {
            if service != Service::Submissions {
                // It fits into the empty buffer of a new connection, or is not worth waiting for.
                let _ = stream.try_write(b"421 4.3.2 too many connections; please try again later\r\n");
            }
            return;
        };
        let (server, stop) = (Arc::clone(self), stop.clone());
        sessions.spawn(async move {
            if let Err(error) = connection::run(&server, stream, address, service, stop).await {
                tracing::debug!(%address, %error, "a session has broken off");
            }
            drop(place);
        });
    }

    pub(super) fn now_ms(&self) -> u64 {
        (self.parts.environment.now_ms)()
    }

    pub(super) fn session(&self, client: Client) -> Session {
        let offer = Offer {
            settings: Arc::clone(&self.settings),
            tls: self.parts.tls.is_some() && client.service != Service::Submissions,
            rules: !self.parts.rules.rules.is_empty(),
            cookies: self.parts.cookies.as_ref().and_then(|cookies| cookies.announce(&client)),
            memory: self.memory.clone(),
        };
        Session::begin(offer, client, (self.parts.environment.seed)(), self.now_ms())
    }

    /// Answers what a session asks.
    pub(super) async fn answer(&self, client: &Arc<Client>, question: Question) -> Input<'static> {
        let handler = &self.parts.handler;
        match question {
            Question::Login { name, password } => {
                Input::LoggedIn(handler.login(&name, &password, client.address).await)
            }
            Question::Keys { name } => Input::Keys(handler.scram_keys(&name, client.address).await),
            Question::Failed { name } => {
                handler.login_failed(&name, client.address).await;
                Input::Noted
            }
            Question::Sender(path) => Input::Sender(self.sender(client, &path).await),
            Question::Recipient(path, recipient) => {
                Input::Recipient(handler.recipient(client, &path, &recipient).await)
            }
            Question::Take(letter) => Input::Taken(self.take(*letter).await),
            Question::Test { id, sender, address } => Input::Tested(match &self.parts.cookies {
                Some(cookies) => cookies.test(client, &id, &sender, address).await,
                None => reply::unknown(),
            }),
        }
    }

    async fn sender(&self, client: &Client, path: &ReturnPath) -> Result<Option<crate::Mav>, Reply> {
        let Some(path) = path else { return Ok(None) };
        let rules = &self.parts.rules;
        let hosts = match &self.parts.host_names {
            Some(names) if rules.names_hosts() => names.confirmed(client.address).await,
            _ => Vec::new(),
        };
        rules.judge(client, &hosts, path)
    }

    async fn take(&self, mut letter: Letter) -> Result<Vec<message::Disposition>, Reply> {
        // What is checked and what is delivered must be read alike. keeps: CHK-12
        if translate::has_stray_line(&letter.octets) {
            let text = "a line of the header is neither a field nor goes on with one".to_owned();
            return Err(Reply { digits: 550, code: message::Code::CONTENT_MALFORMED, text });
        }
        letter.earlier_mav = self.parts.rules.earlier(&letter.client, &letter.octets);
        if letter.client.account.is_none() {
            letter.findings = self.parts.checks.check(&letter).await;
            if let Some((code, text)) = letter.findings.refuse.take() {
                let digits = if code.class == 4 { 451 } else { 550 };
                return Err(Reply { digits, code, text });
            }
            if letter.authenticity == Authenticity::Unverified && letter.findings.return_path_verified {
                letter.authenticity = Authenticity::Verified;
            }
            crate::check::note_mav(&self.settings.host, &mut letter);
        }
        self.parts.handler.take(letter).await
    }
}

/// A place among the connections, given back when it is dropped.
struct Place {
    server: Arc<Server>,
    neighbourhood: IpAddr,
}

impl Place {
    /// keeps: GW-10
    fn take(server: &Arc<Server>, address: IpAddr) -> Option<Place> {
        let neighbourhood = neighbourhood(address);
        let limits = &server.settings.limits;
        let mut open = server.open.lock().unwrap_or_else(PoisonError::into_inner);
        let near = open.by_address.get(&neighbourhood).copied().unwrap_or_default();
        if open.all >= limits.connections_max || near >= limits.connections_per_address_max {
            return None;
        }
        open.all += 1;
        open.by_address.insert(neighbourhood, near + 1);
        Some(Place { server: Arc::clone(server), neighbourhood })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.server.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        if let Entry::Occupied(mut near) = open.by_address.entry(self.neighbourhood) {
            *near.get_mut() -= 1;
            if *near.get() == 0 {
                near.remove();
            }
        }
    }
}

/// Who has one IPv6 address has 2^64 of them.
pub(crate) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
        address => address,
    }
}
