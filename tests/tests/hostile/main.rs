//! Peers that break the rules of `spec/`, one rule at a time, from either side of a connection.
//!
//! A case names the rule it breaks, what is sent, and what has to come back: that is taken from the text of the
//! specification, never from what this program answered once. The octets are written by hand ([`octets`]) or are those
//! of `spec/vectors`. After every case the connection lives and the node is as it was; a good peer beside it is served.

#[cfg(test)]
mod content;
#[cfg(test)]
mod flood;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod octets;
#[cfg(test)]
mod offers;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod server_cases;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod sketch;
#[cfg(test)]
mod table;
