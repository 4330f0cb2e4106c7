//! Users who send for as long as a test lasts, and the ledger of what they were told: what it says must come true.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use cli::client::{Composition, Outgoing, Session};
use message::address::Address;
use message::{Code, Disposition, Identity};
use protocol::{StatusQuery, StatusRecord, SubmissionOptions};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Node, Random, Trouble, User, World, mailbox, read_all, statuses, until};

/// Users of north.test, each with at most one message on its way to the node.
const SENDERS: usize = 8;
/// Users of south.test.
const RECEIVERS: usize = 3;
/// How long nodes that have just been started may take to acknowledge a message.
const UNDER_WAY_TIME: Duration = Duration::from_secs(60);
/// What a sender waits between two messages where nothing else is said, in milliseconds, at most.
const PAUSE_MS: u64 = 60;
/// After how many messages a sender asks what became of the latest.
const MESSAGES_PER_QUESTION: usize = 4;
/// How many of the latest it asks about: as many as a page has.
const RECORDS_PER_QUESTION: u64 = 20;

/// One message as its sender knows it.
#[derive(Debug)]
pub struct Sent {
    /// Its subject, which no other message has.
    pub subject: String,
    /// The places of its receivers.
    pub receivers: Vec<usize>,
    /// Whether it also went to an address that does not exist.
    pub nobody: bool,
    /// What the node has acknowledged; `None` where the sender has no answer (yet, or for ever).
    pub identity: Option<Identity>,
    /// The final dispositions that the sender was told while the load ran, by recipient.
    pub told: BTreeMap<String, Disposition>,
}

/// What all senders know, for each the messages in the order of sending.
pub type Ledger = Rc<RefCell<Vec<Vec<Sent>>>>;

/// How many senders may send; `None` ends them.
type Active = watch::Receiver<Option<usize>>;

/// Senders in the north who send to receivers in the south. It lives within a [`tokio::task::LocalSet`].
pub struct Load {
    /// Who sends.
    pub senders: Vec<User>,
    /// Who receives.
    pub receivers: Vec<User>,
    /// What the senders know so far.
    pub ledger: Ledger,
    /// Milliseconds from one message of a sender to the next, at most.
    pub pause_ms: u64,
    active: watch::Sender<Option<usize>>,
    folder: PathBuf,
    seed: u64,
    tasks: Vec<JoinHandle<Result<(), Trouble>>>,
}

impl Load {
    /// Opens the accounts at both nodes, which do not run yet.
    ///
    /// # Errors
    /// Those of the stores.
    pub async fn prepare(world: &World, seed: u64) -> Result<Load, Trouble> {
        let senders = User::open_accounts(&world.north, &names("sender", SENDERS)).await?;
        let receivers = User::open_accounts(&world.south, &names("receiver", RECEIVERS)).await?;
        Ok(Load {
            senders,
            receivers,
            ledger: Ledger::default(),
            pause_ms: PAUSE_MS,
            active: watch::channel(Some(SENDERS)).0,
            folder: world.folder().to_owned(),
            seed,
            tasks: Vec::new(),
        })
    }

    /// All of them begin to send.
    pub fn begin(&mut self) {
        self.ledger.borrow_mut().resize_with(SENDERS, Vec::new);
        for (place, user) in self.senders.iter().enumerate() {
            let sender = Sender {
                user: user.clone(),
                place,
                random: Random::new(self.seed ^ (place as u64 + 1) << 32),
                addresses: self.receivers.iter().map(|user| user.address.clone()).collect(),
                folder: self.folder.clone(),
                ledger: self.ledger.clone(),
                pause_ms: self.pause_ms,
            };
            self.tasks.push(tokio::task::spawn_local(sender.send(self.active.subscribe())));
        }
    }

    /// From now on another number of them sends, one at least.
    pub fn change(&self, random: &mut Random) {
        let count = usize::try_from(random.between(1, SENDERS as u64)).unwrap_or(SENDERS);
        self.active.send_replace(Some(count));
    }

    /// How many messages were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.ledger.borrow().iter().flatten().filter(|one| one.identity.is_some()).count()
    }

    /// Waits until one more message is acknowledged.
    ///
    /// # Errors
    /// Where none is in time.
    pub async fn is_under_way(&self) -> Result<(), Trouble> {
        let before = self.acknowledged();
        until(UNDER_WAY_TIME, "one more message", async || Ok((self.acknowledged() > before).then_some(())))
            .await
    }

    /// Lets everybody finish the message that is on its way.
    ///
    /// # Errors
    /// What went wrong for one of them.
    pub async fn end(&mut self) -> Result<(), Trouble> {
        self.active.send_replace(None);
        for sender in self.tasks.drain(..) {
            sender.await??;
        }
        Ok(())
    }

    /// Every submission is final for every recipient within this time, each disposition is what it must be, and none
    /// is another than the final one that the sender was told before.
    ///
    /// # Errors
    /// Where that is not so.
    pub async fn check_settled(&self, limit: Duration) -> Result<(), Trouble> {
        // Taken for the while: nobody writes into it any more.
        let ledger = self.ledger.take();
        for (user, sent) in self.senders.iter().zip(&ledger) {
            let mut session = user.session().await?;
            let records = until(limit, "final dispositions", async || {
                let records = statuses(&mut session).await?;
                let mut all = records.iter().flat_map(|record| &record.recipients);
                Ok(all.all(|one| one.disposition.is_final()).then_some(records))
            })
            .await?;
            session.close().await;
            check_records(sent, &records)?;
        }
        self.ledger.replace(ledger);
        Ok(())
    }

    /// Every mailbox holds what was acknowledged, once, whole, and nothing else but what nobody was told about; a
    /// Maildir beside it has as many messages.
    ///
    /// # Errors
    /// Where that is not so.
    pub async fn check_mailboxes(&self, world: &World) -> Result<(), Trouble> {
        let ledger = self.ledger.take();
        let sent: Vec<&Sent> = ledger.iter().flatten().collect();
        let by_subject: BTreeMap<&str, &Sent> = sent.iter().map(|one| (one.subject.as_str(), *one)).collect();
        assert_eq!(by_subject.len(), sent.len(), "subjects are unique");
        let (mut mails, mut doubled, mut unacknowledged) = (0, 0, 0);
        for (place, user) in self.receivers.iter().enumerate() {
            let (count, subjects) = read_mailbox(user, place, &by_subject).await?;
            for one in sent.iter().filter(|one| one.receivers.contains(&place)) {
                let found = subjects.get(&one.subject).map_or(&[][..], Vec::as_slice);
                match one.identity {
                    Some(identity) if !found.contains(&identity) => {
                        return Err(format!("{} is not with {}", one.subject, user.account).into());
                    }
                    Some(_) => {}
                    None => unacknowledged += found.len(),
                }
                doubled += found.len().saturating_sub(1);
            }
            mails += count;
            check_maildir(world, user, count).await?;
        }
        println!(
            "{} messages, {} acknowledged; {mails} mails in {RECEIVERS} mailboxes, each acknowledged one once",
            sent.len(),
            sent.iter().filter(|one| one.identity.is_some()).count()
        );
        println!("{unacknowledged} mails of messages that were never acknowledged; {doubled} doubled");
        assert_eq!(doubled, 0, "an offer that was made again after a lost answer is the same submission");
        self.ledger.replace(ledger);
        Ok(())
    }

    /// What is acknowledged and told so far is in the store of a node that does not run: each submission in the north,
    /// each mail that the south has accepted there. Returns how many records were looked up.
    ///
    /// # Errors
    /// Where one is not.
    pub fn check_kept(&self, world: &World, node: &Node) -> Result<usize, Trouble> {
        let store = daemon::open_store(&node.config()?)?;
        let mut looked_up = 0;
        for one in self.ledger.borrow().iter().flatten() {
            let Some(identity) = one.identity else { continue };
            if node.site.domain == world.north.site.domain {
                let envelopes = store.envelopes_for(identity, 2)?;
                let envelope = envelopes.first().ok_or(format!("LOST: {}", one.subject))?;
                for recipient in &envelope.recipients {
                    let told = one.told.get(&recipient.address.to_string());
                    if told.is_some() && told != recipient.outcome.as_ref() {
                        return Err(format!("LOST: {:?} of {}", told, one.subject).into());
                    }
                }
                looked_up += 1;
            } else {
                for place in &one.receivers {
                    let user = &self.receivers[*place];
                    if one.told.get(&user.address.to_string()) == Some(&Disposition::Accepted) {
                        let mail = store.mail_of(&user.account, identity)?;
                        mail.ok_or(format!("LOST: {} of {}", one.subject, user.account))?;
                        looked_up += 1;
                    }
                }
            }
        }
        Ok(looked_up)
    }
}

/// One user who sends for as long as the load lasts.
struct Sender {
    user: User,
    place: usize,
    random: Random,
    addresses: Vec<Address>,
    folder: PathBuf,
    ledger: Ledger,
    pause_ms: u64,
}

impl Sender {
    async fn send(mut self, mut active: Active) -> Result<(), Trouble> {
        let mut session = self.user.session().await?;
        let place = self.place;
        for number in 0.. {
            if active.wait_for(|count| count.is_none_or(|count| place < count)).await?.is_none() {
                break;
            }
            let (one, outgoing, recipients) = self.compose(number)?;
            // It stands in the ledger before it is sent: what is cut off in between may arrive all the same.
            self.ledger.borrow_mut()[place].push(one);
            let options = SubmissionOptions::default();
            match session.submit(&outgoing, &recipients, options, &|_| {}).await {
                Ok(submitted) => self.ledger.borrow_mut()[place][number].identity = Some(submitted.identity),
                Err(error) => {
                    println!("message {number} of {}: not acknowledged: {error}", self.user.account);
                    session = self.user.session().await?;
                }
            }
            if number % MESSAGES_PER_QUESTION == 0 {
                self.ask(&mut session).await;
            }
            tokio::time::sleep(Duration::from_millis(self.random.between(0, self.pause_ms))).await;
        }
        session.close().await;
        Ok(())
    }

    /// Asks what became of the latest messages. No answer, as from a node that was killed, is not an answer.
    async fn ask(&self, session: &mut Session) {
        let query = StatusQuery::Latest { before: 0, limit: RECORDS_PER_QUESTION };
        let Ok(records) = session.status(query).await else { return };
        let mut ledger = self.ledger.borrow_mut();
        for record in records {
            let mut sent = ledger[self.place].iter_mut();
            let Some(one) = sent.find(|one| one.identity == Some(record.identity)) else { continue };
            for recipient in record.recipients.into_iter().filter(|one| one.disposition.is_final()) {
                one.told.insert(recipient.address.to_string(), recipient.disposition);
            }
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
        Ok((
            Sent { subject, receivers, nobody, identity: None, told: BTreeMap::new() },
            composition.compose()?,
            recipients,
        ))
    }
}

/// Writes a new file under this name: a message that is still being sent keeps reading the old one.
fn replace(path: &Path, octets: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, octets)?;
    std::fs::rename(&temporary, path)
}

/// What the node says is what was acknowledged and what the sender was told.
fn check_records(sent: &[Sent], records: &[StatusRecord]) -> Result<(), Trouble> {
    let known: BTreeMap<Identity, _> = records.iter().map(|record| (record.identity, record)).collect();
    for one in sent {
        let Some(identity) = one.identity else { continue };
        let record = known.get(&identity).ok_or(format!("no status of {}", one.subject))?;
        assert_eq!(record.recipients.len(), one.receivers.len() + usize::from(one.nobody), "{}", one.subject);
        for recipient in &record.recipients {
            if let Some(told) = one.told.get(&recipient.address.to_string()) {
                assert_eq!(&recipient.disposition, told, "{}: what is final stays", one.subject);
            }
        }
    }
    for one in records.iter().flat_map(|record| &record.recipients) {
        let nobody = one.address.local().as_str() == "nobody";
        match &one.disposition {
            Disposition::Accepted if !nobody => {}
            Disposition::Refused { code, .. } if nobody && *code == Code::NO_SUCH_ADDRESS => {}
            other => return Err(format!("{}: {other:?}", one.address).into()),
        }
    }
    Ok(())
}

/// How many entries a mailbox has, and the identities in it by subject. Every message is whole, is for this user, and
/// stands there once.
async fn read_mailbox(
    user: &User,
    place: usize,
    sent: &BTreeMap<&str, &Sent>,
) -> Result<(usize, BTreeMap<String, Vec<Identity>>), Trouble> {
    let mut session = user.session().await?;
    let entries = mailbox(&mut session).await?;
    let identities: BTreeSet<Identity> = entries.iter().map(|entry| entry.identity).collect();
    assert_eq!(identities.len(), entries.len(), "{}: an identity stands there twice", user.account);
    let mut subjects: BTreeMap<String, Vec<Identity>> = BTreeMap::new();
    for entry in &entries {
        let fetched = read_all(&mut session, entry.identity).await?;
        let headers = fetched.headers.ok_or("no headers")?;
        let subject = headers.message().only("Subject").ok_or("no subject")?.to_string();
        let one = sent.get(subject.as_str()).ok_or("a message that nobody has sent")?;
        assert!(one.receivers.contains(&place), "{subject} is not for {}", user.account);
        subjects.entry(subject).or_default().push(entry.identity);
    }
    session.close().await;
    Ok((entries.len(), subjects))
}

/// The Maildir beside a mailbox has as many messages, and each is whole.
async fn check_maildir(world: &World, user: &User, count: usize) -> Result<(), Trouble> {
    let folder = world.south.config()?.data().join("maildir").join(&user.account).join("new");
    let mut files = 0;
    let complete = until(Duration::from_secs(60), "the Maildir", async || {
        files = std::fs::read_dir(&folder).map_or(0, Iterator::count);
        Ok((files == count).then_some(()))
    });
    if complete.await.is_err() {
        return Err(format!("the Maildir of {} has {files} messages, not {count}", user.account).into());
    }
    // A Maildir is made with its first message.
    for file in std::fs::read_dir(&folder).into_iter().flatten() {
        let octets = std::fs::read(file?.path())?;
        assert!(octets.len() > 100 && octets.ends_with(b"\n"), "half a message");
    }
    Ok(())
}

fn names(word: &str, count: usize) -> Vec<String> {
    (0..count).map(|place| format!("{word}-{place}")).collect()
}
