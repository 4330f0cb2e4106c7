//! The composition root: settings, wiring and life cycle.
