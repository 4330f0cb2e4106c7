//! How long the console's pages take over a full store: `cargo run --release -p waxwing-tests --example console_load`.
//! Arguments: messages held for one account, messages that it has sent; 10,000 and 1,000,000 where nothing is said.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement fails by panicking, and needs a clock"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use message::{Code, Cookie, Disposition, Identity};
use storage::{Acceptance, Content, Effect, Intended, Origin, Pend, Stage, Store};
use waxwing_tests::{Site, World, letter};

/// Acceptances on their way at once: a few groups of the writer.
const TASKS: u64 = 1_024;
/// Times that each page is asked for.
const ASKED: usize = 30;

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let (held, sent) = (numbers.next().unwrap_or(10_000), numbers.next().unwrap_or(1_000_000));
    let world = World::started(&[Site::new("north.test").console(&["carol"])]).await;
    let mut carol = world.user("carol@north.test").await;
    let identity =
        carol.send(&letter("carol@north.test", "A letter to herself."), &["carol@north.test"]).await;
    let store = world.node("north.test").store().clone();
    let since = Instant::now();
    fill(&store, held, move |number| hold(identity, number)).await;
    fill(&store, sent, move |number| status(identity, number)).await;
    println!("{held} held and {sent} sent, written in {:.0} s", since.elapsed().as_secs_f64());
    let address = world.running("north.test").console_address().unwrap().to_owned();
    tokio::task::spawn_blocking(move || measure(&address)).await.unwrap();
}

/// Accepts so many, many at a time.
async fn fill(
    store: &Arc<dyn Store>,
    count: u64,
    make: impl Fn(u64) -> Acceptance + Clone + Send + Sync + 'static,
) {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let (store, next, make) = (store.clone(), next.clone(), make.clone());
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= count {
                    return;
                }
                store.accept(make(number)).await.unwrap();
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

fn numbered(kind: u8, number: u64) -> [u8; 32] {
    let mut octets = [kind; 32];
    octets[..8].copy_from_slice(&number.to_be_bytes());
    octets
}

fn acceptance(identity: Identity, kind: u8, number: u64, to: Intended) -> Acceptance {
    let now_ms = 1_790_000_000_000 + number;
    let (origin, offered_as) = match kind {
        1 => (
            Origin::Peer { domain: message::address::Domain::parse("south.test").unwrap() },
            Identity::from_bytes(numbered(1, number)),
        ),
        _ => (Origin::Submission { account: "carol".to_owned() }, Identity::from_bytes(numbered(2, number))),
    };
    Acceptance {
        content: Content::Stored(identity),
        offered_as,
        octets: 1_000,
        origin,
        trace: Vec::new(),
        now_ms,
        expires_at_ms: u64::MAX / 2,
        release_at_ms: None,
        recipients: vec![to],
        again: Vec::new(),
        members: Vec::new(),
        room: None,
    }
}

/// Something that waits for Carol's decision.
fn hold(identity: Identity, number: u64) -> Acceptance {
    let answer = Disposition::Pending {
        cookie: Cookie::from_bytes(numbered(3, number)),
        min_seconds: 60,
        max_seconds: 3_600,
        until: u64::MAX / 2_000,
    };
    let effect = Effect::Pend(Pend {
        account: Some("carol".to_owned()),
        wanted: None,
        reason: "first letter from this address".to_owned(),
        stage: Stage::Undecided,
        seals: Vec::new(),
    });
    let address = message::address::Address::parse("carol@north.test").unwrap();
    acceptance(identity, 1, number, Intended { address, effect, answer, why: None })
}

/// Something that Carol has sent and that was settled.
fn status(identity: Identity, number: u64) -> Acceptance {
    let text = "no such address".to_owned();
    let answer = Disposition::refused(Code::NO_SUCH_ADDRESS, &text);
    let address = message::address::Address::parse("nobody@south.test").unwrap();
    let effect = Effect::Refuse { code: Code::NO_SUCH_ADDRESS, text };
    acceptance(identity, 2, number, Intended { address, effect, answer, why: None })
}

fn measure(address: &str) {
    let form = "account=carol&password=password+of+carol";
    let answer = ask(
        address,
        &format!(
            "POST /login HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        ),
    );
    let cookie = answer.split("set-cookie: ").nth(1).unwrap().split(';').next().unwrap();
    println!("| page | median | longest | octets |\n|---|---|---|---|");
    for path in ["/held", "/sent", "/mail", "/queue", "/flow"] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        );
        let mut octets = 0;
        let mut times: Vec<Duration> = (0..ASKED)
            .map(|_| {
                let since = Instant::now();
                let answer = ask(address, &request);
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                octets = answer.len();
                since.elapsed()
            })
            .collect();
        times.sort_unstable();
        let shown = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1_000.0);
        println!("| {path} | {} | {} | {octets} |", shown(times[ASKED / 2]), shown(times[ASKED - 1]));
    }
}

fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
