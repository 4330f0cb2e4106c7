//! Dovecot as the mailbox server that has all mail, read over IMAP.

use waxwing_tests::World;
use waxwing_tests::foreign::{Foreign, folder};

use crate::mail::{SUBJECT, TEXT, letter, read_by_python};
use crate::postfix::{arrives, north, runtime, zone};
use crate::street::{Names, Postfix, command, package};

/// Where Dovecot speaks IMAP.
const IMAP: &str = "127.0.0.40";

/// A Dovecot with a Maildir for whoever comes, LMTP at a socket and IMAP at port 143.
struct Dovecot {
    foreign: Foreign,
    socket: String,
}

impl Dovecot {
    fn start() -> Dovecot {
        let at = folder("waxwing-dovecot-").unwrap();
        let path = at.path().display().to_string();
        std::fs::create_dir(at.path().join("mail")).unwrap();
        let config = format!(
            "protocols = imap lmtp\nbase_dir = /run/dovecot\nstate_dir = /run/dovecot\nlog_path = {path}/maillog\n\
             ssl = no\ndisable_plaintext_auth = no\nlisten = {IMAP}\nmail_location = maildir:{path}/mail/%u\n\
             mail_uid = vmail\nmail_gid = vmail\nfirst_valid_uid = 100\nhostname = mailboxes.test\n\
             passdb {{\n driver = static\n args = password=secret\n}}\n\
             userdb {{\n driver = static\n args = uid=vmail gid=vmail home={path}/mail/%u allow_all_users=yes\n}}\n\
             service imap-login {{\n chroot =\n inet_listener imaps {{\n port = 0\n }}\n}}\n\
             service lmtp {{\n unix_listener lmtp {{\n mode = 0600\n }}\n}}\n"
        );
        std::fs::write(at.path().join("dovecot.conf"), config).unwrap();
        let start = format!("chown vmail {path}/mail\nexec dovecot -F -c {path}/dovecot.conf");
        let listens = format!("{IMAP}:143").parse().unwrap();
        let foreign = Foreign::start(at, &[&package("dovecot")], &start, Some(listens), None).unwrap();
        Dovecot { foreign, socket: format!("unix:{path}/run/dovecot/lmtp") }
    }

    /// What a user reads over IMAP, by Python's imaplib: the messages, in order.
    fn mail(&self, user: &str) -> Vec<Vec<u8>> {
        let program = format!(
            "import imaplib\n\
             imap = imaplib.IMAP4('{IMAP}')\nimap.login('{user}', 'secret')\nimap.select('INBOX', readonly=True)\n\
             for number in imap.search(None, 'ALL')[1][0].split():\n\
             \x20   print(imap.fetch(number, '(BODY.PEEK[])')[1][0][1].hex())\n"
        );
        let (good, said) = command("/usr/bin/python3", &["-c", &program], b"");
        assert!(good, "{said}\n{}", self.foreign.log());
        said.lines().map(|line| data_encoding::HEXLOWER.decode(line.as_bytes()).unwrap()).collect()
    }
}

/// Starts nsd, unbound, a Postfix and a Dovecot. Postfix brings a letter by SMTP, and a native user sends another: both come
/// to Dovecot by LMTP, and are read over IMAP with the same text; the one from Postfix with the fields of its way.
#[test]
#[ignore = "scripts/interop runs it"]
fn mail_from_both_worlds_is_read_over_imap_from_dovecot() {
    runtime().block_on(async {
        let dovecot = Dovecot::start();
        let lmtp = format!("[mailbox]\nmaildir = false\nlmtp = \"{}\"", dovecot.socket);
        let mut world = World::new(&[north("").lines(&lmtp)]).await;
        let _names = Names::start(
            &[("legacy.test", &zone("127.0.0.25"))],
            &[("north.test", world.zones("north.test"))],
        );
        let far = Postfix::start("legacy.test", "127.0.0.25", "");
        world.start("north.test").await;
        let mut alice = world.user("alice@north.test").await;
        world.user("bob@north.test").await;

        let native = waxwing_tests::letter("alice@north.test", "Grüße von Alice\r\n.\r\n.. and dots\r\n");
        alice.send(&native, &["bob@north.test"]).await;
        let or = || format!("{:?}\n{}\n{}", world.events("north.test"), dovecot.foreign.log(), far.log());
        let count = async |wanted: usize| {
            arrives("mail over IMAP", async || dovecot.mail("bob@north.test").into_iter().nth(wanted), or)
                .await
        };
        let first = count(0).await;
        let program = "import email, email.policy, sys\n\
            m = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)\n\
            print(m.get_content().encode().hex(), m['return-path'])\n";
        let (_, said) = command("/usr/bin/python3", &["-c", program], &first);
        let text = data_encoding::HEXLOWER.encode("Grüße von Alice\n.\n.. and dots\n".as_bytes());
        assert_eq!(
            said.trim().replace("0d0a", "0a"),
            format!("{text} <>"),
            "{}",
            String::from_utf8_lossy(&first)
        );

        let (mail, file) = letter("zoe@legacy.test", "bob@north.test", 100_000);
        let to =
            ["--server", "127.0.0.25", "--from", "zoe@legacy.test", "--to", "bob@north.test", "--data", "-"];
        let (good, said) = command("swaks", &to, &mail);
        assert!(good, "{said}");
        let second = count(1).await;
        let (subject, text, _, octets) = read_by_python(&second);
        assert_eq!((subject.as_str(), text.trim_end()), (SUBJECT, TEXT.replace("\r\n", "\n").trim_end()));
        assert!(octets == file, "the file, octet for octet");
        let head = String::from_utf8_lossy(&second[..4_000]).into_owned();
        let paths = head.matches("\nReturn-Path:").count() + usize::from(head.starts_with("Return-Path:"));
        assert_eq!(paths, 1, "{head}");
        for wanted in ["Return-Path: <zoe@legacy.test>", "spf=pass", "by mx.north.test with ESMTP"] {
            assert!(head.contains(wanted), "{wanted}: {head}");
        }
        assert_eq!(dovecot.mail("bob@north.test").len(), 2, "each came once");
    });
}
