//! Looking through everything: the check and the export. Neither stops at what it cannot read.
//!
//! keeps: STO-18

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use message::{Digest, Identity};

use super::check_peers::check_peers;
use super::content::{load_message, stored};
use super::correspondent::check_correspondents;
use super::forwarding::{check_forwarding, export_forwarding};
use super::keys::{check_keys, export_keys};
use super::legacy::check_legacy;
use super::load;
use super::status::load_envelope;
use crate::engine::{Engine, Pair, View};
use crate::files::{Files, lock};
use crate::format::FORMER;
use crate::keeper::Shared;
use crate::key::{holder, kind, table};
use crate::limits::INLINE_OCTETS_MAX;
use crate::record::{CookieRecord, Held, OnceRecord, Record};
use crate::schedule::read_lane_due;
use crate::{
    AccountRecord, Attempt, CorrespondentRecord, EnvelopeId, EnvelopeRecord, Error, Exported, Finding,
    FindingKind, Lane, LegId, LegRecord, MailUid, MailboxEntry, NoticeDue, key,
};

/// Pairs that are read at a time; with the largest values that is 4 MiB.
const PAGE: usize = 64;
/// How often the schedule is held against the store before a difference counts.
pub(super) const SCHEDULE_LOOKS: u32 = 8;
/// Findings of one round that are remembered until it was looked again.
const FOUND_MAX: usize = 10_000;
/// Octets of a file that are hashed at a time.
const FILE_PAGE: usize = 256 * 1024;

/// Goes through all pairs of a table.
pub(super) fn each(
    view: &dyn View,
    table: u8,
    take: &mut dyn FnMut(&Pair) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut from = vec![table];
    let to = key::after_prefix(&from);
    loop {
        let page = view.range(&from, &to, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        from = key::successor(last);
        page.iter().try_for_each(&mut *take)?;
    }
}

/// Where findings go, and the engine that they are about.
pub(super) struct Inspection<'a> {
    pub(super) view: &'a dyn View,
    report: &'a mut dyn FnMut(Finding),
}

impl Inspection<'_> {
    pub(super) fn say(&mut self, kind: FindingKind, key: String, detail: &str) {
        (self.report)(Finding { kind, key, detail: detail.to_owned() });
    }

    fn found(&mut self, kind: FindingKind, key: &[u8], detail: &str) {
        self.say(kind, key::readable(key), detail);
    }

    /// Reports a record that cannot be read. The check goes on.
    fn damaged(&mut self, key: &[u8]) -> Result<(), Error> {
        self.found(FindingKind::Damaged, key, "the record cannot be read");
        Ok(())
    }

    /// Reads a record of a table, or reports it.
    pub(super) fn decode<T: Record>(&mut self, (key, value): &Pair) -> Option<T> {
        let record = T::decode(value, key).ok();
        if record.is_none() {
            self.found(FindingKind::Damaged, key, "the record cannot be read");
        }
        record
    }

    /// Reports a reference to what is not there. A target that is there but damaged is reported where it stands.
    pub(super) fn refers(&mut self, key: &[u8], to: &[u8]) -> Result<(), Error> {
        if self.view.value(to)?.is_none() {
            let detail = format!("it refers to {}, which is not there", key::readable(to));
            self.found(FindingKind::Dangling, key, &detail);
        }
        Ok(())
    }

    /// Reports a record that nothing refers to.
    fn referred(&mut self, key: &[u8], from: &[u8]) -> Result<(), Error> {
        let any = self.view.range(from, &key::after_prefix(from), 1)?;
        if any.is_empty() {
            self.found(FindingKind::Orphan, key, "nothing refers to it");
        }
        Ok(())
    }
}

/// What is looked through in one go, in words.
type Round<'a> = (&'a str, &'a dyn Fn(&mut Inspection) -> Result<(), Error>);

/// Looks through the store. A table that cannot be read to its end is a finding, and the next one is looked through. Others change
/// the store meanwhile: what one look finds counts where a second one finds it too.
pub(crate) fn check<E: Engine>(shared: &Shared<E>, report: &mut dyn FnMut(Finding)) {
    let engine = |inspection: &mut Inspection| {
        let lines = shared.engine.check()?;
        lines.iter().for_each(|line| inspection.say(FindingKind::Engine, String::new(), line));
        Ok(())
    };
    let rounds: [Round; 13] = [
        ("database", &engine),
        ("accounts", &check_accounts),
        ("messages", &check_messages),
        ("envelopes", &check_envelopes),
        ("queue", &check_legs),
        ("mailboxes", &check_mailboxes),
        ("correspondents", &check_correspondents),
        ("peers", &check_peers),
        ("gateway", &check_legacy),
        ("forwarding", &check_forwarding),
        ("keys", &check_keys),
        ("files", &|inspection| check_files(shared, inspection)),
        ("order of the queue", &|inspection| check_schedule(shared, inspection)),
    ];
    for round in rounds {
        let mut found = look(&shared.engine, round, report);
        if found.iter().any(|finding| can_pass(finding.kind)) {
            // What is said of it may have changed: it counts that something is.
            let again = look(&shared.engine, round, &mut |_| {}).into_iter();
            let again: HashSet<_> = again.map(|finding| (finding.kind, finding.key)).collect();
            found.retain(|finding| {
                !can_pass(finding.kind) || again.contains(&(finding.kind, finding.key.clone()))
            });
        }
        found.into_iter().for_each(&mut *report);
    }
}

/// What one round finds. What is more than is remembered is reported at once.
fn look(view: &dyn View, (name, round): Round, report: &mut dyn FnMut(Finding)) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut remember = |finding| match found.len() {
        FOUND_MAX => report(finding),
        _ => found.push(finding),
    };
    let mut inspection = Inspection { view, report: &mut remember };
    if let Err(error) = round(&mut inspection) {
        inspection.say(FindingKind::Engine, name.to_owned(), &format!("not all of it can be read: {error}"));
    }
    found
}

/// Whether what is found may be there for a moment only, while something is being written.
fn can_pass(kind: FindingKind) -> bool {
    !matches!(kind, FindingKind::Engine | FindingKind::Staging)
}

/// Looks through the files of parts in this directory of a store whose records cannot be opened: whether each has the
/// octets that its name says. What they belong to is not known then.
///
/// # Errors
/// [`Error::Io`] where the directory cannot be read.
pub fn check_parts(directory: &Path, report: &mut dyn FnMut(Finding)) -> Result<u64, Error> {
    let files = Files::as_found(directory);
    let (parts, _) = files.parts()?;
    let mut whole = 0;
    for digest in parts {
        match files.digest_of(digest, FILE_PAGE) {
            Ok(Some(found)) if found == digest => whole += 1,
            _ => report(Finding {
                kind: FindingKind::FileDamaged,
                key: format!("parts/{digest}"),
                detail: "the file does not have its digest".to_owned(),
            }),
        }
    }
    Ok(whole)
}

fn check_accounts(inspection: &mut Inspection) -> Result<(), Error> {
    let view = inspection.view;
    each(view, table::ACCOUNT, &mut |pair| {
        let Some(account) = inspection.decode::<AccountRecord>(pair) else { return Ok(()) };
        for address in &account.addresses {
            inspection.refers(&pair.0, &key::address(&address.to_string()))?;
        }
        account
            .devices
            .iter()
            .try_for_each(|device| inspection.refers(&pair.0, &key::device(&device.public_key)))
    })?;
    for table in [table::ADDRESS, table::DEVICE] {
        each(view, table, &mut |(key, value)| match std::str::from_utf8(value) {
            Ok(name) => inspection.refers(key, &key::account(name)),
            Err(_) => inspection.damaged(key),
        })?;
    }
    Ok(())
}

fn check_messages(inspection: &mut Inspection) -> Result<(), Error> {
    let view = inspection.view;
    each(view, table::MESSAGE, &mut |pair| {
        let key = &pair.0;
        match key::read_of_message(key) {
            Some((identity, kind::RECORD)) if key.last() == Some(&0) => {
                check_message(inspection, key, identity)
            }
            // The chunks behind the first are read with it.
            Some((_, kind::RECORD)) => Ok(()),
            Some((identity, kind::BODY)) => inspection.referred(key, &key::message(identity)),
            Some((identity, kind::HOLD)) => check_hold(inspection, pair, identity),
            Some((_, kind::ENVELOPE)) => match key::last_long(key) {
                Some(id) => inspection.refers(key, &first_chunk(key::envelope(EnvelopeId(id)))),
                None => inspection.damaged(key),
            },
            Some((_, kind::ONCE)) => match inspection.decode::<OnceRecord>(pair) {
                Some(record) => inspection.refers(key, &first_chunk(key::envelope(record.envelope))),
                None => Ok(()),
            },
            _ => inspection.damaged(key),
        }
    })?;
    // What is left in tables of before has no key of theirs.
    FORMER.iter().try_for_each(|table| each(view, *table, &mut |(key, _)| inspection.damaged(key)))
}

fn check_message(inspection: &mut Inspection, key: &[u8], identity: Identity) -> Result<(), Error> {
    inspection.referred(key, &key::holds(identity))?;
    let Ok(Some(record)) = load_message(inspection.view, identity) else {
        return inspection.damaged(key);
    };
    for (number, part, digest) in record.manifest.leaves().filter(|(_, part, _)| part.octets > 0) {
        let number = number as u32;
        if !record.here.contains(&number) {
            continue;
        }
        if part.octets > INLINE_OCTETS_MAX {
            inspection.refers(key, &key::part_use(digest, identity))?;
            continue;
        }
        let body = key::body(identity, number);
        match inspection.view.value(&body)? {
            Some(octets) if Digest::of(&octets) == digest => {}
            Some(_) => inspection.damaged(&body)?,
            None => inspection.refers(key, &body)?,
        }
    }
    Ok(())
}

fn check_hold(inspection: &mut Inspection, (key, value): &Pair, identity: Identity) -> Result<(), Error> {
    match (key.get(34), key::last_long(key)) {
        (Some(&holder::ENVELOPE), Some(id)) => {
            inspection.refers(key, &first_chunk(key::envelope(EnvelopeId(id))))
        }
        (Some(&holder::MAIL), _) => {
            inspection.refers(key, &first_chunk(key::message(identity)))?;
            let account = key.get(35..key.len() - 1).and_then(|name| std::str::from_utf8(name).ok());
            match (account, value.as_slice().try_into().map(u64::from_be_bytes)) {
                (Some(account), Ok(uid)) => inspection.refers(key, &key::mail(account, MailUid(uid))),
                _ => inspection.damaged(key),
            }
        }
        _ => inspection.damaged(key),
    }
}

/// The key of the first chunk of a record that is written in chunks.
fn first_chunk(mut prefix: Vec<u8>) -> Vec<u8> {
    prefix.push(0);
    prefix
}

fn check_envelopes(inspection: &mut Inspection) -> Result<(), Error> {
    let view = inspection.view;
    each(view, table::ENVELOPE, &mut |(key, _)| {
        let (Some(id), Some(0)) = (key::long_before(key, 1), key.last()) else { return Ok(()) };
        match load_envelope(view, EnvelopeId(id)) {
            Ok(Some(envelope)) => check_envelope(inspection, key, &envelope),
            _ => inspection.damaged(key),
        }
    })?;
    let first_chunk = |id: EnvelopeId| first_chunk(key::envelope(id));
    each(view, table::COOKIE, &mut |pair| match inspection.decode::<CookieRecord>(pair) {
        Some(record) => inspection.refers(&pair.0, &first_chunk(record.envelope)),
        None => Ok(()),
    })?;
    each(view, table::ATTEMPT, &mut |pair| {
        inspection.decode::<Attempt>(pair);
        match key::long_before(&pair.0, 4) {
            Some(id) => inspection.refers(&pair.0, &first_chunk(EnvelopeId(id))),
            None => Ok(()),
        }
    })?;
    each(view, table::HELD, &mut |pair| {
        inspection.decode::<Held>(pair);
        match key::long_before(&pair.0, 4) {
            Some(id) => inspection.refers(&pair.0, &first_chunk(EnvelopeId(id))),
            None => Ok(()),
        }
    })
}

fn check_envelope(inspection: &mut Inspection, key: &[u8], envelope: &EnvelopeRecord) -> Result<(), Error> {
    inspection.refers(key, &key::envelope_for(envelope.identity, envelope.id))?;
    if envelope.closed_at_ms.is_none() {
        inspection.refers(key, &key::hold_of_envelope(envelope.identity, envelope.id))?;
    }
    for (place, recipient) in envelope.recipients.iter().enumerate() {
        if let Some(leg) = recipient.leg {
            inspection.refers(key, &key::leg(leg))?;
        }
        if recipient.held {
            inspection.refers(key, &key::held(envelope.id, place as u32))?;
        }
        if recipient.outcome.is_none() && recipient.leg.is_none() && !recipient.held {
            inspection.found(FindingKind::Dangling, key, "a recipient is neither final nor queued nor held");
        }
        if let message::Disposition::Pending { cookie, .. } = &recipient.told {
            inspection.refers(key, &key::cookie(cookie))?;
        }
    }
    Ok(())
}

fn check_legs(inspection: &mut Inspection) -> Result<(), Error> {
    let view = inspection.view;
    each(view, table::LEG, &mut |pair| {
        let Some(leg) = inspection.decode::<LegRecord>(pair) else { return Ok(()) };
        let due_ms = if leg.held { u64::MAX } else { leg.due_ms };
        inspection.refers(&pair.0, &key::lane_due(&leg.lane, due_ms, leg.id))?;
        inspection.refers(&pair.0, &key::lane_leg(&leg.lane, leg.id))?;
        inspection.refers(&pair.0, &first_chunk(key::envelope(leg.envelope)))
    })?;
    for table in [table::LANE_DUE, table::LANE_LEG] {
        each(view, table, &mut |(key, _)| match key::last_long(key) {
            Some(leg) => inspection.refers(key, &key::leg(LegId(leg))),
            None => inspection.damaged(key),
        })?;
    }
    Ok(())
}

fn check_mailboxes(inspection: &mut Inspection) -> Result<(), Error> {
    let view = inspection.view;
    each(view, table::MAIL, &mut |pair| {
        let Some(entry) = inspection.decode::<MailboxEntry>(pair) else { return Ok(()) };
        inspection.refers(&pair.0, &first_chunk(key::message(entry.identity)))?;
        match account_of_mail(&pair.0) {
            Some(account) => inspection.refers(&pair.0, &key::hold_of_mail(entry.identity, account)),
            None => inspection.damaged(&pair.0),
        }
    })
}

/// Whose mailbox an entry is in.
fn account_of_mail(key: &[u8]) -> Option<&str> {
    key.get(1..key.len().checked_sub(9)?).and_then(|name| std::str::from_utf8(name).ok())
}

/// Every part that is referred to has its file with its octets, and every file is referred to.
fn check_files<E: Engine>(shared: &Shared<E>, inspection: &mut Inspection) -> Result<(), Error> {
    let mut used = BTreeSet::new();
    each(&shared.engine, table::PART_USE, &mut |(key, _)| {
        let (Some(digest), Some(identity)) = (read_identity(key, 1), read_identity(key, 33)) else {
            return inspection.damaged(key);
        };
        used.insert(digest.0);
        inspection.referred(key, &key::message(identity))
    })?;
    let (files, strange) = shared.files.parts()?;
    let files: BTreeSet<Digest> = files.into_iter().collect();
    for digest in used.difference(&files) {
        inspection.say(FindingKind::FileMissing, format!("parts/{digest}"), "the file is not there");
    }
    for digest in &files {
        let name = format!("parts/{digest}");
        if !used.contains(digest) {
            inspection.say(FindingKind::Orphan, name, "nothing refers to the file");
        } else if !matches!(shared.files.digest_of(*digest, FILE_PAGE), Ok(Some(found)) if found == *digest) {
            inspection.say(FindingKind::FileDamaged, name, "the file does not have its digest");
        }
    }
    for name in strange {
        inspection.say(FindingKind::Orphan, format!("parts/{name}"), "the file is not named by a digest");
    }
    for entry in shared.files.staging()? {
        let detail = format!("{} octets wait for the rest", entry.octets);
        inspection.say(FindingKind::Staging, format!("staging/{}.part", entry.name), &detail);
    }
    Ok(())
}

/// The numbers of the schedule are those of the store. While a commit is under way they differ for a moment: only what
/// differs each time is said, and of no lane that changes meanwhile.
fn check_schedule<E: Engine>(shared: &Shared<E>, inspection: &mut Inspection) -> Result<(), Error> {
    let mut before = None;
    for _ in 0..SCHEDULE_LOOKS {
        let counts = count_legs(shared)?;
        let lanes = lock(&shared.schedule).lanes(None, usize::MAX);
        let after: Counts = lanes.into_iter().map(|(lane, numbers)| (lane, numbers.legs)).collect();
        let changes =
            |lane: &Lane| before.as_ref().is_some_and(|before: &Counts| before.get(lane) != after.get(lane));
        let agrees = |lane: &Lane| after.get(lane) == counts.get(lane) || changes(lane);
        if after.keys().chain(counts.keys()).all(agrees) {
            return Ok(());
        }
        before = Some(after);
    }
    let detail = "the schedule counts other legs than the store";
    inspection.say(FindingKind::Counter, "lanes".to_owned(), detail);
    Ok(())
}

/// How many legs each lane has.
type Counts = BTreeMap<Lane, u64>;

fn count_legs<E: Engine>(shared: &Shared<E>) -> Result<Counts, Error> {
    let mut counts = Counts::new();
    each(&shared.engine, table::LANE_DUE, &mut |(key, _)| {
        if let Some((lane, _, _)) = read_lane_due(key) {
            *counts.entry(lane).or_insert(0) += 1;
        }
        Ok(())
    })?;
    Ok(counts)
}

fn read_identity(key: &[u8], from: usize) -> Option<Identity> {
    key.get(from..from + 32)?.try_into().ok().map(Identity::from_bytes)
}

/// Hands out all that can be read.
pub(crate) fn export(view: &dyn View, take: &mut dyn FnMut(Exported)) -> Result<(), Error> {
    each(view, table::ACCOUNT, &mut |(key, value)| {
        take(AccountRecord::decode(value, key).map_or_else(|_| skipped(key), Exported::Account));
        Ok(())
    })?;
    each(view, table::CORRESPONDENT, &mut |(key, value)| {
        let record = CorrespondentRecord::decode(value, key);
        take(record.map_or_else(|_| skipped(key), Exported::Correspondent));
        Ok(())
    })?;
    export_forwarding(view, take)?;
    export_keys(view, take)?;
    each(view, table::MESSAGE, &mut |(key, _)| {
        if let (Some((identity, kind::RECORD)), Some(0)) = (key::read_of_message(key), key.last()) {
            take(match load_message(view, identity) {
                Ok(Some(record)) => Exported::Message(Box::new(stored(record))),
                _ => skipped(key),
            });
        }
        Ok(())
    })?;
    each(view, table::MAIL, &mut |(key, value)| {
        take(match (account_of_mail(key), MailboxEntry::decode(value, key)) {
            (Some(account), Ok(entry)) => Exported::Mail { account: account.to_owned(), entry },
            _ => skipped(key),
        });
        Ok(())
    })?;
    each(view, table::ENVELOPE, &mut |(key, _)| {
        if let (Some(id), Some(0)) = (key::long_before(key, 1), key.last()) {
            take(match load_envelope(view, EnvelopeId(id)) {
                Ok(Some(envelope)) => Exported::Envelope(Box::new(envelope)),
                _ => skipped(key),
            });
        }
        Ok(())
    })?;
    each(view, table::LEG, &mut |(key, _)| {
        take(match load::<LegRecord>(view, key) {
            Ok(Some(leg)) => Exported::Leg(leg),
            _ => skipped(key),
        });
        Ok(())
    })?;
    each(view, table::LEGACY, &mut |pair| {
        take(super::legacy::read(pair).map_or_else(|| skipped(&pair.0), Exported::Legacy));
        Ok(())
    })?;
    each(view, table::NOTICE, &mut |(key, value)| {
        let notice = NoticeDue::decode(value, key);
        take(notice.map_or_else(|_| skipped(key), |notice| Exported::Notice(Box::new(notice))));
        Ok(())
    })
}

/// What is handed out in place of a record that cannot be read.
pub(super) fn skipped(key: &[u8]) -> Exported {
    Exported::Skipped(Finding {
        kind: FindingKind::Damaged,
        key: key::readable(key),
        detail: "the record cannot be read".to_owned(),
    })
}

#[cfg(test)]
mod tests;
