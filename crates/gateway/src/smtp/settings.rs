//! What is set of the SMTP server, and who helps it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use message::address::{Address, Domain};

use crate::mav::{HostNames, Rules};
use crate::{Client, Findings, Handler, Later, Letter, Reply};

/// The bounds of sessions. All can be set; the defaults are for a small server on the open Internet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Sessions at a time, over all ports.
    pub connections_max: usize,
    /// Sessions at a time from one IPv4 address or one IPv6 network of 64 bits.
    pub connections_per_address_max: usize,
    /// Octets of one message, as SIZE announces it.
    pub message_octets_max: usize,
    /// Octets of content that all sessions together hold in memory.
    pub memory_octets_max: usize,
    /// Recipients of one message: 100 at least (RFC 5321 section 4.5.3.1.8).
    pub recipients_max: usize,
    /// Commands of one session.
    pub commands_max: u32,
    /// Errors of one session before it is closed.
    pub errors_max: u32,
    /// Errors without delay; each further one doubles it.
    pub errors_free: u32,
    /// Milliseconds in which a command has to come (RFC 5321 section 4.5.3.2.7: five minutes), or more of a message.
    pub idle_ms: u64,
    /// Milliseconds in which a message has to come whole.
    pub message_ms: u64,
    /// Milliseconds that sessions have to end when the server stops.
    pub grace_ms: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 1_000,
            connections_per_address_max: 200,
            message_octets_max: 50 << 20,
            memory_octets_max: 512 << 20,
            recipients_max: 100,
            commands_max: 100_000,
            errors_max: 20,
            errors_free: 3,
            idle_ms: 300_000,
            message_ms: 1_800_000,
            grace_ms: 10_000,
        }
    }
}

/// What is said about ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name of this host: in the greeting and in Received fields.
    pub host: String,
    /// Whose postmaster `RCPT TO:<Postmaster>` means (RFC 5321 section 4.5.1).
    pub domain: Domain,
    /// The bounds.
    pub limits: Limits,
}

/// Looks at a message from elsewhere before the [`Handler`] gets it: SPF, DKIM, DMARC and so on.
pub trait Checks: Send + Sync + 'static {
    /// What is found. `letter.findings` are empty as yet. Trouble of the DNS refuses nothing.
    fn check<'a>(&'a self, letter: &'a Letter) -> Later<'a, Findings>;
}

/// Finds nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoChecks;

impl Checks for NoChecks {
    fn check<'a>(&'a self, _letter: &'a Letter) -> Later<'a, Findings> {
        Box::pin(async { Findings::default() })
    }
}

/// The COOKIES extension (`spec/21-smtp-cookies.md`).
pub trait Cookies: Send + Sync + 'static {
    /// The line for EHLO, without its digits. Where it is `None` the extension is not known to this client, which has just
    /// connected and said nothing yet.
    fn announce(&self, client: &Client) -> Option<String>;

    /// Answers `TEST COOKIE`: the identifier, the return path and the address from which a message came.
    fn test<'a>(
        &'a self,
        client: &'a Client,
        id: &'a str,
        sender: &'a Address,
        address: IpAddr,
    ) -> Later<'a, Reply>;
}

/// The time and randomness, which the gateway does not have by itself.
#[derive(Clone)]
pub struct Environment {
    /// Unix milliseconds.
    pub now_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Octets drawn at random, other ones each time.
    pub seed: Arc<dyn Fn() -> [u8; 32] + Send + Sync>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

/// All that a server is made of.
#[derive(Clone)]
pub struct Parts {
    /// About ourselves.
    pub settings: Settings,
    /// Who takes what comes in.
    pub handler: Arc<dyn Handler>,
    /// Who looks at it before.
    pub checks: Arc<dyn Checks>,
    /// The COOKIES extension.
    pub cookies: Option<Arc<dyn Cookies>>,
    /// Who may use which return path.
    pub rules: Arc<Rules>,
    /// Who finds the names of clients, where a rule needs them.
    pub host_names: Option<Arc<dyn HostNames>>,
    /// TLS, as [`super::tls_settings`] makes it. Without it there is no STARTTLS, and nobody can log in.
    pub tls: Option<Arc<tokio_rustls::rustls::ServerConfig>>,
    /// Time and randomness.
    pub environment: Environment,
}
