//! The user's profile: a folder with `profile.toml` and `device.key`.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use message::SecretKey;
use message::address::Address;
use serde::{Deserialize, Serialize};

use crate::args::NodeAddress;
use crate::limits::PROFILE_OCTETS_MAX;
use crate::{Error, Global, clock};

const PROFILE_FILE: &str = "profile.toml";
const KEY_FILE: &str = "device.key";
/// The key by which the user seals, and the one that takes its place once the node has it.
const SIGNING_FILE: &str = "signing.key";
const NEXT_SIGNING_FILE: &str = "signing.next.key";
/// The keys of the file, for the suggestion where one is misspelt.
const KEYS: [&str; 6] = ["address", "account", "node", "pin", "webpki", "device"];

/// Who the user is and where their node is, as resolved from `profile.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The user's address.
    pub address: Address,
    /// The name of the account at the node.
    pub account: String,
    /// Where the node is.
    pub node: NodeAddress,
    /// How the node is known.
    pub trust: Trust,
    /// What this device is called at the node.
    pub device: String,
}

/// How a node is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// By the digest of its key: SHA-256 of its SubjectPublicKeyInfo.
    Pinned([u8; 32]),
    /// By a certificate for its host name that a public authority has issued.
    WebPki,
}

/// The profile as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    address: String,
    account: String,
    node: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webpki: Option<bool>,
    device: String,
}

/// The folder of the profile: as given, else below the user's folder for configuration.
///
/// # Errors
/// [`Error::Usage`] where no folder is given and there is no home.
pub fn folder(global: &Global) -> Result<PathBuf, Error> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(given) = &global.profile {
        return Ok(given.clone());
    }
    let base = variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")));
    base.map(|base| base.join("waxwing")).ok_or_else(|| Error::Usage {
        text: "there is no home folder for your profile".to_owned(),
        hint: Some("name a folder with --profile".to_owned()),
    })
}

/// Where the doorstep of a folder is found on this machine, and its key: what `waxwing doorstep` writes there.
///
/// # Errors
/// [`Error::Profile`] where none has ever run there.
pub fn doorstep_in(folder: &Path) -> Result<(NodeAddress, Trust), Error> {
    let path = folder.join("location");
    let wrong = |reason: &str| Error::Profile { path: path.clone(), reason: reason.to_owned() };
    let text = read_bounded(&path).map_err(|_| {
        wrong("no doorstep has run in that folder; `waxwing doorstep` says where it keeps its mail")
    })?;
    let found = text
        .trim()
        .split_once(' ')
        .and_then(|(at, key)| Some((at.parse().ok()?, crate::args::read_pin(key).ok()?)));
    found
        .map(|(node, digest)| (node, Trust::Pinned(digest)))
        .ok_or_else(|| wrong("this is not where a doorstep is"))
}

impl Profile {
    /// Reads the profile of a folder.
    ///
    /// # Errors
    /// [`Error::NoProfile`] where it is missing, [`Error::Profile`] where something in it is not what it must be; an unknown key is an error,
    /// with the key that was probably meant. keeps: CLI-4
    pub fn load(folder: &Path) -> Result<Profile, Error> {
        let path = folder.join(PROFILE_FILE);
        let wrong = |reason: String| Error::Profile { path: path.clone(), reason };
        let text = read_bounded(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::NoProfile { path: path.clone() },
            _ => wrong(error.to_string()),
        })?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
        if let Some(unknown) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let meant = suggestion(unknown).map(|key| format!("; did you mean `{key}`?")).unwrap_or_default();
            return Err(wrong(format!("there is no key `{unknown}`{meant}")));
        }
        let written: Written = table.try_into().map_err(|error| wrong(error.to_string()))?;
        written.resolve().map_err(wrong)
    }

    /// Writes the profile into a folder, which is made with mode 0700 where it is missing.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        make_folder(folder)?;
        let path = folder.join(PROFILE_FILE);
        let (pin, webpki) = match self.trust {
            Trust::Pinned(digest) => (Some(HEXLOWER.encode(&digest)), None),
            Trust::WebPki => (None, Some(true)),
        };
        let written = Written {
            address: self.address.to_string(),
            account: self.account.clone(),
            node: self.node.to_string(),
            pin,
            webpki,
            device: self.device.clone(),
        };
        let text = toml::to_string(&written).map_err(|error| Error::Local(error.to_string()))?;
        write_private(&path, text.as_bytes()).map_err(Error::file(&path))
    }
}

impl Written {
    fn resolve(self) -> Result<Profile, String> {
        let pin = self.pin.as_deref().map(crate::args::read_pin).transpose()?;
        let trust = match (pin, self.webpki) {
            (Some(digest), None | Some(false)) => Trust::Pinned(digest),
            (None, Some(true)) => Trust::WebPki,
            _ => return Err("it needs either `pin` or `webpki = true`".to_owned()),
        };
        Ok(Profile {
            address: Address::parse(&self.address).map_err(|error| format!("address: {error}"))?,
            account: self.account,
            node: self.node.parse()?,
            trust,
            device: self.device,
        })
    }
}

/// The device key of a folder; made where there is none.
///
/// # Errors
/// [`Error::Profile`] where others can read the file or it holds no key, [`Error::File`] where it cannot be read or
/// written, [`Error::Local`] where the machine has no randomness. keeps: CLI-5
pub fn device_key(folder: &Path) -> Result<SecretKey, Error> {
    let path = folder.join(KEY_FILE);
    if let Some(key) = read_key(&path)? {
        return Ok(key);
    }
    let key = SecretKey::from_seed(&clock::random_seed()?);
    make_folder(folder)?;
    write_key(&path, &key)?;
    Ok(key)
}

/// The key by which the user of a folder seals; `None` where there is none.
///
/// # Errors
/// As [`device_key`]. keeps: CLI-5, KEY-23
pub fn signing_key(folder: &Path) -> Result<Option<SecretKey>, Error> {
    read_key(&folder.join(SIGNING_FILE))
}

/// The key that was handed in last, where it has not taken the place of the one before; `None` where there is none.
///
/// # Errors
/// As [`device_key`].
pub(crate) fn next_signing_key(folder: &Path) -> Result<Option<SecretKey>, Error> {
    read_key(&folder.join(NEXT_SIGNING_FILE))
}

/// Keeps a key that the node does not know yet.
pub(crate) fn keep_next_signing_key(folder: &Path, key: &SecretKey) -> Result<(), Error> {
    write_key(&folder.join(NEXT_SIGNING_FILE), key)
}

/// The node knows that key: it takes the place of the one before.
pub(crate) fn take_next_signing_key(folder: &Path) -> Result<(), Error> {
    let path = folder.join(SIGNING_FILE);
    let synced = || File::open(folder)?.sync_all();
    fs::rename(folder.join(NEXT_SIGNING_FILE), &path).and_then(|()| synced()).map_err(Error::file(&path))
}

/// Removes the key by which the user seals.
pub(crate) fn remove_signing_key(folder: &Path) -> Result<(), Error> {
    let path = folder.join(SIGNING_FILE);
    fs::remove_file(&path).map_err(Error::file(&path))
}

fn write_key(path: &Path, key: &SecretKey) -> Result<(), Error> {
    let text = format!("{}\n", HEXLOWER.encode(&*key.seed()));
    write_private(path, text.as_bytes()).map_err(Error::file(path))
}

fn read_key(path: &Path) -> Result<Option<SecretKey>, Error> {
    let path = path.to_owned();
    match fs::metadata(&path) {
        Ok(found) if found.mode() & 0o077 != 0 => {
            let reason = "others can read this key; if nobody has, make it yours alone with chmod 600";
            Err(Error::Profile { path, reason: reason.to_owned() })
        }
        Ok(_) => {
            let text = read_bounded(&path).map_err(Error::file(&path))?;
            let seed = HEXLOWER.decode(text.trim_end().as_bytes()).ok().and_then(|seed| seed.try_into().ok());
            let wrong = || Error::Profile {
                path: path.clone(),
                reason: "it does not hold a key of 64 hexadecimal digits".to_owned(),
            };
            Ok(Some(SecretKey::from_seed(&seed.ok_or_else(wrong)?)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::File { path, error }),
    }
}

fn make_folder(folder: &Path) -> Result<(), Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(Error::file(folder))
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(PROFILE_OCTETS_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Writes a file of mode 0600 that is there whole or not at all: under another name, synced, renamed, and the folder
/// synced.
fn write_private(path: &Path, octets: &[u8]) -> std::io::Result<()> {
    let draft = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(octets)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    })();
    if written.is_err() {
        // What is left of the draft is of no use; the error that counts is the first.
        let _ = fs::remove_file(&draft);
    }
    written
}

/// The key that was probably meant.
fn suggestion(unknown: &str) -> Option<&'static str> {
    KEYS.into_iter()
        .map(|key| (distance(unknown, key), key))
        .min()
        .filter(|(far, _)| *far <= 2)
        .map(|(_, key)| key)
}

/// How many letters must be changed, added or left out (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn profile() -> Profile {
        Profile {
            address: Address::parse("ann@a.test").unwrap(),
            account: "ann".to_owned(),
            node: "[::1]:7625".parse().unwrap(),
            trust: Trust::Pinned([0xab; 32]),
            device: "laptop \"red\"".to_owned(),
        }
    }

    #[test]
    fn a_profile_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("deep/er");
        for trust in [Trust::Pinned([7; 32]), Trust::WebPki] {
            let written = Profile { trust, ..profile() };
            written.save(&below).unwrap();
            assert_eq!(Profile::load(&below).unwrap(), written);
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&below), mode(&below.join(PROFILE_FILE))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&below).unwrap().count(), 1, "no draft is left");
    }

    /// proves: CLI-4
    #[test]
    fn what_is_wrong_in_a_profile_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let good = "address = \"ann@a.test\"\naccount = \"ann\"\nnode = \"a.test:1\"\ndevice = \"x\"\n";
        let check = |text: &str, told: &str| {
            fs::write(folder.path().join(PROFILE_FILE), text).unwrap();
            let error = Profile::load(folder.path()).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(told), "{text}: {error}");
        };
        check(&format!("{good}webpkl = true\n"), "no key `webpkl`; did you mean `webpki`?");
        check(&format!("{good}colour = true\n"), "no key `colour`");
        check(good, "either `pin` or `webpki = true`");
        check(&format!("{good}webpki = true\npin = \"{}\"\n", "ab".repeat(32)), "either `pin` or");
        check(&format!("{good}pin = \"ab\"\n"), "64 hexadecimal digits");
        check("address = 7\n", "string");
        let whole = format!("{good}webpki = true\n");
        check(&whole.replace("a.test:1", "a.test"), "HOST:PORT");
        check(&whole.replace("ann@", ""), "address: ");
        check("address", "TOML");
        assert!(
            Profile::load(&folder.path().join("none")).unwrap_err().to_string().contains("no profile yet")
        );
    }

    /// proves: KEY-23
    #[test]
    fn the_signing_key_is_the_users_alone_and_changes_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        assert!(signing_key(folder.path()).unwrap().is_none());
        let (one, two) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
        for key in [&one, &two] {
            keep_next_signing_key(folder.path(), key).unwrap();
            let before = signing_key(folder.path()).unwrap().map(|key| key.public());
            assert_ne!(before, Some(key.public()), "it is not in use before the node has it");
            take_next_signing_key(folder.path()).unwrap();
            assert_eq!(signing_key(folder.path()).unwrap().unwrap().public(), key.public());
        }
        let path = folder.path().join(SIGNING_FILE);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no other copy is left");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(signing_key(folder.path()), Err(Error::Profile { .. })));
        remove_signing_key(folder.path()).unwrap();
        assert!(signing_key(folder.path()).unwrap().is_none());
    }

    /// proves: CLI-5
    #[test]
    fn the_device_key_is_made_once_and_is_the_users_alone() {
        let folder = tempfile::tempdir().unwrap();
        let made = device_key(folder.path()).unwrap();
        let path = folder.path().join(KEY_FILE);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(device_key(folder.path()).unwrap().public(), made.public());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(device_key(folder.path()), Err(Error::Profile { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "abcd\n").unwrap();
        assert!(matches!(device_key(folder.path()), Err(Error::Profile { .. })));
    }
}
