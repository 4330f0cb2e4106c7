use super::*;

const NOW: u64 = 1_700_000_000_000;

fn domain(name: &str) -> Domain {
    Domain::from_wire(name).unwrap()
}

/// Takes until the limit stops it; returns how often, and what stopped it.
fn fill(buckets: &Buckets, rates: &Rates, party: Party<'_>, recipients: u64, now_ms: u64) -> (u64, Over) {
    let mut count = 0;
    loop {
        match buckets.take(rates, party, recipients, now_ms) {
            Ok(()) => count += 1,
            Err(over) => return (count, over),
        }
    }
}

/// proves: REP-12
#[test]
fn a_peer_brings_what_it_may_and_is_told_when_to_come_again() {
    let (buckets, rates) = (Buckets::default(), Rates::for_peers(60, 600));
    let (north, south) = (domain("north.test"), domain("south.test"));
    let (count, over) = fill(&buckets, &rates, Party::Peer(&north), 1, NOW);
    assert_eq!((count, over.limit, over.after_seconds), (60, "peer-messages-per-minute", 1));
    assert_eq!(buckets.look(&rates, Party::Peer(&north), 1, NOW), Err(over.clone()));
    // To look takes nothing.
    for _ in 0..100 {
        assert_eq!(buckets.look(&rates, Party::Peer(&south), 1, NOW), Ok(()));
    }
    assert_eq!(over.answer(), Disposition::Deferred { code: TOO_MUCH, after_seconds: 1 });
    // Another peer has its own count.
    assert_eq!(buckets.take(&rates, Party::Peer(&south), 1, NOW), Ok(()));
    // After the time that was told there is room for one more, and after a minute for all.
    assert_eq!(fill(&buckets, &rates, Party::Peer(&north), 1, NOW + 1_000).0, 1);
    assert_eq!(fill(&buckets, &rates, Party::Peer(&north), 1, NOW + 120_000).0, 60);
    // Recipients count by themselves; more than fit at once come when there is nothing else.
    let (count, over) = fill(&buckets, &rates, Party::Peer(&south), 100, NOW + 120_000);
    assert_eq!((count, over.limit, over.code), (6, "peer-recipients-per-minute", TOO_MANY_RECIPIENTS));
    assert_eq!(fill(&buckets, &rates, Party::Peer(&south), 5_000, NOW + 240_000).0, 1);
}

/// proves: REP-12
#[test]
fn a_user_has_an_hour_for_messages_and_a_day_for_recipients() {
    let rates = Rates { user_messages_per_hour: 10, user_recipients_per_day: 100, ..Rates::default() };
    let buckets = Buckets::default();
    let (count, over) = fill(&buckets, &rates, Party::User("ann"), 1, NOW);
    assert_eq!((count, over.limit, over.after_seconds), (10, "user-messages-per-hour", 360));
    let (count, over) = fill(&buckets, &rates, Party::User("bob"), 30, NOW);
    assert_eq!((count, over.limit), (3, "user-recipients-per-day"));
    assert_eq!(over.after_seconds, RATE_AFTER_SECONDS_MAX, "nobody is sent away for most of a day");
    let used = buckets.used(&rates, Party::User("bob"), NOW);
    let numbers: Vec<_> = used.iter().map(|used| (used.used, used.of)).collect();
    assert_eq!(numbers, [(3, 10), (90, 100)]);
    assert_eq!(
        fill(&buckets, &Rates { user_messages_per_hour: 1, ..rates }, Party::User("eve"), 1, NOW).0,
        1
    );
    assert_eq!(buckets.take(&Rates::default(), Party::User("eve"), 1_000_000, NOW), Ok(()));
}

/// proves: REP-13
#[test]
fn a_thousand_names_of_one_domain_share_a_count() {
    let (buckets, rates) = (Buckets::default(), Rates::for_peers(60, 0));
    let taken = (0..1_000).filter(|number| {
        let name = domain(&format!("h{number}.evil.test"));
        buckets.take(&rates, Party::Peer(&name), 1, NOW).is_ok()
    });
    assert_eq!(taken.count() as u64, 60 * DOMAIN_FACTOR);
    let check = |name: &str, expected: &str| assert_eq!(registered(&domain(name)), expected, "{name}");
    check("north.test", "north.test");
    check("a.b.c.north.test", "north.test");
    check("mx.example.co.uk", "example.co.uk");
    check("example.co.uk", "example.co.uk");
    check("mx.sub.example.com.au", "example.com.au");
    check("mx.example.de", "example.de");
    check("mx.ibm.com", "ibm.com");
}

/// proves: REP-13
#[test]
fn names_and_addresses_of_the_old_world_have_owners_too() {
    let check = |holder: &str, expected: &str| assert_eq!(owner(holder), expected, "{holder}");
    check("smtp:h1.evil.test", "smtp:evil.test");
    check("smtp:[192.0.2.1]", "smtp:[192.0.2.1]");
    check("smtp:[2001:db8::1]", "smtp:[2001:db8::/64]");
    let (buckets, rates) = (Buckets::default(), Rates::for_peers(60, 0));
    let taken = (0..1_000).filter(|number| {
        let holder = format!("smtp:[2001:db8::{number:x}]");
        buckets.take(&rates, Party::Legacy(&holder), 1, NOW).is_ok()
    });
    assert_eq!(taken.count() as u64, 60 * DOMAIN_FACTOR);
}

/// proves: REP-13
#[test]
fn clocks_that_jump_lock_nobody_out_and_the_table_ends() {
    let (buckets, rates) = (Buckets::default(), Rates::for_peers(60, 0));
    let north = domain("north.test");
    fill(&buckets, &rates, Party::Peer(&north), 1, NOW + 365 * DAY_MS);
    assert_eq!(fill(&buckets, &rates, Party::Peer(&north), 1, NOW).0, 60);
    assert_eq!(fill(&buckets, &rates, Party::Peer(&north), 1, NOW - 1).0, 0, "a second gives nothing away");
    assert_eq!(fill(&buckets, &rates, Party::Peer(&north), 1, NOW + 60_000).0, 60);

    let one = Rates { peer_messages_per_minute: 1, ..Rates::default() };
    let buckets = Buckets::default();
    let taken = |now_ms: u64| {
        let name = |number: usize| domain(&format!("n{number}-{now_ms}.test"));
        (0..RATES_MAX + 100).filter(|n| buckets.take(&one, Party::Peer(&name(*n)), 1, now_ms).is_ok()).count()
    };
    // Those for whom there is no place share one, which is one message a minute.
    assert_eq!(taken(NOW), RATES_MAX + 1);
    assert!(buckets.lock().full_at_us.len() <= RATES_MAX + 1);
    // After a minute nothing of that says anything any more.
    assert_eq!(taken(NOW + 120_000), RATES_MAX + 1);
}

/// proves: SEC-5, REP-14
#[test]
fn what_is_pending_has_room_for_so_many() {
    let rates = Rates { peer_pending: 10, ..Rates::default() };
    assert_eq!([0, 9, 10, 11].map(|pending| pending_room(&rates, pending)), [10, 1, 0, 0]);
    assert_eq!(pending_room(&Rates { peer_pending: 0, ..rates }, 1_000_000), u64::MAX);
    assert!(matches!(pending_full(), Disposition::Deferred { code, .. } if code.class == 4));
}
