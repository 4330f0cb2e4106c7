//! The name of an attachment.

use message::HeaderBlock;

/// The name that a part's sender gave it, for display alone.
pub fn file_name(block: &HeaderBlock) -> Option<String> {
    let disposition = block.only("Content-Disposition")?;
    let rest = disposition.split_once("filename=")?.1;
    let Some(quoted) = rest.strip_prefix('"') else {
        return Some(rest.split(';').next().unwrap_or_default().trim().to_owned());
    };
    let (mut name, mut escaped) = (String::new(), false);
    for c in quoted.chars() {
        match c {
            '"' if !escaped => break,
            '\\' if !escaped => escaped = true,
            other => {
                escaped = false;
                name.push(other);
            }
        }
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use message::HeaderBuilder;

    #[test]
    fn names_are_found() {
        let check = |disposition: &str, name: Option<&str>| {
            let mut header = HeaderBuilder::new();
            header.push("Content-Disposition", disposition).unwrap();
            assert_eq!(file_name(&header.finish().unwrap()).as_deref(), name, "{disposition}");
        };
        check("attachment; filename=film.mkv", Some("film.mkv"));
        check("attachment; filename=film.mkv; size=3", Some("film.mkv"));
        check("attachment; filename=\"a film\\\" of mine.mkv\"", Some("a film\" of mine.mkv"));
        check("inline", None);
    }
}
