//! What is believed about peers, how much they and users may bring, and the policy service: as it is written in the
//! configuration, and as it is resolved (`spec/15-reputation.md`).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use node::limits::{ACCREDITORS_MAX, DOMAIN_FACTOR, PENDING_PER_PEER};
use node::{Accreditors, Rates};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::config::domain;
use crate::limits::{SERVICE_MS_DEFAULT, SERVICE_MS_MAX};
use crate::service::{Place, ServiceClient, Silence};

/// Whom to believe about peers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ReputationConfig {
    /// Services that vouch for domains (RFC 5518). Nobody else's word counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vouched_by: Vec<String>,
    /// Lists of domains that behave (RFC 5782).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub good_lists: Vec<String>,
    /// Lists of domains that do not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bad_lists: Vec<String>,
}

/// How much may be brought in a time; 0 is no limit.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct RatesConfig {
    /// Messages of a peer.
    pub peer_messages_per_minute: u64,
    /// Recipients of a peer.
    pub peer_recipients_per_minute: u64,
    /// Recipients of a peer about whom nobody has decided yet.
    pub peer_pending: u64,
    /// Messages of all peers below one registered domain; without it four times what one peer may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain_messages_per_minute: Option<u64>,
    /// Recipients of all peers below one registered domain; without it four times what one peer may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain_recipients_per_minute: Option<u64>,
    /// Messages that a user submits.
    pub user_messages_per_hour: u64,
    /// Recipients that a user names.
    pub user_recipients_per_day: u64,
    /// What is done with a peer that is over its rate.
    pub over: OverConfig,
}

/// What is done with a peer that is over its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverConfig {
    /// It is put off at once.
    Defer,
    /// The rules see that it is over, and decide.
    Rules,
}

impl Default for RatesConfig {
    fn default() -> Self {
        RatesConfig {
            peer_messages_per_minute: 0,
            peer_recipients_per_minute: 0,
            peer_pending: PENDING_PER_PEER,
            domain_messages_per_minute: None,
            domain_recipients_per_minute: None,
            user_messages_per_hour: 0,
            user_recipients_per_day: 0,
            over: OverConfig::Defer,
        }
    }
}

/// A program of the operator's own that may decide.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PolicyServiceConfig {
    /// Where it is: `unix:PATH` or `http://127.0.0.1:PORT/PATH`.
    pub at: String,
    /// Milliseconds to wait for its answer.
    #[serde(default = "default_limit")]
    pub limit_ms: u64,
    /// What is done where it does not answer, or not as it should.
    #[serde(default = "default_silence")]
    pub when_silent: SilenceConfig,
}

/// What is done where a policy service says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SilenceConfig {
    /// What the rules have come to.
    Rules,
    /// The offer is put off.
    Defer,
    /// The recipient decides.
    Hold,
}

fn default_limit() -> u64 {
    SERVICE_MS_DEFAULT
}

fn default_silence() -> SilenceConfig {
    SilenceConfig::Rules
}

impl ReputationConfig {
    /// # Errors
    /// [`Error::Other`] where a name is no domain, or there are more than are asked.
    pub(crate) fn resolve(&self) -> Result<Accreditors, Error> {
        let read = |key: &str, names: &[String]| {
            if names.len() > ACCREDITORS_MAX {
                return Err(Error::Other(format!("[reputation] {key}: at most {ACCREDITORS_MAX} are asked")));
            }
            names.iter().map(|name| domain(name)).collect()
        };
        Ok(Accreditors {
            vouchers: read("vouched-by", &self.vouched_by)?,
            good_lists: read("good-lists", &self.good_lists)?,
            bad_lists: read("bad-lists", &self.bad_lists)?,
        })
    }
}

impl RatesConfig {
    pub(crate) fn resolve(&self) -> Rates {
        let together = |set: Option<u64>, peer: u64| set.unwrap_or(peer.saturating_mul(DOMAIN_FACTOR));
        Rates {
            peer_messages_per_minute: self.peer_messages_per_minute,
            peer_recipients_per_minute: self.peer_recipients_per_minute,
            peer_pending: self.peer_pending,
            domain_messages_per_minute: together(
                self.domain_messages_per_minute,
                self.peer_messages_per_minute,
            ),
            domain_recipients_per_minute: together(
                self.domain_recipients_per_minute,
                self.peer_recipients_per_minute,
            ),
            user_messages_per_hour: self.user_messages_per_hour,
            user_recipients_per_day: self.user_recipients_per_day,
            put_off: self.over == OverConfig::Defer,
        }
    }
}

impl PolicyServiceConfig {
    /// A service at this place, with the time limit and the answer to silence that hold where nothing is set.
    pub fn at(place: &str) -> PolicyServiceConfig {
        PolicyServiceConfig {
            at: place.to_owned(),
            limit_ms: default_limit(),
            when_silent: default_silence(),
        }
    }

    /// The client, for [`node::Node::consult`]; paths are seen from this folder.
    ///
    /// # Errors
    /// [`Error::Other`] where the place cannot be read, or the time is no time.
    pub fn client(&self, folder: &Path) -> Result<Arc<dyn node::PolicyService>, Error> {
        Ok(Arc::new(self.resolve(folder)?))
    }

    /// # Errors
    /// [`Error::Other`] where the place cannot be read, or the time is no time.
    pub(crate) fn resolve(&self, folder: &Path) -> Result<ServiceClient, Error> {
        let wrong = |reason: String| Error::Other(format!("[policy-service] {reason}"));
        let place = Place::parse(&self.at, folder).map_err(|reason| wrong(format!("at: {reason}")))?;
        if !(1..=SERVICE_MS_MAX).contains(&self.limit_ms) {
            return Err(wrong(format!("limit-ms: from 1 to {SERVICE_MS_MAX}")));
        }
        let silence = match self.when_silent {
            SilenceConfig::Rules => Silence::Rules,
            SilenceConfig::Defer => Silence::Defer,
            SilenceConfig::Hold => Silence::Hold,
        };
        Ok(ServiceClient::new(place, Duration::from_millis(self.limit_ms), silence))
    }
}
