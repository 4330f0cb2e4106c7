//! The model beside the real store: random walks through the model, each step of which is also done to one store for each
//! node. After every step both say the same about every recipient, cookie and mailbox.
//!
//! What a courier and the queue add to the store is done here as `node::deliver` does it: a claim, then a settlement that
//! names the outcome.

use std::collections::BTreeSet;

use message::address::{Address, Domain};
use message::{Code, Cookie, Disposition, Identity};
use stateright::Model;
use storage::{
    Acceptance, AccountRecord, Content, CookieAnswer, Decision, Effect, Intended, Keeper, Lane, Memory,
    NewMessage, Origin, Outcome, Pause, Pend, Ruling, Settings, Settlement, Stage, Store,
};
use waxwing_tests::letter;
use waxwing_tests::torture::Random;

use super::world::{Action, Final, Message, Record, State, Verdict, Work, World, answer_to_cookie};

pub(crate) const NOW: u64 = 1_800_000_000_000;
/// How long held recipients wait for a decision, in milliseconds.
pub(crate) const HOLD_MS: u64 = 5 * 24 * 3600 * 1000;
/// Walks in each world, and steps of each.
const WALKS: u64 = 150;
const STEPS: usize = 60;

#[test]
fn the_real_store_does_what_the_model_does() {
    let mut kinds = BTreeSet::new();
    for world in [super::TWO, super::TWO_FOR_TWO, super::RELAY, super::GATEWAY] {
        for seed in 0..WALKS {
            walk(&world, seed, &mut kinds);
        }
    }
    // Nothing is proved by walks that leave something out: all kinds of actions and of transactions are in them.
    let expected = [
        "Ask",
        "AskLast",
        "Timeout",
        "Deliver",
        "Lose",
        "Commit Offer",
        "Commit GiveUp",
        "Commit Last",
        "Crash",
        "Decide",
        "HoldsEnd",
        "Withdraw",
        "Expire",
        "Stranger",
    ];
    assert_eq!(kinds, expected.map(str::to_owned).into());
}

/// The control: a model that makes a mistake is not what the store does, and the walks show it.
#[test]
fn a_model_with_a_mistake_is_told_from_the_store() {
    let world = World { mistake: Some(super::Mistake::NoOnceRecord), ..super::TWO };
    let all = std::panic::catch_unwind(|| {
        (0..WALKS).for_each(|seed| walk(&world, seed, &mut BTreeSet::new()));
    });
    assert!(all.is_err());
}

fn walk(world: &World, seed: u64, kinds: &mut BTreeSet<String>) {
    let mut random = Random::new(seed);
    let mut state = world.init_states().remove(0);
    let mut real = Real::new(world);
    let mut path = Vec::new();
    for _ in 0..STEPS {
        let mut actions = Vec::new();
        world.actions(&state, &mut actions);
        actions.retain(|action| {
            let next = world.next_state(&state, *action);
            next.is_some_and(|next| next != state && world.within_boundary(&next) || is_look(action))
        });
        // Ends make walks short: they are taken now and then only.
        let rare = |action: &Action| {
            matches!(action, Action::Withdraw | Action::Expire(..) | Action::AskLast(..) | Action::HoldsEnd)
        };
        if random.between(0, 7) > 0 && actions.iter().any(|action| !rare(action)) {
            actions.retain(|action| !rare(action));
        }
        if actions.is_empty() {
            return;
        }
        let action = actions[random.between(0, actions.len() as u64 - 1) as usize];
        let Some(next) = world.next_state(&state, action) else { return };
        path.push(action);
        kinds.insert(kind(&action));
        real.step(&state, &next, action);
        assert_eq!(real.view(), view(&next), "seed {seed} of {world:?}: {path:?}");
        state = next;
    }
}

fn is_look(action: &Action) -> bool {
    matches!(action, Action::Stranger(..))
}

fn kind(action: &Action) -> String {
    let words = format!("{action:?}");
    let (word, rest) = words.split_once('(').unwrap_or((&words, ""));
    match action {
        Action::Commit(..) => {
            let work = rest.split_once(", ").map_or("", |(_, work)| work);
            format!("Commit {}", work.split('(').next().unwrap_or_default())
        }
        _ => word.to_owned(),
    }
}

/// What can be seen of a world: by node and recipient whether it is there, its end, and whether the next hop's cookie is
/// kept; and the mailboxes.
type View = (Vec<Vec<Option<(Option<Final>, bool)>>>, Vec<u8>);

fn view(state: &State) -> View {
    let see = |record: &Option<Record>| record.map(|one| (one.outcome, one.next_hop));
    let nodes = state.nodes.iter().map(|node| node.records.iter().map(see).collect()).collect();
    (nodes, state.mailboxes.clone())
}

/// One store for each node.
pub(crate) struct Real {
    world: World,
    letter: message::Message,
    disks: Vec<Memory>,
    stores: Vec<Keeper<Memory>>,
}

impl Real {
    pub(crate) fn new(world: &World) -> Real {
        let disks: Vec<Memory> = (0..world.nodes).map(|_| Memory::new()).collect();
        let stores = disks.iter().map(|disk| disk.open(Settings::default()).unwrap()).collect();
        let real = Real { world: *world, letter: letter("ann@n0.test", "Good morning\n"), disks, stores };
        for recipient in 0..world.recipients {
            let account = AccountRecord {
                name: account(recipient),
                addresses: vec![address(recipient)],
                password_hash: None,
                scram: None,
                devices: Vec::new(),
                disabled: false,
                notices: false,
            };
            block_on(real.stores[world.nodes - 1].put_account(account)).unwrap();
        }
        let all = (0..world.recipients).map(|recipient| real.intended(0, recipient, Verdict::Queue));
        let answers = real.accept(0, all.collect());
        assert!(answers.iter().all(|answer| matches!(answer, Disposition::Pending { .. })));
        real
    }

    /// A store of a node, opened anew over the same disk.
    pub(crate) fn open(&self, place: usize) -> Keeper<Memory> {
        self.disks[place].open(Settings::default()).unwrap()
    }

    fn step(&mut self, before: &State, after: &State, action: Action) {
        match action {
            // What is asked and lost is not in any store.
            Action::Ask(..) | Action::AskLast(..) | Action::Timeout(..) | Action::Lose(_) => {}
            Action::Deliver(message, _) => self.deliver(before, message),
            Action::Commit(place, work) => self.commit(before, after, place, work),
            Action::Crash(place) => {
                // Opened anew beside the old one, which is let go: the disk is the same.
                self.stores[place] = self.open(place);
            }
            Action::Decide(recipient, accept) => self.decide(recipient, accept),
            Action::HoldsEnd if self.world.legacy => {
                let last = self.world.nodes - 1;
                for (recipient, record) in before.nodes[last].records.iter().enumerate() {
                    if record.is_some_and(|record| record.outcome.is_none()) {
                        self.settle(last, recipient, Outcome::Final(Disposition::Expired));
                    }
                }
            }
            Action::HoldsEnd => {
                let store = &self.stores[self.world.nodes - 1];
                block_on(store.expire(NOW + HOLD_MS + 1, 100)).unwrap();
            }
            Action::Withdraw => {
                let store = &self.stores[0];
                let envelope = store.envelopes_for(self.identity(), 1).unwrap().remove(0);
                let hops = block_on(store.withdraw(envelope.id, "ann", NOW)).unwrap();
                let told = before.nodes[0].records.iter().flatten();
                let expected = told.filter(|one| one.outcome.is_none() && one.next_hop).count();
                assert_eq!(hops.len(), expected, "the next hops that are to be told");
            }
            Action::Expire(place, recipient) => {
                self.settle(place, recipient, Outcome::Final(Disposition::Expired));
            }
            Action::Stranger(place, recipient) => {
                let cookie = [cookie(place, recipient)];
                for holder in ["stranger.test", "account:eve"] {
                    let told = self.stores[place].poll(holder, &cookie, NOW).unwrap();
                    assert_eq!(told, [CookieAnswer::Unknown]);
                    let hops = block_on(self.stores[place].give_up(holder, &cookie, NOW)).unwrap();
                    assert_eq!(hops, []);
                }
            }
        }
    }

    fn deliver(&self, before: &State, message: Message) {
        match message {
            // These begin a transaction, which is carried out when it is committed.
            Message::Offer { .. } | Message::GiveUp { .. } | Message::Last { .. } => {}
            Message::Poll { to, recipient } => {
                assert_eq!(self.poll(to, recipient), answer_to_cookie(before, to, recipient));
            }
            Message::Answer { to, recipient, what } if before.nodes[to].asking.contains(&recipient) => {
                self.settle(
                    to,
                    recipient,
                    match what {
                        None => Outcome::Waiting(pending(to + 1, recipient)),
                        Some(what) => Outcome::Final(disposition(what)),
                    },
                );
            }
            Message::Unknown { to, recipient } if before.nodes[to].asking.contains(&recipient) => {
                self.settle(to, recipient, Outcome::Again);
            }
            // An answer that nobody waits for any more belongs to a connection that has gone.
            Message::Answer { .. } | Message::Unknown { .. } => {}
        }
    }

    fn commit(&self, before: &State, after: &State, place: usize, work: Work) {
        match work {
            Work::Offer(recipient, verdict) => {
                // What waits for the old world is queued.
                let waits = self.world.legacy && verdict == Verdict::Hold;
                let verdict = if place + 1 < self.world.nodes || waits { Verdict::Queue } else { verdict };
                let answer = self.accept(place, vec![self.intended(place, recipient, verdict)]).remove(0);
                let said = after.nodes[place].records[recipient].unwrap().outcome;
                assert_eq!(final_of(&answer), said, "the answer to an offer");
            }
            Work::GiveUp(recipient) | Work::Last(recipient) => {
                let told = [cookie(place, recipient)];
                let holder = holder_of(place);
                let hops = block_on(self.stores[place].give_up(&holder, &told, NOW)).unwrap();
                let record = before.nodes[place].records[recipient];
                let open = record.is_some_and(|one| one.outcome.is_none() && one.next_hop);
                assert_eq!(hops.len(), usize::from(open), "the next hop that is to be told");
                let last = answer_to_cookie(after, place, recipient);
                assert_eq!(self.poll(place, recipient), last, "the answer after a last time");
            }
        }
    }

    fn poll(&self, place: usize, recipient: usize) -> Message {
        let told = self.stores[place].poll(&holder_of(place), &[cookie(place, recipient)], NOW).unwrap();
        let to = place - 1;
        match &told[0] {
            CookieAnswer::Final(disposition) => {
                Message::Answer { to, recipient, what: final_of(disposition) }
            }
            CookieAnswer::Pending { .. } => Message::Answer { to, recipient, what: None },
            other => {
                assert_eq!(*other, CookieAnswer::Unknown);
                Message::Unknown { to, recipient }
            }
        }
    }

    fn accept(&self, place: usize, recipients: Vec<Intended>) -> Vec<Disposition> {
        let identity = self.identity();
        let origin = origin_of(place);
        let store = &self.stores[place];
        let (number, _, _) = self.letter.manifest().leaves().next().unwrap();
        let body = self.letter.body(number).unwrap();
        let mut writer = store.stage(&origin.holder(), message::Extent::of(body), NOW).unwrap();
        writer.write(body).unwrap();
        let acceptance = Acceptance {
            content: Content::New(NewMessage {
                manifest: self.letter.manifest().clone(),
                headers: Some(self.letter.headers().clone()),
                seals: Vec::new(),
                parts: vec![(number, writer.finish().unwrap())],
            }),
            offered_as: identity,
            octets: self.letter.manifest().message_octets(),
            origin,
            trace: Vec::new(),
            now_ms: NOW,
            expires_at_ms: NOW + HOLD_MS,
            release_at_ms: None,
            recipients,
            again: Vec::new(),
            members: Vec::new(),
            room: None,
        };
        block_on(store.accept(acceptance)).unwrap().answers
    }

    fn intended(&self, place: usize, recipient: usize, verdict: Verdict) -> Intended {
        let lane = || Lane::new(&format!("exchange:{}", domain(place + 1))).unwrap();
        let (effect, answer) = match verdict {
            Verdict::Deliver => {
                let mailbox = Effect::Mailbox { account: account(recipient), seals: Vec::new() };
                (mailbox, Disposition::Accepted)
            }
            Verdict::Refuse => {
                let (code, text) = (Code::NO_SUCH_ADDRESS, "no".to_owned());
                (Effect::Refuse { code, text }, disposition(Final::Refused))
            }
            Verdict::Hold => {
                let reason = "first contact".to_owned();
                let hold = Effect::Pend(Pend {
                    account: Some(account(recipient)),
                    stage: Stage::Undecided,
                    wanted: None,
                    reason,
                    seals: Vec::new(),
                });
                (hold, pending(place, recipient))
            }
            Verdict::Queue => (Effect::Queue { lane: lane() }, pending(place, recipient)),
        };
        Intended { address: address(recipient), effect, answer, why: None }
    }

    /// A claim of the leg that has this recipient, and its settlement.
    pub(crate) fn settle(&self, place: usize, recipient: usize, outcome: Outcome) {
        let store = &self.stores[place];
        let claims = block_on(store.claim(NOW, 10, &|_, _| true)).unwrap();
        for claim in claims {
            let mut places = claim.envelope.recipients.iter();
            let at = places.position(|one| one.address == address(recipient)).unwrap() as u32;
            let settlement = Settlement {
                leg: claim.leg.id,
                fence: claim.fence,
                now_ms: NOW,
                outcomes: vec![(at, outcome.clone())],
                passed_on: Vec::new(),
                attempts: Vec::new(),
                next_due_ms: Some(NOW),
                pause: Pause::Answered,
            };
            block_on(store.settle(settlement)).unwrap();
        }
    }

    fn decide(&self, recipient: usize, accept: bool) {
        if self.world.legacy {
            let outcome = if accept { Final::Relayed } else { Final::Refused };
            return self.settle(self.world.nodes - 1, recipient, Outcome::Final(disposition(outcome)));
        }
        let store = &self.stores[self.world.nodes - 1];
        let held = store.held(Some(&account(recipient)), None, 10).unwrap().remove(0);
        let ruling = if accept {
            Ruling::Deliver { account: account(recipient), seals: Vec::new(), message: None }
        } else {
            Ruling::Refuse { code: Code::NO_SUCH_ADDRESS, text: "no".to_owned() }
        };
        let decision = Decision { envelope: held.envelope, recipient: held.recipient, ruling, now_ms: NOW };
        block_on(store.decide(decision)).unwrap();
    }

    fn view(&self) -> View {
        let see = |place: usize, recipient: usize| {
            let holder = holder_of(place);
            let store = &self.stores[place];
            let to = [address(recipient)];
            let before = store.offered_before(&holder, self.identity(), &to, NOW).unwrap().remove(0)?;
            let envelope = store.envelope(before.envelope).unwrap()?;
            let mut recipients = envelope.recipients.into_iter();
            let one = recipients.find(|one| one.address == address(recipient))?;
            Some((one.outcome.as_ref().and_then(final_of), one.next_hop.is_some()))
        };
        let recipients = || 0..self.world.recipients;
        let nodes = (0..self.world.nodes)
            .map(|place| recipients().map(|recipient| see(place, recipient)).collect())
            .collect();
        let last = &self.stores[self.world.nodes - 1];
        let mailboxes = recipients().map(|recipient| {
            u8::try_from(last.mailbox(&account(recipient), None, 10).unwrap().len()).unwrap()
        });
        (nodes, mailboxes.collect())
    }

    pub(crate) fn identity(&self) -> Identity {
        self.letter.manifest().identity()
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn account(recipient: usize) -> String {
    format!("user-{recipient}")
}

fn address(recipient: usize) -> Address {
    Address::from_wire(&format!("user-{recipient}@last.test")).unwrap()
}

pub(crate) fn domain(place: usize) -> Domain {
    Domain::from_wire(&format!("n{place}.test")).unwrap()
}

/// Who hands in at a node: a user at the first, the node before at the others.
fn origin_of(place: usize) -> Origin {
    match place.checked_sub(1) {
        None => Origin::Submission { account: "ann".to_owned() },
        Some(before) => Origin::Peer { domain: domain(before) },
    }
}

fn holder_of(place: usize) -> String {
    origin_of(place).holder()
}

fn cookie(place: usize, recipient: usize) -> Cookie {
    Cookie::from_bytes([(place * 16 + recipient + 1) as u8; 32])
}

pub(crate) fn pending(place: usize, recipient: usize) -> Disposition {
    Disposition::Pending {
        cookie: cookie(place, recipient),
        min_seconds: 60,
        max_seconds: 3600,
        until: (NOW + HOLD_MS) / 1000,
    }
}

fn disposition(outcome: Final) -> Disposition {
    match outcome {
        Final::Accepted => Disposition::Accepted,
        Final::Refused => Disposition::refused(Code::NO_SUCH_ADDRESS, "no"),
        Final::Withdrawn => Disposition::Withdrawn,
        Final::Expired => Disposition::Expired,
        Final::Relayed => Disposition::Relayed,
    }
}

fn final_of(disposition: &Disposition) -> Option<Final> {
    match disposition {
        Disposition::Accepted => Some(Final::Accepted),
        Disposition::Refused { .. } => Some(Final::Refused),
        Disposition::Withdrawn => Some(Final::Withdrawn),
        Disposition::Expired => Some(Final::Expired),
        Disposition::Relayed => Some(Final::Relayed),
        _ => None,
    }
}
