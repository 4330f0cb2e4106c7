//! Markup made simple before it is parsed as browsers do it. Those rules have no bounds of their own: an element that is
//! left open is made anew in each paragraph that follows, so that a small letter becomes a tree of gigabytes.
//!
//! What it is: one walk over the octets, which leaves the elements that are shown, each closed where its parent is, to a
//! depth and a number that are bounded. What it is not: a guard against what HTML does. That is [`crate::harmless`], which
//! parses what this leaves and trusts none of it.

use crate::limits::{
    HTML_ATTRIBUTE_OCTETS_MAX, HTML_DEPTH_MAX, HTML_OCTETS_MAX, HTML_STYLED_DEPTH_MAX, HTML_TAGS_MAX,
};

/// HTML in which every element is known, closed and in its place.
pub(crate) struct Simple {
    /// The HTML.
    pub(crate) html: String,
    /// Whether there was more of it than is taken.
    pub(crate) cut: bool,
}

/// Elements that are open around others: each with what ends it without a word where it begins itself.
const BLOCKS: [&str; 39] = [
    "article",
    "aside",
    "blockquote",
    "caption",
    "center",
    "colgroup",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "figcaption",
    "figure",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hgroup",
    "hr",
    "li",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "ul",
    "main",
];
/// Elements within a line.
const INLINE: [&str; 30] = [
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "i", "ins",
    "kbd", "mark", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u",
    "var",
];
/// Elements that hold nothing.
const EMPTY: [&str; 4] = ["br", "col", "hr", "wbr"];
/// Elements that go with all that is in them: it is nothing to be read, or no markup.
const GONE: [&str; 15] = [
    "applet",
    "iframe",
    "math",
    "noembed",
    "noframes",
    "noscript",
    "object",
    "plaintext",
    "script",
    "select",
    "style",
    "svg",
    "template",
    "textarea",
    "title",
];
/// Attributes that say something about what is read.
const ATTRIBUTES: [&str; 11] =
    ["align", "cite", "colspan", "datetime", "dir", "href", "lang", "rowspan", "span", "start", "title"];

/// Makes markup simple.
pub(crate) fn simple(html: &str) -> Simple {
    let taken = &html[..html.floor_char_boundary(HTML_OCTETS_MAX)];
    let mut walk = Walk {
        rest: taken,
        out: String::with_capacity(taken.len()),
        open: Vec::new(),
        tags: 0,
        cut: taken.len() < html.len(),
    };
    while !walk.rest.is_empty() {
        walk.step();
    }
    walk.close_to(0);
    Simple { html: walk.out, cut: walk.cut }
}

/// A walk over HTML.
struct Walk<'a> {
    rest: &'a str,
    out: String,
    /// The elements that are open, the outermost first.
    open: Vec<&'static str>,
    tags: usize,
    cut: bool,
}

/// A tag as it stands in the text.
struct Tag<'a> {
    name: String,
    ends: bool,
    attributes: Vec<(String, &'a str)>,
}

impl<'a> Walk<'a> {
    /// Takes text up to the next tag, or that tag.
    fn step(&mut self) {
        let Some(at) = self.rest.find('<') else {
            self.out.push_str(self.rest);
            self.rest = "";
            return;
        };
        let (text, rest) = self.rest.split_at(at);
        self.out.push_str(text);
        self.rest = rest;
        let after = &rest.as_bytes()[1..];
        match (after.first(), after.get(1)) {
            (Some(b'!'), _) if rest.starts_with("<!--") => self.pass_over("-->"),
            (Some(b'!' | b'?'), _) => self.pass_over(">"),
            (Some(b'/'), Some(letter)) if letter.is_ascii_alphabetic() => self.tag(),
            (Some(b'/'), _) => self.pass_over(">"),
            (Some(letter), _) if letter.is_ascii_alphabetic() => self.tag(),
            _ => {
                self.out.push_str("&lt;");
                self.rest = &rest[1..];
            }
        }
    }

    fn pass_over(&mut self, end: &str) {
        self.rest = self.rest.split_once(end).map_or("", |(_, rest)| rest);
    }

    fn tag(&mut self) {
        let (tag, rest) = read(self.rest);
        self.rest = rest;
        // A tag that has no end is none, and nothing comes after it.
        let Some(tag) = tag else { return };
        if GONE.contains(&tag.name.as_str()) {
            if !tag.ends {
                self.pass_content(&tag.name);
            }
            return;
        }
        let known = BLOCKS.iter().chain(&INLINE).chain(&EMPTY).find(|name| **name == tag.name);
        let Some(name) = known.copied() else { return };
        if self.tags >= HTML_TAGS_MAX {
            self.cut = true;
        } else if tag.ends {
            self.end(name);
        } else {
            self.begin(name, &tag.attributes);
        }
    }

    /// Passes over what is in an element that goes.
    fn pass_content(&mut self, name: &str) {
        let end = format!("</{name}");
        // Without its end nothing comes after it, as with browsers.
        let low = self.rest.as_bytes().windows(end.len());
        let at = low.into_iter().position(|window| window.eq_ignore_ascii_case(end.as_bytes()));
        self.rest = at.map_or("", |at| &self.rest[at..]);
        self.rest = read(self.rest).1;
    }

    fn begin(&mut self, name: &'static str, attributes: &[(String, &str)]) {
        self.close_before(name);
        let empty = EMPTY.contains(&name);
        let styled = || self.open.iter().filter(|open| INLINE.contains(open)).count();
        let too_deep = self.open.len() >= HTML_DEPTH_MAX
            || (INLINE.contains(&name) && styled() >= HTML_STYLED_DEPTH_MAX);
        // What is in it is still read, as a part of what is around it.
        if too_deep && !empty {
            return;
        }
        self.tags += 1;
        self.out.push('<');
        self.out.push_str(name);
        for (name, value) in attributes {
            self.out.push_str(&format!(" {name}=\""));
            self.out.push_str(&value.replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;"));
            self.out.push('"');
        }
        self.out.push('>');
        if !empty {
            self.open.push(name);
        }
    }

    /// Closes what ends, without a word, where this begins.
    fn close_before(&mut self, name: &str) {
        let (ended, around): (&[&str], &[&str]) = match name {
            "li" => (&["li"], &["ol", "ul", "td", "th"]),
            "dt" | "dd" => (&["dt", "dd"], &["dl", "td", "th"]),
            "td" | "th" => (&["td", "th", "caption", "colgroup"], &["table"]),
            "tr" => (&["tr", "caption", "colgroup"], &["table"]),
            "tbody" | "thead" | "tfoot" => (&["tbody", "thead", "tfoot", "caption", "colgroup"], &["table"]),
            "a" => (&["a"], &["td", "th", "caption", "table"]),
            _ if BLOCKS.contains(&name) => (&["p"], &["td", "th", "caption", "table"]),
            _ => return,
        };
        if let Some(place) = self.find(ended, around) {
            self.close_to(place);
        }
    }

    fn end(&mut self, name: &str) {
        // A word within a line, or a paragraph, does not end the cell that it is in.
        let table = ["table", "tbody", "tfoot", "thead", "tr", "td", "th"].contains(&name);
        let around: &[&str] = if table { &[] } else { &["td", "th", "caption", "table"] };
        if let Some(place) = self.find(&[name], around) {
            self.tags += 1;
            self.close_to(place);
        }
    }

    /// The outermost place within `around` of one of these: where rows are in cells, all of them end.
    fn find(&self, names: &[&str], around: &[&str]) -> Option<usize> {
        let within = self.open.iter().rposition(|open| around.contains(open)).map_or(0, |place| place + 1);
        let nested = self.open[within..].iter().rposition(|open| *open == "table" && !names.contains(open));
        let within = within + nested.map_or(0, |place| place + 1);
        self.open[within..].iter().rposition(|open| names.contains(open)).map(|place| within + place)
    }

    fn close_to(&mut self, place: usize) {
        for name in self.open.drain(place..).rev() {
            self.out.push_str(&format!("</{name}>"));
        }
    }
}

/// Reads the tag that a text begins with, and what follows; without a tag where it does not end.
fn read(text: &str) -> (Option<Tag<'_>>, &str) {
    let Some(inner) = text.strip_prefix('<') else { return (None, text) };
    let ends = inner.starts_with('/');
    let inner = inner.strip_prefix('/').unwrap_or(inner);
    let is_end = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>');
    let (name, mut rest) = inner.split_at(inner.find(is_end).unwrap_or(inner.len()));
    let mut attributes: Vec<(String, &str)> = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if let Some(after) = rest.strip_prefix('>') {
            return (Some(Tag { name: name.to_ascii_lowercase(), ends, attributes }), after);
        }
        if rest.is_empty() {
            return (None, "");
        }
        let (attribute, value, after) = read_attribute(rest);
        rest = after;
        let known = ATTRIBUTES.iter().find(|known| known.eq_ignore_ascii_case(attribute));
        let Some(known) = known.filter(|_| value.len() <= HTML_ATTRIBUTE_OCTETS_MAX) else { continue };
        if !attributes.iter().any(|(name, _)| name == known) {
            attributes.push(((*known).to_owned(), value));
        }
    }
}

/// Reads one attribute: its name, its value, and what follows. Takes one character at least.
fn read_attribute(text: &str) -> (&str, &str, &str) {
    let first = text.chars().next().map_or(0, char::len_utf8);
    let name_ends = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '=');
    let end = text[first..].find(name_ends).map_or(text.len(), |end| first + end);
    let (name, rest) = text.split_at(end);
    let Some(value) = rest.trim_start_matches(|c: char| c.is_ascii_whitespace()).strip_prefix('=') else {
        return (name, "", rest);
    };
    let value = value.trim_start_matches(|c: char| c.is_ascii_whitespace());
    if let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let inner = &value[1..];
        return inner.split_once(quote).map_or((name, "", ""), |(value, rest)| (name, value, rest));
    }
    let end = value.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(value.len());
    let (value, rest) = value.split_at(end);
    (name, value, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_well_stays_and_what_is_not_is_closed() {
        let check = |html: &str, expected: &str| assert_eq!(simple(html).html, expected, "{html}");
        let well = "<table><tr><td align=\"left\"><p>a <b>b</b></p></td></tr></table><ul><li>x</li></ul>";
        check(well, well);
        check("<p>a<p>b", "<p>a</p><p>b</p>");
        check("<p><b>a<p>b</b>", "<p><b>a</b></p><p>b</p>");
        check("<ul><li>a<li>b<ul><li>c</ul></ul>", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>");
        check(
            "<table><tr><td>a<td>b<tr><td>c</table>d",
            "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>d",
        );
        check("<table><tr><td></b></p>a", "<table><tr><td>a</td></tr></table>");
        check(
            "<table><tr><td><table><tr><td>a</table>b</table>",
            "<table><tr><td><table><tr><td>a</td></tr></table>b</td></tr></table>",
        );
        check("<A HREF='x?a=1&amp;b=\"2\"'>y</A>", "<a href=\"x?a=1&amp;b=&quot;2&quot;\">y</a>");
        check("<a title=\"a > b < c\" onclick=x>y</a>", "<a title=\"a &gt; b &lt; c\">y</a>");
        check("<a href=x href=y>z</a>", "<a href=\"x\">z</a>");
        check("a<!-- <b> -- > -->b<!DOCTYPE x>c<?x?>d</ e>f", "abcdf");
        check("a<style>b { <p> }</STYLE >c<script>d", "ac");
        check("1 < 2 <3 <", "1 &lt; 2 &lt;3 &lt;");
        check("a<b", "a");
        check("a<b title=\"c>d", "a");
        check("<font><b>x</font>y</b>", "<b>xy</b>");
        check("a<br>b<hr/>c<br />", "a<br>b<hr>c<br>");
        check("é<é>", "é&lt;é>");
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let deep = simple(&format!("{}x", "<div>".repeat(40_000)));
        assert_eq!(deep.html.matches("<div>").count(), HTML_DEPTH_MAX);
        assert!(!deep.cut && deep.html.contains('x'));
        let many = simple(&"<br>".repeat(40_000));
        assert_eq!((many.html.matches("<br>").count(), many.cut), (HTML_TAGS_MAX, true));
        let styled = simple(&"<b>x<i>y".repeat(10_000));
        assert_eq!(
            styled.html.matches("<b>").count() + styled.html.matches("<i>").count(),
            HTML_STYLED_DEPTH_MAX
        );
        assert!(simple(&"é".repeat(HTML_OCTETS_MAX)).cut);
    }
}
