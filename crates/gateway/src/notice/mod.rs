//! Notices about delivery: those of the old world read, and those that are owed to it written (RFC 3464).
//!
//! What Waxwing sends over SMTP has a return path of [`Tags`]. What comes back to it is never delivered as mail: it is
//! read ([`read`]), and settles what is known of the transaction that the tag names. Specification: `spec/18-gateway.md`.

pub mod limits;
mod plain;
mod read;
mod status;
mod tag;
mod write;

#[cfg(test)]
mod tests;

pub use read::{About, Action, Form, Notice, read};
pub use tag::Tags;
pub use write::{Owed, Said};
