//! Octets of the wire and of files: what is read is written again as it was.

use bytes::Bytes;
use message::slice::{OutboardBuilder, SliceError, encode_slice, slice_octets, verify_slice};
use message::{
    FilePrelude, HeaderBlock, HeaderBuilder, Headers, Limits, Manifest, Message, Parser, PreludeReader,
};
use message::{Seal, SecretKey};
use protocol::{Error, Frame, Item, Reader, encode, fits};

/// The items of a stream that comes in pieces of so many octets, up to the first error. Content is joined: how it is
/// cut is of no account.
fn items(octets: &[u8], piece: usize) -> (Vec<Item>, Option<Error>) {
    let mut reader = Reader::new();
    let mut found: Vec<Item> = Vec::new();
    for piece in octets.chunks(piece) {
        reader.push(piece);
        loop {
            match (reader.next_item(), found.last_mut()) {
                (Ok(Some(Item::Content(more))), Some(Item::Content(before))) => {
                    *before = [&before[..], &more].concat().into();
                }
                (Ok(Some(item)), _) => found.push(item),
                (Ok(None), _) => break,
                (Err(error), _) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}

/// Frames are the same however they are cut, and say the same when they are written and read again.
pub(crate) fn frames(octets: &[u8]) {
    let whole = items(octets, usize::MAX);
    assert_eq!(whole, items(octets, 7), "cut into sevens");
    if octets.len() < 600 {
        assert_eq!(whole, items(octets, 1), "cut into ones");
    }
    for item in &whole.0 {
        let Item::Frame(frame) = item else { continue };
        let written = encode(frame);
        let (again, error) = items(&written, usize::MAX);
        assert_eq!((&again[..], &error), (&[item.clone()][..], &None), "written as {written:02x?}");
        assert!(fits(frame), "what was read fits");
        if let Frame::Offer(offer) = frame {
            offer.envelope.check().expect("an offer that was read keeps its bounds");
        }
        assert_eq!(encode(frame), written, "one spelling");
    }
}

/// A manifest has one spelling, and what it says adds up.
pub(crate) fn manifest(octets: &[u8]) {
    let Ok(manifest) = Manifest::decode(octets) else { return };
    assert_eq!(manifest.octets(), octets);
    assert_eq!(manifest.identity().as_bytes(), message::Digest::of(octets).as_bytes());
    let again = Manifest::new(manifest.header(), manifest.root().clone()).expect("it was one");
    assert_eq!(again.octets(), octets);
    assert_eq!(manifest.message_octets(), manifest.header().octets + manifest.root().total_octets());
    assert!(manifest.parts().count() <= message::limits::PARTS_MAX);
    assert!(manifest.leaves().count() <= manifest.parts().count());
    assert!(manifest.layout().len() <= 4 * message::limits::PARTS_MAX);
    let _ = (manifest.first_text(), manifest.headers_octets(), manifest.part(usize::MAX));
}

/// A header block is its fields and nothing else.
pub(crate) fn headers(octets: &[u8]) {
    let Ok(block) = HeaderBlock::parse(Bytes::copy_from_slice(octets)) else { return };
    let mut builder = HeaderBuilder::new();
    for field in block.fields() {
        builder.push(field.name, field.raw_value).expect("a field that was read can be written");
        assert!(!field.value().contains(['\r', '\n']), "unfolded");
    }
    assert_eq!(builder.finish().expect("it was one").octets(), block.octets());
}

/// A message is its octets, however they come; its manifest is that of its octets.
pub(crate) fn message(octets: &[u8]) {
    let read = Message::parse(octets, Limits::default());
    let mut parser = Parser::new(Limits::default());
    let mut cut = Ok(());
    'pieces: for piece in octets.chunks(5) {
        parser.push(piece);
        loop {
            match parser.next_event() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    cut = Err(error);
                    break 'pieces;
                }
            }
        }
    }
    let cut = cut.and_then(|()| parser.finish());
    assert_eq!(read.is_ok(), cut.is_ok(), "whole: {:?}, cut: {cut:?}", read.as_ref().err());
    let Ok(message) = read else { return };
    assert_eq!(message.to_octets(), octets);
    let manifest = Manifest::decode(message.manifest().octets()).expect("a message's manifest is one");
    assert_eq!(manifest.message_octets(), octets.len() as u64);
    Headers::verify(&manifest, message.headers().octets()).expect("a message's headers are its own");
}

/// A file is found however it comes, and its outer block is written as it means.
pub(crate) fn file(octets: &[u8]) {
    let read = |piece: usize| -> Result<Option<(FilePrelude, Vec<u8>)>, message::Error> {
        let (mut reader, mut found) = (PreludeReader::new(), None);
        for piece in octets.chunks(piece) {
            match &mut found {
                Some((_, rest)) => Vec::extend_from_slice(rest, piece),
                None => found = reader.push(piece)?.map(|(prelude, rest)| (prelude, rest.to_vec())),
            }
        }
        Ok(found)
    };
    let (whole, cut) = (read(usize::MAX), read(3));
    assert_eq!(whole.is_ok(), cut.is_ok(), "{whole:?} and {cut:?}");
    let (Ok(Some((prelude, rest))), Ok(Some((again, also)))) = (whole, cut) else { return };
    assert_eq!((&prelude.seals, rest), (&again.seals, also));
    let block = prelude.to_block().expect("a prelude that was read can be written");
    assert_eq!(FilePrelude::parse(&block).expect("and read again").seals, prelude.seals);
}

/// A seal is its octets; over what nobody signed it does not verify.
pub(crate) fn seal(octets: &[u8]) {
    let Ok(seal) = Seal::parse(Bytes::copy_from_slice(octets)) else { return };
    assert_eq!(seal.octets(), octets);
    let key = SecretKey::from_seed(&[7; 32]).public();
    for now_seconds in [0, 1_800_000_000, u64::MAX] {
        assert!(seal.verify(b"what nobody signed", &key, now_seconds).is_err());
    }
    for text in [Some(&seal.claims().issuer), seal.claims().submitter.as_ref()].into_iter().flatten() {
        assert!(!text.chars().any(char::is_control));
    }
}

/// A slice that verifies is the octets of its range and no others. The first octets say which range of which body.
pub(crate) fn slice(octets: &[u8]) {
    let [size, offset, length, patches @ ..] = octets else { return };
    let body: Vec<u8> = (0..usize::from(*size) * 700).map(|at| (at * 31 % 251) as u8).collect();
    let (offset, length) = (u64::from(*offset) * 701, u64::from(*length) * 300);
    let mut builder = OutboardBuilder::new();
    builder.push(&body);
    let outboard = builder.finish();
    let total = body.len() as u64;
    let made = encode_slice::<SliceError>(&outboard, offset, length, |at, into| {
        into.copy_from_slice(&body[at as usize..at as usize + into.len()]);
        Ok(())
    });
    let told = slice_octets(total, offset, length);
    assert_eq!(made.is_ok(), told.is_ok());
    let mut slice = made.unwrap_or_default();
    if let Ok(told) = told {
        assert_eq!(slice.len() as u64, told);
    }
    let right = slice.clone();
    for patch in patches.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([patch[0], patch[1]])) % slice.len().max(1);
        match slice.get_mut(at) {
            Some(octet) if patch[2] != 0 => *octet ^= patch[2],
            _ => slice.truncate(at),
        }
    }
    if let Ok(found) = verify_slice(outboard.digest(), total, offset, length, &slice) {
        assert_eq!(slice, right, "one spelling");
        assert_eq!(found, body[offset as usize..(offset + length) as usize]);
    }
}
