//! Who comes in, and what is refused.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Request as HttpRequest, StatusCode, header};
use control::Request;
use waxwing_console::Settings;

use crate::played::Played;
use crate::scene::{Fixed, Scene};
use crate::{HOST, PAGES};

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
