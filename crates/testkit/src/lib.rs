//! A virtual clock, a seeded network, fixed zones and whole worlds for tests.
