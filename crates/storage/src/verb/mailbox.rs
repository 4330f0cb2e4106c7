//! Mailboxes.

use super::content::let_go;
use super::{list, load};
use crate::engine::View;
use crate::record::Record;
use crate::transaction::Transaction;
use crate::{Error, MailUid, MailboxEntry, key};

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
    tx.remove(key::mail_for(account, entry.identity));
    let_go(tx, entry.identity, key::hold_of_mail(entry.identity, mail))
}
