//! Simulated worlds: what must hold holds in many of them, comes out the same each time, and is seen to fail where
//! something is broken on purpose.

#[cfg(test)]
mod broken;
#[cfg(test)]
mod drip;
#[cfg(test)]
mod log;
#[cfg(test)]
mod power;
#[cfg(test)]
mod round_trips;
#[cfg(test)]
mod worlds;
