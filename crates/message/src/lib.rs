//! What mail is: addresses, headers, parts, the manifest, seals, the envelope and dispositions.
//!
//! This crate does no I/O, reads no clock and draws no randomness: times, keys and octets are arguments. Everything
//! above it speaks in its words. The rules it keeps stand in `spec/02-addresses.md`, `spec/03-message.md`,
//! `spec/04-seals.md` and `spec/24-keys.md`.
//!
//! The way through it: octets go into a [`Parser`], which yields the header block, the part headers and the body
//! octets as they come and ends with a [`Manifest`]; the manifest's digest is the [`Identity`] of the message, and
//! what a [`Seal`] signs. In the other direction a [`Draft`] becomes [`Headers`] and a manifest, and
//! [`Manifest::layout`] says in which order the pieces stand in the octet form.

pub mod address;
pub mod cbor;
mod compose;
mod digest;
mod disposition;
mod envelope;
mod error;
mod file;
mod header;
mod key;
pub mod keys;
pub mod limits;
mod manifest;
mod parse;
mod seal;
mod selection;
pub mod slice;
mod ticket;

pub use compose::{Draft, DraftContent, DraftPart, Headers, Message};
pub use digest::{Digest, DigestWriter, Identity};
pub use disposition::{Code, Cookie, Disposition, Redirect};
pub use envelope::{Envelope, Hop};
pub use error::{Error, Fault};
pub use file::{FilePrelude, PreludeReader};
pub use header::{Field, HeaderBlock, HeaderBuilder};
pub use key::{KeyId, PublicKey, SecretKey};
pub use limits::Limits;
pub use manifest::{Extent, Manifest, Part, PartContent, Segment};
pub use parse::{Event, Parser};
pub use seal::{CHECK_AUTHOR, Claims, Role, Seal, VerifiedSeal};
pub use selection::Selection;
pub use ticket::TicketFor;
