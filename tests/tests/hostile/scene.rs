//! A node with good and bad peers, and how one case goes.

use std::time::Duration;

use bytes::Bytes;
use message::address::Address;
use message::{Code, Disposition, Identity};
use protocol::{Frame, Item, Reader};
use tokio::sync::{Mutex, MutexGuard};
use transport::{Limits, Link, Pace};
use waxwing_tests::world::until;
use waxwing_tests::{Peer, Site, World, letter};

pub(crate) const BOB: &str = "bob@south.test";
pub(crate) const CAROL: &str = "carol@south.test";
pub(crate) const NODE: &str = "south.test";

/// One test after the other: what a process holds is measured, and all nodes run in this one.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Waits until no other test runs.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().await
}

/// How long an answer may take: a thousand times what one takes.
const ANSWER_TIME: Duration = Duration::from_secs(20);

/// What has to come back on the stream.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// One failure with one of these codes; the rest of what is sent is stopped as FRM-10 says.
    Failure(Vec<Code>),
    /// An outcome with just these dispositions.
    Outcome(Vec<Told>),
    /// This frame.
    Frame(Frame),
}

/// A disposition as far as the specification says it beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Accepted,
    Refused(Code),
    Pending,
    Deferred,
}

/// One rule broken, or kept where a reader might think that it is broken.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) rule: String,
    pub(crate) what: String,
    pub(crate) sent: Vec<u8>,
    /// Whether the stream ends behind what is sent.
    pub(crate) ended: bool,
    pub(crate) answer: Answer,
    /// The message that is Bob's afterwards.
    pub(crate) delivers: Option<Identity>,
}

impl Case {
    /// Octets after which the stream stays open, and the code of the failure that must come.
    pub(crate) fn fails(rule: &str, what: impl Into<String>, sent: Vec<u8>, code: Code) -> Case {
        Case {
            rule: rule.to_owned(),
            what: what.into(),
            sent,
            ended: false,
            answer: Answer::Failure(vec![code]),
            delivers: None,
        }
    }

    pub(crate) fn answers(rule: &str, what: impl Into<String>, sent: Vec<u8>, answer: Answer) -> Case {
        Case { answer, ..Case::fails(rule, what, sent, Code::INVALID_COMMAND) }
    }

    pub(crate) fn ended(self) -> Case {
        Case { ended: true, ..self }
    }

    pub(crate) fn delivers(self, identity: Identity) -> Case {
        Case { delivers: Some(identity), ..self }
    }
}

/// South, and who comes to it: Hand breaks rules, Good does not, Thief has what is not its own.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) hand: Peer,
    pub(crate) good: Peer,
    pub(crate) thief: Peer,
    letters: u32,
    pub(crate) peak: Peak,
    _alone: MutexGuard<'static, ()>,
}

impl Scene {
    pub(crate) async fn set() -> Scene {
        let _alone = alone().await;
        let south =
            Site::new(NODE).rule("hold-carol", CAROL, "hold all").limits("message-octets = 4000000\n");
        let sites = [Site::new("hand.test"), Site::new("good.test"), Site::new("thief.test"), south];
        let mut world = World::new(&sites).await;
        world.start(NODE).await;
        for (account, address) in [("bob", BOB), ("carol", CAROL), ("dora", "dora@south.test")] {
            let address = Address::parse(address).unwrap();
            world.node(NODE).put_account(account, &[address], None).await.unwrap();
        }
        let [hand, good, thief] = [
            world.peer("hand.test", NODE).await,
            world.peer("good.test", NODE).await,
            world.peer("thief.test", NODE).await,
        ];
        Scene { world, hand, good, thief, letters: 0, peak: Peak::begin(), _alone }
    }

    /// A good peer's letter goes through, on a connection of its own.
    pub(crate) async fn others_are_served(&mut self, after: &str) {
        self.letters += 1;
        let message = letter("carl@good.test", &format!("letter {}", self.letters));
        let outcome = self.good.offer(&message, &["dora@south.test"]).await;
        let outcome = outcome.unwrap_or_else(|error| panic!("after {after}: {error}"));
        assert_eq!(outcome.dispositions, [Disposition::Accepted], "after {after}");
    }

    /// Goes through cases on one connection, which outlives them all.
    pub(crate) async fn check(&mut self, link: &Link, cases: &[Case]) {
        let mut expected = self.bobs();
        let mut broken = Vec::new();
        for (number, case) in cases.iter().enumerate() {
            if let Err(found) = check(link, case).await {
                broken.push(format!("{}, {}: {found}", case.rule, case.what));
            }
            self.peak.sample();
            expected.extend(case.delivers);
            if number % 25 == 24 {
                self.others_are_served(&case.what).await;
            }
        }
        self.others_are_served("the last case").await;
        assert!(broken.is_empty(), "{} of {} cases:\n{}", broken.len(), cases.len(), broken.join("\n"));
        assert!(link.ended().is_none(), "a broken rule costs its stream and not the connection");
        let mut found = self.bobs();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "what was refused is nowhere, what was taken stands there once");
    }

    /// The messages in Bob's mailbox.
    fn bobs(&self) -> Vec<Identity> {
        let entries = self.world.node(NODE).store().mailbox("bob", None, 10_000).unwrap();
        entries.into_iter().map(|entry| entry.identity).collect()
    }
}

async fn check(link: &Link, case: &Case) -> Result<(), String> {
    let (mut send, mut receive) = link.open_bi().await.map_err(|error| error.to_string())?;
    let pace = Pace::start(&Limits { stall_time: ANSWER_TIME, ..Limits::default() });
    // The node may have given the stream up before it has all.
    let _ = pace.write(&mut send, Bytes::from(case.sent.clone())).await;
    if case.ended {
        send.finish();
    }
    let mut reader = Reader::new();
    let mut items = Vec::new();
    loop {
        match pace.read(&mut receive, 1 << 16).await {
            Ok(Some(octets)) => reader.push(&octets),
            Ok(None) => break,
            Err(error) => return Err(format!("{error} behind {items:?}")),
        }
        while let Some(item) = reader.next_item().map_err(|error| error.to_string())? {
            items.push(item);
        }
    }
    let [Item::Frame(frame)] = &items[..] else { return Err(format!("not one frame: {items:?}")) };
    let as_it_must_be = match (&case.answer, frame) {
        (Answer::Failure(codes), Frame::Failure(failure)) => {
            if !case.ended {
                check_stopped(&send, failure.code).await?;
            }
            codes.contains(&failure.code) && !failure.text.chars().any(char::is_control)
        }
        (Answer::Outcome(told), Frame::Outcome(outcome)) => {
            let found: Vec<Told> = outcome.dispositions.iter().map(told_of).collect();
            found == *told
        }
        (Answer::Frame(expected), found) => found == expected,
        _ => false,
    };
    let whole = as_it_must_be && reader.at_boundary();
    if whole { Ok(()) } else { Err(format!("{frame:?}, not {:?}", case.answer)) }
}

/// The node says that it reads no more, with the number that goes with the code.
async fn check_stopped(send: &transport::SendStream, code: Code) -> Result<(), String> {
    let stopped = tokio::time::timeout(ANSWER_TIME, send.delivered()).await;
    let Ok(Err(transport::Error::StreamAborted { number })) = stopped else {
        return Err(format!("the stream was not given up: {stopped:?}"));
    };
    // spec/05-frames.md, FRM-10; NOT_WANTED where it was the node that refused what was well formed.
    let expected = match code {
        Code::MESSAGE_TOO_LARGE => transport::Code::FrameTooLarge,
        Code::BAD_CONNECTION => transport::Code::Cancelled,
        _ => transport::Code::ProtocolViolation,
    };
    match transport::Code::from_number(number) {
        Some(found) if found == expected || found == transport::Code::NotWanted => Ok(()),
        found => Err(format!("given up with {found:?} for {code}, not {expected:?}")),
    }
}

fn told_of(disposition: &Disposition) -> Told {
    match disposition {
        Disposition::Accepted => Told::Accepted,
        Disposition::Refused { code, .. } => Told::Refused(*code),
        Disposition::Pending { .. } => Told::Pending,
        Disposition::Deferred { .. } => Told::Deferred,
        other => panic!("{other:?}"),
    }
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// File descriptors.
    pub(crate) files: usize,
    /// Memory that is resident, in KiB.
    pub(crate) resident_kib: u64,
}

impl Held {
    /// By this process, in which the nodes of a world run.
    pub(crate) fn now() -> Held {
        Held { files: std::fs::read_dir("/proc/self/fd").unwrap().count(), resident_kib: kib("VmRSS:") }
    }

    /// Waits until no more than this is held beyond what was held before.
    pub(crate) async fn check_after(self, what: &str, files: usize, resident_kib: u64) {
        let back = until(|| {
            let now = Held::now();
            now.files <= self.files + files && now.resident_kib <= self.resident_kib + resident_kib
        })
        .await;
        let now = Held::now();
        assert!(back, "after {what}: {now:?}, before {self:?}");
        println!(
            "{what}: {} KiB more resident than before, {} file descriptors more",
            now.resident_kib as i64 - self.resident_kib as i64,
            now.files as i64 - self.files as i64
        );
    }
}

/// What the kernel says of the memory of this process (proc(5)).
fn kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// The most that a process has held since some moment: what is given back again counts as well.
#[derive(Debug)]
pub(crate) struct Peak {
    before: Held,
    /// File descriptors, of all samples.
    files: usize,
}

impl Peak {
    /// Of this process, from now on.
    pub(crate) fn begin() -> Peak {
        // VmHWM is set to what is resident now.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = Held::now();
        Peak { before, files: before.files }
    }

    /// Counts the file descriptors of this moment. Of memory the kernel knows the peak by itself.
    pub(crate) fn sample(&mut self) {
        self.files = self.files.max(Held::now().files);
    }

    /// File descriptors and KiB of memory that were held at the most beyond those of the beginning.
    fn more(&mut self) -> (usize, u64) {
        self.sample();
        (self.files - self.before.files, kib("VmHWM:").saturating_sub(self.before.resident_kib))
    }

    /// Checks that never more than this was held beyond what was held in the beginning.
    pub(crate) fn check(&mut self, what: &str, files: usize, resident_kib: u64) {
        let (more_files, more_kib) = self.more();
        println!("{what}: {more_kib} KiB more resident at the most, {more_files} file descriptors more");
        assert!(more_files <= files && more_kib <= resident_kib, "{what}: at the most {self:?}");
    }
}

/// What was held and given back is seen: 64 MiB that were written to, and 40 files.
#[tokio::test]
async fn a_peak_is_seen_when_it_is_over() {
    let _alone = alone().await;
    // Where other tests were in this process, what they had may go meanwhile.
    let seen = || {
        let mut peak = Peak::begin();
        let files: Vec<_> = (0..40).map(|_| std::fs::File::open("/proc/self/status").unwrap()).collect();
        drop(std::hint::black_box(vec![1_u8; 64 << 20]));
        peak.sample();
        drop(files);
        let (files, kib) = peak.more();
        files >= 40 && kib >= 60 * 1024
    };
    assert!(waxwing_tests::world::until(seen).await);
    let begins_anew = || {
        let (files, kib) = Peak::begin().more();
        files < 10 && kib < 8 * 1024
    };
    assert!(waxwing_tests::world::until(begins_anew).await);
}
