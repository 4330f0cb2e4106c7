//! The pages over a node that is played: who comes in, what is refused, what is shown of what others wrote.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request as HttpRequest, StatusCode, header};
use control::{
    Answer, AuthorView, EnvelopeView, Failure, FailureKind, FlowView, HeldDetailView, HeldPlace, HeldState,
    HeldView, LaneAgesView, LegView, MailDetailView, MailView, Operator, PartView, RecipientView, Request,
    Response, SealView, SentView,
};
use data_encoding::BASE64;
use tower::ServiceExt;
use waxwing_console::{Links, Outside, Settings, router};

/// Markup that does something where it is not escaped.
const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u{202e}";
const HOST: &str = "127.0.0.1:7680";

/// A node that knows ann and bob, whose texts are all hostile, and which remembers what it was asked.
#[derive(Default)]
struct Played {
    asked: Mutex<Vec<Request>>,
    /// How the accounts stand; changed when a password is.
    generation: AtomicU64,
    /// An account that was removed.
    removed: Mutex<Option<String>>,
    /// The HTML of each message, where it is another than usual.
    html: Mutex<Option<String>>,
    /// What is held, where it is another than usual.
    held: Mutex<Option<HeldView>>,
}

impl Played {
    fn standing(&self, name: &str) -> Option<String> {
        let removed = self.removed.lock().unwrap().as_deref() == Some(name);
        (!removed).then(|| format!("{name} {}", self.generation.load(Ordering::SeqCst)))
    }
}

impl Operator for Played {
    fn handle(&self, request: Request) -> Answer<'_> {
        if let Request::AccountStanding { name } = &request {
            let standing = self.standing(name);
            return Box::pin(async move { Response::Standing { standing } });
        }
        self.asked.lock().unwrap().push(request.clone());
        let mut answer = answer(request);
        if let Response::LoggedIn { account, standing, .. } = &mut answer {
            *standing = self.standing(account);
        }
        if let (Response::Mail(detail), Some(html)) = (&mut answer, &*self.html.lock().unwrap()) {
            detail.html = Some(html.clone());
        }
        if let (Response::HeldList { held }, Some(one)) = (&mut answer, &*self.held.lock().unwrap()) {
            *held = vec![one.clone()];
        }
        Box::pin(async move { answer })
    }
}

fn seal() -> SealView {
    let evil = EVIL.to_owned();
    SealView {
        issuer: evil.clone(),
        role: evil.clone(),
        verified: true,
        key_name: evil.clone(),
        key: Some(evil.clone()),
        author_key: Some(evil.clone()),
        said: Some(evil),
    }
}

fn author() -> AuthorView {
    AuthorView {
        regard: Some("known".to_owned()),
        regard_of: Some(EVIL.to_owned()),
        since_ms: Some(1),
        warnings: vec![EVIL.to_owned()],
        ..AuthorView::default()
    }
}

fn mail(number: u64) -> MailView {
    MailView {
        number,
        identity: "ab".repeat(32),
        recipient: "ann@north.test".to_owned(),
        received_at_ms: 1,
        origin: EVIL.to_owned(),
        octets: 5_000,
        from: Some(format!("{EVIL} <bob@south.test>")),
        subject: Some(EVIL.to_owned()),
        attachments: 1,
        seals: vec![seal()],
        author: Some(author()),
        ..MailView::default()
    }
}

fn envelope() -> EnvelopeView {
    EnvelopeView {
        number: 7,
        identity: "ab".repeat(32),
        octets: 1,
        origin: EVIL.to_owned(),
        accepted_at_ms: 1,
        closed_at_ms: None,
        trace: vec![format!("{EVIL} 5")],
        recipients: vec![RecipientView {
            address: EVIL.to_owned(),
            disposition: "refused".to_owned(),
            code: Some("5.7.1".to_owned()),
            text: Some(EVIL.to_owned()),
            why: Some(EVIL.to_owned()),
            waits: Some(EVIL.to_owned()),
        }],
        attempts: vec![control::AttemptView {
            at_ms: 1,
            host: EVIL.to_owned(),
            recipient: Some(EVIL.to_owned()),
            step: EVIL.to_owned(),
            code: None,
            text: EVIL.to_owned(),
            took_ms: 1,
        }],
    }
}

fn leg() -> LegView {
    LegView {
        number: 3,
        lane: EVIL.to_owned(),
        envelope: 7,
        identity: "ab".repeat(32),
        octets: 1,
        origin: EVIL.to_owned(),
        state: "waiting".to_owned(),
        due_at_ms: 1,
        accepted_at_ms: 1,
        expires_at_ms: 1,
        tries: 1,
        recipients: envelope().recipients,
        attempts: envelope().attempts,
    }
}

fn held(account: &str) -> HeldView {
    HeldView {
        place: HeldPlace { envelope: 7, recipient: 0 },
        identity: "ab".repeat(32),
        recipient: format!("{account}@north.test"),
        account: Some(account.to_owned()),
        origin: EVIL.to_owned(),
        from: Some(EVIL.to_owned()),
        subject: Some(EVIL.to_owned()),
        date: None,
        reason: EVIL.to_owned(),
        seals: vec![seal()],
        author: Some(author()),
        octets_here: 1,
        octets: 4_000,
        octets_missing: 3_999,
        since_ms: 1,
        until_ms: 2,
        state: HeldState::Undecided,
    }
}

fn record() -> control::PeerRecordView {
    control::PeerRecordView {
        domain: EVIL.to_owned(),
        first_seen_ms: 1,
        last_seen_ms: 2,
        accepted: 3,
        refused: 4,
        held: 5,
        declined: 6,
        complaints: 7,
    }
}

fn answer(request: Request) -> Response {
    match request {
        Request::Login { account, password, .. } if password.reveal() == "right" => {
            let addresses = vec!["ann@north.test".to_owned()];
            Response::LoggedIn { account, addresses, standing: None }
        }
        Request::Login { .. } => Response::Failure(Failure::new(FailureKind::Invalid, EVIL)),
        Request::MailList { before, limit, .. } => {
            let first = before.unwrap_or(1_000_001) - 1;
            Response::Mails { mails: (0..u64::from(limit)).map(|back| mail(first - back)).collect() }
        }
        Request::MailShow { number, .. } => Response::Mail(Box::new(MailDetailView {
            mail: mail(number),
            fields: vec![(EVIL.to_owned(), EVIL.to_owned())],
            text: Some(EVIL.to_owned()),
            html: Some(format!("<p>hello</p>{EVIL}")),
            cut: false,
            parts: vec![PartView {
                number: 2,
                media_type: "text/html".to_owned(),
                octets: 600_000,
                name: Some("../a\u{202e}lmth.\"exe".to_owned()),
                here: true,
                shown: false,
            }],
        })),
        Request::MailPart { offset, .. } => {
            let octets = 600_000_u64;
            let piece = (octets - offset).min(u64::from(control::limits::PIECE_OCTETS_MAX));
            Response::Piece { octets, base64: BASE64.encode(&vec![b'x'; piece as usize]) }
        }
        Request::Sent { .. } | Request::SentShow { .. } => Response::Sent {
            sent: vec![SentView {
                envelope: envelope(),
                subject: Some(EVIL.to_owned()),
                release_at_ms: None,
            }],
        },
        Request::HeldList { account, .. } => Response::HeldList { held: vec![held(&account.unwrap())] },
        Request::HeldShow { recipient, .. } => {
            let account = recipient.unwrap().split('@').next().unwrap().to_owned();
            Response::Held(Box::new(HeldDetailView {
                held: held(&account),
                checked: EVIL.to_owned(),
                sealed: false,
                headers: vec![(EVIL.to_owned(), EVIL.to_owned())],
                text: Some(EVIL.to_owned()),
                text_is_cut: true,
                parts: Vec::new(),
            }))
        }
        Request::HeldDecide { .. } => {
            Response::HeldDecided { disposition: "accepted".to_owned(), octets_missing: 0 }
        }
        Request::Status => Response::Status(Box::default()),
        Request::QueueAges { .. } => Response::Ages {
            lanes: vec![LaneAgesView {
                lane: EVIL.to_owned(),
                count: 3,
                ages: [1, 0, 0, 0, 1, 1],
                held: 1,
                next_due_ms: None,
                last_error: Some(EVIL.to_owned()),
            }],
            lanes_more: 2,
        },
        Request::QueueList { .. } => Response::Legs { legs: vec![leg()] },
        Request::QueueShow { .. } => Response::Leg(Box::new(leg())),
        Request::Trace { .. } => Response::Envelopes {
            envelopes: vec![envelope()],
            refusals: vec![control::RefusalView {
                at_ms: 1,
                identity: "ab".repeat(32),
                origin: EVIL.to_owned(),
                recipient: EVIL.to_owned(),
                code: EVIL.to_owned(),
                text: EVIL.to_owned(),
                why: EVIL.to_owned(),
            }],
        },
        Request::Watch { .. } => Response::Flow {
            events: vec![FlowView {
                number: 1,
                at_ms: 1,
                kind: EVIL.to_owned(),
                identity: Some("ab".repeat(32)),
                recipient: Some(EVIL.to_owned()),
                by: None,
                text: EVIL.to_owned(),
            }],
            last: 1,
        },
        Request::Peers => Response::Peers { peers: Vec::new() },
        Request::PeerRecords { .. } => Response::PeerRecords { peers: vec![record()] },
        Request::PeerRecord { .. } => Response::PeerRecord(Box::new(control::PeerDetailView {
            domain: EVIL.to_owned(),
            grade: EVIL.to_owned(),
            reasons: vec![EVIL.to_owned()],
            questions: vec![control::PeerQuestionView {
                question: EVIL.to_owned(),
                name: EVIL.to_owned(),
                answer: EVIL.to_owned(),
                counts: EVIL.to_owned(),
            }],
            until_ms: None,
            record: Some(record()),
            limits: vec![control::LimitView { limit: EVIL.to_owned(), used: 1, of: 2 }],
        })),
        Request::PolicyShow => Response::Policy(Box::new(control::PolicyView {
            octets_max: 1,
            rules: vec![control::RuleView {
                name: EVIL.to_owned(),
                conditions: vec![EVIL.to_owned()],
                action: EVIL.to_owned(),
            }],
            default: EVIL.to_owned(),
        })),
        Request::PolicyExplain { .. } => Response::Explanation(Box::new(control::ExplanationView {
            identity: "ab".repeat(32),
            recipient: EVIL.to_owned(),
            origin: EVIL.to_owned(),
            verdict: EVIL.to_owned(),
            rule: EVIL.to_owned(),
            evidence: EVIL.to_owned(),
            steps: vec![control::StepView {
                rule: EVIL.to_owned(),
                tried: EVIL.to_owned(),
                conditions: vec![control::ConditionView {
                    condition: EVIL.to_owned(),
                    holds: None,
                    evidence: EVIL.to_owned(),
                }],
            }],
        })),
        Request::Correspondents { .. } => Response::Correspondents {
            correspondents: vec![control::CorrespondentView {
                who: EVIL.to_owned(),
                regard: "known".to_owned(),
                since_ms: 1,
                note: EVIL.to_owned(),
                seal: Some(seal()),
                keys: vec![EVIL.to_owned()],
                broken_by: Some(EVIL.to_owned()),
                sealed_at_ms: Some(1),
            }],
        },
        Request::Forward { order: control::ForwardOrder::List { .. } } => Response::Forwards {
            forwards: vec![control::ForwardView {
                alias: EVIL.to_owned(),
                target: EVIL.to_owned(),
                state: EVIL.to_owned(),
                since_ms: 1,
                conceal: true,
                keep_sender: false,
                authorization: Some(EVIL.to_owned()),
                ask_again_at_ms: None,
                note: EVIL.to_owned(),
                complaints: 1,
                page: EVIL.to_owned(),
            }],
        },
        Request::Forward { order: control::ForwardOrder::Grants { .. } } => Response::Grants {
            grants: vec![control::GrantView {
                number: 1,
                recipient: EVIL.to_owned(),
                forwarder: EVIL.to_owned(),
                state: EVIL.to_owned(),
                since_ms: 1,
                automatic: false,
                by: EVIL.to_owned(),
                alias: Some(EVIL.to_owned()),
                page: Some(EVIL.to_owned()),
                complain: false,
            }],
        },
        Request::Forward { order: control::ForwardOrder::Walk { .. } } => Response::Chain {
            hops: vec![control::ChainHopView {
                page: EVIL.to_owned(),
                alias: Some(EVIL.to_owned()),
                target: Some(EVIL.to_owned()),
                state: None,
                trouble: Some(EVIL.to_owned()),
            }],
        },
        Request::Accounts { .. } => Response::Accounts { accounts: Vec::new() },
        Request::Alerts => Response::Alerts { alerts: Vec::new() },
        Request::Domains => Response::Domains {
            domains: Vec::new(),
            host: EVIL.to_owned(),
            pin: EVIL.to_owned(),
            records: vec![EVIL.to_owned()],
        },
        _ => Response::Done,
    }
}

#[derive(Default)]
struct Fixed(AtomicU64);

impl Outside for Fixed {
    fn now_ms(&self) -> u64 {
        1_700_000_000_000
    }

    fn random(&self, octets: &mut [u8]) {
        octets.fill(7);
        octets[..8].copy_from_slice(&self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes());
    }
}

struct Scene {
    router: Router,
    played: Arc<Played>,
    links: Arc<Links>,
    outside: Arc<Fixed>,
}

struct Seen {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Scene {
    fn new() -> Scene {
        let (played, links, outside) =
            (Arc::new(Played::default()), Arc::default(), Arc::new(Fixed::default()));
        let settings = Settings {
            listen: HOST.parse().unwrap(),
            hosts: vec!["console.north.test".to_owned()],
            operators: vec!["ann".to_owned()],
        };
        let router = router(settings, Arc::clone(&links), played.clone(), outside.clone());
        Scene { router, played, links, outside }
    }

    async fn send(&self, request: HttpRequest<Body>) -> Seen {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, 4 << 20).await.unwrap();
        Seen {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    async fn page(&self, path: &str, cookie: &str) -> Seen {
        let request = HttpRequest::get(path).header(header::HOST, HOST).header(header::COOKIE, cookie);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, cookie: &str, origin: Option<&str>, form: &str) -> Seen {
        let mut request = HttpRequest::post(path)
            .header(header::HOST, HOST)
            .header(header::COOKIE, cookie)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        self.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }

    /// Logs in and gives the cookie.
    async fn login(&self, account: &str) -> String {
        let form = format!("account={account}&password=right");
        let seen = self.post("/login", "", Some("http://127.0.0.1:7680"), &form).await;
        assert_eq!(seen.status, StatusCode::SEE_OTHER, "{}", seen.body);
        let cookie = seen.headers[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        cookie.split(';').next().unwrap().to_owned()
    }

    /// The secret in the forms of a session.
    async fn csrf(&self, cookie: &str) -> String {
        let page = self.page("/held", cookie).await.body;
        page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }
}

/// Every page that there is, with something on it.
const PAGES: [&str; 26] = [
    "/correspondents",
    "/forwarding",
    "/forwarding?recipient=ann%40north.test&forwarder=old.test",
    "/aliases",
    "/peers/south.test",
    "/policy",
    "/policy?id=abababab&to=ann%40north.test",
    "/held",
    "/held/abababababab/ann@north.test",
    "/mail",
    "/mail/5",
    "/mail/5?view=html",
    "/sent",
    "/sent/7",
    "/queue",
    "/queue/lane?name=x",
    "/queue/leg/3",
    "/flow",
    "/trace",
    "/trace?id=abababab",
    "/peers",
    "/domains",
    "/accounts",
    "/alerts",
    "/nothing",
    "/login",
];

#[tokio::test]
async fn what_others_wrote_does_nothing_on_any_page() {
    let scene = Scene::new();
    let cookie = scene.login("ann").await;
    for path in PAGES {
        let seen = scene.page(path, &cookie).await;
        for evil in ["<script>alert", "<img src=x", "\u{202e}", "\"'>"] {
            assert!(!seen.body.contains(evil), "{path} has {evil:?}:\n{}", seen.body);
        }
        let policy = seen.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(seen.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(seen.headers[header::CACHE_CONTROL], "no-store", "{path}");
        assert!(!seen.body.contains(" style=") && !seen.body.contains("javascript:"), "{path}");
        for address in ["src=\"http", "href=\"http", "url("] {
            assert!(!seen.body.contains(address), "{path} fetches from elsewhere");
        }
    }
    let shown = scene.page("/mail", &cookie).await.body;
    assert!(shown.contains("&#60;script&#62;alert(1)"), "it is shown as it was written: {shown}");
}

#[tokio::test]
async fn mail_in_html_is_in_a_frame_that_may_do_nothing() {
    let scene = Scene::new();
    let cookie = scene.login("ann").await;
    let seen = scene.page("/mail/5/html", &cookie).await;
    let policy = seen.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("sandbox ") && policy.contains("default-src 'none'"), "{policy}");
    assert!(!policy.contains("script"), "{policy}");
    assert!(seen.body.contains("<p>hello</p>") && !seen.body.contains("alert("), "{}", seen.body);
    let page = scene.page("/mail/5?view=html", &cookie).await.body;
    assert!(page.contains("sandbox=\"allow-popups allow-popups-to-escape-sandbox\""));
}

#[tokio::test]
async fn nobody_comes_in_without_a_login() {
    let scene = Scene::new();
    for path in PAGES.iter().filter(|path| !["/login", "/nothing"].contains(path)) {
        let seen = scene.page(path, "waxwing_7680=0000").await;
        assert_eq!(seen.status, StatusCode::SEE_OTHER, "{path}");
        assert!(seen.headers[header::LOCATION].to_str().unwrap().starts_with("/login?to="), "{path}");
    }
    assert_eq!(scene.page("/live", "").await.status, StatusCode::UNAUTHORIZED);
    assert!(scene.played.asked.lock().unwrap().is_empty(), "the node was not asked anything");
    let wrong = scene.post("/login", "", Some("http://127.0.0.1:7680"), "account=ann&password=wrong").await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(!wrong.headers.contains_key(header::SET_COOKIE) && !wrong.body.contains("wrong\""));
    // After logging in one goes on here, and nowhere else.
    for (to, expected) in
        [("/mail/5", "/mail/5"), ("//evil.test/", "/"), ("https://evil.test", "/"), ("/\\evil.test", "/")]
    {
        let form = format!("account=ann&password=right&to={}", to.replace('/', "%2F").replace('\\', "%5C"));
        let seen = scene.post("/login", "", Some("http://127.0.0.1:7680"), &form).await;
        assert_eq!(seen.headers[header::LOCATION], expected, "{to}");
    }
}

#[tokio::test]
async fn users_see_their_own_mail_and_not_the_node() {
    let scene = Scene::new();
    let cookie = scene.login("bob").await;
    for path in [
        "/queue",
        "/queue/lane?name=x",
        "/queue/leg/3",
        "/flow",
        "/trace",
        "/peers",
        "/peers/south.test",
        "/policy",
        "/domains",
        "/accounts",
        "/alerts",
        "/aliases",
    ] {
        assert_eq!(scene.page(path, &cookie).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let csrf = scene.csrf(&cookie).await;
    let form = format!("csrf={csrf}&leg=3&act=remove");
    let seen = scene.post("/queue/change", &cookie, Some("http://127.0.0.1:7680"), &form).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    // What is held for somebody else is neither shown nor decided.
    assert_eq!(scene.page("/held/abab/ann@north.test", &cookie).await.status, StatusCode::NOT_FOUND);
    let form = format!("csrf={csrf}&identity=abab&recipient=ann%40north.test&decision=accept");
    let seen = scene.post("/held/decide", &cookie, Some("http://127.0.0.1:7680"), &form).await;
    assert_eq!(seen.status, StatusCode::NOT_FOUND);
    // Who may forward is decided for oneself alone, and aliases are the operator's.
    let form = format!("csrf={csrf}&recipient=ann%40north.test&forwarder=old.test&decision=grant");
    let seen = scene.post("/forwarding/decide", &cookie, Some("http://127.0.0.1:7680"), &form).await;
    assert_eq!(seen.status, StatusCode::SEE_OTHER);
    let form = format!("csrf={csrf}&alias=a%40north.test&target=b%40old.test&act=add");
    let seen = scene.post("/aliases/change", &cookie, Some("http://127.0.0.1:7680"), &form).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    let asked = scene.played.asked.lock().unwrap();
    for request in asked.iter() {
        match request {
            Request::HeldDecide { .. } | Request::QueueRemove { .. } => panic!("{request:?}"),
            Request::MailList { account, .. } => assert_eq!(account, "bob"),
            Request::Forward { order } => {
                let bobs = Some("bob".to_owned());
                let own = matches!(order, control::ForwardOrder::Decide { account, .. } if *account == bobs);
                assert!(own, "{order:?}");
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn what_does_not_come_from_a_page_of_ours_does_nothing() {
    let scene = Scene::new();
    let cookie = scene.login("ann").await;
    let csrf = scene.csrf(&cookie).await;
    let good = format!("csrf={csrf}&identity=abab&recipient=ann%40north.test&decision=trust");
    let without = "identity=abab&recipient=ann%40north.test&decision=trust".to_owned();
    let wrong = format!("csrf={}&{without}", "0".repeat(64));
    let own = Some("http://127.0.0.1:7680");
    let cases = [
        (None, &good),
        (Some("null"), &good),
        (Some("http://evil.test"), &good),
        (Some("http://127.0.0.1:7681"), &good),
        (Some("https://127.0.0.1:7680"), &good),
        (own, &without),
        (own, &wrong),
    ];
    for (origin, form) in cases {
        let seen = scene.post("/held/decide", &cookie, origin, form).await;
        assert_eq!(seen.status, StatusCode::FORBIDDEN, "{origin:?} {form}");
    }
    let decided = |scene: &Scene| {
        let asked = scene.played.asked.lock().unwrap();
        asked.iter().filter(|request| matches!(request, Request::HeldDecide { .. })).count()
    };
    assert_eq!(decided(&scene), 0);
    let seen = scene.post("/held/decide", &cookie, own, &good).await;
    assert_eq!((seen.status, decided(&scene)), (StatusCode::SEE_OTHER, 1));
    // A login from elsewhere would put somebody into a session that is not theirs.
    let seen = scene.post("/login", "", Some("http://evil.test"), "account=ann&password=right").await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
}

/// A user reports what is in the own mailbox, by a form of ours and in no other way.
///
/// proves: FWD-40
#[tokio::test]
async fn a_letter_is_reported_by_its_reader() {
    let scene = Scene::new();
    let cookie = scene.login("ann").await;
    let csrf = scene.csrf(&cookie).await;
    let own = Some("http://127.0.0.1:7680");
    let reported = |scene: &Scene| -> Vec<Request> {
        let asked = scene.played.asked.lock().unwrap();
        asked.iter().filter(|request| matches!(request, Request::MailReport { .. })).cloned().collect()
    };
    for (origin, form) in [(own, "report=1".to_owned()), (Some("http://evil.test"), format!("csrf={csrf}"))] {
        let seen = scene.post("/mail/7/report", &cookie, origin, &form).await;
        assert_eq!(seen.status, StatusCode::FORBIDDEN, "{form}");
    }
    assert_eq!(reported(&scene), []);
    let seen = scene.post("/mail/7/report", &cookie, own, &format!("csrf={csrf}&account=bob")).await;
    assert_eq!(seen.status, StatusCode::SEE_OTHER);
    assert_eq!(reported(&scene), [Request::MailReport { account: "ann".to_owned(), number: 7 }]);
}

/// DNS rebinding: a name of somebody else's that leads here.
#[tokio::test]
async fn other_names_than_ours_are_not_answered() {
    let scene = Scene::new();
    let ask = |host: Option<&'static str>| {
        let mut request = HttpRequest::get("/login");
        if let Some(host) = host {
            request = request.header(header::HOST, host);
        }
        request.body(Body::empty()).unwrap()
    };
    for host in ["evil.test:7680", "127.0.0.1", "127.0.0.1:80", "localhost", "127.0.0.1.evil.test:7680", ""] {
        assert_eq!(scene.send(ask(Some(host))).await.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    assert_eq!(scene.send(ask(None)).await.status, StatusCode::MISDIRECTED_REQUEST);
    for host in ["127.0.0.1:7680", "localhost:7680", "LOCALHOST:7680", "console.north.test"] {
        assert_eq!(scene.send(ask(Some(host))).await.status, StatusCode::OK, "{host}");
    }
    // Under a name that others reach the cookie goes over TLS only.
    let request = HttpRequest::post("/login")
        .header(header::HOST, "console.north.test")
        .header(header::ORIGIN, "https://console.north.test")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let seen = scene.send(request.body(Body::from("account=ann&password=right")).unwrap()).await;
    assert!(seen.headers[header::SET_COOKIE].to_str().unwrap().contains("; Secure"));
}

#[tokio::test]
async fn a_link_lets_an_operator_in_once() {
    let scene = Scene::new();
    let token = scene.links.issue(scene.outside.as_ref());
    let path = format!("/enter/{token}");
    // Whoever only looks at the link does not use it up.
    assert_eq!(scene.page(&path, "").await.status, StatusCode::OK);
    let seen = scene.post(&path, "", Some("http://127.0.0.1:7680"), "").await;
    assert_eq!(
        (seen.status, &seen.headers[header::LOCATION]),
        (StatusCode::SEE_OTHER, &"/queue".parse().unwrap())
    );
    let cookie = seen.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(scene.page("/queue", &cookie).await.status, StatusCode::OK);
    assert_eq!(scene.page("/mail", &cookie).await.status, StatusCode::FORBIDDEN);
    let again = scene.post(&path, "", Some("http://127.0.0.1:7680"), "").await;
    assert_eq!(again.status, StatusCode::GONE);
}

#[tokio::test]
async fn logging_out_ends_the_session() {
    let scene = Scene::new();
    let cookie = scene.login("ann").await;
    let csrf = scene.csrf(&cookie).await;
    let seen = scene.post("/logout", &cookie, Some("http://127.0.0.1:7680"), &format!("csrf={csrf}")).await;
    assert!(seen.headers[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(scene.page("/mail", &cookie).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_file_is_fetched_in_pieces_under_a_safe_name() {
    let scene = Scene::new();
    let cookie = scene.login("ann").await;
    let seen = scene.page("/mail/5/part/2", &cookie).await;
    assert_eq!(
        (seen.body.len(), seen.headers[header::CONTENT_LENGTH].to_str().unwrap()),
        (600_000, "600000")
    );
    let disposition = seen.headers[header::CONTENT_DISPOSITION].to_str().unwrap();
    assert_eq!(disposition, "attachment; filename=\"_a_lmth._exe\"; filename*=UTF-8''_a_lmth._exe");
    assert_eq!(seen.headers[header::CONTENT_TYPE], "application/octet-stream");
    let offset = |request: &Request| match request {
        Request::MailPart { offset, .. } => Some(*offset),
        _ => None,
    };
    let offsets: Vec<u64> = scene.played.asked.lock().unwrap().iter().filter_map(offset).collect();
    assert_eq!(offsets, [0, 262_144, 524_288], "no more than a piece at a time");
    assert_eq!(scene.page("/mail/5/part/9", &cookie).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn long_lists_are_read_page_by_page() {
    let scene = Scene::new();
    let cookie = scene.login("ann").await;
    let first = scene.page("/mail", &cookie).await.body;
    assert_eq!(first.matches("<li class=\"row").count(), 50);
    assert!(first.contains("href=\"/mail?before=999951\""));
    scene.page("/mail?before=999951", &cookie).await;
    for path in PAGES {
        scene.page(path, &cookie).await;
    }
    for request in scene.played.asked.lock().unwrap().iter() {
        match request {
            Request::MailList { limit, .. }
            | Request::HeldList { limit, .. }
            | Request::Sent { limit, .. }
            | Request::Accounts { limit, .. }
            | Request::QueueAges { limit }
            | Request::QueueList { limit, .. } => assert!(*limit <= 50, "{request:?}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn what_is_too_long_or_no_form_is_refused() {
    let scene = Scene::new();
    let cookie = scene.login("ann").await;
    let own = Some("http://127.0.0.1:7680");
    for form in
        [format!("account={}&password=x", "a".repeat(2_000)), "x".repeat(100_000), "account=ann".to_owned()]
    {
        let seen = scene.post("/login", &cookie, own, &form).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{}", form.len());
    }
}

/// proves: CON-2
#[tokio::test]
async fn a_session_ends_with_the_password_and_with_the_account() {
    let scene = Scene::new();
    let (cookie, other) = (scene.login("ann").await, scene.login("bob").await);
    let token = scene.links.issue(scene.outside.as_ref());
    let entered = scene.post(&format!("/enter/{token}"), "", Some("http://127.0.0.1:7680"), "").await;
    let by_link = entered.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(scene.page("/mail", &cookie).await.status, StatusCode::OK);
    *scene.played.removed.lock().unwrap() = Some("bob".to_owned());
    for path in ["/mail", "/held", "/mail/5/part/2", "/sent"] {
        assert_eq!(scene.page(path, &other).await.status, StatusCode::SEE_OTHER, "{path}");
    }
    assert_eq!(scene.page("/live", &other).await.status, StatusCode::UNAUTHORIZED);
    // Another account of the same name is another one, also with the same password.
    *scene.played.removed.lock().unwrap() = None;
    assert_eq!(scene.page("/mail", &other).await.status, StatusCode::SEE_OTHER);
    assert_eq!(scene.page("/mail", &cookie).await.status, StatusCode::OK, "ann is not concerned");
    scene.played.generation.fetch_add(1, Ordering::SeqCst);
    assert_eq!(scene.page("/queue", &cookie).await.status, StatusCode::SEE_OTHER);
    let form = "csrf=x&identity=abab&recipient=ann%40north.test&decision=trust";
    let seen = scene.post("/held/decide", &cookie, Some("http://127.0.0.1:7680"), form).await;
    assert_eq!(seen.status, StatusCode::UNAUTHORIZED);
    let cookie = scene.login("ann").await;
    assert_eq!(scene.page("/queue", &cookie).await.status, StatusCode::OK);
    assert_eq!(scene.page("/queue", &by_link).await.status, StatusCode::OK, "a link has no password");
}

/// proves: CON-4
#[tokio::test]
async fn the_nearest_proxy_says_where_a_login_comes_from() {
    let check = async |host: &'static str, lines: &[&str], expected: &str| {
        let scene = Scene::new();
        let scheme = if host == HOST { "http" } else { "https" };
        let mut request = HttpRequest::post("/login")
            .header(header::HOST, host)
            .header(header::ORIGIN, format!("{scheme}://{host}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for line in lines {
            request = request.header("x-forwarded-for", *line);
        }
        scene.send(request.body(Body::from("account=ann&password=wrong")).unwrap()).await;
        let asked = scene.played.asked.lock().unwrap();
        let Request::Login { network, .. } = &asked[0] else { panic!("{asked:?}") };
        assert_eq!(network, &format!("console:{expected}"), "{host} {lines:?}");
    };
    check("console.north.test", &["192.0.2.1"], "192.0.2.1").await;
    check("console.north.test", &["198.51.100.9, 192.0.2.1"], "192.0.2.1").await;
    // Some proxies add a line of their own: the first one is the caller's.
    check("console.north.test", &["198.51.100.9", "192.0.2.1"], "192.0.2.1").await;
    check("console.north.test", &["198.51.100.9, 203.0.113.5", "192.0.2.7, 192.0.2.1"], "192.0.2.1").await;
    check(HOST, &["192.0.2.1"], "here").await;
}

/// proves: CON-1
#[tokio::test]
async fn who_reads_is_told_where_a_letter_has_too_much_markup() {
    let scene = Scene::new();
    let cookie = scene.login("ann").await;
    let told = "more formatting than is shown here";
    assert!(!scene.page("/mail/5?view=html", &cookie).await.body.contains(told));
    *scene.played.html.lock().unwrap() = Some("<br>x".repeat(20_000));
    let page = scene.page("/mail/5?view=html", &cookie).await.body;
    assert!(page.contains(told) && page.contains("href=\"/mail/5/part/2\""), "{page}");
    // Some at once are cleaned one after the other, and all are answered.
    let all = (0..8).map(|_| scene.page("/mail/5/html", &cookie));
    for seen in futures_util::future::join_all(all).await {
        assert_eq!(seen.status, StatusCode::OK);
        assert!(seen.body.contains("<br>x") && seen.body.len() < 200_000);
    }
}

/// Nothing is offered that cannot be done: who wrote it is not here.
#[tokio::test]
async fn nobody_is_blocked_whom_nobody_knows() {
    let with = |held: &HeldView| {
        let mut held = held.clone();
        held.from = None;
        held
    };
    let scene = Scene::new();
    let cookie = scene.login("ann").await;
    let known = scene.page("/held", &cookie).await.body;
    assert!(known.contains("value=\"block\"") && known.contains("value=\"trust\""));
    *scene.played.held.lock().unwrap() = Some(with(&held("ann")));
    let unknown = scene.page("/held", &cookie).await.body;
    assert!(!unknown.contains("value=\"block\"") && !unknown.contains("value=\"trust\""), "{unknown}");
    assert!(unknown.contains("value=\"accept\"") && unknown.contains("value=\"refuse\""));
}

/// Whoever only connects, or says half of something, keeps nobody out. Time is virtual: it passes where all wait.
///
/// proves: CON-3
#[tokio::test(start_paused = true)]
async fn connections_that_say_nothing_give_their_places_back() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let settings = Settings { listen: at, hosts: Vec::new(), operators: Vec::new() };
    let (played, outside) = (Arc::new(Played::default()), Arc::new(Fixed::default()));
    let served = tokio::spawn(waxwing_console::serve(listener, settings, Arc::default(), played, outside));
    let mut silent = Vec::new();
    for number in 0..waxwing_console::limits::CONNECTIONS_MAX {
        let mut stream = tokio::net::TcpStream::connect(at).await.unwrap();
        match number % 3 {
            0 => {}
            1 => stream.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap(),
            _ => {
                let head = format!("POST /login HTTP/1.1\r\nHost: {at}\r\nOrigin: http://{at}\r\n");
                let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\na";
                stream.write_all(format!("{head}{form}").as_bytes()).await.unwrap();
            }
        }
        silent.push(stream);
    }
    let mut stream = tokio::net::TcpStream::connect(at).await.unwrap();
    let request = format!("GET /login HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    drop(silent);
    served.abort();
}

#[tokio::test]
async fn lists_of_forwarding_go_on() {
    let scene = Scene::new();
    let cookie = scene.login("ann").await;
    scene.page("/aliases?alias=a%40north.test&target=b%40south.test", &cookie).await;
    scene.page("/forwarding?after_recipient=ann%40north.test&after_forwarder=old.test", &cookie).await;
    let asked = scene.played.asked.lock().unwrap();
    let after = |request: &Request| match request {
        Request::Forward { order: control::ForwardOrder::List { after, .. } }
        | Request::Forward { order: control::ForwardOrder::Grants { after, .. } } => after.clone(),
        _ => None,
    };
    let afters: Vec<_> = asked.iter().filter_map(after).collect();
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    assert_eq!(afters, [pair("a@north.test", "b@south.test"), pair("ann@north.test", "old.test")]);
}
