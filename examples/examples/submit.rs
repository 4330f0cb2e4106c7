//! Hands a message to a node from a program, and reads what became of it for each recipient.
//!
//! ```text
//! cargo run -p waxwing-examples --example submit
//! cargo run -p waxwing-examples --example submit PROFILE RECIPIENT TEXT
//! ```
//!
//! With arguments it uses a profile that `waxwing enrol` has made (`~/.config/waxwing`). Without them it
//! starts a node of its own in a temporary folder, enrols with it and submits there.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use cli::client::{Composition, Session, Submitted};
use cli::profile::{self, Profile, Trust};
use daemon::Demo;
use message::address::Address;
use message::{Code, Disposition};
use protocol::{Enrol, StatusQuery, SubmissionOptions};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [folder, recipient, text] = arguments.as_slice() {
        let submitted = submit(Path::new(folder), &[Address::parse(recipient)?], text).await?;
        tell(&submitted);
        return Ok(());
    }
    show().await
}

/// What a program does that has a profile: connect, compose, submit, ask for the status.
async fn submit(folder: &Path, to: &[Address], text: &str) -> Result<Submitted, Failure> {
    let profile = Profile::load(folder)?;
    // The device's key is all that is needed: the node knows whose it is since it was enrolled.
    let mut session = Session::connect(&profile.node, &profile.trust, &profile::device_key(folder)?).await?;
    let message = Composition {
        from: profile.address,
        to: to.to_vec(),
        subject: Some("From a program".to_owned()),
        text: text.to_owned(),
        // Files are streamed from the disk, however large they are.
        attachments: Vec::new(),
    }
    .compose()?;
    let progress = |octets| println!("{octets} octets of {} read", message.body_octets());
    let submitted = session.submit(&message, to, SubmissionOptions::default(), &progress).await?;

    // What is not final yet is asked for later, by the identity of the message: from this program, from
    // another one, or by `waxwing status`. Nothing is ever sent back as a message.
    let records = session.status(StatusQuery::Of(submitted.identity)).await?;
    let recipients: usize = records.iter().map(|record| record.recipients.len()).sum();
    println!("the node keeps {} record of it, for {recipients} recipients", records.len());
    session.close().await;
    Ok(submitted)
}

/// The same against a node of its own.
async fn show() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let demo = Demo::start(folder.path(), &|_| Arc::new(node::Quiet)).await?;
    let profile = enrol(&demo, &folder.path().join("profile")).await?;

    let here = Address::parse("alice@north.test")?;
    let nobody = Address::parse("nobody@north.test")?;
    let submitted = submit(&profile, &[here, nobody], "A note to myself.").await?;
    tell(&submitted);

    // Both are addresses of Alice's own node, so both answers are final at once: each recipient has one of
    // its own.
    let dispositions: Vec<&Disposition> =
        submitted.outcomes.iter().map(|(_, disposition)| disposition).collect();
    assert_eq!(dispositions[0], &Disposition::Accepted);
    assert!(matches!(dispositions[1], Disposition::Refused { code: Code::NO_SUCH_ADDRESS, .. }));
    demo.stop().await;
    Ok(())
}

/// An account for Alice, made by the operator, and a device of hers, enrolled with the password this once.
async fn enrol(demo: &Demo, folder: &Path) -> Result<std::path::PathBuf, Failure> {
    let address = Address::parse("alice@north.test")?;
    let password = "a long password, used once".to_owned();
    let node = demo.north.running.node();
    node.put_account("alice", std::slice::from_ref(&address), Some(password.clone()))
        .await
        .map_err(|(_, text)| text)?;

    let profile = Profile {
        address,
        account: "alice".to_owned(),
        node: demo.north.running.address()?.to_string().parse()?,
        // No public authority vouches for this node: it is known by the digest of its key.
        trust: Trust::Pinned(demo.north.pin),
        device: "example".to_owned(),
    };
    profile.save(folder)?;
    let mut session = Session::connect(&profile.node, &profile.trust, &profile::device_key(folder)?).await?;
    session.enrol(Enrol { account: profile.account, password, device: profile.device }).await?;
    session.close().await;
    Ok(folder.to_owned())
}

fn tell(submitted: &Submitted) {
    for (recipient, disposition) in &submitted.outcomes {
        println!("{}  {recipient}: {disposition:?}", submitted.identity.short());
    }
}

#[cfg(test)]
#[tokio::test(flavor = "multi_thread")]
async fn runs() {
    show().await.unwrap();
}
