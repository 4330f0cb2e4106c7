//! The status-cookie exchange, model-checked: every state of small worlds is visited (`world.rs`), the properties are
//! looked at in each (`properties.rs`), mistakes that are built in on purpose are found, and the model is held to the
//! real store by walking through both side by side (`replay.rs`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod late;
mod properties;
mod replay;
mod world;

use std::collections::HashMap;

use stateright::{Checker, HasDiscoveries, Model};
use world::{Mistake, World};

const TWO: World = World {
    nodes: 2,
    recipients: 1,
    endings: true,
    crashes: 2,
    messages: 3,
    works: 2,
    legacy: false,
    mistake: None,
};
const TWO_FOR_TWO: World = World { recipients: 2, crashes: 1, messages: 1, works: 1, ..TWO };
const RELAY: World = World { nodes: 3, crashes: 1, messages: 2, works: 1, ..TWO };
const GATEWAY: World = World { legacy: true, ..RELAY };

#[test]
fn one_recipient_without_a_relay() {
    check(TWO);
}

#[test]
fn two_recipients_without_a_relay() {
    check(TWO_FOR_TWO);
}

#[test]
fn one_recipient_behind_a_relay() {
    check(RELAY);
}

/// proves: EXC-30
#[test]
fn one_recipient_behind_a_gateway() {
    check(GATEWAY);
}

fn check(world: World) {
    let checker = world.checker().threads(2).spawn_bfs().join();
    println!(
        "{} nodes, {} recipients: {} states, depth {}",
        world.nodes,
        world.recipients,
        checker.unique_state_count(),
        checker.max_depth()
    );
    checker.assert_properties();
}

#[test]
fn mistakes_are_found() {
    let check = |mistake: Mistake, property: &'static str| {
        let world = World { mistake: Some(mistake), messages: 2, works: 1, ..TWO };
        let found_out = HasDiscoveries::AnyOf([property].into());
        let found = world.checker().finish_when(found_out).spawn_bfs().join().discovery(property);
        let path = found.unwrap_or_else(|| panic!("{mistake:?} is not found out by: {property}"));
        println!("{mistake:?}: {property}: {:?}", path.into_actions());
    };
    check(Mistake::NoOnceRecord, "delivered once at most");
    check(Mistake::NoOnceRecord, "what is final stays");
    check(Mistake::CookieForAnybody, "a cookie is answered to its holder only");
    check(Mistake::AnswerBeforeCommit, "accepted is in the mailbox");
}

/// From every state, with messages getting through again and nobody giving up, all recipients become final: nothing is
/// ever stuck. (That they do so is then a matter of fairness; `eventually` would not see through circles of states.)
#[test]
fn every_recipient_can_always_become_final() {
    for world in [TWO, TWO_FOR_TWO, RELAY, GATEWAY] {
        let world = World { endings: false, ..world };
        let (states, stuck) = stuck_states(&world);
        println!("{} nodes, {} recipients: {states} states, {stuck} stuck", world.nodes, world.recipients);
        assert_eq!(stuck, 0);
    }
}

/// How many states there are, and from how many of them no end can be reached.
fn stuck_states(world: &World) -> (usize, usize) {
    let mut known = HashMap::new();
    let mut states = world.init_states();
    let mut before: Vec<Vec<usize>> = vec![Vec::new()];
    known.insert(states[0].clone(), 0);
    let mut at = 0;
    while at < states.len() {
        for next in world.next_states(&states[at].clone()) {
            if !world.within_boundary(&next) {
                continue;
            }
            let place = *known.entry(next.clone()).or_insert_with(|| {
                states.push(next);
                before.push(Vec::new());
                states.len() - 1
            });
            before[place].push(at);
        }
        at += 1;
    }
    let mut ends: Vec<usize> = (0..states.len()).filter(|at| properties::is_final(&states[*at])).collect();
    let mut reached = vec![false; states.len()];
    while let Some(at) = ends.pop() {
        if !std::mem::replace(&mut reached[at], true) {
            ends.extend(&before[at]);
        }
    }
    if let Some(at) = reached.iter().position(|one| !one) {
        println!("stuck: {:?}", states[at]);
    }
    (states.len(), reached.iter().filter(|one| !**one).count())
}
