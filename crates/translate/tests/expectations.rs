//! Structure, types, names, texts and attachments agree with what the authors of the published vectors expect.

#![expect(clippy::unwrap_used, reason = "test code outside the test functions: a failure ends the test")]

mod outline;
mod vectors;

use std::fmt::Write as _;
use std::path::Path;

use outline::{Node, of_library, of_mail_parser, of_message, of_mime4j};
use waxwing_translate::{ExportOptions, ImportOptions, NoteKind, export, import};

const NO_HEADER: &str = "a file without a single header field is refused";
const UTF7: &str =
    "UTF-7 is not decoded, as no browser does: it hides markup; the octets and the charset stay";
const KEPT: &str = "text that is not in the charset it states keeps its octets; they put U+FFFD in it";
const NAME8: &str = "a raw name in ISO-8859-1: we decode it, they put U+FFFD in it";
const ENCODING: &str =
    "RFC 2045 section 6.4: with an unknown transfer encoding it is application/octet-stream";
const BACKSLASH: &str = "a path in quotes: a single backslash is part of the name";
const CR: &str = "a bare CR before the end is content";
const NOPARTS: &str = "a multipart without one delimiter line of its own is text/plain";
const FIRST: &str = "of two Content-Type fields in one block the first one counts";
const LINE: &str = "a delimiter has a line of its own; they take it anywhere";
const EMBEDDED: &str = "an embedded message without a header is a container all the same, its body is in it";
const DISPOSITION: &str = "a name without a disposition is a name";
const BASE64: &str = "what is mostly not base64 keeps its octets; they skip what does not fit";
const TAIL: &str = "base64 cut off without padding: its last whole octets are content";
const TYPE: &str = "`text` without a subtype cannot be read and is text/plain (RFC 2045 section 5.2)";
const SKIP: &str = "a line that is no field does not end the header block, it is kept as Legacy-Field; the sister file without `StartsBody` expects the same";

/// Where we differ and why. The list may only shrink.
const DIFFERENCES: &[(&str, &str)] = &[
    ("corpus-spamassassin/easy-ham-2/00288.9388b51e29a2d52191fcb2b053ace210.txt", KEPT),
    ("corpus-spamassassin/easy-ham-2/00503.a066025f6fc03a6b0439c30d0d9bc419.txt", KEPT),
    ("corpus-spamassassin/easy-ham-2/00664.28f4cb9fad800d0c7175d3a67e6c6458.txt", KEPT),
    ("corpus-spamassassin/easy-ham-2/00665.087e07e6a5f47598db0629c21e6e1a70.txt", KEPT),
    ("corpus-spamassassin/easy-ham-2/00666.009d6116caed8ebd2b48febcea7b6c38.txt", KEPT),
    ("corpus-spamassassin/easy-ham-2/00693.2183b91fb14b93bdfaab337b915c98bb.txt", KEPT),
    ("corpus-spamassassin/easy-ham-2/00813.6598e1ef9134cf77f48bca239e4ba2dc.txt", KEPT),
    ("corpus-spamassassin/easy-ham-2/00959.a24f34fb3d342beaf6fc1df54b00e5a2.txt", KEPT),
    ("corpus-spamassassin/easy-ham-2/00990.3a91d53e9908fc65cf31a6c57e2a844d.txt", KEPT),
    ("corpus-spamassassin/easy-ham-2/01317.7fc86413a091430c3104b041a6525131.txt", KEPT),
    ("mime-mailparser-rs/eml/legacy/001.eml", UTF7),
    ("mime-mailparser-rs/eml/legacy/005.eml", UTF7),
    ("mime-mailparser-rs/eml/legacy/016.eml", NAME8),
    ("mime-mailparser-rs/eml/legacy/017.eml", ENCODING),
    ("mime-mailparser-rs/eml/legacy/023.eml", NAME8),
    ("mime-mailparser-rs/eml/legacy/026.eml", ENCODING),
    ("mime-mailparser-rs/eml/legacy/033.eml", KEPT),
    ("mime-mailparser-rs/eml/legacy/034.eml", UTF7),
    ("mime-mailparser-rs/eml/legacy/035.eml", BACKSLASH),
    ("mime-mailparser-rs/eml/legacy/039.eml", BACKSLASH),
    ("mime-mailparser-rs/eml/legacy/048.eml", ENCODING),
    ("mime-mailparser-rs/eml/legacy/049.eml", CR),
    ("mime-mailparser-rs/eml/legacy/052.eml", KEPT),
    ("mime-mailparser-rs/eml/malformed/001.eml", NOPARTS),
    ("mime-mailparser-rs/eml/malformed/002.eml", NOPARTS),
    ("mime-mailparser-rs/eml/malformed/003.eml", NOPARTS),
    ("mime-mailparser-rs/eml/malformed/004.eml", NOPARTS),
    ("mime-mailparser-rs/eml/malformed/005.eml", NOPARTS),
    ("mime-mailparser-rs/eml/malformed/007.eml", FIRST),
    ("mime-mailparser-rs/eml/malformed/013.eml", NOPARTS),
    ("mime-mailparser-rs/eml/malformed/017.eml", DISPOSITION),
    ("mime-mailparser-rs/eml/malformed/019.eml", KEPT),
    ("mime-mailparser-rs/eml/malformed/020.eml", FIRST),
    ("mime-mailparser-rs/eml/malformed/021.eml", FIRST),
    ("mime-mailparser-rs/eml/malformed/022.eml", EMBEDDED),
    ("mime-mailparser-rs/eml/malformed/023.eml", NOPARTS),
    ("mime-mailparser-rs/eml/regressions/boundary-of-dashes.eml", NOPARTS),
    ("mime-mailparser-rs/eml/regressions/decode-problems.eml", BASE64),
    ("mime-mailparser-rs/eml/regressions/empty-nested-message-base64.eml", EMBEDDED),
    ("mime-mailparser-rs/eml/regressions/empty-nested-message-in-multipart.eml", EMBEDDED),
    ("mime-mailparser-rs/eml/regressions/empty-nested-message.eml", EMBEDDED),
    ("mime-mailparser-rs/eml/regressions/encoded-message-without-header.eml", EMBEDDED),
    ("mime-mailparser-rs/eml/regressions/fallback-delimiter-after-text.eml", LINE),
    ("mime-mailparser-rs/eml/regressions/fallback-delimiter-mid-line.eml", LINE),
    ("mime-mailparser-rs/eml/regressions/garbage-line-before-fold.eml", NO_HEADER),
    ("mime-mailparser-rs/eml/regressions/header-name-smuggled-subject.eml", NO_HEADER),
    ("mime-mailparser-rs/eml/regressions/no-delimiter-close-mid-line.eml", NOPARTS),
    ("mime-mailparser-rs/eml/regressions/unopened-multiparts.eml", NOPARTS),
    ("mime-mailparser-rs/eml/regressions/utf16-dangling-byte.eml", KEPT),
    ("mime-mailparser-rs/eml/regressions/utf7-terminators.eml", UTF7),
    ("mime-mailparser-rs/eml/rfc/000.eml", BASE64),
    ("mime-mailparser-rs/eml/thirdparty/002.eml", KEPT),
    ("mime-mailparser-rs/eml/thirdparty/004.eml", ENCODING),
    ("mime-mailparser-rs/eml/thirdparty/005.eml", LINE),
    ("mime-mailparser-rs/eml/thirdparty/015.eml", NOPARTS),
    ("mime-mime4j/mimetools-testmsgs/badbound.msg", NOPARTS),
    ("mime-mime4j/mimetools-testmsgs/frag.msg", TAIL),
    ("mime-mime4j/mimetools-testmsgs/multi-digest.msg", TYPE),
    ("mime-mime4j/mimetools-testmsgs/multi-frag.msg", TAIL),
    ("mime-mime4j/mimetools-testmsgs/x-gzip64.msg", ENCODING),
    ("mime-mime4j/testmsgs/ending-boundaries.msg", LINE),
    ("mime-mime4j/testmsgs/malformedHeader-noheader.msg", NO_HEADER),
    ("mime-mime4j/testmsgs/malformedHeaderStartsBody-nocrlfcrlf.msg", SKIP),
    ("mime-mime4j/testmsgs/malformedHeaderStartsBody-noheader.msg", NO_HEADER),
    ("mime-mime4j/testmsgs/missing-boundary.msg", NOPARTS),
    ("mime-mime4j/testmsgs/missing-inner-boundary.msg", NOPARTS),
];

/// Compares one message with the outline that its authors expect; `None` where they agree.
fn difference(eml: &[u8], expected: &[Node]) -> Option<String> {
    let imported = match import(eml, &ImportOptions::default()) {
        Ok(imported) => imported,
        Err(refusal) => return Some(refusal.to_string()),
    };
    let found = of_message(&imported.message);
    let at = found.iter().zip(expected).take_while(|(ours, theirs)| ours.agrees(theirs)).count();
    if at == found.len() && at == expected.len() {
        return None;
    }
    Some(format!("node {at}:\n    ours   {:?}\n    theirs {:?}", found.get(at), expected.get(at)))
}

/// Compares every message of a folder that has an outline, in each of the forms that `outlines` gives.
fn check(folder: &str, kind: &str, outlines: impl Fn(&Path) -> Vec<(Vec<u8>, Vec<Node>)>, expected: usize) {
    let Some(root) = vectors::folder() else { return };
    let (mut unexpected, mut compared) = (String::new(), 0);
    for path in vectors::files(&root.join(folder), &[kind]) {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let forms = outlines(&path);
        compared += forms.len();
        let listed = DIFFERENCES.iter().any(|(known, _)| *known == name);
        let found = forms.iter().find_map(|(eml, outline)| difference(eml, outline));
        match found {
            None if listed => writeln!(unexpected, "{name}: agrees now, take it off the list").unwrap(),
            Some(text) if !listed => writeln!(unexpected, "{name}: {text}").unwrap(),
            _ => {}
        }
    }
    println!("{folder}: {compared} compared");
    assert!(unexpected.is_empty(), "{unexpected}");
    assert_eq!(compared, expected, "messages compared");
}

/// Each message has one expectation for line ends LF and one for CRLF.
///
/// proves: TRL-8, TRL-10, TRL-11, TRL-13
#[test]
fn mail_parser() {
    let forms = |path: &Path| {
        let eml = std::fs::read(path).unwrap();
        let lf = replace(&eml, b"\r\n", b"\n");
        let crlf = replace(&lf, b"\n", b"\r\n");
        [(lf, "json"), (crlf, "crlf.json")]
            .into_iter()
            .filter_map(|(eml, kind)| Some((eml, of_mail_parser(&path.with_extension(kind))?)))
            .collect()
    };
    check("mime-mailparser-rs/eml", "eml", forms, 368);
}

/// proves: TRL-10, TRL-11
#[test]
fn mime4j() {
    let forms = |path: &Path| {
        of_mime4j(path).map(|nodes| (std::fs::read(path).unwrap(), nodes)).into_iter().collect()
    };
    check("mime-mime4j", "msg", forms, 80);
}

/// Real mail, beside the library mail-parser, which takes messages apart in its own way.
///
/// proves: TRL-10, TRL-11, TRL-13
#[test]
fn spamassassin_beside_mail_parser() {
    let forms = |path: &Path| {
        let eml = std::fs::read(path).unwrap();
        of_library(&eml).map(|nodes| (eml, nodes)).into_iter().collect()
    };
    check("corpus-spamassassin", "txt", forms, 1400);
}

/// Where mail-parser reads an export otherwise. The list may only shrink.
const READ_DIFFERENTLY: &[(&str, &str)] = &[
    ("mime-mailparser-rs/eml/malformed/007.eml", "a multipart of no parts is a text for it"),
    ("mime-mailparser-rs/eml/malformed/017.eml", DISPOSITION),
    ("mime-mime4j/testmsgs/missing-inner-start-boundary.msg", "a multipart of no parts is a text for it"),
];

/// What we write is read by others as we meant it: mail-parser finds in every export what stands in the message.
///
/// proves: TRL-16, TRL-18
#[test]
fn exports_are_read_by_mail_parser() {
    let Some(root) = vectors::folder() else { return };
    let (mut unexpected, mut compared) = (String::new(), 0);
    for (folder, kind) in
        [("corpus-spamassassin", "txt"), ("mime-mime4j", "msg"), ("mime-mailparser-rs/eml", "eml")]
    {
        for path in vectors::files(&root.join(folder), &[kind]) {
            let Ok(imported) = import(&std::fs::read(&path).unwrap(), &ImportOptions::default()) else {
                continue;
            };
            if imported.notes.iter().any(|note| note.kind == NoteKind::CharsetKept) {
                continue;
            }
            let written = export(&imported.message, &ExportOptions::default()).unwrap();
            compared += 1;
            let (ours, theirs) = (of_message(&imported.message), of_library(&written).unwrap());
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            let listed = READ_DIFFERENTLY.iter().any(|(known, _)| *known == name);
            let at = ours.iter().zip(&theirs).take_while(|(ours, theirs)| ours.agrees(theirs)).count();
            let same = at == ours.len().max(theirs.len());
            if same == listed {
                let (ours, theirs) = (ours.get(at), theirs.get(at));
                writeln!(unexpected, "{name}:\n    ours   {ours:?}\n    theirs {theirs:?}").unwrap();
            }
        }
    }
    println!("{compared} exports read");
    assert!(unexpected.is_empty(), "{unexpected}");
    assert!(compared > 1600, "only {compared} compared");
}

fn replace(octets: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(octets.len());
    let mut rest = octets;
    while let Some((first, after)) = rest.split_first() {
        match rest.strip_prefix(what) {
            Some(after) => {
                replaced.extend_from_slice(with);
                rest = after;
            }
            None => {
                replaced.push(*first);
                rest = after;
            }
        }
    }
    replaced
}
