//! The quickstart as somebody meets it who has only read what it prints.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::postfix::{arrives, runtime};
use crate::street::command;

/// A quickstart that runs; it ends with its handle.
struct Quickstart(Child);

impl Drop for Quickstart {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `waxwing quickstart --json`. What it prints is taken at its word: the line for swaks brings a letter of the old world to
/// Bob, and by the command line with his profile he reads it and answers, over SMTP to the server of legacy.test.
#[test]
#[ignore = "scripts/interop runs it"]
fn swaks_reaches_bob_at_the_address_that_the_quickstart_prints() {
    let waxwing = std::env::var("WAXWING_BIN").expect("run this by scripts/interop");
    let mut started = Command::new(&waxwing);
    started.args(["quickstart", "--json"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut quickstart = Quickstart(started.spawn().unwrap());
    let mut lines = BufReader::new(quickstart.0.stdout.take().unwrap()).lines();
    let ready = loop {
        let line = lines.next().expect("it comes up").unwrap();
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_ne!(event["event"], "trouble", "{line}");
        if event["event"] == "ready" {
            break event;
        }
    };
    // What comes later is read, so that it never waits for room.
    std::thread::spawn(move || lines.for_each(drop));
    let swaks = ready["swaks"].as_str().unwrap();
    assert!(swaks.contains(ready["smtp"].as_str().unwrap()), "{swaks}");
    let (good, said) =
        command("sh", &["-c", &format!("{swaks} --header 'Subject: by swaks' --body moin")], b"");
    assert!(good, "{said}");

    let mut printed = ready["commands"].as_array().unwrap().iter().filter_map(Value::as_str);
    let list = printed.find(|one| one.ends_with("mail list")).unwrap();
    let profile = list.split(' ').nth(2).unwrap().to_owned();
    let bob = |arguments: &[&str]| {
        let (good, said) = command(&waxwing, &[&["--profile", &profile], arguments].concat(), b"");
        assert!(good, "{arguments:?}: {said}");
        said
    };
    let said = bob(&["mail", "list", "--json"]);
    assert!(said.contains("by swaks") && said.contains("zoe@legacy.test"), "{said}");

    let relayed_count = || bob(&["status", "--json"]).matches("relayed").count();
    let before = relayed_count();
    let text = "Moin, Zoe";
    bob(&["send", "--to", "zoe@legacy.test", "--subject", "Re: by swaks", "--text", text]);
    runtime().block_on(async {
        let relayed = async || (relayed_count() > before).then_some(());
        arrives("an answer at the server of legacy.test", relayed, || bob(&["status", "--json"])).await;
    });
}
