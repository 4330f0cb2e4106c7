//! What servers of the old world have answered, in full, for each recipient.

use control::{Request, Response};
use waxwing_tests::letter;
use waxwing_tests::world::until;

use crate::kept_sender::{DSN, Far, Street};

/// Three lines, of which the last stands behind the first 512 octets.
const LONG: &str = concat!(
    "550-5.1.1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
    "550-5.1.1 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n",
    "550 5.1.1 see https://far.test/why"
);

/// proves: GW-107, STA-12
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_reply_is_kept_for_the_recipient_that_it_settles() {
    let says = |line: &str| match line {
        line if line.contains("TO:<gone@") => Some(LONG),
        line if line.contains("TO:<busy@") => Some("451 4.2.0 come again"),
        _ => None,
    };
    let street = Street::with(Far { says, ..DSN }).await;
    let mut bob = street.world.user("bert@one.test").await;
    let to = ["new@far.test", "gone@far.test", "busy@far.test"];
    let sent = bob.send(&letter("bert@one.test", "Anybody there?\r\n"), &to).await;
    let store = street.world.node("one.test").store().clone();
    let envelope = store.envelopes_for(sent, 1).unwrap().remove(0).id;
    let tried = || store.attempts(envelope).unwrap().len() >= 3;
    assert!(until(tried).await, "{:?}", street.world.events("one.test"));

    let socket = street.world.data("one.test").join("control.sock");
    let mut client = control::Client::connect(&socket).await.unwrap();
    let traced = client.call(&Request::Trace { identity: sent.to_string() }).await.unwrap();
    let Response::Envelopes { envelopes, .. } = traced else { panic!("{traced:?}") };
    let attempts = &envelopes[0].attempts;
    let of = |address: &str, step: &str| {
        let mut found =
            attempts.iter().filter(|one| one.recipient.as_deref() == Some(address) && one.step == step);
        found.next().unwrap_or_else(|| panic!("{address} {step}: {attempts:?}"))
    };
    let gone = of("gone@far.test", "recipient");
    assert_eq!((gone.code.as_deref(), gone.host.as_str()), (Some("5.1.1"), "mx.far.test"));
    assert!(gone.text.len() > 512 && gone.text.ends_with("see https://far.test/why"), "{}", gone.text);
    assert_eq!(of("busy@far.test", "recipient").code.as_deref(), Some("4.2.0"));
    assert!(of("new@far.test", "relayed").text.contains("well"));
    // What a status says of it is short, as it goes into every poll.
    let told = bob.dispositions(sent).await;
    let message::Disposition::Refused { text, .. } = &told[1] else { panic!("{told:?}") };
    assert!(text.len() <= 512, "{text}");
}
