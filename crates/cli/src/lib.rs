//! The commands for users and operators.
