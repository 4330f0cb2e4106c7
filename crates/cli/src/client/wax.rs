//! Writing the native form of a message as its content comes.

use std::collections::VecDeque;
use std::io::{self, Write};

use message::{Digest, DigestWriter, FilePrelude, Headers, Manifest, Seal, Segment};

/// Writes a message file, or with [`WaxWriter::bare`] the message alone: the header blocks are known, the bodies are
/// given in their order, in pieces of any size, and each is held against its digest.
#[derive(Debug)]
pub struct WaxWriter<W> {
    out: W,
    manifest: Manifest,
    headers: Headers,
    layout: VecDeque<Segment>,
    body: Option<Open>,
}

/// The body that is being written.
#[derive(Debug)]
struct Open {
    part: usize,
    left: u64,
    digest: DigestWriter,
}

impl<W: Write> WaxWriter<W> {
    /// Begins a message file.
    ///
    /// # Errors
    /// Those of the writer; `InvalidInput` with too many seals.
    pub fn new(
        mut out: W,
        manifest: Manifest,
        headers: Headers,
        seals: Vec<Seal>,
    ) -> io::Result<WaxWriter<W>> {
        let prelude = FilePrelude { seals }.to_block();
        let prelude = prelude.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        out.write_all(prelude.octets())?;
        WaxWriter::bare(out, manifest, headers)
    }

    /// Begins the octet form of the message alone.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn bare(out: W, manifest: Manifest, headers: Headers) -> io::Result<WaxWriter<W>> {
        let layout = manifest.layout().into();
        let mut writer = WaxWriter { out, manifest, headers, layout, body: None };
        writer.advance()?;
        Ok(writer)
    }

    /// The number of the leaf whose octets are due.
    pub fn due(&self) -> Option<usize> {
        self.body.as_ref().map(|open| open.part)
    }

    /// Octets of the leaf that is due, never beyond its end.
    ///
    /// # Errors
    /// Those of the writer; `InvalidData` where there are more than are due, or they do not have their digest.
    pub fn body(&mut self, octets: &[u8]) -> io::Result<()> {
        let open = self.body.as_mut().ok_or_else(|| wrong("more octets than the message has"))?;
        let count = octets.len() as u64;
        open.left = open.left.checked_sub(count).ok_or_else(|| wrong("more octets than the part has"))?;
        open.digest.update(octets);
        self.out.write_all(octets)?;
        if open.left == 0 { self.advance() } else { Ok(()) }
    }

    /// Ends, and gives the writer back.
    ///
    /// # Errors
    /// `UnexpectedEof` where octets are missing; those of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        if self.body.is_some() || !self.layout.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.out.flush()?;
        Ok(self.out)
    }

    /// Closes the body that is whole and writes on until octets are needed.
    fn advance(&mut self) -> io::Result<()> {
        if let Some(open) = self.body.take() {
            self.check(open.part, open.digest.digest())?;
        }
        while let Some(segment) = self.layout.pop_front() {
            match segment {
                Segment::Header { .. } => self.out.write_all(self.headers.message().octets())?,
                Segment::PartHeader { part, .. } => {
                    let block = self.headers.parts().get(part).ok_or_else(|| wrong("a header is missing"))?;
                    self.out.write_all(block.octets())?;
                }
                Segment::Trailer => self.out.write_all(b"\r\n\r\n")?,
                Segment::Body { part, octets: 0 } => self.check(part, Digest::of(b""))?,
                Segment::Body { part, octets } => {
                    self.body = Some(Open { part, left: octets, digest: DigestWriter::new() });
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn check(&self, part: usize, found: Digest) -> io::Result<()> {
        match self.manifest.part(part).and_then(message::Part::leaf) {
            Some(digest) if digest == found => Ok(()),
            _ => Err(wrong("the octets of a part do not have the digest in the manifest")),
        }
    }
}

fn wrong(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
