//! How a node speaks with the old world: SMTP in, SMTP and LMTP out, and what the legacy checks find.
//!
//! The gateway knows neither the node nor the store. What it asks for it asks of its [`Handler`], who takes what came
//! in, and of its [`Records`], where it remembers what has to outlive the process. `daemon` introduces them.

pub mod check;
pub mod cookies;
pub mod dkim_sign;
#[cfg(test)]
#[expect(dead_code, reason = "each test takes of the fakes what it needs")]
mod fake;
pub mod forward;
mod handler;
mod https;
pub mod limits;
mod loops;
pub mod mav;
mod neighbours;
pub mod notice;
pub mod out;
pub mod properties;
mod records;
pub mod smtp;
pub mod srs;

pub use handler::{
    Authenticity, Client, Findings, Handler, Later, Letter, LoginFailure, Mav, Recipient, Reply, ReturnPath,
    ScramKeys, Service, Verdict,
};
pub use records::{Change, Kind, Record, Records, RecordsError};
