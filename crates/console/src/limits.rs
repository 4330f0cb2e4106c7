//! The bounds of the console.

/// Sessions at a time. Whoever has more people than that at one node puts something larger before it.
pub const SESSIONS_MAX: usize = 1_000;
/// Sessions of one account: its devices and the browsers it forgot.
pub const SESSIONS_PER_ACCOUNT_MAX: usize = 16;
/// Milliseconds without a request after which a session ends: a long meeting.
pub const SESSION_IDLE_MS: u64 = 2 * 3_600_000;
/// Milliseconds after which a session ends in any case: a working day.
pub const SESSION_MS_MAX: u64 = 12 * 3_600_000;
/// Links into the console that were issued and not used.
pub const LINKS_MAX: usize = 8;
/// Octets of a form: the longest field is an address or a password.
pub const FORM_OCTETS_MAX: usize = 16 * 1024;
/// Octets of one field of a form.
pub const FIELD_OCTETS_MAX: usize = 1_024;
/// Entries on one page: what a person looks through, and what a node reads in some milliseconds.
pub const PAGE_ENTRIES: u32 = 50;
/// Rows of the table of the queue. More than these do not fit on a wall either.
pub const QUEUE_ROWS: u32 = 40;
/// Events on the page of the flow.
pub const FLOW_ROWS: usize = 200;
/// Streams of news at a time, over all sessions: one for each window that is open.
pub const STREAMS_MAX: usize = 200;
/// Connections at a time: six for each of the windows that a browser opens, and some more.
pub const CONNECTIONS_MAX: usize = 512;
/// Seconds for which a stream of news waits before it shows that it is alive.
pub const STREAM_SECONDS: u32 = 20;
/// Milliseconds between two messages of one stream: a busy node is not to keep browsers busy.
pub const STREAM_PAUSE_MS: u64 = 1_000;
/// Octets of HTML that are made harmless at a time; what is longer is offered as a file.
pub const HTML_OCTETS_MAX: usize = 256 * 1024;
/// Tags of HTML that are shown, of 256 KiB: the largest newsletters have some three thousand.
pub const HTML_TAGS_MAX: usize = 8_000;
/// Elements within elements: tables in tables of newsletters go to thirty.
pub const HTML_DEPTH_MAX: usize = 64;
/// Elements within a line that are open at a time: a parser makes each anew where a block ends around it.
pub const HTML_STYLED_DEPTH_MAX: usize = 16;
/// Octets of one attribute of HTML: the longest links of those who track their readers.
pub const HTML_ATTRIBUTE_OCTETS_MAX: usize = 4_096;
/// HTML that is made harmless at the same time: each takes a processor for some milliseconds.
pub const CLEANING_MAX: usize = 2;
/// Streams of news of one account, or of one session without an account: the windows of somebody with many.
pub const STREAMS_PER_READER_MAX: usize = 12;
/// Seconds within which the headers of a request, and a form, have to come.
pub const REQUEST_SECONDS_MAX: u64 = 20;
/// Seconds for which a connection may stand still, in both directions: longer than a stream of news is silent.
pub const STILL_SECONDS_MAX: u64 = 60;
