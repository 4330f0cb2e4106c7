//! Handshakes in memory, without QUIC around them.

use super::*;
use crate::identity::KeyKind;
use rustls::quic::{ClientConnection, KeyChange, ServerConnection, Version};
use rustls::{HandshakeKind, NamedGroup};

/// What one side has to say, one element for each encryption level.
fn flights(mut write: impl FnMut(&mut Vec<u8>) -> Option<KeyChange>) -> Vec<Vec<u8>> {
    let mut flights = Vec::new();
    loop {
        let mut flight = Vec::new();
        let more = write(&mut flight).is_some();
        if !flight.is_empty() {
            flights.push(flight);
        }
        if !more {
            return flights;
        }
    }
}

/// Two sides that are about to shake hands.
fn pair(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> (ClientConnection, ServerConnection) {
    let name = ServerName::try_from("mx.example").unwrap();
    let client = ClientConnection::new(client.clone(), Version::V1, name, vec![]).unwrap();
    (client, ServerConnection::new(server.clone(), Version::V1, vec![]).unwrap())
}

/// Shuttles handshake octets between the two, and returns what the client sent first.
fn shake(client: &mut ClientConnection, server: &mut ServerConnection) -> Result<Vec<u8>, rustls::Error> {
    let hello = flights(|buffer| client.write_hs(buffer)).concat();
    server.read_hs(&hello)?;
    while client.is_handshaking() || server.is_handshaking() {
        for flight in flights(|buffer| server.write_hs(buffer)) {
            client.read_hs(&flight)?;
        }
        for flight in flights(|buffer| client.write_hs(buffer)) {
            server.read_hs(&flight)?;
        }
    }
    Ok(hello)
}

/// Whether a ClientHello carries the extension of this number, found by walking RFC 8446, section 4.1.2.
fn has_extension(hello: &[u8], number: u16) -> bool {
    let two = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
    // Header, version and random; then the session identifier, cipher suites and compression methods.
    let mut at = 4 + 2 + 32;
    at += 1 + usize::from(hello[at]);
    at += 2 + two(at);
    at += 1 + usize::from(hello[at]);
    let end = at + 2 + two(at);
    assert_eq!(end, hello.len());
    at += 2;
    let mut found = false;
    while at < end {
        found |= two(at) == usize::from(number);
        at += 4 + two(at + 2);
    }
    found
}

/// The second connection with the same configurations could resume the first, if both sides allowed it. So
/// each side is also tried with one that allows everything.
///
/// proves: TRA-2, TRA-3
#[test]
fn the_key_exchange_is_hybrid_and_nothing_is_early() {
    let key = HostKey::generate(KeyKind::EcdsaP256, &["mx.example"]).unwrap();
    let pin = Expectation::Pinned { digests: vec![key.key_digest()] };
    for (lax_client, lax_server) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut client = client_config(None, &pin, Alpn::Exchange).unwrap();
        let mut server = server_config(&key.clone().into(), &[Alpn::Exchange]).unwrap();
        if lax_client {
            client.resumption = Resumption::in_memory_sessions(8);
            client.enable_early_data = true;
        }
        if lax_server {
            server.session_storage = rustls::server::ServerSessionMemoryCache::new(8);
            server.send_tls13_tickets = 2;
            server.max_early_data_size = u32::MAX;
        }
        let (client, server) = (Arc::new(client), Arc::new(server));
        let mut resumed = false;
        for _ in 0..2 {
            let (mut client, mut server) = pair(&client, &server);
            let hello = shake(&mut client, &mut server).unwrap();
            for group in [client.negotiated_key_exchange_group(), server.negotiated_key_exchange_group()] {
                assert_eq!(group.unwrap().name(), NamedGroup::X25519MLKEM768);
            }
            assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
            let tickets = flights(|buffer| server.write_hs(buffer)).concat();
            assert_eq!(tickets.is_empty(), !lax_server, "only a lax server sends session tickets");
            client.read_hs(&tickets).unwrap();
            assert!(has_extension(&hello, 16), "ALPN is there, so the walk finds what is");
            resumed |= has_extension(&hello, 41) || has_extension(&hello, 42);
            resumed |= server.handshake_kind() != Some(HandshakeKind::Full);
        }
        assert_eq!(resumed, lax_client && lax_server, "{lax_client} {lax_server}");
    }
}

#[test]
fn roots_are_equal_where_the_authorities_are() {
    let key = |name: &str| HostKey::generate(KeyKind::EcdsaP256, &[name]).unwrap().chain_pem();
    let (one, two) = (key("one.example"), key("two.example"));
    assert_eq!(Roots::from_pem(&one).unwrap(), Roots::from_pem(&one).unwrap());
    assert_ne!(Roots::from_pem(&one).unwrap(), Roots::from_pem(&two).unwrap());
    assert!(matches!(Roots::from_pem(""), Err(Error::OwnIdentity(_))));
}

/// A certificate is public: whoever has seen it can show it, but cannot sign with its key.
///
/// proves: TRA-7, TRA-8
#[test]
fn a_certificate_without_its_key_convinces_nobody() {
    let key = |name: &str| HostKey::generate(KeyKind::EcdsaP256, &[name]).unwrap();
    let (host, sender, thief) = (key("mx.example"), key("out.example"), key("thief.example"));
    let stolen = |victim: &HostKey| {
        let mixed = CertifiedKey::new(victim.chain().to_vec(), thief.certified().key.clone());
        Arc::new(SingleCertAndKey::from(mixed))
    };
    let pin = Expectation::Pinned { digests: vec![host.key_digest()] };
    for (server_lies, client_lies) in [(false, false), (true, false), (false, true)] {
        let mut client = client_config(Some(&sender), &pin, Alpn::Exchange).unwrap();
        let mut server = server_config(&host.clone().into(), &[Alpn::Exchange]).unwrap();
        if server_lies {
            server.cert_resolver = stolen(&host);
        }
        if client_lies {
            client.client_auth_cert_resolver = stolen(&sender);
        }
        let (mut client, mut server) = pair(&Arc::new(client), &Arc::new(server));
        let shaken = shake(&mut client, &mut server).map(|_| ());
        if server_lies || client_lies {
            assert_eq!(shaken, Err(CertificateError::BadSignature.into()), "{server_lies} {client_lies}");
        } else {
            assert_eq!(shaken, Ok(()));
        }
    }
}
