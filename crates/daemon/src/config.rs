//! The configuration, as it is written and as it is resolved. Unknown keys are errors; paths are relative to the file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use message::address::Domain;
use serde::{Deserialize, Serialize};

use crate::gateway::config::GatewayConfig;
use crate::reputation::{PolicyServiceConfig, RatesConfig, ReputationConfig};
use crate::rules::{PolicyConfig, RuleConfig, resolve};
use crate::suggestion::with_suggestion;
use crate::{Error, files};

/// The configuration of one node as it stands in its file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The domain as which this node shows itself to peers: the first of `domains`.
    #[serde(skip)]
    pub folder: PathBuf,
    /// The domains whose users are here, each with its key. The first one is how the node shows itself to peers.
    pub domains: Vec<DomainConfig>,
    /// The folder of store, control socket and Maildirs.
    #[serde(default = "default_data")]
    pub data: PathBuf,
    /// Where it listens.
    #[serde(default)]
    pub listen: Listen,
    /// How it shows itself.
    #[serde(default)]
    pub tls: Tls,
    /// Which DNS it asks.
    #[serde(default)]
    pub dns: Dns,
    /// Peers that are known by the digest of their key: `"south.test" = "<hex SHA-256 of its public key>"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub peers: BTreeMap<String, String>,
    /// Who may relay where. Nobody relays unless an entry says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "relay")]
    pub relays: Vec<Relay>,
    /// What is done where no rule decides.
    #[serde(default)]
    pub policy: PolicyConfig,
    /// Rules about offers; the first that matches decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleConfig>,
    /// Bounds.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// How much peers and users may bring.
    #[serde(default)]
    pub rates: RatesConfig,
    /// Whom to believe about peers.
    #[serde(default)]
    pub reputation: ReputationConfig,
    /// A program that may decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_service: Option<PolicyServiceConfig>,
    /// Forwarding by authorization.
    #[serde(default)]
    pub forwarding: crate::forwarding::ForwardingConfig,
    /// The queue.
    #[serde(default)]
    pub queue: QueueConfig,
    /// The store.
    #[serde(default)]
    pub store: StoreConfig,
    /// Mailboxes.
    #[serde(default)]
    pub mailbox: MailboxConfig,
    /// The console.
    #[serde(default)]
    pub console: ConsoleConfig,
    /// The gateway to the old world.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayConfig>,
}

/// One domain that is served.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DomainConfig {
    /// Its name.
    pub name: String,
    /// The selector of its key in the DNS.
    pub selector: String,
    /// The file of its secret key, 64 hexadecimal digits, mode 0600.
    pub key: PathBuf,
}

/// Where a node listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Listen {
    /// For peers and for users; UDP.
    pub address: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        // On loopback until the operator says otherwise.
        Listen { address: SocketAddr::from(([127, 0, 0, 1], transport::DEFAULT_PORT)) }
    }
}

/// How a node shows itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Tls {
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM, mode 0600.
    pub key: PathBuf,
    /// Authorities that are trusted for peers that are neither pinned nor named by TLSA records, PEM; where it is not
    /// there, such peers are not trusted.
    pub roots: PathBuf,
}

impl Default for Tls {
    fn default() -> Self {
        Tls {
            certificate: "host.crt".into(),
            key: "host.key".into(),
            roots: "/etc/ssl/certs/ca-certificates.crt".into(),
        }
    }
}

/// Which DNS a node asks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Dns {
    /// A name server; without it those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<SocketAddr>,
    /// Whether answers are validated by DNSSEC. `false` is for zones on this machine only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate: Option<bool>,
    /// Keys from which validation starts beside those of the root, for zones of one's own: DNSKEY records as a zone file has
    /// them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trust_anchors: Vec<String>,
}

/// One permission to relay.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Relay {
    /// Which peer.
    pub from: String,
    /// To which domain.
    pub to: String,
}

/// Bounds on what is taken.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct LimitsConfig {
    /// Octets of the largest message.
    pub message_octets: u64,
    /// Octets of the largest part.
    pub part_octets: u64,
    /// Octets that may come unasked with an offer.
    pub eager_octets: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        LimitsConfig {
            message_octets: 2 << 30,
            part_octets: message::limits::PART_OCTETS_DEFAULT,
            eager_octets: protocol::limits::EAGER_OCTETS_DEFAULT,
        }
    }
}

/// How the queue tries.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct QueueConfig {
    /// Hours until it gives up.
    pub hours: u64,
    /// Seconds until the first new attempt; the time doubles from there.
    pub retry_first_seconds: u64,
    /// Seconds between attempts at the most.
    pub retry_longest_seconds: u64,
    /// Seconds that peers and users wait between polls at the least.
    pub poll_min_seconds: u32,
    /// And at the most.
    pub poll_max_seconds: u32,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig {
            hours: 5 * 24,
            retry_first_seconds: 60,
            retry_longest_seconds: 4 * 3600,
            poll_min_seconds: 60,
            poll_max_seconds: 6 * 3600,
        }
    }
}

/// The store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct StoreConfig {
    /// Which engine keeps the records.
    pub engine: EngineConfig,
    /// Octets of free disk space below which nothing new is taken.
    pub free_octets: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        StoreConfig { engine: EngineConfig::Sled, free_octets: storage::limits::FREE_OCTETS_FLOOR_DEFAULT }
    }
}

/// The engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineConfig {
    /// sled, the default.
    Sled,
    /// redb.
    Redb,
}

/// Mailboxes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct MailboxConfig {
    /// Whether a Maildir in RFC 5322 form is written beside each mailbox.
    pub maildir: bool,
    /// A mailbox server that is handed all mail over LMTP: `unix:` and a path, or an address with a port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lmtp: Option<String>,
    /// Seconds for which a message is tried that the mailbox server puts off [five days].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lmtp_seconds: Option<u32>,
    /// Whether senders are sent to the doorsteps of users that have registered; else the node takes everything itself.
    pub redirect: bool,
}

impl Default for MailboxConfig {
    fn default() -> Self {
        MailboxConfig { maildir: true, lmtp: None, lmtp_seconds: None, redirect: true }
    }
}

/// The console: web pages for users and operators.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ConsoleConfig {
    /// Whether it is served.
    pub enabled: bool,
    /// Where; TCP.
    pub listen: SocketAddr,
    /// Whether it may listen elsewhere than on loopback: it speaks HTTP, so something has to do TLS before it.
    pub beyond_loopback: bool,
    /// Accounts whose users are operators, too.
    pub operators: Vec<String>,
    /// The names, each with its port where that is not 443, under which something that does TLS shows it.
    pub hosts: Vec<String>,
}

impl Default for ConsoleConfig {
    fn default() -> Self {
        ConsoleConfig {
            enabled: true,
            listen: SocketAddr::from(([127, 0, 0, 1], console::DEFAULT_PORT)),
            beyond_loopback: false,
            operators: Vec::new(),
            hosts: Vec::new(),
        }
    }
}

fn default_data() -> PathBuf {
    "data".into()
}

impl Config {
    /// Reads the file and checks what can be checked without touching anything else.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Config`], which names the place and what to do.
    pub fn read(path: &Path) -> Result<Config, Error> {
        let wrong = |reason: String| Error::Config { path: path.to_owned(), reason };
        let text = files::read(path).map_err(|error| match error {
            Error::File { error, .. } if error.kind() == std::io::ErrorKind::NotFound => {
                wrong("there is no such file; `waxwing config init` makes one".to_owned())
            }
            other => other,
        })?;
        let mut config: Config =
            toml::from_str(&text).map_err(|error| wrong(with_suggestion(&error.to_string())))?;
        config.folder = path.parent().map(Path::to_owned).unwrap_or_default();
        if config.domains.is_empty() {
            return Err(wrong("a node serves at least one domain: add [[domains]]".to_owned()));
        }
        let at = config.console.listen;
        if config.console.enabled && !at.ip().is_loopback() && !config.console.beyond_loopback {
            return Err(wrong(format!(
                "[console] listens on {at}, which others reach, and speaks HTTP: say 127.0.0.1, or put something that does \
                 TLS before it and say beyond-loopback = true"
            )));
        }
        config.settings().map(|_| config).map_err(|error| match error {
            Error::Other(reason) => wrong(reason),
            other => other,
        })
    }

    /// Whoever writes for the first time is accepted, where no rule says otherwise.
    pub fn accept_first_contact(&mut self) {
        self.policy.first_contact = Some("accept".to_owned());
    }

    /// The text of the file.
    ///
    /// # Errors
    /// [`Error::Other`] where it cannot be said in TOML.
    pub fn to_text(&self) -> Result<String, Error> {
        toml::to_string(self).map_err(|error| Error::Other(error.to_string()))
    }

    /// A path of the configuration, as seen from where its file is.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// The folder of the data.
    pub fn data(&self) -> PathBuf {
        self.path(&self.data)
    }

    /// The path of the control socket.
    pub fn socket(&self) -> PathBuf {
        self.data().join("control.sock")
    }

    /// The key and the certificate that the node shows.
    ///
    /// # Errors
    /// [`Error::File`] where they cannot be read, [`Error::Transport`] where they are not what they must be.
    pub fn host_key(&self) -> Result<transport::HostKey, Error> {
        let key = files::read_secret(&self.path(&self.tls.key))?;
        let chain = files::read(&self.path(&self.tls.certificate))?;
        Ok(transport::HostKey::from_pem(&key, &chain)?)
    }

    /// The pinned digests of peers.
    ///
    /// # Errors
    /// [`Error::Other`] where one is not a domain and 64 hexadecimal digits.
    pub fn pins(&self) -> Result<BTreeMap<Domain, [u8; 32]>, Error> {
        self.peers
            .iter()
            .map(|(name, digest)| {
                let digest = HEXLOWER
                    .decode(digest.to_ascii_lowercase().as_bytes())
                    .ok()
                    .and_then(|octets| octets.try_into().ok())
                    .ok_or(Error::Other(format!("[peers] {name}: a digest is 64 hexadecimal digits")))?;
                Ok((domain(name)?, digest))
            })
            .collect()
    }

    /// The client of the policy service, where there is one.
    ///
    /// # Errors
    /// [`Error::Other`] where its place or its time cannot be read.
    pub(crate) fn policy_service(&self) -> Result<Option<crate::service::ServiceClient>, Error> {
        self.policy_service.as_ref().map(|service| service.resolve(&self.folder)).transpose()
    }

    /// The settings of the node, its keys read from their files.
    ///
    /// # Errors
    /// [`Error::Other`] where a name cannot be read; [`Error::File`] and [`Error::Config`] for key files.
    pub fn settings(&self) -> Result<node::Settings, Error> {
        let mut domains = BTreeMap::new();
        for entry in &self.domains {
            let key = files::read_key(&self.path(&entry.key))?;
            domains.insert(domain(&entry.name)?, node::DomainKey { selector: entry.selector.clone(), key });
        }
        self.pins()?;
        self.policy_service()?;
        let relays = self
            .relays
            .iter()
            .map(|relay| Ok((domain(&relay.from)?, domain(&relay.to)?)))
            .collect::<Result<_, Error>>()?;
        let first =
            self.domains.first().ok_or(Error::Other("a node serves at least one domain".to_owned()))?;
        Ok(node::Settings {
            domain: domain(&first.name)?,
            domains,
            relays,
            rules: resolve(self.limits.message_octets, &self.policy, &self.rules)?,
            part_octets_max: self.limits.part_octets,
            queue_ms: self.queue.hours.saturating_mul(3_600_000),
            retry_first_ms: self.queue.retry_first_seconds.max(1).saturating_mul(1000),
            retry_longest_ms: self.queue.retry_longest_seconds.max(1).saturating_mul(1000),
            poll_min_seconds: self.queue.poll_min_seconds,
            poll_max_seconds: self.queue.poll_max_seconds.max(self.queue.poll_min_seconds),
            hold_ms: self.queue.hours.saturating_mul(3_600_000),
            accreditors: self.reputation.resolve()?,
            rates: self.rates.resolve(),
            loopback_doorsteps: self.listen.address.ip().is_loopback(),
            redirect: self.mailbox.redirect,
        })
    }
}

pub(crate) fn domain(name: &str) -> Result<Domain, Error> {
    Domain::parse(name).map_err(|error| Error::Other(format!("{name:?} is not a domain: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, reason: &str) {
        let folder = tempfile::tempdir().unwrap();
        files::write_secret(&folder.path().join("key"), &"7".repeat(64)).unwrap();
        let path = folder.path().join("node.toml");
        files::write_public(&path, text).unwrap();
        match Config::read(&path) {
            Ok(_) => assert_eq!(reason, "", "{text}"),
            Err(error) => {
                assert!(!reason.is_empty() && error.to_string().contains(reason), "{text}: {error}")
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_configuration_is_said() {
        let domains = "[[domains]]\nname = \"north.test\"\nselector = \"k\"\nkey = \"key\"\n";
        check(domains, "");
        check("domains = []", "at least one domain");
        check(
            &format!("{domains}[listen]\nadress = \"127.0.0.1:1\"\n"),
            "unknown field `adress`, expected `address`",
        );
        check(&format!("{domains}[peers]\n\"south.test\" = \"12\"\n"), "64 hexadecimal digits");
        check(&domains.replace("north.test", "north"), "is not a domain");
        check(&domains.replace("\"key\"", "\"nothing\""), "No such file");
        check(
            &format!("{domains}[[rules]]\nname = \"r\"\nto = \"x\"\nhold = \"text\"\n"),
            "is not an address",
        );
        check(&format!("{domains}[policy]\nfrist-contact = \"accept\"\n"), "did you mean `first-contact`?");
    }

    /// proves: CLI-12
    #[test]
    fn secrets_are_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = message::SecretKey::from_seed(&[7; 32]);
        files::write_key(&path, &key).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(files::read_key(&path).unwrap().public(), key.public());
        for mode in [0o640, 0o604] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let told = files::read_key(&path).unwrap_err().to_string();
            assert!(told.ends_with(&format!("chmod 600 {}", path.display())), "{told}");
        }
    }
}
