//! Messages to load a node with: each another one, its text made as it is sent and never held as a whole.

use bytes::Bytes;
use message::address::Address;
use message::{
    Claims, DigestWriter, Draft, DraftContent, DraftPart, Envelope, Extent, HeaderBuilder, Headers, Manifest,
    Role, Seal,
};
use protocol::{Eager, Frame, Offer, SubmissionOptions, Supply};
use serde::Serialize;
use transport::{Later, Source};

use super::PeerIdentity;
use crate::{Error, clock};

/// A line of the text. What stands in it matters to nobody.
const LINE: &[u8] = b"The quick brown fox jumps over the lazy dog, and the dog does not mind.\r\n";
/// Octets of the text that are made at a time, about.
const PIECE_OCTETS: usize = 128 * 1024;
/// Octets at the front of a text that make it another one.
const MARK_OCTETS: usize = 64;
/// Texts up to this size go in one piece.
const WHOLE_OCTETS: u64 = 64 * 1024;

/// What all messages of one run have in common.
pub(super) struct Mould {
    from: String,
    to: Vec<Address>,
    octets: u64,
    run: String,
    seal: Option<PeerIdentity>,
    lines: Bytes,
}

/// A message that is ready to be offered.
pub(super) struct Letter {
    manifest: Manifest,
    headers: Headers,
    seals: Vec<Seal>,
    text: Text,
}

/// What is sent of one message, in octets; the heads of its pieces and QUIC's come on top.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Sizes {
    /// Its header blocks and its text.
    pub(super) message: u64,
    pub(super) manifest: u64,
    pub(super) seals: u64,
    /// The frame that offers it.
    pub(super) offer: u64,
}

/// The text of a message: a mark of its own, and then lines.
struct Text {
    mark: Bytes,
    lines: Bytes,
    octets: u64,
}

impl Mould {
    /// For messages of a user, which their node completes and seals.
    pub(super) fn of_user(from: &Address, to: &[Address], octets: u64) -> Result<Mould, Error> {
        Mould::new(from.to_string(), to, octets, None)
    }

    /// For messages of a node, sealed by it.
    pub(super) fn of_peer(identity: PeerIdentity, to: &[Address], octets: u64) -> Result<Mould, Error> {
        Mould::new(format!("bench@{}", identity.domain), to, octets, Some(identity))
    }

    fn new(from: String, to: &[Address], octets: u64, seal: Option<PeerIdentity>) -> Result<Mould, Error> {
        let run = data_encoding::HEXLOWER.encode(&clock::random_token()?[..8]);
        let lines = Bytes::from(LINE.repeat(PIECE_OCTETS / LINE.len()));
        Ok(Mould { from, to: to.to_vec(), octets, run, seal, lines })
    }

    /// The message of this number; no other number and no other run has the same.
    pub(super) fn letter(&self, number: u64) -> Result<Letter, Error> {
        let text = self.text(number);
        let mut header = HeaderBuilder::new();
        header.push("From", &self.from)?;
        let to: Vec<String> = self.to.iter().map(Address::to_string).collect();
        header.push("To", &to.join(",\r\n "))?;
        header.push("Subject", &format!("load {number} of {}", self.run))?;
        if self.seal.is_some() {
            header.push("Date", "Thu, 1 Jan 2026 12:00:00 +0000")?;
            header.push("Message-Id", &format!("<{number}.{}@bench>", self.run))?;
        }
        let small = self.octets <= WHOLE_OCTETS;
        let root = DraftPart {
            media_type: if small { "text/plain" } else { "application/octet-stream" }.to_owned(),
            parameters: String::new(),
            fields: Vec::new(),
            content: DraftContent::Body(text.extent()),
        };
        let (headers, manifest) = Draft { header: header.finish()?, root }.assemble()?;
        let seals = self.seal.iter().map(|identity| seal(&manifest, identity, &self.from)).collect();
        Ok(Letter { manifest, headers, seals, text })
    }

    /// The offer of a letter.
    pub(super) fn offer(&self, letter: &Letter, number: u64) -> Offer {
        let envelope = Envelope {
            identity: letter.manifest.identity(),
            octets: letter.manifest.message_octets(),
            issuers: letter.seals.iter().map(|seal| seal.claims().issuer.clone()).collect(),
            recipients: self.to.clone(),
            trace: Vec::new(),
        };
        let submission = self.seal.is_none().then(|| SubmissionOptions {
            token: Some(token(&self.run, number)),
            ..SubmissionOptions::default()
        });
        Offer { envelope, eager: Eager::Nothing, submission, way: protocol::Way::Plain }
    }

    /// What a message of this run consists of.
    pub(super) fn sizes(&self) -> Result<Sizes, Error> {
        let letter = self.letter(0)?;
        Ok(Sizes {
            message: letter.manifest.message_octets(),
            manifest: letter.manifest.octets().len() as u64,
            seals: letter.seals.iter().map(|seal| seal.octets().len() as u64).sum(),
            offer: protocol::encode(&Frame::Offer(Box::new(self.offer(&letter, 0)))).len() as u64,
        })
    }

    fn text(&self, number: u64) -> Text {
        let mark = format!("{number:020} {} ", self.run);
        let mut mark = format!("{mark:.<width$}\r\n", width = MARK_OCTETS - 2).into_bytes();
        mark.truncate(usize::try_from(self.octets).unwrap_or(MARK_OCTETS));
        Text { mark: mark.into(), lines: self.lines.clone(), octets: self.octets }
    }
}

impl Letter {
    /// What is sent of it at once.
    pub(super) fn supply(&self) -> Supply {
        Supply {
            manifest: self.manifest.clone(),
            headers: self.headers.octets(),
            seals: self.seals.iter().map(|seal| seal.octets().clone()).collect(),
        }
    }
}

impl Text {
    fn extent(&self) -> Extent {
        let (mut digest, mut at) = (DigestWriter::new(), 0);
        while at < self.octets {
            let piece = self.piece(at, PIECE_OCTETS);
            digest.update(&piece);
            at += piece.len() as u64;
        }
        Extent { octets: digest.octets(), digest: digest.digest() }
    }

    /// Octets from this one on, at most so many; none past the end.
    fn piece(&self, at: u64, octets_max: usize) -> Bytes {
        if self.octets <= WHOLE_OCTETS {
            return self.whole().slice(to_usize(at.min(self.octets))..).split_to_most(octets_max);
        }
        let mark = self.mark.len() as u64;
        let rest = match at.checked_sub(mark) {
            None => self.mark.slice(to_usize(at)..),
            Some(past) => self.lines.slice(to_usize(past % self.lines.len() as u64)..),
        };
        rest.split_to_most(octets_max.min(to_usize(self.octets.saturating_sub(at))))
    }

    fn whole(&self) -> Bytes {
        let mut octets = Vec::with_capacity(to_usize(self.octets));
        octets.extend_from_slice(&self.mark);
        octets.extend_from_slice(&self.lines[..to_usize(self.octets) - self.mark.len()]);
        octets.into()
    }
}

trait SplitToMost {
    fn split_to_most(self, octets_max: usize) -> Bytes;
}

impl SplitToMost for Bytes {
    fn split_to_most(mut self, octets_max: usize) -> Bytes {
        self.truncate(octets_max);
        self
    }
}

impl Source for Letter {
    fn read(&self, _: usize, offset: u64, octets_max: usize) -> Later<'_, std::io::Result<Bytes>> {
        Box::pin(std::future::ready(Ok(self.text.piece(offset, octets_max))))
    }

    fn slice(&self, _: usize, _: u64, _: u64) -> Later<'_, std::io::Result<Bytes>> {
        let reason = "ranges are not made for a load";
        Box::pin(std::future::ready(Err(std::io::Error::new(std::io::ErrorKind::Unsupported, reason))))
    }
}

fn seal(manifest: &Manifest, identity: &PeerIdentity, from: &str) -> Seal {
    let claims = Claims {
        issuer: identity.domain.as_str().to_owned(),
        issued_at: clock::now_ms() / 1000,
        expires_at: None,
        role: Role::Submission,
        submitter: Some(from.to_owned()),
        recipient: None,
        authorization: None,
        checks: Vec::new(),
    };
    Seal::sign(manifest.octets(), claims, identity.selector.as_bytes(), &identity.key)
}

/// What names one submission: the number in the run, and the run.
fn token(run: &str, number: u64) -> [u8; 16] {
    let mut token = [0; 16];
    token[..8].copy_from_slice(&number.to_be_bytes());
    token[8..].copy_from_slice(&run.as_bytes()[..8]);
    token
}

/// What is asked for here is never more than fits into memory.
fn to_usize(octets: u64) -> usize {
    usize::try_from(octets).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_is_another_one_and_of_the_size_that_was_asked_for() {
        for octets in [1, 63, 64, 65, 4096, WHOLE_OCTETS, WHOLE_OCTETS + 1, 1_000_000] {
            let from = Address::parse("ann@a.test").unwrap();
            let mould = Mould::of_user(&from, std::slice::from_ref(&from), octets).unwrap();
            let (one, other) = (mould.letter(7).unwrap(), mould.letter(8).unwrap());
            assert_ne!(one.manifest.identity(), other.manifest.identity());
            assert_ne!(mould.offer(&one, 7).submission, mould.offer(&other, 8).submission);
            let mut read = Vec::new();
            while (read.len() as u64) < octets {
                let piece = one.text.piece(read.len() as u64, 50_000);
                assert!(!piece.is_empty(), "{octets}");
                read.extend_from_slice(&piece);
            }
            let (_, leaf, digest) = one.manifest.leaves().next().unwrap();
            assert_eq!(Extent::of(&read), Extent { octets, digest });
            assert_eq!(leaf.octets, octets);
            assert!(one.text.piece(octets, 10).is_empty());
        }
    }
}
