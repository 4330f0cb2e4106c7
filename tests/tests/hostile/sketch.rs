//! An offer with its content, every piece of which can be spoilt.

use message::{Message, Role, Seal};
use waxwing_tests::letter;

use crate::octets::{TRUE, array, bytes, fields, frame, text, uint};
use crate::scene::{BOB, Scene};

pub(crate) const MANIFEST: u64 = 1;
pub(crate) const SEALS: u64 = 2;
pub(crate) const HEADERS: u64 = 3;
pub(crate) const BODY: u64 = 4;
pub(crate) const SLICE: u64 = 5;

/// One content frame and the octets behind it.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) piece: u64,
    pub(crate) octets: Vec<u8>,
    /// What the frame says, where that is something else than the truth.
    pub(crate) stated: Option<u64>,
    /// The number of the part and the first octet.
    pub(crate) place: Option<(u64, u64)>,
    pub(crate) last: bool,
}

impl Content {
    pub(crate) fn new(piece: u64, octets: &[u8]) -> Content {
        Content { piece, octets: octets.to_vec(), stated: None, place: None, last: false }
    }

    pub(crate) fn body(part: u64, from: u64, octets: &[u8]) -> Content {
        Content { place: Some((part, from)), ..Content::new(BODY, octets) }
    }

    pub(crate) fn head(&self) -> Vec<u8> {
        let stated = self.stated.unwrap_or(self.octets.len() as u64);
        let mut entries = vec![(0, uint(3)), (1, uint(self.piece)), (2, uint(stated))];
        if let Some((part, from)) = self.place {
            entries.extend([(3, uint(part)), (4, uint(from))]);
        }
        if self.last {
            entries.push((5, TRUE.to_vec()));
        }
        frame(&fields(&entries))
    }

    pub(crate) fn all(&self) -> Vec<u8> {
        [self.head(), self.octets.clone()].concat()
    }
}

/// An offer that is right until a case changes it: one letter to Bob, sealed by the peer, all of it sent at once.
#[derive(Debug, Clone)]
pub(crate) struct Sketch {
    pub(crate) message: Message,
    /// The fields of the offer by their keys.
    pub(crate) fields: Vec<(u64, Vec<u8>)>,
    pub(crate) content: Vec<Content>,
}

pub(crate) fn addresses(all: &[&str]) -> Vec<u8> {
    array(&all.iter().map(|one| text(one)).collect::<Vec<_>>())
}

pub(crate) fn hops(all: &[&str]) -> Vec<u8> {
    array(&all.iter().map(|by| array(&[text(by), uint(1_767_225_600)])).collect::<Vec<_>>())
}

pub(crate) fn seal_list(seals: &[Vec<u8>]) -> Vec<u8> {
    array(&seals.iter().map(|seal| bytes(seal)).collect::<Vec<_>>())
}

/// Octets that have a digest, as a manifest names them.
pub(crate) fn extent(octets: &[u8]) -> Vec<u8> {
    array(&[uint(octets.len() as u64), bytes(message::Digest::of(octets).as_bytes())])
}

/// The manifest of a message with one text, of any header blocks whatever.
pub(crate) fn manifest_of(header: &[u8], part_header: &[u8], body: &[u8]) -> Vec<u8> {
    let part = fields(&[
        (1, text("text/plain")),
        (2, extent(part_header)),
        (3, uint(body.len() as u64)),
        (4, bytes(message::Digest::of(body).as_bytes())),
    ]);
    fields(&[(0, uint(1)), (1, extent(header)), (2, part)])
}

impl Sketch {
    /// A letter of its own.
    pub(crate) fn new(scene: &Scene, words: &str) -> Sketch {
        let message = letter("alice@hand.test", words);
        let seal = scene.hand.seal(&message, Role::Submission);
        Sketch::of(&message, &[seal])
    }

    pub(crate) fn of(message: &Message, seals: &[Seal]) -> Sketch {
        let issuers: Vec<&str> = seals.iter().map(|seal| seal.claims().issuer.as_str()).collect();
        let seals: Vec<Vec<u8>> = seals.iter().map(|seal| seal.octets().to_vec()).collect();
        let headers = message.headers().octets();
        let mut sketch = Sketch {
            message: message.clone(),
            fields: vec![
                (0, uint(2)),
                (1, bytes(message.identity().as_bytes())),
                (2, uint(message.manifest().message_octets())),
                (3, addresses(&issuers)),
                (4, addresses(&[BOB])),
                (5, array(&[])),
                (6, uint(2)),
            ],
            content: vec![
                Content::new(MANIFEST, message.manifest().octets()),
                Content::new(SEALS, &seal_list(&seals)),
                Content::new(HEADERS, &headers),
            ],
        };
        let leaves: Vec<u64> = message.manifest().leaves().map(|(number, _, _)| number as u64).collect();
        for (number, body) in leaves.iter().zip(message.bodies()) {
            sketch.content.push(Content::body(*number, 0, body));
        }
        if let Some(last) = sketch.content.last_mut() {
            last.last = true;
        }
        sketch
    }

    /// The message that these octets would be, whether or not they may: the manifest, the header blocks and the body.
    pub(crate) fn of_octets(
        scene: &Scene,
        manifest: &[u8],
        octets: u64,
        headers: &[u8],
        body: &[u8],
    ) -> Sketch {
        let mut sketch = Sketch::new(scene, "of octets");
        let identity = message::Digest::of(manifest);
        sketch.set(1, bytes(identity.as_bytes()));
        sketch.set(2, uint(octets));
        sketch.content[0].octets = manifest.to_vec();
        sketch.content[2].octets = headers.to_vec();
        sketch.content[3].octets = body.to_vec();
        sketch
    }

    pub(crate) fn set(&mut self, key: u64, value: Vec<u8>) {
        self.fields.retain(|(other, _)| *other != key);
        self.fields.push((key, value));
        self.fields.sort_by_key(|(key, _)| *key);
    }

    pub(crate) fn with(mut self, key: u64, value: Vec<u8>) -> Sketch {
        self.set(key, value);
        self
    }

    pub(crate) fn change(mut self, change: impl FnOnce(&mut Vec<Content>)) -> Sketch {
        change(&mut self.content);
        self
    }

    pub(crate) fn offer(&self) -> Vec<u8> {
        frame(&fields(&self.fields))
    }

    pub(crate) fn all(&self) -> Vec<u8> {
        let content: Vec<u8> = self.content.iter().flat_map(Content::all).collect();
        [self.offer(), content].concat()
    }
}
