//! A Maildir in RFC 5322 form beside the native mailbox, for any mail program to read.
//!
//! The name of a file is derived from the entry in the mailbox, and how far an account has come is kept in a file that
//! is replaced atomically: a crash leaves no half message and no duplicate.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use message::Message;
use storage::{MailUid, MailboxEntry, Origin, Store, StoredMessage};

use crate::limits::MAILDIR_OCTETS_MAX;

/// Where the Maildirs of a node are.
#[derive(Debug, Clone)]
pub struct Maildir {
    root: PathBuf,
    host: String,
    /// As whom checks of this node are written down: nobody else may be believed under these names.
    checkers: Vec<String>,
    /// How far accounts have come, by name, where nothing was written beyond it: after a crash or an error there may be more.
    certain: Arc<Mutex<HashMap<String, MailUid>>>,
}

/// The file that says how far an account has come.
const PROGRESS: &str = ".waxwing-progress";

impl Maildir {
    /// Maildirs below this folder, one for each account; `host` stands in the names of files.
    pub fn new(root: &Path, host: &str) -> Maildir {
        Maildir {
            root: root.to_owned(),
            host: host.replace(['/', ':'], "_"),
            checkers: vec![host.to_owned()],
            certain: Arc::default(),
        }
    }

    /// With more names under which results of checks of this node are believed, such as its gateway's.
    #[must_use]
    pub fn with_checkers(mut self, names: Vec<String>) -> Maildir {
        self.checkers.extend(names);
        self
    }

    /// Writes what has come into the mailbox since the last time; returns how many messages. Blocking.
    ///
    /// # Errors
    /// Where a file cannot be written; what was written before stays, and the next call goes on there.
    pub fn follow(&self, store: &dyn Store, account: &str) -> std::io::Result<usize> {
        let folder = self.folder(account);
        let mut after = progress(&folder)?;
        // All that a user has ever read is looked through only where some of it may have been written already.
        let certain = after.is_some() && self.certain().remove(account) == after;
        let mut written = 0;
        loop {
            let entries = store.mailbox(account, after, 100).map_err(std::io::Error::other)?;
            let Some(last) = entries.last() else { break };
            let last = last.uid;
            for name in ["tmp", "new", "cur"] {
                fs::create_dir_all(folder.join(name))?;
            }
            for entry in &entries {
                written += usize::from(self.write(store, account, entry, certain)?);
            }
            replace(&folder, PROGRESS, last.0.to_string().as_bytes())?;
            after = Some(last);
        }
        if let Some(after) = after {
            self.certain().insert(account.to_owned(), after);
        }
        Ok(written)
    }

    fn certain(&self) -> MutexGuard<'_, HashMap<String, MailUid>> {
        self.certain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Maildir of an account. The name of an account never becomes a path: what is not plain is written in hex.
    pub fn folder(&self, account: &str) -> PathBuf {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_@+.".contains(c);
        if !account.is_empty() && !account.starts_with('.') && account.chars().all(plain) {
            self.root.join(account)
        } else {
            let hex: String = account.bytes().map(|octet| format!("{octet:02x}")).collect();
            self.root.join(format!("={hex}"))
        }
    }

    /// Writes one message; `false` where it is there already or cannot be said in RFC 5322.
    fn write(
        &self,
        store: &dyn Store,
        account: &str,
        entry: &MailboxEntry,
        certain: bool,
    ) -> std::io::Result<bool> {
        let folder = self.folder(account);
        let base = format!("{}.W{}.{}", entry.received_at_ms / 1000, entry.uid, self.host);
        let (new, read) = (folder.join("new").join(&base), folder.join("cur"));
        let moved = !certain
            && fs::read_dir(&read)?
                .flatten()
                .any(|file| file.file_name().to_string_lossy().starts_with(&base));
        if new.exists() || moved {
            return Ok(false);
        }
        let stored = store.message(entry.identity).map_err(std::io::Error::other)?;
        let octets = match stored.map(|stored| legacy_form(store, &stored, &self.checkers)) {
            Some(Ok(octets)) => octets,
            Some(Err(reason)) => {
                let (identity, number) = (entry.identity, entry.uid.0);
                tracing::warn!(account, %identity, number, %reason, "a message is not in the Maildir; it stays in the native mailbox");
                return Ok(false);
            }
            None => return Ok(false),
        };
        let temporary = folder.join("tmp").join(&base);
        let mut file = File::create(&temporary)?;
        if let Origin::Legacy(origin) = &entry.origin {
            file.write_all(origin.trace().as_bytes())?;
        }
        file.write_all(&octets)?;
        file.sync_all()?;
        fs::rename(&temporary, &new)?;
        File::open(folder.join("new"))?.sync_all()?;
        Ok(true)
    }
}

/// Why a message has no form that a mail program reads: it stays native only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoLegacyForm {
    /// It is larger than what is translated.
    TooLarge {
        /// Its octets.
        octets: u64,
    },
    /// It cannot be said in RFC 5322.
    Untranslatable(String),
    /// Some of it is not here.
    Incomplete,
}

impl fmt::Display for NoLegacyForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoLegacyForm::TooLarge { octets } => {
                let bound = MAILDIR_OCTETS_MAX >> 20;
                write!(
                    f,
                    "it has {octets} octets, and mail of more than {bound} MiB stays in the native mailbox"
                )
            }
            NoLegacyForm::Untranslatable(why) => write!(f, "it has no form in RFC 5322: {why}"),
            NoLegacyForm::Incomplete => f.write_str("some of it is not here"),
        }
    }
}

/// The message as a mail program reads it. Results of checks that claim to be of one of these hosts, and are of the message
/// and so of its author, are left out. Blocks.
///
/// # Errors
/// Why it has no such form.
///
/// keeps: CHK-11
pub fn legacy_form(
    store: &dyn Store,
    stored: &StoredMessage,
    checkers: &[String],
) -> Result<Vec<u8>, NoLegacyForm> {
    let octets = stored.manifest.message_octets();
    if octets > MAILDIR_OCTETS_MAX {
        return Err(NoLegacyForm::TooLarge { octets });
    }
    let message = whole(store, stored).ok_or(NoLegacyForm::Incomplete)?;
    match translate::export(&message, &translate::ExportOptions::default()) {
        Ok(octets) => {
            let checkers: Vec<&str> = checkers.iter().map(String::as_str).collect();
            match translate::without_results_of(&octets, &checkers) {
                Cow::Borrowed(_) => Ok(octets),
                Cow::Owned(cleaned) => Ok(cleaned),
            }
        }
        Err(refusal) => Err(NoLegacyForm::Untranslatable(refusal.to_string())),
    }
}

/// The whole of a stored message in memory; `None` where some of it is not there. For what needs all of it at once: the
/// legacy form. Blocks.
pub fn whole(store: &dyn Store, stored: &StoredMessage) -> Option<Message> {
    let identity = stored.manifest.identity();
    // Its room is taken once and bodies are read into it: a large message is held no more often than it must be.
    let mut octets = Vec::with_capacity(usize::try_from(stored.manifest.message_octets()).ok()?);
    let headers = stored.headers.as_ref()?;
    for segment in stored.manifest.layout() {
        match segment {
            message::Segment::Header { .. } => octets.extend_from_slice(headers.message().octets()),
            message::Segment::PartHeader { part, .. } => {
                octets.extend_from_slice(headers.parts()[part].octets())
            }
            message::Segment::Body { part, octets: size } => {
                let from = octets.len();
                octets.resize(from + usize::try_from(size).ok()?, 0);
                read_body(store, identity, part, &mut octets[from..])?;
            }
            message::Segment::Trailer => octets.extend_from_slice(b"\r\n\r\n"),
        }
    }
    Message::parse(&octets, message::Limits::default()).ok()
}

/// Reads the body of a leaf, which has as many octets as the buffer.
fn read_body(store: &dyn Store, identity: message::Identity, part: usize, buffer: &mut [u8]) -> Option<()> {
    if buffer.is_empty() {
        return Some(());
    }
    let reader = store.open_part(identity, part).ok()??;
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read_at(filled as u64, &mut buffer[filled..]).ok()? {
            0 => return None,
            count => filled += count,
        }
    }
    Some(())
}

fn progress(folder: &Path) -> std::io::Result<Option<MailUid>> {
    match fs::read_to_string(folder.join(PROGRESS)) {
        Ok(text) => Ok(text.trim().parse().ok().map(MailUid)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a file so that either the old or the new one is there, whatever happens.
fn replace(folder: &Path, name: &str, octets: &[u8]) -> std::io::Result<()> {
    let temporary = folder.join(format!("{name}.new"));
    let mut file = File::create(&temporary)?;
    file.write_all(octets)?;
    file.sync_all()?;
    fs::rename(&temporary, folder.join(name))?;
    File::open(folder)?.sync_all()
}
