//! Keys of users over real QUIC: published, asked for, pinned, and what readers are told (`spec/24-keys.md`).

use cli::client::Outgoing;
use cli::profile::Profile;
use cli::{
    Command, Compose, Global, Invocation, KeyCommand, KeyTerm, MailCommand, MailReadArgs, MailSelection,
    SendArgs,
};
use control::{Client, Request, Response};
use message::address::Address;
use message::keys::{AuthorKey, KeyAnswer, Statement, StatementClaims};
use message::{Code, Disposition, Role, SecretKey};
use protocol::{Frame, KeyPublish, KeyQuery, KeyReply, MailboxEntry, SubmissionOptions};
use storage::HeadRecord;
use waxwing_tests::peer::{offer, seal, supply};
use waxwing_tests::{Memory, Site, User, World, letter};

const ALICE: &str = "alice@north.test";
const BOB: &str = "bob@south.test";
const YEAR: u64 = 365 * 24 * 3600;

/// Alice with a key of her own.
struct Author {
    user: User,
    key: SecretKey,
    last: Option<Statement>,
}

impl Author {
    fn new(user: User, number: u8) -> Author {
        Author { user, key: SecretKey::from_seed(&[number; 32]), last: None }
    }

    fn statement(&self, key: &SecretKey, now: u64, revoked: bool) -> Statement {
        let claims = StatementClaims {
            address: self.user.address.clone(),
            key: key.public(),
            not_before: now,
            not_after: now + YEAR,
            previous: self.last.as_ref().map(Statement::digest),
            revoked,
        };
        Statement::sign(claims, key)
    }

    async fn publish(&mut self, world: &World) {
        let now = world.node("north.test").now_ms() / 1000;
        let statement = self.statement(&self.key, now, false);
        hand_in(&mut self.user, &statement, None).await.unwrap();
        self.last = Some(statement);
    }

    /// Takes another key, which the one before signs or does not.
    async fn renew(&mut self, world: &World, number: u8, signed: bool) {
        let now = world.node("north.test").now_ms() / 1000;
        let next = SecretKey::from_seed(&[number; 32]);
        let statement = self.statement(&next, now, false);
        let succession = signed.then(|| statement.succeed(&self.key).to_vec());
        hand_in(&mut self.user, &statement, succession).await.unwrap();
        (self.key, self.last) = (next, Some(statement));
    }

    async fn revoke(&mut self, world: &World) {
        let now = world.node("north.test").now_ms() / 1000;
        let statement = self.statement(&self.key, now, true);
        hand_in(&mut self.user, &statement, None).await.unwrap();
        self.last = Some(statement);
    }

    /// Sends a letter that is sealed by her own key, and waits until it is there; what its reader is told.
    async fn write(&mut self, world: &World, bob: &mut User, subject: &str) -> MailboxEntry {
        let now_ms = world.node("north.test").now_ms();
        let outgoing = Outgoing::from_message(&letter(ALICE, subject), Vec::new());
        let outgoing = outgoing.authored(&self.user.address, &self.key, now_ms, [7; 16]).unwrap();
        let (to, options) = ([Address::parse(BOB).unwrap()], SubmissionOptions::default());
        let identity = outgoing.identity();
        let sent = self.user.session.submit(&outgoing, &to, options, &|_| {}).await.unwrap();
        assert_eq!(sent.identity, identity, "the node has added nothing within");
        world.events("south.test").delivered(identity, BOB).await;
        let entries = bob.session.mailbox(0, 100).await.unwrap();
        entries.into_iter().find(|entry| entry.identity == identity).unwrap()
    }
}

async fn hand_in(
    user: &mut User,
    statement: &Statement,
    succession: Option<Vec<u8>>,
) -> Result<(), cli::Error> {
    user.session.publish_key(KeyPublish { statement: statement.octets().to_vec(), succession }).await
}

async fn world() -> (World, Author, User) {
    let world = World::started(&[Site::new("north.test"), Site::new("south.test")]).await;
    let (alice, bob) = (world.user(ALICE).await, world.user(BOB).await);
    (world, Author::new(alice, 1), bob)
}

/// What was asked a while ago is not known any more, and what is pinned is.
async fn forget_what_was_asked(world: &mut World, bob: &mut User) {
    world.stop("south.test").await;
    world.start("south.test").await;
    bob.session = world.session_of("south.test", &bob.device).await.unwrap();
}

/// proves: KEY-6, KEY-9, KEY-16, KEY-17, KEY-20, KEY-21, SUB-7
#[tokio::test]
async fn a_reader_is_told_that_the_author_herself_has_sealed() {
    let (mut world, mut alice, mut bob) = world().await;
    let address = alice.user.address.clone();
    assert_eq!(alice.user.session.keys(&address).await.unwrap().records, Vec::new());
    alice.publish(&world).await;
    let published = alice.user.session.keys(&address).await.unwrap();
    assert_eq!(published.records[0].record.statement(), alice.last.as_ref().unwrap());
    // The same once more, as after a lost answer, is done already.
    hand_in(&mut alice.user, &alice.last.clone().unwrap(), None).await.unwrap();
    assert_eq!(alice.user.session.keys(&address).await.unwrap().records.len(), 1);

    let first = alice.write(&world, &mut bob, "First").await;
    assert_eq!(first.author_key, Some(AuthorKey::First));
    assert!(first.seals.iter().any(|seal| seal.role == "author" && seal.issuer == ALICE && seal.verified));
    assert_eq!(alice.write(&world, &mut bob, "Second").await.author_key, Some(AuthorKey::Known));
    let pins = bob.session.pinned(&address, false).await.unwrap();
    assert_eq!(pins.keys[0].key, *alice.key.public().as_bytes());

    // A console shows the same.
    let mut client = Client::connect(&world.data("south.test").join("control.sock")).await.unwrap();
    let show = Request::MailShow { account: "bob".to_owned(), number: first.number };
    let Response::Mail(detail) = client.call(&show).await.unwrap() else { panic!("no letter") };
    let found = detail.mail.seals.iter().find(|seal| seal.role == "author").unwrap();
    assert_eq!(found.author_key.as_deref(), Some("first"));
    assert_eq!(found.key.as_deref(), Some(&alice.key.public().id().to_string()[..]));

    // Rotation keeps the trust, also where nothing but the pin is remembered.
    alice.renew(&world, 2, true).await;
    forget_what_was_asked(&mut world, &mut bob).await;
    assert_eq!(alice.write(&world, &mut bob, "Third").await.author_key, Some(AuthorKey::Rotated));
    assert_eq!(alice.write(&world, &mut bob, "Fourth").await.author_key, Some(AuthorKey::Known));
}

/// What a program of a user prints: the commands themselves, with a profile in a folder.
struct Typed(std::path::PathBuf);

#[derive(Clone, Default)]
struct Printed(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Printed {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Typed {
    fn new(world: &World, user: &User) -> Typed {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;

        let folder = world.folder().join(&user.account);
        let domain = user.address.domain().as_str();
        let profile = Profile {
            address: user.address.clone(),
            account: user.account.clone(),
            node: world.address(domain).to_string().parse().unwrap(),
            trust: cli::profile::Trust::Pinned(world.host_key(domain).key_digest()),
            device: "a test".to_owned(),
        };
        profile.save(&folder).unwrap();
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(folder.join("device.key"));
        writeln!(file.unwrap(), "{}", data_encoding::HEXLOWER.encode(&*user.device.seed())).unwrap();
        Typed(folder)
    }

    async fn says(&self, command: Command) -> (String, bool) {
        let global = Global { profile: Some(self.0.clone()), ..Global::default() };
        let printed = Printed::default();
        let invocation = Invocation { global, command };
        let good =
            cli::run_into(&invocation, &cli::Hooks::default(), Box::new(printed.clone())).await.unwrap();
        let octets = printed.0.lock().unwrap().clone();
        (String::from_utf8(octets).unwrap(), good)
    }

    async fn send(&self, text: &str, no_seal: bool) -> String {
        let compose = Compose {
            file: None,
            subject: Some("A letter".to_owned()),
            text: Some(text.to_owned()),
            attach: Vec::new(),
        };
        let arguments = SendArgs {
            to: vec![Address::parse(BOB).unwrap()],
            from: None,
            compose,
            at: None,
            delay_seconds: None,
            undo: None,
            wait: true,
            no_seal,
        };
        self.says(Command::Send(arguments)).await.0
    }

    async fn read(&self, number: u64) -> String {
        let arguments = MailReadArgs { number, selection: MailSelection::Text, part: None, doorstep: None };
        self.says(Command::Mail(MailCommand::Read(arguments))).await.0
    }
}

/// The commands of both users, from the first key to a lost one.
///
/// proves: KEY-9, KEY-21, KEY-23
#[tokio::test]
async fn readers_are_told_in_words() {
    let (mut world, alice, mut bob) = world().await;
    let (ann, reader) = (Typed::new(&world, &alice.user), Typed::new(&world, &bob));
    let term = || KeyTerm { days: 730 };
    let publish = |lost| Command::Key(KeyCommand::Publish { lost, term: term() });
    let of = |forget| {
        let address = Address::parse(ALICE).unwrap();
        Command::Key(KeyCommand::Of { address, forget })
    };
    assert!(ann.says(Command::Key(KeyCommand::Show)).await.0.contains("No key of yours"));
    ann.send("Without a key", false).await;
    let plain = reader.read(last_number(&mut bob, 1).await).await;
    assert!(!plain.contains("herself"), "{plain}");
    assert!(ann.says(publish(false)).await.0.contains("published"));
    assert!(ann.says(publish(false)).await.0.contains("published before"));
    assert!(ann.says(Command::Key(KeyCommand::Show)).await.0.contains("in use  (in this profile)"));

    ann.send("By myself", false).await;
    let told = reader.read(last_number(&mut bob, 2).await).await;
    assert!(told.contains("Sealed by alice@north.test herself; the first time"), "{told}");
    ann.send("Not sealed", true).await;
    let told = reader.read(last_number(&mut bob, 3).await).await;
    assert!(!told.contains("herself"), "{told}");
    let (pinned, good) = reader.says(of(false)).await;
    assert!(good && pinned.contains("pinned"), "{pinned}");

    assert!(ann.says(Command::Key(KeyCommand::Rotate(term()))).await.0.contains("rotated"));
    forget_what_was_asked(&mut world, &mut bob).await;
    ann.send("With another key", false).await;
    let told = reader.read(last_number(&mut bob, 4).await).await;
    assert!(told.contains("herself, with a new key that the old one has signed"), "{told}");

    // The key is lost, and so is the trust.
    std::fs::remove_file(ann.0.join("signing.key")).unwrap();
    assert!(ann.says(publish(true)).await.0.contains("published"));
    forget_what_was_asked(&mut world, &mut bob).await;
    ann.send("Do you know me?", false).await;
    let told = reader.read(last_number(&mut bob, 5).await).await;
    assert!(told.contains("Warning: sealed with a new key of alice@north.test"), "{told}");
    let (pinned, good) = reader.says(of(false)).await;
    assert!(!good && pinned.contains("which none of these has signed"), "{pinned}");
    assert!(reader.says(of(true)).await.0.contains("Forgotten"));

    assert!(ann.says(Command::Key(KeyCommand::Revoke)).await.0.contains("revoked"));
    assert!(!ann.0.join("signing.key").exists());
    ann.send("Without a key again", false).await;
    let told = reader.read(last_number(&mut bob, 6).await).await;
    assert!(!told.contains("herself") && !told.contains("Warning"), "{told}");
}

/// The program ended, or its connection was lost, after the node had taken a statement: there is one copy of the key.
///
/// proves: KEY-23
#[tokio::test]
async fn a_key_that_was_published_is_taken_over_though_nobody_was_told() {
    let (world, alice, _bob) = world().await;
    let ann = Typed::new(&world, &alice.user);
    let term = || KeyTerm { days: 730 };
    let publish = |lost| Command::Key(KeyCommand::Publish { lost, term: term() });
    let (own, next, kept) =
        (ann.0.join("signing.key"), ann.0.join("signing.next.key"), ann.0.join("kept.key"));
    assert!(ann.says(publish(false)).await.0.contains("published"));
    for lost in [false, true] {
        std::fs::rename(&own, &next).unwrap();
        assert!(ann.says(publish(lost)).await.0.contains("published before"));
        assert!(own.exists() && !next.exists());
    }
    std::fs::copy(&own, &kept).unwrap();
    assert!(ann.says(Command::Key(KeyCommand::Rotate(term()))).await.0.contains("rotated"));
    for (command, word) in [(KeyCommand::Rotate(term()), "rotated"), (KeyCommand::Revoke, "revoked")] {
        std::fs::rename(&own, &next).unwrap();
        std::fs::copy(&kept, &own).unwrap();
        assert!(ann.says(Command::Key(command)).await.0.contains(word));
        assert!(!next.exists());
    }
    assert!(!own.exists());
}

/// The number of the last letter, once there are so many.
async fn last_number(bob: &mut User, count: usize) -> u64 {
    let entries = bob.session.mailbox(0, 100).await.unwrap();
    assert_eq!(entries.len(), count);
    entries.last().unwrap().number
}

/// proves: KEY-5, KEY-18, KEY-21
#[tokio::test]
async fn a_key_that_the_one_before_has_not_signed_is_warned_of() {
    let (mut world, mut alice, mut bob) = world().await;
    alice.publish(&world).await;
    assert_eq!(alice.write(&world, &mut bob, "First").await.author_key, Some(AuthorKey::First));
    alice.renew(&world, 2, false).await;
    forget_what_was_asked(&mut world, &mut bob).await;
    let entry = alice.write(&world, &mut bob, "Who?").await;
    assert_eq!(entry.author_key, Some(AuthorKey::Broken));
    assert!(!entry.seals.iter().any(|seal| seal.role == "author" && seal.verified));
    let pins = bob.session.pinned(&alice.user.address, false).await.unwrap();
    assert_eq!(pins.keys[0].key, *SecretKey::from_seed(&[1; 32]).public().as_bytes());
    assert_eq!(pins.broken_by, Some(*alice.key.public().as_bytes()));
    // It does not pass by itself, and it does where the reader says that all is well.
    assert_eq!(alice.write(&world, &mut bob, "Again").await.author_key, Some(AuthorKey::Broken));
    assert_eq!(bob.session.pinned(&alice.user.address, true).await.unwrap().keys, Vec::new());
    assert_eq!(alice.write(&world, &mut bob, "It is me").await.author_key, Some(AuthorKey::First));
}

/// proves: KEY-19
#[tokio::test]
async fn a_revoked_key_is_not_trusted_any_more() {
    let (mut world, mut alice, mut bob) = world().await;
    alice.publish(&world).await;
    assert_eq!(alice.write(&world, &mut bob, "First").await.author_key, Some(AuthorKey::First));
    alice.revoke(&world).await;
    forget_what_was_asked(&mut world, &mut bob).await;
    let entry = alice.write(&world, &mut bob, "From the thief").await;
    assert_eq!(entry.author_key, Some(AuthorKey::Revoked));
    assert!(bob.session.pinned(&alice.user.address, false).await.unwrap().keys[0].revoked);
    // What the thief signs for another key is worth nothing.
    alice.renew(&world, 2, true).await;
    forget_what_was_asked(&mut world, &mut bob).await;
    assert_eq!(alice.write(&world, &mut bob, "And again").await.author_key, Some(AuthorKey::Broken));
}

fn refused(found: Result<(), cli::Error>, what: &str) -> Code {
    match found {
        Err(cli::Error::Refused(failure)) => failure.code,
        // The code stands at its end.
        Err(cli::Error::NotAuthorised { text, .. }) => {
            Code::parse(text.rsplit_once('(').unwrap().1.trim_end_matches(')')).unwrap()
        }
        other => panic!("{what}: {other:?}"),
    }
}

/// proves: KEY-2, KEY-6, KEY-7
#[tokio::test]
async fn only_the_user_publishes_and_only_what_follows() {
    let (world, mut alice, _bob) = world().await;
    let mut eve = world.user("eve@north.test").await;
    let now = world.node("north.test").now_ms() / 1000;
    let mine = alice.statement(&alice.key, now, false);
    assert_eq!(refused(hand_in(&mut eve, &mine, None).await, "another's address"), Code::NOT_AUTHORIZED);
    let foreign = Author::new(world.user(BOB).await, 1);
    let foreign = foreign.statement(&alice.key, now, false);
    let found = hand_in(&mut alice.user, &foreign, None).await;
    assert_eq!(refused(found, "another domain's address"), Code::NOT_AUTHORIZED);
    // The address changed, under the same signature.
    let mut octets = mine.octets().to_vec();
    let place = octets.windows(5).position(|found| found == b"alice").unwrap();
    octets[place] = b'b';
    let forged = alice.user.session.publish_key(KeyPublish { statement: octets, succession: None }).await;
    assert_eq!(refused(forged, "a forged statement"), Code::INTEGRITY_FAILED);
    let malformed = Code::CONTENT_MALFORMED;
    let revocation = alice.statement(&alice.key, now, true);
    let found = hand_in(&mut alice.user, &revocation, None).await;
    assert_eq!(refused(found, "a revocation of nothing"), malformed);
    for (what, from) in [("over already", now - 2 * YEAR), ("in two days", now + 2 * 24 * 3600)] {
        let statement = alice.statement(&alice.key, from, false);
        assert_eq!(refused(hand_in(&mut alice.user, &statement, None).await, what), malformed);
    }
    alice.publish(&world).await;
    let next = SecretKey::from_seed(&[2; 32]);
    let statement = alice.statement(&next, now, false);
    let succession = statement.succeed(&SecretKey::from_seed(&[3; 32])).to_vec();
    let found = hand_in(&mut alice.user, &statement, Some(succession)).await;
    assert_eq!(refused(found, "signed by somebody else"), malformed);
    let last = alice.last.take();
    let statement = alice.statement(&next, now, false);
    let found = hand_in(&mut alice.user, &statement, None).await;
    assert_eq!(refused(found, "it does not name the one before"), malformed);
    alice.last = last;
    let first = alice.key.clone();
    alice.renew(&world, 2, true).await;
    let again = alice.statement(&first, now, false);
    let succession = again.succeed(&alice.key).to_vec();
    let found = hand_in(&mut alice.user, &again, Some(succession)).await;
    assert_eq!(refused(found, "a key that was replaced"), malformed);
    for number in 3..5 {
        alice.renew(&world, number, true).await;
    }
    let fifth = alice.statement(&SecretKey::from_seed(&[9; 32]), now, false);
    assert_eq!(refused(hand_in(&mut alice.user, &fifth, None).await, "a fifth in a day"), Code::new(4, 7, 1));
}

/// The statement is about the address as the user writes it, since others cannot know that another spelling is the same;
/// but a log does not grow by spellings.
///
/// proves: KEY-7
#[tokio::test]
async fn all_spellings_of_an_address_count_together() {
    let (world, mut alice, mut bob) = world().await;
    let shouted = Address::parse("ALICE@north.test").unwrap();
    alice.user.address = shouted.clone();
    alice.publish(&world).await;
    assert_eq!(alice.user.session.keys(&shouted).await.unwrap().records.len(), 1);
    assert_eq!(alice.write(&world, &mut bob, "Not in her spelling").await.author_key, None);
    for (number, spelling) in ["Alice@north.test", "aLice@north.test", ALICE].into_iter().enumerate() {
        alice.user.address = Address::parse(spelling).unwrap();
        (alice.key, alice.last) = (SecretKey::from_seed(&[number as u8 + 2; 32]), None);
        alice.publish(&world).await;
    }
    assert_eq!(alice.write(&world, &mut bob, "In small letters").await.author_key, Some(AuthorKey::First));
    alice.user.address = Address::parse("alicE@north.test").unwrap();
    alice.last = None;
    let fifth = alice.statement(&alice.key, world.node("north.test").now_ms() / 1000, false);
    assert_eq!(refused(hand_in(&mut alice.user, &fifth, None).await, "a fifth in a day"), Code::new(4, 7, 1));
}

/// proves: KEY-10, KEY-11, KEY-13, KEY-14
#[tokio::test]
async fn nobody_learns_from_an_answer_who_has_an_address() {
    let (world, mut alice, _bob) = world().await;
    let mut dave = Author::new(world.user("dave@north.test").await, 9);
    dave.publish(&world).await;
    alice.publish(&world).await;
    let _carol = world.user("carol@north.test").await;
    let south = world.peer("south.test", "north.test").await;
    let of = async |address: &str, seen_size: Option<u64>| -> KeyReply {
        let query = KeyQuery { address: Address::parse(address).unwrap(), seen_size };
        let Ok(Frame::KeyAnswer(reply)) = south.ask(&Frame::Key(query)).await else { panic!("{address}") };
        *reply
    };
    // Somebody without a key, and nobody.
    let without = of("carol@north.test", Some(1)).await;
    let nobody = of("nobody@north.test", Some(1)).await;
    assert_eq!((&without.records, &without.consistency), (&nobody.records, &nobody.consistency));
    assert_eq!(without.head.len(), nobody.head.len());
    let read = |reply: KeyReply| -> KeyAnswer { reply.read().unwrap() };
    let (without, nobody) = (read(without), read(nobody));
    assert_eq!((without.head.size, without.head.root), (nobody.head.size, nobody.head.root));
    // An answer holds for whoever has seen the log when Dave alone was in it.
    let found = read(of(ALICE, Some(1)).await);
    let seen = message::keys::SeenHead { size: 1, root: dave_root(&read(of("dave@north.test", None).await)) };
    let key = world.domain_key("north.test").public();
    let now = world.node("north.test").now_ms() / 1000;
    let address = Address::parse(ALICE).unwrap();
    assert!(found.check(&address, Some(&seen), |_| Some(key), now).is_ok());
    let elsewhere = KeyQuery { address: Address::parse("x@east.test").unwrap(), seen_size: None };
    assert!(matches!(south.ask(&Frame::Key(elsewhere)).await, Ok(Frame::Failure(_)) | Err(_)));
}

/// The root of the log while Dave's statement was the only one: its leaf.
fn dave_root(answer: &KeyAnswer) -> message::keys::tree::Hash {
    answer.records[0].record.leaf()
}

/// proves: KEY-14, KEY-21
#[tokio::test]
async fn a_domain_that_shows_another_history_is_seen() {
    let (mut world, mut alice, mut bob) = world().await;
    alice.publish(&world).await;
    assert_eq!(alice.write(&world, &mut bob, "First").await.author_key, Some(AuthorKey::First));
    // The domain begins its log anew, with another key for Alice.
    world.stop("north.test").await;
    std::fs::remove_dir_all(world.data("north.test").join("store")).unwrap();
    world.start("north.test").await;
    let mut other = Author::new(world.user(ALICE).await, 2);
    other.publish(&world).await;
    forget_what_was_asked(&mut world, &mut bob).await;
    let entry = other.write(&world, &mut bob, "Not me").await;
    assert_eq!(entry.author_key, Some(AuthorKey::Split));
    let head = world.node("south.test").store().head(other.user.address.domain()).unwrap().unwrap();
    assert!(head.contradicted_by.is_some(), "both heads are kept");
    // Also once the log has grown.
    other.renew(&world, 3, true).await;
    forget_what_was_asked(&mut world, &mut bob).await;
    assert_eq!(other.write(&world, &mut bob, "Still not").await.author_key, Some(AuthorKey::Split));
}

/// A log that does not change is not forgotten before those that are new.
///
/// proves: KEY-14
#[tokio::test]
async fn it_is_noted_that_a_head_was_seen_again() {
    let (mut world, mut alice, mut bob) = world().await;
    alice.publish(&world).await;
    assert_eq!(alice.write(&world, &mut bob, "First").await.author_key, Some(AuthorKey::First));
    let domain = alice.user.address.domain().clone();
    let seen = |world: &World| world.node("south.test").store().head(&domain).unwrap().unwrap();
    let first = seen(&world);
    let long_ago = HeadRecord { seen_at_ms: 1, ..first.clone() };
    let against = message::keys::SeenHead { size: first.head.size, root: first.head.root };
    assert!(world.node("south.test").store().put_head(long_ago, Some(against)).await.unwrap());
    forget_what_was_asked(&mut world, &mut bob).await;
    assert_eq!(seen(&world).seen_at_ms, 1);
    assert_eq!(alice.write(&world, &mut bob, "Second").await.author_key, Some(AuthorKey::Known));
    let again = seen(&world);
    assert!(again.seen_at_ms >= first.seen_at_ms);
    assert_eq!((again.head.size, again.head.root), (first.head.size, first.head.root));
}

/// proves: KEY-20
#[tokio::test]
async fn mail_is_taken_where_nobody_answers_for_keys() {
    let mut world = World::new(&[Site::new("north.test"), Site::new("south.test")]).await;
    world.start("south.test").await;
    let mut bob = world.user(BOB).await;
    // The node of north.test does not run: its place is taken by hand, and it is silent.
    let north = world.peer("north.test", "south.test").await;
    let key = SecretKey::from_seed(&[1; 32]);
    let message = letter(ALICE, "Nobody answers");
    let own = Outgoing::from_message(&message, Vec::new())
        .authored(&Address::parse(ALICE).unwrap(), &key, world.node("south.test").now_ms(), [7; 16])
        .unwrap();
    let domain = world.domain_key("north.test");
    let seals = [own.seals()[0].clone(), seal(&message, "north.test", &domain, Role::Submission)];
    let (offered, supplied) = (offer(&message, &seals, &[BOB]), supply(&message, &seals));
    let outcome = north.offer_as(offered, supplied, &Memory::of(&message)).await.unwrap();
    assert_eq!(outcome.dispositions, [Disposition::Accepted]);
    let entries = bob.session.mailbox(0, 10).await.unwrap();
    assert_eq!(entries[0].author_key, Some(AuthorKey::Unchecked));
}
