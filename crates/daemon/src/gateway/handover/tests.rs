use std::sync::atomic::{AtomicUsize, Ordering};

use gateway::{Later, RecordsError};

use super::super::records::MemoryRecords;
use super::*;

const CODE: Code = Code::new(4, 2, 2);

/// Counts what is written.
#[derive(Default)]
struct Counting(MemoryRecords, AtomicUsize);

impl Records for Counting {
    fn record(&self, kind: Kind, key: &[u8], now_ms: u64) -> Result<Option<Record>, RecordsError> {
        self.0.record(kind, key, now_ms)
    }

    fn records(
        &self,
        kind: Kind,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        now_ms: u64,
    ) -> Result<Vec<Record>, RecordsError> {
        self.0.records(kind, prefix, after, limit, now_ms)
    }

    fn change(&self, changes: Vec<Change>) -> Later<'_, Result<(), RecordsError>> {
        self.1.fetch_add(changes.len(), Ordering::Relaxed);
        self.0.change(changes)
    }
}

/// One of a mailbox that was put off, and is tried again some time from now.
fn put_off(account: &str, number: u64) -> Aside {
    let now_ms = clock::now_ms();
    let first = Aside { tries: 9, ..Aside::first(account, number, "ab".repeat(32), now_ms) };
    first.put_off(CODE, "452 full", now_ms, 3_600_000)
}

async fn is_rung(handover: &Handover) -> bool {
    tokio::select! {
        biased;
        () = handover.due.notified() => true,
        () = std::future::ready(()) => false,
    }
}

/// proves: GW-94
#[tokio::test]
async fn what_was_taken_waits_no_more_though_it_was_changed_meanwhile() {
    let handover = Handover::over(Arc::new(MemoryRecords::default()));
    let handed = put_off("ann", 7);
    handover.go_on("ann", 7, Some(handed.clone())).await.unwrap();
    handover.hasten("ann").await.unwrap();
    assert_ne!(handover.as_it_stands(&handed).unwrap(), Some(handed.clone()));
    handover.settle(&handed, None).await.unwrap();
    assert_eq!(handover.waiting(None).unwrap(), Vec::new());
    // Where it was not taken, what the operator wants stands; and what the operator does not want stays away.
    handover.go_on("ann", 8, Some(put_off("ann", 8))).await.unwrap();
    let [handed] = handover.waiting(None).unwrap().try_into().unwrap();
    assert!(handover.retry("ann", 8).await.unwrap());
    let later = handed.clone().put_off(CODE, "452 full", clock::now_ms(), 3_600_000);
    handover.settle(&handed, Some(later.clone())).await.unwrap();
    assert_eq!(handover.as_it_stands(&handed).unwrap().unwrap().tries, 0);
    assert!(handover.forget("ann", 8).await.unwrap());
    for after in [Some(later), None] {
        handover.settle(&handed, after).await.unwrap();
        assert_eq!(handover.waiting(None).unwrap(), Vec::new());
    }
}

/// What is handed over costs nobody a look at what waits.
///
/// proves: GW-95
#[tokio::test]
async fn the_courier_is_rung_for_what_was_put_off_alone() {
    let handover = Handover::over(Arc::new(MemoryRecords::default()));
    let none = BTreeSet::new();
    handover.go_on("ann", 6, None).await.unwrap();
    let refused = Aside::first("ann", 7, "ab".repeat(32), 1_000).refused(CODE, "550 no", clock::now_ms());
    handover.go_on("ann", 7, Some(refused)).await.unwrap();
    assert!(!is_rung(&handover).await && handover.next_due_ms(&none).is_none());
    let (first, second) = (put_off("ann", 8), put_off("bob", 9));
    for aside in [&first, &second] {
        handover.go_on(&aside.account, aside.number, Some(aside.clone())).await.unwrap();
    }
    assert!(is_rung(&handover).await);
    let sooner_ms = first.next_ms.min(second.next_ms);
    assert_eq!(handover.next_due_ms(&none), Some(sooner_ms));
    assert_eq!(handover.take_due(&none, sooner_ms - 1), None);
    // Who waits for the longest time is first, but for who is being served.
    handover.note_due("bob", sooner_ms - 1);
    assert!(is_rung(&handover).await);
    let busy = BTreeSet::from(["bob".to_owned()]);
    assert_eq!(handover.next_due_ms(&busy), Some(first.next_ms));
    assert_eq!(handover.take_due(&busy, first.next_ms).as_deref(), Some("ann"));
    assert_eq!(handover.take_due(&none, first.next_ms).as_deref(), Some("bob"));
    assert_eq!(handover.take_due(&none, u64::MAX), None);
    // After a restart it is read.
    handover.note_waiting(None).unwrap();
    assert_eq!(handover.next_due_ms(&none), Some(sooner_ms));
}

/// proves: GW-95
#[tokio::test]
async fn where_one_is_taken_the_others_of_its_mailbox_are_due_and_written_once() {
    let records = Arc::new(Counting::default());
    let handover = Handover::over(records.clone());
    for aside in [put_off("ann", 7), put_off("ann", 8), put_off("bob", 9)] {
        handover.go_on(&aside.account.clone(), aside.number, Some(aside)).await.unwrap();
    }
    let written = || records.1.swap(0, Ordering::Relaxed);
    written();
    handover.hasten("ann").await.unwrap();
    assert_eq!(written(), 2);
    let now_ms = clock::now_ms();
    assert!(handover.waiting(Some("ann")).unwrap().iter().all(|aside| aside.next_ms <= now_ms));
    assert!(handover.waiting(Some("bob")).unwrap().iter().all(|aside| aside.next_ms > now_ms));
    handover.hasten("ann").await.unwrap();
    assert_eq!(written(), 0);
}

/// proves: GW-95
#[test]
fn each_attempt_is_later_and_there_is_an_end() {
    let code = Code::new(4, 2, 2);
    let mut aside = Aside::first("ann", 7, "ab".repeat(32), 1_000);
    let mut now_ms = 1_000;
    let mut pauses = Vec::new();
    while aside.state == State::Waiting {
        aside = aside.put_off(code, "452 full", now_ms, 3_600_000);
        pauses.push(aside.next_ms - now_ms);
        now_ms = aside.next_ms;
    }
    assert_eq!(aside.state, State::GivenUp);
    assert!(now_ms >= 3_601_000 && now_ms < 3_601_000 + RETRY_MS.1, "{now_ms}");
    let grows = pauses.windows(2).take(8).all(|pair| pair[0] < pair[1]);
    assert!(grows && pauses.iter().all(|pause| *pause <= RETRY_MS.1), "{pauses:?}");
    assert_eq!((aside.tries as usize, aside.text.as_str()), (pauses.len(), "452 full"));
}
