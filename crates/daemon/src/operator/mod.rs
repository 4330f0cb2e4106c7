//! Answers the operator, on the control socket of a running node or for a store that no node runs on.

mod accounts;
mod author;
mod forward;
mod handover;
mod held;
mod mail;
mod policy;
mod queue;
mod reputation;
mod upkeep;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use control::{
    AlertView, Answer, Failure, FailureKind, ListenerView, Operator, QueueView, Request, Response,
    StatusView, StoreView,
};
use message::Identity;
use message::address::Address;
use node::{Node, Refusal};
use storage::Store;
use transport::Server;

use crate::clock::now_ms;
use crate::config::Config;
use crate::gateway::certificate::Certificates;
use crate::gateway::handover::Handover;
use crate::peers::Peers;

pub(crate) use self::watch::Watching;

/// The operator's side of a running node.
pub(crate) struct NodeOperator {
    local: LocalOperator,
    server: Server,
    peers: Arc<Peers>,
    domains: Vec<String>,
    listeners: Vec<ListenerView>,
    stop: tokio::sync::watch::Sender<bool>,
    since_ms: u64,
    watching: Watching,
    certificates: Option<Arc<Certificates>>,
}

/// What can be answered with the store alone.
#[derive(Clone)]
pub struct LocalOperator {
    node: Node,
    engine: String,
    data: PathBuf,
    roles: Option<crate::forwarding::Roles>,
    handover: Arc<Handover>,
    /// Whether it can be asked by those who forward and those to whom is forwarded.
    is_asked: bool,
    /// Whether mail goes out over SMTP.
    has_way_out: bool,
}

type Answered = Result<Response, Failure>;

impl NodeOperator {
    pub(crate) fn new(
        node: Node,
        server: Server,
        peers: Arc<Peers>,
        config: &Config,
        stop: tokio::sync::watch::Sender<bool>,
        since_ms: u64,
        watching: Watching,
    ) -> NodeOperator {
        NodeOperator {
            domains: node.settings().domains.keys().map(ToString::to_string).collect(),
            local: LocalOperator::new(node, config),
            server,
            peers,
            listeners: Vec::new(),
            stop,
            since_ms,
            watching,
            certificates: None,
        }
    }

    /// The same where it is known at which addresses the node listens.
    pub(crate) fn with_listeners(mut self, listeners: Vec<ListenerView>) -> NodeOperator {
        self.listeners = listeners;
        self
    }

    /// The same where others can be asked about forwarding.
    pub(crate) fn with_roles(mut self, roles: Option<crate::forwarding::Roles>) -> NodeOperator {
        self.local.roles = roles;
        self
    }

    /// The same where mail is handed to a mailbox server.
    pub(crate) fn with_handover(mut self, handover: Arc<Handover>) -> NodeOperator {
        self.local.handover = handover;
        self
    }

    /// The same where SMTP is spoken.
    pub(crate) fn with_certificates(mut self, certificates: Option<Arc<Certificates>>) -> NodeOperator {
        self.certificates = certificates;
        self
    }

    /// Reads the certificate of SMTP again. keeps: GW-15
    pub(crate) async fn reload(&self) -> Answered {
        let Some(certificates) = self.certificates.clone() else {
            let text = "this node speaks no SMTP, and has no certificate for it";
            return Err(Failure::new(FailureKind::NotFound, text)
                .hint("the certificate that it shows to peers is read when it starts"));
        };
        let read = tokio::task::spawn_blocking(move || certificates.reload()).await;
        let read = read.map_err(|_| Failure::new(FailureKind::Internal, "the work was not finished"))?;
        match read {
            Ok(_) => Ok(Response::Done),
            Err(reason) => {
                let text = format!("the new certificate is not good, and the old one stays: {reason}");
                Err(Failure::new(FailureKind::Invalid, text).hint("mend the files, and reload once more"))
            }
        }
    }

    /// What is wrong with the files of the certificate. keeps: GW-15
    fn certificate_alert(&self) -> Option<AlertView> {
        let reason = self.certificates.as_ref()?.wrong()?;
        Some(AlertView {
            kind: "certificate".to_owned(),
            urgent: false,
            text: format!("The new certificate for SMTP is not good, and the old one stays: {reason}"),
            hint: "Mend the files before the old one ends; `waxwing reload` looks at once.".to_owned(),
            lane: None,
        })
    }

    fn status(&self) -> Answered {
        let Response::Status(mut status) = self.local.status()? else {
            return Err(Failure::new(FailureKind::Internal, "no status"));
        };
        status.uptime_ms = now_ms().saturating_sub(self.since_ms);
        status.domains.clone_from(&self.domains);
        status.listeners.clone_from(&self.listeners);
        status.connections = self.server.counts().open as u64;
        Ok(Response::Status(status))
    }
}

impl Operator for NodeOperator {
    fn handle(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            let answer = match request {
                Request::Status => self.status(),
                Request::Peers => Ok(Response::Peers {
                    peers: self.peers.views(&self.local.node, control::limits::LIST_MAX),
                }),
                Request::Shutdown => {
                    let stop = self.stop.clone();
                    tokio::spawn(async move {
                        // The answer goes out first: the end of the node ends this connection.
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                        // Nobody waits where the node ends already.
                        let _ = stop.send(true);
                    });
                    Ok(Response::Done)
                }
                Request::Reload => self.reload().await,
                Request::Alerts => self.watching.alerts(&self.local).await.map(|mut alerts| {
                    alerts.extend(self.certificate_alert());
                    Response::Alerts { alerts }
                }),
                Request::QueueAges { .. }
                | Request::Domains
                | Request::Watch { .. }
                | Request::ConsoleLink => self.watching.answer(&self.local, request).await,
                request => self.local.answer(request).await,
            };
            answer.unwrap_or_else(Response::Failure)
        })
    }
}

impl Operator for LocalOperator {
    fn handle(&self, request: Request) -> Answer<'_> {
        Box::pin(async move { self.answer(request).await.unwrap_or_else(Response::Failure) })
    }
}

impl LocalOperator {
    /// For a node that need not run.
    pub fn new(node: Node, config: &Config) -> LocalOperator {
        let engine = format!("{:?}", config.store.engine).to_lowercase();
        let handover = Arc::new(Handover::new(node.store().clone()));
        let is_asked = config.forwarding.listen.is_some();
        let has_way_out = config.gateway.as_ref().is_some_and(|gateway| gateway.out.enabled);
        LocalOperator { node, engine, data: config.data(), roles: None, handover, is_asked, has_way_out }
    }

    /// Opens the store of a configuration on which no node runs.
    ///
    /// # Errors
    /// [`crate::Error`] where the store cannot be opened, or a node has it.
    pub fn open(config: &Config) -> Result<LocalOperator, crate::Error> {
        let store = crate::running::open_store(config).map_err(|error| match error {
            crate::Error::Running { socket } => crate::Error::Other(format!(
                "a node runs on this store: ask it, with --socket {} in place of --config",
                socket.display()
            )),
            other => other,
        })?;
        let resolver = Arc::new(dns::FixedZones::new());
        let clock = Arc::new(crate::clock::SystemClock);
        let node = Node::new(config.settings()?, store, resolver, clock, Arc::new(node::Quiet));
        Ok(LocalOperator::new(node, config))
    }

    fn store(&self) -> &Arc<dyn Store> {
        self.node.store()
    }

    async fn answer(&self, request: Request) -> Answered {
        match request {
            Request::Status => self.status(),
            Request::Accounts { .. }
            | Request::AccountAdd { .. }
            | Request::AccountPassword { .. }
            | Request::AccountAddressAdd { .. }
            | Request::AccountAddressRemove { .. }
            | Request::AccountNotices { .. }
            | Request::AccountRemove { .. }
            | Request::AccountDevices { .. }
            | Request::AccountDeviceRemove { .. } => self.accounts(request).await,
            Request::StoreCheck | Request::StoreCompact => self.look_after(request).await,
            Request::HeldList { .. } | Request::HeldShow { .. } | Request::HeldDecide { .. } => {
                self.held(request).await
            }
            Request::Login { .. }
            | Request::AccountStanding { .. }
            | Request::MailList { .. }
            | Request::MailShow { .. }
            | Request::MailPart { .. }
            | Request::MailSeen { .. }
            | Request::MailReport { .. }
            | Request::Sent { .. }
            | Request::SentShow { .. } => self.mail(request).await,
            Request::QueueAges { .. }
            | Request::Domains
            | Request::Alerts
            | Request::Watch { .. }
            | Request::ConsoleLink
            | Request::Peers
            | Request::Reload
            | Request::Shutdown => Err(Failure::new(FailureKind::Unavailable, "no node runs here")),
            Request::PeerRecords { .. } | Request::PeerRecord { .. } | Request::PeerForget { .. } => {
                self.reputation(request).await
            }
            Request::PolicyShow
            | Request::PolicyExplain { .. }
            | Request::PolicyExplainFile { .. }
            | Request::Correspondents { .. }
            | Request::CorrespondentPut { .. }
            | Request::CorrespondentRemove { .. } => self.policy(request).await,
            Request::Forward { order } => self.forward(order).await,
            Request::Handover { order } => self.handover(order).await,
            Request::Trace { identity } => self.trace(&identity),
            request => self.queue(request).await,
        }
    }

    fn status(&self) -> Answered {
        let numbers = self.store().statistics();
        let next_due_ms = self.store().next_due(now_ms()).map_err(failure)?;
        Ok(Response::Status(Box::new(StatusView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            queue: QueueView {
                waiting: numbers.legs,
                active: numbers.claimed,
                lanes: numbers.lanes,
                quarantined: numbers.quarantined,
                next_due_ms,
            },
            store: StoreView {
                engine: self.engine.clone(),
                commits: numbers.commits,
                operations: numbers.operations,
                free_octets: numbers.free_octets,
                read_only: numbers
                    .read_only
                    .then(|| "a commit has failed; restart after the cause is mended".to_owned()),
            },
            ..StatusView::default()
        })))
    }

    /// The message whose identity begins with these digits. keeps: CTL-5
    fn identity(&self, digits: &str) -> Result<Identity, Failure> {
        let (digits, first, last) = between(digits)?;
        let found = self.alike(first, last)?;
        only(&digits, "message", found, ToString::to_string).map_err(|failure| failure.hint(DIGITS_HINT))
    }

    /// Some messages between two identities, enough to tell whether there is one only.
    fn alike(&self, first: Identity, last: Identity) -> Result<Vec<Identity>, Failure> {
        self.store().identities(first, last, control::limits::ALIKE_MAX).map_err(|error| match error {
            storage::Error::Bound { .. } => failure(error).hint("give more of its digits"),
            other => failure(other),
        })
    }

    /// The same where a message that was refused counts, too; and its refusals. keeps: POL-13
    fn traced(&self, digits: &str) -> Result<(Identity, Vec<Refusal>), Failure> {
        let (digits, first, last) = between(digits)?;
        let mut found = self.alike(first, last)?;
        let mut refusals =
            self.node.refusals(first, last, control::limits::LIST_MAX).map_err(held::refused)?;
        found.extend(refusals.iter().map(|refusal| refusal.identity));
        found.sort_unstable();
        found.dedup();
        let one = only(&digits, "message", found, ToString::to_string)
            .map_err(|failure| failure.hint(DIGITS_HINT))?;
        refusals.retain(|refusal| refusal.identity == one);
        refusals.sort_by_key(|refusal| refusal.at_ms);
        Ok((one, refusals))
    }
}

const DIGITS_HINT: &str = "`waxwing status` and `waxwing queue list` print the first digits";

/// The digits, and the identities between which those are that begin with them.
fn between(digits: &str) -> Result<(String, Identity, Identity), Failure> {
    let digits = digits_of(digits)?;
    let bound = |fill: &str| {
        let whole = format!("{digits}{}", fill.repeat(64 - digits.len()));
        Identity::from_hex(&whole).map_err(|error| Failure::new(FailureKind::Invalid, error.to_string()))
    };
    let (first, last) = (bound("0")?, bound("f")?);
    Ok((digits, first, last))
}

/// The first digits of an identity or of a key, in lower case.
fn digits_of(text: &str) -> Result<String, Failure> {
    let least = control::limits::IDENTITY_DIGITS_MIN;
    if (least..=64).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    let wrong = format!("{text:?} is not {least} or more of the first hexadecimal digits");
    Err(Failure::new(FailureKind::Invalid, wrong))
}

/// The one that begins with the digits, of those that do.
fn only<T>(digits: &str, what: &str, found: Vec<T>, word: impl Fn(&T) -> String) -> Result<T, Failure> {
    let mut words: Vec<String> = found.iter().map(&word).collect();
    match (found.into_iter().next(), words.len()) {
        (Some(one), 1) => Ok(one),
        (None, _) => Err(Failure::new(
            FailureKind::NotFound,
            format!("no {what} is known here that begins with {digits}"),
        )),
        (Some(_), count) => {
            words.truncate(control::limits::ALIKE_MAX);
            let more = if count >= control::limits::ALIKE_MAX { ", ..." } else { "" };
            let text = format!("{digits} is ambiguous: {}{more}", words.join(", "));
            Err(Failure::new(FailureKind::Conflict, text))
        }
    }
}

fn bounded(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX).min(control::limits::LIST_MAX)
}

fn address(text: &str) -> Result<Address, Failure> {
    Address::parse(text).map_err(|error| Failure::new(FailureKind::Invalid, format!("{text:?}: {error}")))
}

fn failure(error: storage::Error) -> Failure {
    let kind = match error.fault() {
        storage::Fault::Caller => match error {
            storage::Error::NotFound(_) => FailureKind::NotFound,
            storage::Error::Taken(_) => FailureKind::Conflict,
            _ => FailureKind::Invalid,
        },
        storage::Fault::Temporary => FailureKind::Unavailable,
        storage::Fault::Peer | storage::Fault::Damage => FailureKind::Internal,
    };
    Failure::new(kind, error.to_string())
}
