//! Parts on their way in and out: a writer that hashes and resumes, a part that is staged, a reader.

use bytes::Bytes;
use message::{Digest, DigestWriter, Extent};

use crate::Error;
use crate::files::{PlacedFile, StagingFile};
use crate::limits::{GATHERED_OCTETS, INLINE_OCTETS_MAX};

/// Receives one leaf. Large leaves go to a file that outlives the writer when it is dropped, so that the owner can
/// resume; small ones stay in memory.
///
/// What comes for a file is gathered, since it comes by the datagram, and to hash and to write costs many times less for many
/// octets at once. A process that is killed loses what is gathered.
#[derive(Debug)]
pub struct PartWriter {
    owner: String,
    extent: Extent,
    /// Of the octets that are in the room; what is gathered is not in it yet.
    hasher: DigestWriter,
    gathered: Vec<u8>,
    room: Room,
    /// Whether octets were here before: what an earlier transfer left is not synced, and a loss of power changes it.
    resumed: bool,
}

/// Where the octets go.
#[derive(Debug)]
enum Room {
    Memory(Vec<u8>),
    Staging(StagingFile),
}

impl PartWriter {
    /// A writer for a small part.
    pub(crate) fn in_memory(owner: &str, extent: Extent) -> PartWriter {
        PartWriter {
            owner: owner.to_owned(),
            extent,
            hasher: DigestWriter::new(),
            gathered: Vec::new(),
            room: Room::Memory(Vec::with_capacity(extent.octets.min(INLINE_OCTETS_MAX) as usize)),
            resumed: false,
        }
    }

    /// A writer for a large part: what the file holds already is hashed anew, because it may have been damaged.
    pub(crate) fn in_file(owner: &str, extent: Extent, mut file: StagingFile) -> Result<PartWriter, Error> {
        let mut hasher = DigestWriter::new();
        file.read_all(extent.octets, &mut |octets| hasher.update(octets))?;
        let resumed = hasher.octets() > 0;
        let (owner, gathered, room) = (owner.to_owned(), Vec::new(), Room::Staging(file));
        Ok(PartWriter { owner, extent, hasher, gathered, room, resumed })
    }

    /// How many octets are here: the next octet to write is the one at this offset.
    pub fn offset(&self) -> u64 {
        self.hasher.octets() + self.gathered.len() as u64
    }

    /// What is to be received.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// Takes the next octets. Blocking for large parts.
    ///
    /// # Errors
    /// [`Error::Digest`] or [`Error::Remains`] where there are more than announced; the partial transfer is thrown away. [`Error::Full`] or
    /// [`Error::Io`] where they cannot be written: then what was gathered is gone with them, and [`PartWriter::offset`] says what
    /// is still here.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), Error> {
        if octets.len() as u64 > self.extent.octets - self.offset() {
            return Err(self.discard());
        }
        match &mut self.room {
            Room::Memory(memory) => {
                memory.extend_from_slice(octets);
                self.hasher.update(octets);
                Ok(())
            }
            Room::Staging(_) => self.gather(octets),
        }
    }

    /// Gathers octets, and writes as often as there are enough of them.
    fn gather(&mut self, mut octets: &[u8]) -> Result<(), Error> {
        while self.gathered.len() + octets.len() >= GATHERED_OCTETS {
            let (now, later) = octets.split_at(GATHERED_OCTETS - self.gathered.len());
            if self.gathered.is_empty() {
                self.put_down(now)?;
            } else {
                self.gathered.extend_from_slice(now);
                self.put_down_gathered()?;
            }
            octets = later;
        }
        if !octets.is_empty() {
            self.gathered.reserve_exact(GATHERED_OCTETS - self.gathered.len());
            self.gathered.extend_from_slice(octets);
        }
        Ok(())
    }

    /// Writes what is gathered. What cannot be written is no longer here.
    fn put_down_gathered(&mut self) -> Result<(), Error> {
        let mut gathered = std::mem::take(&mut self.gathered);
        let put = self.put_down(&gathered);
        gathered.clear();
        self.gathered = gathered;
        put
    }

    /// Writes octets to the file, and hashes them once they are there.
    fn put_down(&mut self, octets: &[u8]) -> Result<(), Error> {
        if let Room::Staging(file) = &mut self.room
            && !octets.is_empty()
        {
            file.append(octets, self.hasher.octets())?;
            self.hasher.update(octets);
        }
        Ok(())
    }

    /// Checks length and digest and makes the octets durable. Blocking for large parts.
    ///
    /// # Errors
    /// [`Error::Digest`] where they are not what was announced, [`Error::Remains`] where some of them are what an earlier
    /// transfer has left: the partial transfer is thrown away.
    /// [`Error::Full`] or [`Error::Io`] where the file cannot be written or synced; after a sync that has failed nothing of it stays.
    /// keeps: EXC-24
    pub fn finish(mut self) -> Result<StagedPart, Error> {
        self.put_down_gathered()?;
        if self.hasher.octets() != self.extent.octets || self.hasher.digest() != self.extent.digest {
            return Err(self.discard());
        }
        let source = match std::mem::replace(&mut self.room, Room::Memory(Vec::new())) {
            Room::Memory(memory) => Source::Inline(memory.into()),
            Room::Staging(mut file) => {
                file.finish(self.extent.octets)?;
                Source::Staging(file)
            }
        };
        Ok(StagedPart { owner: std::mem::take(&mut self.owner), extent: self.extent, source })
    }

    /// Throws the partial transfer away, so that a resumption does not begin with wrong octets, and says whose fault it
    /// was.
    fn discard(&mut self) -> Error {
        self.hasher = DigestWriter::new();
        self.gathered.clear();
        match &mut self.room {
            Room::Memory(memory) => memory.clear(),
            Room::Staging(file) => file.discard(),
        }
        if std::mem::take(&mut self.resumed) { Error::Remains } else { Error::Digest }
    }
}

impl Drop for PartWriter {
    /// A transfer that ends early is resumed where it stopped.
    fn drop(&mut self) {
        // What cannot be written comes again.
        let _ = self.put_down_gathered();
    }
}

/// A leaf whose octets are here and have the digest: only [`PartWriter::finish`] and [`crate::Store::known`] make one.
/// Dropped without being accepted, a large part stays for its owner to resume at its end.
#[derive(Debug)]
pub struct StagedPart {
    pub(crate) owner: String,
    pub(crate) extent: Extent,
    pub(crate) source: Source,
}

/// Where the octets of a staged part are.
#[derive(Debug)]
pub(crate) enum Source {
    /// In memory.
    Inline(Bytes),
    /// In the staging directory, synced.
    Staging(StagingFile),
    /// Among the parts that are kept.
    Known,
}

impl StagedPart {
    /// The same octets for another leaf of the same message, to be given to the store after this one.
    pub fn twin(&self) -> StagedPart {
        let source = match &self.source {
            Source::Inline(octets) => Source::Inline(octets.clone()),
            Source::Staging(_) | Source::Known => Source::Known,
        };
        StagedPart { owner: self.owner.clone(), extent: self.extent, source }
    }

    /// What it is.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// Its digest.
    pub fn digest(&self) -> Digest {
        self.extent.digest
    }

    /// How many octets of it are in memory; a twin has the same.
    pub fn octets_in_memory(&self) -> u64 {
        match &self.source {
            Source::Inline(octets) => octets.len() as u64,
            Source::Staging(_) | Source::Known => 0,
        }
    }
}

/// Reads one leaf that is kept, at any octet. It stays readable when the message is removed meanwhile.
#[derive(Debug)]
pub struct PartReader {
    octets: u64,
    source: ReadFrom,
}

/// Where the octets are read from.
#[derive(Debug)]
enum ReadFrom {
    Memory(Bytes),
    File(PlacedFile),
}

impl PartReader {
    /// A reader of octets in memory.
    pub(crate) fn of_octets(octets: Bytes) -> PartReader {
        PartReader { octets: octets.len() as u64, source: ReadFrom::Memory(octets) }
    }

    /// A reader of a file.
    pub(crate) fn of_file(octets: u64, file: PlacedFile) -> PartReader {
        PartReader { octets, source: ReadFrom::File(file) }
    }

    /// How many octets the leaf has.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Reads octets from this offset on into the buffer and returns how many: as many as fit and are there, 0 at the
    /// end. Blocking for large parts.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        match &self.source {
            ReadFrom::Memory(octets) => {
                let rest =
                    usize::try_from(offset).ok().and_then(|offset| octets.get(offset..)).unwrap_or_default();
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            }
            ReadFrom::File(file) => file.read_at(offset, buffer),
        }
    }
}

#[cfg(test)]
mod tests;
