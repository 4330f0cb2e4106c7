//! A network of datagrams on simulated time, for real QUIC: it loses, doubles, delays and reorders them.
//!
//! Only within a tokio runtime of one thread whose clock is paused. Then what two endpoints compute takes no time, and
//! elapsed time counts the flights of datagrams alone.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::sync::mpsc;
use tokio::time::Instant;
use transport::Socket;

use crate::random::Random;

/// How the network treats datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Treatment {
    /// How long one way takes, in milliseconds.
    pub delay_ms: u64,
    /// By how much longer it may take, in milliseconds: datagrams overtake each other.
    pub jitter_ms: u64,
    /// Of a hundred so many are lost.
    pub lost_percent: u64,
    /// Of a hundred so many arrive twice.
    pub doubled_percent: u64,
}

/// A network. A clone is the same one.
#[derive(Debug, Clone)]
pub struct Datagrams {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    treatment: Treatment,
    random: Mutex<Random>,
    places: Mutex<BTreeMap<SocketAddr, mpsc::UnboundedSender<Datagram>>>,
}

#[derive(Debug)]
struct Datagram {
    from: SocketAddr,
    octets: Vec<u8>,
}

impl Datagrams {
    /// A network that treats its datagrams so, by the lot that this seed gives.
    pub fn new(treatment: Treatment, seed: u64) -> Datagrams {
        let random = Mutex::new(Random::new(seed));
        Datagrams { shared: Arc::new(Shared { treatment, random, places: Mutex::default() }) }
    }

    /// A socket at this address, in place of one that was there.
    pub fn socket(&self, address: SocketAddr) -> Socket {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.shared.places.lock().unwrap_or_else(PoisonError::into_inner).insert(address, sender);
        let mut seed = [0; 32];
        self.shared.random.lock().unwrap_or_else(PoisonError::into_inner).fill(&mut seed);
        let place = Place { address, network: self.clone(), incoming: Mutex::new(receiver) };
        Socket::simulated(Arc::new(place), Arc::new(quinn::TokioRuntime), Some(seed))
    }

    /// Sends a datagram on its way.
    fn send(&self, from: SocketAddr, to: SocketAddr, octets: &[u8]) {
        let treatment = self.shared.treatment;
        let mut random = self.shared.random.lock().unwrap_or_else(PoisonError::into_inner);
        let copies = match (random.chance(treatment.lost_percent), random.chance(treatment.doubled_percent)) {
            (true, _) => 0,
            (false, true) => 2,
            (false, false) => 1,
        };
        for _ in 0..copies {
            let delay_ms = treatment.delay_ms + random.between(0, treatment.jitter_ms);
            let arrives = Instant::now() + Duration::from_millis(delay_ms);
            let (shared, datagram) = (self.shared.clone(), Datagram { from, octets: octets.to_vec() });
            tokio::spawn(async move {
                tokio::time::sleep_until(arrives).await;
                if let Some(place) = shared.places.lock().unwrap_or_else(PoisonError::into_inner).get(&to) {
                    // Where nobody listens any more, nobody hears.
                    let _ = place.send(datagram);
                }
            });
        }
    }
}

/// One place at which datagrams arrive.
#[derive(Debug)]
struct Place {
    address: SocketAddr,
    network: Datagrams,
    incoming: Mutex<mpsc::UnboundedReceiver<Datagram>>,
}

impl AsyncUdpSocket for Place {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysReady)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.network.send(self.address, transmit.destination, transmit.contents);
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut incoming = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(buffer), Some(meta)) = (buffers.first_mut(), meta.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        match incoming.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            Poll::Ready(Some(Datagram { from, octets })) => {
                let length = octets.len().min(buffer.len());
                buffer[..length].copy_from_slice(&octets[..length]);
                *meta = RecvMeta { addr: from, len: length, stride: length, ecn: None, dst_ip: None };
                Poll::Ready(Ok(1))
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

#[derive(Debug)]
struct AlwaysReady;

impl UdpPoller for AlwaysReady {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
