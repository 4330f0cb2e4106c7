//! An operator's commands over the control socket, with a made-up node behind it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::future::ready;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use clap::Parser;
use control::{
    AccountView, Answer, Failure, FailureKind, FindingView, ForwardOrder, ForwardView, GrantView, HeldPlace,
    HeldState, HeldView, LaneView, Operator, RecipientView, Request, Response,
};
use waxwing_cli as cli;

#[derive(Default)]
struct Made {
    asked: Mutex<Vec<Request>>,
}

fn account(name: &str) -> AccountView {
    AccountView {
        name: name.to_owned(),
        addresses: vec![format!("{name}@a.test")],
        password: true,
        devices: Vec::new(),
        disabled: false,
        notices: false,
    }
}

fn finding(harmful: bool) -> FindingView {
    let (kind, subject, text) =
        ("orphan-part".to_owned(), "parts/ab".to_owned(), "nobody needs it".to_owned());
    FindingView { kind, subject, text, harmful }
}

impl Operator for Made {
    fn handle(&self, request: Request) -> Answer<'_> {
        self.asked.lock().unwrap().push(request.clone());
        Box::pin(ready(match request {
            Request::Accounts { after: None, .. } => {
                Response::Accounts { accounts: vec![account("ann"), account("bob")] }
            }
            Request::Accounts { after: Some(after), .. } if after == "bob" => {
                Response::Accounts { accounts: vec![account("zoe")] }
            }
            Request::Accounts { .. } => Response::Accounts { accounts: Vec::new() },
            Request::QueueLanes => Response::Lanes {
                lanes: vec![LaneView {
                    lane: "exchange:b.test".to_owned(),
                    count: 3,
                    at_least: true,
                    held: 0,
                    oldest_at_ms: Some(0),
                    next_due_ms: None,
                    last_error: Some("timed out\u{1b}[2J".to_owned()),
                }],
            },
            Request::StoreCheck => {
                Response::Findings { findings: vec![finding(false), finding(true)], more: false }
            }
            Request::StoreCompact => Response::Compacted { octets_before: 4096, octets_after: 1024 },
            Request::QueueShow { .. } => {
                Response::Failure(Failure::new(FailureKind::NotFound, "no such leg").hint("look at the list"))
            }
            Request::QueueRetry { .. } => Response::Changed { count: 2 },
            Request::QueueHold { .. } => Response::Changed { count: 0 },
            Request::HeldList { account, after, limit } => Response::HeldList {
                held: held(after.map_or(0, |after| after.envelope), account.is_some(), limit),
            },
            Request::Forward { order } => forwarded(order),
            _ => Response::Done,
        }))
    }
}

/// One alias, and one forwarder whose domain would do something to a terminal.
fn forwarded(order: ForwardOrder) -> Response {
    match order {
        ForwardOrder::Add { target, .. } if target.ends_with("@nowhere.test") => {
            Response::Failure(Failure::new(FailureKind::Invalid, "the alias leads to itself"))
        }
        ForwardOrder::Add { .. } | ForwardOrder::List { .. } => Response::Forwards {
            forwards: vec![ForwardView {
                alias: "ann@old.test".to_owned(),
                target: "ann@new.test".to_owned(),
                state: "rewriting".to_owned(),
                since_ms: 1_795_392_000_000,
                conceal: false,
                keep_sender: true,
                authorization: None,
                ask_again_at_ms: None,
                note: "not asked: \u{1b}[2J".to_owned(),
                complaints: 2,
                page: "https://old.test/page".to_owned(),
            }],
        },
        ForwardOrder::Grants { .. } => Response::Grants {
            grants: vec![GrantView {
                number: 7,
                recipient: "ann@new.test".to_owned(),
                forwarder: "old.test\u{1b}[2J".to_owned(),
                state: "granted".to_owned(),
                since_ms: 1_795_392_000_000,
                automatic: false,
                by: "ann".to_owned(),
                alias: Some("ann@old.test".to_owned()),
                page: Some("https://old.test/page".to_owned()),
                complain: true,
            }],
        },
        _ => Response::Done,
    }
}

/// What is held after an envelope: without an end for one account, else three messages.
fn held(after: u64, of_account: bool, limit: u32) -> Vec<HeldView> {
    let last = if of_account { u64::MAX } else { 3 };
    let one = |envelope| HeldView {
        place: HeldPlace { envelope, recipient: 0 },
        identity: format!("{envelope:064x}"),
        recipient: "bob@b.test".to_owned(),
        account: None,
        origin: "a.test".to_owned(),
        from: None,
        subject: None,
        date: None,
        reason: "rule hold: always".to_owned(),
        seals: Vec::new(),
        author: None,
        octets_here: 0,
        octets: 1,
        octets_missing: 1,
        since_ms: 1,
        until_ms: 2,
        state: HeldState::Undecided,
    };
    // No more than two at a time where there are few, so that there is more than one page.
    let most = if of_account { u64::from(limit) } else { 2 };
    (after + 1..=last.min(after + most)).map(one).collect()
}

/// A list is read to its end, page by page; one without an end stops somewhere and says where to go on.
#[tokio::test]
async fn what_is_held_is_listed_page_by_page_with_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let made = Arc::new(Made::default());
    tokio::spawn(control::serve(control::bind(&socket).unwrap(), made.clone()));
    let (text, _) = says(&socket, "held list --operator").await.unwrap();
    assert_eq!(text.matches("rule hold").count(), 3, "{text}");
    assert!(!text.contains("--after"), "{text}");
    let (text, _) = says(&socket, "held list --operator --after 2.0").await.unwrap();
    assert_eq!(text.matches("rule hold").count(), 1, "{text}");
    made.asked.lock().unwrap().clear();
    let (text, _) = says(&socket, "held list --operator --account bob").await.unwrap();
    assert_eq!(text.matches("rule hold").count(), 10_000);
    assert!(text.ends_with("10000 are listed; the next ones: --after 10000.0\n"), "it says where to go on");
    assert!(made.asked.lock().unwrap().len() < 100, "page by page, and no page is small");
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn says(socket: &Path, line: &str) -> Result<(String, bool), cli::Error> {
    let socket = socket.display().to_string();
    let all = ["waxwing", "--socket", &socket].into_iter().chain(line.split(' '));
    let invocation = cli::Invocation::try_parse_from(all).unwrap();
    let captured = Captured::default();
    let good = cli::run_into(&invocation, &cli::Hooks::default(), Box::new(captured.clone())).await?;
    let octets = captured.0.lock().unwrap().clone();
    Ok((String::from_utf8(octets).unwrap(), good))
}

#[tokio::test]
async fn operators_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let made = Arc::new(Made::default());
    tokio::spawn(control::serve(control::bind(&socket).unwrap(), made.clone()));
    let password = folder.path().join("password");
    std::fs::write(&password, "secret words\nnot this line\n").unwrap();

    let (text, good) = says(&socket, "account list --json").await.unwrap();
    let names: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["name"].to_string())
        .collect();
    assert!(good && names == ["\"ann\"", "\"bob\"", "\"zoe\""], "{names:?}");

    let add = format!("account add ann --address ann@a.test --password-file {}", password.display());
    let said = "done: the account ann has ann@a.test\n";
    assert_eq!(says(&socket, &add).await.unwrap().0, said);
    let asked = made.asked.lock().unwrap().pop().unwrap();
    let Request::AccountAdd { password: Some(password), .. } = asked else { panic!("{asked:?}") };
    assert_eq!(password.reveal(), "secret words");

    let check = async |line: &str, said: &str| {
        assert_eq!(says(&socket, line).await.unwrap(), (said.to_owned(), true), "{line}");
        made.asked.lock().unwrap().pop();
    };
    check("account remove ann", "done: the account ann is gone; its mail stays in the store\n").await;
    check("reload", "done: the certificates for SMTP were read again\n").await;
    check("reload --json", "{\"answer\":\"done\"}\n").await;
    check("forward revoke ann@a.test b.test", "done: b.test may not forward to ann@a.test\n").await;
    check("queue hold 1", "nothing was changed: what was named is not in the queue, or is so already\n")
        .await;
    let (text, _) = says(&socket, "queue list --lanes").await.unwrap();
    assert!(text.contains("exchange:b.test  3+ wait") && text.contains("timed out\u{fffd}[2J"), "{text}");
    assert_eq!(says(&socket, "queue retry 1 2").await.unwrap(), ("2 legs are due now\n".to_owned(), true));
    assert_eq!(says(&socket, "store compact").await.unwrap().0, "from 4.0 KiB to 1.0 KiB\n");
    let (text, good) = says(&socket, "store check").await.unwrap();
    assert!(!good && text.contains("1 findings mean that mail is lost"), "{text}");

    let error = says(&socket, "queue show 9").await.unwrap_err();
    assert_eq!((error.exit_code(), error.hint().as_deref()), (1, Some("look at the list")));
}

/// What is said of forwarding becomes one order each, and what comes back is shown for people and for programs.
#[tokio::test]
async fn forwarding_is_ordered_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let made = Arc::new(Made::default());
    tokio::spawn(control::serve(control::bind(&socket).unwrap(), made.clone()));
    let add = |conceal, rewrite, granted, keep_sender| ForwardOrder::Add {
        alias: "ann@old.test".to_owned(),
        target: "ann@new.test".to_owned(),
        conceal,
        rewrite,
        granted,
        keep_sender,
    };
    let decide = |granted| ForwardOrder::Decide {
        account: None,
        recipient: "ann@new.test".to_owned(),
        forwarder: "old.test".to_owned(),
        granted,
    };
    let forget = ForwardOrder::Forget {
        account: None,
        recipient: "ann@new.test".to_owned(),
        forwarder: "old.test".to_owned(),
    };
    let check = async |line: &str, order: ForwardOrder, shown: &[&str]| {
        let (text, good) = says(&socket, line).await.unwrap();
        assert_eq!(made.asked.lock().unwrap().pop(), Some(Request::Forward { order }), "{line}");
        assert!(good && !text.contains('\u{1b}'), "{line}: {text:?}");
        shown.iter().for_each(|part| assert!(text.contains(part), "{line}: {part}: {text}"));
    };
    let one = [
        "rewriting ann@old.test -> ann@new.test since",
        "under the sender that it came with",
        "2 reports of abuse",
    ];
    let both = "forward add ann@old.test ann@new.test";
    check(both, add(false, false, false, false), &one).await;
    check(&format!("{both} --conceal --rewrite"), add(true, true, false, false), &one).await;
    check(&format!("{both} --keep-sender --granted"), add(false, false, true, true), &one).await;
    let list = || ForwardOrder::List { after: None, limit: control::limits::LIST_MAX as u32 };
    check("forward list", list(), &["https://old.test/page", "not asked"]).await;
    let grants = |account: Option<&str>| ForwardOrder::Grants {
        account: account.map(str::to_owned),
        after: None,
        limit: control::limits::LIST_MAX as u32,
    };
    let shown = ["granted old.test", "-> ann@new.test from ann@old.test since", "by ann"];
    check("forward grants", grants(None), &shown).await;
    check("forward grants --account ann", grants(Some("ann")), &shown).await;
    check("forward grant ann@new.test old.test", decide(true), &["done"]).await;
    check("forward revoke ann@new.test old.test", decide(false), &["done"]).await;
    check("forward revoke ann@new.test old.test --forget", forget, &["done"]).await;
    // For programs each is an object of a line, with all that is known.
    for (line, name) in [("forward list --json", "alias"), ("forward grants --json", "forwarder")] {
        let (text, _) = says(&socket, line).await.unwrap();
        let json: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert!(json[name].is_string() && json["since_ms"] == 1_795_392_000_000_u64, "{text}");
    }
    let error = says(&socket, "forward add ann@old.test ann@nowhere.test").await.unwrap_err();
    assert_eq!((error.exit_code(), error.to_string()), (2, "the alias leads to itself".to_owned()));
    for wrong in [
        "forward add ann@old.test",
        "forward add ann@old.test ann@new.test --conceal --keep-sender",
        "forward revoke ann@new.test",
        "forward",
    ] {
        let words = ["waxwing"].into_iter().chain(wrong.split(' '));
        assert!(cli::Invocation::try_parse_from(words).is_err(), "{wrong}");
    }
}

#[test]
fn views_keep_their_names() {
    let one = RecipientView {
        address: "a@a.test".to_owned(),
        disposition: "accepted".to_owned(),
        code: None,
        text: None,
        why: None,
        waits: None,
    };
    let json = serde_json::to_string(&one).unwrap();
    assert_eq!(json, r#"{"address":"a@a.test","disposition":"accepted","code":null,"text":null}"#);
    let request = serde_json::to_string(&Request::QueueShow { leg: 7 }).unwrap();
    assert_eq!(request, r#"{"ask":"queue-show","leg":7}"#);
}

#[tokio::test]
async fn manuals_and_completions_are_made_from_the_grammar() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("none");
    let (_, good) = says(&nowhere, &format!("man --dir {}", folder.path().display())).await.unwrap();
    assert!(good);
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(page("waxwing-queue-retry.1").contains("waxwing queue retry 41 42"));
    assert!(page("waxwing.1").contains("Nothing ever bounces"));
    for shell in ["bash", "zsh", "fish"] {
        let (script, _) = says(&nowhere, &format!("completions {shell}")).await.unwrap();
        assert!(script.contains("give-up"), "{shell}");
    }
}
