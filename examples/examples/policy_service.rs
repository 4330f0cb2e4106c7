//! A policy service: a program of one's own that decides about mail, asked by a node over a Unix socket.
//!
//! ```text
//! cargo run -p waxwing-examples --example policy_service
//! cargo run -p waxwing-examples --example policy_service SOCKET
//! ```
//!
//! With an argument it serves there until it is ended; `[policy-service] at = "unix:SOCKET"` in the configuration of a
//! node has it asked. Without one it shows what becomes of a letter from a stranger. What is asked and answered stands in
//! `spec/15-reputation.md`; any language that can read JSON will do.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cli::client::{Outgoing, Session};
use cli::profile::{Trust, device_key};
use daemon::{Demo, PolicyServiceConfig};
use message::address::Address;
use node::{Event, Observer};
use protocol::{Enrol, SubmissionOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

type Failure = Box<dyn Error + Send + Sync>;

/// Octets of a question: what a node sends at the most, and its head.
const QUESTION_OCTETS_MAX: usize = 80 * 1024;
/// Everything is on this machine: what takes longer than this does not come any more.
const TIME_MAX: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    match std::env::args().nth(1) {
        Some(socket) => serve(UnixListener::bind(socket)?).await,
        None => show().await,
    }
}

/// What this operator wants: who writes for the first time is held with the text, whoever says what; all else is left to
/// the rules of the node.
fn decide(question: &Value) -> Value {
    let seen = &question["seen"];
    if seen.is_null() {
        // Nothing but the envelope is here, and that is not enough to tell.
        return json!({ "verdict": "want", "content": "headers" });
    }
    if seen["acquaintance"] == "stranger" && question["standing"]["grade"] != "good" {
        let from = seen["from"].as_str().unwrap_or("nobody");
        let evidence = format!("{from} writes for the first time");
        return json!({ "verdict": "hold", "content": "text", "rule": "strangers", "evidence": evidence });
    }
    json!({ "verdict": "none" })
}

/// Answers one question for each connection, for ever.
async fn serve(listener: UnixListener) -> Result<(), Failure> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = answer(stream).await {
                eprintln!("{error}");
            }
        });
    }
}

/// Reads a request whose length is told, as nodes send it, and answers it.
async fn answer(mut stream: UnixStream) -> Result<(), Failure> {
    let mut request = Vec::new();
    let body = loop {
        if let Some(body) = body(&request)? {
            break body;
        }
        let mut some = [0; 4096];
        match stream.read(&mut some).await? {
            0 => return Err("the request ends in the middle".into()),
            count => request.extend_from_slice(some.get(..count).unwrap_or_default()),
        }
        if request.len() > QUESTION_OCTETS_MAX {
            return Err("the request is too long".into());
        }
    };
    let said = decide(&serde_json::from_slice(body)?).to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        said.len()
    );
    stream.write_all(head.as_bytes()).await?;
    Ok(stream.write_all(said.as_bytes()).await?)
}

/// The body, once all of it is here.
fn body(request: &[u8]) -> Result<Option<&[u8]>, Failure> {
    let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let (head, rest) = request.split_at(end + 4);
    let head = std::str::from_utf8(head)?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.ok_or("no length is told")?.trim().parse()?;
    Ok(rest.get(..length))
}

async fn show() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("policy.sock");
    let serving = tokio::spawn(serve(UnixListener::bind(&socket)?));
    let (heard, mut hears) = mpsc::unbounded_channel();
    let observer: Arc<dyn Observer> = Arc::new(Ears(heard));
    let demo = Demo::start(folder.path(), &|_| Arc::clone(&observer)).await?;
    let bobs = demo.south.running.node();
    let service = PolicyServiceConfig::at(&format!("unix:{}", socket.display()));
    bobs.consult(service.client(Path::new("/"))?);
    bobs.put_account("bob", &[Address::parse("bob@south.test")?], None).await.map_err(|(_, text)| text)?;

    let alice = [Address::parse("alice@north.test")?];
    let alices = demo.north.running.node();
    let password = "used once".to_owned();
    alices.put_account("alice", &alice, Some(password.clone())).await.map_err(|(_, text)| text)?;
    let key = device_key(&folder.path().join("profile"))?;
    let address = demo.north.running.address()?.to_string().parse()?;
    let mut session = Session::connect(&address, &Trust::Pinned(demo.north.pin), &key).await?;
    session.enrol(Enrol { account: "alice".to_owned(), password, device: "example".to_owned() }).await?;
    let letter =
        translate::import(include_bytes!("../letter.eml"), &translate::ImportOptions::default())?.message;
    let to = [Address::parse("bob@south.test")?];
    session
        .submit(&Outgoing::from_message(&letter, Vec::new()), &to, SubmissionOptions::default(), &|_| {})
        .await?;

    let rule = async {
        loop {
            match hears.recv().await {
                Some(rule) if rule == "strangers" => return Ok::<_, Failure>(rule),
                Some(_) => {}
                None => return Err("nobody has decided".into()),
            }
        }
    };
    println!("decided by {}", tokio::time::timeout(TIME_MAX, rule).await??);
    let held = bobs.store().held(Some("bob"), None, 1)?;
    let held = held.first().ok_or("nothing is held")?;
    println!("{}", held.reason);
    assert!(held.reason.contains("alice@north.test writes for the first time"), "{}", held.reason);
    session.close().await;
    demo.stop().await;
    serving.abort();
    Ok(())
}

/// Hears by which rules is decided.
struct Ears(mpsc::UnboundedSender<String>);

impl Observer for Ears {
    fn event(&self, event: &Event) {
        if let Event::Decided { rule, .. } = event {
            // Who listened may be gone.
            let _ = self.0.send(rule.clone());
        }
    }
}

#[cfg(test)]
#[tokio::test(flavor = "multi_thread")]
async fn runs() {
    show().await.unwrap();
}
