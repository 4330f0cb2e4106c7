//! Tests over sockets on loopback.

mod both_sides;
mod protection;
mod routes;
mod transactions;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dns::{FixedZones, Mx, Record};
use message::address::{Address, Domain};
use rustls::RootCertStore;

use super::script::Scripted;
use super::{Outcome, Report, Sender, Settings, Shipment, Times};
use crate::Recipient;
use crate::fake::FakeRecords;

/// 2026-11-23 00:00 UTC.
const NOW_MS: u64 = 1_795_392_000_000;

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
        headers_only: None,
        parameters: Vec::new(),
        forwarded: false,
    }
}

/// A short message for these recipients at `south.test`.
fn letter(recipients: &[&str]) -> Shipment {
    shipment("south.test", recipients, "Subject: hello\r\n\r\n.dots\r\n")
}

/// Settings for which each host is at its address on loopback.
fn settings(hosts: &[(&str, SocketAddr)]) -> Settings {
    let now_ms = Arc::new(|| NOW_MS);
    let mut settings = Settings::new("north.test", Arc::new(RootCertStore::empty()), now_ms, Arc::new(|_| 0));
    let fixed = hosts.iter().map(|(host, address)| ((*host).to_owned(), vec![*address]));
    settings.fixed_addresses = fixed.collect::<BTreeMap<_, _>>();
    let second = Duration::from_secs(20);
    settings.times = Times {
        connect: second,
        greeting: second,
        handshake: second,
        command: second,
        data_start: second,
        data_block: second,
        data_end: second,
        whole: second * 2,
    };
    settings
}

/// Zones in which a domain has these mail exchanges, the first preferred.
fn zones(domain: &str, hosts: &[&str]) -> FixedZones {
    let zones = FixedZones::new();
    for (number, host) in hosts.iter().enumerate() {
        let mx = Mx { preference: 10 * number as u16, exchange: Some((*host).to_owned()) };
        zones.add(domain, Record::Mx(mx)).unwrap();
    }
    zones
}

fn sender(settings: Settings, zones: FixedZones) -> Sender {
    Sender::new(settings, Arc::new(zones), Arc::new(FakeRecords::default()))
}

/// A sender for `south.test`, whose only host this server is.
fn sender_to(server: &Scripted) -> Sender {
    sender(settings(&[("mx.south.test", server.address)]), zones("south.test", &["mx.south.test"]))
}

async fn send(sender: &Sender, shipment: &Shipment) -> Report {
    sender.send(shipment, &|_, _| ()).await
}

/// An outcome in short: the word and the text.
fn short(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Taken { host, text, .. } => format!("taken by {host}: {text}"),
        Outcome::Refused { code, text } => format!("refused {code}: {text}"),
        Outcome::Deferred { code, text } => format!("deferred {code}: {text}"),
        Outcome::Unfit { eight_bit, utf8_headers, .. } => format!("unfit {eight_bit} {utf8_headers}"),
    }
}

/// All outcomes in short.
fn all(report: &Report) -> Vec<String> {
    report.recipients.iter().map(short).collect()
}
