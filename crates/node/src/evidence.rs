//! Evidence: what is known about an offer for one recipient, put together for the rules (`spec/14-policy.md`).

use message::address::display::{Warning, mixed_scripts, warnings};
use message::address::{Address, Domain};
use message::{Headers, Manifest, Selection};
use policy::{Acquaintance, Evidence, Legacy, Rate, SealEvidence, Seen, Standing};
use storage::{Origin, Regard};

use crate::Node;
use crate::accept::{Failure, trouble};
use crate::account::fold;
use crate::commit::Intent;
use crate::keys::author_key;
use crate::submit::from_address;
use crate::verify::{Verified, words};

/// Media types whose octets nobody reads but who has the key: PGP/MIME (RFC 3156), S/MIME (RFC 8551) and age.
const ENCRYPTED: [&str; 4] = [
    "application/pgp-encrypted",
    "application/pkcs7-mime",
    "application/x-pkcs7-mime",
    "application/vnd.age",
];
/// The container of PGP/MIME, whose second part has no telling type of its own.
const ENCRYPTED_CONTAINER: &str = "multipart/encrypted";

/// What is known about an offer, whoever the recipient is.
pub(crate) struct Facts<'a> {
    /// Who offers.
    pub(crate) origin: &'a Origin,
    /// Octets of the message, as offered.
    pub(crate) octets: u64,
    /// How good the peer's name is.
    pub(crate) standing: Standing,
    /// Whether it keeps within what it may bring.
    pub(crate) rate: Rate,
    /// What has been asked for and has come.
    pub(crate) supplied: &'a [Selection],
    /// What headers and seals show, once they are here.
    pub(crate) shown: Option<Shown<'a>>,
}

/// What headers and seals show.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) headers: &'a Headers,
    pub(crate) verified: &'a Verified,
}

impl Node {
    /// The evidence for one recipient, and the account that it leads to, where that is here; `waiting_since_ms` is when the same
    /// was first offered, where it was put off.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(crate) fn evidence(
        &self,
        facts: &Facts<'_>,
        (recipient, account): (&Address, Option<&str>),
        waiting_since_ms: Option<u64>,
    ) -> Result<Evidence, Failure> {
        let peer = match facts.origin {
            Origin::Peer { domain } => Some(domain.clone()),
            Origin::Submission { .. } | Origin::Legacy(_) => None,
        };
        let to = (recipient, account);
        let mut seen = facts.shown.map(|shown| self.seen(shown, peer.as_ref(), to)).transpose()?;
        let legacy = legacy_of(facts.origin);
        if let (Some(legacy), Some(seen)) = (&legacy, &mut seen) {
            trust_only_what_is_proved(legacy, seen);
            seen.forwarder_authorized =
                self.is_granted_over_smtp(facts.origin, recipient, seen.from.as_ref())?;
        }
        Ok(Evidence {
            recipient: recipient.clone(),
            peer,
            legacy,
            octets: facts.octets,
            standing: facts.standing.clone(),
            rate: facts.rate.clone(),
            waited_seconds: waiting_since_ms.map(|since_ms| self.now_ms().saturating_sub(since_ms) / 1000),
            supplied: facts.supplied.to_vec(),
            seen,
        })
    }

    /// The account that has this address.
    pub(crate) fn account_at(&self, recipient: &Address) -> Result<Option<String>, Failure> {
        if !self.settings().is_local(recipient.domain()) {
            return Ok(None);
        }
        let account = self.store().account_of_address(&fold(recipient).to_string()).map_err(trouble)?;
        Ok(account.map(|account| account.name))
    }

    /// The account that has this address, or to which it leads as an alias. keeps: FWD-42
    pub(crate) fn account_behind(&self, recipient: &Address) -> Result<Option<String>, Failure> {
        let account = self.account_at(recipient)?;
        if account.is_some() || !self.settings().is_local(recipient.domain()) {
            return Ok(account);
        }
        Ok(match self.forward_at_sight(recipient)? {
            Some(Intent::Mailbox { account }) => Some(account),
            _ => None,
        })
    }

    fn seen(
        &self,
        shown: Shown<'_>,
        peer: Option<&Domain>,
        (recipient, account): (&Address, Option<&str>),
    ) -> Result<Seen, Failure> {
        let from = from_address(shown.headers).ok();
        let mut seen = Seen {
            seals: shown.verified.evidence,
            seals_found: Vec::new(),
            author_key: None,
            acquaintance: Acquaintance::NotOurs,
            forwarder_authorized: false,
            encrypted: is_encrypted(shown.manifest.root()),
            mixed_script: from.as_ref().and_then(mixed_script),
            looks_like: None,
            from,
        };
        let verified = shown.verified;
        let told = self.tell_seals(account, &verified.notes, verified.authored.as_ref())?;
        seen.seals_found = words(&told.notes);
        seen.author_key = author_key(&told.notes);
        if let Some(account) = account {
            self.look_in_the_list(account, recipient, peer, shown.verified, &mut seen)?;
        }
        Ok(seen)
    }

    /// What the recipient has to do with the author, and with whoever brings the message.
    fn look_in_the_list(
        &self,
        account: &str,
        recipient: &Address,
        peer: Option<&Domain>,
        verified: &Verified,
        seen: &mut Seen,
    ) -> Result<(), Failure> {
        let known = seen.from.as_ref().map(|from| self.correspondent(account, from)).transpose()?.flatten();
        let regard = known.map(|known| known.regard);
        seen.acquaintance = match regard {
            None => Acquaintance::Stranger,
            Some(Regard::Known) => Acquaintance::Known,
            Some(Regard::Trusted) => Acquaintance::Trusted,
            Some(Regard::Blocked) => Acquaintance::Blocked,
        };
        if let Some(peer) = peer.filter(|peer| verified.is_forwarded_by(peer)) {
            let granted = self.has_granted(recipient, peer)?;
            let brought_in = verified.is_brought_in_by(peer);
            let peer = self.store().correspondent(account, peer.as_str()).map_err(trouble)?;
            seen.forwarder_authorized = peer.is_some_and(|peer| peer.regard == Regard::Trusted) || granted;
            if granted && brought_in {
                answer_for_the_old_world(seen);
            }
        }
        // Whom the recipient knows is who they are. The whole list is read only for those who look at what comes of it.
        let looked_at = self.settings().rules.look_at_likeness() || self.inner.service.get().is_some();
        if let (None, Some(from), true) = (regard, &seen.from, looked_at) {
            let alike = |found| match found {
                Warning::LooksLike(other) => Some(other),
                _ => None,
            };
            seen.looks_like = warnings(from, &self.familiar(account)?).into_iter().find_map(alike);
        }
        Ok(())
    }
}

/// A forwarder took the message from the old world, where nobody seals: under a grant its own seals answer for it, and say
/// nothing of who the author is. A seal that does not verify is no seal that is missing. keeps: FWD-23
fn answer_for_the_old_world(seen: &mut Seen) {
    if seen.seals == SealEvidence::Missing {
        seen.seals = SealEvidence::Verified;
        if matches!(seen.acquaintance, Acquaintance::Known | Acquaintance::Trusted) {
            seen.acquaintance = Acquaintance::Stranger;
        }
    }
}

fn legacy_of(origin: &Origin) -> Option<Legacy> {
    let Origin::Legacy(legacy) = origin else { return None };
    Some(Legacy {
        holder: legacy.holder(),
        return_path_verified: legacy.verified && legacy.return_path.is_some(),
        author_verified: legacy.author.clone(),
    })
}

/// Anybody can write any name into a message of the old world: whom the recipient knows or trusts is a stranger until the
/// author's domain is proved. keeps: POL-12
fn trust_only_what_is_proved(legacy: &Legacy, seen: &mut Seen) {
    let proved = seen.from.as_ref().is_some_and(|from| legacy.proves(from));
    if !proved && matches!(seen.acquaintance, Acquaintance::Known | Acquaintance::Trusted) {
        seen.acquaintance = Acquaintance::Stranger;
    }
}

/// Whether nobody but the recipient can read any of it.
fn is_encrypted(part: &message::Part) -> bool {
    let encrypted = |media_type: &str| ENCRYPTED.contains(&media_type);
    match part.children() {
        [] => encrypted(&part.media_type),
        _ if part.media_type == ENCRYPTED_CONTAINER => true,
        children => children.iter().all(is_encrypted),
    }
}

fn mixed_script(from: &Address) -> Option<String> {
    mixed_scripts(from).into_iter().next().map(|warning| match warning {
        Warning::LabelMixesScripts(label) => label,
        _ => from.local().as_str().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use message::{Digest, Extent, Part, PartContent};

    use super::*;

    fn part(media_type: &str, children: Vec<Part>) -> Part {
        let content = match children.is_empty() {
            true => PartContent::Leaf(Digest::of(b"")),
            false => PartContent::Container(children),
        };
        Part { media_type: media_type.to_owned(), header: Extent::of(b""), octets: 0, content }
    }

    /// The media types are those of RFC 3156, RFC 8551 and of age.
    ///
    /// proves: POL-4
    #[test]
    fn what_only_the_recipient_can_read_is_encrypted() {
        let leaf = |media_type| part(media_type, Vec::new());
        let check = |root: Part, expected| assert_eq!(is_encrypted(&root), expected, "{root:?}");
        check(leaf("text/plain"), false);
        check(leaf("application/pkcs7-mime"), true);
        check(leaf("application/vnd.age"), true);
        // What says that it is signed hides nothing.
        check(leaf("application/pkcs7-signature"), false);
        let pgp = || vec![leaf("application/pgp-encrypted"), leaf("application/octet-stream")];
        check(part("multipart/encrypted", pgp()), true);
        check(part("multipart/mixed", pgp()), false);
        check(
            part("multipart/mixed", vec![leaf("application/vnd.age"), leaf("application/pkcs7-mime")]),
            true,
        );
        // One leaf in the open is enough.
        let within = part("multipart/encrypted", pgp());
        check(part("multipart/mixed", vec![within, leaf("text/plain")]), false);
    }

    /// The Cyrillic letters are U+0430 and U+0440, which look like two of Latin.
    ///
    /// proves: POL-4
    #[test]
    fn mixed_scripts_are_named() {
        let check = |address: &str, expected: Option<&str>| {
            let address = Address::parse(address).unwrap();
            assert_eq!(mixed_script(&address).as_deref(), expected, "{address}");
        };
        check("alice@north.test", None);
        check("p\u{430}ul@north.test", Some("p\u{430}ul"));
        check("alice@\u{440}aypal.test", Some("\u{440}aypal"));
    }
}
