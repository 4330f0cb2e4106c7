//! One live connection per peer, shared by all who need it.
//!
//! Whoever asks first starts the one attempt, in a task of its own; the others wait for its result. A dead
//! connection is replaced, an unused one closed. Waiting between attempts (back-off) is not done here. No
//! lock is held across an await.

use crate::drive::Listener;
use crate::drive::pushed::hear;
use crate::endpoint::{Alpn, Client, Connected};
use crate::error::{Code, Error};
use crate::tls::Expectation;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Duration, Instant, sleep};

/// Whom to reach, and how. Two routes that differ only in `addresses` share a connection.
#[derive(Clone, Debug)]
pub struct Route {
    /// The host's name, which the server is asked for (SNI).
    pub host: String,
    /// The port that names this destination; the addresses carry it too.
    pub port: u16,
    /// Where the host can be reached, best first.
    pub addresses: Vec<SocketAddr>,
    /// Which protocol to speak.
    pub alpn: Alpn,
    /// Who the server must be.
    pub expectation: Expectation,
}

impl Route {
    fn key(&self) -> Key {
        Key {
            host: self.host.to_ascii_lowercase(),
            port: self.port,
            alpn: self.alpn,
            expectation: self.expectation.clone(),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    host: String,
    port: u16,
    alpn: Alpn,
    expectation: Expectation,
}

/// Connections by peer, all with the same client and so with the same identity. Cheap to clone; when the last
/// clone is dropped, connections live on only as long as their leases. keeps: TRA-18
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    client: Client,
    listener: Option<Listener>,
    entries: Mutex<HashMap<Key, Entry>>,
}

/// What a waiting caller gets. The lease in it keeps the connection in use until the last who waited has its
/// own.
type Answer = Result<Arc<Lease>, Error>;

enum Entry {
    Connecting(watch::Receiver<Option<Answer>>),
    Live(Arc<Shelf>),
}

/// A connection and who uses it.
struct Shelf {
    connected: Connected,
    leases: AtomicUsize,
    last_used: Mutex<Instant>,
    /// Nobody new gets it, and it is closed when the last who holds it is done.
    retired: AtomicBool,
    /// Hears what the server tells; it ends with the shelf, since it would keep the connection alive.
    hearing: Option<AbortHandle>,
}

impl Drop for Shelf {
    fn drop(&mut self) {
        if let Some(hearing) = &self.hearing {
            hearing.abort();
        }
    }
}

impl Pool {
    /// An empty pool over this client, with the client's limits. Must be called within a tokio runtime.
    pub fn new(client: Client) -> Self {
        Self::over(client, None)
    }

    /// As [`Pool::new`], and `listener` hears of cookies that servers say have settled.
    pub fn with_listener(client: Client, listener: Listener) -> Self {
        Self::over(client, Some(listener))
    }

    fn over(client: Client, listener: Option<Listener>) -> Self {
        let interval = client.limits().pool_idle_time / 2;
        let shared = Arc::new(Shared { client, listener, entries: Mutex::default() });
        tokio::spawn(sweep_regularly(Arc::downgrade(&shared), interval));
        Self(shared)
    }

    /// The connection of this route: the live one, the one under way, or a new one.
    ///
    /// # Errors
    /// [`Error::PoolFull`] where every place is in use; else why the attempt failed, the same for all who
    /// waited.
    pub async fn lease(&self, route: &Route) -> Result<Lease, Error> {
        let mut waiting = match self.begin(route)? {
            Begun::Live(lease) => return Ok(lease),
            Begun::Waiting(waiting) => waiting,
        };
        let answer = waiting.wait_for(Option::is_some).await;
        let answer = answer.map_err(|_| Error::Internal("the connection attempt died".to_owned()))?.clone();
        let first = answer.unwrap_or_else(|| Err(Error::Internal("no answer was given".to_owned())))?;
        Ok(Lease::new(first.0.clone()))
    }

    /// How many connections are live or under way.
    pub fn len(&self) -> usize {
        self.0.entries().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Finds what there is, or starts an attempt. Never waits.
    fn begin(&self, route: &Route) -> Result<Begun, Error> {
        let key = route.key();
        let mut entries = self.0.entries();
        match entries.get(&key) {
            Some(Entry::Live(shelf)) if shelf.is_good() => {
                return Ok(Begun::Live(Lease::new(shelf.clone())));
            }
            Some(Entry::Connecting(waiting)) => return Ok(Begun::Waiting(waiting.clone())),
            _ => {}
        }
        entries.remove(&key);
        if entries.len() >= self.0.client.limits().pool_connections {
            make_room(&mut entries)?;
        }
        let (sender, waiting) = watch::channel(None);
        entries.insert(key.clone(), Entry::Connecting(waiting.clone()));
        drop(entries);
        let attempt = Attempt { shared: self.0.clone(), key, sender, answered: false };
        tokio::spawn(attempt.run(route.clone()));
        Ok(Begun::Waiting(waiting))
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("connections", &self.len()).finish_non_exhaustive()
    }
}

/// The use of a pooled connection for as long as it is held; many may hold one at a time.
pub struct Lease(Arc<Shelf>);

impl Lease {
    fn new(shelf: Arc<Shelf>) -> Self {
        shelf.leases.fetch_add(1, Ordering::AcqRel);
        Self(shelf)
    }

    /// The other end is not to be waited for again: whoever asks the pool next gets another connection. Who uses this one
    /// goes on, and it is closed when the last of them is done. keeps: TRA-22
    pub fn retire(&self) {
        self.0.retired.store(true, Ordering::Release);
    }
}

impl Deref for Lease {
    type Target = Connected;

    fn deref(&self) -> &Connected {
        &self.0.connected
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The time first, so that the sweeper never sees an unused connection with an old time.
        *lock(&self.0.last_used) = Instant::now();
        let last = self.0.leases.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && self.0.retired.load(Ordering::Acquire) {
            self.0.connected.close(Code::Idle, "retired");
        }
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lease").field(&self.0.connected).finish()
    }
}

enum Begun {
    Live(Lease),
    Waiting(watch::Receiver<Option<Answer>>),
}

/// The one attempt for a key. Whatever becomes of it, its entry does not stay "connecting".
struct Attempt {
    shared: Arc<Shared>,
    key: Key,
    sender: watch::Sender<Option<Answer>>,
    answered: bool,
}

impl Attempt {
    async fn run(mut self, route: Route) {
        let client = self.shared.client.clone();
        let connected =
            client.connect_any(&route.addresses, &route.host, route.alpn, &route.expectation).await;
        let answer = connected.map(|connected| {
            let hearing = self.shared.listener.clone().map(|listener| {
                let limits = self.shared.client.limits().clone();
                tokio::spawn(hear(connected.clone(), limits, listener)).abort_handle()
            });
            let last_used = Mutex::new(Instant::now());
            let (leases, retired) = (AtomicUsize::new(0), AtomicBool::new(false));
            let shelf = Shelf { connected, leases, last_used, retired, hearing };
            Arc::new(Lease::new(Arc::new(shelf)))
        });
        self.settle(answer);
    }

    fn settle(&mut self, answer: Answer) {
        self.answered = true;
        let mut entries = self.shared.entries();
        match &answer {
            Ok(lease) => entries.insert(self.key.clone(), Entry::Live(lease.0.clone())),
            Err(_) => entries.remove(&self.key),
        };
        drop(entries);
        self.sender.send_replace(Some(answer));
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.answered {
            self.settle(Err(Error::Internal("the connection attempt died".to_owned())));
        }
    }
}

impl Shared {
    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        lock(&self.entries)
    }

    /// Forgets what has ended and closes what nobody has used for `idle_time`.
    fn sweep(&self, idle_time: Duration) {
        self.entries().retain(|_, entry| match entry {
            Entry::Connecting(_) => true,
            Entry::Live(shelf) if !shelf.is_good() => false,
            Entry::Live(shelf) => match shelf.unused_since() {
                Some(since) if since.elapsed() >= idle_time => {
                    shelf.connected.close(Code::Idle, "unused");
                    false
                }
                _ => true,
            },
        });
    }
}

impl Shelf {
    /// Whether it is for whoever asks next.
    fn is_good(&self) -> bool {
        self.connected.ended().is_none() && !self.retired.load(Ordering::Acquire)
    }

    /// Since when nobody holds it; `None` while somebody does. Whoever asks holds the pool's lock, under
    /// which alone the first lease on an unused connection is made.
    fn unused_since(&self) -> Option<Instant> {
        (self.leases.load(Ordering::Acquire) == 0).then(|| *lock(&self.last_used))
    }
}

/// Closes the connection that has lain unused for longest. keeps: TRA-18
fn make_room(entries: &mut HashMap<Key, Entry>) -> Result<(), Error> {
    let unused = entries.iter().filter_map(|(key, entry)| match entry {
        Entry::Live(shelf) => shelf.unused_since().map(|since| (since, key)),
        Entry::Connecting(_) => None,
    });
    let key = unused.min_by_key(|(since, _)| *since).map(|(_, key)| key.clone()).ok_or(Error::PoolFull)?;
    if let Some(Entry::Live(shelf)) = entries.remove(&key) {
        shelf.connected.close(Code::Idle, "unused");
    }
    Ok(())
}

/// Sweeps until the pool is gone.
async fn sweep_regularly(shared: Weak<Shared>, interval: Duration) {
    loop {
        // Never shorter than this, whatever the settings say, so that the task cannot spin.
        sleep(interval.max(Duration::from_millis(10))).await;
        let Some(shared) = shared.upgrade() else { return };
        shared.sweep(shared.client.limits().pool_idle_time);
    }
}

/// A panic elsewhere while a lock was held leaves nothing half done that matters here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
