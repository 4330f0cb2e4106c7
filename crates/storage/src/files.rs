//! The files of large parts: `staging/<name>.part` on the way in, `parts/<2 digits>/<digest>` when kept.
//!
//! A file is in `parts` only with the octets of its digest, synced: it is written and synced in `staging` and renamed.
//! A store that is only in memory keeps the same two rooms in maps.

mod staging;
mod write_back;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use message::{Digest, DigestWriter};

use self::write_back::WriteBack;
use crate::Error;
use crate::limits::{FREE_FILES_FLOOR, STAGING_OPEN_MAX, STAGING_OPEN_OF_ONE_MAX};

pub(crate) use self::staging::StagingFile;

/// The rooms of the files of one store.
#[derive(Debug)]
pub(crate) struct Files {
    place: Place,
    /// Names of staging files that a writer or a staged part has, and whose it is where the file is open.
    open: Mutex<HashMap<String, Option<String>>>,
    write_back: WriteBack,
    #[cfg(any(test, feature = "conformance"))]
    faults: crate::conformance::Faults,
}

#[derive(Debug)]
enum Place {
    Directory(PathBuf),
    Memory(MemoryFiles),
}

/// Files in memory, for a store in memory. A clone is the same files: they outlive the store that uses them, as a disk
/// does.
#[derive(Debug, Clone, Default)]
pub struct MemoryFiles(Arc<Rooms>);

#[derive(Debug, Default)]
struct Rooms {
    staging: Mutex<BTreeMap<String, (u64, Vec<u8>)>>,
    placed: Mutex<BTreeMap<Digest, Bytes>>,
    room_octets: Mutex<Option<u64>>,
}

impl MemoryFiles {
    /// Empty rooms.
    pub fn new() -> MemoryFiles {
        MemoryFiles::default()
    }

    /// Says how much room there is for files in all, so that a full disk can be tried; `None` where there is always enough.
    pub fn set_room_octets(&self, octets: Option<u64>) {
        *lock(&self.0.room_octets) = octets;
    }

    fn free_octets(&self) -> Option<u64> {
        let room = (*lock(&self.0.room_octets))?;
        let staging: usize = lock(&self.0.staging).values().map(|(_, octets)| octets.len()).sum();
        let placed: usize = lock(&self.0.placed).values().map(Bytes::len).sum();
        Some(room.saturating_sub((staging + placed) as u64))
    }
}

/// A lock that is taken even when its last holder panicked: what it guards is changed in single steps.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file among the parts, open for reading.
#[derive(Debug)]
pub(crate) enum PlacedFile {
    Disk(File),
    Memory(Bytes),
}

/// A partial transfer as a listing shows it.
#[derive(Debug)]
pub(crate) struct StagingEntry {
    pub(crate) name: String,
    pub(crate) octets: u64,
    pub(crate) touched_ms: u64,
}

impl Files {
    /// Opens the rooms below a directory and makes them where they are not there.
    pub(crate) fn in_directory(directory: &Path) -> Result<Files, Error> {
        let (staging, parts) = (directory.join("staging"), directory.join("parts"));
        fs::create_dir_all(&staging)?;
        fs::create_dir_all(&parts)?;
        // All 256 rooms are made here, so that no commit depends on a directory whose name may not be durable.
        for first in 0..=u8::MAX {
            fs::create_dir_all(parts.join(format!("{first:02x}")))?;
        }
        sync_directory(&parts)?;
        sync_directory(directory)?;
        if let Some(above) = directory.parent().filter(|above| !above.as_os_str().is_empty()) {
            sync_directory(above)?;
        }
        Ok(Files::at(Place::Directory(directory.to_owned())))
    }

    /// The rooms as they are: nothing is made.
    pub(crate) fn as_found(directory: &Path) -> Files {
        Files::at(Place::Directory(directory.to_owned()))
    }

    /// Rooms in memory.
    pub(crate) fn in_memory(memory: MemoryFiles) -> Files {
        Files::at(Place::Memory(memory))
    }

    fn at(place: Place) -> Files {
        Files {
            place,
            open: Mutex::default(),
            write_back: WriteBack::default(),
            #[cfg(any(test, feature = "conformance"))]
            faults: crate::conformance::Faults::none(),
        }
    }

    /// The same rooms, whose durable steps fail by plan.
    #[cfg(any(test, feature = "conformance"))]
    pub(crate) fn with_faults(mut self, faults: crate::conformance::Faults) -> Files {
        self.faults = faults;
        self
    }

    /// Carries out a durable step.
    fn step(&self, carry_out: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        #[cfg(any(test, feature = "conformance"))]
        let result = self.faults.step(carry_out);
        #[cfg(not(any(test, feature = "conformance")))]
        let result = carry_out();
        result
    }

    /// Opens the partial transfer of this owner and digest, or makes it. So many may be open at once, of one owner a part of them, and
    /// of nobody more than are left for others.
    /// keeps: STO-19
    pub(crate) fn stage(
        self: &Arc<Self>,
        owner: &str,
        digest: Digest,
        now_ms: u64,
        floor: u64,
    ) -> Result<StagingFile, Error> {
        let name = staging_name(owner, digest);
        {
            let mut open = lock(&self.open);
            if open.contains_key(&name) {
                return Err(Error::Busy);
            }
            let (mut all, mut own) = (0, 0);
            for by in open.values().flatten() {
                all += 1;
                own += usize::from(by == owner);
            }
            if own >= STAGING_OPEN_OF_ONE_MAX.min(STAGING_OPEN_MAX.saturating_sub(all)) {
                return Err(Error::Full);
            }
            open.insert(name.clone(), Some(owner.to_owned()));
        }
        // From here on dropping the file gives the name free again.
        let mut file = StagingFile::new(name, self.clone(), now_ms, floor);
        match &self.place {
            Place::Directory(directory) => {
                let path = staging_path(directory, &file.name);
                let handle =
                    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
                file.handle = Some(handle);
            }
            Place::Memory(memory) => {
                lock(&memory.0.staging).entry(file.name.clone()).or_default().0 = now_ms;
            }
        }
        Ok(file)
    }

    /// Whether a staging file of this name is open, or has octets in it.
    pub(crate) fn is_begun(&self, owner: &str, digest: Digest) -> bool {
        let name = staging_name(owner, digest);
        if lock(&self.open).contains_key(&name) {
            return true;
        }
        match &self.place {
            Place::Directory(directory) => {
                fs::metadata(staging_path(directory, &name)).is_ok_and(|found| found.len() > 0)
            }
            Place::Memory(memory) => {
                lock(&memory.0.staging).get(&name).is_some_and(|(_, octets)| !octets.is_empty())
            }
        }
    }

    /// Moves a synced staging file among the parts. The directory has to be synced after it: see [`Files::sync`].
    pub(crate) fn place(&self, file: &StagingFile, digest: Digest) -> Result<(), Error> {
        self.step(|| self.place_now(file, digest))
    }

    fn place_now(&self, file: &StagingFile, digest: Digest) -> Result<(), Error> {
        match &self.place {
            Place::Directory(directory) => {
                let target = part_path(directory, digest);
                fs::rename(staging_path(directory, &file.name), target)?;
            }
            Place::Memory(memory) => {
                if let Some((_, octets)) = lock(&memory.0.staging).remove(&file.name) {
                    lock(&memory.0.placed).insert(digest, octets.into());
                }
            }
        }
        Ok(())
    }

    /// Syncs the directories of these parts.
    pub(crate) fn sync(&self, placed: &[Digest]) -> Result<(), Error> {
        if let Place::Directory(directory) = &self.place {
            let parents: BTreeSet<PathBuf> = placed
                .iter()
                .filter_map(|digest| part_path(directory, *digest).parent().map(Path::to_owned))
                .collect();
            for parent in parents {
                self.step(|| sync_directory(&parent))?;
            }
        }
        Ok(())
    }

    /// Opens a part; `None` where it is not here.
    pub(crate) fn open_part(&self, digest: Digest) -> Result<Option<(u64, PlacedFile)>, Error> {
        match &self.place {
            Place::Directory(directory) => match File::open(part_path(directory, digest)) {
                Ok(file) => Ok(Some((file.metadata()?.len(), PlacedFile::Disk(file)))),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.into()),
            },
            Place::Memory(memory) => Ok(lock(&memory.0.placed)
                .get(&digest)
                .map(|octets| (octets.len() as u64, PlacedFile::Memory(octets.clone())))),
        }
    }

    /// The digest that the octets of a part have now; `None` where it is not here. Reads all of it.
    pub(crate) fn digest_of(&self, digest: Digest, page_octets: usize) -> Result<Option<Digest>, Error> {
        let Some((_, file)) = self.open_part(digest)? else { return Ok(None) };
        let mut hasher = DigestWriter::new();
        let mut page = vec![0; page_octets];
        loop {
            match file.read_at(hasher.octets(), &mut page)? {
                0 => return Ok(Some(hasher.digest())),
                count => hasher.update(&page[..count]),
            }
        }
    }

    /// Removes a part. One that is not there is no error.
    pub(crate) fn remove_part(&self, digest: Digest) -> Result<(), Error> {
        match &self.place {
            Place::Directory(directory) => self.step(|| remove_file(&part_path(directory, digest))),
            Place::Memory(memory) => {
                lock(&memory.0.placed).remove(&digest);
                Ok(())
            }
        }
    }

    /// The digests of all parts that are here, and the names of files that are none.
    pub(crate) fn parts(&self) -> Result<(Vec<Digest>, Vec<String>), Error> {
        let (mut digests, mut strange) = (Vec::new(), Vec::new());
        match &self.place {
            Place::Directory(directory) => {
                for room in fs::read_dir(directory.join("parts"))? {
                    let room = room?;
                    if !room.file_type()?.is_dir() {
                        // Somebody else's: a backup may have left it.
                        strange.push(room.file_name().to_string_lossy().into_owned());
                        continue;
                    }
                    for file in fs::read_dir(room.path())? {
                        let name = file?.file_name().to_string_lossy().into_owned();
                        match Digest::from_hex(&name) {
                            Ok(digest) => digests.push(digest),
                            Err(_) => strange.push(name),
                        }
                    }
                }
            }
            Place::Memory(memory) => digests.extend(lock(&memory.0.placed).keys()),
        }
        Ok((digests, strange))
    }

    /// The partial transfers that no writer has open.
    pub(crate) fn staging(&self) -> Result<Vec<StagingEntry>, Error> {
        let mut entries = Vec::new();
        match &self.place {
            Place::Directory(directory) => {
                for file in fs::read_dir(directory.join("staging"))? {
                    let file = file?;
                    let name = file.file_name().to_string_lossy().trim_end_matches(".part").to_owned();
                    // It may have been placed or removed since the listing.
                    let Ok(metadata) = file.metadata() else { continue };
                    let touched =
                        metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                    let touched_ms = u64::try_from(touched.as_millis()).unwrap_or(u64::MAX);
                    entries.push(StagingEntry { name, octets: metadata.len(), touched_ms });
                }
            }
            Place::Memory(memory) => {
                entries.extend(lock(&memory.0.staging).iter().map(|(name, (touched_ms, octets))| {
                    StagingEntry { name: name.clone(), octets: octets.len() as u64, touched_ms: *touched_ms }
                }));
            }
        }
        let open = lock(&self.open);
        entries.retain(|entry| !open.contains_key(&entry.name));
        Ok(entries)
    }

    /// Removes a partial transfer unless a writer has it open.
    pub(crate) fn remove_staging(&self, name: &str) -> Result<(), Error> {
        // The set stays locked meanwhile, so that no writer can open it in between.
        let open = lock(&self.open);
        if open.contains_key(name) { Ok(()) } else { self.unlink_staging(name) }
    }

    fn unlink_staging(&self, name: &str) -> Result<(), Error> {
        match &self.place {
            Place::Directory(directory) => remove_file(&staging_path(directory, name)),
            Place::Memory(memory) => {
                lock(&memory.0.staging).remove(name);
                Ok(())
            }
        }
    }

    /// Whether so many octets fit above the floor, where partial transfers give way that wait for their resumption. None does yet: what
    /// is announced need not come.
    pub(crate) fn fits(&self, floor: u64, octets: u64) -> Result<bool, Error> {
        let Some(Free { octets: free, .. }) = self.free() else { return Ok(true) };
        let wanted = floor.saturating_add(octets);
        let all = || {
            let waiting = self.staging()?.into_iter();
            Ok::<_, Error>(waiting.fold(free, |sum, entry| sum.saturating_add(entry.octets)))
        };
        Ok(free >= wanted || all()? >= wanted)
    }

    /// Whether the floor is free, after partial transfers have given way that wait for their resumption, the oldest first.
    pub(crate) fn make_room(&self, floor: u64) -> Result<bool, Error> {
        let is_free = || self.free().is_none_or(|free| free.is_above(floor));
        if is_free() {
            return Ok(true);
        }
        let mut waiting = self.staging()?;
        waiting.sort_unstable_by_key(|entry| entry.touched_ms);
        let mut failure = None;
        for entry in waiting {
            // One that cannot be removed keeps no other.
            failure = self.remove_staging(&entry.name).err().or(failure);
            if is_free() {
                return Ok(true);
            }
        }
        failure.map_or(Ok(false), Err)
    }

    /// Free octets for us on the disk; `None` in memory where nothing else was said.
    pub(crate) fn free_octets(&self) -> Option<u64> {
        self.free().map(|free| free.octets)
    }

    fn free(&self) -> Option<Free> {
        match &self.place {
            Place::Directory(directory) => {
                let room = rustix::fs::statvfs(directory).ok()?;
                Some(Free {
                    octets: room.f_bavail.saturating_mul(room.f_frsize),
                    // Some file systems do not count them.
                    files: (room.f_files > 0).then_some(room.f_favail),
                })
            }
            Place::Memory(memory) => memory.free_octets().map(|octets| Free { octets, files: None }),
        }
    }
}

/// What is free on a disk.
#[derive(Debug, Clone, Copy)]
struct Free {
    octets: u64,
    /// Files that can still be made; `None` where there is no bound.
    files: Option<u64>,
}

impl Free {
    /// Whether it is enough: so many octets, and files for an engine that has to make some. keeps: STO-19
    fn is_above(self, floor: u64) -> bool {
        self.octets >= floor && self.files.is_none_or(|files| files >= FREE_FILES_FLOOR)
    }
}

impl PlacedFile {
    /// Reads from this offset on, as many octets as fit and are there.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        match self {
            PlacedFile::Disk(file) => loop {
                match file.read_at(buffer, offset) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    other => return Ok(other?),
                }
            },
            PlacedFile::Memory(octets) => {
                let rest =
                    usize::try_from(offset).ok().and_then(|offset| octets.get(offset..)).unwrap_or_default();
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            }
        }
    }
}

/// The name of a partial transfer: nobody but its owner finds it.
fn staging_name(owner: &str, digest: Digest) -> String {
    let mut octets = owner.as_bytes().to_vec();
    octets.push(0);
    octets.extend_from_slice(digest.as_bytes());
    Digest::of(&octets).to_hex()
}

fn staging_path(directory: &Path, name: &str) -> PathBuf {
    directory.join("staging").join(format!("{name}.part"))
}

fn part_path(directory: &Path, digest: Digest) -> PathBuf {
    let name = digest.to_hex();
    directory.join("parts").join(&name[..2]).join(&name)
}

fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Makes names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), Error> {
    Ok(File::open(directory)?.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: STO-19
    #[test]
    fn a_disk_without_files_is_full() {
        let free = |octets, files| Free { octets, files }.is_above(1_000);
        assert!(free(1_000, None) && free(1_000, Some(FREE_FILES_FLOOR)));
        assert!(!free(999, None) && !free(u64::MAX, Some(FREE_FILES_FLOOR - 1)));
    }
}
