//! Programs that show how the crates are used; each file in `examples/` runs in the tests.
