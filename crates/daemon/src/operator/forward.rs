//! Forwarding as an operator or a user sees it: aliases of ours, and who forwards to us.

use control::{ChainHopView, Failure, FailureKind, ForwardOrder, ForwardView, GrantView, Response};
use gateway::forward::{Forwarding, WELL_KNOWN, secret_text};
use message::address::{Address, Domain};
use storage::{ForwardRecord, ForwardState, GrantRecord, GrantState};

use super::held::refused;
use super::{Answered, LocalOperator, address, bounded, failure};
use crate::clock::now_ms;
use crate::forwarding::{fresh_record, grant, way};

/// How an alias is to lead to a target.
struct Wishes {
    conceal: bool,
    rewrite: bool,
    granted: bool,
    keep_sender: bool,
}

impl LocalOperator {
    pub(super) async fn forward(&self, order: ForwardOrder) -> Answered {
        match order {
            ForwardOrder::List { after, limit } => {
                let after =
                    after.map(|(alias, target)| Ok::<_, Failure>((address(&alias)?, address(&target)?)));
                let after = after.transpose()?;
                let after = after.as_ref().map(|(alias, target)| (alias, target));
                let found = self.store().forwards(after, bounded(limit)).map_err(failure)?;
                Ok(Response::Forwards { forwards: found.iter().map(|one| self.forward_view(one)).collect() })
            }
            ForwardOrder::Add { alias, target, conceal, rewrite, granted, keep_sender } => {
                let wishes = Wishes { conceal, rewrite, granted, keep_sender };
                self.add_forward(&alias, &target, wishes).await
            }
            ForwardOrder::Ask { alias, target } => {
                let record = self.forward_named(&alias, &target)?;
                self.running()?.ask(way(record)).await.map_err(|error| internal(&error))?;
                self.one(&alias, &target)
            }
            ForwardOrder::Remove { alias, target, forget } => {
                let record = self.forward_named(&alias, &target)?;
                if forget {
                    self.store().remove_forward(&record.alias, &record.target).await.map_err(failure)?;
                } else {
                    let note = "the operator has ended it".to_owned();
                    let (state, since_ms) = (ForwardState::Deleted, now_ms());
                    let record = ForwardRecord { state, since_ms, note, ask_again_at_ms: None, ..record };
                    self.node.put_forward(record).await.map_err(refused)?;
                }
                Ok(Response::Done)
            }
            ForwardOrder::Grants { account, after, limit } => self.grants(account.as_deref(), after, limit),
            ForwardOrder::Decide { account, recipient, forwarder, granted } => {
                self.decide_grant(account, &recipient, &forwarder, granted).await
            }
            ForwardOrder::Forget { account, recipient, forwarder } => {
                let (recipient, forwarder) = self.party(account.as_deref(), &recipient, &forwarder)?;
                self.store().remove_grant(&recipient, &forwarder).await.map_err(failure)?;
                Ok(Response::Done)
            }
            ForwardOrder::Walk { account, recipient, forwarder } => {
                let (recipient, forwarder) = self.party(account.as_deref(), &recipient, &forwarder)?;
                let known = self.store().grant(&recipient, &forwarder).map_err(failure)?;
                let page = known
                    .ok_or_else(unknown)?
                    .page
                    .ok_or_else(|| Failure::new(FailureKind::NotFound, "that forwarder has said no page"))?;
                let hops = self.running()?.walk(&page).await;
                Ok(Response::Chain { hops: hops.into_iter().map(hop_view).collect() })
            }
        }
    }

    /// A new alias, or one more target of an alias. The target is asked at once where the node runs.
    async fn add_forward(&self, alias: &str, target: &str, wishes: Wishes) -> Answered {
        let Wishes { conceal, rewrite, granted, keep_sender } = wishes;
        if conceal && keep_sender {
            // Whoever takes it tells its sender what became of it, and where.
            let text = "who is sent the notices of a target is not kept from knowing it";
            return Err(
                Failure::new(FailureKind::Invalid, text).hint("choose one of --conceal and --keep-sender")
            );
        }
        let (alias, target) = (self.node.folded(&address(alias)?), address(target)?);
        // keeps: FWD-8, FWD-26
        let here = self.node.settings().is_local(target.domain());
        if here && !self.node.takes_mail_for(&target).map_err(refused)? {
            return Err(Failure::new(FailureKind::Invalid, format!("nobody here has {target}")));
        }
        let state = if granted || here { ForwardState::Granted } else { ForwardState::Waiting };
        let mut record = match self.store().forward(&alias, &target).map_err(failure)? {
            Some(known) if known.state == state => known,
            Some(known) => ForwardRecord {
                state,
                since_ms: now_ms(),
                ask_again_at_ms: (state == ForwardState::Waiting).then(now_ms),
                ..known
            },
            None => fresh_record(alias, target, state),
        };
        (record.conceal, record.rewrite, record.keep_sender) = (conceal, rewrite, keep_sender);
        if state == ForwardState::Granted {
            record.note = if here { "it stays here" } else { "granted by another way" }.to_owned();
        }
        self.node.put_forward(record.clone()).await.map_err(refused)?;
        if let (ForwardState::Waiting, Some(roles)) = (state, &self.roles) {
            roles.forwarding.ask(way(record.clone())).await.map_err(|error| internal(&error))?;
        }
        self.one(&record.alias.to_string(), &record.target.to_string())
    }

    fn one(&self, alias: &str, target: &str) -> Answered {
        let record = self.forward_named(alias, target)?;
        Ok(Response::Forwards { forwards: vec![self.forward_view(&record)] })
    }

    fn forward_view(&self, record: &ForwardRecord) -> ForwardView {
        let mut view = forward_view(&self.node.settings().domain, record);
        if let Some(lack) = lack(record, self.is_asked, self.has_way_out) {
            let stop = if view.note.is_empty() { "" } else { "; " };
            view.note = format!("{}{stop}{lack}", view.note);
        }
        view
    }

    fn forward_named(&self, alias: &str, target: &str) -> Result<ForwardRecord, Failure> {
        let (alias, target) = (self.node.folded(&address(alias)?), address(target)?);
        let found = self.store().forward(&alias, &target).map_err(failure)?;
        found.ok_or_else(|| Failure::new(FailureKind::NotFound, format!("{alias} does not lead to {target}")))
    }

    fn running(&self) -> Result<&Forwarding, Failure> {
        let roles = self.roles.as_ref().ok_or_else(|| {
            Failure::new(FailureKind::Unavailable, "no node runs here that can ask others over HTTPS")
        })?;
        Ok(&roles.forwarding)
    }

    fn grants(&self, account: Option<&str>, after: Option<(String, String)>, limit: u32) -> Answered {
        let after = match after {
            Some((recipient, forwarder)) => Some((address(&recipient)?, domain(&forwarder)?)),
            None => None,
        };
        let place = after.as_ref().map(|(recipient, forwarder)| (recipient, forwarder));
        let mut found = Vec::new();
        match account {
            None => found = self.store().grants(None, place, bounded(limit)).map_err(failure)?,
            Some(account) => {
                let mut addresses = self.account_addresses(account)?;
                addresses.sort();
                for recipient in addresses {
                    let from = place.filter(|(at, _)| **at == recipient);
                    let of = self.store().grants(Some(&recipient), from, bounded(limit)).map_err(failure)?;
                    found.extend(of.into_iter().filter(|one| {
                        place.is_none_or(|(recipient, forwarder)| {
                            (&one.recipient, &one.forwarder) > (recipient, forwarder)
                        })
                    }));
                }
                found.truncate(bounded(limit));
            }
        }
        Ok(Response::Grants { grants: found.iter().map(grant_view).collect() })
    }

    fn account_addresses(&self, account: &str) -> Result<Vec<Address>, Failure> {
        Ok(self.living(account)?.addresses.iter().map(|address| self.node.folded(address)).collect())
    }

    /// The recipient and the forwarder that are named; a user names only addresses of their own.
    fn party(
        &self,
        account: Option<&str>,
        recipient: &str,
        forwarder: &str,
    ) -> Result<(Address, Domain), Failure> {
        let (recipient, forwarder) = (self.node.folded(&address(recipient)?), domain(forwarder)?);
        match account {
            Some(account) if !self.account_addresses(account)?.contains(&recipient) => Err(unknown()),
            _ => Ok((recipient, forwarder)),
        }
    }

    async fn decide_grant(
        &self,
        account: Option<String>,
        recipient: &str,
        forwarder: &str,
        granted: bool,
    ) -> Answered {
        let (recipient, forwarder) = self.party(account.as_deref(), recipient, forwarder)?;
        if account.is_none() && !self.node.takes_mail_for(&recipient).map_err(refused)? {
            return Err(Failure::new(FailureKind::NotFound, format!("nobody here has {recipient}")));
        }
        let state = if granted { GrantState::Granted } else { GrantState::Refused };
        let by = account.unwrap_or_else(|| "operator".to_owned());
        let known = self.store().grant(&recipient, &forwarder).map_err(failure)?;
        let record = match known {
            Some(known) => GrantRecord { state, since_ms: now_ms(), automatic: false, by, ..known },
            None => GrantRecord {
                number: 0,
                recipient,
                forwarder,
                state,
                since_ms: now_ms(),
                automatic: false,
                by,
                ask: None,
                alias: None,
                page: None,
                complaints_to: None,
                complain: false,
            },
        };
        self.store().put_grant(record.clone()).await.map_err(failure)?;
        if let (false, Some(roles)) = (granted, &self.roles) {
            let forwarding = roles.forwarding.clone();
            // The forwarder hears of it when it asks next, too.
            tokio::spawn(async move { forwarding.end(&grant(record)).await });
        }
        Ok(Response::Done)
    }
}

fn domain(text: &str) -> Result<Domain, Failure> {
    Domain::parse(text).map_err(|error| Failure::new(FailureKind::Invalid, format!("{text:?}: {error}")))
}

fn unknown() -> Failure {
    Failure::new(FailureKind::NotFound, "that forwarder is not known for that recipient")
}

fn internal(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Internal, error.to_string())
}

fn forward_view(shown: &Domain, record: &ForwardRecord) -> ForwardView {
    ForwardView {
        alias: record.alias.to_string(),
        target: record.target.to_string(),
        state: record.state.word().to_owned(),
        since_ms: record.since_ms,
        conceal: record.conceal,
        keep_sender: record.keep_sender,
        authorization: record.authorization.clone(),
        ask_again_at_ms: record.ask_again_at_ms,
        note: record.note.clone(),
        complaints: record.complaints,
        page: format!("https://{shown}{WELL_KNOWN}/records/{}", secret_text(&record.credential)),
    }
}

/// What this node lacks for an alias to lead anywhere, and what to do about it.
fn lack(record: &ForwardRecord, is_asked: bool, has_way_out: bool) -> Option<&'static str> {
    match record.state {
        ForwardState::Waiting if !is_asked => Some(
            "this node has no `[forwarding] listen`, without which nothing is granted to it: set it (docs/forwarding.md), or add the \
             alias with --rewrite or --granted",
        ),
        ForwardState::Rewriting if !has_way_out => Some(
            "a rewritten sender is one of SMTP, and this node has no `[gateway]`: only where the target has a node it goes on",
        ),
        _ => None,
    }
}

fn grant_view(record: &GrantRecord) -> GrantView {
    GrantView {
        number: record.number,
        recipient: record.recipient.to_string(),
        forwarder: record.forwarder.as_str().to_owned(),
        state: record.state.word().to_owned(),
        since_ms: record.since_ms,
        automatic: record.automatic,
        by: record.by.clone(),
        alias: record.alias.clone(),
        page: record.page.clone(),
        complain: record.complain,
    }
}

fn hop_view(hop: gateway::forward::Hop) -> ChainHopView {
    let page = hop.page;
    match hop.record {
        Ok(record) => ChainHopView {
            page,
            alias: Some(record.alias),
            target: Some(record.target),
            state: Some(record.state),
            trouble: None,
        },
        Err(end) => {
            ChainHopView { page, alias: None, target: None, state: None, trouble: Some(end.to_string()) }
        }
    }
}
