//! Greylisting: a rule that pends.

use message::Disposition;
use policy::{Action, Condition, Grade};

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
