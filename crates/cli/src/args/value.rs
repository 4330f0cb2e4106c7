//! Values of options, read once at the door.

use std::fmt;
use std::str::FromStr;

use message::PublicKey;
use message::address::{Address, Domain};

/// Where a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// A DNS name or an IP address, without brackets.
    pub host: String,
    /// The UDP port.
    pub port: u16,
}

impl FromStr for NodeAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<NodeAddress, String> {
        let wrong = || format!("`{text}` is not HOST:PORT, such as mail.a.test:{}", transport::DEFAULT_PORT);
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().ok().filter(|&port| port != 0).ok_or_else(wrong)?;
        let clean = |c: char| c.is_ascii_alphanumeric() || ".-:_".contains(c);
        if host.is_empty() || host.len() > 253 || !host.chars().all(clean) {
            return Err(wrong());
        }
        Ok(NodeAddress { host: host.to_owned(), port })
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A moment, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl FromStr for Moment {
    type Err = String;

    /// Reads a time with its offset, or one without, which is meant in the zone of this machine.
    fn from_str(text: &str) -> Result<Moment, String> {
        let moment = text.parse::<jiff::Timestamp>().or_else(|_| {
            let local = text.parse::<jiff::civil::DateTime>()?;
            Ok(local.to_zoned(jiff::tz::TimeZone::system())?.timestamp())
        });
        let moment =
            moment.map_err(|_: jiff::Error| format!("`{text}` is not a time such as 2027-01-01T09:00"))?;
        u64::try_from(moment.as_millisecond()).map(Moment).map_err(|_| "that time is before 1970".to_owned())
    }
}

/// An address, as `message` reads it.
pub(super) fn address(text: &str) -> Result<Address, String> {
    Address::parse(text).map_err(|error| error.to_string())
}

/// A domain, in Unicode or as it is on the wire.
pub(super) fn domain(text: &str) -> Result<Domain, String> {
    Domain::parse(text).map_err(|error| error.to_string())
}

/// 32 octets in hexadecimal digits; colons between octets, as other tools print them, are allowed.
pub(crate) fn pin(text: &str) -> Result<[u8; 32], String> {
    let digits: String = text.chars().filter(|&c| c != ':').collect();
    data_encoding::HEXLOWER_PERMISSIVE
        .decode(digits.as_bytes())
        .ok()
        .and_then(|octets| octets.try_into().ok())
        .ok_or_else(|| "a digest or key is 64 hexadecimal digits".to_owned())
}

/// A number of octets, with a unit or without.
pub(super) fn octets(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: Option<u64> = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => Some(1),
        "kib" | "k" => Some(1 << 10),
        "mib" | "m" => Some(1 << 20),
        "gib" | "g" => Some(1 << 30),
        _ => None,
    };
    let octets = factor.and_then(|factor| digits.parse::<u64>().ok()?.checked_mul(factor));
    octets
        .filter(|octets| *octets > 0)
        .ok_or_else(|| format!("`{text}` is not a size such as 4096, 4KiB or 10MiB"))
}

/// A public key in hexadecimal digits.
pub(super) fn public_key(text: &str) -> Result<PublicKey, String> {
    PublicKey::from_bytes(&pin(text)?).map_err(|error| error.to_string())
}
/// A place in the list of what is held: two numbers with a dot between them.
pub(super) fn held_place(text: &str) -> Result<control::HeldPlace, String> {
    let place = text.split_once('.').and_then(|(envelope, recipient)| {
        let (envelope, recipient) = (envelope.parse().ok()?, recipient.parse().ok()?);
        Some(control::HeldPlace { envelope, recipient })
    });
    place.ok_or_else(|| "such as 17.0, as `held list --operator` names it".to_owned())
}
