//! Accept: one offer, and what its envelope alone answers.

use std::collections::{BTreeMap, BTreeSet};

use message::address::Address;
use message::{Code, Disposition, Envelope, Headers, Identity, Manifest, Seal, Selection};
use storage::{Decision, HeldRecord, OfferedBefore, Origin, Ruling, Stage, StagedPart};

use crate::account::fold;
use crate::commit::{Intent, Why};
use crate::holding::Share;
use crate::memory::Deed;
use crate::rates::whose;
use crate::receiving::Reception;
use crate::verify::Verified;
use crate::{Event, Node};

/// Seconds after which an offer that we had no room for may be made again.
pub(crate) const DEFER_SECONDS: u32 = 60;

/// What is asked of this node beside keeping a message.
#[derive(Debug, Clone, Default)]
pub struct Offered {
    /// Seal and give back; send nothing.
    pub sign_only: bool,
    /// Not sent before this many seconds have passed.
    pub release_after_seconds: u64,
    /// What stands for this one submission.
    pub token: Option<[u8; 16]>,
    /// The peer was redirected and has not got through: it is not redirected again.
    pub redirect_failed: bool,
}

impl Offered {
    /// The identity under which an offer is known when it comes again. Two submissions of the same octets are two,
    /// unless the user's program says by their token that they are one. keeps: SUB-16, EXC-12
    pub(crate) fn known_as(&self, origin: &Origin, identity: Identity, fresh: [u8; 16]) -> Identity {
        let token = match origin {
            Origin::Peer { .. } => return identity,
            Origin::Legacy(_) => match self.token {
                Some(token) => token,
                None => return identity,
            },
            Origin::Submission { .. } => self.token.unwrap_or(fresh),
        };
        let mut octets = identity.as_bytes().to_vec();
        octets.extend_from_slice(&token);
        Identity(message::Digest::of(&octets))
    }
}

/// Why an offer is not taken as a whole: a code and a text for the peer.
pub(crate) type Failure = (Code, String);

/// The way in, for one authenticated party.
#[derive(Clone)]
pub struct Intake {
    pub(crate) node: Node,
    pub(crate) origin: Origin,
    pub(crate) door: Door,
}

/// By which door a party comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Door {
    /// That of a node, which decides. A peer that has shown a key with this digest can be redirected.
    Node { key_digest: Option<[u8; 32]> },
    /// That of a user's own daemon, to which the node has sent what it would accept: all of it is for this account.
    Doorstep { account: String },
}

/// What becomes of an offer at first sight.
pub enum Admitted {
    /// Everything is answered; no content is needed.
    Answered {
        /// One disposition for each recipient.
        dispositions: Vec<Disposition>,
        /// Where a user's submission has come again: the identity that the message was given then.
        known: Option<Identity>,
    },
    /// Content is needed.
    Admission(Box<Admission>),
}

/// What an admission needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Content.
    Want(Selection),
    /// Nothing: it is time to commit.
    Commit,
}

/// An offer that was admitted. Only [`Intake::admit`] makes one, and only an admission can be committed.
pub struct Admission {
    pub(crate) node: Node,
    pub(crate) origin: Origin,
    pub(crate) envelope: Envelope,
    pub(crate) offered: Offered,
    pub(crate) known_as: Identity,
    pub(crate) door: Door,
    pub(crate) intents: Vec<Intent>,
    /// What was pending of each recipient, where its sender offers it again as it was asked to.
    pub(crate) again: Vec<Option<HeldRecord>>,
    /// Who was decided about by the rules, and why.
    pub(crate) decided: Vec<Option<Why>>,
    /// What the rules have asked for and have got.
    pub(crate) got: Vec<Selection>,
    /// What a rule wants just now, and what the sender is asked for therefore.
    pub(crate) asking: Option<(Selection, Selection)>,
    /// Leaves that came with an earlier offer of the same delivery, and are in the store.
    pub(crate) kept: BTreeSet<usize>,
    /// Whether its sender keeps within what it may bring.
    pub(crate) rate: policy::Rate,
    /// The standing of its sender, once somebody has looked at it.
    pub(crate) standing: Option<policy::Standing>,
    pub(crate) manifest: Option<Manifest>,
    pub(crate) headers: Option<Headers>,
    pub(crate) seals: Vec<Seal>,
    pub(crate) verified: Option<Verified>,
    pub(crate) parts: BTreeMap<usize, StagedPart>,
    pub(crate) writing: BTreeMap<usize, Reception>,
    /// What of it stands in memory.
    pub(crate) share: Share,
    /// The part that is being received, and how many of the octets that come are here already.
    pub(crate) current: Option<(usize, u64)>,
}

impl Node {
    /// The way in for a peer or a user, who was authenticated before.
    pub fn intake(&self, origin: Origin) -> Intake {
        Intake { node: self.clone(), origin, door: Door::Node { key_digest: None } }
    }

    /// The way in at a user's own daemon, for a peer whose ticket was checked before: its node has decided, and what it
    /// brings is for this account, whatever the address.
    pub fn doorstep_intake(&self, domain: message::address::Domain, account: &str) -> Intake {
        let door = Door::Doorstep { account: account.to_owned() };
        Intake { node: self.clone(), origin: Origin::Peer { domain }, door }
    }
}

impl Intake {
    /// The same for a peer that has shown a key with this digest: it can be redirected to a doorstep.
    pub fn with_key(self, key_digest: [u8; 32]) -> Intake {
        Intake { door: Door::Node { key_digest: Some(key_digest) }, ..self }
    }

    /// Tells and remembers what is answered now, as it is answered.
    ///
    /// keeps: POL-13
    fn tell_answered(&self, envelope: &Envelope, intents: &[Intent]) {
        let node = &self.node;
        for (recipient, intent) in envelope.recipients.iter().zip(intents) {
            let Some((disposition, why)) = intent.answered() else { continue };
            if !why.is_before() && matches!(disposition, Disposition::Refused { .. }) {
                node.note_deed(&self.origin, Deed::Refused);
            }
            node.note_refusal(&self.origin, envelope.identity, recipient, &disposition, why);
            node.tell(Event::Decided {
                identity: envelope.identity,
                recipient: recipient.clone(),
                disposition,
                rule: why.rule.clone(),
                evidence: why.evidence.clone(),
            });
        }
    }

    /// Looks at an offer: what can be answered without content is answered. What costs little comes first: records of
    /// the same offer, then bounds; seals and the DNS come last. keeps: SEC-6
    ///
    /// # Errors
    /// A code and a text where the store cannot be read.
    pub async fn admit(&self, envelope: Envelope, offered: Offered) -> Result<Admitted, Failure> {
        let node = &self.node;
        node.tell(Event::Offered {
            identity: envelope.identity,
            by: self.origin.holder(),
            octets: envelope.octets,
            recipients: envelope.recipients.len(),
        });
        let looping = node.settings().domains.keys().any(|domain| envelope.was_at(domain));
        let mut fresh = [0; 16];
        node.inner.clock.random(&mut fresh);
        let known_as = offered.known_as(&self.origin, envelope.identity, fresh);
        let (mut intents, mut known) = (Vec::with_capacity(envelope.recipients.len()), None);
        let mut again = Vec::with_capacity(envelope.recipients.len());
        let before = match offered.sign_only {
            true => vec![None; envelope.recipients.len()],
            false => self.before(known_as, &envelope.recipients).await?,
        };
        for (recipient, before) in envelope.recipients.iter().zip(before) {
            let intent = match &before {
                _ if offered.sign_only => Intent::Route,
                Some(OfferedBefore { wanted: Some(held), .. }) => {
                    let intent = self.first_sight(&envelope, recipient, looping)?;
                    self.settle_at_sight(held, intent).await?
                }
                Some(before) => {
                    known = Some(before.envelope);
                    Intent::Answered(before.answer.clone(), Why::before())
                }
                None => match self.first_sight(&envelope, recipient, looping)? {
                    // keeps: SUB-12
                    Intent::Mailbox { .. } if offered.release_after_seconds > 0 => Intent::RouteHere,
                    intent => intent,
                },
            };
            let wanted = before.and_then(|before| before.wanted);
            again.push(wanted.filter(|_| intent.needs_content()));
            intents.push(intent);
        }
        // What comes to a doorstep its node has counted before.
        let counted = !offered.sign_only && matches!(self.door, Door::Node { .. });
        let over = if counted { self.within_rates(&mut intents) } else { None };
        self.tell_answered(&envelope, &intents);
        let answers: Vec<Disposition> = intents
            .iter()
            .filter_map(|intent| intent.answered().map(|(disposition, _)| disposition))
            .collect();
        if answers.len() == intents.len() {
            let record =
                known.map(|envelope| node.store().envelope(envelope)).transpose().map_err(trouble)?.flatten();
            let known = record
                .filter(|_| matches!(self.origin, Origin::Submission { .. }))
                .map(|envelope| envelope.identity);
            return Ok(Admitted::Answered { dispositions: answers, known });
        }
        let share = Share::of(&node.inner.holding, whose(&self.origin.holder()).into_owned());
        let mut admission = Admission {
            node: node.clone(),
            share,
            origin: self.origin.clone(),
            envelope,
            offered,
            known_as,
            decided: vec![None; intents.len()],
            door: self.door.clone(),
            intents,
            again,
            got: Vec::new(),
            asking: None,
            kept: BTreeSet::new(),
            rate: over.map_or(policy::Rate::Within, |over| over.seen()),
            standing: None,
            manifest: None,
            headers: None,
            seals: Vec::new(),
            verified: None,
            parts: BTreeMap::new(),
            writing: BTreeMap::new(),
            current: None,
        };
        admission.go_on()?;
        Ok(Admitted::Admission(Box::new(admission)))
    }

    /// What earlier offers of the same have left for each recipient, and where their sender was asked to make it again.
    /// keeps: STA-7, STA-18
    async fn before(
        &self,
        known_as: Identity,
        recipients: &[Address],
    ) -> Result<Vec<Option<OfferedBefore>>, Failure> {
        let (node, holder) = (&self.node, self.origin.holder());
        let look = || node.store().offered_before(&holder, known_as, recipients, node.now_ms());
        let before = look().map_err(trouble)?;
        let over = |before: &OfferedBefore| match &before.answer {
            Disposition::Pending { until, .. } => until.saturating_mul(1000) <= node.now_ms(),
            _ => false,
        };
        if before.iter().flatten().any(over) {
            node.end_overdue().await?;
            return look().map_err(trouble);
        }
        Ok(before)
    }

    /// What was pending and is answered by the envelope alone now, such as that the account is gone, is settled so.
    async fn settle_at_sight(&self, held: &HeldRecord, intent: Intent) -> Result<Intent, Failure> {
        let Intent::Answered(Disposition::Refused { code, text }, why) = &intent else {
            return Ok(intent);
        };
        let ruling = Ruling::Refuse { code: *code, text: text.clone() };
        let now_ms = self.node.now_ms();
        let decision = Decision { envelope: held.envelope, recipient: held.recipient, ruling, now_ms };
        match self.node.store().decide(decision).await {
            Ok(disposition) => Ok(Intent::Answered(disposition, why.clone())),
            // Somebody was quicker; the next offer or poll says what was decided.
            Err(storage::Error::NotFound(_)) => {
                let disposition =
                    Disposition::Deferred { code: Code::SYSTEM_TROUBLE, after_seconds: DEFER_SECONDS };
                Ok(Intent::Answered(disposition, Why::before()))
            }
            Err(error) => Err(trouble(error)),
        }
    }

    /// What is said about a recipient before anything is known of a message; `None` where nothing is.
    pub(crate) fn at_first_sight(&self, recipient: &Address) -> Result<Option<Disposition>, Failure> {
        let envelope = Envelope {
            identity: Identity::from_bytes([0; 32]),
            octets: 0,
            issuers: Vec::new(),
            recipients: Vec::new(),
            trace: Vec::new(),
        };
        let intent = self.first_sight(&envelope, recipient, false)?;
        Ok(intent.answered().map(|(disposition, _)| disposition))
    }

    /// What the envelope alone says about one recipient.
    fn first_sight(
        &self,
        envelope: &Envelope,
        recipient: &Address,
        looping: bool,
    ) -> Result<Intent, Failure> {
        let (node, settings) = (&self.node, self.node.settings());
        let refuse = |code, text: &str, rule: &str, evidence: String| {
            Ok(Intent::Answered(Disposition::refused(code, text), Why::new(rule, evidence)))
        };
        // keeps: EXC-21
        let full = envelope.trace.len() >= message::limits::HOPS_MAX;
        if (looping || full) && matches!(self.origin, Origin::Peer { .. }) {
            let found = if looping { "one of our domains is" } else { "there is no room" };
            let words = format!("{found} in its trace of {} hops", envelope.trace.len());
            return refuse(
                Code::LOOP,
                "the message was here before, or has come too long a way",
                "loop",
                words,
            );
        }
        if envelope.octets > settings.rules.octets_max {
            let words = format!("{} octets of at most {}", envelope.octets, settings.rules.octets_max);
            return refuse(
                Code::MESSAGE_TOO_LARGE,
                "the message is larger than is taken here",
                "size",
                words,
            );
        }
        if let Door::Doorstep { account } = &self.door {
            return Ok(Intent::Mailbox { account: account.clone() });
        }
        if settings.is_local(recipient.domain()) {
            let account = node.store().account_of_address(&fold(recipient).to_string()).map_err(trouble)?;
            return match account {
                Some(account) if !account.disabled => Ok(Intent::Mailbox { account: account.name }),
                None if let Some(intent) = node.forward_at_sight(recipient)? => Ok(intent),
                account => {
                    let words = account.map_or_else(
                        || format!("no account has {recipient}"),
                        |account| format!("account {} is disabled", account.name),
                    );
                    refuse(Code::NO_SUCH_ADDRESS, "no such address here", "no-such-address", words)
                }
            };
        }
        match &self.origin {
            Origin::Submission { .. } => Ok(Intent::Route),
            Origin::Peer { domain } => {
                let allowed =
                    settings.relays.iter().any(|(from, to)| from == domain && to == recipient.domain());
                if allowed {
                    Ok(Intent::Route)
                } else {
                    let words = format!("no [[relay]] from {domain} to {}", recipient.domain());
                    refuse(Code::NOT_AUTHORIZED, "this node does not relay to that domain", "no-relay", words)
                }
            }
            Origin::Legacy(legacy) => {
                let words = format!("nothing is relayed from {} to {}", legacy.client, recipient.domain());
                refuse(Code::NOT_AUTHORIZED, "this node does not relay", "no-relay", words)
            }
        }
    }
}

impl Admission {
    /// Goes on where an earlier offer of the same delivery has stopped: what came with it and is kept need not come again.
    /// What only others have brought of the same message is not made use of.
    ///
    /// keeps: EXC-11
    fn go_on(&mut self) -> Result<(), Failure> {
        let here: BTreeSet<usize> =
            self.again.iter().flatten().filter_map(|held| held.here.as_ref()).flatten().copied().collect();
        let Some(held) = self.again.iter().flatten().find(|held| held.here.is_some()) else {
            return Ok(());
        };
        let Some(message) = self.node.held_message(held).map_err(trouble)? else { return Ok(()) };
        if message.headers.is_none() {
            return Ok(());
        }
        self.kept = here.into_iter().filter(|part| !message.missing.contains(part)).collect();
        self.manifest = Some(message.manifest);
        self.headers = message.headers;
        self.seals = message.seals;
        Ok(())
    }

    /// The manifest, where it is here already when the offer comes.
    pub fn known_manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Whether a person has accepted this recipient's copy before.
    pub(crate) fn was_accepted(&self, place: usize) -> bool {
        self.again[place].as_ref().is_some_and(|held| held.stage == Stage::Accepted)
    }
}

impl Node {
    /// Runs blocking work of the store where it may block.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, storage::Error> + Send + 'static,
    ) -> Result<T, storage::Error> {
        let (done, result) = tokio::sync::oneshot::channel();
        // Whoever asked may have gone; what was done stands.
        self.inner.clock.carry_out(Box::new(move || drop(done.send(work()))));
        result.await.map_err(|_| storage::Error::Io("the work was given up".to_owned()))?
    }
}

/// What a peer is told about an error of the store: short and generic.
pub(crate) fn trouble(error: storage::Error) -> Failure {
    tracing::warn!(%error, "the store");
    match error {
        storage::Error::Digest => {
            (Code::INTEGRITY_FAILED, "a part does not have the digest in the manifest".to_owned())
        }
        // It may be the fault of our own disk: it comes again, from the beginning. keeps: EXC-24
        storage::Error::Remains => {
            (Code::SYSTEM_TROUBLE, "the part has to be sent again from its beginning".to_owned())
        }
        storage::Error::Full => (Code::SYSTEM_FULL, "there is no room for the message now".to_owned()),
        storage::Error::Busy => {
            (Code::SYSTEM_TROUBLE, "the same part is being received on another connection".to_owned())
        }
        _ => (Code::SYSTEM_TROUBLE, "the message cannot be kept now".to_owned()),
    }
}

/// The answer where nothing was kept for want of resources.
/// keeps: EXC-14
pub(crate) fn deferred(code: Code) -> Disposition {
    Disposition::Deferred { code, after_seconds: DEFER_SECONDS }
}
