//! A small authoritative name server for loopback: fixed zones from master files, for the quickstart and for tests.
//!
//! It is no server for the open internet: it limits no rates, it neither transfers nor updates zones, and it
//! refuses to listen on any address that is not loopback.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ed25519_dalek::{Signer, SigningKey};
use hickory_proto::dnssec::rdata::DNSKEY;
use hickory_proto::dnssec::{Algorithm, DnsSecResult, DnssecSigner, PublicKeyBuf, TBS};
use hickory_proto::rr::{LowerName, Name, RecordSet, RrKey};
use hickory_proto::serialize::txt::Parser;
use hickory_server::Server;
use hickory_server::dnssec::NxProofKind;
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use tokio::net::{TcpListener, UdpSocket};

use crate::limits::{
    SIGNATURE_TIME, ZONE_ANSWERS_WAITING_MAX, ZONE_IDLE_TIME_MAX, ZONE_OCTETS_MAX, ZONE_PORT_TRIES_MAX,
};
use crate::{Error, TrustAnchor, name};

/// The zones to serve.
#[derive(Debug, Default)]
pub struct Zones {
    zones: BTreeMap<String, Zone>,
}

#[derive(Debug)]
struct Zone {
    records: BTreeMap<RrKey, RecordSet>,
    seed: Option<[u8; 32]>,
}

/// A zone server at work. It stops when it is dropped, at once, or by [`Running::shutdown`], in good order.
pub struct Running {
    address: SocketAddr,
    server: Server<Catalog>,
}

impl Zones {
    /// No zones.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one zone from the text of a master file (RFC 1035, section 5), or replaces it. It needs an SOA record,
    /// and all its names are at or below `origin`. `$INCLUDE` is refused: zones are text, not files.
    ///
    /// # Errors
    /// [`Error::BadName`] for the origin; [`Error::SetUp`] for a text that cannot be read or is longer than
    /// [`ZONE_OCTETS_MAX`].
    pub fn add(&mut self, origin: &str, text: &str) -> Result<(), Error> {
        let origin = name::checked(origin)?;
        if text.len() > ZONE_OCTETS_MAX {
            return Err(Error::SetUp(format!("the zone {origin} is longer than {ZONE_OCTETS_MAX} octets")));
        }
        if text.to_ascii_uppercase().contains("$INCLUDE") {
            return Err(Error::SetUp(format!("the zone {origin} contains $INCLUDE")));
        }
        let apex = absolute(&origin)?;
        let parsed = Parser::new(text, None, Some(apex.clone())).parse();
        let (_, records) = parsed.map_err(|error| Error::SetUp(format!("the zone {origin}: {error}")))?;
        let zone = Zone { records, seed: None };
        zone.handler(&apex)?;
        self.zones.insert(origin, zone);
        Ok(())
    }

    /// Signs a zone that was added (DNSSEC, Ed25519, NSEC) with the key made from a secret seed, and gives the
    /// anchor that a resolver needs to trust it. The signatures are made when the server starts, by the system's
    /// clock, and last for [`SIGNATURE_TIME`].
    ///
    /// # Errors
    /// [`Error::BadName`]; [`Error::SetUp`] where there is no such zone.
    pub fn sign(&mut self, origin: &str, seed: [u8; 32]) -> Result<TrustAnchor, Error> {
        let origin = name::checked(origin)?;
        let Some(zone) = self.zones.get_mut(&origin) else {
            return Err(Error::SetUp(format!("there is no zone {origin} to sign")));
        };
        zone.seed = Some(seed);
        let public_key = ZoneKey::new(&seed).public_octets();
        Ok(TrustAnchor { zone: origin, algorithm: u8::from(Algorithm::ED25519), public_key })
    }

    fn catalog(&self) -> Result<Catalog, Error> {
        let mut catalog = Catalog::new();
        for (origin, zone) in &self.zones {
            let apex = absolute(origin)?;
            catalog.upsert(LowerName::from(&apex), vec![Arc::new(zone.handler(&apex)?)]);
        }
        Ok(catalog)
    }
}

/// Serves zones over UDP and TCP at one loopback address; port 0 takes a free one.
///
/// Must be called within a tokio runtime with I/O enabled.
///
/// # Errors
/// [`Error::SetUp`] for an address that is not loopback or is in use.
/// keeps: DISCOVERY-11
pub async fn serve(zones: &Zones, address: SocketAddr) -> Result<Running, Error> {
    if !address.ip().is_loopback() {
        return Err(Error::SetUp(format!("{address} is not a loopback address")));
    }
    let (udp, tcp, address) =
        bind(address).await.map_err(|error| Error::SetUp(format!("{address}: {error}")))?;
    let mut server = Server::new(zones.catalog()?);
    server.register_socket(udp);
    server.register_listener(tcp, ZONE_IDLE_TIME_MAX, ZONE_ANSWERS_WAITING_MAX);
    Ok(Running { address, server })
}

impl Running {
    /// Where the server listens, for both UDP and TCP.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening, and returns when the last answer is out.
    ///
    /// # Errors
    /// [`Error::SetUp`] where the server had already failed.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        self.server.shutdown_gracefully().await.map_err(|error| Error::SetUp(error.to_string()))
    }
}

/// A free UDP port may be taken for TCP; then another one is tried.
async fn bind(address: SocketAddr) -> std::io::Result<(UdpSocket, TcpListener, SocketAddr)> {
    let mut tries = if address.port() == 0 { ZONE_PORT_TRIES_MAX } else { 1 };
    loop {
        let udp = UdpSocket::bind(address).await?;
        let bound = udp.local_addr()?;
        tries -= 1;
        match TcpListener::bind(bound).await {
            Ok(tcp) => return Ok((udp, tcp, bound)),
            Err(error) if tries == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

impl Zone {
    fn handler(&self, apex: &Name) -> Result<InMemoryZoneHandler<TokioRuntimeProvider>, Error> {
        let set_up = |error: String| Error::SetUp(format!("the zone {apex}: {error}"));
        let zone = LowerName::from(apex);
        if let Some(stranger) = self.records.keys().find(|key| !zone.zone_of(&key.name)) {
            return Err(set_up(format!("{} is not in it", stranger.name)));
        }
        let denial = self.seed.map(|_| NxProofKind::Nsec);
        let (kind, transfers) = (ZoneType::Primary, AxfrPolicy::Deny);
        let mut handler =
            InMemoryZoneHandler::new(apex.clone(), self.records.clone(), kind, transfers, denial)
                .map_err(set_up)?;
        if let Some(seed) = &self.seed {
            let key = ZoneKey::new(seed);
            let dnskey = DNSKEY::from_key(&key.public());
            let signer = DnssecSigner::new(dnskey, Box::new(key), apex.clone(), SIGNATURE_TIME);
            let signed = handler.add_zone_signing_key_mut(signer).and_then(|()| handler.secure_zone_mut());
            signed.map_err(|error| set_up(error.to_string()))?;
        }
        Ok(handler)
    }
}

/// An Ed25519 key as the signer wants it.
struct ZoneKey(SigningKey);

impl ZoneKey {
    fn new(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    fn public_octets(&self) -> Vec<u8> {
        self.0.verifying_key().to_bytes().to_vec()
    }

    fn public(&self) -> PublicKeyBuf {
        PublicKeyBuf::new(self.public_octets(), Algorithm::ED25519)
    }
}

impl hickory_proto::dnssec::SigningKey for ZoneKey {
    fn sign(&self, tbs: &TBS) -> DnsSecResult<Vec<u8>> {
        Ok(self.0.sign(tbs.as_ref()).to_bytes().to_vec())
    }

    fn to_public_key(&self) -> DnsSecResult<PublicKeyBuf> {
        Ok(self.public())
    }

    fn algorithm(&self) -> Algorithm {
        Algorithm::ED25519
    }
}

fn absolute(name: &str) -> Result<Name, Error> {
    Name::from_ascii(format!("{name}.")).map_err(|_| Error::BadName(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOA: &str = "@ 60 IN SOA ns hostmaster 1 3600 600 86400 60\n";

    #[test] // proves: DISCOVERY-11
    fn zones_are_checked_when_they_are_added() {
        let check = |origin: &str, text: &str, expected: Option<&str>| {
            let error = Zones::new().add(origin, text).err().map(|error| error.to_string());
            match expected {
                None => assert_eq!(error, None, "{text:?}"),
                Some(part) => {
                    assert!(error.as_ref().is_some_and(|e| e.contains(part)), "{text:?}: {error:?}")
                }
            }
        };
        check("north.test", SOA, None);
        check("north.test", &format!("{SOA}mx 60 IN A 127.0.0.1\n"), None);
        check("north.test.", SOA, Some("not a DNS name"));
        check("north.test", "@ 60 IN A 127.0.0.1\n", Some("SOA"));
        check("north.test", "@ 60 IN A north\n", Some("the zone north.test"));
        check("north.test", &format!("{SOA}mx.south.test. 60 IN A 127.0.0.1\n"), Some("not in it"));
        check("north.test", &format!("{SOA}$include /etc/passwd\n"), Some("$INCLUDE"));
        check("north.test", &" ".repeat(ZONE_OCTETS_MAX + 1), Some("longer"));
    }

    #[tokio::test] // proves: DISCOVERY-11
    async fn only_loopback_is_served() {
        let outside = "0.0.0.0:0".parse().unwrap();
        assert!(matches!(serve(&Zones::new(), outside).await, Err(Error::SetUp(_))));
        let inside = serve(&Zones::new(), "[::1]:0".parse().unwrap()).await.unwrap();
        assert_ne!(inside.local_addr().port(), 0);
        inside.shutdown().await.unwrap();
    }
}
