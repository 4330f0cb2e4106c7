//! `message`: work on files alone.

use std::io::Write;
use std::path::Path;

use message::address::{Address, Domain};
use message::{Limits, Message, PublicKey, Seal};
use serde::Serialize;
use translate::{ExportOptions, Note};

use super::lookalike::{self, Correspondents};
use super::view::{SealObject, key_name, print_header, tree, walk};
use super::{End, files, sign};
use crate::client::{Outgoing, WaxWriter};
use crate::output::{BAD, FAINT, GOOD, Output, STRONG, clean, paint, size};
use crate::{Error, Hooks, MessageCommand, clock};

pub(super) async fn message(
    command: &MessageCommand,
    hooks: &Hooks,
    output: &mut Output,
) -> Result<End, Error> {
    match command {
        MessageCommand::Show { file } => show(file, output),
        MessageCommand::Verify { file, key, dns } => verify(file, key, *dns, hooks, output).await,
        MessageCommand::Import { file, output: to } => import(file, to, output),
        MessageCommand::Export { file, output: to, utf8 } => export(file, to, *utf8, output),
    }
}

#[derive(Serialize)]
struct Shown {
    id: String,
    octets: u64,
    from: Option<String>,
    /// What is to be said of the address in From, one sentence each.
    warnings: Vec<String>,
    parts: Vec<PartObject>,
    seals: Vec<SealObject>,
}

#[derive(Serialize)]
struct PartObject {
    number: usize,
    depth: usize,
    #[serde(rename = "type")]
    media_type: String,
    octets: u64,
    digest: Option<String>,
}

fn show(path: &Path, output: &mut Output) -> Result<End, Error> {
    let (message, notes) = Outgoing::open(path)?;
    let manifest = message.manifest();
    let seals: Vec<_> =
        message.seals().iter().map(|seal| SealObject::new(seal, "not-checked", None)).collect();
    let mut parts = Vec::new();
    walk(manifest.root(), 0, &mut 0, &mut |number, depth, part| {
        parts.push(PartObject {
            number,
            depth,
            media_type: part.media_type.clone(),
            octets: part.octets,
            digest: part.leaf().map(|digest| digest.to_hex()),
        });
    });
    let octets = manifest.message_octets();
    let header = message.headers().message();
    let warnings = Correspondents::default().warnings(header);
    if output.is_json() {
        let from = header.first("From").map(|field| field.value().trim().to_owned());
        let id = message.identity().to_string();
        output.object(&Shown { id, octets, from, warnings, parts, seals })?;
        return Ok(End::Good);
    }
    output.line(&format!("{} {}", paint(STRONG, "identity"), message.identity()))?;
    output.line(&format!("{} {}", paint(STRONG, "size"), size(octets)))?;
    print_header(message.headers(), output)?;
    lookalike::print(&warnings, "", output)?;
    for (line, part) in tree(manifest, Some(message.headers())).iter().zip(&parts) {
        let digest = part.digest.as_deref().and_then(|digest| digest.get(..16)).unwrap_or_default();
        output.line(&format!("{line}  {}", paint(FAINT, digest)))?;
    }
    if seals.is_empty() {
        output.line("no seals")?;
    }
    for seal in &seals {
        output.line(&seal.line())?;
    }
    print_notes(&notes);
    Ok(End::Good)
}

#[derive(Serialize)]
struct Verified {
    id: String,
    verified: bool,
    seals: Vec<SealObject>,
}

/// The end is good only where a seal was verified and none has failed. keeps: CLI-10
async fn verify(
    path: &Path,
    keys: &[PublicKey],
    dns: bool,
    hooks: &Hooks,
    output: &mut Output,
) -> Result<End, Error> {
    // Whatever was opened has the digests of its manifest: the parser has made it from the octets.
    let (message, _) = Outgoing::open(path)?;
    let mut seals = Vec::new();
    for seal in message.seals() {
        let found = if dns { from_dns(seal, hooks).await? } else { Ok(Vec::new()) };
        let (found, note) = match found {
            Ok(found) => (found, None),
            Err(reason) => (Vec::new(), Some(reason)),
        };
        let keys: Vec<PublicKey> = keys.iter().copied().chain(found).collect();
        seals.push(check(seal, message.manifest().octets(), &keys, note));
    }
    let good =
        seals.iter().any(|seal| seal.state == "verified") && !seals.iter().any(|seal| seal.state == "failed");
    if output.is_json() {
        output.object(&Verified { id: message.identity().to_string(), verified: good, seals })?;
    } else {
        output.line(&format!("{} {}", paint(STRONG, "identity"), message.identity()))?;
        for seal in &seals {
            output.line(&seal.line())?;
        }
        let word = if good { paint(GOOD, "verified") } else { paint(BAD, "not verified") };
        output.line(&word)?;
        if seals.is_empty() {
            output.line("It has no seals: nobody vouches for it.")?;
        } else if !good && keys.is_empty() && !dns {
            output.line("Give the keys of the sealers with --key, or have them looked up with --dns.")?;
        }
    }
    Ok(if good { End::Good } else { End::Bad })
}

/// Holds a seal against keys. Where none fits, a seal that names a user's key which is not among them is not checked,
/// and any other has failed.
fn check(seal: &Seal, manifest: &[u8], keys: &[PublicKey], note: Option<String>) -> SealObject {
    let now_seconds = clock::now_ms() / 1000;
    for key in keys {
        match seal.verify(manifest, key, now_seconds) {
            Ok(_) => return SealObject::new(seal, "verified", None),
            Err(message::Error::Signature) => {}
            Err(error) => return SealObject::new(seal, "failed", Some(error.to_string())),
        }
    }
    if keys.is_empty() {
        return SealObject::new(seal, "not-checked", Some(note.unwrap_or_else(|| "no key".to_owned())));
    }
    let named = keys.iter().any(|key| key.id().0.as_slice() == seal.key_name());
    if !named && !is_selector(seal.key_name()) {
        let reason = format!("by the key {}, which was not given", key_name(seal));
        return SealObject::new(seal, "not-checked", Some(reason));
    }
    SealObject::new(seal, "failed", Some("none of the keys has made this signature".to_owned()))
}

/// Whether the name of a key is the selector of a domain key rather than the octets of a user's.
fn is_selector(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(octet))
}

/// The keys of the domain that has sealed; the inner error is why they are not known.
async fn from_dns(seal: &Seal, hooks: &Hooks) -> Result<Result<Vec<PublicKey>, String>, Error> {
    let Some(finder) = &hooks.domain_keys else {
        return Err(Error::usage("this program was built without the DNS; give keys with --key"));
    };
    let issuer = &seal.claims().issuer;
    if Address::from_wire(issuer).is_ok() {
        return Ok(Err("a user's key is not in the DNS".to_owned()));
    }
    match Domain::from_wire(issuer) {
        Ok(domain) => Ok(finder.domain_keys(&domain, &key_name(seal)).await),
        Err(_) => Ok(Err("its issuer is no domain".to_owned())),
    }
}

#[derive(Serialize)]
struct Translated {
    id: String,
    file: String,
    notes: Vec<NoteObject>,
}

#[derive(Serialize)]
struct NoteObject {
    part: usize,
    kind: String,
    text: String,
}

fn import(path: &Path, to: &Path, output: &mut Output) -> Result<End, Error> {
    let octets = read_legacy(path)?;
    let imported = translate::import(&octets, &translate::ImportOptions::default())?;
    let message = Outgoing::from_message(&imported.message, Vec::new());
    sign::write_wax(&message, to)?;
    if output.is_json() {
        let notes = imported.notes.iter().map(|note| NoteObject {
            part: note.part,
            kind: format!("{:?}", note.kind),
            text: note.text.clone(),
        });
        let file = to.display().to_string();
        output.object(&Translated { id: message.identity().to_string(), file, notes: notes.collect() })?;
    } else {
        output.line(&format!("{} {}", paint(STRONG, "identity"), message.identity()))?;
        output.line(&format!("{} {}", paint(GOOD, "written"), to.display()))?;
        print_notes(&imported.notes);
    }
    Ok(End::Good)
}

/// One octet more than may be, so that the translation sees what is too large.
fn read_legacy(path: &Path) -> Result<Vec<u8>, Error> {
    let mut octets = Vec::new();
    let file = std::fs::File::open(path).map_err(Error::file(path))?;
    let octets_max = translate::limits::LEGACY_OCTETS_MAX as u64 + 1;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, octets_max), &mut octets)
        .map_err(Error::file(path))?;
    Ok(octets)
}

fn export(path: &Path, to: &Path, utf8: bool, output: &mut Output) -> Result<End, Error> {
    let (message, _) = Outgoing::open(path)?;
    if message.body_octets() > translate::limits::LEGACY_OCTETS_MAX as u64 {
        return Err(Error::Content("the message is too large for the legacy form".to_owned()));
    }
    let mut octets = Vec::new();
    let writer = WaxWriter::bare(&mut octets, message.manifest().clone(), message.headers().clone())?;
    sign::copy_bodies(&message, writer).map_err(Error::file(path))?;
    let whole = Message::parse(&octets, Limits::default())?;
    let eml = translate::export(&whole, &ExportOptions { eight_bit: utf8, utf8_headers: utf8 })?;
    files::write(to, &eml)?;
    let file = to.display().to_string();
    if output.is_json() {
        output.object(&Translated { id: message.identity().to_string(), file, notes: Vec::new() })?;
    } else {
        output.line(&format!("{} {}  {file}", paint(GOOD, "written"), message.identity().short()))?;
    }
    Ok(End::Good)
}

/// What a translation has changed goes to standard error: it is not the result.
fn print_notes(notes: &[Note]) {
    for note in notes {
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "part {}: {:?}: {}", note.part, note.kind, clean(&note.text));
    }
}
