//! A doorstep: the user's own daemon, to which the node redirects what it accepts. A small store, a server that shows the
//! device's key, and a task that keeps the node informed.

mod attend;
mod session;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use message::SecretKey;
use message::address::Domain;
use node::{Maildir, Node, Observer, TakenAtDoorstep, Tickets};
use protocol::{Frame, Settings, encode};
use storage::{AccountRecord, DeviceRecord, Store};
use tokio::sync::watch;
use tokio::task::JoinSet;
use transport::{
    Alpn, Client, Expectation, HostKey, Limits, Server, ServerIdentity, Service, Socket, ed25519_key_digest,
};

pub use session::{DOORSTEP_ACCOUNT, OnTaken, Sender, doorstep_session};

use crate::clock::{SystemClock, now_ms};
use crate::error::is_in_use;
use crate::running::{follow_mail, make_private};
use crate::{Error, files, listen};
use attend::{Attendant, Fresh};

/// What a doorstep needs to know.
pub struct DoorstepPlan {
    /// Where its store is.
    pub folder: PathBuf,
    /// The key of the device: the node knows it, and senders require it.
    pub device: SecretKey,
    /// The mail domain of the user, which stands in the trace.
    pub domain: Domain,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The port at which it is seen from outside, where that is another one.
    pub outside_port: Option<u16>,
    /// The user's node.
    pub node: NodeLocation,
    /// Octets of the disk that stay free: below, mail is left to the node.
    pub free_octets: u64,
    /// Whether what comes is also written into a Maildir, `maildir` in the folder.
    pub maildir: bool,
    /// What is asked about the keys of those who sealed, for the words about seals.
    pub resolver: Arc<dyn dns::Resolver>,
}

/// Where a node is, and who it must be.
#[derive(Debug, Clone)]
pub struct NodeLocation {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who answers there.
    pub expectation: Expectation,
}

/// What a doorstep tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DoorstepNews {
    /// The node redirects to it; told again where something has changed, and after the node was away.
    Registered {
        /// At this address and port.
        at: String,
        /// For so many seconds, and again before they have passed.
        seconds: u32,
    },
    /// The node is not reached or does not redirect; mail goes to the node as long as that lasts.
    Unregistered {
        /// Why.
        reason: String,
    },
    /// A message is here, durably.
    Taken(TakenAtDoorstep),
    /// The node knows of so many of them.
    Told(usize),
}

/// Hears the news of a doorstep.
pub type OnNews = Arc<dyn Fn(&DoorstepNews) + Send + Sync>;

/// A doorstep that runs. Dropping it ends it at once; [`Doorstep::stop`] ends it in good order.
pub struct Doorstep {
    node: Node,
    server: Server,
    stop: watch::Sender<bool>,
    attendant: tokio::task::JoinHandle<()>,
    _tasks: JoinSet<()>,
}

impl Doorstep {
    /// Opens the store, listens, and registers for as long as it runs; whether that goes well is among the news.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub async fn start(
        plan: DoorstepPlan,
        observer: Arc<dyn Observer>,
        on_news: OnNews,
    ) -> Result<Doorstep, Error> {
        make_private(&plan.folder)?;
        let settings =
            storage::Settings { free_octets_floor: plan.free_octets, ..storage::Settings::default() };
        let opened = storage_sled::open(&plan.folder.join("store"), settings);
        let store: Arc<dyn Store> = Arc::new(opened.map_err(|error| in_use(error, &plan.folder))?);
        let device = *plan.device.public().as_bytes();
        open_account(store.as_ref(), device).await?;
        let clock = Arc::new(SystemClock);
        let node = Node::new(node_settings(&plan), store, plan.resolver.clone(), clock, observer);

        let (limits, tickets) = (Limits::default(), Arc::new(Tickets::default()));
        let identity = HostKey::from_ed25519_seed(&plan.device.seed(), &[])?;
        let settings = encode(&Frame::Settings(Settings::default()));
        let services =
            [Alpn::Doorstep, Alpn::Submission].map(|alpn| Service { alpn, settings: settings.clone() });
        let socket = listen::udp("--listen", plan.listen)?;
        let server =
            Server::bind(socket, &ServerIdentity::from(identity.clone()), services.to_vec(), &limits)?;
        let own_port = server.local_address()?.port();
        write_location(&plan, own_port, &device)?;

        let fresh = Arc::new(Fresh::default());
        let (news, untold) = (on_news.clone(), fresh.clone());
        let on_taken: OnTaken = Arc::new(move |one: TakenAtDoorstep| {
            news(&DoorstepNews::Taken(one.clone()));
            untold.push(one);
        });
        let (tickets_held, slices) = (tickets.clone(), Arc::default());
        let entrance =
            session::Entrance { node: node.clone(), tickets: tickets_held, device, on_taken, slices };
        let mut tasks = JoinSet::new();
        tasks.spawn(transport::serve(server.clone(), limits.clone(), Arc::new(entrance)));
        let upkeep = node.clone();
        tasks.spawn(async move { upkeep.upkeep().await });
        if plan.maildir {
            let maildir = Maildir::new(&plan.folder.join("maildir"), plan.domain.as_str());
            tasks.spawn(follow_mail(node.clone(), maildir));
        }
        let any = match plan.listen.ip() {
            own if own.is_loopback() => own,
            std::net::IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            std::net::IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let client = Client::bind(Socket::bind((any, 0).into())?, Some(identity), &limits)?;
        let (stop, stopped) = watch::channel(false);
        let attendant = Attendant {
            store: node.store().clone(),
            told: plan.folder.join("told"),
            tickets,
            client,
            location: plan.node,
            port: plan.outside_port.unwrap_or(own_port),
            on_news,
            fresh,
        };
        let attendant = tokio::spawn(attendant.attend(stopped));
        Ok(Doorstep { node, server, stop, attendant, _tasks: tasks })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// [`Error::Transport`] where the socket does not say.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        Ok(self.server.local_address()?)
    }

    /// What is here.
    pub fn store(&self) -> &Arc<dyn Store> {
        self.node.store()
    }

    /// Ends in good order: tells the node, lets nobody in, then closes.
    ///
    /// keeps: DOOR-5
    pub async fn stop(mut self) {
        // Nobody listens where the attendant has ended by itself.
        let _ = self.stop.send(true);
        let _ = (&mut self.attendant).await;
        self.server.stop_accepting();
        self.server.close("the doorstep ends").await;
        self._tasks.shutdown().await;
    }
}

impl Drop for Doorstep {
    fn drop(&mut self) {
        self.attendant.abort();
        self.server.hang_up("the doorstep is gone");
    }
}

/// Why the store of a doorstep is not opened. That another doorstep has it is the usual cause, and one that is mended easily.
fn in_use(error: storage::Error, folder: &std::path::Path) -> Error {
    match error {
        error if is_in_use(&error) => Error::InUse(format!(
            "{}: a doorstep runs with this folder already: end it first, or name another folder with --dir",
            folder.display()
        )),
        other => other.into(),
    }
}

/// The one account: what comes is for it, and the device may read it.
async fn open_account(store: &dyn Store, device: [u8; 32]) -> Result<(), Error> {
    if store.account(DOORSTEP_ACCOUNT)?.is_none() {
        let account = AccountRecord {
            name: DOORSTEP_ACCOUNT.to_owned(),
            addresses: Vec::new(),
            password_hash: None,
            scram: None,
            devices: Vec::new(),
            disabled: false,
            notices: false,
        };
        store.put_account(account).await?;
    }
    // Nothing is written where all is there: a doorstep whose disk is full starts all the same.
    if store.account_of_device(&device)?.is_some() {
        return Ok(());
    }
    let device =
        DeviceRecord { public_key: device, name: "this device".to_owned(), enrolled_at_ms: now_ms() };
    Ok(store.put_device(DOORSTEP_ACCOUNT, device).await?)
}

/// The settings of the small node behind a doorstep. It serves no domain, decides nothing and sends nothing.
fn node_settings(plan: &DoorstepPlan) -> node::Settings {
    node::Settings {
        domain: plan.domain.clone(),
        domains: std::collections::BTreeMap::new(),
        relays: Vec::new(),
        rules: policy::Rules::accepting(u64::MAX),
        part_octets_max: message::limits::PART_OCTETS_DEFAULT,
        queue_ms: 0,
        retry_first_ms: 1_000,
        retry_longest_ms: 1_000,
        poll_min_seconds: 60,
        poll_max_seconds: 60,
        hold_ms: 0,
        loopback_doorsteps: false,
        redirect: false,
        accreditors: node::Accreditors::default(),
        rates: node::Rates::default(),
    }
}

/// Says in the folder where the doorstep of this folder is found, and who answers there: for the user's programs.
fn write_location(plan: &DoorstepPlan, port: u16, device: &[u8; 32]) -> Result<(), Error> {
    let ip = match plan.listen.ip() {
        any if any.is_unspecified() && any.is_ipv4() => std::net::Ipv4Addr::LOCALHOST.into(),
        any if any.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        own => own,
    };
    let key = data_encoding::HEXLOWER.encode(&ed25519_key_digest(device));
    let text = format!("{} {key}\n", SocketAddr::new(ip, port));
    files::write_secret(&plan.folder.join("location"), &text)
}
