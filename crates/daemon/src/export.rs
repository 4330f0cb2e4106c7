//! Everything that can be read from a store, as files that need no node: messages in the native form, accounts as JSON.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use message::{FilePrelude, Segment};
use storage::{Exported, Store, StoredMessage};

use crate::view::account_view;
use crate::{Config, Error, running};

/// What an export has come to.
#[derive(Debug, Default)]
pub struct Summary {
    /// Messages that were written.
    pub messages: u64,
    /// Accounts that were written.
    pub accounts: u64,
    /// What could not be read, in readable form.
    pub skipped: Vec<String>,
}

/// Writes `messages/<identity>.wax`, `accounts.jsonl` and `mailboxes.jsonl` below a folder. What is damaged is left out
/// and named; nothing ends the export but a folder that cannot be written.
///
/// # Errors
/// [`Error::Store`] where the store cannot be opened, [`Error::File`] where a file cannot be written.
pub fn export(config: &Config, folder: &Path) -> Result<Summary, Error> {
    if folder.symlink_metadata().is_ok() {
        let text = format!("{} is there already: name a folder that is not", folder.display());
        return Err(Error::Other(text));
    }
    let store = running::open_store(config)?;
    let wrong = |error| Error::file(folder, error);
    // All mail of all users is in it.
    running::make_private(folder)?;
    fs::create_dir_all(folder.join("messages")).map_err(wrong)?;
    let mut accounts = BufWriter::new(File::create(folder.join("accounts.jsonl")).map_err(wrong)?);
    let mut mailboxes = BufWriter::new(File::create(folder.join("mailboxes.jsonl")).map_err(wrong)?);
    let mut correspondents =
        BufWriter::new(File::create(folder.join("correspondents.jsonl")).map_err(wrong)?);
    let mut forwarding = BufWriter::new(File::create(folder.join("forwarding.jsonl")).map_err(wrong)?);
    let mut keys = BufWriter::new(File::create(folder.join("keys.jsonl")).map_err(wrong)?);
    let (mut summary, mut failed) = (Summary::default(), None);
    store.export(&mut |item| {
        if failed.is_some() {
            return;
        }
        let written = match item {
            Exported::Account(account) => {
                summary.accounts += 1;
                line(&mut accounts, &serde_json::to_value(account_view(&account)).unwrap_or_default())
            }
            Exported::Correspondent(one) => line(
                &mut correspondents,
                &serde_json::json!({ "account": one.account, "who": one.who, "regard": one.regard.word(),
                    "since_ms": one.since_ms, "note": one.note }),
            ),
            Exported::Forward(one) => line(
                &mut forwarding,
                &serde_json::json!({ "alias": one.alias.to_string(), "target": one.target.to_string(),
                    "state": one.state.word(), "since_ms": one.since_ms }),
            ),
            Exported::Grant(one) => line(
                &mut forwarding,
                &serde_json::json!({ "recipient": one.recipient.to_string(), "forwarder": one.forwarder.as_str(),
                    "state": one.state.word(), "since_ms": one.since_ms, "by": one.by }),
            ),
            Exported::Statement(one) => line(
                &mut keys,
                &serde_json::json!({ "address": one.record.statement().claims().address.to_string(),
                    "leaf": one.leaf, "at_ms": one.at_ms,
                    "record": data_encoding::HEXLOWER.encode(one.record.octets()) }),
            ),
            Exported::Pin(one) => line(
                &mut keys,
                &serde_json::json!({ "account": one.account, "pinned": one.address.to_string(),
                    "since_ms": one.since_ms, "keys": one.pin.keys.iter()
                        .map(|key| data_encoding::HEXLOWER.encode(key.key.as_bytes())).collect::<Vec<_>>() }),
            ),
            Exported::Head { domain, size, root, contradicted } => line(
                &mut keys,
                &serde_json::json!({ "domain": domain.as_str(), "size": size, "contradicted": contradicted,
                    "root": data_encoding::HEXLOWER.encode(&root) }),
            ),
            Exported::Mail { account, entry } => line(
                &mut mailboxes,
                &serde_json::json!({ "account": account, "number": entry.uid.0,
                    "identity": entry.identity.to_string(), "received_at_ms": entry.received_at_ms,
                    "recipient": entry.recipient.to_string(), "from": entry.origin.holder() }),
            ),
            Exported::Message(message) => match write_message(store.as_ref(), &message, folder) {
                Ok(()) => {
                    summary.messages += 1;
                    Ok(())
                }
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    summary.skipped.push(format!("message {}: {error}", message.manifest.identity()));
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Exported::Skipped(finding) => {
                summary.skipped.push(format!("{}: {}", finding.key, finding.detail));
                Ok(())
            }
            Exported::Envelope(_) | Exported::Leg(_) | Exported::Legacy(_) | Exported::Notice(_) => Ok(()),
        };
        failed = written.err();
    })?;
    let flushed =
        [accounts.flush(), correspondents.flush(), forwarding.flush(), keys.flush(), mailboxes.flush()];
    let flushed = failed.map_or(Ok(()), Err).and_then(|()| flushed.into_iter().collect::<Result<(), _>>());
    flushed.map_err(wrong)?;
    Ok(summary)
}

fn line(out: &mut impl Write, value: &serde_json::Value) -> std::io::Result<()> {
    writeln!(out, "{value}")
}

/// Writes one message in the file form; `InvalidData` where something of it cannot be read.
fn write_message(store: &dyn Store, message: &StoredMessage, folder: &Path) -> std::io::Result<()> {
    let unreadable = |text: String| std::io::Error::new(std::io::ErrorKind::InvalidData, text);
    let identity = message.manifest.identity();
    let headers =
        message.headers.as_ref().ok_or_else(|| unreadable("its headers are not here".to_owned()))?;
    let prelude = FilePrelude { seals: message.seals.clone() };
    let block = prelude.to_block().map_err(|error| unreadable(error.to_string()))?;
    let mut out = BufWriter::new(File::create(folder.join("messages").join(format!("{identity}.wax")))?);
    out.write_all(block.octets())?;
    for segment in message.manifest.layout() {
        match segment {
            Segment::Header { .. } => out.write_all(headers.message().octets())?,
            Segment::PartHeader { part, .. } => out.write_all(headers.parts()[part].octets())?,
            Segment::Trailer => out.write_all(b"\r\n\r\n")?,
            Segment::Body { octets: 0, .. } => {}
            Segment::Body { part, octets } => {
                let reader =
                    store.open_part(identity, part).map_err(|error| unreadable(error.to_string()))?;
                let reader = reader.ok_or_else(|| unreadable(format!("part {part} is not here")))?;
                let (mut at, mut buffer) = (0, vec![0; 256 * 1024]);
                while at < octets {
                    match reader.read_at(at, &mut buffer).map_err(|error| unreadable(error.to_string()))? {
                        0 => return Err(unreadable(format!("part {part} ends early"))),
                        count => {
                            out.write_all(&buffer[..count])?;
                            at += count as u64;
                        }
                    }
                }
            }
        }
    }
    out.flush()
}
