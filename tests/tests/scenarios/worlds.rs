//! Worlds as they are.

use std::sync::Arc;

use testkit::Plan;
use waxwing_tests::simulation::{HouseDoors, simulate, sweep};

/// Worlds that every run of the tests goes through; `scripts/simulate` goes through any number.
const SEEDS: u64 = 200;

/// proves: STA-5, STO-12
#[test]
fn what_must_hold_holds_in_two_hundred_worlds() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let all = sweep(0..SEEDS, threads, &|_| {});
    assert_eq!(all.failed, [], "scripts/simulate --seed S tells the story");
    assert_eq!(all.worlds, SEEDS);
    // Where little happens, little is shown.
    assert!(all.acknowledged > 2_000 && all.delivered > 4_000, "{all:?}");
    for (word, least) in [("accepted", 4_000), ("refused", 500), ("withdrawn", 100), ("expired", 20)] {
        assert!(all.outcomes.get(word).is_some_and(|count| *count >= least), "{word}: {:?}", all.outcomes);
    }
    // The logs were turned, and the power has left some of what they had written.
    let logs = all.logs;
    assert!(logs.heads - 2 * logs.opened > 8_000 && logs.torn > 40, "{logs:?}");
    assert!(logs.kept > 10 && logs.lost > 10 && logs.read > 10, "{logs:?}");
}

#[test]
fn the_same_seed_comes_out_the_same() {
    for seed in [3, 14, 159] {
        let (once, again) = (simulate(seed), simulate(seed));
        assert_eq!((once.digest, once.happened), (again.digest, again.happened), "seed {seed}");
        let told = testkit::run(&Plan::of(seed), Arc::new(HouseDoors), true);
        assert_eq!((told.digest, told.story.len() as u64), (once.digest, once.happened), "seed {seed}, told");
    }
    assert_ne!(simulate(1).digest, simulate(2).digest);
}
