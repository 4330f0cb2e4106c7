//! Events as lines for people, or one JSON object each.

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use message::{Disposition, Selection};
use node::{Event, Observer};
use serde_json::{Value, json};

use crate::json_line::{Details, JsonLine};
use crate::lines::Lines;

/// Prints what happens at one node, or at the user's program.
#[derive(Clone)]
pub(crate) struct Printer {
    who: String,
    look: Look,
    since: Instant,
    /// Where lines go that nobody may wait for; else they are written at once.
    lines: Option<Arc<Lines>>,
}

/// How lines look: for people, on a terminal with colours or without, or for programs.
#[derive(Clone, Copy)]
pub(crate) enum Look {
    Plain,
    Coloured,
    Json,
}

impl Look {
    /// As asked for on the command line.
    pub(crate) fn of(global: &cli::Global) -> Look {
        match (global.json, cli::colours_output(global)) {
            (true, _) => Look::Json,
            (false, true) => Look::Coloured,
            (false, false) => Look::Plain,
        }
    }
}

impl Printer {
    /// For a node of the quickstart, or for the steps of its user.
    pub(crate) fn new(who: &str, look: Look, since: Instant) -> Printer {
        Printer { who: who.to_owned(), look, since, lines: None }
    }

    /// For `waxwing serve` and `waxwing doorstep`: whoever reads this does not hold up mail.
    #[expect(clippy::disallowed_methods, reason = "shown to people only")]
    pub(crate) fn for_service(global: &cli::Global) -> Printer {
        let mut printer = Printer::new("", Look::of(global), Instant::now());
        let own = printer.clone();
        let said = move |count| {
            let words = format!("{count} lines were left out here");
            own.step("trouble", &words, &json!({ "left_out": count }))
        };
        printer.lines = Some(Arc::new(Lines::to(std::io::stdout(), said)));
        printer
    }

    /// Waits a moment for the last lines to be written.
    pub(crate) fn finish(&self) {
        if let Some(lines) = &self.lines {
            lines.finish();
        }
    }

    /// One step, in words and for scripts.
    pub(crate) fn line(&self, event: &str, words: &str, details: Value) {
        self.print(&self.step(event, words, &details));
    }

    fn step(&self, event: &str, words: &str, details: &Value) -> String {
        match self.look {
            Look::Json => self.object(event, Details::Object(details)),
            Look::Plain | Look::Coloured => self.words(event, words),
        }
    }

    fn told(&self, event: &Event) -> String {
        match self.look {
            Look::Json => self.object(&kind(event), Details::Of(event)),
            Look::Plain | Look::Coloured => self.words(&kind(event), &words(event)),
        }
    }

    fn print(&self, line: &str) {
        match &self.lines {
            Some(lines) => lines.push(line),
            // Nobody reads any more where writing fails; the work goes on.
            None => drop(std::io::stdout().lock().write_all(line.as_bytes())),
        }
    }

    fn object(&self, event: &str, details: Details<'_>) -> String {
        JsonLine { ms: self.elapsed().as_millis() as u64, who: &self.who, event, details }.text()
    }

    /// A line with its end. What comes from elsewhere cannot draw on a terminal. keeps: CLI-2
    fn words(&self, event: &str, words: &str) -> String {
        let (dim, bold, end) = match self.look {
            Look::Coloured => ("\x1b[2m", colour(event), "\x1b[0m"),
            Look::Json | Look::Plain => ("", "", ""),
        };
        let (seconds, event, words) = (self.elapsed().as_secs_f64(), cli::clean(event), cli::clean(words));
        format!("{dim}{seconds:>7.3}s  {:<11}{end} {bold}{event:<10}{end} {words}\n", self.who)
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
        self.print(&self.told(event));
    }
}

/// One word for what has happened.
fn kind(event: &Event) -> Cow<'_, str> {
    match event {
        Event::Offered { .. } => "offered".into(),
        Event::Asked { .. } => "asked for".into(),
        Event::SealChecked { verified: true, .. } => "verified".into(),
        Event::SealChecked { verified: false, .. } => "unverified".into(),
        Event::Decided { disposition, .. } | Event::Settled { disposition, .. } => disposition.word().into(),
        Event::Committed { .. } => "committed".into(),
        Event::Delivered { .. } => "delivered".into(),
        Event::Trying { .. } => "trying".into(),
        Event::Step { step, .. } => step.into(),
        Event::Retrying { .. } => "retrying".into(),
        Event::Trouble { .. } => "trouble".into(),
    }
}

/// For people.
fn words(event: &Event) -> String {
    match event {
        Event::Offered { identity, by, octets, recipients } => {
            format!("{} by {by}: {octets} octets for {recipients} recipients", identity.short())
        }
        Event::Asked { identity, selection } => {
            format!("{} of {}", selection_words(selection), identity.short())
        }
        Event::SealChecked { identity, issuer, role, .. } => {
            format!("{role} seal by {issuer} over {}", identity.short())
        }
        Event::Decided { recipient, disposition, rule, evidence, .. } => {
            format!("{recipient}{} (rule {rule}{})", reason(disposition), because(evidence))
        }
        Event::Committed { identity, envelope } => {
            format!("{} as envelope {envelope}: durable from here on", identity.short())
        }
        Event::Delivered { identity, recipient } => {
            format!("{} into the mailbox of {recipient}", identity.short())
        }
        Event::Trying { identity, domain, .. } => format!("{} to {domain}", identity.short()),
        Event::Step { detail, .. } => detail.clone(),
        Event::Settled { recipient, disposition, .. } => format!("{recipient}{}", reason(disposition)),
        Event::Retrying { identity, domain, reason, .. } => {
            format!("{} to {domain}: {reason}", identity.short())
        }
        Event::Trouble { what } => what.clone(),
    }
}

fn because(evidence: &str) -> String {
    if evidence.is_empty() { String::new() } else { format!(": {evidence}") }
}

pub(crate) fn selection_words(selection: &Selection) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a peer draws nothing on the terminal of whoever watches the node. proves: CLI-2, CLI-3
    #[test]
    fn a_peer_draws_nothing() {
        let event = Event::Step {
            identity: message::Identity::from_bytes([7; 32]),
            step: "said".to_owned(),
            detail: "550 \x1b[2Jno\u{202e}\u{9b}\r\nforged line".to_owned(),
        };
        let mut printer = Printer::for_service(&cli::Global::default());
        printer.look = Look::Plain;
        let line = printer.told(&event);
        assert!(
            line.ends_with("said       550 \u{fffd}[2Jno\u{fffd}\u{fffd}\u{fffd}\u{fffd}forged line\n"),
            "{line:?}"
        );
        printer.look = Look::Json;
        let line = printer.told(&event);
        assert_eq!(line.lines().count(), 1);
        assert!(line.contains(r#""detail":"550 \u001b[2Jno\u202e\u009b\r\nforged line""#), "{line}");
    }
}
