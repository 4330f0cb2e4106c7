//! Forwarding: aliases on the way in and in the queue, and grants as evidence (`spec/22-forwarding.md`).
//!
//! What it is: what the records of forwarding mean for the way of the data. What it is not: how forwarder and target
//! come to them, which is the gateway's.

use std::sync::Arc;

use bytes::Bytes;
use message::address::{Address, Domain};
use message::{Code, Disposition, Identity};
use storage::limits::{FORWARDS_PER_ALIAS_MAX, LIST_MAX};
use storage::{
    Claim, Effect, ForwardRecord, ForwardState, Forwarded, GrantRecord, GrantState, Intended, Lane,
    LegacyOrigin, Origin, Regard,
};

use crate::Node;
use crate::accept::{Admission, DEFER_SECONDS, Failure, trouble};
use crate::account::fold;
use crate::aliases::{Target, at_and_above};
use crate::commit::{Intent, Why};

/// Seconds after which what is put off for an alias may be offered again: people answer questions within hours.
pub(crate) const WAITING_SECONDS: u32 = 1_800;
/// The code where an address is forwarded no more (RFC 3463 section 3.2): reply 551 over SMTP.
pub const FORWARDED_NO_MORE: Code = Code::new(5, 1, 6);
/// The code where a target has not granted it yet.
pub(crate) const NOT_GRANTED_YET: Code = Code::new(4, 7, 1);

/// How this node forwards.
#[derive(Clone, Default)]
pub struct Forwarding {
    /// Whether what comes for an alias is put off while its target has not granted it; otherwise it waits in the queue.
    pub put_off: bool,
    /// Who sends reports of abuse to forwarders.
    pub complaints: Option<Arc<dyn Complaints>>,
}

/// A user does not want what a forwarder has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Under which grant it came.
    pub grant: GrantRecord,
    /// The header of the message, as far as it is here.
    pub header: Bytes,
    /// When it came, in Unix milliseconds.
    pub arrived_at_ms: u64,
}

/// Who sends reports of abuse.
pub trait Complaints: Send + Sync + 'static {
    /// Takes one, and returns at once. Nothing depends on whether it arrives.
    fn complain(&self, complaint: Complaint);
}

/// Under which return path a message of the old world goes on over SMTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Leaves {
    /// Under one of ours, by which we learn what became of it, and tell its sender ourselves.
    #[default]
    AsOurs,
    /// Under the one that it came with.
    AsItCame,
    /// Under one of ours that leads back to the one that it came with.
    LeadingBack,
}

/// What goes on beside a message of the old world, for one of its recipients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Onward {
    /// Its return path over SMTP.
    pub leaves: Leaves,
    /// NOTIFY, as it was said to the RCPT of this recipient (RFC 3461 section 4.1).
    pub notify: Option<u8>,
    /// ORCPT, as it was said: the type, a semicolon and the address (RFC 3461 section 4.2).
    pub original: Option<String>,
    /// The aliases of ours through which it is reached, the first one first.
    pub aliases: Vec<Address>,
}

impl Node {
    /// How this node forwards. It is said once, before anything comes.
    pub fn forward_so(&self, forwarding: Forwarding) {
        // One that is there already stays: settings do not change while a node runs.
        let _ = self.inner.forwarding.set(forwarding);
    }

    /// An alias leads to a target, in place of what was; what waits for it is tried now.
    ///
    /// # Errors
    /// A code and a text where the alias is not at a domain of ours, leads to itself, is an account's address, has too
    /// many targets, or the store fails.
    ///
    /// keeps: FWD-1, FWD-3, FWD-26
    pub async fn put_forward(&self, record: ForwardRecord) -> Result<(), Failure> {
        let wrong = |text: &str| Err((Code::INVALID_ARGUMENTS, text.to_owned()));
        if !self.settings().is_local(record.alias.domain()) {
            return wrong("the alias is not at a domain of this node");
        }
        if fold(&record.target) == record.alias {
            return wrong("the alias leads to itself");
        }
        if record.state != ForwardState::Deleted && self.leads_back(&record.alias, &record.target)? {
            return wrong("the alias leads back to itself, or through too many others");
        }
        let lane = Lane::new(&format!("exchange:{}", record.target.domain())).map_err(trouble)?;
        match self.store().put_forward(record).await {
            Err(storage::Error::Taken("address")) => wrong("an account has that address"),
            Err(storage::Error::Bound { what, bound }) => {
                Err((Code::INVALID_ARGUMENTS, format!("more than {bound} {what}")))
            }
            put => {
                put.map_err(trouble)?;
                self.wake(&lane).await
            }
        }
    }

    /// What waits in a lane for a grant is looked at now. What waits for the next hop waits on, for as long as that has said.
    /// keeps: EXC-18
    async fn wake(&self, lane: &Lane) -> Result<(), Failure> {
        for leg in self.store().legs(Some(lane), None, LIST_MAX).map_err(trouble)? {
            let attempts = self.store().attempts(leg.envelope).map_err(trouble)?;
            let last = attempts.iter().rfind(|one| one.lane == *lane);
            // A server may give the same code: then it has a name.
            if !last.is_some_and(|one| one.code == Some(NOT_GRANTED_YET) && one.host.is_empty()) {
                continue;
            }
            if let Err(error) = self.store().retry(leg.id, self.now_ms()).await {
                tracing::debug!(%error, %lane, "a leg could not be made due");
            }
        }
        self.inner.queue.ring();
        Ok(())
    }

    /// The form in which aliases and recipients stand in the records.
    pub fn folded(&self, address: &Address) -> Address {
        fold(address)
    }

    /// Whether this address is an account's here, or an alias.
    ///
    /// # Errors
    /// A code and a text where the store cannot be read.
    pub fn takes_mail_for(&self, address: &Address) -> Result<bool, Failure> {
        if !self.settings().is_local(address.domain()) {
            return Ok(false);
        }
        let folded = fold(address);
        let account = self.store().account_of_address(&folded.to_string()).map_err(trouble)?;
        Ok(match account {
            Some(account) => !account.disabled,
            None => {
                let live = |record: &ForwardRecord| record.state != ForwardState::Deleted;
                self.store().forwards_of(&folded).map_err(trouble)?.iter().any(live)
            }
        })
    }

    pub(crate) fn puts_off(&self) -> bool {
        self.inner.forwarding.get().is_some_and(|forwarding| forwarding.put_off)
    }

    /// Under which number a target has granted that this alias leads there.
    pub(crate) fn authorization(&self, alias: &Address, to: &Address) -> Result<Option<String>, Failure> {
        let record = self.store().forward(&fold(alias), to).map_err(trouble)?;
        let record = record.filter(|record| record.state == ForwardState::Granted);
        Ok(record.and_then(|record| record.authorization))
    }

    /// Whether a recipient of a claim may go on now: `Ok(None)` where it may, `Ok(Some(_))` what became of it instead,
    /// and why it waits as an error.
    ///
    /// keeps: FWD-4, FWD-7
    pub(crate) fn may_go_on(&self, claim: &Claim, place: u32) -> Result<Option<Disposition>, String> {
        let Some(forwarded) = forwarded(claim, place) else { return Ok(None) };
        let links = self.records_of(forwarded)?;
        let ended = |record: &Option<ForwardRecord>| {
            record.as_ref().is_none_or(|record| record.state == ForwardState::Deleted)
        };
        match links.last() {
            _ if links.iter().any(ended) => Ok(Some(no_more())),
            // An alias that leads to another one of ours needs no grant.
            Some(Some(ForwardRecord { state: ForwardState::Waiting, .. })) => {
                let (to, alias) = (forwarded.to.domain(), forwarded.last_alias());
                Err(format!("{to} has not granted that {alias} leads there"))
            }
            _ => Ok(None),
        }
    }

    /// The record of each alias on the way.
    fn records_of(&self, forwarded: &Forwarded) -> Result<Vec<Option<ForwardRecord>>, String> {
        let read = |(alias, to): (&Address, &Address)| self.store().forward(&fold(alias), to);
        forwarded.links().map(read).collect::<Result<_, _>>().map_err(|error| error.to_string())
    }

    /// Whether any alias on the way keeps from others where it leads. What cannot be read does.
    fn conceals(&self, forwarded: &Forwarded) -> bool {
        let open = |record: &Option<ForwardRecord>| record.as_ref().is_some_and(|record| !record.conceal);
        !self.records_of(forwarded).is_ok_and(|records| records.iter().all(open))
    }

    /// What the sender is told of what a target has answered. Where the target is concealed, or the record cannot be read,
    /// only the code is passed on. keeps: FWD-5
    pub(crate) fn passed_back(&self, claim: &Claim, place: u32, disposition: Disposition) -> Disposition {
        let Some(forwarded) = forwarded(claim, place) else { return disposition };
        match disposition {
            Disposition::Refused { code, .. } if self.conceals(forwarded) => {
                let text = format!("{} is forwarded, and it was refused there", forwarded.alias);
                Disposition::refused(code, &text)
            }
            disposition => disposition,
        }
    }

    /// What goes on beside a message for one of its recipients.
    pub(crate) fn onward(&self, claim: &Claim, place: u32) -> Onward {
        let aliases = forwarded(claim, place).map(|forwarded| {
            let through = forwarded.through.iter().cloned();
            std::iter::once(forwarded.alias.clone()).chain(through).collect()
        });
        let plain = Onward { aliases: aliases.unwrap_or_default(), ..Onward::default() };
        let Origin::Legacy(legacy) = &claim.envelope.origin else { return plain };
        let Some(one) = claim.envelope.recipients.get(place as usize) else { return plain };
        let leaves = match (&legacy.return_path, &one.forwarded) {
            (None, _) => Leaves::AsItCame,
            (Some(path), Some(forwarded)) => self.leaves(legacy, path, (&one.address, forwarded)),
            (Some(_), None) => Leaves::AsOurs,
        };
        let wish = legacy.passage.wish(&one.address);
        Onward {
            leaves,
            notify: wish.and_then(|wish| wish.notify),
            original: wish.and_then(|wish| wish.original.clone()),
            ..plain
        }
    }

    /// Somebody's return path is kept only where it may be, the target has granted it, and nobody is to be kept from knowing
    /// where it goes. One that leads back to it stands in its place where nothing can be granted: for a proved sender alone,
    /// since what comes back is sent on there, and for one target alone, since of a list nothing is told.
    ///
    /// keeps: FWD-9, FWD-24, FWD-37
    fn leaves(
        &self,
        legacy: &LegacyOrigin,
        path: &Address,
        (recipient, forwarded): (&Address, &Forwarded),
    ) -> Leaves {
        if !legacy.verified || self.conceals(forwarded) {
            return Leaves::AsOurs;
        }
        let last = self.store().forward(&fold(forwarded.last_alias()), &forwarded.to);
        match last {
            Ok(Some(record)) if record.state == ForwardState::Granted => {
                match record.keep_sender && legacy.passage.may_keep {
                    true => Leaves::AsItCame,
                    false => Leaves::AsOurs,
                }
            }
            Ok(Some(record)) if record.state == ForwardState::Rewriting => {
                let alone = fold(recipient) == fold(&forwarded.alias);
                match alone && !self.settings().is_local(path.domain()) {
                    true => Leaves::LeadingBack,
                    false => Leaves::AsOurs,
                }
            }
            _ => Leaves::AsOurs,
        }
    }

    /// Whether this recipient has granted that this peer forwards to it. keeps: FWD-18
    ///
    /// # Errors
    /// A code and a text where the store cannot be read.
    pub fn has_granted(&self, recipient: &Address, peer: &Domain) -> Result<bool, Failure> {
        Ok(self.granted_to(recipient, peer)?.is_some())
    }

    fn granted_to(&self, recipient: &Address, peer: &Domain) -> Result<Option<GrantRecord>, Failure> {
        let grant = self.store().grant(&fold(recipient), peer).map_err(trouble)?;
        Ok(grant.filter(|grant| grant.state == GrantState::Granted))
    }

    /// Whether this recipient has granted what comes over SMTP from a forwarder: the return path is proved to be of one, or the
    /// name in EHLO is, of a host that says that it forwards; and the author is somebody else's. What a forwarder's own users
    /// write is no forwarding. keeps: FWD-18, FWD-25
    pub(crate) fn is_granted_over_smtp(
        &self,
        origin: &Origin,
        recipient: &Address,
        author: Option<&Address>,
    ) -> Result<bool, Failure> {
        Ok(self.grant_over_smtp(origin, recipient, author)?.is_some())
    }

    fn grant_over_smtp(
        &self,
        origin: &Origin,
        recipient: &Address,
        author: Option<&Address>,
    ) -> Result<Option<GrantRecord>, Failure> {
        let (Origin::Legacy(legacy), Some(author)) = (origin, author) else { return Ok(None) };
        let path = legacy.return_path.as_ref();
        let proved = path.filter(|_| legacy.verified).map(|path| path.domain().clone());
        let hosts = legacy.passage.forwarder.iter().flat_map(at_and_above);
        let hosts = hosts.filter(|domain| path.is_none_or(|path| path.domain() != domain));
        for domain in proved.into_iter().chain(hosts).filter(|domain| domain != author.domain()) {
            if let Some(grant) = self.granted_to(recipient, &domain)? {
                return Ok(Some(grant));
            }
        }
        Ok(None)
    }

    /// What a forwarder is told, where that was agreed, of what its recipient does not want: the peer, or over SMTP whoever was
    /// known there by what a grant is looked up by. keeps: FWD-22
    pub(crate) fn complaint_about(&self, unwanted: &Unwanted<'_>) -> Result<Option<Complaint>, Failure> {
        let message = match unwanted.is_here {
            true => self.store().message(unwanted.identity).map_err(trouble)?,
            false => None,
        };
        let headers = message.and_then(|message| message.headers);
        let grant = match unwanted.origin {
            Origin::Peer { domain } => self.granted_to(unwanted.recipient, domain)?,
            origin => {
                let author = headers.as_ref().and_then(crate::author);
                self.grant_over_smtp(origin, unwanted.recipient, author.as_ref())?
            }
        };
        let agreed = |grant: &GrantRecord| grant.complain && grant.complaints_to.is_some();
        let header = headers.map_or_else(Bytes::new, |headers| headers.message().octets().clone());
        let arrived_at_ms = unwanted.arrived_at_ms;
        Ok(grant.filter(agreed).map(|grant| Complaint { grant, header, arrived_at_ms }))
    }

    /// Sends what is said of something unwanted, where there is somebody who does.
    pub(crate) fn complain(&self, complaint: Option<Complaint>) {
        let forwarding = self.inner.forwarding.get();
        if let (Some(complaint), Some(complaints)) =
            (complaint, forwarding.and_then(|forwarding| forwarding.complaints.as_ref()))
        {
            complaints.complain(complaint);
        }
    }
}

/// What a recipient does not want.
pub(crate) struct Unwanted<'a> {
    pub(crate) origin: &'a Origin,
    pub(crate) recipient: &'a Address,
    pub(crate) identity: Identity,
    /// Whether the message is here, at least its header.
    pub(crate) is_here: bool,
    pub(crate) arrived_at_ms: u64,
}

impl Admission {
    /// Puts off the lists that do not fit into an envelope with the other recipients: offered again without those they do.
    pub(crate) fn put_off_lists(&mut self) {
        let mut recipients = self.intents.iter().filter(|intent| intent.needs_content()).count();
        for intent in &mut self.intents {
            let Intent::List { members } = intent else { continue };
            recipients += members.len();
            if recipients > message::limits::RECIPIENTS_MAX {
                recipients -= members.len();
                let code = Code { class: 4, ..Code::TOO_MANY_RECIPIENTS };
                let disposition = Disposition::Deferred { code, after_seconds: DEFER_SECONDS };
                *intent = Intent::Answered(disposition, Why::new("list", "too many recipients at once"));
            }
        }
    }

    /// Leaves out of lists whoever here has blocked the author. Nobody is told. keeps: FWD-42
    pub(crate) fn leave_out_who_blocks(&mut self) -> Result<(), Failure> {
        let Some(author) = self.headers.as_ref().and_then(crate::author) else { return Ok(()) };
        for intent in &mut self.intents {
            let Intent::List { members } = intent else { continue };
            for member in std::mem::take(members) {
                let regard = match &member {
                    Target::Here { account, .. } => self.node.correspondent(account, &author)?,
                    Target::Away { .. } => None,
                };
                if !regard.is_some_and(|known| known.regard == Regard::Blocked) {
                    members.push(member);
                }
            }
        }
        Ok(())
    }

    /// Everybody to whom lists among the recipients lead, each once, and nobody who is a recipient too. The node answers for those
    /// itself: it has no cookie for them to give.
    ///
    /// keeps: FWD-6
    pub(crate) fn members(&self, recipients: &[Intended]) -> Result<Vec<Intended>, Failure> {
        let mut members: Vec<Intended> = Vec::new();
        for (place, intent) in self.intents.iter().enumerate() {
            let Intent::List { members: leads_to } = intent else { continue };
            let alias = &self.envelope.recipients[place];
            for member in leads_to {
                let (address, effect) = match member {
                    Target::Here { account, address } => {
                        let seals = self.told(Some(account))?.notes;
                        (address, Effect::Mailbox { account: account.clone(), seals })
                    }
                    Target::Away { through, to } => {
                        let lane = Lane::new(&format!("exchange:{}", to.domain())).map_err(trouble)?;
                        let (alias, through) = (alias.clone(), through.clone());
                        let forwarded = Forwarded { alias, through, to: to.clone() };
                        (to, Effect::Forward { lane, forwarded })
                    }
                };
                if recipients.iter().chain(&members).any(|known| known.address == *address) {
                    continue;
                }
                let answer = Disposition::Accepted;
                members.push(Intended { address: address.clone(), effect, answer, why: self.why(place) });
            }
        }
        Ok(members)
    }

    /// What the seal of a forwarder says: recipient and authorization where it forwards to one address under a grant.
    /// Who is on a list is told nobody.
    ///
    /// keeps: FWD-19
    pub(crate) fn forwarded_alone(&self) -> Result<(Option<String>, Option<String>), Failure> {
        let going: Vec<usize> =
            (0..self.intents.len()).filter(|place| self.intents[*place].needs_content()).collect();
        let [place] = going[..] else { return Ok((None, None)) };
        let Intent::Forward { through, to } = &self.intents[place] else { return Ok((None, None)) };
        let alias = through.last().unwrap_or(&self.envelope.recipients[place]);
        let authorization = self.node.authorization(alias, to)?;
        Ok(authorization.map_or((None, None), |number| (Some(to.to_string()), Some(number))))
    }
}

fn forwarded(claim: &Claim, place: u32) -> Option<&Forwarded> {
    claim.envelope.recipients.get(place as usize)?.forwarded.as_ref()
}

pub(crate) fn no_more() -> Disposition {
    Disposition::refused(FORWARDED_NO_MORE, "this address is not forwarded any more")
}

const _: () =
    assert!(FORWARDS_PER_ALIAS_MAX < message::limits::RECIPIENTS_MAX, "a list fits into an envelope");
