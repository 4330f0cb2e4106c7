//! BLAKE3 digests and the message identity.

use std::fmt;

use crate::Error;

/// A BLAKE3 digest of 32 octets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these octets.
    pub fn of(octets: &[u8]) -> Digest {
        Digest(*blake3::hash(octets).as_bytes())
    }

    /// A digest from its octets.
    pub const fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// A digest from a slice, which must have 32 octets.
    pub fn from_slice(octets: &[u8]) -> Result<Digest, Error> {
        octets.try_into().map(Digest).map_err(|_| Error::Text("a digest has 32 octets"))
    }

    /// A digest from 64 hexadecimal digits in lower case.
    pub fn from_hex(text: &str) -> Result<Digest, Error> {
        let octets = data_encoding::HEXLOWER
            .decode(text.as_bytes())
            .map_err(|_| Error::Text("a digest is written as 64 hexadecimal digits"))?;
        Digest::from_slice(&octets)
    }

    /// The 32 octets.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 hexadecimal digits in lower case.
    pub fn to_hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", &self.to_hex()[..16])
    }
}

/// A digest that grows as octets come: nothing is kept but the state.
#[derive(Clone, Default)]
pub struct DigestWriter {
    hasher: blake3::Hasher,
    octets: u64,
}

impl DigestWriter {
    /// Nothing written yet.
    pub fn new() -> Self {
        DigestWriter::default()
    }

    /// Nothing written yet, for a digest that only who knows the key can make or check (BLAKE3's keyed mode).
    pub fn keyed(key: &[u8; 32]) -> Self {
        DigestWriter { hasher: blake3::Hasher::new_keyed(key), octets: 0 }
    }

    /// Takes in more octets.
    pub fn update(&mut self, octets: &[u8]) {
        self.hasher.update(octets);
        self.octets += octets.len() as u64;
    }

    /// How many octets were taken in.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// The digest of all octets so far.
    pub fn digest(&self) -> Digest {
        Digest(*self.hasher.finalize().as_bytes())
    }
}

impl fmt::Debug for DigestWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DigestWriter({} octets)", self.octets)
    }
}

/// The identity of a message: the digest of its manifest. Two messages with the same identity have the same octets.
///
/// keeps: MSG-12
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(pub Digest);

impl Identity {
    /// The 32 octets.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// An identity from its 32 octets.
    pub const fn from_bytes(bytes: [u8; 32]) -> Identity {
        Identity(Digest::from_bytes(bytes))
    }

    /// An identity from 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Identity, Error> {
        Digest::from_hex(text).map(Identity)
    }

    /// The first 12 hexadecimal digits, for people; never to be looked up by.
    pub fn short(&self) -> String {
        self.0.to_hex()[..12].to_owned()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.short())
    }
}
