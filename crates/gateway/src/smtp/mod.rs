//! SMTP in (RFC 5321): the ports 25, 587 and 465 (`spec/18-gateway.md`).
//!
//! [`Session`] is the protocol without I/O. [`Server`] drives it over tokio and rustls, asks the [`crate::Handler`] and
//! those who help it ([`Checks`], [`Cookies`], [`crate::mav`]), and bounds what clients may use.
//!
//! What it is not: it takes no decision about mail, and keeps nothing. Dispositions become replies, no more.

mod command;
mod connection;
mod content;
mod login;
mod received;
mod reply;
mod server;
mod session;
mod settings;
mod tls;
mod transaction;

#[cfg(test)]
mod tests;

pub use server::Server;
pub(crate) use server::neighbourhood;
pub use session::{Encrypted, Input, Output, Question, Session};
pub use settings::{Checks, Cookies, Environment, Limits, NoChecks, Parts, Settings};
pub use tls::{TlsError, tls_settings};
