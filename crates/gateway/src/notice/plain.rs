//! Notices in words: of Exim, qmail, Postfix, Exchange and their like, as far as their words are alike.
//!
//! All of them name the addresses on lines of their own, or say them in angle brackets, before the message that comes
//! back, and say why beside or below.

use mail_parser::{Message, PartType};
use message::Code;

use super::limits::{LINES_ABOUT_ONE_MAX, LINES_MAX, RECIPIENTS_MAX};
use super::read::{About, Action, cut};
use super::status;

/// Words in the first lines that only a notice has. All are in lower case.
const FAILURES: [&str; 43] = [
    "could not be delivered",
    "couldn't be delivered",
    "can not be delivered",
    "cannot be delivered",
    "could not deliver",
    "couldn't deliver",
    "unable to deliver",
    "wasn't able to deliver",
    "was not able to deliver",
    "not been delivered",
    "was not delivered",
    "were not delivered",
    "wasn't delivered",
    "not delivered",
    "not reach the following",
    "did not reach",
    "undeliverable",
    "undelivered",
    "undeliver",
    "delivery failed",
    "delivery failure",
    "delivery error",
    "delivery to the following",
    "delivery status notification",
    "failed to deliver",
    "failure notice",
    "failed permanently",
    "permanent error",
    "permanent fatal error",
    "returned mail",
    "mail delivery",
    "returned to sender",
    "transcript of session",
    "not accept",
    "rejected",
    "user unknown",
    "unknown user",
    "mailbox exceeds",
    "mail could not be",
    "may not exist",
    "this message was not",
    "mail failed",
    "returning to sender",
];

/// How the line begins behind which the message that came back stands. All are in lower case.
const RETURNED: [&str; 28] = [
    "return-path:",
    "received:",
    "------ this is a copy",
    "--- below this line is a copy",
    "--- below the next line is a copy",
    "----- original message",
    "-----original message",
    "------original message",
    "-------original message",
    "--- original message",
    "---original message",
    "original message follows",
    "----- unsent message",
    "----- message body",
    "----- message header",
    "------ message header",
    "---- original mail",
    "----- returned message",
    "--- returned message",
    "---- unsent",
    "--- the header",
    "--- attached is a copy",
    "--- enclosed is a copy",
    "your message headers",
    "the original message headers",
    "message headers follow",
    "original message headers",
    "----original",
];

/// The recipients that a notice in words names, and what it says of each.
pub(super) fn recipients(message: &Message<'_>, octets: &[u8]) -> Vec<About> {
    let subject = message.subject().unwrap_or_default();
    let lines = said(message);
    let all = lines.join("\n");
    let listed = failed_recipients(octets);
    let lower = format!("{subject}\n{all}").to_lowercase();
    if listed.is_empty() && !FAILURES.iter().any(|words| lower.contains(words)) {
        return Vec::new();
    }
    let mut found = named(&lines, &listed, &own_addresses(message));
    if found.is_empty() {
        // Somebody who has written to themselves.
        found = named(&lines, &listed, &[]);
    }
    for address in listed {
        if !found.iter().any(|(one, _)| one.eq_ignore_ascii_case(&address)) && found.len() < RECIPIENTS_MAX {
            found.push((address, 0));
        }
    }
    found.sort_by_key(|(_, number)| *number);
    let delay = status::is_delay(&format!("{subject}\n{all}"));
    let starts: Vec<usize> = found.iter().map(|(_, number)| *number).collect();
    found.into_iter().map(|(address, number)| about(address, &lines, number, &starts, delay)).collect()
}

/// The addresses on the lines, each with the number of its line: those on lines of their own, else those in brackets, else
/// any.
fn named(lines: &[String], listed: &[String], ours: &[String]) -> Vec<(String, usize)> {
    let mut found: Vec<(String, usize)> = Vec::new();
    for pass in [own_line as fn(&str) -> Option<String>, in_brackets, anywhere] {
        for (number, line) in lines.iter().enumerate() {
            let Some(address) = pass(line).filter(|one| !ours.contains(&one.to_lowercase())) else {
                continue;
            };
            let known = found.iter().any(|(one, _)| one.eq_ignore_ascii_case(&address));
            let wanted = listed.is_empty() || is_listed(listed, &address);
            if !known && wanted && found.len() < RECIPIENTS_MAX {
                found.push((address, number));
            }
        }
        if !found.is_empty() {
            break;
        }
    }
    found
}

fn is_listed(listed: &[String], address: &str) -> bool {
    listed.iter().any(|one| one.eq_ignore_ascii_case(address))
}

/// What is said of one address: in its lines, or else in all.
fn about(recipient: String, lines: &[String], number: usize, starts: &[usize], delay: bool) -> About {
    let end = starts.iter().copied().find(|start| *start > number).unwrap_or(lines.len());
    let own = lines.get(number..end.min(number + LINES_ABOUT_ONE_MAX)).unwrap_or_default().join(" ");
    let all = lines.join(" ");
    let code = [&own, &all].into_iter().find_map(|text| {
        let without = text.replace(&recipient, " ");
        status::enhanced(&without)
            .or_else(|| status::of_reply(&without))
            .or_else(|| status::of_words(&without))
    });
    let action = if delay { Action::Delayed } else { Action::Failed };
    let code = code.unwrap_or(Code::new(if delay { 4 } else { 5 }, 0, 0));
    let text: Vec<&str> = own.split_whitespace().collect();
    About { recipient, original: None, action, code, diagnostic: cut(&text.join(" ")) }
}

/// The lines of text before the message that came back.
fn said(message: &Message<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for part in &message.parts {
        let text = match &part.body {
            PartType::Text(text) => text.to_string(),
            PartType::Html(html) if lines.is_empty() => mail_parser::decoders::html::html_to_text(html),
            _ => continue,
        };
        for line in text.lines() {
            let start = line.trim_start_matches(['>', '|', ' ', '\t']).to_lowercase();
            if RETURNED.iter().any(|marker| start.starts_with(marker)) || lines.len() >= LINES_MAX {
                return lines;
            }
            lines.push(line.to_owned());
        }
    }
    lines
}

/// `X-Failed-Recipients`, as Exim and others write it.
fn failed_recipients(octets: &[u8]) -> Vec<String> {
    let header = octets.get(..64 * 1024).unwrap_or(octets);
    let text = String::from_utf8_lossy(header);
    let mut lines = text.lines().take_while(|line| !line.is_empty());
    let field = "x-failed-recipients:";
    let Some(first) = lines.find(|line| line.to_ascii_lowercase().starts_with(field)) else {
        return Vec::new();
    };
    let mut value = first.get(field.len()..).unwrap_or_default().to_owned();
    for line in lines.take_while(|line| line.starts_with([' ', '\t'])) {
        value.push_str(line);
    }
    value.split(',').filter_map(|one| exact(one.trim())).take(RECIPIENTS_MAX).collect()
}

/// To whom the notice came and from whom: none of them is who did not get the message.
fn own_addresses(message: &Message<'_>) -> Vec<String> {
    let fields = [message.to(), message.from()];
    let all = fields.into_iter().flatten().flat_map(|addresses| addresses.iter());
    all.filter_map(|one| one.address.as_deref()).map(str::to_lowercase).collect()
}

/// An address that begins a line, alone or with what is said of it behind it.
fn own_line(line: &str) -> Option<String> {
    let line = line.trim().trim_start_matches(['*', '-', '#']).trim_start();
    if let Some(rest) = line.strip_prefix('<') {
        let (address, _) = rest.split_once('>')?;
        return exact(address);
    }
    let word = line.split_whitespace().next()?;
    exact(word.trim_end_matches([':', ',', ';', '.']))
}

fn in_brackets(line: &str) -> Option<String> {
    line.split('<').skip(1).find_map(|rest| exact(rest.split_once('>')?.0))
}

fn anywhere(line: &str) -> Option<String> {
    let words = line
        .split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | '"' | ',' | ';' | '\''));
    words.into_iter().find_map(|word| exact(word.trim_matches(['.', ':', '[', ']', '='])))
}

/// A text that is an address, and nothing else.
fn exact(text: &str) -> Option<String> {
    let text = text.strip_prefix("mailto:").or_else(|| text.strip_prefix("rfc822;")).unwrap_or(text);
    let (local, domain) = text.rsplit_once('@')?;
    let clean = |part: &str| {
        !part.is_empty()
            && !part.chars().any(|c| c.is_whitespace() || c.is_control() || "<>(),;:\"@[]".contains(c))
    };
    let good =
        clean(local) && clean(domain) && domain.contains('.') && !domain.ends_with('.') && text.len() <= 320;
    good.then(|| text.to_owned())
}
