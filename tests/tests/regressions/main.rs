//! Faults that were found, most of them in simulated worlds, each as a test of its own.

#[cfg(test)]
mod clocks;
#[cfg(test)]
mod no_room;
#[cfg(test)]
mod polls;
#[cfg(test)]
mod selectors;
