//! The manifest: what a message consists of, in deterministic CBOR. It is derived from the message and signed by seals.

use ciborium::Value;

use crate::cbor::{self, as_bytes, as_uint, uint};
use crate::limits::{
    DEPTH_MAX, HEADERS_OCTETS_MAX, LENGTH_MAX, MANIFEST_OCTETS_MAX, MEDIA_TYPE_OCTETS_MAX, PARTS_MAX,
};
use crate::{Digest, Error, Identity};

/// The octets that end every part: CRLF CRLF.
pub(crate) const TRAILER: &[u8] = b"\r\n\r\n";
/// The version of the manifest that this crate writes and reads.
const VERSION: u64 = 1;

/// How many octets something has, and their digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The number of octets.
    pub octets: u64,
    /// Their BLAKE3 digest.
    pub digest: Digest,
}

impl Extent {
    /// The extent of these octets.
    pub fn of(octets: &[u8]) -> Extent {
        Extent { octets: octets.len() as u64, digest: Digest::of(octets) }
    }
}

/// One part in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `type/subtype` in lower case, without parameters.
    pub media_type: String,
    /// The header block of the part.
    pub header: Extent,
    /// Octets of the body: for a container those of its child parts, their headers and trailers included.
    pub octets: u64,
    /// What the body is.
    pub content: PartContent,
}

/// What the body of a part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartContent {
    /// Octets with this digest.
    Leaf(Digest),
    /// Child parts.
    Container(Vec<Part>),
}

impl Part {
    /// The digest of the body where the part is a leaf.
    pub fn leaf(&self) -> Option<Digest> {
        match self.content {
            PartContent::Leaf(digest) => Some(digest),
            PartContent::Container(_) => None,
        }
    }

    /// The child parts; none where the part is a leaf.
    pub fn children(&self) -> &[Part] {
        match &self.content {
            PartContent::Leaf(_) => &[],
            PartContent::Container(children) => children,
        }
    }

    /// Octets of the whole part: header block, body and trailer.
    pub fn total_octets(&self) -> u64 {
        self.header.octets + self.octets + TRAILER.len() as u64
    }
}

/// What a message consists of: its header block and its tree of parts.
///
/// keeps: MSG-10, MSG-11
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    header: Extent,
    root: Part,
    octets: Vec<u8>,
}

/// One stretch of the octet form of a message, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment {
    /// The header block of the message.
    Header {
        /// Its octets.
        octets: u64,
    },
    /// The header block of a part.
    PartHeader {
        /// The number of the part.
        part: usize,
        /// Its octets.
        octets: u64,
    },
    /// The body of a leaf.
    Body {
        /// The number of the part.
        part: usize,
        /// Its octets.
        octets: u64,
    },
    /// CRLF CRLF.
    Trailer,
}

impl Manifest {
    /// Makes a manifest of a header block and a root part.
    ///
    /// # Errors
    /// [`Error::Bound`] where the tree is too wide, too deep or too large; [`Error::Manifest`] where a length does not
    /// agree with its parts.
    pub fn new(header: Extent, root: Part) -> Result<Manifest, Error> {
        check_tree(&header, &root)?;
        let octets = cbor::encode(&cbor::map([
            (0, Some(uint(VERSION))),
            (1, Some(extent_value(&header))),
            (2, Some(part_value(&root))),
        ]));
        if octets.len() > MANIFEST_OCTETS_MAX {
            return Err(Error::Bound { what: "octets of a manifest", bound: MANIFEST_OCTETS_MAX as u64 });
        }
        Ok(Manifest { header, root, octets })
    }

    /// Reads a manifest from its octets, which must be its deterministic encoding.
    ///
    /// # Errors
    /// [`Error::Manifest`], [`Error::Cbor`] or [`Error::Bound`].
    pub fn decode(octets: &[u8]) -> Result<Manifest, Error> {
        if octets.len() > MANIFEST_OCTETS_MAX {
            return Err(Error::Bound { what: "octets of a manifest", bound: MANIFEST_OCTETS_MAX as u64 });
        }
        let value = cbor::decode_deterministic(octets)?;
        let entries = exact_map(&value, &[0, 1, 2])?;
        if as_uint(&entries[0].1) != Some(VERSION) {
            return Err(Error::Manifest("its version is not known"));
        }
        let manifest = Manifest::new(read_extent(&entries[1].1)?, read_part(&entries[2].1, 1)?)?;
        if manifest.octets == octets {
            Ok(manifest)
        } else {
            Err(Error::Manifest("it is not in its only form"))
        }
    }

    /// The octets: what a seal signs and what the identity is the digest of.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The identity of the message.
    pub fn identity(&self) -> Identity {
        Identity(Digest::of(&self.octets))
    }

    /// The extent of the header block of the message.
    pub fn header(&self) -> Extent {
        self.header
    }

    /// The root part.
    pub fn root(&self) -> &Part {
        &self.root
    }

    /// Octets of the whole message in its octet form.
    pub fn message_octets(&self) -> u64 {
        self.header.octets + self.root.total_octets()
    }

    /// Octets of all header blocks together: that of the message and those of its parts.
    pub fn headers_octets(&self) -> u64 {
        self.header.octets + self.parts().map(|part| part.header.octets).sum::<u64>()
    }

    /// The parts in the order of the octets; the place in this order is the number of the part, the root is 0.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        let mut waiting = vec![&self.root];
        std::iter::from_fn(move || {
            let part = waiting.pop()?;
            waiting.extend(part.children().iter().rev());
            Some(part)
        })
    }

    /// The leaves with their numbers, in order.
    pub fn leaves(&self) -> impl Iterator<Item = (usize, &Part, Digest)> {
        self.parts().enumerate().filter_map(|(number, part)| part.leaf().map(|digest| (number, part, digest)))
    }

    /// The part of this number.
    pub fn part(&self, number: usize) -> Option<&Part> {
        self.parts().nth(number)
    }

    /// The number of the first `text/plain` leaf: what the short form of a message shows.
    pub fn first_text(&self) -> Option<usize> {
        self.leaves().find(|(_, part, _)| part.media_type == "text/plain").map(|(number, _, _)| number)
    }

    /// The stretches of the octet form, in order.
    pub fn layout(&self) -> Vec<Segment> {
        let mut segments = vec![Segment::Header { octets: self.header.octets }];
        let mut number = 0;
        lay_out(&self.root, &mut number, &mut segments);
        segments
    }
}

/// Whether parts of this media type hold child parts.
///
/// keeps: MSG-7
pub(crate) fn is_container(media_type: &str) -> bool {
    media_type.starts_with("multipart/") || matches!(media_type, "message/rfc822" | "message/global")
}

/// Whether the text is a media type in lower case, `type/subtype`, each an RFC 6838 section 4.2 restricted name.
pub(crate) fn is_media_type(text: &str) -> bool {
    let name = |part: &str| {
        part.len() <= 127
            && part.bytes().next().is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit())
            && part.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"!#$&-^_.+".contains(&c))
    };
    text.len() <= MEDIA_TYPE_OCTETS_MAX
        && text.split_once('/').is_some_and(|(top, sub)| name(top) && name(sub))
}

fn lay_out(part: &Part, number: &mut usize, segments: &mut Vec<Segment>) {
    segments.push(Segment::PartHeader { part: *number, octets: part.header.octets });
    if part.leaf().is_some() {
        segments.push(Segment::Body { part: *number, octets: part.octets });
    }
    *number += 1;
    for child in part.children() {
        lay_out(child, number, segments);
    }
    segments.push(Segment::Trailer);
}

/// Checks counts, depth, sums and media types of the whole tree.
fn check_tree(header: &Extent, root: &Part) -> Result<(), Error> {
    let (mut parts, mut headers) = (0_usize, header.octets);
    check_part(root, 1, &mut parts, &mut headers)?;
    Ok(())
}

fn check_part(part: &Part, depth: usize, parts: &mut usize, headers: &mut u64) -> Result<(), Error> {
    *parts += 1;
    if *parts > PARTS_MAX {
        return Err(Error::Bound { what: "parts", bound: PARTS_MAX as u64 });
    }
    if depth > DEPTH_MAX {
        return Err(Error::Bound { what: "levels of parts", bound: DEPTH_MAX as u64 });
    }
    if part.octets > LENGTH_MAX {
        return Err(Error::Bound { what: "octets of a part", bound: LENGTH_MAX });
    }
    *headers = headers.saturating_add(part.header.octets);
    if *headers > HEADERS_OCTETS_MAX {
        return Err(Error::Bound { what: "octets of headers", bound: HEADERS_OCTETS_MAX });
    }
    if !is_media_type(&part.media_type) {
        return Err(Error::Manifest("a media type is not `type/subtype` in lower case"));
    }
    if is_container(&part.media_type) != part.leaf().is_none() {
        return Err(Error::Manifest("only containers have parts, and they have nothing else"));
    }
    // Nothing of it ever comes that could be held against another digest.
    if part.octets == 0 && part.leaf().is_some_and(|digest| digest != Digest::of(b"")) {
        return Err(Error::Manifest("a leaf of no octets has the digest of some"));
    }
    if let PartContent::Container(children) = &part.content {
        let mut sum = 0_u64;
        for child in children {
            check_part(child, depth + 1, parts, headers)?;
            sum = sum.saturating_add(child.total_octets());
        }
        if sum != part.octets {
            return Err(Error::Manifest("the length of a container is not that of its parts"));
        }
    }
    Ok(())
}

fn extent_value(extent: &Extent) -> Value {
    Value::Array(vec![uint(extent.octets), cbor::bytes(extent.digest.as_bytes())])
}

fn part_value(part: &Part) -> Value {
    let content = match &part.content {
        PartContent::Leaf(digest) => (4, Some(cbor::bytes(digest.as_bytes()))),
        PartContent::Container(children) => {
            (5, Some(Value::Array(children.iter().map(part_value).collect())))
        }
    };
    cbor::map([
        (1, Some(cbor::text(&part.media_type))),
        (2, Some(extent_value(&part.header))),
        (3, Some(uint(part.octets))),
        content,
    ])
}

fn read_extent(value: &Value) -> Result<Extent, Error> {
    match value.as_array().map(Vec::as_slice) {
        Some([octets, digest]) => Ok(Extent {
            octets: as_uint(octets).ok_or(Error::Manifest("a length is not a number"))?,
            digest: read_digest(digest)?,
        }),
        _ => Err(Error::Manifest("an extent is not a length and a digest")),
    }
}

fn read_digest(value: &Value) -> Result<Digest, Error> {
    as_bytes(value)
        .and_then(|octets| Digest::from_slice(octets).ok())
        .ok_or(Error::Manifest("a digest does not have 32 octets"))
}

fn read_part(value: &Value, depth: usize) -> Result<Part, Error> {
    if depth > DEPTH_MAX {
        return Err(Error::Bound { what: "levels of parts", bound: DEPTH_MAX as u64 });
    }
    let leaf = value.as_map().is_some_and(|entries| cbor::find(entries, 4).is_some());
    let entries = exact_map(value, if leaf { &[1, 2, 3, 4] } else { &[1, 2, 3, 5] })?;
    let content = if leaf {
        PartContent::Leaf(read_digest(&entries[3].1)?)
    } else {
        let children =
            entries[3].1.as_array().ok_or(Error::Manifest("the parts of a container are not a list"))?;
        PartContent::Container(
            children.iter().map(|child| read_part(child, depth + 1)).collect::<Result<_, _>>()?,
        )
    };
    Ok(Part {
        media_type: entries[0].1.as_text().ok_or(Error::Manifest("a media type is not text"))?.to_owned(),
        header: read_extent(&entries[1].1)?,
        octets: as_uint(&entries[2].1).ok_or(Error::Manifest("a length is not a number"))?,
        content,
    })
}

/// The entries of a map that has just these keys, in this order.
fn exact_map<'a>(value: &'a Value, keys: &[u64]) -> Result<&'a [(Value, Value)], Error> {
    let entries = value.as_map().ok_or(Error::Manifest("not a map where one must be"))?;
    let same =
        entries.len() == keys.len() && entries.iter().zip(keys).all(|((k, _), key)| as_uint(k) == Some(*key));
    if same { Ok(entries) } else { Err(Error::Manifest("a map does not have just the keys it must have")) }
}
