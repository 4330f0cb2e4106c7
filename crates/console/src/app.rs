//! What all pages share: who is asked, who is logged in, and which path leads where.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::http::request::Parts;
use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Router, middleware};
use control::{Operator, Request, Response};
use tokio::sync::Semaphore;

use crate::error::Error;
use crate::harmless::harmless;
use crate::limits::{CLEANING_MAX, FORM_OCTETS_MAX};
use crate::live::Streams;
use crate::session::{Links, Session, Sessions};
use crate::{Outside, Settings, assets, guard, live, operator, user};

/// Everything that pages stand on.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) links: Arc<Links>,
    pub(crate) sessions: Sessions,
    pub(crate) asked: Arc<dyn Operator>,
    pub(crate) outside: Arc<dyn Outside>,
    pub(crate) streams: Arc<Streams>,
    /// Places for those who make HTML harmless.
    cleaning: Semaphore,
}

pub(crate) type Shared = Arc<App>;

impl App {
    /// Asks the node. A failure is an error here.
    pub(crate) async fn ask(&self, request: Request) -> Result<Response, Error> {
        match self.asked.handle(request).await {
            Response::Failure(failure) => Err(Error::Node(failure)),
            response => Ok(response),
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.outside.now_ms()
    }

    /// Makes the HTML of a mail harmless, beside those who answer requests, and a few at a time. keeps: CON-1
    pub(crate) async fn harmless(&self, html: String) -> Result<String, Error> {
        let _place = self.cleaning.acquire().await.map_err(|_| Error::Busy)?;
        let done = tokio::task::spawn_blocking(move || harmless(&html).document);
        done.await.map_err(|_| Error::Answer)
    }

    /// The session of a cookie, where it is good and its account stands as it did when it was opened. keeps: CON-2
    pub(crate) async fn session(&self, name: &str, listens: bool) -> Result<Option<Session>, Error> {
        let Some(session) = self.sessions.find(name, self.now_ms(), listens) else { return Ok(None) };
        let Some(account) = session.account.clone() else { return Ok(Some(session)) };
        match self.ask(Request::AccountStanding { name: account }).await? {
            Response::Standing { standing } if standing.is_some() && standing == session.standing => {
                Ok(Some(session))
            }
            Response::Standing { .. } => {
                self.sessions.close(name);
                Ok(None)
            }
            _ => Err(Error::Answer),
        }
    }

    /// The cookie's name has the port in it: browsers give cookies of one port to others of the same host.
    pub(crate) fn cookie_name(&self) -> String {
        format!("waxwing_{}", self.settings.listen.port())
    }
}

/// The pages as a service.
pub fn router(
    settings: Settings,
    links: Arc<Links>,
    asked: Arc<dyn Operator>,
    outside: Arc<dyn Outside>,
) -> Router {
    let app = Arc::new(App {
        settings,
        links,
        sessions: Sessions::default(),
        asked,
        outside,
        streams: Arc::default(),
        cleaning: Semaphore::new(CLEANING_MAX),
    });
    let pages = Router::new()
        .route("/", get(user::home))
        .route("/login", get(user::login_page).post(user::login))
        .route("/logout", post(user::logout))
        .route("/enter/{token}", get(user::enter_page).post(user::enter))
        .route("/held", get(user::held_list))
        .route("/held/decide", post(user::held_decide))
        .route("/held/{identity}/{recipient}", get(user::held_show))
        .route("/mail", get(user::mail_list))
        .route("/mail/{number}", get(user::mail_show))
        .route("/mail/{number}/html", get(user::mail_html))
        .route("/mail/{number}/part/{part}", get(user::mail_part))
        .route("/mail/{number}/seen", post(user::mail_seen))
        .route("/mail/{number}/report", post(user::mail_report))
        .route("/sent", get(user::sent_list))
        .route("/sent/{envelope}", get(user::sent_show))
        .route("/correspondents", get(user::correspondents))
        .route("/correspondents/put", post(user::correspondent_put))
        .route("/forwarding", get(user::forwarding))
        .route("/forwarding/decide", post(user::forwarding_decide))
        .route("/aliases", get(operator::aliases))
        .route("/aliases/change", post(operator::alias_change))
        .route("/queue", get(operator::queue))
        .route("/queue/lane", get(operator::lane))
        .route("/queue/leg/{number}", get(operator::leg))
        .route("/queue/change", post(operator::change))
        .route("/flow", get(operator::flow))
        .route("/peers", get(operator::peers))
        .route("/peers/forget", post(operator::forget))
        .route("/peers/{domain}", get(operator::peer))
        .route("/policy", get(operator::policy))
        .route("/domains", get(operator::domains))
        .route("/accounts", get(operator::accounts))
        .route("/alerts", get(operator::alerts))
        .route("/trace", get(operator::trace))
        .route("/live", get(live::stream));
    pages
        .merge(assets::routes())
        .fallback(|| async { Error::NoSuchPage })
        .layer(DefaultBodyLimit::max(FORM_OCTETS_MAX))
        .layer(middleware::from_fn_with_state(app.clone(), guard::check))
        .with_state(app)
}

/// Whoever is logged in.
pub(crate) struct Somebody(pub(crate) Session);

/// Somebody with a mailbox: the account, and the session.
pub(crate) struct User(pub(crate) String, pub(crate) Session);

/// Somebody who may see the pages of the operator.
pub(crate) struct Operating(pub(crate) Session);

impl FromRequestParts<Shared> for Somebody {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Somebody, Error> {
        let listens = parts.uri.path() == "/live";
        let name = guard::cookie(&parts.headers, &app.cookie_name()).map(str::to_owned);
        let session = match name {
            Some(name) => app.session(&name, listens).await?,
            None => None,
        };
        session.map(Somebody).ok_or_else(|| Error::LoggedOut { page: guard::page_of(parts) })
    }
}

impl FromRequestParts<Shared> for User {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<User, Error> {
        let Somebody(session) = Somebody::from_request_parts(parts, app).await?;
        let account = session.account.clone().ok_or(Error::NoMailbox)?;
        Ok(User(account, session))
    }
}

impl FromRequestParts<Shared> for Operating {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Operating, Error> {
        let Somebody(session) = Somebody::from_request_parts(parts, app).await?;
        if session.operator { Ok(Operating(session)) } else { Err(Error::NotAnOperator) }
    }
}

/// Where somebody begins.
pub(crate) fn first_page(session: &Session) -> Redirect {
    Redirect::to(if session.account.is_some() { "/held" } else { "/queue" })
}
