//! How often an address may ask, in windows of ten minutes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::limits::{COOKIE_ADDRESSES_MAX, COOKIE_WINDOW_MS};
use crate::smtp::neighbourhood;

/// What addresses did in the window that is under way.
pub(crate) struct Rates {
    asked_max: u32,
    denied_max: u32,
    counts: Mutex<HashMap<IpAddr, Count>>,
}

#[derive(Default)]
struct Count {
    since_ms: u64,
    asked: u32,
    denied: u32,
}

impl Rates {
    pub(crate) fn new(asked_max: u32, denied_max: u32) -> Rates {
        Rates { asked_max, denied_max, counts: Mutex::default() }
    }

    /// Counts one question of this address; false where it was one too many, or where there is no room to count it.
    pub(crate) fn ask(&self, address: IpAddr, now_ms: u64) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |count: &Count| now_ms.saturating_sub(count.since_ms) < COOKIE_WINDOW_MS;
        let place = neighbourhood(address);
        if counts.len() >= COOKIE_ADDRESSES_MAX && !counts.contains_key(&place) {
            counts.retain(|_, count| fresh(count));
            if counts.len() >= COOKIE_ADDRESSES_MAX {
                return false;
            }
        }
        let count = counts.entry(place).or_default();
        if !fresh(count) {
            *count = Count { since_ms: now_ms, ..Count::default() };
        }
        count.asked = count.asked.saturating_add(1);
        count.asked <= self.asked_max && count.denied < self.denied_max
    }

    /// Counts that the last question of this address was answered no.
    pub(crate) fn denied(&self, address: IpAddr) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&neighbourhood(address)) {
            count.denied = count.denied.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: CKS-5
    #[test]
    fn who_asks_too_often_waits_for_the_next_window() {
        let rates = Rates::new(3, 2);
        let check = |address: &str, now_ms: u64, may: bool| {
            assert_eq!(rates.ask(address.parse().unwrap(), now_ms), may, "{address} {now_ms}");
        };
        check("192.0.2.1", 0, true);
        check("192.0.2.1", 0, true);
        check("192.0.2.1", 0, true);
        check("192.0.2.1", COOKIE_WINDOW_MS - 1, false);
        check("192.0.2.2", 0, true);
        check("192.0.2.1", COOKIE_WINDOW_MS, true);
        // An IPv6 network of 64 bits is one, and what was denied counts on its own.
        check("2001:db8::1", 0, true);
        rates.denied("2001:db8::2".parse().unwrap());
        rates.denied("2001:db8::3".parse().unwrap());
        check("2001:db8::4", 0, false);
        check("2001:db8:0:1::4", 0, true);
        for number in 0..2 * COOKIE_ADDRESSES_MAX as u32 {
            rates.ask(IpAddr::V4((0x0a00_0000 + number).into()), 5);
        }
        assert!(rates.counts.lock().unwrap().len() <= COOKIE_ADDRESSES_MAX);
        check("198.51.100.1", 5, false);
        check("198.51.100.1", 5 + COOKIE_WINDOW_MS, true);
    }
}
