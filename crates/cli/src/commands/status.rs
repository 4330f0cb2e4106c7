//! `status` and `give-up`.

use std::time::Duration;

use message::{Disposition, Identity};
use protocol::{StatusQuery, StatusRecord};
use serde::Serialize;

use super::view::{StatusObject, is_bad, is_final, recipient_line, waits};
use super::{End, open_session};
use crate::client::Session;
use crate::limits::{IDENTITY_DIGITS_MIN, STATUS_SEARCH_MAX, WAIT_POLL_MS_FIRST, WAIT_POLL_MS_MAX};
use crate::output::{FAINT, GOOD, Output, STRONG, clean, duration, paint, time};
use crate::{Error, GiveUpArgs, Global, StatusArgs, clock};

/// Records asked for at a time.
const PAGE: u64 = protocol::limits::LIST_MAX as u64;

pub(super) async fn status(
    global: &Global,
    arguments: &StatusArgs,
    output: &mut Output,
) -> Result<End, Error> {
    let (_, mut session) = open_session(global).await?;
    let end = match &arguments.identity {
        None => list(&mut session, arguments.limit, output).await,
        Some(text) => {
            let records = find(&mut session, text).await?;
            match records.first() {
                Some(record) if arguments.wait => wait(&mut session, record.identity, output).await,
                _ => show(&records, output),
            }
        }
    };
    session.close().await;
    end
}

async fn list(session: &mut Session, limit: u64, output: &mut Output) -> Result<End, Error> {
    let mut before = 0;
    let mut left = limit;
    while left > 0 {
        let records = session.status(StatusQuery::Latest { before, limit: left.min(PAGE) }).await?;
        let Some(last) = records.last() else { break };
        // A node that does not go down in its numbers would be asked for ever.
        if before != 0 && last.number >= before {
            return Err(Error::Answer("its records are not in their order".to_owned()));
        }
        before = last.number;
        left = left.saturating_sub(records.len() as u64);
        for record in &records {
            if output.is_json() {
                output.object(&StatusObject::new(record))?;
            } else {
                print_short(record, output)?;
            }
        }
    }
    if before == 0 && !output.is_json() {
        output.line("Nothing was sent yet.")?;
    }
    Ok(End::Good)
}

fn print_short(record: &StatusRecord, output: &mut Output) -> Result<(), Error> {
    let line = format!("{}  {}", paint(STRONG, &record.identity.short()), paint(FAINT, &time(record.at_ms)));
    output.line(&line)?;
    for one in &record.recipients {
        output.line(&format!("  {}", recipient_line(&one.address, &one.disposition)))?;
    }
    waits(record).map_or(Ok(()), |waits| output.line(&format!("    {waits}")))
}

/// Shows records in full.
fn show(records: &[StatusRecord], output: &mut Output) -> Result<End, Error> {
    for record in records {
        if output.is_json() {
            output.object(&StatusObject::new(record))?;
            continue;
        }
        output.line(&format!("{} {}", paint(STRONG, "message"), record.identity))?;
        output.line(&format!("{} {}", paint(STRONG, "sent   "), time(record.at_ms)))?;
        let left_ms = record.release_at_ms.saturating_sub(clock::now_ms());
        if left_ms > 0 {
            output.line(&format!("{} goes out in {}", paint(STRONG, "waits  "), duration(left_ms)))?;
        }
        for one in &record.recipients {
            output.line(&format!("  {}", recipient_line(&one.address, &one.disposition)))?;
        }
        if let Some(waits) = waits(record) {
            output.line(&format!("    {waits}"))?;
        }
        for attempt in &record.attempts {
            let code = attempt.code.map(|code| format!(" ({code})")).unwrap_or_default();
            let text = clean(&attempt.text);
            let (host, step) = (clean(&attempt.host), clean(&attempt.step));
            output
                .line(&format!("  {}  {host}: {step}: {text}{code}", paint(FAINT, &time(attempt.at_ms))))?;
        }
    }
    Ok(end_of(records))
}

fn end_of(records: &[StatusRecord]) -> End {
    let bad = records.iter().flat_map(|record| &record.recipients).any(|one| is_bad(&one.disposition));
    if bad { End::Bad } else { End::Good }
}

/// Asks until every recipient has a final answer, and shows what is new each time.
pub(super) async fn wait(
    session: &mut Session,
    identity: Identity,
    output: &mut Output,
) -> Result<End, Error> {
    let mut known: Vec<(String, &'static str)> = Vec::new();
    let mut wait_ms = WAIT_POLL_MS_FIRST;
    loop {
        let records = session.status(StatusQuery::Of(identity)).await?;
        if records.is_empty() {
            return Err(Error::NotFound(format!("your node no longer knows {}", identity.short())));
        }
        if records.iter().all(is_final) {
            return show(&records, output);
        }
        for one in records.iter().flat_map(|record| &record.recipients) {
            let news = (one.address.to_string(), one.disposition.word());
            if !known.contains(&news) {
                if !output.is_json() {
                    output.line(&recipient_line(&one.address, &one.disposition))?;
                }
                known.push(news);
                wait_ms = WAIT_POLL_MS_FIRST;
            }
        }
        output.flush()?;
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        wait_ms = (wait_ms * 3 / 2).min(WAIT_POLL_MS_MAX);
    }
}

/// The records of the message whose identity begins with these digits.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Usage`] where the digits are not some, or begin several.
pub(super) async fn find(session: &mut Session, digits: &str) -> Result<Vec<StatusRecord>, Error> {
    let digits = digits.to_ascii_lowercase();
    if digits.len() < IDENTITY_DIGITS_MIN || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        let text = format!("an identity is given by {IDENTITY_DIGITS_MIN} or more of its hexadecimal digits");
        return Err(Error::Usage { text, hint: Some("`waxwing status` lists those you sent".to_owned()) });
    }
    let identity = match Identity::from_hex(&digits) {
        Ok(identity) => identity,
        Err(_) => search(session, &digits).await?,
    };
    let records = session.status(StatusQuery::Of(identity)).await?;
    if records.is_empty() { Err(not_found(&digits)) } else { Ok(records) }
}

async fn search(session: &mut Session, digits: &str) -> Result<Identity, Error> {
    let (mut before, mut searched) = (0, 0);
    let mut found = None;
    while searched < STATUS_SEARCH_MAX {
        let records = session.status(StatusQuery::Latest { before, limit: PAGE }).await?;
        let Some(last) = records.last() else { break };
        if before != 0 && last.number >= before {
            break;
        }
        before = last.number;
        searched += records.len();
        for record in records.iter().filter(|record| record.identity.to_string().starts_with(digits)) {
            match found {
                Some(other) if other != record.identity => {
                    let text = format!("{digits} is ambiguous: {other}, {}", record.identity);
                    return Err(Error::Usage { text, hint: Some("give more digits".to_owned()) });
                }
                _ => found = Some(record.identity),
            }
        }
    }
    found.ok_or_else(|| not_found(digits))
}

fn not_found(digits: &str) -> Error {
    Error::NotFound(format!("you sent no message that begins with {digits} and that your node still knows"))
}

#[derive(Serialize)]
struct GivenUp {
    id: String,
    recipients: usize,
}

pub(super) async fn give_up(
    global: &Global,
    arguments: &GiveUpArgs,
    output: &mut Output,
) -> Result<End, Error> {
    let (_, mut session) = open_session(global).await?;
    let records = find(&mut session, &arguments.identity).await?;
    let recipients = records.iter().flat_map(|record| &record.recipients);
    let cookies: Vec<_> = recipients
        .filter_map(|one| match one.disposition {
            Disposition::Pending { cookie, .. } => Some(cookie),
            _ => None,
        })
        .collect();
    let identity = records.first().map(|record| record.identity.to_string()).unwrap_or_default();
    if cookies.is_empty() {
        session.close().await;
        return Err(Error::NotFound(
            "every recipient has a final answer: there is nothing to give up".to_owned(),
        ));
    }
    let count = cookies.len();
    for some in cookies.chunks(protocol::limits::COOKIES_MAX) {
        session.give_up(some.to_vec()).await?;
    }
    session.close().await;
    if output.is_json() {
        output.object(&GivenUp { id: identity, recipients: count })?;
    } else {
        output.line(&format!("{} for {count} recipients", paint(GOOD, "given up")))?;
    }
    Ok(End::Good)
}
