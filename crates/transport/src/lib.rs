//! How bytes travel: QUIC endpoints, identities and the connection pool; drives the protocol machines.
