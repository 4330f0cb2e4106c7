//! What we sign and what we find of others, held against programs that others have written.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use waxwing_tests::{World, letter};

use crate::postfix::{arrives, north, runtime, zone};
use crate::street::{Names, Postfix, RESOLVER, command};

/// A resolver for programs in Python: the one that everybody asks here.
const ASK: &str = "import dns.resolver, sys\n\
    resolver = dns.resolver.Resolver(configure=False); resolver.nameservers = ['127.0.0.53']\n\
    dns.resolver.default_resolver = resolver\n";

/// A key made by openssl in a file, and its record as RFC 6376 and RFC 8463 write it, by openssl's words alone.
fn key(at: &Path, selector: &str, algorithm: &[&str]) -> String {
    let file = at.join(format!("{selector}.pem"));
    let path = file.display().to_string();
    let (good, said) =
        command("openssl", &[&["genpkey", "-out", &path, "-algorithm"][..], algorithm].concat(), b"");
    assert!(good, "{said}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (_, public) = command("openssl", &["pkey", "-in", &path, "-pubout"], b"");
    let lines = public.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    let octets = data_encoding::BASE64.decode(lines.as_bytes()).unwrap();
    // RFC 8463 section 4.2: the key of Ed25519 alone, which is the end of what X.509 makes of it.
    let (kind, bare) = match algorithm {
        ["ed25519"] => ("ed25519", &octets[octets.len() - 32..]),
        _ => ("rsa", &octets[..]),
    };
    let text = format!("v=DKIM1; k={kind}; p={}", data_encoding::BASE64.encode(bare));
    let strings: Vec<String> =
        text.as_bytes().chunks(200).map(|part| format!("\"{}\"", String::from_utf8_lossy(part))).collect();
    format!("{selector}._domainkey TXT {}", strings.join(" "))
}

/// Starts nsd, unbound and a Postfix. What Postfix has delivered of ours is verified by dkimpy with the records in the DNS:
/// the RSA and the Ed25519 signature, and neither once a letter of the text is another.
#[test]
#[ignore = "scripts/interop runs it"]
fn dkimpy_verifies_what_postfix_has_of_ours() {
    runtime().block_on(async {
        let keys = tempfile::tempdir().unwrap();
        let at = keys.path();
        let records = [
            key(at, "rsa", &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
            key(at, "ed", &["ed25519"]),
        ];
        let mut lines = String::new();
        for selector in ["rsa", "ed"] {
            let file = at.join(format!("{selector}.pem"));
            lines.push_str(&format!(
                "[[gateway.dkim]]\ndomain = \"north.test\"\nselector = \"{selector}\"\nkey = {file:?}\n"
            ));
        }
        let mut world = World::new(&[north(&lines).records(&records.join("\n"))]).await;
        let _names = Names::start(
            &[("legacy.test", &zone("127.0.0.25"))],
            &[("north.test", world.zones("north.test"))],
        );
        let far = Postfix::start("legacy.test", "127.0.0.25", "");
        world.start("north.test").await;
        let mut alice = world.user("alice@north.test").await;
        let mail = letter("alice@north.test", "Grüße, signed\r\n.\r\n\r\n");
        alice.send(&mail, &["zoe@legacy.test"]).await;
        let arrived = arrives(
            "mail at Postfix",
            async || far.mail("zoe@legacy.test").pop(),
            || format!("{:?}\n{}", world.events("north.test"), far.log()),
        )
        .await;
        let program = format!(
            "{ASK}import dkim\nmail = sys.stdin.buffer.read()\n\
             def text(name, timeout=5):\n\
             \x20   return b''.join(resolver.resolve(name.decode().rstrip('.'), 'TXT')[0].strings)\n\
             def good(octets, place):\n\
             \x20   try: return dkim.DKIM(octets).verify(idx=place, dnsfunc=text)\n\
             \x20   except dkim.ValidationError: return False\n\
             for place in (0, 1):\n\
             \x20   one = dkim.DKIM(mail); one.verify(idx=place, dnsfunc=text)\n\
             \x20   print(one.selector.decode(), one.domain.decode(), good(mail, place), \
             good(mail.replace(b'signed', b'Signed'), place), good(mail.replace(b'\\nFrom: ', b'\\nFrom: x'), place))\n"
        );
        let (good, said) = command("/usr/bin/python3", &["-c", &program], &arrived);
        assert!(good, "{said}\n{}", String::from_utf8_lossy(&arrived));
        let mut lines: Vec<&str> = said.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["ed north.test True False False", "rsa north.test True False False"]);
    });
}

/// Zones with SPF records of all kinds.
const SENDERS: &str = "@ TXT \"v=spf1 ip4:192.0.2.0/24 -all\"\n\
    soft TXT \"v=spf1 ip4:192.0.2.1 ~all\"\n\
    neutral TXT \"v=spf1 ip4:192.0.2.1 ?all\"\n\
    silent TXT \"hello\"\n\
    twice TXT \"v=spf1 -all\"\ntwice TXT \"v=spf1 +all\"\n\
    broken TXT \"v=spf1 ipv4:192.0.2.1 -all\"\n\
    inside TXT \"v=spf1 include:spf.test ~all\"\n\
    hollow TXT \"v=spf1 include:silent.spf.test -all\"\n\
    host TXT \"v=spf1 a:out.spf.test/28 -all\"\nout A 192.0.2.17\n\
    exchange TXT \"v=spf1 mx -all\"\nexchange MX 10 out\n\
    elsewhere TXT \"v=spf1 redirect=spf.test\"\n\
    macro TXT \"v=spf1 exists:%{l}.%{ir}.ok.spf.test -all\"\nann.1.2.0.192.ok A 127.0.0.2\n\
    six TXT \"v=spf1 ip6:2001:db8::/32 -all\"\n\
    void TXT \"v=spf1 a:n1.spf.test a:n2.spf.test a:n3.spf.test +all\"\n\
    many TXT \"v=spf1 a:out.spf.test mx:exchange.spf.test a:out.spf.test a:out.spf.test a:out.spf.test a:out.spf.test \
    a:out.spf.test a:out.spf.test a:out.spf.test a:out.spf.test a:out.spf.test +all\"\n\
    loop TXT \"v=spf1 include:loop.spf.test -all\"\n";

/// The addresses of clients and the senders that they name.
const QUESTIONS: [(&str, &str); 24] = [
    ("192.0.2.1", "ann@spf.test"),
    ("198.51.100.1", "ann@spf.test"),
    ("192.0.2.1", "ann@soft.spf.test"),
    ("192.0.2.2", "ann@soft.spf.test"),
    ("192.0.2.2", "ann@neutral.spf.test"),
    ("192.0.2.1", "ann@silent.spf.test"),
    ("192.0.2.1", "ann@nowhere.spf.test"),
    ("192.0.2.1", "ann@twice.spf.test"),
    ("192.0.2.1", "ann@broken.spf.test"),
    ("192.0.2.1", "ann@inside.spf.test"),
    ("198.51.100.1", "ann@inside.spf.test"),
    ("192.0.2.1", "ann@hollow.spf.test"),
    ("192.0.2.30", "ann@host.spf.test"),
    ("192.0.2.32", "ann@host.spf.test"),
    ("192.0.2.17", "ann@exchange.spf.test"),
    ("198.51.100.1", "ann@elsewhere.spf.test"),
    ("192.0.2.1", "ann@macro.spf.test"),
    ("192.0.2.1", "bob@macro.spf.test"),
    ("2001:db8::25", "ann@six.spf.test"),
    ("2001:db9::25", "ann@six.spf.test"),
    ("192.0.2.1", "ann@six.spf.test"),
    ("192.0.2.1", "ann@void.spf.test"),
    ("192.0.2.1", "ann@many.spf.test"),
    ("192.0.2.1", "ann@loop.spf.test"),
];

/// Starts nsd and unbound. pyspf and `waxwing spf explain` ask the same name server and find the same.
#[test]
#[ignore = "scripts/interop runs it"]
fn pyspf_finds_what_we_find() {
    let _names = Names::start(&[("spf.test", SENDERS)], &[]);
    let waxwing = std::env::var("WAXWING_BIN").expect("run this by scripts/interop");
    let theirs =
        format!("{ASK}import spf\nprint(spf.check2(sys.argv[1], sys.argv[2], 'helo.spf.test')[0])\n");
    let mut kinds = std::collections::BTreeSet::new();
    let mut different = Vec::new();
    for (address, sender) in QUESTIONS {
        let (_, said) = command("/usr/bin/python3", &["-W", "ignore", "-c", &theirs, address, sender], b"");
        let ask = [
            "spf",
            "explain",
            "--json",
            "--dns",
            RESOLVER,
            "--ip",
            address,
            "--helo",
            "helo.spf.test",
            "--from",
            sender,
        ];
        let (_, ours) = command(&waxwing, &ask, b"");
        let json: serde_json::Value =
            serde_json::from_str(&ours).unwrap_or_else(|error| panic!("{error}: {ours}"));
        let found = json["mail_from"]["spf"].as_str().unwrap_or(&ours).to_owned();
        kinds.insert(found.clone());
        if said.trim() != found {
            different.push(format!("{address} {sender}: pyspf {}, waxwing {ours}", said.trim()));
        }
    }
    assert!(different.is_empty(), "{different:#?}");
    let all = ["fail", "neutral", "none", "pass", "permerror", "softfail"];
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), all, "every kind is asked about");
}
