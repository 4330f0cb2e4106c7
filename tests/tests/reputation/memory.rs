//! What is remembered of peers.

use message::{Code, Disposition, Identity};
use node::Deed;

use super::scene::{Scene, domain};

/// proves: REP-9
#[tokio::test(start_paused = true)]
async fn counts_are_written_together_and_outlive_the_node() {
    let scene = Scene::new(|_| {}).await;
    let upkeep = tokio::spawn({
        let node = scene.node.clone();
        async move { node.upkeep().await }
    });
    scene.pass_seconds(1).await;
    let before = scene.store.statistics().operations;
    for _ in 0..100 {
        scene.node.remember(&domain("north.test"), Deed::Accepted);
        scene.node.remember(&domain("south.test"), Deed::Complaint);
    }
    assert_eq!(scene.store.statistics().operations, before, "counting writes nothing");
    assert_eq!(scene.store.peer(&domain("north.test")), Ok(None));
    assert_eq!(scene.node.remembered(&domain("north.test")).unwrap().unwrap().accepted, 100_000);
    scene.pass_seconds(61).await;
    let written = scene.store.peer(&domain("north.test")).unwrap().unwrap();
    assert_eq!((written.accepted, written.complaints), (100_000, 0));
    let listed = scene.node.all_remembered(None, 10).await.unwrap();
    assert_eq!(
        listed.iter().map(|peer| peer.domain.as_str()).collect::<Vec<_>>(),
        ["north.test", "south.test"]
    );
    // What is forgotten does not come back with the next writing.
    scene.node.remember(&domain("south.test"), Deed::Accepted);
    assert_eq!(scene.node.forget_peer(&domain("south.test")).await, Ok(true));
    assert_eq!(scene.node.forget_peer(&domain("south.test")).await, Ok(false));
    scene.node.write_memory().await.unwrap();
    assert_eq!(scene.store.peers(None, 10).unwrap().len(), 1);
    upkeep.abort();
}

/// proves: REP-8
#[tokio::test(start_paused = true)]
async fn what_happens_with_mail_is_counted() {
    let hold = |settings: &mut node::Settings| {
        let to = vec![policy::Party::parse("bob@here.test").unwrap()];
        let larger = policy::Condition::LargerThan(2_000);
        settings.rules = settings.rules.clone().with(
            "large",
            vec![policy::Condition::To(to), larger],
            policy::Action::Hold(message::Selection::All),
        );
    };
    let scene = Scene::new(hold).await;
    let large = "x".repeat(3_000);
    for (text, to) in
        [("one", "bob@here.test"), ("two", "nobody@here.test"), (large.as_str(), "bob@here.test")]
    {
        scene.offer("north.test", text, &[to]).await;
        // The same offer again counts nothing.
        scene.offer("north.test", text, &[to]).await;
    }
    let counts = |scene: &Scene| {
        let peer = scene.node.remembered(&domain("north.test")).unwrap().unwrap();
        [peer.accepted, peer.held, peer.declined, peer.complaints].map(|count| count / 1_000)
    };
    assert_eq!(counts(&scene), [1, 1, 0, 0]);
    let held = scene.store.held(None, None, 10).unwrap().remove(0);
    scene.node.decide_held(None, held.identity, &held.address, node::Choice::REFUSE).await.unwrap();
    assert_eq!(counts(&scene), [1, 1, 1, 0]);
}

/// Refusals are written a while later, and however many there are they fill nothing.
///
/// proves: POL-13
#[tokio::test(start_paused = true)]
async fn refusals_are_remembered_within_bounds() {
    let scene = Scene::new(|_| {}).await;
    let kept = || scene.store.legacy_records(0, b"refused\0", None, 1_000).unwrap().len();
    for number in 0..300 {
        let answers = scene.offer("flood.test", &format!("Letter {number}"), &["nobody@here.test"]).await;
        assert!(matches!(answers[0], Disposition::Refused { .. }), "{answers:?}");
    }
    scene.offer("north.test", "Once", &["nobody@here.test", "bob@here.test"]).await;
    assert_eq!(kept(), 0, "nobody waits for that");
    scene.node.write_memory().await.unwrap();
    assert_eq!(kept(), 201);
    let (first, last) = ([0; 32], [0xff; 32]);
    let (first, last) = (Identity::from_bytes(first), Identity::from_bytes(last));
    let all = scene.node.refusals(first, last, 1_000).unwrap();
    let [one] = all.iter().filter(|one| one.origin == "north.test").collect::<Vec<_>>()[..] else {
        panic!("{all:?}")
    };
    assert_eq!((one.recipient.as_str(), one.code), ("nobody@here.test", Code::NO_SUCH_ADDRESS));
    assert_eq!(one.why, "rule no-such-address: no account has nobody@here.test");
    // What is past its time is not told, and is swept with all else.
    scene.pass_seconds(storage::limits::RETENTION_MS_DEFAULT / 1_000 + 1).await;
    assert_eq!(scene.node.refusals(first, last, 1_000).unwrap(), []);
    while scene.store.expire(scene.node.now_ms(), 1_000).await.unwrap() == 1_000 {}
    assert_eq!(kept(), 0);
}
