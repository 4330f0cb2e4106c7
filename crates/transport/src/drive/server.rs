//! The side that streams are opened to.

use std::sync::Arc;

use bytes::Bytes;
use message::Code as Status;
use protocol::{
    Answering, AnsweringEvent, AnsweringOutput, Failure, Frame, OfferingOutput, Protocol, encode,
    slice_content,
};
use quinn::RecvStream;

use super::client::Buffered;
use super::{CHUNK_OCTETS, Handler, Reply, Session, Step, given_up, pushed};
use crate::{Accepted, Alpn, Code, Error, Limits, Link, Pace, SendStream, Server};

/// The machines are told the time by the driver's own limits: stalls are seen by [`Pace`].
const NO_CLOCK: u64 = 0;

/// Serves connections until the server is closed. Each connection and each stream has a task of its own: a peer that
/// breaks a rule loses its stream or its connection, others go on.
pub async fn serve(server: Server, limits: Limits, handler: Arc<dyn Handler>) {
    let limits = Arc::new(limits);
    while let Some(accepted) = server.accept().await {
        let (limits, handler) = (limits.clone(), handler.clone());
        tokio::spawn(async move {
            if let Err(error) = connection(accepted, limits, handler).await {
                tracing::debug!(%error, "a connection has ended");
            }
        });
    }
}

async fn connection(accepted: Accepted, limits: Arc<Limits>, handler: Arc<dyn Handler>) -> Result<(), Error> {
    let link = accepted.authenticated().await?;
    let meeting = link.in_use();
    // Nobody is asked about for whoever has gone, or had to make room.
    let met = tokio::select! {
        biased;
        ended = link.closed() => return Err(ended),
        met = handler.meet(&link) => met,
    };
    let session = match met {
        Ok(session) => session,
        Err(failure) => {
            link.close(Code::NotAuthenticated, &failure.text);
            return Ok(());
        }
    };
    note_proof(&link, session.as_ref());
    drop(meeting);
    let protocol = match link.alpn() {
        Alpn::Submission => Protocol::Submission,
        Alpn::Exchange => Protocol::Exchange,
        Alpn::Doorstep => Protocol::Doorstep,
    };
    if let Some(news) = session.news() {
        tokio::spawn(pushed::tell(link.clone(), limits.clone(), news));
    }
    loop {
        let (send, receive) = tokio::select! {
            biased;
            stream = link.accept_bi() => stream?,
            () = link.unused_for(limits.unproved_time) => {
                link.close(Code::Idle, "nothing was proved, and nothing is under way");
                return Ok(());
            }
        };
        let (link, session, pace) = (link.clone(), session.clone(), Pace::start(&limits));
        let (settings, in_use) = (handler.settings(), link.in_use());
        tokio::spawn(async move {
            let mut stream = Stream { send, receive, pace };
            if let Err(end) = stream.run(&link, protocol, settings, session).await {
                tracing::debug!(?end, "a stream has ended early");
                stream.end(end, &link).await;
            }
            drop(in_use);
        });
    }
}

fn note_proof(link: &Link, session: &dyn Session) {
    if !link.is_proved() && session.has_proved() {
        link.proved();
    }
}

/// Why a stream ended before its answer.
#[derive(Debug)]
enum End {
    Transport,
    Protocol(protocol::Error),
    Refused(Failure),
}

impl From<Error> for End {
    fn from(_: Error) -> End {
        End::Transport
    }
}

impl From<protocol::Error> for End {
    fn from(error: protocol::Error) -> End {
        End::Protocol(error)
    }
}

struct Stream {
    send: SendStream,
    receive: RecvStream,
    pace: Pace,
}

impl Stream {
    async fn run(
        &mut self,
        link: &Link,
        protocol: Protocol,
        settings: protocol::Settings,
        session: Arc<dyn Session>,
    ) -> Result<(), End> {
        let mut machine = Answering::with_settings(NO_CLOCK, protocol, settings);
        let mut offer = None;
        loop {
            while let Some(output) = machine.poll() {
                match output {
                    AnsweringOutput::Send(octets) => self.pace.write(&mut self.send, octets).await?,
                    AnsweringOutput::Finish => {
                        // What the peer may still be sending is not wanted; it is never read as anything else.
                        let _ = self.receive.stop(Code::NotWanted.into());
                        self.send.finish();
                        self.pace.delivered(&mut self.send).await?;
                        return Ok(());
                    }
                    AnsweringOutput::Event(AnsweringEvent::Asked(request)) => {
                        let reply = session.ask(request).await;
                        // As by an enrolment.
                        note_proof(link, session.as_ref());
                        match reply {
                            Reply::Frame(frame) => machine.reply(&frame),
                            content => return self.send_content(content).await,
                        }
                    }
                    AnsweringOutput::Event(event) => {
                        let offer = offer.get_or_insert_with(|| session.offer());
                        match offer.handle(event).await.map_err(End::Refused)? {
                            Step::Continue => {}
                            Step::Know(manifest) => machine.know(*manifest)?,
                            Step::Want(selection) => machine.want(NO_CLOCK, selection)?,
                            Step::Answer(outcome) => {
                                while machine.poll().is_some() {}
                                machine.answer(&outcome);
                            }
                        }
                    }
                }
            }
            let octets = self.pace.read(&mut self.receive, CHUNK_OCTETS).await?;
            machine.handle(NO_CLOCK, octets.as_deref())?;
            if octets.is_none() {
                // The peer has finished its side before the answer; that is allowed only after all content came, and
                // then the machine has the turn: nothing more can be asked for.
                return Err(protocol::Error::Truncated.into());
            }
        }
    }

    /// Sends content in reply to a fetch.
    async fn send_content(&mut self, reply: Reply) -> Result<(), End> {
        let Reply::Content { supply, selection, source } = reply else { return Ok(()) };
        let unreadable = |_| {
            End::Refused(Failure {
                code: Status::SYSTEM_TROUBLE,
                text: "the content cannot be read now".into(),
            })
        };
        let mut buffered = Buffered::default();
        for output in supply.content(&selection)? {
            match output {
                OfferingOutput::Send(octets) => buffered.push(octets),
                OfferingOutput::SendBody { part, from, octets } => {
                    buffered.flush(&mut self.send, &self.pace).await?;
                    let (mut at, end) = (from, from + octets);
                    while at < end {
                        let most = usize::try_from(end - at).unwrap_or(CHUNK_OCTETS).min(CHUNK_OCTETS);
                        let chunk: Bytes = source.read(part, at, most).await.map_err(unreadable)?;
                        if chunk.is_empty() {
                            return Err(unreadable(std::io::ErrorKind::UnexpectedEof.into()));
                        }
                        at += chunk.len() as u64;
                        self.pace.write(&mut self.send, chunk).await?;
                    }
                }
                OfferingOutput::MakeSlice { part, offset, octets } => {
                    // It costs much, and who has gone does not wait for it. keeps: SEC-10
                    let slice = tokio::select! {
                        biased;
                        _ = self.send.delivered() => return Err(End::Transport),
                        slice = source.slice(part, offset, octets) => slice.map_err(unreadable)?,
                    };
                    for octets in slice_content(part, offset, slice) {
                        buffered.push(octets);
                    }
                }
                OfferingOutput::Finish | OfferingOutput::Event(_) => {}
            }
        }
        buffered.flush(&mut self.send, &self.pace).await?;
        self.send.finish();
        self.pace.delivered(&mut self.send).await?;
        Ok(())
    }

    /// Tells the peer why, where it can still be told, and gives the stream up.
    async fn end(&mut self, end: End, link: &Link) {
        let (failure, code) = match end {
            End::Transport => return,
            End::Refused(failure) => (failure, Code::NotWanted),
            End::Protocol(error) => {
                (Failure { code: error.code(), text: error.to_string() }, given_up(&error))
            }
        };
        let _ = self.receive.stop(code.into());
        let told = self.pace.write(&mut self.send, encode(&Frame::Failure(failure))).await;
        if told.is_ok() {
            self.send.finish();
            let _ = self.pace.delivered(&mut self.send).await;
        } else if link.ended().is_none() {
            self.send.reset(code);
        }
    }
}
