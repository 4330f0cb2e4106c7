//! Statements about keys, records, heads and proofs: one spelling, and nothing holds that should not.

use bytes::Bytes;
use message::keys::tree::{Hash, is_consistent, is_included, leaf};
use message::keys::{KeyRecord, Link, Statement, TreeHead};

/// What is read has the octets it was read from; a proof holds for what it is about and for nothing else.
pub(crate) fn keys(octets: &[u8]) {
    let given = || Bytes::copy_from_slice(octets);
    if let Ok(statement) = Statement::parse(given()) {
        assert_eq!(statement.octets()[..], *octets);
        assert!(statement.claims().not_before < statement.claims().not_after);
        assert!(!statement.is_succession_by(octets, &statement.claims().key), "a statement is no succession");
    }
    if let Ok(record) = KeyRecord::parse(given()) {
        assert_eq!(record.octets()[..], *octets);
        assert_eq!(record.countersigned().0, record.statement().claims().address.domain());
        assert_eq!(record.link(record.statement()), Link::Broken, "nothing follows itself");
        let _ = (record.selector(), record.is_countersigned_by(&record.statement().claims().key));
    }
    if let Ok(head) = TreeHead::parse(given()) {
        assert_eq!(head.octets()[..], *octets);
        assert!(TreeHead::parse(head.octets().clone()).is_ok());
    }
    proofs(octets);
}

/// The first two octets are two sizes, what follows are hashes.
fn proofs(octets: &[u8]) {
    let [one, other, rest @ ..] = octets else { return };
    let way: Vec<Hash> = rest.chunks_exact(32).filter_map(|hash| hash.try_into().ok()).collect();
    let (before, size) = (u64::from(*one), u64::from(*other));
    let (old, new) = (leaf(b"old"), leaf(b"new"));
    for size in [size, u64::MAX] {
        // Nobody finds the hashes that lead to a root that is no root.
        assert!(!is_included(&old, before, size, &way, &new));
        let holds = is_consistent((before, &old), (size, &new), &way);
        assert_eq!(holds, before == 0 && size > 0 && way.is_empty(), "{before} {size}");
    }
    assert!(is_consistent((size, &old), (size, &old), &[]));
}
