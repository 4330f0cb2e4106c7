//! Two nodes in one process: north.test and south.test, each with its own store, and real QUIC between them.
//!
//! ```text
//! cargo run -p waxwing-examples --example two_nodes
//! ```
//!
//! This is what a test of one's own program needs: everything lies in a temporary folder and listens on
//! loopback, and the nodes can be watched from the inside, by an observer and through their stores.

use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cli::client::{Incoming, Outgoing, Session};
use cli::profile::{Trust, device_key};
use daemon::{Demo, DemoNode};
use message::Selection;
use message::address::Address;
use node::{Event, Observer};
use protocol::{Enrol, SubmissionOptions};

type Failure = Box<dyn Error + Send + Sync>;

/// The letter that is sent, as any mail program would have written it.
const LETTER: &[u8] = include_bytes!("../letter.eml");
/// Everything is on this machine: what takes longer than this does not come any more.
const TIME_MAX: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    show().await
}

async fn show() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let log = Arc::new(Log::default());
    let demo = Demo::start(folder.path(), &|_| Arc::clone(&log) as Arc<dyn Observer>).await?;
    let mut alice = user(&demo.north, "alice", "alice@north.test", folder.path()).await?;
    let mut bob = user(&demo.south, "bob", "bob@south.test", folder.path()).await?;
    let mut arrived = demo.south.running.node().mail_arrived();

    // The letter in its native form: base64, quoted-printable and encoded words are gone, octets and UTF-8
    // are left.
    let letter = translate::import(LETTER, &translate::ImportOptions::default())?.message;
    assert_eq!(letter.bodies().len(), 2, "a text and a picture");
    assert!(letter.headers().message().only("From").is_some_and(|from| from.contains("Alice Öberg")));
    let to = [Address::parse("bob@south.test")?];
    let outgoing = Outgoing::from_message(&letter, Vec::new());
    let submitted = alice.submit(&outgoing, &to, SubmissionOptions::default(), &|_| {}).await?;

    // Bob's node says when mail has come; nobody polls here.
    tokio::time::timeout(TIME_MAX, arrived.recv()).await??;
    let entries = bob.mailbox(0, 10).await?;
    let entry = entries.first().ok_or("the mailbox is empty")?;
    assert_eq!(entry.identity, submitted.identity, "on both sides it is the same message");
    let seal = entry.seals.first().ok_or("no seal")?;
    assert_eq!((seal.issuer.as_str(), seal.role.as_str(), seal.verified), ("north.test", "submission", true));

    // Everything that is fetched is checked against the identity on the way.
    let mut incoming = Incoming::into_memory(entry.identity, 1 << 20);
    bob.fetch(entry.identity, Selection::All, &mut incoming).await?;
    let fetched = incoming.finish()?;
    assert!(fetched.bodies.values().eq(letter.bodies()), "octet for octet what was sent");

    for line in log.lines() {
        println!("{line}");
    }
    alice.close().await;
    bob.close().await;
    demo.stop().await;
    Ok(())
}

/// An account at a node, and a device that is enrolled for it.
async fn user(node: &DemoNode, name: &str, address: &str, folder: &Path) -> Result<Session, Failure> {
    let password = format!("the password of {name}, used once");
    node.running
        .node()
        .put_account(name, &[Address::parse(address)?], Some(password.clone()))
        .await
        .map_err(|(_, text)| text)?;
    let key = device_key(&folder.join("profiles").join(name))?;
    let address = node.running.address()?.to_string().parse()?;
    let mut session = Session::connect(&address, &Trust::Pinned(node.pin), &key).await?;
    session.enrol(Enrol { account: name.to_owned(), password, device: "example".to_owned() }).await?;
    Ok(session)
}

/// An observer that writes down what happens in both nodes.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Observer for Log {
    fn event(&self, event: &Event) {
        let line = match event {
            Event::Offered { identity, by, octets, .. } => {
                format!("{}: {octets} octets, offered by {by}", identity.short())
            }
            Event::Committed { identity, envelope } => {
                format!("{}: durable, as envelope {envelope}", identity.short())
            }
            Event::Delivered { identity, recipient } => {
                format!("{}: in the mailbox of {recipient}", identity.short())
            }
            _ => return,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

#[cfg(test)]
#[tokio::test(flavor = "multi_thread")]
async fn runs() {
    show().await.unwrap();
}
