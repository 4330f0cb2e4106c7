//! What clients of the old world were proved to be: pairs of a client and the domain of a return path, for a day. Nothing that
//! fails takes a pair away, since others may bring mail from the same machine.
//!
//! keeps: REP-21

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use message::address::Domain;
use storage::LegacyOrigin;

use crate::limits::{PROVED_BY_ONE_MAX, RATES_MAX};
use crate::rates::{owner, registered};

/// For how long it counts: the next mail of such a client comes within a day.
pub(crate) const PROVED_MS: u64 = 24 * 3_600_000;

/// The pairs, in the order in which they were last proved; so the oldest is found without looking at the others.
#[derive(Debug, Default)]
pub(crate) struct Proved {
    /// The turn of each.
    turns: HashMap<Pair, u64>,
    /// What was noted in each turn, and when.
    by_turn: BTreeMap<u64, (Pair, u64)>,
    /// The turns of each group.
    groups: HashMap<Group, BTreeSet<u64>>,
    next: u64,
}

type Pair = (IpAddr, Domain);

/// The network of a client, and the registered domain: names below that cost nothing, and one machine could fill the table
/// with them.
type Group = (String, String);

impl Proved {
    /// Mail of this client was proved to be from this domain. Where there is no room the oldest goes.
    pub(crate) fn note(&mut self, client: IpAddr, domain: &Domain, now_ms: u64) {
        let pair = (client, domain.clone());
        let of_group = self.groups.get(&group_of(&pair));
        let oldest_of_group = of_group
            .filter(|turns| turns.len() >= PROVED_BY_ONE_MAX)
            .and_then(|turns| turns.first().copied());
        let oldest = || self.by_turn.keys().next().copied().filter(|_| self.by_turn.len() >= RATES_MAX);
        if let Some(gone) = self.turns.get(&pair).copied().or(oldest_of_group).or_else(oldest) {
            self.remove(gone);
        }
        let turn = self.next;
        self.next += 1;
        self.groups.entry(group_of(&pair)).or_default().insert(turn);
        self.turns.insert(pair.clone(), turn);
        self.by_turn.insert(turn, (pair, now_ms));
    }

    /// Whether it was, within a day.
    pub(crate) fn has(&self, client: IpAddr, domain: &Domain, now_ms: u64) -> bool {
        let turn = self.turns.get(&(client, domain.clone()));
        let noted = turn.and_then(|turn| self.by_turn.get(turn));
        noted.is_some_and(|(_, at_ms)| now_ms.abs_diff(*at_ms) < PROVED_MS)
    }

    fn remove(&mut self, turn: u64) {
        let Some((pair, _)) = self.by_turn.remove(&turn) else { return };
        self.turns.remove(&pair);
        let group = group_of(&pair);
        if let Some(turns) = self.groups.get_mut(&group) {
            turns.remove(&turn);
            if turns.is_empty() {
                self.groups.remove(&group);
            }
        }
    }
}

fn group_of((client, domain): &Pair) -> Group {
    let network = owner(&LegacyOrigin::holder_of(*client, None)).into_owned();
    (network, registered(domain).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn domain(name: &str) -> Domain {
        Domain::from_wire(name).unwrap()
    }

    fn client(number: usize) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + number as u32).into())
    }

    /// proves: REP-21
    #[test]
    fn it_is_bounded_the_oldest_goes_and_all_fade() {
        let (mut proved, old) = (Proved::default(), domain("old.test"));
        for number in 0..RATES_MAX {
            proved.note(client(number), &old, NOW);
        }
        assert!(proved.has(client(0), &old, NOW + PROVED_MS - 1));
        assert!(!proved.has(client(0), &old, NOW + PROVED_MS));
        assert!(!proved.has(client(0), &domain("other.test"), NOW));
        // What is proved again is the newest.
        proved.note(client(0), &old, NOW);
        for number in RATES_MAX..RATES_MAX + 10 {
            proved.note(client(number), &old, NOW);
            assert!(proved.has(client(number), &old, NOW));
        }
        assert!(proved.has(client(0), &old, NOW) && proved.has(client(11), &old, NOW));
        assert!((1..11).all(|number| !proved.has(client(number), &old, NOW)));
        assert_eq!((proved.by_turn.len(), proved.turns.len()), (RATES_MAX, RATES_MAX));
        assert_eq!(proved.groups.len(), RATES_MAX);
    }

    /// A machine that is proved for whatever is below a domain pushes nobody else out, whichever of its addresses it has.
    ///
    /// proves: REP-21
    #[test]
    fn names_below_one_domain_do_not_fill_it() {
        let (mut proved, old) = (Proved::default(), domain("old.test"));
        proved.note(client(0), &old, NOW);
        for number in 0..RATES_MAX {
            let name = domain(&format!("h{number}.evil.test"));
            proved.note(format!("2001:db8::{number:x}").parse().unwrap(), &name, NOW);
        }
        assert_eq!(proved.by_turn.len(), PROVED_BY_ONE_MAX + 1);
        assert!(proved.has(client(0), &old, NOW));
        let last = RATES_MAX - 1;
        let of_last = format!("2001:db8::{last:x}").parse().unwrap();
        assert!(proved.has(of_last, &domain(&format!("h{last}.evil.test")), NOW));
    }
}
