//! The author's side: cookies are given out, kept, and moved to who has tested them.

use std::net::IpAddr;
use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use message::Code;
use message::address::{Address, Domain};
use tokio::sync::Mutex;

use super::rates::Rates;
use super::{EXTENSION, parameter, same_address};
use crate::limits::{COOKIE_DENIALS_MAX, COOKIE_LIFE_MS, COOKIE_TESTS_MAX};
use crate::out::{MailParameters, Parameter};
use crate::smtp::{Cookies, Environment};
use crate::{Change, Client, Kind, Later, Record, Records, RecordsError, Reply, Service};

/// Octets of an identifier before they become letters: 160 bits.
const ID_OCTETS: usize = 20;
/// The version of what a record says.
const VERSION: &str = "1";

/// For whom cookies are given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JarSettings {
    /// The name of this host, at which it is asked: `mx1.north.test`.
    pub host: String,
    /// The domains whose senders get cookies. Of these only those count that the host is named below: by the name of
    /// any other domain it cannot be found.
    pub domains: Vec<Domain>,
}

/// Cookies that were given out.
pub struct Jar {
    settings: JarSettings,
    records: Arc<dyn Records>,
    environment: Environment,
    rates: Rates,
    /// Held from reading a record to writing it.
    moving: Mutex<()>,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Given {
    sender: Address,
    /// From where the message is expected to come to who tests.
    holder: IpAddr,
    /// From where it was expected before the holder tested it.
    before: Option<IpAddr>,
}

impl Jar {
    /// A jar that keeps its cookies there.
    pub fn new(settings: JarSettings, records: Arc<dyn Records>, environment: Environment) -> Jar {
        let rates = Rates::new(COOKIE_TESTS_MAX, COOKIE_DENIALS_MAX);
        Jar { settings, records, environment, rates, moving: Mutex::default() }
    }

    /// A new cookie for a message of this sender that goes to this address, durable: none for a sender of another domain.
    ///
    /// # Errors
    /// Where it could not be kept: then there is none.
    ///
    /// keeps: CKS-1, CKS-2
    pub async fn add(&self, sender: &Address, to: IpAddr) -> Result<Option<Parameter>, RecordsError> {
        let Some(label) = self.label_below(sender.domain()) else { return Ok(None) };
        let seed = (self.environment.seed)();
        let id = BASE32_NOPAD.encode(seed.get(..ID_OCTETS).unwrap_or(&seed)).to_ascii_lowercase();
        let given = Given { sender: sender.clone(), holder: to.to_canonical(), before: None };
        let expires_at_ms = (self.environment.now_ms)().saturating_add(COOKIE_LIFE_MS);
        self.write(&id, &given, expires_at_ms).await?;
        Ok(Some(parameter(&id, label)))
    }

    /// What stands in front of a domain of ours in the name of this host.
    fn label_below(&self, domain: &Domain) -> Option<&str> {
        let ours = self.settings.domains.contains(domain);
        let label = self.settings.host.strip_suffix(domain.as_str())?.strip_suffix('.')?;
        (ours && !label.is_empty()).then_some(label)
    }

    /// Whether a message of this sender may have come from this address to the tester; if so, it is expected from the
    /// tester from now on. keeps: CKS-3
    async fn confirm(
        &self,
        tester: IpAddr,
        id: &str,
        sender: &Address,
        from: IpAddr,
    ) -> Result<bool, RecordsError> {
        let _moving = self.moving.lock().await;
        let now_ms = (self.environment.now_ms)();
        let key = id.to_ascii_lowercase().into_bytes();
        let record = self.records.record(Kind::Cookie, &key, now_ms)?;
        let Some((record, given)) = record.and_then(|one| Given::read(&one.value).map(|given| (one, given)))
        else {
            return Ok(false);
        };
        let (tester, from) = (tester.to_canonical(), from.to_canonical());
        if !same_address(&given.sender, sender) {
            return Ok(false);
        }
        let again = given.holder == tester && given.before == Some(from);
        if again || (given.holder == from && from == tester) {
            return Ok(true);
        }
        if given.holder != from {
            return Ok(false);
        }
        let moved = Given { holder: tester, before: Some(from), ..given };
        self.write(id, &moved, record.expires_at_ms).await?;
        Ok(true)
    }

    async fn write(&self, id: &str, given: &Given, expires_at_ms: u64) -> Result<(), RecordsError> {
        let key = id.to_ascii_lowercase().into_bytes();
        let record = Record { key, value: given.text().into_bytes(), expires_at_ms };
        self.records.change(vec![Change::Put(Kind::Cookie, record)]).await
    }
}

impl Given {
    fn text(&self) -> String {
        let before = self.before.map_or("-".to_owned(), |address| address.to_string());
        format!("{VERSION} {} {before} {}", self.holder, self.sender)
    }

    fn read(value: &[u8]) -> Option<Given> {
        let mut words = std::str::from_utf8(value).ok()?.splitn(4, ' ');
        let (version, holder, before, sender) = (words.next()?, words.next()?, words.next()?, words.next()?);
        if version != VERSION {
            return None;
        }
        let before = if before == "-" { None } else { Some(before.parse().ok()?) };
        Some(Given { sender: sender.parse().ok()?, holder: holder.parse().ok()?, before })
    }
}

impl Cookies for Jar {
    /// Only to other servers: users have nothing to test.
    fn announce(&self, client: &Client) -> Option<String> {
        (client.service == Service::Transfer).then(|| EXTENSION.to_owned())
    }

    /// keeps: CKS-4, CKS-5
    fn test<'a>(
        &'a self,
        client: &'a Client,
        id: &'a str,
        sender: &'a Address,
        address: IpAddr,
    ) -> Later<'a, Reply> {
        Box::pin(async move {
            let later = |text: &str| Reply { digits: 451, code: Code::new(4, 7, 1), text: text.to_owned() };
            if !self.rates.ask(client.address, (self.environment.now_ms)()) {
                return later("too many tests from there; please ask later");
            }
            match self.confirm(client.address, id, sender, address).await {
                Ok(true) => {
                    Reply { digits: 250, code: Code::new(2, 0, 0), text: "it is our message".to_owned() }
                }
                Ok(false) => {
                    self.rates.denied(client.address);
                    let text = "no message of ours came that way".to_owned();
                    Reply { digits: 550, code: Code::NOT_AUTHORIZED, text }
                }
                Err(error) => {
                    tracing::warn!(%error, "a cookie could not be tested");
                    later("it cannot be found out now")
                }
            }
        })
    }
}

impl MailParameters for Jar {
    /// A message whose cookie cannot be kept goes without one.
    fn parameter<'a>(&'a self, sender: &'a Address, to: IpAddr) -> Later<'a, Option<Parameter>> {
        Box::pin(async move {
            self.add(sender, to).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "a message goes without a cookie");
                None
            })
        })
    }

    fn extension(&self) -> &str {
        EXTENSION
    }
}
