//! Addresses at which somebody else can be reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one that anybody can be reached at: what the registries of special addresses (RFC 6890) leave
/// over. Of an IPv6 address that holds an IPv4 one, take [`IpAddr::to_canonical`] first.
#[must_use]
pub fn is_global_unicast(address: IpAddr) -> bool {
    let within_v4 = |address: Ipv4Addr, net: [u8; 4], bits: u32| {
        (address.to_bits() ^ Ipv4Addr::from(net).to_bits()) >> (32 - bits) == 0
    };
    let within_v6 = |address: Ipv6Addr, net: [u16; 8], bits: u32| {
        (address.to_bits() ^ Ipv6Addr::from(net).to_bits()) >> (128 - bits) == 0
    };
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|(net, bits)| within_v4(address, *net, *bits)),
        IpAddr::V6(address) => {
            within_v6(address, [0x2000, 0, 0, 0, 0, 0, 0, 0], 3)
                && !SPECIAL_V6.iter().any(|(net, bits)| within_v6(address, *net, *bits))
        }
    }
}

/// IANA's registry of special addresses, multicast and reserved ones.
const SPECIAL_V4: &[([u8; 4], u32)] = &[
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 31, 196, 0], 24),
    ([192, 52, 193, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([192, 175, 48, 0], 24),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 3),
];
/// The same within 2000::/3: protocols, documentation, 6to4, AS112.
const SPECIAL_V6: &[([u16; 8], u32)] = &[
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    ([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];
