//! The pages of a user: who one is, what is held, what came, what was sent.

mod correspondents;
mod forwarding;
mod held;
mod mail;
pub(crate) mod sent;

use askama::Template;
use axum::extract::{FromRequestParts, Path, Query, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use control::{AuthorView, EarlierLetters, FailureKind, Password, SealView};
use serde::Deserialize;

use crate::app::{Shared, Somebody, first_page};
use crate::error::Error;
use crate::guard::{self, Posted, Sent};
use crate::page::{self, Chrome};
use crate::words;

pub(crate) use correspondents::{list as correspondents, put as correspondent_put};
pub(crate) use forwarding::{decide as forwarding_decide, kind as forwarding_kind, list as forwarding};
pub(crate) use held::{decide as held_decide, list as held_list, show as held_show};
pub(crate) use mail::{
    html as mail_html, list as mail_list, part as mail_part, report as mail_report, seen as mail_seen,
    show as mail_show,
};
pub(crate) use sent::{list as sent_list, show as sent_show};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    chrome: Chrome,
    wrong: Option<String>,
    account: String,
    to: String,
}

#[derive(Template)]
#[template(path = "enter.html")]
struct EnterPage {
    chrome: Chrome,
}

/// Where to go on after logging in.
#[derive(Deserialize)]
pub(crate) struct To {
    to: Option<String>,
}

/// `/`.
pub(crate) async fn home(Somebody(session): Somebody) -> Redirect {
    first_page(&session)
}

/// The form to log in with; whoever is logged in goes on.
pub(crate) async fn login_page(
    State(app): State<Shared>,
    Query(To { to }): Query<To>,
    request: Request,
) -> Result<Response, Error> {
    let (mut parts, _) = request.into_parts();
    if let Ok(Somebody(session)) = Somebody::from_request_parts(&mut parts, &app).await {
        return Ok(first_page(&session).into_response());
    }
    let page = LoginPage {
        chrome: Chrome::nobody("Log in"),
        wrong: None,
        account: String::new(),
        to: to.unwrap_or_default(),
    };
    Ok(page::html(&page)?.into_response())
}

/// Somebody shows a password.
pub(crate) async fn login(State(app): State<Shared>, request: Request) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let (network, headers) = (guard::network(&app, &parts), parts.headers.clone());
    let Sent(fields) =
        <Sent as axum::extract::FromRequest<Shared>>::from_request(Request::from_parts(parts, body), &app)
            .await?;
    let (account, to) = (fields.one("account")?.trim(), fields.find("to").unwrap_or_default());
    let password = Password::new(fields.one("password")?);
    let asked = control::Request::Login { account: account.to_owned(), password, network };
    match app.ask(asked).await {
        Ok(control::Response::LoggedIn { account, standing, .. }) => {
            let operator = app.settings.operators.contains(&account);
            let name = app.sessions.open(Some(account), standing, operator, app.outside.as_ref());
            let to = if guard::is_our_page(to) { to } else { "/" };
            Ok(with_cookie(&app, &headers, Some(&name), Redirect::to(to)))
        }
        Ok(_) => Err(Error::Answer),
        Err(Error::Node(failure)) => {
            let text = match failure.kind {
                FailureKind::Invalid => "Account and password do not match.".to_owned(),
                _ => format!("Nobody can be let in now: {}.", words::line(&failure.text)),
            };
            let page = LoginPage {
                chrome: Chrome::nobody("Log in"),
                wrong: Some(text),
                account: account.to_owned(),
                to: to.to_owned(),
            };
            Ok((axum::http::StatusCode::FORBIDDEN, page::html(&page)?).into_response())
        }
        Err(error) => Err(error),
    }
}

/// Ends the session.
pub(crate) async fn logout(
    State(app): State<Shared>,
    headers: HeaderMap,
    Posted(..): Posted,
) -> Result<Response, Error> {
    if let Some(name) = guard::cookie(&headers, &app.cookie_name()) {
        app.sessions.close(name);
    }
    Ok(with_cookie(&app, &headers, None, Redirect::to("/login")))
}

/// What an operator's link leads to. It is used by the button only: mail programs and browsers look at links beforehand.
pub(crate) async fn enter_page(Path(_token): Path<String>) -> Result<Html<String>, Error> {
    page::html(&EnterPage { chrome: Chrome::nobody("Enter") })
}

/// An operator enters by a link.
pub(crate) async fn enter(
    State(app): State<Shared>,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Result<Response, Error> {
    if !app.links.take(&token, app.now_ms()) {
        return Err(Error::UsedLink);
    }
    let name = app.sessions.open(None, None, true, app.outside.as_ref());
    Ok(with_cookie(&app, &headers, Some(&name), Redirect::to("/queue")))
}

fn with_cookie(app: &Shared, headers: &HeaderMap, value: Option<&str>, to: Redirect) -> Response {
    ([(header::SET_COOKIE, guard::set_cookie(app, headers, value))], to).into_response()
}

/// What is to be thought of the seals of a message: a word for its looks, a few words, and a sentence.
pub(crate) struct Sealed {
    pub(crate) kind: &'static str,
    pub(crate) brief: String,
    pub(crate) sentence: String,
}

/// Says who answers for a message, and what its reader has to do with its author.
pub(crate) fn sealed(seals: &[SealView], origin: &str, author: &str, known: Option<&AuthorView>) -> Sealed {
    let (mut said, mut kind) = (Vec::new(), "none");
    let mut brief = "no seal".to_owned();
    let (mut broken, mut warned) = (false, false);
    for SealView { issuer, role, verified, key_name, author_key, said: told, .. } in seals {
        let shown = words::line(issuer);
        // keeps: KEY-21
        if let (Some(found), Some(told)) = (author_key, told) {
            let told = words::line(told);
            match found.as_str() {
                "first" | "known" | "rotated" => {
                    said.insert(0, told);
                    (kind, brief) = ("person", format!("sealed by {shown} herself"));
                }
                "unchecked" => said.push(told),
                _ => {
                    warned = true;
                    said.insert(0, format!("WARNING: {told}"));
                }
            }
            continue;
        }
        if role == "author" && !verified {
            // It is not the author's, or came before keys of users were known.
            said.push(format!(
                "it also has a seal with a key of {shown}'s own, {}, which is not checked here",
                words::line(key_name)
            ));
            continue;
        }
        if !verified {
            broken = true;
            said.push(format!("the {} seal by {shown} is NOT good", words::line(role)));
            continue;
        }
        match role.as_str() {
            "author" if issuer.eq_ignore_ascii_case(author) => {
                said.insert(0, format!("sealed by {shown} in person"));
                (kind, brief) = ("person", format!("sealed by {shown}"));
            }
            "author" => said.push(format!("sealed by {shown}, who is not in From")),
            "submission" => {
                let own =
                    author.rsplit_once('@').is_some_and(|(_, domain)| domain.eq_ignore_ascii_case(issuer));
                said.push(format!(
                    "submitted by {shown}{}",
                    if own { "" } else { ", which is not the domain in From" }
                ));
                if kind == "none" && own {
                    (kind, brief) = ("domain", format!("by {shown}"));
                }
            }
            "forwarder" => said.push(format!("forwarded by {shown}")),
            "list" => said.push(format!("from the list {shown}")),
            "gateway" => said.push(format!("came from the old world by {shown}")),
            "vouch" => said.push(format!("{shown} vouches for it")),
            other => said.push(format!("{} seal by {shown}", words::line(other))),
        }
    }
    if broken {
        (kind, brief) = ("broken", "a seal is not good".to_owned());
    }
    // Where another seal of the same author holds, somebody has only added one.
    if warned && kind != "person" {
        (kind, brief) = ("broken", "the author's seal is not good".to_owned());
    }
    if said.is_empty() {
        let by = origin.strip_prefix("peer:").unwrap_or(origin);
        let own = by
            .strip_prefix("account:")
            .map(|account| format!("handed in by {} of this node", words::line(account)));
        said.push(own.unwrap_or_else(|| format!("nobody has sealed it; {} brought it", words::line(by))));
    }
    said.extend(known.and_then(acquaintance));
    let mut sentence = said.join("; ");
    if let Some(first) = sentence.get(..1).map(str::to_uppercase) {
        sentence.replace_range(..1, &first);
    }
    Sealed { kind, brief, sentence }
}

/// What the reader has to do with the author, in words; nothing where nobody looked.
fn acquaintance(author: &AuthorView) -> Option<String> {
    let since = || author.since_ms.map_or(String::new(), |at_ms| format!(" since {}", words::day(at_ms)));
    // What is said of a whole domain is said so.
    let whom = match author.regard_of.as_deref() {
        Some(who) if !who.contains('@') => format!("everybody at {}", words::line(who)),
        _ => "the author".to_owned(),
    };
    match author.regard.as_deref() {
        Some("trusted") => Some(format!("you have trusted {whom}{}", since())),
        Some("known") => Some(format!("you have known {whom}{}", since())),
        Some("blocked") => Some(format!("you have blocked {whom}{}", since())),
        _ => match author.earlier {
            EarlierLetters::None => Some("the first letter from this address".to_owned()),
            EarlierLetters::NoneAmong(count) => {
                Some(format!("no letter from this address is among your last {count}"))
            }
            EarlierLetters::Some => Some("not the first letter from this address".to_owned()),
            EarlierLetters::Unknown => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(issuer: &str, role: &str, verified: bool) -> SealView {
        let key_name = "s1".to_owned();
        SealView {
            issuer: issuer.to_owned(),
            role: role.to_owned(),
            verified,
            key_name,
            key: None,
            author_key: None,
            said: None,
        }
    }

    #[test]
    fn seals_are_said_in_words() {
        let check = |seals: &[SealView], kind: &str, sentence: &str| {
            let found = sealed(seals, "peer:north.test", "alice@north.test", None);
            assert_eq!((found.kind, found.sentence.as_str()), (kind, sentence));
        };
        let person = || seal("alice@north.test", "author", true);
        let domain = || seal("north.test", "submission", true);
        let both = "Sealed by alice@north.test in person; submitted by north.test";
        check(&[domain(), person()], "person", both);
        check(&[domain()], "domain", "Submitted by north.test");
        let own = |found: &str, told: &str| SealView {
            author_key: Some(found.to_owned()),
            said: Some(told.to_owned()),
            ..seal("alice@north.test", "author", false)
        };
        let known = "Sealed by alice@north.test herself; submitted by north.test";
        check(&[domain(), own("known", "sealed by alice@north.test herself")], "person", known);
        let broken = "WARNING: a new key; submitted by north.test";
        check(&[domain(), own("broken", "a new key")], "broken", broken);
        check(&[domain(), own("unchecked", "not checked")], "domain", "Submitted by north.test; not checked");
        // Anybody can add a seal: the one that holds counts, and the other is told.
        let added = "Sealed by alice@north.test herself; WARNING: it does not hold";
        let own_and_added =
            [own("wrong", "it does not hold"), own("known", "sealed by alice@north.test herself")];
        check(&own_and_added, "person", added);
        check(&[], "none", "Nobody has sealed it; north.test brought it");
        check(
            &[domain(), seal("north.test", "forwarder", false)],
            "broken",
            "Submitted by north.test; the forwarder seal by north.test is NOT good",
        );
        check(
            &[domain(), seal("alice@north.test", "author", false)],
            "domain",
            "Submitted by north.test; it also has a seal with a key of alice@north.test's own, s1, which is not checked here",
        );
        check(
            &[seal("eve.test", "submission", true)],
            "none",
            "Submitted by eve.test, which is not the domain in From",
        );
    }

    #[test]
    fn the_acquaintance_is_said_with_the_seals() {
        let check = |author: AuthorView, expected: &str| {
            let seals = [seal("north.test", "submission", true)];
            let found = sealed(&seals, "peer:north.test", "alice@north.test", Some(&author));
            assert_eq!(found.sentence, format!("Submitted by north.test{expected}"));
        };
        let stranger = |earlier| AuthorView { earlier, ..AuthorView::default() };
        check(stranger(EarlierLetters::Unknown), "");
        check(stranger(EarlierLetters::None), "; the first letter from this address");
        check(stranger(EarlierLetters::Some), "; not the first letter from this address");
        check(stranger(EarlierLetters::NoneAmong(9)), "; no letter from this address is among your last 9");
        let regard = |regard: &str, of: &str| AuthorView {
            regard: Some(regard.to_owned()),
            regard_of: Some(of.to_owned()),
            // 2026-01-01
            since_ms: Some(1_767_225_600_000),
            ..stranger(EarlierLetters::None)
        };
        check(regard("known", "alice@north.test"), "; you have known the author since 2026-01-01");
        check(regard("trusted", "north.test"), "; you have trusted everybody at north.test since 2026-01-01");
        check(regard("blocked", "alice@north.test"), "; you have blocked the author since 2026-01-01");
    }
}
