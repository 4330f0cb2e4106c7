//! `mail`.

use std::io::{BufWriter, Write};

use bytes::Bytes;
use message::keys::AuthorKey;
use message::{Identity, Limits, Message, Role, Selection};
use protocol::MailboxEntry;
use serde::Serialize;

use super::files::{self, Draft};
use super::lookalike::{self, Correspondents};
use super::view::{SealObject, print_header, seal_words, tree, walk};
use super::{End, open_session_at};
use crate::client::{Fetched, Incoming, Session, WaxWriter};
use crate::limits::{CORRESPONDENTS_SEARCH_MAX, SHOWN_OCTETS_MAX};
use crate::output::{FAINT, GOOD, Output, STRONG, WAITING, clean, clean_lines, paint, time};
use crate::{Error, Global, MailCommand, MailExportArgs, MailListArgs, MailReadArgs, MailSelection};

pub(super) async fn mail(global: &Global, command: &MailCommand, output: &mut Output) -> Result<End, Error> {
    let (profile, mut session) = open_session_at(global, command.doorstep()).await?;
    let known = Correspondents::new(profile.address);
    let end = match command {
        MailCommand::List(arguments) => list(&mut session, known, arguments, output).await,
        MailCommand::Read(arguments) => read(&mut session, known, arguments, output).await,
        MailCommand::Export(arguments) => export(&mut session, arguments, output).await,
    };
    session.close().await;
    end
}

#[derive(Serialize)]
struct EntryObject {
    number: u64,
    id: String,
    recipient: String,
    at_ms: u64,
    origin: String,
    seen: bool,
    from: Option<String>,
    subject: Option<String>,
    /// What is to be said of the address in From, one sentence each.
    warnings: Vec<String>,
    seals: Vec<SealWordsObject>,
    /// What the node found of the author's own key: `first`, `known`, `rotated` where the author has sealed; else why it does
    /// not count, or absent where the author has not.
    author_key: Option<&'static str>,
}

#[derive(Serialize)]
struct SealWordsObject {
    issuer: String,
    role: String,
    verified: bool,
}

impl EntryObject {
    fn new(entry: &MailboxEntry, fetched: Option<&Fetched>, known: &Correspondents) -> EntryObject {
        let headers = fetched.and_then(|fetched| fetched.headers.as_ref());
        let field = |name| {
            headers
                .and_then(|headers| headers.message().first(name))
                .map(|field| field.value().trim().to_owned())
        };
        let seals = entry.seals.iter().map(|seal| SealWordsObject {
            issuer: seal.issuer.clone(),
            role: seal.role.clone(),
            verified: seal.verified,
        });
        let mut warnings = headers.map(|headers| known.warnings(headers.message())).unwrap_or_default();
        if let (true, Some(headers)) = (entry.origin.starts_with("smtp:"), headers) {
            let seals = fetched.map(|fetched| &fetched.seals[..]).unwrap_or_default();
            warnings.extend(lookalike::unproved(headers.message(), &entry.seals, seals));
        }
        warnings.extend(author_sentence(entry).filter(|(found, _)| found.is_warning()).map(|(_, said)| said));
        EntryObject {
            number: entry.number,
            id: entry.identity.to_string(),
            recipient: entry.recipient.to_string(),
            at_ms: entry.at_ms,
            origin: entry.origin.clone(),
            seen: entry.seen,
            from: field("From"),
            subject: field("Subject"),
            warnings,
            seals: seals.collect(),
            author_key: entry.author_key.map(AuthorKey::word),
        }
    }
}

/// What is said of the seal of the author, where there is one. keeps: KEY-21
fn author_sentence(entry: &MailboxEntry) -> Option<(AuthorKey, String)> {
    let found = entry.author_key?;
    let author = entry.seals.iter().find(|seal| seal.role == Role::Author.word())?;
    Some((found, found.sentence(&author.issuer)))
}

async fn list(
    session: &mut Session,
    mut known: Correspondents,
    arguments: &MailListArgs,
    output: &mut Output,
) -> Result<End, Error> {
    // Programs go on from the number that they have seen last, from the beginning; people look for what is new.
    let (start, older) = match arguments.after {
        Some(after) => (after, false),
        None if output.is_json() => (0, false),
        None => before_newest(session, arguments.limit).await?,
    };
    learn_before(session, start.saturating_add(1), &mut known).await?;
    let entries = entries_after(session, start, arguments.limit).await?;
    for entry in &entries {
        // A message whose headers cannot be had is listed all the same.
        let fetched = fetch(session, entry.identity, Selection::Headers).await.ok();
        print_entry(entry, &EntryObject::new(entry, fetched.as_ref(), &known), output)?;
        if let Some(headers) = fetched.as_ref().and_then(|fetched| fetched.headers.as_ref()) {
            known.learn(headers.message());
        }
    }
    if output.is_json() {
        return Ok(End::Good);
    }
    let Some(last) = entries.last().map(|entry| entry.number) else {
        output.line(&if start > 0 { format!("No mail after {start}.") } else { "No mail.".to_owned() })?;
        if arguments.doorstep.is_none() && session.held(None, 1).await.is_ok_and(|held| !held.is_empty()) {
            output.line("Some waits until you have decided about it: `waxwing held list` shows it.")?;
        }
        return Ok(End::Good);
    };
    if older {
        output.line(&paint(
            FAINT,
            "There is older mail: `waxwing mail list --after 0` begins with the oldest.",
        ))?;
    } else if !session.mailbox(last, 1).await?.is_empty() {
        output.line(&paint(FAINT, &format!("There is more: `waxwing mail list --after {last}`.")))?;
    }
    Ok(End::Good)
}

/// So many entries after a number, unless there are fewer. A node gives as many at a time as fit.
async fn entries_after(session: &mut Session, after: u64, count: u64) -> Result<Vec<MailboxEntry>, Error> {
    let (mut all, count): (Vec<MailboxEntry>, _) = (Vec::new(), usize::try_from(count).unwrap_or(usize::MAX));
    loop {
        let last = all.last().map_or(after, |entry| entry.number);
        let left = count.saturating_sub(all.len());
        let mut page = if left > 0 { session.mailbox(last, left as u64).await? } else { Vec::new() };
        page.truncate(left);
        if page.is_empty() {
            return Ok(all);
        }
        for entry in page {
            if entry.number <= all.last().map_or(after, |before| before.number) {
                return Err(Error::Answer("its entries are not in their order".to_owned()));
            }
            all.push(entry);
        }
    }
}

/// After which number the newest so many entries are, and whether there are older ones. A node lists from a number on, and
/// from no other end: the place is found by halving, for where so many follow it is not further back.
async fn before_newest(session: &mut Session, count: u64) -> Result<(u64, bool), Error> {
    let whole =
        |page: &[MailboxEntry]| page.first().map(|first| first.number).filter(|_| page.len() as u64 >= count);
    let Some(oldest) = whole(&entries_after(session, 0, count).await?) else { return Ok((0, false)) };
    // So many follow `low`, and fewer follow `high`.
    let (mut low, mut high): (u64, Option<u64>) = (oldest - 1, None);
    loop {
        let middle = match high {
            None => low.saturating_mul(2).saturating_add(1),
            Some(high) if high.saturating_sub(low) <= 1 => return Ok((low, oldest <= low)),
            Some(high) => low + (high - low) / 2,
        };
        match whole(&entries_after(session, middle, count).await?) {
            Some(first) => low = first - 1,
            None => high = Some(middle),
        }
    }
}

/// Learns who has written the messages before this number, the latest of them.
async fn learn_before(session: &mut Session, number: u64, known: &mut Correspondents) -> Result<(), Error> {
    let after = number.saturating_sub(CORRESPONDENTS_SEARCH_MAX + 1);
    if number <= 1 {
        return Ok(());
    }
    let entries = session.mailbox(after, CORRESPONDENTS_SEARCH_MAX).await?;
    for entry in entries.iter().take_while(|entry| entry.number < number) {
        if let Ok(fetched) = fetch(session, entry.identity, Selection::Headers).await
            && let Some(headers) = fetched.headers
        {
            known.learn(headers.message());
        }
    }
    Ok(())
}

fn print_entry(entry: &MailboxEntry, object: &EntryObject, output: &mut Output) -> Result<(), Error> {
    if output.is_json() {
        return output.object(object);
    }
    let style = if entry.seen { FAINT } else { STRONG };
    let from = object.from.as_ref().unwrap_or(&object.origin);
    let subject = object.subject.as_deref().unwrap_or("(no subject)");
    let number = paint(style, &format!("{:>5}", entry.number));
    output.line(&format!("{number}  {}  {}", paint(FAINT, &time(entry.at_ms)), clean(from)))?;
    output.line(&format!("       {}  {}", paint(style, &clean(subject)), seal_words(&entry.seals)))?;
    lookalike::print(&object.warnings, "       ", output)
}

/// With a capital letter, as a sentence begins.
fn first_upper(said: &str) -> String {
    let mut letters = said.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// Fetches into memory.
async fn fetch(session: &mut Session, identity: Identity, selection: Selection) -> Result<Fetched, Error> {
    let mut incoming = Incoming::into_memory(identity, SHOWN_OCTETS_MAX);
    session.fetch(identity, selection, &mut incoming).await?;
    incoming.finish().map_err(|error| Error::Answer(error.to_string()))
}

/// The entry of this number.
async fn entry(session: &mut Session, number: u64) -> Result<MailboxEntry, Error> {
    let missing =
        || Error::NotFound(format!("there is no message {number}; `waxwing mail list` has the numbers"));
    let before = number.checked_sub(1).ok_or_else(missing)?;
    let entries = session.mailbox(before, 1).await?;
    entries.into_iter().find(|entry| entry.number == number).ok_or_else(missing)
}

async fn read(
    session: &mut Session,
    mut known: Correspondents,
    arguments: &MailReadArgs,
    output: &mut Output,
) -> Result<End, Error> {
    let entry = entry(session, arguments.number).await?;
    if let Some(part) = arguments.part {
        return read_part(session, &entry, part, output).await;
    }
    let selection = match arguments.selection {
        MailSelection::Text => Selection::Text,
        MailSelection::Headers => Selection::Headers,
        MailSelection::Signers => Selection::Signers,
        MailSelection::All => Selection::All,
    };
    let fetched = fetch(session, entry.identity, selection).await?;
    learn_before(session, entry.number, &mut known).await?;
    let object = EntryObject::new(&entry, Some(&fetched), &known);
    if output.is_json() {
        output.object(&ReadObject::new(object, &fetched))?;
    } else {
        lookalike::print(&object.warnings, "", output)?;
        print_message(&entry, &fetched, arguments.selection, output)?;
    }
    Ok(End::Good)
}

#[derive(Serialize)]
struct ReadObject {
    #[serde(flatten)]
    entry: EntryObject,
    header: Option<String>,
    parts: Vec<PartObject>,
}

#[derive(Serialize)]
struct PartObject {
    number: usize,
    depth: usize,
    #[serde(rename = "type")]
    media_type: String,
    octets: u64,
    text: Option<String>,
}

impl ReadObject {
    fn new(entry: EntryObject, fetched: &Fetched) -> ReadObject {
        let header = fetched.headers.as_ref().map(|headers| headers.message().octets());
        let mut parts = Vec::new();
        if let Some(manifest) = &fetched.manifest {
            walk(manifest.root(), 0, &mut 0, &mut |number, depth, part| {
                let body = fetched.bodies.get(&number).filter(|_| part.media_type.starts_with("text/"));
                parts.push(PartObject {
                    number,
                    depth,
                    media_type: part.media_type.clone(),
                    octets: part.octets,
                    text: body.map(|body| String::from_utf8_lossy(body).into_owned()),
                });
            });
        }
        ReadObject { entry, header: header.map(|octets| String::from_utf8_lossy(octets).into_owned()), parts }
    }
}

fn print_message(
    entry: &MailboxEntry,
    fetched: &Fetched,
    selection: MailSelection,
    output: &mut Output,
) -> Result<(), Error> {
    if let Some(headers) = &fetched.headers {
        if selection == MailSelection::Headers {
            output.line(&clean_lines(&String::from_utf8_lossy(headers.message().octets())))?;
        } else {
            print_header(headers, output)?;
        }
    }
    output.line(&format!("{} {}", paint(STRONG, "Came:"), time(entry.at_ms)))?;
    output.line(&format!("{} {}", paint(STRONG, "By:"), clean(&entry.origin)))?;
    if !entry.seals.is_empty() {
        output.line(&format!("{} {}", paint(STRONG, "Seals:"), seal_words(&entry.seals)))?;
    }
    if let Some((_, said)) = author_sentence(entry).filter(|(found, _)| !found.is_warning()) {
        output.line(&clean(&first_upper(&said)))?;
    }
    if selection == MailSelection::Signers {
        for seal in &fetched.seals {
            output.line(&SealObject::new(seal, "not-checked", None).line())?;
        }
    }
    let Some(manifest) = &fetched.manifest else { return Ok(()) };
    if manifest.parts().count() > 1 || fetched.bodies.is_empty() {
        for line in tree(manifest, fetched.headers.as_ref()) {
            output.line(&line)?;
        }
    }
    for (number, body) in &fetched.bodies {
        let text = manifest.part(*number).is_some_and(|part| part.media_type.starts_with("text/"));
        if text {
            output.line("")?;
            output.line(clean_lines(&String::from_utf8_lossy(body)).trim_end_matches('\n'))?;
        }
    }
    if fetched.bodies.is_empty() && selection == MailSelection::Text {
        let hint = "It has no text; `--part N` shows a part, `waxwing mail export` writes it into a file.";
        output.line(&paint(WAITING, hint))?;
    }
    Ok(())
}

/// Writes the octets of a part as they are.
async fn read_part(
    session: &mut Session,
    entry: &MailboxEntry,
    part: usize,
    output: &mut Output,
) -> Result<End, Error> {
    let fetched = fetch(session, entry.identity, Selection::Headers).await?;
    let manifest = fetched.manifest.ok_or_else(|| Error::Answer("it holds no manifest".to_owned()))?;
    let leaf = manifest.part(part).filter(|found| found.leaf().is_some());
    let Some(leaf) = leaf else {
        let text = format!("message {} has no leaf with the number {part}", entry.number);
        let hint = Some(format!("`waxwing mail read {} --selection headers` shows its parts", entry.number));
        return Err(Error::Usage { text, hint });
    };
    if output.is_terminal() && !leaf.media_type.starts_with("text/") {
        let text = format!("part {part} is {}: not for a terminal", clean(&leaf.media_type));
        return Err(Error::Usage { text, hint: Some("send the output into a file with >".to_owned()) });
    }
    let out: Box<dyn Write + Send + '_> =
        if output.is_terminal() { Box::new(Cleaned(output.raw())) } else { output.raw() };
    let mut incoming = Incoming::raw(manifest, out);
    session.fetch(entry.identity, Selection::Parts(vec![(part, 0)]), &mut incoming).await?;
    incoming.finish()?;
    Ok(End::Good)
}

/// Text on its way to a terminal: control characters are replaced, octet by octet, so that pieces can be of any size.
/// The two octets of the controls above ASCII are left: no terminal in UTF-8 mode obeys them.
struct Cleaned<W>(W);

impl<W: Write> Write for Cleaned<W> {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        let keep = |octet: u8| matches!(octet, b'\n' | b'\t' | b'\r') || !octet.is_ascii_control();
        let clean: Vec<u8> = octets.iter().map(|&octet| if keep(octet) { octet } else { b'?' }).collect();
        self.0.write_all(&clean)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

#[derive(Serialize)]
struct Exported {
    id: String,
    file: String,
}

async fn export(
    session: &mut Session,
    arguments: &MailExportArgs,
    output: &mut Output,
) -> Result<End, Error> {
    let path = &arguments.output;
    let entry = entry(session, arguments.number).await?;
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("wax") => {
            let (draft, file) = Draft::begin(path)?;
            let mut incoming = Incoming::into_file(entry.identity, Box::new(BufWriter::new(file)));
            session.fetch(entry.identity, Selection::All, &mut incoming).await?;
            incoming.finish().map_err(Error::file(path))?;
            draft.finish()?;
        }
        Some("eml") => {
            let octets_max = translate::limits::LEGACY_OCTETS_MAX as u64;
            let mut incoming = Incoming::into_memory(entry.identity, octets_max);
            session.fetch(entry.identity, Selection::All, &mut incoming).await?;
            let fetched = incoming.finish().map_err(|error| Error::Answer(error.to_string()))?;
            let options = translate::ExportOptions { eight_bit: true, utf8_headers: true };
            files::write(path, &translate::export(&whole(fetched)?, &options)?)?;
        }
        _ => {
            return Err(Error::usage(
                "the output ends in .wax for the native form, or in .eml for the legacy form",
            ));
        }
    }
    let exported = Exported { id: entry.identity.to_string(), file: path.display().to_string() };
    if output.is_json() {
        output.object(&exported)?;
    } else {
        output.line(&format!("{} {}  {}", paint(GOOD, "written"), entry.identity.short(), exported.file))?;
    }
    Ok(End::Good)
}

/// The message that was fetched as a whole.
fn whole(fetched: Fetched) -> Result<Message, Error> {
    let (Some(manifest), Some(headers)) = (fetched.manifest, fetched.headers) else {
        return Err(Error::Answer("it is not the whole message".to_owned()));
    };
    let mut octets = Vec::new();
    let mut writer = WaxWriter::bare(&mut octets, manifest, headers)?;
    let empty = Bytes::new();
    while let Some(part) = writer.due() {
        let body = fetched.bodies.get(&part).unwrap_or(&empty);
        if body.is_empty() {
            return Err(Error::Answer("it is not the whole message".to_owned()));
        }
        writer.body(body)?;
    }
    writer.finish()?;
    Ok(Message::parse(&octets, Limits::default())?)
}
