//! What the machine could do if we did nothing but what must be done: bare quinn, one Ed25519 verification for each
//! message, a file that is appended to and synced for whole groups; server and client in one process.

use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::Trouble;

/// Octets of a message, and of the signature behind it.
const MESSAGE_OCTETS: usize = 4096;
const SIGNED_OCTETS: usize = MESSAGE_OCTETS + 64;
/// Octets of one write on a stream of the large kind.
const CHUNK_OCTETS: usize = 128 * 1024;
/// Messages that share one sync at the most.
const GROUP_MAX: usize = 256;

/// A client's connection and the server that answers it, in this process.
pub(crate) struct Floor {
    connection: quinn::Connection,
    client: quinn::Endpoint,
    server: quinn::Endpoint,
    key: SigningKey,
}

type Waiting = (Bytes, oneshot::Sender<()>);

impl Floor {
    /// Starts both; what is accepted is appended to a file in this folder.
    ///
    /// # Errors
    /// Where a socket or the file cannot be had.
    pub(crate) async fn start(folder: &Path) -> Result<Floor, Trouble> {
        let key = SigningKey::from_bytes(&[7; 32]);
        let made = rcgen::generate_simple_self_signed(vec!["floor.test".to_owned()])?;
        let certificate = made.cert.der().clone();
        let private = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut tls = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], private.into())?;
        tls.alpn_protocols = vec![b"floor".to_vec()];
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
        let mut transport = quinn::TransportConfig::default();
        transport.max_concurrent_bidi_streams(1000_u32.into());
        config.transport_config(Arc::new(transport));
        let server = quinn::Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into())?;

        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate)?;
        let mut tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"floor".to_vec()];
        let mut client = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
        let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        let mut transport = quinn::TransportConfig::default();
        // It waits while others are measured.
        transport.keep_alive_interval(Some(Duration::from_secs(5)));
        config.transport_config(Arc::new(transport));
        client.set_default_client_config(config);

        let (sender, receiver) = channel();
        let file = File::create(folder.join("floor"))?;
        std::thread::Builder::new().name("floor-writer".to_owned()).spawn(move || write(file, receiver))?;
        tokio::spawn(serve(server.clone(), key.verifying_key(), sender));
        let connection = client.connect(server.local_addr()?, "floor.test")?.await?;
        Ok(Floor { connection, client, server, key })
    }

    /// Messages in a second, so many at once.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) async fn small(&self, in_flight: usize, count: u64) -> Result<f64, Trouble> {
        // Signed before the clock starts, as the messages of our own load are.
        let signed: Arc<Vec<Bytes>> = Arc::new((0..64).map(|number| self.signed(number)).collect());
        let (next, began) = (Arc::new(AtomicU64::new(0)), now());
        let mut workers = JoinSet::new();
        for _ in 0..in_flight {
            let (connection, signed, next) = (self.connection.clone(), signed.clone(), next.clone());
            workers.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return Ok::<(), Trouble>(());
                    }
                    let (mut send, mut receive) = connection.open_bi().await?;
                    send.write_chunk(signed[number as usize % signed.len()].clone()).await?;
                    send.finish()?;
                    if receive.read_to_end(1).await? != [1] {
                        return Err("the floor refuses a message".into());
                    }
                }
            });
        }
        while let Some(ended) = workers.join_next().await {
            ended??;
        }
        Ok(count as f64 / now().duration_since(began).as_secs_f64())
    }

    /// Octets in a second on one stream, read and thrown away.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) async fn stream(&self, octets: u64) -> Result<f64, Trouble> {
        let (began, chunk) = (now(), Bytes::from(vec![7; CHUNK_OCTETS]));
        let (mut send, mut receive) = self.connection.open_bi().await?;
        // The first octet says that this stream is not a message.
        send.write_all(&[0]).await?;
        let mut left = octets;
        while left > 0 {
            let now = chunk.slice(..CHUNK_OCTETS.min(usize::try_from(left)?));
            left -= now.len() as u64;
            send.write_chunk(now).await?;
        }
        send.finish()?;
        receive.read_to_end(1).await?;
        Ok(octets as f64 / now().duration_since(began).as_secs_f64())
    }

    /// Ends both.
    pub(crate) async fn stop(self) {
        self.connection.close(0_u32.into(), b"");
        self.server.close(0_u32.into(), b"");
        self.client.wait_idle().await;
    }

    fn signed(&self, number: u8) -> Bytes {
        let mut octets = vec![number.max(1); MESSAGE_OCTETS];
        let signature = self.key.sign(blake3::hash(&octets).as_bytes());
        octets.extend_from_slice(&signature.to_bytes());
        octets.into()
    }
}

async fn serve(server: quinn::Endpoint, key: VerifyingKey, writer: Sender<Waiting>) {
    while let Some(incoming) = server.accept().await {
        let Ok(connection) = incoming.await else { continue };
        let writer = writer.clone();
        tokio::spawn(async move {
            while let Ok((send, receive)) = connection.accept_bi().await {
                tokio::spawn(answer(send, receive, key, writer.clone()));
            }
        });
    }
}

async fn answer(
    mut send: quinn::SendStream,
    mut receive: quinn::RecvStream,
    key: VerifyingKey,
    writer: Sender<Waiting>,
) -> Result<(), Trouble> {
    let mut octets = Vec::new();
    while let Some(chunk) = receive.read_chunk(CHUNK_OCTETS, true).await? {
        if octets.first().or(chunk.bytes.first()) == Some(&0) {
            if octets.is_empty() {
                octets.push(0);
            }
            continue;
        }
        octets.extend_from_slice(&chunk.bytes);
    }
    if octets.len() == SIGNED_OCTETS {
        let (message, signature) = octets.split_at(MESSAGE_OCTETS);
        let signature = Signature::from_slice(signature)?;
        key.verify_strict(blake3::hash(message).as_bytes(), &signature)?;
        let (done, synced) = oneshot::channel();
        writer.send((octets.into(), done))?;
        synced.await?;
    }
    send.write_all(&[1]).await?;
    send.finish()?;
    Ok(())
}

/// Appends what waits, syncs once, and then answers all.
fn write(mut file: File, waiting: Receiver<Waiting>) {
    while let Ok(first) = waiting.recv() {
        let mut group = vec![first];
        group.extend(waiting.try_iter().take(GROUP_MAX - 1));
        let octets: Vec<u8> = group.iter().flat_map(|(octets, _)| octets.iter().copied()).collect();
        if file.write_all(&octets).and_then(|()| file.sync_data()).is_err() {
            return;
        }
        for (_, done) in group {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
    }
}

/// Octets in a second that the disk takes alone: so many new files of so many octets, each synced, and then removed.
///
/// # Errors
/// Those of the disk.
pub(crate) fn disk(folder: &Path, octets: u64, count: u64) -> Result<f64, Trouble> {
    let chunk = vec![7; CHUNK_OCTETS];
    let began = now();
    for number in 0..count {
        let mut file = File::create(folder.join(format!("disk-{number}")))?;
        let mut left = usize::try_from(octets)?;
        while left > 0 {
            let now = CHUNK_OCTETS.min(left);
            file.write_all(&chunk[..now])?;
            left -= now;
        }
        file.sync_data()?;
    }
    let took = now().duration_since(began).as_secs_f64();
    for number in 0..count {
        std::fs::remove_file(folder.join(format!("disk-{number}")))?;
    }
    Ok((octets * count) as f64 / took)
}

#[expect(clippy::disallowed_methods, reason = "what is measured is time")]
fn now() -> Instant {
    Instant::now()
}

/// How long something took.
pub(crate) fn stopwatch() -> impl Fn() -> Duration {
    let began = now();
    move || now().duration_since(began)
}
