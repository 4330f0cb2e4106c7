//! A node that runs: everything is opened here in order, and closed in the opposite order.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::gateway::properties::Arrangements;
use control::{ListenerView, Operator, Request, Response};
use dns::{HickoryResolver, Resolver, TrustAnchor};
use node::{Maildir, Node, Observer};
use protocol::{Frame, Settings, encode};
use storage::Store;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::JoinSet;
use tokio::time::timeout;
use transport::{Alpn, Client, Limits, Pool, Roots, Server, ServerIdentity, Service, Socket};

use crate::clock::{SystemClock, now_ms};
use crate::config::{Config, EngineConfig};
use crate::error::is_in_use;
use crate::flow::Flow;
use crate::forwarding::Roles;
use crate::gateway::GatewayAddresses;
use crate::identity::Identities;
use crate::inbound::Door;
use crate::operator::{NodeOperator, Watching};
use crate::outbound::ExchangeCourier;
use crate::peers::Peers;
use crate::published::Published;
use crate::slices::Slices;
use crate::{Error, console, files, gateway, listen};

/// When Maildirs that could not be written are tried again, unless mail comes sooner.
const MAILDIR_PAUSE: Duration = Duration::from_secs(30);

/// A node that runs. Dropping it ends it at once; [`Running::stop`] ends it in good order.
pub struct Running {
    node: Node,
    server: Server,
    tasks: JoinSet<()>,
    shutdown: tokio::sync::watch::Receiver<bool>,
    socket: PathBuf,
    console_address: Option<String>,
    gateway: Option<gateway::Serving>,
    gateway_addresses: GatewayAddresses,
    listeners: Vec<ListenerView>,
    operator: Arc<NodeOperator>,
}

impl Running {
    /// Starts a node by its configuration.
    ///
    /// # Errors
    /// What keeps it from starting, in words that say what to do.
    pub async fn start(config: &Config, observer: Arc<dyn Observer>) -> Result<Running, Error> {
        let store = open_store(config)?;
        let resolver = resolver(config)?;
        let settings = config.settings()?;
        let flow = Arc::new(Flow::before(observer));
        let domain = settings.domain.clone();
        let node = Node::new(settings, store, resolver.clone(), Arc::new(SystemClock), flow.clone());
        if let Some(service) = config.policy_service()? {
            node.consult(Arc::new(service));
        }
        let pins = Arc::new(config.pins()?);
        let roots = roots(&config.path(&config.tls.roots))?;
        let key = config.host_key()?;
        let limits = Limits::default();

        let server = Server::bind(
            listen::udp("[listen] address", config.listen.address)?,
            &ServerIdentity::from(key.clone()),
            services(config),
            &limits,
        )?;
        let client = Client::bind(Socket::bind(outbound_address(config))?, Some(key), &limits)?;
        let (peers, slices) = (Arc::new(Peers::default()), Arc::new(Slices::default()));
        let door = Door {
            node: node.clone(),
            identities: Identities::new(pins.clone(), resolver.clone(), roots.clone()),
            settings: protocol_settings(config),
            peers: peers.clone(),
            slices: slices.clone(),
        };
        let watching = Watching {
            flow,
            published: Published::of(config)?,
            resolver: resolver.clone(),
            console: None,
            free_octets_floor: config.store.free_octets,
            found: std::sync::Mutex::default(),
        };
        let courier = ExchangeCourier {
            resolver: resolver.clone(),
            pool: Pool::with_listener(client, Arc::new(node.settled_listener())),
            limits: limits.clone(),
            pins,
            roots,
            peers: peers.clone(),
            slices,
        };
        node.ask_for_keys(Arc::new(courier.clone()));
        let roles = Roles::open(config, &node, resolver.clone()).await?;
        let arrangements = roles.as_ref().map(|(roles, _)| Arc::new(roles.clone()) as Arc<dyn Arrangements>);
        let (gateway, courier) = gateway::open(config, &node, &resolver, courier, arrangements).await?;
        let gateway_addresses = gateway.as_ref().map(gateway::Gateway::addresses).unwrap_or_default();

        let handover = Arc::new(gateway::handover::Handover::new(node.store().clone()));
        let lmtp = gateway::LmtpCourier::of(config, &node, &handover)?;

        let socket = config.socket();
        let listener = control::bind(&socket).map_err(|error| Error::file(&socket, error))?;
        let (stop, shutdown) = tokio::sync::watch::channel(false);
        let console = console::Door::open(config).await;
        let watching = Watching { console: console.as_ref().map(console::Door::links), ..watching };
        let console_address = console.as_ref().map(|door| door.links().1);
        let operator =
            NodeOperator::new(node.clone(), server.clone(), peers, config, stop, now_ms(), watching);
        let operator = operator.with_roles(roles.as_ref().map(|(roles, _)| roles.clone()));
        let operator = operator.with_handover(handover);
        let forwarding = roles.as_ref().and_then(|(_, door)| door.as_ref()?.listener.local_addr().ok());
        let listeners =
            listeners(server.local_address()?, gateway_addresses, forwarding, console_address.as_deref());
        let operator = operator.with_listeners(listeners.clone());
        let operator =
            Arc::new(operator.with_certificates(gateway.as_ref().map(gateway::Gateway::certificates)));

        let mut tasks = JoinSet::new();
        tasks.spawn(transport::serve(server.clone(), limits, Arc::new(door)));
        tasks.spawn(node.dispatcher(courier).run());
        let gateway = gateway.map(|gateway| gateway.serve(&mut tasks));
        tasks.spawn(control::serve(listener, operator.clone()));
        if let Some(door) = console {
            tasks.spawn(door.serve(operator.clone()));
        }
        if let Some((roles, door)) = roles {
            tasks.spawn(roles.live(door));
        }
        let upkeep = node.clone();
        tasks.spawn(async move { upkeep.upkeep().await });
        if config.mailbox.maildir {
            let maildir = Maildir::new(&config.data().join("maildir"), domain.as_str())
                .with_checkers(gateway::checkers(config)?);
            tasks.spawn(follow_mail(node.clone(), maildir));
        }
        if let Some(courier) = lmtp {
            tasks.spawn(courier.run());
        }
        Ok(Running {
            node,
            server,
            tasks,
            shutdown,
            socket,
            console_address,
            gateway,
            gateway_addresses,
            listeners,
            operator,
        })
    }

    /// The node itself.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Where it listens.
    ///
    /// # Errors
    /// [`Error::Transport`] where the socket does not say.
    pub fn address(&self) -> Result<std::net::SocketAddr, Error> {
        Ok(self.server.local_address()?)
    }

    /// Where the console is, address and port; absent where it is off or its port is taken.
    pub fn console_address(&self) -> Option<&str> {
        self.console_address.as_deref()
    }

    /// Every address at which it listens, and what is spoken there.
    pub fn listeners(&self) -> &[ListenerView] {
        &self.listeners
    }

    /// Where its gateway listens.
    pub fn gateway_addresses(&self) -> GatewayAddresses {
        self.gateway_addresses
    }

    /// A link by which an operator enters the console, once and soon.
    pub async fn console_link(&self) -> Option<String> {
        match self.operator.handle(Request::ConsoleLink).await {
            Response::Link { url, .. } => Some(url),
            _ => None,
        }
    }

    /// Reads the certificate of SMTP again; where the new one is not good, the old one stays, and the log says so.
    pub async fn reload(&self) {
        // What is wrong is told where it is found out.
        let _ = self.operator.reload().await;
    }

    /// Waits until an operator has asked the node to end.
    pub async fn asked_to_stop(&self) {
        // An error says that the operator's side is gone, and with it the node.
        let _ = self.shutdown.clone().wait_for(|stop| *stop).await;
    }

    /// Ends in good order: no new connections, then none at all, then the tasks. The store is closed when its last
    /// user is gone, and what was acknowledged is in it.
    pub async fn stop(mut self) {
        self.server.stop_accepting();
        if let Some(gateway) = self.gateway.take() {
            gateway.stop().await;
        }
        self.server.close("the node ends").await;
        self.tasks.shutdown().await;
        if let Err(error) = self.node.write_memory().await {
            tracing::warn!(%error, "what is remembered of peers is not written");
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Runs a node until a signal or an operator ends it; `started` is told once it listens.
///
/// # Errors
/// What keeps it from starting.
pub async fn serve(
    config: &Config,
    observer: Arc<dyn Observer>,
    started: impl FnOnce(&Running),
) -> Result<(), Error> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|error| Error::Other(error.to_string()))?;
    let mut hang_up = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())
        .map_err(|error| Error::Other(error.to_string()))?;
    let running = Running::start(config, observer).await?;
    started(&running);
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
            () = running.asked_to_stop() => break,
            _ = hang_up.recv() => running.reload().await,
        }
    }
    running.stop().await;
    Ok(())
}

/// Opens the store of a configuration; also for commands on a store that no node runs on.
///
/// # Errors
/// [`Error::Running`] where a node has it, [`Error::Store`] where it cannot be opened.
pub fn open_store(config: &Config) -> Result<Arc<dyn Store>, Error> {
    let data = config.data();
    make_private(&data)?;
    let settings =
        storage::Settings { free_octets_floor: config.store.free_octets, ..storage::Settings::default() };
    let folder = store_folder(config);
    let opened: Result<Arc<dyn Store>, storage::Error> = match config.store.engine {
        EngineConfig::Sled => {
            storage_sled::open(&folder, settings).map(|store| Arc::new(store) as Arc<dyn Store>)
        }
        EngineConfig::Redb => {
            storage_redb::open(&folder, settings).map(|store| Arc::new(store) as Arc<dyn Store>)
        }
    };
    let socket = config.socket();
    opened.map_err(|error| match UnixStream::connect(&socket) {
        Ok(_) => Error::Running { socket },
        Err(_) if is_in_use(&error) => Error::InUse(format!(
            "{}: another program has this store open, such as a command with --config or a node that starts or ends: wait until \
             it is done, or end it",
            folder.display()
        )),
        Err(_) => error.into(),
    })
}

/// Where the store of a configuration is.
pub(crate) fn store_folder(config: &Config) -> PathBuf {
    config.data().join("store")
}

/// Makes a folder that only its owner may open: the control socket is in it.
pub(crate) fn make_private(folder: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Error::file(folder, error))
}

/// What a node listens at, for its operator.
fn listeners(
    quic: SocketAddr,
    smtp: GatewayAddresses,
    forwarding: Option<SocketAddr>,
    console: Option<&str>,
) -> Vec<ListenerView> {
    let of = |service: &str, address: Option<String>| {
        Some(ListenerView { address: address?, service: service.to_owned() })
    };
    let at = |address: Option<SocketAddr>| address.map(|address| address.to_string());
    let all = [
        of("exchange", at(Some(quic))),
        of("submission", at(Some(quic))),
        of("smtp", at(smtp.transfer)),
        of("smtp-submission", at(smtp.submission)),
        of("smtp-submissions", at(smtp.submissions)),
        of("forwarding", at(forwarding)),
        of("console", console.map(str::to_owned)),
    ];
    all.into_iter().flatten().collect()
}

fn protocol_settings(config: &Config) -> Settings {
    Settings {
        eager_octets: config.limits.eager_octets,
        part_octets_max: config.limits.part_octets,
        ..Settings::default()
    }
}

fn services(config: &Config) -> Vec<Service> {
    let settings = protocol_settings(config);
    [Alpn::Exchange, Alpn::Submission]
        .map(|alpn| Service { alpn, settings: encode(&Frame::Settings(settings)) })
        .to_vec()
}

/// Any port, on loopback where the node itself is there only.
fn outbound_address(config: &Config) -> std::net::SocketAddr {
    let own = config.listen.address.ip();
    match own {
        own if own.is_loopback() => (own, 0).into(),
        std::net::IpAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
        std::net::IpAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

pub(crate) fn resolver(config: &Config) -> Result<Arc<dyn Resolver>, Error> {
    let validate = config.dns.validate.unwrap_or(true);
    let mut resolver = match config.dns.server {
        Some(server) => HickoryResolver::with_nameserver(server, validate)?,
        None => HickoryResolver::system(validate)?,
    };
    for line in config.dns.trust_anchors.iter().filter(|_| validate) {
        let anchor = trust_anchor(line).ok_or_else(|| {
            Error::Other(format!(
                "[dns] trust-anchors: {line:?} is not like \"a.test. IN DNSKEY 257 3 15 AbC=\""
            ))
        })?;
        resolver = resolver.with_trust_anchor(&anchor)?;
    }
    Ok(Arc::new(resolver))
}

/// A DNSKEY record with the flag of a zone's key, protocol 3, as RFC 4034 section 2.2 writes it; comments behind it do not count.
fn trust_anchor(line: &str) -> Option<TrustAnchor> {
    let line = line.split(';').next()?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.iter().position(|word| word.eq_ignore_ascii_case("DNSKEY"))?;
    let (zone, fields) = (words.first().filter(|_| at > 0)?, words.get(at + 1..)?);
    let [flags, "3", algorithm, key @ ..] = fields else { return None };
    let is_zone_key = flags.parse::<u16>().is_ok_and(|flags| flags & 0x0100 != 0);
    let public_key =
        data_encoding::BASE64.decode(key.concat().as_bytes()).ok().filter(|key| !key.is_empty())?;
    let (zone, algorithm) = (zone.trim_end_matches('.').to_owned(), algorithm.parse().ok()?);
    is_zone_key.then_some(TrustAnchor { zone, algorithm, public_key })
}

/// Who answers questions to the DNS for a program beside the node: this server, or those of the system.
///
/// # Errors
/// [`Error::Dns`] where the system names none.
pub fn system_resolver(server: Option<std::net::SocketAddr>) -> Result<Arc<dyn Resolver>, Error> {
    Ok(match server {
        Some(server) => Arc::new(HickoryResolver::with_nameserver(server, false)?),
        None => Arc::new(HickoryResolver::system(true)?),
    })
}

/// The authorities in a file; `None` where there is no such file.
pub(crate) fn roots(path: &Path) -> Result<Option<Roots>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    Ok(Roots::from_pem(&files::read(path)?).map(Some)?)
}

/// Writes what arrives into the Maildirs, for as long as the node runs: all of them at first, then those to which something
/// has come. One that cannot be written holds up no other.
pub(crate) async fn follow_mail(node: Node, maildir: Maildir) {
    let mut arrived = node.mail_arrived();
    // `None` are all.
    let mut these: Option<BTreeSet<Arc<str>>> = None;
    loop {
        let (store, maildir) = (node.store().clone(), maildir.clone());
        let followed = tokio::task::spawn_blocking(move || follow(store.as_ref(), &maildir, these));
        let Ok(behind) = followed.await else { return };
        let next = match &behind {
            Some(behind) if behind.is_empty() => Ok(arrived.recv().await),
            _ => timeout(MAILDIR_PAUSE, arrived.recv()).await,
        };
        these = match (next, behind) {
            (Err(_), behind) => behind,
            (Ok(Ok(name)), Some(mut behind)) => {
                behind.insert(name);
                loop {
                    match arrived.try_recv() {
                        Ok(name) => behind.insert(name),
                        Err(TryRecvError::Lagged(_)) => break None,
                        Err(_) => break Some(behind),
                    };
                }
            }
            (Ok(Ok(_) | Err(RecvError::Lagged(_))), _) => None,
            (Ok(Err(RecvError::Closed)), _) => return,
        };
    }
}

/// Brings these Maildirs up to the mailboxes; returns those with which it has not worked. Blocking.
fn follow(
    store: &dyn Store,
    maildir: &Maildir,
    these: Option<BTreeSet<Arc<str>>>,
) -> Option<BTreeSet<Arc<str>>> {
    let mut behind = BTreeSet::new();
    let mut one = |name: Arc<str>| {
        if let Err(error) = maildir.follow(store, &name) {
            tracing::warn!(account = %name, %error, "a Maildir cannot be written; it is tried again");
            behind.insert(name);
        }
    };
    match these {
        Some(these) => these.into_iter().for_each(one),
        None => {
            let mut after: Option<String> = None;
            loop {
                let accounts = match store.accounts(after.as_deref(), 100) {
                    Ok(accounts) => accounts,
                    Err(error) => {
                        tracing::warn!(%error, "the Maildirs cannot be written; it is tried again");
                        return None;
                    }
                };
                let Some(last) = accounts.last() else { break };
                after = Some(last.name.clone());
                accounts.iter().for_each(|account| one(account.name.as_str().into()));
            }
        }
    }
    Some(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 8080 section 6.1, as its zone file has it.
    #[test]
    fn a_trust_anchor_is_a_line_of_a_zone_file() {
        let key = "l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=";
        let octets = data_encoding::BASE64.decode(key.as_bytes()).unwrap();
        let good = format!("example.com. 3600 IN DNSKEY 257 3 15 ( {key} ) ; key id = 3613");
        let check = |line: &str, good: bool| {
            let found = trust_anchor(&line.replace(['(', ')'], ""));
            let expected =
                TrustAnchor { zone: "example.com".to_owned(), algorithm: 15, public_key: octets.clone() };
            assert_eq!(found, good.then_some(expected), "{line}");
        };
        check(&good, true);
        check(&format!("example.com. IN DNSKEY 257 3 15 {}\t{}", &key[..20], &key[20..]), true);
        check(&good.replace("257", "512"), false);
        check(&good.replace(" 3 15", " 2 15"), false);
        check(&good.replace("DNSKEY", "DS"), false);
        check(&good.replace("l02", "%02"), false);
        check(&format!("DNSKEY 257 3 15 {key}"), false);
        check("", false);
    }
}
