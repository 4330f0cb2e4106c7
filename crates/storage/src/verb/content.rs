//! Messages, their parts and who holds them.

use message::{Claims, Digest, Identity, Manifest, Role, Seal};

use super::status::load_envelope;
use crate::engine::View;
use crate::files::Files;
use crate::limits::{INLINE_OCTETS_MAX, OPEN_ENVELOPES_LOOKED_AT, SEALS_KEPT_MAX, SEALS_KEPT_OCTETS_MAX};
use crate::part::Source;
use crate::record::{MessageRecord, Record};
use crate::transaction::{Transaction, read_chunked};
use crate::{EnvelopeId, Error, NewMessage, PartReader, SealMark, StagedPart, StoredMessage, key};

/// The record of a message.
pub(crate) fn load_message(view: &dyn View, identity: Identity) -> Result<Option<MessageRecord>, Error> {
    let prefix = key::message(identity);
    // A message of several chunks may be changed between two of them: what is damaged is read once more.
    for last in [false, true] {
        let read = read_chunked(view, &prefix)
            .and_then(|octets| octets.map(|octets| MessageRecord::decode(&octets, &prefix)).transpose());
        match read {
            Err(Error::Damaged { .. }) if !last => {}
            Ok(Some(record)) if record.manifest.identity() != identity => {
                return Err(Error::Damaged { key: key::readable(&prefix) });
            }
            other => return other,
        }
    }
    Err(Error::Damaged { key: key::readable(&prefix) })
}

/// A message as the house sees it.
pub(crate) fn stored(record: MessageRecord) -> StoredMessage {
    let missing = record
        .manifest
        .leaves()
        .filter(|(number, part, _)| part.octets > 0 && !record.here.contains(&(*number as u32)))
        .map(|(number, _, _)| number)
        .collect();
    let seals = record.seals.iter().take(message::limits::SEALS_MAX).cloned().collect();
    StoredMessage { manifest: record.manifest, headers: record.headers, seals, missing, kept: record.seals }
}

/// Opens a leaf.
pub(crate) fn open_part(
    view: &dyn View,
    files: &Files,
    identity: Identity,
    part: usize,
) -> Result<Option<PartReader>, Error> {
    let Some(record) = load_message(view, identity)? else { return Ok(None) };
    let leaf = record.manifest.leaves().find(|(number, _, _)| *number == part);
    let Some((_, leaf, digest)) = leaf else { return Ok(None) };
    if leaf.octets == 0 {
        return Ok(Some(PartReader::of_octets(bytes::Bytes::new())));
    }
    let number = part as u32;
    if !record.here.contains(&number) {
        return Ok(None);
    }
    let damaged = |key: String| Error::Damaged { key };
    if leaf.octets <= INLINE_OCTETS_MAX {
        let key = key::body(identity, number);
        let body = view.value(&key)?.filter(|body| Digest::of(body) == digest);
        return body.map(|body| Some(PartReader::of_octets(body.into()))).ok_or(damaged(key::readable(&key)));
    }
    match files.open_part(digest)? {
        Some((octets, file)) if octets == leaf.octets => Ok(Some(PartReader::of_file(octets, file))),
        _ => Err(damaged(format!("parts/{digest}"))),
    }
}

/// Writes what is new of a message and returns whether it is complete now, and which of the kept seals are those that came.
///
/// keeps: STO-8, STO-9
pub(crate) fn store_message(
    tx: &mut Transaction,
    message: NewMessage,
) -> Result<(bool, Vec<SealMark>), Error> {
    let identity = message.manifest.identity();
    let (mut record, is_new) = match load_message(tx, identity)? {
        Some(record) => (record, false),
        None => {
            let manifest = message.manifest;
            (MessageRecord { manifest, headers: None, seals: Vec::new(), here: Vec::new() }, true)
        }
    };
    record.headers = record.headers.or(message.headers);
    if message.seals.len() > message::limits::SEALS_MAX {
        return Err(Error::Bound { what: "seals", bound: message::limits::SEALS_MAX as u64 });
    }
    let marks = keep_seals(tx, identity, &mut record.seals, message.seals)?;
    // What is the same as another leaf refers to it, and so comes after it.
    let mut parts = message.parts;
    parts.sort_by_key(|(_, part)| matches!(part.source, Source::Known));
    for (number, part) in parts {
        store_part(tx, identity, &mut record, number, part)?;
    }
    match is_new {
        true => tx.put_new_chunked(&key::message(identity), &record.encode()).map(drop)?,
        false => tx.put_chunked(&key::message(identity), &record.encode())?,
    }
    Ok((stored(record).is_complete(), marks))
}

/// Adds seals to those that are kept. A gateway that has said the same before, at another time, has said it. Past the bounds the
/// oldest make room, of those first that no open envelope names, and never those that come now. keeps: STO-30
fn keep_seals(
    tx: &Transaction,
    identity: Identity,
    kept: &mut Vec<Seal>,
    seals: Vec<Seal>,
) -> Result<Vec<SealMark>, Error> {
    let mut marks = Vec::with_capacity(seals.len());
    for seal in seals {
        match kept.iter().find(|kept| kept.octets() == seal.octets() || says_the_same(kept, &seal)) {
            Some(kept) => marks.push(SealMark::of(kept)),
            None => {
                marks.push(SealMark::of(&seal));
                kept.push(seal);
            }
        }
    }
    let octets = |kept: &[Seal]| kept.iter().map(|seal| seal.octets().len()).sum::<usize>();
    let mut named = None;
    while kept.len() > SEALS_KEPT_MAX || octets(kept) > SEALS_KEPT_OCTETS_MAX {
        let named = match &mut named {
            Some(named) => named,
            unknown => unknown.insert(named_by_open(tx, identity)?),
        };
        let others = |seal: &Seal| !marks.contains(&SealMark::of(seal));
        let free = |seal: &Seal| others(seal) && !named.contains(&SealMark::of(seal));
        let oldest = kept.iter().position(free).or_else(|| kept.iter().position(others));
        let Some(oldest) = oldest else { break };
        kept.remove(oldest);
    }
    Ok(marks)
}

/// The seals that open envelopes of a message name, as far as these are looked at: the newest.
fn named_by_open(tx: &Transaction, identity: Identity) -> Result<Vec<SealMark>, Error> {
    let holds = key::holds_of_envelopes(identity);
    let mut named = Vec::new();
    for (hold, _) in tx.range_back(&holds, &key::after_prefix(&holds), OPEN_ENVELOPES_LOOKED_AT)? {
        let Some(envelope) = key::last_long(&hold).map(EnvelopeId) else { continue };
        // One that cannot be read needs none.
        if let Ok(Some(envelope)) = load_envelope(tx, envelope) {
            named.extend(envelope.seals);
        }
    }
    Ok(named)
}

fn says_the_same(kept: &Seal, seal: &Seal) -> bool {
    let (before, now) = (kept.claims(), seal.claims());
    now.role == Role::Gateway
        && before.expires_at.is_none()
        && kept.key_name() == seal.key_name()
        && Claims { issued_at: now.issued_at, ..before.clone() } == *now
}

/// Writes one leaf, or the reference to its file.
fn store_part(
    tx: &mut Transaction,
    identity: Identity,
    record: &mut MessageRecord,
    number: usize,
    part: StagedPart,
) -> Result<(), Error> {
    let StagedPart { owner, extent, source } = part;
    let matches = leaf_extent(&record.manifest, number) == Some((extent.octets, extent.digest));
    let (true, Ok(place)) = (matches, u32::try_from(number)) else {
        return Err(Error::Invalid("a staged part is not the leaf that it is given for"));
    };
    if record.here.contains(&place) {
        if let Source::Staging(file) = source {
            tx.effects.superfluous.push(file);
        }
        return Ok(());
    }
    match source {
        Source::Inline(octets) => tx.put(key::body(identity, place), octets.to_vec())?,
        Source::Known if !tx.any(&key::part_uses(extent.digest))? => return Err(Error::Gone),
        Source::Known => tx.mark(key::part_use(extent.digest, identity)),
        Source::Staging(file) => {
            tx.effects.placing.push((file, extent.digest));
            tx.mark(key::part_use(extent.digest, identity));
            tx.mark(key::part_sender(extent.digest, &owner));
        }
    }
    record.here.push(place);
    Ok(())
}

fn leaf_extent(manifest: &Manifest, number: usize) -> Option<(u64, Digest)> {
    manifest.leaves().find(|(leaf, _, _)| *leaf == number).map(|(_, part, digest)| (part.octets, digest))
}

/// Takes one hold off a message and removes it when it was the last.
pub(crate) fn let_go(tx: &mut Transaction, identity: Identity, hold: Vec<u8>) -> Result<(), Error> {
    tx.remove(hold);
    if tx.any(&key::holds(identity))? {
        return Ok(());
    }
    // A damaged record does not say which parts it had: their references stay for the check to report.
    let record = match load_message(tx, identity) {
        Ok(None) => return Ok(()),
        Ok(Some(record)) => Some(record),
        Err(Error::Damaged { .. }) => None,
        Err(error) => return Err(error),
    };
    tx.remove_all(&key::message(identity))?;
    tx.remove_all(&key::bodies(identity))?;
    let leaves = record.iter().flat_map(|record| record.manifest.leaves());
    for (_, _, digest) in leaves.filter(|(_, part, _)| part.octets > INLINE_OCTETS_MAX) {
        tx.remove(key::part_use(digest, identity));
        if !tx.any(&key::part_uses(digest))? {
            tx.remove_all(&key::part_senders(digest))?;
            tx.effects.loosened.push(digest);
        }
    }
    Ok(())
}
