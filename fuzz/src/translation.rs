//! Translation there and back.

use message::{Limits, Message};
use translate::{ExportOptions, ImportOptions, Reason};

const WIDE: ExportOptions = ExportOptions { utf8_headers: true, eight_bit: true };

/// What imports keeps its identity through every export (TRL-1).
pub(crate) fn import(eml: &[u8]) {
    let Ok(first) = translate::import(eml, &ImportOptions::default()) else { return };
    let again = translate::import(eml, &ImportOptions::default());
    assert_eq!(again.as_ref().map(|one| one.message.identity()), Ok(first.message.identity()), "no state");
    let narrow = match translate::export(&first.message, &ExportOptions::default()) {
        Err(refusal) if refusal.reason == Reason::NeedsUtf8Headers => {
            translate::export(&first.message, &ExportOptions { utf8_headers: true, eight_bit: false })
        }
        other => other,
    };
    for form in [narrow, translate::export(&first.message, &WIDE)] {
        let form = form.expect("what was imported can be exported");
        check_lines(&form);
        let second = translate::import(&form, &ImportOptions::default()).expect("and imported again");
        assert_eq!(second.message.identity(), first.message.identity(), "{}", String::from_utf8_lossy(&form));
    }
}

/// What a native message exports to is mail, and what that imports to keeps its identity.
pub(crate) fn export(octets: &[u8]) {
    let Ok(message) = Message::parse(octets, Limits::default()) else { return };
    for options in [ExportOptions::default(), WIDE] {
        let Ok(form) = translate::export(&message, &options) else { continue };
        assert_eq!(translate::export(&message, &options).as_ref(), Ok(&form), "the same every time");
        check_lines(&form);
        import(&form);
    }
}

/// RFC 5322 section 2.1.1: lines of at most 998 octets that end in CRLF, and neither octet alone.
fn check_lines(form: &[u8]) {
    let text = form.strip_suffix(b"\r\n").unwrap_or(form);
    for line in text.split(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(line.len() <= 998 && !line.contains(&b'\r') && !line.contains(&0), "{line:02x?}");
    }
}
