//! Status: what became of what, for those who may know; and decisions about what is held.

use message::address::Address;
use message::{Code, Cookie, Disposition, Identity};
use storage::{CookieAnswer, Decision, HeldRecord, Ruling};

use crate::accept::{Failure, trouble};
use crate::{Event, Node};

impl Node {
    /// Answers a holder about its cookies. Unknown, foreign and expired ones cannot be told apart.
    ///
    /// # Errors
    /// A code and a text where the store cannot be read.
    ///
    /// keeps: STA-3
    pub fn poll(&self, holder: &str, cookies: &[Cookie]) -> Result<Vec<CookieAnswer>, Failure> {
        self.store().poll(holder, cookies, self.now_ms()).map_err(trouble)
    }

    /// The holder has stopped caring: nothing more is sent for it, and the next hops are told by the queue.
    ///
    /// # Errors
    /// A code and a text where the store cannot be written.
    ///
    /// keeps: STA-8
    pub async fn give_up(&self, holder: &str, cookies: &[Cookie]) -> Result<(), Failure> {
        let hops = self.store().give_up(holder, cookies, self.now_ms()).await.map_err(trouble)?;
        self.inner.queue.to_tell(hops);
        Ok(())
    }

    /// What is held, for all accounts or for one.
    ///
    /// # Errors
    /// A code and a text where the store cannot be read.
    pub fn held(&self, account: Option<&str>) -> Result<Vec<HeldRecord>, Failure> {
        self.store().held(account, None, storage::limits::LIST_MAX).map_err(trouble)
    }

    /// Decides about what is held for this recipient: accepted into the mailbox, or refused.
    ///
    /// # Errors
    /// A code and a text where nothing of it is held, or the store cannot be written.
    pub async fn decide_held(
        &self,
        identity: Identity,
        recipient: &Address,
        accept: bool,
    ) -> Result<Disposition, Failure> {
        let held = self
            .held(None)?
            .into_iter()
            .find(|held| held.identity == identity && held.address == *recipient)
            .ok_or((
                Code::INVALID_ARGUMENTS,
                "nothing of this message is held for that recipient".to_owned(),
            ))?;
        let ruling = match (accept, &held.account) {
            (true, Some(account)) => {
                let message = self.store().message(identity).map_err(trouble)?;
                let seals = match message {
                    Some(message) => {
                        self.verify(&message.manifest, None, &message.seals, &held.origin).await.notes
                    }
                    None => Vec::new(),
                };
                Ruling::Deliver { account: account.clone(), seals, message: None }
            }
            _ => Ruling::Refuse {
                code: Code::NOT_AUTHORIZED,
                text: "the recipient does not want it".to_owned(),
            },
        };
        let decision =
            Decision { envelope: held.envelope, recipient: held.recipient, ruling, now_ms: self.now_ms() };
        let disposition = self.store().decide(decision).await.map_err(trouble)?;
        if let Ok(Some(envelope)) = self.store().envelope(held.envelope)
            && let Some(one) = envelope.recipients.get(held.recipient as usize)
        {
            self.tell_settled(&held.origin.holder(), &one.told);
        }
        let recipient = recipient.clone();
        if disposition == Disposition::Accepted {
            self.tell(Event::Delivered { identity, recipient: recipient.clone() });
            self.inner.mail.send_modify(|count| *count += 1);
        }
        self.tell(Event::Settled { identity, recipient, disposition: disposition.clone() });
        Ok(disposition)
    }
}
