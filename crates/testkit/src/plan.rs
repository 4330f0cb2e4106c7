//! What happens in a world, worked out from its seed: its nodes, its weather, who writes to whom, and what goes wrong.

use message::address::{Address, Domain};

use crate::disk::{Fault, LogPlan, PowerCut, Vice};
use crate::network::Weather;
use crate::random::Random;

/// The users of every node. Mail for the last one is held until somebody decides.
pub const USERS: &[&str] = &["ann", "bob", "carol"];
/// Nobody of this name is anywhere.
pub const STRANGER: &str = "nobody";
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
/// Until when users write and things go wrong.
const TROUBLED_MS: u64 = 5 * HOUR_MS;

/// The weather after everything was mended.
pub const FAIR: Weather =
    Weather { delay_ms_min: 5, delay_ms_max: 40, breaks_percent: 0, silences_percent: 0 };

/// One node of a world.
#[derive(Debug, Clone)]
pub struct SitePlan {
    /// The domain that it serves, and as which it shows itself.
    pub domain: Domain,
    /// Octets that may come with an offer unasked.
    pub eager_octets: u64,
    /// How long its queue tries, in milliseconds.
    pub queue_ms: u64,
    /// How soon its cookies may be asked about, in seconds.
    pub poll_min_seconds: u32,
    /// Which peer may have it relay to which domain.
    pub relays: Vec<(Domain, Domain)>,
    /// Which other node takes the mail of a domain, as this node's DNS has it.
    pub via: Vec<(Domain, usize)>,
    /// What is wrong with its disk from the beginning.
    pub vice: Vice,
    /// The log in front of the engine of its store, or none.
    pub log: Option<LogPlan>,
}

/// A message that a user writes.
#[derive(Debug, Clone)]
pub struct Writing {
    /// The node of its author.
    pub site: usize,
    /// The author.
    pub user: &'static str,
    /// For whom.
    pub recipients: Vec<Address>,
    /// Octets of its text.
    pub octets: usize,
    /// Its number, which makes it unlike all others.
    pub number: usize,
    /// Seconds for which it can be taken back.
    pub release_after_seconds: u64,
    /// Whether the author takes it back, as far as that goes, after so many milliseconds.
    pub withdraw_after_ms: Option<u64>,
}

/// Something that happens.
#[derive(Debug, Clone)]
pub enum Happening {
    /// A user writes.
    Write(Writing),
    /// A node ends at once, and comes back after some milliseconds.
    Crash {
        /// Which.
        site: usize,
        /// Whether the power of its machine goes. Else only the process ends, and what it had written is there afterwards, though
        /// none of it need have been durable.
        power: bool,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// The power of a node goes at a durable step, and comes back after some milliseconds.
    PowerCut {
        /// Which.
        site: usize,
        /// At which step.
        cut: PowerCut,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// Two nodes do not reach each other.
    Partition {
        /// One.
        one: usize,
        /// The other.
        other: usize,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// The disk of a node has a fault.
    Disk {
        /// Which.
        site: usize,
        /// What is wrong.
        fault: Fault,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// The clock of a node jumps.
    Jump {
        /// Which.
        site: usize,
        /// How far, in milliseconds.
        by_ms: i64,
    },
    /// A node cannot look up the domain of another one.
    Dns {
        /// Which.
        site: usize,
        /// Whose domain.
        about: usize,
        /// How it fails.
        failure: dns::Failure,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// What is held at a node is decided about.
    Decide {
        /// Which.
        site: usize,
        /// In favour.
        accept: bool,
    },
    /// The users of a node read their mail and remove it.
    Read {
        /// Which.
        site: usize,
    },
    /// The authors of a node look what became of their messages.
    Look {
        /// Which.
        site: usize,
    },
    /// A node asks about cookies that another one was given.
    Steal {
        /// Who asks.
        thief: usize,
    },
    /// The doorstep of a user opens, and is gone after some milliseconds without a word.
    Doorstep {
        /// Where.
        site: usize,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// The weather changes.
    Weather(Weather),
}

/// A whole world.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed that it follows from.
    pub seed: u64,
    /// Its nodes.
    pub sites: Vec<SitePlan>,
    /// Its weather in the beginning.
    pub weather: Weather,
    /// What happens, by its time in milliseconds since the beginning.
    pub happenings: Vec<(u64, Happening)>,
}

impl Plan {
    /// The world of a seed.
    pub fn of(seed: u64) -> Plan {
        let mut random = Random::new(seed ^ 0x5eed_0000_0000_0001);
        let count = random.between(2, 6) as usize;
        let mut sites = sites(count, &mut random.branch());
        let mut logs = Random::new(seed ^ 0x5eed_0000_0000_0002);
        sites.iter_mut().for_each(|site| site.log = Some(log(&mut logs)).filter(|_| logs.chance(50)));
        let weather = weather(&mut random);
        let mut happenings = writings(&sites, &mut random.branch());
        happenings.extend(troubles(count, &mut random.branch()));
        happenings.extend(ordinary(count, &mut random.branch()));
        happenings.extend(doorsteps(count, &mut random.branch()));
        // By time; what happens at one moment happens in the order in which it was thought of.
        happenings.sort_by_key(|(at_ms, _)| *at_ms);
        Plan { seed, sites, weather, happenings }
    }

    /// The same world, where the disk of each node has this vice.
    pub fn with_vice(mut self, vice: Vice) -> Plan {
        self.sites.iter_mut().for_each(|site| site.vice = vice);
        self
    }

    /// The same world, where every node has a log in front of its engine, or none has.
    pub fn with_logs(mut self, logs: bool) -> Plan {
        let mut random = Random::new(self.seed ^ 0x5eed_0000_0000_0003);
        self.sites.iter_mut().for_each(|site| site.log = Some(log(&mut random)).filter(|_| logs));
        self
    }
}

/// A log so small that its files fill up and are used again and again.
fn log(random: &mut Random) -> LogPlan {
    LogPlan {
        octets_max: random.between(3, 16) * 4096,
        settle_after: random.between(1, 8),
        seed: random.next_number(),
    }
}

fn weather(random: &mut Random) -> Weather {
    let delay_ms_min = random.between(1, 40);
    let rough = random.chance(60);
    Weather {
        delay_ms_min,
        delay_ms_max: delay_ms_min + random.between(0, 400),
        breaks_percent: if rough { random.between(0, 25) } else { 0 },
        silences_percent: if rough { random.between(0, 15) } else { 0 },
    }
}

fn sites(count: usize, random: &mut Random) -> Vec<SitePlan> {
    let domain = |place: usize| Domain::from_wire(&format!("d{place}.test")).unwrap();
    let mut sites: Vec<SitePlan> = (0..count)
        .map(|place| SitePlan {
            domain: domain(place),
            eager_octets: [0, 1_000, 64 * 1024][random.place(3)],
            queue_ms: [3, 8, 24][random.place(3)] * HOUR_MS,
            poll_min_seconds: [60, 300, 900][random.place(3)],
            relays: Vec::new(),
            via: Vec::new(),
            vice: Vice::None,
            log: None,
        })
        .collect();
    // A chain: the first has the mail of the last carried by those between.
    if count >= 3 && random.chance(70) {
        let length = random.between(3, count.min(4) as u64) as usize;
        let mut chain: Vec<usize> = (0..count).collect();
        for place in 0..length {
            let other = place + random.place(count - place);
            chain.swap(place, other);
        }
        chain.truncate(length);
        let last = chain[length - 1];
        for pair in chain.windows(2) {
            sites[pair[0]].via.push((domain(last), pair[1]));
        }
        for pair in chain[..length - 1].windows(2) {
            let peer = domain(pair[0]);
            sites[pair[1]].relays.push((peer, domain(last)));
        }
    }
    sites
}

fn writings(sites: &[SitePlan], random: &mut Random) -> Vec<(u64, Happening)> {
    let count = random.between(6, 30) as usize;
    (0..count)
        .map(|number| {
            let mut recipients = Vec::new();
            for _ in 0..random.between(1, 5) {
                let user = if random.chance(12) { STRANGER } else { USERS[random.place(USERS.len())] };
                let domain = &sites[random.place(sites.len())].domain;
                let address = Address::from_wire(&format!("{user}@{domain}")).unwrap();
                if !recipients.contains(&address) {
                    recipients.push(address);
                }
            }
            let octets = match random.next_number() % 10 {
                0 => random.between(40_000, 90_000),
                1..=3 => random.between(2_000, 20_000),
                _ => random.between(0, 500),
            };
            let writing = Writing {
                site: random.place(sites.len()),
                user: USERS[random.place(USERS.len())],
                recipients,
                octets: octets as usize,
                number,
                release_after_seconds: if random.chance(10) { random.between(1, 600) } else { 0 },
                withdraw_after_ms: random.chance(10).then(|| random.between(0, 20 * MINUTE_MS)),
            };
            (random.between(0, TROUBLED_MS * 3 / 4), Happening::Write(writing))
        })
        .collect()
}

fn troubles(count: usize, random: &mut Random) -> Vec<(u64, Happening)> {
    let troubles = random.between(0, 5 * count as u64);
    (0..troubles)
        .map(|_| {
            let site = random.place(count);
            let other = (site + 1 + random.place(count - 1)) % count;
            let for_ms = if random.chance(3) {
                // Longer than some queues try.
                random.between(5 * HOUR_MS, 30 * HOUR_MS)
            } else if random.chance(30) {
                random.between(10 * MINUTE_MS, 2 * HOUR_MS)
            } else {
                random.between(100, 5 * MINUTE_MS)
            };
            let happening = match random.next_number() % 20 {
                kind @ 0..=3 => Happening::Crash { site, power: kind < 2, for_ms },
                4..=8 => {
                    let cut = PowerCut { steps: random.between(0, 12), after: random.chance(50) };
                    Happening::PowerCut { site, cut, for_ms }
                }
                9 | 10 => Happening::Partition { one: site, other, for_ms },
                11..=13 => {
                    let fault = [Fault::Commits, Fault::Everything, Fault::Full][random.place(3)];
                    Happening::Disk { site, fault, for_ms }
                }
                14 | 15 => {
                    let most = if random.chance(20) { 30 * HOUR_MS } else { 10 * MINUTE_MS };
                    let by_ms = random.between(1_000, most) as i64;
                    Happening::Jump { site, by_ms: if random.chance(50) { by_ms } else { -by_ms } }
                }
                16..=18 => {
                    use dns::Failure;
                    let failure = [Failure::Timeout, Failure::ServerFailure, Failure::Bogus][random.place(3)];
                    // Keys that were found are remembered for some minutes: a short failure is not noticed.
                    let for_ms = random.between(5 * MINUTE_MS, HOUR_MS);
                    Happening::Dns { site, about: other, failure, for_ms }
                }
                _ => Happening::Weather(weather(random)),
            };
            (random.between(0, TROUBLED_MS), happening)
        })
        .collect()
}

/// Machines of users that come and go, most of them for less than a lease or for hours.
fn doorsteps(count: usize, random: &mut Random) -> Vec<(u64, Happening)> {
    (0..random.between(0, 6 * count as u64))
        .map(|_| {
            let for_ms = match random.chance(40) {
                true => random.between(1_000, 5 * MINUTE_MS),
                false => random.between(5 * MINUTE_MS, 2 * HOUR_MS),
            };
            let happening = Happening::Doorstep { site: random.place(count), for_ms };
            (random.between(0, TROUBLED_MS), happening)
        })
        .collect()
}

/// What people do anyway.
fn ordinary(count: usize, random: &mut Random) -> Vec<(u64, Happening)> {
    (0..count * 8)
        .map(|_| {
            let site = random.place(count);
            let happening = match random.next_number() % 4 {
                0 => Happening::Decide { site, accept: random.chance(60) },
                1 => Happening::Read { site },
                2 => Happening::Look { site },
                _ => Happening::Steal { thief: site },
            };
            (random.between(0, TROUBLED_MS), happening)
        })
        .collect()
}
