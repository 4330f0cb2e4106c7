//! Which connection attempts are let in: caps in total and by address, proof of address under load, and who has to
//! leave when all places are taken.

use super::link::WeakLink;
use crate::error::Code;
use crate::limits::Limits;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

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
    /// Connections closed since the start to make room for others.
    pub displaced: u64,
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
    connections_per_site: usize,
    handshakes_before_retry: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    by_network: HashMap<Network, usize>,
    /// How many places were given out so far: the number of the next.
    given_out: u64,
    /// The connections whose peers have proved nothing yet, by the number of their place.
    unproved: BTreeMap<u64, Unproved>,
    /// The places that were given to others while their connections were not gone yet.
    displaced: BTreeSet<u64>,
}

/// A connection whose peer has proved nothing yet.
#[derive(Debug)]
struct Unproved {
    networks: Networks,
    /// Transactions that are open.
    open: usize,
    /// When the first of those that are open began, or the last of them ended; at first when the handshake was complete.
    since: Instant,
    link: WeakLink,
}

/// The first bits of an address, and how many they are.
type Network = (IpAddr, u8);
/// What an address counts for: itself or its /64, and its /48 where it has one.
type Networks = [Option<Network>; 2];

impl State {
    fn from(&self, network: Option<Network>) -> usize {
        network.and_then(|network| self.by_network.get(&network)).copied().unwrap_or(0)
    }

    fn give_back(&mut self, networks: &Networks) {
        self.counts.open -= 1;
        for network in networks.iter().flatten() {
            if let Some(count) = self.by_network.get_mut(network) {
                *count -= 1;
                if *count == 0 {
                    self.by_network.remove(network);
                }
            }
        }
    }

    /// Takes the place of whoever has proved nothing and is out of use for longest; where all of those have something under
    /// way, of the one that began it first. keeps: TRA-24
    fn displace(&mut self) -> Option<WeakLink> {
        let last = self.unproved.iter().min_by_key(|(_, one)| (one.open > 0, one.since));
        let number = last.map(|(number, _)| *number)?;
        let leaving = self.unproved.remove(&number)?;
        self.displaced.insert(number);
        self.give_back(&leaving.networks);
        self.counts.displaced += 1;
        Some(leaving.link)
    }
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Shared {
            connections: limits.connections,
            connections_per_address: limits.connections_per_address,
            connections_per_site: limits.connections_per_site,
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
        let networks = networks(remote);
        let mut state = self.state();
        let [from_there, from_site] = networks.map(|network| state.from(network));
        let full = state.counts.open >= self.0.connections;
        // Whoever forges a source address could otherwise use up the places of the address's true owner, or have others
        // put out.
        let suspicious = state.counts.handshakes >= self.0.handshakes_before_retry
            || from_there >= self.0.connections_per_address.div_ceil(2)
            || full;
        if !proven && suspicious {
            state.counts.retried += 1;
            return Verdict::Retry;
        }
        let share_taken =
            from_there >= self.0.connections_per_address || from_site >= self.0.connections_per_site;
        let leaving = if full && !share_taken { state.displace() } else { None };
        if share_taken || (full && leaving.is_none()) {
            state.counts.refused += 1;
            return Verdict::Refuse;
        }
        state.counts.open += 1;
        state.counts.handshakes += 1;
        state.counts.admitted += 1;
        for network in networks.into_iter().flatten() {
            *state.by_network.entry(network).or_default() += 1;
        }
        let number = state.given_out;
        state.given_out += 1;
        drop(state);
        // The last clone of a link gives its place back, for which the register must be free.
        if let Some(leaving) = leaving.and_then(|link| link.upgrade()) {
            leaving.close(Code::Idle, "somebody else needs the place");
        }
        let (admission, proved, quiet) = (self.clone(), AtomicBool::new(false), Notify::new());
        Verdict::Admit(Place { admission, number, networks, in_handshake: true, proved, quiet })
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
    number: u64,
    networks: Networks,
    in_handshake: bool,
    /// So that the register need not be asked.
    proved: AtomicBool,
    /// Told when the last open transaction ends.
    quiet: Notify,
}

/// What a connection is used for.
enum Usage {
    /// Whatever it is, the connection may stay: the peer has proved who it is.
    Proved,
    /// Something is under way.
    InUse,
    /// Nothing is, since then.
    Unused(Instant),
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

    /// The peer has a connection, and has proved nothing yet.
    pub(crate) fn taken_by(&self, link: WeakLink) {
        let unproved = Unproved { networks: self.networks, open: 0, since: Instant::now(), link };
        self.admission.state().unproved.insert(self.number, unproved);
    }

    /// The peer has proved who it is: it stays for as long as it likes.
    pub(crate) fn proved(&self) {
        if !self.proved.swap(true, Ordering::Relaxed) {
            self.admission.state().unproved.remove(&self.number);
        }
    }

    /// Whether it has.
    pub(crate) fn is_proved(&self) -> bool {
        self.proved.load(Ordering::Relaxed)
    }

    /// Something begins on the connection.
    pub(crate) fn begun(&self) {
        if self.is_proved() {
            return;
        }
        if let Some(unproved) = self.admission.state().unproved.get_mut(&self.number) {
            if unproved.open == 0 {
                unproved.since = Instant::now();
            }
            unproved.open += 1;
        }
    }

    /// Something that has begun is over.
    pub(crate) fn ended(&self) {
        if self.is_proved() {
            return;
        }
        if let Some(unproved) = self.admission.state().unproved.get_mut(&self.number) {
            unproved.open = unproved.open.saturating_sub(1);
            if unproved.open == 0 {
                unproved.since = Instant::now();
            }
        }
        self.quiet.notify_one();
    }

    /// Waits until nothing has been under way for so long, and nothing was proved. keeps: TRA-24
    pub(crate) async fn unused_for(&self, time: Duration) {
        loop {
            match self.usage() {
                Usage::Proved => std::future::pending().await,
                Usage::InUse => self.quiet.notified().await,
                Usage::Unused(since) if since.elapsed() >= time => return,
                Usage::Unused(since) => tokio::time::sleep_until(since + time).await,
            }
        }
    }

    fn usage(&self) -> Usage {
        if self.is_proved() {
            return Usage::Proved;
        }
        match self.admission.state().unproved.get(&self.number) {
            None => Usage::Proved,
            Some(unproved) if unproved.open > 0 => Usage::InUse,
            Some(unproved) => Usage::Unused(unproved.since),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        if self.in_handshake {
            state.counts.handshakes -= 1;
        }
        if state.displaced.remove(&self.number) {
            return;
        }
        state.unproved.remove(&self.number);
        state.give_back(&self.networks);
    }
}

/// What counts as one address: an IPv4 address, or the /64 network that one IPv6 host commonly has to itself; and the /48
/// that one customer commonly has.
fn networks(address: IpAddr) -> Networks {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let first = |bits: u8| {
                let rest = 128 - u32::from(bits);
                (IpAddr::V6((u128::from(address) >> rest << rest).into()), bits)
            };
            [Some(first(64)), Some(first(48))]
        }
        v4 => [Some((v4, 32)), None],
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
        let limits = Limits { connections_per_site: 2, ..Limits::default() };
        check(
            &Admission::new(&limits),
            &[
                ("2001:db8:0:1::1", true, "admit"),
                ("2001:db8:0:2::1", true, "admit"),
                ("2001:db8:0:3::1", true, "refuse"),
                ("2001:db8:1:3::1", true, "admit"),
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
        // Nobody is put out for an address that is forged.
        check(&admission(1, 9, 100), &[("192.0.2.1", false, "admit"), ("192.0.2.2", false, "retry")]);
    }

    /// proves: TRA-24
    #[test]
    fn who_has_proved_nothing_makes_room() {
        let admission = admission(3, 3, 100);
        let judge = |address: &str| admission.judge(address.parse().unwrap(), None, true);
        let come = |address: &str| match judge(address) {
            Verdict::Admit(mut place) => {
                place.authenticated();
                place.taken_by(WeakLink::default());
                place
            }
            other => panic!("{address}: {}", word(&other)),
        };
        let (one, two, three) = (come("192.0.2.1"), come("192.0.2.2"), come("192.0.2.3"));
        one.begun();
        let left = |place: &Place| !admission.state().unproved.contains_key(&place.number);
        let four = come("192.0.2.4");
        assert_eq!([&one, &two, &three].map(left), [false, true, false], "one has something under way");
        two.ended();
        three.proved();
        four.begun();
        let five = come("192.0.2.5");
        assert!(left(&one) && !left(&four), "where all have something under way, the one that began first");
        four.proved();
        five.proved();
        assert_eq!(word(&judge("192.0.2.6")), "refuse", "who has proved something stays");
        assert_eq!((admission.counts().open, admission.counts().displaced), (3, 2));
        drop((one, two));
        assert_eq!(admission.counts().open, 3, "their places were given back before");
        drop((three, four, five));
        assert_eq!(admission.counts().open, 0);
        assert!(admission.state().by_network.is_empty() && admission.state().displaced.is_empty());
    }

    /// Something else beside it makes nobody's transaction younger.
    ///
    /// proves: TRA-24
    #[test]
    fn who_began_first_goes_first() {
        let admission = admission(2, 2, 100);
        let come = |address: &str| match admission.judge(address.parse().unwrap(), None, true) {
            Verdict::Admit(mut place) => {
                place.authenticated();
                place.taken_by(WeakLink::default());
                place.begun();
                place
            }
            other => panic!("{address}: {}", word(&other)),
        };
        let (one, two) = (come("192.0.2.1"), come("192.0.2.2"));
        one.begun();
        one.ended();
        let _three = come("192.0.2.3");
        let left = |place: &Place| !admission.state().unproved.contains_key(&place.number);
        assert!(left(&one) && !left(&two));
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
