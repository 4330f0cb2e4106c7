//! What waits in the queue of a node: for a mailbox that cannot be written, and under a clock that was ahead.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use message::address::Domain;
use message::{Code, Cookie, Disposition};
use node::{Answered, Consignment, Courier, Later, Report, Trouble};
use storage::CookieAnswer;
use testkit::disk::Fault;

use super::scene::Scene;

const HOUR: u64 = 3_600;

/// Reaches nobody, and counts how often it was to.
#[derive(Default)]
struct InVain(AtomicUsize);

impl Courier for InVain {
    fn deliver<'a>(
        &'a self,
        _: &'a Consignment,
        _: &'a (dyn Fn(&str, &str) + Send + Sync),
    ) -> Later<'a, Report> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let trouble = Trouble::Temporary(Code::NO_ANSWER, "nobody is there".to_owned());
        Box::pin(std::future::ready(Report {
            result: Err(trouble),
            tried: Vec::new(),
            passed_on: Vec::new(),
        }))
    }

    fn inquire<'a>(&'a self, _: &'a Domain, _: &'a [Cookie]) -> Later<'a, Result<Vec<Answered>, Trouble>> {
        Box::pin(std::future::ready(Err(Trouble::Throttled)))
    }

    fn give_up<'a>(&'a self, _: &'a Domain, _: &'a [Cookie]) -> Later<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

async fn poll(scene: &Scene, answer: &Disposition) -> CookieAnswer {
    let Disposition::Pending { cookie, .. } = answer else { panic!("{answer:?}") };
    scene.node.poll("account:bob", &[*cookie]).await.unwrap().remove(0)
}

/// What could be taken back goes into a mailbox that cannot be written: it is tried again until its time is over, which is as much
/// later as it was kept back, and then its author is told.
///
/// proves: STA-4, EXC-18
#[tokio::test(start_paused = true)]
async fn a_mailbox_that_cannot_be_written_is_given_up_in_time() {
    let scene = Scene::new(|settings| settings.queue_ms = HOUR * 1_000).await;
    let began_ms = scene.node.now_ms();
    let given = scene.submit_later("undo", &["bob@here.test"], 3 * HOUR).await.remove(0);
    let Disposition::Pending { until, .. } = given else { panic!("{given:?}") };
    assert_eq!(until, began_ms / 1_000 + 4 * HOUR);
    scene.disk.set_fault(Fault::Full);
    let running = tokio::spawn(scene.node.dispatcher(Arc::<InVain>::default()).run());
    scene.pass_seconds(4 * HOUR - 60).await;
    assert!(matches!(poll(&scene, &given).await, CookieAnswer::Pending { .. }));
    scene.pass_seconds(120).await;
    assert_eq!(poll(&scene, &given).await, CookieAnswer::Final(Disposition::Expired));
    scene.disk.set_fault(Fault::None);
    assert!(scene.store.mailbox("bob", None, 10).unwrap().is_empty());
    assert!(scene.store.legs(None, None, 10).unwrap().is_empty());
    assert!(!running.is_finished());
}

/// Mail that came while the clock was ahead does not wait until it is that late, whether the node runs when the clock is set or is
/// started afterwards.
///
/// proves: STO-32
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_keeps_no_mail_waiting() {
    const AHEAD_MS: i64 = 12 * HOUR as i64 * 1_000;
    for runs in [true, false] {
        let scene = Scene::new(|_| {}).await;
        let courier = Arc::new(InVain::default());
        let tried = || courier.0.load(Ordering::SeqCst);
        let run = || tokio::spawn(scene.node.dispatcher(courier.clone()).run());
        scene.shift.jump(AHEAD_MS);
        let first = runs.then(run);
        scene.submit("one", &["a@far.test"]).await;
        scene.pass_seconds(10).await;
        assert_eq!(tried() > 0, runs);
        let before = tried();
        scene.shift.jump(-AHEAD_MS);
        let second = (!runs).then(run);
        // It is noticed within a minute, and it is tried again within an hour at the most.
        scene.pass_seconds(HOUR + 120).await;
        assert!(tried() > before, "{runs}");
        for task in [first, second].into_iter().flatten() {
            task.abort();
        }
    }
}
