//! A stranger's message in the quickstart: held with headers and text, accepted, and only then fetched.

use std::time::Duration;

use bytes::Bytes;
use cli::client::{Incoming, Outgoing};
use message::{Disposition, Draft, DraftContent, DraftPart, Extent, HeaderBuilder, Message, Selection};
use protocol::{Choice, CookieAnswer, Decide, HeldEntry, SubmissionOptions};
use serde_json::json;

use crate::quickstart::{Failure, User, read_back, settled};
use crate::show::Printer;

/// Octets of what the stranger has attached: many times what is fetched before Bob has decided.
const FILM_OCTETS: usize = 3_000_000;

/// Walter writes to Bob for the first time; whether everything went as it must.
pub(crate) async fn tell(
    walter: &mut User,
    bob: &mut User,
    printers: [&Printer; 2],
) -> Result<bool, Failure> {
    let [of_walter, of_bob] = printers;
    let letter = letter(&walter.address.to_string(), &bob.address.to_string())?;
    let to = [bob.address.clone()];
    of_walter.line(
        "submits",
        &format!("{} octets to {}, who does not know him", letter.manifest().message_octets(), to[0]),
        json!({ "octets": letter.manifest().message_octets(), "recipients": [to[0].to_string()] }),
    );
    let outgoing = Outgoing::from_message(&letter, Vec::new());
    let identity =
        walter.session.submit(&outgoing, &to, SubmissionOptions::default(), &|_| {}).await?.identity;
    let held = loop {
        let found: Option<HeldEntry> =
            bob.session.held(None, 10).await?.into_iter().find(|entry| entry.identity == identity);
        if let Some(found) = found {
            break found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let mut incoming = Incoming::into_memory(identity, 64 * 1024);
    bob.session.fetch(identity, Selection::Text, &mut incoming).await?;
    let text_is_here = incoming.finish()?.bodies.len() == 1;
    of_bob.line(
        "held",
        &format!(
            "{} from a stranger ({}): headers and text are here, {} of {} octets were not fetched",
            identity.short(),
            held.reason,
            held.octets_missing,
            held.octets
        ),
        json!({ "identity": identity.to_string(), "reason": held.reason, "octets": held.octets,
                "saved": held.octets_missing }),
    );
    let choice = Choice::Accept { trust: false };
    let decide = Decide { identity, recipient: bob.address.clone(), choice };
    let asked = matches!(bob.session.decide(decide).await?, CookieAnswer::Want(_));
    of_bob.line(
        "accepts",
        &format!("{}: the rest is asked for", identity.short()),
        json!({ "identity": identity.to_string(), "asked": asked }),
    );
    let settled = settled(walter, identity, &to).await?;
    let same = read_back(bob, identity).await?;
    of_bob.line(
        "reads",
        &format!("{}: {}", identity.short(), if same { "all of it is here" } else { "NOT all of it" }),
        json!({ "identity": identity.to_string(), "same": same, "fetched": held.octets_missing }),
    );
    let saved = held.octets_missing == FILM_OCTETS as u64;
    Ok(text_is_here && saved && asked && settled == [Disposition::Accepted] && same)
}

fn letter(from: &str, to: &str) -> Result<Message, Failure> {
    let mut header = HeaderBuilder::new();
    for (name, value) in [("From", from), ("To", to), ("Subject", "A film of the waxwings")] {
        header.push(name, value)?;
    }
    // What it shows does not matter here.
    let film: Bytes =
        (0..FILM_OCTETS as u32).map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let bodies = vec![Bytes::from_static(b"You do not know me yet. May I show you my film?\r\n"), film];
    let leaf = |media_type: &str, body: &Bytes| DraftPart {
        media_type: media_type.to_owned(),
        parameters: String::new(),
        fields: Vec::new(),
        content: DraftContent::Body(Extent::of(body)),
    };
    let root = DraftPart {
        media_type: "multipart/mixed".to_owned(),
        parameters: String::new(),
        fields: Vec::new(),
        content: DraftContent::Parts(vec![leaf("text/plain", &bodies[0]), leaf("video/example", &bodies[1])]),
    };
    Ok(Message::assemble(&Draft { header: header.finish()?, root }, bodies)?)
}
