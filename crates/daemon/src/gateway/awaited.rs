//! What was sent to the old world and may still come back as a notice: each transaction has a return path of its own, and
//! what comes there settles a cookie and is never delivered.
//!
//! keeps: GW-90, GW-91

use std::sync::Arc;

use data_encoding::HEXLOWER;
use gateway::notice::{self, About, Tags};
use gateway::{Change, Kind, Letter, Record, Records};
use message::address::{Address, Domain};
use message::{Code, Cookie, Disposition};
use node::Answered;
use serde::{Deserialize, Serialize};

use crate::clock;
use node::Clock;

/// For how long what is awaited is remembered beyond its window.
const KEPT_MS: u64 = 10 * 86_400_000;

/// What was sent, and what is awaited.
pub(crate) struct Awaited {
    pub(crate) records: Arc<dyn Records>,
    pub(crate) tags: Tags,
    /// The domain of our return paths.
    pub(crate) domain: Domain,
    /// Seconds for which a notice is awaited.
    pub(crate) window_seconds: u32,
    /// Who is told that something has settled.
    pub(crate) settled: Box<dyn Fn(Vec<Cookie>) + Send + Sync>,
}

/// One transaction, as it is remembered under its return path.
#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    version: u8,
    /// Address and cookie of each recipient.
    recipients: Vec<(String, String)>,
}

/// What is awaited for one recipient, as it is remembered under its cookie.
#[derive(Debug, Serialize, Deserialize)]
struct Expected {
    version: u8,
    until_ms: u64,
    /// Code and text of a notice of failure.
    failed: Option<(String, String)>,
}

impl Awaited {
    /// Remembers one transaction before it is sent: its return path, and a cookie for each recipient.
    pub(crate) async fn expect(&self, recipients: &[Address]) -> Result<(Address, Vec<Cookie>), String> {
        let mut number = [0; 8];
        clock::SystemClock.random(&mut number);
        let return_path = Address::from_wire(&format!("{}@{}", self.tags.local_part(number), self.domain))
            .map_err(|error| error.to_string())?;
        let cookies: Vec<Cookie> = recipients
            .iter()
            .map(|_| {
                let mut octets = [0; 32];
                clock::SystemClock.random(&mut octets);
                Cookie::from_bytes(octets)
            })
            .collect();
        let now_ms = clock::now_ms();
        let until_ms = now_ms.saturating_add(u64::from(self.window_seconds) * 1000);
        let sent = Sent {
            version: 1,
            recipients: recipients
                .iter()
                .zip(&cookies)
                .map(|(address, cookie)| (address.to_string(), HEXLOWER.encode(cookie.as_bytes())))
                .collect(),
        };
        let expires_at_ms = until_ms.saturating_add(KEPT_MS);
        let mut changes = vec![put(Kind::ReturnPath, number.to_vec(), &sent, expires_at_ms)?];
        for cookie in &cookies {
            let expected = Expected { version: 1, until_ms, failed: None };
            changes.push(put(Kind::Notice, cookie.as_bytes().to_vec(), &expected, expires_at_ms)?);
        }
        self.records.change(changes).await.map_err(|error| error.to_string())?;
        Ok((return_path, cookies))
    }

    /// Forgets what was not taken: nothing will come back for it. A failure to do so leaves records that expire.
    pub(crate) async fn forget(&self, return_path: &Address, not_taken: &[Cookie], all: bool) {
        let mut changes: Vec<Change> =
            not_taken.iter().map(|cookie| Change::Remove(Kind::Notice, cookie.as_bytes().to_vec())).collect();
        if all && let Some(number) = self.tags.number(return_path.local().as_str()) {
            changes.push(Change::Remove(Kind::ReturnPath, number.to_vec()));
        }
        if !changes.is_empty()
            && let Err(error) = self.records.change(changes).await
        {
            tracing::debug!(%error, "what was not sent is forgotten when its time is over");
        }
    }

    /// What the sender is told for a recipient whom another server has taken the message for.
    pub(crate) fn taken(&self, cookie: Cookie) -> Disposition {
        match self.window_seconds {
            0 => Disposition::Relayed,
            seconds => Disposition::Pending {
                cookie,
                min_seconds: seconds,
                max_seconds: seconds.saturating_add(60),
                until: clock::now_ms() / 1000 + u64::from(seconds) + 3600,
            },
        }
    }

    /// What became of cookies of ours.
    pub(crate) fn answer(&self, cookie: &Cookie) -> Result<Option<Answered>, String> {
        let now_ms = clock::now_ms();
        let found =
            self.records.record(Kind::Notice, cookie.as_bytes(), now_ms).map_err(|e| e.to_string())?;
        let Some(expected) = found.and_then(|record| read::<Expected>(&record)) else { return Ok(None) };
        Ok(Some(match expected.failed {
            Some((code, text)) => Answered::Final(Disposition::Refused {
                code: Code::parse(&code).unwrap_or(Code::new(5, 0, 0)),
                text,
            }),
            None if now_ms >= expected.until_ms => Answered::Final(Disposition::Relayed),
            None => {
                let left = u32::try_from((expected.until_ms - now_ms).div_ceil(1000)).unwrap_or(u32::MAX);
                Answered::Pending { min_seconds: left, max_seconds: left.saturating_add(60) }
            }
        }))
    }

    /// Whether an address has the form of our return paths.
    pub(crate) fn is_tag(&self, address: &Address) -> bool {
        *address.domain() == self.domain && Tags::has_form(address.local().as_str())
    }

    /// Whether it is one under which something was sent.
    ///
    /// # Errors
    /// A code of class 4 and a text where the store cannot be read: who brings a notice comes again.
    pub(crate) fn knows(&self, address: &Address) -> Result<bool, (Code, String)> {
        Ok(self.sent(address)?.is_some())
    }

    fn sent(&self, address: &Address) -> Result<Option<Sent>, (Code, String)> {
        let Some(number) = self.tags.number(address.local().as_str()) else { return Ok(None) };
        let found = self.records.record(Kind::ReturnPath, &number, clock::now_ms()).map_err(kept)?;
        Ok(found.as_ref().and_then(read))
    }

    /// Takes what has come to return paths of ours: for each recipient of the letter that is one, what is answered.
    pub(crate) async fn notices(&self, letter: &Letter) -> Result<Vec<Option<Disposition>>, (Code, String)> {
        let mut answers = Vec::with_capacity(letter.recipients.len());
        for recipient in &letter.recipients {
            answers.push(match self.is_tag(&recipient.address) {
                true => Some(self.notice(&recipient.address, letter).await?),
                false => None,
            });
        }
        Ok(answers)
    }

    async fn notice(&self, address: &Address, letter: &Letter) -> Result<Disposition, (Code, String)> {
        let refused = |code, text: &str| Disposition::Refused { code, text: text.to_owned() };
        let Some(sent) = self.sent(address)?.filter(|_| letter.return_path.is_none()) else {
            return Ok(refused(Code::NO_SUCH_ADDRESS, "nothing was sent under this address"));
        };
        let notice = notice::read(&letter.octets);
        if !notice.is_one() {
            return Ok(refused(Code::NOT_AUTHORIZED, "this address takes notices about its message only"));
        }
        let (now_ms, mut changes, mut settled) = (clock::now_ms(), Vec::new(), Vec::new());
        for (recipient, cookie) in &sent.recipients {
            let only = sent.recipients.len() == 1;
            let failure = notice.failures().find(|about| about.is_about(recipient, only));
            let Some(failure) = failure else {
                continue;
            };
            let Some(cookie) =
                HEXLOWER.decode(cookie.as_bytes()).ok().and_then(|octets| octets.try_into().ok())
            else {
                continue;
            };
            let cookie: [u8; 32] = cookie;
            let found = self.records.record(Kind::Notice, &cookie, now_ms).map_err(kept)?;
            let Some((record, mut expected)) = found.and_then(|record| {
                let expected = read::<Expected>(&record)?;
                Some((record, expected))
            }) else {
                continue;
            };
            // What was said first stands.
            if expected.failed.is_none() && now_ms < expected.until_ms {
                expected.failed = Some((failure.code.to_string(), text_of(failure)));
                let change = put(Kind::Notice, cookie.to_vec(), &expected, record.expires_at_ms);
                changes.push(change.map_err(|text| (Code::SYSTEM_TROUBLE, text))?);
                settled.push(Cookie::from_bytes(cookie));
            }
        }
        if !changes.is_empty() {
            self.records.change(changes).await.map_err(kept)?;
            (self.settled)(settled);
        }
        Ok(Disposition::Accepted)
    }
}

/// Why, for the author.
fn text_of(about: &About) -> String {
    match about.diagnostic.is_empty() {
        true => "a notice of failure has come".to_owned(),
        false => crate::inbound::failure((about.code, about.diagnostic.clone())).text,
    }
}

fn put<T: Serialize>(kind: Kind, key: Vec<u8>, value: &T, expires_at_ms: u64) -> Result<Change, String> {
    let value = serde_json::to_vec(value).map_err(|error| error.to_string())?;
    Ok(Change::Put(kind, Record { key, value, expires_at_ms }))
}

fn read<T: for<'a> Deserialize<'a>>(record: &Record) -> Option<T> {
    serde_json::from_slice(&record.value).ok()
}

fn kept(error: gateway::RecordsError) -> (Code, String) {
    tracing::warn!(%error, "a notice cannot be kept now");
    (Code::SYSTEM_TROUBLE, "the store cannot be read now".to_owned())
}

#[cfg(test)]
mod tests {
    use gateway::RecordsError;

    use super::*;
    use crate::gateway::MemoryRecords;

    /// A store that cannot be read just now.
    struct Unreadable;

    impl Records for Unreadable {
        fn record(&self, _: Kind, _: &[u8], _: u64) -> Result<Option<Record>, RecordsError> {
            Err(RecordsError("out of order".to_owned()))
        }

        fn records(
            &self,
            _: Kind,
            _: &[u8],
            _: Option<&[u8]>,
            _: usize,
            _: u64,
        ) -> Result<Vec<Record>, RecordsError> {
            Err(RecordsError("out of order".to_owned()))
        }

        fn change(&self, _: Vec<Change>) -> gateway::Later<'_, Result<(), RecordsError>> {
            Box::pin(std::future::ready(Err(RecordsError("out of order".to_owned()))))
        }
    }

    fn awaited(records: Arc<dyn Records>) -> Awaited {
        Awaited {
            records,
            tags: Tags::new([7; 32]),
            domain: Domain::parse("north.test").unwrap(),
            window_seconds: 60,
            settled: Box::new(|_| {}),
        }
    }

    /// proves: GW-91
    #[tokio::test]
    async fn a_store_that_cannot_be_read_refuses_no_notice_for_good() {
        let recipients = [Address::parse("bob@old.test").unwrap()];
        let good = awaited(Arc::new(MemoryRecords::default()));
        let (return_path, _) = good.expect(&recipients).await.unwrap();
        assert_eq!(good.knows(&return_path), Ok(true));
        let (code, _) = awaited(Arc::new(Unreadable)).knows(&return_path).unwrap_err();
        assert_eq!(code.class, 4, "the notice comes again");
        // What this node has not given out is nobody's, whether the store can be read or not.
        let forged = Address::parse(&format!("wx-{}@north.test", "a".repeat(29))).unwrap();
        assert!(good.is_tag(&forged));
        assert_eq!(awaited(Arc::new(Unreadable)).knows(&forged), Ok(false));
    }

    #[tokio::test]
    async fn what_was_not_taken_is_forgotten() {
        let recipients = [Address::parse("bob@old.test").unwrap(), Address::parse("zoe@old.test").unwrap()];
        let awaited = awaited(Arc::new(MemoryRecords::default()));
        let (return_path, cookies) = awaited.expect(&recipients).await.unwrap();
        awaited.forget(&return_path, &cookies[..1], false).await;
        assert_eq!(awaited.knows(&return_path), Ok(true), "one of them is still awaited");
        assert_eq!(awaited.answer(&cookies[0]), Ok(None));
        assert!(matches!(awaited.answer(&cookies[1]), Ok(Some(Answered::Pending { .. }))));
        awaited.forget(&return_path, &cookies[1..], true).await;
        assert_eq!(awaited.knows(&return_path), Ok(false));
    }
}
