//! Tests of the whole house: wire, corpora, structure.

pub mod torture;
