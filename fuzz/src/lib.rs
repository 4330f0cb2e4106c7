//! What is asserted of any octets, target by target. cargo-fuzz runs these functions for as long as one likes
//! (`scripts/fuzz`), and `tests/tests/fuzz` runs the same ones for a second each with every other test.
//!
//! A target panics where a property does not hold. Octets that are refused are fine; no target may panic, go on for
//! ever, or hold more than a bounded multiple of what it was given.

mod conversation;
mod keys;
mod log;
mod names;
mod octets;
mod seeds;
mod smtp;
mod stored;
mod translation;

pub use seeds::seeds;

/// A function that asserts something of any octets.
pub type Target = fn(&[u8]);

/// All targets by their names.
pub const TARGETS: &[(&str, Target)] = &[
    ("frames", octets::frames),
    ("conversation", conversation::conversation),
    ("manifest", octets::manifest),
    ("headers", octets::headers),
    ("message", octets::message),
    ("file", octets::file),
    ("seal", octets::seal),
    ("keys", keys::keys),
    ("slice", octets::slice),
    ("address", names::address),
    ("import", translation::import),
    ("export", translation::export),
    ("dns", names::dns),
    ("log", log::log),
    ("store", stored::store),
    ("smtp", smtp::smtp),
];

/// Runs one target by its name.
pub fn run(name: &str, octets: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target of this name");
    target(octets);
}
