//! [`Store`] for [`Keeper`]: each verb goes to the writer or reads the engine.

use std::sync::Arc;

use message::address::{Address, Domain};
use message::{Cookie, Disposition, Extent, Identity};

use super::settle::LegChange;
use super::{
    accept, account, check, content, correspondent, expire, held, legacy, list, load, mailbox, once, peer,
    queue, settle, status,
};
use crate::engine::Engine;
use crate::files::lock;
use crate::limits::{INLINE_OCTETS_MAX, LIST_MAX};
use crate::transaction::Transaction;
use crate::{
    Acceptance, AccountRecord, Attempt, Claim, CookieAnswer, CorrespondentRecord, Decision, DeviceRecord,
    EnvelopeId, EnvelopeRecord, Error, Exported, Finding, HeldRecord, Keeper, Lane, LaneAges, LaneSummary,
    LegId, LegRecord, LegacyChange, LegacyRecord, MailUid, MailboxEntry, NextHop, NoticeDue, OfferedBefore,
    PartReader, PartWriter, PeerRecord, Receipt, Ruling, Settled, Settlement, StagedPart, Statistics, Store,
    StoredMessage, Supply, Wait, key,
};

impl<E: Engine> Store for Keeper<E> {
    fn stage(&self, owner: &str, extent: Extent, now_ms: u64) -> Result<PartWriter, Error> {
        self.shared.stage(owner, extent, now_ms)
    }

    fn is_begun(&self, owner: &str, extent: Extent) -> bool {
        extent.octets > INLINE_OCTETS_MAX && self.shared.files.is_begun(owner, extent.digest)
    }

    fn known(&self, owner: &str, extent: Extent) -> Result<Option<StagedPart>, Error> {
        self.shared.known(owner, extent)
    }

    fn open_part(&self, identity: Identity, part: usize) -> Result<Option<PartReader>, Error> {
        content::open_part(&self.shared.engine, &self.shared.files, identity, part)
    }

    fn message(&self, identity: Identity) -> Result<Option<StoredMessage>, Error> {
        Ok(content::load_message(&self.shared.engine, identity)?.map(content::stored))
    }

    fn accept(&self, acceptance: Acceptance) -> Wait<'_, Receipt> {
        self.submit_growing(move |tx| accept::accept(tx, acceptance))
    }

    fn offered_before(
        &self,
        holder: &str,
        offered_as: Identity,
        recipients: &[Address],
        now_ms: u64,
    ) -> Result<Vec<Option<OfferedBefore>>, Error> {
        let offer = once::Offer { holder, offered_as, now_ms };
        once::offered_before(&self.shared.engine, &offer, recipients.iter())
    }

    fn supply(&self, supply: Supply) -> Wait<'_, ()> {
        self.submit_growing(move |tx| held::supply(tx, supply))
    }

    fn held(
        &self,
        account: Option<&str>,
        after: Option<(EnvelopeId, u32)>,
        limit: usize,
    ) -> Result<Vec<HeldRecord>, Error> {
        held::held(&self.shared.engine, account, after, limit)
    }

    fn held_for(&self, identity: Identity, limit: usize) -> Result<Vec<HeldRecord>, Error> {
        held::held_for(&self.shared.engine, identity, limit)
    }

    fn held_count(
        &self,
        account: &str,
        theirs: &dyn Fn(&str) -> bool,
        most: usize,
    ) -> Result<(usize, usize), Error> {
        held::held_count(&self.shared.engine, account, theirs, most)
    }

    fn decide(&self, decision: Decision) -> Wait<'_, Disposition> {
        // What ends something goes on where there is no room for more. keeps: STO-19
        match &decision.ruling {
            Ruling::Refuse { .. } | Ruling::Want(None) => self.submit(move |tx| held::decide(tx, decision)),
            _ => self.submit_growing(move |tx| held::decide(tx, decision)),
        }
    }

    fn claim(&self, now_ms: u64, max: usize, may: &dyn Fn(&Lane, usize) -> bool) -> Wait<'_, Vec<Claim>> {
        let claims = self.shared.writable().and_then(|()| {
            let mut schedule = lock(&self.shared.schedule);
            queue::claim(&self.shared.engine, &mut schedule, now_ms, max, may)
        });
        Box::pin(std::future::ready(claims))
    }

    fn let_go(&self, leg: LegId, fence: u64, again_ms: u64) {
        lock(&self.shared.schedule).let_go(leg, fence, again_ms);
    }

    fn next_due(&self, now_ms: u64) -> Result<Option<u64>, Error> {
        Ok(lock(&self.shared.schedule).next_due(now_ms))
    }

    fn settle(&self, settlement: Settlement) -> Wait<'_, Settled> {
        let (leg, fence) = (settlement.leg, settlement.fence);
        let (shared, own) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        let operation = move |tx: &mut Transaction<'_>| {
            lock(&shared.schedule).take_fence(leg, fence)?;
            settle::settle(tx, settlement).inspect_err(|_| lock(&shared.schedule).return_fence(leg, fence))
        };
        // What was not carried out can be shown again: nobody has to make the attempt a second time for it.
        self.submit_or(operation, move || lock(&own.schedule).return_fence(leg, fence))
    }

    fn release_lane(&self, lane: &Lane, now_ms: u64) -> Wait<'_, usize> {
        let (shared, lane) = (Arc::clone(&self.shared), lane.clone());
        self.submit(move |tx| {
            queue::release_lane(tx, &lane, now_ms, &|leg| lock(&shared.schedule).is_claimed(leg))
        })
    }

    fn latest_leg(&self) -> Result<Option<LegRecord>, Error> {
        queue::latest_leg(&self.shared.engine)
    }

    fn clock_fell(&self, after: Option<LegId>, now_ms: u64) -> Wait<'_, Option<LegId>> {
        if after.is_none() {
            lock(&self.shared.schedule).end_given_back(now_ms);
        }
        let shared = Arc::clone(&self.shared);
        self.submit(move |tx| {
            queue::clock_fell(tx, after, now_ms, &|leg| lock(&shared.schedule).is_worked_on(leg))
        })
    }

    fn hold(&self, leg: LegId) -> Wait<'_, ()> {
        self.submit(move |tx| settle::change_leg(tx, leg, LegChange::Hold))
    }

    fn release(&self, leg: LegId) -> Wait<'_, ()> {
        self.submit(move |tx| settle::change_leg(tx, leg, LegChange::Release))
    }

    fn retry(&self, leg: LegId, now_ms: u64) -> Wait<'_, ()> {
        self.submit(move |tx| settle::hasten(tx, leg, now_ms))
    }

    fn remove(&self, leg: LegId, now_ms: u64) -> Wait<'_, Vec<NextHop>> {
        self.submit(move |tx| settle::remove(tx, leg, now_ms))
    }

    fn legs(&self, lane: Option<&Lane>, after: Option<LegId>, limit: usize) -> Result<Vec<LegRecord>, Error> {
        queue::legs(&self.shared.engine, lane, after, limit)
    }

    fn lanes(&self, after: Option<&Lane>, limit: usize) -> Result<Vec<LaneSummary>, Error> {
        let lanes = lock(&self.shared.schedule).lanes(after, limit.min(LIST_MAX));
        queue::lanes(&self.shared.engine, lanes)
    }

    fn ages(&self, now_ms: u64, bounds_ms: &[u64], limit: usize) -> Result<(Vec<LaneAges>, u64), Error> {
        let (lanes, more) = lock(&self.shared.schedule).ages(now_ms, bounds_ms, limit.min(LIST_MAX));
        Ok((queue::ages(&self.shared.engine, lanes)?, more))
    }

    fn withdraw(&self, envelope: EnvelopeId, account: &str, now_ms: u64) -> Wait<'_, Vec<NextHop>> {
        let account = account.to_owned();
        self.submit(move |tx| settle::withdraw(tx, envelope, &account, now_ms))
    }

    fn envelope(&self, envelope: EnvelopeId) -> Result<Option<EnvelopeRecord>, Error> {
        status::load_envelope(&self.shared.engine, envelope)
    }

    fn envelopes_of(
        &self,
        account: &str,
        before: Option<EnvelopeId>,
        limit: usize,
    ) -> Result<Vec<EnvelopeRecord>, Error> {
        let before = before.map(|envelope| key::envelope_of(account, envelope));
        let pairs = list(&self.shared.engine, &key::envelopes_of(account), before, limit)?;
        let numbers = pairs.iter().filter_map(|(key, _)| key::last_long(key)).map(|number| !number);
        Ok(status::readable_envelopes(&self.shared.engine, numbers))
    }

    fn identities(&self, first: Identity, last: Identity, limit: usize) -> Result<Vec<Identity>, Error> {
        status::identities(&self.shared.engine, first, last, limit)
    }

    fn envelopes_for(&self, identity: Identity, limit: usize) -> Result<Vec<EnvelopeRecord>, Error> {
        let pairs = list(&self.shared.engine, &key::envelopes_for(identity), None, limit)?;
        let numbers = pairs.iter().filter_map(|(key, _)| key::last_long(key));
        Ok(status::readable_envelopes(&self.shared.engine, numbers))
    }

    fn attempts(&self, envelope: EnvelopeId) -> Result<Vec<Attempt>, Error> {
        status::attempts(&self.shared.engine, envelope)
    }

    fn poll(&self, holder: &str, cookies: &[Cookie], now_ms: u64) -> Result<Vec<CookieAnswer>, Error> {
        let answers = status::poll(&self.shared.engine, holder, cookies, now_ms)?;
        self.shared.remember_polls(cookies, &answers, now_ms);
        Ok(answers)
    }

    fn give_up(&self, holder: &str, cookies: &[Cookie], now_ms: u64) -> Wait<'_, Vec<NextHop>> {
        let (holder, cookies) = (holder.to_owned(), cookies.to_vec());
        self.submit(move |tx| settle::give_up(tx, &holder, &cookies, now_ms))
    }

    fn settled_cookies(&self, envelope: EnvelopeId) -> Result<Vec<(String, Cookie, Disposition)>, Error> {
        status::settled_cookies(&self.shared.engine, envelope)
    }

    fn mailbox(
        &self,
        account: &str,
        after: Option<MailUid>,
        limit: usize,
    ) -> Result<Vec<MailboxEntry>, Error> {
        mailbox::mailbox(&self.shared.engine, account, after, limit)
    }

    fn mailbox_before(
        &self,
        account: &str,
        before: Option<MailUid>,
        limit: usize,
    ) -> Result<Vec<MailboxEntry>, Error> {
        mailbox::mailbox_before(&self.shared.engine, account, before, limit)
    }

    fn mail_of(&self, account: &str, identity: Identity) -> Result<Option<MailboxEntry>, Error> {
        mailbox::mail_of(&self.shared.engine, account, identity)
    }

    fn mark_seen(&self, account: &str, mail: MailUid, seen: bool) -> Wait<'_, ()> {
        let account = account.to_owned();
        self.submit(move |tx| mailbox::mark_seen(tx, &account, mail, seen))
    }

    fn remove_mail(&self, account: &str, mail: MailUid) -> Wait<'_, ()> {
        let account = account.to_owned();
        self.submit(move |tx| mailbox::remove_mail(tx, &account, mail))
    }

    fn put_account(&self, account: AccountRecord) -> Wait<'_, ()> {
        self.submit_growing(move |tx| account::put_account(tx, account))
    }

    fn put_device(&self, account: &str, device: DeviceRecord) -> Wait<'_, ()> {
        let account = account.to_owned();
        self.submit_growing(move |tx| account::put_device(tx, &account, device))
    }

    fn remove_device(&self, account: &str, public_key: &[u8; 32]) -> Wait<'_, ()> {
        let (account, public_key) = (account.to_owned(), *public_key);
        self.submit(move |tx| account::remove_device(tx, &account, &public_key))
    }

    fn account(&self, name: &str) -> Result<Option<AccountRecord>, Error> {
        load(&self.shared.engine, &key::account(name))
    }

    fn account_of_address(&self, folded: &str) -> Result<Option<AccountRecord>, Error> {
        account::account_by(&self.shared.engine, &key::address(folded))
    }

    fn account_of_device(&self, public_key: &[u8; 32]) -> Result<Option<AccountRecord>, Error> {
        account::account_by(&self.shared.engine, &key::device(public_key))
    }

    fn accounts(&self, after: Option<&str>, limit: usize) -> Result<Vec<AccountRecord>, Error> {
        account::accounts(&self.shared.engine, after, limit)
    }

    fn remove_account(&self, name: &str) -> Wait<'_, ()> {
        let name = name.to_owned();
        self.submit(move |tx| account::remove_account(tx, &name))
    }

    fn put_correspondent(&self, record: CorrespondentRecord) -> Wait<'_, ()> {
        self.submit_growing(move |tx| correspondent::put(tx, record))
    }

    fn correspondent(&self, account: &str, who: &str) -> Result<Option<CorrespondentRecord>, Error> {
        correspondent::find(&self.shared.engine, account, who)
    }

    fn correspondents(
        &self,
        account: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<CorrespondentRecord>, Error> {
        correspondent::correspondents(&self.shared.engine, account, after, limit)
    }

    fn remove_correspondent(&self, account: &str, who: &str) -> Wait<'_, ()> {
        let (account, who) = (account.to_owned(), who.to_owned());
        self.submit(move |tx| correspondent::remove(tx, &account, &who))
    }

    fn put_peers(&self, peers: Vec<PeerRecord>) -> Wait<'_, ()> {
        self.submit_growing(move |tx| peer::put_peers(tx, peers))
    }

    fn peer(&self, domain: &Domain) -> Result<Option<PeerRecord>, Error> {
        peer::peer(&self.shared.engine, domain)
    }

    fn peers(&self, after: Option<&Domain>, limit: usize) -> Result<Vec<PeerRecord>, Error> {
        peer::peers(&self.shared.engine, after, limit)
    }

    fn remove_peers(&self, domains: Vec<Domain>) -> Wait<'_, ()> {
        self.submit(move |tx| peer::remove_peers(tx, &domains))
    }

    fn pending(&self, holder: &str) -> Result<u64, Error> {
        peer::pending(&self.shared.engine, holder)
    }

    fn legacy_record(&self, kind: u8, key: &[u8]) -> Result<Option<LegacyRecord>, Error> {
        legacy::find(&self.shared.engine, kind, key)
    }

    fn legacy_records(
        &self,
        kind: u8,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<LegacyRecord>, Error> {
        legacy::records(&self.shared.engine, kind, prefix, after, limit)
    }

    fn change_legacy_records(&self, changes: Vec<LegacyChange>) -> Wait<'_, ()> {
        let grows = changes.iter().any(|change| matches!(change, LegacyChange::Put(_)));
        let change = move |tx: &mut Transaction<'_>| legacy::change(tx, changes);
        if grows { self.submit_growing(change) } else { self.submit(change) }
    }

    fn notices_due(&self, after: Option<u64>, limit: usize) -> Result<Vec<NoticeDue>, Error> {
        legacy::notices(&self.shared.engine, after, limit)
    }

    fn remove_notices(&self, ids: Vec<u64>) -> Wait<'_, ()> {
        self.submit(move |tx| legacy::remove_notices(tx, &ids))
    }

    fn expire(&self, now_ms: u64, max: usize) -> Wait<'_, usize> {
        self.submit(move |tx| expire::expire(tx, now_ms, max))
    }

    fn sweep(&self, now_ms: u64) -> Result<usize, Error> {
        self.shared.sweep_staging(now_ms)
    }

    fn check(&self, report: &mut dyn FnMut(Finding)) -> Result<(), Error> {
        check::check(&self.shared, report);
        Ok(())
    }

    fn export(&self, take: &mut dyn FnMut(Exported)) -> Result<(), Error> {
        check::export(&self.shared.engine, take)
    }

    fn compact(&self) -> Result<(), Error> {
        self.compact_engine()
    }

    fn statistics(&self) -> Statistics {
        self.shared.statistics()
    }
}
