//! Doorsteps of the users of a world, in this process, with their news.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daemon::{DOORSTEP_ACCOUNT, Doorstep, DoorstepNews, DoorstepPlan, NodeLocation, OnNews};
use message::address::Domain;
use message::{Identity, SecretKey};
use node::Quiet;
use tokio::sync::watch;
use transport::Expectation;

use crate::world::free_address;
use crate::{User, World};

/// How long a test waits for news before it fails.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A doorstep, started or not; its folder and its news outlive its restarts.
pub struct Porch {
    /// The key that it shows.
    pub device: SecretKey,
    /// Where it listens, each time.
    pub listen: SocketAddr,
    /// Octets of the disk that it leaves free.
    pub free_octets: u64,
    location: NodeLocation,
    domain: Domain,
    folder: tempfile::TempDir,
    news: Arc<News>,
    running: Option<Doorstep>,
}

struct News {
    all: Mutex<Vec<DoorstepNews>>,
    changed: watch::Sender<usize>,
    gate: Mutex<Option<(SyncSender<()>, Receiver<()>)>>,
}

/// The other side of a doorstep that stands still after it has taken a message and before it answers.
pub struct Gate {
    reached: Receiver<()>,
    _go: SyncSender<()>,
}

impl Gate {
    /// Waits until the doorstep stands still. Dropping the gate lets it go on.
    pub async fn reached(self) -> Gate {
        let (gate, reached) = tokio::task::spawn_blocking(move || {
            let reached = self.reached.recv_timeout(WAIT_MAX);
            (self, reached)
        })
        .await
        .unwrap();
        reached.unwrap();
        gate
    }
}

impl World {
    /// A doorstep for the device of a user, not started.
    pub fn porch(&self, user: &User) -> Porch {
        let domain = user.address.domain();
        let at = self.address(domain.as_str());
        Porch::new(user.device.clone(), at, self.expectation(domain.as_str()), domain.clone())
    }

    /// The same, started, and known to the node.
    pub async fn open_porch(&self, user: &User) -> Porch {
        let mut porch = self.porch(user);
        porch.start().await;
        porch.registered(1).await;
        porch
    }
}

impl Porch {
    /// A doorstep for a device whose node is there.
    pub fn new(device: SecretKey, at: SocketAddr, expectation: Expectation, domain: Domain) -> Porch {
        let folder = tempfile::Builder::new().prefix("waxwing-porch-").tempdir().unwrap();
        Porch {
            device,
            listen: free_address(),
            free_octets: 0,
            location: NodeLocation { host: at.ip().to_string(), port: at.port(), expectation },
            domain,
            folder,
            news: Arc::new(News {
                all: Mutex::default(),
                changed: watch::channel(0).0,
                gate: Mutex::default(),
            }),
            running: None,
        }
    }

    /// Starts it; whether the node knows of it is among the news.
    pub async fn start(&mut self) {
        let starting = async {
            loop {
                let news = self.news.clone();
                let on_news: OnNews = Arc::new(move |one| news.tell(one));
                match Doorstep::start(self.plan(), Arc::new(Quiet), on_news).await {
                    // The engine of one that was just stopped lets go of its files in a thread of its own, and its
                    // endpoint of its socket in a task.
                    Err(daemon::Error::InUse(_) | daemon::Error::Listen(_)) => {
                        tokio::task::yield_now().await;
                    }
                    started => break started.unwrap(),
                }
            }
        };
        self.running = Some(tokio::time::timeout(WAIT_MAX, starting).await.unwrap());
    }

    fn plan(&self) -> DoorstepPlan {
        DoorstepPlan {
            folder: self.folder.path().to_owned(),
            device: self.device.clone(),
            domain: self.domain.clone(),
            listen: self.listen,
            outside_port: None,
            node: self.location.clone(),
            free_octets: self.free_octets,
            maildir: true,
            resolver: Arc::new(dns::FixedZones::new()),
        }
    }

    /// The folder of everything that it keeps.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Ends it in good order.
    pub async fn stop(&mut self) {
        self.running.take().unwrap().stop().await;
    }

    /// Ends it at once; the node is not told.
    pub fn kill(&mut self) {
        drop(self.running.take().unwrap());
    }

    /// From the next message on it stands still when it has taken one, before it answers.
    pub fn gate(&self) -> Gate {
        let (reached, was_reached) = sync_channel(1);
        let (go, may_go) = sync_channel(1);
        *self.news.gate.lock().unwrap() = Some((reached, may_go));
        Gate { reached: was_reached, _go: go }
    }

    /// What it has, as its store says.
    pub fn mail(&self) -> Vec<Identity> {
        let store = self.running.as_ref().unwrap().store();
        let entries = store.mailbox(DOORSTEP_ACCOUNT, None, 100).unwrap();
        entries.into_iter().map(|entry| entry.identity).collect()
    }

    /// Waits until the node has known of it so many times.
    pub async fn registered(&self, times: usize) {
        self.until(&format!("registered {times} times"), |news| {
            news.iter().filter(|one| matches!(one, DoorstepNews::Registered { .. })).count() >= times
        })
        .await;
    }

    /// Waits until the node was told of so many deliveries.
    pub async fn told(&self, deliveries: usize) {
        let told = |one: &DoorstepNews| if let DoorstepNews::Told(count) = one { *count } else { 0 };
        self.until(&format!("{deliveries} told"), |news| news.iter().map(told).sum::<usize>() >= deliveries)
            .await;
    }

    /// Waits until its news so far are such.
    pub async fn until(&self, what: &str, such: impl Fn(&[DoorstepNews]) -> bool) {
        let mut changed = self.news.changed.subscribe();
        let waiting = async {
            loop {
                changed.borrow_and_update();
                if such(&self.news.all.lock().unwrap()) {
                    return;
                }
                changed.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(WAIT_MAX, waiting).await.is_err() {
            panic!("not {what}: {:?}", self.news.all.lock().unwrap());
        }
    }
}

impl News {
    fn tell(&self, one: &DoorstepNews) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(one.clone());
        self.changed.send_modify(|count| *count += 1);
        if matches!(one, DoorstepNews::Taken(_)) {
            let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some((reached, may_go)) = gate {
                // Whoever waited may be gone; then it goes on.
                let _ = reached.send(());
                let _ = may_go.recv_timeout(WAIT_MAX);
            }
        }
    }
}
