//! One SMTP session as a machine without I/O: octets and answers in, replies and questions out.
//!
//! What the machine waits for is a state with a type of its own: a line of a command, a line of an exchange of AUTH,
//! content by DATA or BDAT, an answer to a question, a TLS handshake. Octets that come while an answer is waited for
//! are kept; replies are kept too until more octets are needed, so that a group of commands is answered in one write.

use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;
use message::Code;

use crate::{Client, LoginFailure, Recipient, Reply, Service};

use super::command::{Dialect, Mail, parse};
use super::content::Memory;
use super::login::{Exchange, ScramFirst};
use super::reply::{self, Said};
use super::settings::Settings;
use super::transaction::{Chunk, Gathering, Transaction};

mod commands;
mod contents;
mod dialogue;
mod logins;

pub use dialogue::{Encrypted, Input, Output, Question};

/// What a session can offer, and may do.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    /// About ourselves.
    pub(super) settings: Arc<Settings>,
    /// Whether STARTTLS can be done.
    pub(super) tls: bool,
    /// Whether there are rules of MAV to ask for.
    pub(super) rules: bool,
    /// The line for COOKIES.
    pub(super) cookies: Option<String>,
    /// The room for content.
    pub(super) memory: Memory,
}

#[derive(Debug)]
enum State {
    /// A line with a command.
    Command,
    /// A line of an exchange of AUTH.
    Login(Exchange),
    /// Content by DATA.
    Data(Gathering),
    /// Content by BDAT.
    Chunk(Chunk),
    /// The answer to a question.
    Answer(Asked),
    /// A TLS handshake.
    Handshake,
    /// Nothing: it is over.
    Closed,
}

/// The question to which an answer is waited for, with what is needed when it comes.
#[derive(Debug)]
enum Asked {
    Login,
    Keys(ScramFirst),
    Failed,
    Sender(Box<Mail>),
    Recipient(Recipient),
    Taken { order: Vec<usize>, individual: bool, id: String, held: tokio::sync::OwnedSemaphorePermit },
    Tested,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    offer: Offer,
    client: Arc<Client>,
    state: State,
    transaction: Option<Transaction>,
    input: BytesMut,
    out: BytesMut,
    question: Option<Question>,
    seed: [u8; 32],
    drawn: u64,
    now_ms: u64,
    since_ms: u64,
    pause_ms: u64,
    commands: u32,
    errors: u32,
    login_failures: u32,
    content_refused: bool,
    stopping: bool,
    told: bool,
}

const TIME_UP: Said = Said::new(421, Code::new(4, 4, 2), "that took too long; closing");
const STOPPING: Said = Said::new(421, Code::new(4, 3, 2), "this server is stopping; closing");
const TOO_MANY_ERRORS: Said = Said::new(421, Code::new(4, 7, 0), "too many errors; closing");
const TOO_MANY_COMMANDS: Said = Said::new(421, Code::new(4, 7, 0), "too many commands; closing");
const LINE_ENDS: Said = Said::new(500, Code::new(5, 5, 2), "lines end with CRLF; closing");
const LINE_TOO_LONG: Said = Said::new(500, Code::new(5, 5, 2), "the line is too long; closing");

impl Session {
    /// Begins a session, the greeting being its first reply. `seed` is drawn at random for each.
    pub(super) fn begin(offer: Offer, client: Client, seed: [u8; 32], now_ms: u64) -> Session {
        let mut session = Session {
            offer,
            client: Arc::new(client),
            state: State::Command,
            transaction: None,
            input: BytesMut::new(),
            out: BytesMut::new(),
            question: None,
            seed,
            drawn: 0,
            now_ms,
            since_ms: now_ms,
            pause_ms: 0,
            commands: 0,
            errors: 0,
            login_failures: 0,
            content_refused: false,
            stopping: false,
            told: false,
        };
        session.out.extend_from_slice(format!("220 {} ESMTP\r\n", session.offer.settings.host).as_bytes());
        session
    }

    /// Begins a session that has no server around it: without rules, without COOKIES, with STARTTLS, and with room for one
    /// message. For other drivers, such as those of tests.
    pub fn alone(settings: Settings, client: Client, seed: [u8; 32], now_ms: u64) -> Session {
        let memory = Memory::of(settings.limits.message_octets_max.saturating_mul(2));
        let offer = Offer { settings: Arc::new(settings), tls: true, rules: false, cookies: None, memory };
        Session::begin(offer, client, seed, now_ms)
    }

    /// Where TLS was there before the first word. Not to be called later.
    pub(super) fn already(&mut self, encrypted: Encrypted) {
        let client = Arc::make_mut(&mut self.client);
        client.tls = Some(encrypted.description);
        client.certificate_digest = encrypted.certificate_digest;
    }

    /// Offers STARTTLS where nobody could do it.
    #[cfg(test)]
    pub(super) fn offer_tls(&mut self) {
        self.offer.tls = self.client.service != Service::Submissions;
    }

    /// Who is at the other end.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// When [`Input::Time`] is due if nothing else comes before: Unix milliseconds, or nothing where an answer or a
    /// handshake is waited for.
    pub fn wake_at(&self) -> Option<u64> {
        let limits = &self.offer.settings.limits;
        let idle = self.since_ms.saturating_add(limits.idle_ms);
        let message = |began_ms: u64| Some(idle.min(began_ms.saturating_add(limits.message_ms)));
        match &self.state {
            State::Command | State::Login(_) => {
                let began = self.transaction.as_ref().and_then(|transaction| transaction.chunks.as_ref());
                began.map_or(Some(idle), |chunks| message(chunks.began_ms))
            }
            State::Data(gathering) => message(gathering.began_ms),
            State::Chunk(chunk) => message(chunk.began_ms),
            State::Answer(_) | State::Handshake | State::Closed => None,
        }
    }

    /// Whether octets are of use now. Where they are not, the client's wait in the network.
    pub fn reads(&self) -> bool {
        matches!(self.state, State::Command | State::Login(_) | State::Data(_) | State::Chunk(_))
    }

    /// Takes what has happened at this time, in Unix milliseconds. An answer to what was not asked changes nothing.
    pub fn handle(&mut self, now_ms: u64, input: Input<'_>) {
        self.now_ms = now_ms;
        match input {
            Input::Octets(octets) => return self.octets(octets),
            Input::Time => self.time(),
            Input::Shutdown => self.stopping = true,
            Input::Encrypted(encrypted) => self.encrypted(encrypted),
            answer => self.answer(answer),
        }
        self.resume();
    }

    /// What is to be done next; nothing where the machine waits. Replies are kept until more octets are needed, so that
    /// what they are does not depend on how many came at a time, and those to a group leave together.
    ///
    /// keeps: GW-3
    pub fn poll(&mut self) -> Option<Output> {
        if let Some(question) = self.question.take() {
            return Some(Output::Ask(question));
        }
        if matches!(self.state, State::Answer(_)) {
            return None;
        }
        if !self.out.is_empty() {
            if self.pause_ms > 0 {
                return Some(Output::Pause(std::mem::take(&mut self.pause_ms)));
            }
            return Some(Output::Send(self.out.split().freeze()));
        }
        let output = match self.state {
            State::Handshake => Output::StartTls,
            State::Closed => Output::Close,
            _ => return None,
        };
        (!std::mem::replace(&mut self.told, true)).then_some(output)
    }

    /// Reads on in what was kept.
    fn resume(&mut self) {
        let mut input = std::mem::take(&mut self.input);
        let used = self.steps(&input);
        bytes::Buf::advance(&mut input, used);
        self.input = input;
    }

    fn octets(&mut self, octets: &[u8]) {
        if self.input.is_empty() {
            let used = self.steps(octets);
            self.input.extend_from_slice(&octets[used..]);
        } else {
            self.input.extend_from_slice(octets);
            self.resume();
        }
    }

    /// Reads as far as is possible now; gives how many octets were used.
    fn steps(&mut self, octets: &[u8]) -> usize {
        let mut used = 0;
        loop {
            let under_way = self.transaction.as_ref().is_some_and(|transaction| transaction.chunks.is_some());
            if self.stopping && !under_way && matches!(self.state, State::Command | State::Login(_)) {
                self.close(&STOPPING);
            }
            let rest = &octets[used..];
            let step = match &self.state {
                State::Closed => Some(rest.len()).filter(|length| *length > 0),
                State::Answer(_) => None,
                State::Handshake => self.injected(rest),
                State::Command | State::Login(_) => self.line(rest),
                State::Data(_) => self.data(rest),
                State::Chunk(_) => self.chunk(rest),
            };
            match step {
                Some(more) => used += more,
                None => return used,
            }
        }
    }

    /// What has come in the clear behind STARTTLS is not read, and who sends it is not spoken with (RFC 3207
    /// section 4.2 and what was found out since). keeps: GW-8
    fn injected(&mut self, rest: &[u8]) -> Option<usize> {
        if !rest.is_empty() {
            self.state = State::Closed;
            self.told = false;
        }
        (!rest.is_empty()).then_some(rest.len())
    }

    fn line(&mut self, rest: &[u8]) -> Option<usize> {
        let login = matches!(self.state, State::Login(_));
        let octets_max = if login {
            crate::limits::SMTP_LOGIN_LINE_OCTETS_MAX
        } else {
            crate::limits::SMTP_LINE_OCTETS_MAX
        };
        let head = &rest[..rest.len().min(octets_max)];
        // Only CRLF ends a line (RFC 5321 section 2.3.8). keeps: GW-5
        let length = match memchr::memchr2(b'\r', b'\n', head) {
            Some(length) if head[length] == b'\r' => match head.get(length + 1) {
                Some(b'\n') => length,
                Some(_) => return self.broken(&LINE_ENDS, rest),
                None if head.len() < octets_max => return None,
                None => return self.broken(&LINE_TOO_LONG, rest),
            },
            Some(_) => return self.broken(&LINE_ENDS, rest),
            None if head.len() < octets_max => return None,
            None => return self.broken(&LINE_TOO_LONG, rest),
        };
        self.since_ms = self.now_ms;
        if login {
            self.login_line(&head[..length]);
        } else {
            self.command_line(&head[..length]);
        }
        Some(length + 2)
    }

    fn broken(&mut self, said: &Said, rest: &[u8]) -> Option<usize> {
        self.close(said);
        Some(rest.len())
    }

    fn command_line(&mut self, line: &[u8]) {
        self.commands += 1;
        if self.commands > self.offer.settings.limits.commands_max {
            return self.close(&TOO_MANY_COMMANDS);
        }
        let dialect = Dialect {
            extended: self.client.extended,
            utf8: self.transaction.as_ref().is_some_and(|transaction| transaction.mail.utf8),
            cookies: self.offer.cookies.is_some(),
        };
        match parse(line, dialect) {
            Ok(command) => {
                self.content_refused = false;
                self.command(command);
            }
            Err(said) => {
                self.error(&said);
                // What is no command may be the content that came though DATA was refused. What follows would be read
                // as commands then, whoever has written it. keeps: GW-4
                if self.content_refused {
                    self.shut();
                }
                if line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"BDAT")) {
                    // How many octets follow is not known, and they must not be read as commands. keeps: GW-6
                    self.shut();
                }
            }
        }
    }

    fn time(&mut self) {
        if self.wake_at().is_some_and(|wake_at| self.now_ms >= wake_at) {
            self.close(&TIME_UP);
        }
    }

    fn encrypted(&mut self, encrypted: Encrypted) {
        if !matches!(self.state, State::Handshake) {
            return;
        }
        let client = Arc::make_mut(&mut self.client);
        client.tls = Some(encrypted.description);
        client.certificate_digest = encrypted.certificate_digest;
        // Nothing that was said before counts any more (RFC 3207 section 4.2).
        client.helo.clear();
        client.extended = false;
        self.transaction = None;
        self.input.clear();
        self.since_ms = self.now_ms;
        self.told = false;
        self.state = State::Command;
    }

    fn answer(&mut self, answer: Input<'_>) {
        let State::Answer(asked) = &mut self.state else { return };
        // The state is left by value: what was asked goes to the step that has the answer.
        let asked = std::mem::replace(asked, Asked::Tested);
        self.state = State::Command;
        self.since_ms = self.now_ms;
        match (asked, answer) {
            (Asked::Login, Input::LoggedIn(result)) => self.logged_in(result),
            (Asked::Keys(first), Input::Keys(keys)) => self.keys(first, keys),
            (Asked::Failed, Input::Noted) => self.logged_in(Err(LoginFailure::Wrong)),
            (Asked::Sender(mail), Input::Sender(answer)) => self.sender(*mail, answer),
            (Asked::Recipient(recipient), Input::Recipient(verdict)) => self.recipient(recipient, verdict),
            (Asked::Taken { order, individual, id, held }, Input::Taken(result)) => {
                self.taken(&order, individual, &id, result);
                drop(held);
            }
            (Asked::Tested, Input::Tested(reply)) => self.reply(&reply),
            (asked, _) => self.state = State::Answer(asked),
        }
    }

    /// Says something that is not an error.
    fn say(&mut self, digits: u16, code: Code, text: impl fmt::Display) {
        reply::write(&mut self.out, digits, code, text);
    }

    /// Says what somebody else has decided.
    fn reply(&mut self, reply: &Reply) {
        let said = (reply.digits, reply.code);
        self.say(said.0, said.1, &reply.text);
        if reply.digits >= 500 {
            self.count_error();
        }
    }

    /// Says what was wrong, and counts it.
    fn error(&mut self, said: &Said) {
        self.say(said.digits, said.code, said.text);
        if said.digits >= 500 {
            self.count_error();
        }
    }

    /// keeps: GW-10
    fn count_error(&mut self) {
        let limits = &self.offer.settings.limits;
        self.errors += 1;
        if self.errors >= limits.errors_max {
            return self.close(&TOO_MANY_ERRORS);
        }
        let over = self.errors.saturating_sub(limits.errors_free);
        if over > 0 {
            let pause_ms = 125_u64.saturating_mul(1 << over.min(16));
            self.pause_ms = (self.pause_ms + pause_ms).min(crate::limits::SMTP_PAUSE_MS_MAX);
        }
    }

    fn close(&mut self, said: &Said) {
        self.say(said.digits, said.code, said.text);
        self.shut();
    }

    /// Closes without a word.
    fn shut(&mut self) {
        self.state = State::Closed;
        self.transaction = None;
        self.told = false;
    }

    fn ask(&mut self, asked: Asked, question: Question) {
        self.state = State::Answer(asked);
        self.question = Some(question);
    }

    /// Hexadecimal digits that nobody can foretell, others each time.
    fn draw(&mut self) -> String {
        let mut text = self.seed.to_vec();
        text.extend_from_slice(&self.drawn.to_be_bytes());
        self.drawn += 1;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &text);
        data_encoding::HEXLOWER.encode(&digest.as_ref()[..16])
    }

    fn is_submission(&self) -> bool {
        self.client.service != Service::Transfer
    }
}
