//! Reports of abuse in the Abuse Reporting Format (RFC 5965), written by a target and read by a forwarder.
//!
//! keeps: FWD-22

use std::time::{Duration, UNIX_EPOCH};

use message::Headers;
use translate::{ImportOptions, import};

use crate::limits::FORWARD_REPORT_OCTETS_MAX;

/// The type of the part that programs read (RFC 5965 section 2).
const FEEDBACK_TYPE: &str = "message/feedback-report";

/// A user does not want what a forwarder has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// For whom it was (`Original-Rcpt-To`).
    pub recipient: String,
    /// When it came, in Unix milliseconds (`Arrival-Date`).
    pub arrived_at_ms: u64,
    /// Who forwarded it (`Reporting-MTA` is us; this is the domain that is reported, `Reported-Domain`).
    pub forwarder: String,
    /// The header of the message.
    pub header: Vec<u8>,
}

/// Why a report cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// It is not one, or says too little.
    #[error("no report of abuse: {0}")]
    Malformed(String),
}

impl Report {
    /// The media type with its boundary, and the octets.
    pub fn write(&self) -> (String, Vec<u8>) {
        let boundary = self.boundary();
        let arrival = httpdate(self.arrived_at_ms);
        let mut body = format!(
            "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
             This is a report of abuse about a message that was forwarded to {recipient}.\r\n\
             \r\n--{boundary}\r\nContent-Type: {FEEDBACK_TYPE}\r\n\r\n\
             Feedback-Type: abuse\r\nUser-Agent: Waxwing/{version}\r\nVersion: 1\r\n\
             Original-Rcpt-To: <{recipient}>\r\nArrival-Date: {arrival}\r\nReported-Domain: {forwarder}\r\n\
             \r\n--{boundary}\r\nContent-Type: text/rfc822-headers\r\n\r\n",
            recipient = self.recipient,
            forwarder = self.forwarder,
            version = env!("CARGO_PKG_VERSION"),
        )
        .into_bytes();
        let room = FORWARD_REPORT_OCTETS_MAX.saturating_sub(body.len() + 1024);
        body.extend_from_slice(whole_lines(&self.header, room));
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        (format!("multipart/report; report-type=feedback-report; boundary=\"{boundary}\""), body)
    }

    /// A line that stands nowhere in the header, whatever its author wrote.
    fn boundary(&self) -> String {
        let digest = message::Digest::of(&self.header).to_string();
        let mut boundary = format!("report-{digest}");
        boundary.truncate(60);
        boundary
    }

    /// Reads one: the part for programs, of which the type and the recipient must be there.
    ///
    /// # Errors
    /// [`ReportError::Malformed`].
    pub fn read(octets: &[u8]) -> Result<Report, ReportError> {
        let malformed = |reason: &str| ReportError::Malformed(reason.to_owned());
        let imported = import(octets, &ImportOptions::default())
            .map_err(|refusal| ReportError::Malformed(refusal.to_string()))?;
        let message = imported.message;
        let body_of = |wanted: &str| {
            let leaves = message.manifest().leaves().zip(message.bodies());
            leaves.into_iter().find(|((_, part, _), _)| part.media_type == wanted).map(|(_, body)| body.clone())
        };
        let feedback = body_of(FEEDBACK_TYPE).ok_or_else(|| malformed("without a part for programs"))?;
        let text = std::str::from_utf8(&feedback).map_err(|_| malformed("not UTF-8"))?;
        let field = |name: &str| {
            text.lines().find_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let kind = field("Feedback-Type").ok_or_else(|| malformed("without its type"))?;
        if !kind.eq_ignore_ascii_case("abuse") || field("Version").as_deref() != Some("1") {
            return Err(malformed("of another type or version"));
        }
        let recipient = field("Original-Rcpt-To").ok_or_else(|| malformed("without a recipient"))?;
        Ok(Report {
            recipient: recipient.trim_matches(['<', '>']).to_owned(),
            arrived_at_ms: 0,
            forwarder: field("Reported-Domain").unwrap_or_default(),
            header: body_of("text/rfc822-headers").map_or_else(Vec::new, |body| body.to_vec()),
        })
    }
}
