//! Both nodes are killed at random moments, with SIGKILL and under load, and started again. What was acknowledged is in
//! its mailboxes once, what was refused is refused, and both stores are whole.
//!
//! `WAXWING_TORTURE_KILLS` sets the number of kills (24 where it is not set), `WAXWING_TORTURE_SEED` the moments.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cli::client::{Composition, Outgoing};
use message::address::Address;
use message::{Code, Disposition, Identity};
use protocol::SubmissionOptions;
use tokio::sync::watch;
use waxwing_tests::torture::{Random, Trouble, User, World, mailbox, read_all, setting, statuses, until};

/// Users of north.test, each with at most one message on its way to the node.
const SENDERS: usize = 8;
/// Users of south.test.
const RECEIVERS: usize = 3;
/// How long everything may take to settle after the last kill: what a killed peer has half sent is given up by its
/// receiver after 30 seconds, and only then is taken again.
const SETTLE_TIME: Duration = Duration::from_secs(100);

/// One message as its sender knows it.
struct Sent {
    /// Its subject, which no other message has.
    subject: String,
    /// The places of its receivers.
    receivers: Vec<usize>,
    /// Whether it also went to an address that does not exist.
    nobody: bool,
    /// What the node has acknowledged; `None` where the sender gave up without an answer.
    identity: Option<Identity>,
}

/// What is told to the senders: how many of them may send.
type Active = watch::Receiver<Option<usize>>;

#[tokio::test]
async fn nodes_are_killed_at_random_moments_and_nothing_is_lost_or_doubled() -> Result<(), Trouble> {
    let (kills, seed) = (setting("WAXWING_TORTURE_KILLS", 24), setting("WAXWING_TORTURE_SEED", 1));
    println!("kills {kills}, seed {seed}");
    let mut world = World::lay_out(|_| {}).await?;
    let senders = names("sender", SENDERS);
    let senders = User::open_accounts(&world.north, &senders).await?;
    let receivers = User::open_accounts(&world.south, &names("receiver", RECEIVERS)).await?;
    world.start()?;
    let tasks = tokio::task::LocalSet::new();
    let result = tasks.run_until(run(&mut world, &senders, &receivers, kills, seed)).await;
    if result.is_err() {
        println!("{}\n{}", world.north.last_words(), world.south.last_words());
        println!("kept: {}", world.keep().display());
    }
    result
}

async fn run(
    world: &mut World,
    senders: &[User],
    receivers: &[User],
    kills: u64,
    seed: u64,
) -> Result<(), Trouble> {
    let (active, heard) = watch::channel(Some(SENDERS));
    let addresses: Vec<Address> = receivers.iter().map(|user| user.address.clone()).collect();
    let folder = world.folder().to_owned();
    let sending: Vec<_> = senders
        .iter()
        .enumerate()
        .map(|(place, user)| {
            let sender = Sender {
                user: user.clone(),
                place,
                random: Random::new(seed ^ (place as u64 + 1) << 32),
                addresses: addresses.clone(),
                folder: folder.clone(),
            };
            tokio::task::spawn_local(sender.send(heard.clone()))
        })
        .collect();
    kill_at_random(world, &active, kills, &mut Random::new(seed)).await?;
    active.send_replace(None);
    let mut sent = Vec::new();
    for sender in sending {
        sent.push(sender.await??);
    }
    let begun = tokio::time::Instant::now();
    check_settled(senders, &sent).await?;
    println!("settled {} s after the last kill", begun.elapsed().as_secs());
    let sent: Vec<Sent> = sent.into_iter().flatten().collect();
    print_repetitions(world, sent.len())?;
    check_mailboxes(world, receivers, &sent).await?;
    check_stores(world)
}

async fn kill_at_random(
    world: &mut World,
    active: &watch::Sender<Option<usize>>,
    kills: u64,
    random: &mut Random,
) -> Result<(), Trouble> {
    let mut killed = [0; 2];
    for _ in 0..kills {
        // At first the nodes have to come up; then from the middle of starting to long after.
        tokio::time::sleep(Duration::from_millis(random.between(50, 1_200))).await;
        let north = random.between(0, 1) == 0;
        killed[usize::from(north)] += 1;
        let node = if north { &mut world.north } else { &mut world.south };
        node.kill()?;
        node.start()?;
        active.send_replace(Some(random.between(1, SENDERS as u64) as usize));
    }
    println!("killed: south.test {} times, north.test {} times", killed[0], killed[1]);
    Ok(())
}

/// One user who sends for as long as the test lasts.
struct Sender {
    user: User,
    place: usize,
    random: Random,
    addresses: Vec<Address>,
    folder: PathBuf,
}

impl Sender {
    async fn send(mut self, mut active: Active) -> Result<Vec<Sent>, Trouble> {
        let mut sent = Vec::new();
        let mut session = self.user.session().await?;
        loop {
            let place = self.place;
            if active.wait_for(|count| count.is_none_or(|count| place < count)).await?.is_none() {
                session.close().await;
                return Ok(sent);
            }
            let (mut one, outgoing, recipients) = self.compose(sent.len())?;
            let options = SubmissionOptions::default();
            match session.submit(&outgoing, &recipients, options, &|_| {}).await {
                Ok(submitted) => one.identity = Some(submitted.identity),
                Err(error) => {
                    println!("{}: not acknowledged: {error}", one.subject);
                    session = self.user.session().await?;
                }
            }
            sent.push(one);
            tokio::time::sleep(Duration::from_millis(self.random.between(0, 60))).await;
        }
    }

    /// A message without Date and Message-Id, as the user's program makes it: made complete twice, it is two messages.
    fn compose(&mut self, number: usize) -> Result<(Sent, Outgoing, Vec<Address>), Trouble> {
        let subject = format!("message {number} of {}", self.user.account);
        let count = self.random.between(1, RECEIVERS as u64) as usize;
        let first = self.random.between(0, RECEIVERS as u64 - 1) as usize;
        let receivers: Vec<usize> = (first..first + count).map(|place| place % RECEIVERS).collect();
        let nobody = self.random.between(0, 5) == 0;
        let mut recipients: Vec<Address> =
            receivers.iter().map(|place| self.addresses[*place].clone()).collect();
        if nobody {
            recipients.push(Address::from_wire("nobody@south.test")?);
        }
        let mut attachments = Vec::new();
        if self.random.between(0, 4) == 0 {
            // Larger than what is kept in a record, so that it becomes a file on both sides.
            let path = self.folder.join(format!("{}.bin", self.user.account));
            let size = self.random.between(40 * 1024, 400 * 1024) as usize;
            replace(&path, &self.random.octets(size))?;
            attachments.push(path);
        }
        let text = format!("{subject}\n{}\n", "x".repeat(self.random.between(0, 4_000) as usize));
        let composition = Composition {
            from: self.user.address.clone(),
            to: recipients.clone(),
            subject: Some(subject.clone()),
            text,
            attachments,
        };
        Ok((Sent { subject, receivers, nobody, identity: None }, composition.compose()?, recipients))
    }
}

/// Writes a new file under this name: a message that is still being sent keeps reading the old one.
fn replace(path: &Path, octets: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, octets)?;
    std::fs::rename(&temporary, path)
}

/// Every submission is final for every recipient, and each disposition is what it must be.
async fn check_settled(senders: &[User], sent: &[Vec<Sent>]) -> Result<(), Trouble> {
    for (user, sent) in senders.iter().zip(sent) {
        let mut session = user.session().await?;
        let records = until(SETTLE_TIME, "final dispositions", async || {
            let records = statuses(&mut session).await?;
            let mut all = records.iter().flat_map(|record| &record.recipients);
            Ok(all.all(|one| one.disposition.is_final()).then_some(records))
        })
        .await?;
        session.close().await;
        let known: BTreeMap<Identity, _> = records.iter().map(|record| (record.identity, record)).collect();
        for one in sent {
            let Some(identity) = one.identity else { continue };
            let record = known.get(&identity).ok_or(format!("no status of {}", one.subject))?;
            assert_eq!(
                record.recipients.len(),
                one.receivers.len() + usize::from(one.nobody),
                "{}",
                one.subject
            );
        }
        for one in records.iter().flat_map(|record| &record.recipients) {
            let nobody = one.address.local().as_str() == "nobody";
            match &one.disposition {
                Disposition::Accepted if !nobody => {}
                Disposition::Refused { code, .. } if nobody && *code == Code::NO_SUCH_ADDRESS => {}
                other => return Err(format!("{}: {other:?}", one.address).into()),
            }
        }
    }
    Ok(())
}

/// How often kills were in the way: offers that had to be made again.
fn print_repetitions(world: &World, messages: usize) -> Result<(), Trouble> {
    let count = |node: &waxwing_tests::torture::Node, word: &str| -> Result<usize, Trouble> {
        Ok(node.events()?.iter().filter(|event| event["event"] == word).count())
    };
    let (submitted, tried) = (count(&world.north, "offered")?, count(&world.north, "trying")?);
    let (again, offered) = (submitted.saturating_sub(messages), count(&world.south, "offered")?);
    println!(
        "submissions offered again: {again}; attempts to deliver {tried}, of which {offered} reached the other node"
    );
    Ok(())
}

/// Every mailbox holds what was acknowledged, once, whole, and nothing else but what nobody was told about.
async fn check_mailboxes(world: &World, receivers: &[User], sent: &[Sent]) -> Result<(), Trouble> {
    let by_subject: BTreeMap<&str, &Sent> = sent.iter().map(|one| (one.subject.as_str(), one)).collect();
    assert_eq!(by_subject.len(), sent.len(), "subjects are unique");
    let (mut mails, mut doubled, mut unacknowledged) = (0, 0, 0);
    for (place, user) in receivers.iter().enumerate() {
        let mut session = user.session().await?;
        let entries = mailbox(&mut session).await?;
        let identities: BTreeSet<Identity> = entries.iter().map(|entry| entry.identity).collect();
        assert_eq!(identities.len(), entries.len(), "{}: an identity stands there twice", user.account);
        let mut subjects: BTreeMap<String, Vec<Identity>> = BTreeMap::new();
        for entry in &entries {
            let fetched = read_all(&mut session, entry.identity).await?;
            let headers = fetched.headers.ok_or("no headers")?;
            let subject = headers.message().only("Subject").ok_or("no subject")?.to_string();
            let one = by_subject.get(subject.as_str()).ok_or("a message that nobody has sent")?;
            assert!(one.receivers.contains(&place), "{subject} is not for {}", user.account);
            subjects.entry(subject).or_default().push(entry.identity);
        }
        session.close().await;
        for one in sent.iter().filter(|one| one.receivers.contains(&place)) {
            let found = subjects.get(&one.subject).map_or(&[][..], Vec::as_slice);
            match one.identity {
                Some(identity) => {
                    assert!(found.contains(&identity), "{} is not with {}", one.subject, user.account);
                    doubled += found.len() - 1;
                }
                None => {
                    unacknowledged += found.len();
                    doubled += found.len().saturating_sub(1);
                }
            }
        }
        mails += entries.len();
        check_maildir(world, user, entries.len()).await?;
    }
    let acknowledged = sent.iter().filter(|one| one.identity.is_some()).count();
    println!(
        "{} messages, {acknowledged} acknowledged; {mails} mails in {RECEIVERS} mailboxes, each acknowledged one once",
        sent.len()
    );
    println!("{unacknowledged} mails of messages that were never acknowledged; {doubled} doubled");
    assert_eq!(doubled, 0, "an offer that was made again after a lost answer is the same submission");
    Ok(())
}

/// The Maildir beside a mailbox has as many messages, and each is whole.
async fn check_maildir(world: &World, user: &User, count: usize) -> Result<(), Trouble> {
    let folder = world.south.config()?.data().join("maildir").join(&user.account).join("new");
    let mut files = 0;
    let complete = until(Duration::from_secs(10), "the Maildir", async || {
        files = std::fs::read_dir(&folder).map_or(0, Iterator::count);
        Ok((files == count).then_some(()))
    });
    if complete.await.is_err() {
        return Err(format!("the Maildir of {} has {files} messages, not {count}", user.account).into());
    }
    for file in std::fs::read_dir(&folder)? {
        let octets = std::fs::read(file?.path())?;
        assert!(octets.len() > 100 && octets.ends_with(b"\n"), "half a message");
    }
    Ok(())
}

/// Both nodes are killed a last time; their stores have nothing to report.
fn check_stores(world: &mut World) -> Result<(), Trouble> {
    world.north.kill()?;
    world.south.kill()?;
    for node in [&world.north, &world.south] {
        let findings = World::check_store(node)?;
        assert!(findings.is_empty(), "{}: {findings:?}", node.site.domain);
    }
    Ok(())
}

fn names(word: &str, count: usize) -> Vec<String> {
    (0..count).map(|place| format!("{word}-{place}")).collect()
}
