//! The way of the data: accept, verify, decide, commit, queue, route, deliver, status.
//!
//! A node knows nothing of QUIC or SMTP. What comes in comes through [`Intake::admit`] and the [`Admission`] it gives;
//! what goes out goes through a [`Courier`]. The truth is in the store; nothing here outlives a crash, and nothing
//! here needs to.

mod accept;
mod account;
mod aliases;
mod backoff;
mod commit;
mod content;
mod correspondents;
mod courier;
mod decide;
mod deliver;
mod doorstep;
mod event;
mod evidence;
mod explain;
mod forwarding;
mod gather;
mod held;
mod here;
mod holding;
mod keys;
mod ledger;
mod legacy;
pub mod limits;
mod maildir;
mod memory;
mod outside;
mod proved;
mod publish;
mod queue;
mod rates;
mod receiving;
mod redirect;
mod refusals;
mod reports;
mod scram;
mod service;
mod settings;
mod settled;
mod standing;
mod status;
mod submit;
mod tickets;
mod verify;

use std::sync::Arc;

use storage::Store;
use tokio::sync::broadcast;

pub use accept::{Admission, Admitted, Intake, Next, Offered};
pub use account::Credentials;
pub use backoff::delay_ms;
pub use commit::{Committed, Sealed};
pub use courier::{Answered, Consignment, Courier, Report, Trouble, TryRecord};
pub use doorstep::{DoorstepLease, TakenAtDoorstep, may_redirect_to};
pub use event::{Event, Observer, Quiet};
pub use explain::Explained;
pub use forwarding::{Complaint, Complaints, FORWARDED_NO_MORE, Forwarding, Leaves, Onward};
pub use held::{Choice, Decided, HeldContent, HeldMail};
pub use keys::{KeyAsker, author_key};
pub use legacy::{LegacyAnswer, LegacyOffer};
pub use maildir::{Maildir, NoLegacyForm, legacy_form, whole};
pub use memory::Deed;
pub use outside::{Clock, Later};
pub use queue::Dispatcher;
pub use rates::{Over, Rates, Use, registered};
pub use refusals::Refusal;
pub use service::PolicyService;
pub use settings::{DomainKey, Settings};
pub use standing::{Accreditors, Asked, Counts, Findings};
pub use submit::author;
pub use tickets::Tickets;

/// Everything that a node stands on.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    store: Arc<dyn Store>,
    resolver: Arc<dyn dns::Resolver>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    keys: verify::KeyCache,
    chains: keys::Chains,
    key_asker: std::sync::OnceLock<Arc<dyn KeyAsker>>,
    credentials: Credentials,
    queue: queue::Bell,
    hints: settled::Hints,
    polls: Arc<gather::Gathering>,
    doorsteps: doorstep::Doorsteps,
    receptions: receiving::Receptions,
    holding: Arc<holding::Holding>,
    memory: memory::Memory,
    buckets: rates::Buckets,
    standings: standing::Standings,
    refusals: refusals::Refusals,
    service: std::sync::OnceLock<Arc<dyn PolicyService>>,
    forwarding: std::sync::OnceLock<Forwarding>,
    /// Held while somebody reports a message, so that it counts once.
    reporting: tokio::sync::Mutex<()>,
    mail: broadcast::Sender<Arc<str>>,
}

impl Node {
    /// A node over a store, a resolver and a clock.
    pub fn new(
        settings: Settings,
        store: Arc<dyn Store>,
        resolver: Arc<dyn dns::Resolver>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Node {
        Node {
            inner: Arc::new(Inner {
                settings,
                store,
                resolver,
                clock,
                observer,
                keys: verify::KeyCache::default(),
                chains: keys::Chains::default(),
                key_asker: std::sync::OnceLock::new(),
                credentials: Credentials::default(),
                queue: queue::Bell::default(),
                hints: settled::Hints::default(),
                polls: Arc::default(),
                doorsteps: doorstep::Doorsteps::default(),
                receptions: receiving::Receptions::default(),
                holding: Arc::default(),
                memory: memory::Memory::default(),
                buckets: rates::Buckets::default(),
                standings: standing::Standings::default(),
                refusals: refusals::Refusals::default(),
                service: std::sync::OnceLock::new(),
                forwarding: std::sync::OnceLock::new(),
                reporting: tokio::sync::Mutex::default(),
                mail: broadcast::channel(limits::MAIL_UNHEARD_MAX).0,
            }),
        }
    }

    /// What the operator has set.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The store, for those who only look.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// Now, in Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.inner.clock.now_ms()
    }

    /// The names of accounts into whose mailboxes messages come, from now on. Who lags behind is told so, and has to look at
    /// all of them.
    pub fn mail_arrived(&self) -> broadcast::Receiver<Arc<str>> {
        self.inner.mail.subscribe()
    }

    fn tell_mail(&self, account: &str) {
        // Nobody may want to know.
        let _ = self.inner.mail.send(account.into());
    }

    fn tell(&self, event: Event) {
        self.inner.observer.event(&event);
    }

    /// keeps: STA-1
    fn fresh_cookie(&self) -> message::Cookie {
        let mut octets = [0; 32];
        self.inner.clock.random(&mut octets);
        message::Cookie::from_bytes(octets)
    }
}
