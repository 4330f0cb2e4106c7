//! The Merkle tree of a log, hashed as RFC 9162 section 2.1 says. Only nodes of full subtrees are kept: whoever keeps them
//! gives them here by level and place, so that nothing of the tree but the way up is ever in memory.

use sha2::{Digest as _, Sha256};

/// A node of the tree: SHA-256.
pub type Hash = [u8; 32];

/// Where the nodes of full subtrees are kept.
pub trait Nodes {
    /// Why one cannot be had.
    type Error;

    /// The node that stands over the `2^level` leaves from `place * 2^level` on; level 0 are the leaves.
    ///
    /// # Errors
    /// Where it is not there or cannot be read.
    fn node(&self, level: u32, place: u64) -> Result<Hash, Self::Error>;
}

/// A node with its level and place.
pub type Placed = (u32, u64, Hash);

/// The hash of a leaf. keeps: KEY-12
pub fn leaf(octets: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(octets).finalize().into()
}

/// The hash of a node over two others. keeps: KEY-12
pub fn parent(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The nodes that are to be written when this leaf is added to a tree of this size: the leaf and every subtree that
/// becomes full by it, as many as there are trailing ones in the size.
///
/// # Errors
/// Where a node cannot be had.
pub fn grow<N: Nodes>(size: u64, leaf: Hash, nodes: &N) -> Result<Vec<Placed>, N::Error> {
    let (mut level, mut place, mut hash) = (0, size, leaf);
    let mut grown = vec![(level, place, hash)];
    while place % 2 == 1 {
        hash = parent(&nodes.node(level, place - 1)?, &hash);
        (level, place) = (level + 1, place / 2);
        grown.push((level, place, hash));
    }
    Ok(grown)
}

/// The root of the tree over the first `size` leaves.
///
/// # Errors
/// Where a node cannot be had.
pub fn root<N: Nodes>(size: u64, nodes: &N) -> Result<Hash, N::Error> {
    if size == 0 { Ok(Sha256::digest([]).into()) } else { over(0, size, nodes) }
}

/// The way from a leaf to the root of the tree of this size (RFC 9162 section 2.1.3.1); empty where there is no such leaf.
///
/// # Errors
/// Where a node cannot be had.
pub fn inclusion<N: Nodes>(leaf: u64, size: u64, nodes: &N) -> Result<Vec<Hash>, N::Error> {
    let (mut start, mut end, mut way) = (0, size, Vec::new());
    while leaf < size && end - start > 1 {
        let middle = start + split(end - start);
        if leaf < middle {
            way.push(over(middle, end, nodes)?);
            end = middle;
        } else {
            way.push(over(start, middle, nodes)?);
            start = middle;
        }
    }
    way.reverse();
    Ok(way)
}

/// What shows that the tree of `size` leaves began as the one of `before` (RFC 9162 section 2.1.4.1); empty where there is
/// nothing to show.
///
/// # Errors
/// Where a node cannot be had.
pub fn consistency<N: Nodes>(before: u64, size: u64, nodes: &N) -> Result<Vec<Hash>, N::Error> {
    let mut proof = Vec::new();
    if before == 0 || before >= size {
        return Ok(proof);
    }
    let (mut start, mut end, mut whole) = (0, size, true);
    while end != before {
        let middle = start + split(end - start);
        if before <= middle {
            proof.push(over(middle, end, nodes)?);
            end = middle;
        } else {
            proof.push(over(start, middle, nodes)?);
            start = middle;
            whole = false;
        }
    }
    if !whole {
        proof.push(over(start, end, nodes)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Whether this leaf stands at this place of a tree with this size and root (RFC 9162 section 2.1.3.2).
///
/// keeps: KEY-13
pub fn is_included(leaf: &Hash, place: u64, size: u64, way: &[Hash], root: &Hash) -> bool {
    let Some(mut last) = size.checked_sub(1).filter(|last| place <= *last) else { return false };
    let (mut place, mut hash) = (place, *leaf);
    for step in way {
        if last == 0 {
            return false;
        }
        if place % 2 == 1 || place == last {
            hash = parent(step, &hash);
            while place % 2 == 0 && place != 0 {
                (place, last) = (place / 2, last / 2);
            }
        } else {
            hash = parent(&hash, step);
        }
        (place, last) = (place / 2, last / 2);
    }
    last == 0 && hash == *root
}

/// Whether a tree with this size and root began as one with that size and root (RFC 9162 section 2.1.4.2). Every tree began
/// as the empty one.
///
/// keeps: KEY-14
pub fn is_consistent(
    (before, before_root): (u64, &Hash),
    (size, root): (u64, &Hash),
    proof: &[Hash],
) -> bool {
    if before == size {
        return proof.is_empty() && before_root == root;
    }
    if before == 0 || before > size {
        return before == 0 && proof.is_empty();
    }
    let (mut place, mut last) = (before - 1, size - 1);
    while place % 2 == 1 {
        (place, last) = (place / 2, last / 2);
    }
    // A full tree is a node of the other one, and is not said again.
    let (first, rest) = match proof.split_first() {
        Some(_) if before.is_power_of_two() => (*before_root, proof),
        Some((first, rest)) => (*first, rest),
        None => return false,
    };
    let (mut old, mut new) = (first, first);
    for step in rest {
        if last == 0 {
            return false;
        }
        if place % 2 == 1 || place == last {
            old = parent(step, &old);
            new = parent(step, &new);
            while place % 2 == 0 && place != 0 {
                (place, last) = (place / 2, last / 2);
            }
        } else {
            new = parent(&new, step);
        }
        (place, last) = (place / 2, last / 2);
    }
    last == 0 && old == *before_root && new == *root
}

/// The largest power of two that is smaller than this number, which is 2 or more.
fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

/// The hash over the leaves from `start` to before `end`, of which there is one at least; `start` is where such a subtree
/// can begin.
fn over<N: Nodes>(start: u64, end: u64, nodes: &N) -> Result<Hash, N::Error> {
    // Full subtrees from the left, and then together from the right.
    let (mut at, mut peaks) = (start, Vec::new());
    while at < end {
        let level = (end - at).ilog2();
        peaks.push(nodes.node(level, at >> level)?);
        at += 1 << level;
    }
    let mut peaks = peaks.into_iter().rev();
    let last = peaks.next().unwrap_or_default();
    Ok(peaks.fold(last, |right, left| parent(&left, &right)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use super::*;

    /// The inputs of the reference implementation of Certificate Transparency, and the roots that it states for the first
    /// one, two, and so on of them (`merkle_tree_test.cc`).
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[derive(Default)]
    struct Kept(BTreeMap<(u32, u64), Hash>, u64);

    impl Nodes for Kept {
        type Error = Infallible;

        fn node(&self, level: u32, place: u64) -> Result<Hash, Infallible> {
            Ok(self.0[&(level, place)])
        }
    }

    impl Kept {
        fn add(&mut self, octets: &[u8]) {
            let Ok(grown) = grow(self.1, leaf(octets), self);
            self.0.extend(grown.into_iter().map(|(level, place, hash)| ((level, place), hash)));
            self.1 += 1;
        }
    }

    fn hash(hex: &str) -> Hash {
        data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    }

    fn published() -> Kept {
        let mut kept = Kept::default();
        for one in LEAVES {
            kept.add(&data_encoding::HEXLOWER.decode(one.as_bytes()).unwrap());
        }
        kept
    }

    /// proves: KEY-12
    #[test]
    fn the_roots_are_those_of_certificate_transparency() {
        let kept = published();
        for (size, expected) in ROOTS.iter().enumerate() {
            let Ok(found) = root(size as u64, &kept);
            assert_eq!(found, hash(expected), "{size}");
        }
    }

    /// The ways that the same tests state, each with the place of its leaf and the size of the tree.
    ///
    /// proves: KEY-13
    #[test]
    fn the_ways_are_those_of_certificate_transparency() {
        let kept = published();
        let check = |leaf: u64, size: u64, expected: &[&str]| {
            let Ok(found) = inclusion(leaf, size, &kept);
            assert_eq!(found, expected.iter().map(|one| hash(one)).collect::<Vec<Hash>>(), "{leaf} {size}");
        };
        check(0, 1, &[]);
        check(
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        );
        check(
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        );
        check(2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]);
    }

    /// proves: KEY-14
    #[test]
    fn what_shows_consistency_is_that_of_certificate_transparency() {
        let kept = published();
        let check = |before: u64, size: u64, expected: &[&str]| {
            let Ok(found) = consistency(before, size, &kept);
            assert_eq!(found, expected.iter().map(|one| hash(one)).collect::<Vec<Hash>>(), "{before} {size}");
        };
        check(1, 1, &[]);
        check(
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        );
        check(
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        );
    }

    /// Every proof of every small tree holds, and none holds for anything else.
    ///
    /// proves: KEY-13, KEY-14
    #[test]
    fn proofs_hold_for_what_they_were_made_for_and_for_nothing_else() {
        let mut kept = Kept::default();
        let octets = |place: u64| place.to_be_bytes();
        (0..40).for_each(|place| kept.add(&octets(place)));
        let Ok(roots) = (0..=40).map(|size| root(size, &kept)).collect::<Result<Vec<Hash>, Infallible>>();
        for size in 1..=40_u64 {
            let whole = &roots[size as usize];
            for place in 0..size {
                let Ok(way) = inclusion(place, size, &kept);
                let own = leaf(&octets(place));
                assert!(is_included(&own, place, size, &way, whole), "{place} {size}");
                assert!(!is_included(&leaf(b"x"), place, size, &way, whole));
                assert!(!is_included(&own, size, size, &way, whole));
                assert!(!is_included(&own, place, size, &way, &roots[size as usize - 1]));
                assert!(!is_included(&own, place, size, &[&way[..], &[[0; 32]]].concat(), whole));
                for other in (0..size).filter(|other| *other != place) {
                    assert!(!is_included(&own, other, size, &way, whole), "{place} {other} {size}");
                }
            }
            for before in 0..=size {
                let Ok(proof) = consistency(before, size, &kept);
                let old = &roots[before as usize];
                assert!(is_consistent((before, old), (size, whole), &proof), "{before} {size}");
                if before > 0 {
                    assert!(!is_consistent((before, &[7; 32]), (size, whole), &proof), "{before} {size}");
                    assert!(!is_consistent((before, old), (size, &[7; 32]), &proof), "{before} {size}");
                    assert!(!is_consistent((size + 1, old), (size, whole), &proof));
                    let longer = [&proof[..], &[[0; 32]]].concat();
                    assert!(!is_consistent((before, old), (size, whole), &longer), "{before} {size}");
                }
                for cut in 0..proof.len() {
                    assert!(!is_consistent((before, old), (size, whole), &proof[..cut]), "{before} {size}");
                }
            }
        }
    }
}
