//! The suite that every engine passes: the same list of tests over any way to open a store.
//!
//! An engine crate calls [`run`] with a function that makes a new, empty place and returns how to open (and open
//! again) the store in it; embedded engines also call [`run_engine`], [`run_crashes`] and
//! [`run_kills`].

mod accept;
mod content;
mod correspondent;
mod crash;
#[cfg(test)]
mod damage;
mod engine;
mod fault;
mod fixture;
mod forwarding;
mod keys;
mod kill;
mod legacy;
mod peer;
mod queue;
mod status;
mod upkeep;

pub use crash::{OpenEngine, run_crashes};
pub use engine::{run_engine, run_room};
pub use fault::{Counter, Faults, FaultyEngine};
#[cfg(test)]
pub(crate) use fault::{Tamper, Tampered};
pub use fixture::block_on;
pub use kill::run_kills;

use crate::Store;

/// Opens the store of one place; called again after the store was dropped, it opens what is there.
pub type Open = Box<dyn Fn() -> Box<dyn Store>>;

/// One test.
type Test = fn(&Open);

/// The tests by name.
const TESTS: &[(&str, Test)] = &[
    ("a_message_comes_back_as_it_was", content::a_message_comes_back_as_it_was),
    ("a_part_is_resumed_where_it_stopped", content::a_part_is_resumed_where_it_stopped),
    ("wrong_octets_are_thrown_away", content::wrong_octets_are_thrown_away),
    ("a_part_is_known_to_its_sender_only", content::a_part_is_known_to_its_sender_only),
    ("content_goes_with_its_last_holder", content::content_goes_with_its_last_holder),
    ("each_delivery_has_its_own_seals", content::each_delivery_has_its_own_seals),
    ("an_envelope_that_waits_keeps_its_seals", content::an_envelope_that_waits_keeps_its_seals),
    ("equal_leaves_may_come_in_any_order", content::equal_leaves_may_come_in_any_order),
    ("the_same_offer_has_one_effect", accept::the_same_offer_has_one_effect),
    ("an_acceptance_is_all_or_nothing", accept::an_acceptance_is_all_or_nothing),
    ("what_does_not_belong_together_is_refused", accept::what_does_not_belong_together_is_refused),
    ("held_mail_is_completed_and_delivered", accept::held_mail_is_completed_and_delivered),
    ("a_mailbox_has_each_message_once", accept::a_mailbox_has_each_message_once),
    ("what_is_elsewhere_is_recorded_without_content", accept::what_is_elsewhere_is_recorded_without_content),
    ("the_final_answer_travels_back", queue::the_final_answer_travels_back),
    ("a_stale_fence_changes_nothing", queue::a_stale_fence_changes_nothing),
    ("lanes_are_served_in_turn", queue::lanes_are_served_in_turn),
    ("legs_are_counted_by_age", queue::legs_are_counted_by_age),
    ("a_claim_costs_what_it_takes", queue::a_claim_costs_what_it_takes),
    ("legs_are_held_released_and_removed", queue::legs_are_held_released_and_removed),
    ("a_clock_that_was_ahead_keeps_nothing_waiting", queue::a_clock_that_was_ahead_keeps_nothing_waiting),
    ("much_that_is_over_goes_in_steps", upkeep::much_that_is_over_goes_in_steps),
    ("what_waits_for_an_answer_is_not_hastened", queue::what_waits_for_an_answer_is_not_hastened),
    ("restarts_void_claims", queue::restarts_void_claims),
    ("a_submitter_can_give_up", queue::a_submitter_can_give_up),
    ("foreign_and_unknown_cookies_look_alike", status::foreign_and_unknown_cookies_look_alike),
    ("the_journal_keeps_first_and_last", status::the_journal_keeps_first_and_last),
    ("envelopes_are_listed", status::envelopes_are_listed),
    ("accounts_are_found_by_their_ways", status::accounts_are_found_by_their_ways),
    ("correspondents_are_kept", correspondent::correspondents_are_kept),
    ("whoever_is_written_to_is_known", correspondent::whoever_is_written_to_is_known),
    ("the_oldest_who_are_only_known_make_room", correspondent::the_oldest_who_are_only_known_make_room),
    ("forwardings_are_kept", forwarding::forwardings_are_kept),
    ("grants_are_kept", forwarding::grants_are_kept),
    ("what_is_forwarded_keeps_its_recipient", forwarding::what_is_forwarded_keeps_its_recipient),
    ("statements_enter_the_log", keys::statements_enter_the_log),
    ("spellings_of_an_address_count_together", keys::spellings_of_an_address_count_together),
    ("pins_are_kept", keys::pins_are_kept),
    (
        "a_correspondent_is_pinned_whoever_fills_the_list",
        keys::a_correspondent_is_pinned_whoever_fills_the_list,
    ),
    (
        "heads_follow_one_another_and_contradictions_stay",
        keys::heads_follow_one_another_and_contradictions_stay,
    ),
    ("peers_are_remembered", peer::peers_are_remembered),
    ("what_is_pending_is_counted_by_peer", peer::what_is_pending_is_counted_by_peer),
    ("records_of_the_gateway_are_kept", legacy::records_of_the_gateway_are_kept),
    ("a_proved_legacy_sender_is_told_of_failures", legacy::a_proved_legacy_sender_is_told_of_failures),
    ("legacy_holders_are_told_apart", legacy::legacy_holders_are_told_apart),
    ("retention_ends", upkeep::retention_ends),
    ("a_sound_store_has_no_findings", upkeep::a_sound_store_has_no_findings),
    ("everything_is_exported", upkeep::everything_is_exported),
];

/// Runs every test, each in a place of its own. Panics where one fails.
pub fn run(make: &dyn Fn() -> Open) {
    for (name, test) in TESTS {
        println!("{name}");
        test(&make());
    }
}
