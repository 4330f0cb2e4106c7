//! Floods, measured.
