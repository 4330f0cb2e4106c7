//! What the operator's book shows is what the program reads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

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
    std::fs::write(folder.path().join("domain.key"), "7".repeat(64)).unwrap();
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

#[test]
fn the_first_configuration_of_the_book_is_read() {
    let config = read(&block("running.md"));
    // TRA-4: the port that peers expect.
    assert_eq!(config.listen.address.port(), 7625);
}
