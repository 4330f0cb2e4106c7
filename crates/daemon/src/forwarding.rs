//! Forwarding by authorization: its configuration, its records in the node's store, and its life
//! (`spec/22-forwarding.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateway::forward::{
    Book, BookError, Certificate, Change, Door, Forwarding, Grant, Granting, Https, Policy, Report, State,
    Upstream, Verdict, Way, serve,
};
use gateway::properties::Arrangements;
use message::address::{Address, Domain};
use node::{Clock, Complaint, Complaints, Node};
use serde::{Deserialize, Serialize};
use storage::{ForwardRecord, ForwardState, GrantRecord, GrantState, Regard};

use crate::clock::{SystemClock, now_ms};
use crate::config::{Config, domain};
use crate::{Error, files};

/// How often it is looked whether a target is to be asked.
const LOOK_SECONDS: u64 = 30;

/// Forwarding, as it is written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ForwardingConfig {
    /// Where forwarders and targets reach this node over HTTPS; without it nothing can be granted to us or by us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// The certificate chain for our domains, PEM [that of the node].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// Its key, PEM, mode 0600 [that of the node].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Authorities that are trusted for other domains, PEM [those of the node].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roots: Option<PathBuf>,
    /// To whom it is granted without asking anybody.
    pub grant: GrantConfig,
    /// Forwarders that are granted without asking.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted: Vec<String>,
    /// Whether forwarders are told of what users refuse as abuse.
    pub complain: bool,
    /// What is done with mail while a target has not granted it.
    pub while_waiting: WaitingConfig,
    /// Where domains are asked whose addresses are not those in the DNS: `"f.test" = "127.0.0.1:8443"`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, SocketAddr>,
}

/// To whom it is granted without asking anybody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrantConfig {
    /// To forwarders whom the recipient trusts.
    #[default]
    Trusted,
    /// To everybody who has shown who it is.
    Everybody,
    /// To nobody.
    Nobody,
}

/// What is done with mail while a target has not granted it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitingConfig {
    /// It waits in the queue.
    #[default]
    Hold,
    /// Its sender is told to come again.
    PutOff,
}

/// Both roles of a node.
#[derive(Clone)]
pub(crate) struct Roles {
    pub(crate) forwarding: Arc<Forwarding>,
    node: Node,
}

impl Roles {
    /// The roles of this node, and the door where it is asked; nothing where there is no authority to trust.
    pub(crate) async fn open(
        config: &Config,
        node: &Node,
        resolver: Arc<dyn dns::Resolver>,
    ) -> Result<Option<(Roles, Option<Door>)>, Error> {
        let written = &config.forwarding;
        let roots = config.path(written.roots.as_ref().unwrap_or(&config.tls.roots));
        if !roots.exists() {
            return Ok(None);
        }
        let other = |what: &str, reason: String| Error::Other(format!("[forwarding] {what}: {reason}"));
        let hosts = written.hosts.iter().map(|(name, at)| Ok((domain(name)?, *at)));
        let hosts = hosts.collect::<Result<BTreeMap<Domain, SocketAddr>, Error>>()?;
        let https = Https::new(resolver, &files::read(&roots)?, hosts, |at| node::may_redirect_to(at, false))
            .map_err(|reason| other("roots", reason))?;
        let trusted = written.trusted.iter().map(|name| domain(name)).collect::<Result<_, Error>>()?;
        let policy = Policy {
            granting: match written.grant {
                GrantConfig::Trusted => Granting::Trusted,
                GrantConfig::Everybody => Granting::Everybody,
                GrantConfig::Nobody => Granting::Nobody,
            },
            trusted,
            complain: written.complain,
        };
        let shown = node.settings().domain.clone();
        let domains: BTreeSet<Domain> = node.settings().domains.keys().cloned().collect();
        let book = Arc::new(StoreBook(node.clone()));
        let forwarding =
            Arc::new(Forwarding::new(shown, domains, policy, book, Arc::new(https), Arc::new(now_ms)));
        let door = match written.listen {
            None => None,
            Some(listen) => {
                let chain = files::read(
                    &config.path(written.certificate.as_ref().unwrap_or(&config.tls.certificate)),
                )?;
                let key = files::read_secret(&config.path(written.key.as_ref().unwrap_or(&config.tls.key)))?;
                let certificate =
                    Certificate::from_pem(&chain, &key).map_err(|reason| other("certificate", reason))?;
                let listener = crate::listen::tcp("[forwarding] listen", listen).await?;
                Some(Door { listener, certificate, forwarding: forwarding.clone() })
            }
        };
        let roles = Roles { forwarding, node: node.clone() };
        node.forward_so(node::Forwarding {
            put_off: written.while_waiting == WaitingConfig::PutOff,
            complaints: Some(Arc::new(roles.clone())),
        });
        Ok(Some((roles, door)))
    }

    /// Serves the door, and asks targets when it is time, until the future is dropped.
    pub(crate) async fn live(self, door: Option<Door>) {
        let served = async {
            match door {
                Some(door) => serve(door).await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(served, self.ask_in_time());
    }

    async fn ask_in_time(&self) {
        loop {
            if let Err(error) = self.ask_those_due().await {
                tracing::warn!(%error, "targets of aliases could not be asked");
            }
            tokio::time::sleep(Duration::from_secs(LOOK_SECONDS)).await;
        }
    }

    async fn ask_those_due(&self) -> Result<(), BookError> {
        let mut after: Option<(Address, Address)> = None;
        loop {
            let place = after.as_ref().map(|(alias, target)| (alias, target));
            let page = self.node.store().forwards(place, 100).map_err(broken)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some((last.alias.clone(), last.target.clone()));
            for record in page {
                let due = record.ask_again_at_ms.is_some_and(|at_ms| at_ms <= now_ms());
                if due && record.state != ForwardState::Deleted {
                    let alias = record.alias.clone();
                    // One that cannot be written, because an account has the address now, must not keep the others.
                    if let Err(error) = self.forwarding.ask(way(record)).await {
                        tracing::debug!(%error, %alias, "what came of asking is not written");
                    }
                }
            }
        }
    }
}

impl Complaints for Roles {
    fn complain(&self, complaint: Complaint) {
        let forwarding = self.forwarding.clone();
        tokio::spawn(async move {
            let report = Report {
                recipient: complaint.grant.recipient.to_string(),
                arrived_at_ms: complaint.arrived_at_ms,
                forwarder: complaint.grant.forwarder.as_str().to_owned(),
                header: complaint.header.to_vec(),
            };
            if let Err(error) = forwarding.complain(&grant(complaint.grant), &report).await {
                tracing::info!(%error, "a report of abuse was not sent");
            }
        });
    }
}

/// What SPF's `meng` asks for (`spec/20-spf-properties.md`): a grant for the host's own name or for a domain above it.
impl Arrangements for Roles {
    fn arranged<'a>(&'a self, forwarder: &'a str, recipient: &'a Address) -> gateway::Later<'a, bool> {
        let above = |at: usize| forwarder.get(at..).and_then(|name| Domain::parse(name).ok());
        let starts = forwarder.match_indices('.').map(|(dot, _)| dot + 1);
        let granted = std::iter::once(0)
            .chain(starts)
            .filter_map(above)
            .any(|domain| self.node.has_granted(recipient, &domain).unwrap_or(false));
        Box::pin(std::future::ready(granted))
    }
}

/// A new record for an alias and a target, with fresh secrets.
pub(crate) fn fresh_record(alias: Address, target: Address, state: ForwardState) -> ForwardRecord {
    let secret = || {
        let mut octets = [0; 32];
        SystemClock.random(&mut octets);
        octets
    };
    let now_ms = now_ms();
    ForwardRecord {
        alias,
        target,
        state,
        since_ms: now_ms,
        made_at_ms: now_ms,
        ask: secret(),
        credential: secret(),
        conceal: false,
        rewrite: false,
        keep_sender: false,
        authorization: None,
        asked_at_ms: None,
        ask_again_at_ms: (state == ForwardState::Waiting).then_some(now_ms),
        note: String::new(),
        complaints: 0,
    }
}

/// The records of forwarding in the store of a node.
struct StoreBook(Node);

fn broken(error: storage::Error) -> BookError {
    BookError(error.to_string())
}

fn failed((code, text): (message::Code, String)) -> BookError {
    BookError(format!("{text} ({code})"))
}

impl StoreBook {
    /// The record of a way as it is now, changed.
    async fn rewrite(&self, known: Way, change: impl FnOnce(&mut ForwardRecord)) -> Result<(), BookError> {
        let record = self.0.store().forward(&known.alias, &known.target).map_err(broken)?;
        let mut record = record.ok_or_else(|| BookError("it is gone".to_owned()))?;
        let state = record.state;
        change(&mut record);
        if record.state != state {
            record.since_ms = now_ms();
        }
        self.0.put_forward(record).await.map_err(failed)
    }
}

impl Book for StoreBook {
    fn way_by_ask(&self, ask: &[u8; 32]) -> Result<Option<Way>, BookError> {
        let record = self.0.store().forward_by_secret(ask).map_err(broken)?;
        Ok(record.filter(|record| record.ask == *ask).map(way))
    }

    fn way_by_credential(&self, credential: &[u8; 32]) -> Result<Option<Way>, BookError> {
        let record = self.0.store().forward_by_secret(credential).map_err(broken)?;
        Ok(record.filter(|record| record.credential == *credential).map(way))
    }

    fn change(&self, way: Way, change: Change) -> gateway::Later<'_, Result<(), BookError>> {
        Box::pin(self.rewrite(way, move |record| match change {
            Change::Conceal => record.conceal = true,
            Change::Reveal => record.conceal = false,
            Change::Delete => {
                record.state = ForwardState::Deleted;
                record.ask_again_at_ms = None;
                record.note = "the final recipient has ended it".to_owned();
            }
            Change::Resume if record.state == ForwardState::Deleted => {
                record.state = ForwardState::Waiting;
                record.ask_again_at_ms = Some(now_ms());
                record.note = "the final recipient wants it again".to_owned();
            }
            Change::Resume => {}
        }))
    }

    fn decided(&self, way: Way, verdict: Verdict) -> gateway::Later<'_, Result<(), BookError>> {
        Box::pin(self.rewrite(way, move |record| {
            // What was ended while the target was asked stays so.
            if record.state == ForwardState::Deleted {
                return;
            }
            record.state = match verdict.state {
                State::Waiting => ForwardState::Waiting,
                State::Granted => ForwardState::Granted,
                State::Rewriting => ForwardState::Rewriting,
                State::Deleted => ForwardState::Deleted,
            };
            record.authorization = verdict.authorization;
            record.asked_at_ms = Some(now_ms());
            record.ask_again_at_ms = verdict.again_at_ms;
            record.note = verdict.note;
        }))
    }

    fn complained(&self, way: Way) -> gateway::Later<'_, Result<(), BookError>> {
        Box::pin(self.rewrite(way, |record| record.complaints = record.complaints.saturating_add(1)))
    }

    fn upstream(&self, alias: &Address) -> Result<Vec<Upstream>, BookError> {
        let alias = self.0.folded(alias);
        let grants = self.0.store().grants(Some(&alias), None, 100).map_err(broken)?;
        let granted = grants.into_iter().filter(|grant| grant.state == GrantState::Granted);
        Ok(granted.map(|grant| Upstream { forwarder: grant.forwarder, page: grant.page }).collect())
    }

    fn takes(&self, recipient: &Address) -> Result<bool, BookError> {
        self.0.takes_mail_for(recipient).map_err(failed)
    }

    fn trusts(&self, recipient: &Address, forwarder: &Domain) -> Result<bool, BookError> {
        let folded = self.0.folded(recipient).to_string();
        let Some(account) = self.0.store().account_of_address(&folded).map_err(broken)? else {
            return Ok(false);
        };
        let known = self.0.store().correspondent(&account.name, forwarder.as_str()).map_err(broken)?;
        Ok(known.is_some_and(|known| known.regard == Regard::Trusted))
    }

    fn grant(&self, recipient: &Address, forwarder: &Domain) -> Result<Option<Grant>, BookError> {
        let found = self.0.store().grant(&self.0.folded(recipient), forwarder).map_err(broken)?;
        Ok(found.map(grant))
    }

    fn put_grant(&self, grant: Grant) -> gateway::Later<'_, Result<u64, BookError>> {
        let record = GrantRecord {
            number: grant.number,
            recipient: self.0.folded(&grant.recipient),
            forwarder: grant.forwarder,
            state: match grant.state {
                State::Granted => GrantState::Granted,
                State::Waiting | State::Rewriting => GrantState::Asked,
                State::Deleted => GrantState::Refused,
            },
            since_ms: now_ms(),
            automatic: grant.automatic,
            by: grant.by,
            ask: grant.ask,
            alias: grant.alias,
            page: grant.page,
            complaints_to: grant.complaints_to,
            complain: grant.complain,
        };
        Box::pin(async move { self.0.store().put_grant(record).await.map_err(broken) })
    }
}

/// A record as the gateway sees it.
pub(crate) fn way(record: ForwardRecord) -> Way {
    Way {
        alias: record.alias,
        target: record.target,
        state: match record.state {
            ForwardState::Waiting => State::Waiting,
            ForwardState::Granted => State::Granted,
            ForwardState::Rewriting => State::Rewriting,
            ForwardState::Deleted => State::Deleted,
        },
        since_ms: record.since_ms,
        ask: record.ask,
        credential: record.credential,
        conceal: record.conceal,
        rewrite: record.rewrite,
        authorization: record.authorization,
        complaints: record.complaints,
        note: record.note,
    }
}

/// A grant as the gateway sees it.
pub(crate) fn grant(record: GrantRecord) -> Grant {
    Grant {
        number: record.number,
        recipient: record.recipient,
        forwarder: record.forwarder,
        state: match record.state {
            GrantState::Asked => State::Waiting,
            GrantState::Granted => State::Granted,
            GrantState::Refused => State::Deleted,
        },
        automatic: record.automatic,
        by: record.by,
        ask: record.ask,
        alias: record.alias,
        page: record.page,
        complaints_to: record.complaints_to,
        complain: record.complain,
    }
}
