//! The bounds of a node's work.

/// Legs that are worked on at once. Each holds a stream and a chunk of a body.
pub const WORKERS_MAX: usize = 256;
/// Legs to one destination at once: a slow peer keeps no more than these.
pub const WORKERS_PER_LANE_MAX: usize = 64;
/// The last workers that are free: for destinations with which the last delivery has not failed.
pub const WORKERS_RESERVED: usize = 32;
/// Arrivals in mailboxes that wait to be noticed by whoever follows these. Who is further behind looks at all mailboxes.
pub const MAIL_UNHEARD_MAX: usize = 1024;
/// How long a leg waits whose worker has ended without a settlement, in milliseconds.
pub const ABANDONED_MS: u64 = 3_600_000;
/// How often a settlement that could not be written is written again, a second apart.
pub const SETTLE_TRIES_MAX: u32 = 60;
/// Keys of domains remembered at once.
pub const KEYS_MAX: usize = 10_000;
/// Issuers beside the peer and the domain of the From address whose keys are asked for: a list, a forwarder, a gateway,
/// an accreditor.
pub const OTHER_ISSUERS_MAX: usize = 4;
/// Keys of one issuer that are asked for in one message: one is usual, two while a key is replaced.
pub const KEYS_PER_ISSUER_MAX: usize = 4;
/// Milliseconds for the keys of one message, all together: two questions that are not answered.
pub const KEYS_MS_MAX: u64 = 10_000;
/// And for those of other issuers than the peer and the domain of the From address, so that these have time left.
pub const OTHER_KEYS_MS_MAX: u64 = 5_000;
/// How long a key is remembered at the most, in milliseconds, whatever its TTL says.
pub const KEY_MS_MAX: u64 = 3_600_000;
/// Accounts read at a time when a new address is held against those that exist.
pub const ACCOUNTS_PAGE: usize = 500;
/// Octets of the header block and the seals that go back to a user: they have to fit in one frame (SUB-10).
pub const SEALED_OCTETS_MAX: usize = 49_152;
/// Seconds for which a submission may be kept before it is sent: what is planned further ahead belongs in a calendar.
pub const RELEASE_SECONDS_MAX: u64 = 30 * 24 * 3600;
/// Wrong passwords for one account or from one network before tries are refused for a while.
pub const PASSWORD_FAILURES_MAX: u32 = 10;
/// How long that while is, in milliseconds.
pub const PASSWORD_WINDOW_MS: u64 = 600_000;
/// Accounts and networks whose failures are remembered at once.
pub const PASSWORD_FAILURES_KEPT: usize = 10_000;
/// Passwords checked at once: each takes a core and 19 MiB for some tens of milliseconds.
pub const PASSWORD_CHECKS_MAX: usize = 2;
/// Cookies asked for in one poll.
pub const POLL_COOKIES_MAX: usize = 1_000;
/// Refusals that are remembered: some 6 MiB on a disk, and what a busy node refuses in days.
pub const REFUSALS_MAX: usize = 10_000;
/// Refusals that wait to be written: what comes within a minute where it is no flood.
pub const REFUSALS_WAITING_MAX: usize = 2_000;
/// Refusals that are written in one transaction: with as many that go they are the changes of one call.
pub const REFUSALS_WRITTEN_MAX: usize = 100;
/// Refusals of one party within an hour that are remembered: more tell no more.
pub const REFUSALS_PER_HOUR_MAX: u32 = 200;
/// Parties whose refusals are counted at once.
pub const REFUSING_PARTIES_MAX: usize = 5_000;
/// How many records one round of upkeep removes.
pub const EXPIRE_MAX: usize = 1_000;
/// Milliseconds between rounds of upkeep.
pub const UPKEEP_MS: u64 = 60_000;
/// Octets of a message that is written to a Maildir; larger ones stay in the native mailbox only. The translation holds a
/// message about five times in memory, and a node is to stay under 150 MiB.
pub const MAILDIR_OCTETS_MAX: u64 = 16 * 1024 * 1024;
/// Parts that one offer opens because an earlier one has left some of them; what was begun of others is passed over when it comes
/// again. A message can have 255.
pub const PARTS_GONE_ON_WITH_MAX: usize = 4;
/// Octets that the offers of all together hold in memory while they are open: small parts, manifest, headers, seals, and what is
/// gathered of large parts. With what else is in memory a node stays under 150 MiB.
pub const HOLDING_OCTETS_MAX: u64 = 64 * 1024 * 1024;
/// Octets that the offers of one account, or of the peers below one registered domain, hold: two messages of 255 small parts of
/// the largest size, or 500 usual ones at once.
pub const HOLDING_OF_ONE_OCTETS_MAX: u64 = 16 * 1024 * 1024;
/// Milliseconds without an octet after which a new offer takes over a part that an older offer has left open: many round
/// trips, and far less than the 30 seconds after which the older one is given up.
pub const TAKE_OVER_AFTER_MS: u64 = 2_000;
/// Cookies of next hops for which a hint would be understood; more are asked about when it is time. Some 6 MiB.
pub const HINTS_WAITING_MAX: usize = 100_000;
/// Settled cookies that wait to be told on one connection; what does not fit is found out by polling.
pub const NEWS_WAITING_MAX: usize = 1_000;
/// Doorsteps of one account: a machine at home, one at work, and two that were replaced of late.
pub const DOORSTEPS_PER_ACCOUNT_MAX: usize = 4;
/// Doorsteps of all accounts: some 3 MiB.
pub const DOORSTEPS_MAX: usize = 10_000;
/// Seconds for which mail is redirected without being asked again: how long senders go to a machine that is gone.
pub const DOORSTEP_LEASE_SECONDS: u32 = 300;
/// Keys of tickets that a doorstep knows at once: one, and those from before restarts of its node.
pub const TICKET_KEYS_MAX: usize = 8;
/// Names in a sender's certificate that are held against a ticket; more than any that sends mail has.
pub const TICKET_NAMES_MAX: usize = 100;
/// Milliseconds for all redirects of one offer: as long as a ticket is good.
pub const REDIRECTS_MS_MAX: u64 = 300_000;
/// Connections of one peer domain that are told of settled cookies.
pub const LISTENERS_PER_HOLDER_MAX: usize = 16;
/// Holders with listeners from which on those who have gone are looked for.
pub const LISTENERS_LOOK_AT: usize = 1_024;
/// Peers whose counts are in memory at once: some 2 MiB. The store has the others.
pub const PEERS_IN_MEMORY_MAX: usize = 10_000;
/// Peers that are remembered in the store: some 10 MiB. Names are free, so what is kept of them must end somewhere; who
/// comes when it is full is met as a stranger each time.
pub const PEERS_KEPT_MAX: usize = 100_000;
/// Milliseconds between two looks for peers of which nothing is left: a day, the step in which counts fade.
pub const PEERS_SWEEP_MS: u64 = 24 * 3600 * 1000;
/// Milliseconds after which a peer that was not met again may be forgotten: three half-lives.
pub const PEERS_FADED_AFTER_MS: u64 = 90 * 24 * 3600 * 1000;
/// Peers of which it is known at once what the DNS says: as many as have their counts in memory.
pub const STANDINGS_MAX: usize = 10_000;
/// Peers that are asked about at once: each makes up to 22 questions, and who shows a thousand names must not make this
/// node's resolver busy for all others.
pub const STANDINGS_ASKED_MAX: usize = 32;
/// Services that vouch, and lists of each kind, that an operator may name: each is a question for each peer.
pub const ACCREDITORS_MAX: usize = 8;
/// Milliseconds for all questions about one peer together: a sender waits for the answer.
pub const STANDING_MS_MAX: u64 = 3_000;
/// The shortest time for which an answer about a peer is remembered, in milliseconds, and the time for one that failed.
pub const STANDING_KEPT_MS_MIN: u64 = 60_000;
/// The longest time for which an answer about a peer is remembered, in milliseconds: a day.
pub const STANDING_KEPT_MS_MAX: u64 = 24 * 3600 * 1000;
/// Milliseconds after which a list is tested again.
pub const LIST_TESTED_MS: u64 = 12 * 3600 * 1000;
/// Peers, domains and users whose rates are counted at once; those who come when it is full, and nobody has room to be
/// told apart, share one count. Some 4 MiB.
pub const RATES_MAX: usize = 20_000;
/// Names below one registered domain that one client of the old world is remembered to have proved.
pub const PROVED_BY_ONE_MAX: usize = 100;
/// Recipients for whom one peer may hold open cookies, where nothing else is set: each is some hundred octets here until
/// somebody decides, for days.
pub const PENDING_PER_PEER: u64 = 10_000;
/// How often what one peer may do in a time, the peers below one registered domain may do together: enough for an
/// organisation with several nodes, and names are free.
pub const DOMAIN_FACTOR: u64 = 4;
/// The longest time after which a sender is asked to come again because of its rate, in seconds.
pub const RATE_AFTER_SECONDS_MAX: u32 = 3_600;
/// Octets of manifest, seals, headers and text together up to which the text of a held message is fetched: with a hand-shake
/// a stranger's message of any size stays below 64 KiB.
pub const HELD_OCTETS_MAX: u64 = 48 * 1024;
/// Octets of a message up to which its text is asked for before its manifest is known: then nobody knows how large it is.
pub const TEXT_UNSEEN_OCTETS_MAX: u64 = 256 * 1024;
/// Hosts of a peer of which is asked whether they may send: few domains have more, and each costs up to six questions.
pub const CSA_HOSTS_MAX: usize = 4;
/// Messages that are held for one account: more than anybody decides about before they expire.
pub const HELD_PER_ACCOUNT_MAX: usize = 1_000;
/// Messages that are held for one account of those that one peer has brought: with a quarter of the places nobody takes them from
/// all others.
pub const HELD_PER_PEER_MAX: usize = 250;
/// Seconds after which a message is offered again for which there was no room among those that are held.
pub const HELD_FULL_SECONDS: u32 = 3_600;
/// Octets of a held text that are shown: more is read once it was accepted.
pub const HELD_TEXT_SHOWN_MAX: u64 = 64 * 1024;
/// Parts that the answer to a poll names: answers for a thousand cookies fit in a frame.
pub const WANTED_PARTS_MAX: usize = 4;
/// Aliases that are looked at for one recipient: a list of lists, and little more.
pub(crate) const ALIASES_WALKED_MAX: usize = 200;
/// Milliseconds for which one message waits for the keys of its author: after that its seal is not checked.
pub const KEY_ASKED_MS_MAX: u64 = 3_000;
/// Questions about one author where others ask the same domain in between.
pub const KEY_QUESTIONS_MAX: usize = 3;
/// Milliseconds for which it is remembered what was answered about the keys of an author: a revocation is known an hour later.
pub const CHAIN_MS: u64 = 3_600_000;
/// Milliseconds for which it is remembered that nothing was.
pub const NO_CHAIN_MS: u64 = 60_000;
/// Milliseconds after which it is asked again because of a key that was not stated: it may be new. Whoever names keys that are
/// none must not have us ask without end.
pub const UNKNOWN_KEY_ASKED_AGAIN_MS: u64 = 1_000;
/// Milliseconds after which it is written that the head of a log was seen again, unchanged: once a day for each domain.
pub const HEAD_SEEN_AGAIN_MS: u64 = 24 * 3600 * 1000;
/// Authors whose keys are in memory: at some kilobytes each some 20 MiB at the most.
pub const CHAINS_MAX: usize = 2_000;
/// Questions for keys that are under way at once: whoever names a thousand authors must not keep all connections busy.
pub const CHAINS_ASKED_MAX: usize = 32;
/// Of those, to one domain.
pub const CHAINS_ASKED_OF_ONE_MAX: usize = 4;
/// Seals in the name of one author that are looked at: one is usual.
pub const AUTHOR_SEALS_MAX: usize = 4;
/// Seconds ahead of now at which a key may begin to be good.
pub const STATEMENT_AHEAD_SECONDS: u64 = 24 * 3600;
/// Statements of one address that are taken in 24 hours: a mistake, its repair, and two more.
pub const STATEMENTS_PER_DAY: usize = 4;
/// Messages that one account may report as abuse in a day: more than anybody reads, and few enough that nobody's word outweighs
/// that of all others.
pub const REPORTS_PER_DAY: usize = 50;
