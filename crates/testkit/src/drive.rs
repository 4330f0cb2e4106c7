//! Drives the machines of `protocol` over simulated streams, as `transport` does over those of QUIC.

use std::sync::Arc;

use bytes::Bytes;
use message::{Code, Disposition};
use protocol::{
    Answering, AnsweringEvent, AnsweringOutput, Asking, AskingEvent, AskingOutput, Failure, Frame, Offer,
    Offering, OfferingEvent, OfferingOutput, Outcome, Protocol, Settings, Supply, encode,
};
use transport::{Reply, Session, Source, Step};

use crate::network::{Lost, Pipe};

/// Octets of a body that are read at a time.
const CHUNK_OCTETS: usize = 16 * 1024;

/// Why a transaction has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The stream was lost.
    Lost(Lost),
    /// What the other side said makes no sense.
    Protocol(protocol::Error),
    /// The other side has said that it cannot.
    Failed(Failure),
    /// The content could not be read here.
    Local(String),
}

impl From<Lost> for Broken {
    fn from(lost: Lost) -> Broken {
        Broken::Lost(lost)
    }
}

impl From<protocol::Error> for Broken {
    fn from(error: protocol::Error) -> Broken {
        Broken::Protocol(error)
    }
}

/// Offers a message and supplies what is wanted until the outcome is there.
///
/// # Errors
/// [`Broken`]; after one that is not [`Broken::Failed`] it is not known whether the peer has the message.
pub(crate) async fn offer(
    pipe: &mut Pipe,
    offer: Offer,
    supply: Supply,
    settings: &Settings,
    source: &dyn Source,
) -> Result<Outcome, Broken> {
    let mut machine = Offering::new(now(pipe), offer, supply, settings);
    loop {
        while let Some(output) = machine.poll() {
            match output {
                OfferingOutput::Send(octets) => pipe.write(octets).await,
                OfferingOutput::SendBody { part, from, octets } => {
                    send_body(pipe, source, (part, from, octets)).await?
                }
                OfferingOutput::MakeSlice { part, offset, octets } => {
                    let slice = source.slice(part, offset, octets).await.map_err(local)?;
                    machine.slice(part, offset, slice);
                }
                OfferingOutput::Event(OfferingEvent::Outcome(outcome)) => return Ok(outcome),
                OfferingOutput::Event(OfferingEvent::Failed(failure)) => return Err(Broken::Failed(failure)),
                OfferingOutput::Event(OfferingEvent::Wanted(_)) | OfferingOutput::Finish => {}
            }
        }
        let octets = pipe.read().await?;
        machine.handle(now(pipe), octets.as_deref())?;
    }
}

async fn send_body(
    pipe: &mut Pipe,
    source: &dyn Source,
    (part, from, octets): (usize, u64, u64),
) -> Result<(), Broken> {
    let (mut at, end) = (from, from + octets);
    while at < end {
        let most = usize::try_from(end - at).unwrap_or(CHUNK_OCTETS).min(CHUNK_OCTETS);
        let chunk = source.read(part, at, most).await.map_err(local)?;
        if chunk.is_empty() {
            return Err(Broken::Local("a part is shorter than its manifest says".to_owned()));
        }
        at += chunk.len() as u64;
        pipe.write(chunk).await;
    }
    Ok(())
}

/// Sends one request and waits for its reply.
///
/// # Errors
/// [`Broken`].
pub(crate) async fn ask(pipe: &mut Pipe, request: &Frame) -> Result<Frame, Broken> {
    let mut machine = Asking::new(now(pipe), request);
    loop {
        while let Some(output) = machine.poll() {
            match output {
                AskingOutput::Send(octets) => pipe.write(octets).await,
                AskingOutput::Finish => pipe.finish(),
                AskingOutput::Event(AskingEvent::Reply(Frame::Failure(failure))) => {
                    return Err(Broken::Failed(failure));
                }
                AskingOutput::Event(AskingEvent::Reply(reply)) => return Ok(reply),
                AskingOutput::Event(_) => return Err(Broken::Local("no content was asked for".to_owned())),
            }
        }
        let octets = pipe.read().await?;
        machine.handle(now(pipe), octets.as_deref())?;
    }
}

/// Why a stream ended before its answer.
enum End {
    Lost,
    Protocol(protocol::Error),
    Refused(Failure),
}

/// Answers one stream.
pub(crate) async fn answer(
    mut pipe: Pipe,
    protocol: Protocol,
    settings: Settings,
    session: Arc<dyn Session>,
) {
    let failure = match try_answer(&mut pipe, protocol, settings, session).await {
        Ok(()) | Err(End::Lost) => return,
        Err(End::Protocol(error)) => Failure { code: error.code(), text: error.to_string() },
        Err(End::Refused(failure)) => failure,
    };
    pipe.write(encode(&Frame::Failure(failure))).await;
    pipe.finish();
}

async fn try_answer(
    pipe: &mut Pipe,
    protocol: Protocol,
    settings: Settings,
    session: Arc<dyn Session>,
) -> Result<(), End> {
    let mut machine = Answering::with_settings(now(pipe), protocol, settings);
    let mut offer = None;
    loop {
        while let Some(output) = machine.poll() {
            match output {
                AnsweringOutput::Send(octets) => pipe.write(octets).await,
                AnsweringOutput::Finish => {
                    pipe.finish();
                    return Ok(());
                }
                AnsweringOutput::Event(AnsweringEvent::Asked(request)) => match session.ask(request).await {
                    Reply::Frame(frame) => machine.reply(&frame),
                    Reply::Content { .. } => {
                        let text = "content is not fetched in this network".to_owned();
                        machine.fail(Failure { code: Code::INVALID_COMMAND, text });
                    }
                },
                AnsweringOutput::Event(event) => {
                    let offer = offer.get_or_insert_with(|| session.offer());
                    match offer.handle(event).await.map_err(End::Refused)? {
                        Step::Continue => {}
                        Step::Know(manifest) => machine.know(*manifest).map_err(End::Protocol)?,
                        Step::Want(selection) => machine.want(now(pipe), selection).map_err(End::Protocol)?,
                        Step::Answer(outcome) => {
                            while machine.poll().is_some() {}
                            machine.answer(&outcome);
                        }
                    }
                }
            }
        }
        let octets = pipe.read().await.map_err(|_| End::Lost)?;
        machine.handle(now(pipe), octets.as_deref()).map_err(End::Protocol)?;
        if octets.is_none() {
            return Err(End::Protocol(protocol::Error::Truncated));
        }
    }
}

/// The cookies in an answer, by the places of their recipients.
pub(crate) fn cookies(dispositions: &[Disposition]) -> impl Iterator<Item = (usize, message::Cookie)> {
    dispositions.iter().enumerate().filter_map(|(place, disposition)| match disposition {
        Disposition::Pending { cookie, .. } => Some((place, *cookie)),
        _ => None,
    })
}

/// Bodies in memory, in the order of the leaves.
pub(crate) struct Bodies(Vec<(usize, Bytes)>);

impl Bodies {
    /// The bodies of a message.
    pub(crate) fn of(message: &message::Message) -> Bodies {
        let numbers = message.manifest().leaves().map(|(number, _, _)| number);
        Bodies(numbers.zip(message.bodies().iter().cloned()).collect())
    }
}

impl Source for Bodies {
    fn read(
        &self,
        part: usize,
        offset: u64,
        octets_max: usize,
    ) -> transport::Later<'_, std::io::Result<Bytes>> {
        let body = self.0.iter().find(|(number, _)| *number == part).map(|(_, body)| body.clone());
        Box::pin(async move {
            let body = body.ok_or(std::io::ErrorKind::NotFound)?;
            let at = usize::try_from(offset).unwrap_or(usize::MAX).min(body.len());
            Ok(body.slice(at..body.len().min(at.saturating_add(octets_max))))
        })
    }

    fn slice(&self, _: usize, _: u64, _: u64) -> transport::Later<'_, std::io::Result<Bytes>> {
        Box::pin(async { Err(std::io::ErrorKind::Unsupported.into()) })
    }
}

fn now(pipe: &Pipe) -> u64 {
    pipe.timeline().elapsed_ms()
}

fn local(error: std::io::Error) -> Broken {
    Broken::Local(error.to_string())
}
