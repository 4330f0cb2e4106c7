//! What was put aside on its way to the mailbox server: each message with a back-off of its own, until the server takes it or
//! its time is over; and what has ended without the server, for the operator to see. The native mailbox has all of it.
//!
//! keeps: GW-95, GW-96

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateway::{Change, Kind, Record, Records};
use message::{Code, Digest};
use node::delay_ms;
use serde::{Deserialize, Serialize};
use storage::Store;
use tokio::sync::Notify;

use super::records::StoreRecords;
use crate::clock;
use crate::limits::{
    HANDOVER_ENDED_MAX, HANDOVER_ENDED_MS, HANDOVER_PAGE, HANDOVER_TEXT_OCTETS_MAX, HANDOVER_WAITING_MAX,
};

/// The first and the longest time between two attempts: a mailbox server is of this site, and comes back soon.
pub(super) const RETRY_MS: (u64, u64) = (500, 5 * 60_000);
/// The first octet of the keys of what waits, and of what has ended.
const WAITING: u8 = 0;
const ENDED: u8 = 1;

/// What was put aside, and where it is kept.
pub(crate) struct Handover {
    records: Arc<dyn Records>,
    /// Held from reading a record to writing it: the operator and the courier change the same ones.
    changing: tokio::sync::Mutex<()>,
    /// When something of a mailbox is due, in Unix milliseconds, or sooner. It holds no truth: the records do.
    times: Mutex<BTreeMap<String, u64>>,
    /// Since when the server itself is not there, in Unix milliseconds, and what was said.
    away: Mutex<Option<(u64, String)>>,
    /// Rung when something is due sooner than was known.
    pub(super) due: Notify,
    /// Rung when something waits no more, so that there may be room for the rest of its mailbox.
    pub(super) room: Notify,
}

/// How it stands with a message that the server did not take at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// It is tried again.
    Waiting,
    /// The server has refused it for good.
    Refused,
    /// Its time was over before the server took it.
    GivenUp,
}

impl State {
    /// The word for people and programs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Refused => "refused",
            State::GivenUp => "given-up",
        }
    }
}

/// One message of one mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Aside {
    version: u8,
    pub(crate) account: String,
    /// Its number in the mailbox.
    pub(crate) number: u64,
    /// Which message, in hexadecimal digits.
    pub(crate) identity: String,
    pub(crate) state: State,
    /// When it was put aside, in Unix milliseconds: from then on its time runs.
    pub(crate) since_ms: u64,
    /// How often the server was asked.
    pub(crate) tries: u32,
    /// When it is tried next, in Unix milliseconds; where it has ended, when that was.
    pub(crate) next_ms: u64,
    /// What the server has said last.
    pub(crate) code: String,
    pub(crate) text: String,
}

impl Aside {
    /// One that was asked for once and got this answer.
    pub(super) fn first(account: &str, number: u64, identity: String, now_ms: u64) -> Aside {
        Aside {
            version: 1,
            account: account.to_owned(),
            number,
            identity,
            state: State::Waiting,
            since_ms: now_ms,
            tries: 0,
            next_ms: now_ms,
            code: String::new(),
            text: String::new(),
        }
    }

    /// The server has put it off once more: it waits, longer each time, until its time is over.
    pub(super) fn put_off(mut self, code: Code, text: &str, now_ms: u64, longest_ms: u64) -> Aside {
        self.state = match now_ms.saturating_sub(self.since_ms) >= longest_ms {
            true => State::GivenUp,
            false => State::Waiting,
        };
        self.next_ms = match self.state {
            State::Waiting => now_ms + delay_ms(self.tries, RETRY_MS.0, RETRY_MS.1, self.number),
            _ => now_ms,
        };
        self.answered(code, text)
    }

    /// The server has refused it for good.
    pub(super) fn refused(mut self, code: Code, text: &str, now_ms: u64) -> Aside {
        (self.state, self.next_ms) = (State::Refused, now_ms);
        self.answered(code, text)
    }

    fn answered(mut self, code: Code, text: &str) -> Aside {
        self.tries = self.tries.saturating_add(1);
        self.code = code.to_string();
        self.text = text.to_owned();
        while self.text.len() > HANDOVER_TEXT_OCTETS_MAX {
            self.text.pop();
        }
        self
    }

    fn key(&self) -> Vec<u8> {
        key(self.state, &self.account, self.number)
    }
}

/// The mailbox in the keys of records.
pub(super) fn mailbox_key(account: &str) -> [u8; 32] {
    *Digest::of(account.as_bytes()).as_bytes()
}

fn key(state: State, account: &str, number: u64) -> Vec<u8> {
    let first = if state == State::Waiting { WAITING } else { ENDED };
    [&[first][..], &mailbox_key(account), &number.to_be_bytes()].concat()
}

/// The beginning of the keys of what waits in a mailbox.
fn waiting_of(account: &str) -> Vec<u8> {
    [&[WAITING][..], &mailbox_key(account)].concat()
}

fn read(record: &Record) -> Option<Aside> {
    serde_json::from_slice(&record.value).ok()
}

impl Handover {
    pub(crate) fn new(store: Arc<dyn Store>) -> Handover {
        Handover::over(Arc::new(StoreRecords(store)))
    }

    fn over(records: Arc<dyn Records>) -> Handover {
        Handover {
            records,
            changing: tokio::sync::Mutex::default(),
            times: Mutex::default(),
            away: Mutex::default(),
            due: Notify::new(),
            room: Notify::new(),
        }
    }

    /// How far a mailbox has come: the last of its messages that is handed over or put aside.
    pub(super) fn progress(&self, account: &str) -> Result<Option<u64>, String> {
        let found = self.records.record(Kind::Handed, &mailbox_key(account), clock::now_ms());
        let found = found.map_err(words)?;
        Ok(found.and_then(|record| Some(u64::from_be_bytes(record.value.try_into().ok()?))))
    }

    /// A mailbox has come so far; what was put aside meanwhile is written in the same transaction.
    pub(super) async fn go_on(&self, account: &str, number: u64, aside: Option<Aside>) -> Result<(), String> {
        let _changing = self.changing.lock().await;
        let (key, value) = (mailbox_key(account).to_vec(), number.to_be_bytes().to_vec());
        let mut changes = vec![Change::Put(Kind::Handed, Record { key, value, expires_at_ms: u64::MAX })];
        if let Some(aside) = &aside {
            changes.extend(self.make_room(aside)?);
            changes.push(put(aside)?);
        }
        self.records.change(changes).await.map_err(words)?;
        if let Some(aside) = aside.filter(|aside| aside.state == State::Waiting) {
            self.note_due(account, aside.next_ms);
        }
        Ok(())
    }

    /// How it stands with one that was waiting: none where it is settled, and then it waits no more. Otherwise what the
    /// operator has changed meanwhile stands. keeps: GW-94
    pub(super) async fn settle(&self, before: &Aside, after: Option<Aside>) -> Result<(), String> {
        let _changing = self.changing.lock().await;
        let found = self.as_it_stands(before)?;
        if found.as_ref() != Some(before) && (after.is_some() || found.is_none()) {
            return Ok(());
        }
        let mut changes = vec![Change::Remove(Kind::Aside, before.key())];
        if let Some(after) = after {
            changes.extend(self.make_room(&after)?);
            changes.push(put(&after)?);
        }
        self.records.change(changes).await.map_err(words)?;
        self.room.notify_one();
        Ok(())
    }

    /// Of what has ended the oldest of a mailbox goes where there is too much of it.
    fn make_room(&self, aside: &Aside) -> Result<Option<Change>, String> {
        if aside.state == State::Waiting {
            return Ok(None);
        }
        let prefix = [&[ENDED][..], &mailbox_key(&aside.account)].concat();
        let found = self.page(&prefix, None, HANDOVER_ENDED_MAX)?;
        let oldest = found.first().filter(|_| found.len() >= HANDOVER_ENDED_MAX);
        Ok(oldest.map(|record| Change::Remove(Kind::Aside, record.key.clone())))
    }

    fn page(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Record>, String> {
        self.records.records(Kind::Aside, prefix, after, limit, clock::now_ms()).map_err(words)
    }

    /// One that waits, as it stands now.
    pub(super) fn as_it_stands(&self, listed: &Aside) -> Result<Option<Aside>, String> {
        let found = self.records.record(Kind::Aside, &listed.key(), clock::now_ms()).map_err(words)?;
        Ok(found.and_then(|record| read(&record)))
    }

    /// What waits, of one mailbox or of all.
    pub(super) fn waiting(&self, account: Option<&str>) -> Result<Vec<Aside>, String> {
        let prefix = account.map_or_else(|| vec![WAITING], waiting_of);
        let (mut all, mut after) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let page = self.page(&prefix, after.as_deref(), HANDOVER_PAGE)?;
            all.extend(page.iter().filter_map(read));
            match page.last() {
                Some(last) if page.len() == HANDOVER_PAGE => after = Some(last.key.clone()),
                _ => return Ok(all),
            }
        }
    }

    /// Whether so much of a mailbox waits that the rest has to.
    pub(super) fn is_full(&self, account: &str) -> Result<bool, String> {
        Ok(self.page(&waiting_of(account), None, HANDOVER_WAITING_MAX)?.len() >= HANDOVER_WAITING_MAX)
    }

    /// Others of the mailbox are due now: its server has taken one that it had put off.
    pub(super) async fn hasten(&self, account: &str) -> Result<(), String> {
        let _changing = self.changing.lock().await;
        let now_ms = clock::now_ms();
        let later = self.waiting(Some(account))?.into_iter().filter(|aside| aside.next_ms > now_ms);
        let due = later.take(HANDOVER_WAITING_MAX).map(|aside| put(&Aside { next_ms: now_ms, ..aside }));
        let changes = due.collect::<Result<Vec<Change>, String>>()?;
        match changes.is_empty() {
            true => Ok(()),
            false => self.records.change(changes).await.map_err(words),
        }
    }

    fn times(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something of a mailbox is due then.
    pub(super) fn note_due(&self, account: &str, next_ms: u64) {
        let mut times = self.times();
        if times.get(account).is_none_or(|known_ms| next_ms < *known_ms) {
            times.insert(account.to_owned(), next_ms);
            self.due.notify_one();
        }
    }

    /// Reads when something is due, in one mailbox or in all.
    pub(super) fn note_waiting(&self, account: Option<&str>) -> Result<(), String> {
        let waiting = self.waiting(account)?;
        waiting.iter().for_each(|aside| self.note_due(&aside.account, aside.next_ms));
        Ok(())
    }

    /// The mailbox in which something is due for the longest time, but for those; it is noted no more.
    pub(super) fn take_due(&self, busy: &BTreeSet<String>, now_ms: u64) -> Option<String> {
        let mut times = self.times();
        let due = times.iter().filter(|(name, next_ms)| **next_ms <= now_ms && !busy.contains(*name));
        let name = due.min_by_key(|(_, next_ms)| **next_ms).map(|(name, _)| name.clone())?;
        times.remove(&name);
        Some(name)
    }

    /// When something is due, but in those mailboxes, in Unix milliseconds.
    pub(super) fn next_due_ms(&self, busy: &BTreeSet<String>) -> Option<u64> {
        self.times().iter().filter(|(name, _)| !busy.contains(*name)).map(|(_, next_ms)| *next_ms).min()
    }

    /// Notes whether the server is there.
    pub(super) fn note_away(&self, away: Option<&str>) {
        let mut noted = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = away.map(|text| {
            let since_ms = noted.as_ref().map_or_else(clock::now_ms, |(since_ms, _)| *since_ms);
            (since_ms, text.to_owned())
        });
    }

    /// Since when the server is not there, in Unix milliseconds, and what was said.
    pub(crate) fn away(&self) -> Option<(u64, String)> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What waits and what has ended, after a place; each with its place.
    pub(crate) fn list(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<(Vec<u8>, Aside)>, String> {
        let page = self.page(&[], after, limit)?;
        Ok(page.into_iter().filter_map(|record| Some((record.key.clone(), read(&record)?))).collect())
    }

    /// One of them, whatever became of it.
    fn one(&self, account: &str, number: u64) -> Result<Option<Aside>, String> {
        for state in [State::Waiting, State::Refused] {
            let found = self.records.record(Kind::Aside, &key(state, account, number), clock::now_ms());
            if let Some(aside) = found.map_err(words)?.and_then(|record| read(&record)) {
                return Ok(Some(aside));
            }
        }
        Ok(None)
    }

    /// The operator wants it tried again, now and with all of its time; says whether there is such a message.
    pub(crate) async fn retry(&self, account: &str, number: u64) -> Result<bool, String> {
        let _changing = self.changing.lock().await;
        let Some(before) = self.one(account, number)? else { return Ok(false) };
        let now_ms = clock::now_ms();
        let after =
            Aside { state: State::Waiting, since_ms: now_ms, next_ms: now_ms, tries: 0, ..before.clone() };
        let changes = vec![Change::Remove(Kind::Aside, before.key()), put(&after)?];
        self.records.change(changes).await.map_err(words)?;
        self.note_due(account, now_ms);
        Ok(true)
    }

    /// The operator does not want it handed over any more; says whether there is such a message.
    pub(crate) async fn forget(&self, account: &str, number: u64) -> Result<bool, String> {
        let _changing = self.changing.lock().await;
        let Some(before) = self.one(account, number)? else { return Ok(false) };
        self.records.change(vec![Change::Remove(Kind::Aside, before.key())]).await.map_err(words)?;
        self.room.notify_one();
        Ok(true)
    }
}

fn put(aside: &Aside) -> Result<Change, String> {
    let expires_at_ms = match aside.state {
        State::Waiting => u64::MAX,
        State::Refused | State::GivenUp => aside.next_ms.saturating_add(HANDOVER_ENDED_MS),
    };
    let value = serde_json::to_vec(aside).map_err(words)?;
    Ok(Change::Put(Kind::Aside, Record { key: aside.key(), value, expires_at_ms }))
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests;
