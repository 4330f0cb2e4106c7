//! The order in which the targets of a service are tried (RFC 2782, "Usage rules").

use crate::Srv;

/// Puts SRV records into the order of RFC 2782: by priority, and within one priority drawn by weight.
///
/// `random(bound)` gives a uniform number in `0..bound`; numbers outside are taken as `bound - 1`. Records whose
/// target is the root ("not here") or whose port is 0 name no place and are left out. keeps: DISCOVERY-5
#[must_use]
pub fn order(records: Vec<Srv>, mut random: impl FnMut(u32) -> u32) -> Vec<Srv> {
    let mut left: Vec<Srv> =
        records.into_iter().filter(|srv| srv.target.is_some() && srv.port != 0).collect();
    // Within a priority the records of weight 0 stand first, so that they are chosen only by the number 0.
    left.sort_by_key(|srv| (srv.priority, srv.weight != 0));
    let mut ordered = Vec::with_capacity(left.len());
    while let Some(first) = left.first() {
        let priority = first.priority;
        let group = left.iter().take_while(|srv| srv.priority == priority);
        let total: u32 = group.map(|srv| u32::from(srv.weight)).fold(0, u32::saturating_add);
        let chosen = chosen(&left, random(total.saturating_add(1)).min(total));
        ordered.push(left.remove(chosen));
    }
    ordered
}

/// True where the records say that the service is decidedly not available: there are some, and every target is
/// the root. keeps: DISCOVERY-4
#[must_use]
pub fn is_not_here(records: &[Srv]) -> bool {
    !records.is_empty() && records.iter().all(|srv| srv.target.is_none())
}

/// The first record whose running sum of weights reaches the number drawn. The number is at most the sum of the
/// first priority's weights, so the search ends within that priority.
fn chosen(left: &[Srv], drawn: u32) -> usize {
    let mut sum: u32 = 0;
    left.iter()
        .position(|srv| {
            sum = sum.saturating_add(u32::from(srv.weight));
            sum >= drawn
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(priority: u16, weight: u16, target: &str) -> Srv {
        Srv { priority, weight, port: 7625, target: (target != ".").then(|| target.to_owned()) }
    }

    fn hosts(records: &[Srv]) -> Vec<&str> {
        records.iter().filter_map(|srv| srv.target.as_deref()).collect()
    }

    #[test] // proves: DISCOVERY-5
    fn order_follows_the_numbers_drawn() {
        let check = |records: &[Srv], draws: &[u32], expected: &[&str]| {
            let mut draws = draws.iter().copied();
            let ordered = order(records.to_vec(), |_| draws.next().unwrap_or(0));
            assert_eq!(hosts(&ordered), expected, "{records:?}");
        };
        let by_priority = [record(20, 0, "c"), record(0, 0, "a"), record(10, 65535, "b")];
        check(&by_priority, &[], &["a", "b", "c"]);
        // RFC 2782: the running sums are 0 (zero), 1 (one), 4 (three); the first that is at least the number wins.
        let weighted = [record(0, 1, "one"), record(0, 3, "three"), record(0, 0, "zero")];
        check(&weighted, &[0, 0, 0], &["zero", "one", "three"]);
        check(&weighted, &[1, 0, 0], &["one", "zero", "three"]);
        check(&weighted, &[2, 1, 0], &["three", "one", "zero"]);
        check(&weighted, &[4, 1, 0], &["three", "one", "zero"]);
        check(&weighted, &[u32::MAX, u32::MAX, u32::MAX], &["three", "one", "zero"]);
        check(&[record(0, 0, ".")], &[], &[]);
        check(&[record(0, 0, "."), record(1, 0, "a")], &[], &["a"]);
        check(&[Srv { port: 0, ..record(0, 0, "a") }], &[], &[]);
        check(&[], &[], &[]);
    }

    #[test] // proves: DISCOVERY-4
    fn only_a_root_target_says_not_here() {
        let check =
            |records: &[Srv], expected: bool| assert_eq!(is_not_here(records), expected, "{records:?}");
        check(&[record(0, 0, ".")], true);
        check(&[record(0, 0, "."), record(0, 0, "a")], false);
        check(&[record(0, 0, "a")], false);
        check(&[], false);
    }

    #[test] // proves: DISCOVERY-5
    fn shares_follow_the_weights() {
        // A plain linear congruential generator with a fixed seed: the test always draws the same numbers.
        let mut state: u64 = 7;
        let mut random = |bound: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from((state >> 33) % u64::from(bound)).unwrap()
        };
        let records = vec![record(0, 10, "ten"), record(0, 30, "thirty"), record(0, 60, "sixty")];
        let mut first = std::collections::HashMap::new();
        for _ in 0..10_000 {
            let ordered = order(records.clone(), &mut random);
            *first.entry(hosts(&ordered)[0].to_owned()).or_insert(0_i32) += 1;
        }
        // The number 0 of 0..=100 goes to the first record as well, so its share is 11 of 101. Five standard
        // deviations of 10,000 draws are at most 250.
        for (host, expected) in [("ten", 1089), ("thirty", 2970), ("sixty", 5941)] {
            assert!((first[host] - expected).abs() < 250, "{host}: {} of 10000", first[host]);
        }
    }

    proptest! {
        #[test]
        fn order_keeps_every_place_and_every_priority(
            weights in proptest::collection::vec((0_u16..4, any::<u16>()), 0..40),
            draws in proptest::collection::vec(any::<u32>(), 40),
        ) {
            let records: Vec<Srv> =
                weights.iter().enumerate().map(|(at, (p, w))| record(*p, *w, &format!("h{at}"))).collect();
            let mut draws = draws.into_iter();
            let ordered = order(records.clone(), |_| draws.next().unwrap_or(0));
            prop_assert!(ordered.is_sorted_by_key(|srv| srv.priority));
            let (mut before, mut after) = (hosts(&records), hosts(&ordered));
            before.sort_unstable();
            after.sort_unstable();
            prop_assert_eq!(before, after);
        }
    }
}
