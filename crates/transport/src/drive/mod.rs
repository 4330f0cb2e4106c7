//! Drives the machines of `protocol` over streams: octets in, octets out, and a [`Handler`] that answers.
//!
//! A driver holds no more of a body than one chunk: what comes is given to the handler before more is read, what goes
//! is read from its [`Source`] as the peer makes room.

mod client;
pub(crate) mod pushed;
mod server;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use message::{Code as Status, Cookie, Manifest, Selection};
use protocol::{AnsweringEvent, ContentHead, Failure, Frame, Outcome, Supply};
use tokio::sync::mpsc;

use crate::{Code, Error, Link};

pub use client::{ask, fetch, offer};
pub use pushed::Listener;
pub use server::serve;

/// An answer that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Octets that are read from a source or a stream at a time.
const CHUNK_OCTETS: usize = 128 * 1024;

/// Who answers an offer: the one trait by which the house above hears of connections.
pub trait Handler: Send + Sync + 'static {
    /// What the server has told in its settings, and so what every offer is held to.
    fn settings(&self) -> protocol::Settings {
        protocol::Settings::default()
    }

    /// Decides who the peer is, once per connection; an error closes it.
    fn meet<'a>(&'a self, link: &'a Link) -> Later<'a, Result<Arc<dyn Session>, Failure>>;
}

/// One authenticated connection, as the house sees it.
pub trait Session: Send + Sync + 'static {
    /// Whether the peer has proved who it is by now: whoever has not is not kept for long where it asks for nothing. Asked
    /// when the session begins and after each request.
    fn has_proved(&self) -> bool {
        true
    }

    /// A new offer begins on this connection.
    fn offer(&self) -> Box<dyn OfferSession>;

    /// A request other than an offer.
    fn ask(&self, request: Frame) -> Later<'_, Reply>;

    /// Cookies of this peer as they settle, to be told unasked; asked for once per connection. Who tells nothing gives
    /// `None`.
    fn news(&self) -> Option<mpsc::Receiver<Cookie>> {
        None
    }
}

/// One offer on its way in. Dropped where the stream is lost: what was not committed is not kept, except the octets
/// of parts, from which a later offer resumes.
pub trait OfferSession: Send {
    /// Takes in what has happened and says what to do next.
    fn handle(&mut self, event: AnsweringEvent) -> Later<'_, Result<Step, Failure>>;
}

/// What the driver does next with an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Reads on.
    Continue,
    /// Reads on, and parts can be asked for by this manifest, which is here from an earlier offer.
    Know(Box<Manifest>),
    /// Asks for content; only after [`AnsweringEvent::Supplied`].
    Want(Selection),
    /// Answers.
    Answer(Outcome),
}

/// The answer to a request.
pub enum Reply {
    /// One frame.
    Frame(Frame),
    /// Content of a message.
    Content {
        /// What is there.
        supply: Supply,
        /// What of it is sent.
        selection: Selection,
        /// Where the bodies are.
        source: Arc<dyn Source>,
    },
}

/// Where the bodies of a message are kept.
pub trait Source: Send + Sync {
    /// Octets of a leaf from this offset, at most this many, at least one.
    fn read(&self, part: usize, offset: u64, octets_max: usize) -> Later<'_, std::io::Result<Bytes>>;

    /// A range of a leaf with its proof.
    fn slice(&self, part: usize, offset: u64, octets: u64) -> Later<'_, std::io::Result<Bytes>>;
}

/// Where fetched content goes.
pub trait ContentSink: Send {
    /// A piece begins.
    fn piece(&mut self, head: ContentHead) -> std::io::Result<()>;

    /// Octets of that piece.
    fn octets(&mut self, octets: Bytes) -> std::io::Result<()>;
}

/// The number with which a stream is given up for what the other side did wrong. keeps: FRM-10
fn given_up(error: &protocol::Error) -> Code {
    match error.code() {
        Status::MESSAGE_TOO_LARGE => Code::FrameTooLarge,
        Status::BAD_CONNECTION => Code::Cancelled,
        _ => Code::ProtocolViolation,
    }
}

/// Why a transaction that we began has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The connection or the stream failed.
    #[error(transparent)]
    Transport(#[from] Error),
    /// The peer's answer was not one.
    #[error("the peer's answer: {0}")]
    Protocol(#[from] protocol::Error),
    /// The peer could not do it.
    #[error("{} ({})", .0.text, .0.code)]
    Failed(Failure),
    /// What we send could not be read here, or what came not be written.
    #[error("local content: {0}")]
    Local(String),
}
