//! `sign`.

use message::Disposition;
use protocol::{Failure, SubmissionOptions};
use serde::Serialize;

use super::files::Draft;
use super::{End, open_session};
use crate::client::{Outgoing, WaxWriter};
use crate::limits::CHUNK_OCTETS;
use crate::output::{GOOD, Output, paint};
use crate::{Error, Global, SignArgs};

#[derive(Serialize)]
struct Signed {
    id: String,
    seals: usize,
    file: String,
}

pub(super) async fn sign(global: &Global, arguments: &SignArgs, output: &mut Output) -> Result<End, Error> {
    let (message, _) = Outgoing::open(&arguments.file)?;
    let (profile, mut session) = open_session(global).await?;
    let options = SubmissionOptions { sign_only: true, ..SubmissionOptions::default() };
    // Nothing is sent; an envelope has a recipient all the same, and this one harms nobody.
    let submitted =
        session.submit(&message, std::slice::from_ref(&profile.address), options, &|_| {}).await?;
    session.close().await;
    if let Some(Disposition::Refused { code, text }) = submitted.outcomes.first().map(|(_, found)| found) {
        return Err(Error::refused(Failure { code: *code, text: text.clone() }));
    }
    let sealed = submitted.sealed.filter(|sealed| !sealed.seals.is_empty());
    let sealed = sealed.ok_or_else(|| Error::Answer("it holds no seal".to_owned()))?;
    let message = message.sealed(&sealed)?;
    write_wax(&message, &arguments.output)?;
    let file = arguments.output.display().to_string();
    let signed = Signed { id: message.identity().to_string(), seals: message.seals().len(), file };
    if output.is_json() {
        output.object(&signed)?;
    } else {
        output.line(&format!("{} {}  {}", paint(GOOD, "sealed"), message.identity().short(), signed.file))?;
    }
    Ok(End::Good)
}

/// Writes a message file, bodies from where they are.
pub(super) fn write_wax(message: &Outgoing, path: &std::path::Path) -> Result<(), Error> {
    let (draft, file) = Draft::begin(path)?;
    let out = std::io::BufWriter::new(file);
    copy_wax(message, out).map_err(Error::file(path))?;
    draft.finish()
}

fn copy_wax(message: &Outgoing, out: impl std::io::Write) -> std::io::Result<()> {
    let (manifest, headers) = (message.manifest().clone(), message.headers().clone());
    let writer = WaxWriter::new(out, manifest, headers, message.seals().to_vec())?;
    copy_bodies(message, writer)
}

/// Gives a writer the bodies that are due.
pub(super) fn copy_bodies<W: std::io::Write>(
    message: &Outgoing,
    mut writer: WaxWriter<W>,
) -> std::io::Result<()> {
    let mut at = (usize::MAX, 0);
    while let Some(part) = writer.due() {
        let offset = if at.0 == part { at.1 } else { 0 };
        let octets = message.read_at(part, offset, CHUNK_OCTETS)?;
        if octets.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        writer.body(&octets)?;
        at = (part, offset + octets.len() as u64);
    }
    writer.finish().map(drop)
}
