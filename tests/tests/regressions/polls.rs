//! How soon a next hop is asked.

use std::sync::{Arc, Mutex};

use message::address::{Address, Domain};
use message::{Code, Cookie, Disposition, Envelope, SecretKey};
use node::{
    Admitted, Answered, Clock, Consignment, Courier, Later, Next, Node, Offered, Report, Settings, Trouble,
};
use storage::Origin;
use testkit::clock::{Life, NodeClock, Shift, Timeline};
use testkit::disk::{Disk, Vice};
use testkit::{Random, letter::letter};

const MINUTE_MS: u64 = 60_000;

/// A next hop that holds the mail of one recipient, for at least a minute, and has no room for the other's.
struct NextHop {
    clock: Arc<dyn Clock>,
    told_ms: Mutex<u64>,
    waited_ms: tokio::sync::mpsc::UnboundedSender<u64>,
}

impl Courier for NextHop {
    fn deliver<'a>(
        &'a self,
        offered: &'a Consignment,
        _: &'a (dyn Fn(&str, &str) + Send + Sync),
    ) -> Later<'a, Report> {
        let pending = Disposition::Pending {
            cookie: Cookie::from_bytes([7; 32]),
            min_seconds: 60,
            max_seconds: 600,
            until: self.clock.now_ms() / 1000 + 86_400,
        };
        let deferred = Disposition::Deferred { code: Code::SYSTEM_FULL, after_seconds: 1 };
        let all = [pending, deferred];
        let count = offered.envelope.recipients.len();
        if count == 2 {
            *self.told_ms.lock().unwrap() = self.clock.now_ms();
        }
        Box::pin(async move { Report { result: Ok(all[2 - count..].to_vec()), tried: Vec::new() } })
    }

    fn inquire<'a>(&'a self, _: &'a Domain, _: &'a [Cookie]) -> Later<'a, Result<Vec<Answered>, Trouble>> {
        let mut told_ms = self.told_ms.lock().unwrap();
        self.waited_ms.send(self.clock.now_ms() - *told_ms).unwrap();
        *told_ms = self.clock.now_ms();
        Box::pin(async { Ok(vec![Answered::Pending { min_seconds: 60, max_seconds: 600 }]) })
    }

    fn give_up<'a>(&'a self, _: &'a Domain, _: &'a [Cookie]) -> Later<'a, ()> {
        Box::pin(async {})
    }
}

async fn submit(node: &Node, to: &[&str]) {
    let ann = Address::from_wire("ann@here.test").unwrap();
    node.put_account("ann", &[ann], None).await.unwrap();
    let message = letter("ann@here.test", "Good day.");
    let envelope = Envelope {
        identity: message.identity(),
        octets: message.manifest().message_octets(),
        issuers: Vec::new(),
        recipients: to.iter().map(|text| Address::from_wire(text).unwrap()).collect(),
        trace: Vec::new(),
    };
    let intake = node.intake(Origin::Submission { account: "ann".to_owned() });
    let Admitted::Admission(mut admission) = intake.admit(envelope, Offered::default()).await.unwrap() else {
        panic!("the offer needs its content");
    };
    admission.manifest(message.manifest().clone()).unwrap();
    admission.headers(message.headers().clone());
    for ((part, _, _), body) in message.manifest().leaves().zip(message.bodies()) {
        admission.body_start(part, 0).await.unwrap();
        admission.body(body).unwrap();
        admission.body_end(part).await.unwrap();
    }
    assert_eq!(admission.supplied().await, Ok(Next::Commit));
    admission.commit().await.unwrap();
}

/// A leg may wait for answers about some recipients and offer others again: the pauses between offers, which begin
/// short, did not keep it from asking.
///
/// proves: STA-4
#[tokio::test(start_paused = true)]
async fn what_else_a_leg_waits_for_does_not_hasten_a_poll() {
    let life = Life::begin();
    let shift = Arc::new(Shift::default());
    let clock = Arc::new(NodeClock::new(Timeline::begin(), shift, life.clone(), Random::new(1)));
    let store = Arc::new(Disk::new(Vice::None).open(&life).unwrap());
    let zones = Arc::new(dns::FixedZones::new());
    let settings = testkit::site::settings("here.test", &SecretKey::from_seed(&[1; 32]));
    let settings = Settings { retry_first_ms: 1_000, ..settings };
    let node = Node::new(settings, store, zones, clock.clone(), Arc::new(node::Quiet));
    submit(&node, &["held@far.test", "deferred@far.test"]).await;
    let (waited_ms, mut waits) = tokio::sync::mpsc::unbounded_channel();
    let courier = NextHop { clock, told_ms: Mutex::new(0), waited_ms };
    let running = tokio::spawn(node.dispatcher(Arc::new(courier)).run());
    for _ in 0..5 {
        let waited_ms = waits.recv().await.unwrap();
        assert!((MINUTE_MS..10 * MINUTE_MS).contains(&waited_ms), "asked after {waited_ms} ms");
    }
    running.abort();
}
