//! Codes in the words of others.

use message::Code;

/// The first enhanced code in a text, one of the classes 4 and 5 where there is such a one.
pub(super) fn enhanced(text: &str) -> Option<Code> {
    let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    let mut codes = words.filter_map(|word| Code::parse(word.trim_matches('.')).ok());
    codes.find(|code| code.class != 2)
}

/// A code from a Status field, which may have a comment behind it, and leading zeros.
pub(super) fn of_field(value: &str) -> Option<Code> {
    let word = value.split(|c: char| c.is_whitespace() || c == '(').find(|word| !word.is_empty())?;
    let mut numbers = word.split('.').map(|number| number.parse::<u16>().ok());
    match (numbers.next()??, numbers.next()??, numbers.next()??, numbers.next()) {
        (class @ (2 | 4 | 5), subject, detail, None) if subject < 1_000 && detail < 1_000 => {
            Some(Code::new(class as u8, subject, detail))
        }
        _ => None,
    }
}

/// What is meant, by the reply in a text: three digits that stand for themselves.
pub(super) fn of_reply(text: &str) -> Option<Code> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '@' | '-' | '_')));
    let digits = words.filter(|word| word.len() == 3).find_map(|word| {
        word.parse::<u16>().ok().filter(|digits| (400..560).contains(digits) && digits % 100 < 60)
    })?;
    let class = if digits < 500 { 4 } else { 5 };
    let (subject, detail) = match digits {
        421 => (3, 2),
        450 | 550 => (1, 1),
        452 | 552 => (2, 2),
        551 => (1, 6),
        553 => (1, 3),
        _ => (0, 0),
    };
    Some(Code::new(class, subject, detail))
}

/// Words for what is wrong, the surest first, and the code for each. All are in lower case.
const WORDS: [(&str, Code); 34] = [
    ("quota", Code::new(5, 2, 2)),
    ("mailbox is full", Code::new(5, 2, 2)),
    ("mailbox full", Code::new(5, 2, 2)),
    ("exceeds allowed size", Code::new(5, 2, 2)),
    ("too large", Code::new(5, 3, 4)),
    ("too big", Code::new(5, 3, 4)),
    ("size limit", Code::new(5, 3, 4)),
    ("disabled", Code::new(5, 2, 1)),
    ("discontinued", Code::new(5, 2, 1)),
    ("not active", Code::new(5, 2, 1)),
    ("user unknown", Code::new(5, 1, 1)),
    ("unknown user", Code::new(5, 1, 1)),
    ("unknown recipient", Code::new(5, 1, 1)),
    ("no such user", Code::new(5, 1, 1)),
    ("invalid user", Code::new(5, 1, 1)),
    ("not recognized", Code::new(5, 1, 1)),
    ("no mailbox here", Code::new(5, 1, 1)),
    ("unrouteable address", Code::new(5, 1, 1)),
    ("doesn't have a", Code::new(5, 1, 1)),
    ("does not exist", Code::new(5, 1, 1)),
    ("not listed in", Code::new(5, 1, 1)),
    ("host unknown", Code::new(5, 1, 2)),
    ("host not found", Code::new(5, 1, 2)),
    ("unknown host", Code::new(5, 1, 2)),
    ("couldn't find any host", Code::new(5, 1, 2)),
    ("domain", Code::new(5, 1, 2)),
    ("retry timeout", Code::new(4, 4, 7)),
    ("timed out", Code::new(4, 4, 1)),
    ("timeout", Code::new(4, 4, 1)),
    ("connection refused", Code::new(4, 4, 1)),
    ("wasn't able to establish an smtp connection", Code::new(4, 4, 1)),
    ("too many hops", Code::new(5, 4, 6)),
    ("loop", Code::new(5, 4, 6)),
    ("spam", Code::new(5, 7, 1)),
];

/// What is meant, by the words of a text.
pub(super) fn of_words(text: &str) -> Option<Code> {
    let text = text.to_lowercase();
    WORDS.iter().find(|(word, _)| text.contains(word)).map(|(_, code)| *code)
}

/// Whether the text says that it is still tried.
pub(super) fn is_delay(text: &str) -> bool {
    let text = text.to_lowercase();
    let words = [
        "warning message only",
        "not yet been delivered",
        "still trying",
        "will continue to try",
        "will keep trying",
        "delivery attempts will continue",
        "no action is required",
        "delayed",
    ];
    words.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_in_words() {
        let check = |find: fn(&str) -> Option<Code>, text: &str, expected: Option<&str>| {
            assert_eq!(find(text).map(|code| code.to_string()).as_deref(), expected, "{text}");
        };
        check(enhanced, "550 5.1.1 <a@b.c>... User unknown", Some("5.1.1"));
        check(enhanced, "host mx [192.0.2.20]: 550 5.7.0 no", Some("5.7.0"));
        check(enhanced, "host mx [5.1.1.20]: 550 no", None);
        check(enhanced, "#5.1.1>", Some("5.1.1"));
        check(enhanced, "2.0.0 then 4.4.7", Some("4.4.7"));
        check(of_field, "5.0.0 (permanent failure)", Some("5.0.0"));
        check(of_field, " 4.4.7", Some("4.4.7"));
        check(of_field, "5.01.1", Some("5.1.1"));
        check(of_field, "3.0.0", None);
        check(of_field, "5.1", None);
        check(of_reply, "Remote host said: 550 no", Some("5.1.1"));
        check(of_reply, "after 1550 octets in 99 seconds at 192.0.2.450", None);
        check(of_reply, "452 too many", Some("4.2.2"));
        check(of_words, "User mailbox exceeds allowed size: a@b.c", Some("5.2.2"));
        check(of_words, "nothing that is known", None);
    }
}
