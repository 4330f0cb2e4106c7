//! What the tests of the wire share: a server that answers, and a relay that delays.

use bytes::Bytes;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use waxwing_transport::{
    Accepted, Alpn, Client, Error, Expectation, HostKey, KeyKind, Limits, Link, Pace, Server, Service, Socket,
};

pub(crate) const NAME: &str = "mx.example";
pub(crate) const SETTINGS: &[u8] = b"settings of exchange";
pub(crate) const SUBMISSION_SETTINGS: &[u8] = b"settings of submission";

pub(crate) fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

pub(crate) fn socket() -> Socket {
    Socket::bind(loopback()).unwrap()
}

pub(crate) fn host_key() -> HostKey {
    HostKey::generate(KeyKind::EcdsaP256, &[NAME]).unwrap()
}

pub(crate) fn pin(key: &HostKey) -> Expectation {
    Expectation::Pinned { digests: vec![key.key_digest()] }
}

pub(crate) fn services() -> Vec<Service> {
    vec![
        Service { alpn: Alpn::Exchange, settings: Bytes::from_static(SETTINGS) },
        Service { alpn: Alpn::Submission, settings: Bytes::from_static(SUBMISSION_SETTINGS) },
    ]
}

/// A server that echoes each transaction, and tells of each handshake.
pub(crate) struct Echo {
    pub(crate) server: Server,
    pub(crate) key: HostKey,
    pub(crate) address: SocketAddr,
    pub(crate) seen: mpsc::UnboundedReceiver<Result<Link, Error>>,
}

impl Echo {
    pub(crate) fn start(limits: &Limits) -> Self {
        Self::with(host_key(), services(), limits)
    }

    pub(crate) fn with(key: HostKey, services: Vec<Service>, limits: &Limits) -> Self {
        let server = Server::bind(socket(), &key.clone().into(), services, limits).unwrap();
        let address = server.local_address().unwrap();
        let (sender, seen) = mpsc::unbounded_channel();
        let listening = server.clone();
        tokio::spawn(async move {
            while let Some(accepted) = listening.accept().await {
                tokio::spawn(echo(accepted, sender.clone()));
            }
        });
        Self { server, key, address, seen }
    }

    pub(crate) async fn next(&mut self) -> Result<Link, Error> {
        self.seen.recv().await.unwrap()
    }
}

async fn echo(accepted: Accepted, sender: mpsc::UnboundedSender<Result<Link, Error>>) {
    let link = accepted.authenticated().await;
    link.iter().for_each(Link::proved);
    let _ = sender.send(link.clone());
    let Ok(link) = link else { return };
    while let Ok((mut send, mut receive)) = link.accept_bi().await {
        tokio::spawn(async move {
            let pace = Pace::start(&Limits::default());
            let Ok(request) = pace.read_to_end(&mut receive, 1 << 20).await else { return };
            let _ = pace.write(&mut send, request).await;
            send.finish();
        });
    }
}

pub(crate) fn client(identity: Option<HostKey>, limits: &Limits) -> Client {
    Client::bind(socket(), identity, limits).unwrap()
}

/// One transaction: sends octets and returns the answer.
pub(crate) async fn ask(link: &Link, request: &[u8]) -> Result<Bytes, Error> {
    let pace = Pace::start(&Limits::default());
    let (mut send, mut receive) = link.open_bi().await?;
    pace.write(&mut send, Bytes::copy_from_slice(request)).await?;
    send.finish();
    pace.read_to_end(&mut receive, 1 << 20).await
}

/// A relay between one client and a server: each datagram arrives `delay` after it was sent; the client's
/// datagrams beyond the first `client_datagrams_max` are lost.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
}

impl Relay {
    pub(crate) async fn start(server: SocketAddr, delay: Duration, client_datagrams_max: usize) -> Self {
        let front = Arc::new(UdpSocket::bind(loopback()).await.unwrap());
        let back = Arc::new(UdpSocket::bind(loopback()).await.unwrap());
        let address = front.local_addr().unwrap();
        let (client_sender, client_receiver) = tokio::sync::watch::channel(None);

        let (to_server, mut for_server) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
        let incoming = front.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            let mut datagrams = 0;
            while let Ok((length, from)) = incoming.recv_from(&mut buffer).await {
                client_sender.send_replace(Some(from));
                datagrams += 1;
                if datagrams <= client_datagrams_max {
                    let _ = to_server.send((Instant::now() + delay, buffer[..length].to_vec()));
                }
            }
        });
        let outgoing = back.clone();
        tokio::spawn(async move {
            while let Some((due, datagram)) = for_server.recv().await {
                sleep_until(due).await;
                let _ = outgoing.send_to(&datagram, server).await;
            }
        });
        let (to_client, mut for_client) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((length, _)) = back.recv_from(&mut buffer).await {
                let _ = to_client.send((Instant::now() + delay, buffer[..length].to_vec()));
            }
        });
        tokio::spawn(async move {
            while let Some((due, datagram)) = for_client.recv().await {
                sleep_until(due).await;
                let client = *client_receiver.borrow();
                if let Some(client) = client {
                    let _ = front.send_to(&datagram, client).await;
                }
            }
        });
        Self { address }
    }
}
