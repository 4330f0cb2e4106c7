//! When a message comes again for which there was no room, in memory or on the disk, and what is said about it.

use std::sync::Arc;

use message::address::{Address, Domain};
use message::{Code, Cookie, Disposition, SecretKey};
use node::{Answered, Clock, Consignment, Courier, Later, Node, Report, Trouble};
use storage::{Keeper, Memory, MemoryFiles};
use testkit::Random;
use testkit::clock::{Life, NodeClock, Shift, Timeline};
use testkit::disk::{Disk, Vice};
use waxwing_tests::simulation::{brought_in, hand_in};

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

/// A full disk is no word about those who are answered by the envelope alone.
///
/// proves: EXC-12, EXC-16
#[tokio::test(start_paused = true)]
async fn a_full_disk_puts_off_nobody_who_is_answered_already() {
    let (life, files) = (Life::begin(), MemoryFiles::new());
    let floor = storage::Settings { free_octets_floor: 1_000, ..storage::Settings::default() };
    let store = Arc::new(Keeper::open_in_place(Memory::new(), &files, floor).unwrap());
    let clock = NodeClock::new(Timeline::begin(), Arc::new(Shift::default()), life, Random::new(1));
    let settings = testkit::site::settings("here.test", &SecretKey::from_seed(&[1; 32]));
    let zones = Arc::new(dns::FixedZones::new());
    let node = Node::new(settings, store, zones, Arc::new(clock), Arc::new(node::Quiet));
    let bob = Address::from_wire("bob@here.test").unwrap();
    node.put_account("bob", &[bob], None).await.unwrap();
    let admission = brought_in(&node, &["nobody@here.test", "bob@here.test"]).await;
    files.set_room_octets(Some(0));
    let answers = admission.commit().await.unwrap().answers;
    assert!(matches!(answers[0], Disposition::Refused { code, .. } if code == Code::NO_SUCH_ADDRESS));
    assert!(matches!(answers[1], Disposition::Deferred { code, .. } if code == Code::SYSTEM_FULL));
}
