//! Explain: what the rules say about a message that is here, and why, without doing anything about it.

use message::address::Address;
use message::{Code, Headers, Identity, Manifest, Seal, Selection};
use policy::{Explanation, Step, Tried};
use storage::Origin;

use crate::Node;
use crate::accept::{Failure, trouble};
use crate::evidence::{Facts, Shown};
use crate::submit::from_address;

/// A decision that is only explained.
#[derive(Debug, Clone)]
pub struct Explained {
    /// Who brings the message.
    pub origin: Origin,
    /// What would be decided, and all that was asked on the way.
    pub explanation: Explanation,
}

impl Node {
    /// What the rules say about a stored message for this recipient: as its own peer brought it, or as `origin` would.
    ///
    /// # Errors
    /// A code and a text where the message is not here, or the store cannot be read.
    ///
    /// keeps: POL-8
    pub async fn explain(
        &self,
        identity: Identity,
        recipient: &Address,
        origin: Option<Origin>,
    ) -> Result<Explained, Failure> {
        let unknown = || (Code::INVALID_ARGUMENTS, "the message is not here".to_owned());
        let envelopes = self.store().envelopes_for(identity, 1).map_err(trouble)?;
        let brought = envelopes.first();
        let message = self.store().message(identity).map_err(trouble)?;
        let message = message.map(|message| match brought {
            Some(envelope) => message.brought_by(envelope),
            None => message,
        });
        let origin =
            origin.or_else(|| brought.map(|envelope| envelope.origin.clone())).ok_or_else(unknown)?;
        let octets = match (&message, brought) {
            (Some(message), _) => message.manifest.message_octets(),
            (None, Some(envelope)) => envelope.octets,
            (None, None) => return Err(unknown()),
        };
        let content = message
            .as_ref()
            .and_then(|message| Some((&message.manifest, message.headers.as_ref()?, &message.seals[..])));
        self.explain_content(content, octets, recipient, origin).await
    }

    /// What the rules say about a message that need not be here: as `origin` would bring it, and otherwise as the domain
    /// of its author would.
    ///
    /// # Errors
    /// A code and a text where nobody is named who brings it, or the store cannot be read.
    ///
    /// keeps: POL-8
    pub async fn explain_message(
        &self,
        (manifest, headers, seals): (&Manifest, &Headers, &[Seal]),
        recipient: &Address,
        origin: Option<Origin>,
    ) -> Result<Explained, Failure> {
        let origin = match origin {
            Some(origin) => origin,
            None => Origin::Peer { domain: from_address(headers)?.domain().clone() },
        };
        let octets = manifest.message_octets();
        self.explain_content(Some((manifest, headers, seals)), octets, recipient, origin).await
    }

    /// keeps: POL-14
    async fn explain_content(
        &self,
        content: Option<(&Manifest, &Headers, &[Seal])>,
        octets: u64,
        recipient: &Address,
        origin: Origin,
    ) -> Result<Explained, Failure> {
        let mut verified = None;
        if let Some((manifest, headers, seals)) = content {
            let from = from_address(headers).ok();
            let found = self.verify(manifest, from.as_ref(), seals, &origin).await;
            verified = Some((manifest, headers, found));
        }
        let shown =
            verified.as_ref().map(|(manifest, headers, verified)| Shown { manifest, headers, verified });
        let supplied: &[Selection] = if shown.is_some() { &[Selection::All] } else { &[] };
        let standing = match crate::memory::answers_for(&origin) {
            Some(domain) => self.standing(domain).await,
            None => policy::Standing::default(),
        };
        let facts =
            Facts { origin: &origin, octets, standing, rate: self.rate_now(&origin), supplied, shown };
        let account = self.account_behind(recipient)?;
        let evidence = self.evidence(&facts, (recipient, account.as_deref()), None)?;
        let mut explanation = self.settings().rules.explain(&evidence);
        // The service is asked as it would be for an offer: without it the explanation could be wrong.
        if let Some(said) = self.ask_service(&evidence, &explanation.decision).await {
            let (tried, words) = match (&said, self.policy_service_silent_since()) {
                (Some(said), _) => (Tried::Matched, said.evidence.clone()),
                (None, Some((_, reason))) => (Tried::No, format!("it does not answer: {reason}")),
                (None, None) => (Tried::No, "it leaves it to the rules".to_owned()),
            };
            let asked = ("asked, where the rules leave it open".to_owned(), Some(true), words);
            explanation.steps.push(Step {
                rule: "policy-service".to_owned(),
                tried,
                conditions: vec![asked],
            });
            explanation.decision = said.unwrap_or(explanation.decision);
        }
        Ok(Explained { origin, explanation })
    }
}
