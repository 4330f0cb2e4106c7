//! Forwarding: aliases on the way in and in the queue, and grants as evidence (`spec/22-forwarding.md`).
//!
//! What it is: what the records of forwarding mean for the way of the data. What it is not: how forwarder and target
//! come to them, which is the gateway's.

use std::sync::Arc;

use bytes::Bytes;
use message::address::{Address, Domain};
use message::{Code, Disposition};
use storage::limits::{FORWARDS_PER_ALIAS_MAX, LIST_MAX};
use storage::{
    Claim, Effect, ForwardRecord, ForwardState, Forwarded, GrantRecord, GrantState, HeldRecord, Intended,
    Lane, Origin,
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

/// What goes on beside a message of the old world, for one of its recipients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Onward {
    /// Whether it goes on over SMTP under the return path that it came with; otherwise under one of ours.
    pub keeps_sender: bool,
    /// NOTIFY, as it was said to the RCPT of this recipient (RFC 3461 section 4.1).
    pub notify: Option<u8>,
    /// ORCPT, as it was said: the type, a semicolon and the address (RFC 3461 section 4.2).
    pub original: Option<String>,
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

    /// What waits in a lane is looked at now.
    async fn wake(&self, lane: &Lane) -> Result<(), Failure> {
        for leg in self.store().legs(Some(lane), None, LIST_MAX).map_err(trouble)? {
            // What waits for an answer of the next hop is not hastened by the store.
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

    /// What goes on beside a message for one of its recipients. What nobody has sent is kept as it is; somebody's return path
    /// only where it may be, the target has granted it, and nobody is to be kept from knowing where it goes.
    ///
    /// keeps: FWD-9, FWD-24
    pub(crate) fn onward(&self, claim: &Claim, place: u32) -> Onward {
        let Origin::Legacy(legacy) = &claim.envelope.origin else { return Onward::default() };
        let Some(one) = claim.envelope.recipients.get(place as usize) else { return Onward::default() };
        let keeps = |forwarded: &Forwarded| {
            let last = self.store().forward(&fold(forwarded.last_alias()), &forwarded.to);
            let granted = matches!(
                last,
                Ok(Some(ForwardRecord { state: ForwardState::Granted, keep_sender: true, .. }))
            );
            granted && legacy.verified && legacy.passage.may_keep && !self.conceals(forwarded)
        };
        let keeps_sender = match (&legacy.return_path, &one.forwarded) {
            (None, _) => true,
            (Some(_), Some(forwarded)) => keeps(forwarded),
            (Some(_), None) => false,
        };
        let wish = legacy.passage.wish(&one.address);
        Onward {
            keeps_sender,
            notify: wish.and_then(|wish| wish.notify),
            original: wish.and_then(|wish| wish.original.clone()),
        }
    }

    /// Whether this recipient has granted that this peer forwards to it. keeps: FWD-18
    ///
    /// # Errors
    /// A code and a text where the store cannot be read.
    pub fn has_granted(&self, recipient: &Address, peer: &Domain) -> Result<bool, Failure> {
        let grant = self.store().grant(&fold(recipient), peer).map_err(trouble)?;
        Ok(grant.is_some_and(|grant| grant.state == GrantState::Granted))
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
        let (Origin::Legacy(legacy), Some(author)) = (origin, author) else { return Ok(false) };
        if let Some(path) = legacy.return_path.as_ref().filter(|_| legacy.verified)
            && author.domain() != path.domain()
            && self.has_granted(recipient, path.domain())?
        {
            return Ok(true);
        }
        for domain in legacy.passage.forwarder.iter().flat_map(at_and_above) {
            let own = legacy.return_path.as_ref().is_some_and(|path| path.domain() == &domain);
            if !own && *author.domain() != domain && self.has_granted(recipient, &domain)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tells the forwarder, where that was agreed, that the recipient does not want what it has brought. keeps: FWD-22
    pub(crate) fn complain_of(&self, held: &HeldRecord) -> Result<(), Failure> {
        let (Origin::Peer { domain }, Some(complaints)) =
            (&held.origin, self.inner.forwarding.get().and_then(|forwarding| forwarding.complaints.as_ref()))
        else {
            return Ok(());
        };
        let grant = self.store().grant(&fold(&held.address), domain).map_err(trouble)?;
        let agreed = |grant: &GrantRecord| {
            grant.state == GrantState::Granted && grant.complain && grant.complaints_to.is_some()
        };
        let Some(grant) = grant.filter(agreed) else { return Ok(()) };
        let message = self.held_message(held).map_err(trouble)?;
        let header = message.and_then(|message| message.headers);
        let header = header.map_or_else(Bytes::new, |headers| headers.message().octets().clone());
        complaints.complain(Complaint { grant, header, arrived_at_ms: held.since_ms });
        Ok(())
    }
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

    /// The recipients with everybody to whom lists among them lead, each once. The node answers for those itself: it has
    /// no cookie for them to give.
    ///
    /// keeps: FWD-6
    pub(crate) fn with_members(&self, mut recipients: Vec<Intended>) -> Result<Vec<Intended>, Failure> {
        for (place, intent) in self.intents.iter().enumerate() {
            let Intent::List { members } = intent else { continue };
            let alias = &self.envelope.recipients[place];
            for member in members {
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
                if recipients.iter().any(|known| known.address == *address) {
                    continue;
                }
                let answer = Disposition::Accepted;
                recipients.push(Intended { address: address.clone(), effect, answer, why: self.why(place) });
            }
        }
        Ok(recipients)
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
