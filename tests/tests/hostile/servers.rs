//! Servers that break rules, and a node that sends to them.
