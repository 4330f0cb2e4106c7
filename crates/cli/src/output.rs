//! What is printed: lines for people, or one JSON object per line for programs.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::{Color, Error, Global};

/// For what went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// For what did not.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// For what is not decided.
pub(crate) const WAITING: Style = AnsiColor::Yellow.on_default();
/// For headings and names.
pub(crate) const STRONG: Style = Style::new().bold();
/// For what is only by the way.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// Where a command prints to.
pub(crate) struct Output {
    out: Target,
    json: bool,
    progress: bool,
}

enum Target {
    /// Standard output; styles are left out where it is no terminal.
    Standard(AutoStream<io::Stdout>),
    /// Anything else, without styles.
    Other(Box<dyn Write + Send>),
}

impl Output {
    /// Standard output, with colours where they are wanted.
    pub(crate) fn standard(global: &Global) -> Output {
        let out = AutoStream::new(io::stdout(), choice(global.color));
        let progress = match global.color {
            Color::Never => false,
            _ => io::stderr().is_terminal() && !global.json,
        };
        Output { out: Target::Standard(out), json: global.json, progress }
    }

    /// Any writer, without colours and progress.
    pub(crate) fn other(global: &Global, out: Box<dyn Write + Send>) -> Output {
        Output { out: Target::Other(out), json: global.json, progress: false }
    }

    /// Whether programs read this.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether progress may be drawn on standard error.
    pub(crate) fn shows_progress(&self) -> bool {
        self.progress
    }

    /// A line for people.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Error> {
        match &mut self.out {
            Target::Standard(out) => writeln!(out, "{text}")?,
            Target::Other(out) => writeln!(out, "{}", anstream::adapter::strip_str(text))?,
        }
        Ok(())
    }

    /// One object for programs. keeps: CLI-3
    pub(crate) fn object(&mut self, value: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_string(value).map_err(|error| Error::Local(error.to_string()))?;
        Ok(writeln!(self.writer(), "{}", escape_json(&text))?)
    }

    /// A writer for octets as they are: what looks like a style in them is left alone.
    pub(crate) fn raw(&mut self) -> Box<dyn Write + Send + '_> {
        match &mut self.out {
            Target::Standard(_) => Box::new(io::stdout()),
            Target::Other(out) => Box::new(out),
        }
    }

    /// Whether octets that are no text would end up on a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self.out, Target::Standard(_)) && io::stdout().is_terminal()
    }

    /// Everything is written.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        Ok(self.writer().flush()?)
    }

    fn writer(&mut self) -> &mut dyn Write {
        match &mut self.out {
            Target::Standard(out) => out,
            Target::Other(out) => out,
        }
    }
}

/// Prints why a command was not done, and what to do next, on standard error.
pub(crate) fn complain(global: &Global, error: &Error) {
    let mut stream = AutoStream::new(io::stderr(), choice(global.color));
    // Where standard error is closed there is nobody to tell.
    let text = match error {
        // What is wrong in a file is shown with the line of it; from elsewhere nothing of several lines comes.
        Error::Profile { .. } | Error::Usage { .. } => clean_lines(&error.to_string()),
        _ => clean(&error.to_string()),
    };
    let _ = writeln!(stream, "{} {}", paint(BAD, "waxwing:"), text.trim_end());
    if let Some(hint) = error.hint() {
        let _ = writeln!(stream, "  {}", clean(&hint));
    }
}

/// Text in a style; the stream leaves the style out where there are no colours.
pub(crate) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// A text from elsewhere on one line: control characters and those that turn the direction of writing are shown as
/// U+FFFD, so that nobody can draw on the terminal or hide a word. keeps: CLI-2
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A text from elsewhere of several lines: line ends and tabs stay.
pub(crate) fn clean_lines(text: &str) -> String {
    let keep = |c: char| matches!(c, '\n' | '\t') || !is_unsafe(c);
    text.replace("\r\n", "\n")
        .chars()
        .map(|c| if keep(c) { c } else { char::REPLACEMENT_CHARACTER })
        .collect()
}

fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// JSON leaves the control characters above ASCII as they are; a terminal may obey them. keeps: CLI-3
pub fn escape_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_unsafe) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) {
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

fn choice(color: Color) -> ColorChoice {
    match color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::AlwaysAnsi,
        Color::Never => ColorChoice::Never,
    }
}

/// Whether what goes to standard error has colours.
pub fn colours_errors(global: &Global) -> bool {
    AutoStream::new(io::stderr(), choice(global.color)).current_choice() != ColorChoice::Never
}

/// Whether what goes to standard output has colours.
pub fn colours_output(global: &Global) -> bool {
    AutoStream::new(io::stdout(), choice(global.color)).current_choice() != ColorChoice::Never
}

/// A time for people: in the zone of this machine, to the second.
pub(crate) fn time(at_ms: u64) -> String {
    let moment = i64::try_from(at_ms).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    match moment {
        Some(moment) => {
            moment.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
        }
        None => "a time that no calendar has".to_owned(),
    }
}

/// A number of octets for people.
pub(crate) fn size(octets: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if octets < 1024 {
        return format!("{octets} octets");
    }
    let mut value = octets as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A stretch of time for people.
pub(crate) fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: CLI-2
    #[test]
    fn texts_from_elsewhere_cannot_draw_on_the_terminal() {
        let check = |text: &str, shown: &str| assert_eq!(clean(text), shown, "{text:?}");
        check("Grüße 你好", "Grüße 你好");
        check("\u{1b}[2Jgone", "\u{fffd}[2Jgone");
        check("a\r\nb\tc\0", "a\u{fffd}\u{fffd}b\u{fffd}c\u{fffd}");
        check("\u{9b}31m", "\u{fffd}31m");
        check("file\u{202e}gpj.exe", "file\u{fffd}gpj.exe");
        assert_eq!(clean_lines("a\r\nb\tc\rd\u{1b}"), "a\nb\tc\u{fffd}d\u{fffd}");
    }

    /// proves: CLI-3
    #[test]
    fn objects_are_one_line_of_safe_json() {
        #[derive(Serialize)]
        struct Said<'a> {
            text: &'a str,
        }
        let line = serde_json::to_string(&Said { text: "a\n\u{9b}\u{202e}\u{1b}ü" }).unwrap();
        assert_eq!(escape_json(&line), "{\"text\":\"a\\n\\u009b\\u202e\\u001bü\"}");
    }

    #[test]
    fn sizes_are_readable() {
        let check = |octets, text| assert_eq!(size(octets), text);
        check(0, "0 octets");
        check(1023, "1023 octets");
        check(1024, "1.0 KiB");
        check(1536, "1.5 KiB");
        check(20 << 20, "20.0 MiB");
        check(u64::MAX, "16777216.0 TiB");
    }
}
