//! Answers the operator, on the control socket of a running node or for a store that no node runs on.

use std::collections::BTreeSet;
use std::sync::Arc;

use control::{
    Answer, Failure, FailureKind, Legs, ListenerView, Operator, QueueView, Request, Response, StatusView,
    StoreView,
};
use data_encoding::HEXLOWER;
use message::Identity;
use message::address::Address;
use node::Node;
use storage::{EnvelopeRecord, Lane, LegId, LegRecord, Store};
use tokio::sync::watch;
use transport::Server;

use crate::clock::now_ms;
use crate::config::Config;
use crate::peers::Peers;
use crate::view::{FINDINGS_MAX, account_view, envelope_view, finding_view, lane_view, leg_view};

/// The operator's side of a running node.
pub(crate) struct NodeOperator {
    local: LocalOperator,
    server: Server,
    peers: Arc<Peers>,
    domains: Vec<String>,
    address: String,
    stop: watch::Sender<bool>,
    since_ms: u64,
}

/// What can be answered with the store alone.
#[derive(Clone)]
pub struct LocalOperator {
    node: Node,
    engine: String,
}

type Answered = Result<Response, Failure>;

impl NodeOperator {
    pub(crate) fn new(
        node: Node,
        server: Server,
        peers: Arc<Peers>,
        config: &Config,
        stop: watch::Sender<bool>,
        since_ms: u64,
    ) -> NodeOperator {
        NodeOperator {
            domains: node.settings().domains.keys().map(ToString::to_string).collect(),
            local: LocalOperator::new(node, config),
            server,
            peers,
            address: config.listen.address.to_string(),
            stop,
            since_ms,
        }
    }

    fn status(&self) -> Answered {
        let Response::Status(mut status) = self.local.status()? else {
            return Err(Failure::new(FailureKind::Internal, "no status"));
        };
        status.uptime_ms = now_ms().saturating_sub(self.since_ms);
        status.domains.clone_from(&self.domains);
        status.listeners = ["exchange", "submission"]
            .map(|service| ListenerView { address: self.address.clone(), service: service.to_owned() })
            .to_vec();
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
        LocalOperator { node, engine: format!("{:?}", config.store.engine).to_lowercase() }
    }

    /// Opens the store of a configuration on which no node runs.
    ///
    /// # Errors
    /// [`crate::Error`] where the store cannot be opened, or a node has it.
    pub fn open(config: &Config) -> Result<LocalOperator, crate::Error> {
        let store = crate::running::open_store(config)?;
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
            Request::Accounts { after, limit } => {
                let accounts = self.store().accounts(after.as_deref(), bounded(limit)).map_err(failure)?;
                Ok(Response::Accounts { accounts: accounts.iter().map(account_view).collect() })
            }
            Request::AccountAdd { name, addresses, password } => {
                if self.store().account(&name).map_err(failure)?.is_some() {
                    return Err(Failure::new(
                        FailureKind::Conflict,
                        format!("the account {name} is there already"),
                    ));
                }
                let addresses = addresses.iter().map(|text| address(text)).collect::<Result<Vec<_>, _>>()?;
                self.put_account(&name, &addresses, password.map(|password| password.reveal().to_owned()))
                    .await
            }
            Request::AccountPassword { name, password } => {
                let addresses = self.account(&name)?.addresses;
                self.put_account(&name, &addresses, Some(password.reveal().to_owned())).await
            }
            Request::AccountAddressAdd { name, address: text } => {
                let mut addresses = self.account(&name)?.addresses;
                addresses.push(address(&text)?);
                self.put_account(&name, &addresses, None).await
            }
            Request::AccountAddressRemove { name, address: text } => {
                let gone = address(&text)?;
                let mut addresses = self.account(&name)?.addresses;
                addresses.retain(|address| *address != gone);
                self.put_account(&name, &addresses, None).await
            }
            Request::AccountRemove { name } => {
                self.account(&name)?;
                self.store().remove_account(&name).await.map_err(failure)?;
                Ok(Response::Done)
            }
            Request::AccountDevices { name } => {
                Ok(Response::Devices { devices: account_view(&self.account(&name)?).devices })
            }
            Request::AccountDeviceRemove { name, device } => self.remove_device(&name, &device).await,
            Request::StoreCheck | Request::StoreCompact => self.blocking(request).await,
            Request::Peers | Request::Shutdown => {
                Err(Failure::new(FailureKind::Unavailable, "no node runs here"))
            }
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

    async fn queue(&self, request: Request) -> Answered {
        let store = self.store();
        match request {
            Request::QueueList { lane, after, limit } => {
                let lane = lane.map(|name| lane_of(&name)).transpose()?;
                let legs = store.legs(lane.as_ref(), after.map(LegId), bounded(limit)).map_err(failure)?;
                let legs = legs
                    .iter()
                    .filter_map(|leg| self.leg(leg, false).transpose())
                    .collect::<Result<_, _>>()?;
                Ok(Response::Legs { legs })
            }
            Request::QueueOf { identity } => {
                let legs = self.legs_of(&identity)?;
                let found = legs.into_iter().map(|leg| {
                    store
                        .legs(None, leg.0.checked_sub(1).map(LegId), 1)
                        .map(|found| found.into_iter().find(|one| one.id == leg))
                });
                let found = found.collect::<Result<Vec<_>, _>>().map_err(failure)?;
                let views = found.iter().flatten().filter_map(|leg| self.leg(leg, false).transpose());
                Ok(Response::Legs { legs: views.collect::<Result<_, _>>()? })
            }
            Request::QueueLanes => {
                let lanes = store.lanes(None, control::limits::LIST_MAX).map_err(failure)?;
                Ok(Response::Lanes { lanes: lanes.iter().map(lane_view).collect() })
            }
            Request::QueueShow { leg } => {
                let before = leg.checked_sub(1).map(LegId);
                let found = store
                    .legs(None, before, 1)
                    .map_err(failure)?
                    .into_iter()
                    .find(|one| one.id == LegId(leg));
                let view = found.map(|leg| self.leg(&leg, true)).transpose()?.flatten();
                view.map(|view| Response::Leg(Box::new(view))).ok_or_else(|| {
                    Failure::new(FailureKind::NotFound, format!("no leg {leg} is in the queue"))
                })
            }
            Request::QueueRetry { legs } => self.change(legs, |leg| store.retry(leg, now_ms())).await,
            Request::QueueHold { legs } => self.change(legs, |leg| store.hold(leg)).await,
            Request::QueueRelease { legs } => self.change(legs, |leg| store.release(leg)).await,
            Request::QueueRemove { legs } => {
                let remove = |leg| -> storage::Wait<'_, ()> {
                    Box::pin(async move {
                        let hops = store.remove(leg, now_ms()).await?;
                        self.node.tell_given_up(hops);
                        Ok(())
                    })
                };
                self.change(legs, remove).await
            }
            _ => Err(Failure::new(FailureKind::Invalid, "this cannot be asked here")),
        }
    }

    /// Does something to legs, one by one: what is gone meanwhile is passed over.
    async fn change<'a>(&'a self, legs: Legs, act: impl Fn(LegId) -> storage::Wait<'a, ()>) -> Answered {
        let numbers = match legs {
            Legs::Numbers(numbers) => numbers.into_iter().map(LegId).collect(),
            Legs::Message(digits) => self.legs_of(&digits)?,
            Legs::Lane(name) => {
                let lane = lane_of(&name)?;
                let legs =
                    self.store().legs(Some(&lane), None, control::limits::LIST_MAX).map_err(failure)?;
                legs.iter().map(|leg| leg.id).collect::<Vec<_>>()
            }
        };
        let mut count = 0;
        for leg in numbers {
            match act(leg).await {
                Ok(()) => count += 1,
                Err(storage::Error::NotFound(_)) => {}
                Err(error) => return Err(failure(error)),
            }
        }
        self.node.wake_queue();
        Ok(Response::Changed { count })
    }

    fn leg(&self, leg: &LegRecord, with_attempts: bool) -> Result<Option<control::LegView>, Failure> {
        let Some(envelope) = self.store().envelope(leg.envelope).map_err(failure)? else { return Ok(None) };
        let attempts =
            if with_attempts { self.store().attempts(leg.envelope).map_err(failure)? } else { Vec::new() };
        Ok(Some(leg_view(leg, &envelope, &attempts)))
    }

    fn trace(&self, digits: &str) -> Answered {
        let identity = self.identity(digits)?;
        let envelopes = self.store().envelopes_for(identity, control::limits::LIST_MAX).map_err(failure)?;
        if envelopes.is_empty() {
            return Err(Failure::new(FailureKind::NotFound, "nothing is known of this message here"));
        }
        let view = |envelope: &EnvelopeRecord| {
            let attempts = self.store().attempts(envelope.id).map_err(failure)?;
            Ok(envelope_view(envelope, &attempts))
        };
        Ok(Response::Envelopes { envelopes: envelopes.iter().map(view).collect::<Result<_, Failure>>()? })
    }

    /// The message whose identity begins with these digits. keeps: CTL-5
    fn identity(&self, digits: &str) -> Result<Identity, Failure> {
        let hint = "`waxwing status` and `waxwing queue list` print the first digits";
        let digits = digits_of(digits)?;
        let bound = |fill: &str| {
            let whole = format!("{digits}{}", fill.repeat(64 - digits.len()));
            Identity::from_hex(&whole).map_err(|error| Failure::new(FailureKind::Invalid, error.to_string()))
        };
        let alike = control::limits::ALIKE_MAX;
        let found = self.store().identities(bound("0")?, bound("f")?, alike).map_err(failure)?;
        only(&digits, "message", found, ToString::to_string).map_err(|failure| failure.hint(hint))
    }

    /// The legs of a message, in the order of their numbers.
    fn legs_of(&self, digits: &str) -> Result<Vec<LegId>, Failure> {
        let identity = self.identity(digits)?;
        let envelopes = self.store().envelopes_for(identity, control::limits::LIST_MAX).map_err(failure)?;
        let recipients = envelopes.iter().flat_map(|envelope| &envelope.recipients);
        Ok(recipients.filter_map(|one| one.leg).collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// keeps: SUB-4, CTL-5
    async fn remove_device(&self, name: &str, digits: &str) -> Answered {
        let mut account = self.account(name)?;
        let digits = digits_of(digits)?;
        let key = |device: &storage::DeviceRecord| HEXLOWER.encode(&device.public_key);
        let found: Vec<_> =
            account.devices.iter().filter(|device| key(device).starts_with(&digits)).collect();
        let gone = only(&digits, "device", found, |device| key(device))
            .map_err(|failure| failure.hint(format!("`waxwing account devices {name}` lists them")))?
            .public_key;
        account.devices.retain(|device| device.public_key != gone);
        self.store().put_account(account).await.map_err(failure)?;
        Ok(Response::Done)
    }

    async fn blocking(&self, request: Request) -> Answered {
        let store = self.store().clone();
        let done = tokio::task::spawn_blocking(move || match request {
            Request::StoreCompact => {
                store.compact().map_err(failure)?;
                Ok(Response::Compacted { octets_before: 0, octets_after: 0 })
            }
            _ => {
                let (mut findings, mut more) = (Vec::new(), false);
                store
                    .check(&mut |finding| {
                        if findings.len() < FINDINGS_MAX {
                            findings.push(finding_view(&finding));
                        } else {
                            more = true;
                        }
                    })
                    .map_err(failure)?;
                Ok(Response::Findings { findings, more })
            }
        });
        done.await.map_err(|_| Failure::new(FailureKind::Internal, "the work was not finished"))?
    }

    fn account(&self, name: &str) -> Result<storage::AccountRecord, Failure> {
        self.store()
            .account(name)
            .map_err(failure)?
            .ok_or_else(|| Failure::new(FailureKind::NotFound, format!("there is no account {name}")))
    }

    async fn put_account(&self, name: &str, addresses: &[Address], password: Option<String>) -> Answered {
        self.node
            .put_account(name, addresses, password)
            .await
            .map(|()| Response::Done)
            .map_err(|(_, text)| Failure::new(FailureKind::Invalid, text))
    }
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

fn lane_of(name: &str) -> Result<Lane, Failure> {
    Lane::new(name).map_err(|error| Failure::new(FailureKind::Invalid, error.to_string()))
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
