//! How bytes travel: QUIC endpoints, identities and the connection pool; drives the protocol machines.
//!
//! What it is: TLS 1.3 over QUIC with the house's own rules for who a peer is ([`identity`], [`tls`]), one server
//! endpoint for both protocols and one client ([`endpoint`]), shared connections ([`pool`]), and a bound on
//! everything ([`limits`]). What it is not: it knows no storage and no policy: a [`Handler`] answers.
//!
//! Specification: `spec/09-transport.md`.

pub mod drive;
pub mod endpoint;
pub mod error;
pub mod identity;
pub mod limits;
pub mod pool;
pub mod tls;

pub use drive::{
    AskError, ContentSink, Handler, Later, Listener, OfferSession, Reply, Session, Source, Step, ask, fetch,
    offer, serve,
};
pub use endpoint::{
    Accepted, Alpn, Client, Connected, Counts, InUse, Link, RecvStream, SendStream, Server, WeakLink,
};
pub use endpoint::{DEFAULT_PORT, ServerIdentity, Service, Socket};
pub use error::{Code, Error, Fault};
pub use identity::{HostKey, KeyKind, Peer, ed25519_key_digest, key_digest};
pub use limits::{Limits, Pace};
pub use pool::{Lease, Pool, Route};
pub use tls::{Expectation, Roots};
