//! Held mail as it is printed, whoever has answered: the node of a user or that of an operator.

use control::{HeldDetailView, HeldState, HeldView};
use message::keys::AuthorKey;

use crate::output::{BAD, FAINT, GOOD, STRONG, WAITING, clean, clean_lines, paint, size, time};

/// One held message in a list.
pub(in crate::commands) fn held_lines(held: &HeldView) -> Vec<String> {
    let state = match held.state {
        HeldState::Undecided => paint(WAITING, "held"),
        HeldState::Fetching => paint(GOOD, "accepted, the rest is to come"),
        HeldState::Later => paint(FAINT, "waits for its time"),
    };
    let from = held.from.as_deref().unwrap_or("(not fetched)");
    let subject = held.subject.as_deref().unwrap_or("(no subject here)");
    let mut lines = vec![
        format!("{}  {state}  for {}", paint(STRONG, short(&held.identity)), clean(&held.recipient)),
        format!("  from     {}  by {}", clean(from), clean(&held.origin)),
        format!("  subject  {}", clean(subject)),
        format!("  why      {}", clean(&held.reason)),
        format!(
            "  octets   {} of {} are here, {} not fetched",
            size(held.octets_here),
            size(held.octets),
            paint(GOOD, &size(held.octets_missing))
        ),
    ];
    for seal in &held.seals {
        // keeps: KEY-21
        if let (Some(found), Some(said)) = (&seal.author_key, &seal.said) {
            let warning = AuthorKey::from_word(found).is_none_or(AuthorKey::is_warning);
            lines.push(match warning {
                true => format!("  {}", paint(BAD, &format!("Warning: {}", clean(said)))),
                false => format!("  seal     {}", clean(said)),
            });
            continue;
        }
        let found = if seal.verified { paint(GOOD, "verified") } else { paint(WAITING, "not verified") };
        lines.push(format!("  seal     {} as {}: {found}", clean(&seal.issuer), clean(&seal.role)));
    }
    lines.push(format!("  since    {}, until {}", time(held.since_ms), time(held.until_ms)));
    lines
}

/// One held message with what can be shown of it.
pub(in crate::commands) fn detail_lines(detail: &HeldDetailView) -> Vec<String> {
    let mut lines = held_lines(&detail.held);
    let style = if detail.sealed { GOOD } else { BAD };
    lines.push(format!("  checked  {}", paint(style, &clean(&detail.checked))));
    lines.push(String::new());
    for (name, value) in &detail.headers {
        lines.push(format!("{}: {}", clean(name), clean(value)));
    }
    lines.push(String::new());
    match &detail.text {
        Some(text) => lines.push(clean_lines(text)),
        None => lines.push(paint(FAINT, "(no text part is here)")),
    }
    if detail.text_is_cut {
        lines.push(paint(FAINT, "(the text goes on)"));
    }
    lines.push(String::new());
    for part in &detail.parts {
        let here = if part.here { "here" } else { "not fetched" };
        lines.push(format!(
            "{}{}  {}  {}  {}{}",
            "  ".repeat(part.level + 1),
            part.number,
            clean(part.media_type.as_deref().unwrap_or("?")),
            size(part.octets),
            here,
            part.name.as_deref().map_or_else(String::new, |name| format!("  {}", clean(name)))
        ));
    }
    lines.push(paint(FAINT, "What is not fetched comes when you accept it. This is a part of the message."));
    lines
}

/// What a decision has come to.
pub(in crate::commands) fn decided_line(disposition: &str, octets_missing: u64) -> String {
    match disposition {
        "pending" => {
            format!("{}  {} are to come", paint(GOOD, "accepted"), paint(WAITING, &size(octets_missing)))
        }
        "accepted" => paint(GOOD, "accepted: it is in the mailbox"),
        other => paint(STRONG, &clean(other)),
    }
}

/// What a decision has done beside the mail itself.
pub(in crate::commands) fn author_line(trusted: bool, blocked: bool) -> Option<&'static str> {
    match (trusted, blocked) {
        (true, _) => Some("Its author is trusted from now on."),
        (_, true) => Some("Its author is blocked: what comes from there is refused from now on."),
        _ => None,
    }
}

fn short(identity: &str) -> &str {
    identity.get(..12).unwrap_or(identity)
}
