//! The commands for users and operators.
//!
//! What it is: the grammar of the command line ([`Invocation`]), a user's program that speaks submission with its node
//! ([`client`]), and an operator's that asks a running node over its control socket. What it is not: it knows nothing
//! of how a node works. The commands that need a node's own code are told by [`Command::needs_daemon`]; the program
//! that has both crates does those itself.

mod args;
pub mod client;
mod clock;
mod commands;
mod error;
pub mod limits;
mod output;
pub mod profile;
mod roots;

pub use args::{
    AccountAddressCommand, AccountCommand, BenchCommand, BenchExchangeArgs, BenchLetters, BenchLoad,
    BenchPeer, BenchPollArgs, BenchSubmitArgs, Color, Command, Compose, ConfigCommand, ConsoleCommand,
    CorrespondentCommand, DeviceCommand, DoorstepArgs, EnrolArgs, ForwardCommand, GiveUpArgs, Global,
    HeldArgs, HeldCommand, HeldListArgs, HeldName, InitArgs, Invocation, KeyCommand, KeyTerm, LegChoice,
    LmtpCommand, LmtpName, MailCommand, MailExportArgs, MailListArgs, MailReadArgs, MailSelection,
    MessageCommand, Moment, NodeAddress, NodeConfig, PeerCommand, PolicyCommand, QueueCommand,
    QuickstartArgs, SendArgs, ServeArgs, SignArgs, SpfCommand, SpfExplainArgs, StatusArgs, StoreCommand,
    TraceArgs,
};

pub use commands::{PeerIdentity, read_password};
pub use error::Error;
pub use output::{clean, colours_errors, colours_output, escape_json};

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;

use message::PublicKey;
use message::address::Domain;

use crate::output::Output;

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
    args::read(std::env::args_os())
}

/// Does a command that needs no code of the node, prints what came of it, and gives the exit code.
///
/// A command for which [`Command::needs_daemon`] holds is answered with the code 2 and a line that says so.
pub async fn run(invocation: Invocation, hooks: &Hooks) -> ExitCode {
    let mut output = Output::standard(&invocation.global);
    let ended = commands::perform(&invocation, hooks, &mut output).await;
    finish(&invocation.global, ended, output)
}

/// Does an operator's command (account, queue, trace, store check, store compact, node, shutdown) with an operator in
/// this process instead of the one behind the socket: for a store that no node runs on.
pub async fn operate(invocation: &Invocation, operator: &dyn control::Operator) -> ExitCode {
    let mut output = Output::standard(&invocation.global);
    let ended = commands::operate(invocation, operator, &mut output).await;
    finish(&invocation.global, ended, output)
}

/// Does `bench exchange` or `bench poll` as the node with this identity.
pub async fn bench(invocation: &Invocation, identity: PeerIdentity) -> ExitCode {
    let mut output = Output::standard(&invocation.global);
    let ended = commands::bench_as_peer(invocation, identity, &mut output).await;
    finish(&invocation.global, ended, output)
}

/// Does a command as [`run`] does, and prints into a writer, without colours.
///
/// # Errors
/// Why the command was not done. `false` says that it was, and that what it tells is bad: refused, damaged or not
/// verified.
pub async fn run_into(
    invocation: &Invocation,
    hooks: &Hooks,
    out: Box<dyn std::io::Write + Send>,
) -> Result<bool, Error> {
    let mut output = Output::other(&invocation.global, out);
    let end = commands::perform(invocation, hooks, &mut output).await?;
    output.flush()?;
    Ok(end == commands::End::Good)
}

/// Prints an error of this crate on standard error, with what to do next, and gives its exit code.
pub fn complain(global: &Global, error: &Error) -> ExitCode {
    output::complain(global, error);
    ExitCode::from(error.exit_code())
}

/// Prints what a command that is done elsewhere says to people. Whoever has read enough of it, as `head` does, is no fault.
///
/// # Errors
/// The exit code where it cannot be printed; why, is told then.
pub fn print(global: &Global, text: &str) -> Result<(), ExitCode> {
    printed(global, |output| output.line(text.trim_end_matches('\n')))
}

/// As [`print()`], one object for programs.
///
/// # Errors
/// As [`print()`].
pub fn print_object(global: &Global, object: &impl serde::Serialize) -> Result<(), ExitCode> {
    printed(global, |output| output.object(object))
}

fn printed(global: &Global, print: impl FnOnce(&mut Output) -> Result<(), Error>) -> Result<(), ExitCode> {
    let mut output = Output::standard(global);
    match print(&mut output).and_then(|()| output.flush()) {
        Err(error) if !has_enough(&error) => Err(complain(global, &error)),
        _ => Ok(()),
    }
}

/// Whether whoever read our output has enough of it, as `head` does: that is no fault.
fn has_enough(error: &Error) -> bool {
    matches!(error, Error::Terminal(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn finish(global: &Global, ended: Result<commands::End, Error>, mut output: Output) -> ExitCode {
    match ended.and_then(|end| output.flush().map(|()| end)) {
        Ok(commands::End::Good) => ExitCode::SUCCESS,
        Ok(commands::End::Bad) => ExitCode::from(1),
        Err(error) if has_enough(&error) => ExitCode::SUCCESS,
        Err(error) => complain(global, &error),
    }
}
