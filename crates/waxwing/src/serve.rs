//! `waxwing serve`: a node, by its configuration.

use std::process::ExitCode;
use std::sync::Arc;

use cli::{Global, ServeArgs};
use daemon::{Config, Error, Running};
use serde_json::json;

use crate::show::Printer;

/// Runs it until a signal or an operator ends it.
pub(crate) async fn run(args: &ServeArgs, global: &Global) -> ExitCode {
    served(args, global).await.map_or_else(|error| crate::fail_to_start(&error), |()| ExitCode::SUCCESS)
}

async fn served(args: &ServeArgs, global: &Global) -> Result<(), Error> {
    let config = Config::read(&args.config)?;
    let printer = Printer::for_service(global);
    let observer = Arc::new(printer.clone());
    let served = daemon::serve(&config, observer, |running| tell(&printer, &config, running)).await;
    printer.finish();
    served
}

/// What has started, and what is where.
fn tell(printer: &Printer, config: &Config, running: &Running) {
    let version = env!("CARGO_PKG_VERSION");
    let domains: Vec<_> = config.domains.iter().map(|domain| domain.name.as_str()).collect();
    printer.line(
        "started",
        &format!("waxwing {version} for {}, data in {}", domains.join(", "), config.data().display()),
        json!({ "version": version, "domains": domains, "data": config.data() }),
    );
    for listener in running.listeners() {
        printer.line(
            "listens",
            &format!("{}  {}", listener.address, listener.service),
            json!({ "at": listener.address, "service": listener.service }),
        );
    }
}
