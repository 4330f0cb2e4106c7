//! A client against services that answer well, badly, and not at all.

use std::path::{Path, PathBuf};

use message::address::{Address, Domain};
use policy::{Grade, Standing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;
use crate::limits::SERVICE_AFTER_SECONDS_MAX;

fn evidence() -> Evidence {
    let peer = Domain::from_wire("north.test").unwrap();
    let mut evidence = Evidence::of_envelope(Address::from_wire("bob@here.test").unwrap(), Some(peer), 1234);
    evidence.standing = Standing { grade: Grade::Good, reasons: vec!["it may send".to_owned()] };
    evidence
}

fn decided() -> Decision {
    Decision { verdict: Verdict::Accept, rule: "default".to_owned(), evidence: "nothing".to_owned() }
}

/// A client with patience where an answer comes, however busy the machine is, and with little where none does.
fn client(socket: PathBuf, silence: Silence, answered: bool) -> ServiceClient {
    let patience = if answered { Duration::from_secs(20) } else { Duration::from_millis(300) };
    ServiceClient::new(Place::Unix(socket), patience, silence)
}

/// A service that reads one request whole, answers these octets, and hands the request out. With `None` it never answers.
fn serve(socket: &Path, answer: Option<String>) -> tokio::task::JoinHandle<String> {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !whole(&request) {
            let mut some = [0; 4096];
            let count = stream.read(&mut some).await.unwrap();
            assert_ne!(count, 0, "a request that ends in the middle");
            request.extend_from_slice(&some[..count]);
        }
        match answer {
            Some(answer) => {
                // A client that has read enough may be gone.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
            None => std::future::pending().await,
        }
        String::from_utf8(request).unwrap()
    })
}

fn whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    body.len() >= length.parse::<usize>().unwrap()
}

fn http(body: &str) -> Option<String> {
    Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

/// What the client says where the service answers so, and whether the service was found silent.
async fn said(answer: Option<String>, silence: Silence) -> (Option<Decision>, bool) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("policy.sock");
    let answered = answer.is_some();
    let serving = serve(&socket, answer);
    let client = client(socket, silence, answered);
    let said = client.judge(&evidence(), &decided()).await;
    serving.abort();
    let silent = said.as_ref().is_some_and(|said| said.evidence.contains("silent"));
    (said, silent)
}

/// proves: REP-15
#[tokio::test]
async fn a_question_says_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("policy.sock");
    let serving = serve(&socket, Some("HTTP/1.1 204 No Content\r\n\r\n".to_owned()));
    assert_eq!(client(socket, Silence::Defer, true).judge(&evidence(), &decided()).await, None);
    let request = serving.await.unwrap();
    assert!(request.starts_with("POST / HTTP/1.1\r\n"), "{request}");
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let told: serde_json::Value = serde_json::from_str(body).unwrap();
    // Written by hand after the table in the specification.
    let expected = serde_json::json!({
        "version": 1,
        "peer": "north.test",
        "recipient": "bob@here.test",
        "octets": 1234,
        "standing": { "grade": "good", "reasons": ["it may send"] },
        "rate": null,
        "waited-seconds": null,
        "seen": null,
        "decision": { "verdict": "accept", "rule": "default", "evidence": "nothing" }
    });
    assert_eq!(told, expected);
}

/// proves: REP-16
#[tokio::test]
async fn a_service_decides_in_words() {
    let check = async |body: &str, expected: Verdict, rule: &str| {
        let (said, _) = said(http(body), Silence::Rules).await;
        let said = said.unwrap_or_else(|| panic!("{body} was not understood"));
        assert_eq!((said.verdict, said.rule.as_str()), (expected, rule), "{body}");
    };
    check(r#"{"verdict":"accept","rule":"friends"}"#, Verdict::Accept, "friends").await;
    check(r#"{"verdict":"hold"}"#, Verdict::Hold { keep: Selection::Headers }, RULE).await;
    check(r#"{"verdict":"hold","content":"all"}"#, Verdict::Hold { keep: Selection::All }, RULE).await;
    check(r#"{"verdict":"want","content":"text"}"#, Verdict::Want(Selection::Text), RULE).await;
    check(r#"{"verdict":"pend","after-seconds":60,"new":1}"#, Verdict::Pend { after_seconds: 60 }, RULE)
        .await;
    let longest = SERVICE_AFTER_SECONDS_MAX as u32;
    check(
        r#"{"verdict":"pend","after-seconds":99999999999}"#,
        Verdict::Pend { after_seconds: longest },
        RULE,
    )
    .await;
    let defer = Verdict::Defer { code: Code::SYSTEM_TROUBLE, after_seconds: 5 };
    check(r#"{"verdict":"defer","after-seconds":5}"#, defer, RULE).await;
    let text = "refused by rule no-adverts".to_owned();
    let refuse = Verdict::Refuse { code: Code::NOT_AUTHORIZED, text };
    check(r#"{"verdict":"refuse","rule":"no-adverts"}"#, refuse, "no-adverts").await;
    let refuse = Verdict::Refuse { code: Code::new(5, 7, 0), text: "no  thanks".to_owned() };
    check(r#"{"verdict":"refuse","code":"5.7.0","text":"no\r\nthanks"}"#, refuse, RULE).await;
    let (said, _) = said(http(r#"{"verdict":"none"}"#), Silence::Hold).await;
    assert_eq!(said, None, "it has spoken, and leaves it to the rules");
}

/// proves: REP-17
#[tokio::test]
async fn whatever_else_comes_is_silence() {
    let long = format!(r#"{{"verdict":"accept","evidence":"{}"}}"#, "x".repeat(17_000));
    let answers = [
        None,
        Some(String::new()),
        Some("I think it is fine.\r\n\r\n".to_owned()),
        Some("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_owned()),
        Some("HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n".to_owned()),
        Some("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_owned()),
        Some(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(100_000))),
        http("accept"),
        http("{}"),
        http(r#"{"verdict":"yes"}"#),
        http(r#"{"verdict":"pend"}"#),
        http(r#"{"verdict":"pend","after-seconds":-1}"#),
        http(r#"{"verdict":"want"}"#),
        http(r#"{"verdict":"want","content":"passwords"}"#),
        http(r#"{"verdict":"refuse","code":"2.0.0"}"#),
        http(r#"{"verdict":"refuse","code":"4.0.0"}"#),
        http(&long),
    ];
    for answer in answers {
        let (deferred, silent) = said(answer.clone(), Silence::Defer).await;
        let deferred = deferred.map(|said| said.verdict);
        assert!(silent && matches!(deferred, Some(Verdict::Defer { .. })), "{answer:?}: {deferred:?}");
    }
    assert_eq!(said(None, Silence::Rules).await, (None, false));
    let (held, _) = said(None, Silence::Hold).await;
    assert_eq!(held.map(|said| said.verdict), Some(Verdict::Hold { keep: Selection::Headers }));
}

/// proves: REP-17
#[tokio::test]
async fn a_silent_service_is_left_alone_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("policy.sock");
    let client = client(socket.clone(), Silence::Defer, true);
    let nobody = client.judge(&evidence(), &decided()).await.unwrap();
    assert!(nobody.evidence.contains("silent"), "{nobody:?}");
    // It is there now, but mail does not wait for it again at once.
    let serving = serve(&socket, http(r#"{"verdict":"accept"}"#));
    let said = client.judge(&evidence(), &decided()).await.unwrap();
    assert!(said.evidence.contains("a moment ago"), "{said:?}");
    serving.abort();
}

/// An operator is told since when, until it answers.
#[tokio::test]
async fn silence_is_remembered_until_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("policy.sock");
    let client = client(socket.clone(), Silence::Rules, true);
    assert_eq!(client.silent_since(), None, "it was not asked");
    assert_eq!(client.judge(&evidence(), &decided()).await, None);
    let (since_ms, reason) = client.silent_since().unwrap();
    assert!(since_ms > 0 && !reason.is_empty());
    // It rests, which is no other silence.
    client.judge(&evidence(), &decided()).await;
    assert_eq!(client.silent_since(), Some((since_ms, reason)));
    client.rests_until_ms.store(0, Ordering::Relaxed);
    let serving = serve(&socket, Some("HTTP/1.1 204 No Content\r\n\r\n".to_owned()));
    assert_eq!(client.judge(&evidence(), &decided()).await, None);
    assert_eq!(client.silent_since(), None);
    serving.await.unwrap();
}
