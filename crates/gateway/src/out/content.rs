//! What is sent as content: checked so that nobody can read another message into it, and its dots stuffed.

use message::Code;

use super::Shipment;
use super::trip::{Step, Trouble};

/// What a message needs of the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needs {
    /// 8BITMIME.
    pub(super) eight_bit: bool,
    /// SMTPUTF8 for its header fields.
    pub(super) utf8_headers: bool,
}

/// Looks at the octets once. A CR or LF that stands alone, or a NUL, is refused: some servers take them for the end of a
/// line, or leave them away, and would then read a second message in this one. keeps: GW-55
pub(super) fn examine(shipment: &Shipment) -> Result<Needs, Trouble> {
    let octets = &shipment.octets;
    let wrong = |text: &str| Err(Trouble::new(Step::Data, Code::CONTENT_MALFORMED, text));
    let mut before = 0;
    for &octet in octets.iter() {
        match octet {
            b'\n' if before != b'\r' => {
                return wrong("the message has a line feed without a carriage return");
            }
            0 => return wrong("the message has a NUL"),
            octet if before == b'\r' && octet != b'\n' => {
                return wrong("the message has a carriage return without a line feed");
            }
            _ => {}
        }
        before = octet;
    }
    if !octets.ends_with(b"\r\n") {
        return wrong("the message does not end with a line");
    }
    let utf8_headers = shipment.needs_smtputf8 || !header_of(octets).is_ascii();
    Ok(Needs { eight_bit: utf8_headers || !octets.is_ascii(), utf8_headers })
}

fn header_of(octets: &[u8]) -> &[u8] {
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n");
    &octets[..end.unwrap_or(octets.len())]
}

/// A piece of a message with the dots at the start of its lines doubled (RFC 5321 section 4.5.2). `at_line_start` says
/// whether the piece begins a line, and afterwards whether the next one does. keeps: GW-55
pub(super) fn stuffed(piece: &[u8], at_line_start: &mut bool) -> Vec<u8> {
    let mut written = Vec::with_capacity(piece.len() + piece.len() / 64 + 1);
    for &octet in piece {
        if *at_line_start && octet == b'.' {
            written.push(b'.');
        }
        written.push(octet);
        *at_line_start = octet == b'\n';
    }
    written
}

#[cfg(test)]
mod tests {
    use super::super::tests::shipment;
    use super::*;
    use crate::check::spf::vectors;

    /// proves: GW-55
    #[test]
    fn nothing_can_be_smuggled_in_a_message() {
        let check = |body: &str, good: bool| {
            let octets = format!("Subject: x\r\n\r\n{body}\r\n");
            let examined = examine(&shipment("south.test", &["a@south.test"], &octets));
            assert_eq!(examined.is_ok(), good, "{body:?}");
        };
        check("plain", true);
        check("a\r\n.\r\nb", true);
        for hidden in ["\n", "\r", "\0", "\n.\n", "\r.\r\n", "\r\n.\r\r\n", "\r\n\0.\r\n"] {
            check(&format!("a{hidden}MAIL FROM:<b@north.test>"), false);
        }
        if let Some(path) = vectors("smtp-smuggling/eod-sequences.json") {
            let read: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            let list = read["outbound_must_not_be_emitted_inside_data"].as_array().unwrap();
            for hidden in list.iter().map(|one| one.as_str().unwrap()) {
                check(&format!("a{hidden}MAIL FROM:<b@north.test>"), false);
            }
            assert_eq!(list.len(), 9);
        }
        assert!(examine(&shipment("south.test", &["a@south.test"], "Subject: x\r\n\r\nno end")).is_err());
        assert!(examine(&shipment("south.test", &["a@south.test"], "\r")).is_err());
    }

    /// proves: GW-55
    #[test]
    fn dots_are_doubled_however_the_message_is_cut() {
        let check = |text: &str, expected: &str| {
            for cut in 0..=text.len() {
                let mut at_line_start = true;
                let mut written = stuffed(&text.as_bytes()[..cut], &mut at_line_start);
                written.extend(stuffed(&text.as_bytes()[cut..], &mut at_line_start));
                assert_eq!(String::from_utf8(written).unwrap(), expected, "{cut}");
            }
        };
        check(".\r\n..\r\na.b\r\n", "..\r\n...\r\na.b\r\n");
        check("a\r\n.\r\n.\r\n", "a\r\n..\r\n..\r\n");
        check("", "");
    }

    #[test]
    fn what_a_message_needs() {
        let check = |text: &str, eight_bit: bool, utf8_headers: bool| {
            let needs = examine(&shipment("south.test", &["a@south.test"], text)).unwrap();
            assert_eq!((needs.eight_bit, needs.utf8_headers), (eight_bit, utf8_headers), "{text:?}");
        };
        check("Subject: x\r\n\r\ny\r\n", false, false);
        check("Subject: x\r\n\r\nü\r\n", true, false);
        check("Subject: ü\r\n\r\ny\r\n", true, true);
        check("Subject: ü\r\n", true, true);
    }
}
