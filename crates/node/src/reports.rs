//! Reports of abuse by users, about what has been delivered to them.
//!
//! What it is: who may report what, how often, and what it counts. What it is not: how a forwarder hears of it, which is
//! the gateway's.

use message::Code;
use storage::{LegacyChange, LegacyRecord, MailUid, Origin};

use crate::Node;
use crate::accept::{Failure, trouble};
use crate::forwarding::Unwanted;
use crate::limits::REPORTS_PER_DAY;
use crate::memory::Deed;

/// The node's own kind among the small records.
const OWN_KIND: u8 = 0;
const DAY_MS: u64 = 86_400_000;
/// For how long it is remembered that a message was reported.
const REMEMBERED_MS: u64 = 365 * DAY_MS;

impl Node {
    /// A user reports a message of the own mailbox as abuse: it counts as a complaint about who has brought it, and where a
    /// forwarder has, and wants to hear of it, it is told. Each message is reported once.
    ///
    /// # Errors
    /// A code and a text where there is no such message, it was reported, the account has reported too much, or the store
    /// fails.
    ///
    /// keeps: FWD-40
    pub async fn report(&self, account: &str, number: MailUid) -> Result<(), Failure> {
        let _one = self.inner.reporting.lock().await;
        let invalid = |text: &str| (Code::INVALID_ARGUMENTS, text.to_owned());
        let before = number.0.checked_sub(1).map(MailUid);
        let entries = self.store().mailbox(account, before, 1).map_err(trouble)?;
        let entry = entries.into_iter().find(|entry| entry.uid == number);
        let entry = entry.ok_or_else(|| invalid("there is no such message in this mailbox"))?;
        if matches!(entry.origin, Origin::Submission { .. }) {
            return Err((Code::NOT_AUTHORIZED, "nobody else has brought this message".to_owned()));
        }
        let now_ms = self.now_ms();
        let (once, today) =
            (key(b"reported", account, 0, number), key(b"reports", account, now_ms / DAY_MS, number));
        if self.store().legacy_record(OWN_KIND, &once).map_err(trouble)?.is_some() {
            return Err(invalid("this message was reported already"));
        }
        let prefix = &today[..today.len() - 8];
        let reported =
            self.store().legacy_records(OWN_KIND, prefix, None, REPORTS_PER_DAY).map_err(trouble)?;
        if reported.len() >= REPORTS_PER_DAY {
            let text = format!("{REPORTS_PER_DAY} messages were reported today; the others can be tomorrow");
            return Err((Code::new(4, 7, 1), text));
        }
        let put = |key: Vec<u8>, kept_ms: u64| {
            let expires_at_ms = now_ms.saturating_add(kept_ms);
            LegacyChange::Put(LegacyRecord { kind: OWN_KIND, key, value: Vec::new(), expires_at_ms })
        };
        let changes = vec![put(once, REMEMBERED_MS), put(today, DAY_MS)];
        self.store().change_legacy_records(changes).await.map_err(trouble)?;
        self.note_deed(&entry.origin, Deed::Complaint);
        self.complain(self.complaint_about(&Unwanted {
            origin: &entry.origin,
            recipient: &entry.recipient,
            identity: entry.identity,
            is_here: true,
            arrived_at_ms: entry.received_at_ms,
        })?);
        Ok(())
    }
}

/// A key of bounded length: what it is, whose, a day, and which message.
fn key(what: &[u8], account: &str, day: u64, number: MailUid) -> Vec<u8> {
    let whose = message::Digest::of(account.as_bytes());
    [what, b" ", whose.as_bytes(), &day.to_be_bytes(), &number.0.to_be_bytes()].concat()
}
