//! `waxwing doorstep`: the user's own daemon, by the user's profile.

use std::process::ExitCode;
use std::sync::Arc;

use cli::profile::{self, Profile};
use cli::{DoorstepArgs, Global};
use daemon::{Doorstep, DoorstepNews, DoorstepPlan, NodeLocation, OnNews};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::show::Printer;

/// Runs it until a signal ends it.
pub(crate) async fn run(args: &DoorstepArgs, global: &Global) -> ExitCode {
    let plan = match plan(args, global) {
        Ok(plan) => plan,
        Err(code) => return code,
    };
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => return crate::fail(&error),
    };
    let folder = plan.folder.clone();
    let printer = Printer::for_service(global);
    match Doorstep::start(plan, Arc::new(node::Quiet), news(printer.clone())).await {
        Ok(doorstep) => {
            if let Ok(at) = doorstep.address() {
                let words = format!("at {at}, with its mail in {}", folder.display());
                printer.line("listens", &words, json!({ "at": at.to_string(), "dir": folder }));
            }
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            doorstep.stop().await;
            printer.finish();
            ExitCode::SUCCESS
        }
        Err(error) => crate::fail(&error),
    }
}

/// What the profile and the arguments say.
fn plan(args: &DoorstepArgs, global: &Global) -> Result<DoorstepPlan, ExitCode> {
    let wrong = |error: cli::Error| cli::complain(global, &error);
    let folder = profile::folder(global).map_err(wrong)?;
    let profile = Profile::load(&folder).map_err(wrong)?;
    Ok(DoorstepPlan {
        device: profile::device_key(&folder).map_err(wrong)?,
        folder: args.dir.clone().unwrap_or_else(|| folder.join("doorstep")),
        domain: profile.address.domain().clone(),
        listen: args.listen,
        outside_port: args.outside_port,
        node: NodeLocation {
            host: profile.node.host.clone(),
            port: profile.node.port,
            expectation: cli::client::expectation(&profile.node, &profile.trust).map_err(wrong)?,
        },
        free_octets: args.keep_free,
        maildir: args.maildir,
        resolver: daemon::system_resolver(args.dns).map_err(|error| crate::fail(&error))?,
    })
}

/// Prints the news.
pub(crate) fn news(printer: Printer) -> OnNews {
    Arc::new(move |one| match one {
        DoorstepNews::Registered { at, seconds } => printer.line(
            "registered",
            &format!("the node redirects senders to {at}, asked again before {seconds} s have passed"),
            json!({ "at": at, "seconds": seconds }),
        ),
        DoorstepNews::Unregistered { reason } => printer.line(
            "trouble",
            &format!("the node does not redirect, and takes the mail itself: {reason}"),
            json!({ "reason": reason }),
        ),
        DoorstepNews::Taken(taken) => printer.line(
            "delivered",
            &format!("{} for {} from {}, on this machine", taken.identity.short(), taken.recipient, taken.by),
            json!({ "identity": taken.identity.to_string(), "recipient": taken.recipient.to_string(),
                    "by": taken.by.as_str() }),
        ),
        DoorstepNews::Told(count) => {
            printer.line("told", &format!("the node knows of {count}"), json!({ "count": count }));
        }
    })
}
