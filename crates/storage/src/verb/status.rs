//! Envelopes, their journal and the cookies given out for them.

use message::{Cookie, Disposition, Identity};

use super::content::let_go;
use super::peer::count_pending;
use super::{cut, list, load, load_legible};
use crate::engine::View;
use crate::limits::{
    ATTEMPT_TEXT_OCTETS_MAX, ATTEMPTS_FIRST, ATTEMPTS_LAST, COOKIES_MAX, IDENTITIES_LOOKED_AT, LIST_MAX,
};
use crate::record::{CookieRecord, Held, Record};
use crate::transaction::{Transaction, read_chunked};
use crate::{Attempt, CookieAnswer, EnvelopeId, EnvelopeRecord, Error, Stage, key};

/// An envelope; `None` where it is not there.
pub(crate) fn load_envelope(view: &dyn View, id: EnvelopeId) -> Result<Option<EnvelopeRecord>, Error> {
    let prefix = key::envelope(id);
    for last in [false, true] {
        let read = read_chunked(view, &prefix)
            .and_then(|octets| octets.map(|octets| EnvelopeRecord::decode(&octets, &prefix)).transpose());
        match read {
            // A large envelope may have been written between two chunks: it is read once more.
            Err(Error::Damaged { .. }) if !last => {}
            other => return other,
        }
    }
    Err(Error::Damaged { key: key::readable(&prefix) })
}

/// The messages that have envelopes, from `first` to `last`: one step for each message, however much there is of it.
pub(crate) fn identities(
    view: &dyn View,
    first: Identity,
    last: Identity,
    limit: usize,
) -> Result<Vec<Identity>, Error> {
    let mut from = key::all_of(first);
    let to = key::after_prefix(&key::all_of(last));
    let (mut found, mut looked_at) = (Vec::new(), 0);
    while found.len() < limit.min(LIST_MAX)
        && from < to
        && let Some((found_at, _)) = view.range(&from, &to, 1)?.first()
    {
        looked_at += 1;
        if looked_at > IDENTITIES_LOOKED_AT {
            return Err(Error::Bound { what: "messages that begin so", bound: IDENTITIES_LOOKED_AT as u64 });
        }
        let of = key::read_of_message(found_at);
        let (identity, _) = of.ok_or_else(|| Error::Damaged { key: key::readable(found_at) })?;
        from = key::after_prefix(&key::all_of(identity));
        let envelopes = key::envelopes_for(identity);
        if !view.range(&envelopes, &key::after_prefix(&envelopes), 1)?.is_empty() {
            found.push(identity);
        }
    }
    Ok(found)
}

/// The envelopes of these numbers that are there. What cannot be read is left out: the check reports it.
pub(crate) fn readable_envelopes(view: &dyn View, numbers: impl Iterator<Item = u64>) -> Vec<EnvelopeRecord> {
    numbers.filter_map(|number| load_envelope(view, EnvelopeId(number)).ok().flatten()).collect()
}

/// Writes an envelope.
pub(crate) fn save_envelope(tx: &mut Transaction, envelope: &EnvelopeRecord) -> Result<(), Error> {
    tx.put_chunked(&key::envelope(envelope.id), &envelope.encode())
}

/// Gives a recipient its final disposition, once: a later one changes nothing. Returns the cookie of the next hop
/// that was open.
///
/// keeps: STO-12
pub(crate) fn finish(
    tx: &mut Transaction,
    envelope: &mut EnvelopeRecord,
    place: u32,
    outcome: Disposition,
) -> Result<Option<Cookie>, Error> {
    finish_told(tx, envelope, place, outcome, true)
}

/// The same; `tell` says whether a sender of the old world may be owed a notice for it.
pub(crate) fn finish_told(
    tx: &mut Transaction,
    envelope: &mut EnvelopeRecord,
    place: u32,
    outcome: Disposition,
    tell: bool,
) -> Result<Option<Cookie>, Error> {
    let recipient = envelope
        .recipients
        .get_mut(place as usize)
        .ok_or(Error::Invalid("the envelope has no such recipient"))?;
    if recipient.outcome.is_some() {
        return Ok(None);
    }
    let told = recipient.told.clone();
    if let Disposition::Pending { cookie, .. } = &recipient.told {
        let key = key::cookie(cookie);
        if let Some(mut record) = load_legible::<CookieRecord>(tx, &key)? {
            record.outcome = Some(outcome.clone());
            record.wanted = None;
            tx.put(key, record.encode())?;
        }
    }
    recipient.outcome = Some(outcome);
    recipient.leg = None;
    let held = std::mem::take(&mut recipient.held);
    let next_hop = recipient.next_hop.take();
    let waited = held && end_hold(tx, envelope.id, place)?;
    count_pending(tx, envelope, &told, false)?;
    if !waited && tell {
        // Whoever only had to wait was told to come again, and hears it then.
        super::legacy::note_end(tx, envelope, place)?;
    }
    Ok(next_hop.and_then(|next_hop| match next_hop {
        Disposition::Pending { cookie, .. } => Some(cookie),
        _ => None,
    }))
}

/// Takes a recipient off the list of those to decide about; says whether it only waited for its time, so that nothing
/// of the message was here.
pub(crate) fn end_hold(tx: &mut Transaction, envelope: EnvelopeId, place: u32) -> Result<bool, Error> {
    let key = key::held(envelope, place);
    let mut later = false;
    if let Some(held) = load_legible::<Held>(tx, &key)? {
        later = matches!(held.stage, Stage::Later { .. });
        if let Some(account) = &held.account {
            tx.remove(key::held_of(account, envelope, place));
        }
        tx.remove(key::expiry_of_held(held.until_ms, envelope, place));
    }
    tx.remove(key);
    Ok(later)
}

/// Closes an envelope whose recipients are all final: it lets go of the message, and the time of retention begins.
/// The caller writes the envelope.
pub(crate) fn close_if_final(
    tx: &mut Transaction,
    envelope: &mut EnvelopeRecord,
    now_ms: u64,
) -> Result<bool, Error> {
    if envelope.closed_at_ms.is_some()
        || envelope.recipients.iter().any(|recipient| recipient.outcome.is_none())
    {
        return Ok(envelope.closed_at_ms.is_some());
    }
    close(tx, envelope, now_ms)?;
    let_go(tx, envelope.identity, key::hold_of_envelope(envelope.identity, envelope.id))?;
    Ok(true)
}

/// Closes an envelope whose recipients are all final, and says when it may be forgotten. The hold on its message is the
/// caller's to take off.
pub(crate) fn close(tx: &mut Transaction, envelope: &mut EnvelopeRecord, now_ms: u64) -> Result<(), Error> {
    envelope.closed_at_ms = Some(now_ms);
    let forgotten_at_ms = now_ms.saturating_add(tx.retention_ms);
    tx.mark(key::expiry_of_envelope(forgotten_at_ms, envelope.id));
    for recipient in &envelope.recipients {
        let Disposition::Pending { cookie, .. } = &recipient.told else { continue };
        let key = key::cookie(cookie);
        if let Some(mut record) = load_legible::<CookieRecord>(tx, &key)? {
            record.forgotten_at_ms = Some(forgotten_at_ms);
            tx.put(key, record.encode())?;
        }
    }
    Ok(())
}

/// Writes attempts into the journal, which keeps the first and the last of them.
pub(crate) fn add_attempts(
    tx: &mut Transaction,
    envelope: &mut EnvelopeRecord,
    attempts: Vec<Attempt>,
) -> Result<(), Error> {
    for mut attempt in attempts {
        for text in [&mut attempt.host, &mut attempt.step, &mut attempt.outcome] {
            cut(text);
        }
        let kept = attempt.text.floor_char_boundary(ATTEMPT_TEXT_OCTETS_MAX);
        attempt.text.truncate(kept);
        let place = envelope.attempts;
        tx.put(key::attempt(envelope.id, place), attempt.encode())?;
        if let Some(dropped) = place.checked_sub(ATTEMPTS_LAST)
            && dropped >= ATTEMPTS_FIRST
        {
            tx.remove(key::attempt(envelope.id, dropped));
        }
        envelope.attempts = place.saturating_add(1);
    }
    Ok(())
}

/// The journal of an envelope. What cannot be read is left out: the check reports it.
pub(crate) fn attempts(view: &dyn View, id: EnvelopeId) -> Result<Vec<Attempt>, Error> {
    let pairs = list(view, &key::attempts(id), None, LIST_MAX)?;
    Ok(pairs.iter().filter_map(|(key, value)| Attempt::decode(value, key).ok()).collect())
}

/// Answers a holder about cookies. Every cookie costs one look, whatever comes of it.
///
/// keeps: STO-13
pub(crate) fn poll(
    view: &dyn View,
    holder: &str,
    cookies: &[Cookie],
    now_ms: u64,
) -> Result<Vec<CookieAnswer>, Error> {
    if cookies.len() > COOKIES_MAX {
        return Err(Error::Bound { what: "cookies", bound: COOKIES_MAX as u64 });
    }
    cookies
        .iter()
        .map(|cookie| match own_cookie(view, holder, cookie) {
            Ok(Some(record)) => Ok(cookie_answer(record, now_ms)),
            Ok(None) | Err(Error::Damaged { .. }) => Ok(CookieAnswer::Unknown),
            Err(error) => Err(error),
        })
        .collect()
}

/// The record of a cookie where this is its holder. All of it is compared in constant time.
pub(crate) fn own_cookie(
    view: &dyn View,
    holder: &str,
    cookie: &Cookie,
) -> Result<Option<CookieRecord>, Error> {
    let record = load::<CookieRecord>(view, &key::cookie(cookie))?;
    Ok(record.filter(|record| {
        let same_holder: bool =
            subtle::ConstantTimeEq::ct_eq(record.holder.as_bytes(), holder.as_bytes()).into();
        (record.cookie == *cookie) & same_holder
    }))
}

fn cookie_answer(record: CookieRecord, now_ms: u64) -> CookieAnswer {
    if record.forgotten_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
        return CookieAnswer::Unknown;
    }
    let left_seconds = record.wanted_at_ms.saturating_sub(now_ms).div_ceil(1000);
    match (record.outcome, record.wanted) {
        (Some(outcome), _) => CookieAnswer::Final(outcome),
        // Nothing is asked for when the time is over. keeps: STA-18
        (None, Some(selection)) if left_seconds == 0 && now_ms < record.until.saturating_mul(1000) => {
            CookieAnswer::Want { selection, envelope: record.envelope, recipient: record.recipient }
        }
        // What is wanted only later is asked about then.
        (None, Some(_)) => {
            let min_seconds = u32::try_from(left_seconds).unwrap_or(record.max_seconds);
            CookieAnswer::Pending {
                min_seconds,
                max_seconds: record.max_seconds.max(min_seconds),
                until: record.until,
            }
        }
        (None, None) => CookieAnswer::Pending {
            min_seconds: record.min_seconds,
            max_seconds: record.max_seconds,
            until: record.until,
        },
    }
}

/// The settled cookies of an envelope.
pub(crate) fn settled_cookies(
    view: &dyn View,
    id: EnvelopeId,
) -> Result<Vec<(String, Cookie, Disposition)>, Error> {
    let Some(envelope) = load_envelope(view, id)? else { return Ok(Vec::new()) };
    let holder = envelope.origin.holder();
    let settled =
        envelope.recipients.into_iter().filter_map(|recipient| match (recipient.told, recipient.outcome) {
            (Disposition::Pending { cookie, .. }, Some(outcome)) => Some((holder.clone(), cookie, outcome)),
            _ => None,
        });
    Ok(settled.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, Engine, Memory};

    /// What is in mailboxes only is gone past, as far as the bound; more is an error and not "there is none".
    #[test]
    fn messages_without_envelopes_are_gone_past_in_bounded_number() {
        let identity = |number: usize| {
            let mut octets = [0; 32];
            octets[..8].copy_from_slice(&number.to_be_bytes());
            Identity::from_bytes(octets)
        };
        let (engine, mut batch) = (Memory::new(), Batch::default());
        for number in 0..IDENTITIES_LOOKED_AT {
            batch.put(key::body(identity(number), 0), Vec::new());
            batch.put([key::message(identity(number)), vec![0]].concat(), Vec::new());
        }
        let last = identity(IDENTITIES_LOOKED_AT - 1);
        batch.put(key::envelope_for(last, EnvelopeId(1)), Vec::new());
        engine.apply(&batch).unwrap();
        let all = (identity(0), Identity::from_bytes([255; 32]));
        assert_eq!(identities(&engine, all.0, all.1, 3), Ok(vec![last]));
        let mut more = Batch::default();
        more.put(key::body(identity(IDENTITIES_LOOKED_AT), 0), Vec::new());
        engine.apply(&more).unwrap();
        assert!(matches!(identities(&engine, all.0, all.1, 3), Err(Error::Bound { .. })));
        assert_eq!(identities(&engine, last, last, 3), Ok(vec![last]));
    }
}
