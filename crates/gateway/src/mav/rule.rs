//! One rule: to whom it applies, and what they may use.

use std::net::IpAddr;

use message::address::{Address, Domain};

use crate::Client;

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name, for the trace of a message.
    pub name: String,
    /// To whom it applies: all of these have to be so. None at all is nobody.
    pub who: Vec<Who>,
    /// What they may use: any of these. None at all is nothing.
    pub may: Vec<May>,
}

/// One sign by which a sender is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// An address of this network.
    Network(Network),
    /// The host of this name, in lower case; the name leads to the address and the address to the name.
    Host(String),
    /// A host below this domain, or the domain itself; known as above.
    HostsOf(String),
    /// The account that has logged in.
    Account(String),
    /// The SHA-256 digest of the certificate that was shown.
    Certificate([u8; 32]),
}

/// What may stand in MAIL FROM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum May {
    /// Anything.
    Anything,
    /// This address. Case does not count in ASCII, as in the proposal.
    Address(Address),
    /// Every address of just this domain, and none below it.
    Domain(Domain),
}

/// A peer whose Received fields are believed. Only what is proved by cryptography counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agreed {
    /// An account that has logged in.
    Account(String),
    /// The SHA-256 digest of its certificate.
    Certificate([u8; 32]),
}

/// Addresses with the same first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// The network of an address and so many bits; none where there are more bits than the address has.
    pub fn new(address: IpAddr, bits: u8) -> Option<Network> {
        let most = if address.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some(Network { address, bits })
    }

    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or one address.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address.parse().ok()?, Some(bits.parse().ok()?)),
            None => (text.parse::<IpAddr>().ok()?, None),
        };
        Network::new(address, bits.unwrap_or(if address.is_ipv4() { 32 } else { 128 }))
    }

    /// Whether the address is within. An IPv4 address that was mapped into IPv6 counts as what it is.
    pub fn holds(&self, address: IpAddr) -> bool {
        let shift = |most: u8| u32::from(most - self.bits);
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) if self.address.is_ipv4() => {
                (u32::from(ours) ^ u32::from(theirs)).checked_shr(shift(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                (u128::from(ours) ^ u128::from(theirs)).checked_shr(shift(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl Rule {
    /// keeps: MAV-3
    pub(super) fn applies(&self, client: &Client, hosts: &[String]) -> bool {
        let below = |host: &str, domain: &str| {
            let head = host.len().checked_sub(domain.len()).and_then(|length| host.get(..length));
            host.ends_with(domain) && head.is_some_and(|head| head.is_empty() || head.ends_with('.'))
        };
        let is = |who: &Who| match who {
            Who::Network(network) => network.holds(client.address),
            Who::Host(name) => hosts.iter().any(|host| host.eq_ignore_ascii_case(name)),
            Who::HostsOf(domain) => hosts.iter().any(|host| below(&host.to_ascii_lowercase(), domain)),
            Who::Account(account) => client.account.as_ref() == Some(account),
            Who::Certificate(digest) => client.certificate_digest.as_ref() == Some(digest),
        };
        !self.who.is_empty() && self.who.iter().all(is)
    }

    /// keeps: MAV-4
    pub(super) fn allows(&self, path: &Address) -> bool {
        self.may.contains(&May::Anything) || self.names(path)
    }

    /// Whether the return path is allowed by name: who allows anything has said nothing of it. keeps: MAV-9
    pub(super) fn names(&self, path: &Address) -> bool {
        self.may.iter().any(|may| match may {
            May::Anything => false,
            May::Address(address) => {
                address.domain() == path.domain()
                    && address.local().as_str().eq_ignore_ascii_case(path.local().as_str())
            }
            May::Domain(domain) => domain == path.domain(),
        })
    }
}

impl Agreed {
    pub(super) fn is(&self, client: &Client) -> bool {
        match self {
            Agreed::Account(account) => client.account.as_ref() == Some(account),
            Agreed::Certificate(digest) => client.certificate_digest.as_ref() == Some(digest),
        }
    }
}
