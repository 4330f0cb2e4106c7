//! Greylisting: a rule that pends.

use message::Disposition;
use message::address::Address;
use policy::{Action, Condition, Grade};
use storage::{ForwardRecord, ForwardState};

use super::scene::{Scene, domain};

const BOB: &[&str] = &["bob@here.test"];

/// The rule of the operator's book: peers of whom nothing is known come again after five minutes.
///
/// proves: REP-18
#[tokio::test(start_paused = true)]
async fn an_unknown_peer_is_asked_to_come_again_and_is_served_then() {
    let scene = Scene::new(|settings| {
        let unknown = vec![Condition::StandingAt(Grade::Unknown)];
        settings.rules =
            settings.rules.clone().with("greylist", unknown, Action::Pend { after_seconds: 300 });
    })
    .await;
    let answers = scene.offer("north.test", "one", BOB).await;
    let [Disposition::Pending { cookie, min_seconds, .. }] = answers.as_slice() else {
        panic!("{answers:?}")
    };
    assert_eq!(*min_seconds, 300);
    let poll = async || scene.node.poll("north.test", &[*cookie]).await.unwrap().remove(0);
    assert!(matches!(poll().await, storage::CookieAnswer::Pending { .. }));
    // Who comes too soon waits on.
    scene.pass_seconds(100).await;
    let answers = scene.offer("north.test", "one", BOB).await;
    assert!(matches!(answers[0], Disposition::Pending { .. }), "{answers:?}");
    scene.pass_seconds(201).await;
    assert!(matches!(poll().await, storage::CookieAnswer::Want { .. }));
    assert_eq!(scene.offer("north.test", "one", BOB).await, [Disposition::Accepted]);
    assert_eq!(poll().await, storage::CookieAnswer::Final(Disposition::Accepted));
    // It is known now, and its next message does not wait.
    assert_eq!(scene.node.standing(&domain("north.test")).await.grade, Grade::Neutral);
    assert_eq!(scene.offer("north.test", "two", BOB).await, [Disposition::Accepted]);
}

/// A list that was told to come again is served when it comes, once, whoever stands beside it in the offer.
///
/// proves: REP-18, FWD-6
#[tokio::test(start_paused = true)]
async fn a_list_that_waited_is_served() {
    let scene = Scene::new(|settings| {
        let unknown = vec![Condition::StandingAt(Grade::Unknown)];
        settings.rules =
            settings.rules.clone().with("greylist", unknown, Action::Pend { after_seconds: 300 });
    })
    .await;
    for (number, target) in [(1, "bob@here.test"), (2, "a@far.test")] {
        let record = ForwardRecord {
            alias: Address::from_wire("team@here.test").unwrap(),
            target: Address::from_wire(target).unwrap(),
            state: ForwardState::Granted,
            since_ms: 0,
            made_at_ms: 0,
            ask: [number; 32],
            credential: [number + 10; 32],
            conceal: false,
            rewrite: false,
            keep_sender: false,
            authorization: Some("1".to_owned()),
            asked_at_ms: None,
            ask_again_at_ms: None,
            complaints: 0,
            note: String::new(),
        };
        scene.node.put_forward(record).await.unwrap();
    }
    let team = &["team@here.test"];
    let answers = scene.offer("north.test", "for all", team).await;
    assert!(matches!(answers[0], Disposition::Pending { .. }), "{answers:?}");
    scene.pass_seconds(301).await;
    for _ in 0..2 {
        assert_eq!(scene.offer("north.test", "for all", team).await, [Disposition::Accepted]);
        assert_eq!(scene.store.mailbox("bob", None, 10).unwrap().len(), 1);
        assert_eq!(scene.store.legs(None, None, 10).unwrap().len(), 1);
    }
}
