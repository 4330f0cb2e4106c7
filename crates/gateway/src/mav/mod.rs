//! Mail From Address Verification (Hoffmann): who may use which return path (`spec/19-mav.md`).
//!
//! A sender is known by its network, its host name, its account or its certificate. The first rule that applies to it
//! says which addresses or whole domains it may put into MAIL FROM. What is not here: who the author in the content may
//! be, which is for the node.

mod import;
mod names;
mod rule;

use std::net::IpAddr;

use message::Code;
use message::address::Address;

use crate::{Client, Later, Mav, Reply};

pub use import::{ImportError, import_mailfromrules};
pub use names::ConfirmedNames;
pub use rule::{Agreed, May, Network, Rule, Who};

/// The rules, in the order in which they are tried, and the peers whose word on theirs is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// The first rule that applies to a client decides.
    pub rules: Vec<Rule>,
    /// The peers under agreement.
    pub agreed: Vec<Agreed>,
}

/// Who finds the names of hosts in the DNS.
pub trait HostNames: Send + Sync + 'static {
    /// The names of an address that lead back to it (RFC 8601 section 2.7.3), in lower case and without a final dot.
    /// Trouble of the DNS gives none.
    fn confirmed(&self, address: IpAddr) -> Later<'_, Vec<String>>;
}

impl Rules {
    /// Whether a rule asks for the name of a host, so that it has to be looked up.
    pub fn names_hosts(&self) -> bool {
        let host = |who: &Who| matches!(who, Who::Host(_) | Who::HostsOf(_));
        self.rules.iter().any(|rule| rule.who.iter().any(host))
    }

    /// What is said of this return path: `None` where no rule applies to the client, which then is as free as without
    /// rules. `hosts` are the names of the client that [`HostNames`] has found.
    ///
    /// # Errors
    /// The reply 553 5.7.1, where the rule that applies does not name the return path.
    ///
    /// keeps: MAV-1, MAV-2, MAV-5, MAV-9
    pub fn judge(&self, client: &Client, hosts: &[String], path: &Address) -> Result<Option<Mav>, Reply> {
        let Some(rule) = self.rules.iter().find(|rule| rule.applies(client, hosts)) else { return Ok(None) };
        if rule.allows(path) {
            let (rule, names_path) = (rule.name.clone(), rule.names(path));
            return Ok(Some(Mav { keyword: keyword(client), rule, names_path }));
        }
        let text = "this return path is not yours to use".to_owned();
        Err(Reply { digits: 553, code: Code::NOT_AUTHORIZED, text })
    }

    /// What the newest Received field of a message says of MAV, where its writer is a peer under agreement.
    ///
    /// keeps: MAV-7
    pub fn earlier(&self, client: &Client, octets: &[u8]) -> Option<&'static str> {
        self.agreed.iter().any(|agreed| agreed.is(client)).then(|| claimed(octets)).flatten()
    }
}

const KEYWORDS: [&str; 4] = ["ESMTPM", "ESMTPAM", "ESMTPSM", "ESMTPSAM"];

/// The keyword for a transaction in which a rule has matched. HELO has none.
///
/// keeps: MAV-6
fn keyword(client: &Client) -> &'static str {
    match (client.extended, client.tls.is_some(), client.account.is_some()) {
        (false, ..) => "SMTP",
        (true, false, false) => KEYWORDS[0],
        (true, false, true) => KEYWORDS[1],
        (true, true, false) => KEYWORDS[2],
        (true, true, true) => KEYWORDS[3],
    }
}

/// The keyword behind `with` in the first Received field, comments left out (RFC 5321 section 4.4).
fn claimed(octets: &[u8]) -> Option<&'static str> {
    const NAME: &[u8] = b"received:";
    let mut lines = octets.split(|octet| *octet == b'\n').take_while(|line| *line != b"\r");
    let first =
        lines.find(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))?;
    let mut text = String::from_utf8_lossy(&first[NAME.len()..]).into_owned();
    for line in lines.take_while(|line| line.starts_with(b" ") || line.starts_with(b"\t")) {
        text.push_str(&String::from_utf8_lossy(line));
    }
    let mut depth = 0_u32;
    let bare: String = text
        .chars()
        .filter(|character| {
            match character {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        })
        .take_while(|character| *character != ';')
        .collect();
    let mut words = bare.split_ascii_whitespace();
    words.find(|word| word.eq_ignore_ascii_case("with"))?;
    let word = words.next()?;
    KEYWORDS.into_iter().find(|keyword| keyword.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests;
