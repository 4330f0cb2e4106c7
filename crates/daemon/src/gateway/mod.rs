//! The gateway of a node: its parts, put together by the configuration, and how they run (`spec/18-gateway.md`).

mod awaited;
pub(crate) mod config;
mod courier;
mod crossing;
mod door;
mod lmtp;
mod notices;
mod records;
mod settings;

use std::net::SocketAddr;
use std::sync::Arc;

use gateway::cookies::{Jar, JarSettings, Tester};
use gateway::properties::Arrangements;
use gateway::smtp::{Checks, Cookies, Environment, NoChecks, Parts, Server};
use gateway::{Records, Service};
use node::{Clock, Courier, Node};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::outbound::ExchangeCourier;
use crate::{Error, clock};

use awaited::Awaited;
use courier::LegacyCourier;
use crossing::Crossing;
use door::LegacyDoor;
pub(crate) use lmtp::LmtpCourier;
use notices::Notices;
pub(crate) use records::MemoryRecords;
use records::StoreRecords;

/// The gateway of one node, with its ports bound.
pub(crate) struct Gateway {
    server: Arc<Server>,
    listeners: Vec<(TcpListener, Service)>,
    notices: Option<Notices>,
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
    let mut awaited = None;
    let mut tester = None;
    let mut notices = None;
    let courier: Arc<dyn Courier> = if wanted.out.enabled {
        let shared = Arc::new(Awaited {
            records: records.clone(),
            tags: settings::tags(config)?,
            domain: node.settings().domain.clone(),
            window_seconds: settings::window_seconds(&wanted.out),
            settled: Box::new(node.settled_listener()),
        });
        awaited = Some(shared.clone());
        let sender = settings::sender(config, &host, resolver, &records, jar.clone())?;
        tester = jar.as_ref().map(|_| {
            let loopback = config.listen.address.ip().is_loopback();
            Arc::new(Tester::new(resolver.clone(), sender.clone(), Arc::new(clock::now_ms), loopback))
        });
        notices = Some(Notices { node: node.clone(), sender: sender.clone(), host: host.clone() });
        Arc::new(Crossing {
            exchange,
            legacy: LegacyCourier {
                sender,
                awaited: shared,
                host: host.clone(),
                signer: settings::signer(config)?,
                room: LegacyCourier::room(),
            },
            resolver: resolver.clone(),
            records,
            native_ms: wanted.out.native_hours.saturating_mul(3_600_000),
        })
    } else {
        Arc::new(exchange)
    };
    let rules = settings::rules(config)?;
    let host_names: Option<Arc<dyn gateway::mav::HostNames>> = match rules.names_hosts() {
        true => Some(Arc::new(gateway::mav::ConfirmedNames(resolver.clone()))),
        false => None,
    };
    let checks: Arc<dyn Checks> = match wanted.checks.enabled {
        true => {
            let checker = settings::checker(config, &host, resolver)?;
            let checker = match arrangements {
                Some(arrangements) => checker.with_arrangements(arrangements),
                None => checker,
            };
            match tester {
                Some(tester) => Arc::new(checker.with_cookies(tester)),
                None => Arc::new(checker),
            }
        }
        false => Arc::new(NoChecks),
    };
    let server = Server::new(Parts {
        settings: gateway::smtp::Settings {
            host,
            domain: node.settings().domain.clone(),
            limits: settings::limits(wanted),
        },
        handler: Arc::new(LegacyDoor { node: node.clone(), awaited }),
        checks,
        cookies: jar.map(|jar| jar as Arc<dyn Cookies>),
        rules: Arc::new(rules),
        host_names,
        tls: Some(settings::tls(config)?),
        environment: environment(),
    });
    let mut listeners = Vec::new();
    for (address, service) in [
        (wanted.transfer, Service::Transfer),
        (wanted.submission, Service::Submission),
        (wanted.submissions, Service::Submissions),
    ] {
        let Some(address) = address else { continue };
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Error::Other(format!(
                "[gateway] cannot listen on {address}: {error}; say another port, or end who has it"
            ))
        })?;
        listeners.push((listener, service));
    }
    let (stop, _) = watch::channel(false);
    Ok((Some(Gateway { server, listeners, notices, stop }), courier))
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

    /// Serves all ports in tasks of their own; gives back what ends them in good order.
    pub(crate) fn serve(self, tasks: &mut JoinSet<()>) -> Serving {
        let mut ports = JoinSet::new();
        for (listener, service) in self.listeners {
            ports.spawn(self.server.clone().serve(listener, service, self.stop.subscribe()));
        }
        if let Some(notices) = self.notices {
            tasks.spawn(notices.run());
        }
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
