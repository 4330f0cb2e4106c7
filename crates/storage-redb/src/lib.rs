//! The second embedded engine: redb.
