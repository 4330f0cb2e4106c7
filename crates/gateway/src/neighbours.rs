//! How much each network may have open at one time: an IPv4 address, or an IPv6 network of 64 bits.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::smtp::neighbourhood;

/// What is open, by network. Who uses it bounds all of it together, and so this too.
#[derive(Clone)]
pub(crate) struct Neighbours {
    each_max: usize,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A place of one network, given back when it is dropped.
pub(crate) struct Neighbour {
    of: Neighbours,
    network: IpAddr,
}

impl Neighbours {
    pub(crate) fn new(each_max: usize) -> Neighbours {
        Neighbours { each_max, open: Arc::default() }
    }

    /// A place for this address; none where its network has as many as it may have.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Neighbour> {
        let network = neighbourhood(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let near = open.get(&network).copied().unwrap_or_default();
        if near >= self.each_max {
            return None;
        }
        open.insert(network, near + 1);
        Some(Neighbour { of: self.clone(), network })
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let mut open = self.of.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut near) = open.entry(self.network) {
            *near.get_mut() -= 1;
            if *near.get() == 0 {
                near.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_places_and_gives_them_back() {
        let neighbours = Neighbours::new(2);
        let take = |address: &str| neighbours.take(address.parse().unwrap());
        let (first, second) = (take("2001:db8::1"), take("2001:db8::2"));
        assert!(first.is_some() && second.is_some() && take("2001:db8::3").is_none());
        assert!(take("2001:db8:0:1::1").is_some() && take("192.0.2.1").is_some());
        drop(first);
        assert!(take("2001:db8::3").is_some());
        drop(second);
        assert!(neighbours.open.lock().unwrap().is_empty(), "nothing is remembered of what has gone");
    }
}
