//! SMTP and LMTP out: a message to the servers of one domain, and what each of its recipients was answered.
//!
//! [`Sender`] finds the hosts of a domain (MX), decides how TLS has to be there (DANE, MTA-STS), opens or reuses a
//! connection, and carries one message over it. It holds no queue: what could not be done now is *deferred*, and the
//! caller comes again. [`Lmtp`] hands a message to one mailbox server. Specification: `spec/18-gateway.md`.

mod connection;
mod content;
mod dane;
mod https;
pub mod limits;
mod lmtp;
mod pool;
mod reply;
mod route;
mod sender;
mod session;
mod settings;
mod sts;
mod tls;
mod tls_report;
mod transaction;
mod trip;

#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;

pub use lmtp::{Lmtp, LmtpPlace};
pub use sender::Sender;
pub use settings::{Login, Settings, SmartHost, Times};
pub use tls_report::{DayReport, Failure, PolicyReport, json as tls_report_json};
pub use trip::{Outcome, Report, Step, Try};

use std::net::IpAddr;

use bytes::Bytes;
use message::address::{Address, Domain};

use crate::{Later, Recipient, ReturnPath};

/// What to call at each step of an attempt, with the step's word and what is known: for traces and logs.
pub type OnStep<'a> = &'a (dyn Fn(&str, &str) + Send + Sync);

/// One message for recipients of one domain.
#[derive(Debug, Clone)]
pub struct Shipment {
    /// The domain whose servers are asked.
    pub domain: Domain,
    /// MAIL FROM.
    pub return_path: ReturnPath,
    /// RCPT TO, in the order in which [`Report::recipients`] answers.
    pub recipients: Vec<Recipient>,
    /// The message as RFC 5322 has it, lines ended with CRLF.
    pub octets: Bytes,
    /// Whether it needs SMTPUTF8 for another reason than its header block or the addresses, which are looked at here.
    pub needs_smtputf8: bool,
    /// ENVID, where one is wanted (RFC 3461 section 4.4).
    pub envelope_id: Option<String>,
    /// Whether notices shall have the headers only (RET, RFC 3461 section 4.3); `None` is not said.
    pub headers_only: Option<bool>,
    /// Further parameters of MAIL FROM, said where the other side has the extension.
    pub parameters: Vec<Parameter>,
    /// Whether it goes on under the return path that it came with: then it has what it came with, and nothing of ours.
    pub forwarded: bool,
}

/// Who has something to say in MAIL FROM once it is known to which address, such as COOKIES.
pub trait MailParameters: Send + Sync + 'static {
    /// The keyword in the answer to EHLO without which nothing is said.
    fn extension(&self) -> &str;

    /// The parameter for one message of this sender to the server at this address; none where there is none.
    fn parameter<'a>(&'a self, sender: &'a Address, to: IpAddr) -> Later<'a, Option<Parameter>>;
}

/// A parameter of MAIL FROM that goes with an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The keyword in the answer to EHLO, such as `COOKIES`.
    pub extension: String,
    /// The parameter, such as `COOKIE=<id@host>`: printable ASCII without spaces.
    pub text: String,
}
