//! A partial transfer: the file that a part comes into, until it is whole and moved among the parts.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Files, Place, lock};
use crate::Error;
use crate::limits::LOOK_EVERY_OCTETS;

/// A partial transfer, open for one writer.
#[derive(Debug)]
pub(crate) struct StagingFile {
    pub(super) name: String,
    files: Arc<Files>,
    pub(super) handle: Option<File>,
    /// When it was opened, in Unix milliseconds: its age counts from there.
    touched_ms: u64,
    /// Octets that have to stay free.
    floor: u64,
    /// Octets written since it was looked whether they are.
    unlooked: u64,
}

impl StagingFile {
    pub(super) fn new(name: String, files: Arc<Files>, touched_ms: u64, floor: u64) -> StagingFile {
        StagingFile { name, files, handle: None, touched_ms, floor, unlooked: 0 }
    }

    /// How many octets are there.
    pub(crate) fn octets(&self) -> Result<u64, Error> {
        match (&self.files.place, &self.handle) {
            (Place::Memory(memory), _) => {
                Ok(lock(&memory.0.staging).get(&self.name).map_or(0, |(_, octets)| octets.len() as u64))
            }
            (Place::Directory(_), Some(handle)) => Ok(handle.metadata()?.len()),
            (Place::Directory(_), None) => Ok(0),
        }
    }

    /// Lets go of it as it is, and as old as it is.
    pub(crate) fn let_be(mut self, octets: u64) {
        if octets > 0 {
            self.handle = None;
        }
    }

    /// Reads what is there from the start; more than `octets_max` cannot belong to it and is thrown away.
    pub(crate) fn read_all(&mut self, octets_max: u64, take: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        match (&self.files.place, &mut self.handle) {
            (Place::Memory(memory), _) => {
                if let Some((_, octets)) = lock(&memory.0.staging).get_mut(&self.name) {
                    octets.truncate(usize::try_from(octets_max).unwrap_or(usize::MAX));
                    take(octets);
                }
            }
            (Place::Directory(_), Some(handle)) => {
                if handle.metadata()?.len() > octets_max {
                    handle.set_len(octets_max)?;
                }
                let mut buffer = vec![0; 64 * 1024];
                loop {
                    let count = handle.read(&mut buffer)?;
                    if count == 0 {
                        break;
                    }
                    take(&buffer[..count]);
                }
            }
            (Place::Directory(_), None) => {}
        }
        Ok(())
    }

    /// Writes octets at the end, which is at `offset`. A write that fails is cut off again, as far as that goes. Others may have
    /// filled the disk meanwhile: then this one stops above the floor. keeps: STO-19
    pub(crate) fn append(&mut self, octets: &[u8], offset: u64) -> Result<(), Error> {
        self.unlooked += octets.len() as u64;
        if self.unlooked >= LOOK_EVERY_OCTETS {
            if !self.files.make_room(self.floor)? {
                return Err(Error::Full);
            }
            self.unlooked = 0;
        }
        match (&self.files.place, &mut self.handle) {
            (Place::Memory(memory), _) => {
                lock(&memory.0.staging).entry(self.name.clone()).or_default().1.extend_from_slice(octets);
            }
            (Place::Directory(_), Some(handle)) => {
                if let Err(error) = handle.write_all_at(octets, offset) {
                    // What is left too much is hashed at the next resumption and found out at its end.
                    let _ = handle.set_len(offset);
                    return Err(error.into());
                }
                self.files.write_back.begin(handle, offset, octets.len() as u64);
            }
            (Place::Directory(_), None) => return Err(Error::Closed),
        }
        Ok(())
    }

    /// Makes the octets durable, of which there are so many, and closes the file: a message can have many of them. Where that
    /// fails nothing of it stays: the system forgets what it could not write and says so once, so a second sync would be
    /// believed. keeps: STO-9
    pub(crate) fn finish(&mut self, octets: u64) -> Result<(), Error> {
        if let Some(handle) = &self.handle
            && let Err(error) = self.files.step(|| synced(handle, octets))
        {
            // Where its name cannot be taken away either, its octets can.
            let _ = handle.set_len(0);
            self.discard();
            return Err(error);
        }
        self.close();
        Ok(())
    }

    fn close(&mut self) {
        if let Some(handle) = self.handle.take() {
            // Writing has set the time of the machine's clock. Where that cannot be undone, it counts from there.
            let _ = handle.set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(self.touched_ms));
        }
        if let Some(by) = lock(&self.files.open).get_mut(&self.name) {
            *by = None;
        }
    }

    /// Throws the octets away.
    pub(crate) fn discard(&mut self) {
        // A file that cannot be removed has a wrong digest, which the next resumption finds out.
        let _ = self.files.unlink_staging(&self.name);
        self.handle = None;
    }
}

impl Drop for StagingFile {
    /// One in which there is nothing goes: it is worth nothing to whoever resumes, and a file all the same. keeps: STO-19
    fn drop(&mut self) {
        let unplaced = match &self.files.place {
            Place::Directory(_) => self.handle.is_some(),
            Place::Memory(memory) => lock(&memory.0.staging).contains_key(&self.name),
        };
        if unplaced && matches!(self.octets(), Ok(0)) {
            self.discard();
        }
        self.close();
        lock(&self.files.open).remove(&self.name);
    }
}

/// Syncs a file that has so many octets and no others.
fn synced(handle: &File, octets: u64) -> Result<(), Error> {
    if handle.metadata()?.len() != octets {
        return Err(Error::Io("the file of a part has another length than was written to it".to_owned()));
    }
    Ok(handle.sync_all()?)
}
