//! Deliver to users of this node what could not go into their mailboxes at once: what was kept for undoing.

use message::{Code, Disposition};
use storage::{Acceptance, Claim, Content, Effect, Intended, Origin, Outcome};

use crate::account::fold;
use crate::{Event, Node};

/// The lane of recipients whose mailboxes are here.
pub(crate) const LOCAL_LANE: &str = "here";

impl Node {
    /// Puts a claimed message into the mailboxes of its recipients; nothing where the store fails, and then the claim
    /// is worked on again. A crash before the claim is settled delivers nothing twice: the node accepts from itself,
    /// under the identity of the message, and that is known when it comes again.
    pub(crate) async fn deliver_here(&self, claim: &Claim) -> Vec<(u32, Outcome)> {
        match self.try_deliver_here(claim).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                tracing::warn!(%error, leg = %claim.leg.id, "a mailbox cannot be written");
                Vec::new()
            }
        }
    }

    async fn try_deliver_here(&self, claim: &Claim) -> Result<Vec<(u32, Outcome)>, storage::Error> {
        let (envelope, store) = (&claim.envelope, self.store());
        let identity = envelope.identity;
        let refused = Disposition::refused(Code::NO_SUCH_ADDRESS, "no such address here");
        let Some(message) = store.message(identity)? else {
            let gone = Disposition::refused(Code::SYSTEM_TROUBLE, "the message is gone");
            let places = claim.leg.recipients.iter();
            return Ok(places.map(|place| (*place, Outcome::Final(gone.clone()))).collect());
        };
        let message = message.brought_by(envelope);
        let from = message.headers.as_ref().and_then(|headers| crate::submit::from_address(headers).ok());
        let found = self.verify(&message.manifest, from.as_ref(), &message.seals, &envelope.origin).await;
        let mut pins = Vec::new();
        let (mut outcomes, mut places, mut recipients) = (Vec::new(), Vec::new(), Vec::new());
        for place in &claim.leg.recipients {
            let Some(one) = envelope.recipients.get(*place as usize) else { continue };
            match store
                .account_of_address(&fold(&one.address).to_string())?
                .filter(|account| !account.disabled)
            {
                Some(account) => {
                    let told = self
                        .tell_seals(Some(&account.name), &found.notes, found.authored.as_ref())
                        .map_err(|(_, text)| storage::Error::Io(text))?;
                    pins.extend(told.pin);
                    let effect = Effect::Mailbox { account: account.name, seals: told.notes };
                    recipients.push(Intended {
                        address: one.address.clone(),
                        effect,
                        answer: Disposition::Accepted,
                        why: None,
                    });
                    places.push(*place);
                }
                None => outcomes.push((*place, Outcome::Final(refused.clone()))),
            }
        }
        if recipients.is_empty() {
            return Ok(outcomes);
        }
        let delivered: Vec<_> = recipients
            .iter()
            .filter_map(|intended| match &intended.effect {
                Effect::Mailbox { account, .. } => Some((intended.address.clone(), account.clone())),
                _ => None,
            })
            .collect();
        let receipt = store
            .accept(Acceptance {
                content: Content::Stored(identity),
                offered_as: identity,
                octets: envelope.octets,
                origin: Origin::Peer { domain: self.settings().domain.clone() },
                trace: envelope.trace.clone(),
                now_ms: self.now_ms(),
                expires_at_ms: envelope.expires_at_ms,
                release_at_ms: None,
                recipients,
                again: Vec::new(),
                members: Vec::new(),
                room: None,
            })
            .await?;
        self.pin_all(pins).await;
        for (recipient, account) in delivered {
            self.tell(Event::Delivered { identity, recipient });
            self.tell_mail(&account);
        }
        outcomes.extend(places.into_iter().zip(receipt.answers.into_iter().map(Outcome::Final)));
        Ok(outcomes)
    }
}
