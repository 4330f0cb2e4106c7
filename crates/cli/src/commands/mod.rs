//! The commands: each reads its arguments, does its work through [`crate::client`] or the control socket, and prints.

mod bench;
mod device;
mod enrol;
mod files;
mod forward;
mod generate;
mod held;
mod key;
mod lmtp;
mod lookalike;
mod mail;
mod message;
mod operator;
mod password;
mod policy;
mod send;
mod sign;
mod status;
mod view;

use std::path::Path;

use control::Operator;

pub use bench::PeerIdentity;
pub use password::read_password;

pub(crate) use bench::as_peer as bench_as_peer;

use crate::client::Session;
use crate::output::Output;
use crate::profile::{self, Profile};
use crate::{BenchCommand, Command, Error, Global, Hooks, Invocation};

/// What a command ends with where nothing went wrong with the command itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All is well.
    Good,
    /// The answer is there, and it is a bad one: refused, damaged, not verified.
    Bad,
}

/// Does a command that needs no code of the node.
pub(crate) async fn perform(
    invocation: &Invocation,
    hooks: &Hooks,
    output: &mut Output,
) -> Result<End, Error> {
    let global = &invocation.global;
    match &invocation.command {
        Command::Enrol(arguments) => enrol::enrol(global, arguments, output).await,
        Command::Send(arguments) => send::send(global, arguments, output).await,
        Command::Sign(arguments) => sign::sign(global, arguments, output).await,
        Command::Device(command) => device::device(global, command, output).await,
        Command::Key(command) => key::key(global, command, output).await,
        Command::Held(arguments) if !arguments.operator => {
            held::held(global, &arguments.command, output).await
        }
        Command::Status(arguments) => status::status(global, arguments, output).await,
        Command::GiveUp(arguments) => status::give_up(global, arguments, output).await,
        Command::Mail(command) => mail::mail(global, command, output).await,
        Command::Message(command) => message::message(command, hooks, output).await,
        Command::Bench(BenchCommand::Submit(arguments)) => bench::submit(global, arguments, output).await,
        Command::Completions { shell } => generate::completions(*shell, output),
        Command::Man { dir } => generate::manual(dir),
        command if command.needs_daemon() => {
            Err(Error::usage("this program was built without the node: that command is not in it"))
        }
        command => operator::over_socket(global, command, output).await,
    }
}

/// Does an operator's command with an operator in this process.
pub(crate) async fn operate(
    invocation: &Invocation,
    operator: &dyn Operator,
    output: &mut Output,
) -> Result<End, Error> {
    operator::directly(&invocation.command, operator, output).await
}

/// The user's profile, and a conversation with their node.
async fn open_session(global: &Global) -> Result<(Profile, Session), Error> {
    open_session_at(global, None).await
}

/// The same with the doorstep of a folder in place of the node.
async fn open_session_at(global: &Global, doorstep: Option<&Path>) -> Result<(Profile, Session), Error> {
    let folder = profile::folder(global)?;
    let mut profile = Profile::load(&folder)?;
    let device = profile::device_key(&folder)?;
    if let Some(doorstep) = doorstep {
        (profile.node, profile.trust) = profile::doorstep_in(doorstep)?;
    }
    let session = Session::connect(&profile.node, &profile.trust, &device).await?;
    Ok((profile, session))
}
