//! What a node finds out about peers, remembers of them and lets them do, and what ends when its time is
//! over: one node on virtual time, and peers that offer.

#[cfg(test)]
mod greylisting;
#[cfg(test)]
mod legacy;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod rates;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod service;
#[cfg(test)]
mod standing;
#[cfg(test)]
mod until;
#[cfg(test)]
mod waiting;
