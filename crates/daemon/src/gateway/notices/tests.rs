use message::Identity;
use message::address::Address;
use storage::EnvelopeId;

use super::*;

const NOW_MS: u64 = 1_000_000;

fn owed(id: u64, to: &str) -> NoticeDue {
    NoticeDue {
        id,
        envelope: EnvelopeId(id),
        identity: Identity::from_hex(&"ab".repeat(32)).unwrap(),
        recipient: Address::parse("bob@north.test").unwrap(),
        return_path: Address::parse(to).unwrap(),
        disposition: Disposition::Expired,
        received_at_ms: NOW_MS,
        header: Vec::new(),
        original: None,
        envelope_id: None,
        account: None,
    }
}

/// What is begun in one look, each in a task that never ends by itself.
fn begun(work: &mut Work, now_ms: u64) -> Vec<(String, usize)> {
    let mut turns = Vec::new();
    while let Some(Turn { domain, stalled, due }) = work.next_turn(now_ms) {
        turns.push((domain.to_string(), due.len()));
        let task = work.tasks.spawn(std::future::pending());
        work.busy.insert(task.id(), (domain, stalled));
    }
    turns
}

fn end(work: &mut Work, domain: &str, settled: Vec<u64>, stalled: impl Into<Option<bool>>) {
    let id = work.busy.iter().find(|(_, (busy, _))| busy.as_str() == domain).map(|(id, _)| *id);
    work.end(Ok((id.unwrap(), Told { settled, stalled: stalled.into() })));
}

/// proves: GW-97
#[tokio::test]
async fn what_is_remembered_is_bounded_and_the_rest_has_its_turn() {
    let mut work = Work::default();
    let most = REMEMBERED_MAX as u64;
    let backlog: Vec<_> = (1..=most + 5_000).map(|id| owed(id, "eve@slow.test")).collect();
    let here: Vec<_> = (20_000..20_010)
        .map(|id| NoticeDue { account: Some("ann".into()), ..owed(id, "ann@north.test") })
        .collect();
    work.note(&backlog);
    work.note(&here);
    let slow = Domain::parse("slow.test").unwrap();
    assert_eq!((work.owed[&slow].len(), work.here.len(), work.after), (REMEMBERED_MAX, 10, Some(20_009)));
    // Nothing is read once more before half of it is settled.
    work.owed.get_mut(&slow).unwrap().retain(|id, _| *id > most / 2 - 1);
    work.look_back();
    assert_eq!(work.after, Some(20_009));
    work.owed.get_mut(&slow).unwrap().remove(&(most / 2));
    work.owed.get_mut(&slow).unwrap().get_mut(&most).unwrap().count = 7;
    work.look_back();
    assert_eq!(work.after, None);
    work.note(&backlog[most as usize / 2..]);
    work.note(&here);
    assert_eq!((work.owed[&slow].len(), work.here.len()), (REMEMBERED_MAX, 10));
    assert_eq!(work.owed[&slow][&most].count, 7, "it was tried as often as it was");
    assert_eq!(work.owed[&slow].keys().next_back(), Some(&(most + 5_000)), "nothing is left out for good");
    // Many domains, of which none has too much.
    let mut work = Work::default();
    for domain in 0..REMEMBERED_IN_ALL_MAX as u64 / 1_000 + 10 {
        let to = format!("eve@d{domain}.test");
        let all: Vec<_> = (0..1_000).map(|id| owed(domain * 1_000 + id, &to)).collect();
        work.note(&all);
    }
    assert_eq!((work.remembered(), work.full), (REMEMBERED_IN_ALL_MAX, true));
    work.look_back();
    assert!(work.after.is_some());
    work.owed.retain(|domain, _| domain.as_str().ends_with("1.test"));
    work.look_back();
    assert_eq!((work.after, work.full), (None, false));
}

/// proves: GW-97
#[tokio::test]
async fn a_backlog_that_is_passed_over_is_read_once_and_waits_by_its_numbers() {
    let mut work = Work::default();
    let backlog: Vec<_> = (1..=9_000).map(|id| owed(id, "eve@slow.test")).collect();
    work.note(&backlog);
    work.note(&[owed(20_001, "ann@fine.test")]);
    let turns = |all: &[(&str, usize)]| -> Vec<(String, usize)> {
        all.iter().map(|(domain, count)| ((*domain).to_owned(), *count)).collect()
    };
    assert_eq!(begun(&mut work, NOW_MS), turns(&[("fine.test", 1), ("slow.test", TURN_MAX)]));
    // One domain ends and the other does not: nothing of the other's is read or begun again.
    end(&mut work, "fine.test", vec![20_001], false);
    assert_eq!(begun(&mut work, NOW_MS), Vec::new());
    assert!(!work.owed.contains_key(&Domain::parse("fine.test").unwrap()));
    assert_eq!(work.after, Some(20_001));
    // It goes on where it was, and what could not be brought there comes later, without being read meanwhile.
    end(&mut work, "slow.test", vec![1, 2], false);
    let slow = Domain::parse("slow.test").unwrap();
    assert_eq!(work.owed[&slow].len(), 8_998);
    let Turn { due, .. } = work.next_turn(NOW_MS).unwrap();
    assert_eq!((due[0], due.len()), (101, TURN_MAX));
    let Turn { due, .. } = work.next_turn(NOW_MS + RETRY_MS.1).unwrap();
    assert_eq!((due[0], due.len(), work.after), (3, TURN_MAX, Some(20_001)));
}

/// proves: GW-97
#[tokio::test]
async fn each_domain_has_its_turn_and_one_that_stalls_waits() {
    let mut work = Work::default();
    let many = u64::try_from(AT_ONCE_MAX).unwrap() + 2;
    for round in 0..200 {
        let all: Vec<_> =
            (0..many).map(|one| owed(round * many + one, &format!("eve@d{one:02}.test"))).collect();
        work.note(&all);
    }
    assert_eq!(begun(&mut work, NOW_MS).len(), AT_ONCE_MAX);
    // The place of the first goes to those that had none, though there is more for it.
    end(&mut work, "d00.test", Vec::new(), false);
    end(&mut work, "d01.test", Vec::new(), true);
    let names: Vec<_> = begun(&mut work, NOW_MS).into_iter().map(|(domain, _)| domain).collect();
    assert_eq!(names, ["d32.test", "d33.test"]);
    end(&mut work, "d02.test", Vec::new(), false);
    assert_eq!(begun(&mut work, NOW_MS), vec![("d00.test".to_owned(), TURN_MAX)]);
    // Its pause is by the real clock.
    let stalled_ms = work.stalled[&Domain::parse("d01.test").unwrap()].next_ms;
    assert_eq!(begun(&mut work, stalled_ms), vec![("d01.test".to_owned(), TURN_MAX)]);
    // It was not asked, since the store could not be read: that says nothing of how it is.
    end(&mut work, "d01.test", Vec::new(), None);
    let Turn { domain, stalled, .. } = work.next_turn(stalled_ms).unwrap();
    assert_eq!((domain.as_str(), stalled), ("d01.test", true));
}
