//! What a domain says in its SPF record beyond who may use its name. Specification: `spec/20-spf-properties.md`.

mod responsible;
#[cfg(test)]
mod tests;

use crate::Later;
use crate::check::spf::Spf;
use crate::check::{Checked, Verdict};
use message::address::Address;

pub use responsible::responsible;

/// Names that are kept of those that we do not know.
const OTHERS_MAX: usize = 8;

/// The properties in one record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// HELO is authoritative.
    pub hector: bool,
    /// A trusted forwarder, by prior arrangement.
    pub meng: bool,
    /// No user of these mailers can forge another's address.
    pub scott: bool,
    /// Resent-Sender, Resent-From, Sender or From is the address in MAIL FROM.
    pub william: bool,
    /// Names that have no effect, at most 8.
    pub others: Vec<String>,
}

/// The verdicts beside those of SPF.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effect {
    /// Of the name in EHLO.
    pub helo: Verdict,
    /// Of the address in MAIL FROM.
    pub mail_from: Verdict,
    /// Whether a pass is for the whole address, and not for its domain only.
    pub whole_address: bool,
    /// Whether the host in EHLO is proved by its name, and says that it forwards.
    pub is_forwarder: bool,
    /// Whether a forwarder has brought it that is trusted by arrangement.
    pub by_trusted_forwarder: bool,
    /// Whether the address in MAIL FROM is proved to be the author's.
    pub is_author: bool,
    /// The properties that changed something or say something here, in order.
    pub in_force: Vec<&'static str>,
    /// What was looked at, one line each.
    pub steps: Vec<String>,
}

/// Who knows what was arranged with forwarders: the forwarding authorizations (`spec/22-forwarding.md`).
pub trait Arrangements: Send + Sync + 'static {
    /// Whether this recipient has authorized the forwarder that calls itself so. Trouble says no.
    fn arranged<'a>(&'a self, forwarder: &'a str, recipient: &'a Address) -> Later<'a, bool>;
}

impl Properties {
    /// Reads them from the modifiers of a record. keeps: SPP-1
    #[must_use]
    pub fn read(modifiers: &[(String, String)]) -> Self {
        let mut properties = Self::default();
        for (modifier, known) in [("p", &["hector", "meng", "scott", "william"][..]), ("op", &["auth"][..])] {
            let mut values = modifiers.iter().filter(|(name, _)| name == modifier);
            let (Some((_, value)), None) = (values.next(), values.next()) else { continue };
            for name in value.to_ascii_lowercase().split('.').filter(|name| !name.is_empty()) {
                if known.contains(&name) {
                    properties.add(name);
                } else if properties.others.len() < OTHERS_MAX {
                    properties
                        .others
                        .push(format!("{modifier}={}", name.chars().take(40).collect::<String>()));
                }
            }
        }
        properties
    }

    fn add(&mut self, name: &str) {
        match name {
            "hector" => self.hector = true,
            "meng" => self.meng = true,
            "scott" | "auth" => self.scott = true,
            "william" => self.william = true,
            _ => {}
        }
    }
}

/// What the properties make of what SPF found. `arranged`: every recipient has authorized the host to forward to it.
/// `helo_name`: the name in EHLO; `return_path`: none for `<>`; `octets`: the message, of which only the header is read.
///
/// keeps: SPP-2
#[must_use]
pub fn apply(
    helo: &Spf,
    mail_from: &Spf,
    return_path: Option<&str>,
    arranged: bool,
    octets: &[u8],
) -> Effect {
    let mut effect = Effect { helo: helo.verdict, mail_from: mail_from.verdict, ..Effect::default() };
    let of_helo = Properties::read(&helo.modifiers);
    effect.hector_of_helo(helo, &of_helo);
    let Some(return_path) = return_path else {
        effect.mail_from = effect.helo;
        return effect;
    };
    let of_path = Properties::read(&mail_from.modifiers);
    effect.hector_of_path(helo, mail_from, &of_path);
    effect.meng(helo, &of_helo, arranged);
    effect.william(&of_path, return_path, octets);
    effect.scott(&of_path, return_path);
    for (domain, properties) in [(&helo.domain, &of_helo), (&mail_from.domain, &of_path)] {
        if !properties.others.is_empty() {
            effect.step(format!("{domain}: no effect have {}", properties.others.join(", ")));
        }
    }
    effect
}

/// Whether we, as a forwarder that is trusted, may pass a message on under its sender's own address. keeps: SPP-5
///
/// # Errors
/// Why not, in words.
pub fn may_forward(checked: &Checked) -> Result<(), String> {
    let verdict = checked.effect.mail_from;
    match verdict {
        Verdict::Pass | Verdict::Neutral | Verdict::None => Ok(()),
        Verdict::Fail | Verdict::SoftFail | Verdict::Policy | Verdict::TempError | Verdict::PermError => {
            Err(format!("SPF for {} ended in {} when it came in", checked.spf.domain, verdict.word()))
        }
    }
}

impl Effect {
    fn step(&mut self, text: String) {
        self.steps.push(text);
    }

    fn uses(&mut self, property: &'static str, text: String) {
        if !self.in_force.contains(&property) {
            self.in_force.push(property);
        }
        self.step(format!("{property}: {text}"));
    }

    /// A domain's word on a name of its own is final. keeps: SPP-3
    fn hector_of_helo(&mut self, helo: &Spf, properties: &Properties) {
        if !properties.hector {
            return;
        }
        let doubtful = matches!(helo.verdict, Verdict::Neutral | Verdict::SoftFail | Verdict::None);
        if doubtful {
            self.helo = Verdict::Fail;
        }
        let verdict = self.helo.word();
        self.uses("hector", format!("the record of {} is final for that name: {verdict}", helo.domain));
    }

    /// The host's own name decides for the domain that it is of. keeps: SPP-3
    fn hector_of_path(&mut self, helo: &Spf, mail_from: &Spf, properties: &Properties) {
        if !properties.hector || is_error(self.mail_from) {
            return;
        }
        if !is_at_or_below(&helo.domain, &mail_from.domain) {
            self.step(format!(
                "hector: {} is no host of {}, so nothing follows",
                helo.domain, mail_from.domain
            ));
        } else if matches!(self.helo, Verdict::Pass | Verdict::Fail) {
            self.mail_from = self.helo;
            let verdict = self.helo.word();
            self.uses("hector", format!("{} decides for {}: {verdict}", helo.domain, mail_from.domain));
        }
    }

    /// What a trusted forwarder brings is not held against the sender. keeps: SPP-4
    fn meng(&mut self, helo: &Spf, properties: &Properties, arranged: bool) {
        if !properties.meng || self.helo != Verdict::Pass {
            return;
        }
        self.is_forwarder = true;
        let fails = matches!(self.mail_from, Verdict::Fail | Verdict::SoftFail);
        if !arranged {
            self.step(format!("meng: nothing was arranged with {}, so nothing follows", helo.domain));
            return;
        }
        self.by_trusted_forwarder = true;
        if fails {
            self.mail_from = Verdict::Neutral;
            self.uses("meng", format!("{} is a forwarder by arrangement: neutral", helo.domain));
        } else {
            self.uses("meng", format!("{} is a forwarder by arrangement", helo.domain));
        }
    }

    /// Who is responsible by the header has to be who is by the envelope. keeps: SPP-7
    fn william(&mut self, properties: &Properties, return_path: &str, octets: &[u8]) {
        if !properties.william || self.mail_from != Verdict::Pass {
            return;
        }
        match responsible(octets) {
            Some((field, address)) if same_address(&address, return_path) => {
                self.is_author = field == "From";
                self.uses("william", format!("{field} is the address in MAIL FROM"));
            }
            Some((field, address)) => {
                self.mail_from = Verdict::Fail;
                self.uses(
                    "william",
                    format!("{field} is {address:?} and not the address in MAIL FROM: fail"),
                );
            }
            None => {
                self.mail_from = Verdict::Fail;
                self.uses("william", "the header does not say who is responsible: fail".to_owned());
            }
        }
    }

    /// A pass is for the address and not for the domain only. keeps: SPP-6
    fn scott(&mut self, properties: &Properties, return_path: &str) {
        if properties.scott && self.mail_from == Verdict::Pass {
            self.whole_address = true;
            self.uses("scott", format!("the pass is for {return_path:?} and not for its domain only"));
        }
    }
}

fn is_error(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::TempError | Verdict::PermError)
}

fn is_at_or_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The same local part, octet for octet, and the same domain without case.
fn same_address(one: &str, other: &str) -> bool {
    match (one.rsplit_once('@'), other.rsplit_once('@')) {
        (Some((local, domain)), Some((other_local, other_domain))) => {
            local == other_local && domain.eq_ignore_ascii_case(other_domain)
        }
        _ => false,
    }
}
