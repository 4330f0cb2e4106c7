//! Which hosts take the mail of a domain (RFC 5321 section 5.1, RFC 7505).

use std::net::{IpAddr, SocketAddr};

use dns::{Error, Mx, Persistence, Resolver, Security};
use message::Code;

use super::limits::HOSTS_MAX;
use super::settings::Settings;
use super::trip::{Step, Trouble};

/// The hosts of a domain in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) hosts: Vec<String>,
    /// Whether the names of the hosts are proved by DNSSEC.
    pub(super) security: Security,
}

/// Asks for the hosts of a domain. keeps: GW-40, GW-41, GW-42
///
/// # Errors
/// Where there are none, or it cannot be known.
pub(super) async fn route(
    resolver: &dyn Resolver,
    domain: &str,
    settings: &Settings,
) -> Result<Route, Trouble> {
    if settings.fixed_addresses.contains_key(domain) {
        return Ok(Route { hosts: vec![domain.to_owned()], security: Security::Insecure });
    }
    let answer = resolver.mx(domain).await.map_err(|error| unanswered(domain, &error))?;
    if answer.records.is_empty() {
        if !answer.exists {
            let text = format!("the domain {domain} does not exist");
            return Err(Trouble::new(Step::Dns, Code::new(5, 1, 2), text));
        }
        // Without MX the domain itself is the host.
        return order(
            vec![Mx { preference: 0, exchange: Some(domain.to_owned()) }],
            answer.security,
            domain,
            settings,
        );
    }
    if answer.records.iter().all(|mx| mx.exchange.is_none()) {
        let text = format!("the domain {domain} takes no mail (null MX)");
        return Err(Trouble::new(Step::Dns, Code::new(5, 1, 10), text));
    }
    order(answer.records, answer.security, domain, settings)
}

/// By preference, by chance among equals, and nothing from ourselves on. keeps: GW-40, GW-42
fn order(records: Vec<Mx>, security: Security, domain: &str, settings: &Settings) -> Result<Route, Trouble> {
    let mut hosts: Vec<(u16, u32, String)> = records
        .into_iter()
        .filter_map(|mx| mx.exchange.map(|host| (mx.preference, (settings.random)(u32::MAX), host)))
        .collect();
    hosts.sort();
    let ours = hosts
        .iter()
        .filter(|(_, _, host)| settings.is_own_host(host))
        .map(|(preference, ..)| *preference)
        .min();
    if let Some(ours) = ours {
        hosts.retain(|(preference, ..)| *preference < ours);
    }
    let mut hosts: Vec<String> = hosts.into_iter().map(|(.., host)| host).collect();
    hosts.truncate(HOSTS_MAX);
    if hosts.is_empty() {
        let text = format!("mail for {domain} would loop back to ourselves");
        return Err(Trouble::new(Step::Dns, Code::LOOP, text));
    }
    Ok(Route { hosts, security })
}

/// The addresses of a host, and whether they are proved. keeps: GW-40
///
/// # Errors
/// Where there are none ([`Code::NO_ROUTE`]), or it cannot be known.
pub(super) async fn addresses(
    resolver: &dyn Resolver,
    host: &str,
    settings: &Settings,
) -> Result<(Vec<SocketAddr>, Security), Trouble> {
    if let Some(fixed) = settings.fixed_addresses.get(host) {
        // DANE may be tried with them: the answer for the name says whether it is proved.
        let security = resolver.addresses(host).await.map_or(Security::Insecure, |answer| answer.security);
        return Ok((fixed.clone(), security));
    }
    let answer = resolver.addresses(host).await.map_err(|error| unanswered(host, &error))?;
    let names_a_host = |address: &&IpAddr| !address.is_unspecified() && !address.is_multicast();
    let found: Vec<&IpAddr> = answer.records.iter().filter(names_a_host).collect();
    if found.is_empty() {
        let text = format!("the host {host} has no address");
        return Err(Trouble::new(Step::Dns, Code::NO_ROUTE, text));
    }
    let found = found.into_iter().map(|&address| SocketAddr::new(address, settings.port)).collect();
    Ok((found, answer.security))
}

/// Of the addresses of a host, as the DNS has them, those that may be called. keeps: GW-67
///
/// # Errors
/// Where there are none ([`Code::NO_ROUTE`]).
pub(super) fn public(
    mut addresses: Vec<SocketAddr>,
    host: &str,
    settings: &Settings,
) -> Result<Vec<SocketAddr>, Trouble> {
    if !settings.fixed_addresses.contains_key(host) {
        addresses.retain(|address| settings.may_call(address.ip()));
    }
    if addresses.is_empty() {
        let text = format!("the host {host} has no public address");
        return Err(Trouble::new(Step::Dns, Code::NO_ROUTE, text));
    }
    Ok(addresses)
}

fn unanswered(name: &str, error: &Error) -> Trouble {
    let code = match error.persistence() {
        Persistence::Temporary => Code::DIRECTORY_FAILURE,
        Persistence::Permanent => Code::NO_ROUTE,
    };
    Trouble::new(Step::Dns, code, format!("{name}: {error}"))
}
