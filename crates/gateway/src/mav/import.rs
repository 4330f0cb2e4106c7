//! The rules of qmail: `control/mailfromrules`.
//!
//! A line is a key, `&` (in old files `:`) and the return paths that are allowed, with commas between. A key is an
//! account, an address, a beginning of one, `=` and a host name, `=.` and a domain, or an account, `@` and one of these.
//! qmail looks for keys in a certain order and takes the first, which is kept here by sorting.

use std::net::{IpAddr, Ipv6Addr};

use message::address::{Address, Domain};

use crate::limits::MAV_RULES_MAX;

use super::rule::{May, Network, Rule, Who};

/// What is wrong with a file of rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ImportError {
    /// Which line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Reads the rules of qmail's `control/mailfromrules`, in the order in which qmail would look for them.
///
/// # Errors
/// The first line that has no meaning here, such as one that allows what ends with some letters: only an address or a
/// whole domain can be allowed.
///
/// keeps: MAV-8
pub fn import_mailfromrules(text: &str) -> Result<Vec<Rule>, ImportError> {
    let mut ranked: Vec<(Rank, Rule)> = Vec::new();
    for (place, line) in text.lines().enumerate() {
        let wrong = |what| ImportError { line: place + 1, what };
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, paths) = halves(line).ok_or_else(|| wrong("there is no & between key and return paths"))?;
        let may = paths_of(paths).map_err(wrong)?;
        for (rank, who) in keys(key).map_err(wrong)? {
            if ranked.len() >= MAV_RULES_MAX {
                return Err(wrong("there are too many rules"));
            }
            ranked.push((rank, Rule { name: format!("mailfromrules {}", place + 1), who, may: may.clone() }));
        }
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    Ok(ranked.into_iter().map(|(_, rule)| rule).collect())
}

/// The place in qmail's order, then how little is left open.
type Rank = (u8, u8);

/// What one key stands for.
type Keys = Vec<(Rank, Vec<Who>)>;

/// An old file has a colon; a new one has `&`, and colons in IPv6 addresses.
fn halves(line: &str) -> Option<(&str, &str)> {
    line.split_once('&').or_else(|| line.split_once(':')).filter(|(key, _)| !key.is_empty())
}

fn paths_of(text: &str) -> Result<Vec<May>, &'static str> {
    if text.trim().is_empty() {
        return Ok(vec![May::Anything]);
    }
    let one = |path: &str| match path.split_once('@') {
        _ if path.starts_with('-') => Err("an exception cannot be imported; name what is allowed"),
        Some(("", domain)) => Domain::parse(domain).map(May::Domain).map_err(|_| "a domain is malformed"),
        Some(_) => Address::parse(path).map(May::Address).map_err(|_| "a return path is malformed"),
        None => {
            Err("only an address or @ and a whole domain can be allowed, not what ends with some letters")
        }
    };
    text.split(',').map(|path| one(path.trim())).collect()
}

fn keys(key: &str) -> Result<Keys, &'static str> {
    let key = key.trim();
    if let Some(name) = key.strip_prefix('=') {
        return Ok(vec![host(name, 5, 7)?]);
    }
    if let Some(hosts) = networks(key)? {
        return Ok(hosts);
    }
    // An account may itself be an address, so what stands behind the last @ is looked at first.
    let account = |name: &str| Who::Account(name.to_owned());
    let Some((name, place)) = key.rsplit_once('@').filter(|(name, _)| !name.is_empty()) else {
        return Ok(vec![((1, 0), vec![account(key)])]);
    };
    if let Some(host_name) = place.strip_prefix('=') {
        let (_, mut who) = host(host_name, 3, 3)?;
        who.insert(0, account(name));
        return Ok(vec![((3, 0), who)]);
    }
    match networks(place)? {
        Some(found) => Ok(found
            .into_iter()
            .map(|(_, mut who)| {
                who.insert(0, account(name));
                ((2, 0), who)
            })
            .collect()),
        None => Ok(vec![((1, 0), vec![account(key)])]),
    }
}

fn host(name: &str, exact: u8, below: u8) -> Result<(Rank, Vec<Who>), &'static str> {
    let (domain, whole) = name.strip_prefix('.').map_or((name, false), |domain| (domain, true));
    let domain = domain.to_ascii_lowercase();
    let fine = |octet: u8| octet.is_ascii_alphanumeric() || b".-_".contains(&octet);
    if domain.is_empty() || !domain.bytes().all(fine) || domain.split('.').any(str::is_empty) {
        return Err("a host name is malformed");
    }
    let longer_first = u8::MAX - u8::try_from(domain.len()).unwrap_or(u8::MAX);
    Ok(if whole {
        ((below, longer_first), vec![Who::HostsOf(domain)])
    } else {
        ((exact, 0), vec![Who::Host(domain)])
    })
}

/// Addresses, beginnings of addresses, and ranges of one number such as `192.0.2-5.`; nothing where it is none of these.
fn networks(key: &str) -> Result<Option<Keys>, &'static str> {
    let ranked = |network: Network, bits: u8, most: u8| {
        let rank = if bits == most { (4, 0) } else { (6, most - bits) };
        (rank, vec![Who::Network(network)])
    };
    if key.contains(':') {
        let whole = key.parse::<Ipv6Addr>().ok().map(|address| (address, 128));
        let (address, bits) = whole.or_else(|| beginning(key)).ok_or("an IPv6 address is malformed")?;
        let network = Network::new(IpAddr::V6(address), bits).ok_or("an IPv6 address is malformed")?;
        return Ok(Some(vec![ranked(network, bits, 128)]));
    }
    let numeric = |octet: u8| octet.is_ascii_digit() || b".-".contains(&octet);
    if !key.bytes().all(numeric) || !key.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(None);
    }
    let numbers: Vec<&str> = key.strip_suffix('.').unwrap_or(key).split('.').collect();
    let whole = numbers.len() == 4;
    if numbers.len() > 4 || (whole && key.ends_with('.')) {
        return Err("an IPv4 address is malformed");
    }
    let mut found: Vec<[u8; 4]> = vec![[0; 4]];
    for (place, number) in numbers.iter().enumerate() {
        let (low, high) = number.split_once('-').unwrap_or((number, number));
        let read = |text: &str| text.parse::<u8>().map_err(|_| "an IPv4 address is malformed");
        let (low, high) = (read(low)?, read(high)?);
        if low > high {
            return Err("a range goes backwards");
        }
        if found.len() * (usize::from(high.saturating_sub(low)) + 1) > MAV_RULES_MAX {
            return Err("a range is too wide");
        }
        found = found
            .iter()
            .flat_map(|octets| {
                (low..=high).map(move |value| {
                    let mut octets = *octets;
                    octets[place] = value;
                    octets
                })
            })
            .collect();
    }
    let bits = u8::try_from(8 * numbers.len()).unwrap_or(32);
    let made = found.into_iter().filter_map(|octets| Network::new(IpAddr::from(octets), bits));
    Ok(Some(made.map(|network| ranked(network, bits, 32)).collect()))
}

/// The beginning of an IPv6 address, whole groups of 16 bits: `2001:db8:`.
fn beginning(key: &str) -> Option<(Ipv6Addr, u8)> {
    let groups = key.strip_suffix(':')?.split(':').map(|group| u16::from_str_radix(group, 16).ok());
    let groups: Vec<u16> = groups.collect::<Option<_>>()?;
    let bits = u8::try_from(16 * groups.len()).ok().filter(|bits| *bits < 128)?;
    let mut all = [0; 8];
    all.get_mut(..groups.len())?.copy_from_slice(&groups);
    Some((Ipv6Addr::from(all), bits))
}
