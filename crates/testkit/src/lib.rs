//! Whole worlds for tests: any number of nodes on a network, with clocks and disks, and none of it real.
//!
//! A [`Plan`] follows from a seed: the nodes, who writes to whom, and what goes wrong. [`run`] lives through it on a
//! virtual clock, in one thread, so that the same seed comes out the same to the last octet; days of it run in
//! milliseconds. Then everything is mended, and when nothing more is under way the [`invariants`] are checked.
//!
//! The nodes are those of `node` over the keeper of `storage`, half of them with its log, on a [`disk`] whose power goes between
//! any two durable steps. What they say goes through the machines of `protocol`, and what answers them is given by the caller as [`Doors`]: the adapters of the daemon. Only QUIC and TLS are left out;
//! `transport` has its own tests, and [`datagrams`] carries it over simulated time.

#![expect(clippy::unwrap_used, reason = "in a test, what goes wrong ends the test")]

pub mod clock;
pub mod courier;
pub mod datagrams;
pub mod disk;
mod drive;
pub mod invariants;
pub mod letter;
pub mod network;
pub mod plan;
mod porch;
mod random;
pub mod site;
pub mod story;
mod user;
mod wal;
mod watch;
mod world;

pub use disk::Vice;
pub use plan::Plan;
pub use porch::PORCH_ACCOUNT;
pub use random::Random;
pub use story::Broken;
pub use world::{Doors, Ended, run};
