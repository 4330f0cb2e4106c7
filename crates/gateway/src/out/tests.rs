//! Tests over sockets on loopback.

use message::address::{Address, Domain};

use super::Shipment;
use crate::Recipient;

/// A message of these octets.
pub(super) fn shipment(domain: &str, recipients: &[&str], octets: &str) -> Shipment {
    let recipients = recipients.iter().map(|text| Recipient {
        address: Address::parse(text).unwrap(),
        notify: None,
        original: None,
    });
    Shipment {
        domain: Domain::parse(domain).unwrap(),
        return_path: Some(Address::parse("wx-tag@north.test").unwrap()),
        recipients: recipients.collect(),
        octets: octets.to_owned().into(),
        needs_smtputf8: false,
        envelope_id: None,
        headers_only: false,
        parameters: Vec::new(),
    }
}
