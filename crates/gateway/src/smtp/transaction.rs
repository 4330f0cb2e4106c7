//! One transaction: from MAIL to the reply for the content.

use message::Disposition;

use crate::{Mav, Recipient, Reply, ReturnPath};

use super::command::Mail;
use super::content::{Content, Fault, Place};
use super::reply::{Said, of, together, unknown_fate};

/// What MAIL and RCPT have said.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) mail: Mail,
    pub(super) mav: Option<Mav>,
    pub(super) recipients: Vec<Recipient>,
    /// For each RCPT that was taken the place of its recipient above: one that is named twice stands there once.
    pub(super) order: Vec<usize>,
    /// What has come by BDAT so far.
    pub(super) chunks: Option<Chunks>,
}

impl Transaction {
    pub(super) fn of(mail: Mail, mav: Option<Mav>) -> Transaction {
        Transaction { mail, mav, recipients: Vec::new(), order: Vec::new(), chunks: None }
    }

    pub(super) fn return_path(&self) -> &ReturnPath {
        &self.mail.path
    }

    pub(super) fn welcome(&mut self, recipient: Recipient) {
        let known = self.recipients.iter().position(|known| known.address == recipient.address);
        let place = known.unwrap_or(self.recipients.len());
        if known.is_none() {
            self.recipients.push(recipient);
        }
        self.order.push(place);
    }
}

/// A content that comes in chunks.
#[derive(Debug)]
pub(super) struct Chunks {
    pub(super) content: Content,
    pub(super) place: Place,
    pub(super) began_ms: u64,
}

/// A chunk of which octets are still to come. They are counted, whatever becomes of them: that is what keeps them
/// from being read as commands. keeps: GW-6
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) left: u64,
    pub(super) last: bool,
    /// What is said when all have come, where they are for nothing.
    pub(super) refused: Option<Said>,
    pub(super) began_ms: u64,
}

/// A content that comes by DATA.
#[derive(Debug)]
pub(super) struct Gathering {
    pub(super) content: Content,
    pub(super) place: Place,
    pub(super) began_ms: u64,
}

/// What is said of a content that is not taken.
pub(super) fn refusal(fault: Fault) -> Said {
    use message::Code;
    match fault {
        Fault::TooLarge => {
            Said::new(552, Code::MESSAGE_TOO_LARGE, "the message is larger than is taken here")
        }
        Fault::NoMemory => Said::new(452, Code::SYSTEM_FULL, "there is no room now; please try again later"),
        Fault::LineEnds => {
            Said::new(550, Code::CONTENT_MALFORMED, "lines end with CRLF, and have no other CR, LF or NUL")
        }
    }
}

/// The replies for what became of a message: for each RCPT one, and the last for all.
///
/// keeps: GW-12, GW-13
pub(super) fn replies(
    order: &[usize],
    dispositions: &[Disposition],
    individual: bool,
) -> (Vec<Reply>, Reply) {
    let each: Vec<Reply> =
        order.iter().map(|place| dispositions.get(*place).map_or_else(unknown_fate, of)).collect();
    let all = together(&each, individual);
    (each, all)
}
