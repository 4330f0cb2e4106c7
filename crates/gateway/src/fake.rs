//! A handler and records in memory, for the tests of this crate.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use message::{Code, Disposition};

use crate::{
    Change, Client, Handler, Kind, Later, Letter, LoginFailure, Recipient, Record, Records, RecordsError,
    Reply, ReturnPath, ScramKeys, Verdict,
};

/// A handler of one or more local domains, in which every address exists but those that begin with `nobody`, and those
/// with `guess`, for which a session ends.
#[derive(Default)]
pub(crate) struct FakeHandler {
    /// The local domains.
    pub(crate) domains: Vec<String>,
    /// Names of accounts and their passwords.
    pub(crate) accounts: Vec<(String, String)>,
    /// The keys that are given out for SCRAM.
    pub(crate) scram: Option<ScramKeys>,
    taken: Mutex<Vec<Letter>>,
    failed: Mutex<Vec<String>>,
    answers: Mutex<BTreeMap<String, Disposition>>,
    whole: Mutex<Option<Reply>>,
}

impl FakeHandler {
    /// Everything for these domains is accepted, and everything of whoever has logged in.
    pub(crate) fn of(domains: &[&str]) -> FakeHandler {
        FakeHandler {
            domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
            ..FakeHandler::default()
        }
    }

    /// With an account.
    pub(crate) fn with_account(mut self, name: &str, password: &str) -> FakeHandler {
        self.accounts.push((name.to_owned(), password.to_owned()));
        self
    }

    /// From now on this address is answered so; others are accepted.
    pub(crate) fn answer(&self, address: &str, disposition: Disposition) {
        locked(&self.answers).insert(address.to_owned(), disposition);
    }

    /// From now on whole messages are refused so.
    pub(crate) fn refuse_all(&self, reply: Reply) {
        *locked(&self.whole) = Some(reply);
    }

    /// The letters that were taken, the oldest first.
    pub(crate) fn taken(&self) -> Vec<Letter> {
        locked(&self.taken).clone()
    }
}

impl FakeHandler {
    /// The names for which a proof of SCRAM was wrong.
    pub(crate) fn failed(&self) -> Vec<String> {
        locked(&self.failed).clone()
    }
}

impl Handler for FakeHandler {
    fn login_failed<'a>(&'a self, name: &'a str, _from: IpAddr) -> Later<'a, ()> {
        locked(&self.failed).push(name.to_owned());
        Box::pin(async {})
    }

    fn login<'a>(
        &'a self,
        name: &'a str,
        password: &'a str,
        _from: IpAddr,
    ) -> Later<'a, Result<String, LoginFailure>> {
        let known = self.accounts.iter().any(|(account, its)| account == name && its == password);
        Box::pin(async move { if known { Ok(name.to_owned()) } else { Err(LoginFailure::Wrong) } })
    }

    fn scram_keys<'a>(&'a self, _name: &'a str, _from: IpAddr) -> Later<'a, Result<ScramKeys, LoginFailure>> {
        Box::pin(async move { self.scram.clone().ok_or(LoginFailure::Later) })
    }

    fn recipient<'a>(
        &'a self,
        client: &'a Client,
        _return_path: &'a ReturnPath,
        recipient: &'a Recipient,
    ) -> Later<'a, Verdict> {
        let local = self.domains.iter().any(|domain| domain == recipient.address.domain().as_str());
        let verdict = if !local && client.account.is_none() {
            refusal(550, Code::NOT_AUTHORIZED, "not a domain of ours")
        } else if recipient.address.local().as_str().starts_with("guess") {
            let text = "no such address".to_owned();
            Verdict::NoMore(Reply { digits: 550, code: Code::NO_SUCH_ADDRESS, text })
        } else if local && recipient.address.local().as_str().starts_with("nobody") {
            refusal(550, Code::NO_SUCH_ADDRESS, "no such address")
        } else {
            Verdict::Welcome
        };
        Box::pin(async move { verdict })
    }

    fn take(&self, letter: Letter) -> Later<'_, Result<Vec<Disposition>, Reply>> {
        let answers = locked(&self.answers);
        let given = letter
            .recipients
            .iter()
            .map(|recipient| {
                answers.get(&recipient.address.to_string()).cloned().unwrap_or(Disposition::Accepted)
            })
            .collect();
        let answer = locked(&self.whole).clone().map_or(Ok(given), Err);
        locked(&self.taken).push(letter);
        Box::pin(async move { answer })
    }
}

fn refusal(digits: u16, code: Code, text: &str) -> Verdict {
    Verdict::No(Reply { digits, code, text: text.to_owned() })
}

/// Records in memory.
#[derive(Default)]
pub(crate) struct FakeRecords {
    kept: Mutex<BTreeMap<(Kind, Vec<u8>), Record>>,
}

impl Records for FakeRecords {
    fn record(&self, kind: Kind, key: &[u8], now_ms: u64) -> Result<Option<Record>, RecordsError> {
        let kept = locked(&self.kept);
        Ok(kept.get(&(kind, key.to_vec())).filter(|record| record.expires_at_ms > now_ms).cloned())
    }

    fn records(
        &self,
        kind: Kind,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        now_ms: u64,
    ) -> Result<Vec<Record>, RecordsError> {
        let kept = locked(&self.kept);
        let wanted = |(of, key): &(Kind, Vec<u8>)| {
            *of == kind && key.starts_with(prefix) && after.is_none_or(|after| key.as_slice() > after)
        };
        let found = kept.iter().filter(|(place, record)| wanted(place) && record.expires_at_ms > now_ms);
        let page = limit.min(crate::limits::RECORDS_PER_PAGE_MAX);
        Ok(found.map(|(_, record)| record.clone()).take(page).collect())
    }

    fn change(&self, changes: Vec<Change>) -> Later<'_, Result<(), RecordsError>> {
        let mut kept = locked(&self.kept);
        for change in changes {
            match change {
                Change::Put(kind, record) => kept.insert((kind, record.key.clone()), record),
                Change::Remove(kind, key) => kept.remove(&(kind, key)),
            };
        }
        drop(kept);
        Box::pin(async { Ok(()) })
    }
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[tokio::test]
async fn fake_records_are_found_by_their_key_and_prefix_until_they_expire() {
    let records = FakeRecords::default();
    let record = |key: &[u8], expires_at_ms| Record { key: key.to_vec(), value: vec![1], expires_at_ms };
    let put = |key, until| Change::Put(Kind::Cookie, record(key, until));
    records.change(vec![put(b"a1", 10), put(b"a2", 20), put(b"b1", 20)]).await.unwrap();
    assert!(records.record(Kind::Cookie, b"a1", 9).unwrap().is_some());
    assert!(records.record(Kind::Cookie, b"a1", 10).unwrap().is_none());
    assert!(records.record(Kind::Notice, b"a1", 9).unwrap().is_none());
    assert_eq!(records.records(Kind::Cookie, b"a", None, 9, 9).unwrap().len(), 2);
    assert_eq!(records.records(Kind::Cookie, b"a", Some(b"a1"), 9, 9).unwrap(), [record(b"a2", 20)]);
    records.change(vec![Change::Remove(Kind::Cookie, b"b1".to_vec())]).await.unwrap();
    assert!(records.records(Kind::Cookie, b"b", None, 9, 9).unwrap().is_empty());
}
