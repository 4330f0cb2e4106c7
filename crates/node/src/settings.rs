//! What an operator has set, resolved.

use std::collections::BTreeMap;

use message::SecretKey;
use message::address::Domain;

/// The key by which a domain seals.
#[derive(Debug, Clone)]
pub struct DomainKey {
    /// The selector under which the public key stands in the DNS.
    pub selector: String,
    /// The secret key.
    pub key: SecretKey,
}

/// The settings of a node.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The domain as which this node shows itself to peers; one of `domains`.
    pub domain: Domain,
    /// The domains whose users are here, with their keys.
    pub domains: BTreeMap<Domain, DomainKey>,
    /// Who may relay where: pairs of a peer domain and a destination domain. Nobody relays unless a pair says so.
    pub relays: Vec<(Domain, Domain)>,
    /// What is decided about offers.
    pub rules: policy::Rules,
    /// Octets of one part.
    pub part_octets_max: u64,
    /// How long the queue tries, in milliseconds.
    pub queue_ms: u64,
    /// The first delay between attempts, in milliseconds.
    pub retry_first_ms: u64,
    /// The longest delay between attempts, in milliseconds.
    pub retry_longest_ms: u64,
    /// Ask no sooner than this many seconds: what peers are told with a cookie.
    pub poll_min_seconds: u32,
    /// Ask no later than this many seconds: what peers are told with a cookie.
    pub poll_max_seconds: u32,
    /// How long a held message waits for a decision, in milliseconds.
    pub hold_ms: u64,
    /// Whom to believe about peers.
    pub accreditors: crate::Accreditors,
    /// How much peers and users may bring.
    pub rates: crate::Rates,
    /// Whether doorsteps may be on loopback: only where this node itself is, as in a test.
    pub loopback_doorsteps: bool,
    /// Whether senders are sent to the doorsteps of users that have registered.
    pub redirect: bool,
}

impl Settings {
    /// Whether the users of this domain are here.
    pub fn is_local(&self, domain: &Domain) -> bool {
        self.domains.contains_key(domain)
    }
}
