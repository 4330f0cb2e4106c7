//! `held`: mail that waits until its recipient has decided.

pub(super) mod print;
