//! What the store keeps, in the words of the protocol and of the control socket. Conversion is by hand.

use control::{
    AccountView, AttemptView, DeviceView, EnvelopeView, FindingView, LaneView, LegView, RecipientView,
    RefusalView,
};
use message::Disposition;
use protocol::{CookieAnswer, MailboxEntry, SealWords, StatusAttempt, StatusRecipient, StatusRecord};
use storage::{Attempt, EnvelopeRecord, FindingKind, LegRecord, Origin};

/// Attempts that go into one status record: the frame holds twenty such records.
const STATUS_ATTEMPTS_MAX: usize = 8;

/// A status record for the user who has submitted.
pub(crate) fn status_record(envelope: &EnvelopeRecord, attempts: &[Attempt], now_ms: u64) -> StatusRecord {
    // Where a forwarded message goes is not the sender's to know. keeps: FWD-5
    let attempts: Vec<Attempt> =
        attempts.iter().filter(|one| !is_forwarded_along(envelope, &one.lane)).cloned().collect();
    let latest = attempts.len().saturating_sub(STATUS_ATTEMPTS_MAX);
    StatusRecord {
        number: envelope.id.0,
        identity: envelope.identity,
        at_ms: envelope.received_at_ms,
        release_at_ms: envelope.release_at_ms.filter(|at_ms| *at_ms > now_ms).unwrap_or(0),
        recipients: envelope
            .recipients
            .iter()
            // Who is on a list is not the sender's to know. keeps: FWD-6
            .filter(|one| !one.is_of_list())
            .map(|one| StatusRecipient { address: one.address.clone(), disposition: one.current().clone() })
            .collect(),
        attempts: attempts[latest..]
            .iter()
            .map(|one| StatusAttempt {
                at_ms: one.at_ms,
                host: clean(&one.host, 300),
                step: clean(&one.step, 100),
                code: one.code,
                text: clean(&one.text, 200),
            })
            .collect(),
    }
}

/// Whether only recipients that are forwarded go along this lane.
fn is_forwarded_along(envelope: &EnvelopeRecord, lane: &storage::Lane) -> bool {
    let along = |one: &&storage::RecipientRecord| {
        lane.as_str().strip_prefix("exchange:").is_some_and(|to| to == one.goes_to().domain().as_str())
    };
    let mut going = envelope.recipients.iter().filter(along).peekable();
    going.peek().is_some() && going.all(|one| one.forwarded.is_some())
}

/// An entry of a mailbox for its user.
pub(crate) fn mailbox_entry(entry: &storage::MailboxEntry) -> MailboxEntry {
    MailboxEntry {
        number: entry.uid.0,
        identity: entry.identity,
        recipient: entry.recipient.clone(),
        at_ms: entry.received_at_ms,
        origin: entry.origin.holder(),
        seen: entry.seen,
        seals: entry.seals.iter().map(seal_words).collect(),
        author_key: node::author_key(&entry.seals),
    }
}

/// What was found of a seal, for a user.
pub(crate) fn seal_words(seal: &storage::SealNote) -> SealWords {
    SealWords { issuer: seal.issuer.clone(), role: seal.role.word().to_owned(), verified: seal.verified }
}

/// The answer about a cookie.
pub(crate) fn cookie_answer(answer: storage::CookieAnswer) -> CookieAnswer {
    match answer {
        storage::CookieAnswer::Final(disposition) => CookieAnswer::Final(disposition),
        storage::CookieAnswer::Pending { min_seconds, max_seconds, until } => {
            CookieAnswer::Pending { min_seconds, max_seconds, until }
        }
        storage::CookieAnswer::Want { selection, .. } => CookieAnswer::Want(selection),
        storage::CookieAnswer::Unknown => CookieAnswer::Unknown,
    }
}

/// A refusal for an operator.
pub(crate) fn refusal_view(refusal: &node::Refusal) -> RefusalView {
    RefusalView {
        at_ms: refusal.at_ms,
        identity: refusal.identity.to_string(),
        origin: refusal.origin.clone(),
        recipient: refusal.recipient.clone(),
        code: refusal.code.to_string(),
        text: refusal.text.clone(),
        why: refusal.why.clone(),
    }
}

/// What a recipient that is pending waits for, in words. keeps: STA-22
fn waits(recipient: &storage::RecipientRecord, place: usize, attempts: &[Attempt]) -> Option<String> {
    let Disposition::Pending { .. } = recipient.current() else { return None };
    if recipient.held {
        return Some("waits for the recipient's decision".to_owned());
    }
    if recipient.next_hop.is_some() {
        return Some("waits at the recipient's node, for a decision there".to_owned());
    }
    // Where it goes on from an alias is not the sender's to know. keeps: FWD-5
    if recipient.forwarded.is_some() {
        return None;
    }
    let along = format!("exchange:{}", recipient.address.domain());
    let of_it =
        |one: &&Attempt| one.lane.as_str() == along && one.recipient.is_none_or(|of| of as usize == place);
    Some(match attempts.iter().rev().find(of_it) {
        Some(last) if last.code.is_some() => format!("not delivered yet: {}", last.text),
        Some(_) => "not delivered yet".to_owned(),
        None => "not tried yet".to_owned(),
    })
}

/// The recipients of an envelope for an operator.
fn recipient_views(envelope: &EnvelopeRecord, attempts: &[Attempt]) -> Vec<RecipientView> {
    let all = envelope.recipients.iter().enumerate();
    all.map(|(place, one)| recipient_view(one, place, attempts)).collect()
}

/// A recipient for an operator.
fn recipient_view(recipient: &storage::RecipientRecord, place: usize, attempts: &[Attempt]) -> RecipientView {
    let (code, text) = match recipient.current() {
        Disposition::Refused { code, text } => (Some(code.to_string()), Some(text.clone())),
        Disposition::Deferred { code, .. } => (Some(code.to_string()), None),
        _ => (None, None),
    };
    RecipientView {
        address: recipient.address.to_string(),
        disposition: recipient.current().word().to_owned(),
        code,
        text,
        why: recipient.why.clone(),
        waits: waits(recipient, place, attempts),
    }
}

/// An attempt for an operator.
pub(crate) fn attempt_view(attempt: &Attempt, envelope: &EnvelopeRecord) -> AttemptView {
    let recipient = attempt.recipient.and_then(|place| envelope.recipients.get(place as usize));
    AttemptView {
        at_ms: attempt.at_ms,
        host: attempt.host.clone(),
        recipient: recipient.map(|one| one.address.to_string()),
        step: attempt.step.clone(),
        code: attempt.code.map(|code| code.to_string()),
        text: attempt.text.clone(),
        took_ms: attempt.took_ms,
    }
}

/// An envelope for an operator.
pub(crate) fn envelope_view(envelope: &EnvelopeRecord, attempts: &[Attempt]) -> EnvelopeView {
    EnvelopeView {
        number: envelope.id.0,
        identity: envelope.identity.to_string(),
        octets: envelope.octets,
        origin: origin(&envelope.origin),
        accepted_at_ms: envelope.received_at_ms,
        closed_at_ms: envelope.closed_at_ms,
        trace: envelope.trace.iter().map(|hop| format!("{} {}", hop.by, hop.at)).collect(),
        recipients: recipient_views(envelope, attempts),
        attempts: attempts.iter().map(|attempt| attempt_view(attempt, envelope)).collect(),
    }
}

/// A leg of the queue for an operator.
pub(crate) fn leg_view(leg: &LegRecord, envelope: &EnvelopeRecord, attempts: &[Attempt]) -> LegView {
    let waiting = leg
        .recipients
        .iter()
        .filter_map(|place| envelope.recipients.get(*place as usize))
        .any(|one| one.next_hop.is_some());
    let state = match (leg.held, waiting) {
        (true, _) => "held",
        (_, true) => "pending",
        _ if leg.backoff > 0 => "retrying",
        _ => "waiting",
    };
    LegView {
        number: leg.id.0,
        lane: leg.lane.to_string(),
        envelope: envelope.id.0,
        identity: envelope.identity.to_string(),
        octets: envelope.octets,
        origin: origin(&envelope.origin),
        state: state.to_owned(),
        due_at_ms: leg.due_ms,
        accepted_at_ms: envelope.received_at_ms,
        expires_at_ms: envelope.expires_at_ms,
        tries: leg.attempts,
        recipients: leg
            .recipients
            .iter()
            .filter_map(|place| {
                let one = envelope.recipients.get(*place as usize)?;
                Some(recipient_view(one, *place as usize, attempts))
            })
            .collect(),
        attempts: attempts.iter().map(|attempt| attempt_view(attempt, envelope)).collect(),
    }
}

/// A lane for an operator.
pub(crate) fn lane_view(lane: &storage::LaneSummary) -> LaneView {
    LaneView {
        lane: lane.lane.to_string(),
        count: lane.legs,
        at_least: false,
        held: lane.held,
        oldest_at_ms: lane.oldest_ms,
        next_due_ms: lane.next_due_ms,
        last_error: lane.last_error.clone(),
    }
}

/// An account for an operator.
pub(crate) fn account_view(account: &storage::AccountRecord) -> AccountView {
    AccountView {
        name: account.name.clone(),
        addresses: account.addresses.iter().map(ToString::to_string).collect(),
        password: account.password_hash.is_some(),
        devices: account
            .devices
            .iter()
            .map(|device| DeviceView {
                name: device.name.clone(),
                public_key: data_encoding::HEXLOWER.encode(&device.public_key),
                enrolled_at_ms: device.enrolled_at_ms,
            })
            .collect(),
        disabled: account.disabled,
        notices: account.notices,
    }
}

/// A finding for an operator.
/// Findings in one answer; a store with more is in need of more than a list.
pub(crate) const FINDINGS_MAX: usize = 1_000;

pub(crate) fn finding_view(finding: &storage::Finding) -> FindingView {
    FindingView {
        kind: format!("{:?}", finding.kind).to_lowercase(),
        subject: finding.key.clone(),
        text: finding.detail.clone(),
        harmful: !matches!(finding.kind, FindingKind::Orphan | FindingKind::Staging),
    }
}

fn origin(origin: &Origin) -> String {
    origin.holder()
}

/// Text for a frame: no control characters, no more than this many octets.
pub(crate) fn clean(text: &str, octets_max: usize) -> String {
    let mut clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    while clean.len() > octets_max {
        clean.pop();
    }
    clean
}
