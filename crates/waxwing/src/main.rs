//! The one binary: `waxwing` is the node, the user's program and the operator's commands.

mod bench;
mod config;
mod doorstep;
mod json_line;
mod keys;
mod lines;
mod local;
mod log;
mod old_world;
mod quickstart;
mod serve;
mod show;
mod spf;
mod stranger;

use std::io::Write;
use std::process::ExitCode;

use cli::{Command, Hooks, Invocation};

/// Sixteen to thirty-five in a hundred more messages accepted than with the allocator of glibc, and as little resident
/// when idle (bench/RESULTS.md).
#[cfg(all(unix, target_pointer_width = "64"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let invocation = cli::parse();
    log::to_standard_error(cli::colours_errors(&invocation.global));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let code = runtime.block_on(run(invocation));
    // What blocks in the background (a prompt, a long check) must not keep the program from ending.
    runtime.shutdown_background();
    code
}

async fn run(invocation: Invocation) -> ExitCode {
    if !invocation.command.needs_daemon() {
        return cli::run(invocation, &Hooks { domain_keys: Some(Box::new(keys::DnsKeys)) }).await;
    }
    match &invocation.command {
        Command::Quickstart(args) => quickstart::run(args, &invocation.global).await,
        Command::Serve(args) => serve::run(args, &invocation.global).await,
        Command::Doorstep(args) => doorstep::run(args, &invocation.global).await,
        Command::Config(command) => config::run(command, &invocation.global),
        Command::Spf(command) => spf::run(command, &invocation.global).await,
        Command::Bench(command) => bench::run(&invocation, command).await,
        _ => local::run(&invocation).await,
    }
}

/// A configuration that is not right is a mistake of its author (2), all else a fault of this machine (5).
fn fail_to_start(error: &daemon::Error) -> ExitCode {
    let code = fail(error);
    if matches!(error, daemon::Error::Config { .. }) { ExitCode::from(2) } else { code }
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    say(error);
    ExitCode::from(5)
}

/// A line on standard error. Where that is closed there is nobody to tell.
fn say(what: &dyn std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "waxwing: {what}");
}
