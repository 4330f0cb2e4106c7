//! placeholder
/// Options.
pub struct Options;
/// Show.
pub trait Show {}
/// Placeholder.
pub fn quickstart() {}
