//! Reports of abuse in the Abuse Reporting Format (RFC 5965), written by a target and read by a forwarder.
//!
//! keeps: FWD-22

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
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
        let arrival = date(self.arrived_at_ms);
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
            leaves
                .into_iter()
                .find(|((_, part, _), _)| part.media_type == wanted)
                .map(|(_, body)| body.clone())
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
            arrived_at_ms: field("Arrival-Date").map_or(0, |date| read_date(&date)),
            forwarder: field("Reported-Domain").unwrap_or_default(),
            header: body_of("text/rfc822-headers").map_or_else(Vec::new, |body| body.to_vec()),
        })
    }
}

fn date(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|at_ms| Timestamp::from_millisecond(at_ms).ok());
    let at = at.unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC);
    rfc2822::to_string(&at).unwrap_or_default()
}

fn read_date(text: &str) -> u64 {
    let at = rfc2822::parse(text).map(|at| at.timestamp().as_millisecond());
    at.ok().and_then(|at_ms| u64::try_from(at_ms).ok()).unwrap_or(0)
}

/// The lines that fit, whole.
fn whole_lines(octets: &[u8], room: usize) -> &[u8] {
    if octets.len() <= room {
        return octets;
    }
    let cut = &octets[..room];
    let end = cut.iter().rposition(|octet| *octet == b'\n').map_or(0, |place| place + 1);
    &cut[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 5965 appendix B.2, shortened to what is read.
    const EXAMPLE: &str = "MIME-Version: 1.0\r\n\
        Content-Type: multipart/report; report-type=feedback-report; boundary=\"part1_13d.2e68ed54_boundary\"\r\n\r\n\
        --part1_13d.2e68ed54_boundary\r\nContent-Type: text/plain; charset=\"US-ASCII\"\r\n\r\n\
        This is an email abuse report.\r\n\r\n\
        --part1_13d.2e68ed54_boundary\r\nContent-Type: message/feedback-report\r\n\r\n\
        Feedback-Type: abuse\r\nUser-Agent: SomeGenerator/1.0\r\nVersion: 1\r\n\
        Original-Mail-From: <somespammer@example.net>\r\nOriginal-Rcpt-To: <user@example.com>\r\n\
        Arrival-Date: Thu, 8 Mar 2005 14:00:00 -0500\r\nReported-Domain: example.net\r\n\r\n\
        --part1_13d.2e68ed54_boundary\r\nContent-Type: text/rfc822-headers\r\n\r\n\
        From: <somespammer@example.net>\r\nSubject: Earn money\r\n\r\n\
        --part1_13d.2e68ed54_boundary--\r\n";

    fn with_type(media_type: &str, body: &[u8]) -> Vec<u8> {
        [format!("MIME-Version: 1.0\r\nContent-Type: {media_type}\r\n\r\n").as_bytes(), body].concat()
    }

    /// proves: FWD-22
    #[test]
    fn reports_are_read() {
        let report = Report::read(EXAMPLE.as_bytes()).unwrap();
        assert_eq!((&*report.recipient, &*report.forwarder), ("user@example.com", "example.net"));
        assert!(report.header.starts_with(b"From: <somespammer@example.net>"));
        let check = |from: &str, to: &str| {
            let report = Report::read(EXAMPLE.replace(from, to).as_bytes());
            assert!(report.is_err(), "{to}: {report:?}");
        };
        check("Feedback-Type: abuse", "Feedback-Type: fraud");
        check("Version: 1", "Version: 2");
        check("Original-Rcpt-To:", "X-To:");
        check("message/feedback-report", "text/plain");
    }

    /// proves: FWD-22
    #[test]
    fn what_is_written_can_be_read() {
        let check = |header: &[u8], expected: &[u8]| {
            let report = Report {
                recipient: "bob@b.test".to_owned(),
                arrived_at_ms: 1_110_308_400_000,
                forwarder: "f.test".to_owned(),
                header: header.to_vec(),
            };
            let (media_type, body) = report.write();
            assert!(body.len() <= FORWARD_REPORT_OCTETS_MAX, "{}", body.len());
            let read = Report::read(&with_type(&media_type, &body)).unwrap();
            assert_eq!(read.header.trim_ascii_end(), expected.trim_ascii_end());
            assert_eq!((read.recipient, read.arrived_at_ms), (report.recipient, report.arrived_at_ms));
        };
        let header = b"From: <x@y.test>\r\nSubject: --report\r\n";
        check(header, header);
        check(b"", b"");
        let long = b"X: y\r\n".repeat(20_000);
        let kept = with_type("text/plain", b"").len();
        assert!(kept < long.len());
        let report = Report {
            recipient: "b@b.test".to_owned(),
            arrived_at_ms: 0,
            forwarder: "f.test".to_owned(),
            header: long,
        };
        let (media_type, body) = report.write();
        let read = Report::read(&with_type(&media_type, &body)).unwrap();
        assert!(body.len() <= FORWARD_REPORT_OCTETS_MAX && read.header.ends_with(b"X: y\r\n"));
    }
}
