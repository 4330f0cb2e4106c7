//! From octets of a stream to frames and content.

use bytes::{Bytes, BytesMut};

use crate::decode::decode;
use crate::limits::FRAME_OCTETS_MAX;
use crate::{Error, Frame};

/// What stands next in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A frame.
    Frame(Frame),
    /// Octets of the content that the last content frame announced.
    Content(Bytes),
}

/// Cuts a stream into frames and content. Holds one frame at the most; content passes through.
///
/// keeps: FRM-1, FRM-6, SEC-1, SEC-2
#[derive(Debug, Default)]
pub struct Reader {
    input: BytesMut,
    /// Octets of content still to come.
    content: u64,
}

impl Reader {
    /// Nothing read yet.
    pub fn new() -> Reader {
        Reader::default()
    }

    /// Takes in octets.
    pub fn push(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
    }

    /// Takes in octets, or the end of the stream, which may come only where nothing more is due and nothing half read.
    pub(crate) fn take(&mut self, octets: Option<&[u8]>, may_end: bool) -> Result<(), Error> {
        match octets {
            Some(octets) => self.push(octets),
            None if may_end && self.at_boundary() => {}
            None => return Err(Error::Truncated),
        }
        Ok(())
    }

    /// Whether the stream may end here: no frame is half read, no content outstanding.
    pub fn at_boundary(&self) -> bool {
        self.input.is_empty() && self.content == 0
    }

    /// The next item, or `None` where more octets are needed.
    ///
    /// # Errors
    /// [`Error::Bound`] for a frame past [`FRAME_OCTETS_MAX`], else why it is not a frame.
    pub fn next_item(&mut self) -> Result<Option<Item>, Error> {
        if self.content > 0 {
            if self.input.is_empty() {
                return Ok(None);
            }
            let take = usize::try_from(self.content).unwrap_or(usize::MAX).min(self.input.len());
            self.content -= take as u64;
            return Ok(Some(Item::Content(self.input.split_to(take).freeze())));
        }
        let Some((length, head)) = varint(&self.input) else { return Ok(None) };
        if length > FRAME_OCTETS_MAX {
            return Err(Error::Bound { what: "octets of a frame", bound: FRAME_OCTETS_MAX });
        }
        let whole = head + length as usize;
        if self.input.len() < whole {
            return Ok(None);
        }
        let octets = self.input.split_to(whole);
        let frame = decode(&octets[head..])?;
        if let Frame::Content(content) = &frame {
            self.content = content.octets;
        }
        Ok(Some(Item::Frame(frame)))
    }
}

/// Reads a varint (RFC 9000 section 16) and how many octets it takes, once they are there.
fn varint(input: &[u8]) -> Option<(u64, usize)> {
    let first = *input.first()?;
    let size = 1_usize << (first >> 6);
    let octets = input.get(..size)?;
    let number =
        octets[1..].iter().fold(u64::from(first & 0x3f), |number, octet| (number << 8) | u64::from(*octet));
    Some((number, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_those_of_quic() {
        // The examples of RFC 9000 appendix A.1.
        let check = |octets: &[u8], number: u64| assert_eq!(varint(octets), Some((number, octets.len())));
        check(&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652);
        check(&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333);
        check(&[0x7b, 0xbd], 15_293);
        check(&[0x25], 37);
        assert_eq!(varint(&[0x7b]), None);
    }
}
