//! The format of a store, and how one of before is brought into it.
//!
//! keeps: STO-31

use crate::Error;
use crate::engine::{Batch, Engine};
use crate::key::{after_prefix, holder, kind, successor, table};

/// The version of the layout of a store, written when it is opened (`spec/12-storage.md`). Version 1 had no log in front of
/// the engine; up to version 2 what there is of a message stood in the tables [`FORMER`].
pub(crate) const FORMAT: u64 = 3;

/// The tables of before, in the order in which they are emptied: a message that a mailbox holds is held all the time.
pub(crate) const FORMER: [u8; 6] = *b"uHMBiO";

/// Records that are moved at a time; with the largest that is 3 MiB.
const PAGE: usize = 64;

/// Changes after which it is said how far it is.
const TOLD_EVERY: u64 = 200_000;

/// What becomes of a record of before.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// It has this key now.
    At(Vec<u8>),
    /// Another one says the same.
    Gone,
    /// Its key has not the form of its table.
    Strange,
}

/// Moves what stands in the tables of before, page by page. What is cut off goes on when the store is opened again: a record
/// is in one of its two places.
///
/// # Errors
/// What the engine says.
pub(crate) fn bring_up(engine: &impl Engine) -> Result<(), Error> {
    let mut moved = 0_u64;
    for table in FORMER {
        let (mut from, to) = (vec![table], after_prefix(&[table]));
        loop {
            let page = engine.range(&from, &to, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            from = successor(last);
            let mut batch = Batch::default();
            for (key, value) in page {
                match place(table, &key[1..]) {
                    Place::At(place) => batch.put(place, value),
                    Place::Gone => {}
                    Place::Strange => continue,
                }
                batch.remove(key);
            }
            if batch.is_empty() {
                continue;
            }
            if moved == 0 {
                tracing::warn!(
                    "the store is of an earlier version: its records are moved, which takes some twenty seconds for each \
                     100,000 messages"
                );
            }
            engine.apply(&batch)?;
            let before = moved;
            moved += batch.len() as u64;
            if before / TOLD_EVERY != moved / TOLD_EVERY {
                tracing::warn!(changes = moved, "the store is being moved");
            }
        }
    }
    if moved > 0 {
        tracing::warn!(changes = moved, format = FORMAT, "the store has been moved");
    }
    Ok(())
}

/// Where a record of a former table stands now, by what is behind the octet of the table.
fn place(former: u8, rest: &[u8]) -> Place {
    let identity_first = rest.split_at_checked(32);
    let found = match (former, identity_first) {
        (b'M', Some((identity, chunk))) if chunk.len() == 1 => key(identity, &[&[kind::RECORD], chunk]),
        (b'B', Some((identity, part))) if part.len() == 4 => key(identity, &[&[kind::BODY], part]),
        (b'i', Some((identity, envelope))) if envelope.len() == 8 => {
            key(identity, &[&[kind::ENVELOPE], envelope])
        }
        (b'H', Some((identity, hold))) if hold.len() == 9 => match hold[0] {
            holder::ENVELOPE => key(identity, &[&[kind::HOLD], hold]),
            holder::MAIL => return Place::Gone,
            _ => return Place::Strange,
        },
        (b'u', _) => match split_name(rest) {
            Some((account, identity, [])) => key(identity, &[&[kind::HOLD, holder::MAIL], account]),
            _ => return Place::Strange,
        },
        (b'O', _) => match split_name(rest) {
            Some((peer, identity, recipient)) if recipient.last() == Some(&0) => {
                key(identity, &[&[kind::ONCE], peer, recipient])
            }
            _ => return Place::Strange,
        },
        _ => return Place::Strange,
    };
    Place::At(found)
}

fn key(identity: &[u8], rest: &[&[u8]]) -> Vec<u8> {
    [&[table::MESSAGE], identity, &rest.concat()].concat()
}

/// A name with the zero that ends it, the identity behind it, and what follows.
fn split_name(rest: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let end = rest.iter().position(|octet| *octet == 0)? + 1;
    let (name, rest) = rest.split_at(end);
    let (identity, rest) = rest.split_at_checked(32)?;
    Some((name, identity, rest))
}

#[cfg(test)]
mod tests {
    use message::{Disposition, Identity};

    use super::*;
    use crate::conformance::{Faults, FaultyEngine, block_on};
    use crate::engine::{Pair, View};
    use crate::{
        Acceptance, Content, Effect, EnvelopeId, Intended, Memory, MemoryFiles, Origin, Settings, Store,
    };

    /// A message to a mailbox and to somebody who holds it; one that is queued; one that was refused and taken.
    fn of_before() -> Vec<Pair> {
        let octets = |digits: &str| -> Vec<u8> {
            let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
            pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
        };
        let lines = include_str!("../testdata/format-2.hex").lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| line.split_once(' ').unwrap())
            .map(|(key, value)| (octets(key), octets(value)))
            .collect()
    }

    fn memory(pairs: Vec<Pair>) -> Memory {
        let (engine, mut batch) = (Memory::new(), Batch::default());
        pairs.into_iter().for_each(|(key, value)| batch.put(key, value));
        engine.apply(&batch).unwrap();
        engine
    }

    fn all(engine: &Memory) -> Vec<Pair> {
        engine.range(&[], &[255; 4], usize::MAX).unwrap()
    }

    const FIRST: &str = "0170278f308fd80f3e5b83bb11090d131b2185a09a6aa8d7d8088b05e9a16e8e";

    /// proves: STO-31
    #[test]
    fn a_store_of_before_has_all_that_it_had() {
        let engine = memory(of_before());
        let store = engine.open(Settings::default()).unwrap();
        let mut found = Vec::new();
        store.check(&mut |finding| found.push(format!("{finding:?}"))).unwrap();
        assert_eq!(found, Vec::<String>::new());
        let mailbox = store.mailbox("bob", None, 10).unwrap();
        let identity = Identity::from_hex(FIRST).unwrap();
        assert_eq!((mailbox.len(), mailbox[0].identity), (2, identity));
        assert!(store.message(identity).unwrap().unwrap().is_complete());
        assert!(store.open_part(identity, 1).unwrap().is_some());
        assert_eq!(store.held_for(identity, 10).unwrap().len(), 1);
        assert_eq!(store.envelopes_for(identity, 10).unwrap().len(), 1);
        assert_eq!(store.legs(None, None, 10).unwrap().len(), 1);
        // Its sender offers it again, and it is not delivered again.
        let again = Acceptance {
            offered_as: identity,
            content: Content::Offered { identity },
            octets: 1000,
            origin: Origin::Peer { domain: message::address::Domain::from_wire("peer.test").unwrap() },
            trace: Vec::new(),
            now_ms: 1_700_000_000_000,
            expires_at_ms: 1_800_000_000_000,
            release_at_ms: None,
            recipients: vec![Intended {
                address: message::address::Address::from_wire("bob@here.test").unwrap(),
                effect: Effect::Mailbox { account: "bob".to_owned(), seals: Vec::new() },
                answer: Disposition::Accepted,
                why: None,
            }],
            again: Vec::new(),
            members: Vec::new(),
            room: None,
        };
        assert_eq!(block_on(store.accept(again)).unwrap().envelope, EnvelopeId(1));
        assert_eq!(store.mailbox("bob", None, 10).unwrap().len(), 2);
        let left = |table: &u8| engine.range(&[*table], &[*table + 1], 1).unwrap().is_empty();
        assert!(FORMER.iter().all(left));
    }

    /// Written out by hand after STO-31.
    ///
    /// proves: STO-31
    #[test]
    fn each_record_has_its_place() {
        let identity = [7; 32];
        let check = |former: &[&[u8]], now: &[&[u8]]| {
            let former = former.concat();
            assert_eq!(place(former[0], &former[1..]), Place::At(now.concat()));
        };
        check(&[b"M", &identity, &[1]], &[b"m", &identity, b"M", &[1]]);
        check(&[b"B", &identity, &[0, 0, 0, 2]], &[b"m", &identity, b"B", &[0, 0, 0, 2]]);
        check(&[b"H", &identity, b"E", &[3; 8]], &[b"m", &identity, b"HE", &[3; 8]]);
        check(&[b"i", &identity, &[3; 8]], &[b"m", &identity, b"e", &[3; 8]]);
        check(&[b"uann\0", &identity], &[b"m", &identity, b"HUann\0"]);
        check(&[b"Op.test\0", &identity, b"a@b.test\0"], &[b"m", &identity, b"Op.test\0a@b.test\0"]);
        assert_eq!(place(b'H', &[&identity[..], b"U", &[3; 8]].concat()), Place::Gone);
        let strange: [(u8, &[u8]); 7] = [
            (b'M', &identity),
            (b'B', &[7; 37]),
            (b'H', &[&identity[..], b"X", &[3; 8]].concat()),
            (b'i', b""),
            (b'u', &identity),
            (b'u', &[b"ann\0", &identity[..], b"more"].concat()),
            (b'O', &[b"p.test\0", &identity[..], b"no end"].concat()),
        ];
        for (former, rest) in strange {
            assert_eq!(place(former, rest), Place::Strange, "{former} {rest:?}");
        }
    }

    /// proves: STO-31
    #[test]
    fn whatever_cuts_it_off_it_is_the_same_in_the_end() {
        let open = |engine: &Memory, faults: &Faults| {
            let faulty = FaultyEngine::new(engine.clone(), faults.clone());
            crate::Keeper::open_in_place(faulty, &MemoryFiles::new(), Settings::default()).map(drop)
        };
        let (whole, none) = (memory(of_before()), Faults::none());
        open(&whole, &none).unwrap();
        assert!(none.steps() > 6, "each table is moved by itself");
        for step in 1..=none.steps() {
            for after in [false, true] {
                let engine = memory(of_before());
                assert!(open(&engine, &Faults::at(step, after)).is_err());
                open(&engine, &Faults::none()).unwrap();
                let without_openings = |engine: &Memory| {
                    let mut pairs = all(engine);
                    pairs.retain(|(key, _)| key != b"Zopened\0");
                    pairs
                };
                assert_eq!(without_openings(&engine), without_openings(&whole), "step {step}");
            }
        }
    }

    /// proves: STO-31
    #[test]
    fn a_store_of_a_newer_program_is_left_alone() {
        let newer = vec![(b"Zformat\0".to_vec(), (FORMAT + 1).to_be_bytes().to_vec())];
        let engine = memory(newer.clone());
        let refused = engine.open(Settings::default()).map(drop);
        assert_eq!(refused, Err(Error::Newer { format: 4, known: 3 }));
        assert_eq!(all(&engine), newer);
    }

    /// proves: STO-31
    #[test]
    fn what_has_no_form_stays_and_is_reported() {
        let mut pairs = of_before();
        pairs.push((b"Mshort".to_vec(), b"x".to_vec()));
        let engine = memory(pairs);
        let store = engine.open(Settings::default()).unwrap();
        let mut found = Vec::new();
        store.check(&mut |finding| found.push(finding.key)).unwrap();
        assert_eq!(found, ["Mshort"]);
        drop(store);
        assert!(engine.open(Settings::default()).is_ok());
    }
}
