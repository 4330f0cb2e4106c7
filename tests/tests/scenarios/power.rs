//! The power goes at every durable step of a letter's way.

use std::sync::Arc;

use message::address::{Address, Domain};
use testkit::disk::{LogPlan, PowerCut};
use testkit::plan::{FAIR, Happening, SitePlan, Writing};
use testkit::{Plan, Vice};
use waxwing_tests::simulation::HouseDoors;

const MINUTE_MS: u64 = 60_000;

fn domain(place: usize) -> Domain {
    Domain::from_wire(&format!("d{place}.test")).unwrap()
}

/// A letter from the first of three nodes, by the second as a relay, to people at the third: to one who has it at once,
/// to one who decides, to nobody; and to one at the first node itself. One of them has a large part to keep.
fn plan(site: usize, log: Option<LogPlan>, cut: PowerCut) -> Plan {
    let mut sites: Vec<SitePlan> = (0..3)
        .map(|place| SitePlan {
            domain: domain(place),
            eager_octets: 1_000,
            queue_ms: 24 * 60 * MINUTE_MS,
            poll_min_seconds: 60,
            relays: Vec::new(),
            via: Vec::new(),
            vice: Vice::None,
            log,
        })
        .collect();
    sites[0].via.push((domain(2), 1));
    sites[1].relays.push((domain(0), domain(2)));
    let to = ["bob@d2.test", "carol@d2.test", "nobody@d2.test", "bob@d0.test"];
    let writing = Writing {
        site: 0,
        user: "ann",
        recipients: to.iter().map(|text| Address::from_wire(text).unwrap()).collect(),
        octets: 50_000,
        number: 1,
        release_after_seconds: 0,
        withdraw_after_ms: None,
    };
    let happenings = vec![
        (0, Happening::PowerCut { site, cut, for_ms: 3 * MINUTE_MS }),
        (1_000, Happening::Write(writing)),
        // After the longest that a site can be away: what is remembered of peers is written in the first minutes, too.
        (11 * MINUTE_MS, Happening::Decide { site: 2, accept: true }),
        // Whoever has found the node away, or was told that it did not work, tries again.
        (21 * MINUTE_MS, Happening::Decide { site: 2, accept: true }),
        (30 * MINUTE_MS, Happening::Read { site: 2 }),
    ];
    Plan { seed: 1, sites, weather: FAIR, happenings }
}

/// proves: STO-1, EXC-12
#[test]
fn the_power_may_go_at_any_durable_step() {
    at_every_step(None, 5);
}

/// The same over a log of so few blocks that each file is written several times.
///
/// proves: STO-1, STO-26, STO-28
#[test]
fn the_power_may_go_at_any_durable_step_of_a_log() {
    at_every_step(Some(LogPlan { octets_max: 4 * 4096, settle_after: 2, seed: 7 }), 30);
}

fn at_every_step(log: Option<LogPlan>, least: u64) {
    for site in 0..3 {
        let mut steps = 0;
        let cut_at = |steps, after| cut(site, log, PowerCut { steps, after });
        while cut_at(steps, false) | cut_at(steps, true) {
            steps += 1;
        }
        println!("d{site}: {steps} durable steps");
        assert!(steps >= least, "d{site} has only {steps} durable steps");
    }
}

/// Whether there is such a step.
fn cut(site: usize, log: Option<LogPlan>, cut: PowerCut) -> bool {
    let ended = testkit::run(&plan(site, log, cut), Arc::new(HouseDoors), true);
    assert_eq!(ended.broken, [], "d{site}, {cut:?}: {:#?}", ended.story);
    assert_eq!(ended.delivered, 3, "d{site}, {cut:?}: {:#?}", ended.story);
    assert_eq!(
        (ended.outcomes["accepted"], ended.outcomes["refused"]),
        (3, 1),
        "{cut:?}: {:#?}",
        ended.story
    );
    let started = format!(" d{site}       starts");
    ended.story.iter().filter(|line| line.ends_with(&started)).count() > 1
}
