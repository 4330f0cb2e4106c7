use proptest::prelude::*;
use serde_json::Value;

use super::tree::{Builder, Tree};
use super::*;

/// The groups of the published vectors are single chunks.
const CHUNK_OCTETS: u64 = 1024;

#[test]
fn one_gibibyte_has_an_outboard_of_four_mebibytes() {
    let tree = Tree::new(GROUP_OCTETS, 1 << 30).unwrap();
    // 65,536 groups, 65,535 nodes.
    assert_eq!(tree.outboard_octets(), 65_535 * 64);
}

/// proves: ADDR-22
#[test]
fn ranges_outside_the_content_are_refused() {
    let check = |total: u64, offset: u64, length: u64, expected: Result<u64, SliceError>| {
        assert_eq!(slice_octets(total, offset, length), expected, "{total} {offset} {length}");
        if let Err(error) = expected {
            assert_eq!(verify_slice(&[0; 32], total, offset, length, &[]), Err(error));
        }
    };
    check(0, 0, 0, Ok(0));
    check(0, 0, 1, Err(SliceError::Range));
    check(0, 1, 0, Err(SliceError::Range));
    check(1, 0, 0, Err(SliceError::Range));
    check(1, 0, 1, Ok(1));
    check(1, 1, 1, Err(SliceError::Range));
    check(10, u64::MAX, 1, Err(SliceError::Range));
    check(10, 0, u64::MAX, Err(SliceError::TooLong));
    check(1 << 30, 0, SLICE_LENGTH_MAX + 1, Err(SliceError::TooLong));
    check(u64::MAX, 0, 1, Err(SliceError::ContentTooLong));
    // Two groups: a node, and the one group that is touched.
    check(2 * GROUP_OCTETS, GROUP_OCTETS - 1, 1, Ok(64 + GROUP_OCTETS));
    check(2 * GROUP_OCTETS, GROUP_OCTETS - 1, 2, Ok(64 + 2 * GROUP_OCTETS));
    // 2^42 groups and so 42 nodes on the way down.
    check(CONTENT_OCTETS_MAX, CONTENT_OCTETS_MAX - 1, 1, Ok(42 * 64 + GROUP_OCTETS));
}

/// proves: ADDR-20, ADDR-21
#[test]
fn the_digest_of_the_builder_is_the_digest_of_the_blake3_vectors() {
    let Some(vectors) = vectors("blake3/blake3_test_vectors.json") else { return };
    let mut cases = 0;
    for case in vectors["cases"].as_array().unwrap() {
        let octets = usize::try_from(case["input_len"].as_u64().unwrap()).unwrap();
        let content: Vec<u8> = (0..251u8).cycle().take(octets).collect();
        let expected = &case["hash"].as_str().unwrap()[..64];
        let outboard = built(&content, 1000);
        assert_eq!(data_encoding::HEXLOWER.encode(outboard.digest()), expected, "{octets}");
        assert_eq!(blake3::hash(&content).to_hex().as_str(), expected, "{octets}");
        cases += 1;
    }
    println!("blake3: {cases} cases");
    assert_eq!(cases, 22);
}

/// proves: ADDR-20, ADDR-21
#[test]
fn bao_hash_encode_and_outboard_vectors() {
    let Some(vectors) = vectors("blake3/bao_test_vectors.json") else { return };
    let (mut hashes, mut encodings, mut outboards, mut corruptions) = (0, 0, 0, 0);
    for case in vectors["hash"].as_array().unwrap() {
        let chunked = Chunked::of(case);
        assert_eq!(hex(&chunked.digest), case["bao_hash"]);
        hashes += 1;
    }
    for case in vectors["encode"].as_array().unwrap() {
        // Bao's combined encoding is the slice of the whole.
        let chunked = Chunked::of(case);
        let encoded = chunked.bao_slice(0, chunked.total());
        check_bao(&encoded, case, "encoded_blake3");
        corruptions += chunked.check_corruptions(&encoded, 0, chunked.total(), &case["corruptions"]);
        encodings += 1;
    }
    for case in vectors["outboard"].as_array().unwrap() {
        // Bao's outboard is the combined encoding without its content. Ours holds the same nodes in post-order.
        let chunked = Chunked::of(case);
        let mut preorder = chunked.total().to_le_bytes().to_vec();
        chunked.preorder_nodes(0, chunked.total(), &mut preorder);
        check_bao(&preorder, case, "encoded_blake3");
        assert_eq!(preorder.len() - 8, chunked.nodes.len());
        outboards += 1;
    }
    println!("bao: {hashes} hashes, {encodings} encodings, {outboards} outboards, {corruptions} corruptions");
    assert_eq!((hashes, encodings, outboards), (13, 13, 13));
    assert_eq!(corruptions, 93);
}

/// The `seek` vectors of the file are left out: they prescribe where a seeking reader of Bao goes, and here there is
/// none. All others run.
///
/// proves: ADDR-20, ADDR-22
#[test]
fn bao_slice_vectors() {
    let Some(vectors) = vectors("blake3/bao_test_vectors.json") else { return };
    let (mut slices, mut corruptions, mut refused) = (0, 0, 0);
    for case in vectors["slice"].as_array().unwrap() {
        let chunked = Chunked::of(case);
        for slice in case["slices"].as_array().unwrap() {
            let (start, length) = (slice["start"].as_u64().unwrap(), slice["len"].as_u64().unwrap());
            let (offset, inside) = in_bounds(start, length, chunked.total());
            if (offset, inside) != (start, length) {
                assert_eq!(slice_octets(chunked.total(), start, length), Err(SliceError::Range));
                refused += 1;
            }
            let encoded = chunked.bao_slice(offset, inside);
            check_bao(&encoded, slice, "output_blake3");
            corruptions += chunked.check_corruptions(&encoded, offset, inside, &slice["corruptions"]);
            slices += 1;
        }
    }
    println!("bao: {slices} slices, {corruptions} corruptions, {refused} ranges that ours refuses");
    assert_eq!((slices, corruptions), (222, 876));
}

/// Content whose digest is right but whose outboard or octets have decayed.
#[test]
fn decay_at_the_sender_is_found_by_the_sender() {
    let content = pattern(5 * GROUP_OCTETS as usize + 7);
    let outboard = built(&content, 4096);
    let mut nodes = outboard.as_bytes().to_vec();
    // The first node in post-order holds the values of the first two groups.
    nodes[10] ^= 1;
    let decayed = Outboard::from_bytes(*outboard.digest(), outboard.total_octets(), nodes).unwrap();
    assert_eq!(encode_slice(&decayed, 0, 1, reader(&content)), Err(SliceError::ContentChanged));

    let mut rotten = content.clone();
    rotten[GROUP_OCTETS as usize] ^= 1;
    assert_eq!(
        encode_slice(&outboard, GROUP_OCTETS + 5, 1, reader(&rotten)),
        Err(SliceError::ContentChanged)
    );
    assert!(encode_slice(&outboard, 0, GROUP_OCTETS, reader(&rotten)).is_ok());
    let short = outboard.as_bytes()[64..].to_vec();
    assert_eq!(
        Outboard::from_bytes(*outboard.digest(), outboard.total_octets(), short),
        Err(SliceError::OutboardLength)
    );
}

#[test]
fn what_the_reader_reports_reaches_the_caller() {
    #[derive(Debug, PartialEq)]
    enum Failure {
        Disk,
        Slice(SliceError),
    }
    impl From<SliceError> for Failure {
        fn from(error: SliceError) -> Failure {
            Failure::Slice(error)
        }
    }
    let outboard = built(b"content", 7);
    assert_eq!(encode_slice(&outboard, 0, 1, |_, _| Err(Failure::Disk)), Err(Failure::Disk));
    let beyond = encode_slice(&outboard, 7, 1, |_, _| Err(Failure::Disk));
    assert_eq!(beyond, Err(Failure::Slice(SliceError::Range)));
}

/// proves: ADDR-20, ADDR-22
#[test]
fn every_changed_octet_every_cut_and_every_addition_is_refused() {
    let content = pattern(3 * GROUP_OCTETS as usize + 100);
    let outboard = built(&content, 4096);
    // The last group, which is short: three nodes' worth of proof at most, and 100 octets.
    let (offset, length) = (3 * GROUP_OCTETS + 10, 50);
    let slice = encode_slice(&outboard, offset, length, reader(&content)).unwrap();
    let total = outboard.total_octets();
    let verify = |slice: &[u8]| verify_slice(outboard.digest(), total, offset, length, slice);
    assert_eq!(verify(&slice).unwrap(), content[offset as usize..][..50]);
    for at in 0..slice.len() {
        let mut changed = slice.clone();
        changed[at] ^= 0x80;
        assert_eq!(verify(&changed), Err(SliceError::Corrupt), "octet {at}");
        assert_eq!(verify(&slice[..at]), Err(SliceError::Truncated), "cut at {at}");
    }
    let mut longer = slice.clone();
    longer.push(0);
    assert_eq!(verify(&longer), Err(SliceError::Trailing));
    // A wrong total is a different tree. (A total that gives the same tree with another tail is caught in the tail.)
    for wrong in [total - 1, total + 1, total + GROUP_OCTETS] {
        assert!(verify_slice(outboard.digest(), wrong, offset, length, &slice).is_err(), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// proves: ADDR-20, ADDR-21, ADDR-22
    #[test]
    fn any_range_of_any_content_comes_back(
        octets in prop_oneof![0usize..3000, 15_000usize..200_000, (1usize..20).prop_map(|n| n * GROUP_OCTETS as usize)],
        piece in 1usize..40_000,
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
    ) {
        let content = pattern(octets);
        let outboard = built(&content, piece);
        prop_assert_eq!(*outboard.digest(), *blake3::hash(&content).as_bytes());
        let (start, end) = if octets == 0 {
            (0, 0)
        } else {
            let (one, other) = (from.index(octets), to.index(octets));
            (one.min(other), one.max(other) + 1)
        };
        let (offset, length) = (start as u64, (end - start) as u64);
        let slice = encode_slice(&outboard, offset, length, reader(&content)).unwrap();
        prop_assert_eq!(slice.len() as u64, slice_octets(octets as u64, offset, length).unwrap());
        let back = verify_slice(outboard.digest(), octets as u64, offset, length, &slice).unwrap();
        prop_assert_eq!(&back[..], &content[start..end]);
    }

    #[test]
    fn no_octets_make_the_verifier_panic(
        total in any::<u64>(),
        offset in any::<u64>(),
        length in 0u64..SLICE_LENGTH_MAX,
        slice in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        prop_assert!(verify_slice(&[7; 32], total, offset, length, &slice).is_err());
        prop_assert!(verify_slice(&[7; 32], total % 400, offset % 400, length % 400, &slice).is_err());
    }
}

/// Content and its tree over single chunks, as the vectors have it.
struct Chunked {
    content: Vec<u8>,
    digest: [u8; 32],
    nodes: Vec<u8>,
    tree: Tree,
}

impl Chunked {
    fn of(case: &Value) -> Chunked {
        let content = pattern(usize::try_from(case["input_len"].as_u64().unwrap()).unwrap());
        let mut builder = Builder::new(CHUNK_OCTETS);
        content.chunks(700).for_each(|piece| builder.push(piece));
        let (digest, total, nodes) = builder.finish();
        let tree = Tree::new(CHUNK_OCTETS, total).unwrap();
        assert_eq!(tree.outboard_octets(), nodes.len() as u64);
        assert_eq!(hex(&digest), case["bao_hash"]);
        Chunked { content, digest, nodes, tree }
    }

    fn total(&self) -> u64 {
        self.content.len() as u64
    }

    /// Our slice behind Bao's length header.
    fn bao_slice(&self, offset: u64, length: u64) -> Vec<u8> {
        let range = self.tree.range(offset, length).unwrap();
        let slice: Result<_, SliceError> = self.tree.encode(&self.nodes, range, reader(&self.content));
        [&self.total().to_le_bytes()[..], &slice.unwrap()].concat()
    }

    fn verify(&self, encoded: &[u8], offset: u64, length: u64) -> Result<Vec<u8>, SliceError> {
        let (header, slice) = encoded.split_at(8);
        let tree = Tree::new(CHUNK_OCTETS, u64::from_le_bytes(header.try_into().unwrap()))?;
        tree.verify(&self.digest, tree.range(offset, length)?, slice)
    }

    /// Each octet that the vectors name is changed in turn, those of the length among them.
    fn check_corruptions(&self, encoded: &[u8], offset: u64, length: u64, named: &Value) -> usize {
        let (start, end) = (offset as usize, (offset + length) as usize);
        assert_eq!(self.verify(encoded, offset, length).unwrap(), self.content[start..end]);
        let named = named.as_array().unwrap();
        for at in named {
            let mut corrupt = encoded.to_vec();
            corrupt[at.as_u64().unwrap() as usize] ^= 1;
            assert!(self.verify(&corrupt, offset, length).is_err(), "octet {at} of {}", self.total());
        }
        named.len()
    }

    /// Found by searching the combined encoding for what is not content, independent of how slices are cut.
    fn preorder_nodes(&self, offset: u64, octets: u64, nodes: &mut Vec<u8>) {
        if octets <= CHUNK_OCTETS {
            return;
        }
        let left = blake3::hazmat::left_subtree_len(octets);
        for (start, length) in [(offset, left), (offset + left, octets - left)] {
            use blake3::hazmat::HasherExt;
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset(start).update(&self.content[start as usize..][..length as usize]);
            nodes.extend_from_slice(&hasher.finalize_non_root());
        }
        self.preorder_nodes(offset, left, nodes);
        self.preorder_nodes(offset + left, octets - left, nodes);
    }
}

/// Bao gives a range that is empty or too far the chunk nearest to it; ours refuses such a range, and this is the
/// range to ask for instead.
fn in_bounds(start: u64, length: u64, total: u64) -> (u64, u64) {
    if total == 0 {
        return (0, 0);
    }
    let offset = start.min(total - 1);
    (offset, length.clamp(1, total - offset))
}

fn check_bao(encoded: &[u8], case: &Value, digest_field: &str) {
    assert_eq!(encoded.len() as u64, case["output_len"].as_u64().unwrap(), "{case}");
    assert_eq!(blake3::hash(encoded).to_hex().as_str(), case[digest_field].as_str().unwrap(), "{case}");
}

fn hex(octets: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(octets)
}

fn built(content: &[u8], piece: usize) -> Outboard {
    let mut builder = OutboardBuilder::new();
    content.chunks(piece).for_each(|octets| builder.push(octets));
    let outboard = builder.finish();
    assert_eq!(outboard.total_octets(), content.len() as u64);
    let (digest, total) = (*outboard.digest(), outboard.total_octets());
    assert_eq!(Outboard::from_bytes(digest, total, outboard.as_bytes().to_vec()).as_ref(), Ok(&outboard));
    outboard
}

fn reader(content: &[u8]) -> impl FnMut(u64, &mut [u8]) -> Result<(), SliceError> + '_ {
    |offset, buffer| {
        buffer.copy_from_slice(&content[offset as usize..][..buffer.len()]);
        Ok(())
    }
}

/// The input of the Bao vectors: a counter of four octets, little-endian, from 1.
fn pattern(octets: usize) -> Vec<u8> {
    (1u32..).flat_map(u32::to_le_bytes).take(octets).collect()
}

fn vectors(file: &str) -> Option<Value> {
    Some(serde_json::from_str(&crate::address::vectors::read(file)?).unwrap())
}
