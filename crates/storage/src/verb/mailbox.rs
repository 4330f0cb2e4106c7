//! Mailboxes.

use super::content::let_go;
use super::{list, load};
use crate::engine::View;
use crate::limits::LIST_MAX;
use crate::record::Record;
use crate::transaction::{Transaction, read_number};
use crate::{Error, MailUid, MailboxEntry, key};
use message::Identity;

/// Entries after the given one. What cannot be read is left out: the check reports it.
pub(crate) fn mailbox(
    view: &dyn View,
    account: &str,
    after: Option<MailUid>,
    limit: usize,
) -> Result<Vec<MailboxEntry>, Error> {
    let pairs = list(view, &key::mails(account), after.map(|mail| key::mail(account, mail)), limit)?;
    Ok(pairs.iter().filter_map(|(key, value)| MailboxEntry::decode(value, key).ok()).collect())
}

/// Entries before the given one, the newest first.
pub(crate) fn mailbox_before(
    view: &dyn View,
    account: &str,
    before: Option<MailUid>,
    limit: usize,
) -> Result<Vec<MailboxEntry>, Error> {
    let prefix = key::mails(account);
    let to = before.map_or_else(|| key::after_prefix(&prefix), |mail| key::mail(account, mail));
    let pairs = view.range_back(&prefix, &to, limit.min(LIST_MAX))?;
    Ok(pairs.iter().filter_map(|(key, value)| MailboxEntry::decode(value, key).ok()).collect())
}

/// The entry of this message, by the index that keeps it from being delivered twice.
pub(crate) fn mail_of(
    view: &dyn View,
    account: &str,
    identity: Identity,
) -> Result<Option<MailboxEntry>, Error> {
    match read_number(view, &key::hold_of_mail(identity, account))? {
        Some(number) => load(view, &key::mail(account, MailUid(number))),
        None => Ok(None),
    }
}

/// Marks an entry as seen or not.
pub(crate) fn mark_seen(tx: &mut Transaction, account: &str, mail: MailUid, seen: bool) -> Result<(), Error> {
    let key = key::mail(account, mail);
    let mut entry = load::<MailboxEntry>(tx, &key)?.ok_or(Error::NotFound("mailbox entry"))?;
    entry.seen = seen;
    tx.put(key, entry.encode())
}

/// Removes an entry.
pub(crate) fn remove_mail(tx: &mut Transaction, account: &str, mail: MailUid) -> Result<(), Error> {
    let key = key::mail(account, mail);
    let entry = load::<MailboxEntry>(tx, &key)?.ok_or(Error::NotFound("mailbox entry"))?;
    tx.remove(key);
    let_go(tx, entry.identity, key::hold_of_mail(entry.identity, account))
}
