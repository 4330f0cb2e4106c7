//! `waxwing spf`: what a gateway would find, without a node.
//!
//! It stands here and not in the commands of `cli`, which know no gateway: the check is the node's own code.

use std::process::ExitCode;

use cli::{SpfCommand, SpfExplainArgs};
use daemon::{ExplainedSpf, SpfQuestion, SpfSide};

/// Does the command: 1 where SPF fails.
pub(crate) async fn run(command: &SpfCommand, json: bool) -> ExitCode {
    let SpfCommand::Explain(arguments) = command;
    let question = match question(arguments) {
        Ok(question) => question,
        Err(error) => return crate::fail(&error),
    };
    match daemon::explain_spf(&question).await {
        Ok(explained) => {
            let failed = explained.fails();
            if json {
                match serde_json::to_string(&explained) {
                    Ok(object) => println!("{object}"),
                    Err(error) => return crate::fail(&error),
                }
            } else {
                show(&question, &explained);
            }
            if failed { ExitCode::from(1) } else { ExitCode::SUCCESS }
        }
        Err(error) => crate::fail(&error),
    }
}

fn question(arguments: &SpfExplainArgs) -> Result<SpfQuestion, String> {
    let message = match &arguments.message {
        Some(path) => std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?,
        None => Vec::new(),
    };
    Ok(SpfQuestion {
        address: arguments.ip,
        helo: arguments.helo.clone(),
        from: arguments.from.clone(),
        message,
        arranged: arguments.arranged,
        dns: arguments.dns,
    })
}

fn show(question: &SpfQuestion, explained: &ExplainedSpf) {
    println!("EHLO {} from {}", question.helo, question.address);
    show_side(&explained.helo);
    if let (Some(from), Some(side)) = (&question.from, &explained.mail_from) {
        println!("MAIL FROM {from}");
        show_side(side);
    }
    if !explained.steps.is_empty() {
        println!("Properties");
        explained.steps.iter().for_each(|step| println!("  {step}"));
    }
    let of = |side: &SpfSide| match side.spf == side.verdict {
        true => side.verdict.to_owned(),
        false => format!("{} (SPF alone: {})", side.verdict, side.spf),
    };
    let mail_from =
        explained.mail_from.as_ref().map_or(String::new(), |side| format!(", MAIL FROM {}", of(side)));
    let whole = if explained.whole_address { ", for the whole address" } else { "" };
    println!("Result: EHLO {}{mail_from}{whole}", of(&explained.helo));
}

fn show_side(side: &SpfSide) {
    side.steps.iter().for_each(|step| println!("  {step}"));
    if let Some(explanation) = &side.explanation {
        println!("  {} explains: {explanation}", side.domain);
    }
}
