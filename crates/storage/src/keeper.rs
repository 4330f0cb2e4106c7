//! [`Keeper`]: the one implementation of [`Store`], over any [`Engine`].

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use message::{Cookie, Digest, Extent};
use tokio::sync::{Semaphore, oneshot};

use crate::engine::{Batch, Engine};
use crate::files::{Files, lock};
use crate::format::{FORMAT, bring_up};
use crate::group::{Answer, Work};
use crate::limits::{
    FREE_OCTETS_FLOOR_DEFAULT, INLINE_OCTETS_MAX, OWNER_OCTETS_MAX, POLLS_REMEMBERED_MAX,
    RETENTION_MS_DEFAULT, STAGING_MS_DEFAULT, WAITING_OPERATIONS_MAX,
};
use crate::part::Source;
use crate::record::{CookieRecord, Record};
use crate::schedule::Schedule;
use crate::transaction::{Transaction, read_number};
use crate::verb::{check_name, load};
use crate::writer::Writer;
use crate::{CookieAnswer, Error, MemoryFiles, PartWriter, StagedPart, Statistics, Wait, key};

/// What a node may set about its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long final dispositions stay answerable, in milliseconds.
    pub retention_ms: u64,
    /// How long a partial transfer waits for its resumption, in milliseconds.
    pub staging_ms: u64,
    /// Octets of free space below which nothing new is accepted.
    pub free_octets_floor: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            retention_ms: RETENTION_MS_DEFAULT,
            staging_ms: STAGING_MS_DEFAULT,
            free_octets_floor: FREE_OCTETS_FLOOR_DEFAULT,
        }
    }
}

/// The store over an engine. Dropping it waits until what was begun is committed.
#[derive(Debug)]
pub struct Keeper<E: Engine> {
    pub(crate) shared: Arc<Shared<E>>,
    places: Arc<Semaphore>,
    writer: Writer<E>,
}

/// What readers and the writer share.
#[derive(Debug)]
pub(crate) struct Shared<E> {
    pub(crate) engine: E,
    pub(crate) files: Arc<Files>,
    pub(crate) settings: Settings,
    pub(crate) schedule: Mutex<Schedule>,
    failure: Mutex<Option<String>>,
    polls: Mutex<BTreeMap<Vec<u8>, u64>>,
    commits: AtomicU64,
    operations: AtomicU64,
}

impl<E: Engine> Keeper<E> {
    /// Opens the store of this engine, with its files below this directory; makes it where it is not there, and
    /// removes the orphans of an earlier crash.
    ///
    /// # Errors
    /// [`Error::Io`] where a directory or the engine cannot be read or written; [`Error::Newer`] where a newer program has written
    /// the store.
    pub fn open(engine: E, directory: &Path, settings: Settings) -> Result<Keeper<E>, Error> {
        Keeper::open_with(engine, Files::in_directory(directory)?, settings)
    }

    /// Opens a store that has no thread: whoever waits for a commit carries it out, for all who wait at that moment.
    /// Its files are in memory. So everything that it does follows from what it is asked, as a simulation needs it.
    ///
    /// # Errors
    /// As [`Keeper::open`].
    pub fn open_in_place(engine: E, files: &MemoryFiles, settings: Settings) -> Result<Keeper<E>, Error> {
        Keeper::open_with_in_place(engine, Files::in_memory(files.clone()), settings)
    }

    pub(crate) fn open_with_in_place(
        engine: E,
        files: Files,
        settings: Settings,
    ) -> Result<Keeper<E>, Error> {
        Keeper::prepare(engine, files, settings, Writer::in_place)
    }

    pub(crate) fn open_with(engine: E, files: Files, settings: Settings) -> Result<Keeper<E>, Error> {
        Keeper::prepare(engine, files, settings, Writer::thread)
    }

    fn prepare(
        engine: E,
        files: Files,
        settings: Settings,
        writer: impl FnOnce(Arc<Shared<E>>) -> Result<Writer<E>, Error>,
    ) -> Result<Keeper<E>, Error> {
        let opened = begin(&engine)?;
        bring_up(&engine)?;
        // The fences of this opening are above those of all earlier ones.
        let schedule = Schedule::build(&engine, opened << 32)?;
        let shared = Arc::new(Shared {
            engine,
            files: Arc::new(files),
            settings,
            schedule: Mutex::new(schedule),
            failure: Mutex::default(),
            polls: Mutex::default(),
            commits: AtomicU64::new(0),
            operations: AtomicU64::new(0),
        });
        for digest in shared.files.parts()?.0 {
            shared.remove_unused(digest)?;
        }
        let writer = writer(shared.clone())?;
        Ok(Keeper { shared, places: Arc::new(Semaphore::new(WAITING_OPERATIONS_MAX)), writer })
    }

    /// Has the writer run an operation.
    pub(crate) fn submit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Wait<'_, T> {
        self.submit_or(operation, || {})
    }

    /// As [`Keeper::submit`], with what is to be done where the operation was run and its changes were certainly not committed.
    pub(crate) fn submit_or<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send + 'static,
        undone: impl FnOnce() + Send + 'static,
    ) -> Wait<'_, T> {
        Box::pin(async move {
            self.shared.writable()?;
            let place = self.places.clone().acquire_owned().await.map_err(|_| Error::Closed)?;
            let (reply, answer) = oneshot::channel();
            let work: Work = Box::new(move |transaction| {
                let result = transaction.and_then(operation);
                let counts = result.is_ok();
                let answer: Answer = Box::new(move |commit| {
                    if counts && matches!(&commit, Err(error) if !matches!(error, Error::Unknown(_))) {
                        undone();
                    }
                    // Whoever asked may have stopped waiting.
                    let _ = reply.send(commit.and(result));
                });
                (counts, answer)
            });
            self.writer.take(work, place).await?;
            answer.await.map_err(|_| Error::Closed)?
        })
    }

    /// Has the writer run an operation that makes the store grow, where there is room.
    pub(crate) fn submit_growing<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Wait<'_, T> {
        match self.shared.room() {
            Ok(()) => self.submit(operation),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    pub(crate) fn compact_engine(&self) -> Result<(), Error> {
        self.writer.compact()
    }
}

/// Has partial transfers give way below this directory where less than the floor is free: an engine that cannot write cannot be
/// opened. Nothing happens where somebody has the engine open, whose file this is: those transfers may be under way.
///
/// # Errors
/// [`Error::Io`] where the directory cannot be read, or a file of it not be removed.
///
/// keeps: STO-19
pub fn make_room(directory: &Path, engine: &Path, settings: Settings) -> Result<(), Error> {
    let Ok(file) = File::open(engine) else { return Ok(()) };
    // Nobody can open the engine while this lock is held.
    if file.try_lock().is_ok() && directory.join("staging").exists() {
        Files::as_found(directory).make_room(settings.free_octets_floor)?;
    }
    Ok(())
}

/// Checks or writes the format and counts this opening.
fn begin<E: Engine>(engine: &E) -> Result<u64, Error> {
    let (format, opened) = (key::meta("format"), key::meta("opened"));
    match read_number(engine, &format)? {
        None | Some(1..=FORMAT) => {}
        Some(format) => return Err(Error::Newer { format, known: FORMAT }),
    }
    let count = read_number(engine, &opened)?.unwrap_or(0) + 1;
    let mut batch = Batch::default();
    batch.put(format, FORMAT.to_be_bytes().to_vec());
    batch.put(opened, count.to_be_bytes().to_vec());
    engine.apply(&batch)?;
    Ok(count)
}

impl<E: Engine> Shared<E> {
    /// Whether the store may be written to.
    pub(crate) fn writable(&self) -> Result<(), Error> {
        match lock(&self.failure).as_ref() {
            Some(reason) => Err(Error::ReadOnly(reason.clone())),
            None => Ok(()),
        }
    }

    /// Turns the store read-only: it is not known whether the last commit is durable.
    pub(crate) fn poison(&self, error: &Error) -> Error {
        let reason = error.to_string();
        lock(&self.failure).get_or_insert_with(|| reason.clone());
        Error::Unknown(reason)
    }

    /// Whether there is room for more. What waits for a resumption gives way: peers that leave much behind keep out nobody
    /// else's mail.
    ///
    /// keeps: STO-19
    pub(crate) fn room(&self) -> Result<(), Error> {
        let made = self.files.make_room(self.settings.free_octets_floor)?;
        if made { Ok(()) } else { Err(Error::Full) }
    }

    /// Counts a group of operations.
    pub(crate) fn count(&self, operations: usize) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.operations.fetch_add(operations as u64, Ordering::Relaxed);
    }

    /// Removes the file of a part that nothing refers to.
    pub(crate) fn remove_unused(&self, digest: Digest) -> Result<(), Error> {
        let uses = key::part_uses(digest);
        if self.engine.range(&uses, &key::after_prefix(&uses), 1)?.is_empty() {
            self.files.remove_part(digest)?;
        }
        Ok(())
    }

    /// Remembers when the holder polled its cookies until the next commit.
    pub(crate) fn remember_polls(&self, cookies: &[Cookie], answers: &[CookieAnswer], now_ms: u64) {
        let mut polls = lock(&self.polls);
        let room = POLLS_REMEMBERED_MAX.saturating_sub(polls.len());
        let own = cookies.iter().zip(answers).filter(|(_, answer)| **answer != CookieAnswer::Unknown);
        polls.extend(own.take(room).map(|(cookie, _)| (key::cookie(cookie), now_ms)));
    }

    /// Removes partial transfers that nobody resumed in time; returns how many.
    pub(crate) fn sweep_staging(&self, now_ms: u64, max: usize) -> Result<usize, Error> {
        let mut swept = 0;
        for entry in self.files.staging()? {
            if swept < max && entry.touched_ms.saturating_add(self.settings.staging_ms) <= now_ms {
                self.files.remove_staging(&entry.name)?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// Writes the times of polls into a batch that is about to be committed.
    pub(crate) fn note_polls(&self, batch: &mut Batch) {
        for (key, now_ms) in std::mem::take(&mut *lock(&self.polls)) {
            // A record that this batch changes keeps its older time: being late is allowed, being wrong is not.
            if batch.change(&key).is_some() {
                continue;
            }
            if let Ok(Some(mut record)) = load::<CookieRecord>(&self.engine, &key) {
                record.polled_at_ms = Some(now_ms);
                batch.put(key, record.encode());
            }
        }
    }

    pub(crate) fn stage(&self, owner: &str, extent: Extent, now_ms: u64) -> Result<PartWriter, Error> {
        self.writable()?;
        self.room()?;
        check_name(owner, OWNER_OCTETS_MAX)?;
        if extent.octets <= INLINE_OCTETS_MAX {
            return Ok(PartWriter::in_memory(owner, extent));
        }
        let floor = self.settings.free_octets_floor;
        let file = self.files.stage(owner, extent.digest, now_ms, floor)?;
        // All that is still to come has to fit: nobody is let begin what there is no room for.
        let here = file.octets()?;
        if !self.files.fits(floor, extent.octets.saturating_sub(here))? {
            file.let_be(here);
            return Err(Error::Full);
        }
        PartWriter::in_file(owner, extent, file)
    }

    pub(crate) fn known(&self, owner: &str, extent: Extent) -> Result<Option<StagedPart>, Error> {
        check_name(owner, OWNER_OCTETS_MAX)?;
        if extent.octets <= INLINE_OCTETS_MAX
            || self.engine.value(&key::part_sender(extent.digest, owner))?.is_none()
        {
            return Ok(None);
        }
        let kept = self.files.open_part(extent.digest)?.is_some_and(|(octets, _)| octets == extent.octets);
        Ok(kept.then(|| StagedPart { owner: owner.to_owned(), extent, source: Source::Known }))
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let [legs, lanes, claimed, quarantined] = lock(&self.schedule).counts();
        Statistics {
            legs,
            lanes,
            claimed,
            quarantined,
            commits: self.commits.load(Ordering::Relaxed),
            operations: self.operations.load(Ordering::Relaxed),
            free_octets: self.files.free_octets(),
            read_only: self.writable().is_err(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{Counter, block_on};
    use crate::engine::{Pair, View};
    use crate::{
        Acceptance, Content, CookieAnswer, Effect, Exported, FindingKind, Intended, Lane, LegId, Memory,
        NewMessage, Origin, Store,
    };
    use message::address::Address;
    use message::{Disposition, Draft, DraftContent, DraftPart, HeaderBuilder, Message};

    const NOW: u64 = 1_700_000_000_000;

    /// Queues a message of one empty part along one of 50 lanes.
    fn queue(store: &dyn Store, number: u32, release_at_ms: Option<u64>) -> Result<crate::Receipt, Error> {
        let mut header = HeaderBuilder::new();
        header.push("Subject", &number.to_string()).unwrap();
        let root = DraftPart {
            media_type: "text/plain".to_owned(),
            parameters: String::new(),
            fields: Vec::new(),
            content: DraftContent::Body(Extent::of(b"")),
        };
        let draft = Draft { header: header.finish().unwrap(), root };
        let message = Message::assemble(&draft, vec![bytes::Bytes::new()]).unwrap();
        let mut cookie = [0; 32];
        cookie[..4].copy_from_slice(&number.to_be_bytes());
        let to = Intended {
            address: Address::from_wire("a@far.test").unwrap(),
            effect: Effect::Queue { lane: Lane::new(&format!("lane {}", number % 50)).unwrap() },
            answer: Disposition::Pending {
                cookie: Cookie::from_bytes(cookie),
                min_seconds: 1,
                max_seconds: 2,
                until: 3,
            },
            why: None,
        };
        let content = NewMessage {
            manifest: message.manifest().clone(),
            headers: Some(message.headers().clone()),
            seals: Vec::new(),
            parts: Vec::new(),
        };
        block_on(store.accept(Acceptance {
            offered_as: content.manifest.identity(),
            content: Content::New(content),
            octets: 1,
            origin: Origin::Submission { account: "ann".to_owned() },
            trace: Vec::new(),
            now_ms: NOW,
            expires_at_ms: NOW,
            release_at_ms,
            recipients: vec![to],
            again: Vec::new(),
        }))
    }

    fn counting() -> (Counter, Keeper<Counter>) {
        let engine = Counter::new();
        let files = Files::in_memory(MemoryFiles::new());
        (engine.clone(), Keeper::open_with(engine, files, Settings::default()).unwrap())
    }

    /// proves: STO-15
    #[test]
    fn a_claim_among_ten_thousand_legs_reads_what_it_takes() {
        let (engine, store) = counting();
        for number in 0..10_000 {
            queue(&store, number, Some(NOW + if number % 1000 == 0 { 0 } else { 1 + u64::from(number) }))
                .unwrap();
        }
        let before = engine.reads();
        let claims = block_on(store.claim(NOW, 100, &|_, _| true)).unwrap();
        assert_eq!(claims.len(), 10);
        // A leg, its envelope, and a page of at most 16 keys to find the next head of the lane.
        assert!(engine.reads() - before <= 10 * 20, "{} reads", engine.reads() - before);
        let before = engine.reads();
        assert_eq!(block_on(store.claim(NOW, 100, &|_, _| true)), Ok(Vec::new()));
        assert_eq!(engine.reads(), before, "nothing is due, so nothing is read");
    }

    /// An engine of which one read fails: so many from now.
    struct FailsOnce(Memory, std::sync::atomic::AtomicI64);

    impl FailsOnce {
        fn read<T>(&self, value: Result<T, Error>) -> Result<T, Error> {
            match self.1.fetch_sub(1, Ordering::SeqCst) {
                0 => Err(Error::Io("a bad sector".to_owned())),
                _ => value,
            }
        }
    }

    impl View for FailsOnce {
        fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
            self.read(self.0.value(key))
        }

        fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
            self.read(self.0.range(from, to, limit))
        }

        fn range_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
            self.read(self.0.range_back(from, to, limit))
        }
    }

    impl Engine for FailsOnce {
        fn apply(&self, batch: &Batch) -> Result<(), Error> {
            self.0.apply(batch)
        }

        fn check(&self) -> Result<Vec<String>, Error> {
            self.0.check()
        }

        fn compact(&self) -> Result<(), Error> {
            self.0.compact()
        }
    }

    /// Whatever read fails while legs are claimed: what is claimed has somebody who works on it, and everything else is claimed next.
    ///
    /// proves: STO-15, STO-16
    #[test]
    fn a_read_that_fails_loses_no_claim_and_no_lane() {
        const LEGS: usize = 20;
        let mut failed = 0;
        for fails in 0..120 {
            let engine = Memory::new();
            let before = engine.open(Settings::default()).unwrap();
            // Two in each of ten lanes.
            for number in 0..LEGS as u32 {
                queue(&before, number % 10 + 100 * (number / 10), Some(NOW + u64::from(number))).unwrap();
            }
            drop(before);
            let engine = FailsOnce(engine, (-1).into());
            let store =
                Keeper::open_with_in_place(engine, Files::in_memory(MemoryFiles::new()), Settings::default())
                    .unwrap();
            store.shared.engine.1.store(fails, Ordering::SeqCst);
            let mut claimed = Vec::new();
            for round in 0..5 {
                // The lane that may not at first has its turn all the same when it may.
                match block_on(
                    store.claim(NOW + 1000, LEGS, &|lane, _| round > 2 || lane.as_str() != "lane 3"),
                ) {
                    Ok(claims) => claimed.extend(claims.into_iter().map(|claim| claim.leg.id)),
                    Err(_) => failed += 1,
                }
                assert_eq!(store.statistics().claimed, claimed.len() as u64, "{fails}");
            }
            claimed.sort_unstable();
            claimed.dedup();
            assert_eq!(claimed.len(), LEGS, "{fails}");
        }
        assert!(failed > 0, "the first read tells");
    }

    /// proves: STO-13
    #[test]
    fn every_cookie_costs_one_look() {
        let (engine, store) = counting();
        queue(&store, 7, None).unwrap();
        let mut own = [0; 32];
        own[3] = 7;
        let cost = |holder: &str, cookie: [u8; 32]| {
            let before = engine.reads();
            let answer = store.poll(holder, &[Cookie::from_bytes(cookie)], NOW).unwrap().remove(0);
            (engine.reads() - before, answer == CookieAnswer::Unknown)
        };
        assert_eq!(cost("account:ann", own), (1, false));
        assert_eq!(cost("account:eve", own), (1, true));
        assert_eq!(cost("account:ann", [9; 32]), (1, true));
    }

    /// proves: STO-5
    #[test]
    fn damage_stays_with_its_record() {
        let engine = Memory::new();
        let store = engine.open(Settings::default()).unwrap();
        let (first, second) = (queue(&store, 1, None).unwrap(), queue(&store, 51, None).unwrap());
        let leg = store.legs(None, None, 1).unwrap()[0].id;
        let mut damage = Batch::default();
        damage.put(key::leg(leg), b"\xffnothing of ours".to_vec());
        engine.apply(&damage).unwrap();
        let claims = block_on(store.claim(NOW, 10, &|_, _| true)).unwrap();
        assert_eq!(claims.iter().map(|claim| claim.envelope.id).collect::<Vec<_>>(), [second.envelope]);
        assert_eq!(store.statistics().quarantined, 1);
        assert!(matches!(block_on(store.retry(leg, NOW)), Err(Error::Damaged { .. })));
        let mut found = Vec::new();
        store.check(&mut |finding| found.push((finding.kind, finding.key))).unwrap();
        assert_eq!(found, [(FindingKind::Damaged, key::readable(&key::leg(leg)))]);
        let (mut skipped, mut envelopes) = (0, 0);
        store
            .export(&mut |item| match item {
                Exported::Skipped(_) => skipped += 1,
                Exported::Envelope(_) => envelopes += 1,
                _ => {}
            })
            .unwrap();
        assert_eq!((skipped, envelopes), (1, 2));
        assert!(store.envelope(first.envelope).unwrap().is_some());
        assert_eq!(block_on(store.retry(LegId(999), NOW)), Err(Error::NotFound("leg")));
    }

    /// proves: SUB-12
    #[test]
    fn whoever_hastens_a_leg_does_not_send_what_can_be_taken_back() {
        let store = Memory::new().open(Settings::default()).unwrap();
        queue(&store, 1, Some(NOW + 5_000)).unwrap();
        let leg = || store.legs(None, None, 1).unwrap()[0].clone();
        block_on(store.retry(leg().id, NOW + 1_000)).unwrap();
        assert_eq!(leg().due_ms, NOW + 5_000);
        block_on(store.retry(leg().id, NOW + 6_000)).unwrap();
        assert_eq!(leg().due_ms, NOW + 6_000);
    }

    /// proves: STO-19
    #[test]
    fn a_full_disk_refuses_what_grows_and_settles_what_is_there() {
        let (engine, directory) = (Memory::new(), tempfile::tempdir().unwrap());
        let store = Keeper::open(engine.clone(), directory.path(), Settings::default()).unwrap();
        queue(&store, 1, None).unwrap();
        drop(store);
        // What somebody else has left there keeps no store from opening.
        std::fs::write(directory.path().join("parts/.DS_Store"), b"x").unwrap();
        let full = Settings { free_octets_floor: u64::MAX, ..Settings::default() };
        let store = Keeper::open(engine, directory.path(), full).unwrap();
        assert_eq!(queue(&store, 2, None), Err(Error::Full));
        assert!(matches!(store.stage("ann", Extent::of(b"x"), NOW), Err(Error::Full)));
        let leg = store.legs(None, None, 1).unwrap()[0].id;
        assert_eq!(block_on(store.remove(leg, NOW)), Ok(Vec::new()));
        // Who is held can be refused, and not be taken: what is asked of the store differs by that alone.
        let decide = |ruling| {
            let decision =
                crate::Decision { envelope: crate::EnvelopeId(99), recipient: 0, ruling, now_ms: NOW };
            block_on(store.decide(decision))
        };
        let refuse = crate::Ruling::Refuse { code: message::Code::NO_SUCH_ADDRESS, text: String::new() };
        assert_eq!(decide(refuse), Err(Error::NotFound("envelope")));
        assert_eq!(decide(crate::Ruling::Accept { wanted: message::Selection::All }), Err(Error::Full));
        assert!(!store.statistics().read_only);
    }

    /// Nobody is let begin what does not fit, and who has begun stops where others have filled the disk.
    ///
    /// proves: STO-19
    #[test]
    fn the_floor_stays_free() {
        const PART: usize = 3 * 1024 * 1024;
        let files = MemoryFiles::new();
        let floor = Settings { free_octets_floor: 1000, ..Settings::default() };
        let store = Keeper::open_in_place(Memory::new(), &files, floor).unwrap();
        let body = vec![7; PART];
        files.set_room_octets(Some(PART as u64 + 999));
        assert!(matches!(store.stage("ann", Extent::of(&body), NOW), Err(Error::Full)));
        assert!(store.shared.files.staging().unwrap().is_empty(), "nothing was begun");
        files.set_room_octets(Some(PART as u64 + 1000));
        let mut part = store.stage("ann", Extent::of(&body), NOW).unwrap();
        part.write(&body[..PART / 2]).unwrap();
        files.set_room_octets(Some(PART as u64 / 2 + 999));
        assert_eq!(part.write(&body[PART / 2..]), Err(Error::Full));
        // It goes on when there is room for the rest.
        drop(part);
        files.set_room_octets(Some(PART as u64 + 1000));
        let mut part = store.stage("ann", Extent::of(&body), NOW).unwrap();
        assert_eq!(part.offset(), PART as u64 / 2);
        part.write(&body[PART / 2..]).unwrap();
        assert_eq!(part.finish().unwrap().extent(), Extent::of(&body));
    }

    /// Where too little is free, partial transfers go before the engine is opened, unless somebody has it.
    ///
    /// proves: STO-19
    #[test]
    fn room_is_made_before_the_engine_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        let (engine, part) = (directory.path().join("engine"), directory.path().join("staging/one.part"));
        let full = Settings { free_octets_floor: u64::MAX, ..Settings::default() };
        let made = || make_room(directory.path(), &engine, full).map(|()| !part.exists());
        assert_eq!(made(), Ok(true), "there is no store yet");
        std::fs::create_dir(directory.path().join("staging")).unwrap();
        std::fs::write(&part, b"half of it").unwrap();
        let file = File::create(&engine).unwrap();
        file.lock().unwrap();
        assert_eq!(made(), Ok(false), "it is open");
        drop(file);
        assert_eq!(made(), Ok(true));
    }

    /// What was left behind first goes first, what is being received stays, and one that gave way begins anew.
    ///
    /// proves: STO-19
    #[test]
    fn what_waits_for_a_resumption_makes_room() {
        const PART: usize = 100_000;
        let files = MemoryFiles::new();
        let floor = Settings { free_octets_floor: 1000, ..Settings::default() };
        let store = Keeper::open_in_place(Memory::new(), &files, floor).unwrap();
        let bodies: Vec<Vec<u8>> =
            (0..4).map(|number| vec![number; if number == 3 { PART / 2 } else { PART }]).collect();
        let begin = |body: &Vec<u8>, now_ms| {
            let mut part = store.stage("ann", Extent::of(body), now_ms)?;
            part.write(&body[..PART / 2]).map(|()| part)
        };
        // The last of them is not left: its sender is still there.
        let _here = begin(&bodies[0], NOW - 9).unwrap();
        drop(begin(&bodies[1], NOW - 5).unwrap());
        drop(begin(&bodies[2], NOW - 7).unwrap());
        files.set_room_octets(Some(3 * PART as u64 / 2 + 999));
        drop(begin(&bodies[3], NOW).unwrap());
        files.set_room_octets(None);
        let offset =
            |number: usize| store.stage("ann", Extent::of(&bodies[number]), NOW).map(|part| part.offset());
        assert_eq!(offset(1), Ok(PART as u64 / 2), "the younger of the two still waits");
        assert_eq!(offset(2), Ok(0));
        // Where that does not help there is no room, and what is open stays even then.
        files.set_room_octets(Some(999));
        assert_eq!(offset(3), Err(Error::Full));
        files.set_room_octets(None);
        assert_eq!((offset(0), offset(1)), (Err(Error::Busy), Ok(0)));
        files.set_room_octets(Some(999));
        assert_eq!(queue(&store, 1, None), Err(Error::Full));
    }
}
