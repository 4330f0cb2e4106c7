//! The control socket: questions and answers, and what happens to those who do not keep the rules.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::future::ready;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use waxwing_control::{
    Answer, Client, Error, Failure, FailureKind, LegView, Legs, Operator, Password, Request, Response, bind,
    limits, serve,
};

/// Answers with what was asked, so that the test sees what has arrived.
struct Echo;

impl Operator for Echo {
    fn handle(&self, request: Request) -> Answer<'_> {
        Box::pin(ready(match request {
            Request::QueueList { limit, .. } => Response::Legs { legs: vec![leg(); limit as usize] },
            Request::AccountAdd { password: Some(password), .. } => {
                Response::Failure(Failure::new(FailureKind::Conflict, password.reveal()).hint("a hint"))
            }
            Request::QueueHold { legs: Legs::Numbers(numbers) } => {
                Response::Changed { count: numbers.iter().sum() }
            }
            _ => Response::Done,
        }))
    }
}

fn leg() -> LegView {
    LegView {
        number: 1,
        lane: "x".repeat(1000),
        envelope: 2,
        identity: "00".repeat(32),
        octets: u64::MAX,
        origin: "account:ann".to_owned(),
        state: "held".to_owned(),
        due_at_ms: 3,
        accepted_at_ms: 4,
        expires_at_ms: 5,
        tries: 6,
        recipients: Vec::new(),
        attempts: Vec::new(),
    }
}

/// A node's end of the socket, as long as the test lasts.
struct Node {
    path: PathBuf,
    _folder: tempfile::TempDir,
    _serving: tokio::task::JoinHandle<()>,
}

fn start() -> Node {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let serving = tokio::spawn(serve(bind(&path).unwrap(), Arc::new(Echo)));
    Node { path, _folder: folder, _serving: serving }
}

/// proves: CTL-1, CTL-2
#[tokio::test]
async fn questions_are_answered_one_after_the_other() {
    let node = start();
    let mut client = Client::connect(&node.path).await.unwrap();
    assert_eq!(client.call(&Request::Status).await.unwrap(), Response::Done);
    let hold = Request::QueueHold { legs: Legs::Numbers(vec![1, 2, 39]) };
    assert_eq!(client.call(&hold).await.unwrap(), Response::Changed { count: 42 });
    let add = Request::AccountAdd {
        name: "ann".to_owned(),
        addresses: vec!["ann@a.test".to_owned()],
        password: Some(Password::new("geheim ü")),
    };
    let Response::Failure(failure) = client.call(&add).await.unwrap() else { panic!("a failure was due") };
    assert_eq!((failure.text.as_str(), failure.hint.as_deref()), ("geheim ü", Some("a hint")));
    assert!(!format!("{add:?}").contains("geheim"));
    let list = Request::QueueList { lane: None, after: None, limit: 3 };
    assert_eq!(client.call(&list).await.unwrap(), Response::Legs { legs: vec![leg(); 3] });
}

/// proves: CTL-3
#[tokio::test]
async fn the_socket_is_its_owners_alone() {
    let node = start();
    assert_eq!(std::fs::metadata(&node.path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(bind(&node.path).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    let file = node.path.with_extension("txt");
    std::fs::write(&file, "keep").unwrap();
    assert_eq!(bind(&file).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    assert_eq!(std::fs::read(&file).unwrap(), b"keep");
    // What a node that died has left is replaced.
    let stale = node.path.with_extension("old");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    assert!(matches!(Client::connect(&stale).await, Err(Error::NotRunning { .. })));
    drop(bind(&stale).unwrap());
    assert!(matches!(
        Client::connect(&node.path.with_extension("none")).await,
        Err(Error::NotRunning { .. })
    ));
}

/// Sends octets and gives all that comes back until the node closes the connection.
async fn answer_to(node: &Node, octets: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(&node.path).await.unwrap();
    stream.write_all(octets).await.unwrap();
    let mut answer = Vec::new();
    // The system calls it a reset where octets were left unread; what was answered before comes first all the same.
    if let Err(error) = stream.read_to_end(&mut answer).await {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    answer
}

fn framed(json: &str) -> Vec<u8> {
    let mut octets = (json.len() as u32).to_be_bytes().to_vec();
    octets.extend_from_slice(json.as_bytes());
    octets
}

/// proves: CTL-4
#[tokio::test]
async fn garbage_ends_its_own_connection_only() {
    let node = start();
    let mut other = Client::connect(&node.path).await.unwrap();
    let garbage = [
        framed(""),
        framed("null"),
        framed("{}"),
        framed("{\"ask\":\"no-such-thing\"}"),
        framed("{\"ask\":\"queue-show\",\"leg\":-1}"),
        framed("{\"ask\":\"queue-show\",\"leg\":1,\"extra\":2}"),
        framed(&"[".repeat(100_000)),
        framed("\u{0}\u{1}\u{2}"),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        u32::MAX.to_be_bytes().to_vec(),
        (limits::MESSAGE_OCTETS_MAX as u32 + 1).to_be_bytes().to_vec(),
    ];
    for octets in garbage {
        let answer = answer_to(&node, &octets).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(
            text.contains("\"answer\":\"failure\"") && text.contains("\"invalid\""),
            "{octets:?}: {text}"
        );
        assert_eq!(other.call(&Request::Status).await.unwrap(), Response::Done);
    }
}

/// proves: CTL-4
#[tokio::test]
async fn those_who_go_away_harm_nobody() {
    let node = start();
    for octets in [&b""[..], b"\0", b"\0\0\0\x20{\"ask\"", &framed("{\"ask\":\"status\"}")] {
        let mut stream = UnixStream::connect(&node.path).await.unwrap();
        stream.write_all(octets).await.unwrap();
        drop(stream);
    }
    let mut client = Client::connect(&node.path).await.unwrap();
    assert_eq!(client.call(&Request::Status).await.unwrap(), Response::Done);
}

/// proves: CTL-2
#[tokio::test]
async fn an_answer_that_is_too_large_becomes_a_failure() {
    let node = start();
    let mut client = Client::connect(&node.path).await.unwrap();
    let list = |limit| Request::QueueList { lane: None, after: None, limit };
    let Response::Failure(failure) = client.call(&list(9_000)).await.unwrap() else {
        panic!("a failure was due")
    };
    assert!(failure.hint.is_some());
    assert_eq!(client.call(&Request::Status).await.unwrap(), Response::Done);
    let name = "x".repeat(limits::MESSAGE_OCTETS_MAX);
    assert!(matches!(client.call(&Request::AccountRemove { name }).await, Err(Error::TooLarge { .. })));
    assert_eq!(client.call(&Request::Status).await.unwrap(), Response::Done);
}

/// proves: CTL-4
#[tokio::test]
async fn an_answer_that_is_none_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let listener = bind(&path).unwrap();
    let mut client = Client::connect(&path).await.unwrap();
    let (mut node, _) = listener.accept().await.unwrap();
    node.write_all(&framed("{\"answer\":\"maybe\"}")).await.unwrap();
    assert!(matches!(client.call(&Request::Status).await, Err(Error::Malformed(_))));
    node.write_all(&[0, 0, 0, 9, b'{']).await.unwrap();
    drop(node);
    assert!(matches!(client.call(&Request::Status).await, Err(Error::Closed | Error::Io(_))));
}
