//! The way of the data: accept, verify, decide, commit, queue, route, deliver, status.
