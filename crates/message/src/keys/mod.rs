//! Keys of users: statements, the log of their domain, and what readers make of both (`spec/24-keys.md`). No I/O.

mod answer;
mod cose;
mod head;
mod statement;
#[cfg(test)]
mod tests;
pub mod tree;
mod trust;

pub use answer::{Chain, KeyAnswer, NotProved, Proved, SeenHead};
pub use head::TreeHead;
pub use statement::{KeyRecord, Link, Statement, StatementClaims};
pub use trust::{AuthorKey, Known, Pin, PinnedKey, follow, judge};
