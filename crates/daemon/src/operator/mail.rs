//! What users ask about their own mail: who they are, what came, what became of what they sent.

use control::limits::{FIELD_OCTETS_MAX, FIELDS_MAX, PIECE_OCTETS_MAX, TEXT_SHOWN_OCTETS_MAX};
use control::{Failure, FailureKind, MailDetailView, MailView, PartView, Request, Response, SentView};
use data_encoding::{BASE64, HEXLOWER};
use message::address::Address;
use message::{HeaderBlock, Headers, Identity};
use storage::{AccountRecord, EnvelopeId, EnvelopeRecord, MailUid, MailboxEntry, Origin, StoredMessage};

use super::author::seal_view;
use super::{Answered, LocalOperator, bounded, failure};
use crate::clock::now_ms;
use crate::view::envelope_view;

impl LocalOperator {
    pub(super) async fn mail(&self, request: Request) -> Answered {
        if let Some(account) = whose(&request) {
            self.living(account)?;
        }
        match request {
            Request::AccountStanding { name } => {
                let record = self.store().account(&name).map_err(failure)?;
                Ok(Response::Standing { standing: record.as_ref().and_then(standing) })
            }
            Request::Login { account, password, network } => {
                self.login(&account, password.reveal().to_owned(), &network).await
            }
            Request::MailList { account, before, limit } => {
                let entries = self
                    .store()
                    .mailbox_before(&account, before.map(MailUid), bounded(limit))
                    .map_err(failure)?;
                let mails =
                    entries.iter().map(|entry| Ok(self.listed(entry)?.0)).collect::<Result<_, _>>()?;
                Ok(Response::Mails { mails })
            }
            Request::MailShow { account, number } => self.show(&account, number),
            Request::MailPart { account, number, part, offset } => {
                let identity = self.entry(&account, number)?.identity;
                let operator = self.clone();
                let piece = tokio::task::spawn_blocking(move || operator.piece(identity, part, offset));
                piece.await.map_err(|_| Failure::new(FailureKind::Internal, "the part was not read"))?
            }
            Request::MailSeen { account, number, seen } => {
                self.store().mark_seen(&account, MailUid(number), seen).await.map_err(failure)?;
                Ok(Response::Done)
            }
            Request::MailReport { account, number } => {
                self.node.report(&account, MailUid(number)).await.map_err(refused)?;
                Ok(Response::Done)
            }
            Request::Sent { account, before, limit } => {
                let envelopes = self
                    .store()
                    .envelopes_of(&account, before.map(EnvelopeId), bounded(limit))
                    .map_err(failure)?;
                let sent = envelopes.iter().map(|one| self.sent(one, false)).collect::<Result<_, _>>()?;
                Ok(Response::Sent { sent })
            }
            Request::SentShow { account, envelope } => {
                let found = self.store().envelope(EnvelopeId(envelope)).map_err(failure)?;
                let own = |one: &EnvelopeRecord| matches!(&one.origin, Origin::Submission { account: by } if *by == account);
                let found = found.filter(own).ok_or_else(|| {
                    Failure::new(FailureKind::NotFound, "there is no such message, or it is forgotten")
                })?;
                Ok(Response::Sent { sent: vec![self.sent(&found, true)?] })
            }
            _ => Err(Failure::new(FailureKind::Invalid, "this cannot be asked here")),
        }
    }

    async fn login(&self, account: &str, password: String, network: &str) -> Answered {
        // An address leads to its account; where it leads nowhere it is tried as a name, with the same work.
        let by_address = match Address::parse(account) {
            Ok(address) => self.node.account_of(&address).map_err(refused)?,
            Err(_) => None,
        };
        let name = by_address.as_deref().unwrap_or(account);
        let record = self.node.authenticate(network, name, password).await.map_err(refused)?;
        let addresses = record.addresses.iter().map(Address::to_unicode).collect();
        Ok(Response::LoggedIn { standing: standing(&record), account: record.name, addresses })
    }

    fn entry(&self, account: &str, number: u64) -> Result<MailboxEntry, Failure> {
        let before = number.checked_sub(1).map(MailUid);
        let found = self.store().mailbox(account, before, 1).map_err(failure)?;
        found.into_iter().find(|entry| entry.uid.0 == number).ok_or_else(|| {
            Failure::new(FailureKind::NotFound, format!("there is no message {number} in this mailbox"))
        })
    }

    /// What a list shows of an entry, and what is kept of its message.
    fn listed(&self, entry: &MailboxEntry) -> Result<(MailView, Option<StoredMessage>), Failure> {
        let stored = self.store().message(entry.identity).map_err(failure)?;
        let header = stored.as_ref().and_then(|stored| stored.headers.as_ref()).map(Headers::message);
        let field = |name| header.and_then(|header| header.first(name)).map(|field| value(&field));
        let view = MailView {
            number: entry.uid.0,
            identity: entry.identity.to_string(),
            recipient: entry.recipient.to_unicode(),
            received_at_ms: entry.received_at_ms,
            origin: entry.origin.holder(),
            seen: entry.seen,
            octets: stored.as_ref().map_or(0, |stored| stored.manifest.message_octets()),
            from: field("From"),
            subject: field("Subject"),
            attachments: stored.as_ref().map_or(0, |stored| {
                parts(stored).iter().filter(|part| !part.shown).count().try_into().unwrap_or(u32::MAX)
            }),
            seals: entry.seals.iter().map(seal_view).collect(),
            author: None,
        };
        Ok((view, stored))
    }

    fn show(&self, account: &str, number: u64) -> Answered {
        let entry = self.entry(account, number)?;
        let (mut mail, stored) = self.listed(&entry)?;
        let stored = stored
            .ok_or_else(|| Failure::new(FailureKind::Internal, "the message of this entry is not here"))?;
        let header = stored.headers.as_ref().map(Headers::message);
        let fields = header.into_iter().flat_map(HeaderBlock::fields).take(FIELDS_MAX);
        let fields = fields.map(|field| (field.name.to_owned(), value(&field))).collect();
        let (mut shown, mut cut) = ([None, None], false);
        for (place, part) in shown.iter_mut().zip([text_part(&stored), html_part(&stored)]) {
            let Some(part) = part else { continue };
            let Some((text, more)) = self.text(stored.manifest.identity(), part)? else { continue };
            *place = Some(text);
            cut |= more;
        }
        let [text, html] = shown;
        let author = stored.headers.as_ref().and_then(node::author);
        let reader = self.reader_before(account, Some(number))?;
        mail.author = Some(self.author_view(&reader, author.as_ref(), &entry.origin)?);
        let parts = parts(&stored);
        Ok(Response::Mail(Box::new(MailDetailView { mail, fields, text, html, cut, parts })))
    }

    /// The beginning of a part as text, and whether it goes on.
    fn text(&self, identity: Identity, part: usize) -> Result<Option<(String, bool)>, Failure> {
        let Some(reader) = self.store().open_part(identity, part).map_err(failure)? else { return Ok(None) };
        let octets = usize::try_from(reader.octets()).unwrap_or(usize::MAX).min(TEXT_SHOWN_OCTETS_MAX);
        let read = read_all(&reader, 0, octets)?;
        Ok(Some((String::from_utf8_lossy(&read).into_owned(), reader.octets() > octets as u64)))
    }

    fn piece(&self, identity: Identity, part: u32, offset: u64) -> Answered {
        let missing = || Failure::new(FailureKind::NotFound, "this part is not here");
        let reader = self.store().open_part(identity, part as usize).map_err(failure)?.ok_or_else(missing)?;
        let left = reader.octets().saturating_sub(offset).min(u64::from(PIECE_OCTETS_MAX));
        let read = read_all(&reader, offset, usize::try_from(left).unwrap_or(0))?;
        Ok(Response::Piece { octets: reader.octets(), base64: BASE64.encode(&read) })
    }

    fn sent(&self, envelope: &EnvelopeRecord, with_attempts: bool) -> Result<SentView, Failure> {
        // What waits is told by what went wrong last, also where attempts are not shown.
        let attempts = if with_attempts || envelope.closed_at_ms.is_none() {
            self.store().attempts(envelope.id).map_err(failure)?
        } else {
            Vec::new()
        };
        let mut view = envelope_view(envelope, &attempts);
        if !with_attempts {
            view.attempts.clear();
        }
        Ok(SentView {
            envelope: view,
            subject: self.subject(envelope)?,
            release_at_ms: envelope.release_at_ms.filter(|at_ms| *at_ms > now_ms()),
        })
    }

    /// The subject beside a submission; of one that was handed in before subjects were kept, that of the message while it
    /// is here.
    fn subject(&self, envelope: &EnvelopeRecord) -> Result<Option<String>, Failure> {
        if let Some(subject) = &envelope.subject {
            return Ok(Some(subject.clone()));
        }
        let stored = self.store().message(envelope.identity).map_err(failure)?;
        let header = stored.as_ref().and_then(|stored| stored.headers.as_ref()).map(Headers::message);
        Ok(header.and_then(|header| header.first("Subject")).map(|field| value(&field)))
    }
}

/// Whose mail is asked for.
fn whose(request: &Request) -> Option<&str> {
    match request {
        Request::MailList { account, .. }
        | Request::MailShow { account, .. }
        | Request::MailPart { account, .. }
        | Request::MailSeen { account, .. }
        | Request::MailReport { account, .. }
        | Request::Sent { account, .. }
        | Request::SentShow { account, .. } => Some(account),
        _ => None,
    }
}

/// How an account stands: the beginning of the digest of its password's hash, which has a salt of its own each time a
/// password is set, so that an account of the same name with the same password is another one. keeps: CON-2
fn standing(account: &AccountRecord) -> Option<String> {
    let hash = account.password_hash.as_ref().filter(|_| !account.disabled)?;
    let digest = message::Digest::of(format!("waxwing standing\0{}\0{hash}", account.name).as_bytes());
    Some(HEXLOWER.encode(&digest.as_bytes()[..16]))
}

/// The octets of a part from an offset on, fewer only where it ends.
fn read_all(reader: &storage::PartReader, offset: u64, octets: usize) -> Result<Vec<u8>, Failure> {
    let mut buffer = vec![0; octets];
    let mut filled = 0;
    while filled < octets {
        match reader.read_at(offset + filled as u64, &mut buffer[filled..]).map_err(failure)? {
            0 => break,
            count => filled += count,
        }
    }
    buffer.truncate(filled);
    Ok(buffer)
}

/// The first leaf of HTML.
fn html_part(stored: &StoredMessage) -> Option<usize> {
    stored.manifest.leaves().find(|(_, part, _)| part.media_type == "text/html").map(|(number, ..)| number)
}

/// The first plain text that is no file of its own.
fn text_part(stored: &StoredMessage) -> Option<usize> {
    stored.manifest.first_text()
}

fn parts(stored: &StoredMessage) -> Vec<PartView> {
    let shown = [text_part(stored), html_part(stored)];
    let name = |number: usize| {
        let headers = stored.headers.as_ref()?;
        headers.parts().get(number).and_then(translate::file_name)
    };
    let leaves = stored.manifest.leaves();
    leaves
        .map(|(number, part, _)| PartView {
            number: u32::try_from(number).unwrap_or(u32::MAX),
            media_type: part.media_type.clone(),
            octets: part.octets,
            name: name(number),
            here: !stored.missing.contains(&number),
            shown: shown.contains(&Some(number)),
        })
        .collect()
}

/// The value of a field on one line, cut at its bound.
fn value(field: &message::Field<'_>) -> String {
    let mut value = field.value().trim().to_owned();
    while value.len() > FIELD_OCTETS_MAX {
        value.pop();
    }
    value
}

fn refused((code, text): (message::Code, String)) -> Failure {
    let kind = if code.class == 4 { FailureKind::Unavailable } else { FailureKind::Invalid };
    Failure::new(kind, text)
}
