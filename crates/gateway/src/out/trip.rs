//! One attempt: what was tried, and what each recipient was answered.

use std::net::IpAddr;

use message::Code;

use super::limits::TRIED_MAX;
use super::reply::Reply;

/// What became of one message with one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// One outcome per recipient, in order.
    pub recipients: Vec<Outcome>,
    /// What was tried without success, in order.
    pub tried: Vec<Try>,
}

/// What became of the message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The host took it: from here on it is responsible.
    Taken {
        /// The host.
        host: String,
        /// Its reply in full.
        text: String,
        /// Whether it promises notices (DSN, RFC 3461), so that its silence means something.
        notices: bool,
    },
    /// It will not be delivered.
    Refused {
        /// Why, for programs.
        code: Code,
        /// Why, for people: the remote's reply in full, where it was the remote.
        text: String,
    },
    /// Not now.
    Deferred {
        /// Why, for programs.
        code: Code,
        /// Why, for people.
        text: String,
    },
    /// The host cannot take the message in this form; nothing was sent. The caller exports it anew within these bounds
    /// and sends again, or refuses with 5.6.7 or 5.6.3 where that cannot be done.
    Unfit {
        /// Whether the host takes 8-bit text (8BITMIME).
        eight_bit: bool,
        /// Whether the host takes UTF-8 in header fields (SMTPUTF8).
        utf8_headers: bool,
        /// The host.
        host: String,
    },
}

/// One thing that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// The host, or the domain where none was known yet.
    pub host: String,
    /// Its address, where one was known.
    pub address: Option<IpAddr>,
    /// For which recipient, by its place; `None` where it concerns all who were open.
    pub recipient: Option<usize>,
    /// At which step.
    pub step: Step,
    /// Why, for programs.
    pub code: Code,
    /// Why, for people.
    pub text: String,
}

/// The steps of an attempt. A later one says more about why a message does not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The DNS.
    Dns,
    /// The policy that the domain has for TLS.
    Policy,
    /// The connection.
    Connect,
    /// The first reply.
    Greeting,
    /// EHLO, LHLO or HELO.
    Hello,
    /// STARTTLS and the handshake.
    Tls,
    /// AUTH.
    Login,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Recipient,
    /// DATA or BDAT, and the message.
    Data,
}

impl Step {
    /// The word for people and traces.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Step::Dns => "dns",
            Step::Policy => "policy",
            Step::Connect => "connect",
            Step::Greeting => "greeting",
            Step::Hello => "hello",
            Step::Tls => "tls",
            Step::Login => "login",
            Step::Mail => "mail",
            Step::Recipient => "recipient",
            Step::Data => "data",
        }
    }
}

/// Why something did not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) step: Step,
    pub(super) code: Code,
    pub(super) text: String,
    /// For TLS reports, where TLS was to blame (RFC 8460 section 4.3).
    pub(super) tls: Option<&'static str>,
}

impl Trouble {
    pub(super) fn new(step: Step, code: Code, text: impl Into<String>) -> Trouble {
        Trouble { step, code, text: text.into(), tls: None }
    }

    pub(super) fn of_tls(kind: &'static str, code: Code, text: impl Into<String>) -> Trouble {
        Trouble { step: Step::Tls, code, text: text.into(), tls: Some(kind) }
    }

    pub(super) fn answered(step: Step, reply: &Reply) -> Trouble {
        Trouble::new(step, reply.code(step), reply.text())
    }

    pub(super) fn is_permanent(&self) -> bool {
        self.code.class == 5
    }

    /// The same as something that may be better later or elsewhere.
    pub(super) fn temporary(mut self) -> Trouble {
        self.code.class = 4;
        self
    }

    pub(super) fn outcome(&self) -> Outcome {
        let (code, text) = (self.code, self.text.clone());
        if self.is_permanent() { Outcome::Refused { code, text } } else { Outcome::Deferred { code, text } }
    }

    /// Whether it says more than the other: the later step, and what comes first at the same one.
    fn says_more(&self, other: &Trouble) -> bool {
        self.step > other.step
    }
}

/// What is known so far. It stands outside of the attempt, so that it is there when its time is up.
#[derive(Debug)]
pub(super) struct Trip {
    settled: Vec<Option<Outcome>>,
    worst: Vec<Option<Trouble>>,
    tried: Vec<Try>,
}

impl Trip {
    pub(super) fn new(recipients: usize) -> Trip {
        Trip { settled: vec![None; recipients], worst: vec![None; recipients], tried: Vec::new() }
    }

    /// The recipients without an answer, by their place.
    pub(super) fn open(&self) -> Vec<usize> {
        self.settled.iter().enumerate().filter(|(_, known)| known.is_none()).map(|(place, _)| place).collect()
    }

    pub(super) fn is_done(&self) -> bool {
        self.settled.iter().all(Option::is_some)
    }

    pub(super) fn settle(&mut self, place: usize, outcome: Outcome) {
        if let Some(slot) = self.settled.get_mut(place)
            && slot.is_none()
        {
            *slot = Some(outcome);
        }
    }

    /// All that have no answer get this one.
    pub(super) fn settle_open(&mut self, outcome: &Outcome) {
        for place in self.open() {
            self.settle(place, outcome.clone());
        }
    }

    /// Remembers why a recipient is still open, where that says more than what is known. keeps: GW-53
    pub(super) fn delayed(&mut self, place: usize, trouble: &Trouble) {
        if let Some(slot) = self.worst.get_mut(place)
            && slot.as_ref().is_none_or(|known| trouble.says_more(known))
        {
            *slot = Some(trouble.clone());
        }
    }

    pub(super) fn tried(&mut self, host: &str, address: Option<IpAddr>, trouble: &Trouble) {
        self.tried_for(None, host, address, trouble);
    }

    /// What a host has answered about one recipient, or about all who were open. keeps: GW-107
    pub(super) fn tried_for(
        &mut self,
        recipient: Option<usize>,
        host: &str,
        address: Option<IpAddr>,
        trouble: &Trouble,
    ) {
        if self.tried.len() < TRIED_MAX {
            self.tried.push(Try {
                host: host.to_owned(),
                address,
                recipient,
                step: trouble.step,
                code: trouble.code,
                text: trouble.text.clone(),
            });
        }
    }

    /// A trouble of a host that concerns all that are open.
    pub(super) fn failed(&mut self, host: &str, address: Option<IpAddr>, trouble: &Trouble) {
        self.tried(host, address, trouble);
        for place in self.open() {
            self.delayed(place, trouble);
        }
    }

    /// The report: who has no answer is deferred, by what says most, or else by this.
    pub(super) fn report(self, otherwise: &Trouble) -> Report {
        let known = self.settled.into_iter().zip(self.worst);
        let recipients = known
            .map(|(settled, worst)| {
                settled.unwrap_or_else(|| worst.unwrap_or_else(|| otherwise.clone()).temporary().outcome())
            })
            .collect();
        Report { recipients, tried: self.tried }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: GW-53
    #[test]
    fn what_says_most_is_shown_and_not_the_last() {
        let check = |troubles: &[(Step, &str)], expected: &str| {
            let mut trip = Trip::new(1);
            for (step, text) in troubles {
                trip.failed("mx.south.test", None, &Trouble::new(*step, Code::NO_ANSWER, *text));
            }
            let report = trip.report(&Trouble::new(Step::Dns, Code::NO_ANSWER, "nothing was tried"));
            let Outcome::Deferred { text, .. } = &report.recipients[0] else { unreachable!("deferred") };
            assert_eq!((text.as_str(), report.tried.len()), (expected, troubles.len()));
        };
        check(&[], "nothing was tried");
        check(&[(Step::Recipient, "mailbox full"), (Step::Connect, "no route")], "mailbox full");
        check(&[(Step::Connect, "no route"), (Step::Recipient, "mailbox full")], "mailbox full");
        check(&[(Step::Connect, "first"), (Step::Connect, "second")], "first");
        check(&[(Step::Tls, "certificate"), (Step::Dns, "no answer"), (Step::Connect, "x")], "certificate");
    }
}
