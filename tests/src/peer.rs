//! Peers by hand: a node of a world that is not started, whose place the test takes itself.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use message::address::Address;
use message::slice::{OutboardBuilder, SliceError, encode_slice};
use message::{Claims, Envelope, Hop, Message, Role, Seal, SecretKey};
use protocol::{Eager, Frame, Item, Offer, Outcome, Reader, Settings, Supply, encode};
use transport::{
    Alpn, AskError, Client, Connected, Error, Expectation, HostKey, Later, Limits, Link, Pace, RecvStream,
    SendStream, Socket, Source,
};

use crate::World;
use crate::world::SELECTOR;

/// Octets read at a time.
const CHUNK_OCTETS: usize = 64 * 1024;

/// A connection to a node by whoever the test says.
pub struct Peer {
    /// The connection.
    pub connected: Connected,
    /// What the node allows.
    pub settings: Settings,
    domain: String,
    key: Option<SecretKey>,
    client: Client,
}

impl World {
    /// Connects to a node as the exchange of another domain of this world.
    pub async fn peer(&self, own: &str, other: &str) -> Peer {
        let identity = Some(self.host_key(own));
        let mut peer = Peer::connect(identity, self.address(other), &self.expectation(other), Alpn::Exchange)
            .await
            .unwrap();
        own.clone_into(&mut peer.domain);
        peer.key = Some(self.domain_key(own));
        peer
    }
}

impl Peer {
    /// Connects with any identity or none.
    ///
    /// # Errors
    /// Those of the transport.
    pub async fn connect(
        identity: Option<HostKey>,
        address: SocketAddr,
        expectation: &Expectation,
        alpn: Alpn,
    ) -> Result<Peer, Error> {
        Peer::connect_from(Ipv4Addr::LOCALHOST, identity, address, expectation, alpn).await
    }

    /// Connects from an address of its own: all of 127.0.0.0/8 is this machine.
    ///
    /// # Errors
    /// Those of the transport.
    pub async fn connect_from(
        own: Ipv4Addr,
        identity: Option<HostKey>,
        address: SocketAddr,
        expectation: &Expectation,
        alpn: Alpn,
    ) -> Result<Peer, Error> {
        let socket = Socket::bind((own, 0).into())?;
        let client = Client::bind(socket, identity, &Limits::default())?;
        let connected = client.connect(address, "node.test", alpn, expectation).await?;
        let mut reader = Reader::new();
        reader.push(&connected.settings().await?);
        let Ok(Some(Item::Frame(Frame::Settings(settings)))) = reader.next_item() else {
            panic!("the first stream of a server holds its settings");
        };
        Ok(Peer { connected, settings, domain: String::new(), key: None, client })
    }

    /// Another connection of the same peer.
    pub async fn again(&self, address: SocketAddr, expectation: &Expectation) -> Connected {
        self.client.connect(address, "node.test", Alpn::Exchange, expectation).await.unwrap()
    }

    /// Seals a message with the key of the peer's own domain.
    pub fn seal(&self, message: &Message, role: Role) -> Seal {
        seal(message, &self.domain, self.key.as_ref().unwrap(), role)
    }

    /// The offer of a message, sealed by the peer's domain as one that its own user has submitted.
    pub fn offer_of(&self, message: &Message, to: &[&str]) -> (Offer, Supply) {
        let seals = [self.seal(message, Role::Submission)];
        (offer(message, &seals, to), supply(message, &seals))
    }

    /// Offers a message, sealed by the peer's domain as one that its own user has submitted.
    ///
    /// # Errors
    /// Those of [`transport::offer`].
    pub async fn offer(&self, message: &Message, to: &[&str]) -> Result<Outcome, AskError> {
        let (offer, supply) = self.offer_of(message, to);
        self.offer_as(offer, supply, &Memory::of(message)).await
    }

    /// Offers whatever the test says, with what the test says.
    ///
    /// # Errors
    /// Those of [`transport::offer`].
    pub async fn offer_as(
        &self,
        offer: Offer,
        supply: Supply,
        source: &impl Source,
    ) -> Result<Outcome, AskError> {
        let pace = Pace::start(&Limits::default());
        transport::offer(&self.connected, pace, offer, supply, &self.settings, source, |_| {}).await
    }

    /// Asks something else.
    ///
    /// # Errors
    /// Those of [`transport::ask`].
    pub async fn ask(&self, request: &Frame) -> Result<Frame, AskError> {
        transport::ask(&self.connected, Pace::start(&Limits::default()), request).await
    }

    /// A stream on which the test writes octets as it likes.
    pub async fn raw(&self) -> RawStream {
        RawStream::open(&self.connected).await
    }
}

/// Seals a message with any key in any domain's name.
pub fn seal(message: &Message, domain: &str, key: &SecretKey, role: Role) -> Seal {
    let claims = Claims {
        issuer: domain.to_owned(),
        // 2026-01-01; seals without an end are good from then on.
        issued_at: 1_767_225_600,
        expires_at: None,
        role,
        submitter: (role == Role::Submission).then(|| format!("alice@{domain}")),
        recipient: None,
        authorization: None,
        checks: Vec::new(),
    };
    Seal::sign(message.manifest().octets(), claims, SELECTOR.as_bytes(), key)
}

/// The offer of a message with these seals.
pub fn offer(message: &Message, seals: &[Seal], to: &[&str]) -> Offer {
    let envelope = Envelope {
        identity: message.identity(),
        octets: message.manifest().message_octets(),
        issuers: seals.iter().map(|seal| seal.claims().issuer.clone()).collect(),
        recipients: to.iter().map(|text| Address::parse(text).unwrap()).collect(),
        trace: Vec::<Hop>::new(),
    };
    Offer { envelope, eager: Eager::Nothing, submission: None, way: protocol::Way::Plain }
}

/// What can be sent of a message at once.
pub fn supply(message: &Message, seals: &[Seal]) -> Supply {
    Supply {
        manifest: message.manifest().clone(),
        headers: message.headers().octets(),
        seals: seals.iter().map(|seal| seal.octets().clone()).collect(),
    }
}

/// Bodies in memory, by the numbers of their parts.
#[derive(Debug, Clone)]
pub struct Memory(pub BTreeMap<usize, Bytes>);

impl Memory {
    /// The bodies of a message.
    pub fn of(message: &Message) -> Memory {
        let numbers = message.manifest().leaves().map(|(number, _, _)| number);
        Memory(numbers.zip(message.bodies().iter().cloned()).collect())
    }
}

impl Source for Memory {
    fn read(&self, part: usize, offset: u64, octets_max: usize) -> Later<'_, std::io::Result<Bytes>> {
        Box::pin(async move {
            let (body, at) = (&self.0[&part], usize::try_from(offset).unwrap());
            Ok(body.slice(at.min(body.len())..body.len().min(at.saturating_add(octets_max))))
        })
    }

    fn slice(&self, part: usize, offset: u64, octets: u64) -> Later<'_, std::io::Result<Bytes>> {
        Box::pin(async move {
            let body = &self.0[&part];
            let mut builder = OutboardBuilder::new();
            builder.push(body);
            let made = encode_slice::<SliceError>(&builder.finish(), offset, octets, |at, buffer| {
                let at = usize::try_from(at).unwrap();
                buffer.copy_from_slice(&body[at..at + buffer.len()]);
                Ok(())
            });
            Ok(made.unwrap().into())
        })
    }
}

/// A stream on which the test writes octets as it likes and reads frames.
pub struct RawStream {
    send: SendStream,
    receive: RecvStream,
    reader: Reader,
    pace: Pace,
}

impl RawStream {
    /// Opens one.
    pub async fn open(link: &Link) -> RawStream {
        let (send, receive) = link.open_bi().await.unwrap();
        RawStream { send, receive, reader: Reader::new(), pace: Pace::start(&Limits::default()) }
    }

    /// Sends a frame.
    pub async fn frame(&mut self, frame: &Frame) {
        self.octets(encode(frame)).await;
    }

    /// Sends octets. Where the peer does not listen any more, its answer says why.
    pub async fn octets(&mut self, octets: Bytes) {
        let _ = self.pace.write(&mut self.send, octets).await;
    }

    /// Sends no more.
    pub fn finish(&mut self) {
        self.send.finish();
    }

    /// The next item that comes; `None` where the stream ends, in whatever way.
    pub async fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.reader.next_item().unwrap() {
                return Some(item);
            }
            let octets = self.pace.read(&mut self.receive, CHUNK_OCTETS).await.ok()??;
            self.reader.push(&octets);
        }
    }
}
