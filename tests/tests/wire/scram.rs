//! Logging in with SCRAM-SHA-256 (RFC 5802, RFC 7677) at the submission port of a whole node: a client that was written from the
//! RFC, with the password that was set at the node and the keys that the node has made of it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use data_encoding::BASE64;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use waxwing_tests::smtp::any_server;
use waxwing_tests::world::free_address;
use waxwing_tests::{Site, World};

/// A client at port 465.
struct Client(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Client {
    fn at(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        let config: std::sync::Arc<ClientConfig> = any_server().unwrap();
        let connection = ClientConnection::new(config, "north.test".try_into().unwrap()).unwrap();
        let mut client = Client(BufReader::new(StreamOwned::new(connection, stream)));
        client.heard();
        let said = client.say("EHLO laptop.north.test");
        assert!(said.contains("AUTH") && said.contains("SCRAM-SHA-256"), "{said}");
        client
    }

    /// All lines of the next reply.
    fn heard(&mut self) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "{all}");
            all.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return all;
            }
        }
    }

    fn say(&mut self, line: &str) -> String {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.heard()
    }

    /// Says a message of the exchange; what the server challenges, decoded, or its reply.
    fn exchange(&mut self, line: &str) -> Result<String, String> {
        let said = self.say(line);
        let challenge = said.strip_prefix("334 ").ok_or_else(|| said.clone())?;
        Ok(String::from_utf8(BASE64.decode(challenge.trim_end().as_bytes()).unwrap()).unwrap())
    }
}

fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut octets = [0; 32];
    octets.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref());
    octets
}

/// How an exchange goes: what is done with what the client would say last.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    AsItIs,
    /// The server's nonce is left out.
    OtherNonce,
    /// It says that it binds to a channel, as it did not say before.
    OtherBinding,
}

/// Logs in; the reply, and whether the server has proved that it knows the password, too.
fn login(client: &mut Client, name: &str, password: &str, last: Last) -> (String, bool) {
    let bare = format!("n={name},r=fyko+d2lbbFgONRv9qkxdawL");
    let server =
        client.exchange(&format!("AUTH SCRAM-SHA-256 {}", BASE64.encode(format!("n,,{bare}").as_bytes())));
    let server = match server {
        Ok(server) => server,
        Err(reply) => return (reply, false),
    };
    let field = |of: &str| server.split(',').find_map(|one| one.strip_prefix(of)).unwrap().to_owned();
    let (nonce, salt, rounds) = (field("r="), BASE64.decode(field("s=").as_bytes()).unwrap(), field("i="));
    assert!(nonce.starts_with("fyko+d2lbbFgONRv9qkxdawL") && nonce.len() > 40, "{nonce}");
    let rounds: NonZeroU32 = rounds.parse().unwrap();
    assert!(rounds.get() >= 4096, "RFC 7677 section 4");
    let mut salted = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut salted);
    let (client_key, server_key) = (mac(&salted, b"Client Key"), mac(&salted, b"Server Key"));
    let stored = digest::digest(&digest::SHA256, &client_key);
    let without_proof = match last {
        Last::AsItIs => format!("c=biws,r={nonce}"),
        Last::OtherNonce => "c=biws,r=fyko+d2lbbFgONRv9qkxdawL".to_owned(),
        Last::OtherBinding => format!("c={},r={nonce}", BASE64.encode(b"y,,")),
    };
    let all = format!("{bare},{server},{without_proof}");
    let signature = mac(stored.as_ref(), all.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(one, other)| one ^ other).collect();
    let said =
        client.exchange(&BASE64.encode(format!("{without_proof},p={}", BASE64.encode(&proof)).as_bytes()));
    match said {
        Ok(verifier) => {
            let proved = verifier == format!("v={}", BASE64.encode(&mac(&server_key, all.as_bytes())));
            (client.say(""), proved)
        }
        Err(reply) => (reply, false),
    }
}

/// proves: GW-11, SUB-17
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_logs_in_without_saying_the_password() {
    let at = free_address();
    let lines = format!(
        "[policy]\nfirst-contact = \"accept\"\n[gateway]\nsubmissions = \"{at}\"\n[gateway.out]\nenabled = false"
    );
    let world = World::started(&[Site::new("north.test").lines(&lines)]).await;
    let (_alice, bob) = (world.user("alice@north.test").await, world.user("bob@north.test").await);
    let talk = move || {
        let good = "password of alice";
        for name in ["alice", "alice@north.test"] {
            let mut client = Client::at(at);
            let (said, proved) = login(&mut client, name, good, Last::AsItIs);
            assert!(said.starts_with("235") && proved, "{name}: {said} {proved}");
            for (line, digits) in [
                ("MAIL FROM:<alice@north.test>", "250"),
                ("RCPT TO:<bob@north.test>", "250"),
                ("DATA", "354"),
                ("From: <alice@north.test>\r\nSubject: by SCRAM\r\n\r\nhi\r\n.", "250"),
            ] {
                let said = client.say(line);
                assert!(said.starts_with(digits), "{line}: {said}");
            }
        }
        // A wrong password, a name that nobody has, somebody else's name, and exchanges that do not fit together: one reply.
        let mut replies = Vec::new();
        for (name, password, last) in [
            ("alice", "password of bob", Last::AsItIs),
            ("nobody", good, Last::AsItIs),
            ("bob", good, Last::AsItIs),
            ("alice", good, Last::OtherNonce),
            ("alice", good, Last::OtherBinding),
        ] {
            let mut client = Client::at(at);
            let (said, proved) = login(&mut client, name, password, last);
            assert!(said.starts_with("535") && !proved, "{name} {password}: {said}");
            assert!(client.say("MAIL FROM:<alice@north.test>").starts_with("530"), "nobody has logged in");
            replies.push(said);
        }
        replies.dedup();
        assert_eq!(replies.len(), 1, "{replies:?}");
    };
    tokio::task::spawn_blocking(talk).await.unwrap();
    let store = world.node("north.test").store().clone();
    let entries = store.mailbox(&bob.account, None, 9).unwrap();
    assert_eq!(entries.len(), 2, "one by each name");
    assert!(entries.iter().all(|entry| entry.origin.holder() == "account:alice"), "{entries:?}");
}
