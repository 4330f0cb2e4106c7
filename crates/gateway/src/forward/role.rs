//! The reason of both roles: who asks, who answers, and what comes of it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use message::address::{Address, Domain};
use tokio::sync::Semaphore;

use super::document::{
    Ask, Capabilities, Question, Standing, StandingState, VERSION, WELL_KNOWN, path_at, secret, secret_text,
};
use super::{Book, BookError, Fetch, FetchError, Grant, Report, State, Verdict, Way};
use crate::cookies::rates::Rates;
use crate::limits::{
    ASKS_AT_ONCE_MAX, ASKS_AT_ONCE_PER_NETWORK_MAX, ASKS_PER_MINUTE_MAX, ASKS_PER_NETWORK_MAX,
};
use crate::neighbours::Neighbours;

/// Octets of any text that is kept of others.
pub(super) const TEXT_OCTETS_MAX: usize = 512;
/// Milliseconds after which a forwarder asks again at the latest. keeps: FWD-12
const DAY_MS: u64 = 86_400_000;
/// Milliseconds after which it asks again where the target was not reached, or waits and says nothing of when.
const HOUR_MS: u64 = 3_600_000;
/// Seconds after which a forwarder may ask again, as this target says.
const AGAIN_SECONDS: u64 = 900;

/// Unix milliseconds.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What a target grants without asking anybody. keeps: FWD-16
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Granting {
    /// To forwarders whom the recipient trusts; else somebody decides.
    #[default]
    Trusted,
    /// To everybody who has shown who it is.
    Everybody,
    /// To nobody: each question is decided.
    Nobody,
}

/// What this node does by itself.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// What is granted without asking.
    pub granting: Granting,
    /// Forwarders that are granted without asking, whoever the recipient is.
    pub trusted: BTreeSet<Domain>,
    /// Whether reports of abuse are sent to forwarders that want them.
    pub complain: bool,
}

/// Both roles of one node.
pub struct Forwarding {
    shown: Domain,
    domains: BTreeSet<Domain>,
    policy: Policy,
    pub(super) book: Arc<dyn Book>,
    pub(super) fetch: Arc<dyn Fetch>,
    clock: Clock,
    places: Semaphore,
    minute: Mutex<(u64, u32)>,
    /// What each network has asked, and what of it is looked into now.
    rates: Rates,
    neighbours: Neighbours,
}

impl Forwarding {
    /// For a node that shows itself to others as `shown`, which is one of its domains: as that it forwards.
    pub fn new(
        shown: Domain,
        domains: BTreeSet<Domain>,
        policy: Policy,
        book: Arc<dyn Book>,
        fetch: Arc<dyn Fetch>,
        clock: Clock,
    ) -> Forwarding {
        let places = Semaphore::new(ASKS_AT_ONCE_MAX);
        let rates = Rates::new(ASKS_PER_NETWORK_MAX, u32::MAX);
        let neighbours = Neighbours::new(ASKS_AT_ONCE_PER_NETWORK_MAX);
        let minute = Mutex::default();
        Forwarding { shown, domains, policy, book, fetch, clock, places, minute, rates, neighbours }
    }

    /// Whether this is a domain of ours.
    pub fn serves(&self, domain: &Domain) -> bool {
        self.domains.contains(domain)
    }

    /// What one of our domains can do.
    pub fn capabilities(&self, domain: &Domain) -> Capabilities {
        Capabilities {
            version: VERSION,
            domain: domain.as_str().to_owned(),
            complaints: true,
            pages: true,
            rewrites: true,
            automatic: self.policy.granting != Granting::Nobody,
        }
    }

    /// As forwarder: asks the target of a record, and writes down what it says.
    ///
    /// # Errors
    /// Where the records cannot be written.
    ///
    /// keeps: FWD-12, FWD-16, FWD-17
    pub async fn ask(&self, way: Way) -> Result<Verdict, BookError> {
        let verdict = self.put_question(&way).await;
        self.book.decided(way, verdict.clone()).await?;
        Ok(verdict)
    }

    async fn put_question(&self, way: &Way) -> Verdict {
        let now_ms = (self.clock)();
        let question = Ask {
            version: VERSION,
            forwarder: self.shown.as_str().to_owned(),
            recipient: way.target.to_string(),
            ask: secret_text(&way.ask),
        };
        let body = serde_json::to_vec(&question).unwrap_or_default();
        let path = format!("{WELL_KNOWN}/asks");
        let answer = self.fetch.post(way.target.domain(), &path, "application/json", body).await;
        let standing = match answer {
            Ok(fetched) if fetched.status == 200 => {
                serde_json::from_slice::<Standing>(&fetched.body).map_err(|error| error.to_string())
            }
            Ok(fetched) => Err(format!("{} answers {}", way.target.domain(), fetched.status)),
            Err(error) => Err(error.to_string()),
        };
        let standing = standing.and_then(|standing| match standing.version {
            VERSION => Ok(standing),
            version => Err(format!("{} answers in version {version}", way.target.domain())),
        });
        match standing {
            Ok(Standing { state: StandingState::Granted, authorization, .. }) => Verdict {
                state: State::Granted,
                authorization: authorization.filter(|number| number.len() <= TEXT_OCTETS_MAX),
                again_at_ms: Some(now_ms.saturating_add(DAY_MS)),
                note: format!("{} has granted it", way.target.domain()),
            },
            Ok(Standing { state: StandingState::Waiting, again_after, .. }) => Verdict {
                state: State::Waiting,
                authorization: None,
                again_at_ms: Some(now_ms.saturating_add(again_ms(again_after))),
                note: format!("{} has not decided yet", way.target.domain()),
            },
            Ok(Standing { state: StandingState::Refused, .. }) => Verdict {
                state: State::Deleted,
                authorization: None,
                again_at_ms: None,
                note: format!("{} has refused it", way.target.domain()),
            },
            // Whoever cannot be asked has refused nothing; what was granted stays so until it is taken back.
            Err(reason) => Verdict {
                state: match way.state {
                    State::Granted => State::Granted,
                    _ if way.rewrite => State::Rewriting,
                    _ => State::Waiting,
                },
                authorization: way.authorization.clone(),
                again_at_ms: Some(now_ms.saturating_add(HOUR_MS)),
                note: shortened(format!("not asked: {reason}")),
            },
        }
    }

    /// As forwarder: what a question of ours is; `None` where we have not asked it.
    ///
    /// # Errors
    /// Where the records cannot be read.
    ///
    /// keeps: FWD-13
    pub fn question(&self, domain: &Domain, ask: &str) -> Result<Option<Question>, BookError> {
        let Some(way) = self.way_of_ask(domain, ask)? else { return Ok(None) };
        let base = format!("https://{domain}{WELL_KNOWN}");
        Ok(Some(Question {
            version: VERSION,
            forwarder: domain.as_str().to_owned(),
            recipient: way.target.to_string(),
            alias: (!way.conceal).then(|| way.alias.to_string()),
            page: Some(format!("{base}/records/{}", secret_text(&way.credential))),
            complaints: Some(format!("{base}/asks/{}/complaints", secret_text(&way.ask))),
        }))
    }

    fn way_of_ask(&self, domain: &Domain, ask: &str) -> Result<Option<Way>, BookError> {
        let Some(ask) = secret(ask) else { return Ok(None) };
        let way = self.book.way_by_ask(&ask)?;
        Ok(way.filter(|way| *domain == self.shown && way.state != State::Deleted))
    }

    /// As forwarder: takes a report of abuse under a question of ours; `false` where there is no such question.
    ///
    /// # Errors
    /// Where the records cannot be written.
    ///
    /// keeps: FWD-22
    pub async fn take_report(&self, domain: &Domain, ask: &str, report: &[u8]) -> Result<bool, BookError> {
        let Some(way) = self.way_of_ask(domain, ask)? else { return Ok(false) };
        let report = match Report::read(report) {
            Ok(report) => report,
            Err(error) => {
                tracing::debug!(%error, "a report of abuse cannot be read");
                return Ok(false);
            }
        };
        tracing::info!(alias = %way.alias, recipient = report.recipient, "a report of abuse has come");
        self.book.complained(way).await?;
        Ok(true)
    }

    /// As target: sends a report of abuse where a grant says so. Nothing depends on whether it arrives.
    ///
    /// # Errors
    /// Where it was not sent.
    ///
    /// keeps: FWD-22
    pub async fn complain(&self, grant: &Grant, report: &Report) -> Result<(), FetchError> {
        let path = grant.complaints_to.as_deref().and_then(|url| path_at(url, &grant.forwarder));
        let path = path.ok_or_else(|| FetchError::Refused("the forwarder wants no reports".to_owned()))?;
        let (media_type, body) = report.write();
        let fetched = self.fetch.post(&grant.forwarder, path, &media_type, body).await?;
        match fetched.status {
            200..=299 => Ok(()),
            status => Err(FetchError::Refused(format!("the forwarder answers {status}"))),
        }
    }

    /// As target: ends the record of a forwarder that was refused, with the credential that it has given. It hears of it
    /// also when it asks next.
    pub async fn end(&self, grant: &Grant) {
        let Some(path) = grant.page.as_deref().and_then(|page| path_at(page, &grant.forwarder)) else {
            return;
        };
        let body = br#"{"change":"delete"}"#.to_vec();
        if let Err(error) = self.fetch.post(&grant.forwarder, path, "application/json", body).await {
            tracing::debug!(%error, forwarder = %grant.forwarder, "a forwarder could not be told");
        }
    }

    /// As target: answers a question that came from this address. What is known is said; what is new is a pre-authorization, until the forwarder has
    /// shown that it is its own.
    ///
    /// # Errors
    /// Where the records fail, or too much is asked just now.
    ///
    /// keeps: FWD-12, FWD-13, FWD-14, FWD-16, FWD-27
    pub async fn answer(&self, ask: &Ask, from: IpAddr) -> Result<Standing, BookError> {
        let read = (
            Domain::parse(&ask.forwarder).ok(),
            Address::parse(&ask.recipient).ok(),
            secret(&ask.ask).filter(|_| ask.version == VERSION),
        );
        let (Some(forwarder), Some(recipient), Some(secret)) = read else { return Ok(refused()) };
        if self.serves(&forwarder) || !self.serves(recipient.domain()) {
            return Ok(refused());
        }
        let takes = self.book.takes(&recipient)?;
        // Whoever asks with another secret may not be the one who was granted or refused: it shows that anew.
        let known = self.book.grant(&recipient, &forwarder)?.filter(|known| known.ask == Some(secret));
        if let Some(known) = known.filter(|_| takes) {
            return Ok(standing(&known));
        }
        self.may_look(from)?;
        let _near = self
            .neighbours
            .take(from)
            .ok_or_else(|| BookError("too many questions from there".to_owned()))?;
        let _place =
            self.places.try_acquire().map_err(|_| BookError("too many questions at once".to_owned()))?;
        match self.look_at(&forwarder, &recipient, &secret).await {
            Ok(grant) if takes => self.decide(grant).await,
            // For whom nothing is taken here, that is a secret as it is over SMTP: the question waits as any other.
            Ok(_) => Ok(waiting()),
            Err(reason) => {
                tracing::info!(%forwarder, %recipient, %reason, "a forwarder has not shown who it is");
                Ok(Standing { again_after: AGAIN_SECONDS, ..waiting() })
            }
        }
    }

    /// Second step: what the forwarder can do and what its question is, from a server that has proved its name.
    async fn look_at(
        &self,
        forwarder: &Domain,
        recipient: &Address,
        ask: &[u8; 32],
    ) -> Result<Grant, String> {
        let capabilities: Capabilities = self.document(forwarder, WELL_KNOWN).await?;
        if capabilities.version != VERSION || capabilities.domain != forwarder.as_str() {
            return Err("its capabilities are another's, or of another version".to_owned());
        }
        let path = format!("{WELL_KNOWN}/asks/{}", secret_text(ask));
        let question: Question = self.document(forwarder, &path).await?;
        let same = question.version == VERSION
            && question.forwarder == forwarder.as_str()
            && Address::parse(&question.recipient).is_ok_and(|named| named == *recipient);
        if !same {
            return Err("its question is another one".to_owned());
        }
        let own = |url: Option<String>| url.filter(|url| path_at(url, forwarder).is_some());
        let complaints_to = own(question.complaints).filter(|_| capabilities.complaints);
        Ok(Grant {
            number: 0,
            recipient: recipient.clone(),
            forwarder: forwarder.clone(),
            state: State::Waiting,
            automatic: false,
            by: "question".to_owned(),
            ask: Some(*ask),
            alias: question.alias.filter(|alias| Address::parse(alias).is_ok()),
            page: own(question.page),
            complain: self.policy.complain && complaints_to.is_some(),
            complaints_to,
        })
    }

    async fn document<T: serde::de::DeserializeOwned>(
        &self,
        domain: &Domain,
        path: &str,
    ) -> Result<T, String> {
        let fetched = self.fetch.get(domain, path).await.map_err(|error| error.to_string())?;
        if fetched.status != 200 {
            return Err(format!("{domain} answers {}", fetched.status));
        }
        serde_json::from_slice(&fetched.body).map_err(|error| error.to_string())
    }

    /// Third step: in full, or by hand. What somebody has decided meanwhile stands.
    async fn decide(&self, found: Grant) -> Result<Standing, BookError> {
        let (recipient, forwarder) = (&found.recipient.clone(), &found.forwarder.clone());
        let known = self.book.grant(recipient, forwarder)?;
        let rule = if self.policy.trusted.contains(forwarder) {
            Some("trusted")
        } else {
            match self.policy.granting {
                Granting::Everybody => Some("everybody"),
                Granting::Trusted if self.book.trusts(recipient, forwarder)? => Some("correspondent"),
                Granting::Trusted | Granting::Nobody => None,
            }
        };
        let mut grant = match (known, rule) {
            (Some(known), _) if known.state == State::Deleted => return Ok(standing(&known)),
            (Some(known), _) if known.state == State::Granted => Grant {
                number: known.number,
                state: State::Granted,
                automatic: known.automatic,
                by: known.by,
                ..found
            },
            (known, rule) => Grant {
                number: known.map_or(0, |known| known.number),
                state: if rule.is_some() { State::Granted } else { State::Waiting },
                automatic: rule.is_some(),
                by: rule.unwrap_or("question").to_owned(),
                ..found
            },
        };
        match self.book.put_grant(grant.clone()).await {
            Ok(number) => grant.number = number,
            // What waits and is not kept is asked about again; another answer would tell that there is such an address.
            Err(error) if grant.state == State::Waiting => {
                tracing::info!(%error, %recipient, %forwarder, "a question is not kept");
            }
            Err(error) => return Err(error),
        }
        Ok(standing(&grant))
    }

    /// Counts what is looked at for this network, and in this minute for all. keeps: FWD-14
    fn may_look(&self, from: IpAddr) -> Result<(), BookError> {
        let now_ms = (self.clock)();
        if !self.rates.ask(from, now_ms) {
            return Err(BookError("too many questions from there".to_owned()));
        }
        let minute = now_ms / 60_000;
        let mut counted = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.0 != minute {
            *counted = (minute, 0);
        }
        counted.1 += 1;
        match counted.1 > ASKS_PER_MINUTE_MAX {
            true => Err(BookError("too many questions in this minute".to_owned())),
            false => Ok(()),
        }
    }
}

fn again_ms(seconds: u64) -> u64 {
    let wanted = seconds.saturating_mul(1000);
    if wanted == 0 { HOUR_MS } else { wanted.clamp(60_000, DAY_MS) }
}

fn shortened(mut text: String) -> String {
    while text.len() > TEXT_OCTETS_MAX {
        text.pop();
    }
    text
}

fn waiting() -> Standing {
    Standing {
        version: VERSION,
        state: StandingState::Waiting,
        authorization: None,
        complaints: false,
        again_after: AGAIN_SECONDS,
    }
}

fn refused() -> Standing {
    Standing { state: StandingState::Refused, again_after: 0, ..waiting() }
}

fn standing(grant: &Grant) -> Standing {
    match grant.state {
        State::Granted => Standing {
            state: StandingState::Granted,
            authorization: Some(grant.number.to_string()),
            complaints: grant.complain,
            again_after: 0,
            ..waiting()
        },
        State::Deleted => refused(),
        State::Waiting | State::Rewriting => waiting(),
    }
}
