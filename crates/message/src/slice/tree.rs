//! The hash tree of BLAKE3 over groups of chunks: its shape, its nodes in post-order, and walks in pre-order.
//!
//! The size of a group is a value here only so that the published vectors, whose groups are single chunks, can run
//! through the same lines as the product.

use std::ops::Range;

use blake3::Hasher;
use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};

use super::{CONTENT_OCTETS_MAX, SliceError};

/// A node is the chaining values of its two children.
const NODE_OCTETS: usize = 64;
const HALF_NODE_OCTETS: usize = 32;

/// The tree over content of a known length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree {
    group_octets: u64,
    total_octets: u64,
}

/// The part of the tree over a run of content. Empty content is one empty group, which is the root.
#[derive(Clone, Copy, Debug)]
struct Subtree {
    offset: u64,
    octets: u64,
    /// How many nodes stand before its first one in post-order.
    nodes_before: u64,
    is_root: bool,
}

impl Tree {
    /// `group_octets` is a power of two and at least one chunk of 1,024 octets.
    pub(super) fn new(group_octets: u64, total_octets: u64) -> Result<Tree, SliceError> {
        if total_octets > CONTENT_OCTETS_MAX {
            return Err(SliceError::ContentTooLong);
        }
        Ok(Tree { group_octets, total_octets })
    }

    pub(super) fn outboard_octets(&self) -> u64 {
        self.nodes_of(self.total_octets) * NODE_OCTETS as u64
    }

    /// The range within the content; it is empty only where the content is.
    pub(super) fn range(&self, offset: u64, length: u64) -> Result<Range<u64>, SliceError> {
        let end = offset.checked_add(length).ok_or(SliceError::Range)?;
        let empty = length == 0 && self.total_octets > 0;
        if end > self.total_octets || empty { Err(SliceError::Range) } else { Ok(offset..end) }
    }

    pub(super) fn slice_octets(&self, range: &Range<u64>) -> u64 {
        self.slice_octets_below(self.root(), range)
    }

    pub(super) fn encode<E>(
        &self,
        nodes: &[u8],
        range: Range<u64>,
        read_at: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Vec<u8>, E>
    where
        E: From<SliceError>,
    {
        let mut encoding = Encoding { tree: self, nodes, range, read_at, slice: Vec::new() };
        encoding.walk(self.root())?;
        Ok(encoding.slice)
    }

    pub(super) fn verify(
        &self,
        digest: &[u8; 32],
        range: Range<u64>,
        slice: &[u8],
    ) -> Result<Vec<u8>, SliceError> {
        let mut verification = Verification { tree: self, range, rest: slice, content: Vec::new() };
        verification.walk(self.root(), digest)?;
        if verification.rest.is_empty() { Ok(verification.content) } else { Err(SliceError::Trailing) }
    }

    fn root(&self) -> Subtree {
        Subtree { offset: 0, octets: self.total_octets, nodes_before: 0, is_root: true }
    }

    /// A binary tree has one node less than leaves.
    fn nodes_of(&self, octets: u64) -> u64 {
        octets.div_ceil(self.group_octets).saturating_sub(1)
    }

    /// The two halves of a subtree that is more than one group. The left one is the largest power of two of chunks
    /// that leaves something over, and so a whole number of groups.
    fn children(&self, parent: Subtree) -> Option<(Subtree, Subtree)> {
        if parent.octets <= self.group_octets {
            return None;
        }
        let left_octets = left_subtree_len(parent.octets);
        let left = Subtree { octets: left_octets, is_root: false, ..parent };
        let right = Subtree {
            offset: parent.offset + left_octets,
            octets: parent.octets - left_octets,
            nodes_before: parent.nodes_before + self.nodes_of(left_octets),
            is_root: false,
        };
        Some((left, right))
    }

    fn slice_octets_below(&self, subtree: Subtree, range: &Range<u64>) -> u64 {
        if !subtree.is_touched_by(range) {
            return 0;
        }
        match self.children(subtree) {
            None => subtree.octets,
            Some((left, right)) => {
                let children = self.slice_octets_below(left, range) + self.slice_octets_below(right, range);
                NODE_OCTETS as u64 + children
            }
        }
    }
}

impl Subtree {
    /// The root always is, so that even a slice of nothing proves something.
    fn is_touched_by(&self, range: &Range<u64>) -> bool {
        self.is_root || (self.offset < range.end && range.start < self.offset + self.octets)
    }

    fn group_value(&self, content: &[u8]) -> [u8; 32] {
        if self.is_root {
            return *blake3::hash(content).as_bytes();
        }
        // A group that is not the root is never empty and starts at a chunk: the two things that hazmat asks for.
        let mut hasher = Hasher::new();
        hasher.set_input_offset(self.offset).update(content);
        hasher.finalize_non_root()
    }

    fn node_value(&self, left: &ChainingValue, right: &ChainingValue) -> [u8; 32] {
        if self.is_root {
            *merge_subtrees_root(left, right, Mode::Hash).as_bytes()
        } else {
            merge_subtrees_non_root(left, right, Mode::Hash)
        }
    }
}

/// One walk that writes a slice.
struct Encoding<'a, R> {
    tree: &'a Tree,
    nodes: &'a [u8],
    range: Range<u64>,
    read_at: R,
    slice: Vec<u8>,
}

impl<'a, R> Encoding<'a, R> {
    fn walk<E>(&mut self, subtree: Subtree) -> Result<(), E>
    where
        R: FnMut(u64, &mut [u8]) -> Result<(), E>,
        E: From<SliceError>,
    {
        if !subtree.is_touched_by(&self.range) {
            return Ok(());
        }
        let Some((left, right)) = self.tree.children(subtree) else {
            let start = self.slice.len();
            let octets = usize::try_from(subtree.octets).map_err(|_| SliceError::TooLong)?;
            self.slice.resize(start + octets, 0);
            return (self.read_at)(subtree.offset, &mut self.slice[start..]);
        };
        let node = self.node(subtree).ok_or(SliceError::OutboardLength)?;
        self.slice.extend_from_slice(node);
        self.walk(left)?;
        self.walk(right)
    }

    /// In post-order the node of a subtree is the last of its nodes.
    fn node(&self, subtree: Subtree) -> Option<&'a [u8]> {
        let index = subtree.nodes_before + self.tree.nodes_of(subtree.octets) - 1;
        let nodes = self.nodes;
        let start = usize::try_from(index).ok()?.checked_mul(NODE_OCTETS)?;
        nodes.get(start..start.checked_add(NODE_OCTETS)?)
    }
}

/// One walk that checks a slice.
struct Verification<'a> {
    tree: &'a Tree,
    range: Range<u64>,
    rest: &'a [u8],
    content: Vec<u8>,
}

impl<'a> Verification<'a> {
    fn walk(&mut self, subtree: Subtree, expected: &[u8; 32]) -> Result<(), SliceError> {
        if !subtree.is_touched_by(&self.range) {
            return Ok(());
        }
        let Some((left, right)) = self.tree.children(subtree) else {
            return self.check_group(subtree, expected);
        };
        let left_value = self.take_value()?;
        let right_value = self.take_value()?;
        if subtree.node_value(left_value, right_value) != *expected {
            return Err(SliceError::Corrupt);
        }
        self.walk(left, left_value)?;
        self.walk(right, right_value)
    }

    fn check_group(&mut self, group: Subtree, expected: &[u8; 32]) -> Result<(), SliceError> {
        let octets = usize::try_from(group.octets).map_err(|_| SliceError::Truncated)?;
        let (content, rest) = self.rest.split_at_checked(octets).ok_or(SliceError::Truncated)?;
        self.rest = rest;
        if group.group_value(content) != *expected {
            return Err(SliceError::Corrupt);
        }
        let within = |position: u64| {
            let inside = position.clamp(group.offset, group.offset + group.octets) - group.offset;
            usize::try_from(inside).unwrap_or(octets)
        };
        self.content.extend_from_slice(&content[within(self.range.start)..within(self.range.end)]);
        Ok(())
    }

    fn take_value(&mut self) -> Result<&'a [u8; HALF_NODE_OCTETS], SliceError> {
        let (value, rest) = self.rest.split_first_chunk().ok_or(SliceError::Truncated)?;
        self.rest = rest;
        Ok(value)
    }
}

/// Builds the tree over content that is pushed in.
#[derive(Clone, Debug)]
pub(super) struct Builder {
    group_octets: u64,
    total_octets: u64,
    /// The group that is being filled. It is closed only when more content follows, so the last one stays here until
    /// the end is known, and with it whether it is the root.
    group: Hasher,
    /// Complete subtrees that wait for their right sibling, the largest first.
    waiting: Vec<ChainingValue>,
    nodes: Vec<u8>,
}

impl Builder {
    pub(super) fn new(group_octets: u64) -> Builder {
        Builder {
            group_octets,
            total_octets: 0,
            group: Hasher::new(),
            waiting: Vec::new(),
            nodes: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let mut room = self.group_octets - self.group.count();
            if room == 0 {
                self.close_group();
                room = self.group_octets;
            }
            let taken = usize::try_from(room).unwrap_or(usize::MAX).min(octets.len());
            let (now, later) = octets.split_at(taken);
            self.group.update(now);
            self.total_octets += taken as u64;
            octets = later;
        }
    }

    pub(super) fn finish(mut self) -> ([u8; 32], u64, Vec<u8>) {
        if self.waiting.is_empty() {
            return (*self.group.finalize().as_bytes(), self.total_octets, self.nodes);
        }
        let mut right = self.group.finalize_non_root();
        while let Some(left) = self.waiting.pop() {
            self.write_node(&left, &right);
            right = if self.waiting.is_empty() {
                *merge_subtrees_root(&left, &right, Mode::Hash).as_bytes()
            } else {
                merge_subtrees_non_root(&left, &right, Mode::Hash)
            };
        }
        (right, self.total_octets, self.nodes)
    }

    /// Closes a full group that more content follows, and every subtree that it completes: as many as the number of
    /// groups can be halved. None of them is the root, because of what follows.
    fn close_group(&mut self) {
        let groups = self.total_octets / self.group_octets;
        let mut value = self.group.finalize_non_root();
        for _ in 0..groups.trailing_zeros() {
            let Some(left) = self.waiting.pop() else { break };
            self.write_node(&left, &value);
            value = merge_subtrees_non_root(&left, &value, Mode::Hash);
        }
        self.waiting.push(value);
        self.group = Hasher::new();
        self.group.set_input_offset(self.total_octets);
    }

    fn write_node(&mut self, left: &ChainingValue, right: &ChainingValue) {
        self.nodes.extend_from_slice(left);
        self.nodes.extend_from_slice(right);
    }
}
