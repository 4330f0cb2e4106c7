//! The names of hosts, confirmed over the DNS.

use std::net::IpAddr;
use std::sync::Arc;

use dns::Resolver;

use crate::Later;
use crate::limits::MAV_HOST_NAMES_MAX;

use super::HostNames;

/// Finds names with a resolver: those that the address claims (PTR), and that lead back to it (A, AAAA).
#[derive(Clone)]
pub struct ConfirmedNames(pub Arc<dyn Resolver>);

impl HostNames for ConfirmedNames {
    fn confirmed(&self, address: IpAddr) -> Later<'_, Vec<String>> {
        Box::pin(async move {
            let claimed = self.0.names(address).await.map(|answer| answer.records).unwrap_or_default();
            let mut confirmed = Vec::new();
            for name in claimed.into_iter().take(MAV_HOST_NAMES_MAX) {
                let found = self.0.addresses(&name).await.map(|answer| answer.records).unwrap_or_default();
                if found.iter().any(|found| found.to_canonical() == address.to_canonical()) {
                    confirmed.push(name);
                }
            }
            confirmed
        })
    }
}
