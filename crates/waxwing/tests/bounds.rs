//! What two crates that do not know each other have to agree about.

/// The program refuses to keep a message back for longer than a node does, and for no less.
#[test]
fn a_message_is_kept_back_for_as_long_as_a_node_keeps_it() {
    assert_eq!(cli::limits::RELEASE_SECONDS_MAX, node::limits::RELEASE_SECONDS_MAX);
}
