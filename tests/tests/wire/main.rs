//! Several nodes over real QUIC and real TLS on loopback, by ordinary configuration.

#[cfg(test)]
mod aliases;
#[cfg(test)]
mod authentication;
#[cfg(test)]
mod border;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod console;
#[cfg(test)]
mod cookies;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod forwarding;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod held;
#[cfg(test)]
mod kept_sender;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod mailbox_server;
#[cfg(test)]
mod offers;
#[cfg(test)]
mod operator;
#[cfg(test)]
mod owed_notices;
#[cfg(test)]
mod own_notices;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod queue;
#[cfg(test)]
mod ranges;
#[cfg(test)]
mod readers;
#[cfg(test)]
mod relaying;
#[cfg(test)]
mod replies;
#[cfg(test)]
mod scram;
#[cfg(test)]
mod selections;
#[cfg(test)]
mod submission;
#[cfg(test)]
mod timing;
#[cfg(test)]
mod way_back;
