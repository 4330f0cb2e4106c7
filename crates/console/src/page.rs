//! What every page has around its own: the title, who is logged in, where one can go.

use askama::Template;
use axum::response::Html;

use crate::error::Error;
use crate::session::Session;

/// The frame of a page.
pub(crate) struct Chrome {
    pub(crate) title: String,
    /// The place in the navigation, which is also the topic of the news that concern the page.
    pub(crate) place: &'static str,
    session: Option<Session>,
}

impl Chrome {
    /// For somebody who is logged in.
    pub(crate) fn new(title: impl Into<String>, place: &'static str, session: &Session) -> Chrome {
        Chrome { title: title.into(), place, session: Some(session.clone()) }
    }

    /// For nobody in particular.
    pub(crate) fn nobody(title: impl Into<String>) -> Chrome {
        Chrome { title: title.into(), place: "", session: None }
    }

    /// The links that this session has: path, words, place.
    pub(crate) fn user_links(&self) -> &'static [(&'static str, &'static str, &'static str)] {
        match &self.session {
            Some(session) if session.account.is_some() => &USER,
            _ => &[],
        }
    }

    pub(crate) fn operator_links(&self) -> &'static [(&'static str, &'static str, &'static str)] {
        match &self.session {
            Some(session) if session.operator => &OPERATOR,
            _ => &[],
        }
    }

    pub(crate) fn logged_in(&self) -> bool {
        self.session.is_some()
    }

    pub(crate) fn who(&self) -> &str {
        self.session.as_ref().map_or("", |session| session.account.as_deref().unwrap_or("operator"))
    }

    pub(crate) fn csrf(&self) -> &str {
        self.session.as_ref().map_or("", |session| &session.csrf)
    }
}

const USER: [(&str, &str, &str); 5] = [
    ("/held", "Held", "held"),
    ("/mail", "Mail", "mail"),
    ("/sent", "Sent", "sent"),
    ("/correspondents", "People", "correspondents"),
    ("/forwarding", "Forwarding", "forwarding"),
];

const OPERATOR: [(&str, &str, &str); 9] = [
    ("/queue", "Queue", "queue"),
    ("/alerts", "Alerts", "alerts"),
    ("/flow", "Flow", "flow"),
    ("/trace", "Trace", "trace"),
    ("/peers", "Peers", "peers"),
    ("/policy", "Policy", "policy"),
    ("/domains", "Domains", "domains"),
    ("/accounts", "Accounts", "accounts"),
    ("/aliases", "Aliases", "aliases"),
];

/// A page as an answer.
pub(crate) fn html(page: &impl Template) -> Result<Html<String>, Error> {
    Ok(Html(page.render()?))
}

/// What did not work, and what to do next.
#[derive(Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage {
    pub(crate) chrome: Chrome,
    pub(crate) text: String,
    /// Pieces of it, and which of them are to be typed.
    pub(crate) next: Vec<(String, bool)>,
}
