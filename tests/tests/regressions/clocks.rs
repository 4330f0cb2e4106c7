//! Nodes whose clocks are wrong.

use std::sync::Arc;

use message::address::Address;
use testkit::Plan;
use testkit::plan::{FAIR, Happening, Writing};
use waxwing_tests::simulation::HouseDoors;

const MINUTE_MS: u64 = 60_000;

/// A seal from the future is no broken one: it will be good when the clocks agree. Mail to a node whose clock was an hour
/// behind was refused for good.
///
/// proves: EXC-17
#[test]
fn a_clock_that_is_behind_refuses_nobody() {
    let mut plan = Plan::of(1);
    plan.sites.truncate(2);
    plan.weather = FAIR;
    plan.sites.iter_mut().for_each(|site| {
        site.via.clear();
        site.relays.clear();
    });
    let writing = Writing {
        site: 0,
        user: "ann",
        recipients: vec![Address::from_wire(&format!("bob@{}", plan.sites[1].domain)).unwrap()],
        octets: 100,
        number: 1,
        release_after_seconds: 0,
        withdraw_after_ms: None,
    };
    let hour_ms = 60 * MINUTE_MS as i64;
    plan.happenings = vec![
        (0, Happening::Jump { site: 1, by_ms: -hour_ms }),
        (MINUTE_MS, Happening::Write(writing)),
        (30 * MINUTE_MS, Happening::Jump { site: 1, by_ms: hour_ms }),
    ];
    let ended = testkit::run(&plan, Arc::new(HouseDoors), true);
    assert_eq!(ended.broken, [], "{:#?}", ended.story);
    assert_eq!((ended.outcomes.get("accepted"), ended.delivered), (Some(&1), 1), "{:#?}", ended.story);
}
