//! `waxwing spf`: what a gateway would find, without a node.
//!
//! It stands here and not in the commands of `cli`, which know no gateway: the check is the node's own code.

use std::process::ExitCode;

use cli::{Global, SpfCommand, SpfExplainArgs};
use daemon::{ExplainedSpf, SpfQuestion, SpfSide};

/// Does the command: 1 where SPF fails.
pub(crate) async fn run(command: &SpfCommand, global: &Global) -> ExitCode {
    let SpfCommand::Explain(arguments) = command;
    let question = match question(arguments) {
        Ok(question) => question,
        Err(error) => return crate::fail(&error),
    };
    match daemon::explain_spf(&question).await {
        Ok(explained) => {
            let failed = explained.fails();
            let printed = match global.json {
                true => cli::print_object(global, &explained),
                false => {
                    let lines: Vec<_> =
                        lines(&question, &explained).iter().map(|line| cli::clean(line)).collect();
                    cli::print(global, &lines.join("\n"))
                }
            };
            if let Err(code) = printed {
                return code;
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

fn lines(question: &SpfQuestion, explained: &ExplainedSpf) -> Vec<String> {
    let mut lines = vec![format!("EHLO {} from {}", question.helo, question.address)];
    lines.extend(side_lines(&explained.helo));
    if let (Some(from), Some(side)) = (&question.from, &explained.mail_from) {
        lines.push(format!("MAIL FROM {from}"));
        lines.extend(side_lines(side));
    }
    if !explained.steps.is_empty() {
        lines.push("Properties".to_owned());
        lines.extend(explained.steps.iter().map(|step| format!("  {step}")));
    }
    let of = |side: &SpfSide| match side.spf == side.verdict {
        true => side.verdict.to_owned(),
        false => format!("{} (SPF alone: {})", side.verdict, side.spf),
    };
    let mail_from =
        explained.mail_from.as_ref().map_or(String::new(), |side| format!(", MAIL FROM {}", of(side)));
    let whole = if explained.whole_address { ", for the whole address" } else { "" };
    lines.push(format!("Result: EHLO {}{mail_from}{whole}", of(&explained.helo)));
    lines
}

fn side_lines(side: &SpfSide) -> Vec<String> {
    let steps = side.steps.iter().map(|step| format!("  {step}"));
    let explanation = side.explanation.iter().map(|text| format!("  {} explains: {text}", side.domain));
    steps.chain(explanation).collect()
}
