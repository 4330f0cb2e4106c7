//! DKIM (RFC 6376) and DMARC (RFC 9989): who has signed a message, and whether its author's domain stands for it.

use mail_auth::common::crypto::Algorithm;
use mail_auth::common::to_a_label;
use mail_auth::common::verify::VerifySignature;
use mail_auth::dmarc::Policy;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::{
    AuthenticatedMessage, DkimOutput, DkimResult, DmarcResult, MessageAuthenticator, SpfOutput, SpfResult,
};

use super::Verdict;
use super::library::{Answers, Questions};
use super::spf::Spf;
use crate::limits::DKIM_SIGNATURES_MAX;

/// One signature.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// What it is worth.
    pub verdict: Verdict,
    /// The domain that signed, in lower-case A-labels; empty where that cannot be read.
    pub domain: String,
    /// The name of its key.
    pub selector: String,
    /// Why it is worth no more.
    pub why: String,
}

/// What DMARC says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Author {
    /// Whether the author's domain stands for the message.
    pub verdict: Verdict,
    /// The author's domain, in A-labels; empty where there is not one.
    pub domain: String,
    /// Whether that domain asks to refuse what fails.
    pub rejects: bool,
    /// Whether the domain stands for the message, by DMARC or, without it, by its own signature.
    pub verified: bool,
    /// What is wrong, where something is.
    pub why: String,
}

/// A message whose signatures are read, and not yet checked.
pub(super) struct Signed<'a> {
    message: Option<AuthenticatedMessage<'a>>,
    author: Result<String, &'static str>,
}

impl<'a> Signed<'a> {
    /// Reads the header of a message. keeps: CHK-3
    pub(super) fn read(octets: &'a [u8]) -> Self {
        let mut message = AuthenticatedMessage::parse(octets);
        if let Some(message) = &mut message {
            message.dkim_headers.truncate(DKIM_SIGNATURES_MAX);
            message.errors.truncate(DKIM_SIGNATURES_MAX);
            for header in &mut message.dkim_headers {
                // Neither reports to a signer (RFC 6651) nor third parties (RFC 6541) are asked for.
                header.header.r = false;
                header.header.atps = None;
            }
        }
        let author = message.as_ref().map_or(Err("there is no header"), author);
        Self { message, author }
    }

    /// What has to be asked to check it, for this return path's domain.
    pub(super) fn questions(&self, return_path_domain: &str) -> Questions {
        let mut questions = Questions::default();
        let signatures = self.message.iter().flat_map(|message| &message.dkim_headers);
        if let Ok(author) = &self.author {
            questions.author(author);
            questions.related(return_path_domain);
        }
        for header in signatures {
            questions.key(&header.header.domain_key());
            if self.author.is_ok() {
                questions.related(&header.header.d);
            }
        }
        questions
    }

    /// Checks signatures and author, from answers that were asked for before.
    pub(super) async fn check(
        &self,
        evaluator: &MessageAuthenticator,
        answers: &Answers,
        spf: &Spf,
    ) -> (Vec<Signature>, Author) {
        let Some(message) = &self.message else { return (Vec::new(), without_author(&self.author)) };
        let checked = evaluator.verify_dkim(answers.parameters(message)).await;
        let signatures: Vec<Signature> = checked.iter().map(judged).collect();
        if self.author.is_err() {
            return (signatures, without_author(&self.author));
        }
        // What does not count for us does not count for the author either.
        let both = checked.into_iter().zip(&signatures);
        let counting =
            |(_, judged): &(_, &Signature)| !matches!(judged.verdict, Verdict::Policy | Verdict::PermError);
        let counted: Vec<DkimOutput<'_>> = both.filter(counting).map(|(output, _)| output).collect();
        let spf = SpfOutput::new(spf.domain.clone()).with_result(result_of(spf.verdict));
        let parameters = DmarcParameters::new(message, &counted, spf.domain(), &spf);
        let found = evaluator.verify_dmarc(answers.parameters(parameters)).await;
        let domain = self.author.clone().unwrap_or_default();
        let (verdict, why) = match found.result() {
            DmarcResult::Pass => (Verdict::Pass, String::new()),
            DmarcResult::Fail(error) => (Verdict::Fail, error.to_string()),
            DmarcResult::TempError(_) => (Verdict::TempError, "the DNS did not answer".to_owned()),
            DmarcResult::PermError(error) => (Verdict::PermError, error.to_string()),
            DmarcResult::None => (Verdict::None, String::new()),
        };
        let rejects = found.policy() == Policy::Reject;
        let by_itself = || signatures.iter().any(|one| one.verdict == Verdict::Pass && one.domain == domain);
        let verified = verdict == Verdict::Pass || (verdict == Verdict::None && by_itself());
        (signatures, Author { verdict, domain, rejects, verified, why })
    }
}

fn without_author(author: &Result<String, &'static str>) -> Author {
    let why = author.as_ref().err().copied().unwrap_or("the header cannot be read").to_owned();
    Author { verdict: Verdict::PermError, why, ..Author::default() }
}

/// The domain of the one author in the one From field. keeps: CHK-4
fn author(message: &AuthenticatedMessage<'_>) -> Result<String, &'static str> {
    let fields = message.headers.iter().filter(|(name, _)| name.trim_ascii().eq_ignore_ascii_case(b"From"));
    match fields.count() {
        0 => return Err("there is no From field"),
        1 => {}
        _ => return Err("there are several From fields"),
    }
    let domains = || message.from.iter().map(|from| from.rsplit_once('@').map_or("", |(_, domain)| domain));
    let first = domains().next().filter(|domain| !domain.is_empty()).map(to_a_label);
    let first = first.ok_or("the From field has no address")?;
    if domains().any(|domain| to_a_label(domain) != first) {
        return Err("the authors are of several domains");
    }
    Ok(first.into_owned())
}

/// What a signature is worth by our own rules. keeps: CHK-3
fn judged(output: &DkimOutput<'_>) -> Signature {
    let (verdict, why) = match output.result() {
        DkimResult::Pass => (Verdict::Pass, String::new()),
        DkimResult::Neutral(error) => (Verdict::Neutral, error.to_string()),
        DkimResult::Fail(error) => (Verdict::Fail, error.to_string()),
        DkimResult::PermError(error) => (Verdict::PermError, error.to_string()),
        DkimResult::TempError(_) => (Verdict::TempError, "the DNS did not answer".to_owned()),
        DkimResult::None => (Verdict::None, String::new()),
    };
    let Some(signature) = output.signature() else {
        return Signature { verdict, why, ..Signature::default() };
    };
    let domain = to_a_label(&signature.d).into_owned();
    let covers_from = signature.h.iter().any(|name| name.trim().eq_ignore_ascii_case("from"));
    let (verdict, why) = if !is_host(&domain) {
        (Verdict::PermError, "the domain is no host name".to_owned())
    } else if !covers_from {
        (Verdict::PermError, "the From field is not signed".to_owned())
    } else if verdict == Verdict::Pass && signature.a == Algorithm::RsaSha1 {
        (Verdict::Policy, "rsa-sha1 proves nothing (RFC 8301)".to_owned())
    } else {
        (verdict, why)
    };
    Signature { verdict, domain, selector: signature.s.clone(), why }
}

fn is_host(domain: &str) -> bool {
    let label = |label: &str| {
        let plain =
            label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_');
        !label.is_empty() && plain
    };
    domain.contains('.') && domain.split('.').all(label)
}

fn result_of(verdict: Verdict) -> SpfResult {
    match verdict {
        Verdict::Pass => SpfResult::Pass,
        Verdict::Fail => SpfResult::Fail,
        Verdict::SoftFail => SpfResult::SoftFail,
        Verdict::Neutral | Verdict::Policy => SpfResult::Neutral,
        Verdict::TempError => SpfResult::TempError,
        Verdict::PermError => SpfResult::PermError,
        Verdict::None => SpfResult::None,
    }
}
