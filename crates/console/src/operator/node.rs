//! The node itself: what it serves, whose mail it keeps, what it needs.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Html;
use control::Request;
use serde::Deserialize;

use crate::app::{Operating, Shared};
use crate::error::Error;
use crate::limits::PAGE_ENTRIES;
use crate::page::{self, Chrome};
use crate::words::{self, Moment};

#[derive(Template)]
#[template(path = "domains.html")]
struct DomainsPage {
    chrome: Chrome,
    domains: Vec<Domain>,
    host: String,
    pin: String,
    records: Vec<String>,
}

struct Domain {
    name: String,
    kind: &'static str,
    words: &'static str,
    selector: String,
    public_key: String,
    records: Vec<String>,
}

#[derive(Template)]
#[template(path = "accounts.html")]
struct AccountsPage {
    chrome: Chrome,
    accounts: Vec<Account>,
    paged: bool,
    next: Option<String>,
}

struct Account {
    name: String,
    addresses: Vec<String>,
    password: bool,
    disabled: bool,
    /// Name, first digits of the key, since when.
    devices: Vec<(String, String, Moment)>,
}

#[derive(Template)]
#[template(path = "alerts.html")]
struct AlertsPage {
    chrome: Chrome,
    alerts: Vec<Alert>,
}

struct Alert {
    kind: &'static str,
    word: &'static str,
    text: String,
    hint: String,
    lane: Option<String>,
    domains: bool,
}

/// The domains and their keys.
pub(crate) async fn domains(
    State(app): State<Shared>,
    Operating(session): Operating,
) -> Result<Html<String>, Error> {
    let control::Response::Domains { domains, host, pin, records } = app.ask(Request::Domains).await? else {
        return Err(Error::Answer);
    };
    let shown = |records: &[String]| records.iter().map(|record| words::line(record)).collect::<Vec<_>>();
    let domain = |domain: &control::DomainView| {
        let (kind, words) = match domain.published {
            Some(true) => ("good", "its key is in the DNS"),
            Some(false) => ("bad", "its key is NOT in the DNS"),
            None => ("watch", "the DNS does not answer"),
        };
        Domain {
            name: words::line(&domain.name),
            kind,
            words,
            selector: words::line(&domain.selector),
            public_key: words::line(&domain.public_key),
            records: shown(&domain.records),
        }
    };
    let (domains, records) = (domains.iter().map(domain).collect(), shown(&records));
    let (host, pin) = (words::line(&host), words::line(&pin));
    page::html(&DomainsPage {
        chrome: Chrome::new("Domains", "domains", &session),
        domains,
        host,
        pin,
        records,
    })
}

#[derive(Deserialize)]
pub(crate) struct After {
    after: Option<String>,
}

/// The accounts.
pub(crate) async fn accounts(
    State(app): State<Shared>,
    Operating(session): Operating,
    Query(After { after }): Query<After>,
) -> Result<Html<String>, Error> {
    let paged = after.is_some();
    let request = Request::Accounts { after, limit: PAGE_ENTRIES };
    let control::Response::Accounts { accounts } = app.ask(request).await? else { return Err(Error::Answer) };
    let full = accounts.len() >= PAGE_ENTRIES as usize;
    let next = accounts.last().map(|account| words::encoded(&account.name)).filter(|_| full);
    let device = |device: &control::DeviceView| {
        let since = Moment::new(device.enrolled_at_ms, app.now_ms());
        (words::line(&device.name), words::short(&device.public_key), since)
    };
    let account = |account: &control::AccountView| Account {
        name: words::line(&account.name),
        addresses: account.addresses.iter().map(|address| words::line(address)).collect(),
        password: account.password,
        disabled: account.disabled,
        devices: account.devices.iter().map(device).collect(),
    };
    let accounts = accounts.iter().map(account).collect();
    page::html(&AccountsPage { chrome: Chrome::new("Accounts", "accounts", &session), accounts, paged, next })
}

/// What needs somebody to act.
pub(crate) async fn alerts(
    State(app): State<Shared>,
    Operating(session): Operating,
) -> Result<Html<String>, Error> {
    let control::Response::Alerts { alerts } = app.ask(Request::Alerts).await? else {
        return Err(Error::Answer);
    };
    let alert = |alert: &control::AlertView| Alert {
        kind: if alert.urgent { "bad" } else { "watch" },
        word: if alert.urgent { "now" } else { "soon" },
        text: words::line(&alert.text),
        hint: words::line(&alert.hint),
        lane: alert.lane.as_deref().map(words::encoded),
        domains: alert.kind == "key",
    };
    let alerts = alerts.iter().map(alert).collect();
    page::html(&AlertsPage { chrome: Chrome::new("Alerts", "alerts", &session), alerts })
}
