//! Legacy: the way in for a message of the old world, whole and translated before. The node does not know how it came:
//! what its gateway has found out comes as plain values, and becomes evidence and the claims of a seal.

use std::net::IpAddr;

use message::address::{Address, Domain};
use message::limits::{CHECK_METHOD_OCTETS_MAX, CHECK_RESULT_OCTETS_MAX, CHECKS_MAX};
use message::{CHECK_AUTHOR, Code, Disposition, Envelope, Identity, Message, Role, Seal, Selection};
use storage::limits::{LEGACY_TRACE_OCTETS_MAX, LIST_MAX};
use storage::{LegacyOrigin, Origin, Passage, Stage};

use crate::accept::{Admission, Admitted, Door, Failure, Next, Offered, trouble};
use crate::{Intake, Node};

/// What stands beside a message that came over SMTP.
#[derive(Debug, Clone)]
pub struct LegacyOffer {
    /// From where.
    pub client: IpAddr,
    /// The address in MAIL FROM; `None` for `<>`.
    pub return_path: Option<Address>,
    /// Whether the return path is proved, by SPF, DKIM or because the client is known: then the sender may be told of a
    /// failure later.
    pub verified: bool,
    /// The domain that is proved to be the author's (that of From, or one above it), by DMARC or an aligned DKIM
    /// signature.
    pub author: Option<Domain>,
    /// Claims for the gateway's seal, method and result; what is beyond the bounds of a seal is cut.
    pub checks: Vec<(String, String)>,
    /// The Received field for it, whole, with its CRLF; cut at [`LEGACY_TRACE_OCTETS_MAX`].
    pub received: String,
    /// The value of an Authentication-Results field; the same.
    pub authentication_results: String,
    /// For whom, each once.
    pub recipients: Vec<Address>,
    /// What may go on with it, and what its client wants to be told.
    pub passage: Passage,
}

/// What became of a legacy message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyAnswer {
    /// As in exchange: accepted, refused, deferred or pending.
    pub disposition: Disposition,
    /// Pending, and all of the message is kept here: what was decided later needs no further offer. Where not, nothing is
    /// kept, and the sender has to come again.
    pub kept: bool,
    /// Kept, and the sender is proved: a later failure becomes a notice that is due, so the responsibility is ours
    /// (250). Pending without it is 450: the sender comes again, and is answered by what was decided meanwhile.
    pub custody: bool,
}

impl Node {
    /// The way in for a message of the old world. The same for a message that is offered in steps.
    pub fn legacy_intake(&self, offer: &LegacyOffer) -> Intake {
        self.intake(offer.origin())
    }

    /// What the envelope alone says about a recipient of a legacy message, before any content: nothing where it is
    /// welcome.
    ///
    /// # Errors
    /// A code of class 5 and a text where the recipient is refused; one of class 4 where the store cannot be read.
    ///
    /// keeps: SEC-8
    pub fn legacy_recipient(&self, client: IpAddr, recipient: &Address) -> Result<(), Failure> {
        let nobody = LegacyOrigin {
            client,
            return_path: None,
            verified: false,
            author: None,
            received: String::new(),
            authentication_results: String::new(),
            passage: Passage::default(),
        };
        match self.intake(Origin::Legacy(Box::new(nobody))).at_first_sight(recipient)? {
            Some(Disposition::Refused { code, text }) => Err((code, text)),
            // An alias whose target has not granted it yet. keeps: FWD-4
            Some(Disposition::Deferred { code, .. }) => Err((code, "not now; try again later".to_owned())),
            _ => Ok(()),
        }
    }

    /// Takes a legacy message: one answer for each recipient, in order. What is accepted or kept is durable then. The same
    /// message from the same holder again has no further effect, and is answered by what is true now; one without a
    /// Message-Id is another one each time.
    ///
    /// # Errors
    /// A code and a text where the message cannot be taken at all.
    ///
    /// keeps: STA-19
    pub async fn take_legacy(
        &self,
        offer: LegacyOffer,
        message: &Message,
    ) -> Result<Vec<LegacyAnswer>, Failure> {
        let origin = offer.origin();
        let (manifest, headers) = (message.manifest(), message.headers());
        let seal = self.seal(manifest, &self.settings().domain, Role::Gateway, |claims| {
            claims.checks = bounded(&offer.checks, offer.author.as_ref());
        })?;
        let token = headers.message().first("Message-Id").is_none().then(|| {
            let mut token = [0; 16];
            self.inner.clock.random(&mut token);
            token
        });
        let offered = Offered { token, ..Offered::default() };
        let identity = manifest.identity();
        let known_as = offered.known_as(&origin, identity, [0; 16]);
        let envelope = Envelope {
            identity,
            octets: manifest.message_octets(),
            issuers: vec![seal.claims().issuer.clone()],
            recipients: offer.recipients.clone(),
            trace: Vec::new(),
        };
        let dispositions = match self.intake(origin.clone()).admit(envelope, offered).await? {
            Admitted::Answered { dispositions, .. } => dispositions,
            Admitted::Admission(admission) => take_whole(*admission, message, vec![seal]).await?,
        };
        let holder = origin.holder();
        let Origin::Legacy(origin) = &origin else { return Ok(Vec::new()) };
        let answer = |(recipient, disposition): (&Address, Disposition)| {
            let pending = matches!(disposition, Disposition::Pending { .. });
            let kept = pending && self.is_kept_for(&holder, known_as, identity, recipient)?;
            let custody = kept && origin.notice_to().is_some();
            Ok(LegacyAnswer { disposition, kept, custody })
        };
        offer.recipients.iter().zip(dispositions).map(answer).collect()
    }

    /// Takes a message of a user of ours who has no program for this protocol, and so hands it over whole: it is a submission
    /// as any other. What is pending is in our queue from then on.
    ///
    /// # Errors
    /// A code and a text where the message cannot be taken at all.
    pub async fn submit_whole(
        &self,
        account: &str,
        recipients: Vec<Address>,
        message: &Message,
    ) -> Result<Vec<Disposition>, Failure> {
        let envelope = Envelope {
            identity: message.identity(),
            octets: message.manifest().message_octets(),
            issuers: Vec::new(),
            recipients,
            trace: Vec::new(),
        };
        let intake = self.intake(Origin::Submission { account: account.to_owned() });
        match intake.admit(envelope, Offered::default()).await? {
            Admitted::Answered { dispositions, .. } => Ok(dispositions),
            Admitted::Admission(admission) => take_whole(*admission, message, Vec::new()).await,
        }
    }

    /// Puts a notice about what a user has submitted into that user's mailbox. It is for this account alone, no rule judges it,
    /// and it is offered to nobody; the same notice again has no further effect.
    ///
    /// # Errors
    /// A code and a text where it cannot be kept.
    ///
    /// keeps: STA-21
    pub async fn put_notice(&self, account: &str, own: Address, message: &Message) -> Result<(), Failure> {
        let ours = &self.settings().domain;
        let origin = Origin::Legacy(Box::new(LegacyOrigin {
            client: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            return_path: None,
            verified: false,
            author: Some(ours.clone()),
            received: String::new(),
            authentication_results: String::new(),
            passage: Passage::default(),
        }));
        let seal = self.seal(message.manifest(), ours, Role::Gateway, |_| {})?;
        let envelope = Envelope {
            identity: message.identity(),
            octets: message.manifest().message_octets(),
            issuers: vec![seal.claims().issuer.clone()],
            recipients: vec![own],
            trace: Vec::new(),
        };
        let door = Door::Doorstep { account: account.to_owned() };
        let intake = Intake { node: self.clone(), origin, door };
        let answers = match intake.admit(envelope, Offered::default()).await? {
            Admitted::Answered { dispositions, .. } => dispositions,
            Admitted::Admission(admission) => take_whole(*admission, message, vec![seal]).await?,
        };
        match answers.first() {
            Some(Disposition::Accepted) => Ok(()),
            Some(Disposition::Refused { code, text }) => Err((*code, text.clone())),
            Some(Disposition::Deferred { code, .. }) => Err((*code, "not now".to_owned())),
            _ => Err((Code::SYSTEM_TROUBLE, "it was not taken into the mailbox".to_owned())),
        }
    }

    /// Whether what is pending is here whole: it is queued, or somebody decides about it. What was put off is not.
    fn is_kept_for(
        &self,
        holder: &str,
        known_as: Identity,
        identity: Identity,
        recipient: &Address,
    ) -> Result<bool, Failure> {
        let one = std::slice::from_ref(recipient);
        let before = self.store().offered_before(holder, known_as, one, self.now_ms()).map_err(trouble)?;
        let Some(before) = before.into_iter().flatten().next() else { return Ok(false) };
        let held = self.store().held_for(identity, LIST_MAX).map_err(trouble)?;
        let own = held.iter().find(|held| held.envelope == before.envelope && held.address == *recipient);
        Ok(own.is_none_or(|held| !matches!(held.stage, Stage::Later { .. })))
    }
}

impl LegacyOffer {
    fn origin(&self) -> Origin {
        Origin::Legacy(Box::new(LegacyOrigin {
            client: self.client,
            return_path: self.return_path.clone(),
            verified: self.verified,
            author: self.author.clone(),
            received: cut(&self.received, LEGACY_TRACE_OCTETS_MAX).to_owned(),
            authentication_results: cut(&self.authentication_results, LEGACY_TRACE_OCTETS_MAX).to_owned(),
            passage: self.passage.clone(),
        }))
    }
}

/// Hands over what is wanted of a message that is all here.
async fn take_whole(
    mut admission: Admission,
    message: &Message,
    seals: Vec<Seal>,
) -> Result<Vec<Disposition>, Failure> {
    admission.manifest(message.manifest().clone())?;
    admission.headers(message.headers().clone());
    admission.seals(seals);
    loop {
        let parts = match admission.supplied().await? {
            Next::Commit => return admission.commit().await.map(|committed| committed.answers),
            Next::Want(Selection::Parts(parts)) => parts,
            // Everything else that can be wanted is here already.
            Next::Want(_) => continue,
        };
        for (part, from) in parts {
            let Some(body) = message.body(part) else { continue };
            let rest = usize::try_from(from).unwrap_or(usize::MAX).min(body.len());
            admission.body_start(part, from).await?;
            admission.body(&body.slice(rest..))?;
            admission.body_end(part).await?;
        }
    }
}

/// The checks as a seal can carry them, and before them the domain that is proved to be the author's.
fn bounded(checks: &[(String, String)], author: Option<&Domain>) -> Vec<(String, String)> {
    let clean = |text: &str, octets_max: usize| {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        cut(&text, octets_max).to_owned()
    };
    let pair = |(method, result): &(String, String)| {
        (clean(method, CHECK_METHOD_OCTETS_MAX), clean(result, CHECK_RESULT_OCTETS_MAX))
    };
    let some = |(method, result): &(String, String)| !method.is_empty() && !result.is_empty();
    let author = (CHECK_AUTHOR.to_owned(), author.map_or("none", Domain::as_str).to_owned());
    let author = Some(author).filter(|(_, domain)| domain.len() <= CHECK_RESULT_OCTETS_MAX);
    author.into_iter().chain(checks.iter().map(pair).filter(some)).take(CHECKS_MAX).collect()
}

/// The front of a text, cut between characters.
fn cut(text: &str, octets_max: usize) -> &str {
    let mut end = text.len().min(octets_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: SEAL-3
    #[test]
    fn checks_fit_in_a_seal() {
        let pair = |method: &str, result: &str| (method.to_owned(), result.to_owned());
        let checks = [pair("spf", "pass\r\n"), pair("", "x"), pair(&"m".repeat(40), &"ü".repeat(100))];
        let expected = [pair("spf", "pass  "), pair(&"m".repeat(32), &"ü".repeat(96))];
        let author = Domain::from_wire("old.test").unwrap();
        assert_eq!(bounded(&checks, Some(&author))[0], pair("author", "old.test"));
        assert_eq!(bounded(&checks, None)[0], pair("author", "none"));
        assert_eq!(bounded(&checks, None)[1..], expected);
        assert_eq!(bounded(&vec![pair("a", "b"); 40], None).len(), CHECKS_MAX);
    }
}
