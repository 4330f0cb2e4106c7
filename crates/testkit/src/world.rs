//! A world that runs: it lives through its plan, is mended, comes to rest and is checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use message::address::Domain;
use message::{Digest, Identity};
use node::{Choice, Node};
use protocol::Protocol;
use storage::{Stage, Store};
use tokio::task::JoinSet;
use transport::{Session, Source};

use crate::clock::{Life, Timeline};
use crate::disk::{Fault, LogFate};
use crate::invariants;
use crate::network::{Network, Pipe};
use crate::plan::{FAIR, Happening, Plan};
use crate::porch::Porch;
use crate::random::Random;
use crate::site::Site;
use crate::story::{Broken, Story};
use crate::user;
use crate::watch::Watch;

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
/// Between two rounds of those who look after the nodes, and of those who have their mail fetched.
const ROUND_MS: u64 = 5 * MINUTE_MS;
/// When a world must have come to rest. It is less than final dispositions are kept.
const REST_MS_MAX: u64 = 9 * DAY_MS;

/// How the nodes of a world answer, and where they read: the adapters between `transport`'s traits and `node`.
pub trait Doors: Send + Sync + 'static {
    /// Answers a peer that was authenticated as this domain.
    fn peer(&self, node: Node, domain: Domain) -> Arc<dyn Session>;

    /// Answers a user's program that has shown this device key.
    fn user(&self, node: Node, device: [u8; 32]) -> Arc<dyn Session>;

    /// Answers a peer of this domain at a doorstep that takes these tickets.
    fn doorstep(&self, node: Node, tickets: Arc<node::Tickets>, domain: Domain) -> Arc<dyn Session>;

    /// The bodies of a message in a store.
    fn source(&self, store: Arc<dyn Store>, identity: Identity) -> Arc<dyn Source>;
}

/// How a world has ended.
#[derive(Debug)]
pub struct Ended {
    /// The invariants that did not hold. None, where all is well.
    pub broken: Vec<Broken>,
    /// The digest of everything that happened. The same seed has the same.
    pub digest: Digest,
    /// How many things have happened.
    pub happened: u64,
    /// What has happened, where it was to be kept.
    pub story: Vec<String>,
    /// How long it took until everything was at rest, in milliseconds of the world's own time.
    pub lasted_ms: u64,
    /// Messages that were acknowledged.
    pub acknowledged: usize,
    /// Mails that have reached a mailbox.
    pub delivered: usize,
    /// What became of the recipients of acknowledged messages, by the word for it.
    pub outcomes: BTreeMap<&'static str, usize>,
    /// What became of the logs in front of the engines.
    pub logs: LogFate,
}

/// What everybody in a world shares.
pub(crate) struct Scene {
    pub(crate) timeline: Timeline,
    pub(crate) story: Story,
    pub(crate) network: Arc<Network>,
    pub(crate) sites: Vec<Site>,
    pub(crate) porches: Vec<Porch>,
    pub(crate) watch: Watch,
    pub(crate) doors: Arc<dyn Doors>,
}

/// Runs a world from its beginning until nothing is under way any more, and checks it. `keep_story` keeps what happens,
/// to be read.
pub fn run(plan: &Plan, doors: Arc<dyn Doors>, keep_story: bool) -> Ended {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(live(plan, doors, keep_story))
}

async fn live(plan: &Plan, doors: Arc<dyn Doors>, keep_story: bool) -> Ended {
    let mut random = Random::new(plan.seed);
    let timeline = Timeline::begin();
    let scene = Arc::new(Scene {
        timeline,
        story: Story::new(timeline, keep_story),
        network: Arc::new(Network::new(timeline, plan.weather, random.branch())),
        sites: Site::all(&plan.sites, &mut random),
        porches: plan
            .sites
            .iter()
            .enumerate()
            .map(|(place, site)| Porch::new(place, &site.domain, random.branch()))
            .collect(),
        watch: Watch::default(),
        doors,
    });
    for site in &scene.sites {
        scene.story.tell("plan", &format_args!("{:?}", site.plan));
        site.start(&scene);
        site.open_accounts().await;
    }
    let mut world = World { scene: scene.clone(), tasks: JoinSet::new(), writers: JoinSet::new(), random };
    world.watch_power();
    world.live_through(plan).await;
    world.mend().await;
    world.come_to_rest().await;
    invariants::check(&scene);
    let lasted_ms = timeline.elapsed_ms();
    scene.porches.iter().for_each(|porch| porch.crash(&scene));
    scene.sites.iter().for_each(|site| site.lose_power(&scene));
    let (digest, happened, story, broken) = scene.story.end();
    let (acknowledged, delivered) = scene.watch.counts();
    let outcomes = scene.watch.outcomes();
    let mut logs = LogFate::default();
    scene.sites.iter().for_each(|site| logs.add(&site.disk.log_fate()));
    Ended { broken, digest, happened, story, lasted_ms, acknowledged, delivered, outcomes, logs }
}

struct World {
    scene: Arc<Scene>,
    tasks: JoinSet<()>,
    writers: JoinSet<()>,
    random: Random,
}

impl World {
    /// Nodes whose power goes at a durable step end at once.
    fn watch_power(&mut self) {
        for place in 0..self.scene.sites.len() {
            let scene = self.scene.clone();
            self.tasks.spawn(async move {
                loop {
                    scene.sites[place].disk.power_gone().await;
                    scene.sites[place].lose_power(&scene);
                }
            });
        }
    }

    async fn live_through(&mut self, plan: &Plan) {
        let mut round_ms = ROUND_MS;
        for (at_ms, happening) in &plan.happenings {
            while round_ms < *at_ms {
                self.until(round_ms).await;
                self.tend();
                let scene = &self.scene;
                (0..scene.sites.len())
                    .for_each(|site| drop(self.tasks.spawn(user::read(scene.clone(), site))));
                round_ms += ROUND_MS;
            }
            self.until(*at_ms).await;
            self.happen(happening);
        }
    }

    async fn until(&self, at_ms: u64) {
        let timeline = self.scene.timeline;
        timeline.pass(at_ms.saturating_sub(timeline.elapsed_ms())).await;
    }

    fn happen(&mut self, happening: &Happening) {
        let scene = self.scene.clone();
        scene.story.tell("fate", &format_args!("{happening:?}"));
        match happening {
            Happening::Write(writing) => {
                let (writing, random) = (writing.clone(), self.random.branch());
                self.writers.spawn(user::write(scene, writing, random));
            }
            Happening::Crash { site, power, for_ms } => {
                scene.watch.down_for(&scene, *site, *for_ms);
                let ends = if *power { Site::lose_power } else { Site::kill };
                ends(&scene.sites[*site], &scene);
                self.later(*for_ms, Scene::start, *site);
            }
            Happening::PowerCut { site, cut, for_ms } => {
                scene.watch.down_for(&scene, *site, *for_ms);
                scene.sites[*site].disk.cut_power(*cut);
                self.later(*for_ms, Scene::start, *site);
            }
            Happening::Partition { one, other, for_ms } => {
                scene.network.cut(*one, *other);
                let other = *other;
                self.later(*for_ms, move |scene, one| scene.network.mend(one, other), *one);
            }
            Happening::Disk { site, fault, for_ms } => {
                scene.sites[*site].disk.set_fault(*fault);
                self.later(*for_ms, |scene, site| scene.sites[site].disk.set_fault(Fault::None), *site);
            }
            Happening::Jump { site, by_ms } => scene.sites[*site].shift.jump(*by_ms),
            Happening::Dns { site, about, failure, for_ms } => {
                scene.dns_about(*site, *about, Some(*failure));
                let about = *about;
                self.later(*for_ms, move |scene, site| scene.dns_about(site, about, None), *site);
            }
            Happening::Decide { site, accept } => self.decide(*site, *accept),
            Happening::Read { site } => drop(self.tasks.spawn(user::read(scene, *site))),
            Happening::Look { site } => drop(self.tasks.spawn(user::look(scene, *site))),
            Happening::Steal { thief } => drop(self.tasks.spawn(user::steal(scene, *thief))),
            Happening::Doorstep { site, for_ms } => {
                let (site, for_ms) = (*site, *for_ms);
                self.tasks.spawn(async move {
                    scene.porches[site].start(&scene).await;
                    scene.timeline.pass(for_ms).await;
                    scene.porches[site].crash(&scene);
                });
            }
            Happening::Weather(weather) => scene.network.set_weather(*weather),
        }
    }

    /// Does something to a site after some milliseconds.
    fn later(&mut self, ms: u64, what: impl FnOnce(&Arc<Scene>, usize) + Send + 'static, site: usize) {
        let scene = self.scene.clone();
        self.tasks.spawn(async move {
            scene.timeline.pass(ms).await;
            what(&scene, site);
        });
    }

    /// Those who look after the nodes start those that do not run, and anew those whose store only reads.
    fn tend(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        for site in &self.scene.sites {
            let read_only = site.store().is_some_and(|store| store.statistics().read_only);
            if read_only && site.disk.is_sound() {
                site.kill(&self.scene);
            }
            self.scene.start(site.place);
        }
    }

    fn decide(&mut self, site: usize, accept: bool) {
        let scene = self.scene.clone();
        let Some((node, _)) = scene.sites[site].node() else { return };
        let work = async move {
            let Ok(held) = node.store().held(None, None, storage::limits::LIST_MAX) else { return };
            let choice = if accept { Choice::ACCEPT } else { Choice::REFUSE };
            for one in held.iter().filter(|one| one.stage == Stage::Undecided) {
                // Whoever is too late is told so; nothing follows from it.
                let _ = node.decide_held(None, one.identity, &one.address, choice).await;
            }
        };
        scene.sites[site].spawn(&scene, work);
    }

    /// Everything works again.
    async fn mend(&mut self) {
        self.scene.story.tell("fate", &"everything is mended");
        self.scene.network.mend_all(FAIR);
        for (place, site) in self.scene.sites.iter().enumerate() {
            site.disk.set_fault(Fault::None);
            site.disk.keep_power();
            site.shift.mend();
            for about in 0..self.scene.sites.len() {
                self.scene.dns_about(place, about, None);
            }
        }
        while self.writers.join_next().await.is_some() {}
    }

    /// Waits until nothing is under way.
    async fn come_to_rest(&mut self) {
        loop {
            self.tend();
            for porch in self.scene.porches.iter().filter(|porch| porch.has_run()) {
                porch.start(&self.scene).await;
            }
            for site in 0..self.scene.sites.len() {
                // Some of what is held is left to its time.
                if self.random.chance(30) {
                    let accept = self.random.chance(60);
                    self.decide(site, accept);
                }
                if self.random.chance(20) {
                    self.tasks.spawn(user::look(self.scene.clone(), site));
                }
                self.tasks.spawn(user::read(self.scene.clone(), site));
            }
            self.scene.timeline.pass(ROUND_MS).await;
            let told = self.scene.porches.iter().all(Porch::has_told);
            if told && self.scene.sites.iter().all(Site::is_at_rest) {
                return;
            }
            if self.scene.timeline.elapsed_ms() > REST_MS_MAX {
                self.scene.story.broken(invariants::COMES_TO_REST, "it goes on and on".to_owned());
                return;
            }
        }
    }
}

impl Scene {
    /// Tells what has happened at a place.
    pub(crate) fn tell(&self, place: usize, what: &dyn std::fmt::Display) {
        self.story.tell(&format!("d{place}"), what);
    }

    /// Starts a node unless it is to stay down for now.
    pub(crate) fn start(self: &Arc<Self>, site: usize) {
        if !self.watch.is_down(self, site) {
            self.sites[site].start(self);
        }
    }

    /// Makes one place fail, or not any more, to look up the domain of another.
    fn dns_about(&self, site: usize, about: usize, failure: Option<dns::Failure>) {
        let domain = &self.sites[about].plan.domain;
        for name in [format!("_waxwing._udp.{domain}"), format!("key1._waxkey.{domain}")] {
            self.sites[site].zones.fail(&name, failure).unwrap();
        }
    }

    /// Opens a stream to a node that answers it by this session; `None` where nothing gets through, or nobody is there.
    pub(crate) async fn open(
        self: &Arc<Self>,
        (from, life): (usize, &Arc<Life>),
        to: usize,
        protocol: Protocol,
        session: impl FnOnce(Node) -> Arc<dyn Session>,
    ) -> Option<Pipe> {
        // There and back, for the two to know each other.
        self.timeline.pass(self.network.delay_ms() + self.network.delay_ms()).await;
        life.or_never().await;
        if self.network.is_cut(from, to) {
            return None;
        }
        let site = &self.sites[to];
        let (node, other) = site.node()?;
        let (pipe, end) = self.network.stream((from, life), (to, &other));
        site.spawn(self, crate::drive::answer(end, protocol, site.protocol, session(node)));
        Some(pipe)
    }
}
