//! What is shown of what others wrote, and what can be done about it.

use axum::http::{StatusCode, header};
use control::{HeldView, Request};

use crate::PAGES;
use crate::played::held;
use crate::scene::Scene;

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
