//! The client: each connection with its own expectation of who the server is.

use super::link::{Link, negotiated};
use super::{Alpn, Socket, socket_error};
use crate::error::{Code, Error};
use crate::identity::HostKey;
use crate::limits::SETTINGS_OCTETS_MAX;
use crate::limits::{ADDRESSES_MAX, CLIENT_CONFIGS_MAX, Limits, NEXT_ADDRESS_AFTER, Pace, Role};
use crate::tls::{Expectation, client_config};
use bytes::Bytes;
use quinn::crypto::rustls::QuicClientConfig;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, net::SocketAddr, ops::Deref};
use tokio::{sync::watch, task::JoinSet, time::timeout};

/// An endpoint that opens connections. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    identity: Option<HostKey>,
}

struct Shared {
    endpoint: quinn::Endpoint,
    transport: Arc<quinn::TransportConfig>,
    limits: Limits,
    configs: Mutex<Configs>,
}

impl Client {
    /// Opens an endpoint whose connections show `identity`, if any.
    ///
    /// # Errors
    /// [`Error::Socket`]; [`Error::BadSetting`].
    pub fn bind(socket: Socket, identity: Option<HostKey>, limits: &Limits) -> Result<Self, Error> {
        let shared = Shared {
            transport: limits.transport(Role::Client)?,
            endpoint: socket.endpoint(None)?,
            limits: limits.clone(),
            configs: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared), identity })
    }

    /// The same endpoint, showing another identity: for a node that sends for several domains.
    pub fn with_identity(&self, identity: Option<HostKey>) -> Self {
        Self { shared: self.shared.clone(), identity }
    }

    /// Connects to one address. `server_name` is what the server is asked for (SNI); who it must be is
    /// `expectation` alone. Resolves when the server is authenticated, after one round trip.
    ///
    /// # Errors
    /// [`Error::NotAsExpected`] where the server is somebody else; others as they are named.
    pub async fn connect(
        &self,
        address: SocketAddr,
        server_name: &str,
        alpn: Alpn,
        expectation: &Expectation,
    ) -> Result<Connected, Error> {
        let config = self.config(alpn, expectation)?;
        let connecting = self.shared.endpoint.connect_with(config, address, server_name)?;
        let limits = &self.shared.limits;
        let connection = timeout(limits.handshake_time, connecting).await.map_err(|_| Error::TimedOut)??;
        let (alpn, _) = negotiated(connection.handshake_data())?;
        let link = Link::new(connection.clone(), alpn, None, None)?;
        let (sender, settings) = watch::channel(None);
        let pace = Pace::start(&Limits { stream_time: limits.handshake_time, ..limits.clone() });
        // A task of its own, so that a caller who gives up waiting takes nothing from the others.
        tokio::spawn(async move {
            let read = read_settings(connection, pace).await;
            sender.send_replace(Some(read));
        });
        Ok(Connected { link, settings })
    }

    /// Connects to the first of several addresses that answers: each is given a quarter of a second before
    /// the next is tried beside it, as in RFC 8305, section 5. keeps: TRA-19
    ///
    /// # Errors
    /// What the last failure was; [`Error::NoAddress`] where there is none.
    pub async fn connect_any(
        &self,
        addresses: &[SocketAddr],
        server_name: &str,
        alpn: Alpn,
        expectation: &Expectation,
    ) -> Result<Connected, Error> {
        let mut untried = addresses.iter().copied().take(ADDRESSES_MAX).peekable();
        let mut attempts = JoinSet::new();
        let mut failure = Error::NoAddress;
        loop {
            if let Some(address) = untried.next() {
                let (client, name, expectation) = (self.clone(), server_name.to_owned(), expectation.clone());
                attempts.spawn(async move { client.connect(address, &name, alpn, &expectation).await });
            }
            let finished = if untried.peek().is_some() {
                match timeout(NEXT_ADDRESS_AFTER, attempts.join_next()).await {
                    Ok(finished) => finished,
                    Err(_) => continue,
                }
            } else {
                attempts.join_next().await
            };
            match finished {
                Some(Ok(Ok(connected))) => return Ok(connected),
                Some(Ok(Err(error))) => failure = error,
                Some(Err(error)) => failure = Error::Internal(error.to_string()),
                None => return Err(failure),
            }
        }
    }

    /// The limits that the client was made with.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// The address that the client sends from.
    ///
    /// # Errors
    /// [`Error::Socket`].
    pub fn local_address(&self) -> Result<SocketAddr, Error> {
        self.shared.endpoint.local_addr().map_err(socket_error)
    }

    /// Closes every connection, and waits until the peers have had time to hear of it.
    pub async fn close(&self, reason: &str) {
        self.shared.endpoint.close(Code::NoError.into(), reason.as_bytes());
        self.shared.endpoint.wait_idle().await;
    }

    /// The configuration for this expectation, made once and kept.
    fn config(&self, alpn: Alpn, expectation: &Expectation) -> Result<quinn::ClientConfig, Error> {
        let key = ConfigKey {
            identity: self.identity.as_ref().map(HostKey::chain_digest),
            alpn,
            expectation: expectation.clone(),
        };
        let mut configs = self.shared.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = configs.by_key.get(&key) {
            return Ok(found.clone());
        }
        let tls = client_config(self.identity.as_ref(), expectation, alpn)?;
        let tls = QuicClientConfig::try_from(tls).map_err(|error| Error::OwnIdentity(error.to_string()))?;
        let mut config = quinn::ClientConfig::new(Arc::new(tls));
        config.transport_config(self.shared.transport.clone());
        configs.insert(key, config.clone());
        Ok(config)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// A client's connection to an authenticated server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connected {
    link: Link,
    settings: watch::Receiver<Option<Result<Bytes, Error>>>,
}

impl Connected {
    /// The octets of the server's settings frame, at most [`SETTINGS_OCTETS_MAX`]. They come with the
    /// server's first flight, so this seldom waits. May be asked often.
    ///
    /// # Errors
    /// [`Error::NoSettings`] where the server sent none in time; [`Error::TooLarge`]; or why the connection
    /// ended.
    pub async fn settings(&self) -> Result<Bytes, Error> {
        let mut receiver = self.settings.clone();
        let read = receiver.wait_for(Option::is_some).await;
        let read = read.map_err(|_| Error::Internal("the reader of settings died".to_owned()))?;
        read.clone().unwrap_or_else(|| Err(Error::Internal("no settings were read".to_owned())))
    }

    /// The connection.
    pub fn link(&self) -> &Link {
        &self.link
    }
}

impl Deref for Connected {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}

/// Reads the server's first unidirectional stream. keeps: TRA-10
async fn read_settings(connection: quinn::Connection, pace: Pace) -> Result<Bytes, Error> {
    let time = pace.stall_time();
    let mut stream = timeout(time, connection.accept_uni())
        .await
        .map_err(|_| Error::NoSettings("no stream was opened in time".to_owned()))??;
    // Holding the connection here would keep it alive after its users have dropped it.
    drop(connection);
    pace.read_to_end(&mut stream, SETTINGS_OCTETS_MAX).await
}

/// What a TLS configuration depends on.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ConfigKey {
    identity: Option<[u8; 32]>,
    alpn: Alpn,
    expectation: Expectation,
}

/// Configurations by what they depend on; the oldest goes when there are too many.
#[derive(Default)]
struct Configs {
    by_key: HashMap<ConfigKey, quinn::ClientConfig>,
    by_age: VecDeque<ConfigKey>,
}

impl Configs {
    fn insert(&mut self, key: ConfigKey, config: quinn::ClientConfig) {
        if self.by_age.len() >= CLIENT_CONFIGS_MAX
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.by_key.remove(&oldest);
        }
        self.by_age.push_back(key.clone());
        self.by_key.insert(key, config);
    }
}
