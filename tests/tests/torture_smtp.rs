//! A node whose gateway takes mail by SMTP is killed in the middle, again and again. Each message that was acknowledged is in
//! the mailbox. A message whose acknowledgement was lost is sent again, as every mail server does, and is there once: its
//! octets are the same, and it has a Message-Id.
//!
//! `WAXWING_TORTURE_SMTP` sets the number of messages (400 where it is not set).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use message::address::Address;
use storage::AccountRecord;
use waxwing_tests::smtp::{Session, Smtp, body};
use waxwing_tests::torture::{Random, Trouble, World, setting};

/// Sessions at a time.
const SESSIONS: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_gateway_has_acknowledged_is_there_whenever_it_is_killed() -> Result<(), Trouble> {
    let messages = setting("WAXWING_TORTURE_SMTP", 400);
    let mut world = World::lay_out(|config| {
        config.mailbox.maildir = false;
        config.rules.clear();
        config.accept_first_contact();
    })
    .await?;
    add_bob(&world).await?;
    world.start()?;
    let address = world.south.config()?.gateway.and_then(|gateway| gateway.transfer).ok_or("no gateway")?;
    let smtp = Smtp { address, tls: false, to: "bob@south.test" };
    let (next, sent_again) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (ended, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let workers: Vec<_> = (0..SESSIONS)
        .map(|_| {
            let (smtp, next, again, acknowledged) =
                (smtp.clone(), next.clone(), sent_again.clone(), acknowledged.clone());
            std::thread::spawn(move || deliver(&smtp, messages, &next, &again, &acknowledged))
        })
        .collect();
    let waiting = {
        let ended = ended.clone();
        std::thread::spawn(move || {
            let all = workers.into_iter().all(|worker| worker.join().is_ok());
            ended.store(true, Ordering::Release);
            all
        })
    };
    let (mut random, mut kills) = (Random::new(setting("WAXWING_TORTURE_SEED", 1)), 0);
    while !ended.load(Ordering::Acquire) {
        tokio::time::sleep(Duration::from_millis(random.between(100, 900))).await;
        world.south.kill()?;
        world.south.start()?;
        kills += 1;
    }
    assert!(waiting.join().is_ok_and(|all| all), "a session has panicked");
    world.south.kill()?;
    let found = subjects(&world)?;
    let acknowledged = acknowledged.lock().map_err(|_| "poisoned")?;
    println!(
        "{} messages acknowledged, {kills} kills, {} sent again, {} in the mailbox",
        acknowledged.len(),
        sent_again.load(Ordering::Relaxed),
        found.len()
    );
    assert_eq!(acknowledged.len() as u64, messages);
    assert!(kills > 0, "nobody was killed");
    for subject in acknowledged.iter() {
        assert_eq!(found.get(subject), Some(&1), "{subject}");
    }
    assert_eq!(found.len(), acknowledged.len(), "nothing that nobody has sent");
    Ok(())
}

/// An account for Bob, who has no device.
async fn add_bob(world: &World) -> Result<(), Trouble> {
    let account = AccountRecord {
        name: "bob".to_owned(),
        addresses: vec![Address::parse("bob@south.test")?],
        password_hash: None,
        scram: None,
        devices: Vec::new(),
        disabled: false,
        notices: false,
    };
    Ok(daemon::open_store(&world.south.config()?)?.put_account(account).await?)
}

/// One client: it takes the next number until all are acknowledged, and sends again what was not.
fn deliver(
    smtp: &Smtp,
    messages: u64,
    next: &AtomicU64,
    again: &AtomicU64,
    acknowledged: &Mutex<Vec<String>>,
) {
    let body = body(4096);
    let mut session = None;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= messages {
            return;
        }
        let name = format!("torture-{number}");
        loop {
            let open = match session.take() {
                Some(open) => Ok(open),
                None => Session::open(smtp),
            };
            // A server that was killed is there again soon; a client that waits for it is no busier than others.
            let Ok(mut open) = open else {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            if open.send(&name, smtp.to, &body).is_ok() {
                session = Some(open);
                if let Ok(mut all) = acknowledged.lock() {
                    all.push(format!("load {name}"));
                }
                break;
            }
            again.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How often each subject is in Bob's mailbox.
fn subjects(world: &World) -> Result<BTreeMap<String, usize>, Trouble> {
    let store = daemon::open_store(&world.south.config()?)?;
    let (mut found, mut after) = (BTreeMap::new(), None);
    loop {
        let page = store.mailbox("bob", after, 500)?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(last.uid);
        for entry in &page {
            let message = store.message(entry.identity)?.ok_or("a mailbox entry without its message")?;
            let headers = message.headers.ok_or("no headers")?;
            *found.entry(headers.message().only("Subject").ok_or("no subject")?).or_default() += 1;
        }
    }
}
