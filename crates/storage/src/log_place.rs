//! All that a log needs from outside: where its files are, what can be done with one, and a secret. The real place is a
//! directory; a simulation has one of its own, whose power can go between any two of these calls.
//!
//! keeps: STO-26, STO-27

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Error;

/// Where the files of a log are.
pub trait LogPlace {
    /// Opens a file and reads all of it; one that is not there is made, and is empty.
    ///
    /// # Errors
    /// [`Error::Io`] where that does not go.
    fn open(&self, name: &str) -> Result<(Arc<dyn LogFile>, Vec<u8>), Error>;

    /// Returns when the files that were opened are found again under their names, whatever happens.
    ///
    /// # Errors
    /// [`Error::Io`] where that is not known.
    fn sync_names(&self) -> Result<(), Error>;

    /// What a new log tells its records by: 32 octets that whoever writes messages cannot know or guess (STO-27).
    ///
    /// # Errors
    /// [`Error::Io`] where there are none.
    fn secret(&self) -> Result<[u8; 32], Error>;
}

/// A file of a log. What was written is durable after a sync and not before: until then it may be there when the power
/// goes, or not, or any part of it.
pub trait LogFile: Debug + Send + Sync {
    /// Writes all of these octets from a place on, which may be the end of the file or any place before it.
    ///
    /// # Errors
    /// [`Error::Full`] where the file would have to grow and cannot, [`Error::Io`] for anything else. In either case some of
    /// the octets may be written.
    fn write_at(&self, octets: &[u8], at: u64) -> Result<(), Error>;

    /// Returns when everything that was written over octets of the file is durable, and the length where it is needed to
    /// read them.
    ///
    /// # Errors
    /// [`Error::Io`]: what was written since the last sync may never become durable, and no later sync says that it has.
    fn sync_data(&self) -> Result<(), Error>;

    /// As [`LogFile::sync_data`], for a file that has grown.
    ///
    /// # Errors
    /// As [`LogFile::sync_data`].
    fn sync_all(&self) -> Result<(), Error>;
}

/// A directory for a log, and the two above it, in which it may be new.
#[derive(Debug)]
pub(crate) struct LogDirectory(PathBuf);

impl LogDirectory {
    /// Makes it where it is not there.
    pub(crate) fn make(directory: &Path) -> Result<LogDirectory, Error> {
        std::fs::create_dir_all(directory)?;
        Ok(LogDirectory(directory.to_owned()))
    }
}

impl LogPlace for LogDirectory {
    fn open(&self, name: &str) -> Result<(Arc<dyn LogFile>, Vec<u8>), Error> {
        let path = self.0.join(name);
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
        let file = options.open(&path)?;
        forget_unsynced(&file)?;
        let octets = std::fs::read(&path)?;
        Ok((Arc::new(file), octets))
    }

    fn sync_names(&self) -> Result<(), Error> {
        for above in self.0.ancestors().take(3).filter(|above| !above.as_os_str().is_empty()) {
            File::open(above)?.sync_all()?;
        }
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "nobody but the log is to know it, and it decides nothing")]
    fn secret(&self) -> Result<[u8; 32], Error> {
        let mut octets = [0; 32];
        getrandom::fill(&mut octets).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(octets)
    }
}

/// Has what is read of this file come from the disk. Where a sync had failed, in a process of before, the system still shows what it
/// could not write, and has said so once: that it is synced now would not be true. keeps: STO-28
fn forget_unsynced(file: &File) -> Result<(), Error> {
    file.sync_all()?;
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    Ok(())
}

impl LogFile for File {
    fn write_at(&self, octets: &[u8], at: u64) -> Result<(), Error> {
        Ok(self.write_all_at(octets, at)?)
    }

    fn sync_data(&self) -> Result<(), Error> {
        Ok(File::sync_data(self)?)
    }

    fn sync_all(&self) -> Result<(), Error> {
        Ok(File::sync_all(self)?)
    }
}
