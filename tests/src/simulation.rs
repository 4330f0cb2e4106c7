//! Simulated worlds whose nodes answer by the daemon's own adapters, and the sweep over many of them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use message::address::{Address, Domain};
use message::{Envelope, Identity};
use node::{Admission, Admitted, Next, Node, Offered};
use storage::{Origin, Store};
use testkit::disk::LogFate;
use testkit::letter::letter;
use testkit::{Doors, Ended, Plan};
use transport::{Session, Source};

/// The doors of the real house.
pub struct HouseDoors;

impl Doors for HouseDoors {
    fn peer(&self, node: Node, domain: Domain) -> Arc<dyn Session> {
        daemon::peer_session(node, domain.clone(), Some(key_digest(&domain)))
    }

    fn user(&self, node: Node, device: [u8; 32]) -> Arc<dyn Session> {
        let seen_at = std::net::Ipv4Addr::new(5, 9, 0, 1).into();
        daemon::user_session(node, Some(device), seen_at, Arc::default())
    }

    fn doorstep(&self, node: Node, tickets: Arc<node::Tickets>, domain: Domain) -> Arc<dyn Session> {
        let sender = daemon::Sender { key_digest: key_digest(&domain), names: vec![domain] };
        daemon::doorstep_session(node, tickets, sender, Arc::new(|_| {}))
    }

    fn source(&self, store: Arc<dyn Store>, identity: Identity) -> Arc<dyn Source> {
        Arc::new(daemon::StoreSource::new(store, identity, Arc::default()))
    }
}

/// What stands for the key of the host of a domain.
fn key_digest(domain: &Domain) -> [u8; 32] {
    *message::Digest::of(domain.as_str().as_bytes()).as_bytes()
}

/// Runs the world of one seed.
pub fn simulate(seed: u64) -> Ended {
    testkit::run(&Plan::of(seed), Arc::new(HouseDoors), false)
}

/// What many worlds came to.
#[derive(Debug, Default)]
pub struct Sweep {
    /// Worlds.
    pub worlds: u64,
    /// Things that have happened in them.
    pub happened: u64,
    /// Messages that were acknowledged.
    pub acknowledged: usize,
    /// Mails that have reached mailboxes.
    pub delivered: usize,
    /// What became of recipients, by the word for it.
    pub outcomes: BTreeMap<&'static str, usize>,
    /// What became of the logs of nodes that have one.
    pub logs: LogFate,
    /// Milliseconds that passed in them.
    pub lasted_ms: u64,
    /// Seeds whose worlds broke an invariant, and what was broken first.
    pub failed: Vec<(u64, testkit::Broken)>,
}

/// Runs the worlds of many seeds, some at a time. `progress` hears how many are done.
pub fn sweep(seeds: Range<u64>, threads: usize, progress: &(dyn Fn(u64) + Sync)) -> Sweep {
    let (next, done) = (AtomicU64::new(seeds.start), AtomicU64::new(0));
    let work = || {
        let mut sweep = Sweep::default();
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= seeds.end {
                return sweep;
            }
            let ended = simulate(seed);
            sweep.worlds += 1;
            sweep.happened += ended.happened;
            sweep.acknowledged += ended.acknowledged;
            sweep.delivered += ended.delivered;
            sweep.lasted_ms += ended.lasted_ms;
            sweep.logs.add(&ended.logs);
            sweep.count(&ended.outcomes);
            sweep.failed.extend(ended.broken.into_iter().next().map(|broken| (seed, broken)));
            progress(done.fetch_add(1, Ordering::SeqCst) + 1);
        }
    };
    let mut all = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).fold(Sweep::default(), Sweep::and)
    });
    all.failed.sort_by_key(|(seed, _)| *seed);
    all
}

impl Sweep {
    fn and(mut self, other: Sweep) -> Sweep {
        self.worlds += other.worlds;
        self.happened += other.happened;
        self.acknowledged += other.acknowledged;
        self.delivered += other.delivered;
        self.lasted_ms += other.lasted_ms;
        self.logs.add(&other.logs);
        self.count(&other.outcomes);
        self.failed.extend(other.failed);
        self
    }

    fn count(&mut self, outcomes: &BTreeMap<&'static str, usize>) {
        outcomes.iter().for_each(|(word, count)| *self.outcomes.entry(word).or_default() += count);
    }
}

/// Hands a message of Ann's in at a node for one domain, `here.test`, without anything between them.
pub async fn hand_in(node: &Node, to: &[&str]) {
    brought_in(node, to).await.commit().await.unwrap();
}

/// The same, all of it, and not committed yet.
pub async fn brought_in(node: &Node, to: &[&str]) -> Box<Admission> {
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
    admission
}
