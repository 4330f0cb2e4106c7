//! The questions that the house asks the DNS, and the shape of the answers.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use crate::Error;

/// An answer on its way.
pub type Lookup<'a, T> = Pin<Box<dyn Future<Output = Result<Answer<T>, Error>> + Send + 'a>>;

/// Who answers questions to the DNS. Object-safe: the house holds it as `Arc<dyn Resolver>`.
///
/// Names are A-labels without a trailing dot; labels of other printable ASCII characters are asked as they are, for
/// SPF makes such names. Aliases (CNAME) are followed. A name or a type that does not exist
/// is an empty [`Answer`]. Every answer has at most [`crate::limits::RECORDS_PER_ANSWER_MAX`] records and comes
/// within the resolver's time limit.
///
/// Every method fails with [`Error::BadName`] for a text that is no name, and with [`Error::Timeout`],
/// [`Error::ServerFailure`] or [`Error::Bogus`] where the DNS does not answer usefully.
pub trait Resolver: Send + Sync {
    /// Where a service is (SRV, RFC 2782), in no particular order: see [`crate::srv::order`].
    fn srv<'a>(&'a self, name: &'a str) -> Lookup<'a, Srv>;

    /// Texts (TXT), the strings of each record joined; records above [`crate::limits::TXT_OCTETS_MAX`] are left
    /// out.
    fn txt<'a>(&'a self, name: &'a str) -> Lookup<'a, Vec<u8>>;

    /// What certificate or key a server shows (TLSA, RFC 6698).
    fn tlsa<'a>(&'a self, name: &'a str) -> Lookup<'a, Tlsa>;

    /// The addresses of a host, A and AAAA together, IPv6 first.
    ///
    /// One family is enough: where the other one fails, its failure is not reported.
    fn addresses<'a>(&'a self, host: &'a str) -> Lookup<'a, IpAddr>;

    /// The addresses of one family, where the other one says nothing: unlike [`Resolver::addresses`] it fails where this
    /// family does. By itself it asks for both.
    fn addresses_of<'a>(&'a self, host: &'a str, family: Family) -> Lookup<'a, IpAddr> {
        let both = self.addresses(host);
        Box::pin(async move {
            let mut answer = both.await?;
            answer.records.retain(|address| Family::of(*address) == family);
            Ok(answer)
        })
    }

    /// The mail exchanges of the old world (MX, RFC 5321, section 5.1).
    fn mx<'a>(&'a self, domain: &'a str) -> Lookup<'a, Mx>;

    /// The names that an address claims to have (PTR, RFC 1035, section 3.5), in lower case without a trailing dot.
    ///
    /// A claim only: whoever has the address writes what he likes. A name counts where the address is among its own
    /// [`Resolver::addresses`].
    fn names<'a>(&'a self, address: IpAddr) -> Lookup<'a, String>;
}

/// One of the two kinds of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4: A.
    Four,
    /// IPv6: AAAA (RFC 3596).
    Six,
}

impl Family {
    /// That of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Four } else { Self::Six }
    }
}

/// What the DNS says, and how well it is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// The records, possibly none.
    pub records: Vec<T>,
    /// Whether the name exists. False only for NXDOMAIN, and then there are no records.
    pub exists: bool,
    /// Whether the answer, or its emptiness, is proven by DNSSEC.
    pub security: Security,
    /// For how many seconds the answer may be relied on; 0 where an empty answer says nothing about it.
    pub ttl_seconds: u32,
}

/// How an answer is proven (RFC 4035, section 4.3). The third state, bogus, is [`Error::Bogus`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Signed, and validated from a trust anchor down to every record of the answer.
    Secure,
    /// Not signed (proven to be so where the resolver validates), or the resolver does not validate.
    Insecure,
}

impl Security {
    /// The security of what rests on both: secure only where both are.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Secure, Self::Secure) => Self::Secure,
            _ => Self::Insecure,
        }
    }
}

/// The name under which an address keeps its names: `1.0.0.127.in-addr.arpa` (RFC 1035, section 3.5), or 32 nibbles
/// below `ip6.arpa` (RFC 3596, section 2.5).
#[must_use]
pub fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(four) => {
            let [a, b, c, d] = four.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(six) => {
            let nibbles = six.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa"
        }
    }
}

/// One SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lower is tried first.
    pub priority: u16,
    /// The share of the load among targets of one priority.
    pub weight: u16,
    /// The port of the service.
    pub port: u16,
    /// The host in lower case without a trailing dot, or `None` for the root: "not available here".
    pub target: Option<String>,
}

/// One TLSA record (RFC 6698, section 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlsa {
    /// Certificate usage; 3 is the server's own (DANE-EE).
    pub usage: u8,
    /// Selector; 1 is the public key (SubjectPublicKeyInfo).
    pub selector: u8,
    /// Matching type; 1 is SHA-256.
    pub matching: u8,
    /// Certificate association data, at most [`crate::limits::TLSA_OCTETS_MAX`] octets.
    pub data: Vec<u8>,
}

/// One MX record (RFC 1035, section 3.3.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mx {
    /// Lower is tried first.
    pub preference: u16,
    /// The host in lower case without a trailing dot, or `None` for the root: no mail here (RFC 7505).
    pub exchange: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 1035, section 3.5, and RFC 3596, section 2.5.
    #[test]
    fn addresses_are_turned_round() {
        let check = |address: &str, name: &str| assert_eq!(reverse(address.parse().unwrap()), name);
        check("10.2.0.52", "52.0.2.10.in-addr.arpa");
        check(
            "4321:0:1:2:3:4:567:89ab",
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa",
        );
    }
}
