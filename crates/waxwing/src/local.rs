//! Commands on the store of a node that does not run: account, store check, compact and export.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cli::{Command, Invocation, StoreCommand};
use daemon::{Config, DamagedStore, LocalOperator};

/// Does the command, with the store opened in this process.
pub(crate) async fn run(invocation: &Invocation) -> ExitCode {
    let Some(path) = config_of(&invocation.command) else {
        return crate::fail(&"name the configuration with --config");
    };
    let done = match &invocation.command {
        // The export opens the store itself, and only one may have it open.
        Command::Store(StoreCommand::Export { dir, .. }) => {
            Config::read(&path).map(|config| export(&config, dir))
        }
        _ => match Config::read(&path) {
            Ok(config) => match LocalOperator::open(&config) {
                Ok(operator) => Ok(cli::operate(invocation, &operator).await),
                Err(error) => match DamagedStore::after(error, &config) {
                    Ok(operator) => Ok(cli::operate(invocation, &operator).await),
                    Err(error) => Err(error),
                },
            },
            Err(error) => Err(error),
        },
    };
    done.unwrap_or_else(|error| crate::fail(&error))
}

fn config_of(command: &Command) -> Option<PathBuf> {
    let path = match command {
        Command::Account(command) => command.config(),
        Command::Store(StoreCommand::Check { node } | StoreCommand::Compact { node }) => {
            node.config.as_deref()
        }
        Command::Store(StoreCommand::Export { config, .. }) => Some(config.as_path()),
        _ => None,
    };
    path.map(Path::to_owned)
}

/// Writes everything that can be read into a folder, and says what cannot.
fn export(config: &Config, dir: &Path) -> ExitCode {
    match daemon::export(config, dir) {
        Ok(summary) => {
            println!(
                "{} messages and {} accounts written to {}",
                summary.messages,
                summary.accounts,
                dir.display()
            );
            for skipped in &summary.skipped {
                eprintln!("waxwing: left out: {skipped}");
            }
            if summary.skipped.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => crate::fail(&error),
    }
}
