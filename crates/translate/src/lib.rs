//! The legacy form of a message: RFC 5322 and MIME to the native form and back.
//!
//! [`import`] reads what SMTP carries and gives a [`message::Message`], [`export`] writes one as SMTP can carry it.
//! Both are pure functions: no I/O, no clock, no randomness. What was imported, exported and imported again has the
//! same identity; what has no form on the other side is refused with a [`Reason`], and what is changed is told in a
//! [`Note`]. The rules stand in `spec/11-translation.md`.

mod block;
mod body;
mod charset;
mod content;
mod export;
mod field;
mod import;
pub mod limits;
mod multipart;
mod name;
mod outcome;
mod parameter;
mod phrase;
mod results;
mod transfer;
mod word;

pub use block::has_stray_line;
pub use export::{ExportOptions, export, original};
pub use field::{LEGACY_FIELD, header_lines};
pub use import::{ImportOptions, Imported, import};
pub use name::file_name;
pub use outcome::{Note, NoteKind, Reason, Refusal};
pub use results::{claims_results_of, without_results_of};

/// The type of a leaf that is a whole `multipart/signed` in its legacy form: its `Content-` fields, an empty line and
/// its body, octet for octet as the signature covers them.
pub const SIGNED_ENTITY_TYPE: &str = "application/vnd.waxwing.legacy-signed";
/// The type of the leaf that is the whole legacy message, kept so that DKIM stays checkable.
pub const ORIGINAL_TYPE: &str = "application/vnd.waxwing.legacy-original";
/// The type of the first child of an embedded message: its header block (RFC 6533 section 6.3 has the name).
/// keeps: MSG-15
pub const GLOBAL_HEADERS_TYPE: &str = "message/global-headers";
