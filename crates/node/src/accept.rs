//! Accept: one offer, from its envelope to the point where everything it needs is here.

use std::collections::BTreeMap;

use bytes::Bytes;
use message::address::Address;
use message::{Code, Disposition, Envelope, Extent, Headers, Identity, Manifest, Seal, Selection};
use storage::{Origin, StagedPart};

use crate::account::fold;
use crate::commit::Intent;
use crate::receiving::Reception;
use crate::verify::Verified;
use crate::{Event, Node};

/// Seconds after which an offer that we had no room for may be made again.
const DEFER_SECONDS: u32 = 60;
/// The rule of a recipient about whom this offer was answered before.
pub(crate) const ANSWERED_BEFORE: &str = "answered-before";

/// What is asked of this node beside keeping a message.
#[derive(Debug, Clone, Default)]
pub struct Offered {
    /// Seal and give back; send nothing.
    pub sign_only: bool,
    /// Not sent before this many seconds have passed.
    pub release_after_seconds: u64,
    /// What stands for this one submission.
    pub token: Option<[u8; 16]>,
}

impl Offered {
    /// The identity under which an offer is known when it comes again. Two submissions of the same octets are two,
    /// unless the user's program says by their token that they are one. keeps: SUB-16, EXC-12
    pub(crate) fn known_as(&self, origin: &Origin, identity: Identity, fresh: [u8; 16]) -> Identity {
        match origin {
            Origin::Peer { .. } => identity,
            Origin::Submission { .. } => {
                let mut octets = identity.as_bytes().to_vec();
                octets.extend_from_slice(&self.token.unwrap_or(fresh));
                Identity(message::Digest::of(&octets))
            }
        }
    }
}

/// Why an offer is not taken as a whole: a code and a text for the peer.
pub(crate) type Failure = (Code, String);

/// The way in, for one authenticated party.
#[derive(Clone)]
pub struct Intake {
    pub(crate) node: Node,
    pub(crate) origin: Origin,
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
    pub(crate) intents: Vec<Intent>,
    pub(crate) manifest: Option<Manifest>,
    pub(crate) headers: Option<Headers>,
    pub(crate) seals: Vec<Seal>,
    pub(crate) verified: Option<Verified>,
    pub(crate) parts: BTreeMap<usize, StagedPart>,
    writing: BTreeMap<usize, Reception>,
    /// The part that is being received, and how many of the octets that come are here already.
    current: Option<(usize, u64)>,
}

impl Node {
    /// The way in for a peer or a user, who was authenticated before.
    pub fn intake(&self, origin: Origin) -> Intake {
        Intake { node: self.clone(), origin }
    }
}

impl Intake {
    /// Looks at an offer: what can be answered without content is answered.
    ///
    /// # Errors
    /// A code and a text where the store cannot be read.
    /// What costs little comes first: records of the same offer, then bounds; seals and the DNS come last. keeps: SEC-6
    ///
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
        for recipient in &envelope.recipients {
            let holder = self.origin.holder();
            let before = node.store().offered_before(&holder, known_as, recipient).map_err(trouble)?;
            let intent = match before {
                _ if offered.sign_only => Intent::Route,
                Some((envelope, disposition)) => {
                    known = Some(envelope);
                    Intent::Answered(disposition, ANSWERED_BEFORE)
                }
                None => match self.first_sight(&envelope, recipient, looping)? {
                    // keeps: SUB-12
                    Intent::Mailbox { .. } if offered.release_after_seconds > 0 => Intent::RouteHere,
                    intent => intent,
                },
            };
            if let Some((disposition, rule)) = intent.answered() {
                node.tell(Event::Decided {
                    identity: envelope.identity,
                    recipient: recipient.clone(),
                    disposition,
                    rule: rule.to_owned(),
                });
            }
            intents.push(intent);
        }
        if !offered.sign_only {
            self.within_rates(&envelope, &mut intents);
        }
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
        Ok(Admitted::Admission(Box::new(Admission {
            node: node.clone(),
            origin: self.origin.clone(),
            envelope,
            offered,
            known_as,
            intents,
            manifest: None,
            headers: None,
            seals: Vec::new(),
            verified: None,
            parts: BTreeMap::new(),
            writing: BTreeMap::new(),
            current: None,
        })))
    }

    /// What the envelope alone says about one recipient.
    fn first_sight(
        &self,
        envelope: &Envelope,
        recipient: &Address,
        looping: bool,
    ) -> Result<Intent, Failure> {
        let (node, settings) = (&self.node, self.node.settings());
        let refuse = |code, text: &str, rule: &'static str| {
            Ok(Intent::Answered(Disposition::refused(code, text), rule))
        };
        // keeps: EXC-21
        let full = envelope.trace.len() >= message::limits::HOPS_MAX;
        if (looping || full) && matches!(self.origin, Origin::Peer { .. }) {
            return refuse(Code::LOOP, "the message was here before, or has come too long a way", "loop");
        }
        if envelope.octets > settings.rules.octets_max {
            return refuse(Code::MESSAGE_TOO_LARGE, "the message is larger than is taken here", "size");
        }
        if settings.is_local(recipient.domain()) {
            let account = node.store().account_of_address(&fold(recipient).to_string()).map_err(trouble)?;
            return match account {
                Some(account) if !account.disabled => Ok(Intent::Mailbox { account: account.name }),
                _ => refuse(Code::NO_SUCH_ADDRESS, "no such address here", "no-such-address"),
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
                    refuse(Code::NOT_AUTHORIZED, "this node does not relay to that domain", "no-relay")
                }
            }
        }
    }
}

impl Admission {
    /// The identity that was offered.
    pub fn identity(&self) -> Identity {
        self.envelope.identity
    }

    /// The manifest has come; it is that of the identity.
    ///
    /// # Errors
    /// A code and a text where a part is larger than is taken.
    pub fn manifest(&mut self, manifest: Manifest) -> Result<(), Failure> {
        let most = self.node.settings().part_octets_max;
        if manifest.leaves().any(|(_, part, _)| part.octets > most) {
            return Err((Code::MESSAGE_TOO_LARGE, format!("a part is larger than {most} octets")));
        }
        self.manifest = Some(manifest);
        Ok(())
    }

    /// The seals have come.
    pub fn seals(&mut self, seals: Vec<Seal>) {
        self.seals = seals;
    }

    /// The header blocks have come; they are those of the manifest.
    pub fn headers(&mut self, headers: Headers) {
        self.headers = Some(headers);
    }

    /// The body of a leaf begins at this octet.
    ///
    /// # Errors
    /// A code and a text where it cannot be taken.
    pub async fn body_start(&mut self, part: usize, from: u64) -> Result<(), Failure> {
        let extent = self.extent(part)?;
        let twin = self.parts.values().any(|staged| staged.extent() == extent);
        if twin || self.parts.contains_key(&part) {
            self.current = Some((part, u64::MAX));
            return Ok(());
        }
        if !self.writing.contains_key(&part) {
            let writer = self.node.receive(self.origin.holder(), extent).await?;
            self.writing.insert(part, writer);
        }
        let here = self.writing.get(&part).map_or(0, Reception::offset);
        let skip = here
            .checked_sub(from)
            .ok_or((Code::INVALID_ARGUMENTS, "a body that begins after what is here".to_owned()))?;
        self.current = Some((part, skip));
        Ok(())
    }

    /// Octets of that body.
    ///
    /// # Errors
    /// A code and a text where they cannot be kept.
    pub fn body(&mut self, octets: &Bytes) -> Result<(), Failure> {
        let Some((part, skip)) = &mut self.current else { return Ok(()) };
        let passed = usize::try_from(*skip).unwrap_or(usize::MAX).min(octets.len());
        if *skip != u64::MAX {
            *skip -= passed as u64;
        }
        match self.writing.get_mut(part) {
            Some(writer) if passed < octets.len() => writer.write(&octets[passed..]),
            _ => Ok(()),
        }
    }

    /// That body has ended.
    ///
    /// # Errors
    /// A code and a text where it is not what the manifest says, or cannot be made durable.
    pub async fn body_end(&mut self, part: usize) -> Result<(), Failure> {
        self.current = None;
        if let Some(writer) = self.writing.remove(&part) {
            self.finish(part, writer).await?;
        }
        Ok(())
    }

    /// What was wanted is here: what now? Seals are verified and recipients decided about as soon as that is possible.
    ///
    /// # Errors
    /// A code and a text where the offer cannot be taken at all.
    pub async fn supplied(&mut self) -> Result<Next, Failure> {
        if self.manifest.is_none() || self.headers.is_none() {
            return Ok(Next::Want(Selection::Headers));
        }
        if self.verified.is_none() {
            self.decide().await?;
        }
        if self.offered.sign_only || !self.intents.iter().any(Intent::needs_content) {
            return Ok(Next::Commit);
        }
        let missing = self.missing().await?;
        if missing.is_empty() {
            return Ok(Next::Commit);
        }
        self.node
            .tell(Event::Asked { identity: self.identity(), selection: Selection::Parts(missing.clone()) });
        Ok(Next::Want(Selection::Parts(missing)))
    }

    /// The leaves that are still to come, each from the octet on that is not here.
    /// keeps: EXC-11
    async fn missing(&mut self) -> Result<Vec<(usize, u64)>, Failure> {
        let leaves: Vec<(usize, Extent)> = self
            .manifest
            .iter()
            .flat_map(Manifest::leaves)
            .filter(|(number, part, _)| part.octets > 0 && !self.parts.contains_key(number))
            .map(|(number, part, digest)| (number, Extent { octets: part.octets, digest }))
            .collect();
        let (owner, mut missing) = (self.origin.holder(), Vec::new());
        for (number, extent) in leaves {
            // The same leaf twice in one message is received once.
            if let Some(twin) =
                self.parts.values().find(|staged| staged.extent() == extent).map(StagedPart::twin)
            {
                self.parts.insert(number, twin);
                continue;
            }
            if self.writing.iter().any(|(other, writer)| *other != number && writer.extent() == extent) {
                continue;
            }
            if let Some(part) = self.node.store().known(&owner, extent).map_err(trouble)? {
                self.parts.insert(number, part);
                continue;
            }
            if !self.writing.contains_key(&number) {
                let writer = self.node.receive(self.origin.holder(), extent).await?;
                self.writing.insert(number, writer);
            }
            match self.writing.get(&number).map_or(0, Reception::offset) {
                here if here < extent.octets => missing.push((number, here)),
                _ => {
                    if let Some(writer) = self.writing.remove(&number) {
                        self.finish(number, writer).await?;
                    }
                }
            }
        }
        Ok(missing)
    }

    fn extent(&self, part: usize) -> Result<Extent, Failure> {
        let entry = self.manifest.as_ref().and_then(|manifest| manifest.part(part));
        match entry.and_then(|entry| entry.leaf().map(|digest| Extent { octets: entry.octets, digest })) {
            Some(extent) => Ok(extent),
            None => Err((Code::INVALID_ARGUMENTS, "no leaf has this number".to_owned())),
        }
    }

    async fn finish(&mut self, part: usize, reception: Reception) -> Result<(), Failure> {
        let writer = reception.into_writer()?;
        let staged = match writer.extent().octets {
            small if small <= storage::limits::INLINE_OCTETS_MAX => writer.finish().map_err(trouble)?,
            _ => self.node.blocking(move || writer.finish()).await.map_err(trouble)?,
        };
        self.parts.insert(part, staged);
        Ok(())
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
        storage::Error::Full => (Code::SYSTEM_FULL, "there is no room for the message now".to_owned()),
        storage::Error::Busy => {
            (Code::SYSTEM_TROUBLE, "the same part is being received on another connection".to_owned())
        }
        _ => (Code::SYSTEM_TROUBLE, "the message cannot be kept now".to_owned()),
    }
}

/// The answers where nothing was kept for want of resources.
/// keeps: EXC-14
pub(crate) fn deferred(code: Code, recipients: usize) -> Vec<Disposition> {
    vec![Disposition::Deferred { code, after_seconds: DEFER_SECONDS }; recipients]
}
