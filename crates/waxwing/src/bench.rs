//! `waxwing bench` as another node: the identity comes from that node's configuration.

use std::path::Path;
use std::process::ExitCode;

use cli::{BenchCommand, Invocation, PeerIdentity};
use daemon::{Config, Error};

/// Loads a node as the node of a configuration, which need not run.
pub(crate) async fn run(invocation: &Invocation, command: &BenchCommand) -> ExitCode {
    let peer = match command {
        BenchCommand::Exchange(arguments) => &arguments.peer,
        BenchCommand::Poll(arguments) => &arguments.peer,
        BenchCommand::Submit(_) => return crate::fail(&"a user's load needs no configuration"),
    };
    match identity(&peer.config) {
        Ok(identity) => cli::bench(invocation, identity).await,
        Err(error) => crate::fail_to_start(&error),
    }
}

fn identity(path: &Path) -> Result<PeerIdentity, Error> {
    let config = Config::read(path)?;
    let (settings, host, pins) = (config.settings()?, config.host_key()?, config.pins()?);
    let own = settings
        .domains
        .get(&settings.domain)
        .ok_or_else(|| Error::Other("a node serves its own domain".to_owned()))?;
    let (selector, key) = (own.selector.clone(), own.key.clone());
    Ok(PeerIdentity { domain: settings.domain, selector, key, host, pins })
}
