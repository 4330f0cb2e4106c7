//! What a node keeps: the store in mail verbs, the in-memory engine and the conformance suite.
//!
//! [`Store`] is what the house above sees: verbs of mail, each one a durable transaction once it has answered. Under it
//! stands [`Keeper`], the one implementation of the verbs over an ordered key-value [`Engine`]; the engines are small
//! and know nothing of mail. What is durable when, and how the records look, stands in `spec/12-storage.md`.
//!
//! This crate is not a queue: it knows no routes and no back-off, it keeps what it is told and hands out what is due.
//! It reads no clock and draws no randomness: times are arguments in Unix milliseconds, cookies come from the caller.

mod acceptance;
mod account;
mod ages;
#[cfg(any(test, feature = "conformance"))]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a suite of tests: it fails by panicking")]
pub mod conformance;
mod correspondent;
mod engine;
mod error;
mod files;
mod format;
mod forwarding;
mod group;
mod journal;
mod keeper;
mod key;
mod keys;
mod legacy;
pub mod limits;
mod log;
mod log_place;
mod logged;
mod mailbox;
mod memory;
mod part;
mod passage;
mod peer;
mod queue;
mod record;
mod schedule;
mod store;
mod transaction;
mod upkeep;
mod verb;
mod writer;

pub use acceptance::{
    Acceptance, Again, Content, Effect, Forwarded, Intended, NewMessage, OfferedBefore, Origin, Pend,
    Receipt, Room, Stage, StoredMessage, Supply,
};
pub use account::{AccountRecord, DeviceRecord, ScramKeys};
pub use correspondent::{CorrespondentRecord, Regard};
pub use engine::{Batch, Engine, Pair, View, guarded};
pub use error::{Error, Fault};
pub use files::MemoryFiles;
pub use forwarding::{ForwardRecord, ForwardState, ForwardingStore, GrantRecord, GrantState};
pub use journal::{
    Attempt, CookieAnswer, Decision, EnvelopeRecord, HeldRecord, NextHop, RecipientRecord, Ruling, SealMark,
};
pub use keeper::{Keeper, Settings, make_room};
pub use keys::{HeadRecord, KeyStore, PinRecord, StatementRecord};
pub use legacy::{LegacyChange, LegacyOrigin, LegacyRecord, NoticeDue};
pub use log_place::{LogFile, LogPlace};
pub use logged::Logged;
pub use mailbox::{MailboxEntry, SealNote};
pub use memory::Memory;
pub use part::{PartReader, PartWriter, StagedPart};
pub use passage::{Passage, PassedCookie, Wish};
pub use peer::PeerRecord;
pub use queue::{
    Claim, EnvelopeId, Lane, LaneAges, LaneSummary, LegId, LegRecord, MailUid, Outcome, Pause, Settled,
    Settlement,
};
pub use store::{Store, Wait};
pub use upkeep::{Exported, Finding, FindingKind, Statistics};
pub use verb::check::check_parts;
