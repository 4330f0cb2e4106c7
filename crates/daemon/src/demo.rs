//! Two ordinary nodes on this machine and a server of the old world, with a DNS server for their zones: what `waxwing quickstart` starts.
//!
//! It writes ordinary configuration files and starts ordinary nodes; run again on the same folder it finds everything
//! as it was.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use dns::waxkey::DomainKey;
use dns::zones::{self, Zones};
use message::SecretKey;
use node::Observer;
use transport::HostKey;

use crate::config::{
    Config, ConsoleConfig, Dns, DomainConfig, LimitsConfig, Listen, MailboxConfig, QueueConfig, StoreConfig,
    Tls,
};
use crate::demo_legacy::{LEGACY_DOMAIN, LegacyServer};
use crate::forwarding::ForwardingConfig;
use crate::gateway::config::{GatewayConfig, OutConfig};
use crate::reputation::{RatesConfig, ReputationConfig};
use crate::rules::{OneOrMany, PolicyConfig, RuleConfig, SelectionConfig};
use crate::{Error, Running, files, init};

/// The selector of the keys of both domains.
const SELECTOR: &str = "key1";
/// Free UDP ports that are tried until one is free for TCP, too.
const PORT_TRIES_MAX: u32 = 100;

/// Two nodes and a DNS server that run.
pub struct Demo {
    /// The node of north.test.
    pub north: DemoNode,
    /// The node of south.test.
    pub south: DemoNode,
    /// The server of the old world.
    pub legacy: LegacyServer,
    dns: zones::Running,
}

/// One of the nodes.
pub struct DemoNode {
    /// The file of its configuration.
    pub config_file: PathBuf,
    /// Its configuration.
    pub config: Config,
    /// The digest by which others pin it.
    pub pin: [u8; 32],
    /// The node, running.
    pub running: Running,
}

/// The folder of the demo: all that two nodes and the DNS server need, before anything runs.
pub struct Layout {
    /// The node of north.test.
    pub north: Site,
    /// The node of south.test.
    pub south: Site,
    /// Where the DNS server is to answer.
    pub dns_address: SocketAddr,
    /// Where the server of the old world listens.
    pub legacy_address: SocketAddr,
}

/// What is written for one node before it starts.
pub struct Site {
    /// Its domain.
    pub domain: &'static str,
    /// Its folder.
    pub folder: PathBuf,
    /// The file of its configuration.
    pub config_file: PathBuf,
    /// The digest by which others pin it.
    pub pin: [u8; 32],
    key: SecretKey,
}

impl Layout {
    /// Lays out the folder where that is not done yet, and starts nothing.
    ///
    /// # Errors
    /// Where a file cannot be written, or one that is there cannot be read.
    pub fn at(folder: &Path) -> Result<Layout, Error> {
        let (north, south) = (lay_out(folder, "north.test")?, lay_out(folder, "south.test")?);
        let mut ports = Ports::default();
        let dns_address = ports.address_of(&folder.join("dns.address"))?;
        let legacy_address = ports.address_of(&folder.join("legacy.address"))?;
        for (own, other) in [(&north, &south), (&south, &north)] {
            if !own.config_file.exists() {
                let text = {
                    let address = ports.address_of(&own.folder.join("address"))?;
                    let gateway = GatewayPorts { transfer: ports.free()?, legacy: legacy_address.port() };
                    configuration(own, other, dns_address, address, ports.free()?, &gateway).to_text()?
                };
                files::write_public(
                    &own.config_file,
                    &format!("# Written by `waxwing quickstart`.\n\n{text}"),
                )?;
            }
        }
        Ok(Layout { north, south, dns_address, legacy_address })
    }

    /// Answers for the zones of both domains.
    ///
    /// # Errors
    /// [`Error::Other`] where the address cannot be bound; those of the configuration files.
    pub async fn serve_zones(&self) -> Result<zones::Running, Error> {
        let mut zones = Zones::new();
        for site in [&self.north, &self.south] {
            zones.add(site.domain, &zone(site, &Config::read(&site.config_file)?))?;
        }
        zones.add(LEGACY_DOMAIN, LEGACY_ZONE)?;
        zones::serve(&zones, self.dns_address).await.map_err(|error| {
            Error::Other(format!(
                "{error}; where a quickstart runs in this folder already, end it first or name another folder with --dir"
            ))
        })
    }
}

impl Demo {
    /// Lays out the folder where that is not done yet, and starts everything. `observer` makes an observer for the node
    /// of a domain.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub async fn start(folder: &Path, observer: &dyn Fn(&str) -> Arc<dyn Observer>) -> Result<Demo, Error> {
        let layout = Layout::at(folder)?;
        let dns = layout.serve_zones().await?;
        let legacy = LegacyServer::start(layout.legacy_address).await?;
        Ok(Demo {
            legacy,
            north: start(layout.north, observer).await?,
            south: start(layout.south, observer).await?,
            dns,
        })
    }

    /// Where the DNS server of both zones answers.
    pub fn dns_address(&self) -> SocketAddr {
        self.dns.local_addr()
    }

    /// Ends everything in good order.
    pub async fn stop(self) {
        self.north.running.stop().await;
        self.south.running.stop().await;
        // The zone server ends with the process anyway.
        let _ = self.dns.shutdown().await;
    }
}

async fn start(site: Site, observer: &dyn Fn(&str) -> Arc<dyn Observer>) -> Result<DemoNode, Error> {
    let config = Config::read(&site.config_file)?;
    let running = Running::start(&config, observer(site.domain)).await?;
    Ok(DemoNode { config_file: site.config_file, config, pin: site.pin, running })
}

/// Makes keys and certificate of a node, once.
fn lay_out(folder: &Path, domain: &'static str) -> Result<Site, Error> {
    let folder = folder.join(domain);
    let (key_file, host_key, host_certificate) =
        (folder.join("domain.key"), folder.join("host.key"), folder.join("host.crt"));
    let key = if key_file.exists() { files::read_key(&key_file)? } else { init::make_domain_key(&key_file)? };
    let host = if host_certificate.exists() {
        HostKey::from_pem(&files::read_secret(&host_key)?, &files::read(&host_certificate)?)?
    } else {
        init::make_host_key(&host_key, &host_certificate, &[domain, &format!("host.{domain}")])?
    };
    let config_file = folder.join("node.toml");
    Ok(Site { domain, folder, config_file, pin: host.key_digest(), key })
}

fn configuration(
    own: &Site,
    other: &Site,
    dns: SocketAddr,
    address: SocketAddr,
    console: SocketAddr,
    ports: &GatewayPorts,
) -> Config {
    let hold = RuleConfig {
        name: "carol-decides".to_owned(),
        to: Some(OneOrMany::One("carol@south.test".to_owned())),
        hold: Some(SelectionConfig::Word("all".to_owned())),
        ..RuleConfig::default()
    };
    // Bob knows Alice; what others send him for the first time is held with its text.
    let to_bob = || Some(OneOrMany::One("bob@south.test".to_owned()));
    let friend = RuleConfig {
        name: "bobs-friend".to_owned(),
        to: to_bob(),
        from: Some(OneOrMany::One("alice@north.test".to_owned())),
        accept: Some(true),
        ..RuleConfig::default()
    };
    // Zoe writes from the old world; that it is she, SPF says.
    let old_friend = RuleConfig {
        name: "bobs-old-friend".to_owned(),
        to: to_bob(),
        from: Some(OneOrMany::One(format!("zoe@{LEGACY_DOMAIN}"))),
        verified: Some(true),
        accept: Some(true),
        ..RuleConfig::default()
    };
    let strangers = RuleConfig {
        name: "strangers".to_owned(),
        to: to_bob(),
        first_contact: Some(true),
        hold: Some(SelectionConfig::Word("text".to_owned())),
        ..RuleConfig::default()
    };
    Config {
        folder: own.folder.clone(),
        domains: vec![DomainConfig {
            name: own.domain.to_owned(),
            selector: SELECTOR.to_owned(),
            key: "domain.key".into(),
        }],
        data: "data".into(),
        listen: Listen { address },
        tls: Tls::default(),
        dns: Dns { server: Some(dns), validate: Some(false), trust_anchors: Vec::new() },
        peers: [(other.domain.to_owned(), HEXLOWER.encode(&other.pin))].into(),
        relays: Vec::new(),
        policy: PolicyConfig::default(),
        rules: if own.domain == "south.test" {
            vec![hold, friend, old_friend, strangers]
        } else {
            Vec::new()
        },
        limits: LimitsConfig::default(),
        rates: RatesConfig::default(),
        reputation: ReputationConfig::default(),
        policy_service: None,
        // People who try things out do not want to wait a minute for an answer.
        forwarding: ForwardingConfig::default(),
        queue: QueueConfig { retry_first_seconds: 2, poll_min_seconds: 1, ..QueueConfig::default() },
        store: StoreConfig::default(),
        mailbox: MailboxConfig::default(),
        console: ConsoleConfig {
            listen: console,
            operators: vec!["alice".to_owned(), "bob".to_owned()],
            ..ConsoleConfig::default()
        },
        gateway: (own.domain == "south.test").then(|| GatewayConfig {
            transfer: Some(ports.transfer),
            out: OutConfig { port: ports.legacy, notice_seconds: Some(2), ..OutConfig::default() },
            ..GatewayConfig::default()
        }),
    }
}

/// Where the gateway listens, and to which port it brings mail.
struct GatewayPorts {
    transfer: SocketAddr,
    legacy: u16,
}

/// The zone of the old world.
const LEGACY_ZONE: &str = "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n\
    @ MX 10 mx\nmx A 127.0.0.1\nmx TXT \"v=spf1 a -all\"\n@ TXT \"v=spf1 mx -all\"\n";

/// The zone of a domain as a master file (RFC 1035 section 5).
fn zone(laid: &Site, config: &Config) -> String {
    let (ip, port) = (config.listen.address.ip(), config.listen.address.port());
    let address = if ip.is_ipv4() { "A" } else { "AAAA" };
    let key =
        dns::waxkey::write(&dns::waxkey::KeyRecord::Key(DomainKey { public: *laid.key.public().as_bytes() }));
    format!(
        "$TTL 60\n\
         @ SOA ns hostmaster 1 3600 600 86400 60\n\
         @ NS ns\n\
         ns A 127.0.0.1\n\
         host {address} {ip}\n\
         _waxwing._udp SRV 0 0 {port} host\n\
         _waxwing-sub._udp SRV 0 0 {port} host\n\
         {SELECTOR}._waxkey TXT \"{key}\"\n\
         @ MX 10 mx\n\
         mx {address} {ip}\n\
         @ TXT \"v=spf1 mx -all\"\n"
    )
}

/// Free ports, for UDP and for TCP. They are held until all are chosen, so that none is chosen twice.
#[derive(Default)]
struct Ports(Vec<(UdpSocket, TcpListener)>);

impl Ports {
    fn free(&mut self) -> Result<SocketAddr, Error> {
        self.bind().map_err(|error| Error::Other(format!("no free port: {error}")))
    }

    fn bind(&mut self) -> std::io::Result<SocketAddr> {
        let mut tries = PORT_TRIES_MAX;
        loop {
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = udp.local_addr()?;
            tries -= 1;
            match TcpListener::bind(address) {
                Ok(tcp) => {
                    self.0.push((udp, tcp));
                    return Ok(address);
                }
                Err(error) if tries == 0 => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// The address in a file; one with a port that is free now is written there at first.
    fn address_of(&mut self, file: &Path) -> Result<SocketAddr, Error> {
        if file.exists() {
            let text = files::read(file)?;
            return text.trim().parse().map_err(|_| Error::Config {
                path: file.to_owned(),
                reason: "is not an address and a port; delete the file to have another one chosen".to_owned(),
            });
        }
        let address = self.bind().map_err(|error| Error::file(file, error))?;
        files::write_public(file, &format!("{address}\n"))?;
        Ok(address)
    }
}
