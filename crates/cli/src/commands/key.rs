//! `key`: the key of a user's own, and what was seen of the keys of others.

use std::path::Path;

use bytes::Bytes;
use message::address::Address;
use message::keys::{KeyAnswer, KeyRecord, Statement, StatementClaims};
use message::{PublicKey, SecretKey};
use protocol::KeyPublish;
use serde::Serialize;

use super::{End, open_session};
use crate::client::Session;
use crate::output::{BAD, FAINT, GOOD, Output, STRONG, WAITING, paint, time};
use crate::profile::{self, Profile};
use crate::{Error, Global, KeyCommand, KeyTerm, clock};

const DAY_SECONDS: u64 = 24 * 3600;

#[derive(Serialize)]
struct StatementObject {
    address: String,
    key: String,
    id: String,
    not_before: u64,
    not_after: u64,
    revoked: bool,
    leaf: u64,
    /// Whether the private key is in this profile.
    here: bool,
}

#[derive(Serialize)]
struct PinnedObject {
    address: String,
    keys: Vec<PinnedKeyObject>,
    /// A newer key that none of them has signed.
    broken_by: Option<String>,
}

#[derive(Serialize)]
struct PinnedKeyObject {
    key: String,
    id: String,
    not_before: u64,
    not_after: u64,
    revoked: bool,
}

pub(super) async fn key(global: &Global, command: &KeyCommand, output: &mut Output) -> Result<End, Error> {
    let folder = profile::folder(global)?;
    let (profile, mut session) = open_session(global).await?;
    let mut own = Own { folder: &folder, profile: &profile, session: &mut session };
    let done = match command {
        KeyCommand::Publish { lost, term } => own.publish(*lost, term, output).await,
        KeyCommand::Show => own.show(output).await,
        KeyCommand::Rotate(term) => own.rotate(term, output).await,
        KeyCommand::Revoke => own.revoke(output).await,
        KeyCommand::Of { address, forget } => of(&mut session, address, *forget, output).await,
    };
    session.close().await;
    done
}

/// The user whose keys these are.
struct Own<'a> {
    folder: &'a Path,
    profile: &'a Profile,
    session: &'a mut Session,
}

impl Own<'_> {
    async fn publish(&mut self, lost: bool, term: &KeyTerm, output: &mut Output) -> Result<End, Error> {
        let answer = self.session.keys(&self.profile.address).await?;
        let last = last(&answer).map(KeyRecord::statement);
        let here = self.signing_key(last)?;
        let is_here =
            |statement: &Statement| here.as_ref().is_some_and(|key| key.public() == statement.claims().key);
        match last {
            Some(last) if is_here(last) && !last.claims().revoked => {
                return self.tell(&answer, "published before", output);
            }
            Some(last) if !last.claims().revoked && !lost => {
                return Err(Error::Usage {
                    text: "another key of yours is published, and it is not in this profile".to_owned(),
                    hint: Some(
                        "use `waxwing key rotate` where it is; if it is lost, `waxwing key publish --lost`"
                            .to_owned(),
                    ),
                });
            }
            _ => {}
        }
        let (next, statement) = self.next(last, term)?;
        self.hand_in(&next, &statement, None).await?;
        self.told_anew("published", output).await
    }

    async fn rotate(&mut self, term: &KeyTerm, output: &mut Output) -> Result<End, Error> {
        let answer = self.session.keys(&self.profile.address).await?;
        let (key, last) = self.present(&answer)?;
        let (next, statement) = self.next(Some(last), term)?;
        let succession = statement.succeed(&key);
        self.hand_in(&next, &statement, Some(succession)).await?;
        self.told_anew("rotated", output).await
    }

    async fn revoke(&mut self, output: &mut Output) -> Result<End, Error> {
        let answer = self.session.keys(&self.profile.address).await?;
        let (key, last) = self.present(&answer)?;
        let claims = StatementClaims {
            previous: Some(last.digest()),
            revoked: true,
            not_before: clock::now_ms() / 1000,
            not_after: (clock::now_ms() / 1000 + DAY_SECONDS).max(last.claims().not_after),
            ..last.claims().clone()
        };
        let statement = Statement::sign(claims, &key).octets().to_vec();
        self.session.publish_key(KeyPublish { statement, succession: None }).await?;
        profile::remove_signing_key(self.folder)?;
        self.told_anew("revoked", output).await
    }

    /// The key that was published last, where it is in this profile.
    fn present<'s>(&self, answer: &'s KeyAnswer) -> Result<(SecretKey, &'s Statement), Error> {
        let last = last(answer).map(KeyRecord::statement).filter(|last| !last.claims().revoked);
        let key = self.signing_key(last)?;
        match (key, last) {
            (Some(key), Some(last)) if key.public() == last.claims().key => Ok((key, last)),
            (_, None) => Err(Error::usage("no key of yours is published; `waxwing key publish` does that")),
            _ => Err(Error::usage("the key that is published is not in this profile: do it where that is")),
        }
    }

    /// The key by which the user seals. Where the one that was published last has not taken its place, because the answer
    /// was lost or the program ended before that, it does so first: there is no other copy of it.
    ///
    /// keeps: KEY-23
    fn signing_key(&self, last: Option<&Statement>) -> Result<Option<SecretKey>, Error> {
        let published = last.map(Statement::claims).filter(|claims| !claims.revoked);
        let next = profile::next_signing_key(self.folder)?;
        if next.is_some_and(|next| published.is_some_and(|claims| claims.key == next.public())) {
            profile::take_next_signing_key(self.folder)?;
        }
        profile::signing_key(self.folder)
    }

    /// A new key and the statement about it.
    fn next(&self, last: Option<&Statement>, term: &KeyTerm) -> Result<(SecretKey, Statement), Error> {
        let key = SecretKey::from_seed(&clock::random_seed()?);
        let now = clock::now_ms() / 1000;
        let claims = StatementClaims {
            address: self.profile.address.clone(),
            key: key.public(),
            not_before: now,
            not_after: now.saturating_add(term.days.saturating_mul(DAY_SECONDS)),
            previous: last.map(Statement::digest),
            revoked: false,
        };
        let statement = Statement::sign(claims, &key);
        Ok((key, statement))
    }

    /// The key is on the disk before anybody hears of it, and takes its place once the node has it. keeps: KEY-23
    async fn hand_in(
        &mut self,
        key: &SecretKey,
        statement: &Statement,
        succession: Option<Bytes>,
    ) -> Result<(), Error> {
        profile::keep_next_signing_key(self.folder, key)?;
        let publish = KeyPublish {
            statement: statement.octets().to_vec(),
            succession: succession.map(|octets| octets.to_vec()),
        };
        self.session.publish_key(publish).await?;
        profile::take_next_signing_key(self.folder)
    }

    async fn show(&mut self, output: &mut Output) -> Result<End, Error> {
        let answer = self.session.keys(&self.profile.address).await?;
        self.print(&answer, output)?;
        Ok(End::Good)
    }

    async fn told_anew(&mut self, word: &str, output: &mut Output) -> Result<End, Error> {
        let answer = self.session.keys(&self.profile.address).await?;
        self.tell(&answer, word, output)
    }

    fn tell(&self, answer: &KeyAnswer, word: &str, output: &mut Output) -> Result<End, Error> {
        let Some(place) = answer.records.len().checked_sub(1) else {
            return Err(Error::Answer("it has not kept the key".to_owned()));
        };
        let object = self.object(answer, place)?;
        if output.is_json() {
            output.object(&object)?;
        } else {
            output.line(&format!("{}  {}  {}", paint(GOOD, word), object.id, object.address))?;
        }
        Ok(End::Good)
    }

    fn print(&self, answer: &KeyAnswer, output: &mut Output) -> Result<(), Error> {
        if answer.records.is_empty() && !output.is_json() {
            return output.line("No key of yours is published; `waxwing key publish` makes one.");
        }
        for place in 0..answer.records.len() {
            let object = self.object(answer, place)?;
            if output.is_json() {
                output.object(&object)?;
                continue;
            }
            let newest = place + 1 == answer.records.len();
            let (style, state) = match (object.revoked, newest) {
                (true, _) => (BAD, "revoked"),
                (false, true) => (GOOD, "in use"),
                (false, false) => (FAINT, "before"),
            };
            let here = if object.here { "  (in this profile)" } else { "" };
            output.line(&format!("{}  {}{here}", paint(STRONG, &object.id), paint(style, state)))?;
            output.line(&format!(
                "  from {} to {}, entry {} of the log",
                time(object.not_before.saturating_mul(1000)),
                time(object.not_after.saturating_mul(1000)),
                object.leaf
            ))?;
        }
        Ok(())
    }

    fn object(&self, answer: &KeyAnswer, place: usize) -> Result<StatementObject, Error> {
        let one = &answer.records[place];
        let claims = one.record.statement().claims();
        let here = profile::signing_key(self.folder)?.is_some_and(|key| key.public() == claims.key);
        Ok(StatementObject {
            address: claims.address.to_string(),
            key: data_encoding::HEXLOWER.encode(claims.key.as_bytes()),
            id: claims.key.id().to_string(),
            not_before: claims.not_before,
            not_after: claims.not_after,
            revoked: claims.revoked,
            leaf: one.leaf,
            here,
        })
    }
}

fn last(answer: &KeyAnswer) -> Option<&KeyRecord> {
    answer.records.last().map(|one| &one.record)
}

async fn of(
    session: &mut Session,
    address: &Address,
    forget: bool,
    output: &mut Output,
) -> Result<End, Error> {
    let pins = session.pinned(address, forget).await?;
    let id = |octets: &[u8; 32]| PublicKey::from_bytes(octets).map(|key| key.id().to_string());
    let mut keys = Vec::new();
    for one in &pins.keys {
        keys.push(PinnedKeyObject {
            key: data_encoding::HEXLOWER.encode(&one.key),
            id: id(&one.key).map_err(|error| Error::Answer(error.to_string()))?,
            not_before: one.not_before,
            not_after: one.not_after,
            revoked: one.revoked,
        });
    }
    let broken_by = pins.broken_by.as_ref().map(id).transpose();
    let broken_by = broken_by.map_err(|error| Error::Answer(error.to_string()))?;
    let object = PinnedObject { address: address.to_string(), keys, broken_by };
    if output.is_json() {
        output.object(&object)?;
        return Ok(End::Good);
    }
    if forget {
        output.line(&format!("Forgotten: the next key of {address} is taken for the first."))?;
    } else if object.keys.is_empty() {
        output.line(&format!("No letter sealed by {address} has come for you yet."))?;
    }
    for one in &object.keys {
        let state = if one.revoked { paint(BAD, "revoked") } else { paint(GOOD, "pinned") };
        output.line(&format!("{}  {state}", paint(STRONG, &one.id)))?;
        output.line(&format!(
            "  from {} to {}",
            time(one.not_before.saturating_mul(1000)),
            time(one.not_after.saturating_mul(1000))
        ))?;
    }
    if let Some(other) = &object.broken_by {
        let warning = format!(
            "Warning: {address} has published the key {other}, which none of these has signed. Ask in another way."
        );
        output.line(&paint(WAITING, &warning))?;
    }
    Ok(if object.broken_by.is_some() { End::Bad } else { End::Good })
}
