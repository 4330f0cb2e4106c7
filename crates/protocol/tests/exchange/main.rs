//! The machines of a transaction, driven by hand: `spec/06-exchange.md`.

mod answers;
mod anything;
#[path = "../arbitrary/mod.rs"]
mod arbitrary;
mod breaches;
mod letter;
mod pair;
mod selections;
