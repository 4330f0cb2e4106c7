//! The file form: an outer header block with the seals, then the message.

use bytes::Bytes;
use data_encoding::BASE64;

use crate::limits::{SEAL_OCTETS_MAX, SEALS_MAX};
use crate::{Error, HeaderBlock, HeaderBuilder, Seal};

/// The outer header block of a message file: the version and the seals.
///
/// keeps: MSG-14
#[derive(Debug, Clone, Default)]
pub struct FilePrelude {
    /// The seals, in the order of their lines.
    pub seals: Vec<Seal>,
}

impl FilePrelude {
    /// Reads the outer block.
    ///
    /// # Errors
    /// [`Error::Header`] where it is not the outer block of a message file, [`Error::Bound`] past [`SEALS_MAX`].
    pub fn parse(block: &HeaderBlock) -> Result<FilePrelude, Error> {
        let mut fields = block.fields();
        if fields.next().map(|field| (field.name.to_owned(), field.value()))
            != Some(("Waxwing".into(), "1".into()))
        {
            return Err(Error::Header("the file does not begin with `Waxwing: 1`"));
        }
        let mut seals = Vec::new();
        for field in fields {
            if !field.is("Seal") {
                return Err(Error::Header("the outer block of a file holds only seals"));
            }
            if seals.len() == SEALS_MAX {
                return Err(Error::Bound { what: "seals", bound: SEALS_MAX as u64 });
            }
            let text: String = field.raw_value.split_ascii_whitespace().collect();
            let octets = BASE64.decode(text.as_bytes()).map_err(|_| Error::Header("a seal is not base64"))?;
            seals.push(Seal::parse(Bytes::from(octets))?);
        }
        Ok(FilePrelude { seals })
    }

    /// Writes the outer block; lines are folded so that people can read the file.
    ///
    /// # Errors
    /// [`Error::Bound`] with more than [`SEALS_MAX`] seals.
    pub fn to_block(&self) -> Result<HeaderBlock, Error> {
        if self.seals.len() > SEALS_MAX {
            return Err(Error::Bound { what: "seals", bound: SEALS_MAX as u64 });
        }
        let mut builder = HeaderBuilder::new();
        builder.push("Waxwing", "1")?;
        for seal in &self.seals {
            let text = BASE64.encode(seal.octets());
            let lines: Vec<&str> =
                (0..text.len()).step_by(72).map(|at| &text[at..text.len().min(at + 72)]).collect();
            builder.push("Seal", &lines.join("\r\n "))?;
        }
        builder.finish_within(PRELUDE_OCTETS_MAX as u64)
    }
}

/// Octets that an outer block can have at the most: every seal in base64 with its folds.
const PRELUDE_OCTETS_MAX: usize = SEALS_MAX * (SEAL_OCTETS_MAX * 3 / 2 + 16) + 64;

/// Finds the outer block at the start of a file that comes in pieces.
#[derive(Debug, Default)]
pub struct PreludeReader {
    input: Vec<u8>,
}

impl PreludeReader {
    /// Nothing read yet.
    pub fn new() -> Self {
        PreludeReader::default()
    }

    /// Takes in octets; once the outer block is whole gives it and what follows it, which belongs to the message.
    ///
    /// # Errors
    /// As [`FilePrelude::parse`]; [`Error::Bound`] where no end of the block comes.
    pub fn push(&mut self, octets: &[u8]) -> Result<Option<(FilePrelude, Bytes)>, Error> {
        let from = self.input.len().saturating_sub(3);
        self.input.extend_from_slice(octets);
        match self.input[from..].windows(4).position(|window| window == b"\r\n\r\n") {
            Some(at) => {
                let rest = Bytes::from(self.input.split_off(from + at + 4));
                let block = HeaderBlock::parse_within(
                    Bytes::from(std::mem::take(&mut self.input)),
                    PRELUDE_OCTETS_MAX as u64,
                )?;
                Ok(Some((FilePrelude::parse(&block)?, rest)))
            }
            None if self.input.len() > PRELUDE_OCTETS_MAX => {
                Err(Error::Bound { what: "octets of the outer block", bound: PRELUDE_OCTETS_MAX as u64 })
            }
            None => Ok(None),
        }
    }
}
