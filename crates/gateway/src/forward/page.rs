//! The page of a record for its final recipient, who has followed a link and has no account here.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;

use super::document::RecordDocument;

/// The change that a request asks for: of a form, or of a JSON object.
pub(super) fn wanted(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let media_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    match media_type.split(';').next().unwrap_or("").trim() {
        "application/x-www-form-urlencoded" => {
            let text = std::str::from_utf8(body).ok()?;
            text.split('&').find_map(|pair| pair.strip_prefix("change=")).map(str::to_owned)
        }
        "application/json" => {
            let value: serde_json::Value = serde_json::from_slice(body).ok()?;
            value.get("change")?.as_str().map(str::to_owned)
        }
        _ => None,
    }
}

/// The page: what is, and what can be done about it. No script, and nothing from elsewhere.
pub(super) fn page(record: &RecordDocument) -> String {
    let (alias, target) = (escaped(&record.alias), escaped(&record.target));
    let state = match record.state.as_str() {
        "granted" => "It is forwarded, and your mail server knows of it.",
        "rewriting" => "It is forwarded; your mail server does not take part, so the sender is rewritten.",
        "deleted" => "It is not forwarded any more.",
        _ => "It waits until your mail server has agreed.",
    };
    let mut changes = Vec::new();
    if record.state == "deleted" {
        changes.push(("resume", "Forward it again"));
    } else {
        changes.push(("delete", "Stop forwarding"));
        changes.push(match record.conceal {
            true => ("reveal", "Let senders see where it goes when something is refused"),
            false => ("conceal", "Do not let senders see where it goes"),
        });
    }
    let forms: String = changes
        .into_iter()
        .map(|(word, text)| {
            format!("<form method=\"post\"><button name=\"change\" value=\"{word}\">{text}</button></form>\n")
        })
        .collect();
    let from: String =
        record.from.iter().map(|from| from_line(&from.forwarder, from.page.as_deref())).collect();
    let from = if from.is_empty() {
        String::new()
    } else {
        format!("<h2>What leads to {alias}</h2><ul>{from}</ul>")
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\">\
         <title>Forwarding of {alias}</title>\
         <style>body{{font:1rem/1.5 sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem}}\
         button{{font:inherit;padding:.4rem .8rem;margin:.3rem 0}}</style></head>\n\
         <body><h1>Mail for {alias}</h1>\n<p>It goes to <strong>{target}</strong>. {state}</p>\n{forms}{from}\
         <p>Whoever has the address of this page can do this. Keep it to yourself.</p></body></html>\n"
    )
}

fn from_line(forwarder: &str, page: Option<&str>) -> String {
    let name = escaped(forwarder);
    match page {
        Some(page) => format!("<li><a href=\"{}\" rel=\"noreferrer\">{name}</a></li>", escaped(page)),
        None => format!("<li>{name}</li>"),
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_escaped() {
        let record = RecordDocument {
            version: 1,
            alias: "\"<script>\"@a.test".to_owned(),
            target: "b&c@b.test".to_owned(),
            state: "granted".to_owned(),
            since_ms: 0,
            conceal: false,
            from: Vec::new(),
        };
        let page = page(&record);
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("b&amp;c@b.test") && page.contains("value=\"delete\""), "{page}");
    }
}
