//! Inputs out of inputs, the same ones in every run.

use waxwing_tests::torture::Random;

/// Numbers at which lengths and counts go wrong, as octets and as CBOR heads.
const INTERESTING: &[&[u8]] = &[
    b"\x00",
    b"\x01",
    b"\x17",
    b"\x18\xff",
    b"\x19\xff\xff",
    b"\x1a\xff\xff\xff\xff",
    b"\x1b\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x20",
    b"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\x40",
    b"\x58\x20",
    b"\x5f",
    b"\x80",
    b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x9f",
    b"\xa0",
    b"\xbf",
    b"\xc2\x41\x01",
    b"\xf6",
    b"\xff",
    b"\r\n",
    b"\r\n\r\n",
    b": ",
    b"\r\n ",
    b"@",
    b"=?utf-8?q?=00?=",
    b"--b\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Type: multipart/mixed\r\n",
    b"72057594037927937",
    b"\xe2\x80\x8d",
    b"xn--",
];

/// Makes inputs of seeds.
pub(crate) struct Mutator {
    random: Random,
    pool: Vec<Vec<u8>>,
}

impl Mutator {
    pub(crate) fn new(name: &str, pool: Vec<Vec<u8>>) -> Mutator {
        let seed = name.bytes().fold(0_u64, |seed, octet| seed.wrapping_mul(257).wrapping_add(octet.into()));
        Mutator { random: Random::new(seed), pool }
    }

    /// The next one.
    pub(crate) fn next_input(&mut self, octets_max: usize) -> Vec<u8> {
        let mut input = self.any_seed();
        for _ in 0..=self.below(6) {
            self.mutate(&mut input);
        }
        input.truncate(octets_max);
        input
    }

    fn any_seed(&mut self) -> Vec<u8> {
        let place = self.below(self.pool.len());
        self.pool[place].clone()
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.between(0, bound.max(1) as u64 - 1) as usize
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        match self.below(8) {
            0 => {
                if let Some(octet) = input.get_mut(at) {
                    *octet ^= 1 << (self.random.next_number() % 8);
                }
            }
            1 => {
                if let Some(octet) = input.get_mut(at) {
                    *octet = self.random.next_number() as u8;
                }
            }
            2 => input.truncate(at),
            3 => {
                let end = at + self.below((input.len() - at + 1).min(40));
                input.drain(at..end);
            }
            // A piece of itself once more.
            4 => {
                let end = at + self.below((input.len() - at + 1).min(80));
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            // The end of another.
            5 => {
                let other = self.any_seed();
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            6 => {
                let number = INTERESTING[self.below(INTERESTING.len())];
                input.splice(at..at, number.iter().copied());
            }
            _ => {
                let number = INTERESTING[self.below(INTERESTING.len())];
                let end = (at + number.len()).min(input.len());
                input.splice(at..end, number.iter().copied());
            }
        }
    }
}
