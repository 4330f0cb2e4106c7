//! What the reader of a message is told about its author: the first letter or not, known since when, sealed with which
//! key, and whom the address can be taken for.

use std::net::Ipv4Addr;

use control::{
    AuthorView, Client, CorrespondentView, EarlierLetters, HeldView, MailDetailView, Request, Response,
};
use message::Identity;
use message::address::{Address, Domain};
use node::{Choice, Event, LegacyOffer};
use waxwing_tests::world::until;
use waxwing_tests::{Site, User, World, letter};

const ALICE: &str = "alice@north.test";
/// As an Alice of that domain, with a Cyrillic letter (U+0430) in the first place.
const MALLORY: &str = "\u{430}lice@hand.test";
const CAROL: &str = "carol@south.test";

struct Scene {
    world: World,
    client: Client,
}

impl Scene {
    /// South holds everything for Carol.
    async fn new() -> (Scene, User) {
        let south = Site::new("south.test").rule("hold", CAROL, "hold text");
        let mut world = World::new(&[Site::new("north.test"), south, Site::new("hand.test")]).await;
        world.start("north.test").await;
        world.start("south.test").await;
        let carol = world.user(CAROL).await;
        let client = Client::connect(&world.data("south.test").join("control.sock")).await.unwrap();
        (Scene { world, client }, carol)
    }

    async fn ask(&mut self, request: Request) -> Response {
        self.client.call(&request).await.unwrap()
    }

    /// What is held for Carol of this author, once there is so much.
    async fn held(&mut self, count: usize) -> Vec<HeldView> {
        let node = self.world.node("south.test").clone();
        assert!(until(|| node.held(Some("carol"), None, 10).unwrap().len() == count).await);
        let list = Request::HeldList { account: Some("carol".to_owned()), after: None, limit: 10 };
        let Response::HeldList { held } = self.ask(list).await else { panic!("no list") };
        held
    }

    async fn accept(&self, identity: Identity, trust: bool) {
        let carol = Address::parse(CAROL).unwrap();
        let choice = Choice::Accept { trust };
        self.world.node("south.test").decide_held(Some("carol"), identity, &carol, choice).await.unwrap();
        self.world.events("south.test").delivered(identity, CAROL).await;
    }

    async fn mail(&mut self, place: usize) -> MailDetailView {
        let list = Request::MailList { account: "carol".to_owned(), before: None, limit: 10 };
        let Response::Mails { mails } = self.ask(list).await else { panic!("no mailbox") };
        let show = Request::MailShow { account: "carol".to_owned(), number: mails[place].number };
        let Response::Mail(detail) = self.ask(show).await else { panic!("no letter") };
        *detail
    }

    async fn correspondents(&mut self) -> Vec<CorrespondentView> {
        let list = Request::Correspondents { account: "carol".to_owned(), after: None, limit: 10 };
        let Response::Correspondents { correspondents } = self.ask(list).await else { panic!("no list") };
        correspondents
    }
}

fn author(held: &HeldView) -> AuthorView {
    held.author.clone().unwrap()
}

/// proves: ADDR-14
#[tokio::test]
async fn a_reader_is_told_what_the_author_is_to_them() {
    let (mut scene, _carol) = Scene::new().await;
    let mut alice = scene.world.user(ALICE).await;
    let first = alice.send(&letter(ALICE, "The first"), &[CAROL]).await;
    let held = scene.held(1).await;
    assert_eq!(author(&held[0]), AuthorView { earlier: EarlierLetters::None, ..AuthorView::default() });
    scene.accept(first, false).await;
    let shown = scene.mail(0).await.mail;
    assert_eq!(shown.author.unwrap().earlier, EarlierLetters::None, "it is not earlier than itself");

    let second = alice.send(&letter(ALICE, "The second"), &[CAROL]).await;
    let held = scene.held(1).await;
    assert_eq!(author(&held[0]), AuthorView { earlier: EarlierLetters::Some, ..AuthorView::default() });
    scene.accept(second, true).await;
    let told = scene.mail(0).await.mail.author.unwrap();
    assert_eq!((told.regard.as_deref(), told.regard_of.as_deref()), (Some("trusted"), Some(ALICE)));
    assert!(told.since_ms.is_some() && told.warnings.is_empty(), "{told:?}");

    // The key is the one that the domain has sealed with.
    let key = scene.world.domain_key("north.test").public().id().to_string();
    let [known] = scene.correspondents().await.try_into().unwrap();
    let seal = known.seal.unwrap();
    assert_eq!((known.who.as_str(), seal.issuer.as_str(), seal.verified), (ALICE, "north.test", true));
    assert_eq!(seal.key, Some(key));
    assert!(!seal.key_name.is_empty() && known.sealed_at_ms.is_some());

    // Somebody who looks like one whom she trusts, held and read. No node of ours gives such a name.
    let node = scene.world.node("south.test").clone();
    node.trust("carol", "alice@hand.test", "").await.unwrap();
    let hand = scene.world.peer("hand.test", "south.test").await;
    let message = letter(MALLORY, "It is me");
    hand.offer(&message, &[CAROL]).await.unwrap();
    let third = message.identity();
    let told = author(&scene.held(1).await[0]);
    assert_eq!((told.regard, told.earlier), (None, EarlierLetters::None));
    let [mixed, alike] = told.warnings.try_into().unwrap();
    assert!(mixed.contains("different scripts") && alike.contains("alice@hand.test"), "{mixed} {alike}");
    scene.accept(third, false).await;
    assert_eq!(scene.mail(0).await.mail.author.unwrap().warnings, [mixed, alike]);
}

/// A letter over SMTP in the name of somebody who is trusted: it is no letter of theirs until their domain is proved.
///
/// proves: POL-12
#[tokio::test]
async fn a_name_that_nothing_proves_is_shown_as_that() {
    let (mut scene, _carol) = Scene::new().await;
    let node = scene.world.node("south.test").clone();
    node.trust("carol", "alice@old.test", "").await.unwrap();
    let bring = async |text: &str, proved: bool| {
        let offer = LegacyOffer {
            client: Ipv4Addr::new(192, 0, 2, 1).into(),
            return_path: Some(Address::parse("alice@old.test").unwrap()),
            verified: proved,
            author: proved.then(|| Domain::parse("old.test").unwrap()),
            checks: vec![("dmarc".to_owned(), if proved { "pass" } else { "fail" }.to_owned())],
            received: String::new(),
            authentication_results: String::new(),
            recipients: vec![Address::parse(CAROL).unwrap()],
            passage: storage::Passage::default(),
        };
        let message = letter("alice@old.test", text);
        node.take_legacy(offer, &message).await.unwrap();
        message.identity()
    };
    for text in ["Forged", "Forged again"] {
        let forged = bring(text, false).await;
        let told = author(&scene.held(1).await[0]);
        assert_eq!((told.regard, told.since_ms, told.earlier), (None, None, EarlierLetters::Unknown));
        assert!(told.warnings[0].contains("nothing proves"), "{:?}", told.warnings);
        scene.accept(forged, false).await;
        assert!(scene.mail(0).await.mail.author.unwrap().warnings[0].contains("nothing proves"));
    }
    assert_eq!(scene.correspondents().await[0].seal, None, "no gateway's seal tells who has written");
    let own = bring("Her own", true).await;
    let told = author(&scene.held(1).await[0]);
    assert_eq!((told.regard.as_deref(), told.warnings.len()), (Some("trusted"), 0));
    assert_eq!(told.earlier, EarlierLetters::None, "those in her name were not hers");
    scene.accept(own, false).await;
    assert_eq!(scene.correspondents().await[0].seal, None);
    node.block("carol", "alice@old.test", "").await.unwrap();
    assert_eq!(scene.mail(1).await.mail.author.unwrap().regard.as_deref(), Some("blocked"));
}

/// Who blocks a correspondent complains, once; whoever was never met is not counted.
///
/// proves: REP-8
#[tokio::test]
async fn to_block_a_correspondent_is_a_complaint() {
    let (mut scene, _carol) = Scene::new().await;
    let mut alice = scene.world.user(ALICE).await;
    alice.send(&letter(ALICE, "Met"), &[CAROL]).await;
    scene.held(1).await;
    let put = |who: &str, regard: &str| Request::CorrespondentPut {
        account: "carol".to_owned(),
        who: who.to_owned(),
        regard: regard.to_owned(),
        note: String::new(),
    };
    let requests = [
        (put(ALICE, "trusted"), 0),
        (put(ALICE, "blocked"), 1),
        (put(ALICE, "blocked"), 1),
        (put("north.test", "blocked"), 2),
        (put("eve@never.test", "blocked"), 2),
    ];
    for (request, expected) in requests {
        assert_eq!(scene.ask(request.clone()).await, Response::Done);
        let peer = Request::PeerRecord { domain: "north.test".to_owned() };
        let Response::PeerRecord(peer) = scene.ask(peer).await else { panic!("no peer") };
        assert_eq!(peer.record.unwrap().complaints, expected, "after {request:?}");
    }
    let offered = scene.world.events("south.test").count(|event| matches!(event, Event::Offered { .. }));
    assert_eq!(offered, 1);
}
