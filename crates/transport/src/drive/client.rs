//! The side that opens streams.

use bytes::Bytes;
use message::{Identity, Selection};
use protocol::{
    Asking, AskingEvent, AskingOutput, Frame, Offer, Offering, OfferingEvent, OfferingOutput, Outcome,
    Settings, Supply,
};
use quinn::RecvStream;

use super::{AskError, CHUNK_OCTETS, ContentSink, Source, given_up};
use crate::{Code, Link, Pace, SendStream};

/// The machines are told the time by the driver's own limits: stalls are seen by [`Pace`].
const NO_CLOCK: u64 = 0;

/// Offers a message and supplies what is wanted until the outcome is there. `observe` hears of each step.
///
/// # Errors
/// [`AskError`]; after one that is not [`AskError::Failed`] it is not known whether the peer has the message: offering
/// it again gives the same answer.
pub async fn offer(
    link: &Link,
    pace: Pace,
    offer: Offer,
    supply: Supply,
    settings: &Settings,
    source: &dyn Source,
    mut observe: impl FnMut(&OfferingEvent) + Send,
) -> Result<Outcome, AskError> {
    let (mut send, mut receive) = link.open_bi().await?;
    let mut machine = Offering::new(NO_CLOCK, offer, supply, settings);
    let mut buffered = Buffered::default();
    // The receiver may answer while something still goes out: an answer stops the rest, and is read all the same.
    let mut wanted = true;
    loop {
        while let Some(output) = machine.poll() {
            match output {
                OfferingOutput::Send(_)
                | OfferingOutput::SendBody { .. }
                | OfferingOutput::MakeSlice { .. }
                    if !wanted => {}
                OfferingOutput::Send(octets) => buffered.push(octets),
                OfferingOutput::SendBody { part, from, octets } => {
                    let body = (part, from, octets);
                    wanted = still_wanted(buffered.flush(&mut send, &pace).await)?
                        && send_body(&mut send, &mut receive, &pace, &mut machine, source, body).await?;
                    if !wanted {
                        break;
                    }
                }
                OfferingOutput::MakeSlice { part, offset, octets } => {
                    wanted = still_wanted(buffered.flush(&mut send, &pace).await)?;
                    if !wanted {
                        break;
                    }
                    // It costs much, and who takes no more does not wait for it. keeps: SEC-10
                    tokio::select! {
                        biased;
                        stopped = send.delivered() => wanted = still_wanted(stopped)?,
                        slice = source.slice(part, offset, octets) => {
                            machine.slice(part, offset, slice.map_err(local)?);
                        }
                    }
                }
                OfferingOutput::Finish => {}
                OfferingOutput::Event(event) => {
                    observe(&event);
                    match event {
                        OfferingEvent::Outcome(outcome) => {
                            send.finish();
                            return Ok(outcome);
                        }
                        OfferingEvent::Failed(failure) => {
                            send.finish();
                            return Err(AskError::Failed(failure));
                        }
                        OfferingEvent::Wanted(_) => {}
                    }
                }
            }
        }
        wanted = wanted && still_wanted(buffered.flush(&mut send, &pace).await)?;
        let octets = pace.read(&mut receive, CHUNK_OCTETS).await?;
        machine
            .handle(NO_CLOCK, octets.as_deref())
            .map_err(|error| give_up(&mut send, &mut receive, error))?;
    }
}

/// Gives a stream up on which the peer broke a rule.
fn give_up(send: &mut SendStream, receive: &mut RecvStream, error: protocol::Error) -> AskError {
    let code = given_up(&error);
    send.reset(code);
    // Fails only where the stream has ended, and then there is nothing to stop.
    let _ = receive.stop(code.into());
    error.into()
}

/// Sends a body; `false` where the peer has answered meanwhile and the rest is of no use.
async fn send_body(
    send: &mut SendStream,
    receive: &mut RecvStream,
    pace: &Pace,
    machine: &mut Offering,
    source: &dyn Source,
    (part, from, octets): (usize, u64, u64),
) -> Result<bool, AskError> {
    let (mut at, end) = (from, from + octets);
    while at < end {
        let most = usize::try_from(end - at).unwrap_or(CHUNK_OCTETS).min(CHUNK_OCTETS);
        let chunk = source.read(part, at, most).await.map_err(local)?;
        if chunk.is_empty() || chunk.len() > most {
            send.reset(Code::Internal);
            return Err(AskError::Local("a part is shorter than its manifest says".into()));
        }
        at += chunk.len() as u64;
        tokio::select! {
            biased;
            answer = pace.read(receive, CHUNK_OCTETS) => {
                machine
                    .handle(NO_CLOCK, answer?.as_deref())
                    .map_err(|error| give_up(send, receive, error))?;
                send.reset(Code::NotWanted);
                return Ok(false);
            }
            written = pace.write(send, chunk) => if !still_wanted(written)? {
                return Ok(false);
            },
        }
    }
    Ok(true)
}

/// Whether the peer takes more of what is written. Where it does not, with whatever code, what it has said about that
/// is on its way, or the reset of its own half. keeps: TRA-23
fn still_wanted(written: Result<(), crate::Error>) -> Result<bool, crate::Error> {
    match written {
        Err(crate::Error::StreamAborted { .. }) => Ok(false),
        written => written.map(|()| true),
    }
}

/// Sends one request and waits for its reply.
///
/// # Errors
/// [`AskError`]; a reply of the type failure is [`AskError::Failed`].
pub async fn ask(link: &Link, pace: Pace, request: &Frame) -> Result<Frame, AskError> {
    match exchange(link, pace, request, None).await? {
        Some(Frame::Failure(failure)) => Err(AskError::Failed(failure)),
        Some(reply) => Ok(reply),
        None => Err(protocol::Error::OutOfOrder("content where one frame is due").into()),
    }
}

/// Fetches content of a message in the mailbox into a sink.
///
/// # Errors
/// As [`ask`].
pub async fn fetch(
    link: &Link,
    pace: Pace,
    identity: Identity,
    selection: Selection,
    sink: &mut dyn ContentSink,
) -> Result<(), AskError> {
    match exchange(link, pace, &Frame::Fetch { identity, selection }, Some(sink)).await? {
        None => Ok(()),
        Some(Frame::Failure(failure)) => Err(AskError::Failed(failure)),
        Some(_) => Err(protocol::Error::OutOfOrder("a frame where content is due").into()),
    }
}

/// Drives one request: the reply, or `None` once all content is in the sink.
async fn exchange(
    link: &Link,
    pace: Pace,
    request: &Frame,
    mut sink: Option<&mut dyn ContentSink>,
) -> Result<Option<Frame>, AskError> {
    let (mut send, mut receive) = link.open_bi().await?;
    let mut machine = Asking::new(NO_CLOCK, request);
    loop {
        while let Some(output) = machine.poll() {
            match (output, &mut sink) {
                (AskingOutput::Send(octets), _) => {
                    still_wanted(pace.write(&mut send, octets).await)?;
                }
                (AskingOutput::Finish, _) => send.finish(),
                (AskingOutput::Event(AskingEvent::Reply(reply)), _) => return Ok(Some(reply)),
                (AskingOutput::Event(AskingEvent::Content(head)), Some(sink)) => {
                    sink.piece(head).map_err(local)?
                }
                (AskingOutput::Event(AskingEvent::Octets(octets)), Some(sink)) => {
                    sink.octets(octets).map_err(local)?
                }
                (AskingOutput::Event(_), _) => return Ok(None),
            }
        }
        let octets = pace.read(&mut receive, CHUNK_OCTETS).await?;
        machine
            .handle(NO_CLOCK, octets.as_deref())
            .map_err(|error| give_up(&mut send, &mut receive, error))?;
    }
}

fn local(error: std::io::Error) -> AskError {
    AskError::Local(error.to_string())
}

/// Small pieces gathered into one write, so that an offer with its content leaves in as few packets as it can.
#[derive(Default)]
pub(super) struct Buffered(Vec<u8>);

impl Buffered {
    pub(super) fn push(&mut self, octets: Bytes) {
        self.0.extend_from_slice(&octets);
    }

    pub(super) async fn flush(&mut self, send: &mut SendStream, pace: &Pace) -> Result<(), crate::Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        pace.write(send, Bytes::from(std::mem::take(&mut self.0))).await
    }
}
