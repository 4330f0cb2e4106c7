//! Plain delivery: from a user's program through two nodes into a mailbox and a Maildir.

use std::fs;
use std::path::{Path, PathBuf};

use message::{Code, Disposition, Identity};
use node::Event;
use waxwing_tests::user::cookie;
use waxwing_tests::world::until;
use waxwing_tests::{Site, World, letter};

/// The files in one of the three folders of a Maildir.
pub(crate) fn files(maildir: &Path, name: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(maildir.join(name)) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Waits until a Maildir has so many new messages. The node tells nobody when it has written one.
pub(crate) async fn until_written(maildir: &Path, count: usize) -> Vec<PathBuf> {
    until(|| files(maildir, "new").len() >= count).await;
    files(maildir, "new")
}

/// Waits until a message is held at a node, and decides.
pub(crate) async fn decide(world: &World, domain: &str, identity: Identity, recipient: &str, accept: bool) {
    held(world, domain, identity, recipient).await;
    let recipient = message::address::Address::parse(recipient).unwrap();
    let choice = if accept { node::Choice::ACCEPT } else { node::Choice::REFUSE };
    world.node(domain).decide_held(None, identity, &recipient, choice).await.unwrap();
}

/// Waits until a message is held for a recipient at a node; what it was answered.
pub(crate) async fn held(world: &World, domain: &str, identity: Identity, recipient: &str) -> Disposition {
    let events = world.events(domain);
    events
        .find(&format!("held for {recipient}"), |event| match event {
            Event::Decided { identity: of, recipient: one, disposition, rule, .. }
                if *of == identity && one.to_string() == recipient && rule.starts_with("hold-") =>
            {
                Some(disposition.clone())
            }
            _ => None,
        })
        .await
}

/// One offer, four recipients, four answers: taken, not there, held and taken, held and refused.
///
/// proves: EXC-5, EXC-15, EXC-16, SUB-8, SUB-13, STA-13
#[tokio::test]
async fn each_recipient_has_an_answer_of_its_own() {
    let south = Site::new("south.test").rule("hold-carol", "carol@south.test", "hold all").rule(
        "hold-dave",
        "dave@south.test",
        "hold all",
    );
    let mut world = World::started(&[Site::new("north.test"), south]).await;
    let mut alice = world.user("alice@north.test").await;
    let mut bob = world.user("bob@south.test").await;
    let mut carol = world.user("carol@south.test").await;
    let mut dave = world.user("dave@south.test").await;

    let message = letter("alice@north.test", "Good morning, Bob.");
    let to = ["bob@south.test", "nobody@south.test", "carol@south.test", "dave@south.test"];
    let identity = alice.send(&message, &to).await;
    assert_eq!(identity, message.identity(), "a complete message is not changed");
    held(&world, "south.test", identity, "carol@south.test").await;
    assert!(carol.session.mailbox(0, 10).await.unwrap().is_empty(), "what is held is in no mailbox");
    decide(&world, "south.test", identity, "carol@south.test", true).await;
    decide(&world, "south.test", identity, "dave@south.test", false).await;

    let north = world.events("north.test");
    assert_eq!(north.settled(identity, to[0]).await, Disposition::Accepted);
    let refused = north.settled(identity, to[1]).await;
    assert!(matches!(refused, Disposition::Refused { code, .. } if code == Code::NO_SUCH_ADDRESS));
    assert_eq!(north.settled(identity, to[2]).await, Disposition::Accepted);
    let refused = north.settled(identity, to[3]).await;
    assert!(matches!(refused, Disposition::Refused { code, .. } if code == Code::NOT_AUTHORIZED));
    assert!(alice.dispositions(identity).await.iter().all(Disposition::is_final));

    for user in [&mut bob, &mut carol] {
        let [entry] = user.session.mailbox(0, 10).await.unwrap().try_into().unwrap();
        assert_eq!((entry.identity, entry.recipient), (identity, user.address.clone()));
        assert_eq!(entry.origin, "north.test");
        let [seal] = entry.seals.try_into().unwrap();
        assert_eq!(
            (seal.issuer.as_str(), seal.role.as_str(), seal.verified),
            ("north.test", "submission", true)
        );
        let fetched = user.fetch(identity).await.unwrap();
        assert_eq!(fetched.manifest.unwrap().identity(), identity);
        assert_eq!(fetched.bodies.values().collect::<Vec<_>>(), ["Good morning, Bob."]);
    }
    assert!(dave.session.mailbox(0, 10).await.unwrap().is_empty());
    assert!(alice.session.mailbox(0, 10).await.unwrap().is_empty(), "nobody gets a message about a message");

    let maildirs = world.data("south.test").join("maildir");
    for account in ["bob", "carol"] {
        check_maildir(&maildirs.join(account), 1).await;
    }
    // Begun anew, the node writes nothing twice: the second letter is the second file.
    world.stop("south.test").await;
    world.start("south.test").await;
    let second = alice.send(&letter("alice@north.test", "Good evening."), &["bob@south.test"]).await;
    world.events("south.test").delivered(second, "bob@south.test").await;
    // What is counted stands still only once the sender has settled it, too.
    world.events("north.test").settled(second, "bob@south.test").await;
    check_maildir(&maildirs.join("bob"), 2).await;
    check_maildir(&maildirs.join("carol"), 1).await;
    assert!(files(&maildirs.join("dave"), "new").is_empty());
    for domain in ["north.test", "south.test"] {
        let mut findings = Vec::new();
        world.node(domain).store().check(&mut |finding| findings.push(finding)).unwrap();
        assert!(findings.is_empty(), "{domain}: {findings:?}");
        let trouble = world.events(domain).count(|event| matches!(event, Event::Trouble { .. }));
        assert_eq!(trouble, 0, "{domain}");
    }
}

/// So many messages in RFC 5322 form (section 2.1: fields, an empty line, the body), and nothing half written.
async fn check_maildir(maildir: &Path, count: usize) {
    let new = until_written(maildir, count).await;
    assert_eq!(new.len(), count, "{new:?}");
    assert_eq!(files(maildir, "tmp"), Vec::<PathBuf>::new());
    assert_eq!(files(maildir, "cur"), Vec::<PathBuf>::new());
    for file in new {
        let text = String::from_utf8(fs::read(file).unwrap()).unwrap();
        let (header, body) = text.split_once("\r\n\r\n").unwrap();
        for line in ["From: alice@north.test", "Subject: A letter", "MIME-Version: 1.0"] {
            assert!(header.lines().any(|one| one == line), "{line} in {header}");
        }
        assert!(body.starts_with("Good "), "{body}");
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "line ends are CRLF");
    }
}

/// One Maildir that cannot be written holds up no other, and has all of it once it can be. What its reader has moved is not
/// written again where a crash came between a letter and the note that it is there.
#[tokio::test]
async fn each_maildir_goes_on_by_itself() {
    let mut world = World::started(&[Site::new("north.test")]).await;
    let mut alice = world.user("alice@north.test").await;
    let (_bob, _carol) = (world.user("bob@north.test").await, world.user("carol@north.test").await);
    let (bobs, carols) = {
        let root = world.data("north.test").join("maildir");
        (root.join("bob"), root.join("carol"))
    };
    // Bob's comes first wherever they are gone through in order.
    fs::create_dir_all(bobs.parent().unwrap()).unwrap();
    fs::write(&bobs, "no folder").unwrap();
    let both = ["bob@north.test", "carol@north.test"];
    alice.send(&letter("alice@north.test", "To both"), &both).await;
    until_written(&carols, 1).await;
    fs::remove_file(&bobs).unwrap();
    alice.send(&letter("alice@north.test", "To her"), &both[1..]).await;
    let [his] = &until_written(&bobs, 1).await[..] else { panic!("one letter") };
    until_written(&carols, 2).await;
    // He reads it; the node dies before it has noted that it was written.
    world.stop("north.test").await;
    let read = bobs.join("cur").join(format!("{}:2,S", his.file_name().unwrap().to_string_lossy()));
    fs::rename(his, &read).unwrap();
    fs::remove_file(bobs.join(".waxwing-progress")).unwrap();
    world.start("north.test").await;
    let mut alice = world.user("alice@north.test").await;
    alice.send(&letter("alice@north.test", "To him"), &both[..1]).await;
    let new = until_written(&bobs, 1).await;
    assert_eq!((new.len(), files(&bobs, "cur")), (1, vec![read]), "{new:?}");
    assert!(fs::read_to_string(&new[0]).unwrap().contains("To him"));
}

/// Within one node nothing goes over the network: the answer is there at once.
///
/// proves: SUB-11
#[tokio::test]
async fn a_local_user_is_answered_at_once() {
    let site = Site::new("north.test").rule("hold-carol", "carol@north.test", "hold all");
    let world = World::started(&[site]).await;
    let mut alice = world.user("alice@north.test").await;
    let mut bob = world.user("bob@north.test").await;
    let _carol = world.user("carol@north.test").await;
    let message = letter("alice@north.test", "Next door");
    let to = ["bob@north.test", "nobody@north.test", "carol@north.test"];
    let submitted = alice.submit(&message, &to).await.unwrap();
    let [bobs, nobodys, carols] = &submitted.outcomes.iter().map(|(_, one)| one).collect::<Vec<_>>()[..]
    else {
        panic!("{submitted:?}");
    };
    assert_eq!(**bobs, Disposition::Accepted);
    assert!(matches!(nobodys, Disposition::Refused { code, .. } if *code == Code::NO_SUCH_ADDRESS));
    let told = cookie(carols);
    decide(&world, "north.test", submitted.identity, "carol@north.test", true).await;
    let status = alice.dispositions(submitted.identity).await;
    assert_eq!(status[0], Disposition::Accepted);
    assert_eq!(status[2], Disposition::Accepted, "the cookie {} has settled", told.as_bytes().len());
    let fetched = bob.fetch(submitted.identity).await.unwrap();
    assert_eq!(fetched.manifest.unwrap().identity(), message.identity());
    let tried = world.events("north.test").count(|event| matches!(event, Event::Trying { .. }));
    assert_eq!(tried, 0);
}
