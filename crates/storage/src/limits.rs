//! The bounds on what a store takes and keeps.

/// Octets of a leaf body that is kept in a record; larger ones are files. sled is slow and unsafe with large values,
/// and most bodies of mail are smaller than this.
pub const INLINE_OCTETS_MAX: u64 = 32 * 1024;
/// Octets of one value in an engine. From 128 KiB sled writes files that it never syncs.
pub const VALUE_OCTETS_MAX: usize = 64 * 1024;
/// Octets of one chunk of a message record: well under [`VALUE_OCTETS_MAX`], so that a page holds it.
pub const CHUNK_OCTETS: usize = 48 * 1024;
/// Octets of one key: a table prefix, a lane and two numbers, with room.
pub const KEY_OCTETS_MAX: usize = 1024;
/// Operations that share one commit. Past this a group only makes the first of them wait.
pub const GROUP_OPERATIONS_MAX: usize = 256;
/// Operations that the thread which ran them also commits: handing a few over to another thread takes longer than what
/// could be run meanwhile.
pub const OPERATIONS_IN_PLACE_MAX: usize = 2;
/// Octets of changes after which a group takes no further operation: what a disk writes in some tens of milliseconds.
pub const GROUP_OCTETS_MAX: usize = 4 * 1024 * 1024;
/// Operations that wait for the writer before callers have to wait for a place.
pub const WAITING_OPERATIONS_MAX: usize = 4096;
/// Recipients of one leg: what one offer can carry.
pub const LEG_RECIPIENTS_MAX: usize = message::limits::RECIPIENTS_MAX;
/// Octets of the name of a lane: a domain name (253) and a word for the kind of route.
pub const LANE_OCTETS_MAX: usize = 320;
/// Octets of the name of an account: a local part and a domain fit.
pub const ACCOUNT_NAME_OCTETS_MAX: usize = 320;
/// Octets of the name of whoever stages parts or holds cookies: a domain or `account:` and a name.
pub const OWNER_OCTETS_MAX: usize = 400;
/// Addresses of one account. People have a handful, role accounts some dozens; with the devices they fit in a value.
pub const ADDRESSES_MAX: usize = 64;
/// Devices of one account.
pub const DEVICES_MAX: usize = 32;
/// Octets of a password hash in its text form (PHC strings of Argon2id have about 100).
pub const PASSWORD_HASH_OCTETS_MAX: usize = 512;
/// Octets of a salt for SCRAM: twice what RFC 9106 asks for.
pub const SCRAM_SALT_OCTETS_MAX: usize = 32;
/// Octets of any other text in a record: hosts, steps, names, reasons. What a person reads at a glance.
pub const TEXT_OCTETS_MAX: usize = 512;
/// Seals that are kept of one message, over all its deliveries; the oldest make room.
pub const SEALS_KEPT_MAX: usize = 4 * message::limits::SEALS_MAX;
/// Octets of the seals that are kept of one message: those of one delivery fit, however large; usual ones have some 130.
pub const SEALS_KEPT_OCTETS_MAX: usize = message::limits::SEALS_MAX * message::limits::SEAL_OCTETS_MAX;
/// Open envelopes of a message that are asked which seals they need, where some have to go: some milliseconds of reading.
pub const OPEN_ENVELOPES_LOOKED_AT: usize = 256;
/// Messages that are looked at where some digits of an identity are looked up: most of what is in mailboxes has no envelope any
/// more.
pub const IDENTITIES_LOOKED_AT: usize = 1000;
/// Octets of a subject beside a submission: what fits on a line of a list.
pub const SUBJECT_OCTETS_MAX: usize = 200;
/// Seal notes on one mailbox entry: one per seal that a message can carry.
pub const SEAL_NOTES_MAX: usize = message::limits::SEALS_MAX;
/// Octets of what was answered to an attempt: a page of explanation, as the SMTP client keeps it.
pub const ATTEMPT_TEXT_OCTETS_MAX: usize = 4 * 1024;
/// Attempts kept of one envelope at its beginning: how the trouble started.
pub const ATTEMPTS_FIRST: u32 = 8;
/// Attempts kept of one envelope at its end: how things are now.
pub const ATTEMPTS_LAST: u32 = 56;
/// Cookies in one poll or give-up: what fits in one frame of 64 KiB.
pub const COOKIES_MAX: usize = 1024;
/// Entries that one call of a listing returns at most.
pub const LIST_MAX: usize = 1000;
/// Lanes that may not get another worker and are gone past in one claim, with the schedule locked.
pub const PASSED_OVER_MAX: usize = 1000;
/// Correspondents of one account: one look at all of them is cheap, and few people write to more.
pub const CORRESPONDENTS_MAX: usize = 1000;
/// Those of them who are trusted or blocked: the others are known because they were written to, and can be forgotten.
pub const CORRESPONDENTS_SPOKEN_MAX: usize = 900;
/// How many are forgotten at once where there are too many: each time all of them are read.
pub const CORRESPONDENTS_FORGOTTEN: usize = 50;
/// Correspondents whose keys are pinned for one account, as many as it may have on its list. Whoever could fill them could
/// otherwise have one forgotten.
pub const PINS_MAX: usize = 1000;
/// Heads of other domains' logs that are remembered: some 20 MiB. Names are free, and whoever writes can have us ask a new one
/// with each letter.
pub const HEADS_MAX: u64 = 50_000;
/// Heads, beside those, against which another one was seen: they are proofs, and no other head takes their place.
pub const HEADS_CONTRADICTED_MAX: u64 = 5_000;
/// Targets of one alias: a list of people, not a mailing list; with other recipients they fit into an envelope.
pub const FORWARDS_PER_ALIAS_MAX: usize = 50;
/// Forwarders about whom one recipient has decided or is asked: far more than anybody has old addresses.
pub const GRANTS_PER_RECIPIENT_MAX: usize = 100;
/// Records of peers that one call writes or removes: well under [`GROUP_OCTETS_MAX`].
pub const PEERS_PUT_MAX: usize = 1000;
/// Octets of the key of a record of the gateway: an address or a domain and a few octets fit.
pub const LEGACY_KEY_OCTETS_MAX: usize = 255;
/// Octets of a record of the gateway: a policy, a day's report or a return path, and well under [`VALUE_OCTETS_MAX`].
pub const LEGACY_VALUE_OCTETS_MAX: usize = 16 * 1024;
/// Records of the gateway that one call changes: at their largest they are [`GROUP_OCTETS_MAX`].
pub const LEGACY_CHANGES_MAX: usize = 256;
/// Octets of a Received field or of authentication results beside a message: some dozens of lines of mail.
pub const LEGACY_TRACE_OCTETS_MAX: usize = 8 * 1024;
/// Octets of ENVID, decoded: at most as many as it has encoded (RFC 3461 section 4.4).
pub const ENVELOPE_ID_OCTETS_MAX: usize = 100;
/// Octets of ORCPT, decoded: at most as many as it has encoded (RFC 3461 section 4.2), and the type.
pub const ORIGINAL_RECIPIENT_OCTETS_MAX: usize = 500;
/// Octets of each half of a cookie: a local part, and a name (RFC 1035).
pub const PASSED_COOKIE_OCTETS_MAX: usize = 255;
/// Aliases between an address and where it leads.
pub const FORWARD_THROUGH_MAX: usize = 10;
/// Octets of a message's header that a notice repeats: what people write is shorter, and a notice need not be whole.
pub const NOTICE_HEADER_OCTETS_MAX: usize = 16 * 1024;
/// Legs that one claim returns at most.
pub const CLAIM_MAX: usize = 1000;
/// How long final dispositions stay answerable, in milliseconds: 10 days (`spec/06-exchange.md`).
/// keeps: EXC-13, STA-5
pub const RETENTION_MS_DEFAULT: u64 = 10 * 24 * 3600 * 1000;
/// How long a partial transfer waits for its resumption, in milliseconds: two days, longer than any outage that
/// a sender waits out between two attempts.
pub const STAGING_MS_DEFAULT: u64 = 2 * 24 * 3600 * 1000;
/// Octets of free space below which nothing new is accepted: room to settle and to delete.
pub const FREE_OCTETS_FLOOR_DEFAULT: u64 = 64 * 1024 * 1024;
/// Files that can still be made on the disk, below which it counts as full: an engine makes some when it is opened.
pub const FREE_FILES_FLOOR: u64 = 1_000;
/// Octets of what one commit removes when its time is over; what one envelope takes may go beyond.
pub const EXPIRE_OCTETS_MAX: usize = 1024 * 1024;
/// By how much the clock has to be set back for it to matter, in milliseconds.
pub const CLOCK_FELL_MS: u64 = 60_000;
/// Legs that are looked at in one transaction after the clock was set back.
pub const CLOCK_PAGE: usize = 200;
/// Partial transfers whose files are open at once.
pub const STAGING_OPEN_MAX: usize = 512;
/// And those of one owner.
pub const STAGING_OPEN_OF_ONE_MAX: usize = 128;
/// Octets of a large part that are gathered before they are hashed and written together: BLAKE3 has its full speed from 16 KiB on, and
/// a write costs little beside the copying. Each part that is being received may hold so many in memory.
pub const GATHERED_OCTETS: usize = 32 * 1024;
/// Octets of a part after which their writing to the disk begins: enough for disks to be at their best, and little to wait for at the end.
pub const WRITE_BACK_OCTETS: u64 = 1024 * 1024;
/// Stretches of parts that wait for their writing to begin; each holds a file open. What is beyond is written when it is synced.
pub const WRITE_BACK_WAITING_MAX: usize = 16;
/// Octets that one transfer writes before it is looked again whether the floor is free: a thousand transfers at once could use up the
/// floor as it is by default.
pub const LOOK_EVERY_OCTETS: u64 = 64 * 1024;
/// Polls remembered in memory until the next commit writes their time down.
pub const POLLS_REMEMBERED_MAX: usize = 4096;
/// Depth of nested CBOR in a record; ours have five levels.
pub const RECORD_DEPTH_MAX: usize = 16;
/// Octets of a file of the log from which the other file is written: some 500 small messages, so that what came and went
/// meanwhile never reaches the engine, and nobody waits for long where the engine is slower than the log.
pub const LOG_OCTETS: u64 = 4 * 1024 * 1024;
/// Octets by which a file of the log grows, or a quarter of it where that is less: one slow write for some hundred fast ones.
pub const LOG_AHEAD_OCTETS: u64 = 1024 * 1024;
/// Keys that an engine behind a log gets at once: its readers wait for some milliseconds.
pub const SETTLE_CHANGES_MAX: usize = 2000;
/// Octets that an engine behind a log gets at once, or a quarter of a file of the log where that is less.
pub const SETTLE_OCTETS_MAX: usize = 1024 * 1024;
/// Pairs that are read of the engine beyond those asked for, since changes in front of it may hide some.
pub const RANGE_AHEAD: usize = 16;
