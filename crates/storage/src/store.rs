//! [`Store`]: what the house sees of storage, in verbs of mail.

use std::future::Future;
use std::pin::Pin;

use message::address::{Address, Domain};
use message::{Cookie, Disposition, Extent, Identity};

use crate::{
    Acceptance, AccountRecord, Attempt, Claim, CookieAnswer, CorrespondentRecord, Decision, DeviceRecord,
    EnvelopeId, EnvelopeRecord, Error, Exported, Finding, HeldRecord, Lane, LaneAges, LaneSummary, LegId,
    LegRecord, LegacyChange, LegacyRecord, MailUid, MailboxEntry, NextHop, NoticeDue, OfferedBefore,
    PartReader, PartWriter, PeerRecord, Receipt, Settled, Settlement, StagedPart, Statistics, StoredMessage,
    Supply,
};

/// The answer of a verb that commits. When it is there, what it says is durable. A future that is dropped before does
/// not take its operation back.
pub type Wait<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// What a node keeps. Each verb that changes something is one serialisable transaction, durable when it answers; an
/// error leaves no trace but for [`Error::Unknown`], which says that it is not known whether the transaction is
/// durable. Reads are synchronous and cheap. Times are Unix milliseconds and always arguments.
///
/// Names of people and peers are given as *holders*: see [`crate::Origin::holder`].
pub trait Store: crate::ForwardingStore + crate::KeyStore + Send + Sync + 'static {
    // Content

    /// Begins to receive a leaf from this owner, or goes on where an earlier attempt of the same owner stopped
    /// ([`PartWriter::offset`] says where). Opening, writing, finishing and dropping do blocking file I/O for parts of
    /// more than [`crate::limits::INLINE_OCTETS_MAX`] octets.
    ///
    /// # Errors
    /// [`Error::Busy`] where the same owner is sending the same part on another connection; [`Error::Full`];
    /// [`Error::ReadOnly`]; [`Error::Io`].
    fn stage(&self, owner: &str, extent: Extent, now_ms: u64) -> Result<PartWriter, Error>;

    /// Whether an earlier transfer of this leaf by the same owner has left octets of it, or one is going on. Opens no file.
    fn is_begun(&self, owner: &str, extent: Extent) -> bool;

    /// The part as if it had been sent just now, where the store holds it and the same owner sent it before; `None`
    /// otherwise, so that nobody can probe who holds what. Only parts kept as files are known.
    fn known(&self, owner: &str, extent: Extent) -> Result<Option<StagedPart>, Error>;

    /// Opens the leaf of this number for reading at any octet; `None` where the message or the leaf is not here.
    fn open_part(&self, identity: Identity, part: usize) -> Result<Option<PartReader>, Error>;

    /// What is kept of a message; `None` where it is not here (or only its offer is).
    fn message(&self, identity: Identity) -> Result<Option<StoredMessage>, Error>;

    // Acceptance

    /// Accepts responsibility for a message, for all recipients in one transaction. A recipient that the same peer
    /// domain had offered before is skipped and its current answer returned, so an offer that is made again after
    /// anything broke delivers nothing twice.
    ///
    /// # Errors
    /// [`Error::Incomplete`] where a recipient needs the whole message and it is not here; [`Error::Gone`] where a
    /// [`Store::known`] part went meanwhile; [`Error::NotFound`] for an account or a stored message;
    /// [`Error::Invalid`] and [`Error::Bound`] where the arguments do not belong together; [`Error::Full`].
    fn accept(&self, acceptance: Acceptance) -> Wait<'_, Receipt>;

    /// What this peer domain has been answered about this message and recipient, as it is true now; `None` where it
    /// was never offered or its time of retention has passed.
    fn answered(
        &self,
        peer: &Domain,
        identity: Identity,
        recipient: &Address,
    ) -> Result<Option<Disposition>, Error> {
        let before = self.offered_before(peer.as_str(), identity, std::slice::from_ref(recipient), 0)?;
        Ok(before.into_iter().flatten().next().map(|before| before.answer))
    }

    /// What earlier offers of the same holder under the same identity have left, for each of these recipients; `None` where
    /// there was none or its time of retention has passed. However many recipients an envelope has, it is read once.
    fn offered_before(
        &self,
        holder: &str,
        offered_as: Identity,
        recipients: &[Address],
        now_ms: u64,
    ) -> Result<Vec<Option<OfferedBefore>>, Error>;

    /// Adds content to a message that is held, decides nothing, and takes back what was wanted of the sender by the
    /// recipients of this envelope.
    fn supply(&self, supply: Supply) -> Wait<'_, ()>;

    // Held

    /// Recipients about whom someone has to decide, for one account or for all, those after the given place.
    fn held(
        &self,
        account: Option<&str>,
        after: Option<(EnvelopeId, u32)>,
        limit: usize,
    ) -> Result<Vec<HeldRecord>, Error>;

    /// The held recipients of one message, those of the oldest envelope first.
    fn held_for(&self, identity: Identity, limit: usize) -> Result<Vec<HeldRecord>, Error>;

    /// How many recipients are held for an account, counted up to `most`, and how many of those these holders have brought.
    fn held_count(
        &self,
        account: &str,
        theirs: &dyn Fn(&str) -> bool,
        most: usize,
    ) -> Result<(usize, usize), Error>;

    /// Carries out a decision about one held recipient and returns its disposition now.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not held (any more); [`Error::Incomplete`] as for [`Store::accept`].
    fn decide(&self, decision: Decision) -> Wait<'_, Disposition>;

    // Queue

    /// Takes up to `max` legs that are due, in the order of their due times and in turn over the lanes, and
    /// nobody else gets them until they are settled or given back. A lane gets another one while `may` allows it, which is told how many it has got in this call.
    /// The work is in proportion to what is taken, and to the lanes that may not. Claims do not outlive this process.
    fn claim(&self, now_ms: u64, max: usize, may: &dyn Fn(&Lane, usize) -> bool) -> Wait<'_, Vec<Claim>>;

    /// Gives a claim back that has no settlement: from `again_ms` on, in Unix milliseconds, the leg is claimed again. Nothing happens
    /// where the fence is not that of the current claim.
    fn let_go(&self, leg: LegId, fence: u64, again_ms: u64);

    /// When the next leg is due that is not claimed, or one that was given back, in Unix milliseconds; at least `now_ms`.
    fn next_due(&self, now_ms: u64) -> Result<Option<u64>, Error>;

    /// Ends a claim with what it brought. Final dispositions settle the cookies given upstream. A leg without
    /// recipients goes; an envelope whose recipients are all final is closed and lets go of the message.
    ///
    /// # Errors
    /// [`Error::Stale`] where the fence is not that of the current claim; [`Error::Invalid`] where recipients would
    /// remain and no due time is given.
    fn settle(&self, settlement: Settlement) -> Wait<'_, Settled>;

    /// Makes due now what waits in a lane because its next hop was not reached, except legs held, not yet released, or
    /// waiting for the answer of a next hop; returns how many. At most [`crate::limits::LIST_MAX`] are looked at.
    fn release_lane(&self, lane: &Lane, now_ms: u64) -> Wait<'_, usize>;

    /// Holds a leg: it is not claimed until released. A claim that runs is not disturbed.
    fn hold(&self, leg: LegId) -> Wait<'_, ()>;

    /// Releases a leg that was held; it is due when it was before.
    fn release(&self, leg: LegId) -> Wait<'_, ()>;

    /// Makes a leg due now.
    fn retry(&self, leg: LegId, now_ms: u64) -> Wait<'_, ()>;

    /// Takes a leg out of the queue: its recipients become withdrawn. Returns the next hops that should be told.
    fn remove(&self, leg: LegId, now_ms: u64) -> Wait<'_, Vec<NextHop>>;

    /// Legs after the given one in the order of their numbers, of one lane or of all.
    fn legs(&self, lane: Option<&Lane>, after: Option<LegId>, limit: usize) -> Result<Vec<LegRecord>, Error>;

    /// Lanes that have legs, in the order of their names, those after the given one.
    fn lanes(&self, after: Option<&Lane>, limit: usize) -> Result<Vec<LaneSummary>, Error>;

    /// The fullest lanes, at most `limit`, with their legs counted by age, and how many lanes there are beyond those.
    /// The work is in proportion to the lanes and to the minutes in which their legs were made, not to the legs.
    fn ages(&self, now_ms: u64, bounds_ms: &[u64], limit: usize) -> Result<(Vec<LaneAges>, u64), Error>;

    /// The submitter gives up: recipients of the envelope that are not final become withdrawn. Returns the next hops
    /// that should be told.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such envelope of this account.
    fn withdraw(&self, envelope: EnvelopeId, account: &str, now_ms: u64) -> Wait<'_, Vec<NextHop>>;

    // Status

    /// An envelope; `None` where it is not (or no longer) here.
    fn envelope(&self, envelope: EnvelopeId) -> Result<Option<EnvelopeRecord>, Error>;

    /// Envelopes that an account has submitted, the newest first, those before the given one.
    fn envelopes_of(
        &self,
        account: &str,
        before: Option<EnvelopeId>,
        limit: usize,
    ) -> Result<Vec<EnvelopeRecord>, Error>;

    /// Messages with envelopes, from the first to the last of these identities, in their order: who knows the first
    /// digits of an identity finds it by them.
    ///
    /// # Errors
    /// [`Error::Bound`] where too many messages begin so, with envelopes or without.
    fn identities(&self, first: Identity, last: Identity, limit: usize) -> Result<Vec<Identity>, Error>;

    /// Envelopes of a message, the oldest first.
    fn envelopes_for(&self, identity: Identity, limit: usize) -> Result<Vec<EnvelopeRecord>, Error>;

    /// The journal of an envelope: its first 8 and last 56 attempts, in order.
    fn attempts(&self, envelope: EnvelopeId) -> Result<Vec<Attempt>, Error>;

    /// Answers the holder about cookies that it was given. A cookie of someone else, one that was never issued and one
    /// past its time look alike, in the answer and in the work done. At most [`crate::limits::COOKIES_MAX`].
    fn poll(&self, holder: &str, cookies: &[Cookie], now_ms: u64) -> Result<Vec<CookieAnswer>, Error>;

    /// The holder has stopped caring: what its cookies stand for and is not final becomes withdrawn; cookies that are
    /// not its own are passed over. Returns the next hops that should be told.
    fn give_up(&self, holder: &str, cookies: &[Cookie], now_ms: u64) -> Wait<'_, Vec<NextHop>>;

    /// The cookies of one envelope that are settled, for pushing: their holder, the cookie, and its final disposition.
    fn settled_cookies(&self, envelope: EnvelopeId) -> Result<Vec<(String, Cookie, Disposition)>, Error>;

    // Mailbox

    /// Entries of a mailbox after the given one, the oldest first.
    fn mailbox(
        &self,
        account: &str,
        after: Option<MailUid>,
        limit: usize,
    ) -> Result<Vec<MailboxEntry>, Error>;

    /// Entries of a mailbox before the given one, the newest first.
    fn mailbox_before(
        &self,
        account: &str,
        before: Option<MailUid>,
        limit: usize,
    ) -> Result<Vec<MailboxEntry>, Error>;

    /// The entry of this message in a mailbox; `None` where the account does not have it.
    fn mail_of(&self, account: &str, identity: Identity) -> Result<Option<MailboxEntry>, Error>;

    /// Marks an entry as seen or not seen.
    fn mark_seen(&self, account: &str, mail: MailUid, seen: bool) -> Wait<'_, ()>;

    /// Removes an entry; the message goes when nothing else holds it.
    fn remove_mail(&self, account: &str, mail: MailUid) -> Wait<'_, ()>;

    // Accounts

    /// Writes an account, new or in place of the one of the same name.
    ///
    /// # Errors
    /// [`Error::Taken`] where an address or a device belongs to another account.
    fn put_account(&self, account: AccountRecord) -> Wait<'_, ()>;

    /// Adds a device to an account, or renews it.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such account; [`Error::Taken`] where the device belongs to another one;
    /// [`Error::Bound`] where the account has as many devices as it may.
    fn put_device(&self, account: &str, device: DeviceRecord) -> Wait<'_, ()>;

    /// Removes a device from an account.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such account, or it has no such device.
    fn remove_device(&self, account: &str, public_key: &[u8; 32]) -> Wait<'_, ()>;

    /// The account of this name.
    fn account(&self, name: &str) -> Result<Option<AccountRecord>, Error>;

    /// The account that this address leads to; the caller folds it as it did for [`Store::put_account`].
    fn account_of_address(&self, folded: &str) -> Result<Option<AccountRecord>, Error>;

    /// The account that this device may act for.
    fn account_of_device(&self, public_key: &[u8; 32]) -> Result<Option<AccountRecord>, Error>;

    /// Accounts after the given name, in the order of the names.
    fn accounts(&self, after: Option<&str>, limit: usize) -> Result<Vec<AccountRecord>, Error>;

    /// Removes an account. Its mailbox stays until its entries are removed.
    fn remove_account(&self, name: &str) -> Wait<'_, ()>;

    // Correspondents

    /// Writes what an account has to do with somebody, in place of what was. Where the account has as many as it may,
    /// the [`crate::limits::CORRESPONDENTS_FORGOTTEN`] oldest of those who are only known are forgotten.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such account; [`Error::Invalid`] where `who` is neither an address nor a
    /// domain; [`Error::Bound`] where [`crate::limits::CORRESPONDENTS_SPOKEN_MAX`] others are trusted or blocked.
    fn put_correspondent(&self, record: CorrespondentRecord) -> Wait<'_, ()>;

    /// What an account has to do with just this address or domain; `None` where nothing is written.
    fn correspondent(&self, account: &str, who: &str) -> Result<Option<CorrespondentRecord>, Error>;

    /// Correspondents of an account after the given one, in the order of their names.
    fn correspondents(
        &self,
        account: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<CorrespondentRecord>, Error>;

    /// Forgets what an account has to do with somebody.
    ///
    /// # Errors
    /// [`Error::NotFound`] where nothing is written.
    fn remove_correspondent(&self, account: &str, who: &str) -> Wait<'_, ()>;

    // Peers

    /// Writes what is remembered of these peers, in place of what was; at most [`crate::limits::PEERS_PUT_MAX`].
    fn put_peers(&self, peers: Vec<PeerRecord>) -> Wait<'_, ()>;

    /// What is remembered of a peer.
    fn peer(&self, domain: &Domain) -> Result<Option<PeerRecord>, Error>;

    /// What is remembered of peers after the given one, in the order of their names.
    fn peers(&self, after: Option<&Domain>, limit: usize) -> Result<Vec<PeerRecord>, Error>;

    /// Forgets these peers; at most [`crate::limits::PEERS_PUT_MAX`].
    fn remove_peers(&self, domains: Vec<Domain>) -> Wait<'_, ()>;

    /// How many deliveries of this holder are pending, where it is no user: it holds their cookies, and they are not
    /// final. One look.
    fn pending(&self, holder: &str) -> Result<u64, Error>;

    // Gateway

    /// One record of the gateway, whether its time is over or not.
    fn legacy_record(&self, kind: u8, key: &[u8]) -> Result<Option<LegacyRecord>, Error>;

    /// The records of a kind whose keys begin so, after the given key, in the order of their keys.
    fn legacy_records(
        &self,
        kind: u8,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<LegacyRecord>, Error>;

    /// Makes all changes, in their order, in one transaction; at most [`crate::limits::LEGACY_CHANGES_MAX`].
    ///
    /// # Errors
    /// [`Error::Bound`] where a key or a value is too long, or there are too many.
    fn change_legacy_records(&self, changes: Vec<LegacyChange>) -> Wait<'_, ()>;

    /// Notices that are due to legacy senders after the given number, the oldest first.
    fn notices_due(&self, after: Option<u64>, limit: usize) -> Result<Vec<NoticeDue>, Error>;

    /// Removes notices that were written, or that nobody wants; at most [`crate::limits::LIST_MAX`].
    fn remove_notices(&self, ids: Vec<u64>) -> Wait<'_, ()>;

    // Upkeep

    /// The leg that was made last; `None` where there is none, or it cannot be read.
    fn latest_leg(&self) -> Result<Option<LegRecord>, Error>;

    /// The clock was set back, to this time: legs that were made or last tried at a time that is still to come wait no longer than they
    /// were to, and claims that were given back end. Looks at some legs after the given one, and returns the last of these, with
    /// which it is to be called again; `None` where there are no more.
    fn clock_fell(&self, after: Option<LegId>, now_ms: u64) -> Wait<'_, Option<LegId>>;

    /// Ends what was held past its time and removes records whose retention has passed; at most `max` of them. Returns how many: as
    /// long as it is not 0 there may be more.
    fn expire(&self, now_ms: u64, max: usize) -> Wait<'_, usize>;

    /// Removes partial transfers that nobody resumed in time; returns how many. Blocking, and in proportion to how many there are.
    ///
    /// # Errors
    /// [`Error::Io`] where they cannot be listed, or one of them cannot be removed; the others are.
    fn sweep(&self, now_ms: u64) -> Result<usize, Error>;

    /// Looks for damage and orphans, reads every record and every file, and never stops at the first. Blocking and
    /// long.
    fn check(&self, report: &mut dyn FnMut(Finding)) -> Result<(), Error>;

    /// Hands out everything that can be read, and [`Exported::Skipped`] for what cannot. Blocking and long.
    fn export(&self, take: &mut dyn FnMut(Exported)) -> Result<(), Error>;

    /// Gives room back where the engine can. Blocking and long.
    fn compact(&self) -> Result<(), Error>;

    /// The store in numbers.
    fn statistics(&self) -> Statistics;
}
