//! The gateway of a node: its parts, put together by the configuration, and how they run (`spec/18-gateway.md`).

mod awaited;
pub(crate) mod certificate;
pub(crate) mod config;
mod courier;
mod crossing;
mod door;
pub(crate) mod handover;
mod lmtp;
mod notices;
mod records;
mod room;
mod settings;
mod way_back;

use std::net::SocketAddr;
use std::sync::Arc;

use gateway::cookies::{Jar, JarSettings, Tester};
use gateway::out::Sender;
use gateway::properties::Arrangements;
use gateway::smtp::{Checks, Cookies, Environment, NoChecks, Parts, Server};
use gateway::{Records, Service};
use node::{Clock, Courier, Node};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::outbound::ExchangeCourier;
use crate::{Error, clock, listen};

use awaited::Awaited;
use certificate::Certificates;
use config::GatewayConfig;
use courier::LegacyCourier;
use crossing::Crossing;
use door::LegacyDoor;
pub(crate) use lmtp::LmtpCourier;
use notices::Notices;
pub(crate) use records::MemoryRecords;
use records::StoreRecords;
use room::Room;
pub(crate) use settings::{checkers, mistakes, signer as dkim_signer};
use way_back::WayBack;

/// The gateway of one node, with its ports bound.
pub(crate) struct Gateway {
    server: Arc<Server>,
    listeners: Vec<(TcpListener, Service)>,
    notices: Notices,
    certificates: Arc<Certificates>,
    stop: watch::Sender<bool>,
}

/// Where a gateway listens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GatewayAddresses {
    /// For other servers.
    pub transfer: Option<SocketAddr>,
    /// For users, after STARTTLS.
    pub submission: Option<SocketAddr>,
    /// For users, over TLS from the start.
    pub submissions: Option<SocketAddr>,
}

/// What several parts of a gateway are made of.
struct Materials<'a> {
    config: &'a Config,
    wanted: &'a GatewayConfig,
    node: &'a Node,
    resolver: &'a Arc<dyn dns::Resolver>,
    records: Arc<dyn Records>,
    host: String,
    jar: Option<Arc<Jar>>,
}

/// The way out.
struct Out {
    sender: Arc<Sender>,
    awaited: Arc<Awaited>,
    way_back: Arc<WayBack>,
    tester: Option<Arc<Tester>>,
}

/// Puts the gateway of a configuration together; the courier is the one for both worlds where mail goes out to the old one.
///
/// # Errors
/// What keeps it from starting: a port that is taken, a key that cannot be read, a rule that means nothing.
pub(crate) async fn open(
    config: &Config,
    node: &Node,
    resolver: &Arc<dyn dns::Resolver>,
    exchange: ExchangeCourier,
    arrangements: Option<Arc<dyn Arrangements>>,
) -> Result<(Option<Gateway>, Arc<dyn Courier>), Error> {
    let Some(wanted) = &config.gateway else { return Ok((None, Arc::new(exchange))) };
    let records: Arc<dyn Records> = Arc::new(StoreRecords(node.store().clone()));
    let host = settings::host(config)?;
    let jar = wanted.cookies.then(|| {
        let domains = node.settings().domains.keys().cloned().collect();
        Arc::new(Jar::new(JarSettings { host: host.clone(), domains }, records.clone(), environment()))
    });
    let made = Materials { config, wanted, node, resolver, records, host, jar };
    let out = wanted.out.enabled.then(|| made.out()).transpose()?;
    let certificates = settings::certificates(config)?;
    let server = made.server(out.as_ref(), arrangements, &certificates)?;
    let listeners = listeners(wanted).await?;
    let sender = out.as_ref().map(|out| out.sender.clone());
    let notices = Notices { node: node.clone(), sender, host: made.host.clone() };
    let courier: Arc<dyn Courier> = match out {
        Some(out) => Arc::new(made.crossing(exchange, out)?),
        None => Arc::new(exchange),
    };
    let (stop, _) = watch::channel(false);
    Ok((Some(Gateway { server, listeners, notices, certificates, stop }), courier))
}

impl Materials<'_> {
    fn out(&self) -> Result<Out, Error> {
        let awaited = Arc::new(Awaited {
            records: self.records.clone(),
            tags: settings::tags(self.config)?,
            domain: self.node.settings().domain.clone(),
            window_seconds: settings::window_seconds(&self.wanted.out),
            settled: Box::new(self.node.settled_listener()),
        });
        let sender =
            settings::sender(self.config, &self.host, self.resolver, &self.records, self.jar.clone())?;
        let tester = self.jar.as_ref().map(|_| {
            let loopback = self.config.listen.address.ip().is_loopback();
            Arc::new(Tester::new(self.resolver.clone(), sender.clone(), Arc::new(clock::now_ms), loopback))
        });
        let file = self.config.data().join(way_back::SECRETS_FILE);
        let way_back = Arc::new(WayBack::open(file, awaited.domain.clone(), sender.clone())?);
        Ok(Out { sender, awaited, way_back, tester })
    }

    fn crossing(&self, exchange: ExchangeCourier, out: Out) -> Result<Crossing, Error> {
        let legacy = LegacyCourier {
            sender: out.sender,
            awaited: out.awaited,
            way_back: out.way_back,
            host: self.host.clone(),
            signer: settings::signer(self.config)?,
            room: Room::new(),
            tester: out.tester,
            from_address: self.wanted.out.from_address,
        };
        Ok(Crossing {
            exchange,
            legacy,
            resolver: self.resolver.clone(),
            records: self.records.clone(),
            native_ms: self.wanted.out.native_hours.saturating_mul(3_600_000),
        })
    }

    fn checks(
        &self,
        out: Option<&Out>,
        arrangements: Option<Arc<dyn Arrangements>>,
    ) -> Result<Arc<dyn Checks>, Error> {
        if !self.wanted.checks.enabled {
            return Ok(Arc::new(NoChecks));
        }
        let mut checker = settings::checker(self.config, &self.host, self.resolver)?;
        if let Some(arrangements) = arrangements {
            checker = checker.with_arrangements(arrangements);
        }
        if let Some(tester) = out.and_then(|out| out.tester.clone()) {
            checker = checker.with_cookies(tester);
        }
        Ok(Arc::new(checker))
    }

    fn server(
        &self,
        out: Option<&Out>,
        arrangements: Option<Arc<dyn Arrangements>>,
        certificates: &Arc<Certificates>,
    ) -> Result<Arc<Server>, Error> {
        let rules = settings::rules(self.config)?;
        let host_names: Option<Arc<dyn gateway::mav::HostNames>> = match rules.names_hosts() {
            true => Some(Arc::new(gateway::mav::ConfirmedNames(self.resolver.clone()))),
            false => None,
        };
        let awaited = out.map(|out| out.awaited.clone());
        let way_back = out.map(|out| out.way_back.clone());
        Ok(Server::new(Parts {
            settings: gateway::smtp::Settings {
                host: self.host.clone(),
                domain: self.node.settings().domain.clone(),
                limits: settings::limits(self.wanted),
            },
            handler: Arc::new(LegacyDoor { node: self.node.clone(), awaited, way_back }),
            checks: self.checks(out, arrangements)?,
            cookies: self.jar.clone().map(|jar| jar as Arc<dyn Cookies>),
            rules: Arc::new(rules),
            host_names,
            tls: Some(settings::tls(self.config, certificates.clone())?),
            environment: environment(),
        }))
    }
}

async fn listeners(wanted: &GatewayConfig) -> Result<Vec<(TcpListener, Service)>, Error> {
    let mut listeners = Vec::new();
    for (setting, address, service) in [
        ("[gateway] transfer", wanted.transfer, Service::Transfer),
        ("[gateway] submission", wanted.submission, Service::Submission),
        ("[gateway] submissions", wanted.submissions, Service::Submissions),
    ] {
        let Some(address) = address else { continue };
        listeners.push((listen::tcp(setting, address).await?, service));
    }
    Ok(listeners)
}

impl Gateway {
    /// Where it listens.
    pub(crate) fn addresses(&self) -> GatewayAddresses {
        let mut addresses = GatewayAddresses::default();
        for (listener, service) in &self.listeners {
            let place = match service {
                Service::Transfer => &mut addresses.transfer,
                Service::Submission => &mut addresses.submission,
                Service::Submissions => &mut addresses.submissions,
            };
            *place = listener.local_addr().ok();
        }
        addresses
    }

    /// Its certificate.
    pub(crate) fn certificates(&self) -> Arc<Certificates> {
        self.certificates.clone()
    }

    /// Serves all ports in tasks of their own; gives back what ends them in good order.
    pub(crate) fn serve(self, tasks: &mut JoinSet<()>) -> Serving {
        let mut ports = JoinSet::new();
        for (listener, service) in self.listeners {
            ports.spawn(self.server.clone().serve(listener, service, self.stop.subscribe()));
        }
        tasks.spawn(self.notices.run());
        tasks.spawn(self.certificates.follow());
        Serving { ports, stop: self.stop }
    }
}

/// A gateway that serves.
pub(crate) struct Serving {
    ports: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Serving {
    /// No new sessions; those that are in the middle of a message end it, within the time of grace.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.ports.join_next().await.is_some() {}
    }
}

/// The time and randomness for a server.
pub(crate) fn environment() -> Environment {
    let seed = || {
        let mut seed = [0; 32];
        clock::SystemClock.random(&mut seed);
        seed
    };
    Environment { now_ms: Arc::new(clock::now_ms), seed: Arc::new(seed) }
}
