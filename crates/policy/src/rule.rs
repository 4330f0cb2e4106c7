//! Rules: a name, conditions that must all hold, and what is done then.

use std::fmt;

use message::Selection;
use message::address::fold::same_mailbox;
use message::address::{Address, Domain};
use message::keys::AuthorKey;

use crate::evidence::{Acquaintance, Evidence, Grade, Rate, SealEvidence, Seen};

/// One rule. A rule without conditions always matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name: shown wherever it has decided, and told to the peer where it refuses.
    pub name: String,
    /// What must hold, all of it.
    pub conditions: Vec<Condition>,
    /// What is done where it does.
    pub action: Action,
}

/// What a rule asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The message is taken.
    Accept,
    /// This content first; then the rules are asked again, and this one no more.
    Want(Selection),
    /// The recipient decides, from this content.
    Hold(Selection),
    /// Not before so many seconds have passed since the first offer; then this rule matches no more.
    Pend {
        /// How many; at most [`PEND_SECONDS_MAX`](crate::limits::PEND_SECONDS_MAX).
        after_seconds: u32,
    },
    /// The message is not taken.
    Refuse,
}

/// Whom a condition means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Party {
    /// This address alone.
    Address(Address),
    /// Everybody at this domain.
    Domain(Domain),
}

/// One thing that must hold for a rule to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The recipient is one of these.
    To(Vec<Party>),
    /// The author is one of these.
    From(Vec<Party>),
    /// The peer is one of these.
    Peer(Vec<Domain>),
    /// The author writes to the recipient for the first time, or somebody else has brought the message.
    FirstContact(bool),
    /// The recipient has written to the author or trusts the author.
    Known(bool),
    /// The recipient has said that the author is to be trusted.
    Trusted(bool),
    /// Somebody else than the author's domain brings the message.
    Forwarded(bool),
    /// The seals were found to be one of these.
    Seals(Vec<SealEvidence>),
    /// What was found of the author's own key is one of these.
    AuthorKey(Vec<AuthorKey>),
    /// The message has more octets than this.
    LargerThan(u64),
    /// There are parts that are not encrypted.
    Unencrypted(bool),
    /// The author's address mixes scripts.
    MixedScript(bool),
    /// The author's address can be taken for that of somebody whom the recipient knows.
    LookAlike(bool),
    /// The peer's standing is known and worse than this.
    StandingBelow(Grade),
    /// The peer's standing is just this.
    StandingAt(Grade),
    /// The peer brings more than it may, by any limit.
    RateOver(bool),
    /// The peer brings more than this limit allows.
    RateOverLimit(String),
    /// It comes over SMTP.
    Legacy(bool),
    /// It is proved from whom it comes: over SMTP its return path or its author's domain, else its seals.
    Verified(bool),
    /// The message was offered before, and comes again after so many seconds or more.
    CameBackAfter(u32),
}

/// Whether a condition holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holds {
    Yes,
    No,
    /// That shows only when headers and seals are here.
    NotSeen,
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Holds {
        if holds { Holds::Yes } else { Holds::No }
    }
}

impl Party {
    /// Reads an address or, where there is no `@`, a domain.
    ///
    /// # Errors
    /// As [`Address::parse`] and [`Domain::parse`].
    pub fn parse(text: &str) -> Result<Party, message::address::AddressError> {
        if text.contains('@') {
            Address::parse(text).map(Party::Address)
        } else {
            Domain::parse(text).map(Party::Domain)
        }
    }

    /// Whether the address is meant.
    pub fn means(&self, address: &Address) -> bool {
        match self {
            Party::Domain(domain) => domain == address.domain(),
            Party::Address(one) => {
                one.domain() == address.domain() && same_mailbox(one.local(), address.local())
            }
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Party::Address(address) => address.fmt(formatter),
            Party::Domain(domain) => domain.fmt(formatter),
        }
    }
}

impl Condition {
    /// Whether it holds. keeps: POL-4, POL-5, POL-6, KEY-22
    pub(crate) fn holds(&self, evidence: &Evidence) -> Holds {
        let seen = |judge: &dyn Fn(&Seen) -> bool| match &evidence.seen {
            Some(seen) => Holds::from(judge(seen)),
            None => Holds::NotSeen,
        };
        match self {
            Condition::To(parties) => parties.iter().any(|party| party.means(&evidence.recipient)).into(),
            Condition::From(parties) => seen(&|seen| {
                seen.from.as_ref().is_some_and(|from| parties.iter().any(|party| party.means(from)))
            }),
            Condition::Peer(peers) => evidence.peer.as_ref().is_some_and(|peer| peers.contains(peer)).into(),
            Condition::FirstContact(wanted) => seen(&|seen| is_first_contact(evidence, seen) == *wanted),
            Condition::Known(wanted) => seen(&|seen| is_known(evidence, seen) == *wanted),
            Condition::Trusted(wanted) => {
                seen(&|seen| (is_known(evidence, seen) && is_trusted(seen)) == *wanted)
            }
            Condition::Forwarded(wanted) => seen(&|_| evidence.is_forwarded() == *wanted),
            Condition::Seals(wanted) => seen(&|seen| wanted.contains(&seen.seals)),
            Condition::AuthorKey(wanted) => {
                seen(&|seen| seen.author_key.is_some_and(|found| wanted.contains(&found)))
            }
            Condition::LargerThan(octets) => (evidence.octets > *octets).into(),
            Condition::Unencrypted(wanted) => seen(&|seen| seen.encrypted != *wanted),
            Condition::MixedScript(wanted) => seen(&|seen| seen.mixed_script.is_some() == *wanted),
            Condition::LookAlike(wanted) => seen(&|seen| seen.looks_like.is_some() == *wanted),
            Condition::StandingBelow(grade) => evidence.standing.grade.is_below(*grade).into(),
            Condition::StandingAt(grade) => (evidence.standing.grade == *grade).into(),
            Condition::RateOver(wanted) => (matches!(evidence.rate, Rate::Over { .. }) == *wanted).into(),
            Condition::RateOverLimit(name) => {
                matches!(&evidence.rate, Rate::Over { limit, .. } if limit == name).into()
            }
            Condition::Legacy(wanted) => (evidence.legacy.is_some() == *wanted).into(),
            Condition::Verified(wanted) => match &evidence.legacy {
                Some(legacy) => (legacy.is_verified() == *wanted).into(),
                None => seen(&|seen| (seen.seals == SealEvidence::Verified) == *wanted),
            },
            Condition::CameBackAfter(seconds) => {
                evidence.waited_seconds.is_some_and(|waited| waited >= u64::from(*seconds)).into()
            }
        }
    }

    /// What of the evidence the condition looks at, in words for the operator.
    pub(crate) fn evidence(&self, evidence: &Evidence) -> String {
        let seen = |words: &dyn Fn(&Seen) -> String| match &evidence.seen {
            Some(seen) => words(seen),
            None => "headers and seals have not come yet".to_owned(),
        };
        match self {
            Condition::To(_) => format!("to {}", evidence.recipient),
            Condition::From(_) => seen(&author),
            Condition::Peer(_) | Condition::Forwarded(_) | Condition::Legacy(_) => bearer(evidence),
            Condition::Verified(_) if evidence.legacy.is_some() => bearer(evidence),
            Condition::FirstContact(_) | Condition::Known(_) | Condition::Trusted(_) => {
                seen(&|seen| acquaintance(evidence, seen))
            }
            Condition::Seals(_) | Condition::Verified(_) => seen(&seals),
            Condition::AuthorKey(_) => seen(&|seen| match seen.author_key {
                Some(found) if found.is_own() => format!("the author's own key, {}", found.word()),
                Some(found) => format!("the author's key: {}", found.word()),
                None => "not sealed by the author".to_owned(),
            }),
            Condition::LargerThan(_) => format!("{} octets", evidence.octets),
            Condition::Unencrypted(_) => seen(&|seen| {
                if seen.encrypted { "all of it is encrypted" } else { "it is not encrypted" }.to_owned()
            }),
            Condition::MixedScript(_) => seen(&|seen| match &seen.mixed_script {
                Some(what) => format!("{} mixes scripts: {what}", author(seen)),
                None => format!("{} mixes no scripts", author(seen)),
            }),
            Condition::LookAlike(_) => seen(&|seen| match &seen.looks_like {
                Some(other) => {
                    format!("{} looks like {}, whom the recipient knows", author(seen), other.to_unicode())
                }
                None => format!("{} looks like nobody whom the recipient knows", author(seen)),
            }),
            Condition::StandingBelow(_) | Condition::StandingAt(_) => standing(evidence),
            Condition::RateOver(_) | Condition::RateOverLimit(_) => match &evidence.rate {
                Rate::Within => "within its limits".to_owned(),
                Rate::Over { limit, words } => format!("over {limit}: {words}"),
            },
            Condition::CameBackAfter(_) => match evidence.waited_seconds {
                Some(waited) => format!("first offered {waited} s ago"),
                None => "offered for the first time".to_owned(),
            },
        }
    }
}

/// As it stands in the configuration.
impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |parties: &[Party]| parties.iter().map(Party::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Condition::To(parties) => write!(formatter, "to {}", list(parties)),
            Condition::From(parties) => write!(formatter, "from {}", list(parties)),
            Condition::Peer(peers) => {
                let peers: Vec<&str> = peers.iter().map(Domain::as_str).collect();
                write!(formatter, "peer {}", peers.join(", "))
            }
            Condition::FirstContact(wanted) => flag(formatter, "first-contact", *wanted),
            Condition::Known(wanted) => flag(formatter, "known", *wanted),
            Condition::Trusted(wanted) => flag(formatter, "trusted", *wanted),
            Condition::Forwarded(wanted) => flag(formatter, "forwarded", *wanted),
            Condition::Seals(wanted) => {
                let words: Vec<&str> = wanted.iter().map(|seals| seals.word()).collect();
                write!(formatter, "seals {}", words.join(", "))
            }
            Condition::AuthorKey(wanted) => {
                let words: Vec<&str> = wanted.iter().map(|found| found.word()).collect();
                write!(formatter, "author-key {}", words.join(", "))
            }
            Condition::LargerThan(octets) => write!(formatter, "larger-than {octets}"),
            Condition::Unencrypted(wanted) => flag(formatter, "unencrypted", *wanted),
            Condition::MixedScript(wanted) => flag(formatter, "mixed-script", *wanted),
            Condition::LookAlike(wanted) => flag(formatter, "look-alike", *wanted),
            Condition::StandingBelow(grade) => write!(formatter, "standing-below {}", grade.word()),
            Condition::StandingAt(grade) => write!(formatter, "standing {}", grade.word()),
            Condition::RateOver(wanted) => flag(formatter, "rate-over", *wanted),
            Condition::RateOverLimit(limit) => write!(formatter, "rate-over {limit}"),
            Condition::Legacy(wanted) => flag(formatter, "legacy", *wanted),
            Condition::Verified(wanted) => flag(formatter, "verified", *wanted),
            Condition::CameBackAfter(seconds) => write!(formatter, "came-back-after {seconds} s"),
        }
    }
}

/// As it stands in the configuration.
impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Accept => formatter.write_str("accept"),
            Action::Want(selection) => write!(formatter, "want {}", selection_words(selection)),
            Action::Hold(selection) => write!(formatter, "hold {}", selection_words(selection)),
            Action::Pend { after_seconds } => write!(formatter, "pend {after_seconds} s"),
            Action::Refuse => formatter.write_str("refuse"),
        }
    }
}

/// "text", or "part 2, octets 0 to 4096".
pub(crate) fn selection_words(selection: &Selection) -> String {
    match selection {
        Selection::Range { part, offset, octets } => {
            format!("part {part}, {octets} octets from {offset} on")
        }
        other => other.word().to_owned(),
    }
}

fn flag(formatter: &mut fmt::Formatter<'_>, name: &str, wanted: bool) -> fmt::Result {
    if wanted { formatter.write_str(name) } else { write!(formatter, "not {name}") }
}

/// keeps: EXC-22, POL-5
fn is_first_contact(evidence: &Evidence, seen: &Seen) -> bool {
    match (evidence.is_submitted(), seen.acquaintance) {
        // Who submits here is one of us, and of somebody else's recipients we have no list.
        (true, _) | (_, Acquaintance::NotOurs) => false,
        _ if evidence.is_forwarded() => !seen.forwarder_authorized,
        // Over SMTP it is only known to be forwarded where the recipient has granted it. keeps: FWD-18
        _ if evidence.legacy.is_some() && seen.forwarder_authorized => false,
        (_, acquaintance) => matches!(acquaintance, Acquaintance::Stranger | Acquaintance::Blocked),
    }
}

fn is_known(evidence: &Evidence, seen: &Seen) -> bool {
    let known = matches!(seen.acquaintance, Acquaintance::Known | Acquaintance::Trusted);
    (known || seen.forwarder_authorized) && !is_first_contact(evidence, seen)
}

fn is_trusted(seen: &Seen) -> bool {
    seen.acquaintance == Acquaintance::Trusted || seen.forwarder_authorized
}

pub(crate) fn author(seen: &Seen) -> String {
    match &seen.from {
        Some(from) => format!("from {from}"),
        None => "no author's address".to_owned(),
    }
}

fn bearer(evidence: &Evidence) -> String {
    if let Some(legacy) = &evidence.legacy {
        let path = if legacy.return_path_verified { "proved" } else { "not proved" };
        let author = legacy.author_verified.as_ref().map_or("not proved", Domain::as_str);
        return format!("over SMTP from {}, return path {path}, author's domain {author}", legacy.holder);
    }
    match &evidence.peer {
        None => "submitted by a user of this node".to_owned(),
        Some(peer) if evidence.is_forwarded() => format!("brought by {peer}, not by the author's domain"),
        Some(peer) => format!("brought by {peer}"),
    }
}

fn acquaintance(evidence: &Evidence, seen: &Seen) -> String {
    let (who, recipient) = (author(seen), &evidence.recipient);
    let known = match seen.acquaintance {
        Acquaintance::NotOurs => format!("{who}; {recipient} is no address of this node"),
        Acquaintance::Stranger => format!("{who}, who is no correspondent of {recipient}"),
        Acquaintance::Known => format!("{who}, to whom {recipient} has written"),
        Acquaintance::Trusted => format!("{who}, whom {recipient} trusts"),
        Acquaintance::Blocked => format!("{who}, whom {recipient} has blocked"),
    };
    match (evidence.is_forwarded(), seen.forwarder_authorized) {
        (false, _) => known,
        (true, true) => format!("{known}; {}, which {recipient} trusts to forward", bearer(evidence)),
        (true, false) => format!("{known}; {}", bearer(evidence)),
    }
}

pub(crate) fn seals(seen: &Seen) -> String {
    let found = if seen.seals_found.is_empty() { "no seals".to_owned() } else { seen.seals_found.join("; ") };
    format!("seals {}: {found}", seen.seals.word())
}

fn standing(evidence: &Evidence) -> String {
    let proved = evidence.legacy.as_ref().and_then(|legacy| legacy.author_verified.as_ref());
    let Some(peer) = evidence.peer.as_ref().or(proved) else { return bearer(evidence) };
    let word = evidence.standing.grade.word();
    match evidence.standing.reasons.as_slice() {
        [] => format!("standing of {peer}: {word}"),
        reasons => format!("standing of {peer}: {word} ({})", reasons.join("; ")),
    }
}
