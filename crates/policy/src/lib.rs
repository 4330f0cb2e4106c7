//! What a node decides: evidence in, a verdict with a named reason out.
