//! Mail in HTML made harmless: no script, no style, no form, and nothing that is fetched from elsewhere.

use ammonia::Builder;

use crate::limits::HTML_OCTETS_MAX;

/// What is left of the HTML of a mail, and how many pictures and other things it wanted to fetch.
pub(crate) struct Harmless {
    /// A whole document for a frame that may do nothing.
    pub(crate) document: String,
}

/// Makes HTML harmless. What is kept are the elements and attributes that ammonia knows to be so, without pictures: they
/// tell their sender that, when and where a mail was read.
pub(crate) fn harmless(html: &str) -> Harmless {
    let cut = html.floor_char_boundary(HTML_OCTETS_MAX);
    let mut builder = Builder::default();
    builder
        .rm_tags(["img", "map", "area"])
        .url_schemes(["http", "https", "mailto"].into())
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"))
        .set_tag_attribute_value("a", "target", "_blank");
    let body = builder.clean(&html[..cut]);
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
}
