//! The default embedded engine: sled, by rules that make it durable.
