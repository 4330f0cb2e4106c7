//! Addresses, and what the DNS says.

use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use dns::locate::{Location, exchange_of};
use dns::{FixedZones, Record, Srv, Tlsa, waxkey};
use message::address::display::warnings;
use message::address::fold::AccountKey;
use message::address::{Address, Skeleton};

/// An address has one form on the wire; what a person writes becomes that form or nothing.
pub(crate) fn address(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    if let Ok(address) = Address::from_wire(text) {
        assert_eq!(address.to_string(), text, "never mended");
        assert_eq!(Address::parse(text).expect("what is right stays so"), address);
        judge(&address);
    }
    if let Ok(address) = Address::parse(text) {
        let wire = address.to_string();
        assert_eq!(Address::from_wire(&wire).expect("what was made can be sent"), address);
        judge(&address);
    }
}

fn judge(address: &Address) {
    assert!(!address.to_string().chars().any(char::is_control));
    assert!(address.local().as_str().len() <= 64 && address.domain().as_str().len() <= 253);
    let key = AccountKey::of(address.local());
    let _ = (Skeleton::of_key(&key), Skeleton::of_address(address), address.to_unicode());
    let _ = warnings(address, std::iter::once(address));
}

/// A key record says the same when it is written again; whatever records there are, what is found keeps its bounds.
pub(crate) fn dns(octets: &[u8]) {
    if let Ok(record) = waxkey::parse(octets) {
        let written = waxkey::write(&record);
        assert_eq!(waxkey::parse(written.as_bytes()).expect("what was written can be read"), record);
    }
    let zones = FixedZones::new();
    for chunk in octets.chunks(8).take(64) {
        let [kind, a, b, c, rest @ ..] = chunk else { break };
        let host = match b % 4 {
            0 => String::from_utf8_lossy(rest).into_owned(),
            _ => format!("h{}.x.test", b % 8),
        };
        // A name that cannot be is refused here, as by a name server.
        let _ = match kind % 4 {
            0 => zones.add("_waxwing._udp.x.test", Record::Srv(srv(*a, *c, Some(host)))),
            1 => zones.add("_waxwing._udp.x.test", Record::Srv(srv(*a, *c, None))),
            2 => zones.add(&host, Record::Address(IpAddr::from([127, 0, *a, *c]))),
            _ => zones.add(&format!("_{c}._udp.{host}"), Record::Tlsa(tlsa(*a, *c, rest))),
        };
    }
    let mut number = 0_u32;
    let random = |below: u32| {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        number % below.max(1)
    };
    let found = pin!(exchange_of(&zones, "x.test", random)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(found) = found else { panic!("nothing here has to be waited for") };
    if let Ok(Location::Native { targets }) = found {
        assert!(targets.len() <= dns::limits::TARGETS_MAX);
        for target in targets {
            assert!(target.port != 0 && !target.addresses.is_empty());
            assert!(target.addresses.len() <= dns::limits::ADDRESSES_PER_TARGET_MAX);
        }
    }
}

fn srv(priority: u8, port: u8, target: Option<String>) -> Srv {
    Srv { priority: u16::from(priority), weight: u16::from(port), port: u16::from(port), target }
}

fn tlsa(usage: u8, selector: u8, data: &[u8]) -> Tlsa {
    Tlsa { usage: usage % 5, selector: selector % 3, matching: selector % 4, data: data.repeat(8) }
}
