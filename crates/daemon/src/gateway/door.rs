//! The adapter from `gateway` to `node` on the way in: who may log in, who is taken for, and the message itself.

use std::net::IpAddr;
use std::sync::Arc;

use gateway::cookies::CookieFound;
use gateway::{
    Authenticity, Client, Handler, Later, Letter, LoginFailure, Recipient, Reply, ReturnPath, ScramKeys,
    Verdict,
};
use message::address::{Address, Domain};
use message::{Code, Disposition};
use node::{LegacyOffer, Node};
use storage::{Passage, PassedCookie, Wish};

use super::awaited::Awaited;
use super::way_back::{TOO_MUCH, WayBack};
use crate::inbound::network_of;

/// Who takes what comes in over SMTP.
pub(crate) struct LegacyDoor {
    pub(crate) node: Node,
    /// What was sent under our own return paths; none where nothing goes out.
    pub(crate) awaited: Option<Arc<Awaited>>,
    /// Return paths of ours that lead back to others'; none where nothing goes out.
    pub(crate) way_back: Option<Arc<WayBack>>,
}

impl Handler for LegacyDoor {
    fn login<'a>(
        &'a self,
        name: &'a str,
        password: &'a str,
        from: IpAddr,
    ) -> Later<'a, Result<String, LoginFailure>> {
        Box::pin(async move {
            let account = account_name(&self.node, name)?;
            let found = self.node.authenticate(&network_of(from), &account, password.to_owned()).await;
            found.map(|record| record.name).map_err(|(code, _)| match code.class {
                4 => LoginFailure::Later,
                _ => LoginFailure::Wrong,
            })
        })
    }

    fn scram_keys<'a>(&'a self, name: &'a str, from: IpAddr) -> Later<'a, Result<ScramKeys, LoginFailure>> {
        Box::pin(async move {
            let account = account_name(&self.node, name)?;
            if self.node.is_barred(&network_of(from), &account) {
                return Err(LoginFailure::Later);
            }
            let keys = self.node.scram_keys(&account).map_err(|_| LoginFailure::Later)?;
            Ok(ScramKeys {
                account,
                salt: keys.salt,
                iterations: keys.iterations,
                stored_key: keys.stored_key,
                server_key: keys.server_key,
            })
        })
    }

    fn login_failed<'a>(&'a self, name: &'a str, from: IpAddr) -> Later<'a, ()> {
        if let Ok(account) = account_name(&self.node, name) {
            self.node.note_wrong_password(&network_of(from), &account);
        }
        Box::pin(std::future::ready(()))
    }

    fn recipient<'a>(
        &'a self,
        client: &'a Client,
        return_path: &'a ReturnPath,
        recipient: &'a Recipient,
    ) -> Later<'a, Verdict> {
        Box::pin(async move {
            let address = &recipient.address;
            if let Some(awaited) = self.awaited.as_ref().filter(|awaited| awaited.is_tag(address)) {
                return match awaited.knows(address) {
                    Ok(true) if return_path.is_none() => Verdict::Welcome,
                    Ok(_) => Verdict::No(no_such(address)),
                    Err((code, text)) => Verdict::No(reply(code, text)),
                };
            }
            if let Some(back) = self.way_back.as_ref().filter(|back| back.is_one(address)) {
                return match back.is_right(address) {
                    true if return_path.is_none() && back.has_enough(address) => {
                        let text = "too many notices to this address just now; try again later".to_owned();
                        Verdict::No(reply(TOO_MUCH, text))
                    }
                    true if return_path.is_none() => Verdict::Welcome,
                    false if !back.may_go_on(client.address) => Verdict::NoMore(no_such(address)),
                    _ => Verdict::No(no_such(address)),
                };
            }
            let local = self.node.settings().is_local(address.domain());
            if !local && client.account.is_some() {
                return Verdict::Welcome;
            }
            if client.account.is_none()
                && let Err((code, text)) = self.node.legacy_rate(client.address, return_path.as_ref())
            {
                return Verdict::No(reply(code, text));
            }
            match self.node.legacy_recipient(client.address, address) {
                Ok(()) => Verdict::Welcome,
                Err((code, text)) => Verdict::No(reply(code, text)),
            }
        })
    }

    fn take(&self, letter: Letter) -> Later<'_, Result<Vec<Disposition>, Reply>> {
        Box::pin(async move { self.taken(letter).await.map_err(|(code, text)| reply(code, text)) })
    }
}

impl LegacyDoor {
    async fn taken(&self, letter: Letter) -> Result<Vec<Disposition>, (Code, String)> {
        let letter = Arc::new(letter);
        let mut notices = match &self.awaited {
            Some(awaited) => awaited.notices(&letter).await?,
            None => vec![None; letter.recipients.len()],
        };
        let circling: Vec<bool> =
            letter.recipients.iter().map(|recipient| circles(&letter, &recipient.address)).collect();
        if circling.iter().all(|circles| *circles) {
            return Err((Code::LOOP, CIRCLES.to_owned()));
        }
        for ((recipient, answer), circles) in letter.recipients.iter().zip(&mut notices).zip(circling) {
            if let Some(back) = self.way_back.as_ref().filter(|back| back.is_one(&recipient.address)) {
                *answer = Some(back.bring(&recipient.address, &letter).await);
            } else if answer.is_none() && circles && letter.individual {
                // Where there is one reply for all, nobody would hear of this one: it goes around once more.
                *answer = Some(Disposition::refused(Code::LOOP, CIRCLES));
            }
        }
        let recipients: Vec<Address> = letter
            .recipients
            .iter()
            .zip(&notices)
            .filter(|(_, notice)| notice.is_none())
            .map(|(recipient, _)| recipient.address.clone())
            .collect();
        let mut rest = match recipients.is_empty() {
            true => Vec::new(),
            false => self.to_node(&letter, recipients).await?,
        }
        .into_iter();
        let answers = notices.into_iter().map(|notice| notice.or_else(|| rest.next()));
        Ok(answers.map(|answer| answer.unwrap_or(TROUBLE)).collect())
    }

    async fn to_node(
        &self,
        letter: &Arc<Letter>,
        recipients: Vec<Address>,
    ) -> Result<Vec<Disposition>, (Code, String)> {
        let octets = letter.octets.clone();
        let import = move || translate::import(&octets, &translate::ImportOptions::default());
        let imported = tokio::task::spawn_blocking(import).await.map_err(|_| trouble())?;
        let message = imported
            .map_err(|refusal| {
                (Code::CONTENT_MALFORMED, format!("the message has no native form: {refusal}"))
            })?
            .message;
        if let Some(account) = &letter.client.account {
            let answers = self.node.submit_whole(account, recipients, &message).await?;
            // What is pending is in our queue: the user's own status records say what comes of it.
            let taken = answers.into_iter().map(|answer| match answer {
                Disposition::Pending { .. } => Disposition::Accepted,
                other => other,
            });
            return Ok(taken.collect());
        }
        let findings = &letter.findings;
        let native = node::author(message.headers());
        let proved = findings.author_domain_verified.as_deref();
        let proved = proved.and_then(|name| message::address::Domain::parse(name).ok());
        if let (Some(proved), Some(native)) = (&proved, &native)
            && proved != native.domain()
        {
            // The checks were of another author. keeps: CHK-12
            let text = "its author can be read in two ways".to_owned();
            return Err((Code::CONTENT_MALFORMED, text));
        }
        let offer = LegacyOffer {
            client: letter.client.address,
            return_path: letter.return_path.clone(),
            verified: letter.authenticity != Authenticity::Unverified,
            author: proved.filter(|_| native.is_some()),
            checks: findings.claims.clone(),
            received: letter.received.clone(),
            authentication_results: findings.authentication_results.clone(),
            recipients,
            passage: passage(letter),
        };
        let answers = self.node.take_legacy(offer, &message).await?;
        // Without PRDR there is one reply for all, and whoever has it already would have it again each time that the sender
        // comes for who is still to decide, where the message has no name of its own. All of it is here, so it is taken;
        // what is decided later has no notice, since the sender is not proved. keeps: GW-13
        let one_reply = !letter.individual && message.headers().message().first("Message-Id").is_none();
        let served =
            answers.iter().any(|answer| answer.custody || answer.disposition == Disposition::Accepted);
        let said = answers.into_iter().map(|answer| match answer.disposition {
            // Responsibility was taken: that is what 250 says.
            Disposition::Pending { .. } if answer.custody || (answer.kept && served && one_reply) => {
                Disposition::Accepted
            }
            Disposition::Expired => Disposition::Refused {
                code: Code::EXPIRED,
                text: "the recipient did not decide in time".to_owned(),
            },
            other => other,
        });
        Ok(said.collect())
    }
}

/// Whether a letter of another server has been with this recipient before. keeps: GW-108
fn circles(letter: &Letter, recipient: &Address) -> bool {
    letter.client.account.is_none() && letter.was_delivered_to(recipient)
}

/// What is said of one that has.
const CIRCLES: &str = "the message was with this recipient before, and goes around in a circle";

/// What may go on with a letter, and what its client wants to be told. A cookie that the author's server does not know stays
/// here; where that server has brought it itself, it expects the message from where it came to.
///
/// keeps: CKS-9, FWD-24
fn passage(letter: &Letter) -> Passage {
    let findings = &letter.findings;
    let cookie = match findings.cookie {
        CookieFound::Direct | CookieFound::Confirmed | CookieFound::Unknown(_) => letter.cookie.clone(),
        CookieFound::None | CookieFound::Denied(_) => None,
    };
    let direct = findings.cookie == CookieFound::Direct;
    let came_to = direct.then_some(letter.client.came_to);
    let wish = |one: &Recipient| Wish {
        recipient: one.address.clone(),
        notify: one.notify,
        original: one.original.clone(),
    };
    let said = letter.recipients.iter().filter(|one| one.notify.is_some() || one.original.is_some());
    Passage {
        may_keep: findings.may_keep_path && letter.authenticity != Authenticity::Unverified,
        cookie: cookie.map(|(id, host)| PassedCookie { id, host, came_to }),
        forwarder: findings.forwarder.as_deref().and_then(|name| Domain::parse(name).ok()),
        envelope_id: letter.envelope_id.clone(),
        headers_only: letter.headers_only,
        wishes: said.map(wish).collect(),
    }
}

/// What a mail program says as its user's name: the account, or an address of it.
fn account_name(node: &Node, name: &str) -> Result<String, LoginFailure> {
    match Address::parse(name) {
        Ok(address) => {
            let found = node.account_of(&address).map_err(|_| LoginFailure::Later)?;
            Ok(found.unwrap_or_else(|| name.to_owned()))
        }
        Err(_) => Ok(name.to_owned()),
    }
}

/// Where nothing else is known.
const TROUBLE: Disposition = Disposition::Deferred { code: Code::SYSTEM_TROUBLE, after_seconds: 60 };

fn trouble() -> (Code, String) {
    (Code::SYSTEM_TROUBLE, "trouble of this server; try again later".to_owned())
}

fn no_such(address: &Address) -> Reply {
    reply(Code::NO_SUCH_ADDRESS, format!("{address} is nobody's here"))
}

/// What SMTP says for a code: the digits follow from it (RFC 5248).
pub(crate) fn reply(code: Code, text: String) -> Reply {
    let digits = match (code.class, code.subject, code.detail) {
        (2, ..) => 250,
        // The address has moved (RFC 5321 section 4.2.2): what a forwarder says once its recipient wants no more.
        (5, 1, 6) => 551,
        (4, 3, 1) | (4, 2, 2) => 452,
        (4, 1 | 2 | 7, _) => 450,
        (4, ..) => 451,
        (_, 3, 4) | (_, 2, 2) => 552,
        (_, 6 | 7, _) => 550,
        (_, 5, 4) => 501,
        (_, 4, _) => 554,
        _ => 550,
    };
    Reply { digits, code, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_have_the_class_of_their_code() {
        for class in [2, 4, 5] {
            for (subject, detail) in [(1, 1), (2, 2), (3, 1), (3, 4), (4, 6), (5, 4), (6, 0), (7, 1)] {
                let code = Code { class, subject, detail };
                assert_eq!(reply(code, String::new()).digits / 100, u16::from(class), "{code}");
            }
        }
    }
}
