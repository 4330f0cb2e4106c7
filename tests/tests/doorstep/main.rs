//! Mail to the recipient's own daemon, over real QUIC: straight there, and by the node in every case in which that fails.

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod fallbacks;
#[cfg(test)]
mod redirecting;
#[cfg(test)]
mod silent;
