//! News: says that something has changed, and what it was about. The page then asks for itself again, so that there is one
//! way only in which anything is shown.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use crate::app::{Shared, Somebody};
use crate::error::Error;
use crate::limits::{STREAM_PAUSE_MS, STREAM_SECONDS, STREAMS_MAX, STREAMS_PER_READER_MAX};
use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::Event;
use control::{Request, Response};
use futures_util::Stream;

/// One stream of news.
struct News {
    app: Shared,
    account: Option<String>,
    after: Option<u64>,
    first: bool,
    session: String,
    _place: Place,
}

/// The streams that are open, by who reads them.
#[derive(Default)]
pub(crate) struct Streams(Mutex<HashMap<String, usize>>);

/// A place among the streams, given back when it goes.
struct Place {
    streams: Arc<Streams>,
    reader: String,
}

impl Streams {
    /// A place, where there is one among all and among those of this reader. keeps: CON-3
    fn take(self: &Arc<Self>, reader: String) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(&reader).copied().unwrap_or(0);
        if own >= STREAMS_PER_READER_MAX || open.values().sum::<usize>() >= STREAMS_MAX {
            return None;
        }
        open.insert(reader.clone(), own + 1);
        Some(Place { streams: Arc::clone(self), reader })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = open.get(&self.reader).map_or(0, |own| own.saturating_sub(1));
        match left {
            0 => open.remove(&self.reader),
            left => open.insert(self.reader.clone(), left),
        };
    }
}

/// Tells what has happened since now, for as long as the session is good.
pub(crate) async fn stream(
    State(app): State<Shared>,
    Somebody(session): Somebody,
    headers: axum::http::HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Error> {
    let name = crate::guard::cookie(&headers, &app.cookie_name()).unwrap_or_default().to_owned();
    let reader = session.account.clone().unwrap_or_else(|| format!("session {name}"));
    let place = app.streams.take(reader).ok_or(Error::Busy)?;
    // An operator hears of everything, a user of the own mail.
    let account = session.account.filter(|_| !session.operator);
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
        self.app.session(&self.session, true).await.ok()??;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: CON-3
    #[test]
    fn one_reader_leaves_streams_for_others() {
        let streams = Arc::<Streams>::default();
        let own: Vec<Place> =
            (0..STREAMS_PER_READER_MAX).filter_map(|_| streams.take("ann".to_owned())).collect();
        assert_eq!(own.len(), STREAMS_PER_READER_MAX);
        assert!(streams.take("ann".to_owned()).is_none());
        assert!(streams.take("bob".to_owned()).is_some());
        drop(own);
        assert!(streams.0.lock().unwrap().is_empty(), "places are given back");
        let all: Vec<Place> =
            (0..2 * STREAMS_MAX).filter_map(|reader| streams.take(reader.to_string())).collect();
        assert_eq!(all.len(), STREAMS_MAX);
    }
}
