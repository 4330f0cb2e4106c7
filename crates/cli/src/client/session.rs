//! The conversation with one's own node: one connection, opened again where it is lost.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use message::address::Address;
use message::{Cookie, Disposition, Envelope, Identity, SecretKey, Selection};
use protocol::{
    CookieAnswer, Decide, Eager, Enrol, Frame, HeldEntry, HeldPlace, Item, MailboxEntry, Offer, Reader,
    Sealed, Settings, StatusQuery, StatusRecord, SubmissionOptions,
};
use transport::{
    Alpn, AskError, Client, Code, Connected, ContentSink, Expectation, HostKey, Later, Limits, Pace, Socket,
    Source,
};

use super::Outgoing;
use crate::limits::{RECONNECT_WAIT_MS_FIRST, RECONNECT_WAIT_MS_MAX, RECONNECTS_MAX};
use crate::profile::Trust;
use crate::{Error, NodeAddress, clock, roots};

/// Hears how many octets of a message are on their way.
pub type Progress<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// A conversation with one's own node. What it asks is safe to ask again: a lost connection is opened anew and the
/// question repeated.
pub struct Session {
    node: NodeAddress,
    expectation: Expectation,
    client: Client,
    connected: Connected,
    settings: Settings,
}

/// What became of a message that was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The identity of the message: what its status is asked by.
    pub identity: Identity,
    /// What became of it for each recipient, in their order.
    pub outcomes: Vec<(Address, Disposition)>,
    /// What the node has made of it, where it tells.
    pub sealed: Option<Sealed>,
}

impl Session {
    /// Connects to a node and shows it the key of this device.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; [`Error::NotTheNode`]; [`Error::Local`] where this machine has no socket or no roots.
    pub async fn connect(node: &NodeAddress, trust: &Trust, device: &SecretKey) -> Result<Session, Error> {
        let expectation = expectation(node, trust)?;
        let client = bind(device_identity(device)?)?;
        let (connected, settings) = open(&client, node, Alpn::Submission, &expectation).await?;
        Ok(Session { node: node.clone(), expectation, client, connected, settings })
    }

    /// What the node allows.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Has this device enrolled.
    ///
    /// # Errors
    /// [`Error::NotAuthorised`] where account and password are not right.
    pub async fn enrol(&mut self, enrol: Enrol) -> Result<(), Error> {
        match self.ask(&Frame::Enrol(enrol)).await? {
            Frame::Done => Ok(()),
            _ => Err(unexpected()),
        }
    }

    /// Hands a message over. Where the connection is lost it is opened again and the message offered again: the node
    /// asks only for what is missing, and by the token of the submission knows it again; one is drawn where `options` has
    /// none. `progress` hears how many octets of bodies have been read so far; the number
    /// starts again lower where octets are repeated.
    ///
    /// # Errors
    /// [`Error::Unreachable`] after [`RECONNECTS_MAX`] losses without progress; what the node says; and those of the
    /// files that the message is read from.
    ///
    /// keeps: CLI-6
    pub async fn submit(
        &mut self,
        message: &Outgoing,
        recipients: &[Address],
        options: SubmissionOptions,
        progress: Progress<'_>,
    ) -> Result<Submitted, Error> {
        // One token for all attempts: to the node they are one submission.
        let token = options.token.map_or_else(clock::random_token, Ok)?;
        let options = SubmissionOptions { token: Some(token), ..options };
        let offer = self.offer(message, recipients, options)?;
        let mut retries = Retries::new();
        loop {
            let source =
                Watched { source: message, read: AtomicU64::new(0), furthest: Mutex::default(), progress };
            let pace = Pace::start(self.client.limits());
            let supply = message.supply();
            let asked = transport::offer(
                &self.connected,
                pace,
                offer.clone(),
                supply,
                &self.settings,
                &source,
                |_| {},
            )
            .await;
            match asked {
                Ok(outcome) => {
                    let identity =
                        outcome.sealed.as_ref().map_or(message.identity(), |sealed| sealed.identity);
                    let outcomes = recipients.iter().cloned().zip(outcome.dispositions).collect();
                    return Ok(Submitted { identity, outcomes, sealed: outcome.sealed });
                }
                Err(error) if is_lost(&error) => {
                    retries.count(source.read.load(Ordering::Relaxed) > 0);
                    self.reopen(&mut retries, error).await?;
                }
                Err(error) => return Err(Error::asked(&self.node.to_string(), error)),
            }
        }
    }

    /// What became of what was sent.
    ///
    /// # Errors
    /// As [`Session::enrol`].
    pub async fn status(&mut self, query: StatusQuery) -> Result<Vec<StatusRecord>, Error> {
        match self.ask(&Frame::Status(query)).await? {
            Frame::StatusList(records) => Ok(records),
            _ => Err(unexpected()),
        }
    }

    /// Entries of the mailbox after this number, in the order of their numbers.
    ///
    /// # Errors
    /// As [`Session::enrol`].
    pub async fn mailbox(&mut self, after: u64, limit: u64) -> Result<Vec<MailboxEntry>, Error> {
        match self.ask(&Frame::Mailbox { after, limit }).await? {
            Frame::MailboxList(entries) => Ok(entries),
            _ => Err(unexpected()),
        }
    }

    /// What is held for the user after this place, the oldest first.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn held(&mut self, after: Option<HeldPlace>, limit: u64) -> Result<Vec<HeldEntry>, Error> {
        match self.ask(&Frame::Held { after, limit }).await? {
            Frame::HeldList(entries) => Ok(entries),
            _ => Err(unexpected()),
        }
    }

    /// Decides about a held message; what became of it, or what its sender is asked for.
    ///
    /// # Errors
    /// What went wrong, such as that nothing of it is held.
    pub async fn decide(&mut self, decide: Decide) -> Result<CookieAnswer, Error> {
        match self.ask(&Frame::Decide(decide)).await? {
            Frame::Answers(answers) => answers.into_iter().next().ok_or_else(unexpected),
            _ => Err(unexpected()),
        }
    }

    /// The devices that are enrolled for the account.
    ///
    /// # Errors
    /// As [`Session::enrol`].
    pub async fn devices(&mut self) -> Result<Vec<protocol::Device>, Error> {
        match self.ask(&Frame::Devices).await? {
            Frame::DeviceList(devices) => Ok(devices),
            _ => Err(unexpected()),
        }
    }

    /// Removes a device of the account, be it this one.
    ///
    /// # Errors
    /// As [`Session::enrol`]; [`Error::Refused`] where the account has no such device.
    pub async fn remove_device(&mut self, public_key: [u8; 32]) -> Result<(), Error> {
        match self.ask(&Frame::RemoveDevice(public_key)).await? {
            Frame::Done => Ok(()),
            _ => Err(unexpected()),
        }
    }

    /// Fetches content of a message in the mailbox into a sink. It is not repeated where the connection is lost: what
    /// is in the sink already is there.
    ///
    /// # Errors
    /// As [`Session::enrol`]; [`Error::Local`] with what the sink says.
    pub async fn fetch(
        &mut self,
        identity: Identity,
        selection: Selection,
        sink: &mut dyn ContentSink,
    ) -> Result<(), Error> {
        let pace = Pace::start(self.client.limits());
        transport::fetch(&self.connected, pace, identity, selection, sink)
            .await
            .map_err(|error| Error::asked(&self.node.to_string(), error))
    }

    /// Tells the node that the answers to these cookies are no longer waited for.
    ///
    /// # Errors
    /// As [`Session::enrol`].
    pub async fn give_up(&mut self, cookies: Vec<Cookie>) -> Result<(), Error> {
        match self.ask(&Frame::GiveUp(cookies)).await? {
            Frame::Done => Ok(()),
            _ => Err(unexpected()),
        }
    }

    /// Says goodbye, and waits until the node has had time to hear it.
    pub async fn close(self) {
        self.connected.close(Code::NoError, "");
        self.client.close("").await;
    }

    pub(super) async fn ask(&mut self, request: &Frame) -> Result<Frame, Error> {
        let mut retries = Retries::new();
        loop {
            match transport::ask(&self.connected, Pace::start(self.client.limits()), request).await {
                Ok(reply) => return Ok(reply),
                Err(error) if is_lost(&error) => {
                    retries.count(false);
                    self.reopen(&mut retries, error).await?;
                }
                Err(error) => return Err(Error::asked(&self.node.to_string(), error)),
            }
        }
    }

    /// Opens the connection again, after a wait.
    async fn reopen(&mut self, retries: &mut Retries, mut reason: AskError) -> Result<(), Error> {
        loop {
            let Some(wait) = retries.wait() else {
                return Err(Error::asked(&self.node.to_string(), reason));
            };
            tokio::time::sleep(wait).await;
            match open(&self.client, &self.node, Alpn::Submission, &self.expectation).await {
                Ok((connected, settings)) => {
                    self.connected = connected;
                    self.settings = settings;
                    return Ok(());
                }
                Err(Error::Unreachable { reason: text, .. }) => {
                    retries.count(false);
                    reason = AskError::Transport(transport::Error::Handshake(text));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn offer(
        &self,
        message: &Outgoing,
        recipients: &[Address],
        options: SubmissionOptions,
    ) -> Result<Offer, Error> {
        if recipients.len() as u64 > self.settings.recipients_max {
            return Err(Error::usage(format!(
                "{} recipients; this node takes {} in one message",
                recipients.len(),
                self.settings.recipients_max
            )));
        }
        let largest = message.manifest().leaves().map(|(_, part, _)| part.octets).max().unwrap_or(0);
        if largest > self.settings.part_octets_max {
            return Err(Error::usage(format!(
                "an attachment of {largest} octets; this node takes {}",
                self.settings.part_octets_max
            )));
        }
        let envelope = Envelope {
            identity: message.identity(),
            octets: message.manifest().message_octets(),
            issuers: message.issuers(),
            recipients: recipients.to_vec(),
            trace: Vec::new(),
        };
        envelope.check()?;
        Ok(Offer { envelope, eager: Eager::Nothing, submission: Some(options), way: protocol::Way::Plain })
    }
}

/// Who a node must be.
///
/// # Errors
/// [`Error::Local`] where this machine names no authorities.
pub fn expectation(node: &NodeAddress, trust: &Trust) -> Result<Expectation, Error> {
    Ok(match trust {
        Trust::Pinned(digest) => Expectation::Pinned { digests: vec![*digest] },
        Trust::WebPki => Expectation::WebPki { names: vec![node.host.clone()], roots: roots::system()? },
    })
}

/// What a device shows.
pub(crate) fn device_identity(device: &SecretKey) -> Result<HostKey, Error> {
    HostKey::from_ed25519_seed(&device.seed(), &[]).map_err(local)
}

/// Opens an endpoint for both families of addresses, or for IPv4 alone where the machine has no other.
pub(crate) fn bind(identity: HostKey) -> Result<Client, Error> {
    let any = |text: &str| -> Result<Socket, Error> {
        let address: SocketAddr = text.parse().map_err(local)?;
        Socket::bind(address).map_err(local)
    };
    let socket = any("[::]:0").or_else(|_| any("0.0.0.0:0"))?;
    Client::bind(socket, Some(identity), &Limits::default()).map_err(local)
}

/// Opens a connection, and reads what the node allows.
pub(crate) async fn open(
    client: &Client,
    node: &NodeAddress,
    alpn: Alpn,
    expectation: &Expectation,
) -> Result<(Connected, Settings), Error> {
    let name = node.to_string();
    let unreachable = |reason: String| Error::Unreachable { node: name.clone(), reason };
    let found = tokio::net::lookup_host((node.host.as_str(), node.port)).await;
    let addresses: Vec<SocketAddr> = found.map_err(|error| unreachable(error.to_string()))?.collect();
    let connected = client
        .connect_any(&addresses, &node.host, alpn, expectation)
        .await
        .map_err(|error| Error::transport(&name, error))?;
    let octets = connected.settings().await.map_err(|error| Error::transport(&name, error))?;
    let mut reader = Reader::new();
    reader.push(&octets);
    match reader.next_item() {
        Ok(Some(Item::Frame(Frame::Settings(settings)))) => Ok((connected, settings)),
        Ok(_) => Err(Error::Answer("its first stream holds no settings".to_owned())),
        Err(error) => Err(Error::Answer(error.to_string())),
    }
}

/// Whether asking again on a new connection may help.
fn is_lost(error: &AskError) -> bool {
    use transport::Error as Transport;
    match error {
        AskError::Transport(Transport::ClosedByPeer { number, .. } | Transport::StreamAborted { number }) => {
            !matches!(Code::from_number(*number), Some(Code::NotAuthenticated | Code::ProtocolViolation))
        }
        AskError::Transport(error) => {
            matches!(error, Transport::TimedOut | Transport::Lost | Transport::Stalled | Transport::TimeLimit)
                || matches!(error, Transport::Refused | Transport::ClosedHere)
        }
        AskError::Protocol(error) => *error == protocol::Error::Truncated,
        AskError::Failed(_) | AskError::Local(_) => false,
    }
}

pub(super) fn unexpected() -> Error {
    Error::Answer("it does not belong to the question".to_owned())
}

fn local(error: impl std::fmt::Display) -> Error {
    Error::Local(error.to_string())
}

/// How often a connection was opened again without progress, and how long to wait before the next time.
struct Retries {
    fruitless: u32,
    wait_ms: u64,
}

impl Retries {
    fn new() -> Retries {
        Retries { fruitless: 0, wait_ms: RECONNECT_WAIT_MS_FIRST }
    }

    fn count(&mut self, progress: bool) {
        if progress {
            *self = Retries::new();
        }
        self.fruitless += 1;
    }

    fn wait(&mut self) -> Option<Duration> {
        let wait = Duration::from_millis(self.wait_ms);
        self.wait_ms = (self.wait_ms * 2).min(RECONNECT_WAIT_MS_MAX);
        (self.fruitless <= RECONNECTS_MAX).then_some(wait)
    }
}

/// A source that tells how far it was read.
struct Watched<'a> {
    source: &'a Outgoing,
    /// Octets read in this attempt.
    read: AtomicU64,
    /// For each leaf the octet up to which it was read.
    furthest: Mutex<std::collections::BTreeMap<usize, u64>>,
    progress: Progress<'a>,
}

impl Source for Watched<'_> {
    fn read(&self, part: usize, offset: u64, octets_max: usize) -> Later<'_, std::io::Result<Bytes>> {
        Box::pin(async move {
            let octets = self.source.read(part, offset, octets_max).await?;
            self.read.fetch_add(octets.len() as u64, Ordering::Relaxed);
            let total = {
                let mut furthest = self.furthest.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                furthest.insert(part, offset + octets.len() as u64);
                furthest.values().sum()
            };
            (self.progress)(total);
            Ok(octets)
        })
    }

    fn slice(&self, part: usize, offset: u64, octets: u64) -> Later<'_, std::io::Result<Bytes>> {
        self.source.slice(part, offset, octets)
    }
}
