//! When a message comes again for which there was no room in memory.

use std::sync::Arc;

use message::address::Domain;
use message::{Cookie, Disposition, SecretKey};
use node::{Answered, Clock, Consignment, Courier, Later, Node, Report, Trouble};
use testkit::Random;
use testkit::clock::{Life, NodeClock, Shift, Timeline};
use testkit::disk::{Disk, Vice};
use waxwing_tests::simulation::hand_in;

/// A courier that has no room, or holds itself back, and says when it was asked, and for whom.
struct Full {
    clock: Arc<dyn Clock>,
    trouble: Trouble,
    asked: tokio::sync::mpsc::UnboundedSender<(u64, String)>,
}

impl Courier for Full {
    fn deliver<'a>(
        &'a self,
        offered: &'a Consignment,
        _: &'a (dyn Fn(&str, &str) + Send + Sync),
    ) -> Later<'a, Report> {
        self.asked.send((self.clock.now_ms(), offered.holder.clone())).unwrap();
        let result: Result<Vec<Disposition>, Trouble> = Err(self.trouble.clone());
        Box::pin(async { Report { result, tried: Vec::new(), passed_on: Vec::new() } })
    }

    fn inquire<'a>(&'a self, _: &'a Domain, _: &'a [Cookie]) -> Later<'a, Result<Vec<Answered>, Trouble>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn give_up<'a>(&'a self, _: &'a Domain, _: &'a [Cookie]) -> Later<'a, ()> {
        Box::pin(async {})
    }
}

/// It came each second, however many others waited, and the tenth time no later than the first.
///
/// proves: GW-109
#[tokio::test(start_paused = true)]
async fn what_finds_no_room_comes_again_after_ten_seconds() {
    for (trouble, pause_ms) in [(Trouble::NoRoom, 10_000), (Trouble::Throttled, 1_000)] {
        let life = Life::begin();
        let shift = Arc::new(Shift::default());
        let clock = Arc::new(NodeClock::new(Timeline::begin(), shift, life.clone(), Random::new(1)));
        let store = Disk::new(Vice::None).open(&life).unwrap();
        let settings = testkit::site::settings("here.test", &SecretKey::from_seed(&[1; 32]));
        let zones = Arc::new(dns::FixedZones::new());
        let node = Node::new(settings, store.clone(), zones, clock.clone(), Arc::new(node::Quiet));
        hand_in(&node, &["bob@far.test"]).await;
        let (asked, mut asks) = tokio::sync::mpsc::unbounded_channel();
        let courier = Full { clock, trouble, asked };
        let running = tokio::spawn(node.dispatcher(Arc::new(courier)).run());
        let mut last_ms = asks.recv().await.unwrap().0;
        for _ in 0..10 {
            let (now_ms, holder) = asks.recv().await.unwrap();
            assert!(
                (pause_ms..pause_ms + 100).contains(&(now_ms - last_ms)),
                "after {} ms",
                now_ms - last_ms
            );
            assert_eq!(holder, "account:ann");
            last_ms = now_ms;
        }
        running.abort();
        // Nothing was tried.
        assert_eq!(store.legs(None, None, 9).unwrap()[0].backoff, 0);
    }
}
