//! A console before a node that is played, and whoever looks at its pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request as HttpRequest, StatusCode, header};
use tower::ServiceExt;
use waxwing_console::{Links, Outside, Settings, router};

use crate::HOST;
use crate::played::Played;

#[derive(Default)]
pub(crate) struct Fixed(AtomicU64);

impl Outside for Fixed {
    fn now_ms(&self) -> u64 {
        1_700_000_000_000
    }

    fn random(&self, octets: &mut [u8]) {
        octets.fill(7);
        octets[..8].copy_from_slice(&self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes());
    }
}

pub(crate) struct Scene {
    pub(crate) router: Router,
    pub(crate) played: Arc<Played>,
    pub(crate) links: Arc<Links>,
    pub(crate) outside: Arc<Fixed>,
}

pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Scene {
    pub(crate) fn new() -> Scene {
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

    pub(crate) async fn send(&self, request: HttpRequest<Body>) -> Seen {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, 4 << 20).await.unwrap();
        Seen {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    pub(crate) async fn page(&self, path: &str, cookie: &str) -> Seen {
        let request = HttpRequest::get(path).header(header::HOST, HOST).header(header::COOKIE, cookie);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, cookie: &str, origin: Option<&str>, form: &str) -> Seen {
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
    pub(crate) async fn login(&self, account: &str) -> String {
        let form = format!("account={account}&password=right");
        let seen = self.post("/login", "", Some("http://127.0.0.1:7680"), &form).await;
        assert_eq!(seen.status, StatusCode::SEE_OTHER, "{}", seen.body);
        let cookie = seen.headers[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        cookie.split(';').next().unwrap().to_owned()
    }

    /// The secret in the forms of a session.
    pub(crate) async fn csrf(&self, cookie: &str) -> String {
        let page = self.page("/held", cookie).await.body;
        page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }
}
