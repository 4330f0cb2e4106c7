//! What the checks of the old world find in a message that comes in: SPF, DKIM, DMARC and CSA.
//!
//! Specification: `spec/23-checks.md`. A check takes no decision but the one that the operator has set: its findings
//! are evidence for the rules.

mod library;
mod results;
mod signed;
pub mod spf;
#[cfg(test)]
mod tests;
mod verdict;

use std::net::IpAddr;
use std::sync::Arc;

use dns::{Resolver, csa};
use mail_auth::MessageAuthenticator;
use message::Code;

use crate::cookies::{CookieFound, Tester};
use crate::limits::{CHECK_TIME_MAX, SPF_TIME_MAX};
use crate::properties::{self, Arrangements, Effect};
use crate::smtp::Checks;
use crate::{Findings, Later, Letter, ReturnPath};
use library::Questions;
use signed::Signed;
use spf::Spf;

pub(crate) use results::{header_fields, note_mav};
pub use signed::{Author, Signature};
pub use verdict::Verdict;

/// What follows from a check that fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// It is written down, and the rules see it.
    #[default]
    Note,
    /// The message is refused in the session.
    Refuse,
}

/// How a gateway checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckSettings {
    /// The name of this host, which stands in Authentication-Results as who has checked.
    pub host: String,
    /// What follows where SPF fails, for MAIL FROM or EHLO.
    pub spf: OnFailure,
    /// What follows where DMARC fails and the domain asks for rejection.
    pub dmarc: OnFailure,
    /// What follows where CSA says that the client may not be called so.
    pub csa: OnFailure,
}

/// What is checked.
#[derive(Debug, Clone, Copy)]
pub struct CheckInput<'a> {
    /// From where the client comes.
    pub address: IpAddr,
    /// The name that it said in EHLO.
    pub helo: &'a str,
    /// The address in MAIL FROM.
    pub return_path: &'a ReturnPath,
    /// The message, lines ended with CRLF.
    pub octets: &'a [u8],
    /// Whether every recipient has authorized the host to forward to it (SPP-4).
    pub arranged: bool,
    /// The identifier and the host that came with `COOKIE=`.
    pub cookie: Option<&'a (String, String)>,
    /// Unix milliseconds.
    pub now_ms: u64,
}

/// Who checks.
pub struct Checker {
    settings: CheckSettings,
    resolver: Arc<dyn Resolver>,
    evaluator: MessageAuthenticator,
    arrangements: Option<Arc<dyn Arrangements>>,
    cookies: Option<Arc<Tester>>,
    now_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// What was found, in full.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// The name in EHLO.
    pub helo: String,
    /// The address in MAIL FROM; none for `<>`.
    pub return_path: Option<String>,
    /// SPF for the name in EHLO.
    pub spf_helo: Spf,
    /// SPF for the domain in MAIL FROM; the same as [`Checked::spf_helo`] for `<>`.
    pub spf: Spf,
    /// What the properties of the records make of both.
    pub effect: Effect,
    /// The signatures, in their order in the header.
    pub signatures: Vec<Signature>,
    /// The author.
    pub author: Author,
    /// CSA for the name in EHLO; none where that is no name.
    pub client: Option<Verdict>,
    /// What was found about the cookie.
    pub cookie: CookieFound,
    /// The Authentication-Results fields that are forged, by their places in the header.
    pub forged: Vec<usize>,
}

impl Checker {
    /// Who checks with these settings, asks this resolver and has this clock (Unix milliseconds).
    ///
    /// # Errors
    /// Where the library cannot be set up: in words.
    pub fn new(
        settings: CheckSettings,
        resolver: Arc<dyn Resolver>,
        now_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
    ) -> Result<Self, String> {
        Ok(Self {
            settings,
            resolver,
            evaluator: library::evaluator()?,
            arrangements: None,
            cookies: None,
            now_ms,
        })
    }

    /// With who knows what was arranged with forwarders; without it nothing was.
    #[must_use]
    pub fn with_arrangements(mut self, arrangements: Arc<dyn Arrangements>) -> Self {
        self.arrangements = Some(arrangements);
        self
    }

    /// With who asks about cookies; without it they say nothing.
    #[must_use]
    pub fn with_cookies(mut self, cookies: Arc<Tester>) -> Self {
        self.cookies = Some(cookies);
        self
    }

    async fn cookie(&self, input: &CheckInput<'_>) -> CookieFound {
        match (&self.cookies, input.cookie, input.return_path) {
            (Some(tester), Some((id, host)), Some(path)) => {
                tester.find_out(input.address, path, id, host).await
            }
            _ => CookieFound::None,
        }
    }

    /// Whether all recipients have authorized the host to forward to them. keeps: SPP-4
    async fn arranged(&self, letter: &Letter) -> bool {
        let Some(arrangements) = &self.arrangements else { return false };
        for recipient in &letter.recipients {
            if !arrangements.arranged(&letter.client.helo, &recipient.address).await {
                return false;
            }
        }
        !letter.recipients.is_empty()
    }

    /// Checks one message and tells everything. keeps: CHK-2, CHK-6
    pub async fn examine(&self, input: CheckInput<'_>) -> Checked {
        let resolver = self.resolver.as_ref();
        let signed = Signed::read(input.octets);
        let return_path = input.return_path.as_ref().map(ToString::to_string);
        let mail_domain =
            return_path.as_deref().and_then(|path| path.rsplit_once('@')).map(|(_, domain)| domain);
        let questions = signed.questions(mail_domain.unwrap_or(input.helo));
        let (spf_helo, spf, client, cookie, answers) = tokio::join!(
            self.spf(&input, None),
            async {
                match &return_path {
                    Some(path) => Some(self.spf(&input, Some(path)).await),
                    None => None,
                }
            },
            client_authorized(resolver, input.helo, input.address),
            self.cookie(&input),
            tokio::time::timeout(CHECK_TIME_MAX.saturating_sub(SPF_TIME_MAX), questions.answers(resolver)),
        );
        let answers = match answers {
            Ok(answers) => answers,
            // Without any answer everything that needs one is a temporary error.
            Err(_) => Questions::default().answers(resolver).await,
        };
        let spf = spf.unwrap_or_else(|| spf_helo.clone());
        let (signatures, mut author) = signed.check(&self.evaluator, &answers, &spf).await;
        let effect = properties::apply(&spf_helo, &spf, return_path.as_deref(), input.arranged, input.octets);
        author.verified |= author.verdict == Verdict::None && effect.is_author;
        let forged = results::forged(&self.settings.host, input.octets);
        let helo = input.helo.to_owned();
        Checked { helo, return_path, spf_helo, spf, effect, signatures, author, client, cookie, forged }
    }

    async fn spf(&self, input: &CheckInput<'_>, return_path: Option<&str>) -> Spf {
        let postmaster = format!("postmaster@{}", input.helo);
        let query = spf::Query {
            address: input.address,
            helo: input.helo,
            sender: return_path.unwrap_or(&postmaster),
            receiver: &self.settings.host,
            now_ms: input.now_ms,
        };
        spf::check_host(self.resolver.as_ref(), &query).await
    }

    /// What follows from what was found. keeps: CHK-8
    #[must_use]
    pub fn findings(&self, checked: &Checked) -> Findings {
        let mut claims = vec![
            ("spf-helo".to_owned(), checked.spf_helo.verdict.word().to_owned()),
            ("spf".to_owned(), checked.spf.verdict.word().to_owned()),
        ];
        let mut claim = |method: &str, result: &str| claims.push((method.to_owned(), result.to_owned()));
        if checked.signatures.is_empty() {
            claim("dkim", Verdict::None.word());
        }
        for signature in &checked.signatures {
            claim("dkim", signature.verdict.word());
            if signature.verdict == Verdict::Pass {
                claim("dkim-domain", &signature.domain);
            }
        }
        for property in &checked.effect.in_force {
            claim("spf-property", property);
        }
        if !checked.effect.in_force.is_empty() {
            claim("spf-with-properties", checked.effect.mail_from.word());
        }
        claim("dmarc", checked.author.verdict.word());
        if let Some(client) = checked.client {
            claim("csa", client.word());
        }
        if checked.cookie != CookieFound::None {
            claim("cookie", checked.cookie.verdict().word());
        }
        for place in &checked.forged {
            claim("forged-results", &place.to_string());
        }
        let author = &checked.author;
        let by_cookie = checked.cookie.verdict() == Verdict::Pass;
        Findings {
            authentication_results: results::value(&self.settings.host, checked),
            claims,
            return_path_verified: by_cookie
                || (checked.return_path.is_some() && checked.effect.mail_from == Verdict::Pass),
            return_path_whole: by_cookie || checked.effect.whole_address,
            author_domain_verified: author.verified.then(|| author.domain.clone()),
            forged_results: checked.forged.clone(),
            refuse: self.refusal(checked),
            may_keep_path: properties::may_forward(checked).is_ok(),
            forwarder: checked.effect.is_forwarder.then(|| checked.helo.clone()),
            cookie: checked.cookie.clone(),
        }
    }

    /// The first failure that the operator refuses. keeps: CHK-7
    fn refusal(&self, checked: &Checked) -> Option<(Code, String)> {
        let refuses =
            |what: OnFailure, verdict: Verdict| what == OnFailure::Refuse && verdict == Verdict::Fail;
        let effect = &checked.effect;
        let mut spf = [(&checked.spf, effect.mail_from), (&checked.spf_helo, effect.helo)].into_iter();
        if let Some((failed, _)) = spf.find(|(_, verdict)| refuses(self.settings.spf, *verdict)) {
            let said =
                failed.explanation.as_ref().map(|text| format!("; {} explains: {text}", failed.domain));
            let text = format!("{} does not let this client use its name (SPF)", failed.domain);
            return Some((Code::SPF_FAILED, text + &said.unwrap_or_default()));
        }
        let author = &checked.author;
        let excused = effect.by_trusted_forwarder;
        if refuses(self.settings.dmarc, author.verdict) && author.rejects && !excused {
            let text = format!("{} asks to refuse what it does not stand for (DMARC)", author.domain);
            return Some((Code::CHECKS_FAILED, text));
        }
        let client = checked.client.filter(|client| refuses(self.settings.csa, *client));
        client.map(|_| (Code::NOT_AUTHORIZED, "the name in EHLO may not be used from here (CSA)".to_owned()))
    }
}

impl Checks for Checker {
    fn check<'a>(&'a self, letter: &'a Letter) -> Later<'a, Findings> {
        Box::pin(async move {
            let input = CheckInput {
                address: letter.client.address,
                helo: &letter.client.helo,
                return_path: &letter.return_path,
                octets: &letter.octets,
                arranged: self.arranged(letter).await,
                cookie: letter.cookie.as_ref(),
                now_ms: (self.now_ms)(),
            };
            self.findings(&self.examine(input).await)
        })
    }
}

/// What CSA says of a client. keeps: CHK-5
async fn client_authorized(resolver: &dyn Resolver, helo: &str, address: IpAddr) -> Option<Verdict> {
    if !helo.contains('.') || helo.starts_with('[') {
        return None;
    }
    let answer =
        tokio::time::timeout(SPF_TIME_MAX, csa::is_client(resolver, helo, address.to_canonical())).await;
    match answer {
        Ok(Ok(Some(true))) => Some(Verdict::Pass),
        Ok(Ok(Some(false))) => Some(Verdict::Fail),
        Ok(Ok(None)) => Some(Verdict::None),
        Ok(Err(dns::Error::BadName(_))) => None,
        Ok(Err(_)) | Err(_) => Some(Verdict::TempError),
    }
}
