//! Commit: one durable transaction for all recipients, then the answer.

use std::collections::BTreeSet;

use bytes::Bytes;
use message::address::Address;
use message::{Code, Disposition, Headers, Hop, Identity, Manifest, Role, Seal, Selection};
use storage::{
    Acceptance, Again, Content, Effect, EnvelopeId, Forwarded, Intended, Lane, NewMessage, Origin, Pend,
    Stage,
};

use crate::accept::{Admission, Failure, deferred, trouble};
use crate::aliases::Target;
use crate::decide::crowded_out;
use crate::here::LOCAL_LANE;
use crate::limits::{RELEASE_SECONDS_MAX, SEALED_OCTETS_MAX};
use crate::memory::Deed;
use crate::{Event, Node};

/// The rule of a recipient about whom this offer was answered before.
const ANSWERED_BEFORE: &str = "answered-before";

/// By which rule something was decided, and on what evidence. Peers are not told the evidence. keeps: POL-8, POL-9
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Why {
    pub(crate) rule: String,
    pub(crate) evidence: String,
}

impl Why {
    pub(crate) fn new(rule: &str, evidence: impl Into<String>) -> Why {
        Why { rule: rule.to_owned(), evidence: evidence.into() }
    }

    /// The offer was answered before, and the answer stands.
    pub(crate) fn before() -> Why {
        Why::new(ANSWERED_BEFORE, "what was answered to the same offer before stands")
    }

    pub(crate) fn is_before(&self) -> bool {
        self.rule == ANSWERED_BEFORE
    }
}

/// For people.
impl std::fmt::Display for Why {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "rule {}: {}", self.rule, self.evidence)
    }
}

/// What is to become of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Intent {
    /// It is answered already, for this reason.
    Answered(Disposition, Why),
    /// Into the mailbox of this account.
    Mailbox { account: String },
    /// Held for this account with this content, for this reason.
    Held { account: String, keep: Selection, why: Why },
    /// Judged anew when it is offered again after so many seconds, for this reason.
    Later { account: Option<String>, after_seconds: u32, why: Why },
    /// On to another node.
    Route,
    /// On to the address to which the recipient, an alias, is forwarded.
    Forward {
        /// Further aliases of ours on the way.
        through: Vec<Address>,
        /// Where it goes.
        to: Address,
    },
    /// On to everybody to whom the recipient, an alias, leads.
    List { members: Vec<Target> },
    /// Into a mailbox here, but only once the time for undoing it has passed.
    RouteHere,
}

impl Intent {
    pub(crate) fn answered(&self) -> Option<(Disposition, &Why)> {
        match self {
            Intent::Answered(disposition, why) => Some((disposition.clone(), why)),
            _ => None,
        }
    }

    pub(crate) fn needs_content(&self) -> bool {
        !matches!(self, Intent::Answered(..))
    }

    /// Whether it leaves this node, under our seal as a forwarder.
    fn goes_on(&self) -> bool {
        matches!(self, Intent::Route | Intent::Forward { .. } | Intent::List { .. })
    }
}

/// What an admission has become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// One disposition for each recipient, in the order of the offer. Everything in it is durable.
    pub answers: Vec<Disposition>,
    /// In submission: the message as it was sealed.
    pub sealed: Option<Sealed>,
}

/// A message as this node has sealed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Its identity now.
    pub identity: Identity,
    /// The header block of the message.
    pub header: Bytes,
    /// Its seals.
    pub seals: Vec<Bytes>,
}

impl Admission {
    /// Makes everything durable in one transaction and says what became of each recipient.
    ///
    /// keeps: EXC-15, EXC-16, SUB-9, SUB-10, SUB-11
    ///
    /// # Errors
    /// A code and a text where the message cannot be taken at all.
    pub async fn commit(mut self) -> Result<Committed, Failure> {
        self.leave_out_who_blocks()?;
        self.put_off_lists();
        self.refuse_what_has_no_room_for_our_seal();
        let (Some(manifest), Some(headers)) = (self.manifest.take(), self.headers.take()) else {
            return self.commit_unseen().await;
        };
        let submitted = matches!(self.origin, Origin::Submission { .. });
        if !self.needs_record() {
            let unsealed = Sealed { identity: manifest.identity(), header: Bytes::new(), seals: Vec::new() };
            return Ok(Committed { answers: self.answers(), sealed: submitted.then_some(unsealed) });
        }
        let (manifest, headers, seals) = self.ready(manifest, headers)?;
        let identity = manifest.identity();
        let mut sealed = submitted.then(|| Sealed { identity, header: Bytes::new(), seals: Vec::new() });
        if self.offered.sign_only {
            let octets = headers.message().octets().len()
                + seals.iter().map(|seal| seal.octets().len()).sum::<usize>();
            if octets > SEALED_OCTETS_MAX {
                return Err((
                    Code::MESSAGE_TOO_LARGE,
                    "header and seals are too large to be given back".to_owned(),
                ));
            }
            sealed = Some(Sealed {
                identity,
                header: headers.message().octets().clone(),
                seals: seals.iter().map(|seal| seal.octets().clone()).collect(),
            });
            let answers = vec![Disposition::Withdrawn; self.intents.len()];
            return Ok(Committed { answers, sealed });
        }
        let octets = manifest.message_octets();
        // Nobody judges or reads what is pending for its time alone: nothing of it is kept. keeps: STA-17
        if self.intents.iter().all(|intent| matches!(intent, Intent::Answered(..) | Intent::Later { .. })) {
            let (answers, _) = self.store(identity, octets, Content::Offered { identity }).await?;
            return Ok(Committed { answers, sealed: None });
        }
        let parts = std::mem::take(&mut self.parts).into_iter().collect();
        let message = NewMessage { manifest, headers: Some(headers), seals, parts };
        let (answers, envelope) = self.store(identity, octets, Content::New(message)).await?;
        let sealed = sealed.map(|sealed| self.as_kept(sealed, envelope)).transpose()?;
        Ok(Committed { answers, sealed })
    }

    /// Refuses those to whom a message would go on that has no room for our seal: without it the next node would refuse what we
    /// bring. The others are served. keeps: EXC-16
    fn refuse_what_has_no_room_for_our_seal(&mut self) {
        if matches!(self.origin, Origin::Submission { .. }) || self.seals.len() < message::limits::SEALS_MAX {
            return;
        }
        let text = "no room for the seal of this node as a forwarder";
        for place in 0..self.intents.len() {
            if self.intents[place].goes_on() {
                let why = Why::new("seals-full", format!("it has {} seals", self.seals.len()));
                self.intents[place] = Intent::Answered(Disposition::refused(Code::NOT_AUTHORIZED, text), why);
                self.tell_answered(place);
            }
        }
    }

    /// Whether anything is to be written: what is to be done for somebody, or how what was pending is settled.
    fn needs_record(&self) -> bool {
        self.intents.iter().any(Intent::needs_content) || self.again.iter().any(Option::is_some)
    }

    /// Nothing but the envelope is needed for what was decided.
    async fn commit_unseen(self) -> Result<Committed, Failure> {
        if self.intents.iter().any(|intent| {
            !matches!(intent, Intent::Answered(..) | Intent::Held { .. } | Intent::Later { .. })
        }) {
            return Err((Code::INVALID_COMMAND, "the message is not here".to_owned()));
        }
        if !self.needs_record() {
            return Ok(Committed { answers: self.answers(), sealed: None });
        }
        let (identity, octets) = (self.identity(), self.envelope.octets);
        let (answers, _) = self.store(identity, octets, Content::Offered { identity }).await?;
        Ok(Committed { answers, sealed: None })
    }

    /// The message as it is kept: a submission is completed and sealed, a relayed one gets the relay's seal.
    fn ready(&self, manifest: Manifest, headers: Headers) -> Result<(Manifest, Headers, Vec<Seal>), Failure> {
        match &self.origin {
            Origin::Submission { account } => {
                let ready = self.node.prepare(account, &manifest, &headers, &self.seals)?;
                Ok((ready.manifest, ready.headers, ready.seals))
            }
            Origin::Peer { .. } | Origin::Legacy(_) => {
                let mut seals = self.seals.clone();
                if self.intents.iter().any(Intent::goes_on) {
                    let (ours, forwarded) = (&self.node.settings().domain, self.forwarded_alone()?);
                    seals.push(self.node.seal(&manifest, ours, Role::Forwarder, |claims| {
                        (claims.recipient, claims.authorization) = forwarded;
                    })?);
                }
                Ok((manifest, headers, seals))
            }
        }
    }

    async fn store(
        &self,
        identity: Identity,
        octets: u64,
        content: Content,
    ) -> Result<(Vec<Disposition>, Option<EnvelopeId>), Failure> {
        let (node, now_ms) = (&self.node, self.node.now_ms());
        let settings = node.settings();
        let again = self.again_of(now_ms)?;
        let wanted: Vec<usize> = (0..self.intents.len())
            .filter(|place| self.again[*place].is_none() && self.is_kept(*place))
            .collect();
        let recipients = wanted
            .iter()
            .map(|place| self.intended(*place, now_ms))
            .collect::<Result<Vec<Intended>, Failure>>()?;
        if recipients.is_empty() && again.is_empty() {
            return Ok((self.answers(), None));
        }
        let members = self.members(&recipients)?;
        let mailboxes = self.mailboxes(recipients.iter().chain(&members));
        let mut answers = self.answers();
        let mut trace = self.envelope.trace.clone();
        // keeps: EXC-20
        trace.push(Hop { by: settings.domain.clone(), at: now_ms / 1000 });
        // keeps: SUB-12
        let release_ms = self.release_ms();
        let acceptance = Acceptance {
            content,
            offered_as: self.known_as,
            octets,
            origin: self.origin.clone(),
            trace,
            now_ms,
            expires_at_ms: now_ms.saturating_add(release_ms).saturating_add(settings.queue_ms),
            release_at_ms: (release_ms > 0).then(|| now_ms.saturating_add(release_ms)),
            recipients,
            members,
            room: Some(self.room()),
            again: again.iter().map(|(_, one)| one.clone()).collect(),
        };
        let pins = self.pins()?;
        let receipt = match node.store().accept(acceptance).await {
            Ok(receipt) => receipt,
            Err(storage::Error::Full) => {
                // Who is answered already stays so. keeps: EXC-12, EXC-16
                let open = wanted.into_iter().filter(|place| self.intents[*place].needs_content());
                for place in open.chain(again.iter().map(|(place, _)| *place)) {
                    answers[place] = deferred(Code::SYSTEM_FULL);
                }
                return Ok((answers, None));
            }
            Err(storage::Error::Crowded(crowded)) => {
                for (place, answer) in wanted.into_iter().zip(crowded) {
                    self.tell_decided(identity, place, &answer);
                    answers[place] = answer;
                }
                return Ok((answers, None));
            }
            Err(error) => return Err(trouble(error)),
        };
        mailboxes.iter().for_each(|account| node.tell_mail(account));
        node.pin_all(pins).await;
        node.tell(Event::Committed { identity, envelope: receipt.envelope.0 });
        for (place, answer) in wanted.iter().zip(receipt.answers) {
            self.tell_decided(identity, *place, &answer);
            answers[*place] = answer;
        }
        for ((place, _), answer) in again.iter().zip(receipt.again) {
            self.tell_decided(identity, *place, &answer);
            answers[*place] = answer;
        }
        if !receipt.lanes.is_empty() {
            node.inner.queue.ring();
        }
        if let Origin::Peer { domain } = &self.origin {
            node.heard_from(domain).await;
        }
        Ok((answers, Some(receipt.envelope)))
    }

    /// The accounts into whose mailboxes it goes: of recipients, of members of lists, and of those who were pending until now.
    fn mailboxes<'a>(&self, intended: impl Iterator<Item = &'a Intended>) -> BTreeSet<String> {
        let now = intended.filter_map(|intended| match &intended.effect {
            Effect::Mailbox { account, .. } => Some(account.clone()),
            _ => None,
        });
        let before = self.intents.iter().filter_map(|intent| match intent {
            Intent::Mailbox { account } => Some(account.clone()),
            _ => None,
        });
        now.chain(before).collect()
    }

    /// What is answered so far; who is not answered yet counts as accepted.
    fn answers(&self) -> Vec<Disposition> {
        let answered = |intent: &Intent| intent.answered().map(|(disposition, _)| disposition);
        self.intents.iter().map(|intent| answered(intent).unwrap_or(Disposition::Accepted)).collect()
    }

    /// What the user is told about the message: where the same submission has come twice at once, the other one was
    /// kept, under the identity that it was given.
    fn as_kept(&self, sealed: Sealed, envelope: Option<EnvelopeId>) -> Result<Sealed, Failure> {
        let kept = envelope
            .map(|envelope| self.node.store().envelope(envelope))
            .transpose()
            .map_err(trouble)?
            .flatten();
        match kept {
            Some(kept) if kept.identity != sealed.identity => {
                Ok(Sealed { identity: kept.identity, header: Bytes::new(), seals: Vec::new() })
            }
            _ => Ok(sealed),
        }
    }

    /// Whether this recipient becomes part of the record: with those for whom something is to be done, the refused ones
    /// of a submission, so that its user finds everybody in its status.
    fn is_kept(&self, place: usize) -> bool {
        let submitted = matches!(self.origin, Origin::Submission { .. });
        match &self.intents[place] {
            Intent::Answered(Disposition::Refused { .. }, why) => submitted && !why.is_before(),
            intent => intent.needs_content(),
        }
    }

    fn tell_decided(&self, identity: Identity, place: usize, answer: &Disposition) {
        let late = *answer == Disposition::Expired;
        let crowded = crowded_out(answer);
        let recipient = self.envelope.recipients[place].clone();
        let why = match (&self.intents[place], crowded.clone()) {
            // That was told when it was decided.
            (Intent::Answered(..), _) => return,
            (_, Some(why)) => why,
            _ if late => Why::new("until", "it came when its time was over"),
            (Intent::Held { why, .. } | Intent::Later { why, .. }, _) => why.clone(),
            (Intent::Mailbox { .. }, _) => self.decided[place].clone().unwrap_or(Why::new("mailbox", "")),
            _ => self.decided[place].clone().unwrap_or(Why::new("queue", "")),
        };
        match &self.intents[place] {
            _ if late || crowded.is_some() => {}
            Intent::Mailbox { .. } => self.node.note_deed(&self.origin, Deed::Accepted),
            Intent::Held { .. } => self.node.note_deed(&self.origin, Deed::Held),
            _ => {}
        }
        self.node.tell(Event::Decided {
            identity,
            recipient: recipient.clone(),
            disposition: answer.clone(),
            rule: why.rule,
            evidence: why.evidence,
        });
        if matches!(self.intents[place], Intent::Mailbox { .. }) && !late {
            self.node.tell(Event::Delivered { identity, recipient });
        }
    }

    /// What the store is told about those that were pending and are judged anew. Who is put off stays as it is.
    fn again_of(&self, now_ms: u64) -> Result<Vec<(usize, Again)>, Failure> {
        let mut all = Vec::new();
        for (place, held) in self.again.iter().enumerate() {
            let Some(held) = held else { continue };
            let effect = match &self.intents[place] {
                Intent::Held { .. } | Intent::Later { .. } => self.pend(place, now_ms)?,
                Intent::Answered(Disposition::Deferred { .. }, _) => continue,
                _ => self.intended(place, now_ms)?.effect,
            };
            all.push((
                place,
                Again { envelope: held.envelope, recipient: held.recipient, effect, why: self.why(place) },
            ));
        }
        Ok(all)
    }

    /// By which rule and on what evidence it was decided about a recipient, for the record. keeps: POL-8
    pub(crate) fn why(&self, place: usize) -> Option<String> {
        let why = match &self.intents[place] {
            Intent::Answered(_, why) | Intent::Held { why, .. } | Intent::Later { why, .. } => Some(why),
            _ => self.decided[place].as_ref(),
        };
        why.map(Why::to_string)
    }

    /// For how long the message can be taken back, in milliseconds.
    fn release_ms(&self) -> u64 {
        self.offered.release_after_seconds.min(RELEASE_SECONDS_MAX).saturating_mul(1000)
    }

    /// How a recipient is pending.
    fn pend(&self, place: usize, now_ms: u64) -> Result<Effect, Failure> {
        Ok(Effect::Pend(match &self.intents[place] {
            Intent::Held { account, why, .. } => Pend {
                account: Some(account.clone()),
                stage: Stage::Undecided,
                wanted: None,
                reason: why.to_string(),
                seals: self.told(Some(account))?.notes,
            },
            Intent::Later { account, after_seconds, why } => Pend {
                account: account.clone(),
                stage: Stage::Later { at_ms: now_ms.saturating_add(u64::from(*after_seconds) * 1_000) },
                wanted: Some(Selection::Headers),
                reason: why.to_string(),
                seals: self.told(account.as_deref())?.notes,
            },
            _ => return Err((Code::SYSTEM_TROUBLE, "it is not pending".to_owned())),
        }))
    }

    /// What the store is told about one recipient.
    fn intended(&self, place: usize, now_ms: u64) -> Result<Intended, Failure> {
        let (node, address) = (&self.node, self.envelope.recipients[place].clone());
        let pending = |for_ms: u64| node.pending(now_ms.saturating_add(for_ms));
        // What is kept back first has its whole time afterwards. keeps: STA-4
        let queued = || pending(self.release_ms().saturating_add(node.settings().queue_ms));
        let (effect, answer) = match &self.intents[place] {
            Intent::Mailbox { account } => (
                Effect::Mailbox { account: account.clone(), seals: self.told(Some(account))?.notes },
                Disposition::Accepted,
            ),
            Intent::Held { .. } => (self.pend(place, now_ms)?, pending(node.settings().hold_ms)),
            Intent::Later { after_seconds, .. } => {
                let until_ms = u64::from(*after_seconds) * 1_000 + node.settings().hold_ms;
                let mut answer = pending(until_ms);
                if let Disposition::Pending { min_seconds, max_seconds, .. } = &mut answer {
                    *min_seconds = *after_seconds;
                    *max_seconds = (*max_seconds).max(*after_seconds);
                }
                (self.pend(place, now_ms)?, answer)
            }
            Intent::RouteHere => {
                let lane = Lane::new(LOCAL_LANE).map_err(trouble)?;
                (Effect::Queue { lane }, queued())
            }
            Intent::Route => {
                let lane = Lane::new(&format!("exchange:{}", address.domain())).map_err(trouble)?;
                (Effect::Queue { lane }, queued())
            }
            Intent::Forward { through, to } => {
                let lane = Lane::new(&format!("exchange:{}", to.domain())).map_err(trouble)?;
                let (alias, through) = (address.clone(), through.clone());
                let forwarded = Forwarded { alias, through, to: to.clone() };
                (Effect::Forward { lane, forwarded }, queued())
            }
            Intent::List { .. } => (Effect::Elsewhere, Disposition::Accepted),
            Intent::Answered(Disposition::Refused { code, text }, _) => {
                let effect = Effect::Refuse { code: *code, text: text.clone() };
                (effect, Disposition::refused(*code, text))
            }
            Intent::Answered(..) => return Err((Code::SYSTEM_TROUBLE, "answered before".to_owned())),
        };
        Ok(Intended { address, effect, answer, why: self.why(place) })
    }
}

impl Node {
    /// A fresh cookie with the bounds that this node asks for.
    fn pending(&self, until_ms: u64) -> Disposition {
        Disposition::Pending {
            cookie: self.fresh_cookie(),
            min_seconds: self.settings().poll_min_seconds,
            max_seconds: self.settings().poll_max_seconds,
            until: until_ms / 1000,
        }
    }
}
