//! Real QUIC and real TLS over loopback.

mod common;
mod peers;
mod pool;
mod timing;
