//! How things are said on the pages: times, sizes, and texts of others made safe to look at.

use std::fmt;

use askama::filters::HtmlSafe;
use jiff::Timestamp;

/// A moment: relative in the text, absolute where one points at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    at_ms: u64,
    now_ms: u64,
}

impl Moment {
    pub(crate) fn new(at_ms: u64, now_ms: u64) -> Moment {
        Moment { at_ms, now_ms }
    }

    fn relative(self) -> String {
        if self.at_ms > self.now_ms.saturating_add(500) {
            format!("in {}", span(self.at_ms - self.now_ms))
        } else if self.now_ms.saturating_sub(self.at_ms) < 5_000 {
            "just now".to_owned()
        } else {
            format!("{} ago", span(self.now_ms - self.at_ms))
        }
    }
}

/// Safe: it is written of numbers alone.
impl HtmlSafe for Moment {}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let absolute = absolute(self.at_ms);
        write!(f, "<time datetime=\"{absolute}\" title=\"{absolute}\">{}</time>", self.relative())
    }
}

/// A moment in UTC, to the second.
pub(crate) fn absolute(at_ms: u64) -> String {
    let at = i64::try_from(at_ms / 1_000).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    at.map_or_else(|| "never".to_owned(), |at| at.to_string())
}

/// The day of a moment in UTC.
pub(crate) fn day(at_ms: u64) -> String {
    let absolute = absolute(at_ms);
    absolute.split_once('T').map_or(absolute.clone(), |(day, _)| day.to_owned())
}

/// A span of time in its largest unit.
pub(crate) fn span(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A size for people.
pub(crate) fn size(octets: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if octets < 1_024 {
        return if octets == 1 { "1 octet".to_owned() } else { format!("{octets} octets") };
    }
    let (mut size, mut unit) = (octets as f64 / 1_024.0, 0);
    while size >= 1_024.0 && unit + 1 < UNITS.len() {
        size /= 1_024.0;
        unit += 1;
    }
    if size < 10.0 { format!("{size:.1} {}", UNITS[unit]) } else { format!("{size:.0} {}", UNITS[unit]) }
}

/// A number with thin spaces between thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A text of somebody else on one line: what would move, hide or turn around other text becomes visible.
pub(crate) fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// The same for a text of several lines.
pub(crate) fn lines(text: &str) -> String {
    let keep = |c: char| matches!(c, '\n' | '\t');
    text.replace("\r\n", "\n")
        .chars()
        .map(|c| if !keep(c) && (c.is_control() || is_hidden(c)) { '\u{fffd}' } else { c })
        .collect()
}

/// Characters that nobody sees and that change what is seen: marks, embeddings, overrides and isolates of direction
/// (UAX #9 section 2), separators of lines, characters without width, tags, and those between letters.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{061c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Where something waits to go: the domain, or this node.
pub(crate) fn lane(name: &str) -> String {
    match name.strip_prefix("exchange:") {
        Some(domain) => line(domain),
        None if name == "local" => "mailboxes of this node".to_owned(),
        None => line(name),
    }
}

/// The first digits of an identity, by which people name it.
pub(crate) fn short(identity: &str) -> String {
    identity.chars().take(12).collect()
}

/// The name before an address in a From field, and the address.
pub(crate) fn author(from: &str) -> (String, String) {
    let Some((name, rest)) = from.rsplit_once('<') else { return (String::new(), line(from.trim())) };
    let name = name.trim().trim_matches('"').replace("\\\"", "\"");
    (line(&name), line(rest.trim().trim_end_matches('>')))
}

/// Percent-encodes a text for a place in a path or a query.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::new();
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-_.~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_is_shown() {
        let check = |text: &str, expected: &str| assert_eq!(line(text), expected, "{text:?}");
        check("invoice\u{202e}fdp.exe", "invoice\u{fffd}fdp.exe");
        check("a\u{200b}b\u{2066}c\r\n", "a\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}");
        check("Grüße, 世界, עברית", "Grüße, 世界, עברית");
        assert_eq!(lines("a\r\nb\u{202e}\tc\u{7}"), "a\nb\u{fffd}\tc\u{fffd}");
    }

    #[test]
    fn times_and_sizes_are_for_people() {
        let relative = |at_ms, now_ms| Moment::new(at_ms, now_ms).relative();
        assert_eq!(relative(0, 4_999), "just now");
        assert_eq!(relative(0, 90_000), "90 s ago");
        assert_eq!(relative(0, 7_200_000), "2 h ago");
        assert_eq!(relative(300_000, 0), "in 5 min");
        let html = Moment::new(1_700_000_000_000, 1_700_000_000_000).to_string();
        assert!(html.contains("title=\"2023-11-14T22:13:20Z\""), "{html}");
        let check = |octets, expected: &str| assert_eq!(size(octets), expected);
        check(0, "0 octets");
        check(1, "1 octet");
        check(1_536, "1.5 KiB");
        check(20 << 20, "20 MiB");
        check(u64::MAX, "16384 PiB");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(lane("exchange:west.test"), "west.test");
        assert_eq!(lane("local"), "mailboxes of this node");
        assert_eq!(encoded("a b/é"), "a%20b%2F%C3%A9");
        assert_eq!(
            author("\"Al \\\"A\\\" Ice\" <al@a.test>"),
            ("Al \"A\" Ice".to_owned(), "al@a.test".to_owned())
        );
        assert_eq!(author("al@a.test"), (String::new(), "al@a.test".to_owned()));
    }
}
