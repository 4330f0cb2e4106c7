//! Checks the seals of a message file, as anybody can who has the file and the public key.
//!
//! ```text
//! cargo run -p waxwing-examples --example verify_seal
//! cargo run -p waxwing-examples --example verify_seal FILE KEY SECONDS
//! ```
//!
//! Without arguments it makes a sealed letter and shows that nothing in it can be changed unseen. With them
//! it checks a `.wax` file with a public key of 64 hexadecimal digits, at a time in seconds since 1970.
//!
//! The time is an argument here as it is everywhere in `message`: nothing in that crate looks at a clock.

use std::error::Error;

use bytes::Bytes;
use message::{
    Claims, Digest, Draft, DraftContent, DraftPart, Extent, FilePrelude, HeaderBuilder, Limits, Message,
    PreludeReader, PublicKey, Role, Seal, SecretKey, VerifiedSeal,
};

/// 14 November 2026, the day of the letter below, in seconds since 1970.
const THAT_DAY: u64 = 1_794_644_813;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [file, key, seconds] = arguments.as_slice() {
        let key = PublicKey::from_bytes(Digest::from_hex(key)?.as_bytes())?;
        for seal in verify(&std::fs::read(file)?, &key, seconds.parse()?)? {
            tell(&seal);
        }
        return Ok(());
    }
    show()
}

/// Reads a message file and verifies each of its seals.
fn verify(file: &[u8], key: &PublicKey, now_seconds: u64) -> Result<Vec<VerifiedSeal>, Box<dyn Error>> {
    // First the outer header block with the seals, then the octets of the message.
    let (prelude, octets) = PreludeReader::new().push(file)?.ok_or("the file ends before its message")?;
    // Parsing works out the manifest: the tree of parts with the digest of everything.
    let message = Message::parse(&octets, Limits::default())?;
    let manifest = message.manifest().octets();
    // A seal is a signature over the manifest: it covers every octet of the message, and yet somebody who
    // has the manifest alone can check it.
    Ok(prelude.seals.iter().map(|seal| seal.verify(manifest, key, now_seconds)).collect::<Result<_, _>>()?)
}

/// Makes a sealed letter, checks it, and shows that nothing in it can be changed unseen.
fn show() -> Result<(), Box<dyn Error>> {
    let key = SecretKey::from_seed(&[7; 32]);
    let letter = letter("Send thirty more, at 2,50 € each.")?;
    let claims = Claims {
        issuer: "north.test".to_owned(),
        issued_at: THAT_DAY,
        expires_at: Some(THAT_DAY + 30 * 86_400),
        role: Role::Submission,
        submitter: Some("alice@north.test".to_owned()),
        recipient: None,
        authorization: None,
        checks: Vec::new(),
    };
    let seal = Seal::sign(letter.manifest().octets(), claims, b"k1", &key);
    let file = write(&letter, &seal)?;
    println!("{}", String::from_utf8_lossy(&file));

    let seals = verify(&file, &key.public(), THAT_DAY + 60)?;
    assert_eq!(seals.len(), 1);
    assert_eq!(seals[0].claims().issuer, "north.test");
    seals.iter().for_each(tell);

    // The same seal on a letter in which one digit is another.
    let forged = write(&self::letter("Send thirty more, at 1,50 € each.")?, &seal)?;
    let refused = verify(&forged, &key.public(), THAT_DAY + 60).err().ok_or("a forgery was believed")?;
    println!("with another price: {refused}");
    // The right seal, and somebody else's key.
    let stranger = SecretKey::from_seed(&[8; 32]).public();
    let refused = verify(&file, &stranger, THAT_DAY + 60).err().ok_or("a stranger's key fitted")?;
    println!("with another key: {refused}");
    // And much later.
    let refused =
        verify(&file, &key.public(), THAT_DAY + 31 * 86_400).err().ok_or("an old seal was believed")?;
    println!("a month later: {refused}");
    Ok(())
}

fn tell(seal: &VerifiedSeal) {
    println!("sealed by {} as {}", seal.claims().issuer, seal.claims().role.word());
}

/// A letter of one text.
fn letter(text: &str) -> Result<Message, message::Error> {
    let mut header = HeaderBuilder::new();
    header.push("From", "Alice Öberg <alice@north.test>")?;
    header.push("To", "Bob Maker <bob@south.test>")?;
    header.push("Subject", "Honey cakes")?;
    let body = Bytes::copy_from_slice(text.as_bytes());
    let root = DraftPart {
        media_type: "text/plain".to_owned(),
        parameters: "; charset=utf-8".to_owned(),
        fields: Vec::new(),
        content: DraftContent::Body(Extent::of(&body)),
    };
    Message::assemble(&Draft { header: header.finish()?, root }, vec![body])
}

/// The file form: the seals, then the message.
fn write(message: &Message, seal: &Seal) -> Result<Vec<u8>, message::Error> {
    let mut file = FilePrelude { seals: vec![seal.clone()] }.to_block()?.octets().to_vec();
    file.extend_from_slice(&message.to_octets());
    Ok(file)
}

#[cfg(test)]
#[test]
fn runs() {
    show().unwrap();
}
