//! What can go wrong, and the page that says what to do next.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use control::{Failure, FailureKind};

use crate::page::{self, Chrome};
use crate::words::{self, encoded};

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The caller asks for what is not there.
    #[error("There is no such page.")]
    NoSuchPage,
    /// The caller is not logged in, or not any more.
    #[error("You are not logged in.")]
    LoggedOut {
        /// Where to go on after logging in.
        page: Option<String>,
    },
    /// The caller came by an operator's link.
    #[error("You came in by an operator's link, and have no mailbox here.")]
    NoMailbox,
    /// The caller is no operator.
    #[error("This page is for operators of this node.")]
    NotAnOperator,
    /// The request did not come from a page of ours.
    #[error("This request did not come from a page of this console, so nothing was done.")]
    NotOurs,
    /// The request names another host than ours.
    #[error("This console does not answer under that name.")]
    WrongHost,
    /// A form is not one of ours.
    #[error("The form is not complete: {0}.")]
    Form(&'static str),
    /// The link was used, or its time has passed.
    #[error("This link is not good any more.")]
    UsedLink,
    /// Too many windows are open.
    #[error("Too many windows are open.")]
    Busy,
    /// What the node has said.
    #[error("{}", .0.text)]
    Node(Failure),
    /// A fault of ours.
    #[error("The page could not be made.")]
    Page(#[from] askama::Error),
    /// The node has answered something else than it was asked.
    #[error("The node has answered what was not asked.")]
    Answer,
}

impl Error {
    fn status(&self) -> StatusCode {
        match self {
            Error::NoSuchPage => StatusCode::NOT_FOUND,
            Error::LoggedOut { .. } => StatusCode::UNAUTHORIZED,
            Error::NoMailbox | Error::NotAnOperator | Error::NotOurs => StatusCode::FORBIDDEN,
            Error::WrongHost => StatusCode::MISDIRECTED_REQUEST,
            Error::Form(_) => StatusCode::BAD_REQUEST,
            Error::UsedLink => StatusCode::GONE,
            Error::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Error::Page(_) | Error::Answer => StatusCode::INTERNAL_SERVER_ERROR,
            Error::Node(failure) => match failure.kind {
                FailureKind::Invalid => StatusCode::BAD_REQUEST,
                FailureKind::NotFound => StatusCode::NOT_FOUND,
                FailureKind::Conflict => StatusCode::CONFLICT,
                FailureKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                FailureKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }

    /// What to do next.
    fn next(&self) -> String {
        match self {
            Error::NoSuchPage => "Go back, or begin at the first page.".to_owned(),
            Error::LoggedOut { .. } => "Log in and go on.".to_owned(),
            Error::NoMailbox => "Log in with an account to read its mail.".to_owned(),
            Error::NotAnOperator => {
                "An operator names the accounts that may see it under [console] in the configuration, or enters with \
                 the link that `waxwing console link` prints."
                    .to_owned()
            }
            Error::NotOurs => "Open the page again and do it there.".to_owned(),
            Error::WrongHost => {
                "Open it under the address that `waxwing config show` names, or have that name added to `hosts` under \
                 [console]."
                    .to_owned()
            }
            Error::Form(_) => "Go back, and fill it in again.".to_owned(),
            Error::UsedLink => {
                "A link is good once, and for five minutes. `waxwing console link` prints another.".to_owned()
            }
            Error::Busy => "Close some, or wait a little.".to_owned(),
            Error::Node(failure) => failure
                .hint
                .clone()
                .unwrap_or_else(|| "Go back; if it happens again, tell the operator of this node.".to_owned()),
            Error::Page(_) | Error::Answer => "Tell the operator of this node.".to_owned(),
        }
    }
}

/// A text of ours, taken apart at the marks around what is to be typed.
fn pieces(text: &str) -> Vec<(String, bool)> {
    text.split('`').enumerate().map(|(place, piece)| (words::line(piece), place % 2 == 1)).collect()
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if let Error::LoggedOut { page } = &self {
            let to = page.as_deref().map(|page| format!("?to={}", encoded(page))).unwrap_or_default();
            // Without a page to go on with it was a program that asked, and wants to be told.
            if page.is_some() {
                return Redirect::to(&format!("/login{to}")).into_response();
            }
        }
        let page = page::ErrorPage {
            chrome: Chrome::nobody("That did not work"),
            text: self.to_string(),
            next: pieces(&self.next()),
        };
        let status = self.status();
        match page::html(&page) {
            Ok(html) => (status, html).into_response(),
            Err(_) => (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], self.to_string())
                .into_response(),
        }
    }
}
