//! What pages need beside their text: one style, one script, one picture. They are part of the program.

use axum::Router;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::app::Shared;

pub(crate) fn routes() -> Router<Shared> {
    let file = |kind: &'static str, text: &'static str| {
        get(move || async move {
            // The frame of a mail is of no origin, and has to read its style all the same; there is nothing secret in any of
            // these files.
            let shared = (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin");
            let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache"), shared];
            (headers, text).into_response()
        })
    };
    Router::new()
        .route("/console.css", file("text/css; charset=utf-8", include_str!("../assets/console.css")))
        .route("/mail.css", file("text/css; charset=utf-8", include_str!("../assets/mail.css")))
        .route("/console.js", file("text/javascript; charset=utf-8", include_str!("../assets/console.js")))
        .route("/icon.svg", file("image/svg+xml", include_str!("../assets/icon.svg")))
}
