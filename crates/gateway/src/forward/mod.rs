//! Forwarding by authorization: a forwarder asks before it forwards, and a target knows who forwards to it
//! (`spec/22-forwarding.md`).
//!
//! [`Forwarding`] is the reason of both roles, over a [`Book`] where the records are and a [`Fetch`] that asks others.
//! [`Https`] and [`serve`] are the hands. What it is not: what the records mean for mail on its way is for those who
//! carry it.

mod book;
mod document;
mod https;
mod page;
mod report;
mod role;
mod server;
#[cfg(test)]
mod tests;
mod walk;

pub use book::{Book, BookError, Change, Grant, State, Upstream, Verdict, Way};
pub use document::{
    Ask, Capabilities, Question, RecordDocument, Standing, StandingState, WELL_KNOWN, secret_text,
};
pub use https::{Fetch, FetchError, Fetched, Https};
pub use report::{Report, ReportError};
pub use role::{Clock, Forwarding, Granting, Policy};
pub use server::{Certificate, Door, serve};
pub use walk::{Hop, HopEnd};
