//! The two ends of a connection: one [`Server`] for both protocols on one port, one [`Client`], and the
//! [`Link`] that either yields.

mod admission;
mod client;
mod link;
mod reset;
mod server;
mod stream;

pub use admission::Counts;
pub use client::{Client, Connected};
pub use link::{InUse, Link, WeakLink};
pub use quinn::RecvStream;
pub use server::{Accepted, Server, ServerIdentity, Service};
pub use stream::SendStream;

use crate::error::Error;
use quinn::{AsyncUdpSocket, EndpointConfig, Runtime};
use reset::ResetKey;
use std::{fmt, net::SocketAddr, sync::Arc};

/// The UDP port of both protocols where no SRV record names another. keeps: TRA-4
pub const DEFAULT_PORT: u16 = 7625;

/// Which protocol a connection speaks. keeps: TRA-1
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Alpn {
    /// `waxwing-sub/1`: a user's program and its own node.
    Submission,
    /// `waxwing/1`: node to node.
    Exchange,
    /// `waxwing-door/1`: node to the recipient's own daemon.
    Doorstep,
}

impl Alpn {
    /// The name in the TLS handshake (RFC 7301).
    pub fn name(self) -> &'static [u8] {
        match self {
            Alpn::Submission => b"waxwing-sub/1",
            Alpn::Exchange => b"waxwing/1",
            Alpn::Doorstep => b"waxwing-door/1",
        }
    }

    /// The protocol of this name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        [Alpn::Submission, Alpn::Exchange, Alpn::Doorstep].into_iter().find(|alpn| alpn.name() == name)
    }
}

/// What an endpoint sends and receives through: a UDP socket of the system, or a simulated one.
pub struct Socket {
    socket: Arc<dyn AsyncUdpSocket>,
    runtime: Arc<dyn Runtime>,
    seed: Option<[u8; 32]>,
}

impl Socket {
    /// Opens a UDP socket of the system. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Address`] where the address cannot be bound, [`Error::Socket`] where the socket is of no use.
    pub fn bind(address: SocketAddr) -> Result<Self, Error> {
        let runtime: Arc<dyn Runtime> = Arc::new(quinn::TokioRuntime);
        let socket = std::net::UdpSocket::bind(address).map_err(|error| Error::Address {
            address,
            kind: error.kind(),
            text: error.to_string(),
        })?;
        let socket = runtime.wrap_udp_socket(socket).map_err(socket_error)?;
        Ok(Self { socket, runtime, seed: None })
    }

    /// Takes any socket, as of a simulated network. With a `seed` the endpoint's connection identifiers and
    /// packet number choices follow from it; outside tests it must be `None`.
    pub fn simulated(
        socket: Arc<dyn AsyncUdpSocket>,
        runtime: Arc<dyn Runtime>,
        seed: Option<[u8; 32]>,
    ) -> Self {
        Self { socket, runtime, seed }
    }

    /// An endpoint; a server's with the key by which it resets connections from before a restart.
    fn endpoint(self, server: Option<(quinn::ServerConfig, ResetKey)>) -> Result<quinn::Endpoint, Error> {
        let (server, mut config) = match server {
            Some((server, key)) => (Some(server), key.into_config()),
            None => (None, EndpointConfig::default()),
        };
        config.rng_seed(self.seed);
        quinn::Endpoint::new_with_abstract_socket(config, server, self.socket, self.runtime)
            .map_err(socket_error)
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(&self.socket.local_addr().ok()).finish()
    }
}

fn socket_error(error: std::io::Error) -> Error {
    Error::Socket(error.to_string())
}
