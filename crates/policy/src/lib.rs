//! What a node decides about an offer for one recipient: evidence in, a verdict with a named reason out
//! (`spec/14-policy.md`).
//!
//! Decisions are pure: the evidence was gathered before, by those who may ask the DNS and the store. A failure of the
//! DNS never refuses: it defers.

mod decide;
mod evidence;
pub mod limits;
mod rule;
#[cfg(test)]
mod tests;

pub use decide::{Decision, Explanation, Rules, Step, Tried, Verdict};
pub use evidence::{Acquaintance, Evidence, Grade, Legacy, Rate, SealEvidence, Seen, Standing};
pub use rule::{Action, Condition, Party, Rule};
