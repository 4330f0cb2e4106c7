//! The octet form of a message and its manifest: `spec/03-message.md`, against the vectors and against itself.

mod support;

use bytes::Bytes;
use data_encoding::BASE64;
use proptest::prelude::*;
use support::{cases, octets, text, vectors};
use waxwing_message::limits::{HEADERS_OCTETS_MAX, MANIFEST_OCTETS_MAX};
use waxwing_message::{
    Digest, Draft, DraftContent, DraftPart, Error, Event, Extent, FilePrelude, HeaderBlock, HeaderBuilder,
    Headers, Identity, Limits, Manifest, Message, Parser, Part, PartContent, PreludeReader, Segment,
};

/// What a parser finds, bodies put together again: it must not depend on the cuts.
#[derive(Debug, Default, PartialEq)]
struct Found {
    header: Option<HeaderBlock>,
    starts: Vec<(usize, HeaderBlock, u64, bool)>,
    bodies: Vec<(usize, Vec<u8>)>,
    ends: Vec<(usize, Option<Digest>)>,
    manifest: Option<Manifest>,
    error: Option<Error>,
}

fn parse_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: Limits) -> Found {
    let mut parser = Parser::new(limits);
    let mut found = Found::default();
    for piece in pieces {
        parser.push(piece);
        loop {
            match parser.next_event() {
                Ok(Some(event)) => found.take(event),
                Ok(None) => break,
                Err(error) => {
                    found.error = Some(error);
                    return found;
                }
            }
        }
    }
    found.error = parser.finish().err();
    found
}

impl Found {
    /// Whether the octets are a message, or begin with a whole one: what follows it is an error of its own.
    fn is_message(&self) -> bool {
        matches!(self.error, None | Some(Error::Trailing))
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Header(block) => assert!(self.header.replace(block).is_none()),
            Event::PartStart { part, header, octets, container } => {
                assert_eq!(part, self.starts.len());
                self.starts.push((part, header, octets, container));
            }
            Event::Body { part, octets } => match self.bodies.last_mut() {
                Some((same, body)) if *same == part => body.extend_from_slice(&octets),
                _ => self.bodies.push((part, octets.to_vec())),
            },
            Event::PartEnd { part, digest } => self.ends.push((part, digest)),
            Event::End(manifest) => self.manifest = Some(*manifest),
        }
    }
}

fn whole(octets: &[u8]) -> Found {
    parse_pieces([octets], Limits::default())
}

/// proves: MSG-1, MSG-5, MSG-6, MSG-7, MSG-10, MSG-11, MSG-12, MSG-13
#[test]
fn messages_have_the_manifest_and_the_identity_of_the_vectors() {
    for case in cases(&vectors("message.json"), "accepted") {
        let name = text(case, "name");
        let message = Message::parse(&octets(case, "octets"), Limits::default()).expect(name);
        assert_eq!(message.manifest().octets(), octets(case, "manifest"), "{name}");
        assert_eq!(message.identity(), Identity::from_hex(text(case, "identity")).unwrap(), "{name}");
        assert_eq!(message.headers().octets(), octets(case, "headers"), "{name}");
        assert_eq!(message.to_octets(), octets(case, "octets"), "{name}");
        let manifest = Manifest::decode(&octets(case, "manifest")).expect(name);
        assert_eq!(&manifest, message.manifest(), "{name}");
        assert_eq!(manifest.message_octets(), octets(case, "octets").len() as u64, "{name}");
        let headers = Headers::verify(&manifest, Bytes::from(octets(case, "headers"))).expect(name);
        assert_eq!(&headers, message.headers(), "{name}");
    }
}

/// proves: MSG-9
#[test]
fn a_cut_at_any_octet_changes_nothing() {
    for case in cases(&vectors("message.json"), "accepted") {
        let octets = octets(case, "octets");
        let at_once = whole(&octets);
        assert_eq!(at_once.error, None);
        assert_eq!(parse_pieces(octets.chunks(1), Limits::default()), at_once);
        // The long ones repeat themselves: their beginnings and ends are enough.
        let cuts = (0..octets.len()).filter(|at| *at < 1000 || octets.len() - at < 100);
        for at in cuts {
            let (left, right) = octets.split_at(at);
            assert_eq!(parse_pieces([left, right], Limits::default()), at_once, "cut at {at}");
        }
    }
}

/// proves: MSG-9
#[test]
fn every_truncation_is_refused() {
    for case in cases(&vectors("message.json"), "accepted") {
        let octets = octets(case, "octets");
        for at in (0..octets.len()).filter(|at| *at < 1000 || octets.len() - at < 100) {
            let found = whole(&octets[..at]);
            assert!(matches!(found.error, Some(Error::Truncated(_))), "{at}: {:?}", found.error);
            assert_eq!(found.manifest, None);
        }
        let mut longer = octets.clone();
        longer.push(b'\r');
        assert_eq!(whole(&longer).error, Some(Error::Trailing));
    }
}

/// proves: MSG-1, MSG-2, MSG-3, MSG-4, MSG-5, MSG-6, MSG-7, MSG-8, MSG-9
#[test]
fn each_broken_rule_is_refused_however_it_is_cut() {
    for case in cases(&vectors("message.json"), "refused") {
        let (name, octets) = (text(case, "name"), octets(case, "octets"));
        let at_once = whole(&octets);
        assert!(at_once.error.is_some(), "{}: {name}", text(case, "rule"));
        let pieces: Vec<&[u8]> = octets.chunks(1).collect();
        let error = parse_pieces(pieces, Limits::default()).error;
        assert_eq!(error, at_once.error, "{name}");
        assert!(Message::parse(&octets, Limits::default()).is_err(), "{name}");
    }
}

/// proves: MSG-10, MSG-11, MSG-8
#[test]
fn a_manifest_in_any_other_form_is_refused() {
    for case in cases(&vectors("message.json"), "bad_manifests") {
        let decoded = Manifest::decode(&octets(case, "octets"));
        assert!(decoded.is_err(), "{}: {}", text(case, "rule"), text(case, "name"));
    }
    assert!(matches!(Manifest::decode(&vec![0; MANIFEST_OCTETS_MAX + 1]), Err(Error::Bound { .. })));
}

fn simple(header: &str, part: &str, rest: &[u8]) -> Vec<u8> {
    [header.as_bytes(), b"\r\n", part.as_bytes(), b"\r\n", rest].concat()
}

/// proves: MSG-8
#[test]
fn header_blocks_are_bounded_together() {
    let part = "Content-Type: text/plain\r\nContent-Length: 1\r\n";
    let other = "X: \r\n\r\n\r\n".len() + part.len();
    let check = |filler: usize, good: bool| {
        let header = format!("X: {}\r\n", "x".repeat(filler));
        let octets = simple(&header, part, b"a\r\n\r\n");
        let found = whole(&octets);
        assert_eq!(found.error.is_none(), good, "{:?}", found.error);
        assert_eq!(parse_pieces(octets.chunks(4096), Limits::default()), found);
    };
    check(HEADERS_OCTETS_MAX as usize - other, true);
    check(HEADERS_OCTETS_MAX as usize - other + 1, false);
}

/// proves: MSG-8
#[test]
fn an_endless_header_block_is_refused_before_it_ends() {
    let mut parser = Parser::new(Limits::default());
    parser.push(&vec![b'x'; HEADERS_OCTETS_MAX as usize + 1]);
    assert!(matches!(parser.next_event(), Err(Error::Bound { .. })));
}

/// proves: MSG-8
#[test]
fn a_node_may_lower_the_bounds_but_not_raise_them() {
    let all = vectors("message.json");
    let attachment = octets(&cases(&all, "accepted")[3], "octets");
    let check = |limits: Limits, octets: &[u8], good: bool| {
        assert_eq!(Message::parse(octets, limits).is_ok(), good, "{limits:?}");
    };
    let default = Limits::default();
    check(Limits { parts: 3, depth: 2, part_octets: 256, ..default }, &attachment, true);
    check(Limits { parts: 2, ..default }, &attachment, false);
    check(Limits { depth: 1, ..default }, &attachment, false);
    check(Limits { part_octets: 255, ..default }, &attachment, false);
    check(Limits { headers_octets: 100, ..default }, &attachment, false);
    let raised =
        Limits { parts: usize::MAX, depth: usize::MAX, headers_octets: u64::MAX, part_octets: u64::MAX };
    for case in cases(&all, "refused") {
        check(raised, &octets(case, "octets"), false);
    }
}

/// proves: MSG-13
#[test]
fn headers_are_checked_against_the_manifest() {
    for case in cases(&vectors("message.json"), "accepted") {
        let manifest = Manifest::decode(&octets(case, "manifest")).unwrap();
        let headers = octets(case, "headers");
        for at in (0..headers.len()).step_by(headers.len() / 50 + 1) {
            let mut changed = headers.clone();
            changed[at] ^= 1;
            assert!(Headers::verify(&manifest, Bytes::from(changed)).is_err(), "octet {at}");
            assert!(Headers::verify(&manifest, Bytes::copy_from_slice(&headers[..at])).is_err(), "cut {at}");
        }
        let longer = [&headers[..], b"\r\n"].concat();
        assert!(Headers::verify(&manifest, Bytes::from(longer)).is_err());
    }
}

/// A manifest can be honest about the digest of a header block that is none, or that says something else.
///
/// proves: MSG-13
#[test]
fn a_digest_does_not_excuse_a_header_block() {
    let check = |message: &[u8], part: &[u8], good: bool| {
        let root = Part {
            media_type: "text/plain".into(),
            header: Extent::of(part),
            octets: 1,
            content: PartContent::Leaf(Digest::of(b"a")),
        };
        let manifest = Manifest::new(Extent::of(message), root).unwrap();
        let verified = Headers::verify(&manifest, Bytes::from([message, part].concat()));
        assert_eq!(verified.is_ok(), good, "{verified:?}");
    };
    check(b"S: x\r\n\r\n", b"Content-Type: text/plain\r\nContent-Length: 1\r\n\r\n", true);
    check(b"S: x\n\n", b"Content-Type: text/plain\r\nContent-Length: 1\r\n\r\n", false);
    check(b"S: x\r\n\r\n", b"Content-Type: text/html\r\nContent-Length: 1\r\n\r\n", false);
    check(b"S: x\r\n\r\n", b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n", false);
    check(b"S: x\r\n\r\n", b"Content-Length: 1\r\n\r\n", false);
}

/// proves: MSG-16
#[test]
fn a_new_header_block_leaves_the_parts_as_they_are() {
    let all = vectors("message.json");
    let message = Message::parse(&octets(&cases(&all, "accepted")[3], "octets"), Limits::default()).unwrap();
    let mut builder = HeaderBuilder::new();
    for field in message.headers().message().fields() {
        builder.push(field.name, field.raw_value).unwrap();
    }
    builder.push("Message-Id", "<1@north.test>").unwrap();
    let block = builder.finish().unwrap();
    let (headers, manifest) =
        message.headers().with_message_header(message.manifest(), block.clone()).unwrap();
    assert_eq!(manifest.root(), message.manifest().root());
    assert_eq!(headers.parts(), message.headers().parts());
    assert_eq!(headers.message(), &block);
    assert_ne!(manifest.identity(), message.identity());
    assert_eq!(Headers::verify(&manifest, headers.octets()).unwrap(), headers);
}

/// proves: MSG-14
#[test]
fn a_file_begins_with_its_seals() {
    let file = &vectors("message.json")["file"];
    let prelude = octets(file, "prelude");
    let body = b"Subject: x\r\n\r\n and what follows\r\n\r\n";
    let octets = [&prelude[..], body].concat();
    for at in 0..prelude.len() {
        let mut reader = PreludeReader::new();
        assert!(reader.push(&octets[..at]).unwrap().is_none());
        let (read, rest) = reader.push(&octets[at..]).unwrap().unwrap();
        assert_eq!(&rest[..], body);
        let seals: Vec<String> =
            read.seals.iter().map(|seal| data_encoding::HEXLOWER.encode(seal.octets())).collect();
        let expected: Vec<&str> = cases(file, "seals").iter().map(|seal| seal.as_str().unwrap()).collect();
        assert_eq!(seals, expected);
        assert_eq!(read.to_block().unwrap().octets(), &prelude);
    }
    let check = |text: &str| {
        let block = HeaderBlock::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap();
        assert!(FilePrelude::parse(&block).is_err(), "{text:?}");
    };
    check("\r\n");
    check("Waxwing: 2\r\n\r\n");
    check("Subject: x\r\nWaxwing: 1\r\n\r\n");
    check("Waxwing: 1\r\nSubject: x\r\n\r\n");
    check("Waxwing: 1\r\nSeal: !!!\r\n\r\n");
    check("Waxwing: 1\r\nSeal: AA==\r\n\r\n");
    let line = format!("Seal: {}\r\n", BASE64.encode(&support::octets_of(&cases(file, "seals")[0])));
    let read = |count: usize| {
        let text = format!("Waxwing: 1\r\n{}\r\n", line.repeat(count));
        PreludeReader::new().push(text.as_bytes())
    };
    let sixteen = read(16).unwrap().unwrap().0;
    assert_eq!(sixteen.seals.len(), 16);
    assert!(sixteen.to_block().is_ok());
    assert!(read(17).is_err());
    assert!(FilePrelude { seals: vec![sixteen.seals[0].clone(); 17] }.to_block().is_err());
    let mut reader = PreludeReader::new();
    assert!(reader.push(&vec![b'x'; 200_000]).is_err());
}

fn leaf(media_type: &str, octets: u64) -> DraftPart {
    let content = DraftContent::Body(Extent { octets, digest: Digest::of(b"") });
    DraftPart { media_type: media_type.into(), parameters: String::new(), fields: vec![], content }
}

/// proves: MSG-4, MSG-6, MSG-7, MSG-8
#[test]
fn a_draft_that_breaks_a_rule_is_refused() {
    let header = HeaderBuilder::new().finish().unwrap();
    let check = |root: DraftPart, good: bool| {
        let assembled = Draft { header: header.clone(), root }.assemble();
        assert_eq!(assembled.is_ok(), good, "{assembled:?}");
    };
    let container = |media_type: &str, parts: Vec<DraftPart>| DraftPart {
        content: DraftContent::Parts(parts),
        ..leaf(media_type, 0)
    };
    let with_field = |name: &str, value: &str| DraftPart {
        fields: vec![(name.into(), value.into())],
        ..leaf("text/plain", 0)
    };
    check(leaf("text/plain", 0), true);
    check(leaf("Text/plain", 0), false);
    check(leaf("multipart/mixed", 0), false);
    check(leaf("message/delivery-status", 0), true);
    check(leaf("text/plain", 1 << 56), true);
    check(leaf("text/plain", (1 << 56) + 1), false);
    check(leaf("text/plain", u64::MAX), false);
    check(container("text/plain", vec![]), false);
    check(container("message/global", vec![leaf("text/plain", 0)]), true);
    check(container("multipart/mixed", vec![leaf("text/plain", 1 << 56); 2]), false);
    check(container("multipart/mixed", vec![leaf("text/plain", 1 << 56); 300]), false);
    check(with_field("Content-Disposition", "inline"), true);
    check(with_field("Content-Length", "0"), false);
    check(with_field("Content-Transfer-Encoding", "8bit"), false);
    check(with_field("X", "a\r\nContent-Type: text/html"), false);
    check(with_field("X", "a\r\n b"), true);
    check(DraftPart { parameters: "; a=b\r\nBcc: all".into(), ..leaf("text/plain", 0) }, false);
    check(DraftPart { parameters: "x".into(), ..leaf("text/plain", 0) }, false);
    let deep = |levels: usize| {
        (1..levels).fold(leaf("text/plain", 0), |part, _| container("multipart/mixed", vec![part]))
    };
    check(deep(16), true);
    check(deep(17), false);
}

/// Types that are near to being containers and are none.
///
/// proves: MSG-7
#[test]
fn only_the_named_types_are_containers() {
    let check = |media_type: &str, container: bool| {
        let part = format!("Content-Type: {media_type}\r\nContent-Length: 0\r\n");
        let found = whole(&simple("", &part, b"\r\n\r\n"));
        assert_eq!(found.starts[0].3, container, "{media_type}");
        assert_eq!(found.ends, [(0, (!container).then(|| Digest::of(b"")))]);
        assert!(found.manifest.is_some());
    };
    check("multipart/mixed", true);
    check("multipart/x-new", true);
    check("message/rfc822", true);
    check("message/global", true);
    check("message/global-headers", false);
    check("message/delivery-status", false);
    check("multipartx/mixed", false);
    check("text/plain", false);
}

prop_compose! {
    fn any_field()(name in "[!-9;-~]{1,20}", value in "[^\\p{Cc}]{0,40}", fold in "[^\\p{Cc} ][^\\p{Cc}]{0,9}")
        -> (String, String)
    {
        (name, format!("{value}\r\n {fold}"))
    }
}

fn any_part() -> impl Strategy<Value = (DraftPart, Vec<Bytes>)> {
    let fields = proptest::collection::vec(
        any_field().prop_filter("fields of the format", |(name, _)| {
            !name.to_ascii_lowercase().starts_with("content-")
        }),
        0..3,
    );
    let leaf = (prop::sample::select(vec!["text/plain", "text/html", "image/png"]), fields, any::<Vec<u8>>())
        .prop_map(|(media_type, fields, body)| {
            let part = DraftPart {
                media_type: media_type.into(),
                parameters: "; x=\"y\"".into(),
                fields,
                content: DraftContent::Body(Extent::of(&body)),
            };
            (part, vec![Bytes::from(body)])
        });
    leaf.prop_recursive(5, 40, 6, |inner| {
        let kinds = prop::sample::select(vec!["multipart/mixed", "multipart/x", "message/rfc822"]);
        (kinds, proptest::collection::vec(inner, 0..6)).prop_map(|(media_type, children)| {
            let (parts, bodies): (Vec<_>, Vec<_>) = children.into_iter().unzip();
            let part = DraftPart {
                media_type: media_type.into(),
                parameters: String::new(),
                fields: vec![],
                content: DraftContent::Parts(parts),
            };
            (part, bodies.concat())
        })
    })
}

proptest! {
    /// What is written is read again, however it is cut.
    ///
    /// proves: MSG-1, MSG-5, MSG-7, MSG-9, MSG-10
    #[test]
    fn any_draft_comes_back(
        fields in proptest::collection::vec(any_field(), 0..4),
        (root, bodies) in any_part(),
        size in 1_usize..200,
    ) {
        let mut builder = HeaderBuilder::new();
        for (name, value) in &fields {
            builder.push(name, value).unwrap();
        }
        let draft = Draft { header: builder.finish().unwrap(), root };
        let message = Message::assemble(&draft, bodies).unwrap();
        let octets = message.to_octets();
        prop_assert_eq!(octets.len() as u64, message.manifest().message_octets());
        let sum: u64 = message.manifest().layout().iter().map(|segment| match segment {
            Segment::Header { octets } | Segment::PartHeader { octets, .. } | Segment::Body { octets, .. } => *octets,
            Segment::Trailer => 4,
        }).sum();
        prop_assert_eq!(sum, octets.len() as u64);
        prop_assert_eq!(&Message::parse(&octets, Limits::default()).unwrap(), &message);
        let found = parse_pieces(octets.chunks(size), Limits::default());
        prop_assert_eq!(found.error, None);
        prop_assert_eq!(found.manifest.as_ref(), Some(message.manifest()));
        prop_assert_eq!(&Manifest::decode(message.manifest().octets()).unwrap(), message.manifest());
        let read: Vec<(String, String)> = message.headers().message().fields()
            .map(|field| (field.name.to_owned(), field.raw_value.to_owned())).collect();
        prop_assert_eq!(read, fields);
    }

    /// Whoever changes an octet changes the identity, or has a message no more.
    ///
    /// proves: MSG-12
    #[test]
    fn any_changed_octet_changes_the_identity(at in any::<prop::sample::Index>(), bit in 0_u32..8) {
        let all = vectors("message.json");
        let mut changed = octets(&cases(&all, "accepted")[5], "octets");
        let identity = Identity::from_hex(text(&cases(&all, "accepted")[5], "identity")).unwrap();
        let at = at.index(changed.len());
        changed[at] ^= 1 << bit;
        if let Ok(message) = Message::parse(&changed, Limits::default()) {
            prop_assert_ne!(message.identity(), identity);
        }
    }

    #[test]
    fn no_octets_make_a_reader_panic(octets in any::<Vec<u8>>(), size in 1_usize..50) {
        let found = parse_pieces(octets.chunks(size), Limits::default());
        prop_assert_eq!(found.is_message(), found.manifest.is_some());
        prop_assert!(Manifest::decode(&octets).is_err());
        let _ = PreludeReader::new().push(&octets);
        let _ = HeaderBlock::parse(Bytes::from(octets));
    }

    /// Octets that are nearly a message: pieces of the format in any order.
    #[test]
    fn no_row_of_pieces_makes_a_reader_panic(
        pieces in proptest::collection::vec(prop::sample::select(vec![
            "\r\n", "Subject: x\r\n", "Content-Type: text/plain\r\n", "Content-Type: multipart/mixed\r\n",
            "Content-Length: 0\r\n", "Content-Length: 58\r\n", "Content-Length: 72057594037927936\r\n", "a", " b\r\n",
        ]), 0..40),
    ) {
        let text = pieces.concat();
        let found = whole(text.as_bytes());
        prop_assert_eq!(found.is_message(), found.manifest.is_some());
        prop_assert_eq!(Message::parse(text.as_bytes(), Limits::default()).err(), found.error.clone());
        prop_assert_eq!(parse_pieces(text.as_bytes().chunks(1), Limits::default()).error, found.error);
    }
}
