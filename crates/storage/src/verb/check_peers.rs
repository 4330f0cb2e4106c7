//! Looking through what is kept of peers.

use std::collections::BTreeMap;

use super::check::{Inspection, SCHEDULE_LOOKS as LOOKS, each};
use super::status::load_envelope;
use crate::engine::View;
use crate::key::table;
use crate::transaction::read_number;
use crate::{EnvelopeId, Error, FindingKind, Origin, PeerRecord, RecipientRecord, key};

/// What is remembered of peers can be read, and what is pending of each is what is counted. A commit under way can make
/// the two differ for a moment: only what differs each time is said.
pub(super) fn check_peers(inspection: &mut Inspection) -> Result<(), Error> {
    let view = inspection.view;
    each(view, table::PEER, &mut |pair| {
        inspection.decode::<PeerRecord>(pair);
        Ok(())
    })?;
    for _ in 0..LOOKS {
        match pending_counted(view)? {
            Some(counted) if counted != pending_written(view)? => {}
            _ => return Ok(()),
        }
    }
    let detail = "another number of deliveries is pending than is counted for a peer";
    inspection.say(FindingKind::Counter, "pending".to_owned(), detail);
    Ok(())
}

/// `None` where an envelope cannot be read.
fn pending_counted(view: &dyn View) -> Result<Option<BTreeMap<String, u64>>, Error> {
    let (mut counts, mut whole) = (BTreeMap::new(), true);
    each(view, table::ENVELOPE, &mut |(key, _)| {
        let (Some(id), Some(0)) = (key::long_before(key, 1), key.last()) else { return Ok(()) };
        // One that cannot be read is reported where it stands, and then nobody can say what the numbers should be.
        let Ok(Some(envelope)) = load_envelope(view, EnvelopeId(id)) else {
            whole = false;
            return Ok(());
        };
        if matches!(envelope.origin, Origin::Submission { .. }) {
            return Ok(());
        }
        let open = |one: &&RecipientRecord| {
            one.outcome.is_none() && matches!(one.told, message::Disposition::Pending { .. })
        };
        let count = envelope.recipients.iter().filter(open).count() as u64;
        if count > 0 {
            *counts.entry(envelope.origin.holder()).or_insert(0) += count;
        }
        Ok(())
    })?;
    Ok(whole.then_some(counts))
}

fn pending_written(view: &dyn View) -> Result<BTreeMap<String, u64>, Error> {
    let mut counts = BTreeMap::new();
    each(view, table::PENDING_OF, &mut |(key, _)| {
        let name = key.get(1..key.len().saturating_sub(1)).and_then(|name| std::str::from_utf8(name).ok());
        if let (Some(name), Some(count)) = (name, read_number(view, key)?) {
            counts.insert(name.to_owned(), count);
        }
        Ok(())
    })?;
    Ok(counts)
}
