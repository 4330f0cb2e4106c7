//! A way between two hosts that takes its time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::torture::Random;

/// Octets of a datagram, and more.
const DATAGRAM_OCTETS_MAX: usize = 2048;

/// A relay between one client and a server: each datagram arrives `delay` after it was sent, or is lost. Dropping it cuts
/// the way.
pub struct DelayingRelay {
    /// Where the client finds the server.
    pub address: SocketAddr,
    cut: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
    _tasks: tokio::task::JoinSet<()>,
}

impl DelayingRelay {
    /// Listens at `address`, of which the port may be 0, and passes on to the server.
    pub async fn start(address: SocketAddr, server: SocketAddr, delay: Duration) -> DelayingRelay {
        DelayingRelay::start_losing(address, server, delay, 0).await
    }

    /// The same, and of a hundred datagrams each way so many are lost, here and there.
    pub async fn start_losing(
        address: SocketAddr,
        server: SocketAddr,
        delay: Duration,
        lost_percent: u64,
    ) -> DelayingRelay {
        let front = Arc::new(UdpSocket::bind(address).await.unwrap());
        let back = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        let address = front.local_addr().unwrap();
        let (client_sender, client) = watch::channel(None);
        let (to_server, for_server) = mpsc::unbounded_channel();
        let (to_client, for_client) = mpsc::unbounded_channel();
        let cut = Arc::new(AtomicBool::new(false));
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(take(front.clone(), to_server, Some(client_sender), delay));
        tasks.spawn(take(back.clone(), to_client, None, delay));
        let lost = Arc::new(AtomicU64::new(0));
        let fate =
            |seed| Fate { cut: cut.clone(), lost: lost.clone(), lost_percent, random: Random::new(seed) };
        tasks.spawn(give(back, for_server, fate(1), move || Some(server)));
        tasks.spawn(give(front, for_client, fate(2), move || *client.borrow()));
        DelayingRelay { address, cut, lost, _tasks: tasks }
    }

    /// How many datagrams were lost.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// From now on everything gets through again that is not lost otherwise.
    pub fn mend(&self) {
        self.cut.store(false, Ordering::Relaxed);
    }

    /// From now on nothing gets through.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }
}

/// What decides about a datagram.
struct Fate {
    cut: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
    lost_percent: u64,
    random: Random,
}

impl Fate {
    fn is_lost(&mut self) -> bool {
        let lost = self.cut.load(Ordering::Relaxed) || self.random.between(1, 100) <= self.lost_percent;
        self.lost.fetch_add(u64::from(lost), Ordering::Relaxed);
        lost
    }
}

async fn take(
    socket: Arc<UdpSocket>,
    sender: mpsc::UnboundedSender<(Instant, Vec<u8>)>,
    client: Option<watch::Sender<Option<SocketAddr>>>,
    delay: Duration,
) {
    let mut buffer = [0; DATAGRAM_OCTETS_MAX];
    loop {
        // On loopback a port that is closed at the other side is reported here; the next datagram may find it open.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        if let Some(client) = &client {
            client.send_replace(Some(from));
        }
        let _ = sender.send((Instant::now() + delay, buffer[..length].to_vec()));
    }
}

async fn give(
    socket: Arc<UdpSocket>,
    mut receiver: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
    mut fate: Fate,
    to: impl Fn() -> Option<SocketAddr>,
) {
    while let Some((due, datagram)) = receiver.recv().await {
        sleep_until(due).await;
        if let Some(to) = to()
            && !fate.is_lost()
        {
            let _ = socket.send_to(&datagram, to).await;
        }
    }
}
