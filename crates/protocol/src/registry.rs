//! The numbers on the wire. `spec/registry.md` is the same table for people; a test holds the two together.

/// Frame types: key 0 of every frame.
pub mod frame {
    /// What a server allows, in its first flight.
    pub const SETTINGS: u64 = 1;
    /// A message is offered.
    pub const OFFER: u64 = 2;
    /// Octets of content follow.
    pub const CONTENT: u64 = 3;
    /// Content is wanted.
    pub const WANT: u64 = 4;
    /// One disposition per recipient.
    pub const OUTCOME: u64 = 5;
    /// The status of cookies is asked for.
    pub const POLL: u64 = 6;
    /// The status of cookies.
    pub const ANSWERS: u64 = 7;
    /// Cookies that have settled, told unasked.
    pub const SETTLED: u64 = 8;
    /// The sender has stopped caring.
    pub const GIVE_UP: u64 = 9;
    /// It was done.
    pub const DONE: u64 = 10;
    /// It was not done.
    pub const FAILURE: u64 = 11;
    /// A device key is enrolled.
    pub const ENROL: u64 = 16;
    /// Status records are asked for.
    pub const STATUS: u64 = 17;
    /// Status records.
    pub const STATUS_LIST: u64 = 18;
    /// The mailbox is listed.
    pub const MAILBOX: u64 = 19;
    /// Entries of the mailbox.
    pub const MAILBOX_LIST: u64 = 20;
    /// Content of a message in the mailbox is fetched.
    pub const FETCH: u64 = 21;
    /// The enrolled devices are listed.
    pub const DEVICES: u64 = 22;
    /// Enrolled devices.
    pub const DEVICE_LIST: u64 = 23;
    /// A device is removed.
    pub const REMOVE_DEVICE: u64 = 24;
    /// What is held for the user is listed.
    pub const HELD: u64 = 25;
    /// What is held.
    pub const HELD_LIST: u64 = 26;
    /// The user has decided about what is held.
    pub const DECIDE: u64 = 27;
    /// A device asks for redirects to itself.
    pub const DOORSTEP: u64 = 28;
    /// For how long they are made.
    pub const DOORSTEP_LEASE: u64 = 29;
    /// What a device has taken.
    pub const DOORSTEP_TOOK: u64 = 30;
    /// A device wants no more redirects.
    pub const DOORSTEP_END: u64 = 31;
    /// The keys of an address are asked for.
    pub const KEY: u64 = 32;
    /// What the domain has of them.
    pub const KEY_ANSWER: u64 = 33;
    /// A user states a key.
    pub const KEY_PUBLISH: u64 = 34;
    /// What is pinned of a correspondent is asked for.
    pub const KEY_PINNED: u64 = 35;
    /// What is pinned.
    pub const KEY_PINS: u64 = 36;
}

/// What a content frame carries.
pub mod piece {
    /// The manifest.
    pub const MANIFEST: u64 = 1;
    /// The seals, a CBOR array of byte strings.
    pub const SEALS: u64 = 2;
    /// All header blocks.
    pub const HEADERS: u64 = 3;
    /// The body of a leaf, from an octet on.
    pub const BODY: u64 = 4;
    /// A range of a leaf with its proof.
    pub const SLICE: u64 = 5;
}

/// Selections of content.
pub mod selection {
    /// Everything.
    pub const ALL: u64 = 0;
    /// Headers.
    pub const HEADERS: u64 = 1;
    /// The identity only.
    pub const DIGEST: u64 = 2;
    /// The seals only.
    pub const SIGNERS: u64 = 3;
    /// Headers and the first text part.
    pub const TEXT: u64 = 4;
    /// Given parts, each from an octet on.
    pub const PARTS: u64 = 5;
    /// A range with its proof.
    pub const RANGE: u64 = 6;
}

/// Dispositions.
pub mod disposition {
    /// Final responsibility was taken.
    pub const ACCEPTED: u64 = 0;
    /// It will not be delivered.
    pub const REFUSED: u64 = 1;
    /// The answer comes later.
    pub const PENDING: u64 = 2;
    /// Nothing was kept.
    pub const DEFERRED: u64 = 3;
    /// The recipient's own daemon takes it.
    pub const REDIRECTED: u64 = 4;
    /// The sender gave up.
    pub const WITHDRAWN: u64 = 5;
    /// Time ran out.
    pub const EXPIRED: u64 = 6;
    /// A server of the old world has it, and no more is known.
    pub const RELAYED: u64 = 7;
}

/// Answers to cookies.
pub mod answer {
    /// No such cookie, or not of this peer, or too old.
    pub const UNKNOWN: u64 = 0;
    /// It has settled.
    pub const FINAL: u64 = 1;
    /// Not yet.
    pub const PENDING: u64 = 2;
    /// The message is to be offered again.
    pub const WANT: u64 = 3;
}

/// What comes unasked with an offer.
pub mod eager {
    /// Nothing.
    pub const NOTHING: u64 = 0;
    /// Manifest, seals and headers.
    pub const HEADERS: u64 = 1;
    /// Everything.
    pub const ALL: u64 = 2;
}
