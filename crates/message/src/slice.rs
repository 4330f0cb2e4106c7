//! Slices: a byte range of a part that can be checked against the part's BLAKE3 digest without the rest of the part.
//!
//! A slice is the content of the groups that the range touches, and before each subtree the pair of chaining values
//! that ties it to the digest, in pre-order: the slice format of Bao, with groups of 16 chunks and without the length
//! header, for the length of every part stands in the signed manifest. Why this one: `spec/decisions/0003-slices.md`.
//!
//! The sender needs an [`Outboard`], built while the content streams past, and later only the octets of the touched
//! groups; the receiver needs the digest, the total length and nothing else. This module does no I/O: content is
//! pushed in, and read back through a closure of the caller.

mod tree;

use tree::Tree;

/// Octets of content under one leaf: 16 chunks of BLAKE3, so that the outboard of 1 GiB is 4 MiB, and little enough
/// that a request for one octet costs one small read. It is part of the format.
pub const GROUP_OCTETS: u64 = 16 * 1024;

/// The longest range that one slice may cover, since a slice is built and checked in memory. A longer range is a row
/// of slices.
pub const SLICE_LENGTH_MAX: u64 = 1024 * 1024;

/// The longest content that can be sliced: far above any file, far below where sums of offsets would overflow.
pub const CONTENT_OCTETS_MAX: u64 = 1 << 56;

/// The inner nodes of the hash tree over one part's content: 64 octets for each group but the first, so 1/256 of the
/// content. It is no secret and no evidence: whoever holds the content can compute it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outboard {
    digest: [u8; 32],
    total_octets: u64,
    nodes: Vec<u8>,
}

impl Outboard {
    /// Takes up an outboard that was stored as [`Outboard::as_bytes`].
    ///
    /// Only its length is checked: a slice that is made from damaged nodes is caught by [`encode_slice`].
    ///
    /// # Errors
    ///
    /// [`SliceError::OutboardLength`] when it cannot belong to content of this length, [`SliceError::ContentTooLong`].
    pub fn from_bytes(digest: [u8; 32], total_octets: u64, nodes: Vec<u8>) -> Result<Outboard, SliceError> {
        let tree = Tree::new(GROUP_OCTETS, total_octets)?;
        if u64::try_from(nodes.len()).ok() != Some(tree.outboard_octets()) {
            return Err(SliceError::OutboardLength);
        }
        Ok(Outboard { digest, total_octets, nodes })
    }

    /// The BLAKE3 digest of the content.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The length of the content in octets.
    pub fn total_octets(&self) -> u64 {
        self.total_octets
    }

    /// The nodes in post-order, 64 octets each: what to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.nodes
    }
}

/// Builds an [`Outboard`] from content that arrives in pieces of any size. It keeps the outboard and one chaining
/// value for each level of the tree, never the content.
///
/// keeps: ADDR-21
#[derive(Clone, Debug)]
pub struct OutboardBuilder(tree::Builder);

impl OutboardBuilder {
    /// A builder that has seen no content yet.
    pub fn new() -> OutboardBuilder {
        OutboardBuilder(tree::Builder::new(GROUP_OCTETS))
    }

    /// Takes the next octets of the content. The caller bounds the whole.
    pub fn push(&mut self, octets: &[u8]) {
        self.0.push(octets);
    }

    /// Ends the content.
    pub fn finish(self) -> Outboard {
        let (digest, total_octets, nodes) = self.0.finish();
        Outboard { digest, total_octets, nodes }
    }
}

impl Default for OutboardBuilder {
    fn default() -> OutboardBuilder {
        OutboardBuilder::new()
    }
}

/// Makes the slice for `length` octets of the content from `offset` on. `read_at` fills its buffer with the octets of
/// the content at an offset; it is asked for whole groups, in rising order.
///
/// The finished slice is checked before it is given out, so that a decayed disk is found here, by its owner, and not
/// held against us by the receiver.
///
/// # Errors
///
/// What `read_at` reports, and as `E::from`: [`SliceError::Range`] and [`SliceError::TooLong`] for what was asked,
/// [`SliceError::ContentChanged`] when content, outboard and digest no longer belong together.
///
/// keeps: ADDR-21, ADDR-22
pub fn encode_slice<E: From<SliceError>>(
    outboard: &Outboard,
    offset: u64,
    length: u64,
    read_at: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
) -> Result<Vec<u8>, E> {
    let tree = Tree::new(GROUP_OCTETS, outboard.total_octets)?;
    check_length(length)?;
    let range = tree.range(offset, length)?;
    let slice = tree.encode(&outboard.nodes, range.clone(), read_at)?;
    match tree.verify(&outboard.digest, range, &slice) {
        Ok(_) => Ok(slice),
        Err(_) => Err(SliceError::ContentChanged.into()),
    }
}

/// Checks a slice from a peer and gives exactly the octets of the range. `digest` and `total_octets` come from a
/// manifest that is trusted already; nothing of the slice is believed.
///
/// # Errors
///
/// [`SliceError::Range`] and [`SliceError::TooLong`] for what was asked; [`SliceError::Truncated`],
/// [`SliceError::Trailing`] and [`SliceError::Corrupt`] for what the peer sent.
///
/// keeps: ADDR-20, ADDR-22
pub fn verify_slice(
    digest: &[u8; 32],
    total_octets: u64,
    offset: u64,
    length: u64,
    slice: &[u8],
) -> Result<Vec<u8>, SliceError> {
    let tree = Tree::new(GROUP_OCTETS, total_octets)?;
    check_length(length)?;
    let range = tree.range(offset, length)?;
    tree.verify(digest, range, slice)
}

/// How many octets the slice for a range has, which both sides know before the first of them travels. At most the
/// length of the range, two groups, and 64 octets for each node on the way to them.
///
/// # Errors
///
/// [`SliceError::Range`], [`SliceError::TooLong`], [`SliceError::ContentTooLong`].
///
/// keeps: ADDR-22
pub fn slice_octets(total_octets: u64, offset: u64, length: u64) -> Result<u64, SliceError> {
    let tree = Tree::new(GROUP_OCTETS, total_octets)?;
    check_length(length)?;
    Ok(tree.slice_octets(&tree.range(offset, length)?))
}

fn check_length(length: u64) -> Result<(), SliceError> {
    if length > SLICE_LENGTH_MAX { Err(SliceError::TooLong) } else { Ok(()) }
}

/// What is wrong with a slice or with the wish for one, by whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SliceError {
    /// Whoever asked: the range is empty though the content is not, or does not lie within the content.
    #[error("the range is empty or goes beyond the content")]
    Range,
    /// Whoever asked: the range is longer than [`SLICE_LENGTH_MAX`].
    #[error("the range is longer than one slice may be")]
    TooLong,
    /// Whoever asked: the content is longer than [`CONTENT_OCTETS_MAX`].
    #[error("the content is too long to be sliced")]
    ContentTooLong,
    /// The peer: the slice ends early.
    #[error("the slice ends early")]
    Truncated,
    /// The peer: octets follow the end of the slice.
    #[error("octets follow the end of the slice")]
    Trailing,
    /// The peer: the content or a node does not belong to the digest.
    #[error("the slice does not belong to the digest")]
    Corrupt,
    /// Ours: the stored outboard cannot belong to content of this length.
    #[error("the outboard has the wrong length for its content")]
    OutboardLength,
    /// Ours: stored content, outboard and digest no longer belong together.
    #[error("the stored content or its outboard has changed")]
    ContentChanged,
}

#[cfg(test)]
mod tests;
