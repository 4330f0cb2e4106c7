//! A message on its way to the node: its headers in memory, its bodies where they are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use message::slice::{OutboardBuilder, SliceError, encode_slice};
use message::{
    Event, Extent, FilePrelude, HeaderBuilder, Headers, Identity, Limits, Manifest, Message, Parser,
    PreludeReader, Seal, Segment,
};
use protocol::Supply;
use transport::{Later, Source};

use crate::Error;
use crate::limits::CHUNK_OCTETS;

/// How a file in the native form begins.
const WAX_START: &[u8] = b"Waxwing: 1\r\n";

/// A message that can be sent or looked at. Large bodies stay in their files, which must not change meanwhile: the
/// receiver would see that their digest is wrong.
#[derive(Debug)]
pub struct Outgoing {
    manifest: Manifest,
    headers: Headers,
    seals: Vec<Seal>,
    bodies: BTreeMap<usize, Body>,
}

/// Where the octets of a leaf are.
#[derive(Debug, Clone)]
pub(super) enum Body {
    Memory(Bytes),
    File { file: Arc<File>, offset: u64, octets: u64 },
}

impl Outgoing {
    /// A message that is whole in memory.
    pub fn from_message(message: &Message, seals: Vec<Seal>) -> Outgoing {
        let numbers = message.manifest().leaves().map(|(number, _, _)| number);
        let bodies = numbers.zip(message.bodies()).map(|(n, body)| (n, Body::Memory(body.clone()))).collect();
        let (manifest, headers) = (message.manifest().clone(), message.headers().clone());
        Outgoing { manifest, headers, seals, bodies }
    }

    pub(super) fn new(manifest: Manifest, headers: Headers, bodies: BTreeMap<usize, Body>) -> Outgoing {
        Outgoing { manifest, headers, seals: Vec::new(), bodies }
    }

    /// Opens a message file: the native form where it begins as one, else the legacy form, which is read into memory.
    /// The second value is what the translation changed.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Content`] where the file breaks a rule; [`Error::Translation`].
    pub fn open(path: &Path) -> Result<(Outgoing, Vec<translate::Note>), Error> {
        let mut file = File::open(path).map_err(Error::file(path))?;
        let mut start = Vec::new();
        let wrong = |error| Error::File { path: path.to_owned(), error };
        Read::by_ref(&mut file).take(WAX_START.len() as u64).read_to_end(&mut start).map_err(wrong)?;
        file.seek(SeekFrom::Start(0)).map_err(wrong)?;
        if start == WAX_START {
            return Ok((Outgoing::open_wax(path, file)?, Vec::new()));
        }
        let mut eml = Vec::new();
        // One octet more than may be, so that the translation sees what is too large.
        let octets_max = translate::limits::LEGACY_OCTETS_MAX as u64 + 1;
        file.take(octets_max).read_to_end(&mut eml).map_err(wrong)?;
        let imported = translate::import(&eml, &translate::ImportOptions::default())?;
        Ok((Outgoing::from_message(&imported.message, Vec::new()), imported.notes))
    }

    /// Reads a message of either form, whole, into memory: at most as much as the legacy form may have.
    ///
    /// # Errors
    /// As [`Outgoing::open`]; [`Error::Usage`] where it cannot be read or is larger.
    pub fn read(input: impl Read) -> Result<Outgoing, Error> {
        let octets_max = translate::limits::LEGACY_OCTETS_MAX as u64;
        let mut octets = Vec::new();
        let read = input.take(octets_max + 1).read_to_end(&mut octets);
        read.map_err(|error| Error::usage(format!("the standard input cannot be read: {error}")))?;
        if octets.len() as u64 > octets_max {
            return Err(Error::usage(format!("what comes has more than {octets_max} octets; give a file")));
        }
        if !octets.starts_with(WAX_START) {
            let imported = translate::import(&octets, &translate::ImportOptions::default())?;
            return Ok(Outgoing::from_message(&imported.message, Vec::new()));
        }
        let mut found = Found::default();
        found.take(&octets)?;
        let (prelude_octets, seals, manifest, headers) = found.finish()?;
        let octets = Bytes::from(octets);
        let body = |offset: u64, count: u64| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let end = usize::try_from(offset.saturating_add(count)).unwrap_or(usize::MAX);
            octets.get(start..end).map(|body| Body::Memory(octets.slice_ref(body)))
        };
        let bodies = bodies(&manifest, prelude_octets, body);
        Ok(Outgoing { manifest, headers, seals, bodies })
    }

    /// Reads a file in the native form once, for its digests; bodies stay in it.
    fn open_wax(path: &Path, mut file: File) -> Result<Outgoing, Error> {
        let mut found = Found::default();
        let mut chunk = vec![0; CHUNK_OCTETS];
        loop {
            let count = file.read(&mut chunk).map_err(Error::file(path))?;
            if count == 0 {
                break;
            }
            found.take(&chunk[..count])?;
        }
        let (prelude_octets, seals, manifest, headers) = found.finish()?;
        let file = Arc::new(file);
        let body = |offset, octets| Some(Body::File { file: file.clone(), offset, octets });
        let bodies = bodies(&manifest, prelude_octets, body);
        Ok(Outgoing { manifest, headers, seals, bodies })
    }

    /// The same message without the fields of this name in its header block; its seals go where that changes it.
    ///
    /// # Errors
    /// [`Error::Content`].
    pub fn without_field(self, name: &str) -> Result<Outgoing, Error> {
        let block = self.headers.message();
        if block.first(name).is_none() {
            return Ok(self);
        }
        let mut builder = HeaderBuilder::new();
        for field in block.fields().filter(|field| !field.is(name)) {
            builder.push(field.name, field.raw_value)?;
        }
        self.under(builder.finish()?)
    }

    /// The same parts under another header block, without seals.
    pub(super) fn under(mut self, header: message::HeaderBlock) -> Result<Outgoing, Error> {
        (self.headers, self.manifest) = self.headers.with_message_header(&self.manifest, header)?;
        self.seals.clear();
        Ok(self)
    }

    /// With one seal more.
    pub(super) fn with_seal(mut self, seal: Seal) -> Outgoing {
        self.seals.push(seal);
        self
    }

    /// The same parts under the header block and seals that the node has given.
    ///
    /// # Errors
    /// [`Error::Content`] where they are not those of the identity that it gave.
    pub fn sealed(mut self, sealed: &protocol::Sealed) -> Result<Outgoing, Error> {
        if !sealed.header.is_empty() {
            let header = message::HeaderBlock::parse(Bytes::from(sealed.header.clone()))?;
            (self.headers, self.manifest) = self.headers.with_message_header(&self.manifest, header)?;
        }
        if self.manifest.identity() != sealed.identity {
            return Err(Error::Content(
                "what the node gave back is not the message that was sent".to_owned(),
            ));
        }
        let seals = sealed.seals.iter().map(|octets| Seal::parse(Bytes::from(octets.clone())));
        self.seals = seals.collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The header blocks.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The seals, not checked.
    pub fn seals(&self) -> &[Seal] {
        &self.seals
    }

    /// The identity.
    pub fn identity(&self) -> Identity {
        self.manifest.identity()
    }

    /// Octets of all bodies together.
    pub fn body_octets(&self) -> u64 {
        self.manifest.leaves().map(|(_, part, _)| part.octets).sum()
    }

    pub(super) fn issuers(&self) -> Vec<String> {
        self.seals.iter().map(|seal| seal.claims().issuer.clone()).collect()
    }

    pub(super) fn supply(&self) -> Supply {
        Supply {
            manifest: self.manifest.clone(),
            headers: self.headers.octets(),
            seals: self.seals.iter().map(|seal| seal.octets().clone()).collect(),
        }
    }

    /// The octets of a leaf from an offset, at most so many; blocks.
    ///
    /// # Errors
    /// Those of the file; `InvalidInput` where there is no such leaf or it ends before the offset.
    pub fn read_at(&self, part: usize, offset: u64, octets_max: usize) -> io::Result<Bytes> {
        self.bodies.get(&part).ok_or_else(no_such_part)?.read_at(offset, octets_max)
    }
}

/// The bodies of a message in the native form, whose prelude has so many octets.
fn bodies(
    manifest: &Manifest,
    prelude_octets: u64,
    body: impl Fn(u64, u64) -> Option<Body>,
) -> BTreeMap<usize, Body> {
    let mut offset = prelude_octets;
    let mut bodies = BTreeMap::new();
    for segment in manifest.layout() {
        match segment {
            Segment::Body { part, octets } => {
                bodies.extend(body(offset, octets).map(|body| (part, body)));
                offset += octets;
            }
            Segment::Header { octets } | Segment::PartHeader { octets, .. } => offset += octets,
            Segment::Trailer => offset += 4,
        }
    }
    bodies
}

impl Body {
    fn read_at(&self, at: u64, octets_max: usize) -> io::Result<Bytes> {
        match self {
            Body::Memory(octets) => {
                let at =
                    usize::try_from(at).ok().filter(|at| *at <= octets.len()).ok_or_else(no_such_part)?;
                Ok(octets.slice(at..octets.len().min(at.saturating_add(octets_max))))
            }
            Body::File { file, offset, octets } => {
                let left = octets.checked_sub(at).ok_or_else(no_such_part)?;
                let count = usize::try_from(left).unwrap_or(octets_max).min(octets_max).min(CHUNK_OCTETS);
                let mut buffer = vec![0; count];
                let read = file.read_at(&mut buffer, offset + at)?;
                buffer.truncate(read);
                Ok(Bytes::from(buffer))
            }
        }
    }

    fn slice(&self, total: u64, offset: u64, octets: u64) -> io::Result<Bytes> {
        let mut builder = OutboardBuilder::new();
        let mut at = 0;
        while at < total {
            let chunk = self.read_at(at, CHUNK_OCTETS)?;
            if chunk.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            builder.push(&chunk);
            at += chunk.len() as u64;
        }
        let fill = |mut at: u64, mut buffer: &mut [u8]| -> Result<(), SliceIoError> {
            while !buffer.is_empty() {
                let chunk = self.read_at(at, buffer.len())?;
                let (now, later) = buffer.split_at_mut(chunk.len());
                if now.is_empty() {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                now.copy_from_slice(&chunk);
                at += chunk.len() as u64;
                buffer = later;
            }
            Ok(())
        };
        let slice =
            encode_slice(&builder.finish(), offset, octets, fill).map_err(|SliceIoError(error)| error)?;
        Ok(Bytes::from(slice))
    }
}

/// What can go wrong when a range is read and proved.
struct SliceIoError(io::Error);

impl From<SliceError> for SliceIoError {
    fn from(error: SliceError) -> SliceIoError {
        SliceIoError(io::Error::other(error))
    }
}

impl From<io::Error> for SliceIoError {
    fn from(error: io::Error) -> SliceIoError {
        SliceIoError(error)
    }
}

impl Source for Outgoing {
    fn read(&self, part: usize, offset: u64, octets_max: usize) -> Later<'_, io::Result<Bytes>> {
        Box::pin(async move {
            let body = self.bodies.get(&part).ok_or_else(no_such_part)?.clone();
            match body {
                Body::Memory(_) => body.read_at(offset, octets_max),
                Body::File { .. } => {
                    tokio::task::spawn_blocking(move || body.read_at(offset, octets_max)).await?
                }
            }
        })
    }

    fn slice(&self, part: usize, offset: u64, octets: u64) -> Later<'_, io::Result<Bytes>> {
        Box::pin(async move {
            let body = self.bodies.get(&part).ok_or_else(no_such_part)?.clone();
            let total = self.manifest.part(part).map_or(0, |entry| entry.octets);
            tokio::task::spawn_blocking(move || body.slice(total, offset, octets)).await?
        })
    }
}

fn no_such_part() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the message has no such part or octets")
}

/// What was found so far in a file in the native form.
#[derive(Default)]
struct Found {
    prelude: PreludeReader,
    seals: Option<Vec<Seal>>,
    parser: Option<Parser>,
    octets: u64,
    prelude_octets: u64,
    headers: Vec<u8>,
    manifest: Option<Manifest>,
}

impl Found {
    fn take(&mut self, octets: &[u8]) -> Result<(), Error> {
        self.octets += octets.len() as u64;
        let parser = match &mut self.parser {
            Some(parser) => {
                parser.push(octets);
                parser
            }
            None => match self.prelude.push(octets)? {
                None => return Ok(()),
                Some((FilePrelude { seals }, rest)) => {
                    self.seals = Some(seals);
                    self.prelude_octets = self.octets - rest.len() as u64;
                    // A part may be as long as its length can say: it is only read through.
                    let limits = Limits { part_octets: message::limits::LENGTH_MAX, ..Limits::default() };
                    let parser = self.parser.insert(Parser::new(limits));
                    parser.push(&rest);
                    parser
                }
            },
        };
        while let Some(event) = parser.next_event()? {
            match event {
                Event::Header(block) => self.headers.extend_from_slice(block.octets()),
                Event::PartStart { header, .. } => self.headers.extend_from_slice(header.octets()),
                Event::End(manifest) => self.manifest = Some(*manifest),
                Event::Body { .. } | Event::PartEnd { .. } => {}
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(u64, Vec<Seal>, Manifest, Headers), Error> {
        let short = || Error::Content("the file ends early".to_owned());
        self.parser.ok_or_else(short)?.finish()?;
        let manifest = self.manifest.ok_or_else(short)?;
        let headers = Headers::verify(&manifest, Bytes::from(self.headers))?;
        Ok((self.prelude_octets, self.seals.unwrap_or_default(), manifest, headers))
    }
}

/// The extent of a file, read once.
pub(super) fn extent_of(file: &File, path: &Path) -> Result<Extent, Error> {
    let mut digest = message::DigestWriter::new();
    let mut chunk = vec![0; CHUNK_OCTETS];
    let mut file = file;
    loop {
        let count = file.read(&mut chunk).map_err(Error::file(path))?;
        if count == 0 {
            return Ok(Extent { octets: digest.octets(), digest: digest.digest() });
        }
        digest.update(&chunk[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message in both forms, from the file and from memory.
    #[test]
    fn what_is_read_from_memory_is_what_a_file_has() {
        let eml = b"From: a@a.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
            --b\r\n\r\none\r\n--b\r\nContent-Type: text/csv\r\n\r\ntwo\r\n--b--\r\n";
        let message = translate::import(eml, &translate::ImportOptions::default()).unwrap().message;
        let parts = (message.manifest().clone(), message.headers().clone());
        let mut wax = super::super::WaxWriter::new(Vec::new(), parts.0, parts.1, Vec::new()).unwrap();
        for body in message.bodies() {
            wax.body(body).unwrap();
        }
        let wax = wax.finish().unwrap();
        let folder = tempfile::tempdir().unwrap();
        for octets in [&eml[..], &wax] {
            let path = folder.path().join("message");
            std::fs::write(&path, octets).unwrap();
            let (file, _) = Outgoing::open(&path).unwrap();
            let read = Outgoing::read(octets).unwrap();
            assert_eq!(read.manifest().identity(), message.identity());
            assert_eq!(file.manifest().identity(), message.identity());
            for (number, part, _) in message.manifest().leaves() {
                let body = |one: &Outgoing| one.bodies[&number].read_at(0, part.octets as usize).unwrap();
                assert_eq!(body(&read), body(&file));
                assert_eq!(Some(&body(&read)), message.body(number));
            }
        }
        assert!(Outgoing::read(&wax[..wax.len() / 2]).is_err());
    }
}
