//! The rules of `spec/11-translation.md`, one by one, on messages typed by hand or from the RFCs.

#![expect(clippy::unwrap_used, reason = "test code outside the test functions: a failure ends the test")]

use bytes::Bytes;
use message::{Draft, DraftContent, DraftPart, Extent, HeaderBuilder, Limits, Message};
use waxwing_translate::{
    ExportOptions, ImportOptions, NoteKind, ORIGINAL_TYPE, Reason, SIGNED_ENTITY_TYPE, export, import,
    original,
};

/// Lines as SMTP carries them.
fn crlf(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

fn imported(eml: &[u8]) -> Message {
    import(eml, &ImportOptions::default()).unwrap().message
}

fn exported(message: &Message) -> String {
    String::from_utf8(export(message, &ExportOptions::default()).unwrap()).unwrap()
}

/// The types of all parts in order.
fn types(message: &Message) -> Vec<&str> {
    message.manifest().parts().map(|part| part.media_type.as_str()).collect()
}

fn field(message: &Message, part: usize, name: &str) -> Option<String> {
    message.headers().parts()[part].only(name)
}

/// RFC 2049 appendix A, with real base64 where the RFC has words in its place.
const COMPLEX: &str = "MIME-Version: 1.0
From: Nathaniel Borenstein <nsb@nsb.fv.com>
To: Ned Freed <ned@innosoft.com>
Date: Fri, 07 Oct 1994 16:15:05 -0700 (PDT)
Subject: A multipart example
Content-Type: multipart/mixed;
              boundary=unique-boundary-1

This is the preamble area of a multipart message.
Mail readers that understand multipart format
should ignore this preamble.

--unique-boundary-1

  ... Some text appears here ...

--unique-boundary-1
Content-type: text/plain; charset=US-ASCII

This could have been part of the previous part, but
illustrates explicit versus implicit typing of body
parts.

--unique-boundary-1
Content-Type: multipart/parallel; boundary=unique-boundary-2

--unique-boundary-2
Content-Type: audio/basic
Content-Transfer-Encoding: base64

AAEC

--unique-boundary-2
Content-Type: image/jpeg
Content-Transfer-Encoding: base64

/9j/

--unique-boundary-2--

--unique-boundary-1
Content-type: text/enriched

This is <bold><italic>enriched.</italic></bold>
<smaller>as defined in RFC 1896</smaller>

--unique-boundary-1
Content-Type: message/rfc822

From: (mailbox in US-ASCII)
To: (address in US-ASCII)
Subject: (subject in US-ASCII)
Content-Type: Text/plain; charset=ISO-8859-1
Content-Transfer-Encoding: Quoted-printable

  ... Additional text in ISO-8859-1 goes here: =E4 ...

--unique-boundary-1--
";

/// proves: MSG-15, TRL-1, TRL-4, TRL-10, TRL-11, TRL-13
#[test]
fn the_complex_example_of_rfc_2049() {
    let message = imported(&crlf(COMPLEX));
    assert_eq!(
        types(&message),
        [
            "multipart/mixed",
            "text/plain",
            "text/plain",
            "multipart/parallel",
            "audio/basic",
            "image/jpeg",
            "text/enriched",
            "message/rfc822",
            "message/global-headers",
            "text/plain",
        ]
    );
    let names: Vec<&str> = message.headers().message().fields().map(|field| field.name).collect();
    assert_eq!(names, ["From", "To", "Date", "Subject"]);
    assert_eq!(message.body(1).unwrap(), "  ... Some text appears here ...\r\n");
    assert_eq!(message.body(4).unwrap().as_ref(), [0, 1, 2]);
    assert_eq!(message.body(5).unwrap().as_ref(), [0xff, 0xd8, 0xff]);
    let inner =
        "From: (mailbox in US-ASCII)\r\nTo: (address in US-ASCII)\r\nSubject: (subject in US-ASCII)\r\n\r\n";
    assert_eq!(message.body(8).unwrap(), inner);
    let text = "  ... Additional text in ISO-8859-1 goes here: ä ...\r\n";
    assert_eq!(message.body(9).unwrap(), text);
    assert_eq!(field(&message, 9, "Content-Type").as_deref(), Some("text/plain"));
    assert_eq!(imported(exported(&message).as_bytes()).identity(), message.identity());
}

const SIGNED: &str = "From: a@b.test
Content-Type: multipart/signed; protocol=\"application/pgp-signature\";
\tmicalg=pgp-sha256; boundary=s
MIME-Version: 1.0

--s
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

na=C3=AFve =20
--s
Content-Type: application/pgp-signature

-----BEGIN PGP SIGNATURE-----
--s--
";

/// proves: TRL-12
#[test]
fn a_signed_part_keeps_its_octets() {
    let message = imported(&crlf(SIGNED));
    assert_eq!(types(&message), [SIGNED_ENTITY_TYPE]);
    let (_, signed) = SIGNED.split_once("\n\n").unwrap();
    let out = exported(&message);
    assert!(out.ends_with(&format!("\r\n\r\n{}", signed.replace('\n', "\r\n"))), "{out}");
    assert!(
        out.contains("Content-Type: multipart/signed; protocol=\"application/pgp-signature\";\r\n\tmicalg")
    );
    assert_eq!(imported(out.as_bytes()).identity(), message.identity());
    // From a file with other line ends it is the same.
    assert_eq!(imported(SIGNED.as_bytes()).identity(), message.identity());
    // What SMTP does not carry goes as an attachment, and is the same again.
    let bare = imported(&crlf(&SIGNED.replace("na=C3=AFve", &"x".repeat(999))));
    let out = exported(&bare);
    assert!(out.contains(&format!("Content-Type: {SIGNED_ENTITY_TYPE}\r\n")), "{out}");
    assert_eq!(imported(out.as_bytes()).identity(), bare.identity());
}

/// proves: TRL-12, TRL-15
#[test]
fn a_forged_signed_part_writes_no_field() {
    let entity = "Content-Type: multipart/signed; boundary=s\r\nBcc: all@b.test\r\n\r\n--s--\r\n";
    let check = |body: &str| {
        let out = exported(&native(&[("From", "a@b.test")], SIGNED_ENTITY_TYPE, body));
        let (header, _) = out.split_once("\r\n\r\n").unwrap();
        assert!(!header.contains("Bcc") && header.matches("From").count() == 1, "{out}");
    };
    for body in [entity, "Bcc: all@b.test\r\n\r\nx\r\n", "x", ""] {
        check(body);
    }
    let signed = "Content-Type: multipart/signed; boundary=s\r\n\r\n--s--\r\n";
    for line in
        ["From : chief@b.test", "From chief@b.test", "From\t: chief@b.test", " From: chief@b.test", "From"]
    {
        check(&format!("{line}\r\n{signed}"));
    }
}

/// proves: TRL-12
#[test]
fn the_original_is_kept_on_demand() {
    let eml = crlf("From: a@b.test\nSubject: =?utf-8?q?=C3=A4?=\n\nhello\n");
    let options = ImportOptions { keep_original: true, ..ImportOptions::default() };
    let message = import(&eml, &options).unwrap().message;
    assert_eq!(types(&message), ["multipart/mixed", "text/plain", ORIGINAL_TYPE]);
    assert_eq!(original(&message).unwrap(), &eml);
    let again = imported(exported(&message).as_bytes());
    assert_eq!(again.identity(), message.identity());
    assert_eq!(original(&imported(&eml)), None);
}

fn check_refused(eml: &[u8], options: &ImportOptions, reason: Reason) {
    assert_eq!(import(eml, options).map(|_| ()).map_err(|refusal| refusal.reason), Err(reason));
}

/// proves: TRL-2, TRL-3
#[test]
fn bombs_are_refused() {
    let all = ImportOptions::default();
    check_refused(b"", &all, Reason::NotAMessage);
    check_refused(b"hello\r\n", &all, Reason::NotAMessage);
    check_refused(b"A: b\r\n", &ImportOptions { octets_max: 5, ..all }, Reason::TooLarge);
    let many =
        [&b"Content-Type: multipart/mixed; boundary=b\n\n"[..], &b"--b\n\nx\n".repeat(1_000_000)].concat();
    check_refused(&many, &all, Reason::TooManyParts);
    let exactly =
        [&b"Content-Type: multipart/mixed; boundary=b\n\n"[..], &b"--b\n\nx\n".repeat(255)].concat();
    assert_eq!(types(&imported(&exactly)).len(), 256);
    let one_more = [&exactly[..], b"--b\n\nx\n"].concat();
    check_refused(&one_more, &all, Reason::TooManyParts);
    let nested = |levels: usize| -> Vec<u8> {
        let levels =
            (0..levels).map(|at| format!("Content-Type: multipart/mixed; boundary=b{at}\n\n--b{at}\n"));
        levels.collect::<String>().into_bytes()
    };
    check_refused(&nested(100_000), &all, Reason::TooDeep);
    check_refused(&b"Content-Type: message/rfc822\n\n".repeat(100_000), &all, Reason::TooDeep);
    let shallow = ImportOptions { limits: Limits { depth: 2, parts: 9, ..Limits::default() }, ..all };
    check_refused(&[&nested(2)[..], b"A: b\n"].concat(), &shallow, Reason::TooDeep);
    check_refused(&many, &shallow, Reason::TooManyParts);
    check_refused(&[b"A: ", &b"x".repeat(70_000)[..], b"\n\n"].concat(), &all, Reason::HeadersTooLarge);
    check_refused(&b"A: b\n".repeat(100_000), &all, Reason::HeadersTooLarge);
    // Each of these costs a careless parser the square of its length.
    for piece in
        ["=?", "=?a?q?", "(", "\"", "=?utf-8?q?=C3?= ", "; a=", " \t", " a=", "<", "; n*1=x", "=?utf-8?b?"]
    {
        for name in ["Subject", "To", "Content-Type", "Content-Disposition"] {
            let eml = format!("A: b\n{name}: {}\n\n", piece.repeat(60_000 / piece.len()));
            if let Ok(imported) = import(eml.as_bytes(), &all) {
                assert_eq!(imported.message.bodies().len(), 1);
                assert!(imported.notes.len() <= 256);
            }
        }
    }
}

fn check_note(eml: &str, kind: NoteKind, part: usize) {
    let notes = import(&crlf(eml), &ImportOptions::default()).unwrap().notes;
    assert!(notes.iter().any(|note| note.kind == kind && note.part == part), "{kind:?} in {notes:?}");
}

/// proves: TRL-3, TRL-4, TRL-9, TRL-11
#[test]
fn what_is_changed_is_told() {
    check_note("From x\nA: b\n\n", NoteKind::MailboxLineDropped, 0);
    check_note("A: b\nno field\n\n", NoteKind::FieldKeptAside, 0);
    check_note("A: b\u{1}\n\n", NoteKind::ControlReplaced, 0);
    check_note("A: =?x-y?q?z?=\n\n", NoteKind::WordNotDecoded, 0);
    check_note("Content-Type: text/plain; x\n\n", NoteKind::ParameterDropped, 0);
    check_note("Content-Length: 5\n\n", NoteKind::LengthDropped, 0);
    check_note("A: b\n\nä\n", NoteKind::CharsetAssumed, 0);
    check_note("Content-Type: text/plain; charset=x-y\n\nz\n", NoteKind::CharsetKept, 0);
    check_note("Content-Transfer-Encoding: x-y\n\nz\n", NoteKind::EncodingUnknown, 0);
    check_note("Content-Transfer-Encoding: base64\n\n!!!!\n", NoteKind::EncodingBroken, 0);
    check_note("Content-Transfer-Encoding: base64\n\nZg==\n--\nlist", NoteKind::TrailingDropped, 0);
    check_note("Content-Type: text\n\n", NoteKind::TypeBroken, 0);
    check_note("Content-Type: multipart/mixed\n\nx", NoteKind::MultipartWithoutParts, 0);
    let mixed =
        "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\npre\n--b\n\n";
    check_note(mixed, NoteKind::PreambleDropped, 0);
    check_note(mixed, NoteKind::MissingClose, 0);
    check_note(mixed, NoteKind::EncodingIgnored, 0);
    check_note(&format!("{mixed}x\n--b--\npost"), NoteKind::EpilogueDropped, 0);
    check_note(&format!("{mixed}x\n--b\nContent-Length: 5\n\n"), NoteKind::LengthDropped, 2);
    check_note(&crlf_signed(), NoteKind::SignedKept, 0);
    let raw = import(b"A: \xe4\r\n\r\n", &ImportOptions::default()).unwrap();
    assert_eq!(raw.notes[0].kind, NoteKind::HeaderCharsetGuessed);
    assert_eq!(raw.message.headers().message().only("A").as_deref(), Some("ä"));
}

fn crlf_signed() -> String {
    SIGNED.to_owned()
}

/// A native message of one part.
fn native(header: &[(&str, &str)], media_type: &str, body: &str) -> Message {
    let octets = Bytes::copy_from_slice(body.as_bytes());
    let root = leaf(media_type, &octets);
    assembled(header, root, vec![octets])
}

fn leaf(media_type: &str, octets: &Bytes) -> DraftPart {
    DraftPart {
        media_type: media_type.to_owned(),
        parameters: String::new(),
        fields: Vec::new(),
        content: DraftContent::Body(Extent::of(octets)),
    }
}

fn assembled(header: &[(&str, &str)], root: DraftPart, bodies: Vec<Bytes>) -> Message {
    let mut builder = HeaderBuilder::new();
    header.iter().for_each(|(name, value)| builder.push(name, value).unwrap());
    Message::assemble(&Draft { header: builder.finish().unwrap(), root }, bodies).unwrap()
}

fn check_not_exported(message: &Message, reason: Reason) {
    let result = export(message, &ExportOptions::default());
    assert_eq!(result.map_err(|refusal| refusal.reason), Err(reason));
}

/// proves: TRL-14, TRL-15, TRL-17
#[test]
fn what_has_no_legacy_form_is_refused() {
    check_not_exported(
        &native(&[("Content-Type", "text/html")], "text/plain", ""),
        Reason::StrayContentField,
    );
    check_not_exported(&native(&[("Mime-version", "2.0")], "text/plain", ""), Reason::StrayContentField);
    check_not_exported(&native(&[("To", "jörg@x.test")], "text/plain", ""), Reason::NeedsUtf8Headers);
    check_not_exported(&native(&[("To", &"x".repeat(999))], "text/plain", ""), Reason::FieldNotExpressible);
    for children in [vec![], vec![leaf("text/plain", &Bytes::new())]] {
        let bodies = vec![Bytes::new(); children.len()];
        let mut root = leaf("message/rfc822", &Bytes::new());
        root.content = DraftContent::Parts(children);
        check_not_exported(&assembled(&[], root, bodies), Reason::EmbeddedShape);
    }
}

/// proves: TRL-14
#[test]
fn an_embedded_header_must_be_one() {
    for (header, good) in [("A: b\r\n\r\n", true), ("A: b\r\n", false), ("A: b\r\n\r\nBcc: c\r\n\r\n", false)]
    {
        let bodies = vec![Bytes::copy_from_slice(header.as_bytes()), Bytes::from_static(b"x")];
        let mut root = leaf("message/rfc822", &Bytes::new());
        root.content = DraftContent::Parts(vec![
            leaf("message/global-headers", &bodies[0]),
            leaf("text/plain", &bodies[1]),
        ]);
        assert_eq!(
            export(&assembled(&[], root, bodies), &ExportOptions::default()).is_ok(),
            good,
            "{header}"
        );
    }
}

/// The octets written for a text, from its transfer encoding on.
fn check_body(body: &str, options: ExportOptions, expected: &str) {
    let out = export(&native(&[], "text/plain", body), &options).unwrap();
    let out = String::from_utf8(out).unwrap();
    let (_, rest) = out.split_once("MIME-Version: 1.0\r\n").unwrap();
    assert_eq!(rest, expected);
}

/// proves: TRL-18
#[test]
fn the_encoding_is_the_simplest_that_serves() {
    let seven = ExportOptions::default();
    let eight = ExportOptions { eight_bit: true, utf8_headers: false };
    check_body("hi\r\n", seven, "Content-Type: text/plain\r\n\r\nhi\r\n");
    check_body("", seven, "Content-Type: text/plain\r\n\r\n");
    let quoted = "Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n";
    check_body("no line end", seven, &format!("{quoted}no line end=\r\n"));
    check_body("two\nlines\n", seven, &format!("{quoted}two=0A=\r\nlines=0A=\r\n"));
    let utf8 = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: ";
    check_body(
        "Grüße aus Wien\r\n",
        seven,
        &format!("{utf8}quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe aus Wien\r\n"),
    );
    check_body("日本語\r\n", seven, &format!("{utf8}base64\r\n\r\n5pel5pys6KqeDQo=\r\n"));
    check_body("Grüße\r\n", eight, &format!("{utf8}8bit\r\n\r\nGrüße\r\n"));
    let long = exported(&native(&[], "text/plain", &format!("{}\r\n", "x".repeat(999))));
    assert!(long.lines().all(|line| line.len() <= 76), "{long}");
    let nul = exported(&native(&[], "text/plain", "a\0b\r\n"));
    assert!(nul.contains("a=00b") || nul.contains("base64"), "{nul}");
}

/// proves: TRL-18
#[test]
fn containers_are_not_encoded_and_boundaries_stand_nowhere_else() {
    let message = imported(&crlf(&COMPLEX.replace("image/jpeg", "text/html; charset=koi8-r")));
    let options = ExportOptions { eight_bit: true, utf8_headers: true };
    let out = String::from_utf8(export(&message, &options).unwrap()).unwrap();
    assert_eq!(out, String::from_utf8(export(&message, &options).unwrap()).unwrap());
    let (header, body) = out.split_once("\r\n\r\n").unwrap();
    assert!(
        header.contains("multipart/mixed") && header.contains("Content-Transfer-Encoding: 8bit"),
        "{header}"
    );
    let boundary = header.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(boundary.len() <= 70);
    // Four delimiters before parts two to six, the first one and the last.
    assert_eq!(body.matches(&format!("--{boundary}\r\n")).count(), 5);
    assert_eq!(body.matches(&format!("--{boundary}--\r\n")).count(), 1);
    let embedded = body.split("Content-Type: message/rfc822\r\n").nth(1).unwrap();
    assert!(embedded.starts_with("Content-Transfer-Encoding: 8bit\r\n\r\nFrom: (mailbox"), "{embedded}");
}
