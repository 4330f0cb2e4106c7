//! What the hot paths of the house are given when their cost is counted or timed.
