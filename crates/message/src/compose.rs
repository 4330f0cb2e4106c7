//! Making messages: a draft becomes headers and a manifest; a small message can be held whole.

use bytes::{Bytes, BytesMut};

use crate::limits::{DEPTH_MAX, LENGTH_MAX};
use crate::manifest::{TRAILER, is_container, is_media_type};
use crate::{
    Digest, Error, Event, Extent, HeaderBlock, HeaderBuilder, Identity, Limits, Manifest, Parser, Part,
    PartContent, Segment,
};

/// The header blocks of a message: its own and those of its parts, in the order of the octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    message: HeaderBlock,
    parts: Vec<HeaderBlock>,
}

impl Headers {
    /// The header block of the message.
    pub fn message(&self) -> &HeaderBlock {
        &self.message
    }

    /// The header blocks of the parts, by their numbers.
    pub fn parts(&self) -> &[HeaderBlock] {
        &self.parts
    }

    /// All header blocks one after the other: what the selection `headers` fetches.
    pub fn octets(&self) -> Bytes {
        let mut all = BytesMut::from(self.message.octets().as_ref());
        for part in &self.parts {
            all.extend_from_slice(part.octets());
        }
        all.freeze()
    }

    /// Reads what [`Headers::octets`] wrote and checks each block against the manifest.
    ///
    /// # Errors
    /// [`Error::Digest`] where a block is not the one in the manifest, [`Error::Header`] or [`Error::Part`] where it
    /// breaks a rule or states another length or type than the manifest.
    ///
    /// keeps: MSG-13
    pub fn verify(manifest: &Manifest, octets: Bytes) -> Result<Headers, Error> {
        if octets.len() as u64 != manifest.headers_octets() {
            return Err(Error::Digest("headers"));
        }
        let mut rest = octets;
        let mut take = |extent: Extent| {
            let block = rest.split_to(extent.octets as usize);
            if Digest::of(&block) != extent.digest {
                return Err(Error::Digest("a header block"));
            }
            HeaderBlock::parse(block)
        };
        let message = take(manifest.header())?;
        let mut parts = Vec::new();
        for (number, part) in manifest.parts().enumerate() {
            let block = take(part.header)?;
            let stated = read_part_header(&block, number)?;
            if stated.media_type != part.media_type || stated.octets != part.octets {
                return Err(Error::Part {
                    part: number,
                    reason: "its header does not say what the manifest says",
                });
            }
            parts.push(block);
        }
        Ok(Headers { message, parts })
    }

    /// The same parts under another header block of the message: what a submission does that adds a field.
    ///
    /// # Errors
    /// [`Error::Bound`] where the headers become too large.
    ///
    /// keeps: MSG-16
    pub fn with_message_header(
        &self,
        manifest: &Manifest,
        header: HeaderBlock,
    ) -> Result<(Headers, Manifest), Error> {
        let manifest = Manifest::new(Extent::of(header.octets()), manifest.root().clone())?;
        Ok((Headers { message: header, parts: self.parts.clone() }, manifest))
    }
}

/// A message to be: its fields and its tree of parts. Lengths are worked out when it is assembled.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The header block of the message.
    pub header: HeaderBlock,
    /// The root part.
    pub root: DraftPart,
}

/// A part of a [`Draft`].
#[derive(Debug, Clone)]
pub struct DraftPart {
    /// `type/subtype` in lower case.
    pub media_type: String,
    /// Parameters of the media type as they follow it, for instance `; name=x`; empty where there are none.
    pub parameters: String,
    /// Further fields of the part, such as `Content-Disposition`.
    pub fields: Vec<(String, String)>,
    /// What it holds.
    pub content: DraftContent,
}

/// What a part of a [`Draft`] holds.
#[derive(Debug, Clone)]
pub enum DraftContent {
    /// Octets, known by their extent; they are kept by the caller.
    Body(Extent),
    /// Child parts.
    Parts(Vec<DraftPart>),
}

impl Draft {
    /// Works out lengths, header blocks and the manifest.
    ///
    /// # Errors
    /// [`Error::Header`] or [`Error::Part`] where a field or a type is not allowed, [`Error::Bound`] past a bound.
    pub fn assemble(&self) -> Result<(Headers, Manifest), Error> {
        let mut parts = Vec::new();
        let root = assemble_part(&self.root, &mut parts, 1)?;
        let manifest = Manifest::new(Extent::of(self.header.octets()), root)?;
        Ok((Headers { message: self.header.clone(), parts }, manifest))
    }
}

fn assemble_part(draft: &DraftPart, blocks: &mut Vec<HeaderBlock>, depth: usize) -> Result<Part, Error> {
    let number = blocks.len();
    let wrong = |reason| Error::Part { part: number, reason };
    if depth > DEPTH_MAX {
        return Err(Error::Bound { what: "levels of parts", bound: DEPTH_MAX as u64 });
    }
    if !is_media_type(&draft.media_type) {
        return Err(wrong("its media type is not `type/subtype` in lower case"));
    }
    // The header of a container stands before those of its children and states their length: hold its place.
    blocks.push(HeaderBuilder::new().finish()?);
    let (octets, content) = match &draft.content {
        DraftContent::Body(extent) if extent.octets > LENGTH_MAX => {
            return Err(Error::Bound { what: "octets of a part", bound: LENGTH_MAX });
        }
        DraftContent::Body(extent) if !is_container(&draft.media_type) => {
            (extent.octets, PartContent::Leaf(extent.digest))
        }
        DraftContent::Parts(children) if is_container(&draft.media_type) => {
            let children = children
                .iter()
                .map(|child| assemble_part(child, blocks, depth + 1))
                .collect::<Result<Vec<_>, _>>()?;
            let octets = children.iter().fold(0_u64, |sum, child| sum.saturating_add(child.total_octets()));
            (octets, PartContent::Container(children))
        }
        _ => return Err(wrong("only containers have parts, and they have nothing else")),
    };
    let mut header = HeaderBuilder::new();
    header.push("Content-Type", &format!("{}{}", draft.media_type, draft.parameters))?;
    header.push("Content-Length", &octets.to_string())?;
    for (name, value) in &draft.fields {
        header.push(name, value)?;
    }
    let block = header.finish()?;
    if read_part_header(&block, number)?.media_type != draft.media_type {
        return Err(wrong("its parameters do not begin with a semicolon"));
    }
    let part =
        Part { media_type: draft.media_type.clone(), header: Extent::of(block.octets()), octets, content };
    blocks[number] = block;
    Ok(part)
}

/// What the header block of a part must say.
pub(crate) struct PartHeader {
    pub(crate) media_type: String,
    pub(crate) octets: u64,
}

/// Reads the media type and the length, which must each stand there just once.
pub(crate) fn read_part_header(block: &HeaderBlock, part: usize) -> Result<PartHeader, Error> {
    let wrong = |reason| Error::Part { part, reason };
    let media_type = block.only("Content-Type").ok_or(wrong("it does not have just one Content-Type"))?;
    let media_type =
        media_type.split(';').next().unwrap_or_default().trim_end_matches([' ', '\t']).to_owned();
    if !is_media_type(&media_type) {
        return Err(wrong("its media type is not `type/subtype` in lower case"));
    }
    let length = block.only("Content-Length").ok_or(wrong("it does not have just one Content-Length"))?;
    let digits = !length.is_empty() && length.len() <= 19 && length.bytes().all(|c| c.is_ascii_digit());
    if !digits || (length.starts_with('0') && length != "0") {
        return Err(wrong("its Content-Length is not a number in its shortest form"));
    }
    if block.first("Content-Transfer-Encoding").is_some() {
        return Err(wrong("it has a transfer encoding; bodies are raw octets"));
    }
    let octets = length.parse().map_err(|_| wrong("its Content-Length is too large"))?;
    Ok(PartHeader { media_type, octets })
}

/// A whole message in memory: for small messages, translation and tests. Large ones are streamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    manifest: Manifest,
    headers: Headers,
    bodies: Vec<Bytes>,
}

impl Message {
    /// Assembles a draft with the bodies of its leaves, in order.
    ///
    /// # Errors
    /// As [`Draft::assemble`]; [`Error::Digest`] where a body is not what the draft says.
    pub fn assemble(draft: &Draft, bodies: Vec<Bytes>) -> Result<Message, Error> {
        let (headers, manifest) = draft.assemble()?;
        let same = manifest.leaves().count() == bodies.len()
            && manifest.leaves().zip(&bodies).all(|((_, _, digest), body)| Digest::of(body) == digest);
        if !same {
            return Err(Error::Digest("the body of a part"));
        }
        Ok(Message { manifest, headers, bodies })
    }

    /// Parses the whole octet form.
    ///
    /// # Errors
    /// As [`Parser`].
    pub fn parse(octets: &[u8], limits: Limits) -> Result<Message, Error> {
        let mut parser = Parser::new(limits);
        parser.push(octets);
        let (mut message, mut parts, mut bodies) = (None, Vec::new(), Vec::<BytesMut>::new());
        let mut manifest = None;
        while let Some(event) = parser.next_event()? {
            match event {
                Event::Header(block) => message = Some(block),
                Event::PartStart { header, container, .. } => {
                    parts.push(header);
                    if !container {
                        bodies.push(BytesMut::new());
                    }
                }
                Event::Body { octets, .. } => {
                    if let Some(body) = bodies.last_mut() {
                        body.extend_from_slice(&octets);
                    }
                }
                Event::PartEnd { .. } => {}
                Event::End(whole) => manifest = Some(*whole),
            }
        }
        parser.finish()?;
        match (message, manifest) {
            (Some(message), Some(manifest)) => Ok(Message {
                manifest,
                headers: Headers { message, parts },
                bodies: bodies.into_iter().map(BytesMut::freeze).collect(),
            }),
            _ => Err(Error::Truncated("in the header block")),
        }
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The identity.
    pub fn identity(&self) -> Identity {
        self.manifest.identity()
    }

    /// The header blocks.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The bodies of the leaves, in order.
    pub fn bodies(&self) -> &[Bytes] {
        &self.bodies
    }

    /// The body of the leaf that has this part number.
    pub fn body(&self, part: usize) -> Option<&Bytes> {
        let place = self.manifest.leaves().position(|(number, _, _)| number == part)?;
        self.bodies.get(place)
    }

    /// The octet form.
    pub fn to_octets(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.manifest.message_octets() as usize);
        let mut bodies = self.bodies.iter();
        for segment in self.manifest.layout() {
            match segment {
                Segment::Header { .. } => all.extend_from_slice(self.headers.message.octets()),
                Segment::PartHeader { part, .. } => all.extend_from_slice(self.headers.parts[part].octets()),
                Segment::Body { .. } => all.extend_from_slice(bodies.next().map_or(&[][..], |body| body)),
                Segment::Trailer => all.extend_from_slice(TRAILER),
            }
        }
        all
    }
}
