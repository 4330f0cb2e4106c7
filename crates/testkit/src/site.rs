//! One place of a world: what outlives the crashes of its node, and the node that runs there just now.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dns::waxkey::{DomainKey as PublicDomainKey, KeyRecord};
use dns::{FixedZones, Record};
use message::address::{Address, Domain};
use message::{SecretKey, Selection};
use node::{DomainKey, Event, Node, Observer, Settings};
use storage::{AccountRecord, DeviceRecord, Store};
use tokio::task::JoinSet;

use crate::clock::{Life, NodeClock, Shift};
use crate::courier::SimulatedCourier;
use crate::disk::Disk;
use crate::plan::{SitePlan, USERS};
use crate::random::Random;
use crate::world::Scene;

/// The selector of every domain key.
pub const SELECTOR: &str = "key1";

/// One place.
pub struct Site {
    /// What was planned of it.
    pub plan: SitePlan,
    pub(crate) place: usize,
    pub(crate) disk: Disk,
    pub(crate) shift: Arc<Shift>,
    pub(crate) zones: Arc<FixedZones>,
    pub(crate) protocol: protocol::Settings,
    settings: Settings,
    random: Mutex<Random>,
    starts: AtomicU64,
    running: Mutex<Option<Running>>,
}

/// A node that runs.
struct Running {
    node: Node,
    life: Arc<Life>,
    tasks: JoinSet<()>,
}

impl Site {
    /// The places of a plan, all of their nodes still to be started.
    pub(crate) fn all(plans: &[SitePlan], random: &mut Random) -> Vec<Site> {
        let keys: Vec<SecretKey> = plans
            .iter()
            .map(|_| {
                let mut seed = [0; 32];
                random.fill(&mut seed);
                SecretKey::from_seed(&seed)
            })
            .collect();
        plans
            .iter()
            .enumerate()
            .map(|(place, plan)| Site::new(place, plan, plans, &keys, random.branch()))
            .collect()
    }

    fn new(place: usize, plan: &SitePlan, plans: &[SitePlan], keys: &[SecretKey], random: Random) -> Site {
        let carol = Address::from_wire(&format!("carol@{}", plan.domain)).unwrap();
        let to_carol = vec![policy::Condition::To(vec![policy::Party::Address(carol)])];
        let settings = Settings {
            relays: plan.relays.clone(),
            rules: policy::Rules::accepting(1 << 20).with(
                "carol",
                to_carol,
                policy::Action::Hold(Selection::Text),
            ),
            queue_ms: plan.queue_ms,
            poll_min_seconds: plan.poll_min_seconds,
            hold_ms: 4 * 3_600_000,
            ..settings(plan.domain.as_str(), &keys[place])
        };
        let protocol =
            protocol::Settings { eager_octets: plan.eager_octets, ..protocol::Settings::default() };
        Site {
            plan: plan.clone(),
            place,
            disk: Disk::new(plan.vice).with_log(plan.log),
            shift: Arc::default(),
            zones: Arc::new(zones(plan, plans, keys)),
            protocol,
            settings,
            random: Mutex::new(random),
            starts: AtomicU64::new(0),
            running: Mutex::new(None),
        }
    }

    /// The node that runs here and its life; `None` where none does.
    pub(crate) fn node(&self) -> Option<(Node, Arc<Life>)> {
        let running = self.running();
        running
            .as_ref()
            .filter(|running| running.life.goes_on())
            .map(|one| (one.node.clone(), one.life.clone()))
    }

    /// The store of the node that runs here.
    pub(crate) fn store(&self) -> Option<Arc<dyn Store>> {
        self.node().map(|(node, _)| node.store().clone())
    }

    /// How often the node was started.
    pub(crate) fn life_number(&self) -> u64 {
        self.starts.load(Ordering::SeqCst)
    }

    /// What the clock of the node says.
    pub(crate) fn now_ms(&self, scene: &Scene) -> u64 {
        self.shift.of(scene.timeline.now_ms())
    }

    /// Whether the node runs, and nothing is queued or held there.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.store().is_some_and(|store| {
            let held = store.held(None, None, 1).is_ok_and(|held| held.is_empty());
            held && store.statistics().legs == 0
        })
    }

    /// Starts the node on what its disk holds, where that goes and it does not run.
    pub(crate) fn start(&self, scene: &Arc<Scene>) {
        if self.running().is_some() {
            return;
        }
        let life = Life::begin();
        let store = match self.disk.open(&life) {
            Ok(store) => store,
            Err(error) => {
                // The power may have gone just now.
                self.disk.lose_cache();
                scene.tell(self.place, &format!("cannot start: {error}"));
                return;
            }
        };
        scene.tell(self.place, &"starts");
        self.starts.fetch_add(1, Ordering::SeqCst);
        let random = self.random.lock().unwrap_or_else(PoisonError::into_inner).branch();
        let clock = NodeClock::new(scene.timeline, self.shift.clone(), life.clone(), random);
        let teller = Teller { scene: scene.clone(), place: self.place, life: life.clone() };
        let resolver = self.zones.clone();
        let node = Node::new(self.settings.clone(), store, resolver, Arc::new(clock), Arc::new(teller));
        let courier = SimulatedCourier { scene: scene.clone(), place: self.place, life: life.clone() };
        let mut tasks = JoinSet::new();
        tasks.spawn(node.dispatcher(Arc::new(courier)).run());
        let upkeep = node.clone();
        tasks.spawn(async move { upkeep.upkeep().await });
        *self.running() = Some(Running { node, life, tasks });
    }

    /// Ends the node at once. What its disk did not hold is gone.
    pub(crate) fn lose_power(&self, scene: &Scene) {
        if self.end() {
            self.disk.lose_cache();
            scene.tell(self.place, &"loses its power");
        }
    }

    /// Ends the node at once, but not the machine: the next one reads all that was written, durable or not.
    pub(crate) fn kill(&self, scene: &Scene) {
        if self.end() {
            scene.tell(self.place, &"is killed");
        }
    }

    fn end(&self) -> bool {
        let Some(mut running) = self.running().take() else { return false };
        running.life.end();
        // Tasks end where they stand. Dropping the set also drops what they hold.
        running.tasks.abort_all();
        true
    }

    /// Has the node that runs here do something, until it ends.
    pub(crate) fn spawn(&self, scene: &Scene, work: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.running();
        let Some(running) = running.as_mut() else { return };
        while let Some(ended) = running.tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                scene.story.broken(crate::invariants::NO_PANIC, format!("{}: {error}", self.plan.domain));
            }
        }
        running.tasks.spawn(work);
    }

    /// Opens the accounts of the users, on a node that was started for the first time.
    pub(crate) async fn open_accounts(&self) {
        let Some(store) = self.store() else { return };
        for name in USERS {
            let account = AccountRecord {
                name: (*name).to_owned(),
                addresses: vec![self.address(name)],
                password_hash: None,
                scram: None,
                devices: vec![DeviceRecord {
                    public_key: self.device(name),
                    name: "device".to_owned(),
                    enrolled_at_ms: 1,
                }],
                disabled: false,
                notices: false,
            };
            store.put_account(account).await.unwrap();
        }
    }

    /// The address of a user here.
    pub(crate) fn address(&self, user: &str) -> Address {
        Address::from_wire(&format!("{user}@{}", self.plan.domain)).unwrap()
    }

    /// The public key of the device of a user here. Nobody signs with it: who shows it is given by the simulation.
    pub(crate) fn device(&self, user: &str) -> [u8; 32] {
        *message::Digest::of(self.address(user).to_string().as_bytes()).as_bytes()
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The settings of a node for one domain, which seals with this key: it tries for a day, relays for nobody and takes
/// everything up to 1 MiB.
pub fn settings(domain: &str, key: &SecretKey) -> Settings {
    let domain = Domain::from_wire(domain).unwrap();
    let key = DomainKey { selector: SELECTOR.to_owned(), key: key.clone() };
    Settings {
        domain: domain.clone(),
        domains: [(domain, key)].into(),
        relays: Vec::new(),
        rules: policy::Rules::accepting(1 << 20),
        part_octets_max: 1 << 20,
        queue_ms: 24 * 3_600_000,
        retry_first_ms: 60_000,
        retry_longest_ms: 3_600_000,
        poll_min_seconds: 60,
        poll_max_seconds: 1_800,
        hold_ms: 12 * 3_600_000,
        accreditors: node::Accreditors::default(),
        rates: node::Rates::default(),
        loopback_doorsteps: false,
        redirect: true,
    }
}

/// Has the DNS say by which key a domain seals.
pub fn publish(zones: &FixedZones, domain: &str, key: &SecretKey) {
    let record = KeyRecord::Key(PublicDomainKey { public: *key.public().as_bytes() });
    let name = dns::waxkey::name_of(SELECTOR, domain).unwrap();
    zones.add(&name, Record::Txt(dns::waxkey::write(&record).into_bytes())).unwrap();
}

/// The DNS as one place sees it.
fn zones(viewer: &SitePlan, plans: &[SitePlan], keys: &[SecretKey]) -> FixedZones {
    let zones = FixedZones::new();
    for (place, plan) in plans.iter().enumerate() {
        let taker =
            viewer.via.iter().find(|(domain, _)| *domain == plan.domain).map_or(place, |(_, taker)| *taker);
        let srv = dns::Srv { priority: 0, weight: 0, port: 7625, target: Some(host(taker)) };
        zones.add(&format!("_waxwing._udp.{}", plan.domain), Record::Srv(srv)).unwrap();
        zones.add(&host(place), Record::Address([10, 0, 0, place as u8].into())).unwrap();
        publish(&zones, plan.domain.as_str(), &keys[place]);
    }
    zones
}

fn host(place: usize) -> String {
    format!("host{place}.test")
}

/// The place that a host name of the DNS stands for.
pub(crate) fn place_of(host: &str) -> Option<usize> {
    host.strip_prefix("host")?.strip_suffix(".test")?.parse().ok()
}

/// Tells what a node tells.
struct Teller {
    scene: Arc<Scene>,
    place: usize,
    life: Arc<Life>,
}

impl Observer for Teller {
    fn event(&self, event: &Event) {
        if self.life.goes_on() {
            self.scene.tell(self.place, &format_args!("{event:?}"));
        }
    }
}
