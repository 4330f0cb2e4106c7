//! What two parties say: CBOR frames, and the machines of submission and exchange. No I/O, no clock, no storage.
//!
//! A driver feeds octets of a stream into a machine with `handle`, then drains `poll`: octets to send, content to
//! stream from where it is kept, events to act upon. Bodies never pass through CBOR; on the way in they come out as
//! they came, on the way out the machine only says which octets of which part follow.
//!
//! - [`Offering`] is the side that has a message: it offers, supplies what is wanted and ends with the outcome.
//! - [`Answering`] is the side that is asked: one stream, one offer or one request.
//! - [`Asking`] is the side that sends one request and waits for one reply: polls, status, mailbox, enrolment.
//!
//! The rules stand in `spec/05-frames.md` to `spec/08-status.md`, the numbers in `spec/registry.md`.

mod answering;
mod asking;
mod decode;
mod due;
mod encode;
mod error;
mod frame;
mod held;
mod keys;
pub mod limits;
mod offering;
mod reader;
pub mod registry;

pub use answering::{Answering, AnsweringEvent, AnsweringOutput};
pub use asking::{Asking, AskingEvent, AskingOutput};
pub use encode::{encode, fits};
pub use error::Error;
pub use frame::{
    ContentHead, CookieAnswer, Device, DoorstepLease, Eager, Enrol, Failure, Frame, MailboxEntry, Offer,
    Outcome, Piece, SealWords, Sealed, Settings, StatusAttempt, StatusQuery, StatusRecipient, StatusRecord,
    SubmissionOptions, Taken, Way,
};
pub use held::{Choice, Decide, HeldEntry, HeldPlace};
pub use keys::{KeyPins, KeyPublish, KeyQuery, KeyReply, PinWords};
pub use offering::{Offering, OfferingEvent, OfferingOutput, Supply, slice_content};
pub use reader::{Item, Reader};

/// Which of the protocols a connection speaks; decided by ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// A user's program to its own node, `waxwing-sub/1`.
    Submission,
    /// Node to node, `waxwing/1`.
    Exchange,
    /// Node to the recipient's own daemon, `waxwing-door/1`.
    Doorstep,
}

impl Protocol {
    /// The ALPN name.
    pub const fn alpn(self) -> &'static [u8] {
        match self {
            Protocol::Submission => b"waxwing-sub/1",
            Protocol::Exchange => b"waxwing/1",
            Protocol::Doorstep => b"waxwing-door/1",
        }
    }

    /// The protocol of an ALPN name.
    pub fn from_alpn(name: &[u8]) -> Option<Protocol> {
        [Protocol::Submission, Protocol::Exchange, Protocol::Doorstep]
            .into_iter()
            .find(|protocol| protocol.alpn() == name)
    }
}
