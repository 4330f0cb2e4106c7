//! Which hosts serve a domain, where they are, and by which keys they may be known.

use std::net::IpAddr;

use crate::limits::{ADDRESSES_PER_TARGET_MAX, SENDER_TARGETS_MAX, TARGETS_MAX};
use crate::together::{Pending, all};
use crate::{Answer, Error, Resolver, Security, Srv, Tlsa, name, srv};

/// The UDP port of both protocols where nothing else is agreed. SRV records name a port always; this is what an
/// operator writes into them when there is no reason for another.
pub const DEFAULT_PORT: u16 = 7625;

/// What the DNS says about a domain and one of the two protocols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// The domain has nodes; these are the targets in the order in which to try them. The list is empty where no
    /// target has an address: the domain is native all the same, and the mail waits.
    Native {
        /// At most [`TARGETS_MAX`].
        targets: Vec<Target>,
    },
    /// The domain says that it does not offer this service at all.
    NotHere,
    /// The domain says nothing about it.
    Legacy {
        /// Whether it is proven that there is nothing.
        security: Security,
    },
}

/// One host to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The host's name in lower-case A-labels.
    pub host: String,
    /// Its UDP port, never 0.
    pub port: u16,
    /// Its addresses, one to [`ADDRESSES_PER_TARGET_MAX`].
    pub addresses: Vec<IpAddr>,
    /// Whether the SRV answer is proven: only where it is secure may the server be known by the name `host`
    /// instead of the mail domain's (RFC 6125, section 6.2.1).
    pub security: Security,
    /// SHA-256 digests of the public keys (SubjectPublicKeyInfo) that may serve here: the secure `TLSA 3 1 1`
    /// records. Where there are any, the server must show one of these keys.
    pub tlsa: Vec<[u8; 32]>,
}

/// Where mail for a domain is offered (exchange). keeps: DISCOVERY-4
///
/// `random(bound)` gives a uniform number in `0..bound`, for the order among equals.
///
/// # Errors
/// [`Error::BadName`]; those of [`Resolver`] where the SRV records cannot be had, or where no target is usable and
/// at least one failed.
pub async fn exchange_of(
    resolver: &dyn Resolver,
    domain: &str,
    random: impl FnMut(u32) -> u32 + Send,
) -> Result<Location, Error> {
    service(resolver, &name::below("_waxwing._udp", domain)?, random).await
}

/// Where the users of a domain submit mail. keeps: DISCOVERY-4
///
/// # Errors
/// As [`exchange_of`].
pub async fn submission_of(
    resolver: &dyn Resolver,
    domain: &str,
    random: impl FnMut(u32) -> u32 + Send,
) -> Result<Location, Error> {
    service(resolver, &name::below("_waxwing-sub._udp", domain)?, random).await
}

/// By which keys a client may be known that says it is an exchange of this domain. The addresses are of no use for that, and
/// are not asked for; nor is anything where the SRV answer is not secure. Of the targets the first few are asked, those before
/// others that `is_named`, as in the client's certificate.
///
/// # Errors
/// As [`exchange_of`]; those of the questions for keys where none was found.
///
/// keeps: DISCOVERY-13
pub async fn sender_keys(
    resolver: &dyn Resolver,
    domain: &str,
    is_named: impl Fn(&str) -> bool + Send,
    random: impl FnMut(u32) -> u32 + Send,
) -> Result<Vec<[u8; 32]>, Error> {
    let name = name::below("_waxwing._udp", domain)?;
    let answer = resolver.srv(&name).await?;
    if answer.security != Security::Secure {
        return Ok(Vec::new());
    }
    let mut places = srv::order(answer.records, random);
    places.sort_by_key(|place| !place.target.as_deref().is_some_and(&is_named));
    let targets = places.iter().filter_map(|place| Some((place.port, place.target.as_deref()?)));
    let asked = targets.take(SENDER_TARGETS_MAX);
    let asked = asked.map(|(port, host)| Box::pin(keys(resolver, port, host)) as Pending<'_, _>).collect();
    let mut found = Vec::new();
    let mut failure = None;
    for outcome in all(asked).await {
        match outcome {
            Ok(digests) => found.extend(digests),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

async fn service(
    resolver: &dyn Resolver,
    name: &str,
    random: impl FnMut(u32) -> u32 + Send,
) -> Result<Location, Error> {
    let Answer { records, security, exists: _, ttl_seconds: _ } = resolver.srv(name).await?;
    if records.is_empty() {
        return Ok(Location::Legacy { security });
    }
    if srv::is_not_here(&records) {
        return Ok(Location::NotHere);
    }
    let places = srv::order(records, random).into_iter().take(TARGETS_MAX);
    let asked = places.map(|place| Box::pin(target(resolver, place, security)) as Pending<'_, _>).collect();
    let mut targets = Vec::new();
    let mut failure = None;
    for outcome in all(asked).await {
        match outcome {
            Ok(target) => targets.extend(target),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure {
        Some(error) if targets.is_empty() => Err(error),
        _ => Ok(Location::Native { targets }),
    }
}

/// Looks up one target; `None` where it has no address. A failure to read its TLSA records makes the target
/// unusable, or an attacker could take DANE away by dropping them. keeps: DISCOVERY-6, DISCOVERY-7, DISCOVERY-8
async fn target(resolver: &dyn Resolver, place: Srv, security: Security) -> Result<Option<Target>, Error> {
    let Some(host) = place.target else { return Ok(None) };
    let found = resolver.addresses(&host).await?;
    let addresses: Vec<IpAddr> = interleaved(&found.records).take(ADDRESSES_PER_TARGET_MAX).collect();
    if addresses.is_empty() {
        return Ok(None);
    }
    let tlsa = match security.and(found.security) {
        Security::Secure => keys(resolver, place.port, &host).await?,
        Security::Insecure => Vec::new(),
    };
    Ok(Some(Target { host, port: place.port, addresses, security, tlsa }))
}

/// The keys of `_port._quic.<host>`, or of `_port._udp.<host>` where the first name has no TLSA records.
async fn keys(resolver: &dyn Resolver, port: u16, host: &str) -> Result<Vec<[u8; 32]>, Error> {
    for protocol in ["_quic", "_udp"] {
        let answer = resolver.tlsa(&name::below(&format!("_{port}.{protocol}"), host)?).await?;
        if answer.security == Security::Secure && !answer.records.is_empty() {
            return Ok(answer.records.into_iter().filter_map(digest).collect());
        }
    }
    Ok(Vec::new())
}

/// Usage 3, selector 1, matching type 1 only.
fn digest(tlsa: Tlsa) -> Option<[u8; 32]> {
    match (tlsa.usage, tlsa.selector, tlsa.matching) {
        (3, 1, 1) => tlsa.data.try_into().ok(),
        _ => None,
    }
}

/// The two families by turns, IPv6 first (RFC 8305, section 4), so that a bound on the addresses cuts off neither.
fn interleaved(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let (mut six, mut four): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|ip| ip.is_ipv6());
    six.reverse();
    four.reverse();
    let mut next_is_six = false;
    std::iter::from_fn(move || {
        next_is_six = !next_is_six;
        if next_is_six { six.pop().or_else(|| four.pop()) } else { four.pop().or_else(|| six.pop()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Failure, FixedZones, Record};

    fn here(priority: u16, port: u16, target: Option<&str>) -> Record {
        Record::Srv(Srv { priority, weight: 0, port, target: target.map(str::to_owned) })
    }

    fn tlsa(usage: u8, selector: u8, matching: u8, octet: u8) -> Record {
        Record::Tlsa(Tlsa { usage, selector, matching, data: vec![octet; 32] })
    }

    fn address(last: u8) -> Record {
        Record::Address(IpAddr::from([127, 0, 0, last]))
    }

    /// A domain with one target, in zones that are signed or not.
    fn north(secure: bool) -> FixedZones {
        let zones = FixedZones::new();
        zones.add("_waxwing._udp.north.test", here(0, 7625, Some("mx.north.test"))).unwrap();
        zones.add("mx.north.test", address(1)).unwrap();
        if secure {
            zones.set_security("north.test", Security::Secure).unwrap();
        }
        zones
    }

    async fn exchange(zones: &FixedZones) -> Result<Location, Error> {
        exchange_of(zones, "north.test", |_| 0).await
    }

    async fn targets(zones: &FixedZones) -> Vec<Target> {
        match exchange(zones).await {
            Ok(Location::Native { targets }) => targets,
            other => panic!("not native: {other:?}"),
        }
    }

    #[tokio::test] // proves: DISCOVERY-4
    async fn a_domain_is_native_not_here_or_legacy() {
        let zones = north(false);
        let [only] = &targets(&zones).await[..] else { panic!("one target") };
        assert_eq!(
            (only.host.as_str(), only.port, only.security),
            ("mx.north.test", 7625, Security::Insecure)
        );
        let submission = submission_of(&zones, "north.test", |_| 0).await;
        assert_eq!(submission, Ok(Location::Legacy { security: Security::Insecure }));
        zones.add("_waxwing-sub._udp.north.test", here(0, 0, None)).unwrap();
        assert_eq!(submission_of(&zones, "north.test", |_| 0).await, Ok(Location::NotHere));
        assert!(matches!(exchange_of(&zones, "north.test.", |_| 0).await, Err(Error::BadName(_))));
        zones.fail("_waxwing._udp.north.test", Some(Failure::Timeout)).unwrap();
        assert_eq!(exchange(&zones).await, Err(Error::Timeout));
    }

    #[tokio::test] // proves: DISCOVERY-6
    async fn a_native_domain_without_addresses_stays_native() {
        let zones = north(false);
        zones.remove("mx.north.test").unwrap();
        assert_eq!(exchange(&zones).await, Ok(Location::Native { targets: vec![] }));
    }

    #[tokio::test] // proves: DISCOVERY-6
    async fn a_failing_target_is_passed_over() {
        let zones = north(false);
        zones.add("_waxwing._udp.north.test", here(10, 7626, Some("second.north.test"))).unwrap();
        zones.add("second.north.test", address(2)).unwrap();
        zones.fail("mx.north.test", Some(Failure::ServerFailure)).unwrap();
        let [only] = &targets(&zones).await[..] else { panic!("one target") };
        assert_eq!((only.host.as_str(), only.port), ("second.north.test", 7626));
        zones.fail("second.north.test", Some(Failure::Bogus)).unwrap();
        assert!(matches!(exchange(&zones).await, Err(Error::ServerFailure(_))));
    }

    #[tokio::test] // proves: DISCOVERY-6
    async fn targets_and_addresses_are_bounded() {
        let zones = FixedZones::new();
        for at in 0..20_u8 {
            let host = format!("h{at}.north.test");
            zones.add("_waxwing._udp.north.test", here(at.into(), 7625, Some(&host))).unwrap();
            (0..10).for_each(|last| zones.add(&host, address(last)).unwrap());
            zones.add(&host, Record::Address(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]))).unwrap();
        }
        let targets = targets(&zones).await;
        let hosts: Vec<String> = (0..16).map(|at| format!("h{at}.north.test")).collect();
        assert_eq!(targets.iter().map(|target| target.host.clone()).collect::<Vec<_>>(), hosts);
        assert_eq!(targets[0].addresses.len(), 8);
        assert!(targets[0].addresses[0].is_ipv6() && targets[0].addresses[1].is_ipv4());
    }

    #[tokio::test] // proves: DISCOVERY-7, DISCOVERY-8
    async fn keys_come_from_secure_tlsa_records_only() {
        const QUIC: &str = "_7625._quic.mx.north.test";
        const UDP: &str = "_7625._udp.mx.north.test";
        let all = [tlsa(2, 1, 1, 1), tlsa(3, 0, 1, 2), tlsa(3, 1, 2, 3), tlsa(3, 1, 1, 4), tlsa(3, 1, 1, 5)];
        let check = async |secure: bool, records: &[(&str, &[Record])], expected: &[u8]| {
            let zones = north(secure);
            for (name, record) in
                records.iter().flat_map(|(name, set)| set.iter().map(move |one| (name, one)))
            {
                zones.add(name, record.clone()).unwrap();
            }
            let keys: Vec<[u8; 32]> = expected.iter().map(|octet| [*octet; 32]).collect();
            assert_eq!(targets(&zones).await[0].tlsa, keys, "secure: {secure}, {records:?}");
        };
        check(true, &[(QUIC, &all)], &[4, 5]).await;
        check(true, &[(UDP, &all)], &[4, 5]).await;
        check(true, &[(QUIC, &[tlsa(3, 1, 1, 6)]), (UDP, &all)], &[6]).await;
        check(true, &[], &[]).await;
        check(false, &[(QUIC, &all)], &[]).await;
        let short = Record::Tlsa(Tlsa { usage: 3, selector: 1, matching: 1, data: vec![0; 31] });
        check(true, &[(QUIC, &[short])], &[]).await;
    }

    #[tokio::test] // proves: DISCOVERY-13
    async fn a_client_is_known_by_the_keys_of_a_few_targets() {
        let zones = FixedZones::new();
        for at in 0..6_u8 {
            let host = format!("h{at}.north.test");
            zones.add("_waxwing._udp.north.test", here(at.into(), 7625, Some(&host))).unwrap();
            zones.add(&format!("_7625._quic.{host}"), tlsa(3, 1, 1, at)).unwrap();
        }
        let keys = async |named: &str| sender_keys(&zones, "north.test", |host| host == named, |_| 0).await;
        assert_eq!(keys("").await, Ok(vec![]), "what is not secure proves nothing");
        zones.set_security("north.test", Security::Secure).unwrap();
        // No target has an address.
        assert_eq!(keys("").await, Ok([0, 1, 2, 3].map(|octet| [octet; 32]).to_vec()));
        assert_eq!(keys("h5.north.test").await, Ok([5, 0, 1, 2].map(|octet| [octet; 32]).to_vec()));
        zones.fail("_7625._quic.h0.north.test", Some(Failure::Timeout)).unwrap();
        assert_eq!(keys("").await, Ok([1, 2, 3].map(|octet| [octet; 32]).to_vec()));
        zones.set_security("_quic.h1.north.test", Security::Insecure).unwrap();
        for at in [2, 3] {
            zones.remove(&format!("_7625._quic.h{at}.north.test")).unwrap();
        }
        assert_eq!(keys("").await, Err(Error::Timeout));
    }

    #[tokio::test] // proves: DISCOVERY-8
    async fn a_target_whose_keys_cannot_be_read_is_not_used() {
        let zones = north(true);
        zones.fail("_7625._quic.mx.north.test", Some(Failure::Timeout)).unwrap();
        assert_eq!(exchange(&zones).await, Err(Error::Timeout));
        let unsigned = north(false);
        unsigned.fail("_7625._quic.mx.north.test", Some(Failure::Timeout)).unwrap();
        assert_eq!(targets(&unsigned).await.len(), 1, "insecure targets are not asked for keys");
    }

    #[tokio::test] // proves: DISCOVERY-8
    async fn unsigned_keys_below_a_signed_host_are_not_used() {
        let zones = north(true);
        zones.add("_7625._quic.mx.north.test", tlsa(3, 1, 1, 1)).unwrap();
        zones.set_security("_quic.mx.north.test", Security::Insecure).unwrap();
        assert!(targets(&zones).await[0].tlsa.is_empty());
        zones.add("_7625._udp.mx.north.test", tlsa(3, 1, 1, 2)).unwrap();
        assert_eq!(targets(&zones).await[0].tlsa, [[2; 32]]);
    }
}
