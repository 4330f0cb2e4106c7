//! Files that are there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::Error;

/// A file that gets its name only once it is whole; mail is its owner's alone, so its mode is 0600.
pub(super) struct Draft {
    path: PathBuf,
    draft: PathBuf,
    named: bool,
}

impl Draft {
    /// Begins a file beside where it will stand.
    pub(super) fn begin(path: &Path) -> Result<(Draft, File), Error> {
        let mut name =
            path.file_name().ok_or_else(|| Error::usage("the output needs a file name"))?.to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let draft = path.with_file_name(name);
        let mut options = OpenOptions::new();
        let file =
            options.write(true).create_new(true).mode(0o600).open(&draft).map_err(Error::file(path))?;
        Ok((Draft { path: path.to_owned(), draft, named: false }, file))
    }

    /// The file is whole: it is synced and gets its name.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        let synced = File::open(&self.draft).and_then(|file| file.sync_all());
        synced.and_then(|()| fs::rename(&self.draft, &self.path)).map_err(Error::file(&self.path))?;
        self.named = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.named {
            // It is of no use; where it cannot be removed its name says what it is.
            let _ = fs::remove_file(&self.draft);
        }
    }
}

/// Writes a whole file.
pub(super) fn write(path: &Path, octets: &[u8]) -> Result<(), Error> {
    let (draft, mut file) = Draft::begin(path)?;
    std::io::Write::write_all(&mut file, octets).map_err(Error::file(path))?;
    draft.finish()
}
