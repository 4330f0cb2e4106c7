//! Mail in HTML made harmless: no script, no style, no form, and nothing that is fetched from elsewhere.

use ammonia::Builder;

use crate::simple::simple;

/// What is left of the HTML of a mail.
pub(crate) struct Harmless {
    /// A whole document for a frame that may do nothing.
    pub(crate) document: String,
}

/// Makes HTML harmless. What is kept are the elements and attributes that ammonia knows to be so, without pictures: they
/// tell their sender that, when and where a mail was read.
///
/// The work is bounded by what [`simple`] leaves, and takes a processor: it is done where nobody waits for that.
///
/// keeps: CON-1
pub(crate) fn harmless(html: &str) -> Harmless {
    let mut builder = Builder::default();
    builder
        .rm_tags(["img", "map", "area"])
        .url_schemes(["http", "https", "mailto"].into())
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"))
        .set_tag_attribute_value("a", "target", "_blank");
    let body = builder.clean(&simple(html).html);
    Harmless {
        document: format!(
            "<!DOCTYPE html><html lang=\"und\"><head><meta charset=\"utf-8\"><title>Mail</title>\
             <link rel=\"stylesheet\" href=\"/mail.css\"></head><body>{body}</body></html>"
        ),
    }
}

/// How often the HTML wants something from elsewhere, roughly: what the reader is told.
pub(crate) fn wishes(html: &str) -> usize {
    let low = html.to_ascii_lowercase();
    low.matches("<img").count()
        + low.matches("<link").count()
        + low.matches("background=").count()
        + low.matches("url(").count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HTML_OCTETS_MAX;

    #[test]
    fn nothing_acts_and_nothing_is_fetched() {
        for html in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "<img src=\"http://tracker.test/pixel.gif\">",
            "<svg onload=alert(1)><a xlink:href=\"javascript:alert(1)\">x</a></svg>",
            "<a href=\"javascript:alert(1)\">x</a>",
            "<a href=\"data:text/html,<script>alert(1)</script>\">x</a>",
            "<iframe src=\"http://elsewhere.test\"></iframe>",
            "<form action=\"http://elsewhere.test\"><input name=q><button>go</button></form>",
            "<div style=\"background:url(http://tracker.test/x)\">x</div>",
            "<style>@import url(http://tracker.test/x);</style>",
            "<link rel=stylesheet href=http://tracker.test/x>",
            "<meta http-equiv=refresh content=\"0;url=http://elsewhere.test\">",
            "<base href=\"http://elsewhere.test/\">",
            "<video src=http://tracker.test/x autoplay></video>",
            "<table background=\"http://tracker.test/x\"><tr><td>x</table>",
            "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></table></mtext></math>",
            "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\"></noscript>",
            "<object data=\"http://elsewhere.test\"></object><embed src=\"http://elsewhere.test\">",
        ] {
            let document = harmless(html).document;
            let body = document.split_once("<body>").unwrap().1;
            for word in ["script", "onerror", "onload", "tracker", "elsewhere", "<img", "<style", "data:"] {
                // The text of an attribute that is only shown does nothing.
                let shown = body.replace("&lt;img src=x onerror=alert(1)&gt;", "");
                assert!(!shown.contains(word), "{html} leaves {word}: {body}");
            }
        }
    }

    #[test]
    fn what_is_read_stays() {
        let document = harmless("<p>Dear <b>Bob</b>, <a href=\"https://a.test/?q=1\">look</a></p>").document;
        assert!(document.contains("<p>Dear <b>Bob</b>, <a href=\"https://a.test/?q=1\""), "{document}");
        assert!(document.contains("rel=\"noopener noreferrer nofollow\"") && document.contains("_blank"));
        assert!(harmless(&"é".repeat(HTML_OCTETS_MAX)).document.len() < 2 * HTML_OCTETS_MAX);
        assert_eq!(wishes("<IMG src=a><img src=b><p style='x:url(c)'>"), 3);
    }

    /// Letters on which a parser without bounds works for seconds and takes gigabytes, each as long as one may be.
    fn hostile() -> Vec<(&'static str, String)> {
        let fill = |piece: &dyn Fn(usize) -> String| {
            let mut html = String::new();
            for number in 0.. {
                let piece = piece(number);
                if html.len() + piece.len() > HTML_OCTETS_MAX {
                    break;
                }
                html.push_str(&piece);
            }
            html
        };
        // Half of the one, then half of the other.
        let then = |first: &dyn Fn(usize) -> String, second: &str| {
            let mut html = fill(first);
            html.truncate(html.floor_char_boundary(HTML_OCTETS_MAX / 2));
            html.push('>');
            while html.len() + second.len() <= HTML_OCTETS_MAX {
                html.push_str(second);
            }
            html
        };
        vec![
            ("open words, then paragraphs", format!("<p>{}", then(&|n| format!("<b id={n}>"), "<p>x"))),
            ("words that differ by what is kept", then(&|n| format!("<b title={n}>"), "<p>x")),
            ("fonts", then(&|n| format!("<font size={n}>"), "<div>x</div>")),
            ("links", then(&|n| format!("<a href=http://{n}.test>"), "<p>x")),
            ("links in cells", fill(&|n| format!("<table><td><a href=http://{n}.test>"))),
            ("nobr", then(&|n| format!("<nobr id={n}>"), "<li>x")),
            ("blocks in blocks", fill(&|_| "<div>".to_owned())),
            ("lists in lists", fill(&|_| "<ul><li>".to_owned())),
            ("tables in tables", fill(&|_| "<table><tr><td>".to_owned())),
            ("what does not belong in a table", format!("<table>{}", fill(&|_| "<div>x</div>".to_owned()))),
            (
                "words that do not belong in a table",
                format!("<table>{}", fill(&|n| format!("<b title={n}>x<tr>"))),
            ),
            ("text in a table", format!("<table>{}", fill(&|_| "x<tr>".to_owned()))),
            ("ends in comments", then(&|n| format!("<b title={n}><!--</b>-->"), "<p>x")),
            ("ends in attributes", then(&|n| format!("<b title={n}><i title=\"</b>\">"), "<p>x")),
            ("ends behind cells", fill(&|n| format!("<b title={n}><td></b>"))),
            ("ends behind captions", fill(&|n| format!("<table><caption><b title={n}></table></b><p>x"))),
            ("crossed ends", fill(&|n| format!("<b title={n}><p></b>x<i></p></i>"))),
            ("ends of nothing", fill(&|_| "</p></b></td>".to_owned())),
            ("attributes", format!("<a {}>", fill(&|n| format!("a{n} ")))),
            ("one attribute", format!("<a href=\"{}", fill(&|_| "x".to_owned()))),
            ("a comment that does not end", format!("<!--{}", fill(&|_| "<!--".to_owned()))),
            ("tags that do not end", fill(&|_| "<a <b ".to_owned())),
            ("less than", fill(&|_| "<".to_owned())),
            ("styles that do not end", fill(&|_| "<style>".to_owned())),
            ("styles that end", fill(&|_| "<style></style>".to_owned())),
            ("foreign elements", fill(&|_| "<svg><p><math>".to_owned())),
            ("quotations", fill(&|_| "<blockquote><p><b>".to_owned())),
            ("definitions", fill(&|_| "<dl><dd><em>".to_owned())),
            ("headings", fill(&|n| format!("<h1><strong title={n}><h2>"))),
            ("buttons and forms", fill(&|n| format!("<form><button><b title={n}><p>"))),
        ]
    }

    /// The most memory that this process has had, where the operating system says so.
    fn most_kibibytes() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    }

    /// The tree is as large as what is written of it: a parser that makes elements anew makes them visible here. The time
    /// is generous for a machine that does other things, and seconds away from what it was.
    ///
    /// proves: CON-1
    #[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
    #[test]
    fn no_letter_takes_more_than_its_share() {
        let most_before = most_kibibytes();
        for (what, html) in hostile() {
            let before = std::time::Instant::now();
            let document = harmless(&html).document;
            let took = before.elapsed();
            let tags = document.matches('<').count();
            // Each link gets more attributes than it had, and each tag its end.
            assert!(document.len() < 5 * HTML_OCTETS_MAX, "{what}: {} octets", document.len());
            assert!(tags < 8 * crate::limits::HTML_TAGS_MAX, "{what}: {tags} tags");
            assert!(took < std::time::Duration::from_secs(2), "{what}: {took:?}");
        }
        // Three gigabytes for one of them were the reason for all this.
        let took = most_kibibytes().saturating_sub(most_before);
        assert!(took < 192 * 1024, "{took} KiB");
    }

    /// Whatever is put together of such pieces, by chance.
    ///
    /// proves: CON-1
    #[test]
    fn no_mixture_of_tags_grows() {
        const PIECES: [&str; 30] = [
            "<p>",
            "</p>",
            "<b>",
            "</b>",
            "<a href=x>",
            "</a>",
            "<i title=1>",
            "<i title=2>",
            "</i>",
            "<table>",
            "</table>",
            "<tr>",
            "</tr>",
            "<td>",
            "</td>",
            "<caption>",
            "</caption>",
            "<div>",
            "</div>",
            "<li>",
            "<ul>",
            "</ul>",
            "x",
            "<h1>",
            "</h1>",
            "<tbody>",
            "<colgroup>",
            "<col>",
            "<em>",
            "<blockquote>",
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..200 {
            // Some pieces come more often than others, others in each mixture.
            let some: Vec<&str> = (0..6).map(|_| PIECES[(next() % 30) as usize]).collect();
            let html: String = (0..2_000).map(|_| some[(next() % 6) as usize]).collect();
            let document = harmless(&html).document;
            let tags = document.matches('<').count();
            assert!(tags < 4 * 2_000, "{some:?}: {tags} tags of 2000");
        }
    }
}
