//! Aliases: where an address of ours leads, through other aliases of this node, within bounds.

use message::address::{Address, Domain};
use message::{Code, Disposition};
use storage::limits::{FORWARD_THROUGH_MAX, FORWARDS_PER_ALIAS_MAX};
use storage::{ForwardRecord, ForwardState};

use crate::Node;
use crate::accept::{Failure, trouble};
use crate::account::fold;
use crate::commit::{Intent, Why};
use crate::forwarding::{NOT_GRANTED_YET, WAITING_SECONDS, no_more};
use crate::limits::ALIASES_WALKED_MAX;

/// One target of an alias on the way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// An address of another node.
    Away {
        /// Aliases of ours that it is reached through, in order, beside the one that was written to.
        through: Vec<Address>,
        /// The address.
        to: Address,
    },
    /// An account here. keeps: FWD-8
    Here {
        /// The account.
        account: String,
        /// The address by which it was reached.
        address: Address,
    },
}

/// Why an alias leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dead {
    /// It was an alias, and is none any more.
    NoMore,
    /// What it leads to is nobody's here.
    Nobody,
    /// It leads back to itself, or through too many others.
    Loop,
    /// It leads to too many addresses.
    TooMany,
}

/// A walk from one alias to all that it leads to.
#[derive(Default)]
struct Walk {
    found: Vec<Target>,
    /// Aliases that were looked at: one that is reached by two ways is looked at once.
    seen: Vec<Address>,
    dead: Option<Dead>,
    /// Whether any way comes back, or goes through too many others.
    loops: bool,
    /// Whether an alias on the way has several targets, so that all of it is a list.
    several: bool,
}

impl Node {
    /// What the envelope alone says about an address that no account has: `None` where it is no alias.
    ///
    /// keeps: FWD-4, FWD-6, FWD-7, FWD-26
    pub(crate) fn forward_at_sight(&self, recipient: &Address) -> Result<Option<Intent>, Failure> {
        let alias = fold(recipient);
        if self.store().forwards_of(&alias).map_err(trouble)?.is_empty() {
            return Ok(None);
        }
        let mut walk = Walk::default();
        self.walk(&alias, &mut vec![alias.clone()], &mut walk)?;
        // What leads nowhere is left out of a list; nobody else is left out unseen.
        if walk.dead == Some(Dead::TooMany) || walk.found.is_empty() {
            return Ok(Some(refused(recipient, walk.dead)));
        }
        if walk.several {
            return Ok(Some(Intent::List { members: walk.found }));
        }
        Ok(Some(match walk.found.remove(0) {
            Target::Here { account, .. } => Intent::Mailbox { account },
            Target::Away { through, to } => {
                let last = through.last().unwrap_or(&alias);
                let record = self.store().forward(last, &to).map_err(trouble)?;
                let waiting = record.is_some_and(|record| record.state == ForwardState::Waiting);
                match waiting && self.puts_off() {
                    true => Intent::Answered(
                        Disposition::Deferred { code: NOT_GRANTED_YET, after_seconds: WAITING_SECONDS },
                        Why::new("forward-waiting", format!("{} has not granted it", to.domain())),
                    ),
                    false => Intent::Forward { through, to },
                }
            }
        }))
    }

    /// `way` is the aliases from the one that was written to up to this one.
    fn walk(&self, alias: &Address, way: &mut Vec<Address>, walk: &mut Walk) -> Result<(), Failure> {
        walk.seen.push(alias.clone());
        if walk.seen.len() > ALIASES_WALKED_MAX {
            walk.dead = Some(Dead::TooMany);
            return Ok(());
        }
        let all = self.store().forwards_of(alias).map_err(trouble)?;
        walk.several |= all.len() > 1;
        let live = |record: &&ForwardRecord| record.state != ForwardState::Deleted;
        if !all.iter().any(|record| live(&record)) {
            walk.dead.get_or_insert(Dead::NoMore);
        }
        for record in all.iter().filter(live) {
            if walk.found.len() >= FORWARDS_PER_ALIAS_MAX {
                walk.dead = Some(Dead::TooMany);
                return Ok(());
            }
            self.step(&record.target, way, walk)?;
        }
        Ok(())
    }

    fn step(&self, target: &Address, way: &mut Vec<Address>, walk: &mut Walk) -> Result<(), Failure> {
        let folded = fold(target);
        if !self.settings().is_local(target.domain()) {
            walk.found.push(Target::Away { through: way[1..].to_vec(), to: target.clone() });
            return Ok(());
        }
        let account = self.store().account_of_address(&folded.to_string()).map_err(trouble)?;
        if let Some(account) = account.as_ref().filter(|account| !account.disabled) {
            walk.found.push(Target::Here { account: account.name.clone(), address: target.clone() });
        } else if way.contains(&folded) || way.len() > FORWARD_THROUGH_MAX {
            walk.loops = true;
            walk.dead.get_or_insert(Dead::Loop);
        } else if account.is_some() || self.store().forwards_of(&folded).map_err(trouble)?.is_empty() {
            walk.dead.get_or_insert(Dead::Nobody);
        } else if !walk.seen.contains(&folded) {
            way.push(folded.clone());
            self.walk(&folded, way, walk)?;
            way.pop();
        }
        Ok(())
    }

    /// Whether mail for a target would come back to this alias, were it to lead there. keeps: FWD-26
    pub(crate) fn leads_back(&self, alias: &Address, target: &Address) -> Result<bool, Failure> {
        let mut walk = Walk::default();
        let mut way = vec![alias.clone()];
        self.step(target, &mut way, &mut walk)?;
        Ok(walk.loops)
    }
}

fn refused(recipient: &Address, dead: Option<Dead>) -> Intent {
    let (disposition, rule, words) = match dead {
        Some(Dead::Loop | Dead::TooMany) => {
            let text = "this address leads back to itself, or too far";
            (Disposition::refused(Code::LOOP, text), "forward-loop", "leads to itself, or to too many")
        }
        Some(Dead::Nobody) => {
            let told = Disposition::refused(Code::NO_SUCH_ADDRESS, "no such address here");
            (told, "no-such-address", "leads to an address that nobody has")
        }
        Some(Dead::NoMore) | None => (no_more(), "forwarded-no-more", "was an alias"),
    };
    Intent::Answered(disposition, Why::new(rule, format!("{recipient} {words}")))
}

/// The domains by which a name may have been granted: itself, and those above it.
pub(crate) fn at_and_above(name: &Domain) -> impl Iterator<Item = Domain> {
    let text = name.as_str();
    let starts = std::iter::once(0).chain(text.match_indices('.').map(|(dot, _)| dot + 1));
    starts.filter_map(|at| Domain::from_wire(text.get(at..)?).ok())
}
