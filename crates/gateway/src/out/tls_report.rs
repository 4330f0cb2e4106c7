//! What happened with TLS towards a domain on one day, for the report that the domain may ask for (RFC 8460).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use mail_parser::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::limits::{
    RECORD_OCTETS_MAX, TLS_FAILURES_MAX, TLS_REPORT_KEPT_MS, TLS_REPORT_WRITE_MS, TLS_REPORTS_MAX,
};
use crate::{Change, Kind, Record, Records};

const DAY_MS: u64 = 86_400_000;

/// One domain and day. Its record has the key: two octets with the number of the day since 1970, the most significant
/// first, and the domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayReport {
    /// By the policies that were followed.
    pub policies: Vec<PolicyReport>,
}

/// What happened under one policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyReport {
    /// `tlsa`, `sts` or `no-policy-found`.
    pub kind: String,
    /// The policy as it was: TLSA records, or lines of a policy text.
    pub text: Vec<String>,
    /// The patterns for hosts of an MTA-STS policy.
    pub hosts: Vec<String>,
    /// Sessions that went well.
    pub successes: u64,
    /// Sessions that did not, by kind and place.
    pub failures: Vec<Failure>,
}

/// One kind of failure at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The result type of RFC 8460 section 4.3.
    pub kind: String,
    /// The host.
    pub host: String,
    /// Its address.
    pub address: String,
    /// What was wrong, for people.
    pub text: String,
    /// How many sessions.
    pub count: u64,
}

/// The policy that was followed with one session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Followed {
    pub(super) kind: &'static str,
    pub(super) text: Vec<String>,
    pub(super) hosts: Vec<String>,
}

/// What went wrong with one session.
pub(super) struct Wrong<'a> {
    pub(super) kind: &'a str,
    pub(super) host: &'a str,
    pub(super) address: Option<IpAddr>,
    pub(super) text: &'a str,
}

/// The reports of today.
pub(super) struct Reports {
    records: Arc<dyn Records>,
    days: Mutex<HashMap<Vec<u8>, Day>>,
}

#[derive(Default)]
struct Day {
    report: DayReport,
    written_at_ms: u64,
}

impl Reports {
    pub(super) fn new(records: Arc<dyn Records>) -> Reports {
        Reports { records, days: Mutex::default() }
    }

    /// Counts one session. Failures are written at once, successes from time to time. keeps: GW-59
    pub(super) async fn count(
        &self,
        now_ms: u64,
        domain: &str,
        followed: &Followed,
        wrong: Option<Wrong<'_>>,
    ) {
        let today = u16::try_from(now_ms / DAY_MS).unwrap_or(u16::MAX).to_be_bytes();
        let key = [&today, domain.as_bytes()].concat();
        let mut days = self.days.lock().await;
        days.retain(|key, _| key.starts_with(&today));
        if !days.contains_key(&key) && days.len() >= TLS_REPORTS_MAX {
            days.clear();
        }
        let day = days.entry(key.clone()).or_insert_with(|| self.kept(&key, now_ms));
        let failed = wrong.is_some();
        day.report.add(followed, wrong);
        if failed || now_ms.saturating_sub(day.written_at_ms) >= TLS_REPORT_WRITE_MS {
            day.written_at_ms = now_ms;
            let value = serde_json::to_vec(&day.report).unwrap_or_default();
            drop(days);
            self.write(key, value, now_ms).await;
        }
    }

    fn kept(&self, key: &[u8], now_ms: u64) -> Day {
        let record = self.records.record(Kind::TlsReport, key, now_ms).ok().flatten();
        let report = record.and_then(|record| serde_json::from_slice(&record.value).ok());
        Day { report: report.unwrap_or_default(), written_at_ms: 0 }
    }

    async fn write(&self, key: Vec<u8>, value: Vec<u8>, now_ms: u64) {
        if value.is_empty() || value.len() > RECORD_OCTETS_MAX {
            return;
        }
        let record = Record { key, value, expires_at_ms: now_ms + TLS_REPORT_KEPT_MS };
        if let Err(error) = self.records.change(vec![Change::Put(Kind::TlsReport, record)]).await {
            tracing::warn!(%error, "a TLS report cannot be kept");
        }
    }
}

impl DayReport {
    fn add(&mut self, followed: &Followed, wrong: Option<Wrong<'_>>) {
        let same = |one: &PolicyReport| {
            one.kind == followed.kind && one.text == followed.text && one.hosts == followed.hosts
        };
        let place = self.policies.iter().position(same).unwrap_or_else(|| {
            self.policies.push(PolicyReport {
                kind: followed.kind.to_owned(),
                text: followed.text.clone(),
                hosts: followed.hosts.clone(),
                ..PolicyReport::default()
            });
            self.policies.len() - 1
        });
        let Some(policy) = self.policies.get_mut(place) else { return };
        let Some(wrong) = wrong else {
            policy.successes += 1;
            return;
        };
        let address = wrong.address.map(|address| address.to_string()).unwrap_or_default();
        let same = |one: &Failure| one.kind == wrong.kind && one.host == wrong.host && one.address == address;
        let known = policy.failures.iter().position(same);
        if known.is_none() && policy.failures.len() < TLS_FAILURES_MAX {
            policy.failures.push(Failure {
                kind: wrong.kind.to_owned(),
                host: wrong.host.to_owned(),
                address,
                text: wrong.text.chars().take(200).collect(),
                count: 1,
            });
            return;
        }
        // What does not fit any more is counted with the last.
        let place = known.unwrap_or(policy.failures.len().saturating_sub(1));
        if let Some(failure) = policy.failures.get_mut(place) {
            failure.count += 1;
        }
    }
}

/// Writes the report of a record of [`Kind::TlsReport`] as RFC 8460 section 4.4 has it; none where the record is not one.
/// keeps: GW-59
#[must_use]
pub fn json(record: &Record, organization: &str, contact: &str) -> Option<String> {
    let (day, domain) = record.key.split_at_checked(2)?;
    let number = u16::from_be_bytes(day.try_into().ok()?);
    let domain = std::str::from_utf8(domain).ok()?;
    let report: DayReport = serde_json::from_slice(&record.value).ok()?;
    let start = i64::from(number) * 86_400;
    let time = |seconds: i64| DateTime::from_timestamp(seconds).to_rfc3339();
    let policies: Vec<Value> = report.policies.iter().map(|policy| policy_json(policy, domain)).collect();
    let whole = json!({
        "organization-name": organization,
        "date-range": { "start-datetime": time(start), "end-datetime": time(start + 86_399) },
        "contact-info": contact,
        "report-id": format!("{}.{domain}@{organization}", time(start)),
        "policies": policies,
    });
    Some(whole.to_string())
}

fn policy_json(policy: &PolicyReport, domain: &str) -> Value {
    let failures: Vec<Value> = policy.failures.iter().map(failure_json).collect();
    let failed: u64 = policy.failures.iter().map(|failure| failure.count).sum();
    json!({
        "policy": {
            "policy-type": policy.kind,
            "policy-string": policy.text,
            "policy-domain": domain,
            "mx-host": policy.hosts,
        },
        "summary": {
            "total-successful-session-count": policy.successes,
            "total-failure-session-count": failed,
        },
        "failure-details": failures,
    })
}

fn failure_json(failure: &Failure) -> Value {
    json!({
        "result-type": failure.kind,
        "receiving-mx-hostname": failure.host,
        "receiving-ip": failure.address,
        "failed-session-count": failure.count,
        "failure-reason-code": failure.text,
    })
}
