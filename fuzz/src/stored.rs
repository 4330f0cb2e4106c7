//! Records of a store, damaged in any way: what cannot be read is damage of that record alone.

use message::{Cookie, Identity};
use storage::{Batch, Engine, EnvelopeId, FindingKind, Memory, Settings, Store};

/// Keys under which a reader would come by, one for each table.
fn keys() -> Vec<Vec<u8>> {
    let number = [0, 0, 0, 0, 0, 0, 0, 9];
    let identity = [9; 32];
    let cookie = *message::Digest::of(&[9; 32]).as_bytes();
    vec![
        b"Aada\0".to_vec(),
        b"aada@north.test\0".to_vec(),
        [&b"d"[..], &identity].concat(),
        [&b"m"[..], &identity, b"M\0"].concat(),
        [&b"m"[..], &identity, b"B\0\0\0\0"].concat(),
        [&b"E"[..], &number, &[0]].concat(),
        [&b"m"[..], &identity, b"e", &number].concat(),
        [&b"J"[..], &number, &[0, 0, 0, 0]].concat(),
        [&b"m"[..], &identity, b"Onorth.test\0ada@north.test\0"].concat(),
        [&b"C"[..], &cookie].concat(),
        [&b"W"[..], &number, &[0, 0, 0, 0]].concat(),
        [&b"L"[..], &number].concat(),
        [&b"Qexchange:north.test\0"[..], &number, &number].concat(),
        [&b"Nexchange:north.test\0"[..], &number].concat(),
        [&b"Uada\0"[..], &number].concat(),
        [&b"m"[..], &identity, b"HUada\0"].concat(),
        [&b"X"[..], &number, b"E", &number, &[0, 0, 0, 0]].concat(),
        b"Zopened".to_vec(),
        // As a store of before has them: they are moved when it is opened.
        [&b"M"[..], &identity, &[0]].concat(),
        [&b"H"[..], &identity, b"E", &number].concat(),
        [&b"uada\0"[..], &identity].concat(),
        b"Onorth.test\0".to_vec(),
    ]
}

/// Records as `spec/12-storage.md` has them, behind the number of their key.
pub(crate) fn records() -> Vec<Vec<u8>> {
    let account = b"\xa4\x00\x01\x01\x63ada\x02\x81\x6eada@north.test\x04\x80".to_vec();
    let leg = b"\xa8\x00\x01\x01\x09\x02\x09\x03\x73exchange:north.test\x04\x81\x00\x05\x01\x06\x01\x07\x00"
        .to_vec();
    let once = b"\xa3\x00\x01\x01\x09\x02\x00".to_vec();
    let mut all: Vec<Vec<u8>> = Vec::new();
    for key in 0..keys().len() as u8 {
        for record in [&account, &leg, &once] {
            all.push([&[key, 0, record.len() as u8][..], record].concat());
        }
    }
    all.push([&[0, 0, account.len() as u8][..], &account, &[11, 0, leg.len() as u8], &leg].concat());
    all
}

/// The octets are records: the number of a key, two octets of length, the value.
pub(crate) fn store(octets: &[u8]) {
    let memory = Memory::new();
    drop(memory.open(Settings::default()).expect("an empty store can be opened"));
    let (keys, mut batch, mut rest) = (keys(), Batch::default(), octets);
    while let [key, high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len());
        batch.put(keys[usize::from(*key) % keys.len()].clone(), tail[..length].to_vec());
        rest = &tail[length..];
    }
    memory.apply(&batch).expect("memory takes everything");
    // A store of another format is not opened; one with a damaged record is.
    let Ok(store) = memory.open(Settings::default()) else { return };
    let identity = Identity::from_bytes([9; 32]);
    let mut findings = 0;
    store
        .check(&mut |finding| findings += usize::from(finding.kind != FindingKind::Staging))
        .expect("a check goes on");
    assert!(findings <= 8 * (keys.len() + 4), "so many findings in so few records: {findings}");
    store.export(&mut drop).expect("an export goes on");
    let _ =
        (store.account("ada"), store.account_of_address("ada@north.test"), store.account_of_device(&[9; 32]));
    let _ = (store.accounts(None, 10), store.message(identity).is_ok(), store.envelope(EnvelopeId(9)));
    let _ = (
        store.envelopes_of("ada", None, 10),
        store.envelopes_for(identity, 10),
        store.attempts(EnvelopeId(9)),
    );
    let _ = (store.mailbox("ada", None, 10), store.mail_of("ada", identity), store.legs(None, None, 10));
    let _ = (store.lanes(None, 10), store.held(None, None, 10), store.next_due(1));
    let answers = store.poll("north.test", &[Cookie::from_bytes([9; 32])], 1);
    assert!(answers.map_or(1, |answers| answers.len()) == 1);
    // Whatever the records say, a reader gets out what it may hold.
    if let Ok(Some(account)) = store.account("ada") {
        assert!(account.name.len() <= 1024 && account.addresses.len() <= 65_536);
    }
}
