//! Acceptance: one message, all its recipients, one transaction.

use message::Disposition;

use super::content::{load_message, store_message, stored};
use super::peer::count_pending;
use super::status::{close, load_envelope};
use super::{check_name, cut, load};
use crate::limits::{ACCOUNT_NAME_OCTETS_MAX, OWNER_OCTETS_MAX, SEAL_NOTES_MAX};
use crate::record::{CookieRecord, Held, OnceRecord, Record};
use crate::transaction::{QueueChange, Transaction};
use crate::{
    Acceptance, Content, Effect, EnvelopeId, EnvelopeRecord, Error, Intended, Lane, LegId, LegRecord,
    MailUid, MailboxEntry, Origin, Receipt, RecipientRecord, SealNote, key,
};

/// Accepts a message.
///
/// keeps: STO-10, STO-11
pub(crate) fn accept(tx: &mut Transaction, acceptance: Acceptance) -> Result<Receipt, Error> {
    check(&acceptance)?;
    let identity = acceptance.content.identity();
    let (earlier, fresh) = split_offered_before(tx, &acceptance)?;
    if fresh.is_empty() {
        let envelope = earlier.iter().flatten().next().map(|(envelope, _)| *envelope);
        let answers = earlier.into_iter().flatten().map(|(_, answer)| answer).collect();
        let envelope = envelope.ok_or(Error::Invalid("an acceptance needs a recipient"))?;
        return Ok(Receipt { envelope, answers, lanes: Vec::new() });
    }
    let id = EnvelopeId(tx.allocate()?);
    let Acceptance { content, recipients, origin, trace, now_ms, .. } = acceptance;
    let mut envelope = EnvelopeRecord {
        id,
        identity,
        offered_as: acceptance.offered_as,
        octets: acceptance.octets,
        origin,
        trace,
        received_at_ms: now_ms,
        expires_at_ms: acceptance.expires_at_ms,
        release_at_ms: acceptance.release_at_ms,
        closed_at_ms: None,
        attempts: 0,
        recipients: Vec::new(),
    };
    let fresh: Vec<&Intended> = fresh.into_iter().map(|place| &recipients[place]).collect();
    keep_content(tx, content, &fresh)?;
    let mut lanes = Vec::new();
    for intended in &fresh {
        add_recipient(tx, &mut envelope, intended, &mut lanes)?;
    }
    for (lane, places) in &lanes {
        add_leg(tx, &mut envelope, lane, places.clone(), now_ms)?;
    }
    tx.mark(key::envelope_for(identity, id));
    if let Origin::Submission { account } = &envelope.origin {
        tx.mark(key::envelope_of(account, id));
    }
    if envelope.recipients.iter().all(|recipient| recipient.outcome.is_some()) {
        // Nothing waits: whoever has the message in a mailbox holds it, and the envelope never has to.
        close(tx, &mut envelope, now_ms)?;
    } else {
        tx.mark(key::hold_of_envelope(identity, id));
    }
    tx.put_new_chunked(&key::envelope(id), &envelope.encode())?;
    let mut told = envelope.recipients.into_iter().map(|recipient| recipient.told);
    let answers = earlier
        .into_iter()
        .filter_map(|earlier| earlier.map(|(_, answer)| answer).or_else(|| told.next()))
        .collect();
    Ok(Receipt { envelope: id, answers, lanes: lanes.into_iter().map(|(lane, _)| lane).collect() })
}

/// Checks what does not depend on the store.
fn check(acceptance: &Acceptance) -> Result<(), Error> {
    let bound = |what, count: usize, bound: usize| match count > bound {
        true => Err(Error::Bound { what, bound: bound as u64 }),
        false => Ok(()),
    };
    bound("recipients", acceptance.recipients.len(), message::limits::RECIPIENTS_MAX)?;
    bound("hops", acceptance.trace.len(), message::limits::HOPS_MAX)?;
    check_name(&acceptance.origin.holder(), OWNER_OCTETS_MAX)?;
    let mut addresses: Vec<_> = acceptance.recipients.iter().map(|intended| &intended.address).collect();
    addresses.sort();
    if addresses.is_empty() || addresses.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Error::Invalid("an acceptance needs recipients, each once"));
    }
    for intended in &acceptance.recipients {
        let fits = match (&intended.effect, &intended.answer) {
            (Effect::Mailbox { seals, .. }, Disposition::Accepted) => seals.len() <= SEAL_NOTES_MAX,
            (Effect::Queue { .. }, Disposition::Accepted | Disposition::Pending { .. })
            | (Effect::Pend { .. }, Disposition::Pending { .. }) => true,
            (Effect::Refuse { code, text }, Disposition::Refused { code: told, text: words }) => {
                code == told && text == words
            }
            _ => false,
        };
        if !fits {
            return Err(Error::Invalid("the answer to a recipient does not fit what happens for it"));
        }
        if let Effect::Mailbox { account, .. } | Effect::Pend { account: Some(account), .. } =
            &intended.effect
        {
            check_name(account, ACCOUNT_NAME_OCTETS_MAX)?;
        }
    }
    Ok(())
}

/// Earlier answers by recipient, and the places of those that have none.
type OfferedBefore = (Vec<Option<(EnvelopeId, Disposition)>>, Vec<usize>);

/// Looks up which recipients the same peer has offered before.
fn split_offered_before(tx: &Transaction, acceptance: &Acceptance) -> Result<OfferedBefore, Error> {
    let holder = acceptance.origin.holder();
    let (mut earlier, mut fresh) = (Vec::new(), Vec::new());
    for (place, intended) in acceptance.recipients.iter().enumerate() {
        let key = key::once(&holder, acceptance.offered_as, &intended.address.to_string());
        let answer = super::status::once_answer(tx, &key)?;
        if answer.is_none() {
            fresh.push(place);
        }
        earlier.push(answer);
    }
    Ok((earlier, fresh))
}

/// Keeps the content and checks that there is enough of it for the effects.
fn keep_content(tx: &mut Transaction, content: Content, fresh: &[&Intended]) -> Result<(), Error> {
    if fresh.iter().all(|intended| matches!(intended.effect, Effect::Refuse { .. })) {
        return Ok(());
    }
    let complete = match content {
        Content::New(message) => store_message(tx, message)?,
        Content::Stored(identity) => {
            let record = load_message(tx, identity)?.ok_or(Error::NotFound("message"))?;
            stored(record).is_complete()
        }
        Content::Offered { identity } => {
            load_message(tx, identity)?.is_some_and(|record| stored(record).is_complete())
        }
    };
    let needed =
        |intended: &&Intended| matches!(intended.effect, Effect::Mailbox { .. } | Effect::Queue { .. });
    if !complete && fresh.iter().any(needed) { Err(Error::Incomplete) } else { Ok(()) }
}

/// Carries out what is to happen for one recipient; those to be queued are gathered by lane.
fn add_recipient(
    tx: &mut Transaction,
    envelope: &mut EnvelopeRecord,
    intended: &Intended,
    lanes: &mut Vec<(Lane, Vec<u32>)>,
) -> Result<(), Error> {
    let place = envelope.recipients.len() as u32;
    let now_ms = envelope.received_at_ms;
    let mut recipient = RecipientRecord {
        address: intended.address.clone(),
        told: intended.answer.clone(),
        outcome: None,
        leg: None,
        next_hop: None,
        held: false,
    };
    let mut asked = None;
    match &intended.effect {
        Effect::Mailbox { account, seals } => {
            put_mail(tx, envelope, &intended.address, account, seals.clone(), now_ms)?;
            recipient.outcome = Some(Disposition::Accepted);
        }
        Effect::Queue { lane } => match lanes.iter_mut().find(|(known, _)| known == lane) {
            Some((_, places)) => places.push(place),
            None => lanes.push((lane.clone(), vec![place])),
        },
        Effect::Pend { account, wanted, reason } => {
            hold_recipient(tx, envelope, place, &intended.answer, account.clone(), wanted.clone(), reason)?;
            recipient.held = true;
            asked = wanted.clone();
        }
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
            wanted: asked,
            forgotten_at_ms: None,
            polled_at_ms: None,
        };
        tx.put(key, record.encode())?;
    }
    if recipient.outcome.is_none() {
        count_pending(tx, envelope, &recipient.told, true)?;
    }
    let key = key::once(&envelope.origin.holder(), envelope.offered_as, &intended.address.to_string());
    tx.put(key, OnceRecord { envelope: envelope.id, recipient: place }.encode())?;
    envelope.recipients.push(recipient);
    Ok(())
}

/// Records that someone has to decide about a recipient.
fn hold_recipient(
    tx: &mut Transaction,
    envelope: &EnvelopeRecord,
    place: u32,
    answer: &Disposition,
    account: Option<String>,
    wanted: Option<message::Selection>,
    reason: &str,
) -> Result<(), Error> {
    let Disposition::Pending { until, .. } = answer else { return Ok(()) };
    let mut reason = reason.to_owned();
    cut(&mut reason);
    let until_ms = until.saturating_mul(1000);
    if let Some(account) = &account {
        tx.mark(key::held_of(account, envelope.id, place));
    }
    tx.mark(key::expiry_of_held(until_ms, envelope.id, place));
    let held = Held { account, reason, wanted, since_ms: envelope.received_at_ms, until_ms };
    tx.put(key::held(envelope.id, place), held.encode())
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
    if load::<crate::AccountRecord>(tx, &key::account(account))?.is_none() {
        return Err(Error::NotFound("account"));
    }
    let place = key::mail_for(account, envelope.identity);
    if crate::engine::View::value(tx, &place)?.is_some() {
        return Ok(());
    }
    let uid = MailUid(tx.allocate()?);
    let entry = MailboxEntry {
        uid,
        identity: envelope.identity,
        recipient: recipient.clone(),
        received_at_ms: now_ms,
        origin: envelope.origin.clone(),
        seals,
        seen: false,
    };
    tx.put(place, uid.0.to_be_bytes().to_vec())?;
    tx.put(key::mail(account, uid), entry.encode())?;
    tx.mark(key::hold_of_mail(envelope.identity, uid));
    Ok(())
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
    };
    tx.mark(key::lane_due(lane, leg.due_ms, id));
    tx.mark(key::lane_leg(lane, id));
    tx.effects.queue.push(QueueChange::Added { lane: lane.clone(), leg: id, due_ms: leg.due_ms });
    tx.put(key::leg(id), leg.encode())
}

/// The envelope of a number, which must be there.
pub(crate) fn envelope_of(tx: &Transaction, id: EnvelopeId) -> Result<EnvelopeRecord, Error> {
    load_envelope(tx, id)?.ok_or(Error::NotFound("envelope"))
}
