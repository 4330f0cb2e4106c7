//! The program itself, where nobody reads what it prints.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::process::{Command, Output, Stdio};

fn waxwing(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxwing"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Does a command whose standard output is a pipe that nobody reads any more.
fn unread(arguments: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    waxwing(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap()
}

/// `waxwing config show | head -1` and its like: whoever has read enough is no fault, and ends nothing with a panic.
#[test]
fn a_reader_who_has_enough_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node").display().to_string();
    let config = format!("{dir}/waxwing.toml");
    let check = |arguments: &[&str]| {
        let ended = unread(arguments);
        let told = String::from_utf8(ended.stderr).unwrap();
        assert_eq!((ended.status.code(), told.as_str()), (Some(0), ""), "{arguments:?}");
    };
    check(&["config", "init", "--domain", "north.test", "--dir", &dir]);
    for (out, json) in [("one", &[][..]), ("two", &["--json"])] {
        let out = format!("{dir}/{out}");
        check(&[&["config", "show", "--config", &config][..], json].concat());
        check(&[&["store", "export", "--config", &config, "--dir", &out][..], json].concat());
    }
    check(&["completions", "bash"]);
    // Nor is one who does not listen to errors.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = waxwing(&["config", "show", "--config", "/nowhere"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

/// What is printed for programs is JSON whatever the command.
///
/// proves: CLI-3
#[test]
fn an_export_is_told_as_an_object() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node").display().to_string();
    let (config, out) = (format!("{dir}/waxwing.toml"), format!("{dir}/out"));
    assert!(
        waxwing(&["config", "init", "--domain", "north.test", "--dir", &dir])
            .output()
            .unwrap()
            .status
            .success()
    );
    let told = waxwing(&["store", "export", "--config", &config, "--dir", &out, "--json"]).output().unwrap();
    let object: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(object, serde_json::json!({ "messages": 0, "accounts": 0, "dir": out, "skipped": [] }));
    // Nothing that is there is written over.
    let again = waxwing(&["store", "export", "--config", &config, "--dir", &out]).output().unwrap();
    assert_eq!(again.status.code(), Some(5));
}
