//! The status-cookie exchange as a model: a chain of nodes, what each keeps for each recipient, and what is on its way
//! between them. Everything that time decides (timers, leases, the end of waiting) may happen at any moment, and every
//! message may be lost, delivered late, or delivered more than once.
//!
//! Not in it: `Settled`, since a hint only makes a poll earlier, and polls come at any moment here; `want`, which is
//! another offer under the same cookie; and the end of retention, which comes days after all of this.

use std::collections::BTreeSet;

use stateright::{Model, Property};

/// What is built wrong on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// An offer that comes again is taken for a new one.
    NoOnceRecord,
    /// Anybody is answered about a cookie.
    CookieForAnybody,
    /// The answer goes out before what it says is durable.
    AnswerBeforeCommit,
}

/// The size of a world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World {
    /// Nodes in the chain: the author's is 0, the last has the mailboxes.
    pub(crate) nodes: usize,
    /// Recipients of the one message.
    pub(crate) recipients: usize,
    /// Whether the author may give up and nodes may run out of time.
    pub(crate) endings: bool,
    /// How many crashes there are at most.
    pub(crate) crashes: u8,
    /// How many messages are on their way at once, at most.
    pub(crate) messages: usize,
    /// How many transactions one node has begun and not committed, at most.
    pub(crate) works: usize,
    /// Whether the last node has no mailboxes, but hands on to the old world, which takes it or not.
    pub(crate) legacy: bool,
    /// What is wrong with it.
    pub(crate) mistake: Option<Mistake>,
}

/// How it ended for a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Final {
    Accepted,
    Refused,
    Withdrawn,
    Expired,
    Relayed,
}

/// What a node keeps of one recipient, durably: its places in the envelope, in the once-records and in the cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    /// Whether the answer was a cookie.
    pub(crate) cookie: bool,
    /// Once it is final.
    pub(crate) outcome: Option<Final>,
    /// Whether the next hop has answered with its cookie.
    pub(crate) next_hop: bool,
}

/// What a receiver makes of an offer that is new to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Verdict {
    Deliver,
    Refuse,
    Hold,
    /// A relay passes it on.
    Queue,
}

/// A transaction that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Work {
    Offer(usize, Verdict),
    GiveUp(usize),
    /// Of a previous node whose time has run out: give up, and then tell what is final.
    Last(usize),
}

/// What is on its way to a node, about a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Message {
    Offer {
        to: usize,
        recipient: usize,
    },
    Poll {
        to: usize,
        recipient: usize,
    },
    GiveUp {
        to: usize,
        recipient: usize,
    },
    Last {
        to: usize,
        recipient: usize,
    },
    /// The answer to any of them; `None` is pending, with a cookie.
    Answer {
        to: usize,
        recipient: usize,
        what: Option<Final>,
    },
    /// No such cookie.
    Unknown {
        to: usize,
        recipient: usize,
    },
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    /// By recipient.
    pub(crate) records: Vec<Option<Record>>,
    /// Volatile: transactions that were begun.
    pub(crate) works: BTreeSet<Work>,
    /// Volatile: for which recipients an answer is waited for.
    pub(crate) asking: BTreeSet<usize>,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: BTreeSet<Message>,
    /// How often the message was put into each mailbox.
    pub(crate) mailboxes: Vec<u8>,
    pub(crate) crashes: u8,
    /// By recipient: a node has ended it without knowing what became of it further on.
    pub(crate) gave_up: Vec<bool>,
    /// A final disposition has changed or gone.
    pub(crate) changed: bool,
    /// Somebody who does not hold a cookie was told something.
    pub(crate) betrayed: bool,
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Action {
    /// A node offers, or polls where the next hop has given a cookie.
    Ask(usize, usize),
    /// It waits no longer.
    Timeout(usize, usize),
    /// A message arrives, and may arrive again. An offer that is new is judged so.
    Deliver(Message, Option<Verdict>),
    Lose(Message),
    Commit(usize, Work),
    Crash(usize),
    /// Somebody decides about a held recipient, or the old world has answered.
    Decide(usize, bool),
    /// Nobody has decided in time.
    HoldsEnd,
    /// The author gives up.
    Withdraw,
    /// The time of a node is over for a recipient: it gives up its cookie and asks a last time, or just ends.
    AskLast(usize, usize),
    Expire(usize, usize),
    /// Somebody asks about a cookie that is not theirs, or gives it up.
    Stranger(usize, usize),
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let node = |record| Node {
            records: vec![record; self.recipients],
            works: BTreeSet::new(),
            asking: BTreeSet::new(),
        };
        let submitted = Record { cookie: true, outcome: None, next_hop: false };
        let mut nodes = vec![node(None); self.nodes];
        nodes[0] = node(Some(submitted));
        vec![State {
            nodes,
            network: BTreeSet::new(),
            mailboxes: vec![0; self.recipients],
            crashes: 0,
            gave_up: vec![false; self.recipients],
            changed: false,
            betrayed: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (place, node) in state.nodes.iter().enumerate() {
            self.actions_of(place, node, actions);
            if state.crashes < self.crashes && !(node.works.is_empty() && node.asking.is_empty()) {
                actions.push(Action::Crash(place));
            }
        }
        for message in &state.network {
            actions.push(Action::Lose(*message));
            match message {
                Message::Offer { to, recipient } if self.is_new(state, *to, *recipient) => {
                    let last = [Verdict::Refuse, Verdict::Hold, Verdict::Deliver];
                    let verdicts = match *to + 1 == self.nodes {
                        true if self.legacy => &last[..2],
                        true => &last[..],
                        false => &[Verdict::Queue],
                    };
                    actions.extend(verdicts.iter().map(|one| Action::Deliver(*message, Some(*one))));
                }
                _ => actions.push(Action::Deliver(*message, None)),
            }
        }
        if self.endings && state.nodes[0].records.iter().flatten().any(|record| record.outcome.is_none()) {
            actions.push(Action::Withdraw);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Ask(place, recipient) => self.ask(&mut state, place, recipient, false),
            Action::AskLast(place, recipient) => self.ask(&mut state, place, recipient, true),
            Action::Timeout(place, recipient) => {
                state.nodes[place].asking.remove(&recipient);
            }
            Action::Deliver(message, verdict) => self.deliver(&mut state, message, verdict),
            Action::Lose(message) => {
                state.network.remove(&message);
            }
            Action::Commit(place, work) => {
                state.nodes[place].works.remove(&work);
                let answer = self.commit(&mut state, place, work);
                if self.mistake != Some(Mistake::AnswerBeforeCommit) {
                    state.network.extend(answer);
                }
            }
            Action::Crash(place) => {
                state.nodes[place].works.clear();
                state.nodes[place].asking.clear();
                state.crashes += 1;
            }
            Action::Decide(recipient, accept) => self.decide(&mut state, recipient, accept),
            Action::HoldsEnd => {
                let last = self.nodes - 1;
                for record in state.nodes[last].records.iter_mut().flatten() {
                    record.outcome.get_or_insert(Final::Expired);
                }
            }
            Action::Withdraw => (0..self.recipients).for_each(|recipient| {
                self.end(&mut state, 0, recipient, Final::Withdrawn);
                state.gave_up[recipient] = true;
            }),
            Action::Expire(place, recipient) => {
                self.end(&mut state, place, recipient, Final::Expired);
                state.gave_up[recipient] = true;
            }
            Action::Stranger(place, recipient) => {
                let theirs = self.mistake == Some(Mistake::CookieForAnybody);
                state.betrayed |= theirs && state.nodes[place].records[recipient].is_some();
            }
        }
        state.changed |= has_changed(before, &state);
        Some(state)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.network.len() <= self.messages && state.nodes.iter().all(|node| node.works.len() <= self.works)
            // One too many is enough to see that something is wrong.
            && state.mailboxes.iter().all(|count| *count <= 2)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        super::properties::all()
    }
}

impl World {
    fn actions_of(&self, place: usize, node: &Node, actions: &mut Vec<Action>) {
        let last = place + 1 == self.nodes;
        actions.extend(node.works.iter().map(|work| Action::Commit(place, *work)));
        let records = || node.records.iter().enumerate().filter_map(|(at, one)| Some((at, (*one)?)));
        for (recipient, record) in records() {
            if record.cookie {
                actions.push(Action::Stranger(place, recipient));
            }
            match (record.outcome, last, node.asking.contains(&recipient)) {
                (None, true, _) => {
                    actions.extend([Action::Decide(recipient, true), Action::Decide(recipient, false)]);
                }
                (_, false, true) => actions.push(Action::Timeout(place, recipient)),
                (None, false, false) => {
                    actions.push(Action::Ask(place, recipient));
                    if self.endings {
                        actions.push(Action::Expire(place, recipient));
                        if record.next_hop {
                            actions.push(Action::AskLast(place, recipient));
                        }
                    }
                }
                _ => {}
            }
        }
        if last && self.endings && records().any(|(_, record)| record.outcome.is_none()) {
            actions.push(Action::HoldsEnd);
        }
    }

    /// Whether an offer is one that the node has no answer to.
    fn is_new(&self, state: &State, place: usize, recipient: usize) -> bool {
        self.mistake == Some(Mistake::NoOnceRecord) || state.nodes[place].records[recipient].is_none()
    }

    fn ask(&self, state: &mut State, place: usize, recipient: usize, last: bool) {
        let Some(record) = state.nodes[place].records[recipient] else { return };
        let to = place + 1;
        state.nodes[place].asking.insert(recipient);
        state.network.insert(match (record.next_hop, last) {
            (true, true) => Message::Last { to, recipient },
            (true, false) => Message::Poll { to, recipient },
            (false, _) => Message::Offer { to, recipient },
        });
    }

    /// Requests that change something stay on their way and may arrive again; an answer belongs to one request
    /// and comes once.
    fn deliver(&self, state: &mut State, message: Message, verdict: Option<Verdict>) {
        match message {
            Message::Offer { to, recipient } => {
                // What stands in the once-record is not judged again; the verdict then means nothing.
                let work = Work::Offer(recipient, verdict.unwrap_or(Verdict::Refuse));
                self.begin(state, to, work);
            }
            Message::GiveUp { to, recipient } => self.begin(state, to, Work::GiveUp(recipient)),
            Message::Last { to, recipient } => self.begin(state, to, Work::Last(recipient)),
            Message::Poll { to, recipient } => {
                // It changes nothing where it is answered, so to hear it twice is to be asked twice.
                state.network.remove(&message);
                let answer = answer_to_cookie(state, to, recipient);
                state.network.insert(answer);
            }
            Message::Answer { to, recipient, what } => {
                state.network.remove(&message);
                if state.nodes[to].asking.remove(&recipient) {
                    self.take(state, to, recipient, what);
                }
            }
            Message::Unknown { to, recipient } => {
                state.network.remove(&message);
                if state.nodes[to].asking.remove(&recipient)
                    && let Some(record) = &mut state.nodes[to].records[recipient]
                    && record.outcome.is_none()
                {
                    record.next_hop = false;
                }
            }
        }
    }

    fn begin(&self, state: &mut State, place: usize, work: Work) {
        if self.mistake == Some(Mistake::AnswerBeforeCommit) {
            // The answer is made of what will be true.
            let mut after = state.clone();
            state.network.extend(self.commit(&mut after, place, work));
        }
        state.nodes[place].works.insert(work);
    }

    /// Carries out a transaction and returns its answer.
    fn commit(&self, state: &mut State, place: usize, work: Work) -> Option<Message> {
        let to = place - 1;
        match work {
            Work::Offer(recipient, verdict) => {
                if self.is_new(state, place, recipient) {
                    accept(state, place, recipient, verdict);
                }
                let what = state.nodes[place].records[recipient]?.outcome;
                Some(Message::Answer { to, recipient, what })
            }
            Work::GiveUp(recipient) => {
                self.end(state, place, recipient, Final::Withdrawn);
                None
            }
            Work::Last(recipient) => {
                // A relay ends what it has not heard the end of: it knows no more than who asks.
                let record = state.nodes[place].records[recipient];
                let open = record.is_some_and(|record| record.outcome.is_none());
                state.gave_up[recipient] |= open && place + 1 < self.nodes;
                self.end(state, place, recipient, Final::Withdrawn);
                // "Withdrawn" is what the asker has just done: for it the time was over.
                Some(match answer_to_cookie(state, place, recipient) {
                    Message::Answer { what: Some(Final::Withdrawn), .. } => {
                        Message::Answer { to, recipient, what: Some(Final::Expired) }
                    }
                    other => other,
                })
            }
        }
    }

    /// What a next hop has answered.
    fn take(&self, state: &mut State, place: usize, recipient: usize, what: Option<Final>) {
        let Some(record) = &mut state.nodes[place].records[recipient] else { return };
        if record.outcome.is_none() {
            record.outcome = what;
            record.next_hop = what.is_none();
        }
    }

    /// Ends what is not final; the next hop is told where it has given a cookie, and may not hear it.
    fn end(&self, state: &mut State, place: usize, recipient: usize, how: Final) {
        let Some(record) = &mut state.nodes[place].records[recipient] else { return };
        if record.outcome.is_none() {
            record.outcome = Some(how);
            if std::mem::take(&mut record.next_hop) {
                state.network.insert(Message::GiveUp { to: place + 1, recipient });
            }
        }
    }

    fn decide(&self, state: &mut State, recipient: usize, accept: bool) {
        let last = self.nodes - 1;
        let Some(record) = &mut state.nodes[last].records[recipient] else { return };
        let taken = if self.legacy { Final::Relayed } else { Final::Accepted };
        record.outcome = Some(if accept { taken } else { Final::Refused });
        state.mailboxes[recipient] += u8::from(accept && !self.legacy);
    }
}

/// An offer that is new becomes a record, and a mail where it is delivered at once.
fn accept(state: &mut State, place: usize, recipient: usize, verdict: Verdict) {
    let outcome = match verdict {
        Verdict::Deliver => Some(Final::Accepted),
        Verdict::Refuse => Some(Final::Refused),
        Verdict::Hold | Verdict::Queue => None,
    };
    state.mailboxes[recipient] += u8::from(verdict == Verdict::Deliver);
    state.nodes[place].records[recipient] =
        Some(Record { cookie: outcome.is_none(), outcome, next_hop: false });
}

/// What the holder of a cookie is told.
pub(crate) fn answer_to_cookie(state: &State, place: usize, recipient: usize) -> Message {
    let to = place - 1;
    match state.nodes[place].records[recipient] {
        Some(Record { cookie: true, outcome, .. }) => Message::Answer { to, recipient, what: outcome },
        _ => Message::Unknown { to, recipient },
    }
}

fn has_changed(before: &State, after: &State) -> bool {
    let outcomes = |state: &State| -> Vec<Option<Final>> {
        let records = state.nodes.iter().flat_map(|node| &node.records);
        records.map(|record| record.and_then(|record| record.outcome)).collect()
    };
    outcomes(before).iter().zip(outcomes(after)).any(|(old, new)| old.is_some() && *old != new)
}
