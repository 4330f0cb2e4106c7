//! Rates and quotas.

use message::{Code, Disposition};
use node::Rates;

use super::scene::{Scene, domain};

const BOB: &[&str] = &["bob@here.test"];

/// proves: REP-12
#[tokio::test(start_paused = true)]
async fn who_is_over_a_rate_is_put_off_and_comes_again() {
    let scene = Scene::new(|settings| settings.rates = Rates::for_peers(3, 0)).await;
    for number in 0..3 {
        assert_eq!(scene.offer("north.test", &number.to_string(), BOB).await, [Disposition::Accepted]);
    }
    // 4.7.1 of RFC 3463: not authorized, now. At three a minute there is room for another after 20 seconds.
    let put_off = Disposition::Deferred { code: Code::new(4, 7, 1), after_seconds: 20 };
    assert_eq!(scene.offer("north.test", "3", BOB).await, [put_off]);
    assert_eq!(scene.offer("south.test", "3", BOB).await, [Disposition::Accepted], "others are served");
    // What was answered is answered again as it was.
    assert_eq!(scene.offer("north.test", "2", BOB).await, [Disposition::Accepted]);
    scene.pass_seconds(20).await;
    assert_eq!(scene.offer("north.test", "3", BOB).await, [Disposition::Accepted]);
    let used = scene.node.rates_of(&domain("north.test"));
    assert_eq!((used[0].limit, used[0].used, used[0].of), ("peer-messages-per-minute", 3, 3));
}

/// proves: REP-12
#[tokio::test(start_paused = true)]
async fn who_guesses_addresses_is_slowed_down() {
    let scene = Scene::new(|settings| settings.rates = Rates::for_peers(0, 10)).await;
    let guesses: Vec<String> = (0..10).map(|number| format!("guess{number}@here.test")).collect();
    let guesses: Vec<&str> = guesses.iter().map(String::as_str).collect();
    let answers = scene.offer("north.test", "guess", &guesses).await;
    assert!(answers.iter().all(|answer| matches!(answer, Disposition::Refused { .. })), "{answers:?}");
    let of_all = || {
        let [first, last] = [[0; 32], [255; 32]].map(message::Identity::from_bytes);
        scene.node.refusals(first, last, 100).unwrap().len()
    };
    let refused = of_all();
    let answers = scene.offer("north.test", "more", &["bob@here.test", "nobody@here.test"]).await;
    assert!(
        answers.iter().all(
            |answer| matches!(answer, Disposition::Deferred { code, .. } if *code == Code::new(4, 5, 3))
        ),
        "{answers:?}"
    );
    // Who is put off has not been refused, and that is what is remembered (POL-13).
    assert_eq!((refused, of_all()), (10, 10));
}

/// proves: REP-12
#[tokio::test(start_paused = true)]
async fn a_user_over_its_quota_is_put_off() {
    let scene = Scene::new(|settings| settings.rates.user_messages_per_hour = 2).await;
    for number in 0..2 {
        let answers = scene.submit(&number.to_string(), &["ann@far.test"]).await;
        assert!(matches!(answers[0], Disposition::Pending { .. }), "{answers:?}");
    }
    let answers = scene.submit("2", &["ann@far.test"]).await;
    assert!(matches!(answers[0], Disposition::Deferred { after_seconds: 1800, .. }), "{answers:?}");
    scene.pass_seconds(1800).await;
    let answers = scene.submit("2", &["ann@far.test"]).await;
    assert!(matches!(answers[0], Disposition::Pending { .. }), "{answers:?}");
}

/// proves: SEC-5, REP-14
#[tokio::test(start_paused = true)]
async fn what_is_pending_of_a_peer_is_bounded() {
    let scene = Scene::new(|settings| {
        settings.rates.peer_pending = 2;
        let larger = policy::Condition::LargerThan(2_000);
        let hold = policy::Action::Hold(message::Selection::All);
        settings.rules = settings.rules.clone().with("large", vec![larger], hold);
    })
    .await;
    let large = |number: u32| format!("{number}{}", "x".repeat(3_000));
    for number in 0..2 {
        let answers = scene.offer("north.test", &large(number), BOB).await;
        assert!(matches!(answers[0], Disposition::Pending { .. }), "{answers:?}");
    }
    let answers = scene.offer("north.test", &large(2), BOB).await;
    assert!(
        matches!(answers[0], Disposition::Deferred { code, .. } if code == Code::new(4, 5, 3)),
        "{answers:?}"
    );
    assert_eq!(scene.store.pending("north.test"), Ok(2));
    // Others are served, and so is what need not wait; what is pending is answered as before.
    assert_eq!(scene.offer("north.test", "small", BOB).await, [Disposition::Accepted]);
    let answers = scene.offer("south.test", &large(2), BOB).await;
    assert!(matches!(answers[0], Disposition::Pending { .. }), "{answers:?}");
    let answers = scene.offer("north.test", &large(1), BOB).await;
    assert!(matches!(answers[0], Disposition::Pending { .. }), "{answers:?}");
    // When somebody decides there is room again.
    let held = scene.store.held(None, None, 10).unwrap().remove(0);
    scene.node.decide_held(None, held.identity, &held.address, node::Choice::REFUSE).await.unwrap();
    let answers = scene.offer("north.test", &large(2), BOB).await;
    assert!(matches!(answers[0], Disposition::Pending { .. }), "{answers:?}");
}

/// proves: REP-12
#[tokio::test(start_paused = true)]
async fn rules_may_decide_about_who_is_over_a_rate() {
    let scene = Scene::new(|settings| {
        settings.rates = Rates { put_off: false, ..Rates::for_peers(1, 0) };
        let over = policy::Condition::RateOverLimit("peer-messages-per-minute".to_owned());
        let hold = policy::Action::Hold(message::Selection::All);
        settings.rules = settings.rules.clone().with("too-much", vec![over], hold);
    })
    .await;
    assert_eq!(scene.offer("north.test", "one", BOB).await, [Disposition::Accepted]);
    let answers = scene.offer("north.test", "two", BOB).await;
    assert!(matches!(answers[0], Disposition::Pending { .. }), "{answers:?}");
    let held = scene.store.held(None, None, 10).unwrap().remove(0);
    assert!(held.reason.contains("too-much") && held.reason.contains("north.test"), "{}", held.reason);
    // What is explained is what would be decided now, and to ask counts nothing.
    let bob = message::address::Address::parse(BOB[0]).unwrap();
    let explain = async |seconds| {
        scene.pass_seconds(seconds).await;
        scene.node.explain(held.identity, &bob, None).await.unwrap().explanation.decision.rule
    };
    assert_eq!(explain(0).await, "too-much");
    assert_ne!(explain(60).await, "too-much");
    assert_ne!(explain(0).await, "too-much");
    assert_eq!(scene.offer("north.test", "three", BOB).await, [Disposition::Accepted]);
}
