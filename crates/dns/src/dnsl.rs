//! DNS lists of domain names (RFC 5782, section 3): whether a list has a domain, and whether the list is one.

use std::net::{IpAddr, Ipv4Addr};

use crate::limits::LIST_REASON_OCTETS_MAX;
use crate::{Error, Resolver, Security, name};

/// What a list says about a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The name that was asked.
    pub asked: String,
    /// The values of the entry, within 127.0.0.0/8; empty where the domain is not listed.
    pub values: Vec<Ipv4Addr>,
    /// Why it is listed, where the list says so: printable, at most [`LIST_REASON_OCTETS_MAX`] octets.
    pub reason: Option<String>,
    /// How well it is proven.
    pub security: Security,
    /// For how many seconds it may be relied on; 0 where nothing says so.
    pub ttl_seconds: u32,
}

/// Asks one list for a domain: A at `<domain>.<list>`. An answer outside of 127.0.0.0/8 is no entry of a list (section
/// 2.3), but the web server of somebody who has taken over its name (section 7): it is ignored. keeps: REP-6
///
/// # Errors
/// [`Error::BadName`]; those of [`Resolver::addresses`], and [`Error::ServerFailure`] where the list says by a value in
/// 127.255.255.0/24 that it does not answer us, as the large lists do. That the reason cannot be had is no error.
pub async fn ask(resolver: &dyn Resolver, list: &str, domain: &str) -> Result<Listing, Error> {
    let asked = name::below(domain, list)?;
    let answer = resolver.addresses(&asked).await?;
    let values: Vec<Ipv4Addr> = answer.records.iter().filter_map(value).collect();
    if values.iter().any(|value| value.octets().starts_with(&[127, 255, 255])) {
        return Err(Error::ServerFailure("the list does not answer this resolver".to_owned()));
    }
    let reason = match values.is_empty() {
        true => None,
        false => {
            resolver.txt(&asked).await.ok().and_then(|answer| answer.records.first().map(|text| words(text)))
        }
    };
    Ok(Listing { asked, values, reason, security: answer.security, ttl_seconds: answer.ttl_seconds })
}

/// Whether the list works: it has the name `test` and does not have the name `invalid` (section 5). One that fails here
/// is abandoned, blocks its askers, or lists everybody: what it says counts for nothing. keeps: REP-6
///
/// # Errors
/// As [`ask`].
pub async fn works(resolver: &dyn Resolver, list: &str) -> Result<bool, Error> {
    let (has, lacks) = (ask(resolver, list, "test").await?, ask(resolver, list, "invalid").await?);
    Ok(!has.values.is_empty() && lacks.values.is_empty())
}

fn value(address: &IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) if address.is_loopback() => Some(*address),
        _ => None,
    }
}

/// Foreign text, fit for a terminal.
fn words(text: &[u8]) -> String {
    let mut words: String =
        String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    while words.len() > LIST_REASON_OCTETS_MAX {
        words.pop();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Failure, FixedZones, Record};

    const LIST: &str = "doms.example.net";

    fn list(names: &[(&str, [u8; 4])]) -> FixedZones {
        let zones = FixedZones::new();
        for (name, value) in names {
            zones.add(&format!("{name}.{LIST}"), Record::Address(IpAddr::from(*value))).unwrap();
        }
        zones
    }

    /// proves: REP-6
    #[tokio::test]
    async fn entries_are_loopback_values() {
        // The first two records are the example of RFC 5782, section 3.
        let zones = list(&[
            ("invalid.edu", [127, 0, 0, 2]),
            ("both.example", [127, 0, 1, 1]),
            ("both.example", [127, 0, 1, 2]),
            ("taken-over.example", [198, 51, 100, 7]),
        ]);
        zones.add("invalid.edu.doms.example.net", Record::Txt(b"Host name used in phish".to_vec())).unwrap();
        let check = async |domain: &str, values: &[[u8; 4]], reason: Option<&str>| {
            let listing = ask(&zones, LIST, domain).await.unwrap();
            assert_eq!(
                listing.values,
                values.iter().map(|v| Ipv4Addr::from(*v)).collect::<Vec<_>>(),
                "{domain}"
            );
            assert_eq!(listing.reason.as_deref(), reason, "{domain}");
        };
        check("invalid.edu", &[[127, 0, 0, 2]], Some("Host name used in phish")).await;
        check("both.example", &[[127, 0, 1, 1], [127, 0, 1, 2]], None).await;
        check("taken-over.example", &[], None).await;
        check("north.test", &[], None).await;
        assert_eq!(words(b"a\x1b[31m\xff"), "a [31m\u{fffd}");
        assert_eq!(words(&[b'a'; 500]).len(), LIST_REASON_OCTETS_MAX);
    }

    /// proves: REP-6
    #[tokio::test]
    async fn a_list_shows_that_it_works() {
        let check = async |names: &[(&str, [u8; 4])], expected: bool| {
            assert_eq!(works(&list(names), LIST).await, Ok(expected), "{names:?}");
        };
        check(&[("test", [127, 0, 0, 2])], true).await;
        check(&[], false).await;
        check(&[("test", [127, 0, 0, 2]), ("invalid", [127, 0, 0, 2])], false).await;
        check(&[("test", [203, 0, 113, 5]), ("invalid", [203, 0, 113, 5])], false).await;
    }

    /// proves: REP-2
    #[tokio::test]
    async fn a_failure_is_no_answer() {
        let zones = list(&[("test", [127, 0, 0, 2])]);
        zones.fail("north.test.doms.example.net", Some(Failure::Timeout)).unwrap();
        assert_eq!(ask(&zones, LIST, "north.test").await, Err(Error::Timeout));
        zones.fail("invalid.doms.example.net", Some(Failure::Timeout)).unwrap();
        assert_eq!(works(&zones, LIST).await, Err(Error::Timeout));
        let blocked = list(&[("north.test", [127, 255, 255, 254])]);
        assert!(matches!(ask(&blocked, LIST, "north.test").await, Err(Error::ServerFailure(_))));
    }
}
