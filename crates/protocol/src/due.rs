//! Which pieces of content are due, in which order, and how long each must be.

use std::collections::VecDeque;

use message::limits::MANIFEST_OCTETS_MAX;
use message::{Manifest, Selection};

use crate::limits::{SEALS_OCTETS_MAX, SLICE_OCTETS_MAX};
use crate::{ContentHead, Error, Piece};

/// How many octets a piece may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Exactly(u64),
    AtMost(u64),
    /// Of the header blocks, before the manifest has come.
    NotYetKnown,
}

/// Which bodies follow the headers once the manifest is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bodies {
    None,
    FirstText,
    All,
}

/// The pieces that a selection stands for and that have not come yet. A sender has no choice in them, so neither can
/// it send a piece twice or for ever, nor leave one out.
///
/// keeps: EXC-7, EXC-10
#[derive(Debug)]
pub(crate) struct Due {
    pieces: VecDeque<(Piece, Length)>,
    bodies: Bodies,
    /// Octets that may still come; bounded for eager content only.
    room: u64,
    bound: u64,
}

impl Due {
    /// What a selection stands for. Single parts can be named only once the manifest is known.
    pub(crate) fn of(wanted: &Selection, manifest: Option<&Manifest>) -> Result<Due, Error> {
        let headers = || {
            vec![
                (Piece::Manifest, Length::AtMost(MANIFEST_OCTETS_MAX as u64)),
                (Piece::Seals, Length::AtMost(SEALS_OCTETS_MAX)),
                (Piece::Headers, Length::NotYetKnown),
            ]
        };
        let (pieces, bodies) = match wanted {
            Selection::All => (headers(), Bodies::All),
            Selection::Headers => (headers(), Bodies::None),
            Selection::Text => (headers(), Bodies::FirstText),
            Selection::Digest => (vec![(Piece::Manifest, Length::Exactly(0))], Bodies::None),
            Selection::Signers => (vec![(Piece::Seals, Length::AtMost(SEALS_OCTETS_MAX))], Bodies::None),
            Selection::Parts(parts) => {
                let manifest = manifest.ok_or(Error::OutOfOrder("a body before its manifest"))?;
                let bodies = parts.iter().map(|(part, from)| body(manifest, *part, *from));
                (bodies.collect::<Result<_, _>>()?, Bodies::None)
            }
            Selection::Range { part, offset, .. } => {
                let piece = Piece::Slice { part: *part, from: *offset };
                (vec![(piece, Length::AtMost(SLICE_OCTETS_MAX))], Bodies::None)
            }
        };
        Ok(Due { pieces: pieces.into(), bodies, room: u64::MAX, bound: u64::MAX })
    }

    /// The same, with so many octets in all at the most.
    pub(crate) fn within(self, octets_max: u64) -> Due {
        Due { room: octets_max, bound: octets_max, ..self }
    }

    /// Takes the next piece, which must be the one that is due.
    pub(crate) fn check(&mut self, head: &ContentHead) -> Result<(), Error> {
        let (piece, length) =
            self.pieces.pop_front().ok_or(Error::OutOfOrder("more content than was asked for"))?;
        if head.piece != piece {
            return Err(Error::OutOfOrder("a piece of content that is not due"));
        }
        match length {
            Length::Exactly(octets) if head.octets != octets => {
                return Err(Error::OutOfOrder("a piece of content that is not of its length"));
            }
            Length::AtMost(bound) if head.octets > bound => {
                return Err(Error::Bound { what: "octets of a piece of content", bound });
            }
            Length::NotYetKnown => return Err(Error::OutOfOrder("headers before their manifest")),
            Length::Exactly(_) | Length::AtMost(_) => {}
        }
        self.room = self
            .room
            .checked_sub(head.octets)
            .ok_or(Error::Bound { what: "octets of eager content", bound: self.bound })?;
        // Behind a manifest there are always seals, so that the bodies not yet known do not matter here.
        if head.last == self.pieces.is_empty() {
            Ok(())
        } else {
            Err(Error::OutOfOrder("the last piece of content is not where it must be"))
        }
    }

    /// Works out what the manifest tells: the length of the headers, and the bodies.
    pub(crate) fn learn(&mut self, manifest: &Manifest) {
        for (piece, length) in &mut self.pieces {
            if *piece == Piece::Headers {
                *length = Length::Exactly(manifest.headers_octets());
            }
        }
        let leaf = |part: usize, octets| (Piece::Body { part, from: 0 }, Length::Exactly(octets));
        let text = manifest.first_text();
        match self.bodies {
            Bodies::None => {}
            Bodies::FirstText => self.pieces.extend(
                manifest.leaves().filter(|(part, ..)| Some(*part) == text).map(|(n, p, _)| leaf(n, p.octets)),
            ),
            Bodies::All => {
                self.pieces.extend(manifest.leaves().map(|(part, entry, _)| leaf(part, entry.octets)))
            }
        }
    }

    /// Whether all has come.
    pub(crate) fn is_settled(&self) -> bool {
        self.pieces.is_empty()
    }
}

fn body(manifest: &Manifest, part: usize, from: u64) -> Result<(Piece, Length), Error> {
    let octets = manifest
        .part(part)
        .filter(|entry| entry.leaf().is_some())
        .and_then(|entry| entry.octets.checked_sub(from))
        .ok_or(message::Error::NoSuchPart("no leaf has this number, or this octet"))?;
    Ok((Piece::Body { part, from }, Length::Exactly(octets)))
}
