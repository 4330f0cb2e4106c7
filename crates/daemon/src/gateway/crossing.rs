//! Which world a domain belongs to, and the courier for it (`spec/10-discovery.md`, `spec/18-gateway.md`).

use std::sync::Arc;

use dns::locate::{Location, exchange_of};
use dns::{Persistence, Security};
use gateway::{Change, Kind, Record, Records};
use message::address::Domain;
use message::{Code, Cookie, Redirect};
use node::{Answered, Consignment, Courier, Later, Report, Trouble, TryRecord};

use super::courier::LegacyCourier;
use crate::clock;
use crate::outbound::ExchangeCourier;

/// Carries mail in both worlds: to nodes where a domain has nodes, else to its servers.
pub(crate) struct Crossing {
    pub(crate) exchange: ExchangeCourier,
    pub(crate) legacy: LegacyCourier,
    pub(crate) resolver: Arc<dyn dns::Resolver>,
    pub(crate) records: Arc<dyn Records>,
    /// For how long a domain that was seen to have nodes is taken to have them still.
    pub(crate) native_ms: u64,
}

type Tell<'a> = &'a (dyn Fn(&str, &str) + Send + Sync);

/// The world of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum World {
    Native,
    Legacy,
}

impl Courier for Crossing {
    fn deliver<'a>(&'a self, consignment: &'a Consignment, step: Tell<'a>) -> Later<'a, Report> {
        Box::pin(async move {
            match self.world(&consignment.domain).await {
                Ok(World::Native) => self.exchange.deliver(consignment, step).await,
                Ok(World::Legacy) => self.legacy.deliver(consignment, step).await,
                Err(trouble) => {
                    let tried = match &trouble {
                        Trouble::Temporary(code, text) | Trouble::Permanent(code, text) => vec![TryRecord {
                            host: consignment.domain.to_string(),
                            step: "resolve".to_owned(),
                            code: Some(*code),
                            text: text.clone(),
                            recipient: None,
                        }],
                        Trouble::Throttled | Trouble::NoRoom => Vec::new(),
                    };
                    Report { result: Err(trouble), tried, passed_on: Vec::new() }
                }
            }
        })
    }

    fn deliver_to_doorstep<'a>(
        &'a self,
        consignment: &'a Consignment,
        redirect: &'a Redirect,
        step: Tell<'a>,
    ) -> Later<'a, Report> {
        self.exchange.deliver_to_doorstep(consignment, redirect, step)
    }

    fn inquire<'a>(
        &'a self,
        domain: &'a Domain,
        cookies: &'a [Cookie],
    ) -> Later<'a, Result<Vec<Answered>, Trouble>> {
        Box::pin(async move {
            // A cookie that we have made ourselves stands for what another server has taken; a domain may have moved
            // from one world to the other meanwhile.
            let mut answers = self.legacy.answers(cookies)?;
            let theirs: Vec<usize> =
                (0..cookies.len()).filter(|place| answers[*place] == Answered::Unknown).collect();
            if !theirs.is_empty() && matches!(self.world(domain).await?, World::Native) {
                let asked: Vec<Cookie> = theirs.iter().map(|place| cookies[*place]).collect();
                for (place, answer) in theirs.into_iter().zip(self.exchange.inquire(domain, &asked).await?) {
                    answers[place] = answer;
                }
            }
            Ok(answers)
        })
    }

    fn give_up<'a>(&'a self, domain: &'a Domain, cookies: &'a [Cookie]) -> Later<'a, ()> {
        Box::pin(async move {
            let ours = |cookie: &Cookie| {
                let answers = self.legacy.answers(std::slice::from_ref(cookie));
                answers.is_ok_and(|answers| answers[0] != Answered::Unknown)
            };
            let theirs: Vec<Cookie> = cookies.iter().filter(|cookie| !ours(cookie)).copied().collect();
            if !theirs.is_empty() && matches!(self.world(domain).await, Ok(World::Native)) {
                self.exchange.give_up(domain, &theirs).await;
            }
        })
    }
}

impl Crossing {
    /// Where a domain is. One that was seen to have nodes waits where they are not found any more, unless the DNS proves
    /// that there are none.
    ///
    /// keeps: GW-80, GW-81, GW-82
    async fn world(&self, domain: &Domain) -> Result<World, Trouble> {
        let now_ms = clock::now_ms();
        let found = match exchange_of(self.resolver.as_ref(), domain.as_str(), clock::random_below).await {
            Ok(found) => found,
            Err(error) if error.persistence() == Persistence::Permanent => {
                return Err(Trouble::Permanent(Code::NO_ROUTE, error.to_string()));
            }
            Err(error) => return Err(Trouble::Temporary(Code::DIRECTORY_FAILURE, error.to_string())),
        };
        if matches!(found, Location::Native { .. }) {
            self.remember(domain, now_ms).await;
        }
        let seen = self.records.record(Kind::Native, domain.as_str().as_bytes(), now_ms);
        let seen = seen.map_err(|error| Trouble::Temporary(Code::SYSTEM_TROUBLE, error.to_string()))?;
        judged(&found, seen.is_some()).ok_or_else(|| {
            let text = format!(
                "{domain} had nodes until lately and names none now; its mail waits, and does not go by SMTP"
            );
            Trouble::Temporary(Code::DIRECTORY_FAILURE, text)
        })
    }

    /// Remembers that a domain has nodes; written anew only when half of the time is over.
    async fn remember(&self, domain: &Domain, now_ms: u64) {
        let key = domain.as_str().as_bytes();
        let half = now_ms.saturating_add(self.native_ms / 2);
        let fresh = matches!(self.records.record(Kind::Native, key, half), Ok(Some(_)));
        if fresh || self.native_ms == 0 {
            return;
        }
        let record = Record {
            key: key.to_vec(),
            value: vec![1],
            expires_at_ms: now_ms.saturating_add(self.native_ms),
        };
        if let Err(error) = self.records.change(vec![Change::Put(Kind::Native, record)]).await {
            tracing::warn!(%error, %domain, "it is not remembered that the domain has nodes");
        }
    }
}

/// The world of a domain, by what the DNS says now and whether it was seen to have nodes lately; `None` where its mail has to
/// wait. What says that it takes no mail says so to nodes, in the exchange's words.
fn judged(found: &Location, had_nodes: bool) -> Option<World> {
    match found {
        Location::Native { .. } | Location::NotHere => Some(World::Native),
        Location::Legacy { security: Security::Secure } => Some(World::Legacy),
        Location::Legacy { security: Security::Insecure } => (!had_nodes).then_some(World::Legacy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: GW-80, GW-81, GW-82
    #[test]
    fn a_domain_that_had_nodes_waits_unless_it_is_proved_that_it_has_none() {
        let legacy = |security| Location::Legacy { security };
        for (found, had_nodes, expected) in [
            (Location::Native { targets: Vec::new() }, false, Some(World::Native)),
            (Location::Native { targets: Vec::new() }, true, Some(World::Native)),
            (Location::NotHere, false, Some(World::Native)),
            (legacy(Security::Insecure), false, Some(World::Legacy)),
            (legacy(Security::Insecure), true, None),
            (legacy(Security::Secure), false, Some(World::Legacy)),
            (legacy(Security::Secure), true, Some(World::Legacy)),
        ] {
            assert_eq!(judged(&found, had_nodes), expected, "{found:?}, {had_nodes}");
        }
    }
}
