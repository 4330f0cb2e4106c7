//! SCRAM-SHA-256 (RFC 5802, RFC 7677): what is kept of a password beside its Argon2id hash, so that a mail program of the
//! old world can log in without showing it.
//!
//! Whoever steals the store can try passwords against these keys rather than against Argon2id. They take 600,000 rounds
//! therefore, what OWASP asks of PBKDF2 with SHA-256: a third of a second for one try and one processor. Here that is
//! spent once for each new password; at a login it is the client's to spend, and a phone does it within a second.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use message::Code;
use storage::{LegacyChange, LegacyRecord, ScramKeys};
use unicode_normalization::UnicodeNormalization;

use crate::Node;
use crate::accept::{Failure, trouble};

/// Rounds of PBKDF2.
const ITERATIONS: u32 = 600_000;
/// Octets of a salt.
const SALT_OCTETS: usize = 16;
/// Where the secret stands from which the salts follow: the node's own kind among the records of the gateway.
const SECRET_KIND: u8 = 0;
const SECRET_KEY: &[u8] = b"scram";

impl Node {
    /// The keys for SCRAM of the account of this name. For a name that has none, because there is no such account, it is
    /// closed or its password is too old, they are keys that no password fits, and stay the same. What is answered and
    /// the work for it do not tell which it is.
    ///
    /// # Errors
    /// A code and a text where the store cannot be read.
    ///
    /// keeps: SUB-17
    pub fn scram_keys(&self, name: &str) -> Result<ScramKeys, Failure> {
        let account = self.store().account(name).map_err(trouble)?;
        let secret = match self.inner.credentials.scram_secret.get() {
            Some(secret) => Some(*secret),
            None => self.kept_secret()?,
        };
        // Where there is no secret yet nobody has keys, and any will do that stay the same.
        let secret = secret.unwrap_or_else(|| {
            let domain = &self.settings().domain;
            let seed = self.settings().domains.get(domain).map(|own| own.key.seed());
            *digest_of(&[b"waxwing scram", seed.as_deref().map_or(&[][..], |seed| &seed[..])])
                .first_chunk()
                .unwrap_or(&[0; 32])
        });
        let nobodys = ScramKeys {
            salt: salt_of(&secret, name),
            iterations: ITERATIONS,
            stored_key: mac(&secret, &["stored", name]),
            server_key: mac(&secret, &["server", name]),
        };
        let own = account.filter(|account| !account.disabled).and_then(|account| account.scram);
        Ok(own.unwrap_or(nobodys))
    }

    /// The keys for a new password of the account of this name.
    pub(crate) async fn derive_scram_keys(&self, name: &str, password: String) -> Result<ScramKeys, Failure> {
        let secret = *self.inner.credentials.scram_secret.get_or_try_init(|| self.make_secret()).await?;
        let salt = salt_of(&secret, name);
        let derived = tokio::task::spawn_blocking(move || keys_of(&password, salt, ITERATIONS));
        derived.await.map_err(|_| (Code::SYSTEM_TROUBLE, "the password cannot be hashed".to_owned()))
    }

    fn kept_secret(&self) -> Result<Option<[u8; 32]>, Failure> {
        let kept = self.store().legacy_record(SECRET_KIND, SECRET_KEY).map_err(trouble)?;
        Ok(kept.and_then(|record| record.value.try_into().ok()))
    }

    /// The secret of this store, made where there is none yet.
    async fn make_secret(&self) -> Result<[u8; 32], Failure> {
        if let Some(kept) = self.kept_secret()? {
            return Ok(kept);
        }
        let mut secret = [0; 32];
        self.inner.clock.random(&mut secret);
        let record = LegacyRecord {
            kind: SECRET_KIND,
            key: SECRET_KEY.to_vec(),
            value: secret.to_vec(),
            expires_at_ms: u64::MAX,
        };
        self.store().change_legacy_records(vec![LegacyChange::Put(record)]).await.map_err(trouble)?;
        Ok(secret)
    }
}

/// What is kept of a password (RFC 5802 section 3).
fn keys_of(password: &str, salt: Vec<u8>, iterations: u32) -> ScramKeys {
    let mut salted = [0; 32];
    let rounds = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, prepared(password).as_bytes(), &mut salted);
    let client_key = mac(&salted, &["Client Key"]);
    let server_key = mac(&salted, &["Server Key"]);
    let mut stored_key = [0; 32];
    stored_key.copy_from_slice(&digest_of(&[&client_key]));
    ScramKeys { salt, iterations, stored_key, server_key }
}

/// The password as clients prepare it: in ASCII as it is. Of what SASLprep (RFC 4013) does with other characters this is
/// what matters to people: compatible forms of one character are one, and all spaces are.
fn prepared(password: &str) -> String {
    password.nfkc().collect()
}

/// A salt for each name, whether there is such an account or not, so that it does not change when one begins to be, or gets
/// another password. Nobody can compute it ahead who does not have the secret.
fn salt_of(secret: &[u8; 32], name: &str) -> Vec<u8> {
    mac(secret, &["salt", name])[..SALT_OCTETS].to_vec()
}

/// The parts are told apart by a zero octet, which no name has.
fn mac(key: &[u8], parts: &[&str]) -> [u8; 32] {
    let mut octets = [0; 32];
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), parts.join("\0").as_bytes());
    octets.copy_from_slice(tag.as_ref());
    octets
}

fn digest_of(parts: &[&[u8]]) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677 section 3: user `user`, password `pencil`. What a client proves with the password and what
    /// the server answers there follow from the keys.
    ///
    /// proves: SUB-17
    #[test]
    fn keys_are_those_of_rfc_7677() {
        // "W22ZaJ0SNY7soEsUEjb6gQ==" and the two messages at the end of the exchange.
        let salt =
            [0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81];
        let keys = keys_of("pencil", salt.to_vec(), 4096);
        let first = "n=user,r=rOprNGfwEbeRWgbNEkqO";
        let server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let all = format!("{first},{server},{last}");
        // "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=": the client's proof.
        let proof = [
            0x74, 0x7c, 0xdb, 0x65, 0xaa, 0x56, 0x22, 0x4e, 0x23, 0x52, 0x13, 0x7e, 0x52, 0xd7, 0xbd, 0xca,
            0xd6, 0xa0, 0xf7, 0x38, 0xdf, 0x30, 0x78, 0x2c, 0xaa, 0x69, 0xa2, 0xcf, 0xb0, 0x27, 0x75, 0x54,
        ];
        let signature = mac(&keys.stored_key, &[&all]);
        let client_key: Vec<u8> = proof.iter().zip(signature).map(|(one, other)| one ^ other).collect();
        assert_eq!(digest_of(&[&client_key]), keys.stored_key);
        // "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=": the server's signature.
        let verifier = [
            0xea, 0xba, 0xe2, 0x4d, 0x10, 0x62, 0xdb, 0x75, 0xa9, 0x45, 0x1f, 0xf0, 0xb6, 0xea, 0x7e, 0x98,
            0xc8, 0x54, 0x65, 0x49, 0xff, 0x74, 0x1e, 0x67, 0x2d, 0x32, 0x51, 0xb2, 0x39, 0x7d, 0xe4, 0x6e,
        ];
        assert_eq!(mac(&keys.server_key, &[&all]), verifier);
    }

    /// Full-width letters, a ligature and a no-break space, by Unicode's own tables of compatible characters.
    #[test]
    fn one_password_has_one_form() {
        let check = |typed: &str, expected: &str| assert_eq!(prepared(typed), expected);
        check("pencil 1", "pencil 1");
        check("\u{ff50}\u{ff45}n", "pen");
        check("\u{fb01}sh\u{a0}", "fish ");
        check("u\u{308}", "\u{fc}");
    }
}
