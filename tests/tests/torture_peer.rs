//! Peers that stall and peers that talk nonsense: they lose what they began, and others are served meanwhile.

use std::future::pending;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use cli::client::{Composition, Outgoing, Session};
use message::address::Address;
use message::{Claims, Disposition, Envelope, Identity, Role, Seal, SecretKey, Selection};
use protocol::{Eager, Frame, Offer, OfferingEvent, Settings, SubmissionOptions, Supply, encode};
use transport::{Alpn, Client, Connected, Expectation, HostKey, Later, Limits, Pace, Socket, Source};
use waxwing_tests::torture::{Random, Trouble, User, World, dispositions, until};

/// How soon somebody else's letter is with its recipient, whatever others do.
const SERVED_TIME: Duration = Duration::from_secs(15);
/// Octets of the part that is left in the middle.
const PART_OCTETS: usize = 4 << 20;

/// A world with alice in the north and bob in the south, both nodes running.
struct Scene {
    world: World,
    alice: Session,
    alice_address: Address,
    bob: Address,
    letters: u32,
}

impl Scene {
    async fn set() -> Result<Scene, Trouble> {
        let mut world = World::lay_out(|_| {}).await?;
        let alice = User::open_accounts(&world.north, &["alice".to_owned()]).await?.remove(0);
        let bob = User::open_accounts(&world.south, &["bob".to_owned()]).await?.remove(0);
        world.start()?;
        bob.session().await?.close().await;
        let session = alice.session().await?;
        Ok(Scene { world, alice: session, alice_address: alice.address, bob: bob.address, letters: 0 })
    }

    /// A peer of south.test that shows itself as north.test, or as nobody.
    async fn peer(&self, alpn: Alpn, from: Ipv4Addr, known: bool) -> Result<Connected, Trouble> {
        let file = |name: &str| std::fs::read_to_string(self.world.north.site.folder.join(name));
        let key =
            known.then(|| HostKey::from_pem(&file("host.key")?, &file("host.crt")?).map_err(Trouble::from));
        let socket = Socket::bind((IpAddr::V4(from), 0).into())?;
        let client = Client::bind(socket, key.transpose()?, &Limits::default())?;
        let south = &self.world.south;
        let expectation = Expectation::Pinned { digests: vec![south.site.pin] };
        Ok(client.connect(south.config()?.listen.address, "south.test", alpn, &expectation).await?)
    }

    /// Alice writes to Bob, and it is with him in time.
    async fn others_are_served(&mut self, meanwhile: &str) -> Result<(), Trouble> {
        self.letters += 1;
        let begun = tokio::time::Instant::now();
        let letter = letter(&self.alice_address, &self.bob, self.letters)?;
        let to = [self.bob.clone()];
        let submitted = self.alice.submit(&letter, &to, SubmissionOptions::default(), &|_| {}).await?;
        until(SERVED_TIME, meanwhile, async || {
            let found = dispositions(&mut self.alice, submitted.identity).await?;
            Ok(found.values().all(|one| *one == Disposition::Accepted).then_some(()))
        })
        .await?;
        println!("{meanwhile}: a letter took {} ms", begun.elapsed().as_millis());
        self.world.north.check_alive()?;
        self.world.south.check_alive()
    }
}

fn letter(from: &Address, to: &Address, number: u32) -> Result<Outgoing, Trouble> {
    let composition = Composition {
        from: from.clone(),
        to: vec![to.clone()],
        subject: Some(format!("letter {number}")),
        text: "Good morning\n".to_owned(),
        attachments: Vec::new(),
    };
    Ok(composition.compose()?)
}

/// An offer of an identity that nobody has.
fn offer(to: &Address, identity: Identity) -> Offer {
    let envelope = Envelope {
        identity,
        octets: 1000,
        issuers: Vec::new(),
        recipients: vec![to.clone()],
        trace: Vec::new(),
    };
    Offer { envelope, eager: Eager::Nothing, submission: None, way: protocol::Way::Plain }
}

#[tokio::test]
async fn others_are_served_while_peers_stall() -> Result<(), Trouble> {
    let mut scene = Scene::set().await?;
    let frame = encode(&Frame::Offer(Box::new(offer(&scene.bob, Identity::from_bytes([7; 32])))));
    // Cut within the length, after it, within the frame, and after the offer, when content is due.
    let cuts = [1, 2, frame.len() / 2, frame.len()];
    let mut held = Vec::new();
    for _ in 0..3 {
        let peer = scene.peer(Alpn::Exchange, Ipv4Addr::LOCALHOST, true).await?;
        for place in 0..90 {
            let (mut send, receive) = peer.open_bi().await?;
            let cut = frame.slice(..cuts[place % cuts.len()]);
            Pace::start(&Limits::default()).write(&mut send, cut).await?;
            held.push((send, receive, peer.clone()));
        }
    }
    scene.others_are_served("270 streams stand still in the middle of a frame").await?;
    // Somebody else takes all connections that one address may have, and says nothing at all.
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(scene.peer(Alpn::Submission, Ipv4Addr::new(127, 0, 0, 2), false).await.ok());
    }
    scene.others_are_served("40 connections from another address").await?;
    assert!(idle.iter().flatten().count() < 40, "one address has more connections than it may");
    drop((held, idle));
    Ok(())
}

#[tokio::test]
async fn others_are_served_while_peers_talk_nonsense() -> Result<(), Trouble> {
    let mut scene = Scene::set().await?;
    let mut random = Random::new(11);
    let mut nonsense: Vec<Bytes> = (0..40).map(|size| random.octets(1 << (size % 16)).into()).collect();
    let poll = encode(&Frame::Poll(Vec::new()));
    nonsense.extend([
        // The longest length that can be said, a frame of nothing, an answer where a question is due, and an offer that
        // is followed by something else than its content.
        Bytes::from_static(&[0xff; 64]),
        Bytes::from_static(&[0; 64]),
        encode(&Frame::Done),
        [encode(&Frame::Offer(Box::new(offer(&scene.bob, Identity::from_bytes([8; 32]))))), poll]
            .concat()
            .into(),
    ]);
    for (alpn, known) in [(Alpn::Exchange, true), (Alpn::Submission, true), (Alpn::Submission, false)] {
        let mut ends = 0;
        for octets in &nonsense {
            let peer = scene.peer(alpn, Ipv4Addr::LOCALHOST, known).await?;
            let (mut send, mut receive) = peer.open_bi().await?;
            let pace = Pace::start(&Limits { stall_time: Duration::from_secs(5), ..Limits::default() });
            // The node may have given the stream up before it has all.
            let _ = pace.write(&mut send, octets.clone()).await;
            send.finish();
            // An answer, a reset or the end of the connection: anything but silence.
            match pace.read_to_end(&mut receive, 1 << 16).await {
                Err(transport::Error::Stalled | transport::Error::TimeLimit) => {
                    return Err(format!("no end of a stream of {} octets of nonsense", octets.len()).into());
                }
                _ => ends += 1,
            }
        }
        assert_eq!(ends, nonsense.len());
        scene.others_are_served("nonsense").await?;
    }
    Ok(())
}

/// A source that stands still in the middle.
struct Stalling {
    octets: Bytes,
    until: usize,
}

impl Source for Stalling {
    fn read(&self, _: usize, offset: u64, octets_max: usize) -> Later<'_, std::io::Result<Bytes>> {
        let from = offset as usize;
        let to = self.octets.len().min(from + octets_max);
        let octets = (to <= self.until).then(|| self.octets.slice(from..to));
        Box::pin(async move {
            match octets {
                Some(octets) => Ok(octets),
                None => pending().await,
            }
        })
    }

    fn slice(&self, _: usize, _: u64, _: u64) -> Later<'_, std::io::Result<Bytes>> {
        Box::pin(pending())
    }
}

/// What a peer needs to offer a message in the name of north.test.
fn sealed_message(scene: &Scene, body: &Bytes) -> Result<(Offer, Supply, usize), Trouble> {
    let file = scene.world.folder().join("part.bin");
    std::fs::write(&file, body)?;
    let composition = Composition {
        from: scene.alice_address.clone(),
        to: vec![scene.bob.clone()],
        subject: None,
        text: "Half of it\n".to_owned(),
        attachments: vec![file],
    };
    let outgoing = composition.compose()?;
    let manifest = outgoing.manifest().clone();
    let digits = std::fs::read_to_string(scene.world.north.site.folder.join("domain.key"))?;
    let mut seed = [0; 32];
    for (place, octet) in seed.iter_mut().enumerate() {
        *octet = u8::from_str_radix(&digits[2 * place..2 * place + 2], 16)?;
    }
    let claims = Claims {
        issuer: "north.test".to_owned(),
        issued_at: 1,
        expires_at: None,
        role: Role::Submission,
        submitter: Some(scene.alice_address.to_string()),
        recipient: None,
        authorization: None,
        checks: Vec::new(),
    };
    let seal = Seal::sign(manifest.octets(), claims, b"key1", &SecretKey::from_seed(&seed));
    let mut offer = offer(&scene.bob, manifest.identity());
    offer.envelope.octets = manifest.message_octets();
    offer.envelope.issuers = vec!["north.test".to_owned()];
    let (part, _, _) = manifest.leaves().last().ok_or("no part")?;
    let supply =
        Supply { headers: outgoing.headers().octets(), seals: vec![seal.octets().clone()], manifest };
    Ok((offer, supply, part))
}

#[tokio::test]
async fn a_part_that_was_left_in_the_middle_is_taken_over_by_the_next_offer() -> Result<(), Trouble> {
    let mut scene = Scene::set().await?;
    let body = Bytes::from(Random::new(13).octets(PART_OCTETS));
    let (offer, supply, part) = sealed_message(&scene, &body)?;
    let settings = Settings::default();
    let limits = Limits::default();
    // The text comes from the same source: it is the first octets of nothing, so only the large part is offered whole.
    let stalling = Stalling { octets: body.clone(), until: PART_OCTETS / 2 };
    let peer = scene.peer(Alpn::Exchange, Ipv4Addr::LOCALHOST, true).await?;
    let text = Bytes::from_static(b"Half of it\r\n");
    let source = Both { text: text.clone(), part, large: stalling };
    let first = transport::offer(
        &peer,
        Pace::start(&limits),
        offer.clone(),
        supply.clone(),
        &settings,
        &source,
        |_| {},
    );
    let stalled = tokio::time::timeout(Duration::from_secs(10), first);
    let served = async {
        until(Duration::from_secs(9), "half of the part is staged", async || {
            Ok((scene.world.south.staged_octets()? > 0).then_some(()))
        })
        .await?;
        scene.others_are_served("a part stands still in the middle").await
    };
    let (stalled, served) = tokio::join!(stalled, served);
    assert!(stalled.is_err(), "it was to stand still");
    served?;

    // The first connection still lives as far as the node knows; the offer is made again on another.
    let again = scene.peer(Alpn::Exchange, Ipv4Addr::LOCALHOST, true).await?;
    let source = Both { text, part, large: Stalling { octets: body.clone(), until: PART_OCTETS } };
    let mut from = None;
    let outcome =
        transport::offer(&again, Pace::start(&limits), offer, supply, &settings, &source, |event| {
            if let OfferingEvent::Wanted(Selection::Parts(parts)) = event {
                from = parts.iter().find(|(number, _)| *number == part).map(|(_, from)| *from);
            }
        });
    let outcome = tokio::time::timeout(Duration::from_secs(20), outcome).await??;
    assert_eq!(outcome.dispositions, [Disposition::Accepted]);
    let from = from.ok_or("the part was not asked for")?;
    println!("asked for again from octet {from} of {PART_OCTETS}");
    assert!(from > 0, "what was received before is of use");
    drop(peer);
    Ok(())
}

/// The text, and the large part behind it.
struct Both {
    text: Bytes,
    part: usize,
    large: Stalling,
}

impl Source for Both {
    fn read(&self, part: usize, offset: u64, octets_max: usize) -> Later<'_, std::io::Result<Bytes>> {
        if part == self.part {
            return self.large.read(part, offset, octets_max);
        }
        let text = self.text.slice(offset as usize..);
        Box::pin(async move { Ok(text) })
    }

    fn slice(&self, _: usize, _: u64, _: u64) -> Later<'_, std::io::Result<Bytes>> {
        Box::pin(pending())
    }
}
