//! The commands for users and operators.
//!
//! What it is: the grammar of the command line ([`Invocation`]), a user's program that speaks submission with its node
//! ([`client`]), and an operator's that asks a running node over its control socket. What it is not: it knows nothing
//! of how a node works. The commands that need a node's own code are told by [`Command::needs_daemon`]; the program
//! that has both crates does those itself.

mod args;
pub mod client;
mod clock;
mod error;
pub mod limits;
mod output;
pub mod profile;
mod roots;

pub use args::{
    AccountAddressCommand, AccountCommand, Color, Command, Compose, ConfigCommand, EnrolArgs, GiveUpArgs,
    Global, Invocation, LegChoice, MailCommand, MailExportArgs, MailListArgs, MailReadArgs, MailSelection,
    MessageCommand, Moment, NodeAddress, NodeConfig, QueueCommand, QuickstartArgs, SendArgs, ServeArgs,
    SignArgs, StatusArgs, StoreCommand, TraceArgs,
};

pub use error::Error;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;

use clap::Parser;
use message::PublicKey;
use message::address::Domain;

/// The keys of a domain, or why they are not known, in words for a person.
pub type FoundKeys<'a> = Pin<Box<dyn Future<Output = Result<Vec<PublicKey>, String>> + Send + 'a>>;

/// Where the keys of domains are found: this crate does not ask the DNS.
pub trait DomainKeys: Send + Sync {
    /// The keys that a domain has published under a selector.
    fn domain_keys<'a>(&'a self, domain: &'a Domain, selector: &'a str) -> FoundKeys<'a>;
}

/// What the program that has all crates lends to the commands.
#[derive(Default)]
pub struct Hooks {
    /// For `message verify --dns`; without it that command says that it cannot.
    pub domain_keys: Option<Box<dyn DomainKeys>>,
}

/// Reads the command line. Where it is not right, this prints why and ends the process with the code 2.
pub fn parse() -> Invocation {
    Invocation::parse()
}

/// Does a command that needs no code of the node, prints what came of it, and gives the exit code.
///
/// A command for which [`Command::needs_daemon`] holds is answered with the code 2 and a line that says so.
pub async fn run(invocation: Invocation, hooks: &Hooks) -> ExitCode {
    let _ = (invocation, hooks);
    ExitCode::from(2)
}

/// Does an operator's command (account, queue, trace, store check, store compact, node, shutdown) with an operator in
/// this process instead of the one behind the socket: for a store that no node runs on.
pub async fn operate(invocation: &Invocation, operator: &dyn control::Operator) -> ExitCode {
    let _ = (invocation, operator);
    ExitCode::from(2)
}
