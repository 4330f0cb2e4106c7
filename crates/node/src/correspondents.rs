//! Correspondents: whom an account knows, trusts and has blocked, by address or by domain.

use message::Code;
use message::address::{Address, Domain};
use storage::limits::CORRESPONDENTS_MAX;
use storage::{CorrespondentRecord, Regard};

use crate::accept::{Failure, trouble};
use crate::{Deed, Node};

impl Node {
    /// What an account has to do with the one who has this address: what is said of the address, else of its domain.
    ///
    /// # Errors
    /// A code and a text where the store cannot be read.
    ///
    /// keeps: POL-11
    pub fn correspondent(
        &self,
        account: &str,
        address: &Address,
    ) -> Result<Option<CorrespondentRecord>, Failure> {
        let find = |who: &str| self.store().correspondent(account, who).map_err(trouble);
        match find(&address.to_string())? {
            Some(found) => Ok(Some(found)),
            None => find(address.domain().as_str()),
        }
    }

    /// Correspondents of an account after the given one, in the order of their names.
    ///
    /// # Errors
    /// A code and a text where there is no such account, or the store cannot be read.
    pub fn correspondents(
        &self,
        account: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<CorrespondentRecord>, Failure> {
        self.store().account(account).map_err(trouble)?.ok_or_else(no_account)?;
        self.store().correspondents(account, after, limit).map_err(trouble)
    }

    /// The account trusts this address, or everybody at this domain; a peer of that domain may forward to it.
    ///
    /// # Errors
    /// As [`Node::put_correspondent`].
    pub async fn trust(&self, account: &str, who: &str, note: &str) -> Result<(), Failure> {
        self.put_correspondent(account, who, Regard::Trusted, note).await
    }

    /// The account wants nothing from this address, or from anybody at this domain.
    ///
    /// # Errors
    /// As [`Node::put_correspondent`].
    pub async fn block(&self, account: &str, who: &str, note: &str) -> Result<(), Failure> {
        self.put_correspondent(account, who, Regard::Blocked, note).await
    }

    /// Writes what a person says of an address or a domain. Who is blocked that was not is complained about: it counts
    /// for the domain, where that was met as a peer. keeps: REP-8
    ///
    /// # Errors
    /// As [`Node::put_correspondent`].
    pub async fn say_of_correspondent(
        &self,
        account: &str,
        who: &str,
        regard: Regard,
        note: &str,
    ) -> Result<(), Failure> {
        let party = party(who)?;
        let before = self.store().correspondent(account, &party).map_err(trouble)?;
        self.put_correspondent(account, who, regard, note).await?;
        let was_blocked = before.is_some_and(|before| before.regard == Regard::Blocked);
        if regard == Regard::Blocked && !was_blocked {
            let name = party.rsplit_once('@').map_or(party.as_str(), |(_, domain)| domain);
            if let Ok(domain) = Domain::from_wire(name)
                && self.remembered(&domain)?.is_some()
            {
                self.remember(&domain, Deed::Complaint);
            }
        }
        Ok(())
    }

    /// Writes what an account has to do with an address or a domain, as a person writes it.
    ///
    /// # Errors
    /// A code and a text where it is neither, where there is no such account, where it has too many, or the store fails.
    pub async fn put_correspondent(
        &self,
        account: &str,
        who: &str,
        regard: Regard,
        note: &str,
    ) -> Result<(), Failure> {
        let record = CorrespondentRecord {
            account: account.to_owned(),
            who: party(who)?,
            regard,
            since_ms: self.now_ms(),
            note: note.to_owned(),
        };
        match self.store().put_correspondent(record).await {
            Err(storage::Error::NotFound(_)) => Err(no_account()),
            Err(storage::Error::Bound { what, bound }) => {
                Err((Code::INVALID_ARGUMENTS, format!("more than {bound} {what}; remove some first")))
            }
            put => put.map_err(trouble),
        }
    }

    /// Forgets what an account has to do with an address or a domain.
    ///
    /// # Errors
    /// A code and a text where nothing is written, or the store fails.
    pub async fn remove_correspondent(&self, account: &str, who: &str) -> Result<(), Failure> {
        match self.store().remove_correspondent(account, &party(who)?).await {
            Err(storage::Error::NotFound(_)) => {
                Err((Code::INVALID_ARGUMENTS, format!("{who} is no correspondent of {account}")))
            }
            removed => removed.map_err(trouble),
        }
    }

    /// The addresses that an account has and knows: whom somebody else could be taken for.
    ///
    /// # Errors
    /// A code and a text where the store cannot be read.
    pub fn familiar(&self, account: &str) -> Result<Vec<Address>, Failure> {
        let own = self.store().account(account).map_err(trouble)?.map(|account| account.addresses);
        let known = self.store().correspondents(account, None, CORRESPONDENTS_MAX).map_err(trouble)?;
        let known = known.iter().filter(|one| one.regard != Regard::Blocked);
        let known = known.filter_map(|one| Address::from_wire(&one.who).ok());
        Ok(own.unwrap_or_default().into_iter().chain(known).collect())
    }
}

/// The wire form of an address or a domain.
fn party(who: &str) -> Result<String, Failure> {
    let read = if who.contains('@') {
        Address::parse(who).map(|address| address.to_string())
    } else {
        Domain::parse(who).map(|domain| domain.to_string())
    };
    read.map_err(|error| {
        (Code::INVALID_ARGUMENTS, format!("{who:?} is neither an address nor a domain: {error}"))
    })
}

fn no_account() -> Failure {
    (Code::INVALID_ARGUMENTS, "no such account".to_owned())
}
