//! Several nodes over real QUIC and real TLS on loopback, by ordinary configuration.

#[cfg(test)]
mod authentication;
#[cfg(test)]
mod cookies;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod forwarding;
mod gateway;
#[cfg(test)]
mod held;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod offers;
#[cfg(test)]
mod operator;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod queue;
#[cfg(test)]
mod readers;
#[cfg(test)]
mod relaying;
#[cfg(test)]
mod selections;
#[cfg(test)]
mod submission;
#[cfg(test)]
mod timing;
