//! Which connection attempts are let in: caps in total and by address, and proof of address under load.

use crate::limits::Limits;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a server has seen so far; for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections open now, those in the handshake included.
    pub open: usize,
    /// Handshakes in progress now.
    pub handshakes: usize,
    /// Attempts let in since the start.
    pub admitted: u64,
    /// Handshakes completed since the start.
    pub authenticated: u64,
    /// Attempts asked to prove their address since the start.
    pub retried: u64,
    /// Attempts refused since the start.
    pub refused: u64,
}

/// What to do with an attempt.
pub(crate) enum Verdict {
    /// Let it in; dropping the value gives the place back.
    Admit(Place),
    /// Ask for proof of the address.
    Retry,
    /// Answer that no more are taken.
    Refuse,
    /// Answer nothing.
    Ignore,
}

/// The register of who is in. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Admission(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connections: usize,
    connections_per_address: usize,
    handshakes_before_retry: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    by_network: HashMap<IpAddr, usize>,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Shared {
            connections: limits.connections,
            connections_per_address: limits.connections_per_address,
            handshakes_before_retry: limits.handshakes_before_retry,
            state: Mutex::default(),
        }))
    }

    /// Judges one attempt from `remote`, received at `local`. `proven` says that the client has shown to
    /// receive at its address. keeps: TRA-12, TRA-13, TRA-14
    pub(crate) fn judge(&self, remote: IpAddr, local: Option<IpAddr>, proven: bool) -> Verdict {
        // One packet to a broadcast address would make every server of the network answer.
        if local.is_some_and(|address| address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST)) {
            return Verdict::Ignore;
        }
        let network = network(remote);
        let mut state = self.state();
        let from_there = state.by_network.get(&network).copied().unwrap_or(0);
        // Whoever forges a source address could otherwise use up the places of the address's true owner.
        let suspicious = state.counts.handshakes >= self.0.handshakes_before_retry
            || from_there >= self.0.connections_per_address.div_ceil(2);
        if !proven && suspicious {
            state.counts.retried += 1;
            return Verdict::Retry;
        }
        if state.counts.open >= self.0.connections || from_there >= self.0.connections_per_address {
            state.counts.refused += 1;
            return Verdict::Refuse;
        }
        state.counts.open += 1;
        state.counts.handshakes += 1;
        state.counts.admitted += 1;
        state.by_network.insert(network, from_there + 1);
        drop(state);
        Verdict::Admit(Place { admission: self.clone(), network, in_handshake: true })
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state().counts
    }

    /// A panic elsewhere while the lock was held leaves at worst a count that is off by one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place in the register; dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Admission,
    network: IpAddr,
    in_handshake: bool,
}

impl Place {
    /// The handshake is done.
    pub(crate) fn authenticated(&mut self) {
        let mut state = self.admission.state();
        if self.in_handshake {
            self.in_handshake = false;
            state.counts.handshakes -= 1;
            state.counts.authenticated += 1;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        state.counts.open -= 1;
        if self.in_handshake {
            state.counts.handshakes -= 1;
        }
        if let Some(count) = state.by_network.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                state.by_network.remove(&self.network);
            }
        }
    }
}

/// What counts as one address: an IPv4 address, or the /64 network that one IPv6 host commonly has to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(connections: usize, per_address: usize, before_retry: usize) -> Admission {
        Admission::new(&Limits {
            connections,
            connections_per_address: per_address,
            handshakes_before_retry: before_retry,
            ..Limits::default()
        })
    }

    fn word(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Admit(_) => "admit",
            Verdict::Retry => "retry",
            Verdict::Refuse => "refuse",
            Verdict::Ignore => "ignore",
        }
    }

    /// Judges attempts in order, keeping every place, and compares each answer.
    fn check(admission: &Admission, attempts: &[(&str, bool, &str)]) {
        let mut places = Vec::new();
        for (address, proven, expected) in attempts {
            let verdict = admission.judge(address.parse().unwrap(), None, *proven);
            assert_eq!(word(&verdict), *expected, "{address} proven: {proven}");
            places.push(verdict);
        }
    }

    /// proves: TRA-13
    #[test]
    fn the_caps_hold() {
        check(
            &admission(3, 2, 100),
            &[
                ("192.0.2.1", true, "admit"),
                ("192.0.2.1", true, "admit"),
                ("::ffff:192.0.2.1", true, "refuse"),
                ("192.0.2.2", true, "admit"),
                ("192.0.2.3", true, "refuse"),
            ],
        );
        check(
            &admission(9, 1, 100),
            &[
                ("2001:db8::1", true, "admit"),
                ("2001:db8::2", true, "refuse"),
                ("2001:db8:0:1::1", true, "admit"),
            ],
        );
    }

    /// proves: TRA-12
    #[test]
    fn proof_of_address_is_asked_for_under_load_and_near_the_cap() {
        check(
            &admission(9, 9, 2),
            &[
                ("192.0.2.1", false, "admit"),
                ("192.0.2.2", false, "admit"),
                ("192.0.2.3", false, "retry"),
                ("192.0.2.3", true, "admit"),
            ],
        );
        check(
            &admission(9, 4, 100),
            &[
                ("192.0.2.1", false, "admit"),
                ("192.0.2.1", false, "admit"),
                ("192.0.2.1", false, "retry"),
                ("192.0.2.2", false, "admit"),
                ("192.0.2.1", true, "admit"),
            ],
        );
    }

    #[test]
    fn a_place_is_given_back() {
        let admission = admission(1, 1, 100);
        for _ in 0..3 {
            let verdict = admission.judge("192.0.2.1".parse().unwrap(), None, true);
            let Verdict::Admit(mut place) = verdict else { panic!("the place is free") };
            place.authenticated();
            assert_eq!((admission.counts().open, admission.counts().handshakes), (1, 0));
        }
        let counts = admission.counts();
        assert_eq!((counts.open, counts.handshakes, counts.authenticated), (0, 0, 3));
        assert!(admission.state().by_network.is_empty());
    }

    /// proves: TRA-14
    #[test]
    fn broadcast_and_multicast_destinations_get_no_answer() {
        for local in ["255.255.255.255", "224.0.0.1", "ff02::1"] {
            let verdict = admission(9, 9, 9).judge("192.0.2.1".parse().unwrap(), local.parse().ok(), false);
            assert_eq!(word(&verdict), "ignore", "{local}");
        }
    }
}
