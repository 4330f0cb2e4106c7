//! Transactions on a session: envelope, content, and what each recipient is answered (RFC 5321 section 3.3, RFC 2033).

use std::time::Duration;

use message::Code;

use super::connection::Broken;
use super::content::{Needs, stuffed};
use super::limits::{
    BLOCK_OCTETS_MAX, CHUNK_OCTETS_MAX, PARAMETER_OCTETS_MAX, RECIPIENTS_PER_TRANSACTION_MAX,
};
use super::reply::Reply;
use super::session::{Protocol, Session, lost};
use super::trip::{Outcome, Step, Trip, Trouble};
use super::{OnStep, Shipment};
use crate::Recipient;

/// Why a session does not go on with what is open.
#[derive(Debug)]
pub(super) struct Halt {
    pub(super) trouble: Trouble,
    /// Whether the session can still be used.
    pub(super) usable: bool,
}

/// How long an answer is waited for from a server that has stopped to take octets: it has been sent already, or never is.
const LAST_WORDS_TIME: Duration = Duration::from_secs(5);

/// Carries a message to all recipients that are open, in as many transactions as it takes. Whoever is open afterwards, has
/// to be tried elsewhere or later.
pub(super) async fn carry(
    session: &mut Session,
    shipment: &Shipment,
    needs: Needs,
    trip: &mut Trip,
    step: OnStep<'_>,
) -> Result<(), Halt> {
    if !fits(session, shipment, needs, trip) {
        return Ok(());
    }
    let mut left = trip.open();
    while !left.is_empty() {
        let rest = left.split_off(left.len().min(RECIPIENTS_PER_TRANSACTION_MAX));
        let mut transaction = Transaction { session, shipment, needs, trip, step };
        let mut again = transaction.run(&left).await?;
        again.extend(rest);
        left = again;
    }
    Ok(())
}

/// Whether the host takes such a message at all; if not, all or some recipients are settled. keeps: GW-50
fn fits(session: &Session, shipment: &Shipment, needs: Needs, trip: &mut Trip) -> bool {
    let abilities = &session.abilities;
    let (eight_bit, utf8) = (abilities.have("8BITMIME"), abilities.have("SMTPUTF8"));
    let host = session.host.clone();
    if !utf8 {
        let refused = |address: &str| Outcome::Refused {
            code: Code::new(5, 6, 7),
            text: format!("{host} does not take addresses outside of ASCII (SMTPUTF8), such as {address}"),
        };
        if let Some(path) = shipment.return_path.as_ref().filter(|path| !path.to_string().is_ascii()) {
            trip.settle_open(&refused(&path.to_unicode()));
        }
        for place in trip.open() {
            if let Some(one) = shipment.recipients.get(place).filter(|one| needs_utf8(one)) {
                trip.settle(place, refused(&one.address.to_unicode()));
            }
        }
    }
    if (needs.utf8_headers && !utf8) || (needs.eight_bit && !eight_bit) {
        trip.settle_open(&Outcome::Unfit { eight_bit, utf8_headers: utf8, host: host.clone() });
    }
    let octets = shipment.octets.len() as u64;
    if let Some(most) = abilities.size_max().filter(|&most| octets > most) {
        let text = format!("{host} takes messages of {most} octets, and this one has {octets}");
        trip.settle_open(&Outcome::Refused { code: Code::MESSAGE_TOO_LARGE, text });
    }
    !trip.is_done()
}

fn needs_utf8(recipient: &Recipient) -> bool {
    !recipient.address.to_string().is_ascii()
}

struct Transaction<'a> {
    session: &'a mut Session,
    shipment: &'a Shipment,
    needs: Needs,
    trip: &'a mut Trip,
    step: OnStep<'a>,
}

/// The replies to an envelope.
#[derive(Default)]
struct Heard {
    taken: Vec<usize>,
    /// Too many for one transaction: they come with the next.
    again: Vec<usize>,
    /// The reply to DATA, where it was said with the envelope.
    data: Option<Reply>,
    halt: Option<Halt>,
}

impl Transaction<'_> {
    /// One transaction: gives who has to come again.
    async fn run(&mut self, group: &[usize]) -> Result<Vec<usize>, Halt> {
        if self.session.begun {
            self.session.reset().await.map_err(|trouble| Halt { trouble, usable: false })?;
        }
        self.session.begun = true;
        self.session.served += 1;
        (self.step)("mail", &self.session.host);
        let heard = self.envelope(group).await.inspect_err(|halt| self.delay(group, &halt.trouble))?;
        if !heard.taken.is_empty() {
            let chunks = self.session.protocol == Protocol::Smtp && self.session.abilities.have("CHUNKING");
            (self.step)("data", &self.session.host);
            let sent = match chunks {
                true => self.chunks(&heard.taken).await,
                false => self.data(&heard.taken, heard.data).await,
            };
            sent.inspect_err(|halt| self.delay(&heard.taken, &halt.trouble))?;
        } else if heard.data.is_some_and(|reply| reply.digits == 354) {
            // It wants a message for nobody, and gets none (RFC 2920 section 3.1).
            self.command(Step::Data, ".").await?;
        }
        match heard.halt {
            Some(halt) => Err(halt),
            None if heard.taken.is_empty() => Ok(Vec::new()),
            None => Ok(heard.again),
        }
    }

    async fn command(&mut self, step: Step, line: &str) -> Result<Reply, Halt> {
        self.session.command(step, line).await.map_err(|trouble| Halt { trouble, usable: false })
    }

    fn delay(&mut self, places: &[usize], trouble: &Trouble) {
        for &place in places {
            self.trip.delayed(place, trouble);
        }
    }

    /// MAIL, RCPT for each and, where that is allowed, DATA: all at once with PIPELINING. keeps: GW-49
    async fn envelope(&mut self, group: &[usize]) -> Result<Heard, Halt> {
        let mut lines = vec![(Step::Mail, self.mail_line(group))];
        lines.extend(group.iter().map(|&place| (Step::Recipient, self.recipient_line(place))));
        let pipelining = self.session.abilities.have("PIPELINING");
        let chunking = self.session.protocol == Protocol::Smtp && self.session.abilities.have("CHUNKING");
        if pipelining && !chunking {
            lines.push((Step::Data, "DATA".to_owned()));
        }
        if pipelining {
            let all: String = lines.iter().map(|(_, line)| format!("{line}\r\n")).collect();
            let limit = self.session.times.command;
            self.session
                .connection
                .write(all.as_bytes(), limit)
                .await
                .map_err(|broken| gone(Step::Mail, &broken))?;
        }
        let mut heard = Heard::default();
        let mut places = group.iter();
        for (step, line) in &lines {
            let limit =
                if *step == Step::Data { self.session.times.data_start } else { self.session.times.command };
            let reply = match pipelining {
                true => self.session.connection.reply(limit).await.map_err(|broken| gone(*step, &broken))?,
                false if heard.halt.is_some() => break,
                false => self.command(*step, line).await?,
            };
            match step {
                Step::Mail => self.hear_mail(&reply, &mut heard),
                Step::Data => heard.data = Some(reply),
                _ => {
                    if let Some(&place) = places.next() {
                        self.hear_recipient(place, &reply, &mut heard);
                    }
                }
            }
        }
        Ok(heard)
    }

    fn hear_mail(&mut self, reply: &Reply, heard: &mut Heard) {
        if reply.is_positive() {
            return;
        }
        let trouble = Trouble::answered(Step::Mail, reply);
        if trouble.is_permanent() {
            self.trip.settle_open(&trouble.outcome());
        }
        heard.halt = Some(Halt { trouble, usable: reply.digits != 421 });
    }

    /// keeps: GW-52
    fn hear_recipient(&mut self, place: usize, reply: &Reply, heard: &mut Heard) {
        if heard.halt.is_some() {
            // The reply to MAIL FROM was the reason.
            if let Some(halt) = &heard.halt {
                self.trip.delayed(place, &halt.trouble);
            }
            return;
        }
        if reply.is_positive() {
            heard.taken.push(place);
            return;
        }
        let mut trouble = Trouble::answered(Step::Recipient, reply);
        // 552 here has long meant too many recipients (RFC 5321 section 4.5.3.1.10).
        if reply.digits == 552 {
            trouble = trouble.temporary();
        }
        if reply.digits != 421 {
            self.trip.tried_for(Some(place), &self.session.host, None, &trouble);
        }
        if trouble.is_permanent() {
            self.trip.settle(place, trouble.outcome());
            return;
        }
        self.trip.delayed(place, &trouble);
        match reply.digits {
            421 => heard.halt = Some(Halt { trouble, usable: false }),
            452 | 552 if !heard.taken.is_empty() => heard.again.push(place),
            _ => {}
        }
    }

    fn mail_line(&self, group: &[usize]) -> String {
        let abilities = &self.session.abilities;
        let path = self.shipment.return_path.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut line = format!("MAIL FROM:<{path}>");
        if abilities.have("SIZE") {
            line.push_str(&format!(" SIZE={}", self.shipment.octets.len()));
        }
        if self.needs.eight_bit && abilities.have("8BITMIME") {
            line.push_str(" BODY=8BITMIME");
        }
        let recipients = group.iter().filter_map(|&place| self.shipment.recipients.get(place));
        if self.needs.utf8_headers || !path.is_ascii() || recipients.into_iter().any(needs_utf8) {
            line.push_str(" SMTPUTF8");
        }
        if abilities.have("DSN") {
            if let Some(only) = self.shipment.headers_only {
                line.push_str(if only { " RET=HDRS" } else { " RET=FULL" });
            }
            if let Some(id) = &self.shipment.envelope_id {
                line.push_str(&format!(" ENVID={}", xtext(id)));
            }
        }
        for parameter in &self.shipment.parameters {
            let clean = parameter.text.bytes().all(|octet| octet.is_ascii_graphic());
            if clean && parameter.text.len() <= PARAMETER_OCTETS_MAX && abilities.have(&parameter.extension) {
                line.push_str(&format!(" {}", parameter.text));
            }
        }
        line
    }

    /// keeps: GW-56
    fn recipient_line(&self, place: usize) -> String {
        let Some(recipient) = self.shipment.recipients.get(place) else { return "NOOP".to_owned() };
        let mut line = format!("RCPT TO:<{}>", recipient.address);
        if self.session.abilities.have("DSN") {
            if let Some(bits) = recipient.notify {
                line.push_str(&format!(" NOTIFY={}", notify_words(bits)));
            }
            if let Some((kind, address)) =
                recipient.original.as_deref().and_then(|original| original.split_once(';'))
                && (kind.is_ascii() && address.is_ascii())
            {
                // Addresses in UTF-8 have an encoding of their own (RFC 6533 section 3), as they came.
                let address = match kind.eq_ignore_ascii_case("utf-8") {
                    true => address.to_owned(),
                    false => xtext(address),
                };
                line.push_str(&format!(" ORCPT={kind};{address}"));
            }
        }
        line
    }

    /// DATA, the message and its end. keeps: GW-51, GW-55
    async fn data(&mut self, taken: &[usize], said: Option<Reply>) -> Result<(), Halt> {
        let start = match said {
            Some(reply) => reply,
            None => self.command(Step::Data, "DATA").await?,
        };
        if start.digits != 354 {
            return self.refused_before(taken, &start);
        }
        let mut at_line_start = true;
        for block in self.shipment.octets.chunks(BLOCK_OCTETS_MAX) {
            let block = stuffed(block, &mut at_line_start);
            self.push(&block).await?;
        }
        self.push(b".\r\n").await?;
        if self.session.protocol == Protocol::Smtp {
            let reply = self.session.connection.reply(self.session.times.data_end).await;
            return self.answer(taken, reply);
        }
        // One answer for each, in order (RFC 2033 section 4.2). keeps: GW-58
        for (number, place) in taken.iter().enumerate() {
            let reply = self.session.connection.reply(self.session.times.data_end).await;
            let lost = reply.is_err();
            self.answer(if lost { &taken[number..] } else { std::slice::from_ref(place) }, reply)?;
        }
        Ok(())
    }

    /// The message in chunks (RFC 3030). keeps: GW-49
    async fn chunks(&mut self, taken: &[usize]) -> Result<(), Halt> {
        let octets = self.shipment.octets.clone();
        let mut left = octets.as_ref();
        loop {
            let (chunk, rest) = left.split_at(left.len().min(CHUNK_OCTETS_MAX));
            let end = if rest.is_empty() { " LAST" } else { "" };
            self.push(format!("BDAT {}{end}\r\n", chunk.len()).as_bytes()).await?;
            self.push(chunk).await?;
            let reply = self.session.connection.reply(self.session.times.data_end).await;
            if rest.is_empty() {
                return self.answer(taken, reply);
            }
            let reply = reply.map_err(|broken| gone(Step::Data, &broken))?;
            if !reply.is_positive() {
                return self.refused_before(taken, &reply);
            }
            left = rest;
        }
    }

    /// Writes a piece of the message. A server that does not take more has perhaps said why.
    async fn push(&mut self, octets: &[u8]) -> Result<(), Halt> {
        let limit = self.session.times.data_block;
        let Err(broken) = self.session.connection.write(octets, limit).await else { return Ok(()) };
        match self.session.connection.reply(LAST_WORDS_TIME).await {
            Ok(reply) if !reply.is_positive() => {
                Err(Halt { trouble: Trouble::answered(Step::Data, &reply).temporary(), usable: false })
            }
            _ => Err(gone(Step::Data, &broken)),
        }
    }

    /// A refusal before all of the message was there: elsewhere it may be taken, where the refusal is not for good.
    fn refused_before(&mut self, taken: &[usize], reply: &Reply) -> Result<(), Halt> {
        let trouble = if reply.is_positive() || reply.digits < 400 {
            Trouble::new(Step::Data, Code::new(4, 5, 0), format!("an odd answer to DATA: {}", reply.text()))
        } else {
            Trouble::answered(Step::Data, reply)
        };
        if trouble.is_permanent() {
            self.trip.tried_for(only(taken), &self.session.host, None, &trouble);
            for &place in taken {
                self.trip.settle(place, trouble.outcome());
            }
            return Ok(());
        }
        Err(Halt { trouble, usable: reply.digits != 421 && reply.digits >= 400 })
    }

    /// The answer to the whole message. No other host is tried after it: where it was lost, the message may have been
    /// taken. keeps: GW-54
    fn answer(&mut self, taken: &[usize], reply: Result<Reply, Broken>) -> Result<(), Halt> {
        self.session.begun = false;
        let (outcome, halt) = match reply {
            Ok(reply) if reply.is_positive() => {
                let notices = self.session.abilities.have("DSN");
                (Outcome::Taken { host: self.session.host.clone(), text: reply.text(), notices }, None)
            }
            Ok(reply) => {
                let trouble = Trouble::answered(Step::Data, &reply);
                let outcome = trouble.outcome();
                if reply.digits != 421 {
                    self.trip.tried_for(only(taken), &self.session.host, None, &trouble);
                }
                (outcome, (reply.digits == 421).then_some(Halt { trouble, usable: false }))
            }
            Err(broken) => {
                let halt = gone(Step::Data, &broken);
                let text = format!("{broken}, after the whole message was sent: it may have been taken");
                (Outcome::Deferred { code: halt.trouble.code, text }, Some(halt))
            }
        };
        for &place in taken {
            self.trip.settle(place, outcome.clone());
        }
        halt.map_or(Ok(()), Err)
    }
}

/// The one whom an answer concerns, where it is one.
fn only(places: &[usize]) -> Option<usize> {
    if let [place] = places { Some(*place) } else { None }
}

fn gone(step: Step, broken: &Broken) -> Halt {
    Halt { trouble: lost(step, broken), usable: false }
}

/// The words of NOTIFY (RFC 3461 section 4.1) for the bits of [`Recipient::notify`].
fn notify_words(bits: u8) -> String {
    let words = [
        (Recipient::NOTIFY_SUCCESS, "SUCCESS"),
        (Recipient::NOTIFY_FAILURE, "FAILURE"),
        (Recipient::NOTIFY_DELAY, "DELAY"),
    ];
    let said: Vec<&str> = words.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, word)| *word).collect();
    if said.is_empty() { "NEVER".to_owned() } else { said.join(",") }
}

/// xtext (RFC 3461 section 4): what is not printable, and `+` and `=`, in hexadecimal.
pub(super) fn xtext(text: &str) -> String {
    let mut written = String::new();
    for octet in text.bytes() {
        match octet {
            b'+' | b'=' => written.push_str(&format!("+{octet:02X}")),
            b'!'..=b'~' => written.push(char::from(octet)),
            _ => written.push_str(&format!("+{octet:02X}")),
        }
    }
    written
}
