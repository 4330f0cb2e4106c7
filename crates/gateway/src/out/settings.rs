//! What a sender is given once.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;

use super::MailParameters;
use crate::mav::Network;

/// How mail goes out.
#[derive(Clone)]
pub struct Settings {
    /// Our own name in EHLO, LHLO and HELO.
    pub own_name: String,
    /// Further host names that are ours: as a mail exchange each would be a loop. [`Settings::own_name`] is one anyway.
    pub own_hosts: Vec<String>,
    /// The port of other servers, 25.
    pub port: u16,
    /// The port at which MTA-STS policies are fetched, 443.
    pub https_port: u16,
    /// Addresses to use for a host name or a domain, instead of what the DNS says: for tests and for routes of one's own.
    pub fixed_addresses: BTreeMap<String, Vec<SocketAddr>>,
    /// Networks that are not public (RFC 6890) and may be called all the same, where the DNS names an address in them.
    pub private_networks: Vec<Network>,
    /// A server that takes all mail, where mail does not go to the servers of its domain.
    pub smart_host: Option<SmartHost>,
    /// The address from which connections are made; without it the system chooses.
    pub source: Option<IpAddr>,
    /// Who says more in MAIL FROM.
    pub mail_parameters: Option<Arc<dyn MailParameters>>,
    /// The authorities that may certify hosts (MTA-STS, smart host).
    pub roots: Arc<RootCertStore>,
    /// How long is waited for what.
    pub times: Times,
    /// Unix milliseconds.
    pub now_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// A uniform number in `0..bound`.
    pub random: Arc<dyn Fn(u32) -> u32 + Send + Sync>,
}

impl Settings {
    /// Settings with the usual ports and times.
    pub fn new(
        own_name: impl Into<String>,
        roots: Arc<RootCertStore>,
        now_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
        random: Arc<dyn Fn(u32) -> u32 + Send + Sync>,
    ) -> Settings {
        Settings {
            own_name: own_name.into(),
            own_hosts: Vec::new(),
            port: 25,
            https_port: 443,
            fixed_addresses: BTreeMap::new(),
            private_networks: Vec::new(),
            smart_host: None,
            source: None,
            mail_parameters: None,
            roots,
            times: Times::default(),
            now_ms,
            random,
        }
    }

    /// Whether an address may be called that the DNS has named: anybody can write one of ours there. keeps: GW-67
    pub(super) fn may_call(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        dns::is_global_unicast(address) || self.private_networks.iter().any(|network| network.holds(address))
    }

    pub(super) fn is_own_host(&self, name: &str) -> bool {
        let ours = std::iter::once(&self.own_name).chain(&self.own_hosts);
        ours.into_iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// A server that takes all mail of ours and sends it on. TLS with a certificate for its name is required, and so is the
/// login over it.
#[derive(Clone)]
pub struct SmartHost {
    /// Its name, which its certificate must have.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether TLS is there from the start (RFC 8314); else by STARTTLS.
    pub implicit_tls: bool,
    /// As whom to log in, where it asks for that.
    pub login: Option<Login>,
}

/// Name and password for AUTH PLAIN (RFC 4616).
#[derive(Clone)]
pub struct Login {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How long is waited for what (RFC 5321 section 4.5.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// For a connection to one address.
    pub connect: Duration,
    /// For the first reply.
    pub greeting: Duration,
    /// For the handshake of TLS.
    pub handshake: Duration,
    /// For the reply to a command.
    pub command: Duration,
    /// For the reply to DATA.
    pub data_start: Duration,
    /// For one block of the message to be taken.
    pub data_block: Duration,
    /// For the reply to the end of the message.
    pub data_end: Duration,
    /// For the whole attempt.
    pub whole: Duration,
}

impl Default for Times {
    /// Those of the RFC; for a connection and a handshake, which it does not name, half a minute and a minute; and for
    /// the whole 40 minutes, as a sender that is kept so long is better off with another connection.
    fn default() -> Times {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        Times {
            connect: Duration::from_secs(30),
            greeting: minutes(5),
            handshake: minutes(1),
            command: minutes(5),
            data_start: minutes(2),
            data_block: minutes(3),
            data_end: minutes(10),
            whole: minutes(40),
        }
    }
}
