//! A notice that is owed to a sender of the old world (RFC 3464, RFC 6522, RFC 6533).

use mail_parser::DateTime;
use message::address::{Address, Domain};
use message::{Code, HeaderBlock};

use super::limits::{DIAGNOSTIC_OCTETS_MAX, HEADER_OCTETS_MAX, RECIPIENTS_MAX};
use super::read::Action;

/// A notice. It leaves with the null return path, and goes to nobody whose return path is not verified.
#[derive(Debug, Clone)]
pub struct Owed {
    /// The server that reports: our own name.
    pub reporter: String,
    /// The domain of the From field, whose local part is `MAILER-DAEMON`.
    pub domain: Domain,
    /// To whom: the return path of the message.
    pub to: Address,
    /// The transaction's ENVID, where it had one.
    pub envelope_id: Option<String>,
    /// When the message came in, in Unix milliseconds.
    pub arrived_ms: u64,
    /// Now.
    pub now_ms: u64,
    /// What is said of each recipient, at most 100.
    pub recipients: Vec<Said>,
    /// The header of the message, up to its empty line; at most 64 KiB of it are taken. Where it is empty it has no part.
    pub header: Vec<u8>,
}

/// What is said of one recipient.
#[derive(Debug, Clone)]
pub struct Said {
    /// The recipient.
    pub address: Address,
    /// As the sender named it (ORCPT): the type, a semicolon and the address, decoded.
    pub original: Option<String>,
    /// What was done.
    pub action: Action,
    /// Why, for programs.
    pub code: Code,
    /// The server that said so, where it was another one.
    pub remote: Option<String>,
    /// Its reply in full, or our own words.
    pub text: String,
}

impl Owed {
    /// Writes the notice. The same notice always gives the same octets. keeps: GW-63
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let status = self.status();
        let header = self.returned_header();
        let text = self.text();
        let digest = blake3::hash([status.as_bytes(), &header, text.as_bytes()].concat().as_slice()).to_hex();
        let mark = format!("=_{}", digest.as_str().get(..40).unwrap_or_default());
        let status_type = match status.is_ascii() {
            true => "message/delivery-status",
            false => "message/global-delivery-status",
        };
        let header_type = if header.is_ascii() { "text/rfc822-headers" } else { "message/global-headers" };
        let encoding = |octets: &[u8]| if octets.is_ascii() { "7bit" } else { "8bit" };
        let mut written = self.head(&mark, digest.as_str()).into_bytes();
        let mut part = |kind: &str, octets: &[u8]| {
            let lines = format!(
                "--{mark}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {}\r\n\r\n",
                encoding(octets)
            );
            written.extend_from_slice(lines.as_bytes());
            written.extend_from_slice(octets);
            written.extend_from_slice(b"\r\n");
        };
        part("text/plain; charset=utf-8", text.as_bytes());
        part(status_type, status.as_bytes());
        // The third part may be left out (RFC 6522 section 3).
        if !self.header.is_empty() {
            part(header_type, &header);
        }
        written.extend_from_slice(format!("--{mark}--\r\n").as_bytes());
        written
    }

    fn head(&self, mark: &str, digest: &str) -> String {
        let failed = self.recipients.iter().any(|said| said.action == Action::Failed);
        let delayed = self.recipients.iter().any(|said| said.action == Action::Delayed);
        let subject = match (failed, delayed) {
            (true, _) => "Your message was not delivered",
            (false, true) => "Your message is not delivered yet",
            (false, false) => "What became of your message",
        };
        format!(
            "From: Mail delivery <MAILER-DAEMON@{domain}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nDate: {date}\r\n\
             Message-ID: <{id}@{domain}>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"{mark}\"\r\n\r\n",
            domain = self.domain,
            to = self.to,
            date = date(self.now_ms),
            id = digest.get(..32).unwrap_or_default(),
        )
    }

    fn text(&self) -> String {
        let mut text = format!(
            "This is {}. About the message that came here on {}:\r\n",
            clean(&self.reporter),
            date(self.arrived_ms)
        );
        for said in self.recipients.iter().take(RECIPIENTS_MAX) {
            let what = match said.action {
                Action::Failed => "it was not delivered, and is not tried again.",
                Action::Delayed => "it is not delivered yet, and is tried again.",
                Action::Delivered => "it is in the mailbox.",
                Action::Relayed => "it was given on to a server that tells no more.",
                Action::Expanded => "it was given on to several others.",
            };
            text.push_str(&format!("\r\n<{}>: {what}\r\n", said.address.to_unicode()));
            if !said.text.is_empty() {
                let who =
                    said.remote.as_deref().map(|host| format!("{} says: ", clean(host))).unwrap_or_default();
                text.push_str(&format!("{}\r\n", folded(&format!("    {who}{}", clean(&said.text)), "    ")));
            }
        }
        text
    }

    fn status(&self) -> String {
        let mut text = format!("Reporting-MTA: dns; {}\r\n", clean(&self.reporter));
        if let Some(id) = &self.envelope_id {
            text.push_str(&format!("Original-Envelope-Id: {}\r\n", clean(id)));
        }
        text.push_str(&format!("Arrival-Date: {}\r\n", date(self.arrived_ms)));
        for said in self.recipients.iter().take(RECIPIENTS_MAX) {
            text.push_str("\r\n");
            if let Some(original) = &said.original {
                let (kind, address) = original.split_once(';').unwrap_or(("rfc822", original));
                text.push_str(&format!("Original-Recipient: {}; {}\r\n", clean(kind), clean(address)));
            }
            text.push_str(&format!("Final-Recipient: {}\r\n", typed(&said.address.to_string())));
            text.push_str(&format!("Action: {}\r\nStatus: {}\r\n", word(said.action), said.code));
            if let Some(remote) = &said.remote {
                text.push_str(&format!("Remote-MTA: dns; {}\r\n", clean(remote)));
                text.push_str(&format!(
                    "{}\r\n",
                    folded(&format!("Diagnostic-Code: smtp; {}", clean(&said.text)), " ")
                ));
            } else if !said.text.is_empty() {
                let line = format!("Diagnostic-Code: X-Waxwing; {}", clean(&said.text));
                text.push_str(&format!("{}\r\n", folded(&line, " ")));
            }
            text.push_str(&format!("Last-Attempt-Date: {}\r\n", date(self.now_ms)));
        }
        text
    }

    /// The header as SMTP carries it, folded and encoded. Where it is no header of ours, its short lines as they are.
    fn returned_header(&self) -> Vec<u8> {
        let octets = self.header.get(..HEADER_OCTETS_MAX).unwrap_or(&self.header);
        let end = octets.windows(4).position(|four| four == b"\r\n\r\n").map_or(octets.len(), |at| at + 2);
        let block = [octets.get(..end).unwrap_or(octets), b"\r\n"].concat();
        if let Ok(block) = HeaderBlock::parse(block.into()) {
            return translate::header_lines(&block).into_bytes();
        }
        let mut written = Vec::new();
        for line in octets.split(|&octet| octet == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            if line.len() > translate::limits::LINE_OCTETS_MAX {
                continue;
            }
            written.extend(line.iter().map(|&octet| if octet == 0 || octet == b'\r' { b' ' } else { octet }));
            written.extend_from_slice(b"\r\n");
        }
        if std::str::from_utf8(&written).is_err() {
            written.iter_mut().filter(|octet| !octet.is_ascii()).for_each(|octet| *octet = b'?');
        }
        written
    }
}

fn typed(address: &str) -> String {
    if address.is_ascii() { format!("rfc822; {address}") } else { format!("utf-8; {address}") }
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Failed => "failed",
        Action::Delayed => "delayed",
        Action::Delivered => "delivered",
        Action::Relayed => "relayed",
        Action::Expanded => "expanded",
    }
}

fn date(ms: u64) -> String {
    DateTime::from_timestamp(i64::try_from(ms / 1_000).unwrap_or(i64::MAX)).to_rfc822()
}

/// On one line, within its bound: nothing that a remote said can begin a field.
fn clean(text: &str) -> String {
    let mut clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    while clean.len() > DIAGNOSTIC_OCTETS_MAX {
        clean.pop();
    }
    clean.trim().to_owned()
}

/// Lines of about 76 octets; a word of its own length stays whole up to 900 octets.
fn folded(text: &str, indent: &str) -> String {
    let (mut written, mut column) = (String::new(), 0);
    for (number, word) in text.split(' ').enumerate() {
        if number > 0 && column + word.len() >= 76 && column > indent.len() {
            written.push_str("\r\n");
            written.push_str(indent);
            column = indent.len();
        } else if number > 0 {
            written.push(' ');
            column += 1;
        }
        for character in word.chars() {
            if column >= 900 {
                written.push_str("\r\n");
                written.push_str(indent);
                column = indent.len();
            }
            written.push(character);
            column += character.len_utf8();
        }
    }
    written
}
