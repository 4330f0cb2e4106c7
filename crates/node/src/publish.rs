//! Publishing: statements of our own users enter the log of their domain, and everybody is answered from it.

use bytes::Bytes;
use message::Code;
use message::address::{Address, Domain};
use message::keys::tree::{self, Hash, Nodes};
use message::keys::{KeyAnswer, KeyRecord, Proved, Statement, TreeHead};
use storage::{StatementRecord, Store};

use crate::Node;
use crate::accept::{Failure, trouble};
use crate::account::fold;
use crate::limits::{STATEMENT_AHEAD_SECONDS, STATEMENTS_PER_DAY};
use crate::settings::DomainKey;

const DAY_MS: u64 = 24 * 3600 * 1000;

impl Node {
    /// Takes a statement of an account about an address of its own: countersigns it and enters it into the log. The same
    /// statement again is done already.
    ///
    /// # Errors
    /// A code and a text where it may not be taken, or the store fails.
    ///
    /// keeps: KEY-4, KEY-6, KEY-7, KEY-9
    pub async fn publish_key(
        &self,
        account: &str,
        statement: Bytes,
        succession: Option<&[u8]>,
    ) -> Result<(), Failure> {
        let statement = Statement::parse(statement).map_err(|error| (error.code(), error.to_string()))?;
        let address = statement.claims().address.clone();
        let own = self.own_domain(account, &address)?;
        let folded = fold(&address);
        // What is stated in between is found by the store.
        let stated = self.store().stated(&folded).map_err(trouble)?;
        let before = self.store().key_statements(&address).map_err(trouble)?;
        let last = before.last().map(|last| last.record.statement());
        if last.is_some_and(|last| last.octets() == statement.octets()) {
            return Ok(());
        }
        self.check_statement(&statement, succession, &before)?;
        self.check_count(&stated)?;
        let now = self.now_ms();
        let record = KeyRecord::countersign(&statement, succession, &own.selector, &own.key, now / 1000)
            .map_err(|error| (error.code(), error.to_string()))?;
        match self.store().publish_key(record, folded, stated.len(), now).await {
            Ok(_) => Ok(()),
            Err(storage::Error::Taken(_)) => Err(not_the_last()),
            Err(storage::Error::Bound { bound, .. }) => {
                Err((Code::NOT_AUTHORIZED, format!("an address has at most {bound} statements")))
            }
            Err(error) => Err(trouble(error)),
        }
    }

    fn own_domain(&self, account: &str, address: &Address) -> Result<&DomainKey, Failure> {
        let record = self
            .store()
            .account(account)
            .map_err(trouble)?
            .filter(|record| record.addresses.contains(&fold(address)));
        let own = self.settings().domains.get(address.domain()).filter(|_| record.is_some());
        own.ok_or_else(|| (Code::NOT_AUTHORIZED, format!("{address} is no address of yours")))
    }

    fn check_statement(
        &self,
        statement: &Statement,
        succession: Option<&[u8]>,
        before: &[StatementRecord],
    ) -> Result<(), Failure> {
        let refuse = |text: &str| Err((Code::CONTENT_MALFORMED, text.to_owned()));
        let (claims, now) = (statement.claims(), self.now_ms() / 1000);
        let last = before.last().map(|last| last.record.statement());
        if claims.previous != last.map(Statement::digest) {
            return Err(not_the_last());
        }
        if claims.not_after <= now || claims.not_before > now.saturating_add(STATEMENT_AHEAD_SECONDS) {
            return refuse("the key is not good now, nor within a day");
        }
        let gone = before.iter().any(|one| {
            let earlier = one.record.statement().claims();
            earlier.revoked && earlier.key == claims.key
        });
        if gone {
            return refuse("that key was revoked, and stays so");
        }
        let replaced = before.iter().any(|one| one.record.statement().claims().key == claims.key)
            && last.is_some_and(|last| last.claims().key != claims.key);
        if replaced {
            return refuse("that key was replaced, and does not come back");
        }
        if claims.revoked && !last.is_some_and(|last| last.claims().key == claims.key) {
            return refuse("only the last key can be revoked, by itself");
        }
        if let Some(succession) = succession {
            let signed = last.is_some_and(|last| statement.is_succession_by(succession, &last.claims().key));
            if !signed {
                return refuse("the key before has not signed that");
            }
        }
        Ok(())
    }

    /// All spellings of an address are one here: a log does not grow by another one of them.
    fn check_count(&self, stated: &[u64]) -> Result<(), Failure> {
        let lately = stated.len().checked_sub(STATEMENTS_PER_DAY).map(|place| stated[place]);
        if lately.is_some_and(|at_ms| at_ms.saturating_add(DAY_MS) > self.now_ms()) {
            let text = format!("more than {STATEMENTS_PER_DAY} statements in a day: come again tomorrow");
            return Err((Code::new(4, 7, 1), text));
        }
        Ok(())
    }

    /// What this domain has of the keys of an address, with what proves it to somebody who has seen its log with this size.
    /// Whether the address is anybody's is not looked at.
    ///
    /// # Errors
    /// A code and a text where the domain is not one of this node, or the store cannot be read.
    ///
    /// keeps: KEY-8, KEY-10, KEY-11, KEY-13, KEY-14
    pub async fn key_answer(&self, address: &Address, seen_size: Option<u64>) -> Result<KeyAnswer, Failure> {
        let domain = address.domain();
        let own =
            self.settings().domains.get(domain).ok_or_else(|| {
                (Code::INVALID_ARGUMENTS, "the keys of that domain are not here".to_owned())
            })?;
        let log = Log { store: self.store().as_ref(), domain };
        // What is read after the size can only be newer, and is left out then.
        let size = self.store().key_log_size(domain).map_err(trouble)?;
        let statements = self.store().key_statements(address).map_err(trouble)?;
        let root = tree::root(size, &log).map_err(trouble)?;
        let mut records = Vec::with_capacity(statements.len());
        for one in statements.into_iter().filter(|one| one.leaf < size) {
            let way = tree::inclusion(one.leaf, size, &log).map_err(trouble)?;
            records.push(Proved { record: one.record, leaf: one.leaf, way });
        }
        let seen_size = seen_size.unwrap_or(0);
        let consistency = tree::consistency(seen_size, size, &log).map_err(trouble)?;
        let now = self.now_ms() / 1000;
        let head = TreeHead::sign(domain, (size, &root), now, &own.selector, &own.key)
            .map_err(|error| (Code::SYSTEM_TROUBLE, error.to_string()))?;
        Ok(KeyAnswer { head, records, consistency })
    }
}

fn not_the_last() -> Failure {
    (
        Code::CONTENT_MALFORMED,
        "it does not name the last statement of the address; look at them again".to_owned(),
    )
}

/// The log of a domain of ours, as the store has it.
struct Log<'a> {
    store: &'a dyn Store,
    domain: &'a Domain,
}

impl Nodes for Log<'_> {
    type Error = storage::Error;

    fn node(&self, level: u32, place: u64) -> Result<Hash, storage::Error> {
        self.store.key_log_node(self.domain, level, place)
    }
}
