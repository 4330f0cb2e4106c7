//! Accounts: passwords, devices, and which address leads where.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use message::Code;
use message::address::fold::AccountKey;
use message::address::registration::{self, RegistrationError};
use message::address::{Address, LocalPart, Skeleton};
use storage::{AccountRecord, DeviceRecord};
use tokio::sync::Semaphore;

use crate::Node;
use crate::accept::{Failure, trouble};
use crate::limits::{
    ACCOUNTS_PAGE, PASSWORD_CHECKS_MAX, PASSWORD_FAILURES_KEPT, PASSWORD_FAILURES_MAX, PASSWORD_WINDOW_MS,
};

/// The folded form under which the owning domain keeps an address.
pub(crate) fn fold(address: &Address) -> Address {
    match LocalPart::from_wire(AccountKey::of(address.local()).as_str()) {
        Ok(local) => Address::new(local, address.domain().clone()),
        Err(_) => address.clone(),
    }
}

/// Checks passwords: a few at a time, each with the same work whether or not the account exists.
#[derive(Debug)]
pub struct Credentials {
    checks: Semaphore,
    /// Failures by account and by network, and when the first of them was. In memory only: a restart forgives.
    failures: Mutex<HashMap<String, (u32, u64)>>,
    /// What the salts of SCRAM follow from.
    pub(crate) scram_secret: tokio::sync::OnceCell<[u8; 32]>,
}

impl Default for Credentials {
    fn default() -> Self {
        Credentials {
            checks: Semaphore::new(PASSWORD_CHECKS_MAX),
            failures: Mutex::default(),
            scram_secret: tokio::sync::OnceCell::new(),
        }
    }
}

impl Credentials {
    /// Whether this account or network has failed too often of late. The same for accounts that do not exist.
    fn is_barred(&self, keys: &[String; 2], now_ms: u64) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().any(|key| {
            failures.get(key).is_some_and(|(count, since_ms)| {
                *count >= PASSWORD_FAILURES_MAX && now_ms < since_ms.saturating_add(PASSWORD_WINDOW_MS)
            })
        })
    }

    fn note_failure(&self, keys: [String; 2], now_ms: u64) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= PASSWORD_FAILURES_KEPT {
            failures.retain(|_, (_, since_ms)| now_ms < since_ms.saturating_add(PASSWORD_WINDOW_MS));
            if failures.len() >= PASSWORD_FAILURES_KEPT {
                failures.clear();
            }
        }
        for key in keys {
            let entry = failures.entry(key).or_insert((0, now_ms));
            if now_ms >= entry.1.saturating_add(PASSWORD_WINDOW_MS) {
                *entry = (0, now_ms);
            }
            entry.0 += 1;
        }
    }
}

/// What a password is checked against where there is no account: the same parameters and so the same work, a salt and a
/// hash of zero octets that no password is known for.
const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Argon2id with the parameters of RFC 9106 section 4, second recommendation scaled as OWASP does: 19 MiB, 2 passes.
fn hasher() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(19 * 1024, 2, 1, None).unwrap_or_default())
}

impl Node {
    /// Writes an account with these addresses; the password is hashed with the salt that is drawn here.
    ///
    /// # Errors
    /// A code and a text, where an address is taken, is not of a domain served here, or the store fails.
    pub async fn put_account(
        &self,
        name: &str,
        addresses: &[Address],
        password: Option<String>,
    ) -> Result<(), Failure> {
        if let Some(foreign) = addresses.iter().find(|address| !self.settings().is_local(address.domain())) {
            return Err((Code::NO_ROUTE, format!("{foreign} is not of a domain that is served here")));
        }
        let before = self.store().account(name).map_err(trouble)?;
        for address in addresses {
            let had = before.as_ref().is_some_and(|account| account.addresses.contains(&fold(address)));
            if !had {
                self.check_registration(name, address)?;
            }
        }
        let (password_hash, scram) = match password {
            Some(password) => {
                let keys = self.derive_scram_keys(name, password.clone()).await?;
                (Some(self.hash(password).await?), Some(keys))
            }
            None => before
                .as_ref()
                .map(|account| (account.password_hash.clone(), account.scram.clone()))
                .unwrap_or_default(),
        };
        let account = AccountRecord {
            name: name.to_owned(),
            addresses: addresses.iter().map(fold).collect(),
            password_hash,
            scram,
            notices: before.as_ref().is_some_and(|account| account.notices),
            devices: before.map(|account| account.devices).unwrap_or_default(),
            disabled: false,
        };
        self.store().put_account(account).await.map_err(|error| (Code::INVALID_ARGUMENTS, error.to_string()))
    }

    /// Whether an account has notices of failure in its own mailbox.
    ///
    /// # Errors
    /// A code and a text where there is no such account, or the store fails.
    pub async fn put_notices(&self, name: &str, on: bool) -> Result<(), Failure> {
        let Some(before) = self.store().account(name).map_err(trouble)? else {
            return Err((Code::INVALID_ARGUMENTS, format!("there is no account {name}")));
        };
        let account = AccountRecord { notices: on, ..before };
        self.store().put_account(account).await.map_err(|error| (Code::INVALID_ARGUMENTS, error.to_string()))
    }

    /// Whether a new address may be registered: fit to be a name, and not to be taken for one of another account. The
    /// names that every domain reserves (postmaster, abuse) are the operator's to give, and only the operator comes here.
    fn check_registration(&self, name: &str, address: &Address) -> Result<(), Failure> {
        let refused = |error: RegistrationError| {
            Err((Code::INVALID_ARGUMENTS, format!("{address} cannot be given: {error}")))
        };
        match registration::candidate(address.local()) {
            Ok(_) | Err(RegistrationError::Reserved) => {}
            Err(error) => return refused(error),
        }
        let skeleton = Skeleton::of_key(&AccountKey::of(address.local()));
        let mut after: Option<String> = None;
        loop {
            let page = self.store().accounts(after.as_deref(), ACCOUNTS_PAGE).map_err(trouble)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.name.clone());
            for taken in
                page.iter().filter(|account| account.name != name).flat_map(|account| &account.addresses)
            {
                if *taken == fold(address) {
                    return refused(RegistrationError::Taken);
                }
                if taken.domain() == address.domain()
                    && Skeleton::of_key(&AccountKey::of(taken.local())) == skeleton
                {
                    return refused(RegistrationError::LooksLike(taken.to_string()));
                }
            }
        }
    }

    /// Enrols a device key for an account, by password; `network` is where the device is, for the count of failures.
    ///
    /// # Errors
    /// The same answer after the same work for a wrong password and an unknown account.
    ///
    /// keeps: SUB-2, SUB-3
    pub async fn enrol(
        &self,
        network: &str,
        account: &str,
        password: String,
        device: &str,
        public_key: [u8; 32],
    ) -> Result<(), Failure> {
        let record = self.authenticate(network, account, password).await?;
        let device = DeviceRecord { public_key, name: device.to_owned(), enrolled_at_ms: self.now_ms() };
        let put = self.store().put_device(&record.name, device).await;
        put.map_err(|error| (Code::INVALID_ARGUMENTS, error.to_string()))
    }

    /// The account for whose owner somebody takes themselves, by password; `network` is where they are, for the count of
    /// failures.
    ///
    /// # Errors
    /// The same answer after the same work for a wrong password and an unknown account.
    ///
    /// keeps: SUB-3
    pub async fn authenticate(
        &self,
        network: &str,
        account: &str,
        password: String,
    ) -> Result<AccountRecord, Failure> {
        let refused = || (Code::AUTHENTICATION_FAILED, "account and password do not match".to_owned());
        let barred = || (Code::new(4, 7, 0), "too many wrong passwords; try again later".to_owned());
        if self.is_barred(network, account) {
            return Err(barred());
        }
        // The place is kept until a wrong password is counted, and whoever has waited for it is asked again: of many that
        // come at once no more are tried than one after the other.
        let busy = |_| (Code::SYSTEM_TROUBLE, "passwords cannot be checked now".to_owned());
        let _place = self.inner.credentials.checks.acquire().await.map_err(busy)?;
        if self.is_barred(network, account) {
            return Err(barred());
        }
        let record = self.store().account(account).map_err(trouble)?.filter(|record| !record.disabled);
        let stored = record.as_ref().and_then(|record| record.password_hash.clone());
        let known = stored.is_some();
        let matches = self.check(password, stored).await?;
        let Some(record) = record.filter(|_| known && matches) else {
            self.note_wrong_password(network, account);
            return Err(refused());
        };
        Ok(record)
    }

    /// Notes that somebody has given a wrong password for an account, or a proof that it is not theirs: after some of them
    /// neither account nor network gets an answer for a while.
    pub fn note_wrong_password(&self, network: &str, account: &str) {
        let keys = [format!("account:{account}"), format!("network:{network}")];
        self.inner.credentials.note_failure(keys, self.now_ms());
    }

    /// Whether this account or this network has given wrong passwords too often of late. The same for accounts that do not
    /// exist.
    pub fn is_barred(&self, network: &str, account: &str) -> bool {
        let keys = [format!("account:{account}"), format!("network:{network}")];
        self.inner.credentials.is_barred(&keys, self.now_ms())
    }

    /// The devices that are enrolled for an account.
    ///
    /// # Errors
    /// A code and a text where there is no such account, or the store cannot be read.
    ///
    /// keeps: SUB-4
    pub fn devices(&self, account: &str) -> Result<Vec<DeviceRecord>, Failure> {
        let record = self.store().account(account).map_err(trouble)?;
        record.map(|record| record.devices).ok_or((Code::INVALID_ARGUMENTS, "no such account".to_owned()))
    }

    /// Removes a device: it is refused from then on, on connections that live, too.
    ///
    /// # Errors
    /// A code and a text where the account has no such device, or the store cannot be written.
    ///
    /// keeps: SUB-4
    pub async fn remove_device(&self, account: &str, public_key: &[u8; 32]) -> Result<(), Failure> {
        match self.store().remove_device(account, public_key).await {
            Err(storage::Error::NotFound(what)) => Err((Code::INVALID_ARGUMENTS, format!("no such {what}"))),
            removed => removed.map_err(trouble),
        }
    }

    /// The name of the account that an address leads to.
    ///
    /// # Errors
    /// A code and a text where the store cannot be read.
    pub fn account_of(&self, address: &Address) -> Result<Option<String>, Failure> {
        let found = self.store().account_of_address(&fold(address).to_string()).map_err(trouble)?;
        Ok(found.map(|account| account.name))
    }

    /// The account for which this device was enrolled.
    ///
    /// # Errors
    /// A code and a text where the store cannot be read.
    pub fn account_of_device(&self, public_key: &[u8; 32]) -> Result<Option<String>, Failure> {
        let account = self.store().account_of_device(public_key).map_err(trouble)?;
        Ok(account.filter(|account| !account.disabled).map(|account| account.name))
    }

    async fn hash(&self, password: String) -> Result<String, Failure> {
        let mut salt = [0; 16];
        self.inner.clock.random(&mut salt);
        let hashed = tokio::task::spawn_blocking(move || {
            hasher().hash_password_with_salt(password.as_bytes(), &salt).map(|hash| hash.to_string())
        });
        match hashed.await {
            Ok(Ok(hash)) => Ok(hash),
            _ => Err((Code::SYSTEM_TROUBLE, "the password cannot be hashed".to_owned())),
        }
    }

    /// Checks a password against a stored hash, or against nothing with the same work. Whoever asks has a place.
    async fn check(&self, password: String, stored: Option<String>) -> Result<bool, Failure> {
        let busy = || (Code::SYSTEM_TROUBLE, "passwords cannot be checked now".to_owned());
        let stored = stored.unwrap_or_else(|| NOBODYS_HASH.to_owned());
        let checked = tokio::task::spawn_blocking(move || {
            PasswordHash::new(&stored)
                .is_ok_and(|stored| hasher().verify_password(password.as_bytes(), &stored).is_ok())
        });
        checked.await.map_err(|_| busy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: SUB-3
    #[test]
    fn nobodys_hash_costs_what_anybodys_costs() {
        let fresh = hasher().hash_password_with_salt(b"a password", &[7; 16]).unwrap().to_string();
        let (fresh, nobodys) = (PasswordHash::new(&fresh).unwrap(), PasswordHash::new(NOBODYS_HASH).unwrap());
        assert_eq!(
            (&fresh.algorithm, fresh.version, &fresh.params),
            (&nobodys.algorithm, nobodys.version, &nobodys.params)
        );
        let lengths =
            |hash: &PasswordHash| (hash.salt.map(|salt| salt.len()), hash.hash.map(|hash| hash.len()));
        assert_eq!(lengths(&fresh), lengths(&nobodys));
    }
}
