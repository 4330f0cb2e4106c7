//! What a session says, and how it is written.

use std::fmt::{self, Write as _};

use bytes::BytesMut;
use message::{Code, Disposition};

use crate::Reply;
use crate::limits::SMTP_REPLY_OCTETS_MAX;

/// A reply with a text that is always the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) digits: u16,
    pub(super) code: Code,
    pub(super) text: &'static str,
}

impl Said {
    pub(super) const fn new(digits: u16, code: Code, text: &'static str) -> Said {
        Said { digits, code, text }
    }
}

/// What is said to a command that is not known.
pub(super) fn unknown() -> Reply {
    Reply { digits: 500, code: Code::new(5, 5, 2), text: "that command is not known here".to_owned() }
}

/// Writes a reply of one line. Whatever the text holds, it is one line of bounded length.
pub(super) fn write(out: &mut BytesMut, digits: u16, code: Code, text: impl fmt::Display) {
    // Writing into memory does not fail.
    let _ = write!(out, "{digits} {code} ");
    let _ = write!(OneLine { out, left: SMTP_REPLY_OCTETS_MAX }, "{text}");
    out.extend_from_slice(b"\r\n");
}

/// Text on its way into a reply.
struct OneLine<'a> {
    out: &'a mut BytesMut,
    left: usize,
}

impl fmt::Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let plain = |octet: u8| octet == b' ' || octet.is_ascii_graphic();
        if text.len() <= self.left && text.bytes().all(plain) {
            self.left -= text.len();
            self.out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        for character in text.chars() {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            // Not every client has said that it reads UTF-8.
            let octet = match u8::try_from(character) {
                Ok(octet) if plain(octet) => octet,
                Ok(octet) if octet.is_ascii() => b' ',
                _ => b'?',
            };
            self.out.extend_from_slice(&[octet]);
        }
        Ok(())
    }
}

/// The reply for what became of a message for one recipient.
///
/// keeps: GW-13
pub(super) fn of(disposition: &Disposition) -> Reply {
    let reply = |digits, code, text: &str| Reply { digits, code, text: text.to_owned() };
    match disposition {
        Disposition::Accepted | Disposition::Relayed => reply(250, Code::new(2, 1, 5), "taken"),
        // An address that is forwarded no more (FWD-7).
        Disposition::Refused { code, text } if *code == Code::new(5, 1, 6) => reply(551, *code, text),
        Disposition::Refused { code, text } if code.class == 5 => reply(550, *code, text),
        Disposition::Refused { code, text } => reply(450, Code { class: 4, ..*code }, text),
        Disposition::Pending { .. } => {
            reply(450, Code::new(4, 7, 1), "the recipient has not decided yet; please try again later")
        }
        Disposition::Deferred { code, .. } => {
            reply(451, Code { class: 4, ..*code }, "not now; please try again later")
        }
        _ => reply(451, Code::SYSTEM_TROUBLE, "not now; please try again later"),
    }
}

/// One reply for several recipients. Where each has heard its own (PRDR): taken where one is, otherwise to be tried again where
/// one is, otherwise refused. Where they hear nothing but this, one that asks to try again comes first: who has it already does
/// not get it twice.
///
/// keeps: GW-12, GW-13
pub(super) fn together(replies: &[Reply], individual: bool) -> Reply {
    let rank = |reply: &&Reply| match reply.digits / 100 {
        4 if !individual => 0,
        class => class,
    };
    replies.iter().min_by_key(rank).cloned().unwrap_or_else(unknown_fate)
}

/// Where nothing is known of a recipient.
pub(super) fn unknown_fate() -> Reply {
    Reply { digits: 451, code: Code::SYSTEM_TROUBLE, text: "not now; please try again later".to_owned() }
}
