//! `forward`: what leads where, and who forwards to us.

use control::{ChainHopView, ForwardOrder, ForwardView, GrantView, Request};

use crate::args::ForwardCommand;
use crate::output::{BAD, FAINT, GOOD, WAITING, clean, paint, time};

/// What is asked of the node.
pub(super) fn forward_request(command: &ForwardCommand) -> Request {
    let limit = control::limits::LIST_MAX as u32;
    let order = match command.clone() {
        ForwardCommand::Add { alias, target, conceal, rewrite, keep_sender, granted } => {
            ForwardOrder::Add { alias, target, conceal, rewrite, granted, keep_sender }
        }
        ForwardCommand::List => ForwardOrder::List { after: None, limit },
        ForwardCommand::Ask { alias, target } => ForwardOrder::Ask { alias, target },
        ForwardCommand::Remove { alias, target, forget } => ForwardOrder::Remove { alias, target, forget },
        ForwardCommand::Grants { account } => ForwardOrder::Grants { account, after: None, limit },
        ForwardCommand::Grant { recipient, forwarder } => {
            ForwardOrder::Decide { account: None, recipient, forwarder, granted: true }
        }
        ForwardCommand::Revoke { recipient, forwarder, forget: false } => {
            ForwardOrder::Decide { account: None, recipient, forwarder, granted: false }
        }
        ForwardCommand::Revoke { recipient, forwarder, forget: true } => {
            ForwardOrder::Forget { account: None, recipient, forwarder }
        }
        ForwardCommand::Walk { recipient, forwarder } => {
            ForwardOrder::Walk { account: None, recipient, forwarder }
        }
    };
    Request::Forward { order }
}

fn state(word: &str) -> String {
    let style = match word {
        "granted" => GOOD,
        "deleted" | "refused" => BAD,
        _ => WAITING,
    };
    paint(style, &clean(word))
}

/// One alias and where it leads.
pub(super) fn forward_lines(one: &ForwardView) -> Vec<String> {
    let mut lines = vec![format!(
        "{} {} -> {} since {}",
        state(&one.state),
        clean(&one.alias),
        clean(&one.target),
        time(one.since_ms)
    )];
    if one.keep_sender {
        lines.push("  over SMTP under the sender that it came with".to_owned());
    }
    if !one.note.is_empty() {
        lines.push(format!("  {}", clean(&one.note)));
    }
    if one.complaints > 0 {
        lines.push(format!("  {} reports of abuse", one.complaints));
    }
    lines.push(format!("  {}", paint(FAINT, &format!("for the final recipient: {}", clean(&one.page)))));
    lines
}

/// One forwarder.
pub(super) fn grant_lines(one: &GrantView) -> Vec<String> {
    let alias = one.alias.as_ref().map_or_else(String::new, |alias| format!(" from {}", clean(alias)));
    let mut lines = vec![format!(
        "{} {} -> {}{alias} since {} by {}",
        state(&one.state),
        clean(&one.forwarder),
        clean(&one.recipient),
        time(one.since_ms),
        clean(&one.by)
    )];
    if let Some(page) = &one.page {
        lines.push(format!("  {}", paint(FAINT, &clean(page))));
    }
    lines
}

/// One forwarder of a chain.
pub(super) fn hop_lines(hop: &ChainHopView) -> Vec<String> {
    let (alias, target) = (hop.alias.as_deref().unwrap_or("?"), hop.target.as_deref().unwrap_or("?"));
    let stands = match (&hop.state, &hop.trouble) {
        (Some(word), _) => state(word),
        (None, trouble) => paint(BAD, &clean(trouble.as_deref().unwrap_or("unknown"))),
    };
    vec![
        format!("{} -> {} {stands}", clean(alias), clean(target)),
        format!("  {}", paint(FAINT, &clean(&hop.page))),
    ]
}
