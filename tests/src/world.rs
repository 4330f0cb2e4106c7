//! Nodes in a temporary folder, started in this process by ordinary configuration files, each with a DNS of its own:
//! so that what a node sees of the world is up to the test.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use daemon::{Config, Running};
use data_encoding::HEXLOWER;
use dns::waxkey::{DomainKey, KeyRecord};
use dns::zones::{self, Zones};
use message::SecretKey;
use node::Node;
use transport::{Expectation, HostKey, KeyKind};

use crate::Events;

pub use testkit::site::SELECTOR;

/// How long something may take of which nobody is told when it is done.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a node that was stopped may have its store and its address.
const GONE_MAX: Duration = Duration::from_secs(60);

/// What a test says of one node before it starts.
#[derive(Debug, Clone)]
pub struct Site {
    domain: &'static str,
    via: Vec<(&'static str, &'static str)>,
    unpinned: Vec<&'static str>,
    names: Vec<&'static str>,
    public_port: Option<u16>,
    takes_no_mail: bool,
    queue: String,
    limits: String,
    console: String,
    more: String,
    records: String,
    legacy: bool,
    resolver: Option<SocketAddr>,
    anchors: Vec<String>,
}

impl Site {
    /// A node for one domain that does everything as fast as its configuration can say, and knows every other node of
    /// its world by its pin.
    pub fn new(domain: &'static str) -> Site {
        Site {
            domain,
            via: Vec::new(),
            unpinned: Vec::new(),
            names: Vec::new(),
            public_port: None,
            takes_no_mail: false,
            queue: "retry-first-seconds = 1\npoll-min-seconds = 1\n".to_owned(),
            limits: String::new(),
            console: "enabled = false\n".to_owned(),
            more: String::new(),
            records: String::new(),
            legacy: false,
            resolver: None,
            anchors: Vec::new(),
        }
    }

    /// This node validates what the DNS says, from this key on.
    pub fn validates(mut self, anchor: &str) -> Site {
        self.anchors.push(anchor.to_owned());
        self
    }

    /// In the DNS of this node, another node takes the mail of that domain.
    pub fn via(mut self, domain: &'static str, other: &'static str) -> Site {
        self.via.push((domain, other));
        self
    }

    /// This node does not know the pin of that other one.
    pub fn unpinned(mut self, other: &'static str) -> Site {
        self.unpinned.push(other);
        self
    }

    /// The certificate of this node claims another name before its own.
    pub fn named(mut self, name: &'static str) -> Site {
        self.names.push(name);
        self
    }

    /// In the DNS this node is at another port than the one at which it listens.
    pub fn reached_at(mut self, port: u16) -> Site {
        self.public_port = Some(port);
        self
    }

    /// The DNS says that this domain takes no mail.
    pub fn takes_no_mail(mut self) -> Site {
        self.takes_no_mail = true;
        self
    }

    /// More records of the zone of this domain, as every node of the world sees it.
    pub fn records(mut self, lines: &str) -> Site {
        writeln!(self.records, "{lines}").unwrap();
        self
    }

    /// The DNS knows no node for this domain: it has a server of the old world only, which is its gateway, at a port that
    /// all gateways of the world bring mail to.
    pub fn of_the_old_world(mut self) -> Site {
        self.legacy = true;
        self
    }

    /// This node asks another server than the world's own.
    pub fn asks(mut self, server: SocketAddr) -> Site {
        self.resolver = Some(server);
        self
    }

    /// This node relays from one domain to another.
    pub fn relay(mut self, from: &str, to: &str) -> Site {
        writeln!(self.more, "[[relay]]\nfrom = {from:?}\nto = {to:?}").unwrap();
        self
    }

    /// This node has a rule for one recipient, such as `hold all`.
    pub fn rule(mut self, name: &str, to: &str, action: &str) -> Site {
        let action = match action.split_once(' ') {
            Some((verb, selection)) => format!("{verb} = {selection:?}"),
            None => format!("{action} = true"),
        };
        writeln!(self.more, "[[rules]]\nname = {name:?}\nto = {to:?}\n{action}").unwrap();
        self
    }

    /// More lines of the configuration, as they stand there.
    pub fn lines(mut self, lines: &str) -> Site {
        writeln!(self.more, "{lines}").unwrap();
        self
    }

    /// Lines of the section `[queue]`, in place of those that make it fast.
    pub fn queue(mut self, lines: &str) -> Site {
        self.queue = lines.to_owned();
        self
    }

    /// This node has a console at some port, of which these accounts are operators.
    pub fn console(mut self, operators: &[&str]) -> Site {
        self.console = format!("listen = \"127.0.0.1:0\"\noperators = {operators:?}\n");
        self
    }

    /// Lines of the section `[limits]`.
    pub fn limits(mut self, lines: &str) -> Site {
        self.limits = lines.to_owned();
        self
    }
}

/// One node, started or not.
struct Place {
    site: Site,
    folder: PathBuf,
    key: SecretKey,
    host: HostKey,
    address: SocketAddr,
    events: Arc<Events>,
    dns: Option<zones::Running>,
    running: Option<Running>,
}

/// Some nodes. Dropping it ends them all.
pub struct World {
    places: BTreeMap<&'static str, Place>,
    folder: tempfile::TempDir,
}

impl World {
    /// Lays out keys, zones and configuration; starts the DNS of each node, and no node.
    pub async fn new(sites: &[Site]) -> World {
        let folder = tempfile::Builder::new().prefix("waxwing-wire-").tempdir().unwrap();
        let mut places: BTreeMap<&'static str, Place> =
            sites.iter().map(|site| (site.domain, lay_out(folder.path(), site))).collect();
        let domains: Vec<&'static str> = places.keys().copied().collect();
        for domain in domains {
            let served = zones::serve(&zones_for(&places, domain), loopback(0)).await.unwrap();
            let server = places[domain].site.resolver.unwrap_or(served.local_addr());
            let text = configuration(&places, domain, server);
            let place = places.get_mut(domain).unwrap();
            fs::write(place.folder.join("node.toml"), text).unwrap();
            place.dns = Some(served);
        }
        World { places, folder }
    }

    /// The same, and starts every node.
    pub async fn started(sites: &[Site]) -> World {
        let mut world = World::new(sites).await;
        for site in sites {
            world.start(site.domain).await;
        }
        world
    }

    /// Starts a node by its configuration file.
    pub async fn start(&mut self, domain: &str) {
        let place = self.places.get_mut(domain).unwrap();
        let config = Config::read(&place.folder.join("node.toml")).unwrap();
        // The engine of a node that was just stopped lets go of its files in a thread of its own.
        let starting = async {
            loop {
                match Running::start(&config, place.events.clone()).await {
                    Err(daemon::Error::InUse(_) | daemon::Error::Listen(_)) => tokio::task::yield_now().await,
                    started => break started.unwrap(),
                }
            }
        };
        place.running = Some(tokio::time::timeout(WAIT_MAX, starting).await.unwrap());
    }

    /// Stops a node in good order, and waits until it has let go of its store and its address.
    pub async fn stop(&mut self, domain: &str) {
        let running = self.take(domain);
        let store = Arc::downgrade(running.node().store());
        running.stop().await;
        let gone = within(GONE_MAX, || store.strong_count() == 0).await;
        assert!(gone, "{domain} was stopped and still has its store");
        self.until_free(domain).await;
    }

    /// Waits until nobody listens at the address of a node.
    pub async fn until_free(&self, domain: &str) {
        self.until_bindable(self.address(domain)).await;
    }

    /// Waits until nobody listens at an address: an endpoint lets go of its socket in a task of its own.
    pub async fn until_bindable(&self, address: SocketAddr) {
        assert!(
            within(GONE_MAX, || UdpSocket::bind(address).is_ok()).await,
            "somebody still listens at {address}"
        );
    }

    fn take(&mut self, domain: &str) -> Running {
        self.places.get_mut(domain).unwrap().running.take().unwrap()
    }

    /// A node that runs, as its process sees it.
    pub fn running(&self, domain: &str) -> &Running {
        self.place(domain).running.as_ref().unwrap()
    }

    /// Ends the DNS that a node asks: nobody answers there any more.
    pub async fn stop_dns(&mut self, domain: &str) {
        self.places.get_mut(domain).unwrap().dns.take().unwrap().shutdown().await.unwrap();
    }

    /// A node that runs.
    pub fn node(&self, domain: &str) -> &Node {
        self.running(domain).node()
    }

    /// What a node has told.
    pub fn events(&self, domain: &str) -> &Events {
        &self.place(domain).events
    }

    /// The server for the zones of this world, as a node sees them.
    pub fn zones(&self, domain: &str) -> SocketAddr {
        self.place(domain).dns.as_ref().unwrap().local_addr()
    }

    /// Where a node listens.
    pub fn address(&self, domain: &str) -> SocketAddr {
        self.place(domain).address
    }

    /// The key and certificate with which a node shows itself.
    pub fn host_key(&self, domain: &str) -> HostKey {
        self.place(domain).host.clone()
    }

    /// The key with which a domain seals.
    pub fn domain_key(&self, domain: &str) -> SecretKey {
        self.place(domain).key.clone()
    }

    /// Who answers at the address of a node.
    pub fn expectation(&self, domain: &str) -> Expectation {
        Expectation::Pinned { digests: vec![self.place(domain).host.key_digest()] }
    }

    /// The folder of the data of a node: `store`, `maildir`, `control.sock`.
    pub fn data(&self, domain: &str) -> PathBuf {
        self.place(domain).folder.join("data")
    }

    /// The folder of everything.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn place(&self, domain: &str) -> &Place {
        self.places.get(domain).unwrap_or_else(|| panic!("no node for {domain} in this world"))
    }
}

/// Waits for something of which nobody is told; whether it came about in time.
pub async fn until(such: impl Fn() -> bool) -> bool {
    within(WAIT_MAX, such).await
}

async fn within(time: Duration, such: impl Fn() -> bool) -> bool {
    let waiting = async {
        while !such() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(time, waiting).await.is_ok()
}

fn lay_out(folder: &Path, site: &Site) -> Place {
    let folder = folder.join(site.domain);
    fs::create_dir_all(&folder).unwrap();
    let mut seed = [0; 32];
    random(&mut seed);
    let host_name = format!("host.{}", site.domain);
    let names = [&site.names[..], &[site.domain, &host_name]].concat();
    let host = HostKey::generate(KeyKind::EcdsaP256, &names).unwrap();
    let secret = |name: &str, text: &str| {
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name));
        std::io::Write::write_all(&mut file.unwrap(), text.as_bytes()).unwrap();
    };
    secret("domain.key", &HEXLOWER.encode(&seed));
    secret("host.key", &host.key_pem());
    secret("host.crt", &host.chain_pem());
    Place {
        site: site.clone(),
        key: SecretKey::from_seed(&seed),
        host,
        address: free_address(),
        events: Arc::default(),
        dns: None,
        running: None,
        folder,
    }
}

/// Octets that nobody can guess.
#[expect(clippy::disallowed_methods, reason = "the keys of a test are drawn here")]
pub fn random(octets: &mut [u8]) {
    getrandom::fill(octets).unwrap();
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Ports of one process of tests: more than its nodes have at a time.
const PORTS: u16 = 300;

/// A port that is free now for UDP and for TCP. It stays free until it is bound: it is below those from which the system
/// takes ports for sockets that ask for any, and of a block that no other process of tests has meanwhile.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let address = loopback(20_000 + block() * PORTS + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS);
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// The block of ports of this process. The lock goes with it, however it ends.
fn block() -> u16 {
    static OWN: OnceLock<(u16, fs::File)> = OnceLock::new();
    let (number, _) = OWN.get_or_init(|| {
        let lock = |number: u16| {
            let path = std::env::temp_dir().join(format!("waxwing-test-ports-{number}"));
            let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).ok()?;
            file.try_lock().is_ok().then_some((number, file))
        };
        let first = (std::process::id() % 40) as u16;
        (first..first + 40)
            .find_map(|number| lock(number % 40))
            .expect("one of forty blocks of ports is free")
    });
    *number
}

/// The zones of all domains as one node sees them (RFC 1035 section 5).
fn zones_for(places: &BTreeMap<&'static str, Place>, viewer: &str) -> Zones {
    let mut all = Zones::new();
    for (domain, place) in places {
        let (_, port) = stand_in(places, viewer, domain);
        let public = *place.key.public().as_bytes();
        let key = dns::waxkey::write(&KeyRecord::Key(DomainKey { public }));
        let service = match (place.site.legacy, place.site.takes_no_mail) {
            (true, _) => String::new(),
            (_, true) => "_waxwing._udp SRV 0 0 0 .\n".to_owned(),
            (_, false) => format!("_waxwing._udp SRV 0 0 {port} host\n"),
        };
        let text = format!(
            "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\nhost A 127.0.0.1\n\
             {service}{SELECTOR}._waxkey TXT \"{key}\"\n{}",
            place.site.records
        );
        all.add(domain, &text).unwrap();
    }
    all
}

/// The node that takes the mail of a domain, as one node sees it: its pin and its port.
fn stand_in(places: &BTreeMap<&'static str, Place>, viewer: &str, domain: &str) -> ([u8; 32], u16) {
    let via = &places[viewer].site.via;
    let taker = via.iter().find(|(of, _)| *of == domain).map_or(domain, |(_, taker)| *taker);
    let place = &places[taker];
    (place.host.key_digest(), place.site.public_port.unwrap_or(place.address.port()))
}

fn configuration(places: &BTreeMap<&'static str, Place>, domain: &str, dns: SocketAddr) -> String {
    let Place { site, address, .. } = &places[domain];
    let validate = match site.anchors.is_empty() {
        true => "validate = false".to_owned(),
        false => format!("trust-anchors = {:?}", site.anchors),
    };
    let peers: String = places
        .keys()
        .filter(|other| **other != domain && !site.unpinned.contains(other))
        .map(|other| format!("{other:?} = {:?}\n", HEXLOWER.encode(&stand_in(places, domain, other).0)))
        .collect();
    format!(
        "[[domains]]\nname = {domain:?}\nselector = {SELECTOR:?}\nkey = \"domain.key\"\n\
         [console]\n{}[listen]\naddress = \"{address}\"\n[tls]\nroots = \"none.pem\"\n\
         [dns]\nserver = \"{dns}\"\n{validate}\n[peers]\n{peers}\
         [queue]\n{}[limits]\n{}\n{}",
        site.console, site.queue, site.limits, site.more
    )
}
