//! The doorstep of one user of a place: it comes and goes, and what it has taken outlives that.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use message::address::Domain;
use node::{Node, Quiet, Settings, Tickets};
use protocol::{Frame, Protocol, Taken};
use storage::{AccountRecord, MailUid, MailboxEntry, Origin};
use tokio::task::JoinSet;

use crate::clock::{Life, NodeClock, Shift};
use crate::disk::{Disk, Vice};
use crate::drive;
use crate::network::Pipe;
use crate::random::Random;
use crate::world::Scene;

/// Whose it is, at every place.
pub(crate) const PORCH_USER: &str = "bob";
/// The account of everything in its store.
pub const PORCH_ACCOUNT: &str = "doorstep";
/// The port of the first place; those of the others follow.
pub(crate) const FIRST_PORT: u16 = 20_000;
/// Between two registrations.
const RENEW_MS: u64 = 100_000;

/// One doorstep.
pub(crate) struct Porch {
    place: usize,
    disk: Disk,
    domain: Domain,
    tickets: Arc<Tickets>,
    /// The number of the last mail of which the node was told.
    told: AtomicU64,
    has_run: AtomicBool,
    random: Mutex<Random>,
    running: Mutex<Option<Running>>,
}

struct Running {
    node: Node,
    life: Arc<Life>,
    tasks: JoinSet<()>,
}

impl Porch {
    pub(crate) fn new(place: usize, domain: &Domain, random: Random) -> Porch {
        Porch {
            place,
            disk: Disk::new(Vice::None),
            domain: domain.clone(),
            tickets: Arc::default(),
            told: AtomicU64::new(0),
            has_run: AtomicBool::new(false),
            random: Mutex::new(random),
            running: Mutex::new(None),
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was ever there.
    pub(crate) fn has_run(&self) -> bool {
        self.has_run.load(Ordering::SeqCst)
    }

    /// Starts it, where it does not run, and has it tell the node.
    pub(crate) async fn start(&self, scene: &Arc<Scene>) {
        if self.running().is_some() {
            return;
        }
        let life = Life::begin();
        let Ok(store) = self.disk.open(&life) else { return self.disk.lose_cache() };
        if store.account(PORCH_ACCOUNT).is_ok_and(|account| account.is_none()) {
            let account = AccountRecord {
                name: PORCH_ACCOUNT.to_owned(),
                addresses: Vec::new(),
                password_hash: None,
                scram: None,
                devices: Vec::new(),
                disabled: false,
                notices: false,
            };
            store.put_account(account).await.unwrap();
        }
        scene.tell(self.place, &"a doorstep opens");
        self.has_run.store(true, Ordering::SeqCst);
        let random = self.random.lock().unwrap_or_else(PoisonError::into_inner).branch();
        let clock = NodeClock::new(scene.timeline, Arc::<Shift>::default(), life.clone(), random);
        let key = message::SecretKey::from_seed(&[1; 32]);
        let settings = Settings {
            domain: self.domain.clone(),
            domains: std::collections::BTreeMap::new(),
            ..crate::site::settings(self.domain.as_str(), &key)
        };
        let resolver = scene.sites[self.place].zones.clone();
        let node = Node::new(settings, store, resolver, Arc::new(clock), Arc::new(Quiet));
        let mut tasks = JoinSet::new();
        let (attended, place) = (scene.clone(), self.place);
        tasks.spawn(async move {
            loop {
                attended.porches[place].attend(&attended).await;
                attended.timeline.pass(RENEW_MS).await;
            }
        });
        *self.running() = Some(Running { node, life, tasks });
    }

    /// Ends it at once.
    pub(crate) fn crash(&self, scene: &Scene) {
        let Some(mut running) = self.running().take() else { return };
        running.life.end();
        running.tasks.abort_all();
        self.disk.lose_cache();
        scene.tell(self.place, &"a doorstep is gone");
    }

    fn node(&self) -> Option<(Node, Arc<Life>)> {
        self.running().as_ref().map(|running| (running.node.clone(), running.life.clone()))
    }

    /// What it has; `None` where it does not run.
    pub(crate) fn mail(&self) -> Option<Vec<MailboxEntry>> {
        self.after(None)
    }

    fn after(&self, after: Option<MailUid>) -> Option<Vec<MailboxEntry>> {
        let (node, _) = self.node()?;
        node.store().mailbox(PORCH_ACCOUNT, after, storage::limits::LIST_MAX).ok()
    }

    /// Whether the node was told of everything.
    pub(crate) fn has_told(&self) -> bool {
        let told = MailUid(self.told.load(Ordering::SeqCst));
        !self.has_run() || self.after(Some(told)).is_some_and(|entries| entries.is_empty())
    }

    /// Registers, and tells what is new.
    async fn attend(&self, scene: &Arc<Scene>) {
        let Some((node, life)) = self.node() else { return };
        let port = FIRST_PORT + self.place as u16;
        if let Some(Frame::DoorstepLease(lease)) = self.ask(scene, &life, &Frame::Doorstep { port }).await {
            self.tickets.keep(lease.ticket_key, lease.seconds, node.now_ms());
        }
        let Some(entries) = self.after(Some(MailUid(self.told.load(Ordering::SeqCst)))) else { return };
        let Some(last) = entries.last().map(|entry| entry.uid.0) else { return };
        if !life.goes_on() {
            return;
        }
        let taken = entries.iter().filter_map(|entry| match &entry.origin {
            Origin::Peer { domain } => Some(Taken {
                identity: entry.identity,
                recipient: entry.recipient.clone(),
                by: domain.clone(),
            }),
            Origin::Submission { .. } | Origin::Legacy(_) => None,
        });
        let report = Frame::DoorstepTook(taken.collect());
        if self.ask(scene, &life, &report).await == Some(Frame::Done) {
            scene.tell(self.place, &format_args!("its doorstep has told as far as {last}"));
            self.told.store(last, Ordering::SeqCst);
        }
    }

    async fn ask(&self, scene: &Arc<Scene>, life: &Arc<Life>, request: &Frame) -> Option<Frame> {
        let device = scene.sites[self.place].device(PORCH_USER);
        let session = |node| scene.doors.user(node, device);
        let place = self.place;
        let mut pipe = scene.open((place, life), place, Protocol::Submission, session).await?;
        drive::ask(&mut pipe, request).await.ok()
    }

    /// A stream of a sender to the doorstep; `None` where nobody answers.
    pub(crate) async fn open(&self, scene: &Arc<Scene>, (from, sender): (usize, &Arc<Life>)) -> Option<Pipe> {
        scene.timeline.pass(scene.network.delay_ms() + scene.network.delay_ms()).await;
        sender.or_never().await;
        if scene.network.is_cut(from, self.place) {
            return None;
        }
        let (node, life) = self.node()?;
        let (pipe, end) = scene.network.stream((from, sender), (self.place, &life));
        let own = scene.sites[from].plan.domain.clone();
        let session = scene.doors.doorstep(node, self.tickets.clone(), own);
        let mut running = self.running();
        let running = running.as_mut()?;
        while running.tasks.try_join_next().is_some() {}
        running.tasks.spawn(drive::answer(end, Protocol::Doorstep, protocol::Settings::default(), session));
        Some(pipe)
    }
}
