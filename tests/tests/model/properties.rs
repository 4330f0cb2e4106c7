//! What must hold in every state, and what must be possible at all.

use stateright::Property;

use super::world::{Final, State, World};

/// All of them.
pub(crate) fn all() -> Vec<Property<World>> {
    let mut properties = vec![
        Property::always("delivered once at most", |_, state: &State| {
            state.mailboxes.iter().all(|count| *count <= 1)
        }),
        Property::always("what is final stays", |_, state: &State| !state.changed),
        Property::always("a cookie is answered to its holder only", |_, state: &State| !state.betrayed),
        Property::always("the last node knows its mailboxes", |world: &World, state: &State| {
            let last = &state.nodes[world.nodes - 1];
            (0..world.recipients).all(|recipient| {
                let accepted = last.records[recipient].and_then(|one| one.outcome) == Some(Final::Accepted);
                accepted == (state.mailboxes[recipient] == 1)
            })
        }),
        Property::always("accepted is in the mailbox", |world: &World, state: &State| {
            every_author(world, state, |outcome, mails, _| outcome != Final::Accepted || mails == 1)
        }),
        // "Withdrawn" and "expired" as a node decided them by itself say what it did, not what became of the message:
        // it may have been accepted in the moment before (STA-8, STA-10). "Refused" always means that it is not there.
        Property::always("what is not accepted is not in the mailbox", |world: &World, state: &State| {
            every_author(world, state, |outcome, mails, gave_up| match outcome {
                Final::Accepted => true,
                Final::Refused | Final::Relayed => mails == 0,
                Final::Withdrawn | Final::Expired => mails == 0 || gave_up,
            })
        }),
    ];
    properties.extend([
        Property::sometimes(
            "accepted, or relayed where that is all there is",
            |world: &World, state: &State| {
                author_is(state, if world.legacy { Final::Relayed } else { Final::Accepted })
            },
        ),
        Property::sometimes("refused", |_, state: &State| author_is(state, Final::Refused)),
        Property::sometimes("withdrawn", |world: &World, state: &State| {
            !world.endings || author_is(state, Final::Withdrawn)
        }),
        Property::sometimes("expired", |world: &World, state: &State| {
            !world.endings || author_is(state, Final::Expired)
        }),
        Property::sometimes("withdrawn and yet delivered", |world: &World, state: &State| {
            !world.endings || world.legacy || (author_is(state, Final::Withdrawn) && state.mailboxes[0] == 1)
        }),
    ]);
    properties
}

/// Whether everything has come to its end.
pub(crate) fn is_final(state: &State) -> bool {
    state.nodes[0].records.iter().flatten().all(|record| record.outcome.is_some())
}

fn author_is(state: &State, outcome: Final) -> bool {
    state.nodes[0].records[0].and_then(|record| record.outcome) == Some(outcome)
}

/// For each recipient that is final for the author: that outcome, the mails, and whether somebody gave up.
fn every_author(world: &World, state: &State, holds: impl Fn(Final, u8, bool) -> bool) -> bool {
    (0..world.recipients).all(|recipient| {
        let outcome = state.nodes[0].records[recipient].and_then(|record| record.outcome);
        outcome.is_none_or(|outcome| holds(outcome, state.mailboxes[recipient], state.gave_up[recipient]))
    })
}
