//! `send`.

use std::io::{IsTerminal, Read, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use message::address::Address;
use message::{Disposition, Identity};
use protocol::SubmissionOptions;
use serde::Serialize;

use super::view::{RecipientObject, is_bad, recipient_line};
use super::{End, open_session, status};
use crate::client::{Composition, Outgoing, addresses_in};
use crate::limits::{PROGRESS_OCTETS_MIN, RELEASE_SECONDS_MAX, TEXT_OCTETS_MAX};
use crate::output::{FAINT, Output, duration, paint};
use crate::profile::{self, Profile};
use crate::{Error, Global, SendArgs, clock};

#[derive(Serialize)]
struct Sent {
    id: String,
    release_at_ms: Option<u64>,
    recipients: Vec<RecipientObject>,
}

pub(super) async fn send(global: &Global, arguments: &SendArgs, output: &mut Output) -> Result<End, Error> {
    // Whatever is wrong with the message is told before the node is troubled.
    let release_after_seconds = delay_seconds(arguments)?;
    let folder = profile::folder(global)?;
    let profile = Profile::load(&folder)?;
    let (mut message, recipients) = prepare(arguments, &profile)?;
    if !arguments.no_seal
        && let Some(key) = profile::signing_key(&folder)?
    {
        let random = clock::random_token()?;
        message = message.authored(&profile.address, &key, clock::now_ms(), random)?;
    }
    let options = SubmissionOptions { release_after_seconds, ..SubmissionOptions::default() };
    let (_, mut session) = open_session(global).await?;
    let bar = progress_bar(message.body_octets(), output);
    let progress = |octets| bar.set_position(octets);
    let submitted = session.submit(&message, &recipients, options, &progress).await;
    bar.finish_and_clear();
    let submitted = submitted?;
    // Where nobody is to get it, nothing waits.
    let open = submitted.outcomes.iter().any(|(_, disposition)| !disposition.is_final());
    let release_at_ms = (open && options.release_after_seconds > 0)
        .then(|| clock::now_ms().saturating_add(options.release_after_seconds.saturating_mul(1000)));
    print(submitted.identity, release_at_ms, &submitted.outcomes, output)?;
    let waiting =
        submitted.outcomes.iter().any(|(_, disposition)| !disposition.is_final() && !is_bad(disposition));
    let end = if arguments.wait && waiting {
        status::wait(&mut session, submitted.identity, output).await?
    } else if submitted.outcomes.iter().any(|(_, disposition)| is_bad(disposition)) {
        End::Bad
    } else {
        End::Good
    };
    session.close().await;
    Ok(end)
}

fn print(
    identity: Identity,
    release_at_ms: Option<u64>,
    outcomes: &[(Address, Disposition)],
    output: &mut Output,
) -> Result<(), Error> {
    if output.is_json() {
        let recipients =
            outcomes.iter().map(|(address, found)| RecipientObject::new(address, found)).collect();
        return output.object(&Sent { id: identity.to_string(), release_at_ms, recipients });
    }
    for (address, disposition) in outcomes {
        output.line(&recipient_line(address, disposition))?;
    }
    if let Some(at_ms) = release_at_ms {
        let left = duration(at_ms.saturating_sub(clock::now_ms()));
        output.line(&format!(
            "It goes out in {left}; until then `waxwing give-up {}` stops it.",
            identity.short()
        ))?;
    }
    let open = outcomes.iter().any(|(_, disposition)| !disposition.is_final());
    let words = if open { "Ask later" } else { "All about it" };
    output.line(&paint(FAINT, &format!("{words}: waxwing status {}", identity.short())))
}

/// The message, and for whom it is.
fn prepare(arguments: &SendArgs, profile: &Profile) -> Result<(Outgoing, Vec<Address>), Error> {
    let mut recipients = Vec::new();
    for address in &arguments.to {
        if !recipients.contains(address) {
            recipients.push(address.clone());
        }
    }
    let Some(path) = &arguments.compose.file else {
        let text = match &arguments.compose.text {
            Some(text) => text.clone(),
            None => text_from_input()?,
        };
        let composition = Composition {
            from: arguments.from.clone().unwrap_or_else(|| profile.address.clone()),
            to: recipients.clone(),
            subject: arguments.compose.subject.clone(),
            text,
            attachments: arguments.compose.attach.clone(),
        };
        return Ok((composition.compose()?, recipients));
    };
    let (message, _) = Outgoing::open(path)?;
    if recipients.is_empty() {
        recipients = recipients_of(&message)?;
    }
    // Whoever gets a blind copy is named in the offer alone. keeps: CLI-9
    Ok((message.without_field("Bcc")?, recipients))
}

/// The recipients that the header names.
fn recipients_of(message: &Outgoing) -> Result<Vec<Address>, Error> {
    let (mut recipients, mut others) = (Vec::new(), 0);
    let named = |name: &str| ["To", "Cc", "Bcc"].iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
    for field in message.headers().message().fields().filter(|field| named(field.name)) {
        let (found, passed_over) = addresses_in(&field.value());
        others += passed_over;
        for address in found {
            if !recipients.contains(&address) {
                recipients.push(address);
            }
        }
    }
    let hint = Some("name the recipients with --to".to_owned());
    if others > 0 {
        let text = format!("{others} recipients in the header are no addresses");
        return Err(Error::Usage { text, hint });
    }
    if recipients.is_empty() {
        return Err(Error::Usage { text: "the header names no recipient".to_owned(), hint });
    }
    Ok(recipients)
}

fn text_from_input() -> Result<String, Error> {
    let input = std::io::stdin();
    if input.is_terminal() {
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "Type your text; end with Ctrl-D on a line of its own.");
    }
    let mut octets = Vec::new();
    input.lock().take(TEXT_OCTETS_MAX + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > TEXT_OCTETS_MAX {
        let hint = Some("write it into a file and send that with --attach".to_owned());
        return Err(Error::Usage { text: "the text is too long".to_owned(), hint });
    }
    String::from_utf8(octets).map_err(|_| Error::Usage {
        text: "the text is not UTF-8".to_owned(),
        hint: Some("send octets that are no text with --attach".to_owned()),
    })
}

/// For how long the node is to keep it. A node would keep it for less than is asked here without a word.
fn delay_seconds(arguments: &SendArgs) -> Result<u64, Error> {
    let seconds = match arguments.at {
        Some(at) => {
            let delay_ms = at.0.checked_sub(clock::now_ms());
            delay_ms.map(|ms| ms.div_ceil(1000)).ok_or_else(|| Error::usage("that time has passed"))?
        }
        None => arguments.delay_seconds.or(arguments.undo).unwrap_or(0),
    };
    if seconds <= RELEASE_SECONDS_MAX {
        return Ok(seconds);
    }
    let days = RELEASE_SECONDS_MAX / (24 * 3600);
    Err(Error::Usage {
        text: format!(
            "a node keeps a message back for {days} days ({RELEASE_SECONDS_MAX} seconds) at the most"
        ),
        hint: Some("nothing was sent; say an earlier time".to_owned()),
    })
}

fn progress_bar(octets: u64, output: &Output) -> ProgressBar {
    if octets < PROGRESS_OCTETS_MIN || !output.shows_progress() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(octets), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
