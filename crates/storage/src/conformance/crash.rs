//! The plug is pulled at every durable step of a story, once before and once after the step is carried out.
//!
//! The story is told once without faults, and after each of its verbs what the store holds is written down. After a
//! crash and a new start the store must hold just what it held after the last verb that was acknowledged, or after
//! the one that was under way: nothing acknowledged is lost, and nothing is there by half.

use std::path::PathBuf;

use message::{Cookie, Disposition, Message};

use super::fault::{Faults, FaultyEngine};
use super::fixture::*;
use super::queue::settlement;
use crate::engine::Engine;
use crate::files::Files;
use crate::{Decision, EnvelopeId, Error, Exported, FindingKind, Keeper, Outcome, Ruling, Settings, Store};

/// Opens the engine of one place, and says in which directory its files are.
pub type OpenEngine<E> = Box<dyn Fn() -> (E, PathBuf)>;

/// One verb of the story. Those that may be told twice have the same effect as once.
struct Verb {
    tell: fn(&dyn Store) -> Result<(), Error>,
    repeatable: bool,
}

const STORY: &[Verb] = &[
    Verb { tell: |store| add_account(store, "ann"), repeatable: true },
    Verb {
        tell: |store| block_on(store.put_peers(vec![super::peer::record("peer.test", 1)])),
        repeatable: true,
    },
    Verb { tell: accept_for_three, repeatable: true },
    Verb { tell: accept_the_same_part, repeatable: true },
    Verb { tell: settle_one, repeatable: false },
    Verb { tell: settle_one, repeatable: false },
    Verb { tell: deliver_what_is_held, repeatable: false },
    Verb { tell: remove_mail, repeatable: false },
    Verb { tell: submit, repeatable: false },
    Verb { tell: withdraw, repeatable: false },
    Verb { tell: forget_everything, repeatable: true },
    Verb { tell: accept_the_same_part, repeatable: true },
];

fn first() -> Message {
    letter("first", &[octets(1, 400), octets(2, LARGE)])
}

fn second() -> Message {
    letter("second", &[octets(2, LARGE)])
}

fn third() -> Message {
    letter("third", &[octets(3, LARGE)])
}

fn accept_for_three(store: &dyn Store) -> Result<(), Error> {
    let to = vec![
        to_mailbox("ann@here.test", "ann"),
        to_queue("a@far.test", "far.test", 1),
        to_hold("info@here.test", "ann", 2),
    ];
    accept(store, &first(), peer(), to).map(|_| ())
}

fn accept_the_same_part(store: &dyn Store) -> Result<(), Error> {
    accept(store, &second(), peer(), vec![to_queue("b@far.test", "far.test", 3)]).map(|_| ())
}

fn settle_one(store: &dyn Store) -> Result<(), Error> {
    let claims = block_on(store.claim(NOW, 1, &|_, _| true))?;
    let place = claims[0].leg.recipients[0];
    let accepted = vec![(place, Outcome::Final(Disposition::Accepted))];
    block_on(store.settle(settlement(&claims[0], accepted, None))).map(|_| ())
}

fn deliver_what_is_held(store: &dyn Store) -> Result<(), Error> {
    let held = store.held(None, None, 1)?.remove(0);
    let ruling = Ruling::Deliver { account: "ann".to_owned(), seals: Vec::new(), message: None };
    let decision = Decision { envelope: held.envelope, recipient: held.recipient, ruling, now_ms: NOW };
    block_on(store.decide(decision)).map(|_| ())
}

fn remove_mail(store: &dyn Store) -> Result<(), Error> {
    let mail = store.mailbox("ann", None, 1)?.remove(0);
    block_on(store.remove_mail("ann", mail.uid))
}

fn submit(store: &dyn Store) -> Result<(), Error> {
    accept(store, &third(), user(), vec![to_queue("c@far.test", "far.test", 4)]).map(|_| ())
}

fn withdraw(store: &dyn Store) -> Result<(), Error> {
    let envelope = store.envelopes_of("ann", None, 1)?.remove(0);
    block_on(store.withdraw(envelope.id, "ann", NOW)).map(|_| ())
}

fn forget_everything(store: &dyn Store) -> Result<(), Error> {
    block_on(store.expire(NOW * 2, 100)).map(|_| ())
}

/// All that the store holds, in words.
fn contents(store: &dyn Store) -> String {
    let mut all = Vec::new();
    store
        .export(&mut |item| {
            assert!(!matches!(item, Exported::Skipped(_)), "{item:?}");
            all.push(format!("{item:?}"));
        })
        .unwrap();
    for message in [first(), second(), third()] {
        for (number, _, digest) in message.manifest().leaves() {
            if let Some(octets) = read_part(store, message.identity(), number) {
                assert_eq!(message::Digest::of(&octets), digest);
                all.push(format!("part {number} of {}", message.identity()));
            }
        }
    }
    for cookie in 1..=4 {
        for holder in ["peer.test", "account:ann"] {
            all.push(format!("{:?}", store.poll(holder, &[Cookie::from_bytes([cookie; 32])], NOW).unwrap()));
        }
    }
    for number in 0..20 {
        all.push(format!("{:?}", store.attempts(EnvelopeId(number)).unwrap()));
    }
    all.push(format!("{:?}", store.held(None, None, 100).unwrap()));
    all.push(format!(
        "{:?}",
        store.answered(&domain("peer.test"), first().identity(), &address("a@far.test"))
    ));
    all.push(format!("{:?}", store.lanes(None, 100).unwrap()));
    all.join("\n")
}

fn open_under<E: Engine>(open: &OpenEngine<E>, faults: &Faults) -> Result<Box<dyn Store>, Error> {
    let (engine, directory) = open();
    let files = Files::in_directory(&directory)?.with_faults(faults.clone());
    Ok(Box::new(Keeper::open_with(FaultyEngine::new(engine, faults.clone()), files, Settings::default())?))
}

/// Tells the story until a verb fails; returns how many were acknowledged.
fn tell(store: &dyn Store) -> usize {
    for (number, verb) in STORY.iter().enumerate() {
        match (verb.tell)(store) {
            Ok(()) => {}
            Err(Error::Unknown(_)) => {
                let refused = block_on(store.put_account(crate::AccountRecord {
                    name: "late".to_owned(),
                    addresses: Vec::new(),
                    password_hash: None,
                    scram: None,
                    devices: Vec::new(),
                    disabled: false,
                    notices: false,
                }));
                assert!(matches!(refused, Err(Error::ReadOnly(_))), "{refused:?}");
                assert!(store.statistics().read_only);
                return number;
            }
            // A step on files failed: nothing was committed.
            Err(Error::Io(_)) => return number,
            Err(other) => panic!("verb {number}: {other}"),
        }
    }
    STORY.len()
}

/// Pulls the plug at every durable step. Panics where something acknowledged is lost or something is there by half.
///
/// proves: STO-1, STO-6, STO-7
pub fn run_crashes<E: Engine>(make: &dyn Fn() -> OpenEngine<E>) {
    let faults = Faults::none();
    let open = make();
    let store = open_under(&open, &faults).unwrap();
    let mut states = vec![contents(&*store)];
    for (number, verb) in STORY.iter().enumerate() {
        (verb.tell)(&*store).unwrap_or_else(|error| panic!("verb {number}: {error}"));
        states.push(contents(&*store));
    }
    drop(store);
    for step in 1..=faults.steps() {
        for after in [false, true] {
            crash_at(&make(), step, after, &states);
        }
    }
}

fn crash_at<E: Engine>(open: &OpenEngine<E>, step: u64, after: bool, states: &[String]) {
    let told = match open_under(open, &Faults::at(step, after)) {
        Ok(store) => tell(&*store),
        Err(_) => 0,
    };
    let place = format!("step {step}, after: {after}, verbs acknowledged: {told}");
    let store = open_under(open, &Faults::none()).unwrap();
    let found = contents(&*store);
    let expected = &states[told..states.len().min(told + 2)];
    assert!(expected.contains(&found), "{place}:\n{found}\n\nexpected one of\n{}", expected.join("\n\nor\n"));
    store
        .check(&mut |finding| {
            assert_eq!(finding.kind, FindingKind::Staging, "{place}: {finding:?}");
        })
        .unwrap();
    // Whoever got no answer tells it again.
    if let Some(verb) = STORY.get(told).filter(|verb| verb.repeatable) {
        (verb.tell)(&*store).unwrap();
        assert_eq!(contents(&*store), states[told + 1], "{place}, told again");
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use super::*;
    use crate::{Content, Memory, Settled, Wait};

    fn begun<T>(future: &mut Wait<'_, T>) {
        assert!(Pin::new(future).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }

    /// The file of a part is gone when it is to be placed, and with its message fails what shares its commit. What an attempt has
    /// brought is not lost by that: it can be shown again.
    ///
    /// proves: STO-16
    #[test]
    fn a_settlement_beside_a_part_that_cannot_be_placed_can_be_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::in_directory(directory.path()).unwrap();
        let store = Keeper::open_with_in_place(Memory::new(), files, Settings::default()).unwrap();
        accept(&store, &third(), user(), vec![to_queue("c@far.test", "far.test", 4)]).unwrap();
        let claim = block_on(store.claim(NOW, 1, &|_, _| true)).unwrap().remove(0);
        let content = Content::New(staged(&store, &peer().holder(), &second()).unwrap());
        for file in std::fs::read_dir(directory.path().join("staging")).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
        let outcomes = || vec![(0, Outcome::Final(Disposition::Accepted))];
        let mut placing =
            store.accept(acceptance(content, peer(), vec![to_queue("b@far.test", "far.test", 3)]));
        let mut settling = store.settle(settlement(&claim, outcomes(), None));
        begun(&mut placing);
        begun(&mut settling);
        assert!(matches!(block_on(placing), Err(Error::Io(_))));
        assert!(matches!(block_on(settling), Err(Error::Io(_))));
        let settled = block_on(store.settle(settlement(&claim, outcomes(), None)));
        assert_eq!(settled, Ok(Settled { remaining: 0, closed: true }));
        assert_eq!(findings(&store), Vec::<String>::new());
    }
}
