//! A small authoritative name server for loopback: fixed zones from master files, for the quickstart and for tests.
//!
//! It is no server for the open internet: it limits no rates, it transfers and updates no zones, and it refuses to
//! listen on any address that is not loopback.
