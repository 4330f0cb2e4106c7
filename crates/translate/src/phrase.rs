//! Address fields: what people read in them, the phrases and comments, apart from what programs read.
//!
//! A display name is decoded and then quoted where it must be, so that a decoded comma or `@` can never become part of
//! an address list.

use std::borrow::Cow;

use crate::word::{decode_words, encode_words, word_length};

/// Which way an address field is rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Encoded words become UTF-8 text, quoted where it must be.
    Import,
    /// Text that is not plain ASCII becomes encoded words.
    Export,
}

/// Rewrites the phrases and comments of an address field and leaves everything else as it is.
///
/// keeps: TRL-7, TRL-16
pub(crate) fn rewrite(text: &str, way: Way) -> Cow<'_, str> {
    if text.is_ascii() && !text.contains("=?") {
        return Cow::Borrowed(text);
    }
    let mut rewriter = Rewriter { text, at: 0, run: Vec::new(), written: String::new(), way };
    rewriter.run();
    Cow::Owned(rewriter.written)
}

/// One word of a phrase, with the white space before it.
struct Word<'a> {
    space: &'a str,
    source: &'a str,
    /// The text without quotes.
    text: String,
    /// Whether an `@` stands in it outside quotes: then it is an address, not a name.
    address: bool,
}

struct Rewriter<'a> {
    text: &'a str,
    at: usize,
    run: Vec<Word<'a>>,
    written: String,
    way: Way,
}

impl<'a> Rewriter<'a> {
    fn run(&mut self) {
        loop {
            let from = self.at;
            self.skip_while(|c| c == ' ' || c == '\t');
            let space = &self.text[from..self.at];
            match self.peek() {
                None => {
                    self.end_run(None);
                    return self.written.push_str(space);
                }
                Some('(') => {
                    self.end_run(None);
                    self.written.push_str(space);
                    self.comment();
                }
                Some(c @ ('<' | '>' | ',' | ';' | ':' | ')')) => {
                    self.end_run(Some(c));
                    self.written.push_str(space);
                    let from = self.at;
                    if c == '<' {
                        self.angle()
                    } else {
                        self.at += 1
                    }
                    self.written.push_str(&self.text[from..self.at]);
                }
                Some(_) => {
                    let word = self.word(space);
                    self.run.push(word);
                }
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn skip_while(&mut self, mut keep: impl FnMut(char) -> bool) {
        let rest = &self.text[self.at..];
        self.at += rest.find(|c| !keep(c)).unwrap_or(rest.len());
    }

    /// Moves behind the `>` that ends an address; a `>` in quotes does not.
    fn angle(&mut self) {
        let (mut quoted, mut escaped, mut done) = (false, false, false);
        self.skip_while(|c| {
            if done {
                return false;
            }
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                '>' if !quoted => done = true,
                _ => {}
            }
            true
        });
    }

    /// Reads the text in quotes or parentheses that begins here, the escapes undone.
    fn enclosed(&mut self, open: char, close: char) -> String {
        let mut text = String::new();
        let (mut depth, mut escaped, mut first, mut done) = (0_usize, false, true, false);
        self.skip_while(|c| {
            if done {
                return false;
            }
            match c {
                _ if first => first = false,
                _ if escaped => {
                    escaped = false;
                    text.push(c);
                }
                '\\' => escaped = true,
                _ if c == close && depth == 0 => done = true,
                _ => {
                    if c == close {
                        depth -= 1;
                    } else if c == open {
                        depth += 1;
                    }
                    text.push(c);
                }
            }
            true
        });
        text
    }

    fn comment(&mut self) {
        let from = self.at;
        let text = self.enclosed('(', ')');
        let source = &self.text[from..self.at];
        if source.is_ascii() && !source.contains("=?") {
            return self.written.push_str(source);
        }
        let inner = match self.way {
            Way::Import => escape(&decode_words(&text).0, "()\\"),
            Way::Export => encode_words(&text),
        };
        self.written.push('(');
        self.written.push_str(&inner);
        self.written.push(')');
    }

    fn word(&mut self, space: &'a str) -> Word<'a> {
        let from = self.at;
        let (mut text, mut address) = (String::new(), false);
        while let Some(c) = self.peek() {
            if c == '"' {
                text.push_str(&self.enclosed('"', '"'));
            } else if let Some(length) = word_length(&self.text[self.at..]) {
                text.push_str(&self.text[self.at..self.at + length]);
                self.at += length;
            } else if " \t()<>,;:".contains(c) {
                break;
            } else {
                address |= c == '@';
                text.push(c);
                self.at += c.len_utf8();
            }
        }
        Word { space, source: &self.text[from..self.at], text, address }
    }

    /// Writes the words collected. Before `<` and `:` all of them are a name; elsewhere an address stands apart.
    fn end_run(&mut self, next: Option<char>) {
        let words = std::mem::take(&mut self.run);
        if matches!(next, Some('<' | ':')) {
            return self.phrase(&words);
        }
        let mut rest = words.as_slice();
        while !rest.is_empty() {
            let names = rest.iter().take_while(|word| !word.address).count();
            self.phrase(&rest[..names]);
            if let Some(word) = rest.get(names) {
                self.written.push_str(word.space);
                self.written.push_str(word.source);
            }
            rest = rest.get(names + 1..).unwrap_or_default();
        }
    }

    fn phrase(&mut self, words: &[Word<'_>]) {
        let Some(first) = words.first() else { return };
        self.written.push_str(first.space);
        if words.iter().all(|word| word.source.is_ascii() && !word.source.contains("=?")) {
            self.written.push_str(first.source);
            for word in &words[1..] {
                self.written.push_str(word.space);
                self.written.push_str(word.source);
            }
            return;
        }
        let mut text = first.text.clone();
        for word in &words[1..] {
            text.push_str(word.space);
            text.push_str(&word.text);
        }
        match self.way {
            Way::Export => self.written.push_str(&encode_words(&text)),
            Way::Import => self.written.push_str(&quote_if_needed(&decode_words(&text).0)),
        }
    }
}

/// Quotes text that could be read as anything but a name.
fn quote_if_needed(text: &str) -> String {
    let special = text.contains(|c| "()<>[]:;@\\,.\"".contains(c)) || text.contains("=?");
    if special || text.is_empty() || text.trim_matches([' ', '\t']) != text {
        format!("\"{}\"", escape(text, "\"\\"))
    } else {
        text.to_owned()
    }
}

fn escape(text: &str, which: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if which.contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(legacy: &str, native: &str) {
        let imported = rewrite(legacy, Way::Import).into_owned();
        assert_eq!(imported, native, "import of {legacy}");
        assert_eq!(rewrite(&imported, Way::Import), imported, "import twice of {legacy}");
        if imported.is_ascii() && !imported.contains("=?") {
            assert_eq!(rewrite(&imported, Way::Export), imported);
        }
        let exported = rewrite(&imported, Way::Export).into_owned();
        assert_eq!(rewrite(&exported, Way::Import), native, "import of {exported}");
    }

    /// proves: TRL-7
    #[test]
    fn names_are_text_and_addresses_stay() {
        check("a@b.test, \"C, D\" <c@d.test>", "a@b.test, \"C, D\" <c@d.test>");
        check("=?utf-8?Q?Zo=C3=AB?= <z@n.test>", "Zoë <z@n.test>");
        check("=?utf-8?Q?Doe,_Zo=C3=AB?= <z@n.test>", "\"Doe, Zoë\" <z@n.test>");
        check("\"Zoë\"  <z@n.test>", "Zoë  <z@n.test>");
        check("\"=?utf-8?Q?Zo=C3=AB?=\" Doe <z@n.test>", "Zoë Doe <z@n.test>");
        check("=?utf-8?Q?evil=40x.test?= <z@n.test>", "\"evil@x.test\" <z@n.test>");
        check("=?utf-8?Q?a=40b.test=2C?= c@d.test", "\"a@b.test,\" c@d.test");
        check("z@n.test (=?utf-8?Q?Zo=C3=AB_=28x?=)", "z@n.test (Zoë \\(x)");
        check("=?utf-8?Q?Gr=C3=BCn?=: a@b.test, c@d.test;", "Grün: a@b.test, c@d.test;");
        check("=?x-none?Q?a?= <z@n.test>", "\"=?x-none?Q?a?=\" <z@n.test>");
        check("jörg@x.test <a@b.test>", "\"jörg@x.test\" <a@b.test>");
        check("\"un\\\"ü <a@b.test>", "\"un\\\"ü <a@b.test>\"");
        check("(ü", "(ü)");
    }

    /// proves: TRL-7
    #[test]
    fn an_address_outside_ascii_is_not_touched() {
        let text = "jörg@x.test, <jörg@x.test>";
        assert_eq!(rewrite(text, Way::Import), text);
        assert_eq!(rewrite(text, Way::Export), text);
    }
}
