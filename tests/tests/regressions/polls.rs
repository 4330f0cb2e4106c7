//! How soon a next hop is asked.

use std::sync::{Arc, Mutex};

use message::address::Domain;
use message::{Code, Cookie, Disposition, SecretKey};
use node::{Answered, Clock, Consignment, Courier, Later, Node, Report, Settings, Trouble};
use testkit::Random;
use testkit::clock::{Life, NodeClock, Shift, Timeline};
use testkit::disk::{Disk, Vice};
use waxwing_tests::simulation::hand_in;

const MINUTE_MS: u64 = 60_000;
const BOTH: &[&str] = &["held@far.test", "deferred@far.test"];

/// A next hop that holds the mail of one recipient, for at least a minute, and has no room for the other's.
struct NextHop {
    clock: Arc<dyn Clock>,
    /// After how many seconds it may be offered the other's again.
    after_seconds: u32,
    /// Whether it cannot be reached at first.
    away: Mutex<bool>,
    told_ms: Mutex<u64>,
    deferred_ms: Mutex<u64>,
    heard: tokio::sync::mpsc::UnboundedSender<Heard>,
}

/// What the next hop has heard, and how many milliseconds after it said when that might be.
#[derive(Debug)]
enum Heard {
    Poll(u64),
    Offer(u64),
}

impl Courier for NextHop {
    fn deliver<'a>(
        &'a self,
        offered: &'a Consignment,
        _: &'a (dyn Fn(&str, &str) + Send + Sync),
    ) -> Later<'a, Report> {
        if std::mem::take(&mut *self.away.lock().unwrap()) {
            let result = Err(Trouble::Temporary(Code::NO_ANSWER, "nobody answers".to_owned()));
            return Box::pin(async { Report { result, tried: Vec::new(), passed_on: Vec::new() } });
        }
        let pending = Disposition::Pending {
            cookie: Cookie::from_bytes([7; 32]),
            min_seconds: 60,
            max_seconds: 600,
            until: self.clock.now_ms() / 1000 + 86_400,
        };
        let deferred = Disposition::Deferred { code: Code::SYSTEM_FULL, after_seconds: self.after_seconds };
        let all = [pending, deferred];
        let count = offered.envelope.recipients.len();
        let now_ms = self.clock.now_ms();
        let mut deferred_ms = self.deferred_ms.lock().unwrap();
        if count == 2 {
            *self.told_ms.lock().unwrap() = now_ms;
        } else if *deferred_ms > 0 {
            self.heard.send(Heard::Offer(now_ms - *deferred_ms)).unwrap();
        }
        *deferred_ms = now_ms;
        Box::pin(async move {
            Report { result: Ok(all[2 - count..].to_vec()), tried: Vec::new(), passed_on: Vec::new() }
        })
    }

    fn inquire<'a>(&'a self, _: &'a Domain, _: &'a [Cookie]) -> Later<'a, Result<Vec<Answered>, Trouble>> {
        let mut told_ms = self.told_ms.lock().unwrap();
        self.heard.send(Heard::Poll(self.clock.now_ms() - *told_ms)).unwrap();
        *told_ms = self.clock.now_ms();
        Box::pin(async { Ok(vec![Answered::Pending { min_seconds: 60, max_seconds: 600 }]) })
    }

    fn give_up<'a>(&'a self, _: &'a Domain, _: &'a [Cookie]) -> Later<'a, ()> {
        Box::pin(async {})
    }
}

/// A leg may wait for answers about some recipients and offer others again. The pauses between offers, which begin
/// short, did not keep it from asking too soon; nor did a poll keep it from offering again too soon. And a next hop that
/// answers after it was away was offered to at once, whatever it had answered.
///
/// proves: STA-4, EXC-18
#[tokio::test(start_paused = true)]
async fn what_else_a_leg_waits_for_hastens_nothing() {
    for (after_seconds, to) in [(1, BOTH), (200, BOTH), (200, &BOTH[1..])] {
        for away in [false, true] {
            check(after_seconds, away, to).await;
        }
    }
}

async fn check(after_seconds: u32, away: bool, to: &[&str]) {
    let life = Life::begin();
    let shift = Arc::new(Shift::default());
    let clock = Arc::new(NodeClock::new(Timeline::begin(), shift, life.clone(), Random::new(1)));
    let store = Disk::new(Vice::None).open(&life).unwrap();
    let zones = Arc::new(dns::FixedZones::new());
    let settings = testkit::site::settings("here.test", &SecretKey::from_seed(&[1; 32]));
    let settings = Settings { retry_first_ms: 1_000, ..settings };
    let node = Node::new(settings, store, zones, clock.clone(), Arc::new(node::Quiet));
    hand_in(&node, to).await;
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let (told_ms, deferred_ms) = Default::default();
    let away = Mutex::new(away);
    let courier = NextHop { clock, after_seconds, away, told_ms, deferred_ms, heard };
    let running = tokio::spawn(node.dispatcher(Arc::new(courier)).run());
    let after_ms = u64::from(after_seconds) * 1_000;
    for _ in 0..8 {
        match hears.recv().await.unwrap() {
            Heard::Poll(ms) => assert!((MINUTE_MS..10 * MINUTE_MS).contains(&ms), "asked after {ms} ms"),
            Heard::Offer(ms) => assert!(ms >= after_ms, "offered after {ms} ms instead of {after_ms}"),
        }
    }
    running.abort();
}
