//! What a domain asks for with MTA-STS (RFC 8461).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use dns::Resolver;
use serde::{Deserialize, Serialize};

use super::https;
use super::limits::{RECORD_OCTETS_MAX, STS_AGE_SECONDS_MAX, STS_FAILURE_MS, STS_FAILURES_MAX};
use super::settings::Settings;
use crate::{Change, Kind, Record, Records};

/// What follows from a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// Nothing is delivered to a host that does not fit.
    Enforce,
    /// It is delivered, and what would have failed is reported.
    Testing,
    /// Nothing.
    None,
}

/// The policy of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Policy {
    /// The identifier of the DNS record under which it was fetched.
    pub(super) id: String,
    pub(super) mode: Mode,
    /// For how many seconds it may be kept.
    pub(super) max_age: u64,
    /// Patterns of the names that the hosts may have.
    pub(super) mx: Vec<String>,
}

/// The policies that are known.
pub(super) struct Policies {
    records: Arc<dyn Records>,
    /// Domains and identifiers of what could not be fetched, and until when it is not tried again.
    failures: Mutex<HashMap<(String, String), u64>>,
}

impl Policy {
    /// Reads the text of a policy (RFC 8461 section 3.2).
    pub(super) fn parse(text: &str, id: &str) -> Result<Policy, &'static str> {
        let mut lines = text.lines().map(|line| line.split_once(':').unwrap_or((line, "")));
        let mut lines =
            lines.by_ref().map(|(key, value)| (key.trim(), value.trim())).filter(|(key, _)| !key.is_empty());
        if lines.next() != Some(("version", "STSv1")) {
            return Err("it does not begin with version: STSv1");
        }
        let (mut mode, mut max_age, mut mx) = (None, None, Vec::new());
        for (key, value) in lines {
            match key {
                "mode" if mode.is_none() => {
                    mode = Some(match value {
                        "enforce" => Mode::Enforce,
                        "testing" => Mode::Testing,
                        "none" => Mode::None,
                        _ => return Err("its mode is unknown"),
                    });
                }
                "max_age" if max_age.is_none() => {
                    let digits = value.len() <= 10 && value.bytes().all(|octet| octet.is_ascii_digit());
                    let seconds = value.parse::<u64>().ok().filter(|_| digits);
                    max_age = Some(seconds.ok_or("its max_age is no number")?.min(STS_AGE_SECONDS_MAX));
                }
                "mx" => mx.push(value.to_ascii_lowercase()),
                _ => {}
            }
        }
        let mode = mode.ok_or("it has no mode")?;
        let max_age = max_age.ok_or("it has no max_age")?;
        if mx.is_empty() && mode != Mode::None {
            return Err("it has no mx");
        }
        Ok(Policy { id: id.to_owned(), mode, max_age, mx })
    }

    /// Whether a host may have this name; `*.` stands for one label (RFC 8461 section 4.1). keeps: GW-44
    pub(super) fn fits(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.mx.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(parent) => {
                host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent)
            }
            None => *pattern == host,
        })
    }
}

impl Policies {
    pub(super) fn new(records: Arc<dyn Records>) -> Policies {
        Policies { records, failures: Mutex::default() }
    }

    /// The policy of a domain: the one that is kept, where the DNS names no newer one or the newer one cannot be had.
    /// keeps: GW-44
    pub(super) async fn of(
        &self,
        domain: &str,
        resolver: &dyn Resolver,
        settings: &Settings,
    ) -> Option<Policy> {
        let now_ms = (settings.now_ms)();
        let kept = self.kept(domain, now_ms);
        let Some(id) = named(resolver, domain).await else { return kept };
        if kept.as_ref().is_some_and(|kept| kept.id == id) || self.has_failed(domain, &id, now_ms) {
            return kept;
        }
        match fetch(domain, &id, resolver, settings).await {
            Ok(policy) => {
                self.keep(domain, &policy, now_ms).await;
                Some(policy)
            }
            Err(reason) => {
                tracing::info!(domain, reason, "the MTA-STS policy cannot be had");
                self.failed(domain, &id, now_ms);
                kept
            }
        }
    }

    fn kept(&self, domain: &str, now_ms: u64) -> Option<Policy> {
        match self.records.record(Kind::StsPolicy, domain.as_bytes(), now_ms) {
            Ok(record) => serde_json::from_slice(&record?.value).ok(),
            Err(error) => {
                tracing::warn!(domain, %error, "the MTA-STS policy cannot be read");
                None
            }
        }
    }

    async fn keep(&self, domain: &str, policy: &Policy, now_ms: u64) {
        let Ok(value) = serde_json::to_vec(policy) else { return };
        if value.len() > RECORD_OCTETS_MAX {
            return;
        }
        let expires_at_ms = now_ms.saturating_add(policy.max_age.saturating_mul(1_000));
        let record = Record { key: domain.as_bytes().to_vec(), value, expires_at_ms };
        if let Err(error) = self.records.change(vec![Change::Put(Kind::StsPolicy, record)]).await {
            tracing::warn!(domain, %error, "the MTA-STS policy cannot be kept");
        }
    }

    fn has_failed(&self, domain: &str, id: &str, now_ms: u64) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(&(domain.to_owned(), id.to_owned())).is_some_and(|&until| until > now_ms)
    }

    fn failed(&self, domain: &str, id: &str, now_ms: u64) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, until| *until > now_ms);
        if failures.len() < STS_FAILURES_MAX {
            failures.insert((domain.to_owned(), id.to_owned()), now_ms + STS_FAILURE_MS);
        }
    }
}

/// The identifier in the one DNS record of a domain (RFC 8461 section 3.1); none where there is not exactly one.
async fn named(resolver: &dyn Resolver, domain: &str) -> Option<String> {
    let answer = resolver.txt(&format!("_mta-sts.{domain}")).await.ok()?;
    let texts = answer.records.iter().filter_map(|text| std::str::from_utf8(text).ok());
    let mut ours = texts.filter(|text| text.split(';').next().is_some_and(|first| first.trim() == "v=STSv1"));
    let (one, None) = (ours.next()?, ours.next()) else { return None };
    let mut fields = one.split(';').filter_map(|field| field.split_once('='));
    let id = fields.find(|(name, _)| name.trim() == "id").map(|(_, id)| id.trim())?;
    let good = (1..=32).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_alphanumeric());
    good.then(|| id.to_owned())
}

async fn fetch(
    domain: &str,
    id: &str,
    resolver: &dyn Resolver,
    settings: &Settings,
) -> Result<Policy, String> {
    let host = format!("mta-sts.{domain}");
    let addresses: Vec<SocketAddr> = match settings.fixed_addresses.get(&host) {
        Some(fixed) => fixed.clone(),
        None => {
            let answer = resolver.addresses(&host).await.map_err(|error| error.to_string())?;
            let public = answer.records.iter().filter(|&&address| settings.may_call(address));
            public.map(|&address| SocketAddr::new(address, settings.https_port)).collect()
        }
    };
    if addresses.is_empty() {
        return Err(format!("{host} has no public address"));
    }
    let text = https::fetch(&addresses, &host, "/.well-known/mta-sts.txt", &settings.roots).await?;
    let text = std::str::from_utf8(&text).map_err(|_| "it is not UTF-8".to_owned())?;
    Policy::parse(text, id).map_err(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: GW-44
    #[test]
    fn policies_are_read() {
        let check = |text: &str, expected: Option<(Mode, u64, &[&str])>| {
            let policy = Policy::parse(text, "1").ok();
            let read = policy.map(|policy| (policy.mode, policy.max_age, policy.mx));
            let expected =
                expected.map(|(mode, age, mx)| (mode, age, mx.iter().map(|&one| one.to_owned()).collect()));
            assert_eq!(read, expected, "{text:?}");
        };
        // RFC 8461 section 3.2, the example.
        let example = "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\n\
                       mx: backupmx.example.com\nmax_age: 604800\n";
        let hosts: &[&str] = &["mail.example.com", "*.example.net", "backupmx.example.com"];
        check(example, Some((Mode::Enforce, 604_800, hosts)));
        check(&example.replace('\n', "\r\n"), Some((Mode::Enforce, 604_800, hosts)));
        check("version: STSv1\nmode: none\nmax_age: 86400", Some((Mode::None, 86_400, &[])));
        check(
            "version: STSv1\nmode: testing\nmx: a.b\nmax_age: 9999999999\nnew: x",
            Some((Mode::Testing, STS_AGE_SECONDS_MAX, &["a.b"])),
        );
        check("version: STSv1\nmode: enforce\nmax_age: 1", None);
        check("version: STSv1\nmode: strict\nmx: a.b\nmax_age: 1", None);
        check("version: STSv1\nmode: enforce\nmx: a.b", None);
        check("version: STSv1\nmode: enforce\nmx: a.b\nmax_age: -1", None);
        check("mode: enforce\nversion: STSv1\nmx: a.b\nmax_age: 1", None);
        check("version: STSv2\nmode: enforce\nmx: a.b\nmax_age: 1", None);
        check("", None);
    }

    /// proves: GW-44
    #[test]
    fn hosts_fit_as_the_policy_says() {
        let check = |pattern: &str, host: &str, expected: bool| {
            let policy =
                Policy { id: String::new(), mode: Mode::Enforce, max_age: 1, mx: vec![pattern.to_owned()] };
            assert_eq!(policy.fits(host), expected, "{pattern} {host}");
        };
        check("mail.example.com", "MAIL.example.com", true);
        check("mail.example.com", "example.com", false);
        check("*.example.com", "mail.example.com", true);
        check("*.example.com", "example.com", false);
        check("*.example.com", "a.mail.example.com", false);
        check("*.example.com", "mailexample.com", false);
    }
}
