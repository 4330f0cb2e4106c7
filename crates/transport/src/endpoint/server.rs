//! The server: one port, both protocols, settings in the first flight, and nobody let in before the handshake
//! is complete.

use super::admission::{Admission, Counts, Place, Verdict};
use super::link::{Link, negotiated};
use super::reset::ResetKey;
use super::{Alpn, Socket, socket_error};
use crate::error::{Code, Error};
use crate::identity::HostKey;
use crate::limits::{Limits, Role, SETTINGS_OCTETS_MAX};
use crate::tls::server_config;
use bytes::Bytes;
use quinn::crypto::rustls::QuicServerConfig;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

/// Who the server is: a key for each name that clients ask for, and one for all others.
#[derive(Clone, Debug)]
pub struct ServerIdentity {
    /// Shown to clients that ask for no name or one that is not in `by_name`.
    pub otherwise: HostKey,
    /// Shown to clients that ask for this name (SNI); letter case does not count.
    pub by_name: BTreeMap<String, HostKey>,
}

impl From<HostKey> for ServerIdentity {
    fn from(otherwise: HostKey) -> Self {
        Self { otherwise, by_name: BTreeMap::new() }
    }
}

/// One protocol that a server speaks.
#[derive(Clone, Debug)]
pub struct Service {
    /// Which.
    pub alpn: Alpn,
    /// The octets of its settings frame, sent unasked in the server's first flight; at most
    /// [`SETTINGS_OCTETS_MAX`]. They are the same for all, because the client is not yet known.
    pub settings: Bytes,
}

/// A listening endpoint. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Server {
    endpoint: quinn::Endpoint,
    admission: Admission,
    services: Arc<[Service]>,
    limits: Arc<Limits>,
}

impl Server {
    /// Listens for these services on one socket.
    ///
    /// # Errors
    /// [`Error::Socket`]; [`Error::OwnIdentity`]; [`Error::BadSetting`] where a service is missing, named
    /// twice, or its settings are too long.
    pub fn bind(
        socket: Socket,
        identity: &ServerIdentity,
        services: Vec<Service>,
        limits: &Limits,
    ) -> Result<Self, Error> {
        if services.iter().any(|service| service.settings.len() > SETTINGS_OCTETS_MAX) {
            return Err(Error::BadSetting("settings are too long"));
        }
        let distinct = services.iter().map(|service| service.alpn).collect::<std::collections::BTreeSet<_>>();
        if services.is_empty() || distinct.len() != services.len() {
            return Err(Error::BadSetting("services must be given once each"));
        }
        let config = quic_config(identity, &services, limits)?;
        Ok(Self {
            endpoint: socket.endpoint(Some((config, ResetKey::of(&identity.otherwise))))?,
            admission: Admission::new(limits),
            services: services.into(),
            limits: Arc::new(limits.clone()),
        })
    }

    /// Shows another identity to connections from now on, as after the renewal of a certificate.
    ///
    /// # Errors
    /// [`Error::OwnIdentity`]; the former identity stays.
    pub fn replace_identity(&self, identity: &ServerIdentity) -> Result<(), Error> {
        let config = quic_config(identity, &self.services, &self.limits)?;
        self.endpoint.set_server_config(Some(config));
        Ok(())
    }

    /// Waits for the next connection attempt that is let in; `None` once the server is closed.
    ///
    /// Returns before the handshake: call [`Accepted::authenticated`] in a task of its own.
    pub async fn accept(&self) -> Option<Accepted> {
        loop {
            let incoming = self.endpoint.accept().await?;
            let (remote, local) = (incoming.remote_address().ip(), incoming.local_ip());
            // An address that may not be asked again has been asked before.
            let proven = incoming.remote_address_validated() || !incoming.may_retry();
            match self.admission.judge(remote, local, proven) {
                Verdict::Ignore => incoming.ignore(),
                Verdict::Refuse => incoming.refuse(),
                // Fails only for a proven address, which is never asked again; dropping it refuses it.
                Verdict::Retry => drop(incoming.retry()),
                Verdict::Admit(place) => {
                    // Fails where the first packet is malformed; there is nobody to tell.
                    let Ok(connecting) = incoming.accept() else { continue };
                    let (services, limits) = (self.services.clone(), &self.limits);
                    let time = limits.handshake_time;
                    return Some(Accepted { connecting, place, services, time });
                }
            }
        }
    }

    /// The address that the server listens on.
    ///
    /// # Errors
    /// [`Error::Socket`].
    pub fn local_address(&self) -> Result<SocketAddr, Error> {
        self.endpoint.local_addr().map_err(socket_error)
    }

    /// What was seen so far.
    pub fn counts(&self) -> Counts {
        self.admission.counts()
    }

    /// Takes no more connections; those that live go on.
    pub fn stop_accepting(&self) {
        self.endpoint.set_server_config(None);
    }

    /// Closes every connection with [`Code::GoingAway`], and waits until the peers have had time to hear of
    /// it.
    pub async fn close(&self, reason: &str) {
        self.hang_up(reason);
        self.endpoint.wait_idle().await;
    }

    /// Closes every connection with [`Code::GoingAway`] and waits for nobody.
    pub fn hang_up(&self, reason: &str) {
        self.endpoint.close(Code::GoingAway.into(), reason.as_bytes());
    }
}

/// A connection whose handshake is not complete. Dropping it closes it.
#[derive(Debug)]
pub struct Accepted {
    connecting: quinn::Connecting,
    place: Place,
    services: Arc<[Service]>,
    time: Duration,
}

impl Accepted {
    /// The client's claimed address.
    pub fn remote_address(&self) -> SocketAddr {
        self.connecting.remote_address()
    }

    /// Sends the settings in the server's first flight, then waits until the client's last handshake message
    /// is verified. Only then is there a [`Link`]. keeps: TRA-10, TRA-11
    ///
    /// # Errors
    /// Why the handshake failed; [`Error::TimedOut`] where it took too long.
    pub async fn authenticated(self) -> Result<Link, Error> {
        let time = self.time;
        tokio::time::timeout(time, self.handshake()).await.map_err(|_| Error::TimedOut)?
    }

    async fn handshake(mut self) -> Result<Link, Error> {
        let (alpn, server_name) = negotiated(Some(self.connecting.handshake_data().await?))?;
        let settings = self
            .services
            .iter()
            .find(|service| service.alpn == alpn)
            .map(|service| service.settings.clone())
            .ok_or(Error::NoCommonProtocol)?;
        let Ok((connection, complete)) = self.connecting.into_0rtt() else {
            return Err(Error::Internal("a server could not send early".to_owned()));
        };
        let greeting = async {
            let mut stream = connection.open_uni().await?;
            stream.write_all(&settings).await?;
            // Fails only where the stream was reset, which nobody else can do.
            let _ = stream.finish();
            Ok::<_, Error>(())
        };
        let (greeted, _) = tokio::join!(greeting, complete);
        // The future says "complete" for a failed handshake too; only the connection knows.
        if let Some(error) = connection.close_reason() {
            return Err(error.into());
        }
        greeted?;
        self.place.authenticated();
        Link::new(connection, alpn, server_name, Some(self.place))
    }
}

fn quic_config(
    identity: &ServerIdentity,
    services: &[Service],
    limits: &Limits,
) -> Result<quinn::ServerConfig, Error> {
    let alpns: Vec<Alpn> = services.iter().map(|service| service.alpn).collect();
    let tls = QuicServerConfig::try_from(server_config(identity, &alpns)?)
        .map_err(|error| Error::OwnIdentity(error.to_string()))?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    config.transport_config(limits.transport(Role::Server)?);
    limits.bound_incoming(&mut config);
    Ok(config)
}
