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
use crate::commit::{Intent, Why};

/// Seconds after which what is put off for an alias may be offered again: people answer questions within hours.
const WAITING_SECONDS: u32 = 1_800;
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

/// One target of an alias on the way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Another node, or an address of this one that is an alias too.
    Away(Address),
    /// An account here. keeps: FWD-8
    Here { account: String, address: Address },
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
    /// keeps: FWD-1, FWD-3
    pub async fn put_forward(&self, record: ForwardRecord) -> Result<(), Failure> {
        let wrong = |text: &str| Err((Code::INVALID_ARGUMENTS, text.to_owned()));
        if !self.settings().is_local(record.alias.domain()) {
            return wrong("the alias is not at a domain of this node");
        }
        if fold(&record.target) == record.alias {
            return wrong("the alias leads to itself");
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

    /// What the envelope alone says about an address that no account has: `None` where it is no alias.
    ///
    /// keeps: FWD-4, FWD-6, FWD-7
    pub(crate) fn forward_at_sight(&self, recipient: &Address) -> Result<Option<Intent>, Failure> {
        let all = self.store().forwards_of(&fold(recipient)).map_err(trouble)?;
        let live: Vec<&ForwardRecord> =
            all.iter().filter(|record| record.state != ForwardState::Deleted).collect();
        let target = |record: &ForwardRecord| self.target(&record.target);
        Ok(Some(match (all.as_slice(), live.as_slice()) {
            ([], _) => return Ok(None),
            (_, []) => Intent::Answered(
                no_more(),
                Why::new("forwarded-no-more", format!("{recipient} was an alias")),
            ),
            ([_], [one]) => match target(one)? {
                Target::Here { account, .. } => Intent::Mailbox { account },
                Target::Away(_) if one.state == ForwardState::Waiting && self.puts_off() => {
                    let disposition =
                        Disposition::Deferred { code: NOT_GRANTED_YET, after_seconds: WAITING_SECONDS };
                    Intent::Answered(
                        disposition,
                        Why::new("forward-waiting", format!("{} has not granted it", one.target.domain())),
                    )
                }
                Target::Away(to) => Intent::Forward { to },
            },
            _ => Intent::List { members: live.into_iter().map(target).collect::<Result<_, _>>()? },
        }))
    }

    fn target(&self, target: &Address) -> Result<Target, Failure> {
        let account = match self.settings().is_local(target.domain()) {
            true => self.store().account_of_address(&fold(target).to_string()).map_err(trouble)?,
            false => None,
        };
        Ok(match account {
            Some(account) if !account.disabled => {
                Target::Here { account: account.name, address: target.clone() }
            }
            _ => Target::Away(target.clone()),
        })
    }

    fn puts_off(&self) -> bool {
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
        match self.record_of(forwarded)? {
            Some(ForwardRecord { state: ForwardState::Granted | ForwardState::Rewriting, .. }) => Ok(None),
            Some(ForwardRecord { state: ForwardState::Waiting, .. }) => {
                Err(format!("{} has not granted that {} leads there", forwarded.to.domain(), forwarded.alias))
            }
            _ => Ok(Some(no_more())),
        }
    }

    fn record_of(&self, forwarded: &Forwarded) -> Result<Option<ForwardRecord>, String> {
        self.store().forward(&fold(&forwarded.alias), &forwarded.to).map_err(|error| error.to_string())
    }

    /// What the sender is told of what a target has answered. Where the target is concealed, or the record cannot be read,
    /// only the code is passed on. keeps: FWD-5
    pub(crate) fn passed_back(&self, claim: &Claim, place: u32, disposition: Disposition) -> Disposition {
        let Some(forwarded) = forwarded(claim, place) else { return disposition };
        let conceal = !matches!(self.record_of(forwarded), Ok(Some(ForwardRecord { conceal: false, .. })));
        match disposition {
            Disposition::Refused { code, .. } if conceal => {
                let text = format!("{} is forwarded, and it was refused there", forwarded.alias);
                Disposition::refused(code, &text)
            }
            disposition => disposition,
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

    /// Whether this recipient has granted what comes over SMTP: the return path is proved to be of a forwarder, and the
    /// author is somebody else's. What a forwarder's own users write is no forwarding. keeps: FWD-18
    pub(crate) fn is_granted_over_smtp(
        &self,
        origin: &Origin,
        recipient: &Address,
        author: Option<&Address>,
    ) -> Result<bool, Failure> {
        let Origin::Legacy(legacy) = origin else { return Ok(false) };
        match legacy.return_path.as_ref().filter(|_| legacy.verified) {
            Some(path) if author.is_some_and(|author| author.domain() != path.domain()) => {
                self.has_granted(recipient, path.domain())
            }
            _ => Ok(false),
        }
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
        let message = self.store().message(held.identity).map_err(trouble)?.filter(|_| held.here.is_some());
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
                    Target::Away(to) => {
                        let lane = Lane::new(&format!("exchange:{}", to.domain())).map_err(trouble)?;
                        let forwarded = Forwarded { alias: alias.clone(), to: to.clone() };
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
        let Intent::Forward { to } = &self.intents[place] else { return Ok((None, None)) };
        let authorization = self.node.authorization(&self.envelope.recipients[place], to)?;
        Ok(authorization.map_or((None, None), |number| (Some(to.to_string()), Some(number))))
    }
}

fn forwarded(claim: &Claim, place: u32) -> Option<&Forwarded> {
    claim.envelope.recipients.get(place as usize)?.forwarded.as_ref()
}

fn no_more() -> Disposition {
    Disposition::refused(FORWARDED_NO_MORE, "this address is not forwarded any more")
}

const _: () =
    assert!(FORWARDS_PER_ALIAS_MAX < message::limits::RECIPIENTS_MAX, "a list fits into an envelope");
