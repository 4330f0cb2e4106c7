//! What each command does.

use std::sync::Arc;

use message::Code;
use message::address::{Address, LocalPart};

use crate::{Client, Mav, Recipient, Reply, Verdict};

use super::super::command::{Command, Mail, Rcpt};
use super::super::reply::Said;
use super::super::transaction::Transaction;
use super::{Asked, Question, Session, State, TOO_MANY_ERRORS};

const HELLO_FIRST: Said = Said::new(503, Code::new(5, 5, 1), "EHLO comes first");
const MAIL_FIRST: Said = Said::new(503, Code::new(5, 5, 1), "MAIL comes first");
const NOT_NOW: Said = Said::new(503, Code::new(5, 5, 1), "that command does not belong here");
const TLS_FIRST: Said = Said::new(530, Code::new(5, 7, 0), "STARTTLS comes first");
const LOGIN_FIRST: Said = Said::new(530, Code::new(5, 7, 0), "AUTH comes first");
const NO_TLS: Said = Said::new(502, Code::new(5, 5, 1), "there is no TLS here");
const TOO_LARGE: Said = Said::new(552, Code::MESSAGE_TOO_LARGE, "the message is larger than is taken here");
const TOO_MANY: Said =
    Said::new(452, Code::new(4, 5, 3), "too many recipients; send the others another time");
const RELAY: Said = Said::new(550, Code::NOT_AUTHORIZED, "mail is not relayed along a path in a local part");
const NO_RECIPIENTS: Said = Said::new(554, Code::new(5, 5, 1), "there is no recipient that is taken");

impl Session {
    pub(super) fn command(&mut self, command: Command<'_>) {
        match command {
            Command::Ehlo(name) => self.ehlo(name),
            Command::Helo(name) => {
                self.hello(name, false);
                let host = Arc::clone(&self.offer.settings);
                self.out.extend_from_slice(format!("250 {}\r\n", host.host).as_bytes());
            }
            Command::Mail(mail) => self.mail(*mail),
            Command::Rcpt(rcpt) => self.rcpt(rcpt),
            Command::Data => self.begin_data(),
            Command::Bdat(octets, last) => self.begin_chunk(octets, last),
            Command::Auth(mechanism, initial) => self.auth(mechanism, initial),
            Command::StartTls => self.start_tls(),
            Command::Rset => {
                self.transaction = None;
                self.say(250, Code::new(2, 0, 0), "forgotten");
            }
            Command::Noop => self.say(250, Code::new(2, 0, 0), "nothing done"),
            Command::Help => self.say(214, Code::new(2, 0, 0), "see RFC 5321"),
            // Who exists is not told to everybody (RFC 5321 section 7.3).
            Command::Vrfy => self.say(252, Code::new(2, 5, 0), "send some mail, and it will be seen"),
            Command::TestCookie(id, sender, address) => {
                let question = Question::Test { id: id.to_owned(), sender, address };
                self.ask(Asked::Tested, question);
            }
            Command::Quit => {
                self.say(221, Code::new(2, 0, 0), "goodbye");
                self.shut();
            }
        }
    }

    /// What a session was told before, in whatever words it said hello, does not count any more.
    fn hello(&mut self, name: &str, extended: bool) {
        self.transaction = None;
        let client: &mut Client = Arc::make_mut(&mut self.client);
        name.clone_into(&mut client.helo);
        client.extended = extended;
    }

    /// keeps: GW-2
    fn ehlo(&mut self, name: &str) {
        self.hello(name, true);
        let encrypted = self.client.tls.is_some();
        let starttls = self.offer.tls && !encrypted;
        let auth = self.is_submission() && encrypted && self.client.account.is_none();
        let size = format!("SIZE {}", self.offer.settings.limits.message_octets_max);
        let lines = [
            Some(self.offer.settings.host.as_str()),
            Some("PIPELINING"),
            Some(size.as_str()),
            Some("8BITMIME"),
            Some("SMTPUTF8"),
            Some("CHUNKING"),
            Some("DSN"),
            Some("PRDR"),
            starttls.then_some("STARTTLS"),
            auth.then_some("AUTH PLAIN SCRAM-SHA-256"),
            self.offer.cookies.as_deref(),
        ];
        for line in lines.into_iter().flatten() {
            for piece in ["250-", line, "\r\n"] {
                self.out.extend_from_slice(piece.as_bytes());
            }
        }
        self.out.extend_from_slice(b"250 ENHANCEDSTATUSCODES\r\n");
    }

    fn start_tls(&mut self) {
        if !self.offer.tls {
            self.error(&NO_TLS);
        } else if self.client.tls.is_some() || self.client.helo.is_empty() {
            self.error(&NOT_NOW);
        } else {
            self.say(220, Code::new(2, 0, 0), "begin");
            self.transaction = None;
            self.told = false;
            self.state = State::Handshake;
        }
    }

    fn mail(&mut self, mail: Mail) {
        let too_large = mail.size > self.offer.settings.limits.message_octets_max as u64;
        if self.client.helo.is_empty() {
            self.error(&HELLO_FIRST);
        } else if self.is_submission() && self.client.tls.is_none() {
            self.error(&TLS_FIRST);
        } else if self.is_submission() && self.client.account.is_none() {
            self.error(&LOGIN_FIRST);
        } else if self.transaction.is_some() {
            self.error(&NOT_NOW);
        } else if too_large {
            self.error(&TOO_LARGE);
        } else if self.offer.rules && mail.path.is_some() {
            let question = Question::Sender(mail.path.clone());
            self.ask(Asked::Sender(Box::new(mail)), question);
        } else {
            self.sender(mail, Ok(None));
        }
    }

    /// keeps: MAV-5
    pub(super) fn sender(&mut self, mail: Mail, answer: Result<Option<Mav>, Reply>) {
        match answer {
            Ok(mav) => {
                self.say(250, Code::new(2, 1, 0), "who is it for?");
                self.transaction = Some(Transaction::of(mail, mav));
            }
            Err(reply) => self.reply(&reply),
        }
    }

    fn rcpt(&mut self, rcpt: Rcpt) {
        let postmaster = || {
            let local = LocalPart::from_wire("postmaster").ok()?;
            let address = Address::new(local, self.offer.settings.domain.clone());
            Some(Recipient { address, notify: None, original: None })
        };
        let recipient = match rcpt {
            Rcpt::Address(recipient) => Some(recipient),
            Rcpt::Postmaster => postmaster(),
        };
        let limits = &self.offer.settings.limits;
        let (Some(transaction), Some(recipient)) = (&self.transaction, recipient) else {
            return self.error(&MAIL_FIRST);
        };
        if transaction.chunks.is_some() {
            self.error(&NOT_NOW);
        } else if transaction.order.len() >= limits.recipients_max {
            self.error(&TOO_MANY);
        } else if self.client.account.is_none() && hides_a_path(&recipient.address) {
            self.error(&RELAY);
        } else {
            let question = Question::Recipient(transaction.return_path().clone(), recipient.clone());
            self.ask(Asked::Recipient(recipient), question);
        }
    }

    pub(super) fn recipient(&mut self, recipient: Recipient, verdict: Verdict) {
        let Some(transaction) = &mut self.transaction else { return self.error(&MAIL_FIRST) };
        match verdict {
            Verdict::Welcome => {
                transaction.welcome(recipient);
                self.say(250, Code::new(2, 1, 5), "welcome");
            }
            Verdict::No(reply) => self.reply(&reply),
            Verdict::NoMore(reply) => {
                self.reply(&reply);
                self.pause_ms = crate::limits::SMTP_PAUSE_MS_MAX;
                // It may have been one error too many by itself.
                if !matches!(self.state, State::Closed) {
                    self.close(&TOO_MANY_ERRORS);
                }
            }
        }
    }

    /// Whether content can come now; says why not.
    pub(super) fn may_send(&self) -> Result<(), Said> {
        match &self.transaction {
            None => Err(MAIL_FIRST),
            Some(transaction) if transaction.recipients.is_empty() => Err(NO_RECIPIENTS),
            Some(_) => Ok(()),
        }
    }

    pub(super) fn not_now(&mut self) {
        self.error(&NOT_NOW);
    }
}

/// A local part that other servers have read as the way to another domain (RFC 5321 section 5.1 calls them obsolete).
///
/// keeps: GW-7
fn hides_a_path(address: &Address) -> bool {
    address.local().as_str().contains(['%', '!'])
}
