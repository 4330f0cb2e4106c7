//! Real QUIC and real TLS over loopback.

#[cfg(test)]
mod common;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod pool;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod timing;
#[cfg(test)]
mod unproved;
