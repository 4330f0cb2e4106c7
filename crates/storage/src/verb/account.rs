//! Accounts, and the ways to them by address and by device.

use super::{check_name, list, load};
use crate::engine::View;
use crate::limits::{
    ACCOUNT_NAME_OCTETS_MAX, ADDRESSES_MAX, DEVICES_MAX, PASSWORD_HASH_OCTETS_MAX, SCRAM_SALT_OCTETS_MAX,
    TEXT_OCTETS_MAX,
};
use crate::record::Record;
use crate::transaction::Transaction;
use crate::{AccountRecord, DeviceRecord, Error, key};

/// Writes an account and the ways to it.
pub(crate) fn put_account(tx: &mut Transaction, account: AccountRecord) -> Result<(), Error> {
    check(&account)?;
    let key = key::account(&account.name);
    if let Some(before) = load::<AccountRecord>(tx, &key)? {
        remove_ways(tx, &before);
    }
    for (what, way) in ways(&account) {
        if tx.value(&way)?.is_some() {
            return Err(Error::Taken(what));
        }
        tx.put(way, account.name.clone().into_bytes())?;
    }
    tx.put(key, account.encode())
}

/// Adds a device to an account, or renews it.
pub(crate) fn put_device(tx: &mut Transaction, name: &str, device: DeviceRecord) -> Result<(), Error> {
    let mut account = named(tx, name)?;
    account.devices.retain(|old| old.public_key != device.public_key);
    account.devices.push(device);
    put_account(tx, account)
}

/// Removes a device from an account.
pub(crate) fn remove_device(tx: &mut Transaction, name: &str, public_key: &[u8; 32]) -> Result<(), Error> {
    let mut account = named(tx, name)?;
    let before = account.devices.len();
    account.devices.retain(|device| device.public_key != *public_key);
    if account.devices.len() == before {
        return Err(Error::NotFound("device"));
    }
    put_account(tx, account)
}

fn named(tx: &Transaction, name: &str) -> Result<AccountRecord, Error> {
    load::<AccountRecord>(tx, &key::account(name))?.ok_or(Error::NotFound("account"))
}

fn check(account: &AccountRecord) -> Result<(), Error> {
    let bound = |what, count: usize, bound: usize| match count > bound {
        true => Err(Error::Bound { what, bound: bound as u64 }),
        false => Ok(()),
    };
    check_name(&account.name, ACCOUNT_NAME_OCTETS_MAX)?;
    bound("addresses of an account", account.addresses.len(), ADDRESSES_MAX)?;
    bound("devices of an account", account.devices.len(), DEVICES_MAX)?;
    let hash_octets = account.password_hash.as_ref().map_or(0, String::len);
    bound("octets of a password hash", hash_octets, PASSWORD_HASH_OCTETS_MAX)?;
    let salt_octets = account.scram.as_ref().map_or(0, |keys| keys.salt.len());
    bound("octets of a salt", salt_octets, SCRAM_SALT_OCTETS_MAX)?;
    let name_octets = account.devices.iter().map(|device| device.name.len()).max().unwrap_or(0);
    bound("octets of a device's name", name_octets, TEXT_OCTETS_MAX)
}

fn ways(account: &AccountRecord) -> Vec<(&'static str, Vec<u8>)> {
    let addresses = account.addresses.iter().map(|address| ("address", key::address(&address.to_string())));
    let devices = account.devices.iter().map(|device| ("device", key::device(&device.public_key)));
    addresses.chain(devices).collect()
}

fn remove_ways(tx: &mut Transaction, account: &AccountRecord) {
    for (_, way) in ways(account) {
        tx.remove(way);
    }
}

/// Removes an account.
pub(crate) fn remove_account(tx: &mut Transaction, name: &str) -> Result<(), Error> {
    let key = key::account(name);
    let account = named(tx, name)?;
    remove_ways(tx, &account);
    super::correspondent::remove_all(tx, name)?;
    super::keys::remove_pins(tx, name)?;
    tx.remove(key);
    Ok(())
}

/// The account that a way leads to.
pub(crate) fn account_by(view: &dyn View, way: &[u8]) -> Result<Option<AccountRecord>, Error> {
    let Some(name) = view.value(way)? else { return Ok(None) };
    let name = String::from_utf8(name).map_err(|_| Error::Damaged { key: key::readable(way) })?;
    load(view, &key::account(&name))
}

/// Accounts after the given name. What cannot be read is left out: the check reports it.
pub(crate) fn accounts(
    view: &dyn View,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<AccountRecord>, Error> {
    let pairs = list(view, &[key::table::ACCOUNT], after.map(key::account), limit)?;
    Ok(pairs.iter().filter_map(|(key, value)| AccountRecord::decode(value, key).ok()).collect())
}
