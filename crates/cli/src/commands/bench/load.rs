//! The load: so many at once, over so many connections, at most at this rate, for so long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use message::{Cookie, Disposition};
use protocol::{Frame, Settings};
use tokio::task::JoinSet;
use transport::{Alpn, Client, Code, Connected, Expectation, HostKey, Limits, Pace};

use super::super::view::details;
use super::latency::Latency;
use super::letter::{Letter, Mould};
use crate::client::{bind, open};
use crate::limits::PREPARED_LETTERS_MAX;
use crate::output::Output;
use crate::{BenchLoad, Error, NodeAddress, clock};

/// The connections over which a load goes.
pub(super) struct Lines {
    client: Client,
    lines: Vec<Line>,
}

#[derive(Clone)]
struct Line {
    connected: Connected,
    settings: Settings,
}

/// What is done again and again.
pub(super) enum Work {
    /// Messages are offered: those that were made before, and then new ones.
    Letters { mould: Box<Mould>, prepared: Vec<Letter> },
    /// Cookies are asked about.
    Polls { cookies: usize },
}

/// What came of it.
pub(super) struct Tally {
    /// How many were answered well.
    pub(super) done: u64,
    /// How many were answered otherwise.
    pub(super) refused: u64,
    /// How many had no answer.
    pub(super) failed: u64,
    /// What was wrong the first time.
    pub(super) trouble: Option<String>,
    /// How long the answers took.
    pub(super) latency: Latency,
    /// From the first question to the last answer.
    pub(super) took: Duration,
    /// When the first question was asked.
    pub(super) began: Instant,
    /// Octets in UDP datagrams from here, and to here.
    pub(super) wire: (u64, u64),
}

impl Lines {
    /// Opens the connections.
    pub(super) async fn open(
        node: &NodeAddress,
        alpn: Alpn,
        expectation: &Expectation,
        identity: HostKey,
        count: u32,
    ) -> Result<Lines, Error> {
        let client = bind(identity)?;
        let mut lines = Vec::new();
        for _ in 0..count {
            let (connected, settings) = open(&client, node, alpn, expectation).await?;
            lines.push(Line { connected, settings });
        }
        Ok(Lines { client, lines })
    }

    /// Says goodbye.
    pub(super) async fn close(self) {
        for line in &self.lines {
            line.connected.close(Code::NoError, "");
        }
        self.client.close("").await;
    }

    fn wire(&self) -> (u64, u64) {
        let all = self.lines.iter().map(|line| line.connected.statistics());
        all.fold((0, 0), |(sent, got), one| (sent + one.udp_tx.bytes, got + one.udp_rx.bytes))
    }
}

impl Work {
    /// Messages of this mould; as many as are sure to be needed are made now, so that making them costs the run nothing.
    pub(super) fn letters(mould: Mould, load: &BenchLoad) -> Result<Work, Error> {
        let expected = match (load.messages, load.rate, load.time()) {
            (Some(messages), _, _) => messages,
            (None, Some(rate), Some(time)) => u64::from(rate).saturating_mul(time.as_secs()),
            (None, _, _) => PREPARED_LETTERS_MAX,
        };
        let prepared = (0..expected.min(PREPARED_LETTERS_MAX))
            .map(|number| mould.letter(number))
            .collect::<Result<_, Error>>()?;
        Ok(Work::Letters { mould: Box::new(mould), prepared })
    }

    /// Does it once; words where the answer is a bad one.
    async fn once(&self, line: &Line, number: u64) -> Result<Result<(), String>, Error> {
        let pace = Pace::start(&Limits::default());
        let asked = |error| Error::asked("the node", error);
        match self {
            Work::Letters { mould, prepared } => {
                let made;
                let letter = match usize::try_from(number).ok().and_then(|number| prepared.get(number)) {
                    Some(letter) => letter,
                    None => {
                        made = mould.letter(number)?;
                        &made
                    }
                };
                let (offer, supply) = (mould.offer(letter, number), letter.supply());
                let link = line.connected.link();
                let outcome = transport::offer(link, pace, offer, supply, &line.settings, letter, |_| {});
                let outcome = outcome.await.map_err(asked)?;
                let bad = outcome.dispositions.into_iter().find(|one| !is_good(one));
                Ok(bad.map_or(Ok(()), |bad| Err(format!("{}: {}{}", bad.word(), details(&bad), cause(&bad)))))
            }
            Work::Polls { cookies } => {
                let poll = Frame::Poll((0..*cookies as u64).map(|place| cookie(number, place)).collect());
                match transport::ask(line.connected.link(), pace, &poll).await.map_err(asked)? {
                    Frame::Answers(_) => Ok(Ok(())),
                    _ => Ok(Err("the answer to a poll is not one".to_owned())),
                }
            }
        }
    }
}

/// What a node that defers a load is most likely about.
fn cause(disposition: &Disposition) -> &'static str {
    match disposition {
        Disposition::Deferred { code, .. } if (code.subject, code.detail) == (7, 1) => {
            "; the node's [rates] allow no more (`waxwing bench submit --help`)"
        }
        _ => "",
    }
}

/// What all workers share.
struct Run {
    work: Work,
    next: AtomicU64,
    answered: AtomicU64,
    messages: Option<u64>,
    rate: Option<u32>,
    began: Instant,
    end: Option<Instant>,
}

/// Runs the load to its end.
pub(super) async fn run(lines: &Lines, work: Work, load: &BenchLoad, output: &Output) -> Tally {
    let began = clock::instant();
    let before = lines.wire();
    let run = Arc::new(Run {
        work,
        next: AtomicU64::new(0),
        answered: AtomicU64::new(0),
        messages: load.messages,
        rate: load.rate,
        began,
        end: load.time().map(|time| began + time),
    });
    let mut workers = JoinSet::new();
    for number in 0..load.in_flight as usize {
        let line = lines.lines[number % lines.lines.len()].clone();
        workers.spawn(worker(run.clone(), line));
    }
    let show = tokio::spawn(show_progress(run.clone(), output.shows_progress()));
    let mut tally = Tally::new(began);
    while let Some(ended) = workers.join_next().await {
        match ended {
            Ok(own) => tally.add(own),
            Err(error) => tally.fail(error.to_string()),
        }
    }
    show.abort();
    tally.took = clock::instant().duration_since(began);
    let after = lines.wire();
    tally.wire = (after.0 - before.0, after.1 - before.1);
    tally
}

async fn worker(run: Arc<Run>, line: Line) -> Tally {
    let mut tally = Tally::new(run.began);
    loop {
        let number = run.next.fetch_add(1, Ordering::Relaxed);
        if run.messages.is_some_and(|messages| number >= messages) {
            return tally;
        }
        if let Some(rate) = run.rate {
            let due = run.began + Duration::from_secs_f64(number as f64 / f64::from(rate));
            tokio::time::sleep_until(due.into()).await;
        }
        let asked = clock::instant();
        if run.end.is_some_and(|end| asked >= end) {
            return tally;
        }
        let answer = run.work.once(&line, number).await;
        run.answered.fetch_add(1, Ordering::Relaxed);
        tally.latency.count(clock::instant().duration_since(asked));
        match answer {
            Ok(Ok(())) => tally.done += 1,
            Ok(Err(words)) => tally.refuse(words),
            Err(error) => {
                // The connection is most likely gone: going on would only count the same trouble.
                tally.fail(error.to_string());
                return tally;
            }
        }
    }
}

impl Tally {
    fn new(began: Instant) -> Tally {
        Tally {
            done: 0,
            refused: 0,
            failed: 0,
            trouble: None,
            latency: Latency::new(),
            took: Duration::ZERO,
            began,
            wire: (0, 0),
        }
    }

    fn add(&mut self, other: Tally) {
        self.done += other.done;
        self.refused += other.refused;
        self.failed += other.failed;
        self.trouble = self.trouble.take().or(other.trouble);
        self.latency.add(&other.latency);
    }

    fn refuse(&mut self, words: String) {
        self.refused += 1;
        self.trouble.get_or_insert(words);
    }

    fn fail(&mut self, words: String) {
        self.failed += 1;
        self.trouble.get_or_insert(words);
    }
}

async fn show_progress(run: Arc<Run>, shown: bool) {
    if !shown {
        return;
    }
    let bar = ProgressBar::with_draw_target(run.messages, ProgressDrawTarget::stderr());
    let template = "{elapsed_precise} {pos} answered, {msg}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let answered = run.answered.load(Ordering::Relaxed);
        bar.set_position(answered);
        bar.set_message(format!("{} in the last second", answered - before));
        before = answered;
    }
}

fn is_good(disposition: &Disposition) -> bool {
    matches!(disposition, Disposition::Accepted | Disposition::Pending { .. })
}

/// A cookie that nobody has given.
fn cookie(number: u64, place: u64) -> Cookie {
    let mut octets = [0x77; 32];
    octets[..8].copy_from_slice(&number.to_be_bytes());
    octets[8..16].copy_from_slice(&place.to_be_bytes());
    // Spread over all keys, as real ones are.
    Cookie::from_bytes(*message::Digest::of(&Bytes::copy_from_slice(&octets)).as_bytes())
}
