//! AUTH, step by step.

use std::sync::Arc;

use message::Code;

use crate::limits::SMTP_LOGIN_FAILURES_MAX;
use crate::{LoginFailure, ScramKeys};

use super::super::login::{Exchange, Scram, ScramFirst, decoded, encoded, plain};
use super::super::reply::Said;
use super::{Asked, Question, Session, State};

const NOT_HERE: Said = Said::new(503, Code::new(5, 5, 1), "AUTH is not for now or not for here");
const NO_CLEAR: Said = Said::new(538, Code::new(5, 7, 11), "AUTH needs TLS");
const MECHANISM: Said = Said::new(504, Code::new(5, 5, 4), "the mechanisms are PLAIN and SCRAM-SHA-256");
const CANCELLED: Said = Said::new(501, Code::new(5, 7, 0), "AUTH is given up");
const MALFORMED: Said = Said::new(501, Code::new(5, 5, 2), "that is not what the mechanism says here");
const WRONG: Said = Said::new(535, Code::AUTHENTICATION_FAILED, "name or password is wrong");
const LATER: Said =
    Said::new(454, Code::new(4, 7, 0), "that cannot be found out now; please try again later");
const TOO_OFTEN: Said = Said::new(421, Code::new(4, 7, 0), "too many failed logins; closing");

impl Session {
    /// keeps: GW-11
    pub(super) fn auth(&mut self, mechanism: &str, initial: Option<&str>) {
        let client = &self.client;
        if client.tls.is_none() && self.is_submission() {
            return self.error(&NO_CLEAR);
        }
        if !self.is_submission() || !client.extended || client.account.is_some() || self.transaction.is_some()
        {
            return self.error(&NOT_HERE);
        }
        let exchange = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => Exchange::Plain,
            "SCRAM-SHA-256" => Exchange::ScramFirst,
            _ => return self.error(&MECHANISM),
        };
        match initial {
            None => self.challenge("", exchange),
            Some(initial) => {
                self.state = State::Login(exchange);
                self.login_line(initial.as_bytes());
            }
        }
    }

    pub(super) fn login_line(&mut self, line: &[u8]) {
        let State::Login(exchange) = std::mem::replace(&mut self.state, State::Command) else { return };
        if line == b"*" {
            return self.failed(&CANCELLED);
        }
        let Some(message) = decoded(line) else { return self.failed(&MALFORMED) };
        match exchange {
            Exchange::Plain => match plain(&message) {
                Some((name, password)) => self.ask(Asked::Login, Question::Login { name, password }),
                None => self.failed(&MALFORMED),
            },
            Exchange::ScramFirst => match ScramFirst::parse(&message) {
                Some(first) => {
                    let name = first.name.clone();
                    self.ask(Asked::Keys(first), Question::Keys { name });
                }
                None => self.failed(&MALFORMED),
            },
            Exchange::ScramLast(scram) => {
                let name = scram.name().to_owned();
                match scram.finish(&message) {
                    Some((account, last)) => self.challenge(&last, Exchange::ScramEnd(account)),
                    None => self.ask(Asked::Failed, Question::Failed { name }),
                }
            }
            Exchange::ScramEnd(account) if message.is_empty() => self.logged_in(Ok(account)),
            Exchange::ScramEnd(_) => self.failed(&MALFORMED),
        }
    }

    pub(super) fn keys(&mut self, first: ScramFirst, keys: Result<ScramKeys, LoginFailure>) {
        match keys {
            Ok(keys) => {
                let ours = self.draw();
                let scram = Scram::begin(first, keys, &ours);
                let challenge = scram.server_first().to_owned();
                self.challenge(&challenge, Exchange::ScramLast(Box::new(scram)));
            }
            Err(LoginFailure::Wrong) => self.failed(&WRONG),
            Err(LoginFailure::Later) => self.failed(&LATER),
        }
    }

    pub(super) fn logged_in(&mut self, result: Result<String, LoginFailure>) {
        match result {
            Ok(account) => {
                Arc::make_mut(&mut self.client).account = Some(account);
                self.say(235, Code::new(2, 7, 0), "welcome");
            }
            Err(LoginFailure::Wrong) => self.failed(&WRONG),
            Err(LoginFailure::Later) => self.failed(&LATER),
        }
    }

    fn challenge(&mut self, message: &str, exchange: Exchange) {
        self.out.extend_from_slice(format!("334 {}\r\n", encoded(message)).as_bytes());
        self.state = State::Login(exchange);
    }

    fn failed(&mut self, said: &Said) {
        self.login_failures += 1;
        self.error(said);
        if self.login_failures >= SMTP_LOGIN_FAILURES_MAX && !matches!(self.state, State::Closed) {
            self.close(&TOO_OFTEN);
        }
    }
}
