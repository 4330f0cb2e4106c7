//! Tests of the whole house: wire, corpora, structure. What stands here is shared by them: a [`World`] of nodes on this
//! machine, their users, and peers that are driven by hand.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test, what goes wrong ends the test")]

pub mod events;
pub mod foreign;
pub mod large;
pub mod peer;
pub mod porch;
pub mod relay;
pub mod simulation;
pub mod smtp;
pub mod torture;
pub mod user;
pub mod world;

pub use events::Events;
pub use peer::{Memory, Peer, RawStream};
pub use porch::Porch;
pub use relay::DelayingRelay;
pub use testkit::letter::{letter, letter_with};
pub use user::User;
pub use world::{Site, World};
