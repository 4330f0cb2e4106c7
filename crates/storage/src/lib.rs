//! What a node keeps: the store in mail verbs, the in-memory engine and the conformance suite.
