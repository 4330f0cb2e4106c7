//! Who is too late when the time of a held message is over: before the node has swept it up, and after.

use message::address::Address;
use message::{Code, Disposition, Selection};
use node::Choice;
use policy::Action;
use storage::CookieAnswer;
use testkit::letter::letter;

use super::scene::Scene;

const BOB: &[&str] = &["bob@here.test"];
const HOUR_SECONDS: u64 = 3_600;

/// A node that does this with every message, and keeps what is held for an hour.
async fn scene(action: Action) -> Scene {
    Scene::new(|settings| {
        settings.rules = settings.rules.clone().with("every", Vec::new(), action);
        settings.hold_ms = HOUR_SECONDS * 1_000;
    })
    .await
}

async fn poll(scene: &Scene, answer: &Disposition) -> CookieAnswer {
    let Disposition::Pending { cookie, .. } = answer else { panic!("{answer:?}") };
    scene.node.poll("north.test", &[*cookie]).await.unwrap().remove(0)
}

/// The sender is told that it has expired, the user that the time is over, and whether the node has swept it up makes no
/// difference; nor does which of them asks first.
///
/// proves: STA-4, STA-16, STA-18
#[tokio::test(start_paused = true)]
async fn a_decision_after_until_finds_that_the_time_is_over() {
    for (swept, polled_first) in [(false, false), (false, true), (true, false), (true, true)] {
        let scene = scene(Action::Hold(Selection::Text)).await;
        let identity = letter("alice@north.test", "held").identity();
        let bob = Address::parse(BOB[0]).unwrap();
        let given = scene.offer("north.test", "held", BOB).await.remove(0);
        scene.pass_seconds(HOUR_SECONDS - 1).await;
        assert!(matches!(poll(&scene, &given).await, CookieAnswer::Pending { .. }));
        assert_eq!(scene.node.held(Some("bob"), None, 10).unwrap().len(), 1);
        scene.pass_seconds(2).await;
        if swept {
            scene.store.expire(scene.node.now_ms(), 100).await.unwrap();
        }
        if polled_first {
            assert_eq!(poll(&scene, &given).await, CookieAnswer::Final(Disposition::Expired));
        }
        assert!(scene.node.held(Some("bob"), None, 10).unwrap().is_empty());
        for choice in [Choice::Accept { trust: true }, Choice::REFUSE, Choice::Block] {
            for account in [Some("bob"), None] {
                let late = scene.node.decide_held(account, identity, &bob, choice).await.unwrap_err();
                assert_eq!(late.0, Code::INVALID_ARGUMENTS);
                assert!(late.1.starts_with("its time is over"), "{late:?}");
            }
        }
        let shown = scene.node.held_content(Some("bob"), identity, &bob).await.unwrap_err();
        assert!(shown.1.starts_with("its time is over"), "{shown:?}");
        // Whose it is not learns nothing.
        let foreign = scene.node.decide_held(Some("carol"), identity, &bob, Choice::ACCEPT).await;
        assert!(foreign.unwrap_err().1.starts_with("nothing of this message is held"));

        assert_eq!(scene.offer("north.test", "held", BOB).await, [Disposition::Expired]);
        assert_eq!(poll(&scene, &given).await, CookieAnswer::Final(Disposition::Expired));
        assert!(scene.store.mailbox("bob", None, 10).unwrap().is_empty());
        assert!(scene.node.correspondents("bob", None, 10).unwrap().is_empty(), "nothing is remembered");
    }
}

/// What was asked for in time and comes when the time is over is not delivered.
///
/// proves: STA-18
#[tokio::test(start_paused = true)]
async fn content_that_comes_after_until_is_not_delivered() {
    let scene = scene(Action::Pend { after_seconds: 60 }).await;
    let given = scene.offer("north.test", "slow", BOB).await.remove(0);
    scene.pass_seconds(61).await;
    assert!(matches!(poll(&scene, &given).await, CookieAnswer::Want { .. }));
    let answers = scene.offer_slowly("north.test", "slow", BOB, HOUR_SECONDS).await;
    assert_eq!(answers, [Disposition::Expired]);
    assert_eq!(poll(&scene, &given).await, CookieAnswer::Final(Disposition::Expired));
    assert!(scene.store.mailbox("bob", None, 10).unwrap().is_empty());

    // What is wanted is not wanted any more then.
    let given = scene.offer("north.test", "never", BOB).await.remove(0);
    scene.pass_seconds(HOUR_SECONDS + 61).await;
    assert_eq!(poll(&scene, &given).await, CookieAnswer::Final(Disposition::Expired));
}
