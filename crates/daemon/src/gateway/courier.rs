//! The adapter from `node` to `gateway` on the way out: a message in its legacy form for the servers of a domain.

use std::sync::Arc;

use bytes::Bytes;
use gateway::dkim_sign::DkimSigner;
use gateway::out::{Outcome, Report as Sent, Sender, Shipment};
use message::address::Address;
use message::{Code, Cookie, Disposition, Message};
use node::{Answered, Consignment, Report, Trouble, TryRecord};
use tokio::sync::Semaphore;

use super::awaited::Awaited;
use crate::clock;

/// Octets of messages in legacy form that are in memory at a time.
const MEMORY_OCTETS_MAX: u32 = 256 * 1024 * 1024;

/// Carries mail to servers of the old world.
pub(crate) struct LegacyCourier {
    pub(crate) sender: Arc<Sender>,
    pub(crate) awaited: Arc<Awaited>,
    pub(crate) host: String,
    pub(crate) signer: DkimSigner,
    pub(crate) room: Semaphore,
}

type Tell<'a> = &'a (dyn Fn(&str, &str) + Send + Sync);

impl LegacyCourier {
    /// Room for what is in memory at a time.
    pub(crate) fn room() -> Semaphore {
        Semaphore::new(MEMORY_OCTETS_MAX as usize)
    }

    pub(crate) async fn deliver(&self, consignment: &Consignment, step: Tell<'_>) -> Report {
        let mut tried = Vec::new();
        let result = self.try_deliver(consignment, step, &mut tried).await;
        Report { result, tried }
    }

    /// What became of cookies; those that are none of ours are unknown.
    pub(crate) fn answers(&self, cookies: &[Cookie]) -> Result<Vec<Answered>, Trouble> {
        let answer = |cookie| {
            let found = self.awaited.answer(cookie);
            found.map(|answer| answer.unwrap_or(Answered::Unknown)).map_err(ours)
        };
        cookies.iter().map(answer).collect()
    }

    async fn try_deliver(
        &self,
        consignment: &Consignment,
        step: Tell<'_>,
        tried: &mut Vec<TryRecord>,
    ) -> Result<Vec<Disposition>, Trouble> {
        // Base64 adds a third, and the message and its legacy form are there at the same time.
        let octets = consignment.message.manifest.message_octets().saturating_mul(7) / 3;
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        if octets > MEMORY_OCTETS_MAX {
            let text = "the message is too large for the old world".to_owned();
            return Err(Trouble::Permanent(Code::MESSAGE_TOO_LARGE, text));
        }
        let _room = self.room.acquire_many(octets).await.map_err(|error| ours(error.to_string()))?;
        let (store, stored) = (consignment.store.clone(), consignment.message.clone());
        let read = tokio::task::spawn_blocking(move || node::whole(store.as_ref(), &stored)).await;
        let message = read
            .map_err(|error| ours(error.to_string()))?
            .ok_or_else(|| ours("the message is not whole".to_owned()))?;
        let message = Arc::new(message);
        let recipients = &consignment.envelope.recipients;
        let (return_path, cookies) = self.awaited.expect(recipients).await.map_err(ours)?;
        let plain = translate::ExportOptions::default();
        let full = translate::ExportOptions { eight_bit: true, utf8_headers: true };
        let octets = match self.legacy_form(consignment, &message, plain).await {
            Ok(octets) => octets,
            // Names that only UTF-8 can say: the other side may be able to.
            Err(_) => self.legacy_form(consignment, &message, full).await?,
        };
        let shipment = Shipment {
            domain: consignment.domain.clone(),
            return_path: Some(return_path.clone()),
            recipients: recipients.iter().map(|address| recipient(address.clone())).collect(),
            octets,
            needs_smtputf8: false,
            envelope_id: None,
            headers_only: true,
            parameters: Vec::new(),
        };
        step("offer", &format!("by SMTP to {}, {} recipients", shipment.domain, recipients.len()));
        let report = self.sender.send(&shipment, step).await;
        let not_taken: Vec<Cookie> = report
            .recipients
            .iter()
            .zip(&cookies)
            .filter(|(outcome, _)| !matches!(outcome, Outcome::Taken { .. }))
            .map(|(_, cookie)| *cookie)
            .collect();
        self.awaited.forget(&return_path, &not_taken, not_taken.len() == cookies.len()).await;
        self.dispositions(&report, &cookies, tried)
    }

    /// The message as SMTP carries it, with a Received field that says which way it came, signed.
    async fn legacy_form(
        &self,
        consignment: &Consignment,
        message: &Arc<Message>,
        options: translate::ExportOptions,
    ) -> Result<Bytes, Trouble> {
        let (copy, signer) = (message.clone(), self.signer.clone());
        let trace = self.trace(consignment);
        let made = tokio::task::spawn_blocking(move || {
            let exported = translate::export(&copy, &options)?;
            let signatures = signer.sign(&exported).unwrap_or_else(|error| {
                // A message without a signature is worth less, and still a message.
                tracing::warn!(%error, "a message leaves without a signature");
                String::new()
            });
            let mut octets = Vec::with_capacity(trace.len() + signatures.len() + exported.len());
            octets.extend_from_slice(trace.as_bytes());
            octets.extend_from_slice(signatures.as_bytes());
            octets.extend_from_slice(&exported);
            Ok::<_, translate::Refusal>(Bytes::from(octets))
        });
        made.await.map_err(|error| ours(error.to_string()))?.map_err(|refusal| {
            let text = format!("the message has no legacy form: {refusal}");
            Trouble::Permanent(Code::new(5, 6, 3), text)
        })
    }

    /// Received fields: this gateway's, and one for each node that the message was at (RFC 5321 section 3.7.2).
    /// keeps: GW-92
    fn trace(&self, consignment: &Consignment) -> String {
        let at = |seconds: u64| {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
            jiff::fmt::rfc2822::to_string(&time.to_zoned(jiff::tz::TimeZone::UTC)).unwrap_or_default()
        };
        let id = consignment.envelope.identity.short();
        let mut fields = format!(
            "Received: by {} with WAXWING id {id};\r\n\t{}\r\n",
            self.host,
            at(clock::now_ms() / 1000)
        );
        for hop in consignment.envelope.trace.iter().rev() {
            fields.push_str(&format!("Received: by {} with WAXWING;\r\n\t{}\r\n", hop.by, at(hop.at)));
        }
        fields
    }

    /// One disposition for each recipient. Where nobody was answered anything but "not now", it is the way that was
    /// troubled, and its time doubles.
    fn dispositions(
        &self,
        report: &Sent,
        cookies: &[Cookie],
        tried: &mut Vec<TryRecord>,
    ) -> Result<Vec<Disposition>, Trouble> {
        tried.extend(report.tried.iter().map(|one| TryRecord {
            host: one.host.clone(),
            step: one.step.word().to_owned(),
            code: Some(one.code),
            text: one.text.clone(),
        }));
        let mut later = None;
        let dispositions: Vec<Disposition> = report
            .recipients
            .iter()
            .zip(cookies)
            .map(|(outcome, cookie)| match outcome {
                Outcome::Taken { host, text, .. } => {
                    let text = text.clone();
                    tried.push(TryRecord {
                        host: host.clone(),
                        step: "relayed".to_owned(),
                        code: None,
                        text,
                    });
                    self.awaited.taken(*cookie)
                }
                Outcome::Refused { code, text } => Disposition::Refused {
                    code: *code,
                    text: crate::inbound::failure((*code, text.clone())).text,
                },
                Outcome::Deferred { code, text } => {
                    later = Some(Trouble::Temporary(*code, text.clone()));
                    Disposition::Deferred { code: *code, after_seconds: 0 }
                }
                Outcome::Unfit { host, .. } => Disposition::Refused {
                    code: Code::new(5, 6, 7),
                    text: format!(
                        "{host} takes no UTF-8 in header fields and addresses, and this message needs it"
                    ),
                },
            })
            .collect();
        let all_later = dispositions.iter().all(|one| matches!(one, Disposition::Deferred { .. }));
        match later {
            Some(trouble) if all_later => Err(trouble),
            _ => Ok(dispositions),
        }
    }
}

fn recipient(address: Address) -> gateway::Recipient {
    gateway::Recipient { address, notify: None, original: None }
}

fn ours(text: String) -> Trouble {
    Trouble::Temporary(Code::SYSTEM_TROUBLE, text)
}
