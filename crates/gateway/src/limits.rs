//! The bounds of the gateway, each with why it is that number.

/// Records that one listing gives: a page of the console.
pub const RECORDS_PER_PAGE_MAX: usize = 1_000;
