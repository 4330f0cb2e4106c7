//! Walking a chain of forwarders, from the final recipient back to the address that people write to.

use std::collections::BTreeSet;

use message::address::Domain;

use super::Forwarding;
use super::document::{RecordDocument, VERSION, split};
use crate::limits::{FORWARD_HOPS_MAX, FORWARD_WALK_TIME_MAX};

/// One forwarder of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The page of its record.
    pub page: String,
    /// What it says, or why it is not known.
    pub record: Result<RecordDocument, HopEnd>,
}

/// Why a chain is not walked any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HopEnd {
    /// The page was seen before.
    #[error("the chain leads back to itself")]
    Again,
    /// There were enough.
    #[error("the chain has more than {FORWARD_HOPS_MAX} forwarders")]
    TooLong,
    /// It does not answer with a record.
    #[error("{0}")]
    Unknown(String),
}

impl Forwarding {
    /// Walks from this page on, over every forwarder that each record names. keeps: FWD-21
    pub async fn walk(&self, page: &str) -> Vec<Hop> {
        let mut hops = Vec::new();
        if tokio::time::timeout(FORWARD_WALK_TIME_MAX, self.walk_on(page, &mut hops)).await.is_err() {
            let end = HopEnd::Unknown("the others do not answer in time".to_owned());
            hops.push(Hop { page: String::new(), record: Err(end) });
        }
        hops
    }

    async fn walk_on(&self, page: &str, hops: &mut Vec<Hop>) {
        let (mut ahead, mut seen) = (vec![page.to_owned()], BTreeSet::new());
        while let Some(page) = ahead.pop() {
            let record = if !seen.insert(page.clone()) {
                Err(HopEnd::Again)
            } else if hops.len() >= FORWARD_HOPS_MAX {
                Err(HopEnd::TooLong)
            } else {
                self.record_at(&page).await.map_err(HopEnd::Unknown)
            };
            let ends = matches!(record, Err(HopEnd::TooLong));
            if let Ok(record) = &record {
                ahead.extend(
                    record.from.iter().rev().take(FORWARD_HOPS_MAX).filter_map(|from| from.page.clone()),
                );
            }
            hops.push(Hop { page, record });
            if ends {
                break;
            }
        }
    }

    async fn record_at(&self, page: &str) -> Result<RecordDocument, String> {
        let (host, path) = split(page).ok_or_else(|| "that is no page of a forwarder".to_owned())?;
        let domain = Domain::parse(host).map_err(|error| error.to_string())?;
        let fetched = self.fetch.get(&domain, path).await.map_err(|error| error.to_string())?;
        if fetched.status != 200 {
            return Err(format!("{domain} answers {}", fetched.status));
        }
        let record: RecordDocument =
            serde_json::from_slice(&fetched.body).map_err(|error| error.to_string())?;
        if record.version == VERSION { Ok(record) } else { Err("a record of another version".to_owned()) }
    }
}
