//! The pages of an operator: what waits, what happens, who is there, and what needs somebody to act.

mod aliases;
mod flow;
mod node;
mod peers;
mod policy;
mod queue;

pub(crate) use aliases::{alias_change, aliases};
pub(crate) use flow::{flow, trace};
pub(crate) use node::{accounts, alerts, domains};
pub(crate) use peers::{forget, peer, peers};
pub(crate) use policy::policy;
pub(crate) use queue::{change, lane, leg, queue};
