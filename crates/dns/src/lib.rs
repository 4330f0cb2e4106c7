//! The only place that asks the DNS.
