//! Held mail: what it looks like to an operator, and what is decided over the control socket.

use control::{
    Failure, FailureKind, HeldDecision, HeldDetailView, HeldPartView, HeldPlace, HeldState, HeldView,
    Request, Response,
};
use message::address::Address;
use message::{Code, Identity, Part};
use node::{Choice, HeldContent, HeldMail};
use policy::SealEvidence;
use storage::{EnvelopeId, Stage};

use super::author::seal_view;
use super::{Answered, LocalOperator, address, bounded};

impl LocalOperator {
    pub(super) async fn held(&self, request: Request) -> Answered {
        match request {
            Request::HeldList { account, after, limit } => {
                if let Some(account) = &account {
                    self.living(account)?;
                }
                let after = after.map(|place| (EnvelopeId(place.envelope), place.recipient));
                let held = self.node.held(account.as_deref(), after, bounded(limit)).map_err(refused)?;
                let mut views: Vec<HeldView> = held.iter().map(held_view).collect();
                if let Some(account) = account {
                    let reader = self.reader(&account)?;
                    for (view, mail) in views.iter_mut().zip(&held) {
                        view.author =
                            Some(self.author_view(&reader, mail.author.as_ref(), &mail.record.origin)?);
                    }
                }
                Ok(Response::HeldList { held: views })
            }
            Request::HeldShow { identity, recipient, account } => {
                let account = account.as_deref();
                let (identity, recipient) = self.held_named(account, &identity, recipient.as_deref())?;
                let content = self.node.held_content(account, identity, &recipient).await.map_err(refused)?;
                let mut detail = detail_view(&content);
                if let Some(account) = &content.mail.record.account {
                    let reader = self.reader(account)?;
                    let author = content.mail.author.as_ref();
                    detail.held.author =
                        Some(self.author_view(&reader, author, &content.mail.record.origin)?);
                }
                Ok(Response::Held(Box::new(detail)))
            }
            Request::HeldDecide { identity, recipient, decision, account } => {
                let (account, choice) = (account.as_deref(), choice(decision)?);
                let (identity, recipient) = self.held_named(account, &identity, recipient.as_deref())?;
                let decided =
                    self.node.decide_held(account, identity, &recipient, choice).await.map_err(refused)?;
                Ok(Response::HeldDecided {
                    disposition: decided.disposition.word().to_owned(),
                    octets_missing: decided.octets_missing,
                })
            }
            _ => Err(Failure::new(FailureKind::Invalid, "this cannot be asked here")),
        }
    }

    /// The message and the recipient that are meant: who is held is named where there are several. An account is answered
    /// the same for what is held for others, for what is not held and for what there is not. keeps: CON-5
    fn held_named(
        &self,
        account: Option<&str>,
        digits: &str,
        recipient: Option<&str>,
    ) -> Result<(Identity, Address), Failure> {
        if let Some(account) = account {
            self.living(account)?;
            let nothing =
                || Failure::new(FailureKind::NotFound, "nothing of this message is held for that recipient");
            let identity = Identity::from_hex(&digits.to_ascii_lowercase()).map_err(|_| nothing())?;
            return Ok((identity, recipient.and_then(|one| address(one).ok()).ok_or_else(nothing)?));
        }
        let identity = self.identity(digits)?;
        if let Some(recipient) = recipient {
            return Ok((identity, address(recipient)?));
        }
        let held = self.store().held_for(identity, control::limits::LIST_MAX).map_err(super::failure)?;
        let mut recipients: Vec<Address> = held.into_iter().map(|held| held.address).collect();
        recipients.sort();
        recipients.dedup();
        match recipients.as_slice() {
            [one] => Ok((identity, one.clone())),
            [] => Err(Failure::new(FailureKind::NotFound, "nothing of this message is held")),
            several => {
                let names: Vec<String> =
                    several.iter().take(control::limits::ALIKE_MAX).map(ToString::to_string).collect();
                let text = format!("it is held for several: {}", names.join(", "));
                Err(Failure::new(FailureKind::Conflict, text).hint("say for whom with --to"))
            }
        }
    }
}

fn choice(decision: HeldDecision) -> Result<Choice, Failure> {
    Ok(match decision {
        HeldDecision::Accept { trust } => Choice::Accept { trust },
        HeldDecision::Block => Choice::Block,
        HeldDecision::Refuse { code: None } => Choice::REFUSE,
        HeldDecision::Refuse { code: Some(text) } => {
            let code = Code::parse(&text).ok().filter(|code| code.class == 5);
            let wrong =
                || Failure::new(FailureKind::Invalid, format!("{text:?} is no status code of class 5"));
            Choice::Refuse { code: code.ok_or_else(wrong)? }
        }
    })
}

fn held_view(mail: &HeldMail) -> HeldView {
    let record = &mail.record;
    HeldView {
        place: HeldPlace { envelope: record.envelope.0, recipient: record.recipient },
        identity: record.identity.to_string(),
        recipient: record.address.to_string(),
        account: record.account.clone(),
        origin: record.origin.holder(),
        from: mail.from.clone(),
        subject: mail.subject.clone(),
        date: mail.date.clone(),
        reason: record.reason.clone(),
        seals: record.seals.iter().map(seal_view).collect(),
        author: None,
        octets_here: record.octets.saturating_sub(mail.octets_missing),
        octets: record.octets,
        octets_missing: mail.octets_missing,
        since_ms: record.since_ms,
        until_ms: record.until_ms,
        state: match record.stage {
            Stage::Undecided => HeldState::Undecided,
            Stage::Accepted => HeldState::Fetching,
            Stage::Later { .. } => HeldState::Later,
        },
    }
}

/// What can be shown of a held message, and how it was checked.
fn detail_view(content: &HeldContent) -> HeldDetailView {
    let headers = content.message.as_ref().and_then(|message| message.headers.as_ref());
    let fields = headers.into_iter().flat_map(|headers| headers.message().fields());
    let mut parts = Vec::new();
    if let Some(message) = &content.message {
        let name = |number: usize| {
            let block = message.headers.as_ref().and_then(|headers| headers.parts().get(number));
            block.and_then(translate::file_name)
        };
        walk(message.manifest.root(), 0, &mut |level, part: &Part| {
            let number = parts.len();
            let here = part.leaf().is_none() || !message.missing.contains(&number);
            parts.push(HeldPartView {
                number,
                level,
                media_type: Some(part.media_type.clone()),
                name: name(number),
                octets: part.octets,
                here,
            });
        });
    }
    let (sealed, words) = match (&content.message, content.sealed) {
        (None, _) => (false, "Only the envelope is here: nothing of the letter can be checked"),
        (_, SealEvidence::Verified) => (true, "and its sender's seals hold for the whole of it"),
        (_, SealEvidence::Broken) => (false, "but a seal of its sender does not hold for it"),
        (_, SealEvidence::Missing) => (false, "but it has no seal by which its sender answers for it"),
        (_, SealEvidence::Unknown) => {
            (false, "but the key of a seal cannot be had just now, so nobody knows whose it is")
        }
    };
    let checked = match &content.message {
        None => words.to_owned(),
        Some(message) => {
            let what = if message.is_complete() {
                "The whole letter is here"
            } else {
                "A part of the letter is here"
            };
            format!("{what}; it is what was announced of it, {words}")
        }
    };
    let mut held = held_view(&content.mail);
    held.seals = content.seals.iter().map(seal_view).collect();
    HeldDetailView {
        held,
        checked,
        sealed,
        headers: fields.map(|field| (field.name.to_owned(), field.value().trim().to_owned())).collect(),
        text: content.text.as_ref().map(|text| String::from_utf8_lossy(text).into_owned()),
        text_is_cut: content.text_is_cut,
        parts,
    }
}

fn walk(part: &Part, level: usize, visit: &mut impl FnMut(usize, &Part)) {
    visit(level, part);
    part.children().iter().for_each(|child| walk(child, level + 1, visit));
}

/// What the node says to a user is what it says to an operator.
pub(super) fn refused((code, text): (Code, String)) -> Failure {
    let kind = match code {
        Code::INVALID_ARGUMENTS => FailureKind::NotFound,
        code if code.class == 5 => FailureKind::Invalid,
        _ => FailureKind::Unavailable,
    };
    Failure::new(kind, text)
}
