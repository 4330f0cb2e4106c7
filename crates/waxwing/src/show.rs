//! Events as lines for people, or one JSON object each.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use message::{Disposition, Selection};
use node::{Event, Observer};
use serde_json::{Value, json};

/// Prints what happens at one node, or at the user's program.
#[derive(Clone)]
pub(crate) struct Printer {
    who: String,
    json: bool,
    colour: bool,
    since: Instant,
}

impl Printer {
    /// For a node of the quickstart, or for the steps of its user.
    pub(crate) fn new(who: &str, json: bool, since: Instant) -> Printer {
        Printer { who: who.to_owned(), json, colour: std::io::stdout().is_terminal(), since }
    }

    /// For `waxwing serve`.
    #[expect(clippy::disallowed_methods, reason = "shown to people only")]
    pub(crate) fn for_service(json: bool) -> Printer {
        Printer::new("", json, Instant::now())
    }

    /// One step, in words and for scripts.
    pub(crate) fn line(&self, event: &str, words: &str, details: Value) {
        let elapsed = self.elapsed();
        let mut out = std::io::stdout().lock();
        // Nobody reads any more where writing fails; the work goes on.
        let _ = if self.json {
            let mut object = json!({ "ms": elapsed.as_millis() as u64, "who": self.who, "event": event });
            if let (Some(object), Value::Object(details)) = (object.as_object_mut(), details) {
                object.extend(details);
            }
            writeln!(out, "{object}")
        } else {
            let (dim, bold, end) =
                if self.colour { ("\x1b[2m", colour(event), "\x1b[0m") } else { ("", "", "") };
            let seconds = elapsed.as_secs_f64();
            writeln!(out, "{dim}{seconds:>7.3}s  {:<11}{end} {bold}{event:<10}{end} {words}", self.who)
        };
    }

    #[expect(clippy::disallowed_methods, reason = "shown to people only")]
    fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(self.since)
    }
}

fn colour(event: &str) -> &'static str {
    match event {
        "delivered" | "accepted" | "verified" | "checked" => "\x1b[32m",
        "refused" | "trouble" | "expired" => "\x1b[31m",
        "pending" | "retrying" | "held" => "\x1b[33m",
        _ => "\x1b[1m",
    }
}

impl Observer for Printer {
    fn event(&self, event: &Event) {
        match event {
            Event::Offered { identity, by, octets, recipients } => self.line(
                "offered",
                &format!("{} by {by}: {octets} octets for {recipients} recipients", identity.short()),
                json!({ "identity": identity.to_string(), "by": by, "octets": octets, "recipients": recipients }),
            ),
            Event::Asked { identity, selection } => self.line(
                "asked for",
                &format!("{} of {}", selection_words(selection), identity.short()),
                json!({ "identity": identity.to_string(), "selection": selection_words(selection) }),
            ),
            Event::SealChecked { identity, issuer, role, verified } => self.line(
                if *verified { "verified" } else { "unverified" },
                &format!("{role} seal by {issuer} over {}", identity.short()),
                json!({ "identity": identity.to_string(), "issuer": issuer, "role": role, "verified": verified }),
            ),
            Event::Decided { identity, recipient, disposition, rule, evidence } => self.line(
                disposition.word(),
                &format!("{recipient}{} (rule {rule}{})", reason(disposition), because(evidence)),
                json!({ "identity": identity.to_string(), "recipient": recipient.to_string(),
                        "disposition": disposition.word(), "code": code(disposition), "rule": rule, "evidence": evidence }),
            ),
            Event::Committed { identity, envelope } => self.line(
                "committed",
                &format!("{} as envelope {envelope}: durable from here on", identity.short()),
                json!({ "identity": identity.to_string(), "envelope": envelope }),
            ),
            Event::Delivered { identity, recipient } => self.line(
                "delivered",
                &format!("{} into the mailbox of {recipient}", identity.short()),
                json!({ "identity": identity.to_string(), "recipient": recipient.to_string() }),
            ),
            Event::Trying { identity, domain } => self.line(
                "trying",
                &format!("{} to {domain}", identity.short()),
                json!({ "identity": identity.to_string(), "domain": domain.to_string() }),
            ),
            Event::Step { identity, step, detail } => self.line(
                step,
                detail,
                json!({ "identity": identity.to_string(), "detail": detail }),
            ),
            Event::Settled { identity, recipient, disposition } => self.line(
                disposition.word(),
                &format!("{recipient}{}", reason(disposition)),
                json!({ "identity": identity.to_string(), "recipient": recipient.to_string(),
                        "disposition": disposition.word(), "code": code(disposition), "settled": true }),
            ),
            Event::Retrying { identity, domain, reason, at_ms } => self.line(
                "retrying",
                &format!("{} to {domain}: {reason}", identity.short()),
                json!({ "identity": identity.to_string(), "domain": domain.to_string(), "reason": reason, "at_ms": at_ms }),
            ),
            Event::Trouble { what } => self.line("trouble", what, json!({ "what": what })),
        }
    }
}

fn because(evidence: &str) -> String {
    if evidence.is_empty() { String::new() } else { format!(": {evidence}") }
}

fn selection_words(selection: &Selection) -> String {
    match selection {
        Selection::All => "everything".to_owned(),
        Selection::Headers => "the headers".to_owned(),
        Selection::Digest => "the identity".to_owned(),
        Selection::Signers => "the seals".to_owned(),
        Selection::Text => "headers and text".to_owned(),
        Selection::Parts(parts) => {
            let numbers: Vec<String> = parts
                .iter()
                .map(
                    |(part, from)| {
                        if *from == 0 { part.to_string() } else { format!("{part} from octet {from}") }
                    },
                )
                .collect();
            format!("parts {}", numbers.join(", "))
        }
        Selection::Range { part, offset, octets } => format!("{octets} octets of part {part} from {offset}"),
    }
}

pub(crate) fn reason(disposition: &Disposition) -> String {
    match disposition {
        Disposition::Refused { code, text } => format!(": {text} ({code})"),
        Disposition::Deferred { code, after_seconds } => format!(": again after {after_seconds} s ({code})"),
        Disposition::Pending { .. } => ": the answer comes later, by status cookie".to_owned(),
        _ => String::new(),
    }
}

pub(crate) fn code(disposition: &Disposition) -> Option<String> {
    match disposition {
        Disposition::Refused { code, .. } | Disposition::Deferred { code, .. } => Some(code.to_string()),
        _ => None,
    }
}
