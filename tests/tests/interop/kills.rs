//! Postfix's own load generator, a Postfix that sends on, and a gateway that is killed in the middle.

use std::collections::BTreeSet;
use std::time::Duration;

use message::address::Address;
use storage::AccountRecord;
use waxwing_tests::torture::{Random, World};

use crate::postfix::{runtime, zone};
use crate::street::{Names, Postfix};

/// How many messages.
const MESSAGES: usize = 2_000;

/// Starts nsd, unbound, a Postfix and a node as a process of its own. smtp-source gives the Postfix 2,000 messages, which it
/// brings to our gateway over several sessions, while that is killed (SIGKILL) every half second or so. What the gateway
/// had acknowledged is in the mailbox, and nothing is there twice: what Postfix brings again has the same octets.
#[test]
#[ignore = "scripts/interop runs it"]
fn two_thousand_messages_of_smtp_source_arrive_once_whenever_the_gateway_is_killed() {
    runtime().block_on(async {
        let mut world = World::lay_out(|config| {
            config.mailbox.maildir = false;
            config.rules.clear();
            config.accept_first_contact();
        })
        .await
        .unwrap();
        let config = world.south.config().unwrap();
        let account = AccountRecord {
            name: "bob".to_owned(),
            addresses: vec![Address::parse("bob@south.test").unwrap()],
            password_hash: None,
            scram: None,
            devices: Vec::new(),
            disabled: false,
            notices: false,
        };
        daemon::open_store(&config).unwrap().put_account(account).await.unwrap();
        let port = config.gateway.and_then(|gateway| gateway.transfer).unwrap().port();
        let _names = Names::start(&[("legacy.test", &zone("127.0.0.25"))], &[]);
        let more = format!(
            "transport_maps = inline:{{ south.test=smtp:[127.0.0.1]:{port} }}\nsmtp_tls_security_level = none"
        );
        let postfix = Postfix::start("legacy.test", "127.0.0.25", &more);
        world.start().unwrap();
        let load = format!(
            "smtp-source -m {MESSAGES} -s 20 -l 4096 -f zoe@legacy.test -t bob@south.test 127.0.0.25:25"
        );
        postfix.run(&load);
        let (mut random, mut kills) = (Random::new(1), 0);
        while !postfix.run("postqueue -c $C -p").contains("Mail queue is empty") {
            tokio::time::sleep(Duration::from_millis(random.between(200, 900))).await;
            world.south.kill().unwrap();
            world.south.start().unwrap();
            kills += 1;
            assert!(kills < 500, "{}", postfix.log());
        }
        world.south.kill().unwrap();
        let store = daemon::open_store(&world.south.config().unwrap()).unwrap();
        let (mut count, mut identities, mut after) = (0, BTreeSet::new(), None);
        loop {
            let page = store.mailbox("bob", after, 500).unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.uid);
            count += page.len();
            identities.extend(page.iter().map(|entry| entry.identity));
        }
        let sent = postfix.log().matches("status=sent").count();
        println!("{MESSAGES} messages, {kills} kills, {sent} acknowledged, {count} in the mailbox");
        assert!(kills > 2, "it was killed {kills} times");
        assert_eq!((sent, count, identities.len()), (MESSAGES, MESSAGES, MESSAGES));
    });
}
