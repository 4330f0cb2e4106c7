//! What two parties say: CBOR frames and the submission and exchange state machines, without I/O.
