//! The dialogues of `tests/dialogues`: send and expect, a line each.
//!
//! `#` is a comment; `@ port` begins a session at `transfer`, `submission` or `submissions`, which is told nothing as yet;
//! `> text` sends a line; `>> text` sends octets without a line end, `\r`, `\n`, `\0` and `\\` being what they are;
//! `< text` is the begin of the next line that is said; `! tls` does the handshake, `! closed` and `! silent` say how it
//! stands now, `! taken N` how many messages were taken in this session.

use std::path::PathBuf;

use super::talk::Talk;
use crate::Service;

struct Reader {
    talk: Talk,
    read: usize,
}

impl Reader {
    fn at(port: &str) -> Option<Reader> {
        let service = match port {
            "transfer" => Service::Transfer,
            "submission" => Service::Submission,
            "submissions" => Service::Submissions,
            _ => return None,
        };
        let mut talk = Talk::at(service);
        if service == Service::Submissions {
            talk.session.already(super::talk::encrypted());
        }
        Some(Reader { talk, read: 0 })
    }

    fn next(&mut self) -> Option<String> {
        let said = self.talk.said();
        let line = said[self.read..].split_once("\r\n")?.0.to_owned();
        self.read += line.len() + 2;
        Some(line)
    }

    fn step(&mut self, line: &str) -> Result<(), String> {
        let (sign, rest) = line.split_once(' ').unwrap_or((line, ""));
        let is =
            |held: bool| if held { Ok(()) } else { Err(format!("it is not so; {:?}", self.talk.said())) };
        match (sign, rest) {
            (">", text) => drop(self.talk.send(format!("{text}\r\n"))),
            (">>", text) => drop(self.talk.send(octets(text))),
            ("<", text) => {
                let said = self.next().unwrap_or_default();
                if !said.starts_with(text) || said.is_empty() {
                    return Err(format!("{said:?} was said"));
                }
            }
            ("!", "tls") => self.talk.encrypt(),
            ("!", "closed") => return is(self.talk.closed),
            ("!", "silent") => return is(self.talk.said().len() == self.read && !self.talk.closed),
            ("!", other) => {
                let wanted = other.strip_prefix("taken ").and_then(|number| number.parse().ok());
                return is(wanted == Some(self.talk.taken().len()));
            }
            _ => return Err("that is no line of a dialogue".to_owned()),
        }
        Ok(())
    }
}

fn octets(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let character = match character {
            '\\' => match characters.next() {
                Some('r') => '\r',
                Some('n') => '\n',
                Some('0') => '\0',
                other => other.unwrap_or('\\'),
            },
            other => other,
        };
        octets.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    octets
}

/// proves: GW-1, GW-5, GW-6, GW-8, GW-12
#[test]
fn all_dialogues_go_as_they_are_written() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/dialogues");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut steps = 0;
    for file in files {
        let mut reader: Option<Reader> = None;
        for (place, line) in std::fs::read_to_string(&file).unwrap().lines().enumerate() {
            let line = line.trim_end_matches('\n');
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let at = || format!("{}:{}: {line}", file.display(), place + 1);
            if let Some(port) = line.strip_prefix("@ ") {
                reader = Some(Reader::at(port).unwrap_or_else(|| panic!("{}", at())));
                continue;
            }
            let reader = reader.as_mut().unwrap_or_else(|| panic!("{}: @ comes first", at()));
            if let Err(wrong) = reader.step(line) {
                panic!("{}: {wrong}", at());
            }
            steps += 1;
        }
    }
    assert!(steps > 50, "the dialogues are there");
}
