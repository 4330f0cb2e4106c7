//! What is remembered of peers, and how many deliveries of each are pending.

use message::Disposition;
use message::address::Domain;

use super::{list, load};
use crate::engine::View;
use crate::limits::PEERS_PUT_MAX;
use crate::record::Record;
use crate::transaction::{Transaction, read_number};
use crate::{EnvelopeRecord, Error, Origin, PeerRecord, key};

/// Writes what is remembered of these peers, in place of what was.
pub(crate) fn put_peers(tx: &mut Transaction, peers: Vec<PeerRecord>) -> Result<(), Error> {
    if peers.len() > PEERS_PUT_MAX {
        return Err(Error::Bound { what: "peers", bound: PEERS_PUT_MAX as u64 });
    }
    peers.into_iter().try_for_each(|peer| tx.put(key::peer(peer.domain.as_str()), peer.encode()))
}

/// What is remembered of a peer.
pub(crate) fn peer(view: &dyn View, domain: &Domain) -> Result<Option<PeerRecord>, Error> {
    load(view, &key::peer(domain.as_str()))
}

/// Peers after the given one. What cannot be read is left out: the check reports it.
pub(crate) fn peers(view: &dyn View, after: Option<&Domain>, limit: usize) -> Result<Vec<PeerRecord>, Error> {
    let after = after.map(|domain| key::peer(domain.as_str()));
    let pairs = list(view, &[key::table::PEER], after, limit)?;
    Ok(pairs.iter().filter_map(|(key, value)| PeerRecord::decode(value, key).ok()).collect())
}

/// Forgets these peers. How many of their deliveries are pending is no memory, and stays.
pub(crate) fn remove_peers(tx: &mut Transaction, domains: &[Domain]) -> Result<(), Error> {
    if domains.len() > PEERS_PUT_MAX {
        return Err(Error::Bound { what: "peers", bound: PEERS_PUT_MAX as u64 });
    }
    domains.iter().for_each(|domain| tx.remove(key::peer(domain.as_str())));
    Ok(())
}

/// Deliveries of a holder about which nobody has decided yet. A count that cannot be read begins anew; the check reports it.
/// keeps: STO-5
pub(crate) fn pending(view: &dyn View, holder: &str) -> Result<u64, Error> {
    match read_number(view, &key::pending_of(holder)) {
        Err(Error::Damaged { .. }) => Ok(0),
        read => Ok(read?.unwrap_or(0)),
    }
}

/// Counts a recipient of this envelope that begins or ceases to be pending. Users are not counted: what is pending
/// for peers and for servers of the old world is what a stranger can make grow.
///
/// keeps: STO-22
pub(crate) fn count_pending(
    tx: &mut Transaction,
    envelope: &EnvelopeRecord,
    told: &Disposition,
    begins: bool,
) -> Result<(), Error> {
    let (Origin::Peer { .. } | Origin::Legacy(_), Disposition::Pending { .. }) = (&envelope.origin, told)
    else {
        return Ok(());
    };
    let key = key::pending_of(&envelope.origin.holder());
    let before = pending(tx, &envelope.origin.holder())?;
    match if begins { before.saturating_add(1) } else { before.saturating_sub(1) } {
        0 => tx.remove(key),
        count => tx.put(key, count.to_be_bytes().to_vec())?,
    }
    Ok(())
}
