//! Evidence: what is known about an offer for one recipient, put together for the rules (`spec/14-policy.md`).

use message::address::Address;
use message::address::display::{Warning, mixed_scripts};
use message::{Headers, Manifest, Selection};
use policy::{Acquaintance, Evidence, Rate, Seen, Standing};
use storage::Origin;

use crate::Node;
use crate::accept::Failure;
use crate::submit::from_address;
use crate::verify::Verified;

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
    /// The evidence for one recipient; `waiting_since_ms` is when the same was first offered, where it was put off.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(crate) fn evidence(
        &self,
        facts: &Facts<'_>,
        recipient: &Address,
        waiting_since_ms: Option<u64>,
    ) -> Result<Evidence, Failure> {
        let peer = match facts.origin {
            Origin::Peer { domain } => Some(domain.clone()),
            Origin::Submission { .. } => None,
        };
        let seen = facts.shown.map(|shown| self.seen(shown, recipient)).transpose()?;
        Ok(Evidence {
            recipient: recipient.clone(),
            peer,
            octets: facts.octets,
            standing: facts.standing.clone(),
            rate: facts.rate.clone(),
            waited_seconds: waiting_since_ms.map(|since_ms| self.now_ms().saturating_sub(since_ms) / 1000),
            supplied: facts.supplied.to_vec(),
            seen,
        })
    }

    fn seen(&self, shown: Shown<'_>, recipient: &Address) -> Result<Seen, Failure> {
        let from = from_address(shown.headers).ok();
        let ours = self.settings().is_local(recipient.domain());
        Ok(Seen {
            seals: shown.verified.evidence,
            seals_found: shown.verified.words(),
            acquaintance: if ours { Acquaintance::Stranger } else { Acquaintance::NotOurs },
            forwarder_authorized: false,
            encrypted: is_encrypted(shown.manifest.root()),
            mixed_script: from.as_ref().and_then(mixed_script),
            looks_like: None,
            from,
        })
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
