//! AUTH (RFC 4954) with PLAIN (RFC 4616) and SCRAM-SHA-256 (RFC 5802, RFC 7677).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use data_encoding::BASE64;

use crate::ScramKeys;
use crate::limits::SMTP_LOGIN_OCTETS_MAX;

/// What is waited for in an exchange of AUTH.
#[derive(Debug)]
pub(super) enum Exchange {
    /// The one message of PLAIN.
    Plain,
    /// The client's first message of SCRAM.
    ScramFirst,
    /// The client's last message of SCRAM.
    ScramLast(Box<Scram>),
    /// The empty line behind the server's last message of SCRAM; then this account has logged in.
    ScramEnd(String),
}

/// The name and password of PLAIN. None where it is malformed, or one would act for another.
pub(super) fn plain(message: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(message).ok()?;
    let mut fields = text.split('\0');
    let (acting, name, password) = (fields.next()?, fields.next()?, fields.next()?);
    let whole = fields.next().is_none() && fits(name) && fits(password);
    (whole && (acting.is_empty() || acting == name)).then(|| (name.to_owned(), password.to_owned()))
}

/// Undoes the base64 of a response; `=` is an empty one (RFC 4954 section 4).
pub(super) fn decoded(line: &[u8]) -> Option<Vec<u8>> {
    if line == b"=" { Some(Vec::new()) } else { BASE64.decode(line).ok() }
}

/// Writes base64 for a challenge.
pub(super) fn encoded(message: &str) -> String {
    BASE64.encode(message.as_bytes())
}

/// The client's first message of SCRAM, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScramFirst {
    /// The name, unescaped.
    pub(super) name: String,
    header: String,
    bare: String,
    nonce: String,
}

impl ScramFirst {
    /// Reads it. None where it is malformed, asks for channel binding, or would act for another.
    pub(super) fn parse(message: &[u8]) -> Option<ScramFirst> {
        let text = std::str::from_utf8(message).ok()?;
        let mut head = text.splitn(3, ',');
        let (binding, acting, bare) = (head.next()?, head.next()?, head.next()?);
        if binding != "n" && binding != "y" {
            return None;
        }
        let mut fields = bare.split(',');
        // An extension that must be understood would stand first, with `m=`.
        let name = unescaped(fields.next()?.strip_prefix("n=")?)?;
        let nonce = fields.next()?.strip_prefix("r=")?;
        let acting = match acting {
            "" => None,
            acting => Some(unescaped(acting.strip_prefix("a=")?)?),
        };
        let printable = nonce.bytes().all(|octet| octet.is_ascii_graphic());
        let fine = fits(&name) && fits(nonce) && printable && acting.is_none_or(|acting| acting == name);
        let header = format!("{binding},{},", text.split(',').nth(1)?);
        fine.then(|| ScramFirst { name, header, bare: bare.to_owned(), nonce: nonce.to_owned() })
    }
}

/// An exchange of SCRAM in which the server has said its first message.
pub(super) struct Scram {
    first: ScramFirst,
    nonce: String,
    keys: ScramKeys,
    server_first: String,
}

impl std::fmt::Debug for Scram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scram(not shown)")
    }
}

impl Scram {
    /// Answers the client's first message.
    pub(super) fn begin(first: ScramFirst, keys: ScramKeys, ours: &str) -> Scram {
        let nonce = format!("{}{ours}", first.nonce);
        let server_first = format!("r={nonce},s={},i={}", BASE64.encode(&keys.salt), keys.iterations);
        Scram { first, nonce, keys, server_first }
    }

    /// The server's first message.
    pub(super) fn server_first(&self) -> &str {
        &self.server_first
    }

    /// The name that would log in.
    pub(super) fn name(&self) -> &str {
        &self.first.name
    }

    /// Checks the client's last message: the account and the server's last message, or nothing.
    pub(super) fn finish(self, message: &[u8]) -> Option<(String, String)> {
        let text = std::str::from_utf8(message).ok()?;
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        let mut fields = without_proof.split(',');
        let binding = decoded(fields.next()?.strip_prefix("c=")?.as_bytes())?;
        let nonce = fields.next()?.strip_prefix("r=")?;
        if binding != self.first.header.as_bytes() || nonce != self.nonce {
            return None;
        }
        let proof: [u8; 32] = decoded(proof.as_bytes())?.try_into().ok()?;
        let signed = format!("{},{},{without_proof}", self.first.bare, self.server_first);
        let signature =
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.keys.stored_key), signed.as_bytes());
        let mut client_key = proof;
        for (octet, mask) in client_key.iter_mut().zip(signature.as_ref()) {
            *octet ^= mask;
        }
        let stored = digest::digest(&digest::SHA256, &client_key);
        verify_slices_are_equal(stored.as_ref(), &self.keys.stored_key).ok()?;
        let ours = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.keys.server_key), signed.as_bytes());
        Some((self.keys.account, format!("v={}", BASE64.encode(ours.as_ref()))))
    }
}

fn fits(text: &str) -> bool {
    (1..=SMTP_LOGIN_OCTETS_MAX).contains(&text.len())
}

/// `=2C` is a comma and `=3D` an equals sign; no other may stand there (RFC 5802 section 5.1).
fn unescaped(text: &str) -> Option<String> {
    let mut pieces = text.split('=');
    let mut name = pieces.next()?.to_owned();
    for piece in pieces {
        let (character, rest) = match piece.get(..2)? {
            "2C" => (',', &piece[2..]),
            "3D" => ('=', &piece[2..]),
            _ => return None,
        };
        name.push(character);
        name.push_str(rest);
    }
    Some(name)
}

#[cfg(test)]
pub(super) mod tests {
    use std::num::NonZeroU32;

    use super::*;

    /// The keys of a password, as RFC 5802 section 3 makes them.
    pub(in crate::smtp) fn keys(account: &str, password: &str, salt: &[u8], iterations: u32) -> ScramKeys {
        let mut salted = [0; 32];
        let rounds = NonZeroU32::new(iterations).unwrap();
        let algorithm = aws_lc_rs::pbkdf2::PBKDF2_HMAC_SHA256;
        aws_lc_rs::pbkdf2::derive(algorithm, rounds, salt, password.as_bytes(), &mut salted);
        let salted = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, client_key.as_ref());
        ScramKeys {
            account: account.to_owned(),
            salt: salt.to_vec(),
            iterations,
            stored_key: stored.as_ref().try_into().unwrap(),
            server_key: hmac::sign(&salted, b"Server Key").as_ref().try_into().unwrap(),
        }
    }

    /// The exchange of RFC 7677 section 3.
    #[test]
    fn the_published_exchange_is_followed() {
        let salt = BASE64.decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = keys("user", "pencil", &salt, 4096);
        let first = ScramFirst::parse(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();
        let scram = Scram::begin(first, keys, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
        assert_eq!(
            scram.server_first(),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let last = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
            p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let (account, server_last) = scram.finish(last).unwrap();
        assert_eq!(account, "user");
        assert_eq!(server_last, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn a_wrong_proof_nonce_or_binding_does_not_pass() {
        let finish = |last: &[u8]| {
            let salt = BASE64.decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
            let first = ScramFirst::parse(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();
            Scram::begin(first, keys("user", "pencil", &salt, 4096), "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
                .finish(last)
        };
        let proof = "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let other = "p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let nonce = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        assert!(finish(format!("c=biws,{nonce},{proof}").as_bytes()).is_some());
        assert!(finish(format!("c=biws,{nonce},{other}").as_bytes()).is_none());
        assert!(finish(format!("c=eSws,{nonce},{proof}").as_bytes()).is_none());
        assert!(finish(format!("c=biws,r=rOprNGfwEbeRWgbNEkqO,{proof}").as_bytes()).is_none());
        assert!(finish(format!("c=biws,{nonce}").as_bytes()).is_none());
        assert!(finish(b"").is_none());
    }

    #[test]
    fn first_messages() {
        let check = |message: &[u8], name: Option<&str>| {
            assert_eq!(ScramFirst::parse(message).map(|first| first.name).as_deref(), name, "{message:?}");
        };
        check(b"n,,n=bob,r=abc", Some("bob"));
        check(b"y,,n=bob,r=abc", Some("bob"));
        check(b"n,a=bob,n=bob,r=abc", Some("bob"));
        check(b"n,,n=a=2Cb=3Dc,r=abc", Some("a,b=c"));
        check(b"n,a=eve,n=bob,r=abc", None);
        check(b"p=tls-exporter,,n=bob,r=abc", None);
        check(b"n,,n=a=2cb,r=abc", None);
        check(b"n,,m=x,n=bob,r=abc", None);
        check(b"n,,n=,r=abc", None);
        check(b"n,,n=bob", None);
    }

    #[test]
    fn plain_messages() {
        let check = |message: &[u8], pair: Option<(&str, &str)>| {
            let pair = pair.map(|(name, password)| (name.to_owned(), password.to_owned()));
            assert_eq!(plain(message), pair, "{message:?}");
        };
        check(b"\0bob\0secret", Some(("bob", "secret")));
        check(b"bob\0bob\0secret", Some(("bob", "secret")));
        check(b"eve\0bob\0secret", None);
        check(b"\0bob\0", None);
        check(b"\0bob", None);
        check(b"\0bob\0secret\0", None);
        check(b"\0b\xFF\0secret", None);
    }
}
