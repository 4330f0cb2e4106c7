//! The only place that asks the DNS.
//!
//! [`Resolver`] is the trait that the rest of the house asks; [`HickoryResolver`] asks real name servers and
//! validates DNSSEC; [`FixedZones`] answers from memory, with failures on request. On top of the trait stand
//! [`locate`] (which hosts serve a domain, and how to know them), [`srv`] (the order in which to try them) and
//! [`waxkey`] (a domain's signing keys), and what the DNS says about a peer: [`csa`] (may it send?), [`vbr`] (who
//! vouches for it?) and [`dnsl`] (is it on a list?). With the feature `server`, `zones` serves master files on loopback.
//!
//! What this crate is not: it takes no decision about mail. An answer says what the DNS says and how well it is
//! proven; what follows from that is for `node` and `transport`. Specification: `spec/10-discovery.md`.
//!
//! Names at this boundary are `&str` of A-labels without a trailing dot (`north.test`, `_waxwing._udp.north.test`);
//! what is printable ASCII besides is asked as it is, and anything else is [`Error::BadName`].

pub mod csa;
pub mod dnsl;
mod error;
mod failures;
mod fixed;
mod hickory;
pub mod limits;
pub mod locate;
mod name;
mod public;
mod resolver;
pub mod srv;
mod together;
pub mod vbr;
pub mod waxkey;
#[cfg(feature = "server")]
pub mod zones;

pub use error::{Error, Persistence};
pub use fixed::{Failure, FixedZones, Record};
pub use hickory::{HickoryResolver, TrustAnchor};
pub use public::is_global_unicast;
pub use resolver::{Answer, Family, Lookup, Mx, Resolver, Security, Srv, Tlsa, reverse};
pub use together::{Pending, all};
