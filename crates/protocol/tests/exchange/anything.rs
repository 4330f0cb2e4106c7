//! Any row of steps.

use message::{Code, Selection};
use proptest::prelude::*;
use waxwing_protocol::limits::WANTS_MAX;
use waxwing_protocol::*;

use super::arbitrary::any_frame;
use super::letter::{both_accepted, offer, pieces, supply, window};

#[derive(Debug, Clone)]
enum Step {
    Octets(Vec<u8>),
    End,
    Want(Selection),
    Answer,
    Fail,
}

fn any_step() -> impl Strategy<Value = Step> {
    let right = prop_oneof![
        Just(pieces().manifest),
        Just(pieces().seals),
        Just(pieces().headers),
        prop::sample::select(vec![Eager::Nothing, Eager::Headers, Eager::All])
            .prop_map(|eager| encode(&Frame::Offer(Box::new(Offer { eager, ..offer() }))).to_vec()),
    ];
    let selection = prop::sample::select(vec![
        Selection::All,
        Selection::Digest,
        Selection::Text,
        Selection::Parts(vec![(1, 0)]),
        Selection::Range { part: 1, offset: 0, octets: 1 },
    ]);
    prop_oneof![
        4 => right.prop_map(Step::Octets),
        2 => any_frame().prop_map(|frame| Step::Octets(encode(&frame).to_vec())),
        1 => any::<Vec<u8>>().prop_map(Step::Octets),
        1 => Just(Step::End),
        2 => selection.prop_map(Step::Want),
        1 => Just(Step::Answer),
        1 => Just(Step::Fail),
    ]
}

proptest! {
    /// Whatever comes in whatever order: no panic, at most one answer, nothing to do after the end.
    ///
    /// proves: EXC-5, EXC-8, SEC-1
    #[test]
    fn no_row_of_steps_makes_a_machine_panic(steps in proptest::collection::vec(any_step(), 0..12)) {
        let mut answering = Answering::new(0, Protocol::Exchange);
        let mut offering = Offering::new(0, offer(), supply(), &window(0));
        let mut asking = Asking::new(0, &Frame::Fetch {
            identity: offer().envelope.identity, selection: Selection::All,
        });
        let (mut finished, mut supplied) = (0, 0);
        for step in steps {
            match step {
                Step::Octets(octets) => {
                    let _ = answering.handle(0, Some(&octets));
                    let _ = offering.handle(0, Some(&octets));
                    let _ = asking.handle(0, Some(&octets));
                }
                Step::End => {
                    let _ = answering.handle(0, None);
                    let _ = offering.handle(0, None);
                    let _ = asking.handle(0, None);
                }
                Step::Want(wanted) => drop(answering.want(0, wanted)),
                Step::Answer => answering.answer(&both_accepted()),
                Step::Fail => answering.fail(Failure { code: Code::SYSTEM_TROUBLE, text: String::new() }),
            }
            while let Some(output) = answering.poll() {
                match output {
                    AnsweringOutput::Finish => finished += 1,
                    AnsweringOutput::Event(AnsweringEvent::Supplied) => supplied += 1,
                    _ => {}
                }
            }
            while offering.poll().is_some() {}
            while asking.poll().is_some() {}
        }
        prop_assert!(finished <= 1);
        prop_assert!(supplied <= WANTS_MAX + 1);
    }
}
