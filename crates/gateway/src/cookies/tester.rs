//! The side of who receives: is the author's server the client itself, or does it know the message?

use std::net::IpAddr;
use std::sync::Arc;

use dns::Resolver;
use message::address::Address;
use tokio::sync::Semaphore;

use super::EXTENSION;
use super::rates::Rates;
use crate::check::Verdict;
use crate::check::spf::{Query, check_host};
use crate::limits::{
    COOKIE_HOST_ADDRESSES_MAX, COOKIE_QUESTIONS_AT_ONCE_MAX, COOKIE_QUESTIONS_MAX, COOKIE_TIME_MAX,
};
use crate::out::Sender;

/// What was found about a cookie. keeps: CKS-8
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CookieFound {
    /// There was none, or no return path that it could be of.
    #[default]
    None,
    /// The client is the author's server.
    Direct,
    /// The author's server knows the message.
    Confirmed,
    /// The author's server does not know it, or is no server of the domain.
    Denied(String),
    /// It could not be found out.
    Unknown(String),
}

impl CookieFound {
    /// What it is worth, in the words of the other checks.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            CookieFound::None => Verdict::None,
            CookieFound::Direct | CookieFound::Confirmed => Verdict::Pass,
            CookieFound::Denied(_) => Verdict::Fail,
            CookieFound::Unknown(_) => Verdict::TempError,
        }
    }

    /// How it was found, in words.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            CookieFound::None => "",
            CookieFound::Direct => "direct",
            CookieFound::Confirmed => "confirmed",
            CookieFound::Denied(why) | CookieFound::Unknown(why) => why,
        }
    }
}

/// Who asks the author's servers.
pub struct Tester {
    resolver: Arc<dyn Resolver>,
    sender: Arc<Sender>,
    now_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Whether servers on loopback are asked too.
    loopback: bool,
    rates: Rates,
    at_once: Semaphore,
}

/// A name below the domain of a sender.
struct Speaker<'a> {
    name: &'a str,
    sender: &'a Address,
    /// Whether it is a mail exchange of that domain, which only the domain itself can say.
    is_exchange: bool,
}

impl Speaker<'_> {
    fn no_server(&self) -> String {
        format!("{} is no mail server of its domain", self.name)
    }
}

impl Tester {
    /// A tester that asks over this sender, and also servers on loopback where `loopback` says so, which is for tests.
    pub fn new(
        resolver: Arc<dyn Resolver>,
        sender: Arc<Sender>,
        now_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
        loopback: bool,
    ) -> Tester {
        let rates = Rates::new(COOKIE_QUESTIONS_MAX, u32::MAX);
        let at_once = Semaphore::new(COOKIE_QUESTIONS_AT_ONCE_MAX);
        Tester { resolver, sender, now_ms, loopback, rates, at_once }
    }

    /// Finds out about the cookie `id@host` that came from this address with this return path, within
    /// [`COOKIE_TIME_MAX`]. keeps: CKS-7
    pub async fn find_out(&self, from: IpAddr, sender: &Address, id: &str, host: &str) -> CookieFound {
        let unknown = |why: &str| CookieFound::Unknown(why.to_owned());
        if !self.rates.ask(from, (self.now_ms)()) {
            return unknown("too many cookies came from there");
        }
        let Ok(_permit) = self.at_once.try_acquire() else {
            return unknown("too many cookies are looked at");
        };
        let found =
            tokio::time::timeout(COOKIE_TIME_MAX, self.look(from.to_canonical(), sender, id, host)).await;
        found.unwrap_or_else(|_| unknown("no answer in time"))
    }

    async fn look(&self, from: IpAddr, sender: &Address, id: &str, host: &str) -> CookieFound {
        let name = format!("{host}.{}", sender.domain().as_str());
        let addresses = match self.resolver.addresses(&name).await {
            Ok(answer) => answer.records,
            Err(dns::Error::BadName(_)) => return CookieFound::Denied(format!("{name} is no name")),
            Err(error) => return CookieFound::Unknown(format!("{name}: {error}")),
        };
        if addresses.is_empty() {
            return CookieFound::Denied(format!("there is no host {name}"));
        }
        let speaker = match self.speaker(&name, sender).await {
            Ok(speaker) => speaker,
            Err(why) => return CookieFound::Unknown(why),
        };
        if !addresses.contains(&from) {
            return self.ask(&speaker, addresses, id, from).await;
        }
        let refuted = match self.speaks_for(&speaker, from).await {
            Ok(true) => return CookieFound::Direct,
            Ok(false) => CookieFound::Denied(speaker.no_server()),
            Err(why) => CookieFound::Unknown(why),
        };
        // The name may hold a server of the domain all the same, and that one knows who brings its messages.
        let others: Vec<IpAddr> = addresses.into_iter().filter(|address| *address != from).collect();
        if others.iter().any(|address| self.may_ask(*address)) {
            return self.ask(&speaker, others, id, from).await;
        }
        refuted
    }

    /// A message that the author's server has brought to one of our addresses is to go on, perhaps from another: tells that
    /// server, so that it is expected from there. The question is the one of a tester, from the address that sends; that
    /// it was not answered well is no reason not to send. keeps: CKS-9
    pub async fn take_along(&self, came_to: IpAddr, sender: &Address, id: &str, host: &str) -> CookieFound {
        let unknown = |why: &str| CookieFound::Unknown(why.to_owned());
        let Ok(_permit) = self.at_once.try_acquire() else {
            return unknown("too many cookies are looked at");
        };
        let name = format!("{host}.{}", sender.domain().as_str());
        let asking = async {
            let addresses = match self.resolver.addresses(&name).await {
                Ok(answer) => answer.records,
                Err(error) => return CookieFound::Unknown(format!("{name}: {error}")),
            };
            match self.speaker(&name, sender).await {
                Ok(speaker) => self.ask(&speaker, addresses, id, came_to.to_canonical()).await,
                Err(why) => CookieFound::Unknown(why),
            }
        };
        tokio::time::timeout(COOKIE_TIME_MAX, asking).await.unwrap_or_else(|_| unknown("no answer in time"))
    }

    /// Asks the addresses of a name that speak for the domain, one after the other. keeps: CKS-6, CKS-7
    async fn ask(
        &self,
        speaker: &Speaker<'_>,
        addresses: Vec<IpAddr>,
        id: &str,
        from: IpAddr,
    ) -> CookieFound {
        let Speaker { name, sender, .. } = speaker;
        let public: Vec<IpAddr> = addresses.into_iter().filter(|address| self.may_ask(*address)).collect();
        if public.is_empty() {
            return CookieFound::Unknown(format!("{name} has no public address"));
        }
        let mut unknown = None;
        for address in public.into_iter().take(COOKIE_HOST_ADDRESSES_MAX) {
            match self.speaks_for(speaker, address).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(why) => {
                    unknown = Some(why);
                    continue;
                }
            }
            let line = format!("TEST COOKIE {id} {sender} {from}");
            unknown = Some(match self.sender.ask(name, address, EXTENSION, &line).await {
                Ok(Some(digits)) if (200..300).contains(&digits) => return CookieFound::Confirmed,
                Ok(Some(digits)) if digits >= 500 => {
                    return CookieFound::Denied(format!("{name} does not know it"));
                }
                Ok(Some(_)) => format!("{name} cannot say it now"),
                Ok(None) => format!("{name} does not know COOKIES"),
                Err(why) => why,
            });
        }
        unknown.map_or_else(|| CookieFound::Denied(speaker.no_server()), CookieFound::Unknown)
    }

    /// What the domain of a sender says of a name below it.
    async fn speaker<'a>(&self, name: &'a str, sender: &'a Address) -> Result<Speaker<'a>, String> {
        let domain = sender.domain().as_str();
        let exchanges = self.resolver.mx(domain).await.map_err(|error| format!("{domain}: {error}"))?;
        let named = |exchange: &dns::Mx| {
            exchange.exchange.as_deref().is_some_and(|exchange| exchange.eq_ignore_ascii_case(name))
        };
        Ok(Speaker { name, sender, is_exchange: exchanges.records.iter().any(named) })
    }

    /// Whether the domain says that this address sends its mail. Who has one name below a domain writes its addresses, and
    /// can put any beside his own; so each counts for itself. keeps: CKS-6
    async fn speaks_for(&self, speaker: &Speaker<'_>, address: IpAddr) -> Result<bool, String> {
        let Speaker { name, sender, is_exchange } = *speaker;
        if is_exchange {
            return Ok(true);
        }
        let path = sender.to_string();
        let query = Query { address, helo: name, sender: &path, receiver: name, now_ms: (self.now_ms)() };
        match check_host(self.resolver.as_ref(), &query).await.verdict {
            Verdict::Pass => Ok(true),
            Verdict::TempError => Err(format!("{}: SPF cannot be evaluated now", sender.domain())),
            _ => Ok(false),
        }
    }

    fn may_ask(&self, address: IpAddr) -> bool {
        dns::is_global_unicast(address.to_canonical()) || (self.loopback && address.is_loopback())
    }
}
