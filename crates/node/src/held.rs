//! Held: what waits until somebody has decided, what of it can be shown, and decisions.

use std::collections::BTreeSet;

use bytes::Bytes;
use message::address::Address;
use message::{Code, Disposition, Extent, Identity, Manifest, Selection};
use policy::SealEvidence;
use storage::{Decision, EnvelopeId, HeldRecord, Ruling, SealNote, Stage, StoredMessage};

use crate::accept::{Failure, trouble};
use crate::forwarding::Unwanted;
use crate::limits::{HELD_TEXT_SHOWN_MAX, WANTED_PARTS_MAX};
use crate::{Deed, Event, Node, submit};

/// What somebody decides about a held message for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It is wanted.
    Accept {
        /// Whether its author becomes a correspondent of the recipient.
        trust: bool,
    },
    /// It is not wanted.
    Refuse {
        /// What the sender is told, of class 5.
        code: Code,
    },
    /// It is not wanted, nor is what else its author may send.
    Block,
}

impl Choice {
    /// Accepted, and nothing more.
    pub const ACCEPT: Choice = Choice::Accept { trust: false };
    /// Refused with the code that says the least: 5.7.1.
    pub const REFUSE: Choice = Choice::Refuse { code: Code::NOT_AUTHORIZED };
}

/// What a decision has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// What the recipient has now; `Pending` where the rest is to be fetched.
    pub disposition: Disposition,
    /// Octets of leaves that are still to come.
    pub octets_missing: u64,
    /// What the sender is asked for.
    pub wanted: Option<Selection>,
}

/// What is held for one recipient, with what its headers say.
#[derive(Debug, Clone)]
pub struct HeldMail {
    /// What the store knows.
    pub record: HeldRecord,
    /// Octets that were not fetched.
    pub octets_missing: u64,
    /// What `From` says.
    pub from: Option<String>,
    /// Who that is, where it is one address for sure.
    pub author: Option<Address>,
    /// What `Subject` says.
    pub subject: Option<String>,
    /// What `Date` says.
    pub date: Option<String>,
}

/// What can be shown of a held message. All of it is what the manifest says; the manifest is what the seals say, or not.
#[derive(Debug, Clone)]
pub struct HeldContent {
    /// As in the list.
    pub mail: HeldMail,
    /// The message as far as it is here; `None` where only the envelope was kept.
    pub message: Option<StoredMessage>,
    /// Whether the peer answers for it, as of now.
    pub sealed: SealEvidence,
    /// What was found of each seal, as of now.
    pub seals: Vec<SealNote>,
    /// The first octets of the text, where it is here; they have the digest in the manifest.
    pub text: Option<Bytes>,
    /// Whether the text goes on.
    pub text_is_cut: bool,
}

impl Node {
    /// What is held, for all accounts or for one, oldest first, after the given place. What only waits for its time is
    /// left out for an account: there is nothing to decide. Fewer than `limit` are there only at the end of the list.
    ///
    /// # Errors
    /// A code and a text where the store cannot be read.
    pub fn held(
        &self,
        account: Option<&str>,
        after: Option<(EnvelopeId, u32)>,
        limit: usize,
    ) -> Result<Vec<HeldMail>, Failure> {
        let now_ms = self.now_ms();
        let listed = |held: &HeldRecord| {
            // keeps: STA-18
            now_ms < held.until_ms && (account.is_none() || !matches!(held.stage, Stage::Later { .. }))
        };
        let (mut after, mut listing) = (after, Vec::new());
        while listing.len() < limit {
            let found = self.store().held(account, after, limit).map_err(trouble)?;
            let Some(last) = found.last() else { break };
            after = Some((last.envelope, last.recipient));
            let left = limit - listing.len();
            for record in found.into_iter().filter(listed).take(left) {
                let message = self.store().message(record.identity).map_err(trouble)?;
                listing.push(held_mail(record, message.as_ref()));
            }
        }
        Ok(listing)
    }

    /// What can be shown of what is held. keeps: STA-15
    ///
    /// # Errors
    /// A code and a text where nothing of it is held for that account and recipient, or the store cannot be read.
    pub async fn held_content(
        &self,
        account: Option<&str>,
        identity: Identity,
        recipient: &Address,
    ) -> Result<HeldContent, Failure> {
        let record = self.held_of(account, identity, recipient)?.into_iter().next();
        let record = record.map_or_else(|| Err(self.nothing_held(account, identity, recipient)?), Ok)?;
        let message = self.held_shown(&record).map_err(trouble)?;
        let (mut sealed, mut seals) = (SealEvidence::Missing, Vec::new());
        let (mut text, mut text_is_cut) = (None, false);
        if let Some(message) = &message {
            let from = message.headers.as_ref().and_then(|headers| submit::from_address(headers).ok());
            let found = self.verify(&message.manifest, from.as_ref(), &message.seals, &record.origin).await;
            let told = self.tell_seals(record.account.as_deref(), &found.notes, found.authored.as_ref())?;
            (sealed, seals) = (found.evidence, told.notes);
            let part = message.manifest.first_text().filter(|part| !message.missing.contains(part));
            if let Some(reader) = part
                .map(|part| self.store().open_part(identity, part))
                .transpose()
                .map_err(trouble)?
                .flatten()
            {
                let mut octets = vec![0; reader.octets().min(HELD_TEXT_SHOWN_MAX) as usize];
                let mut filled = 0;
                while filled < octets.len() {
                    match reader.read_at(filled as u64, &mut octets[filled..]).map_err(trouble)? {
                        0 => break,
                        count => filled += count,
                    }
                }
                octets.truncate(filled);
                (text, text_is_cut) = (Some(octets.into()), reader.octets() > filled as u64);
            }
        }
        let mail = held_mail(record, message.as_ref());
        Ok(HeldContent { mail, message, sealed, seals, text, text_is_cut })
    }

    /// What is held of a message for one recipient, from whomever it came: one for each sender.
    fn held_of(
        &self,
        account: Option<&str>,
        identity: Identity,
        recipient: &Address,
    ) -> Result<Vec<HeldRecord>, Failure> {
        let (now_ms, limit) = (self.now_ms(), storage::limits::LIST_MAX);
        let mut found = self.store().held_for(identity, limit).map_err(trouble)?;
        found.retain(|held| {
            held.address == *recipient
                && account.is_none_or(|account| held.account.as_deref() == Some(account))
                && !matches!(held.stage, Stage::Later { .. })
                // Who decides too late has nothing to decide about, whether it was swept already or not.
                && now_ms < held.until_ms
        });
        Ok(found)
    }

    /// Decides about what is held of a message for one recipient. What is whole is delivered now; for the rest the sender is
    /// asked. `account` is who decides, where it is a user.
    ///
    /// # Errors
    /// A code and a text where nothing of it is held for them, or the store cannot be written.
    ///
    /// keeps: STA-16
    pub async fn decide_held(
        &self,
        account: Option<&str>,
        identity: Identity,
        recipient: &Address,
        choice: Choice,
    ) -> Result<Decided, Failure> {
        let held = self.held_of(account, identity, recipient)?;
        let Some(first) = held.first() else {
            return Err(self.nothing_held(account, identity, recipient)?);
        };
        self.remember_author(first, choice).await?;
        let mut decided = None;
        for held in &held {
            // What is refused is here no more afterwards.
            let complaint = match choice {
                Choice::Block => self.complaint_about(&Unwanted {
                    origin: &held.origin,
                    recipient: &held.address,
                    identity: held.identity,
                    is_here: held.here.is_some(),
                    arrived_at_ms: held.since_ms,
                })?,
                Choice::Accept { .. } | Choice::Refuse { .. } => None,
            };
            let one = match choice {
                Choice::Accept { .. } => self.accept_held(held).await,
                Choice::Refuse { code } => self.refuse_held(held, code).await,
                Choice::Block => self.refuse_held(held, Code::NOT_AUTHORIZED).await,
            };
            match one {
                Ok(one) => {
                    let deed = match choice {
                        Choice::Accept { .. } => Deed::Accepted,
                        Choice::Refuse { .. } => Deed::Declined,
                        Choice::Block => Deed::Complaint,
                    };
                    self.note_deed(&held.origin, deed);
                    self.complain(complaint);
                    decided = decided.or(Some(one));
                }
                // Its sender was quicker.
                Err(storage::Error::NotFound(_)) => {}
                Err(error) => return Err(trouble(error)),
            }
        }
        decided.map_or_else(|| Err(self.nothing_held(account, identity, recipient)?), Ok)
    }

    /// What somebody is told for whom there is nothing to decide: that it is too late, or that there is nothing.
    ///
    /// keeps: STA-18
    fn nothing_held(
        &self,
        account: Option<&str>,
        identity: Identity,
        recipient: &Address,
    ) -> Result<Failure, Failure> {
        let (now_ms, limit) = (self.now_ms(), storage::limits::LIST_MAX);
        let is_theirs = match account {
            Some(account) => self.account_of(recipient)?.as_deref() == Some(account),
            None => true,
        };
        let over = |one: &storage::RecipientRecord| {
            let until_ms = match &one.told {
                Disposition::Pending { until, .. } if one.held => until.saturating_mul(1000),
                _ => u64::MAX,
            };
            one.address == *recipient && (one.outcome == Some(Disposition::Expired) || until_ms <= now_ms)
        };
        let envelopes = self.store().envelopes_for(identity, limit).map_err(trouble)?;
        let late = is_theirs && envelopes.iter().any(|envelope| envelope.recipients.iter().any(over));
        let text = if late {
            "its time is over: it was not decided about, or did not come, in time, and its sender is told that it has expired"
        } else {
            "nothing of this message is held for that recipient"
        };
        Ok((Code::INVALID_ARGUMENTS, text.to_owned()))
    }

    /// What is here of a message for a recipient that is held: with the seals that came with that offer, and nothing where nothing came
    /// with it.
    pub(crate) fn held_message(&self, held: &HeldRecord) -> Result<Option<StoredMessage>, storage::Error> {
        if held.here.is_none() {
            return Ok(None);
        }
        let Some(message) = self.store().message(held.identity)? else { return Ok(None) };
        Ok(Some(match self.store().envelope(held.envelope)? {
            Some(envelope) => message.brought_by(&envelope),
            None => message,
        }))
    }

    /// The same, and what only others have brought of the message is missing from it. keeps: EXC-11
    ///
    /// # Errors
    /// Those of the store.
    pub fn held_shown(&self, held: &HeldRecord) -> Result<Option<StoredMessage>, storage::Error> {
        let Some(mut message) = self.held_message(held)? else { return Ok(None) };
        let here = |leaf: &usize| held.here.iter().flatten().any(|part| part == leaf);
        let leaves = message.manifest.leaves().filter(|(_, part, _)| part.octets > 0);
        let others: Vec<usize> = leaves.map(|(leaf, _, _)| leaf).filter(|leaf| !here(leaf)).collect();
        message.missing.extend(others);
        message.missing.sort_unstable();
        message.missing.dedup();
        Ok(Some(message))
    }

    async fn accept_held(&self, held: &HeldRecord) -> Result<Decided, storage::Error> {
        let message = self.held_message(held)?;
        let missing = message.as_ref().map(|message| self.missing_of(held, message)).transpose()?;
        let mut pin = None;
        let ruling = match (message, &missing, &held.account) {
            (Some(message), Some(missing), Some(account)) if missing.is_empty() && message.is_complete() => {
                let from = message.headers.as_ref().and_then(|headers| submit::from_address(headers).ok());
                let found = self.verify(&message.manifest, from.as_ref(), &message.seals, &held.origin).await;
                let told = self
                    .tell_seals(Some(account), &found.notes, found.authored.as_ref())
                    .map_err(|(_, text)| storage::Error::Io(text))?;
                pin = told.pin;
                Ruling::Deliver { account: account.clone(), seals: told.notes, message: None }
            }
            _ => Ruling::Accept { wanted: wanted(missing.as_deref()) },
        };
        let octets_missing = match (&ruling, &missing) {
            (Ruling::Deliver { .. }, _) => 0,
            (_, Some(missing)) => missing.iter().map(|(_, octets)| octets).sum(),
            (_, None) => held.octets,
        };
        let wanted = if let Ruling::Accept { wanted } = &ruling { Some(wanted.clone()) } else { None };
        let disposition = self.rule(held, ruling).await?;
        self.pin_all(pin.into_iter().collect()).await;
        Ok(Decided { disposition, octets_missing, wanted })
    }

    async fn refuse_held(&self, held: &HeldRecord, code: Code) -> Result<Decided, storage::Error> {
        let text = "the recipient does not want it".to_owned();
        let disposition = self.rule(held, Ruling::Refuse { code, text }).await?;
        Ok(Decided { disposition, octets_missing: 0, wanted: None })
    }

    /// The leaves that this sender has not brought yet, with their octets. What came from another domain does not count: its
    /// sender would see who else has the message. keeps: EXC-11
    fn missing_of(
        &self,
        held: &HeldRecord,
        message: &StoredMessage,
    ) -> Result<Vec<(usize, u64)>, storage::Error> {
        let here: BTreeSet<usize> = held.here.iter().flatten().copied().collect();
        let mut missing = Vec::new();
        for (number, part, digest) in message.manifest.leaves().filter(|(_, part, _)| part.octets > 0) {
            let extent = Extent { octets: part.octets, digest };
            let known =
                here.contains(&number) || self.store().known(&held.origin.holder(), extent)?.is_some();
            if !known || message.missing.contains(&number) {
                missing.push((number, part.octets));
            }
        }
        Ok(missing)
    }

    /// Carries a ruling out, and tells whom it concerns.
    async fn rule(&self, held: &HeldRecord, ruling: Ruling) -> Result<Disposition, storage::Error> {
        let into = match &ruling {
            Ruling::Deliver { account, .. } => Some(account.clone()),
            _ => None,
        };
        let decision =
            Decision { envelope: held.envelope, recipient: held.recipient, ruling, now_ms: self.now_ms() };
        let disposition = self.store().decide(decision).await?;
        if let Ok(Some(envelope)) = self.store().envelope(held.envelope)
            && let Some(one) = envelope.recipients.get(held.recipient as usize)
        {
            self.tell_settled(&held.origin.holder(), &one.told);
        }
        let (identity, recipient) = (held.identity, held.address.clone());
        if disposition == Disposition::Accepted {
            self.tell(Event::Delivered { identity, recipient: recipient.clone() });
            if let Some(account) = into {
                self.tell_mail(&account);
            }
        }
        let by = held.origin.holder();
        self.tell(Event::Settled { identity, recipient, disposition: disposition.clone(), by });
        Ok(disposition)
    }

    /// Makes the author of a held message a correspondent, or blocks it, before anything is decided: done twice it is the
    /// same.
    async fn remember_author(&self, held: &HeldRecord, choice: Choice) -> Result<(), Failure> {
        if !matches!(choice, Choice::Accept { trust: true } | Choice::Block) {
            return Ok(());
        }
        let unknown = || {
            (
                Code::INVALID_ARGUMENTS,
                "its author is not known: the headers of the message are not here".to_owned(),
            )
        };
        let message = self.held_message(held).map_err(trouble)?;
        let headers = message.and_then(|message| message.headers).ok_or_else(unknown)?;
        let author = submit::from_address(&headers).map_err(|_| unknown())?;
        let account = held.account.as_deref().ok_or_else(unknown)?;
        let (author, note) = (author.to_string(), "");
        match choice {
            Choice::Block => self.block(account, &author, note).await,
            _ => self.trust(account, &author, note).await,
        }
    }
}

/// What the sender is asked for: the leaves that are missing, where they are few enough for the answer to a poll.
fn wanted(missing: Option<&[(usize, u64)]>) -> Selection {
    match missing {
        Some(missing) if !missing.is_empty() && missing.len() <= WANTED_PARTS_MAX => {
            Selection::Parts(missing.iter().map(|(part, _)| (*part, 0)).collect())
        }
        _ => Selection::All,
    }
}

fn held_mail(record: HeldRecord, message: Option<&StoredMessage>) -> HeldMail {
    let message = message.filter(|_| record.here.is_some());
    let header = message.and_then(|message| message.headers.as_ref()).map(message::Headers::message);
    let field = |name: &str| header?.first(name).map(|field| field.value().trim().to_owned());
    let leaf = |manifest: &Manifest, part: usize| manifest.part(part).map_or(0, |part| part.octets);
    let octets_missing = message.map_or(record.octets, |message| {
        message.missing.iter().map(|part| leaf(&message.manifest, *part)).sum()
    });
    let author = message.and_then(|message| message.headers.as_ref()).and_then(submit::author);
    let (from, subject, date) = (field("From"), field("Subject"), field("Date"));
    HeldMail { record, octets_missing, from, author, subject, date }
}
