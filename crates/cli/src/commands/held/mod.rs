//! `held`: mail that waits until its recipient has decided, for the recipient.

pub(super) mod print;

use control::{HeldDetailView, HeldPartView, HeldPlace, HeldState, HeldView, SealView};
use message::address::Address;
use message::{Code, Identity, Role, Selection};
use protocol::{Choice, CookieAnswer, Decide, HeldEntry};
use translate::file_name;

use super::view::walk;
use super::{End, open_session};
use crate::client::{Fetched, Incoming, Session};
use crate::limits::{IDENTITY_DIGITS_MIN, SHOWN_OCTETS_MAX};
use crate::output::Output;
use crate::{Error, Global, HeldCommand, HeldName};

/// Entries asked for at a time.
const PAGE: u64 = protocol::limits::LIST_MAX as u64;

pub(super) async fn held(global: &Global, command: &HeldCommand, output: &mut Output) -> Result<End, Error> {
    let (_, mut session) = open_session(global).await?;
    let end = perform(&mut session, command, output).await;
    session.close().await;
    end
}

async fn perform(session: &mut Session, command: &HeldCommand, output: &mut Output) -> Result<End, Error> {
    match command {
        HeldCommand::List(_) => list(session, output).await,
        HeldCommand::Show(name) => show(session, name, output).await,
        HeldCommand::Accept { name, trust } => {
            decide(session, name, Choice::Accept { trust: *trust }, output).await
        }
        HeldCommand::Refuse { name, code } => {
            let code = code.as_deref().map(refusal_code).transpose()?;
            decide(session, name, Choice::Refuse { code }, output).await
        }
        HeldCommand::Block(name) => decide(session, name, Choice::Block, output).await,
    }
}

async fn list(session: &mut Session, output: &mut Output) -> Result<End, Error> {
    let entries = all(session).await?;
    for entry in &entries {
        let view = view(entry);
        if output.is_json() {
            output.object(&view)?;
        } else {
            print::held_lines(&view).iter().try_for_each(|line| output.line(line))?;
        }
    }
    if entries.is_empty() && !output.is_json() {
        output.line("Nothing is held.")?;
    }
    Ok(End::Good)
}

async fn show(session: &mut Session, name: &HeldName, output: &mut Output) -> Result<End, Error> {
    let entry = find(session, name).await?;
    let detail = detail(session, &entry).await?;
    if output.is_json() {
        output.object(&detail)?;
    } else {
        print::detail_lines(&detail).iter().try_for_each(|line| output.line(line))?;
    }
    Ok(End::Good)
}

async fn decide(
    session: &mut Session,
    name: &HeldName,
    choice: Choice,
    output: &mut Output,
) -> Result<End, Error> {
    let entry = find(session, name).await?;
    let beside = print::author_line(choice == Choice::Accept { trust: true }, choice == Choice::Block);
    let decide = Decide { identity: entry.identity, recipient: entry.recipient.clone(), choice };
    let (disposition, octets_missing) = match session.decide(decide).await? {
        CookieAnswer::Final(disposition) => (disposition.word(), 0),
        CookieAnswer::Want(_) | CookieAnswer::Pending { .. } => ("pending", entry.octets_missing),
        CookieAnswer::Unknown => return Err(Error::Answer("it does not know what was decided".to_owned())),
    };
    if output.is_json() {
        let disposition = disposition.to_owned();
        output.object(&control::Response::HeldDecided { disposition, octets_missing })?;
    } else {
        output.line(&print::decided_line(disposition, octets_missing))?;
        beside.iter().try_for_each(|line| output.line(line))?;
    }
    Ok(End::Good)
}

/// Everything that is held, page by page.
async fn all(session: &mut Session) -> Result<Vec<HeldEntry>, Error> {
    let mut all: Vec<HeldEntry> = Vec::new();
    loop {
        let after = all.last().map(|entry| entry.place);
        let page = session.held(after, PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        if page.iter().any(|entry| Some(entry.place) <= after) {
            return Err(Error::Answer("its entries are not in their order".to_owned()));
        }
        all.extend(page);
    }
}

/// The one entry that is meant.
async fn find(session: &mut Session, name: &HeldName) -> Result<HeldEntry, Error> {
    let digits = name.identity.to_ascii_lowercase();
    if digits.len() < IDENTITY_DIGITS_MIN || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        let text = format!("`{}`: give {IDENTITY_DIGITS_MIN} or more of the first digits", name.identity);
        return Err(Error::usage(text));
    }
    let is_meant = |entry: &HeldEntry| {
        entry.identity.to_string().starts_with(&digits)
            && name.to.as_ref().is_none_or(|to: &Address| *to == entry.recipient)
    };
    let mut found: Vec<HeldEntry> = all(session).await?.into_iter().filter(is_meant).collect();
    // The same message from several senders is one to its recipient.
    found.dedup_by(|one, other| one.identity == other.identity && one.recipient == other.recipient);
    match (found.pop(), found.len()) {
        (Some(entry), 0) => Ok(entry),
        (None, _) => Err(Error::usage(format!("nothing is held that begins with {digits}"))),
        (Some(_), _) => Err(Error::usage(format!("{digits} is ambiguous: give more digits, or --to"))),
    }
}

/// What is here of a held message. Every octet of it was checked against the identity as it came.
async fn detail(session: &mut Session, entry: &HeldEntry) -> Result<HeldDetailView, Error> {
    let fetched = match fetch(session, entry.identity, Selection::Text).await {
        Ok(fetched) => fetched,
        // The text was not fetched: too long, or the policy wanted the headers alone.
        Err(_) => fetch(session, entry.identity, Selection::Headers).await?,
    };
    let headers = fetched.headers.as_ref();
    let mut parts = Vec::new();
    if let Some(manifest) = &fetched.manifest {
        walk(manifest.root(), 0, &mut 0, &mut |number, level, part| {
            let body = part.leaf().is_none() || part.octets == 0 || fetched.bodies.contains_key(&number);
            parts.push(HeldPartView {
                number,
                level,
                media_type: Some(part.media_type.clone()),
                name: headers.and_then(|headers| headers.parts().get(number)).and_then(file_name),
                octets: part.octets,
                here: body || entry.octets_missing == 0,
            });
        });
    }
    let fields = headers.into_iter().flat_map(|headers| headers.message().fields());
    let sealed = entry.seals.iter().any(|seal| seal.verified);
    let seals = if sealed { "a seal holds for the manifest" } else { "no seal was found to hold" };
    Ok(HeldDetailView {
        held: view(entry),
        checked: format!(
            "a part of the message; what is here, by this program against the manifest; by your node: {seals}"
        ),
        sealed,
        headers: fields.map(|field| (field.name.to_owned(), field.value().trim().to_owned())).collect(),
        text: fetched.bodies.values().next().map(|text| String::from_utf8_lossy(text).into_owned()),
        text_is_cut: false,
        parts,
    })
}

async fn fetch(session: &mut Session, identity: Identity, selection: Selection) -> Result<Fetched, Error> {
    let mut incoming = Incoming::into_memory(identity, SHOWN_OCTETS_MAX);
    session.fetch(identity, selection, &mut incoming).await?;
    incoming.finish().map_err(|error| Error::Answer(error.to_string()))
}

fn view(entry: &HeldEntry) -> HeldView {
    HeldView {
        place: HeldPlace {
            envelope: entry.place.0,
            recipient: u32::try_from(entry.place.1).unwrap_or(u32::MAX),
        },
        identity: entry.identity.to_string(),
        recipient: entry.recipient.to_string(),
        account: None,
        origin: entry.origin.clone(),
        from: entry.from.clone(),
        subject: entry.subject.clone(),
        date: entry.date.clone(),
        reason: entry.reason.clone(),
        seals: entry
            .seals
            .iter()
            .map(|seal| SealView {
                issuer: seal.issuer.clone(),
                role: seal.role.clone(),
                verified: seal.verified,
                author_key: (seal.role == Role::Author.word())
                    .then(|| entry.author_key.map(|found| found.word().to_owned()))
                    .flatten(),
                said: (seal.role == Role::Author.word())
                    .then(|| entry.author_key.map(|found| found.sentence(&seal.issuer)))
                    .flatten(),
                ..SealView::default()
            })
            .collect(),
        author: None,
        octets_here: entry.octets.saturating_sub(entry.octets_missing),
        octets: entry.octets,
        octets_missing: entry.octets_missing,
        since_ms: entry.since_ms,
        until_ms: entry.until_ms,
        state: if entry.accepted { HeldState::Fetching } else { HeldState::Undecided },
    }
}

fn refusal_code(text: &str) -> Result<Code, Error> {
    let code = Code::parse(text).ok().filter(|code| code.class == 5);
    code.ok_or_else(|| Error::usage(format!("`{text}` is no status code of class 5, such as 5.7.1")))
}
