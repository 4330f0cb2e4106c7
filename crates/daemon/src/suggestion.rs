//! What somebody may have meant who has written a key that there is not.

/// An error of the reader of the configuration, with the key that is nearest to the unknown one, where one is near.
/// keeps: POL-10
pub(crate) fn with_suggestion(error: &str) -> String {
    let meant = error.lines().find_map(|line| {
        let (_, rest) = line.split_once("unknown field `")?;
        let (unknown, expected) = rest.split_once('`')?;
        let known = expected.split('`').skip(1).step_by(2);
        let near = known.map(|known| (distance(unknown, known), known)).min()?;
        (near.0 <= 1 + unknown.chars().count() / 4).then(|| near.1.to_owned())
    });
    match meant {
        Some(meant) => format!("{}\ndid you mean `{meant}`?", error.trim_end()),
        None => error.to_owned(),
    }
}

/// How many characters have to be put in, taken out or exchanged (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (line, left) in one.chars().enumerate() {
        let mut before = row[0];
        row[0] = line + 1;
        for (column, right) in other.chars().enumerate() {
            let exchanged = before + usize::from(left != right);
            before = row[column + 1];
            row[column + 1] = exchanged.min(before + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: POL-10
    #[test]
    fn what_is_near_is_suggested() {
        let check = |error: &str, meant: &str| {
            let told = with_suggestion(error);
            assert!(told.starts_with(error) && told.ends_with(meant), "{told}");
        };
        check("unknown field `adress`, expected `address`", "did you mean `address`?");
        check(
            "unknown field `frist-contact`, expected one of `default`, `first-contact`",
            "`first-contact`?",
        );
        check("unknown field `rule`, expected one of `relay`, `rules`", "did you mean `rules`?");
        check("unknown field `colour`, expected one of `default`, `first-contact`", "`first-contact`");
        check("missing field `name`", "missing field `name`");
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
