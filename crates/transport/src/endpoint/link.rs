//! A connection whose two sides know each other.

use super::Alpn;
use super::admission::Place;
use super::stream::SendStream;
use crate::error::{Code, Error};
use crate::identity::Peer;
use quinn::RecvStream;
use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

/// An authenticated connection. Cheap to clone; closed when the last clone and the last stream are dropped.
///
/// A link only comes into being after the handshake is complete: what a client sends cannot be acted upon
/// before. keeps: TRA-11
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    connection: quinn::Connection,
    alpn: Alpn,
    peer: Option<Peer>,
    server_name: Option<String>,
    /// On a server: counted as open until the link is dropped.
    place: Option<Place>,
}

impl Link {
    pub(super) fn new(
        connection: quinn::Connection,
        alpn: Alpn,
        server_name: Option<String>,
        place: Option<Place>,
    ) -> Result<Self, Error> {
        let peer = peer_of(&connection)?;
        let link = Self(Arc::new(Inner { connection, alpn, peer, server_name, place }));
        if let Some(place) = &link.0.place {
            place.taken_by(link.downgrade());
        }
        Ok(link)
    }

    /// The same connection, not held open by whoever has this.
    pub fn downgrade(&self) -> WeakLink {
        WeakLink(Arc::downgrade(&self.0))
    }

    /// Which protocol was negotiated.
    pub fn alpn(&self) -> Alpn {
        self.0.alpn
    }

    /// What the other side has proved. Always there for a server; `None` for a client that showed no
    /// certificate.
    pub fn peer(&self) -> Option<&Peer> {
        self.0.peer.as_ref()
    }

    /// On a server: the name that the client asked for (SNI).
    pub fn server_name(&self) -> Option<&str> {
        self.0.server_name.as_deref()
    }

    /// The other side's address at present.
    pub fn remote_address(&self) -> SocketAddr {
        self.0.connection.remote_address()
    }

    /// Opens a stream for one transaction. Client only. Waits while the peer allows no more streams.
    ///
    /// # Errors
    /// Why the connection ended.
    pub async fn open_bi(&self) -> Result<(SendStream, RecvStream), Error> {
        let (send, receive) = self.0.connection.open_bi().await?;
        Ok((SendStream::new(send), receive))
    }

    /// Waits for the client's next transaction. Server only.
    ///
    /// # Errors
    /// Why the connection ended.
    pub async fn accept_bi(&self) -> Result<(SendStream, RecvStream), Error> {
        let (send, receive) = self.0.connection.accept_bi().await?;
        Ok((SendStream::new(send), receive))
    }

    /// Opens a stream for pushed octets. Server only. Waits while the peer allows no more streams.
    ///
    /// # Errors
    /// Why the connection ended.
    pub async fn open_uni(&self) -> Result<SendStream, Error> {
        Ok(SendStream::new(self.0.connection.open_uni().await?))
    }

    /// Waits for the server's next pushed stream; the settings were taken before. Client only.
    ///
    /// # Errors
    /// Why the connection ended.
    pub async fn accept_uni(&self) -> Result<RecvStream, Error> {
        Ok(self.0.connection.accept_uni().await?)
    }

    /// On a server: the peer has proved who it is, and stays connected for as long as it likes.
    pub fn proved(&self) {
        if let Some(place) = &self.0.place {
            place.proved();
        }
    }

    /// On a server: whether it has.
    pub fn is_proved(&self) -> bool {
        self.0.place.as_ref().is_some_and(Place::is_proved)
    }

    /// On a server: something is under way on this connection for as long as this is held.
    pub fn in_use(&self) -> InUse {
        if let Some(place) = &self.0.place {
            place.begun();
        }
        InUse(self.clone())
    }

    /// On a server: waits until a peer that has proved nothing has had nothing under way for so long. keeps: TRA-24
    pub async fn unused_for(&self, time: Duration) {
        match &self.0.place {
            Some(place) => place.unused_for(time).await,
            None => std::future::pending().await,
        }
    }

    /// Closes the connection at once; what is not yet acknowledged may be lost. The reason is read by people.
    pub fn close(&self, code: Code, reason: &str) {
        self.0.connection.close(code.into(), reason.as_bytes());
    }

    /// Why the connection ended, if it has.
    pub fn ended(&self) -> Option<Error> {
        self.0.connection.close_reason().map(Error::from)
    }

    /// Waits until the connection has ended and says why.
    pub async fn closed(&self) -> Error {
        self.0.connection.closed().await.into()
    }

    /// The present estimate of the round trip time.
    pub fn round_trip(&self) -> Duration {
        self.0.connection.rtt()
    }

    /// Counters of packets, losses and frames.
    pub fn statistics(&self) -> quinn::ConnectionStats {
        self.0.connection.stats()
    }
}

/// That a connection is in use.
#[derive(Debug)]
pub struct InUse(Link);

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some(place) = &self.0.0.place {
            place.ended();
        }
    }
}

/// A connection that may have ended: a [`Link`] as long as somebody else has one.
#[derive(Clone, Default)]
pub struct WeakLink(Weak<Inner>);

impl WeakLink {
    /// The connection, where it is still in use.
    pub fn upgrade(&self) -> Option<Link> {
        self.0.upgrade().map(Link)
    }

    /// Whether both are the same connection.
    pub fn is_same(&self, other: &WeakLink) -> bool {
        Weak::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("alpn", &self.0.alpn).field("remote", &self.remote_address()).finish()
    }
}

impl fmt::Debug for WeakLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakLink")
    }
}

/// The protocol, and on a server the name asked for, once the first flight is read.
pub(super) fn negotiated(data: Option<Box<dyn std::any::Any>>) -> Result<(Alpn, Option<String>), Error> {
    let data = data
        .and_then(|data| data.downcast::<quinn::crypto::rustls::HandshakeData>().ok())
        .ok_or_else(|| Error::Internal("the handshake has no data".to_owned()))?;
    let alpn = data.protocol.as_deref().and_then(Alpn::from_name).ok_or(Error::NoCommonProtocol)?;
    Ok((alpn, data.server_name))
}

fn peer_of(connection: &quinn::Connection) -> Result<Option<Peer>, Error> {
    let Some(shown) = connection.peer_identity() else { return Ok(None) };
    let chain = shown
        .downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>()
        .map_err(|_| Error::Internal("the peer's identity is no chain".to_owned()))?;
    if chain.is_empty() { Ok(None) } else { Peer::from_chain(*chain).map(Some) }
}

#[cfg(test)]
mod tests {
    use crate::{Alpn, Client, Expectation, HostKey, KeyKind, Limits, Server, Service, Socket};
    use std::net::Ipv4Addr;

    /// proves: TRA-4
    #[tokio::test]
    async fn datagrams_are_not_negotiated() {
        let socket = || Socket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let key = HostKey::generate(KeyKind::EcdsaP256, &["mx.example"]).unwrap();
        let limits = Limits::default();
        let services = vec![Service { alpn: Alpn::Exchange, settings: b"settings"[..].into() }];
        let server = Server::bind(socket(), &key.clone().into(), services, &limits).unwrap();
        let address = server.local_address().unwrap();
        let client = Client::bind(socket(), None, &limits).unwrap();
        let expectation = Expectation::Pinned { digests: vec![key.key_digest()] };
        let (connected, link) =
            tokio::join!(client.connect(address, "mx.example", Alpn::Exchange, &expectation), async {
                server.accept().await.unwrap().authenticated().await
            });
        // What the other side allows: nothing.
        assert_eq!(connected.unwrap().link().0.connection.max_datagram_size(), None);
        assert_eq!(link.unwrap().0.connection.max_datagram_size(), None);
    }
}
