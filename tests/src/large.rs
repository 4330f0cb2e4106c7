//! A node with a very long queue: 10,000 domains, up to 1,000,000 recipients. What it costs to start, to look for what is
//! due, to ask what became of it, and to keep all of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use message::address::{Address, Domain};
use message::{Code, Cookie, Disposition, Hop, SecretKey};
use node::{Answered, Clock, Consignment, Courier, Later, Node, Report, Trouble};
use storage::{
    Acceptance, Content, Effect, Engine, Intended, Keeper, Lane, MemoryFiles, NewMessage, Origin, Store,
};
use storage_redb::Redb;
use testkit::clock::{BEGIN_MS, Life, NodeClock, Shift, Timeline};
use testkit::letter::letter;
use testkit::{Random, site};
use tokio::task::JoinSet;

/// Domains that mail goes to.
pub const DOMAINS: u64 = 10_000;
/// Recipients of one message, each at another domain.
const RECIPIENTS: u64 = 10;
/// Acceptances that wait for one commit.
const AT_ONCE: usize = 64;
/// Milliseconds from one message to the next.
const STEP_MS: u64 = 100;
/// Legs that one claim takes, as the dispatcher does.
const CLAIM: usize = 64;

/// What was measured with so many recipients.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Recipients in the queue.
    pub recipients: u64,
    /// How long it took to accept them.
    pub filling: Duration,
    /// How long a start took, with all of them queued.
    pub starting: Duration,
    /// Memory resident before and after that start, in KiB.
    pub resident_kib: [u64; 2],
    /// A look at the queue, where so many legs are due: how many, and how long it took to take them.
    pub ticks: Vec<(u64, Duration)>,
    /// How long it took until every recipient was final, on the machine and in the time of the world; nothing where they
    /// were not delivered.
    pub working: [Duration; 2],
    /// Offers made, polls made, and cookies asked about.
    pub spoken: [u64; 3],
    /// The most memory that was resident, in KiB.
    pub most_kib: u64,
    /// Octets of the store, with everything in it still to be asked about.
    pub store_octets: u64,
}

/// Measures with so many recipients, in a process that has done nothing else; with `deliver`, until all of them are
/// final.
pub fn measure(recipients: u64, folder: &Path, deliver: bool) -> Measured {
    let file = folder.join("store.redb");
    let mut measured = Measured { recipients, ..Measured::default() };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let began = now();
        fill(Arc::new(open(&file)), recipients).await;
        measured.filling = began.elapsed();
        measured.resident_kib[0] = memory_kib("VmRSS:");
        let (store, took) = timed(|| open(&file));
        measured.starting = took;
        measured.resident_kib[1] = memory_kib("VmRSS:");
        measured.ticks = ticks(&store, recipients).await;
        drop(store);
        if deliver {
            work(&file, &mut measured).await;
        }
    });
    measured.most_kib = memory_kib("VmHWM:");
    measured.store_octets = std::fs::metadata(&file).map_or(0, |file| file.len());
    measured
}

fn open(file: &Path) -> Keeper<Redb> {
    let engine = Redb::open(file).unwrap();
    Keeper::open_in_place(engine, &MemoryFiles::new(), storage::Settings::default()).unwrap()
}

/// Accepts messages from a user, each for ten domains, to be sent one second after the other.
async fn fill(store: Arc<Keeper<impl Engine>>, recipients: u64) {
    let mut waiting = JoinSet::new();
    for number in 0..recipients / RECIPIENTS {
        let store = store.clone();
        waiting.spawn(async move { store.accept(acceptance(number, store.as_ref())).await.unwrap() });
        if waiting.len() == AT_ONCE {
            while waiting.join_next().await.is_some() {}
        }
    }
    while waiting.join_next().await.is_some() {}
}

fn acceptance(number: u64, store: &dyn Store) -> Acceptance {
    let message = letter("ann@here.test", &format!("Number {number}."));
    let mut staged = Vec::new();
    for ((place, part, digest), body) in message.manifest().leaves().zip(message.bodies()) {
        let extent = message::Extent { octets: part.octets, digest };
        let mut writer = store.stage("account:ann", extent, BEGIN_MS).unwrap();
        writer.write(body).unwrap();
        staged.push((place, writer.finish().unwrap()));
    }
    let recipients = (0..RECIPIENTS).map(|place| intended(number * RECIPIENTS + place)).collect();
    Acceptance {
        offered_as: message.identity(),
        octets: message.manifest().message_octets(),
        content: Content::New(NewMessage {
            manifest: message.manifest().clone(),
            headers: Some(message.headers().clone()),
            seals: Vec::new(),
            parts: staged,
        }),
        origin: Origin::Submission { account: "ann".to_owned() },
        trace: vec![Hop { by: Domain::from_wire("here.test").unwrap(), at: BEGIN_MS / 1000 }],
        now_ms: BEGIN_MS,
        expires_at_ms: BEGIN_MS + 5 * 86_400_000,
        release_at_ms: Some(BEGIN_MS + number * STEP_MS),
        recipients,
        again: Vec::new(),
        members: Vec::new(),
        room: None,
    }
}

fn intended(number: u64) -> Intended {
    let domain = format!("d{}.test", number % DOMAINS);
    let mut cookie = [0xc0; 32];
    cookie[..8].copy_from_slice(&number.to_be_bytes());
    Intended {
        address: Address::from_wire(&format!("user{number}@{domain}")).unwrap(),
        effect: Effect::Queue { lane: Lane::new(&format!("exchange:{domain}")).unwrap() },
        answer: Disposition::Pending {
            cookie: Cookie::from_bytes(cookie),
            min_seconds: 60,
            max_seconds: 3600,
            until: (BEGIN_MS + 5 * 86_400_000) / 1000,
        },
        why: None,
    }
}

/// Looks at the queue at moments when nothing, and then more and more, is due. What is taken stays claimed.
async fn ticks(store: &Keeper<impl Engine>, recipients: u64) -> Vec<(u64, Duration)> {
    let mut measured = Vec::new();
    let mut taken = 0;
    for due in [0, RECIPIENTS, 100, 1_000, 8_000] {
        let upto = taken + due;
        if upto > recipients {
            break;
        }
        // So many messages are released by then.
        let now_ms = (BEGIN_MS + upto / RECIPIENTS * STEP_MS).saturating_sub(1);
        let began = now();
        loop {
            let claims = store.claim(now_ms, CLAIM, &|_, _| true).await.unwrap();
            taken += claims.len() as u64;
            if claims.is_empty() {
                break;
            }
        }
        measured.push((due, began.elapsed()));
        assert_eq!(taken, upto, "what is due is taken, and nothing else");
    }
    measured
}

/// Runs a node until every recipient is final.
async fn work(file: &Path, measured: &mut Measured) {
    let (life, timeline) = (Life::begin(), Timeline::begin());
    let clock = Arc::new(NodeClock::new(timeline, Arc::new(Shift::default()), life, Random::new(1)));
    let settings = site::settings("here.test", &SecretKey::from_seed(&[1; 32]));
    let zones = Arc::new(dns::FixedZones::new());
    let node = Node::new(settings, Arc::new(open(file)), zones, clock.clone(), Arc::new(node::Quiet));
    let spoken = Arc::new([const { AtomicU64::new(0) }; 3]);
    let courier = World { clock, spoken: spoken.clone() };
    let began = now();
    let running = tokio::spawn(node.dispatcher(Arc::new(courier)).run());
    while node.store().statistics().legs > 0 {
        timeline.pass(10_000).await;
    }
    running.abort();
    measured.working = [began.elapsed(), Duration::from_millis(timeline.elapsed_ms())];
    measured.spoken = [0, 1, 2].map(|place| spoken[place].load(Ordering::Relaxed));
}

/// Ten thousand domains: a tenth of the recipients is not there, half of them has the mail at once, and the rest within
/// half an hour, which the sender has to ask about.
struct World {
    clock: Arc<dyn Clock>,
    spoken: Arc<[AtomicU64; 3]>,
}

impl World {
    fn answer(&self, address: &Address) -> Disposition {
        let lot = u64::from(message::Digest::of(address.to_string().as_bytes()).as_bytes()[0]);
        match lot % 10 {
            0 => Disposition::refused(Code::NO_SUCH_ADDRESS, "no such address here"),
            1..=5 => Disposition::Accepted,
            _ => {
                // The cookie says when it is over, so that this world has nothing to remember.
                let over_ms = self.clock.now_ms() + lot * 7_000;
                let mut cookie = [0; 32];
                cookie[..8].copy_from_slice(&over_ms.to_be_bytes());
                let cookie = Cookie::from_bytes(cookie);
                Disposition::Pending {
                    cookie,
                    min_seconds: 300,
                    max_seconds: 3600,
                    until: over_ms / 1000 + 1,
                }
            }
        }
    }
}

impl Courier for World {
    fn deliver<'a>(
        &'a self,
        consignment: &'a Consignment,
        _: &'a (dyn Fn(&str, &str) + Send + Sync),
    ) -> Later<'a, Report> {
        self.spoken[0].fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            self.clock.sleep_until(self.clock.now_ms() + 100).await;
            let recipients = consignment.envelope.recipients.iter();
            Report {
                result: Ok(recipients.map(|one| self.answer(one)).collect()),
                tried: Vec::new(),
                passed_on: Vec::new(),
            }
        })
    }

    fn inquire<'a>(
        &'a self,
        _: &'a Domain,
        cookies: &'a [Cookie],
    ) -> Later<'a, Result<Vec<Answered>, Trouble>> {
        self.spoken[1].fetch_add(1, Ordering::Relaxed);
        self.spoken[2].fetch_add(cookies.len() as u64, Ordering::Relaxed);
        let now_ms = self.clock.now_ms();
        let answer = move |cookie: &Cookie| {
            let mut over_ms = [0; 8];
            over_ms.copy_from_slice(&cookie.as_bytes()[..8]);
            match u64::from_be_bytes(over_ms) <= now_ms {
                true => Answered::Final(Disposition::Accepted),
                false => Answered::Pending { min_seconds: 300, max_seconds: 3600 },
            }
        };
        Box::pin(async move {
            self.clock.sleep_until(now_ms + 100).await;
            Ok(cookies.iter().map(answer).collect())
        })
    }

    fn give_up<'a>(&'a self, _: &'a Domain, _: &'a [Cookie]) -> Later<'a, ()> {
        Box::pin(async {})
    }
}

/// A line of what Linux says of this process, in KiB.
fn memory_kib(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status.lines().find_map(|text| text.strip_prefix(line));
    found.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = now();
    let done = work();
    (done, began.elapsed())
}

#[expect(clippy::disallowed_methods, reason = "here the time that the machine takes is what is measured")]
fn now() -> Instant {
    Instant::now()
}
