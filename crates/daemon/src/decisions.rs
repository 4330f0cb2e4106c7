//! Held mail for the user whose decision it is: listed, fetched as far as it is here, and decided.

use std::sync::Arc;

use message::{Code, Disposition, Identity, Selection};
use node::{Choice, HeldMail, Node};
use protocol::{CookieAnswer, Decide, Failure, Frame, HeldEntry, HeldPlace};
use storage::{EnvelopeId, Stage};
use transport::Reply;

use crate::inbound::{failure, fitting};
use crate::slices::Slices;
use crate::source::{StoreSource, supply};
use crate::view::{clean, seal_words};

/// What is held for an account, after this place.
pub(crate) fn list(
    node: &Node,
    account: &str,
    after: Option<HeldPlace>,
    limit: u64,
) -> Result<Frame, Failure> {
    let after =
        after.map(|(envelope, place)| (EnvelopeId(envelope), u32::try_from(place).unwrap_or(u32::MAX)));
    let limit = usize::try_from(limit).unwrap_or(0).min(protocol::limits::LIST_MAX);
    let held = node.held(Some(account), after, limit).map_err(failure)?;
    Ok(fitting(held.iter().map(entry).collect(), Frame::HeldList))
}

/// Carries a user's decision out. The answer is what a poll about it would say.
pub(crate) async fn decide(node: &Node, account: &str, decide: Decide) -> Result<Frame, Failure> {
    let choice = match decide.choice {
        protocol::Choice::Accept { trust } => Choice::Accept { trust },
        protocol::Choice::Refuse { code } => Choice::Refuse { code: code.unwrap_or(Code::NOT_AUTHORIZED) },
        protocol::Choice::Block => Choice::Block,
    };
    let decided = node.decide_held(Some(account), decide.identity, &decide.recipient, choice).await;
    let delivered = || node.store().mail_of(account, decide.identity).is_ok_and(|mail| mail.is_some());
    let decided = match decided {
        // The answer to the same decision was lost, and the program asks again.
        Err((Code::INVALID_ARGUMENTS, _)) if matches!(choice, Choice::Accept { .. }) && delivered() => {
            return Ok(Frame::Answers(vec![CookieAnswer::Final(Disposition::Accepted)]));
        }
        decided => decided.map_err(failure)?,
    };
    Ok(Frame::Answers(vec![match (decided.disposition, decided.wanted) {
        (Disposition::Pending { .. }, Some(wanted)) => CookieAnswer::Want(wanted),
        (Disposition::Pending { min_seconds, max_seconds, until, .. }, None) => {
            CookieAnswer::Pending { min_seconds, max_seconds, until }
        }
        (disposition, _) => CookieAnswer::Final(disposition),
    }]))
}

/// What of a held message its user asks for, where it is here.
pub(crate) fn fetch(
    node: &Node,
    account: &str,
    identity: Identity,
    selection: Selection,
    slices: &Arc<Slices>,
) -> Result<Option<Reply>, Failure> {
    let limit = storage::limits::LIST_MAX;
    let held = node.store().held_for(identity, limit).map_err(crate::inbound::store_failure)?;
    let own = |held: &storage::HeldRecord| {
        held.account.as_deref() == Some(account)
            && held.here.is_some()
            && !matches!(held.stage, Stage::Later { .. })
    };
    // Of several copies for one account, the one of which most is here.
    let own = held.iter().filter(|held| own(held)).max_by_key(|held| held.here.as_ref().map(Vec::len));
    let Some(own) = own else { return Ok(None) };
    let Some(message) = node.held_shown(own).map_err(crate::inbound::store_failure)? else { return Ok(None) };
    let missing = |part: &usize| message.missing.contains(part);
    let lacks = match &selection {
        Selection::All => !message.missing.is_empty(),
        Selection::Text => message.manifest.first_text().iter().any(missing),
        Selection::Parts(parts) => parts.iter().any(|(part, _)| missing(part)),
        Selection::Range { part, .. } => missing(part),
        Selection::Headers | Selection::Digest | Selection::Signers => false,
    };
    if lacks {
        let text = "that part was not fetched: it is held, and comes when you accept it".to_owned();
        return Err(Failure { code: Code::INVALID_ARGUMENTS, text });
    }
    let Some(supply) = supply(&message) else { return Ok(None) };
    let source = Arc::new(StoreSource::new(node.store().clone(), identity, slices.clone()));
    Ok(Some(Reply::Content { supply, selection, source }))
}

fn entry(mail: &HeldMail) -> HeldEntry {
    let record = &mail.record;
    let short = |text: &str| clean(text, message::limits::REFUSAL_TEXT_OCTETS_MAX);
    HeldEntry {
        place: (record.envelope.0, record.recipient.into()),
        identity: record.identity,
        recipient: record.address.clone(),
        since_ms: record.since_ms,
        until_ms: record.until_ms,
        origin: record.origin.holder(),
        reason: short(&record.reason),
        octets: record.octets,
        octets_missing: mail.octets_missing,
        accepted: record.stage == Stage::Accepted,
        seals: record.seals.iter().map(seal_words).collect(),
        from: mail.from.as_deref().map(short),
        subject: mail.subject.as_deref().map(short),
        date: mail.date.as_deref().map(short),
        author_key: node::author_key(&record.seals),
    }
}
