//! News: says that something has changed, and what it was about. The page then asks for itself again, so that there is one
//! way only in which anything is shown.

use std::convert::Infallible;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::Event;
use control::{Request, Response};
use futures_util::Stream;
use tokio::sync::OwnedSemaphorePermit;

use crate::app::{Shared, Somebody};
use crate::error::Error;
use crate::limits::{STREAM_PAUSE_MS, STREAM_SECONDS};

/// One stream of news.
struct News {
    app: Shared,
    account: Option<String>,
    after: Option<u64>,
    first: bool,
    session: String,
    _place: OwnedSemaphorePermit,
}

/// Tells what has happened since now, for as long as the session is good.
pub(crate) async fn stream(
    State(app): State<Shared>,
    Somebody(session): Somebody,
    headers: axum::http::HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Error> {
    let place = app.streams.clone().try_acquire_owned().map_err(|_| Error::Busy)?;
    // An operator hears of everything, a user of the own mail.
    let account = session.account.filter(|_| !session.operator);
    let name = crate::guard::cookie(&headers, &app.cookie_name()).unwrap_or_default().to_owned();
    let news = News { app, account, after: None, first: true, session: name, _place: place };
    Ok(Sse::new(futures_util::stream::unfold(news, |mut news| async move {
        let event = news.next().await?;
        Some((Ok(event), news))
    })))
}

impl News {
    async fn next(&mut self) -> Option<Event> {
        if !self.first {
            tokio::time::sleep(std::time::Duration::from_millis(STREAM_PAUSE_MS)).await;
        }
        self.app.sessions.find(&self.session, self.app.now_ms(), true)?;
        let request = Request::Watch {
            account: self.account.clone(),
            after: self.after,
            seconds: if self.first { 0 } else { STREAM_SECONDS },
        };
        let Ok(Response::Flow { events, last }) = self.app.ask(request).await else { return None };
        self.after = Some(last);
        let first = std::mem::replace(&mut self.first, false);
        if first || events.is_empty() {
            return Some(Event::default().comment("nothing new"));
        }
        let mut topics: Vec<&str> = events.iter().flat_map(|event| topics(&event.kind)).copied().collect();
        topics.sort_unstable();
        topics.dedup();
        Some(Event::default().event("changed").data(topics.join(" ")))
    }
}

/// Which pages an event changes.
fn topics(kind: &str) -> &'static [&'static str] {
    match kind {
        "delivered" => &["flow", "mail", "held", "sent"],
        "decided" => &["flow", "held"],
        "settled" => &["flow", "held", "queue", "sent"],
        "committed" | "trying" | "retrying" => &["flow", "queue", "sent"],
        "trouble" => &["flow", "alerts"],
        _ => &["flow"],
    }
}
