//! Who is connected: links that live, by what they have proved.

use std::sync::{Mutex, PoisonError};

use control::PeerView;
use node::Node;
use transport::{Alpn, Link, WeakLink};

use crate::clock::now_ms;

/// The connections of a node, both ways. It holds none of them open.
#[derive(Default)]
pub(crate) struct Peers(Mutex<Vec<Known>>);

/// Who is on the other side.
pub(crate) enum Who {
    /// A mail domain.
    Domain(String),
    /// A device by its key; whose it is may change while it is connected.
    Device(Option<[u8; 32]>),
}

struct Known {
    link: WeakLink,
    who: Who,
    inbound: bool,
    since_ms: u64,
}

impl Peers {
    /// Notes a connection, once; those that have ended are forgotten.
    pub(crate) fn note(&self, link: &Link, who: Who, inbound: bool) {
        let link = link.downgrade();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|one| live(&one.link).is_some());
        if !known.iter().any(|one| one.link.is_same(&link)) {
            known.push(Known { link, who, inbound, since_ms: now_ms() });
        }
    }

    /// Those that live, the oldest first, at most so many.
    pub(crate) fn views(&self, node: &Node, max: usize) -> Vec<PeerView> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = known.iter().filter_map(|one| live(&one.link).map(|link| view(one, &link, node)));
        alive.take(max).collect()
    }
}

fn live(link: &WeakLink) -> Option<Link> {
    link.upgrade().filter(|link| link.ended().is_none())
}

fn view(known: &Known, link: &Link, node: &Node) -> PeerView {
    let numbers = link.statistics();
    let name = match &known.who {
        Who::Domain(domain) => domain.clone(),
        Who::Device(key) => {
            let account = key.and_then(|key| node.account_of_device(&key).ok().flatten());
            account.map_or_else(|| "unknown".to_owned(), |account| format!("account:{account}"))
        }
    };
    PeerView {
        name,
        address: link.remote_address().to_string(),
        protocol: match link.alpn() {
            Alpn::Exchange => "exchange".to_owned(),
            Alpn::Submission => "submission".to_owned(),
            Alpn::Doorstep => "doorstep".to_owned(),
        },
        inbound: known.inbound,
        since_ms: known.since_ms,
        round_trip_us: u64::try_from(link.round_trip().as_micros()).unwrap_or(u64::MAX),
        octets_sent: numbers.udp_tx.bytes,
        octets_received: numbers.udp_rx.bytes,
        packets_lost: numbers.path.lost_packets,
    }
}
