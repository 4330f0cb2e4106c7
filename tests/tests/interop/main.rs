//! The gateway and the mail servers of others: `scripts/interop` says what is started, and runs all of it. Each test says
//! what it starts and why.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test, what goes wrong ends the test"
)]

mod checks;
mod clients;
mod dane;
mod dovecot;
mod exim;
mod kills;
mod mail;
mod postfix;
mod quickstart;
mod street;
