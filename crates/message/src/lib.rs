//! What mail is: addresses, headers, parts, the manifest, seals, the envelope and dispositions. No I/O, no clock, no randomness.

pub mod address;
pub mod slice;
