//! A message that is fetched: every piece is checked against the identity that was asked for.

use std::collections::BTreeMap;
use std::io::{self, Write};

use bytes::Bytes;
use message::{Digest, Headers, Identity, Manifest, Seal};
use protocol::{ContentHead, Piece};
use transport::ContentSink;

use super::WaxWriter;

/// What was fetched into memory.
#[derive(Debug, Default)]
pub struct Fetched {
    /// The manifest.
    pub manifest: Option<Manifest>,
    /// The header blocks.
    pub headers: Option<Headers>,
    /// The seals, not checked.
    pub seals: Vec<Seal>,
    /// Bodies by the numbers of their parts, where they were kept in memory.
    pub bodies: BTreeMap<usize, Bytes>,
}

/// Where bodies go.
enum Bodies<'a> {
    /// Into memory, all together no more than so many octets.
    Memory { octets_max: u64 },
    /// To a writer, one part as it is.
    Raw(Box<dyn Write + Send + 'a>),
    /// Into a message file, begun once the headers are there.
    File(Option<Box<dyn Write + Send + 'a>>),
}

/// Takes in fetched content.
///
/// A node that sends other octets than those of the message asked for is found out: the manifest by the identity,
/// headers and bodies by the manifest. keeps: CLI-7
pub struct Incoming<'a> {
    identity: Identity,
    fetched: Fetched,
    bodies: Bodies<'a>,
    writer: Option<WaxWriter<Box<dyn Write + Send + 'a>>>,
    open: Option<Open>,
}

/// The piece that is being read.
struct Open {
    piece: Piece,
    left: u64,
    gathered: Vec<u8>,
    digest: message::DigestWriter,
}

impl<'a> Incoming<'a> {
    /// Keeps everything in memory, bodies up to so many octets together.
    pub fn into_memory(identity: Identity, octets_max: u64) -> Incoming<'a> {
        Incoming::with(identity, Bodies::Memory { octets_max })
    }

    /// Writes the body of one leaf of a message whose manifest is known. What was written is right only once the
    /// fetch has ended well.
    pub fn raw(manifest: Manifest, out: Box<dyn Write + Send + 'a>) -> Incoming<'a> {
        let mut incoming = Incoming::with(manifest.identity(), Bodies::Raw(out));
        incoming.fetched.manifest = Some(manifest);
        incoming
    }

    /// Writes a message file; everything must be fetched.
    pub fn into_file(identity: Identity, out: Box<dyn Write + Send + 'a>) -> Incoming<'a> {
        Incoming::with(identity, Bodies::File(Some(out)))
    }

    fn with(identity: Identity, bodies: Bodies<'a>) -> Incoming<'a> {
        Incoming { identity, fetched: Fetched::default(), bodies, writer: None, open: None }
    }

    /// What was fetched, once the fetch has ended well.
    ///
    /// # Errors
    /// Those of the writer; `UnexpectedEof` where octets are missing.
    pub fn finish(self) -> io::Result<Fetched> {
        if self.open.is_some() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match (self.writer, self.bodies) {
            (Some(writer), _) => drop(writer.finish()?),
            (None, Bodies::File(_)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            (None, Bodies::Raw(mut out)) => out.flush()?,
            (None, Bodies::Memory { .. }) => {}
        }
        Ok(self.fetched)
    }

    fn bound(&self, head: &ContentHead) -> io::Result<()> {
        let bound = match head.piece {
            Piece::Manifest => message::limits::MANIFEST_OCTETS_MAX as u64,
            Piece::Seals => protocol::limits::SEALS_OCTETS_MAX,
            Piece::Headers => message::limits::HEADERS_OCTETS_MAX,
            Piece::Slice { .. } => return Err(wrong("a range was not asked for")),
            Piece::Body { part, from } => {
                let manifest =
                    self.fetched.manifest.as_ref().ok_or_else(|| wrong("a body before its manifest"))?;
                let leaf = manifest.part(part).filter(|entry| entry.leaf().is_some());
                if from != 0 || leaf.map(|entry| entry.octets) != Some(head.octets) {
                    return Err(wrong("a body that is not as long as its part"));
                }
                if let Some(writer) = &self.writer
                    && head.octets > 0
                    && writer.due() != Some(part)
                {
                    return Err(wrong("bodies out of their order"));
                }
                let held: u64 = self.fetched.bodies.values().map(|body| body.len() as u64).sum();
                match self.bodies {
                    Bodies::Memory { octets_max } => octets_max.saturating_sub(held),
                    _ => u64::MAX,
                }
            }
        };
        if head.octets <= bound { Ok(()) } else { Err(wrong("a piece of content is too large to be shown")) }
    }

    /// A piece is whole: it is checked.
    fn close(&mut self, open: Open) -> io::Result<()> {
        let octets = Bytes::from(open.gathered);
        match open.piece {
            Piece::Manifest if octets.is_empty() => {}
            Piece::Manifest => {
                let manifest = Manifest::decode(&octets).map_err(content)?;
                if manifest.identity() != self.identity {
                    return Err(wrong("the node sent another message than the one asked for"));
                }
                self.fetched.manifest = Some(manifest);
            }
            Piece::Seals => self.fetched.seals = read_seals(&octets).map_err(content)?,
            Piece::Headers => {
                let manifest =
                    self.fetched.manifest.as_ref().ok_or_else(|| wrong("headers before their manifest"))?;
                let headers = Headers::verify(manifest, octets).map_err(content)?;
                if let Bodies::File(out) = &mut self.bodies
                    && let Some(out) = out.take()
                {
                    let seals = std::mem::take(&mut self.fetched.seals);
                    self.writer = Some(WaxWriter::new(out, manifest.clone(), headers.clone(), seals)?);
                }
                self.fetched.headers = Some(headers);
            }
            Piece::Body { part, .. } => {
                self.check_body(part, open.digest.digest())?;
                if let Bodies::Memory { .. } = self.bodies {
                    self.fetched.bodies.insert(part, octets);
                }
            }
            Piece::Slice { .. } => {}
        }
        Ok(())
    }

    fn check_body(&self, part: usize, found: Digest) -> io::Result<()> {
        let entry = self.fetched.manifest.as_ref().and_then(|manifest| manifest.part(part));
        match entry.and_then(message::Part::leaf) {
            Some(digest) if digest == found => Ok(()),
            _ => Err(wrong("the node sent octets that do not belong to the message")),
        }
    }
}

impl ContentSink for Incoming<'_> {
    fn piece(&mut self, head: ContentHead) -> io::Result<()> {
        if self.open.is_some() {
            return Err(wrong("a piece within a piece"));
        }
        self.bound(&head)?;
        let digest = message::DigestWriter::new();
        let open = Open { piece: head.piece, left: head.octets, gathered: Vec::new(), digest };
        if open.left == 0 {
            return self.close(open);
        }
        self.open = Some(open);
        Ok(())
    }

    fn octets(&mut self, octets: Bytes) -> io::Result<()> {
        let mut open = self.open.take().ok_or_else(|| wrong("octets of no piece"))?;
        let count = octets.len() as u64;
        open.left = open.left.checked_sub(count).ok_or_else(|| wrong("more octets than were announced"))?;
        match (&open.piece, &mut self.bodies, &mut self.writer) {
            (Piece::Body { .. }, _, Some(writer)) => writer.body(&octets)?,
            (Piece::Body { .. }, Bodies::Raw(out), None) => out.write_all(&octets)?,
            (Piece::Body { .. }, Bodies::File(_), None) => return Err(wrong("a body before the headers")),
            _ => open.gathered.extend_from_slice(&octets),
        }
        if matches!(open.piece, Piece::Body { .. }) {
            open.digest.update(&octets);
        }
        if open.left == 0 {
            return self.close(open);
        }
        self.open = Some(open);
        Ok(())
    }
}

/// Reads seals as a content frame carries them: a CBOR array of byte strings.
///
/// # Errors
/// [`message::Error`].
pub fn read_seals(octets: &[u8]) -> Result<Vec<Seal>, message::Error> {
    let value = message::cbor::decode(octets)?;
    let items = value.as_array().ok_or(message::Error::Seal("they are not a list"))?;
    if items.len() > message::limits::SEALS_MAX {
        return Err(message::Error::Bound { what: "seals", bound: message::limits::SEALS_MAX as u64 });
    }
    let seal = |octets: &Vec<u8>| Seal::parse(Bytes::copy_from_slice(octets));
    items.iter().map(|item| item.as_bytes().map_or(Err(message::Error::Seal("not octets")), seal)).collect()
}

fn wrong(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn content(error: message::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
