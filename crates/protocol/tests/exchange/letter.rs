//! One message, its offer, and pieces of it that a test can put together wrongly.

use bytes::Bytes;
use message::address::Address;
use message::{
    Claims, Disposition, Draft, DraftContent, DraftPart, Envelope, Extent, HeaderBuilder, Message, Role,
    Seal, SecretKey,
};
use waxwing_protocol::*;

/// Texts and an image; the parts are 0 mixed, 1 text, 2 alternative, 3 text, 4 HTML, 5 image of 40,000 octets.
pub(crate) fn letter() -> (Message, Vec<Bytes>) {
    let image: Vec<u8> = (0..40_000_u32).map(|number| (number % 251) as u8).collect();
    let bodies = [&b"first"[..], b"second", b"<p>", &image].map(Bytes::copy_from_slice).to_vec();
    let leaf = |media_type: &str, place: usize| DraftPart {
        media_type: media_type.into(),
        parameters: String::new(),
        fields: vec![],
        content: DraftContent::Body(Extent::of(&bodies[place])),
    };
    let container =
        |media_type: &str, parts| DraftPart { content: DraftContent::Parts(parts), ..leaf(media_type, 0) };
    let alternative = container("multipart/alternative", vec![leaf("text/plain", 1), leaf("text/html", 2)]);
    let root = container("multipart/mixed", vec![leaf("text/plain", 0), alternative, leaf("image/png", 3)]);
    let mut header = HeaderBuilder::new();
    header.push("Subject", "a letter").expect("a field");
    let draft = Draft { header: header.finish().expect("a block"), root };
    let message = Message::assemble(&draft, bodies).expect("a message");
    let claims = Claims {
        issuer: "ada@north.test".into(),
        issued_at: 1,
        expires_at: None,
        role: Role::Author,
        submitter: None,
        recipient: None,
        authorization: None,
        checks: Vec::new(),
    };
    let seal = Seal::sign(message.manifest().octets(), claims, b"k", &SecretKey::from_seed(&[7; 32]));
    (message, vec![seal.octets().clone()])
}

pub(crate) fn supply() -> Supply {
    let (message, seals) = letter();
    Supply { manifest: message.manifest().clone(), headers: message.headers().octets(), seals }
}

pub(crate) fn offer() -> Offer {
    let (message, _) = letter();
    let recipients = ["bo@south.test", "cy@south.test"];
    Offer {
        envelope: Envelope {
            identity: message.identity(),
            octets: message.manifest().message_octets(),
            issuers: vec!["ada@north.test".into()],
            recipients: recipients.iter().map(|text| Address::from_wire(text).expect("an address")).collect(),
            trace: vec![],
        },
        eager: Eager::Nothing,
        submission: None,
        way: waxwing_protocol::Way::Plain,
    }
}

pub(crate) fn window(eager_octets: u64) -> Settings {
    Settings { eager_octets, ..Settings::default() }
}

pub(crate) fn outcome(dispositions: Vec<Disposition>) -> Outcome {
    Outcome { dispositions, sealed: None }
}

pub(crate) fn both_accepted() -> Outcome {
    outcome(vec![Disposition::Accepted; 2])
}

/// The answering side, told these octets after a (well-formed) offer with this eager content.
pub(crate) fn answering_after(eager: Eager) -> Answering {
    let mut answering = Answering::new(0, Protocol::Exchange);
    let frame = encode(&Frame::Offer(Box::new(Offer { eager, ..offer() })));
    answering.handle(0, Some(&frame)).expect("an offer");
    answering
}

pub(crate) fn piece(piece: Piece, octets: &[u8], last: bool) -> Vec<u8> {
    let head = ContentHead { piece, octets: octets.len() as u64, last };
    [&encode(&Frame::Content(head))[..], octets].concat()
}

pub(crate) struct Pieces {
    pub(crate) manifest: Vec<u8>,
    pub(crate) seals: Vec<u8>,
    pub(crate) headers: Vec<u8>,
}

pub(crate) fn pieces() -> Pieces {
    let supply = supply();
    Pieces {
        manifest: piece(Piece::Manifest, supply.manifest.octets(), false),
        seals: piece(Piece::Seals, &supply.seals_octets(), false),
        headers: piece(Piece::Headers, &supply.headers, true),
    }
}
