//! What the checks of the old world find.

pub mod spf;
