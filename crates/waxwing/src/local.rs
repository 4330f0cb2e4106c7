//! Commands on the store of a node that does not run: account, store check, compact and export.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cli::{Command, Global, Invocation, StoreCommand};
use daemon::{Config, DamagedStore, LocalOperator};
use serde_json::json;

/// Does the command, with the store opened in this process.
pub(crate) async fn run(invocation: &Invocation) -> ExitCode {
    let Some(path) = config_of(&invocation.command) else {
        return crate::fail(&"name the configuration with --config");
    };
    let done = match &invocation.command {
        // The export opens the store itself, and only one may have it open.
        Command::Store(StoreCommand::Export { dir, .. }) => {
            Config::read(&path).map(|config| export(&config, dir, &invocation.global))
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
fn export(config: &Config, dir: &Path, global: &Global) -> ExitCode {
    let summary = match daemon::export(config, dir) {
        Ok(summary) => summary,
        Err(error) => return crate::fail(&error),
    };
    let printed = if global.json {
        let object = json!({ "messages": summary.messages, "accounts": summary.accounts, "dir": dir,
                             "skipped": summary.skipped });
        cli::print_object(global, &object)
    } else {
        let (messages, accounts) = (summary.messages, summary.accounts);
        let text = format!("{messages} messages and {accounts} accounts written to {}", dir.display());
        cli::print(global, &text)
    };
    if let Err(code) = printed {
        return code;
    }
    for skipped in &summary.skipped {
        crate::say(&format!("left out: {skipped}"));
    }
    if summary.skipped.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
