//! SPF explained: what a gateway would find, for a program that asks without a node.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use gateway::check::{CheckInput, CheckSettings, Checker, OnFailure};

use crate::{Error, clock, system_resolver};

/// What is asked.
#[derive(Debug, Clone)]
pub struct SpfQuestion {
    /// The address of the client.
    pub address: IpAddr,
    /// The name that it says in EHLO.
    pub helo: String,
    /// The address in MAIL FROM; none for `<>`.
    pub from: Option<String>,
    /// A message, lines ended with CRLF; of it the header is read.
    pub message: Vec<u8>,
    /// Whether every recipient has authorized the client to forward to it.
    pub arranged: bool,
    /// Which name server is asked; none for those of the system.
    pub dns: Option<SocketAddr>,
}

/// One identity, explained.
#[derive(Debug, Clone, serde::Serialize)]
pub struct SpfSide {
    /// The domain that was asked.
    pub domain: String,
    /// What SPF found: the word of RFC 8601.
    pub spf: &'static str,
    /// What the properties make of it.
    pub verdict: &'static str,
    /// What the domain says to a failure.
    pub explanation: Option<String>,
    /// What was looked at.
    pub steps: Vec<String>,
}

/// All of it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ExplainedSpf {
    /// The name in EHLO.
    pub helo: SpfSide,
    /// The address in MAIL FROM; none for `<>`.
    pub mail_from: Option<SpfSide>,
    /// The properties that changed or say something.
    pub properties: Vec<&'static str>,
    /// What was looked at for them.
    pub steps: Vec<String>,
    /// Whether a pass is for the whole address.
    pub whole_address: bool,
}

impl ExplainedSpf {
    /// Whether a gateway that refuses failures would refuse this one.
    #[must_use]
    pub fn fails(&self) -> bool {
        let sides = std::iter::once(&self.helo).chain(&self.mail_from);
        sides.into_iter().any(|side| side.verdict == "fail")
    }
}

/// Asks the DNS and tells what was found. keeps: SPP-8
///
/// # Errors
/// [`Error::Other`] for an address that is none; [`Error::Dns`] where no name server is known.
pub async fn explain_spf(question: &SpfQuestion) -> Result<ExplainedSpf, Error> {
    let return_path = match &question.from {
        Some(from) => Some(from.parse().map_err(|error| Error::Other(format!("{from}: {error}")))?),
        None => None,
    };
    let settings = CheckSettings {
        host: "localhost".to_owned(),
        spf: OnFailure::Note,
        dmarc: OnFailure::Note,
        csa: OnFailure::Note,
    };
    let checker = Checker::new(settings, system_resolver(question.dns)?, Arc::new(clock::now_ms))
        .map_err(Error::Other)?;
    let input = CheckInput {
        address: question.address,
        helo: &question.helo,
        return_path: &return_path,
        octets: &question.message,
        arranged: question.arranged,
        cookie: None,
        now_ms: clock::now_ms(),
    };
    let checked = checker.examine(input).await;
    let effect = checked.effect;
    let side = |spf: gateway::check::spf::Spf, verdict: gateway::check::Verdict| SpfSide {
        domain: spf.domain,
        spf: spf.verdict.word(),
        verdict: verdict.word(),
        explanation: spf.explanation,
        steps: spf.steps,
    };
    Ok(ExplainedSpf {
        helo: side(checked.spf_helo, effect.helo),
        mail_from: checked.return_path.map(|_| side(checked.spf, effect.mail_from)),
        properties: effect.in_force,
        steps: effect.steps,
        whole_address: effect.whole_address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dns::zones::{self, Zones};

    const ZONE: &str = "\
@       60 IN SOA ns hostmaster 1 3600 600 86400 60
@       60 IN TXT \"v=spf1 a:out.a.test p=scott.william -all exp=why.a.test\"
out     60 IN A   192.0.2.1
mail    60 IN TXT \"v=spf1 a:out.a.test ~all p=hector\"
why     60 IN TXT \"%{i} is not one of %{d}\"
";

    /// Both identities and the properties are told step by step, in words and as JSON, by a name server that runs.
    ///
    /// proves: SPP-8
    #[tokio::test]
    async fn each_step_is_told() {
        let mut served = Zones::new();
        served.add("a.test", ZONE).unwrap();
        let server = zones::serve(&served, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let ask = async |address: &str, message: &str| {
            let question = SpfQuestion {
                address: address.parse().unwrap(),
                helo: "mail.a.test".into(),
                from: Some("ann@a.test".into()),
                message: message.as_bytes().to_vec(),
                arranged: false,
                dns: Some(server.local_addr()),
            };
            explain_spf(&question).await.unwrap()
        };
        let good = ask("192.0.2.1", "From: ann@a.test\r\n\r\n").await;
        let side = good.mail_from.clone().unwrap();
        assert_eq!((good.helo.verdict, side.spf, side.verdict), ("pass", "pass", "pass"));
        assert_eq!(
            (good.properties.as_slice(), good.whole_address),
            (&["hector", "william", "scott"][..], true)
        );
        assert_eq!(
            side.steps[1..],
            ["a.test: a:out.a.test matches: pass".to_owned(), "the result for a.test is pass".to_owned()]
        );
        assert!(!good.fails());
        let forged = ask("192.0.2.1", "From: bob@a.test\r\n\r\n").await;
        let side = forged.mail_from.clone().unwrap();
        assert_eq!((side.spf, side.verdict, forged.fails()), ("pass", "fail", true));
        assert_eq!(
            forged.steps.last().unwrap(),
            "william: From is \"bob@a.test\" and not the address in MAIL FROM: fail"
        );
        let stranger = ask("192.0.2.9", "").await;
        let json: serde_json::Value =
            serde_json::from_str(&serde_json::to_string(&stranger).unwrap()).unwrap();
        assert_eq!((&json["helo"]["spf"], &json["helo"]["verdict"]), (&"softfail".into(), &"fail".into()));
        assert_eq!(json["mail_from"]["explanation"], "192.0.2.9 is not one of a.test");
        assert_eq!(json["mail_from"]["steps"][2], "a.test: -all matches: fail");
        server.shutdown().await.unwrap();
    }
}
