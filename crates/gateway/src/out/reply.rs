//! What the other side says: replies, and the code that each one means.

use message::Code;

use super::limits::REPLY_TEXT_OCTETS_MAX;
use super::trip::Step;

/// A reply of one or more lines (RFC 5321 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) digits: u16,
    /// What follows the digits on each line.
    pub(super) lines: Vec<String>,
}

/// One line of a reply: the digits, whether it is the last, and the rest.
pub(super) fn read_line(line: &[u8]) -> Option<(u16, bool, String)> {
    let digits = line.get(..3)?;
    if !matches!(digits[0], b'2'..=b'5') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    let last = match line.get(3) {
        None | Some(b' ') => true,
        Some(b'-') => false,
        Some(_) => return None,
    };
    let rest = String::from_utf8_lossy(line.get(4..).unwrap_or_default());
    Some((number, last, rest.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()))
}

impl Reply {
    pub(super) fn is_positive(&self) -> bool {
        (200..300).contains(&self.digits)
    }

    pub(super) fn is_permanent(&self) -> bool {
        self.digits >= 500
    }

    /// The whole reply on one line. The enhanced code that is repeated on each line is said once. keeps: GW-52
    pub(super) fn text(&self) -> String {
        let code = self.lines.first().and_then(|line| line.split(' ').next()).filter(|word| is_code(word));
        let mut text = self.digits.to_string();
        for (number, line) in self.lines.iter().enumerate() {
            let repeated = code.filter(|_| number > 0).and_then(|code| line.strip_prefix(code));
            let rest = repeated.unwrap_or(line).trim();
            if !rest.is_empty() {
                text.push(' ');
                text.push_str(rest);
            }
        }
        while text.len() > REPLY_TEXT_OCTETS_MAX {
            text.pop();
        }
        text
    }

    /// The enhanced code: the one that was said, where its class goes with the digits, else by the digits and the step
    /// (after RFC 5248 and RFC 3463). keeps: GW-52
    pub(super) fn code(&self, step: Step) -> Code {
        let said = self.lines.first().and_then(|line| line.split(' ').next());
        let class = match self.digits / 100 {
            2 | 3 => 2,
            5 => 5,
            _ => 4,
        };
        match said.and_then(|word| Code::parse(word.trim_end_matches(':')).ok()) {
            Some(code) if code.class == class => code,
            _ => {
                let (subject, detail) = by_digits(self.digits, step);
                Code::new(class, subject, detail)
            }
        }
    }
}

fn is_code(word: &str) -> bool {
    Code::parse(word).is_ok()
}

fn by_digits(digits: u16, step: Step) -> (u16, u16) {
    match (digits, step) {
        (421, _) => (3, 2),
        (450 | 550, Step::Recipient) => (1, 1),
        (450, _) => (2, 0),
        (550 | 554, Step::Mail | Step::Data) => (7, 1),
        (451, _) => (3, 0),
        (452, Step::Recipient) => (5, 3),
        (452, _) => (3, 1),
        (454, Step::Tls) => (7, 0),
        (454, _) => (7, 0),
        (500 | 502 | 503, _) => (5, 1),
        (501 | 504 | 555, _) => (5, 4),
        (521 | 556, _) => (3, 2),
        (530 | 534 | 538, _) => (7, 0),
        (535, _) => (7, 8),
        (551, _) => (1, 6),
        (552, Step::Recipient) => (2, 2),
        (552, _) => (3, 4),
        (553, Step::Mail) => (1, 7),
        (553, _) => (1, 3),
        _ => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_replies() {
        let check = |line: &str, expected: Option<(u16, bool, &str)>| {
            let read = read_line(line.as_bytes());
            assert_eq!(
                read,
                expected.map(|(digits, last, rest)| (digits, last, rest.to_owned())),
                "{line:?}"
            );
        };
        check("250 ok", Some((250, true, "ok")));
        check("250", Some((250, true, "")));
        check("250-north.test", Some((250, false, "north.test")));
        check("354 go\ton\u{1b}[31m", Some((354, true, "go on [31m")));
        check("250ok", None);
        check("25 ok", None);
        check("199 x", None);
        check("650 x", None);
        check("2x0 x", None);
        check("", None);
    }

    /// proves: GW-52
    #[test]
    fn every_reply_has_a_code_and_its_whole_text() {
        let check = |digits: u16, lines: &[&str], step: Step, code: &str, text: &str| {
            let reply = Reply { digits, lines: lines.iter().map(|&line| line.to_owned()).collect() };
            assert_eq!((reply.code(step).to_string().as_str(), reply.text().as_str()), (code, text));
        };
        check(550, &["5.1.1 no such user"], Step::Recipient, "5.1.1", "550 5.1.1 no such user");
        check(550, &["5.7.26 one", "5.7.26 two"], Step::Data, "5.7.26", "550 5.7.26 one two");
        check(550, &["no such user"], Step::Recipient, "5.1.1", "550 no such user");
        check(550, &["4.1.1 a class of its own"], Step::Recipient, "5.1.1", "550 4.1.1 a class of its own");
        check(554, &["spam"], Step::Data, "5.7.1", "554 spam");
        check(
            421,
            &["too busy", "see http://north.test/"],
            Step::Mail,
            "4.3.2",
            "421 too busy see http://north.test/",
        );
        check(452, &[""], Step::Recipient, "4.5.3", "452");
        check(552, &["too large"], Step::Data, "5.3.4", "552 too large");
        check(450, &["greylisted"], Step::Recipient, "4.1.1", "450 greylisted");
        check(599, &["?"], Step::Data, "5.0.0", "599 ?");
        check(250, &["2.0.0 queued as 1"], Step::Data, "2.0.0", "250 2.0.0 queued as 1");
    }
}
