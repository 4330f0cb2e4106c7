//! Tests of the whole session, and of the server around it.

mod attempts;
mod dialogues;
mod limits;
mod network;
mod properties;
mod relay;
mod smuggling;
mod talk;
mod transactions;
