use super::*;
use std::sync::atomic::AtomicI64;

use crate::conformance::{Counter, Tamper, Tampered, block_on};
use crate::{
    Acceptance, Content, CookieAnswer, Effect, Exported, FindingKind, Intended, Lane, LegId, Memory,
    NewMessage, Origin, Store,
};
use message::address::Address;
use message::{Disposition, Draft, DraftContent, DraftPart, HeaderBuilder, Message};

const NOW: u64 = 1_700_000_000_000;

/// A cookie that begins with this number.
fn cookie(number: u32) -> Cookie {
    let mut cookie = [0; 32];
    cookie[..4].copy_from_slice(&number.to_be_bytes());
    Cookie::from_bytes(cookie)
}

/// A message of one empty part that goes to these, from this origin.
fn letter(number: u32, origin: Origin, recipients: Vec<Intended>) -> Acceptance {
    let mut header = HeaderBuilder::new();
    header.push("Subject", &number.to_string()).unwrap();
    let root = DraftPart {
        media_type: "text/plain".to_owned(),
        parameters: String::new(),
        fields: Vec::new(),
        content: DraftContent::Body(Extent::of(b"")),
    };
    let draft = Draft { header: header.finish().unwrap(), root };
    let message = Message::assemble(&draft, vec![bytes::Bytes::new()]).unwrap();
    let content = NewMessage {
        manifest: message.manifest().clone(),
        headers: Some(message.headers().clone()),
        seals: Vec::new(),
        parts: Vec::new(),
    };
    Acceptance {
        offered_as: content.manifest.identity(),
        content: Content::New(content),
        octets: 1,
        origin,
        trace: Vec::new(),
        now_ms: NOW,
        expires_at_ms: NOW,
        release_at_ms: None,
        recipients,
        again: Vec::new(),
        members: Vec::new(),
        room: None,
    }
}

/// Somebody who is queued along this lane under this cookie.
fn queued(address: &str, lane: &str, number: u32) -> Intended {
    Intended {
        address: Address::from_wire(address).unwrap(),
        effect: Effect::Queue { lane: Lane::new(lane).unwrap() },
        answer: Disposition::Pending {
            cookie: cookie(number),
            min_seconds: 1,
            max_seconds: 2,
            until: NOW / 1000 + 30,
        },
        why: None,
    }
}

fn a_peer() -> Origin {
    Origin::Peer { domain: message::address::Domain::from_wire("peer.test").unwrap() }
}

/// Queues a message of one empty part along one of 50 lanes.
fn queue(store: &dyn Store, number: u32, release_at_ms: Option<u64>) -> Result<crate::Receipt, Error> {
    let to = queued("a@far.test", &format!("lane {}", number % 50), number);
    let origin = Origin::Submission { account: "ann".to_owned() };
    block_on(store.accept(Acceptance { release_at_ms, ..letter(number, origin, vec![to]) }))
}

fn counting() -> (Counter, Keeper<Counter>) {
    let engine = Counter::new();
    let files = Files::in_memory(MemoryFiles::new());
    (engine.clone(), Keeper::open_with(engine, files, Settings::default()).unwrap())
}

/// proves: STO-15
#[test]
fn a_claim_among_ten_thousand_legs_reads_what_it_takes() {
    let (engine, store) = counting();
    for number in 0..10_000 {
        queue(&store, number, Some(NOW + if number % 1000 == 0 { 0 } else { 1 + u64::from(number) }))
            .unwrap();
    }
    let before = engine.reads();
    let claims = block_on(store.claim(NOW, 100, &|_, _| true)).unwrap();
    assert_eq!(claims.len(), 10);
    // A leg, its envelope, and a page of at most 16 keys to find the next head of the lane.
    assert!(engine.reads() - before <= 10 * 20, "{} reads", engine.reads() - before);
    let before = engine.reads();
    assert_eq!(block_on(store.claim(NOW, 100, &|_, _| true)), Ok(Vec::new()));
    assert_eq!(engine.reads(), before, "nothing is due, so nothing is read");
}

/// Whatever read fails while legs are claimed: what is claimed has somebody who works on it, and everything else is claimed next.
///
/// proves: STO-15, STO-16
#[test]
fn a_read_that_fails_loses_no_claim_and_no_lane() {
    const LEGS: usize = 20;
    let mut failed = 0;
    for fails in 0..120 {
        let engine = Memory::new();
        let before = engine.open(Settings::default()).unwrap();
        // Two in each of ten lanes.
        for number in 0..LEGS as u32 {
            queue(&before, number % 10 + 100 * (number / 10), Some(NOW + u64::from(number))).unwrap();
        }
        drop(before);
        let left = Arc::new(AtomicI64::new(-1));
        let own = left.clone();
        let engine = Tampered::new(engine, move |_| match own.fetch_sub(1, Ordering::SeqCst) {
            0 => Tamper::Fail,
            _ => Tamper::Leave,
        });
        let files = Files::in_memory(MemoryFiles::new());
        let store = Keeper::open_with_in_place(engine, files, Settings::default()).unwrap();
        left.store(fails, Ordering::SeqCst);
        let mut claimed = Vec::new();
        for round in 0..5 {
            // The lane that may not at first has its turn all the same when it may.
            match block_on(store.claim(NOW + 1000, LEGS, &|lane, _| round > 2 || lane.as_str() != "lane 3")) {
                Ok(claims) => claimed.extend(claims.into_iter().map(|claim| claim.leg.id)),
                Err(_) => failed += 1,
            }
            assert_eq!(store.statistics().claimed, claimed.len() as u64, "{fails}");
        }
        claimed.sort_unstable();
        claimed.dedup();
        assert_eq!(claimed.len(), LEGS, "{fails}");
    }
    assert!(failed > 0, "the first read tells");
}

/// proves: STO-13
#[test]
fn every_cookie_costs_one_look() {
    let (engine, store) = counting();
    queue(&store, 7, None).unwrap();
    let mut own = [0; 32];
    own[3] = 7;
    let cost = |holder: &str, cookie: [u8; 32]| {
        let before = engine.reads();
        let answer = store.poll(holder, &[Cookie::from_bytes(cookie)], NOW).unwrap().remove(0);
        (engine.reads() - before, answer == CookieAnswer::Unknown)
    };
    assert_eq!(cost("account:ann", own), (1, false));
    assert_eq!(cost("account:eve", own), (1, true));
    assert_eq!(cost("account:ann", [9; 32]), (1, true));
}

/// Whoever gives up a hundred recipients, ten times over in one frame, has each envelope written once; and not at all where all
/// of it is final.
///
/// proves: STO-12
#[test]
fn what_is_given_up_is_written_once_and_what_is_final_never() {
    const ALL: u32 = 100;
    let engine = Memory::new();
    let store = engine.open(Settings::default()).unwrap();
    let to = (0..ALL).map(|number| queued(&format!("a{number}@far.test"), "far", number)).collect();
    let receipt = block_on(store.accept(letter(1, a_peer(), to))).unwrap();
    let cookies: Vec<Cookie> = (0..10).flat_map(|_| (0..ALL).map(cookie)).collect();
    let group = Batch::default();
    let give_up = |holder: &str| {
        let mut tx = crate::transaction::Transaction::new(&engine, None, &group, 1);
        let told = crate::verb::settle::give_up(&mut tx, holder, &cookies, NOW);
        assert_eq!(told, Ok(Vec::new()), "no next hop has a cookie");
        (tx.written, tx.into_changes().0)
    };
    let (written, changes) = give_up("peer.test");
    // For each its cookie, once more when the envelope is closed, and the count of what is pending; and the envelope.
    assert!(written <= 3 * ALL as usize + 2, "{written} values were written");
    engine.apply(&changes).unwrap();
    let envelope = store.envelope(receipt.envelope).unwrap().unwrap();
    assert!(envelope.recipients.iter().all(|one| one.outcome == Some(Disposition::Withdrawn)));
    assert_eq!(store.pending("peer.test"), Ok(0));
    assert_eq!(give_up("peer.test").0, 0, "all of it is final");
    assert_eq!(give_up("other.test").0, 0);
}

/// Somebody who is held for this account under this cookie.
fn held(address: &str, account: Option<&str>, stage: crate::Stage, number: u32) -> Intended {
    let pend = crate::Pend {
        account: account.map(str::to_owned),
        stage,
        wanted: matches!(stage, crate::Stage::Later { .. }).then_some(message::Selection::Headers),
        reason: String::new(),
        seals: Vec::new(),
    };
    Intended { effect: Effect::Pend(pend), ..queued(address, "none", number) }
}

/// An offer for a hundred that comes again reads a record for each of them, and their envelope once.
///
/// proves: STO-11, SEC-6
#[test]
fn an_offer_that_comes_again_reads_its_envelope_once() {
    const ALL: u32 = 100;
    let (engine, store) = counting();
    let offer = || {
        let to = (0..ALL).map(|number| queued(&format!("a{number}@far.test"), "far", number)).collect();
        letter(1, a_peer(), to)
    };
    let (identity, receipt) = (offer().offered_as, block_on(store.accept(offer())).unwrap());
    let addresses: Vec<Address> = offer().recipients.into_iter().map(|one| one.address).collect();
    let before = engine.reads();
    let known = store.offered_before("peer.test", identity, &addresses, NOW).unwrap();
    let answers: Vec<_> = known.into_iter().map(|one| one.unwrap().answer).collect();
    assert_eq!(answers, receipt.answers);
    // The envelope is one chunk or two.
    let reads = engine.reads() - before;
    assert!(reads <= u64::from(ALL) + 2, "{reads} reads");
    let before = engine.reads();
    assert_eq!(block_on(store.accept(offer())).unwrap().answers, receipt.answers);
    let reads = engine.reads() - before;
    assert!(reads <= u64::from(ALL) + 10, "{reads} reads in the transaction");
}

/// A hundred that are judged anew together, as their sender was asked to offer them again, have their envelope written once.
///
/// proves: STA-7
#[test]
fn what_is_judged_anew_is_written_once() {
    const ALL: u32 = 100;
    let engine = Memory::new();
    let store = engine.open(Settings::default()).unwrap();
    let later = crate::Stage::Later { at_ms: NOW };
    let to = (0..ALL).map(|number| held(&format!("a{number}@here.test"), None, later, number)).collect();
    let receipt = block_on(store.accept(letter(1, a_peer(), to))).unwrap();
    let refuse = |recipient| crate::Again {
        envelope: receipt.envelope,
        recipient,
        effect: Effect::Refuse { code: message::Code::NOT_AUTHORIZED, text: String::new() },
        why: None,
    };
    let again = Acceptance { again: (0..ALL).map(refuse).collect(), ..letter(1, a_peer(), Vec::new()) };
    let group = Batch::default();
    let mut tx = crate::transaction::Transaction::new(&engine, None, &group, 1);
    let answers = crate::verb::accept::accept(&mut tx, again).unwrap().again;
    let refused = |answer: &Disposition| matches!(answer, Disposition::Refused { .. });
    assert!(answers.len() == ALL as usize && answers.iter().all(refused));
    // For each its cookie, once more when the envelope is closed, and the count of what is pending; and the envelope.
    assert!(tx.written <= 3 * ALL as usize + 5, "{} values were written", tx.written);
    engine.apply(&tx.into_changes().0).unwrap();
    store.check(&mut |finding| panic!("{finding:?}")).unwrap();
}

/// What waits is counted where it is written down, with the other recipients of the same offer: whoever looked before that, in a
/// hundred offers at once, has found room each time.
///
/// proves: STA-14, REP-14
#[test]
fn there_is_no_room_for_more_than_there_is_however_much_comes_at_once() {
    let full = |code, after_seconds| Disposition::Deferred { code, after_seconds };
    let (pending_full, held_full) =
        (full(message::Code::new(4, 5, 3), 9), full(message::Code::MAILBOX_FULL, 8));
    let room = crate::Room {
        pending_max: 5,
        pending_full: pending_full.clone(),
        held_max: 4,
        held_shared_max: 2,
        shared: |one, other| one.ends_with(other) || other.ends_with(one),
        held_full: held_full.clone(),
    };
    let store = Memory::new().open(Settings::default()).unwrap();
    let offer = |number, domain: &str, to: Vec<Intended>| {
        let origin = Origin::Peer { domain: message::address::Domain::from_wire(domain).unwrap() };
        let offer = Acceptance { room: Some(room.clone()), ..letter(number, origin, to) };
        block_on(store.accept(offer)).map(|receipt| receipt.answers)
    };
    let for_ann = |first: u32| -> Vec<Intended> {
        let one =
            |number| held(&format!("a{number}@here.test"), Some("ann"), crate::Stage::Undecided, number);
        (first..first + 3).map(one).collect()
    };
    let told = |to: &[Intended], places: usize, full: &Disposition| -> Vec<Disposition> {
        let room = to.iter().take(places).map(|one| one.answer.clone());
        room.chain(vec![full.clone(); to.len() - places]).collect()
    };
    let first = for_ann(0);
    assert_eq!(offer(1, "peer.test", first.clone()), Ok(told(&first, 2, &held_full)));
    // The same again has the places that it has, and no further one.
    assert_eq!(offer(1, "peer.test", first.clone()), Ok(told(&first, 2, &held_full)));
    // Who shares them has none at all, and then there is nothing to open an envelope for.
    let shared = offer(2, "mx.peer.test", for_ann(10));
    assert_eq!(shared, Err(Error::Crowded(vec![held_full.clone(); 3])));
    let other = for_ann(20);
    assert_eq!(offer(3, "other.test", other.clone()), Ok(told(&other, 2, &held_full)));
    assert_eq!(offer(4, "third.test", for_ann(30)), Err(Error::Crowded(vec![held_full; 3])));
    let queue: Vec<Intended> =
        (40..44).map(|number| queued(&format!("q{number}@far.test"), "far", number)).collect();
    assert_eq!(offer(5, "peer.test", queue.clone()), Ok(told(&queue, 3, &pending_full)));
    assert_eq!((store.pending("peer.test"), store.held(None, None, 9).unwrap().len()), (Ok(5), 4));
    store.check(&mut |finding| panic!("{finding:?}")).unwrap();
}

/// Who is on a list is known to have come by it, and was offered by nobody: neither of them has the message twice by lists.
///
/// proves: FWD-6, STO-17
#[test]
fn who_came_by_a_list_was_not_offered() {
    let store = Memory::new().open(Settings { retention_ms: 1_000, ..Settings::default() }).unwrap();
    let list = |address: &str| Intended {
        effect: Effect::Elsewhere,
        answer: Disposition::Accepted,
        ..queued(address, "none", 0)
    };
    let member = || Intended { answer: Disposition::Accepted, ..queued("m@far.test", "far", 0) };
    let by_list =
        |address: &str| Acceptance { members: vec![member()], ..letter(1, a_peer(), vec![list(address)]) };
    let identity = by_list("l@here.test").offered_as;
    let legs = || store.legs(None, None, 9).unwrap().len();
    let offered = |address: &str| {
        let to = [Address::from_wire(address).unwrap()];
        store.offered_before("peer.test", identity, &to, NOW).unwrap().remove(0).map(|before| before.answer)
    };
    let first = block_on(store.accept(by_list("l@here.test"))).unwrap();
    assert_eq!((&first.answers[..], legs()), (&[Disposition::Accepted][..], 1));
    assert_eq!(offered("l@here.test"), Some(Disposition::Accepted));
    assert_eq!(offered("m@far.test"), None);
    // The same list again, and another one with the same member.
    assert_eq!(block_on(store.accept(by_list("l@here.test"))).unwrap().envelope, first.envelope);
    block_on(store.accept(by_list("k@here.test"))).unwrap();
    assert_eq!(legs(), 1);
    // Offered for itself it is one like any other, and stays known when the list's envelope is forgotten.
    let own = letter(1, a_peer(), vec![queued("m@far.test", "far", 7)]);
    block_on(store.accept(Acceptance { expires_at_ms: NOW + 9_999, ..own })).unwrap();
    assert_eq!((offered("m@far.test"), legs()), (Some(queued("m@far.test", "far", 7).answer), 2));
    let leg =
        store.legs(None, None, 9).unwrap().into_iter().find(|leg| leg.envelope == first.envelope).unwrap();
    block_on(store.remove(leg.id, NOW)).unwrap();
    block_on(store.expire(NOW + 1_001, 9)).unwrap();
    assert_eq!(store.envelope(first.envelope), Ok(None));
    assert_eq!(offered("l@here.test"), None);
    assert!(offered("m@far.test").is_some());
    store.check(&mut |finding| panic!("{finding:?}")).unwrap();
}

/// proves: STO-5
#[test]
fn damage_stays_with_its_record() {
    let engine = Memory::new();
    let store = engine.open(Settings::default()).unwrap();
    let (first, second) = (queue(&store, 1, None).unwrap(), queue(&store, 51, None).unwrap());
    let leg = store.legs(None, None, 1).unwrap()[0].id;
    let mut damage = Batch::default();
    damage.put(key::leg(leg), b"\xffnothing of ours".to_vec());
    engine.apply(&damage).unwrap();
    let claims = block_on(store.claim(NOW, 10, &|_, _| true)).unwrap();
    assert_eq!(claims.iter().map(|claim| claim.envelope.id).collect::<Vec<_>>(), [second.envelope]);
    assert_eq!(store.statistics().quarantined, 1);
    assert!(matches!(block_on(store.retry(leg, NOW)), Err(Error::Damaged { .. })));
    let mut found = Vec::new();
    store.check(&mut |finding| found.push((finding.kind, finding.key))).unwrap();
    assert_eq!(found, [(FindingKind::Damaged, key::readable(&key::leg(leg)))]);
    let (mut skipped, mut envelopes) = (0, 0);
    store
        .export(&mut |item| match item {
            Exported::Skipped(_) => skipped += 1,
            Exported::Envelope(_) => envelopes += 1,
            _ => {}
        })
        .unwrap();
    assert_eq!((skipped, envelopes), (1, 2));
    assert!(store.envelope(first.envelope).unwrap().is_some());
    assert_eq!(block_on(store.retry(LegId(999), NOW)), Err(Error::NotFound("leg")));
}

/// proves: SUB-12
#[test]
fn whoever_hastens_a_leg_does_not_send_what_can_be_taken_back() {
    let store = Memory::new().open(Settings::default()).unwrap();
    queue(&store, 1, Some(NOW + 5_000)).unwrap();
    let leg = || store.legs(None, None, 1).unwrap()[0].clone();
    block_on(store.retry(leg().id, NOW + 1_000)).unwrap();
    assert_eq!(leg().due_ms, NOW + 5_000);
    block_on(store.retry(leg().id, NOW + 6_000)).unwrap();
    assert_eq!(leg().due_ms, NOW + 6_000);
}

/// proves: STO-19
#[test]
fn a_full_disk_refuses_what_grows_and_settles_what_is_there() {
    let (engine, directory) = (Memory::new(), tempfile::tempdir().unwrap());
    let store = Keeper::open(engine.clone(), directory.path(), Settings::default()).unwrap();
    queue(&store, 1, None).unwrap();
    drop(store);
    // What somebody else has left there keeps no store from opening.
    std::fs::write(directory.path().join("parts/.DS_Store"), b"x").unwrap();
    let full = Settings { free_octets_floor: u64::MAX, ..Settings::default() };
    let store = Keeper::open(engine, directory.path(), full).unwrap();
    assert_eq!(queue(&store, 2, None), Err(Error::Full));
    assert!(matches!(store.stage("ann", Extent::of(b"x"), NOW), Err(Error::Full)));
    let leg = store.legs(None, None, 1).unwrap()[0].id;
    assert_eq!(block_on(store.remove(leg, NOW)), Ok(Vec::new()));
    // Who is held can be refused, and not be taken: what is asked of the store differs by that alone.
    let decide = |ruling| {
        let decision = crate::Decision { envelope: crate::EnvelopeId(99), recipient: 0, ruling, now_ms: NOW };
        block_on(store.decide(decision))
    };
    let refuse = crate::Ruling::Refuse { code: message::Code::NO_SUCH_ADDRESS, text: String::new() };
    assert_eq!(decide(refuse), Err(Error::NotFound("envelope")));
    assert_eq!(decide(crate::Ruling::Accept { wanted: message::Selection::All }), Err(Error::Full));
    assert!(!store.statistics().read_only);
}

/// Nobody is let begin what does not fit, and who has begun stops where others have filled the disk.
///
/// proves: STO-19
#[test]
fn the_floor_stays_free() {
    const PART: usize = 3 * 1024 * 1024;
    let files = MemoryFiles::new();
    let floor = Settings { free_octets_floor: 1000, ..Settings::default() };
    let store = Keeper::open_in_place(Memory::new(), &files, floor).unwrap();
    let body = vec![7; PART];
    files.set_room_octets(Some(PART as u64 + 999));
    assert!(matches!(store.stage("ann", Extent::of(&body), NOW), Err(Error::Full)));
    assert!(store.shared.files.staging().unwrap().is_empty(), "nothing was begun");
    files.set_room_octets(Some(PART as u64 + 1000));
    let mut part = store.stage("ann", Extent::of(&body), NOW).unwrap();
    part.write(&body[..PART / 2]).unwrap();
    files.set_room_octets(Some(PART as u64 / 2 + 999));
    assert_eq!(part.write(&body[PART / 2..]), Err(Error::Full));
    // It goes on when there is room for the rest.
    drop(part);
    files.set_room_octets(Some(PART as u64 + 1000));
    let mut part = store.stage("ann", Extent::of(&body), NOW).unwrap();
    let here = part.offset();
    assert!((PART as u64 / 2..PART as u64 / 2 + crate::limits::LOOK_EVERY_OCTETS).contains(&here), "{here}");
    part.write(&body[here as usize..]).unwrap();
    assert_eq!(part.finish().unwrap().extent(), Extent::of(&body));
}

/// Where too little is free, partial transfers go before the engine is opened, unless somebody has it.
///
/// proves: STO-19
#[test]
fn room_is_made_before_the_engine_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, part) = (directory.path().join("engine"), directory.path().join("staging/one.part"));
    let full = Settings { free_octets_floor: u64::MAX, ..Settings::default() };
    let made = || make_room(directory.path(), &engine, full).map(|()| !part.exists());
    assert_eq!(made(), Ok(true), "there is no store yet");
    std::fs::create_dir(directory.path().join("staging")).unwrap();
    std::fs::write(&part, b"half of it").unwrap();
    let file = File::create(&engine).unwrap();
    file.lock().unwrap();
    assert_eq!(made(), Ok(false), "it is open");
    drop(file);
    assert_eq!(made(), Ok(true));
}

/// What was left behind first goes first, what is being received stays, and one that gave way begins anew.
///
/// proves: STO-19
#[test]
fn what_waits_for_a_resumption_makes_room() {
    // Half of it is more than is gathered before it is written.
    const PART: usize = 400_000;
    let files = MemoryFiles::new();
    let floor = Settings { free_octets_floor: 1000, ..Settings::default() };
    let store = Keeper::open_in_place(Memory::new(), &files, floor).unwrap();
    let bodies: Vec<Vec<u8>> =
        (0..4).map(|number| vec![number; if number == 3 { PART / 2 } else { PART }]).collect();
    let begin = |body: &Vec<u8>, now_ms| {
        let mut part = store.stage("ann", Extent::of(body), now_ms)?;
        part.write(&body[..PART / 2]).map(|()| part)
    };
    // The last of them is not left: its sender is still there.
    let _here = begin(&bodies[0], NOW - 9).unwrap();
    drop(begin(&bodies[1], NOW - 5).unwrap());
    drop(begin(&bodies[2], NOW - 7).unwrap());
    files.set_room_octets(Some(3 * PART as u64 / 2 + 999));
    drop(begin(&bodies[3], NOW).unwrap());
    files.set_room_octets(None);
    let offset =
        |number: usize| store.stage("ann", Extent::of(&bodies[number]), NOW).map(|part| part.offset());
    assert_eq!(offset(1), Ok(PART as u64 / 2), "the younger of the two still waits");
    assert_eq!(offset(2), Ok(0));
    // Where that does not help there is no room, and what is open stays even then.
    files.set_room_octets(Some(999));
    assert_eq!(offset(3), Err(Error::Full));
    files.set_room_octets(None);
    assert_eq!((offset(0), offset(1)), (Err(Error::Busy), Ok(0)));
    files.set_room_octets(Some(999));
    assert_eq!(queue(&store, 1, None), Err(Error::Full));
}
