//! What the operator's book shows is what the program reads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use daemon::Config;

/// The first block of TOML in a document.
fn block(document: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(document);
    let text = std::fs::read_to_string(&path).unwrap();
    let (_, rest) = text.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

fn read(text: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("domain.key");
    std::fs::write(&key, "7".repeat(64)).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let path = folder.path().join("waxwing.toml");
    std::fs::write(&path, text).unwrap();
    Config::read(&path).unwrap()
}

/// Every key of the page is one that is read, and what stands there for keys that can be left out is their
/// default.
#[test]
fn the_page_of_the_configuration_has_the_defaults() {
    let mut documented = read(&block("configuration.md"));
    assert_eq!((documented.peers.len(), documented.relays.len(), documented.rules.len()), (1, 1, 1));
    documented.peers.clear();
    documented.relays.clear();
    documented.rules.clear();
    let least = read("[[domains]]\nname = \"north.test\"\nselector = \"key1\"\nkey = \"domain.key\"\n");
    assert_eq!(documented.to_text().unwrap(), least.to_text().unwrap());
}

/// Every key that the program writes by default stands on the page.
#[test]
fn the_page_of_the_configuration_is_complete() {
    let page = block("configuration.md");
    let least = read("[[domains]]\nname = \"north.test\"\nselector = \"key1\"\nkey = \"domain.key\"\n");
    for line in least.to_text().unwrap().lines() {
        let word = line.split('=').next().unwrap().trim_end();
        assert!(page.lines().any(|shown| shown.starts_with(word)), "{word:?} is not on the page");
    }
}

/// The rule of greylisting that the book shows is one that is read.
#[test]
fn the_rule_of_greylisting_is_read() {
    let least = "[[domains]]\nname = \"north.test\"\nselector = \"key1\"\nkey = \"domain.key\"\n";
    let read = read(&format!("{least}{}", block("peers.md")));
    assert_eq!(read.rules.len(), 1);
}

/// The book begins with `config init` in these words, and what that writes is read.
#[test]
fn the_first_configuration_of_the_book_is_read() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/running.md")).unwrap();
    let words = "waxwing config init --domain north.test --dir /etc/waxwing --data /var/lib/waxwing --listen '[::]:7625'";
    assert!(page.contains(words));
    let folder = tempfile::tempdir().unwrap();
    let domain = message::address::Domain::parse("north.test").unwrap();
    let plan = daemon::Plan {
        host: daemon::host_within(&domain).unwrap(),
        domain,
        listen: "[::]:7625".parse().unwrap(),
        selector: "key1".to_owned(),
        data: "data".into(),
    };
    let path = daemon::init(&folder.path().join("waxwing"), &plan).unwrap();
    // TRA-4: the port that peers expect.
    assert_eq!(Config::read(&path).unwrap().listen.address.port(), 7625);
}
