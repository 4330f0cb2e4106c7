//! One request and one reply: the side that asks.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::limits::STALL_MS;
use crate::{ContentHead, Error, Frame, Item, Reader, encode};

/// What the machine has for its driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskingOutput {
    /// Octets to send.
    Send(Bytes),
    /// Nothing more is sent on this stream.
    Finish,
    /// Something to act upon.
    Event(AskingEvent),
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskingEvent {
    /// The reply.
    Reply(Frame),
    /// A piece of content begins; only in reply to a fetch.
    Content(ContentHead),
    /// Octets of that piece.
    Octets(Bytes),
    /// The last piece of content is whole.
    ContentEnd,
}

/// Sends one request and reads its reply: one frame, or for a fetch content until its last piece.
///
/// keeps: SUB-14, EXC-9, EXC-26
#[derive(Debug)]
pub struct Asking {
    reader: Reader,
    state: State,
    output: VecDeque<AskingOutput>,
    deadline: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    AwaitReply { content: bool },
    InContent { left: u64, last: bool },
    Done,
}

impl Asking {
    /// Asks; the request goes out with the first outputs.
    pub fn new(now_ms: u64, request: &Frame) -> Asking {
        let content = matches!(request, Frame::Fetch { .. });
        Asking {
            reader: Reader::new(),
            state: State::AwaitReply { content },
            output: VecDeque::from([AskingOutput::Send(encode(request)), AskingOutput::Finish]),
            deadline: now_ms.saturating_add(STALL_MS),
        }
    }

    /// Takes in octets of the reply; `None` says that the stream has ended.
    ///
    /// # Errors
    /// Why the reply is not one.
    pub fn handle(&mut self, now_ms: u64, octets: Option<&[u8]>) -> Result<(), Error> {
        // How octets were cut on their way must make no difference: what follows the reply is never read.
        if self.state == State::Done {
            return Ok(());
        }
        self.deadline = now_ms.saturating_add(STALL_MS);
        self.reader.push(octets.ok_or(Error::Truncated)?);
        while self.state != State::Done
            && let Some(item) = self.reader.next_item()?
        {
            self.step(item)?;
        }
        Ok(())
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<AskingOutput> {
        self.output.pop_front()
    }

    /// When the peer must have moved on, in milliseconds.
    pub fn deadline(&self) -> u64 {
        self.deadline
    }

    fn step(&mut self, item: Item) -> Result<(), Error> {
        self.state = match (self.state, item) {
            (State::AwaitReply { content: true }, Item::Frame(Frame::Content(head))) => {
                self.event(AskingEvent::Content(head));
                self.in_content(head.octets, head.last)
            }
            (State::AwaitReply { .. }, Item::Frame(reply)) => {
                self.event(AskingEvent::Reply(reply));
                State::Done
            }
            (State::InContent { left, last }, Item::Content(octets)) => {
                let left = left.saturating_sub(octets.len() as u64);
                self.event(AskingEvent::Octets(octets));
                self.in_content(left, last)
            }
            _ => return Err(Error::OutOfOrder("more than the reply")),
        };
        Ok(())
    }

    fn in_content(&mut self, left: u64, last: bool) -> State {
        match (left, last) {
            (0, true) => {
                self.event(AskingEvent::ContentEnd);
                State::Done
            }
            (0, false) => State::AwaitReply { content: true },
            _ => State::InContent { left, last },
        }
    }

    fn event(&mut self, event: AskingEvent) {
        self.output.push_back(AskingOutput::Event(event));
    }
}
