//! What was measured, and how it is written down: medians, and ratios to others of the same run.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use crate::Trouble;

/// Where the table stands in the file of the results.
const BEGIN: &str = "<!-- begin: written by scripts/bench -->";
const END: &str = "<!-- end: written by scripts/bench -->";

/// Who was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// Waxwing.
    Ours,
    /// Bare quinn, one verification, one synced file.
    Floor,
    /// Files that are written and synced, and nothing else.
    Disk,
    /// Postfix with TLS.
    PostfixTls,
    /// Postfix in plain text.
    Postfix,
    /// OpenSMTPD in plain text, which does not sync.
    Opensmtpd,
}

const OTHERS: [(Who, &str); 5] = [
    (Who::Floor, "bare floor"),
    (Who::Disk, "disk alone, synced"),
    (Who::PostfixTls, "Postfix, TLS"),
    (Who::Postfix, "Postfix, plain"),
    (Who::Opensmtpd, "OpenSMTPD, plain, **not synced**"),
];

/// Samples by what was measured and of whom.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<(String, BTreeMap<Who, Vec<f64>>)>,
    /// What is told of this node alone: a name, a figure, and its target.
    facts: Vec<[String; 3]>,
    /// Sentences below the table.
    notes: Vec<String>,
}

impl Table {
    /// Takes in one sample.
    pub(crate) fn sample(&mut self, row: &str, who: Who, value: f64) {
        println!("  {row}: {who:?} {value:.0}");
        let place = match self.rows.iter().position(|(name, _)| name == row) {
            Some(place) => place,
            None => {
                self.rows.push((row.to_owned(), BTreeMap::new()));
                self.rows.len() - 1
            }
        };
        self.rows[place].1.entry(who).or_default().push(value);
    }

    /// Takes in a fact.
    pub(crate) fn fact(&mut self, name: &str, value: String, target: &str) {
        println!("  {name}: {value}");
        self.facts.push([name.to_owned(), value, target.to_owned()]);
    }

    /// Takes in a sentence.
    pub(crate) fn note(&mut self, text: String) {
        println!("  {text}");
        self.notes.push(text);
    }

    /// The whole as Markdown.
    pub(crate) fn markdown(&self, machine: &str) -> String {
        let mut text = format!("{machine}\n\n| per second, median | Waxwing |");
        for (_, name) in OTHERS {
            // Writing into a string cannot fail.
            let _ = write!(text, " {name} |");
        }
        text.push_str("\n|---|---|---|---|---|---|---|\n");
        for (row, samples) in &self.rows {
            let ours = samples.get(&Who::Ours).map(|samples| median(samples));
            let _ = write!(text, "| {row} | {} |", ours.map_or("-".to_owned(), figure));
            for (who, _) in OTHERS {
                let cell = samples.get(&who).map(|samples| {
                    let theirs = median(samples);
                    let ratio = ours.map(|ours| format!(" ({:.2}x)", ours / theirs)).unwrap_or_default();
                    format!("{}{ratio}", figure(theirs))
                });
                let _ = write!(text, " {} |", cell.unwrap_or("-".to_owned()));
            }
            text.push('\n');
        }
        text.push_str("\nIn brackets: Waxwing divided by the other, of the same run.\n\n| | measured | target |\n|---|---|---|\n");
        for [name, value, target] in &self.facts {
            let _ = writeln!(text, "| {name} | {value} | {target} |");
        }
        for note in &self.notes {
            let _ = write!(text, "\n{note}\n");
        }
        text
    }
}

/// Puts the text between the marks of a file.
///
/// # Errors
/// Those of the file, and where it has no such marks.
pub(crate) fn write_between_marks(path: &Path, text: &str) -> Result<(), Trouble> {
    let old = std::fs::read_to_string(path)?;
    let (before, rest) = old.split_once(BEGIN).ok_or("the file of the results has no mark to begin at")?;
    let (_, after) = rest.split_once(END).ok_or("the file of the results has no mark to end at")?;
    Ok(std::fs::write(path, format!("{before}{BEGIN}\n\n{text}\n{END}{after}"))?)
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (count, middle) if count % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        (_, middle) => sorted[middle],
    }
}

/// A number with its thousands apart.
fn figure(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_figures() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!([figure(7.0), figure(1234.4), figure(1_234_567.0)], ["7", "1,234", "1,234,567"]);
    }

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.md");
        std::fs::write(&path, format!("before {BEGIN} old {END} after")).unwrap();
        write_between_marks(&path, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("before {BEGIN}\n\nnew\n{END} after"));
        std::fs::write(&path, "nothing").unwrap();
        assert!(write_between_marks(&path, "new").is_err());
    }
}
