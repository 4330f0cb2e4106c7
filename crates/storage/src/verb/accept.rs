//! Acceptance: one message, all its recipients, one transaction.

use std::collections::{BTreeMap, BTreeSet};

use message::Disposition;

use super::content::{load_message, store_message, stored};
use super::once::{fresh_members, split_offered_before};
use super::peer::count_pending;
use super::status::{close, close_if_final, load_envelope, save_envelope};
use super::{check_name, cut, load};
use crate::engine::View;
use crate::limits::{
    ACCOUNT_NAME_OCTETS_MAX, ENVELOPE_ID_OCTETS_MAX, FORWARD_THROUGH_MAX, LEGACY_TRACE_OCTETS_MAX,
    ORIGINAL_RECIPIENT_OCTETS_MAX, OWNER_OCTETS_MAX, PASSED_COOKIE_OCTETS_MAX, SEAL_NOTES_MAX,
    SUBJECT_OCTETS_MAX,
};
use crate::record::{CookieRecord, Held, OnceRecord, Record};
use crate::transaction::{QueueChange, Transaction};
use crate::{
    Acceptance, Again, Content, Effect, EnvelopeId, EnvelopeRecord, Error, Intended, Lane, LegId, LegRecord,
    LegacyOrigin, MailUid, MailboxEntry, Origin, Passage, Pend, Receipt, RecipientRecord, SealMark, SealNote,
    key,
};

/// What stands beside the submission of a user when the message is gone. keeps: STA-22
fn subject_of(origin: &Origin, content: &Content) -> Option<String> {
    let (Origin::Submission { .. }, Content::New(message)) = (origin, content) else { return None };
    let field = message.headers.as_ref()?.message().first("Subject")?;
    let subject = field.value().trim().to_owned();
    Some(subject[..subject.floor_char_boundary(SUBJECT_OCTETS_MAX)].to_owned())
}

/// Accepts a message.
///
/// keeps: STO-10, STO-11
pub(crate) fn accept(tx: &mut Transaction, acceptance: Acceptance) -> Result<Receipt, Error> {
    check(&acceptance)?;
    let identity = acceptance.content.identity();
    let (mut earlier, fresh) = split_offered_before(tx, &acceptance)?;
    let mut reopened = super::held::envelopes_of(tx, identity, &acceptance.again)?;
    if fresh.is_empty() && acceptance.again.is_empty() && earlier.iter().all(|known| known.envelope.is_none())
    {
        return Err(Error::Crowded(earlier.into_iter().filter_map(|known| known.answer).collect()));
    }
    let members = fresh_members(tx, &acceptance, &fresh, &reopened)?;
    let Acceptance { content, recipients, members: all_members, again: all_again, .. } = acceptance;
    let (now_ms, expires_at_ms) = (acceptance.now_ms, acceptance.expires_at_ms);
    let fresh: Vec<(&Intended, bool)> = fresh
        .into_iter()
        .map(|place| (&recipients[place], false))
        .chain(members.into_iter().map(|place| (&all_members[place], true)))
        .collect();
    let again: Vec<&Again> = all_again.iter().filter(|one| is_pending(&reopened, one)).collect();
    let here: Option<Vec<u32>> = match &content {
        Content::New(message) => Some(message.parts.iter().map(|(part, _)| *part as u32).collect()),
        Content::Stored(_) | Content::Offered { .. } => None,
    };
    let subject = subject_of(&acceptance.origin, &content);
    let effects: Vec<&Effect> =
        fresh.iter().map(|(one, _)| &one.effect).chain(again.iter().map(|one| &one.effect)).collect();
    let seals = keep_content(tx, content, &effects)?;
    let mut lanes = Vec::new();
    let mut opened = None;
    if !fresh.is_empty() {
        let mut envelope = EnvelopeRecord {
            id: EnvelopeId(tx.allocate()?),
            identity,
            offered_as: acceptance.offered_as,
            octets: acceptance.octets,
            origin: acceptance.origin,
            trace: acceptance.trace,
            received_at_ms: now_ms,
            expires_at_ms,
            release_at_ms: acceptance.release_at_ms,
            closed_at_ms: None,
            attempts: 0,
            recipients: Vec::new(),
            seals: seals.clone(),
            subject,
        };
        open_envelope(tx, &mut envelope, &fresh, here.as_deref(), &mut lanes)?;
        opened = Some(envelope.id);
        let unanswered = earlier.iter_mut().filter(|known| known.answer.is_none());
        for (known, recipient) in unanswered.zip(envelope.recipients) {
            known.answer = Some(recipient.told);
        }
    }
    for one in &again {
        let Some(envelope) = reopened.get_mut(&one.envelope) else { continue };
        let times = (expires_at_ms, now_ms);
        super::held::judge_again(tx, envelope, one, (here.as_deref(), &seals), times, &mut lanes)?;
    }
    for id in again.iter().map(|one| one.envelope).collect::<BTreeSet<_>>() {
        let Some(envelope) = reopened.get_mut(&id) else { continue };
        close_if_final(tx, envelope, now_ms)?;
        save_envelope(tx, envelope)?;
    }
    let again = all_again.iter().map(|one| current(&reopened, one)).collect::<Result<_, _>>()?;
    let first = earlier.iter().find_map(|known| known.envelope);
    let known = first.or_else(|| all_again.first().map(|one| one.envelope));
    let answers = earlier.into_iter().filter_map(|known| known.answer).collect();
    let envelope = opened.or(known).ok_or(Error::Invalid("an acceptance needs a recipient"))?;
    Ok(Receipt { envelope, answers, again, lanes: lanes.into_iter().map(|(lane, _)| lane).collect() })
}

/// Opens an envelope for recipients that were not offered before.
fn open_envelope(
    tx: &mut Transaction,
    envelope: &mut EnvelopeRecord,
    fresh: &[(&Intended, bool)],
    here: Option<&[u32]>,
    lanes: &mut Vec<(Lane, Vec<u32>)>,
) -> Result<(), Error> {
    let (id, identity, now_ms) = (envelope.id, envelope.identity, envelope.received_at_ms);
    for (intended, member) in fresh {
        let place = envelope.recipients.len() as u32;
        add_recipient(tx, envelope, intended, here, lanes)?;
        let key = key::once(&envelope.origin.holder(), envelope.offered_as, &intended.address.to_string());
        tx.put(key, OnceRecord { envelope: envelope.id, recipient: place, member: *member }.encode())?;
        if let (Origin::Submission { account }, false) =
            (&envelope.origin, matches!(intended.effect, Effect::Refuse { .. }))
        {
            super::correspondent::note_written_to(tx, account, &intended.address, now_ms)?;
        }
    }
    for (lane, places) in &*lanes {
        add_leg(tx, envelope, lane, places.clone(), now_ms)?;
    }
    tx.mark(key::envelope_for(identity, id));
    if let Origin::Submission { account } = &envelope.origin {
        tx.mark(key::envelope_of(account, id));
    }
    if envelope.recipients.iter().all(|recipient| recipient.outcome.is_some()) {
        // Nothing waits: whoever has the message in a mailbox holds it, and the envelope never has to.
        close(tx, envelope, now_ms)?;
    } else {
        tx.mark(key::hold_of_envelope(identity, id));
    }
    tx.put_new_chunked(&key::envelope(id), &envelope.encode()).map(drop)
}

/// Whether a recipient to be judged anew is pending still: somebody may have decided about it meanwhile.
pub(super) fn is_pending(envelopes: &BTreeMap<EnvelopeId, EnvelopeRecord>, again: &Again) -> bool {
    let envelope = envelopes.get(&again.envelope);
    envelope
        .and_then(|envelope| envelope.recipients.get(again.recipient as usize))
        .is_some_and(|recipient| recipient.held)
}

/// What a recipient that was pending is answered now.
fn current(envelopes: &BTreeMap<EnvelopeId, EnvelopeRecord>, again: &Again) -> Result<Disposition, Error> {
    let envelope = envelopes.get(&again.envelope);
    let recipient = envelope.and_then(|envelope| envelope.recipients.get(again.recipient as usize));
    Ok(recipient.ok_or(Error::NotFound("recipient"))?.answer().clone())
}

/// Checks what does not depend on the store.
fn check(acceptance: &Acceptance) -> Result<(), Error> {
    let bound = |what, count: usize, bound: usize| match count > bound {
        true => Err(Error::Bound { what, bound: bound as u64 }),
        false => Ok(()),
    };
    let all = || acceptance.recipients.iter().chain(&acceptance.members);
    bound("recipients", all().count(), message::limits::RECIPIENTS_MAX)?;
    bound("hops", acceptance.trace.len(), message::limits::HOPS_MAX)?;
    check_name(&acceptance.origin.holder(), OWNER_OCTETS_MAX)?;
    let mut addresses: Vec<_> = all().map(|intended| &intended.address).collect();
    addresses.sort();
    let nobody = acceptance.recipients.is_empty() && acceptance.again.is_empty();
    if nobody || addresses.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Error::Invalid("an acceptance needs recipients, each once"));
    }
    if let Origin::Legacy(legacy) = &acceptance.origin {
        let longest = legacy.received.len().max(legacy.authentication_results.len());
        bound("octets of a trace", longest, LEGACY_TRACE_OCTETS_MAX)?;
        let passage = &legacy.passage;
        let octets = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        bound("octets of ENVID", octets(&passage.envelope_id), ENVELOPE_ID_OCTETS_MAX)?;
        bound("wishes", passage.wishes.len(), message::limits::RECIPIENTS_MAX)?;
        for wish in &passage.wishes {
            bound("octets of ORCPT", octets(&wish.original), ORIGINAL_RECIPIENT_OCTETS_MAX)?;
        }
        for half in passage.cookie.iter().flat_map(|cookie| [&cookie.id, &cookie.host]) {
            bound("octets of a cookie", half.len(), PASSED_COOKIE_OCTETS_MAX)?;
        }
    }
    for intended in all() {
        let fits = match (&intended.effect, &intended.answer) {
            (Effect::Mailbox { .. }, Disposition::Accepted) => true,
            (
                Effect::Queue { .. } | Effect::Forward { .. },
                Disposition::Accepted | Disposition::Pending { .. },
            )
            | (Effect::Elsewhere, Disposition::Accepted)
            | (Effect::Pend(_), Disposition::Pending { .. }) => true,
            (Effect::Refuse { code, text }, Disposition::Refused { code: told, text: words }) => {
                code == told && text == words
            }
            _ => false,
        };
        if !fits {
            return Err(Error::Invalid("the answer to a recipient does not fit what happens for it"));
        }
    }
    let again = acceptance.again.iter().map(|again| &again.effect);
    for effect in all().map(|intended| &intended.effect).chain(again) {
        if let Effect::Mailbox { account, .. } | Effect::Pend(Pend { account: Some(account), .. }) = effect {
            check_name(account, ACCOUNT_NAME_OCTETS_MAX)?;
        }
        if let Effect::Forward { forwarded, .. } = effect {
            bound("aliases on the way", forwarded.through.len(), FORWARD_THROUGH_MAX)?;
        }
        if let Effect::Pend(Pend { seals, .. }) | Effect::Mailbox { seals, .. } = effect {
            bound("seal notes", seals.len(), SEAL_NOTES_MAX)?;
        }
    }
    Ok(())
}

/// Keeps the content and checks that there is enough of it for the effects. Returns which seals came with it.
fn keep_content(tx: &mut Transaction, content: Content, effects: &[&Effect]) -> Result<Vec<SealMark>, Error> {
    if effects.iter().all(|effect| matches!(effect, Effect::Refuse { .. } | Effect::Elsewhere)) {
        return Ok(Vec::new());
    }
    let (complete, seals) = match content {
        Content::New(message) => store_message(tx, message)?,
        Content::Stored(identity) => {
            let record = load_message(tx, identity)?.ok_or(Error::NotFound("message"))?;
            (stored(record).is_complete(), Vec::new())
        }
        Content::Offered { identity } => {
            (load_message(tx, identity)?.is_some_and(|record| stored(record).is_complete()), Vec::new())
        }
    };
    let needed = |effect: &&Effect| {
        matches!(effect, Effect::Mailbox { .. } | Effect::Queue { .. } | Effect::Forward { .. })
    };
    if !complete && effects.iter().any(needed) { Err(Error::Incomplete) } else { Ok(seals) }
}

/// Carries out what is to happen for one recipient; those to be queued are gathered by lane.
fn add_recipient(
    tx: &mut Transaction,
    envelope: &mut EnvelopeRecord,
    intended: &Intended,
    here: Option<&[u32]>,
    lanes: &mut Vec<(Lane, Vec<u32>)>,
) -> Result<(), Error> {
    let place = envelope.recipients.len() as u32;
    let now_ms = envelope.received_at_ms;
    let mut recipient = RecipientRecord {
        address: intended.address.clone(),
        forwarded: match &intended.effect {
            Effect::Forward { forwarded, .. } => Some(forwarded.clone()),
            _ => None,
        },
        told: intended.answer.clone(),
        outcome: None,
        leg: None,
        next_hop: None,
        held: false,
        why: short(intended.why.as_deref()),
    };
    let mut asked = (None, 0);
    match &intended.effect {
        Effect::Mailbox { account, seals } => {
            put_mail(tx, envelope, &intended.address, account, seals.clone(), now_ms)?;
            recipient.outcome = Some(Disposition::Accepted);
        }
        Effect::Queue { lane } | Effect::Forward { lane, .. } => {
            match lanes.iter_mut().find(|(known, _)| known == lane) {
                Some((_, places)) => places.push(place),
                None => lanes.push((lane.clone(), vec![place])),
            }
        }
        Effect::Pend(pend) => {
            let held = held_of(pend, &intended.answer, now_ms, here);
            asked = (held.wanted.clone(), held.wanted_at_ms());
            hold_recipient(tx, envelope, place, held)?;
            recipient.held = true;
        }
        Effect::Elsewhere => recipient.outcome = Some(Disposition::Accepted),
        Effect::Refuse { code, text } => recipient.outcome = Some(Disposition::refused(*code, text)),
    }
    if let Disposition::Pending { cookie, min_seconds, max_seconds, until } = &intended.answer {
        let key = key::cookie(cookie);
        if load::<CookieRecord>(tx, &key)?.is_some() {
            return Err(Error::Invalid("a cookie was given out before"));
        }
        let record = CookieRecord {
            cookie: *cookie,
            holder: envelope.origin.holder(),
            envelope: envelope.id,
            recipient: place,
            min_seconds: *min_seconds,
            max_seconds: *max_seconds,
            until: *until,
            outcome: None,
            wanted: asked.0,
            wanted_at_ms: asked.1,
            forgotten_at_ms: None,
            polled_at_ms: None,
        };
        tx.put(key, record.encode())?;
    }
    if recipient.outcome.is_none() {
        count_pending(tx, envelope, &recipient.told, true)?;
    }
    let here = matches!(intended.effect, Effect::Mailbox { .. } | Effect::Elsewhere);
    envelope.recipients.push(recipient);
    if here {
        super::legacy::note_end(tx, envelope, place)?;
    }
    Ok(())
}

/// Why something was decided, as it is kept.
pub(super) fn short(why: Option<&str>) -> Option<String> {
    why.map(|why| {
        let mut why = why.to_owned();
        cut(&mut why);
        why
    })
}

/// What is kept of a recipient that is pending with this answer.
fn held_of(pend: &Pend, answer: &Disposition, now_ms: u64, here: Option<&[u32]>) -> Held {
    let until = if let Disposition::Pending { until, .. } = answer { *until } else { 0 };
    let mut reason = pend.reason.clone();
    cut(&mut reason);
    Held {
        account: pend.account.clone(),
        reason,
        wanted: pend.wanted.clone(),
        since_ms: now_ms,
        until_ms: until.saturating_mul(1000),
        stage: pend.stage,
        seals: pend.seals.clone(),
        here: here.map(<[u32]>::to_vec),
    }
}

/// Records that a recipient is pending.
pub(crate) fn hold_recipient(
    tx: &mut Transaction,
    envelope: &EnvelopeRecord,
    place: u32,
    held: Held,
) -> Result<(), Error> {
    let id = envelope.id;
    if let Some(account) = &held.account {
        // Who has brought it stands beside, so that its share of the places can be counted.
        tx.put(key::held_of(account, id, place), envelope.origin.holder().into_bytes())?;
    }
    tx.mark(key::expiry_of_held(held.until_ms, id, place));
    tx.put(key::held(id, place), held.encode())
}

/// Puts a message into a mailbox, once however many addresses lead there.
///
/// keeps: STO-14
pub(crate) fn put_mail(
    tx: &mut Transaction,
    envelope: &EnvelopeRecord,
    recipient: &message::address::Address,
    account: &str,
    seals: Vec<SealNote>,
    now_ms: u64,
) -> Result<(), Error> {
    if tx.value(&key::account(account))?.is_none() {
        return Err(Error::NotFound("account"));
    }
    let place = key::hold_of_mail(envelope.identity, account);
    if tx.value(&place)?.is_some() {
        return Ok(());
    }
    let uid = MailUid(tx.allocate()?);
    let entry = MailboxEntry {
        uid,
        identity: envelope.identity,
        recipient: recipient.clone(),
        received_at_ms: now_ms,
        origin: beside_mail(&envelope.origin),
        seals,
        seen: false,
    };
    tx.put(place, uid.0.to_be_bytes().to_vec())?;
    tx.put(key::mail(account, uid), entry.encode())
}

/// What stands beside mail in a mailbox: who has brought it, and not what was said of others that it was for.
fn beside_mail(origin: &Origin) -> Origin {
    match origin {
        Origin::Legacy(legacy) => {
            Origin::Legacy(Box::new(LegacyOrigin { passage: Passage::default(), ..*legacy.clone() }))
        }
        other => other.clone(),
    }
}

/// Queues recipients of an envelope along a lane.
pub(crate) fn add_leg(
    tx: &mut Transaction,
    envelope: &mut EnvelopeRecord,
    lane: &Lane,
    recipients: Vec<u32>,
    now_ms: u64,
) -> Result<(), Error> {
    let id = LegId(tx.allocate()?);
    for place in &recipients {
        if let Some(recipient) = envelope.recipients.get_mut(*place as usize) {
            recipient.leg = Some(id);
        }
    }
    let leg = LegRecord {
        id,
        envelope: envelope.id,
        lane: lane.clone(),
        recipients,
        created_at_ms: now_ms,
        due_ms: envelope.release_at_ms.unwrap_or(0).max(now_ms),
        attempts: 0,
        backoff: 0,
        held: false,
        last_error: None,
        unreached: false,
        ahead_ms: 0,
    };
    tx.mark(key::lane_due(lane, leg.due_ms, id));
    tx.mark(key::lane_leg(lane, id));
    tx.effects.queue.push(QueueChange::Added {
        lane: lane.clone(),
        leg: id,
        due_ms: leg.due_ms,
        created_at_ms: now_ms,
    });
    tx.put(key::leg(id), leg.encode())
}

/// The envelope of a number, which must be there.
pub(crate) fn envelope_of(tx: &Transaction, id: EnvelopeId) -> Result<EnvelopeRecord, Error> {
    load_envelope(tx, id)?.ok_or(Error::NotFound("envelope"))
}
