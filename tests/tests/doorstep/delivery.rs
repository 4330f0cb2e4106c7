//! What goes well: the lease, the redirect, the delivery, and what the node knows of it.

use message::Disposition;
use node::Event;
use protocol::{StatusQuery, Way};
use storage::{MailUid, MailboxEntry};
use waxwing_tests::{Memory, Site, World, letter};

/// The entries of a mailbox at a node.
pub(crate) fn mailbox(world: &World, domain: &str, account: &str) -> Vec<MailboxEntry> {
    world.node(domain).store().mailbox(account, None::<MailUid>, 100).unwrap()
}

/// Whether the node of a domain has redirected for a recipient.
pub(crate) fn redirects(world: &World, domain: &str, recipient: &str) -> usize {
    world.events(domain).count(|event| {
        matches!(event, Event::Decided { recipient: one, disposition: Disposition::Redirected(_), rule, .. }
            if one.to_string() == recipient && rule == "doorstep")
    })
}

/// One message for a user with a doorstep and one without: the first has it at home and nowhere else, the second in the
/// mailbox. The author sees both as accepted, and the journal where.
///
/// proves: EXC-19, DOOR-1, DOOR-2, DOOR-3, DOOR-8, DOOR-10
#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_straight_to_the_doorstep() {
    let world = World::started(&[Site::new("north.test"), Site::new("south.test")]).await;
    let mut alice = world.user("alice@north.test").await;
    let carol = world.user("carol@south.test").await;
    let _dan = world.user("dan@south.test").await;
    let porch = world.open_porch(&carol).await;

    let to = ["dan@south.test", "carol@south.test"];
    let message = letter("alice@north.test", "To your own machine, Carol.");
    let identity = alice.send(&message, &to).await;
    for one in to {
        assert_eq!(world.events("north.test").settled(identity, one).await, Disposition::Accepted);
    }
    assert_eq!(porch.mail(), [identity]);
    assert!(mailbox(&world, "south.test", "carol").is_empty(), "the node keeps nothing for her");
    assert_eq!(mailbox(&world, "south.test", "dan").len(), 1);
    assert_eq!((redirects(&world, "south.test", to[0]), redirects(&world, "south.test", to[1])), (0, 1));
    let [record] = alice.session.status(StatusQuery::Of(identity)).await.unwrap().try_into().unwrap();
    let at = porch.listen.to_string();
    assert!(record.attempts.iter().any(|tried| tried.step == "doorstep" && tried.host == at));
}

/// Where the operator has turned redirects off no doorstep can register, and the node takes the mail.
///
/// proves: DOOR-8
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_turn_redirects_off() {
    let south = Site::new("south.test").lines("[mailbox]\nredirect = false\n");
    let world = World::started(&[Site::new("north.test"), south]).await;
    let mut alice = world.user("alice@north.test").await;
    let carol = world.user("carol@south.test").await;
    let (node, device) = (world.node("south.test"), carol.device.public());
    let at = "127.0.0.1:7626".parse().unwrap();
    let refused = node.open_doorstep("carol", *device.as_bytes(), [1; 32], at).map(|_| ()).unwrap_err();
    assert_eq!(refused.0, message::Code::NOT_AUTHORIZED);
    let identity = alice.send(&letter("alice@north.test", "To the node"), &["carol@south.test"]).await;
    world.events("south.test").delivered(identity, "carol@south.test").await;
    assert_eq!(redirects(&world, "south.test", "carol@south.test"), 0);
    assert_eq!(mailbox(&world, "south.test", "carol").len(), 1);
}

/// What a doorstep has taken the node knows as accepted, also when the sender asks again and the doorstep is gone; and what
/// stands in the Maildir at home is the message.
///
/// proves: DOOR-5, DOOR-11
#[tokio::test(flavor = "multi_thread")]
async fn the_node_knows_what_the_doorstep_has_taken() {
    let world = World::started(&[Site::new("north.test"), Site::new("south.test")]).await;
    let mut alice = world.user("alice@north.test").await;
    let carol = world.user("carol@south.test").await;
    let mut porch = world.open_porch(&carol).await;
    let message = letter("alice@north.test", "Once, and no more.");
    let identity = alice.send(&message, &["carol@south.test"]).await;
    world.events("north.test").settled(identity, "carol@south.test").await;
    porch.told(1).await;
    let maildir = porch.folder().join("maildir").join(daemon::DOORSTEP_ACCOUNT).join("new");
    let written =
        waxwing_tests::world::until(|| std::fs::read_dir(&maildir).is_ok_and(|files| files.count() == 1));
    assert!(written.await);
    porch.stop().await;

    // The sender has forgotten that it was answered, and asks in each of the ways.
    let peer = world.peer("north.test", "south.test").await;
    for way in [Way::Plain, Way::RedirectFailed] {
        let (mut offer, supply) = peer.offer_of(&message, &["carol@south.test"]);
        offer.way = way;
        let outcome = peer.offer_as(offer, supply, &Memory::of(&message)).await.unwrap();
        assert_eq!(outcome.dispositions, [Disposition::Accepted]);
    }
    assert!(mailbox(&world, "south.test", "carol").is_empty(), "it has taken nothing a second time");

    // In good order it has told the node: the next message is taken by the node at once.
    let next = alice.send(&letter("alice@north.test", "You are out."), &["carol@south.test"]).await;
    world.events("south.test").delivered(next, "carol@south.test").await;
    assert_eq!(redirects(&world, "south.test", "carol@south.test"), 1);
}

/// The user's own program reads at the doorstep, with the same key; it hands nothing in there.
#[tokio::test(flavor = "multi_thread")]
async fn the_users_own_programs_read_at_the_doorstep() {
    use cli::client::{Incoming, Outgoing, Session};
    use cli::profile::Trust;
    let world = World::started(&[Site::new("north.test"), Site::new("south.test")]).await;
    let mut alice = world.user("alice@north.test").await;
    let carol = world.user("carol@south.test").await;
    let porch = world.open_porch(&carol).await;
    let message = letter("alice@north.test", "Read me at home.");
    let identity = alice.send(&message, &["carol@south.test"]).await;
    world.events("north.test").settled(identity, "carol@south.test").await;

    let pin = Trust::Pinned(transport::ed25519_key_digest(carol.device.public().as_bytes()));
    let at = porch.listen.to_string().parse().unwrap();
    let mut reader = Session::connect(&at, &pin, &carol.device).await.unwrap();
    let [entry] = reader.mailbox(0, 10).await.unwrap().try_into().unwrap();
    assert_eq!(
        (entry.identity, entry.recipient, entry.origin.as_str()),
        (identity, carol.address.clone(), "north.test")
    );
    let mut incoming = Incoming::into_memory(identity, 1 << 20);
    reader.fetch(identity, message::Selection::All, &mut incoming).await.unwrap();
    assert_eq!(incoming.finish().unwrap().manifest.unwrap().identity(), identity);
    assert!(reader.devices().await.is_err());
    let outgoing = Outgoing::from_message(&message, Vec::new());
    let to = [alice.address.clone()];
    assert!(reader.submit(&outgoing, &to, Default::default(), &|_| {}).await.is_err());
    // Nobody else reads there, whatever key is shown. The refusal closes the connection: it may come before the settings
    // have been read, and then there is no session at all.
    let refused = match Session::connect(&at, &pin, &alice.device).await {
        Ok(mut stranger) => stranger.mailbox(0, 10).await.map(drop),
        Err(refused) => Err(refused),
    };
    assert!(matches!(refused, Err(cli::Error::NotAuthorised { .. })), "{refused:?}");
}
