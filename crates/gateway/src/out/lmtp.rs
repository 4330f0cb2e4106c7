//! A message to one mailbox server over LMTP (RFC 2033).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use message::Code;
use rustls::RootCertStore;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::connection::Duplex;
use super::content;
use super::session::{Manner, Protocol, Session, greet};
use super::settings::Times;
use super::transaction::carry;
use super::trip::{Report, Step, Trip, Trouble};
use super::{OnStep, Shipment};

/// Where a mailbox server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LmtpPlace {
    /// At an address. LMTP is not for the network between sites, and never at port 25 (RFC 2033 section 5).
    Tcp(SocketAddr),
    /// At a socket of this machine.
    Unix(PathBuf),
}

/// Hands messages to one mailbox server, a connection for each.
#[derive(Debug, Clone)]
pub struct Lmtp {
    place: LmtpPlace,
    own_name: String,
    times: Times,
}

impl Lmtp {
    /// A client that calls itself by this name in LHLO.
    pub fn new(place: LmtpPlace, own_name: impl Into<String>, times: Times) -> Lmtp {
        Lmtp { place, own_name: own_name.into(), times }
    }

    /// Hands over one message: an outcome for each recipient, within [`Times::whole`]. [`Shipment::domain`] is not looked
    /// at. keeps: GW-58
    pub async fn send(&self, shipment: &Shipment, step: OnStep<'_>) -> Report {
        let mut trip = Trip::new(shipment.recipients.len());
        if timeout(self.times.whole, self.attempt(shipment, &mut trip, step)).await.is_err() {
            let text = "the time for one attempt is over";
            trip.failed(&self.name(), None, &Trouble::new(Step::Connect, Code::NO_ANSWER, text));
        }
        trip.report(&Trouble::new(Step::Data, Code::NO_ANSWER, "the mailbox server gave no answer"))
    }

    fn name(&self) -> String {
        match &self.place {
            LmtpPlace::Tcp(address) => address.to_string(),
            LmtpPlace::Unix(path) => path.display().to_string(),
        }
    }

    async fn attempt(&self, shipment: &Shipment, trip: &mut Trip, step: OnStep<'_>) {
        let needs = match content::examine(shipment) {
            Ok(needs) => needs,
            Err(trouble) => return trip.settle_open(&trouble.outcome()),
        };
        step("connect", &self.name());
        let mut session = match self.open().await {
            Ok(session) => session,
            Err(trouble) => return trip.failed(&self.name(), None, &trouble),
        };
        match carry(&mut session, shipment, needs, trip, step).await {
            Ok(()) => session.quit().await,
            Err(halt) => trip.failed(&self.name(), None, &halt.trouble),
        }
    }

    async fn open(&self) -> Result<Session, Trouble> {
        let name = self.name();
        let failed = |text: String| Trouble::new(Step::Connect, Code::NO_ANSWER, format!("{name}: {text}"));
        let connected = timeout(self.times.connect, self.connect()).await;
        let stream = connected
            .map_err(|_| failed("no connection in time".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        // No TLS here: the socket is of this machine or of its own network.
        let manner = Manner {
            source: None,
            own_name: self.own_name.clone(),
            roots: Arc::new(RootCertStore::empty()),
            times: self.times,
        };
        greet(stream, Protocol::Lmtp, &name, &manner).await
    }

    async fn connect(&self) -> std::io::Result<Box<dyn Duplex>> {
        Ok(match &self.place {
            LmtpPlace::Tcp(address) => Box::new(TcpStream::connect(address).await?),
            LmtpPlace::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    }
}
