//! `lmtp`: what a mailbox server has not taken.

use control::{HandoverOrder, HandoverView, Request};

use crate::args::LmtpCommand;
use crate::output::{BAD, FAINT, STRONG, WAITING, clean, paint, time};

/// What is asked of the node.
pub(super) fn lmtp_request(command: &LmtpCommand) -> Request {
    let limit = control::limits::LIST_MAX as u32;
    let order = match command.clone() {
        LmtpCommand::List { after } => HandoverOrder::List { after, limit },
        LmtpCommand::Retry(name) => HandoverOrder::Retry { account: name.account, number: name.number },
        LmtpCommand::Forget(name) => HandoverOrder::Forget { account: name.account, number: name.number },
    };
    Request::Handover { order }
}

/// One message.
pub(super) fn handover_lines(one: &HandoverView) -> Vec<String> {
    let (style, when) = match one.state.as_str() {
        "waiting" => (WAITING, "next"),
        _ => (BAD, "ended"),
    };
    vec![
        format!(
            "{} {}  {}  {}",
            paint(STRONG, &clean(&one.account)),
            one.number,
            paint(style, &clean(&one.state)),
            clean(one.identity.get(..12).unwrap_or(&one.identity))
        ),
        format!("  {} ({})", clean(&one.text), clean(&one.code)),
        paint(
            FAINT,
            &format!(
                "  since {}, asked {} times, {when} {}",
                time(one.since_ms),
                one.tries,
                time(one.next_ms)
            ),
        ),
    ]
}
