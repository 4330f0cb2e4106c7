//! The commands against a node in this process, over QUIC on loopback.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod fake;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use clap::Parser;
use cli::{Error, Hooks, Invocation};
use fake::{Node, PASSWORD, seal_key};
use message::Identity;
use protocol::MailboxEntry;
use serde_json::Value;
use waxwing_cli as cli;

/// A user with a folder of their own.
struct User {
    folder: tempfile::TempDir,
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl User {
    fn new() -> User {
        User { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, octets: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), octets).unwrap();
        self.path(name).display().to_string()
    }

    /// Does a command; what it printed, and whether its end was good.
    async fn octets(&self, arguments: &[&str]) -> Result<(Vec<u8>, bool), Error> {
        let profile = self.path("profile").display().to_string();
        let all = ["waxwing", "--profile", &profile].into_iter().chain(arguments.iter().copied());
        let invocation = Invocation::try_parse_from(all).unwrap();
        let captured = Captured::default();
        let good = cli::run_into(&invocation, &Hooks::default(), Box::new(captured.clone())).await?;
        let octets = captured.0.lock().unwrap().clone();
        Ok((octets, good))
    }

    async fn says(&self, arguments: &[&str]) -> String {
        let (octets, _) = self.octets(arguments).await.unwrap();
        String::from_utf8(octets).unwrap()
    }

    /// Does a command with `--json`: its objects, and whether its end was good.
    async fn objects(&self, arguments: &[&str]) -> (Vec<Value>, bool) {
        let (octets, good) = self.octets(&[arguments, &["--json"]].concat()).await.unwrap();
        let text = String::from_utf8(octets).unwrap();
        (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), good)
    }

    /// The exit code of a command that fails.
    async fn code(&self, arguments: &[&str]) -> u8 {
        self.octets(arguments).await.unwrap_err().exit_code()
    }

    async fn enrol(&self, node: &Node, password: &str) -> Result<(Vec<u8>, bool), Error> {
        let file = self.write("password", format!("{password}\n"));
        let at = node.address.to_string();
        let pin = &node.pin;
        self.octets(&[
            "enrol",
            "ann@a.test",
            "--account",
            "ann",
            "--node",
            &at,
            "--pin",
            pin,
            "--password-file",
            &file,
        ])
        .await
    }
}

async fn enrolled() -> (Node, User) {
    let (node, user) = (Node::start(), User::new());
    user.enrol(&node, PASSWORD).await.unwrap();
    (node, user)
}

/// proves: CLI-1
#[tokio::test]
async fn a_device_is_enrolled_with_the_right_password_only() {
    let (node, user) = (Node::start(), User::new());
    assert_eq!(user.code(&["status"]).await, 2, "there is no profile");
    assert_eq!(user.enrol(&node, "wrong").await.unwrap_err().exit_code(), 4);
    assert!(!user.path("profile/profile.toml").exists());
    let (octets, good) = user.enrol(&node, PASSWORD).await.unwrap();
    assert!(good && String::from_utf8(octets).unwrap().contains("enrolled"));
    assert_eq!(node.kept().devices.len(), 1);
    assert_eq!(user.says(&["status"]).await, "Nothing was sent yet.\n");
    // Another node that took over the address is found out; another device is not let in.
    let other = User::new();
    let profile = std::fs::read_to_string(user.path("profile/profile.toml")).unwrap();
    std::fs::create_dir(other.path("profile")).unwrap();
    other.write("profile/profile.toml", &profile);
    assert_eq!(other.code(&["status"]).await, 4);
    assert_eq!(other.code(&["send", "--to", "bob@b.test", "--text", "x"]).await, 4);
    user.write("profile/profile.toml", profile.replace(&node.pin, &"ab".repeat(32)));
    assert_eq!(user.code(&["status"]).await, 4);
}

/// proves: CLI-1
#[tokio::test]
async fn each_recipient_has_an_answer_of_its_own() {
    let (node, user) = enrolled().await;
    // Asked once each by `status` and `give-up`, and twice by `status --wait`: the last answer there is the new one.
    node.kept().settles_after = 4;
    let (objects, good) = user
        .objects(&["send", "--to", "bob@b.test", "--to", "later@b.test", "--subject", "Hi", "--text", "x"])
        .await;
    assert!(good);
    let words: Vec<_> =
        objects[0]["recipients"].as_array().unwrap().iter().map(|one| &one["disposition"]).collect();
    assert_eq!(words, ["accepted", "pending"]);
    let id = objects[0]["id"].as_str().unwrap();
    assert!(node.kept().messages.contains_key(&Identity::from_hex(id).unwrap()));

    let (objects, good) = user.objects(&["send", "--to", "nobody@b.test", "--text", "x"]).await;
    assert!(!good);
    assert_eq!(objects[0]["recipients"][0]["code"], "5.1.1");

    let shown = user.says(&["status", &id[..8]]).await;
    assert!(shown.contains("pending   later@b.test") && shown.contains("4.4.1"), "{shown}");
    assert!(!shown.contains('\u{202e}'), "what a peer said cannot turn the line around: {shown:?}");
    let (objects, _) = user.objects(&["status"]).await;
    assert_eq!(objects.len(), 2);
    assert_eq!((&objects[0]["number"], &objects[1]["id"]), (&2.into(), &id.into()));

    assert!(user.says(&["give-up", &id[..6]]).await.contains("1 recipients"));
    assert_eq!(node.kept().given_up, 1);
    let waited = user.says(&["status", &id[..8], "--wait"]).await;
    assert!(
        waited.contains("pending") && waited.ends_with("\n") && waited.contains("accepted  later@b.test")
    );
    assert_eq!(user.code(&["give-up", id]).await, 1, "nothing is pending any more");
    assert_eq!(user.code(&["status", "0000000000"]).await, 1);
    assert_eq!(user.code(&["status", "abc"]).await, 2);
}

/// proves: CLI-6
#[tokio::test]
async fn a_large_attachment_is_streamed_and_resumed() {
    const OCTETS: u64 = 20 << 20;
    let (node, user) = enrolled().await;
    // Octets that repeat nowhere in step with any chunk.
    let octets: Vec<u8> = (0..OCTETS).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let file = user.write("film.mkv", &octets);
    node.kept().losses = vec![5 << 20, 13 << 20];
    let (objects, good) =
        user.objects(&["send", "--to", "bob@b.test", "--text", "the film", "--attach", &file]).await;
    assert!(good);
    let identity = Identity::from_hex(objects[0]["id"].as_str().unwrap()).unwrap();
    {
        let kept = node.kept();
        assert!(kept.losses.is_empty(), "both losses have happened");
        assert_eq!(kept.messages[&identity].bodies[&2], octets);
        assert_eq!(kept.body_octets, OCTETS + 8, "no octet of a body was sent twice");
        assert_eq!(kept.tokens.len(), 3);
        assert!(kept.tokens.iter().all(|token| *token == kept.tokens[0]), "it is one submission");
    }

    let (part, _) = user.octets(&["mail", "read", "1", "--part", "2"]).await.unwrap();
    assert!(part == octets);
    let out = user.path("film.wax").display().to_string();
    user.says(&["mail", "export", "1", "-o", &out]).await;
    let (objects, _) = user.objects(&["message", "show", &out]).await;
    assert_eq!(objects[0]["id"], identity.to_string());
}

/// proves: CLI-7
#[tokio::test]
async fn mail_is_listed_read_and_exported() {
    let (node, user) = enrolled().await;
    let eml = "From: Ann <ann@a.test>\r\nTo: Bob <bob@b.test>\r\nBcc: eve@e.test\r\nSubject: \
               =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nG\u{fc}ten \u{1b}Tag\r\n";
    let file = user.write("letter.eml", eml);
    let (objects, _) = user.objects(&["send", &file]).await;
    let recipients: Vec<_> =
        objects[0]["recipients"].as_array().unwrap().iter().map(|one| &one["address"]).collect();
    assert_eq!(recipients, ["bob@b.test", "eve@e.test"]);

    let (listed, _) = user.objects(&["mail", "list"]).await;
    assert_eq!((&listed[0]["number"], &listed[0]["subject"]), (&1.into(), &"Grüße".into()));
    assert_eq!(user.objects(&["mail", "list", "--after", "1"]).await.0, Vec::<Value>::new());
    let shown = user.says(&["mail", "read", "1"]).await;
    assert!(shown.contains("Güten \u{fffd}Tag") && shown.contains("submission a.test verified"), "{shown}");
    assert!(user.says(&["mail", "read", "1", "--selection", "signers"]).await.contains("by a.test"));
    let headers = user.says(&["mail", "read", "1", "--selection", "headers"]).await;
    assert!(
        headers.contains("Date: ") && !headers.contains("eve@e.test") && !headers.contains("Güten"),
        "{headers}"
    );
    assert_eq!(user.code(&["mail", "read", "2"]).await, 1);
    assert_eq!(user.code(&["mail", "read", "1", "--part", "7"]).await, 2);

    let wax = user.path("out.wax").display().to_string();
    let back = user.path("out.eml").display().to_string();
    user.says(&["mail", "export", "1", "-o", &wax]).await;
    user.says(&["mail", "export", "1", "-o", &back]).await;
    assert!(std::fs::read_to_string(&back).unwrap().contains("Güten"));
    verify(&user, &wax).await;
    assert_eq!(user.code(&["mail", "export", "1", "-o", "out.txt"]).await, 2);

    node.kept().lies = true;
    assert_ne!(user.code(&["mail", "read", "1"]).await, 0);
    let never = user.path("never.wax").display().to_string();
    assert_ne!(user.code(&["mail", "export", "1", "-o", &never]).await, 0);
    assert!(!Path::new(&never).exists());
    let left = std::fs::read_dir(user.folder.path()).unwrap();
    assert!(left.into_iter().all(|entry| !entry.unwrap().file_name().to_string_lossy().ends_with(".part")));
}

/// People see what is new, and how to see the rest; programs begin at the beginning and go on from what they have seen.
#[tokio::test]
async fn the_newest_mail_is_listed() {
    let (node, user) = enrolled().await;
    let says = async |arguments: &[&str]| user.says(&[&["mail", "list"], arguments].concat()).await;
    assert_eq!(says(&[]).await, "No mail.\n");
    user.says(&["send", "--to", "bob@b.test", "--text", "Hello"]).await;
    let first = node.kept().mailbox[0].clone();
    // The numbers of one mailbox have gaps: a node counts all of its mailboxes together.
    let numbers: Vec<u64> = (1..=120).map(|place| place * place + 3).collect();
    node.kept().mailbox = numbers.iter().map(|&number| MailboxEntry { number, ..first.clone() }).collect();
    let listed = |shown: &str| -> Vec<u64> {
        shown.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
    };
    let shown = says(&[]).await;
    assert_eq!(listed(&shown), numbers[70..]);
    assert!(shown.ends_with("There is older mail: `waxwing mail list --after 0` begins with the oldest.\n"));
    assert_eq!(listed(&says(&["--limit", "1"]).await), numbers[119..]);
    let shown = says(&["--after", "0", "--limit", "100"]).await;
    assert_eq!(listed(&shown), numbers[..100]);
    assert!(shown.ends_with(&format!("There is more: `waxwing mail list --after {}`.\n", numbers[99])));
    let shown = says(&["--after", &numbers[99].to_string()]).await;
    assert_eq!(listed(&shown), numbers[100..]);
    assert!(!shown.contains("There is"), "{shown}");
    let (objects, _) = user.objects(&["mail", "list"]).await;
    assert_eq!((objects.len(), &objects[0]["number"]), (50, &numbers[0].into()));
    node.kept().mailbox.truncate(50);
    let shown = says(&[]).await;
    assert_eq!(listed(&shown), numbers[..50]);
    assert!(!shown.contains("There is"), "{shown}");
}

/// What a node would keep back for less than was asked for is not sent.
#[tokio::test]
async fn nothing_is_kept_back_for_less_than_was_asked_for() {
    let (node, user) = enrolled().await;
    let send = |option: &'static str, value: &str| {
        let value = value.to_owned();
        let user = &user;
        async move {
            user.octets(&["send", "--to", "bob@b.test", "--text", "Hello", option, &value]).await.map(drop)
        }
    };
    for (option, value) in [("--in", "2592001"), ("--undo", "31536000"), ("--at", "9999-01-01T00:00:00Z")] {
        let error = send(option, value).await.unwrap_err();
        assert_eq!(error.exit_code(), 2, "{option}");
        assert!(error.to_string().contains("30 days (2592000 seconds) at the most"), "{error}");
    }
    assert!(node.kept().mailbox.is_empty());
    send("--undo", "2592000").await.unwrap();
    assert_eq!(node.kept().mailbox.len(), 1);
}

/// proves: CLI-9
#[tokio::test]
async fn a_blind_copy_stays_blind() {
    let (node, user) = enrolled().await;
    let file =
        user.write("letter.eml", "From: ann@a.test\r\nTo: bob@b.test\r\nbcc: eve@e.test\r\n\r\nHi\r\n");
    user.says(&["send", &file]).await;
    let kept = node.kept();
    let stored = kept.messages.values().next().unwrap();
    let headers = String::from_utf8(stored.supply.headers.to_vec()).unwrap();
    assert!(headers.contains("bob@b.test") && !headers.contains("eve@e.test"));
}

/// Checks with the right key, a wrong one, both, and none.
async fn verify(user: &User, wax: &str) {
    let key = data_encoding::HEXLOWER.encode(seal_key().public().as_bytes());
    let other = message::SecretKey::from_seed(&[1; 32]).public();
    let other = data_encoding::HEXLOWER.encode(other.as_bytes());
    let check = async |keys: &[&str], good: bool, state: &str| {
        let keys = keys.iter().flat_map(|key| ["--key", *key]);
        let arguments: Vec<&str> = ["message", "verify", wax].into_iter().chain(keys).collect();
        let (objects, ended) = user.objects(&arguments).await;
        assert_eq!((ended, &objects[0]["seals"][0]["state"]), (good, &state.into()));
    };
    check(&[&key], true, "verified").await;
    check(&[&other, &key], true, "verified").await;
    check(&[&other], false, "failed").await;
    check(&[], false, "not-checked").await;
    assert_eq!(user.code(&["message", "verify", wax, "--dns"]).await, 2);
}

/// proves: CLI-10
#[tokio::test]
async fn a_message_is_sealed_and_not_sent() {
    let (node, user) = enrolled().await;
    let file =
        user.write("letter.eml", "From: ann@a.test\r\nTo: bob@b.test\r\nSubject: x\r\n\r\nI owe you.\r\n");
    let wax = user.path("signed.wax").display().to_string();
    user.says(&["sign", &file, "-o", &wax]).await;
    assert!(node.kept().messages.is_empty() && node.kept().records.is_empty());
    verify(&user, &wax).await;
    let changed = std::fs::read_to_string(&wax).unwrap().replace("I owe you.", "You owe me");
    let changed = user.write("changed.wax", changed);
    let key = data_encoding::HEXLOWER.encode(seal_key().public().as_bytes());
    let (objects, good) = user.objects(&["message", "verify", &changed, "--key", &key]).await;
    assert!(!good && objects[0]["seals"][0]["state"] == "failed");
    let eve = user.write("eve.eml", "From: eve@a.test\r\nTo: bob@b.test\r\n\r\nHi\r\n");
    assert_eq!(user.code(&["sign", &eve, "-o", &wax]).await, 4);
    // A sealed file can be sent as it is.
    let (_, good) = user.objects(&["send", &wax]).await;
    assert!(good);
}

#[tokio::test]
async fn files_are_translated_or_refused_with_a_reason() {
    let user = User::new();
    let file = user.write("letter.eml", "From: zo\u{eb}@n.test\r\nSubject: x\r\n\r\nHello\r\n");
    let wax = user.path("letter.wax").display().to_string();
    let eml = user.path("again.eml").display().to_string();
    let (objects, good) = user.objects(&["message", "import", &file, "-o", &wax]).await;
    assert!(good && objects[0]["id"].as_str().unwrap().len() == 64);
    assert_eq!(user.code(&["message", "export", &wax, "-o", &eml]).await, 1);
    assert!(!Path::new(&eml).exists());
    assert!(user.octets(&["message", "export", &wax, "-o", &eml, "--utf8"]).await.unwrap().1);
    let (again, _) = user.objects(&["message", "show", &eml]).await;
    assert_eq!(again[0]["id"], objects[0]["id"]);
    let junk = user.write("junk.eml", "\0\0\0");
    assert_eq!(user.code(&["message", "import", &junk, "-o", &wax]).await, 1);
    assert_eq!(user.code(&["message", "import", "no-such-file", "-o", &wax]).await, 5);
    let cut = std::fs::read(&wax).unwrap();
    let cut = user.write("cut.wax", &cut[..cut.len() - 6]);
    assert_eq!(user.code(&["message", "show", &cut]).await, 1);
}

#[tokio::test]
async fn a_node_that_is_not_there_is_told_so() {
    let (_, user) = enrolled().await;
    // It stays open, so that nobody else is there.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let nobody = silent.local_addr().unwrap();
    let profile = std::fs::read_to_string(user.path("profile/profile.toml")).unwrap();
    let node = profile.lines().find(|line| line.starts_with("node")).unwrap();
    user.write("profile/profile.toml", profile.replace(node, &format!("node = \"{nobody}\"")));
    assert_eq!(user.code(&["status"]).await, 3);
    let socket = user.path("none.sock").display().to_string();
    assert_eq!(user.code(&["--socket", &socket, "queue", "list"]).await, 3);
}
