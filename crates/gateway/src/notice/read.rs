//! What a notice says (RFC 3464, RFC 6533).

use mail_parser::{Message, MessageParser, MimeHeaders};
use message::Code;

use super::limits::{DIAGNOSTIC_OCTETS_MAX, NOTICE_OCTETS_MAX, RECIPIENTS_MAX};
use super::{plain, status};

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A notice about delivery, in the form of RFC 3464.
    Status,
    /// A notice in words; what was understood is a guess.
    Words,
    /// A complaint (ARF, RFC 5965): the message was delivered.
    Complaint,
    /// The answer of a program for somebody who is away (RFC 3834): it says nothing about delivery.
    Answer,
    /// Something else.
    Unknown,
}

/// What was done for a recipient (RFC 3464 section 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It will not be delivered.
    Failed,
    /// Not yet.
    Delayed,
    /// It is in the mailbox.
    Delivered,
    /// It was given on to a place that sends no notices.
    Relayed,
    /// It was given on to several.
    Expanded,
}

/// What a notice says about one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The recipient as the reporting server knows it; it may have been forwarded to there.
    pub recipient: String,
    /// The recipient as the sender named it, where that is said.
    pub original: Option<String>,
    /// What was done.
    pub action: Action,
    /// Why, for programs; with [`Action::Failed`] and nothing said, 5.0.0.
    pub code: Code,
    /// Why, for people: at most 4 KiB.
    pub diagnostic: String,
}

/// What a notice says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What it is.
    pub form: Form,
    /// The identifier of the transaction, as MAIL FROM had it in ENVID.
    pub envelope_id: Option<String>,
    /// Who reports.
    pub reporter: Option<String>,
    /// By recipient, at most 100.
    pub recipients: Vec<About>,
}

impl Notice {
    /// What says that it was not delivered and is not tried again.
    pub fn failures(&self) -> impl Iterator<Item = &About> {
        self.recipients.iter().filter(|about| about.action == Action::Failed)
    }

    /// Whether it says anything about delivery, understood or not.
    #[must_use]
    pub fn is_one(&self) -> bool {
        matches!(self.form, Form::Status | Form::Words)
    }
}

impl About {
    /// Whether it is about this recipient of a transaction: by the address that the sender named, else by the one that the
    /// reporter knows, else because the transaction had no other.
    #[must_use]
    pub fn is_about(&self, recipient: &str, only: bool) -> bool {
        let named = self.original.as_deref().into_iter().chain([self.recipient.as_str()]);
        only || named.into_iter().any(|one| one.eq_ignore_ascii_case(recipient))
    }
}

/// Reads a notice. What is none, or is not understood, is of another form and names nobody. keeps: GW-60, GW-61
#[must_use]
pub fn read(octets: &[u8]) -> Notice {
    let octets = octets.get(..NOTICE_OCTETS_MAX).unwrap_or(octets);
    let nothing = |form| Notice { form, envelope_id: None, reporter: None, recipients: Vec::new() };
    let Some(message) = MessageParser::default().parse(octets) else { return nothing(Form::Unknown) };
    if is_complaint(&message) {
        return nothing(Form::Complaint);
    }
    if let Some(notice) = of_parts(&message).or_else(|| of_fields_anywhere(octets)) {
        return notice;
    }
    let recipients = plain::recipients(&message, octets);
    // Words of an answer may sound like a failure, and name somebody: it is one where it says so to programs, or why.
    let says_why = |about: &About| (about.code.subject, about.code.detail) != (0, 0);
    let listed = message.header_raw("X-Failed-Recipients").is_some();
    let fails = listed || recipients.iter().any(says_why);
    match (recipients.is_empty(), is_answer(&message)) {
        (_, true) if !fails => nothing(Form::Answer),
        (true, _) => nothing(Form::Unknown),
        (false, _) => Notice { recipients, ..nothing(Form::Words) },
    }
}

fn is_complaint(message: &Message<'_>) -> bool {
    let of_type = |main: &str, sub: &str| {
        message.parts.iter().filter_map(MimeHeaders::content_type).any(|kind| {
            kind.c_type.eq_ignore_ascii_case(main)
                && kind.c_subtype.as_deref().is_some_and(|subtype| subtype.eq_ignore_ascii_case(sub))
        })
    };
    of_type("message", "feedback-report")
}

fn is_answer(message: &Message<'_>) -> bool {
    let said = message.header_raw("Auto-Submitted").unwrap_or_default().to_ascii_lowercase();
    said.contains("auto-replied") || message.header_raw("X-Autoreply").is_some()
}

/// The notice in its part, where the message is built as it should be.
fn of_parts(message: &Message<'_>) -> Option<Notice> {
    let part = message.parts.iter().find(|part| {
        part.content_type().is_some_and(|kind| {
            let subtype = kind.c_subtype.as_deref().unwrap_or_default().to_ascii_lowercase();
            kind.c_type.eq_ignore_ascii_case("message")
                && matches!(subtype.as_str(), "delivery-status" | "global-delivery-status")
        })
    })?;
    let text = String::from_utf8_lossy(part.contents()).into_owned();
    let notice = of_fields(text.lines());
    (!notice.recipients.is_empty()).then_some(notice)
}

/// The fields of a notice wherever they stand, where the parts are broken.
fn of_fields_anywhere(octets: &[u8]) -> Option<Notice> {
    let text = String::from_utf8_lossy(octets);
    let starts = |line: &str| {
        let line = line.to_ascii_lowercase();
        line.starts_with("reporting-mta:") || line.starts_with("final-recipient:")
    };
    let lines = text.lines().skip_while(|line| !starts(line));
    let notice =
        of_fields(lines.take_while(|line| !line.starts_with("--") && !line.starts_with("Received:")));
    (!notice.recipients.is_empty()).then_some(notice)
}

/// One recipient while its fields are read.
#[derive(Default)]
struct Draft {
    recipient: Option<String>,
    original: Option<String>,
    action: Option<Action>,
    status: Option<Code>,
    diagnostic: String,
}

fn of_fields<'a>(lines: impl Iterator<Item = &'a str>) -> Notice {
    let mut notice = Notice { form: Form::Status, envelope_id: None, reporter: None, recipients: Vec::new() };
    let mut draft = Draft::default();
    for (name, value) in unfolded(lines) {
        match name.as_str() {
            // An empty line: the next group begins.
            "" => finish(&mut draft, &mut notice),
            "reporting-mta" => notice.reporter = Some(behind_type(&value)),
            "original-envelope-id" => notice.envelope_id = Some(value),
            "original-recipient" => {
                if draft.recipient.is_some() && draft.original.is_some() {
                    finish(&mut draft, &mut notice);
                }
                draft.original = address(&value);
            }
            "final-recipient" => {
                if draft.recipient.is_some() {
                    finish(&mut draft, &mut notice);
                }
                draft.recipient = address(&value);
            }
            "action" => draft.action = action(&value),
            "status" => draft.status = status::of_field(&value),
            "diagnostic-code" if draft.diagnostic.is_empty() => draft.diagnostic = cut(&behind_type(&value)),
            _ => {}
        }
    }
    finish(&mut draft, &mut notice);
    notice
}

fn finish(draft: &mut Draft, notice: &mut Notice) {
    if draft.recipient.is_none() && draft.original.is_none() {
        return;
    }
    let Draft { recipient, original, action, status, diagnostic } = std::mem::take(draft);
    if notice.recipients.len() >= RECIPIENTS_MAX {
        return;
    }
    let code = best(status, &diagnostic);
    let action = action.unwrap_or(match code {
        Some(Code { class: 2, .. }) => Action::Delivered,
        _ => Action::Failed,
    });
    let code = code.unwrap_or(match action {
        Action::Failed => Code::new(5, 0, 0),
        Action::Delayed => Code::new(4, 0, 0),
        _ => Code::new(2, 0, 0),
    });
    let Some(recipient) = recipient.or_else(|| original.clone()) else { return };
    notice.recipients.push(About { recipient, original, action, code, diagnostic });
}

/// The code of the field, or the one in the diagnostic where that says more in the same class.
fn best(status: Option<Code>, diagnostic: &str) -> Option<Code> {
    let said = status::enhanced(diagnostic);
    match (status, said) {
        (Some(status), Some(said))
            if status.class == said.class && (status.subject, status.detail) == (0, 0) =>
        {
            Some(said)
        }
        (Some(status), _) => Some(status),
        (None, said) => said.or_else(|| status::of_reply(diagnostic)),
    }
}

/// Fields with their names in lower case, folded ones on one line; an empty name for an empty line.
fn unfolded<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines {
        let line = line.trim_end();
        if line.is_empty() {
            fields.push((String::new(), String::new()));
        } else if line.starts_with([' ', '\t']) && fields.last().is_some_and(|(name, _)| !name.is_empty()) {
            if let Some((_, value)) =
                fields.last_mut().filter(|(_, value)| value.len() < DIAGNOSTIC_OCTETS_MAX)
            {
                value.push(' ');
                value.push_str(line.trim_start());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    fields
}

/// What stands behind `rfc822;`, `dns;` or `smtp;`.
fn behind_type(value: &str) -> String {
    match value.split_once(';') {
        Some((kind, rest)) if !kind.trim().contains(' ') => rest.trim().to_owned(),
        _ => value.trim().to_owned(),
    }
}

fn address(value: &str) -> Option<String> {
    let text = behind_type(value);
    let text = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | ','));
    let text = text.rsplit(['<', ' ']).next().unwrap_or(text);
    (!text.is_empty() && text.len() <= 320).then(|| unescaped(text))
}

/// The escapes of RFC 6533 section 3: `\x{HHHH}` stands for one character.
fn unescaped(text: &str) -> String {
    let mut parts = text.split("\\x{");
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let read = part.split_once('}').and_then(|(digits, rest)| {
            Some((u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)?, rest))
        });
        match read {
            Some((character, rest)) if !character.is_control() => {
                written.push(character);
                written.push_str(rest);
            }
            _ => written.push_str(part),
        }
    }
    written
}

fn action(value: &str) -> Option<Action> {
    let word = value.split(|c: char| !c.is_ascii_alphabetic()).find(|word| !word.is_empty())?;
    Some(match word.to_ascii_lowercase().as_str() {
        "failed" | "failure" | "expired" => Action::Failed,
        "delayed" => Action::Delayed,
        "delivered" | "deliverable" => Action::Delivered,
        "relayed" => Action::Relayed,
        "expanded" => Action::Expanded,
        _ => return None,
    })
}

/// A text for people: within its bound, and without control characters.
pub(super) fn cut(text: &str) -> String {
    let mut clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    while clean.len() > DIAGNOSTIC_OCTETS_MAX {
        clean.pop();
    }
    clean
}
