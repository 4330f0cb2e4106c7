//! Files that a node keeps beside its store: secrets with mode 0600, written so that the old or the new one is there.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use data_encoding::HEXLOWER;
use message::SecretKey;
use zeroize::Zeroizing;

use crate::Error;

/// Octets of a file of settings, keys or certificates: certificates of public authorities have a few KiB.
const FILE_OCTETS_MAX: u64 = 1 << 20;

/// Reads a file of text, bounded.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    let size = fs::metadata(path).map_err(|error| Error::file(path, error))?.len();
    if size > FILE_OCTETS_MAX {
        return Err(Error::Config {
            path: path.to_owned(),
            reason: format!("is larger than {FILE_OCTETS_MAX} octets"),
        });
    }
    fs::read_to_string(path).map_err(|error| Error::file(path, error))
}

/// Reads a file of text that nobody but its owner can read: the key of a domain or of the host. keeps: CLI-12
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<String>, Error> {
    let mode = fs::metadata(path).map_err(|error| Error::file(path, error))?.mode();
    if mode & 0o077 != 0 {
        let reason = format!("others can read this key; if nobody has, run: chmod 600 {}", path.display());
        return Err(Error::Config { path: path.to_owned(), reason });
    }
    read(path).map(Zeroizing::new)
}

/// Writes a file that only its owner may read.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), Error> {
    write(path, text, 0o600)
}

/// Writes a file that others may read.
pub(crate) fn write_public(path: &Path, text: &str) -> Result<(), Error> {
    write(path, text, 0o644)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let wrong = |error| Error::file(path, error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(wrong)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = folder.join(name);
    // A file left from a crash would keep its own mode.
    let _ = fs::remove_file(&temporary);
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary).map_err(wrong)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(wrong)?;
    fs::rename(&temporary, path).map_err(wrong)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(wrong)
}

/// Reads the key of a domain: 64 hexadecimal digits of seed.
pub(crate) fn read_key(path: &Path) -> Result<SecretKey, Error> {
    let text = read_secret(path)?;
    let seed =
        HEXLOWER.decode(text.trim().as_bytes()).ok().and_then(|octets| <[u8; 32]>::try_from(octets).ok());
    match seed.map(Zeroizing::new) {
        Some(seed) => Ok(SecretKey::from_seed(&seed)),
        None => Err(Error::Config {
            path: path.to_owned(),
            reason: "is not a key of 64 hexadecimal digits".to_owned(),
        }),
    }
}

/// Writes the key of a domain.
pub(crate) fn write_key(path: &Path, key: &SecretKey) -> Result<(), Error> {
    write_secret(path, &Zeroizing::new(format!("{}\n", HEXLOWER.encode(key.seed().as_ref()))))
}
