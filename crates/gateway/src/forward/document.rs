//! What forwarder and target say to each other: JSON objects of version 1. keeps: FWD-10

use data_encoding::BASE64URL_NOPAD;
use message::address::Domain;
use serde::{Deserialize, Serialize};

/// Where all of it is, below each domain (RFC 8615).
pub const WELL_KNOWN: &str = "/.well-known/mail-forwarding";
/// The version of the documents.
pub(super) const VERSION: u32 = 1;

/// What a forwarder or a target can do. keeps: FWD-11
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// The version of the documents.
    pub version: u32,
    /// Whose they are.
    pub domain: String,
    /// Whether reports of abuse are read.
    #[serde(default)]
    pub complaints: bool,
    /// Whether final recipients have pages.
    #[serde(default)]
    pub pages: bool,
    /// Whether senders are rewritten where nothing is granted.
    #[serde(default)]
    pub rewrites: bool,
    /// Whether a grant may come without anybody having been asked.
    #[serde(default)]
    pub automatic: bool,
}

/// What a forwarder sends to a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The version of the documents.
    pub version: u32,
    /// Who wants to forward.
    pub forwarder: String,
    /// To whom.
    pub recipient: String,
    /// What stands for the question.
    pub ask: String,
}

/// How a question stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StandingState {
    /// In full.
    Granted,
    /// Somebody is to decide.
    Waiting,
    /// Not, or not any more.
    Refused,
}

/// How a question stands at the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The version of the documents.
    pub version: u32,
    /// How it stands.
    pub state: StandingState,
    /// The number of the grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<String>,
    /// Whether reports of abuse will come.
    #[serde(default)]
    pub complaints: bool,
    /// Seconds after which it may be asked again.
    #[serde(default)]
    pub again_after: u64,
}

/// What a question is, as the forwarder itself says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The version of the documents.
    pub version: u32,
    /// Who forwards.
    pub forwarder: String,
    /// To whom.
    pub recipient: String,
    /// From which address, unless that is concealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The page of the record, for the final recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// Where reports of abuse go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complaints: Option<String>,
}

/// Who forwards to the alias of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FromDocument {
    /// Its domain.
    pub forwarder: String,
    /// The page of its record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
}

/// A record, for whoever has its credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordDocument {
    /// The version of the documents.
    pub version: u32,
    /// The address that is forwarded.
    pub alias: String,
    /// Where to.
    pub target: String,
    /// `waiting`, `granted`, `rewriting` or `deleted`.
    pub state: String,
    /// Since when, in Unix milliseconds.
    #[serde(default)]
    pub since_ms: u64,
    /// Whether the target is kept from senders.
    #[serde(default)]
    pub conceal: bool,
    /// Who forwards to the alias. keeps: FWD-21
    #[serde(default)]
    pub from: Vec<FromDocument>,
}

/// A secret in its text form. keeps: FWD-2
pub fn secret_text(secret: &[u8; 32]) -> String {
    BASE64URL_NOPAD.encode(secret)
}

/// The secret that this text is; no other text is the same one.
pub(super) fn secret(text: &str) -> Option<[u8; 32]> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// The path of a URL at just this domain, as [`Fetch`](super::Fetch) asks for it. keeps: FWD-15
pub(super) fn path_at<'a>(url: &'a str, domain: &Domain) -> Option<&'a str> {
    let (host, path) = split(url)?;
    (host == domain.as_str()).then_some(path)
}

/// Domain and path of a URL without port, user or fragment.
pub(super) fn split(url: &str) -> Option<(&str, &str)> {
    if url.len() > super::role::TEXT_OCTETS_MAX || url.bytes().any(|octet| !octet.is_ascii_graphic()) {
        return None;
    }
    let rest = url.strip_prefix("https://")?;
    let slash = rest.find('/')?;
    let (host, path) = rest.split_at(slash);
    let harmless = |octet: u8| !matches!(octet, b'#' | b'"' | b'<' | b'>' | b'\\' | b'`');
    path.bytes().all(harmless).then_some((host, path))
}
