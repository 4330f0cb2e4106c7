//! Content: by DATA and by BDAT, and what is said of it.

use std::sync::Arc;

use bytes::BytesMut;
use message::{Code, Disposition};
use tokio::sync::OwnedSemaphorePermit;

use crate::limits::{SMTP_HOPS_MAX, SMTP_OWN_HOPS_MAX};
use crate::{Authenticity, Findings, Letter, Reply, loops};

use super::super::content::{Content, Fault, Place, Progress};
use super::super::received::{self, Hop};
use super::super::reply::Said;
use super::super::transaction::{Chunk, Chunks, Gathering, refusal, replies};
use super::{Asked, Question, Session, State};

const LOOP: Said = Said::new(554, Code::LOOP, "the message has gone through too many hands");

impl Session {
    pub(super) fn begin_data(&mut self) {
        self.content_refused = true;
        let begun = self.transaction.as_ref().is_some_and(|transaction| transaction.chunks.is_some());
        if begun {
            return self.not_now();
        }
        if let Err(said) = self.may_send() {
            return self.error(&said);
        }
        let Some(content) = self.begin_content() else { return self.refuse(Fault::NoMemory) };
        self.content_refused = false;
        self.out.extend_from_slice(b"354 send it, with a dot on a line of its own at the end\r\n");
        self.state = State::Data(Gathering { content, place: Place::default(), began_ms: self.now_ms });
    }

    /// Octets of a chunk are taken off whatever is said of them. keeps: GW-6
    pub(super) fn begin_chunk(&mut self, octets: u64, last: bool) {
        let refused = self.may_send().err().or_else(|| self.begin_chunks());
        let began = self.transaction.as_ref().and_then(|transaction| transaction.chunks.as_ref());
        let began_ms = began.map_or(self.now_ms, |chunks| chunks.began_ms);
        self.state = State::Chunk(Chunk { left: octets, last, refused, began_ms });
        if octets == 0 {
            self.end_chunk();
        }
    }

    fn begin_chunks(&mut self) -> Option<Said> {
        if self.transaction.as_ref()?.chunks.is_some() {
            return None;
        }
        let content = self.begin_content();
        let began_ms = self.now_ms;
        let transaction = self.transaction.as_mut()?;
        match content {
            Some(content) => transaction.chunks = Some(Chunks { content, place: Place::default(), began_ms }),
            None => return Some(refusal(Fault::NoMemory)),
        }
        None
    }

    fn begin_content(&self) -> Option<Content> {
        let declared = self.transaction.as_ref().map_or(0, |transaction| transaction.mail.size);
        let octets_max = self.offer.settings.limits.message_octets_max;
        Content::begin(&self.offer.memory, usize::try_from(declared).unwrap_or(octets_max), octets_max)
    }

    pub(super) fn data(&mut self, rest: &[u8]) -> Option<usize> {
        let State::Data(gathering) = &mut self.state else { return None };
        if rest.is_empty() {
            return None;
        }
        self.since_ms = self.now_ms;
        let (used, progress) = gathering.place.undot(rest, &mut gathering.content);
        match progress {
            Progress::More => Some(used),
            Progress::Broken => {
                // What follows may be meant for a server that sees another end of the message. keeps: GW-5
                self.close(&refusal(Fault::LineEnds));
                Some(rest.len())
            }
            Progress::End => {
                if let State::Data(gathering) = std::mem::replace(&mut self.state, State::Command) {
                    self.whole(gathering.content);
                }
                Some(used)
            }
        }
    }

    pub(super) fn chunk(&mut self, rest: &[u8]) -> Option<usize> {
        let State::Chunk(chunk) = &mut self.state else { return None };
        if rest.is_empty() {
            return None;
        }
        self.since_ms = self.now_ms;
        let used = usize::try_from(chunk.left).unwrap_or(usize::MAX).min(rest.len());
        chunk.left -= used as u64;
        let done = chunk.left == 0;
        let chunks = self.transaction.as_mut().and_then(|transaction| transaction.chunks.as_mut());
        if let (None, Some(chunks)) = (chunk.refused, chunks)
            && !chunks.place.chunk(&rest[..used], &mut chunks.content)
        {
            chunks.content.spoil(Fault::LineEnds);
        }
        if done {
            self.end_chunk();
        }
        Some(used)
    }

    fn end_chunk(&mut self) {
        let State::Chunk(chunk) = std::mem::replace(&mut self.state, State::Command) else { return };
        if let Some(said) = chunk.refused {
            // A client that goes on with the next chunk is told that MAIL comes first.
            self.transaction = None;
            return self.error(&said);
        }
        let fault = self.chunks().and_then(|chunks| chunks.content.fault());
        if let Some(fault) = fault {
            return self.refuse(fault);
        }
        if !chunk.last {
            return self.say(250, Code::new(2, 0, 0), "go on");
        }
        let chunks = self.transaction.as_mut().and_then(|transaction| transaction.chunks.take());
        let Some(Chunks { mut content, place, .. }) = chunks else { return };
        if place == Place::Return {
            return self.refuse(Fault::LineEnds);
        }
        if !content.ends_a_line() {
            content.push(b"\r\n");
        }
        self.whole(content);
    }

    fn chunks(&self) -> Option<&Chunks> {
        self.transaction.as_ref().and_then(|transaction| transaction.chunks.as_ref())
    }

    fn refuse(&mut self, fault: Fault) {
        self.transaction = None;
        self.error(&refusal(fault));
    }

    /// The content is here. keeps: GW-4
    fn whole(&mut self, content: Content) {
        if let Some(fault) = content.fault() {
            return self.refuse(fault);
        }
        let (octets, held) = content.finish();
        let settings = &self.offer.settings;
        let way = loops::way(&octets, &[&settings.host, settings.domain.as_str()]);
        // A user may send on what came here often, and begins its way anew.
        let is_back = self.client.account.is_none() && way.here > SMTP_OWN_HOPS_MAX;
        if way.hops > SMTP_HOPS_MAX || is_back {
            self.transaction = None;
            return self.error(&LOOP);
        }
        self.offer_letter(octets, way.left, held);
    }

    fn offer_letter(&mut self, octets: BytesMut, left: Vec<String>, held: OwnedSemaphorePermit) {
        let id = self.draw();
        let Some(transaction) = self.transaction.take() else { return };
        let settings = &self.offer.settings;
        let hop = Hop {
            host: &settings.host,
            id: &id,
            utf8: transaction.mail.utf8,
            mav: transaction.mav.as_ref(),
            recipients: &transaction.recipients,
            now_ms: self.now_ms,
        };
        let received = received::field(&self.client, &hop);
        // keeps: MAV-9
        let named = transaction.mav.as_ref().is_some_and(|mav| mav.names_path);
        let known = self.client.account.is_some() || named;
        let individual = transaction.mail.individual;
        let order = transaction.order;
        let letter = Letter {
            client: Arc::clone(&self.client),
            return_path: transaction.mail.path,
            recipients: transaction.recipients,
            octets: octets.freeze(),
            left,
            received,
            mav: transaction.mav,
            findings: Findings::default(),
            authenticity: if known { Authenticity::Authenticated } else { Authenticity::Unverified },
            earlier_mav: None,
            individual,
            utf8: transaction.mail.utf8,
            envelope_id: transaction.mail.envelope_id,
            headers_only: transaction.mail.headers_only,
            cookie: transaction.mail.cookie,
        };
        self.ask(Asked::Taken { order, individual, id, held }, Question::Take(Box::new(letter)));
    }

    /// keeps: GW-12
    pub(super) fn taken(
        &mut self,
        order: &[usize],
        individual: bool,
        id: &str,
        result: Result<Vec<Disposition>, Reply>,
    ) {
        let dispositions = match result {
            Ok(dispositions) => dispositions,
            Err(reply) => return self.say(reply.digits, reply.code, &reply.text),
        };
        let (each, all) = replies(order, &dispositions, individual);
        if individual {
            self.out.extend_from_slice(b"353 a reply for each recipient follows\r\n");
            for reply in &each {
                self.say(reply.digits, reply.code, &reply.text);
            }
        }
        if all.digits == 250 {
            self.say(250, Code::new(2, 0, 0), format_args!("taken as {id}"));
        } else {
            self.say(all.digits, all.code, &all.text);
        }
    }
}
