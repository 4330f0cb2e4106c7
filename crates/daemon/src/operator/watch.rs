//! What an operator looks at while it changes: the flow, the queue by age, the domains, what needs to be done.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use console::Links;
use control::limits::LINK_SECONDS;
use control::{
    AGES_MS, AlertView, DomainView, Failure, FailureKind, FlowView, LaneAgesView, Request, Response,
};
use data_encoding::HEXLOWER;
use dns::Resolver;
use dns::waxkey::KeyRecord;
use storage::LaneAges;

use super::{Answered, LocalOperator, bounded, failure};
use crate::clock::{SystemClock, now_ms};
use crate::flow::Flow;
use crate::published::Published;

/// Lanes that are looked at for alerts: the fullest. A node with more in trouble has one trouble, not two hundred.
const ALERT_LANES_MAX: usize = 200;
/// Alerts about lanes that are told, so that they do not hide the others.
const LANE_ALERTS_MAX: usize = 12;
/// Milliseconds after which what waits in a lane with an error is told, and after which it is urgent.
const LANE_LATE_MS: [u64; 2] = [2 * 3_600_000, 24 * 3_600_000];
/// How long the DNS is waited for, and how long its answers are taken for true.
const DNS_WAIT: Duration = Duration::from_secs(2);
const DNS_TRUE_MS: u64 = 600_000;

/// What watching needs beside the store.
pub(crate) struct Watching {
    /// What has happened.
    pub(crate) flow: Arc<Flow>,
    /// What is shown to others.
    pub(crate) published: Published,
    /// Where the node looks for keys.
    pub(crate) resolver: Arc<dyn Resolver>,
    /// The links into the console and its address; absent where it is off.
    pub(crate) console: Option<(Arc<Links>, String)>,
    /// Octets of free disk space below which nothing new is taken.
    pub(crate) free_octets_floor: u64,
    /// Which keys were found in the DNS, and when that was asked.
    pub(crate) found: Mutex<Option<(u64, Vec<Option<bool>>)>>,
}

impl Watching {
    pub(super) async fn answer(&self, local: &LocalOperator, request: Request) -> Answered {
        match request {
            Request::QueueAges { limit } => {
                let (lanes, lanes_more) =
                    local.store().ages(now_ms(), &AGES_MS, bounded(limit)).map_err(failure)?;
                Ok(Response::Ages { lanes: lanes.iter().map(ages_view).collect(), lanes_more })
            }
            Request::Domains => self.domains(local).await,
            Request::Watch { account, after, seconds } => {
                let addresses = match &account {
                    Some(name) => local.living(name)?.addresses.iter().map(ToString::to_string).collect(),
                    None => Vec::new(),
                };
                let concerns = |event: &FlowView| match &account {
                    Some(name) => concerns(event, name, &addresses),
                    None => true,
                };
                let (events, last) = self.flow.since(after, seconds, concerns).await;
                Ok(Response::Flow { events, last })
            }
            Request::ConsoleLink => {
                let (links, at) = self.console.as_ref().ok_or_else(|| {
                    Failure::new(FailureKind::Unavailable, "the console of this node does not run").hint(
                        "it is off under [console] in the configuration, or its address was taken when the node started, \
                         which the log says",
                    )
                })?;
                let token = links.issue(&SystemClock);
                Ok(Response::Link { url: format!("http://{at}/enter/{token}"), seconds: LINK_SECONDS })
            }
            _ => Err(Failure::new(FailureKind::Invalid, "this cannot be asked here")),
        }
    }

    async fn domains(&self, local: &LocalOperator) -> Answered {
        let found = self.found_keys(local).await;
        let settings = local.node.settings();
        let domains = settings.domains.iter().zip(found).map(|((domain, own), published)| {
            let name = domain.as_str();
            let of_domain = |record: &&String| {
                record.split_once(". ").is_some_and(|(owner, rest)| {
                    owner.ends_with(&format!(".{name}")) && !rest.contains(" TLSA ")
                })
            };
            DomainView {
                name: domain.to_string(),
                selector: own.selector.clone(),
                public_key: HEXLOWER.encode(own.key.public().as_bytes()),
                records: self.published.records.iter().filter(of_domain).cloned().collect(),
                published,
            }
        });
        Ok(Response::Domains {
            domains: domains.collect(),
            host: self.published.host.clone(),
            pin: self.published.pin.clone(),
            records: self.published.records.iter().filter(|one| one.contains(" TLSA ")).cloned().collect(),
        })
    }

    /// For each domain whether its key is in the DNS, as far as that answers in time; asked again after a while only.
    async fn found_keys(&self, local: &LocalOperator) -> Vec<Option<bool>> {
        let known = self.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, found)) = known.filter(|(at_ms, _)| now_ms() < at_ms.saturating_add(DNS_TRUE_MS)) {
            return found;
        }
        let mut found = Vec::new();
        for (domain, own) in &local.node.settings().domains {
            let asked = dns::waxkey::fetch(self.resolver.as_ref(), &own.selector, domain.as_str());
            found.push(match tokio::time::timeout(DNS_WAIT, asked).await {
                Ok(Ok(Some(answer))) => Some(match answer.record {
                    KeyRecord::Key(key) => &key.public == own.key.public().as_bytes(),
                    KeyRecord::Revoked => false,
                }),
                Ok(Ok(None)) => Some(false),
                Ok(Err(_)) | Err(_) => None,
            });
        }
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some((now_ms(), found.clone()));
        found
    }

    pub(super) async fn alerts(&self, local: &LocalOperator) -> Result<Vec<AlertView>, Failure> {
        let numbers = local.store().statistics();
        let mut alerts = Vec::new();
        let mut tell = |urgent: bool, kind: &str, text: String, hint: &str| {
            let (kind, hint) = (kind.to_owned(), hint.to_owned());
            alerts.push(AlertView { kind, urgent, text, hint, lane: None });
        };
        if numbers.read_only {
            let hint = "Find the cause in the log (a full or a broken disk), mend it, and restart the node.";
            tell(true, "read-only", "The store takes no more mail: a commit has failed.".to_owned(), hint);
        }
        if let Some(free) =
            numbers.free_octets.filter(|free| *free < self.free_octets_floor.saturating_mul(4))
        {
            let urgent = free < self.free_octets_floor;
            let text = format!("{} MiB are free on the disk of the store.", free >> 20);
            let hint = if urgent {
                "Nothing new is taken until there is room: make some."
            } else {
                "Make room before new mail is deferred for want of it."
            };
            tell(urgent, "disk", text, hint);
        }
        if numbers.quarantined > 0 {
            let text = format!("{} legs are left alone: their records cannot be read.", numbers.quarantined);
            let hint = "Run `waxwing store check`, and restore what is damaged from a copy.";
            tell(true, "quarantine", text, hint);
        }
        if let Some((since_ms, reason)) = local.node.policy_service_silent_since() {
            let minutes = now_ms().saturating_sub(since_ms) / 60_000;
            let text = format!("The policy service does not answer, for {minutes} min now: {reason}.");
            tell(
                false,
                "policy-service",
                text,
                "Start it, or look at [policy-service] in the configuration: until then its when-silent says what is done.",
            );
        }
        let found = self.found_keys(local).await;
        for ((domain, own), _) in
            local.node.settings().domains.iter().zip(found).filter(|(_, found)| *found == Some(false))
        {
            let text = format!("The key of {domain} is not in the DNS under {}.", own.selector);
            tell(
                true,
                "key",
                text,
                "Publish the record that the page on domains shows: without it no seal counts.",
            );
        }
        let (lanes, _) = local.store().ages(now_ms(), &[], ALERT_LANES_MAX).map_err(failure)?;
        alerts.extend(lanes.iter().filter_map(|one| lane_alert(one, now_ms())).take(LANE_ALERTS_MAX));
        alerts.extend(local.handover_alerts()?);
        alerts.sort_by_key(|alert| !alert.urgent);
        Ok(alerts)
    }
}

/// Whether an event is about mail of this account: it sent it, or it came to one of its addresses.
fn concerns(event: &FlowView, account: &str, addresses: &[String]) -> bool {
    let sent = event.by.as_deref().and_then(|by| by.strip_prefix("account:")) == Some(account);
    sent || event.recipient.as_ref().is_some_and(|one| {
        addresses.iter().any(|own| own.eq_ignore_ascii_case(one) || one.to_lowercase() == *own)
    })
}

fn lane_alert(one: &LaneAges, now_ms: u64) -> Option<AlertView> {
    let lane = &one.summary;
    let age_ms = now_ms.saturating_sub(lane.oldest_ms?);
    let [late_ms, urgent_ms] = LANE_LATE_MS;
    let error = lane.last_error.as_ref()?;
    (age_ms >= late_ms).then(|| AlertView {
        kind: "lane".to_owned(),
        urgent: age_ms >= urgent_ms,
        text: format!(
            "{} messages for {} wait, the oldest for {} h: {error}",
            lane.legs,
            lane.lane,
            age_ms / 3_600_000
        ),
        hint: "Look at the last attempts. If the other side is down, there is nothing to do but wait."
            .to_owned(),
        lane: Some(lane.lane.to_string()),
    })
}

fn ages_view(one: &LaneAges) -> LaneAgesView {
    let lane = &one.summary;
    let mut ages = [0; 6];
    ages.iter_mut().zip(&one.counts).for_each(|(place, count)| *place = *count);
    LaneAgesView {
        lane: lane.lane.to_string(),
        count: lane.legs,
        ages,
        held: lane.held,
        next_due_ms: lane.next_due_ms,
        last_error: lane.last_error.clone(),
    }
}
