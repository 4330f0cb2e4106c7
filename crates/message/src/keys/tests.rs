//! The vectors, which another program has made from the text, and what readers make of chains.

use bytes::Bytes;
use serde_json::Value;

use super::*;
use crate::address::Address;
use crate::{Claims, Digest, Error, PublicKey, Role, Seal, SecretKey};

const NOW: u64 = 1_800_000_000;
const MANIFEST: &[u8] = b"a manifest";

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../spec/vectors/keys.json")).unwrap()
}

fn octets(value: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn cases(name: &str) -> Vec<Value> {
    vectors()[name].as_array().unwrap().clone()
}

fn word<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap()
}

fn domain_key() -> PublicKey {
    PublicKey::from_bytes(&octets(&vectors()["domain_key"]).try_into().unwrap()).unwrap()
}

fn came_of<T>(found: Result<T, Error>) -> &'static str {
    match found {
        Ok(_) => "good",
        Err(Error::KeySignature) => "signature",
        Err(_) => "malformed",
    }
}

/// proves: KEY-1, KEY-2, KEY-4, KEY-11
#[test]
fn statements_and_records_are_read_as_the_vectors_say() {
    for case in cases("statements") {
        let found = Statement::parse(Bytes::from(octets(&case["octets"])));
        assert_eq!(came_of(found), word(&case, "expect"), "{}", word(&case, "name"));
    }
    for case in cases("records") {
        let signed = |record: KeyRecord| {
            assert_eq!(record.selector(), Some("w1"));
            if record.is_countersigned_by(&domain_key()) { Ok(()) } else { Err(Error::KeySignature) }
        };
        let found = KeyRecord::parse(Bytes::from(octets(&case["octets"]))).and_then(signed);
        assert_eq!(came_of(found), word(&case, "expect"), "{}", word(&case, "name"));
    }
    let head = TreeHead::parse(Bytes::from(octets(&cases("heads")[0]))).unwrap();
    assert!(head.is_signed_by(&domain_key()));
    assert_eq!((head.domain.as_str(), head.size, head.at), ("north.test", 5, NOW + 100));
}

/// Ed25519 and the deterministic encoding leave no choice: what we write has the octets of the vectors.
///
/// proves: KEY-1, KEY-2, KEY-3, KEY-4, KEY-11
#[test]
fn what_is_written_has_the_octets_of_the_vectors() {
    let (made, records) = (&vectors()["made"], cases("records"));
    let key = |name: &str| SecretKey::from_seed(&octets(&made[name]).try_into().unwrap());
    let (ada, later, domain) = (key("seed"), key("later"), key("domain_seed"));
    let first = stated(&ada, None, NOW, false);
    assert_eq!(first.octets()[..], octets(&cases("statements")[0]["octets"]));
    let record = KeyRecord::countersign(&first, None, "w1", &domain, NOW).unwrap();
    assert_eq!(record.octets()[..], octets(&records[0]["octets"]));
    let next = stated(&later, Some(&first), NOW + 50, false);
    let succession = next.succeed(&ada);
    let record = KeyRecord::countersign(&next, Some(&succession), "w1", &domain, NOW + 50).unwrap();
    assert_eq!(record.octets()[..], octets(&records[1]["octets"]));
    let head = TreeHead::parse(Bytes::from(octets(&cases("heads")[0]))).unwrap();
    let again = TreeHead::sign(&head.domain, (head.size, &head.root), head.at, "w1", &domain).unwrap();
    assert_eq!(again, head);
}

fn link_word(link: Link) -> &'static str {
    match link {
        Link::Same => "same",
        Link::Rotated => "rotated",
        Link::Broken => "broken",
    }
}

/// proves: KEY-3, KEY-5
#[test]
fn one_statement_follows_another_as_the_vectors_say() {
    for case in cases("links") {
        let before = Statement::parse(Bytes::from(octets(&case["before"]))).unwrap();
        let record = KeyRecord::parse(Bytes::from(octets(&case["octets"]))).unwrap();
        assert_eq!(link_word(record.link(&before)), word(&case, "expect"), "{}", word(&case, "name"));
    }
}

/// proves: KEY-5, KEY-19
#[test]
fn a_chain_is_read_as_the_vectors_say() {
    for case in cases("chains") {
        let hex = |name: &str| case[name].as_array().unwrap().iter().map(octets).collect::<Vec<_>>();
        let records: Vec<KeyRecord> =
            hex("records").into_iter().map(|one| KeyRecord::parse(Bytes::from(one)).unwrap()).collect();
        let keys: Vec<PublicKey> = records.iter().map(|one| one.statement().claims().key).collect();
        let chain = answer::Chain::of(records);
        let found: Vec<&str> = chain.links().iter().copied().map(link_word).collect();
        let expected: Vec<&str> =
            case["expect"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
        assert_eq!(found, expected, "{}", word(&case, "name"));
        let revoked = hex("revoked");
        for key in keys {
            let expected = revoked.iter().any(|one| one[..] == key.as_bytes()[..]);
            assert_eq!(chain.revokes(&key), expected, "{}", word(&case, "name"));
        }
    }
}

/// proves: KEY-12, KEY-13, KEY-14, KEY-15
#[test]
fn answers_are_checked_as_the_vectors_say() {
    let hashes = |value: &Value| -> Vec<tree::Hash> {
        value.as_array().unwrap().iter().map(|one| octets(one).try_into().unwrap()).collect()
    };
    for case in cases("answers") {
        let proved = |one: &Value| Proved {
            record: KeyRecord::parse(Bytes::from(octets(&one["record"]))).unwrap(),
            leaf: one["leaf"].as_u64().unwrap(),
            way: hashes(&one["way"]),
        };
        let answer = KeyAnswer {
            head: TreeHead::parse(Bytes::from(octets(&case["head"]))).unwrap(),
            records: case["records"].as_array().unwrap().iter().map(proved).collect(),
            consistency: hashes(&case["consistency"]),
        };
        assert_eq!(answer.selectors().into_iter().collect::<Vec<&str>>(), ["w1"]);
        let seen = case["seen"].as_object().map(|seen| SeenHead {
            size: seen["size"].as_u64().unwrap(),
            root: octets(&seen["root"]).try_into().unwrap(),
        });
        let address = Address::from_wire(word(&case, "address")).unwrap();
        let key_of = |selector: &str| (selector == "w1").then(domain_key);
        let found = match answer.check(&address, seen.as_ref(), key_of, case["now"].as_u64().unwrap()) {
            Ok(_) => "good",
            Err(NotProved::Split) => "split",
            Err(NotProved::Wrong(_)) => "wrong",
        };
        assert_eq!(found, word(&case, "expect"), "{}", word(&case, "name"));
    }
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

fn stated(key: &SecretKey, before: Option<&Statement>, not_before: u64, revoked: bool) -> Statement {
    let claims = StatementClaims {
        address: Address::from_wire("ada@north.test").unwrap(),
        key: key.public(),
        not_before,
        not_after: NOW + 31_536_000,
        previous: before.map(Statement::digest),
        revoked,
    };
    Statement::sign(claims, key)
}

/// A chain of these keys: each with whether the one before has signed it, and whether it is a revocation.
fn chain(keys: &[(u8, bool, bool)]) -> Chain {
    let (mut records, mut before) = (Vec::<KeyRecord>::new(), None::<(Statement, SecretKey)>);
    for (place, (number, signed, revoked)) in keys.iter().enumerate() {
        let own = key(*number);
        let from = NOW + 1_000 * place as u64;
        let statement = stated(&own, before.as_ref().map(|(before, _)| before), from, *revoked);
        let succession = before.as_ref().filter(|_| *signed).map(|(_, key)| statement.succeed(key));
        records
            .push(KeyRecord::countersign(&statement, succession.as_deref(), "w1", &key(99), from).unwrap());
        before = Some((statement, own));
    }
    answer::Chain::of(records)
}

fn seal(number: u8, issued_at: u64) -> Seal {
    let claims = Claims {
        issuer: "ada@north.test".to_owned(),
        issued_at,
        expires_at: None,
        role: Role::Author,
        submitter: None,
        recipient: None,
        authorization: None,
        checks: Vec::new(),
    };
    Seal::sign(MANIFEST, claims, &key(number).public().id().0, &key(number))
}

/// proves: KEY-16, KEY-17, KEY-18, KEY-19
#[test]
fn a_reader_trusts_what_follows_from_what_was_seen() {
    let now = NOW + 10_000;
    let one = chain(&[(1, false, false)]);
    let rotated = chain(&[(1, false, false), (2, true, false)]);
    let broken = chain(&[(1, false, false), (2, false, false)]);
    let revoked = chain(&[(1, false, false), (1, false, true)]);
    let anew = chain(&[(1, false, false), (1, false, true), (2, true, false)]);
    let other = chain(&[(3, false, false)]);
    let nothing = Chain::default();
    let pin = |chain: &Chain| Some(follow(None, chain));
    let by = Known::Chain;
    let check = |what: &str, seal: Seal, pin: Option<Pin>, known: Known<'_>, expected: AuthorKey| {
        let (found, key, _) = judge(&seal, MANIFEST, pin.as_ref(), known, now);
        assert_eq!(found, expected, "{what}");
        assert_eq!(key.is_some(), expected.is_own(), "{what}");
    };
    let early = NOW + 10;
    check("the first letter", seal(1, early), None, by(&one), AuthorKey::First);
    check("the second", seal(1, early), pin(&one), by(&one), AuthorKey::Known);
    check("a new key, signed", seal(2, NOW + 1_100), pin(&one), by(&rotated), AuthorKey::Rotated);
    check("and again", seal(2, NOW + 1_100), pin(&rotated), by(&rotated), AuthorKey::Known);
    check("the old key, in time", seal(1, early), pin(&rotated), by(&rotated), AuthorKey::Known);
    check("the old key, too late", seal(1, NOW + 1_400), pin(&rotated), by(&rotated), AuthorKey::Wrong);
    check("a new key, not signed", seal(2, NOW + 1_100), pin(&one), by(&broken), AuthorKey::Broken);
    check("the old key beside it", seal(1, early), pin(&one), by(&broken), AuthorKey::Known);
    check("whoever comes later takes the newest", seal(2, NOW + 1_100), None, by(&broken), AuthorKey::First);
    check("a revoked key", seal(1, early), pin(&one), by(&revoked), AuthorKey::Revoked);
    check("also as the first", seal(1, early), None, by(&revoked), AuthorKey::Revoked);
    check("a thief's succession", seal(2, NOW + 2_100), pin(&one), by(&anew), AuthorKey::Broken);
    check("another chain", seal(3, early), pin(&one), by(&other), AuthorKey::Broken);
    check("the statements are gone", seal(1, early), pin(&one), by(&nothing), AuthorKey::Known);
    check("a key that nobody stated", seal(4, early), pin(&one), by(&one), AuthorKey::Wrong);
    check("no key was stated", seal(1, early), None, by(&nothing), AuthorKey::Wrong);
    check("before it was good", seal(1, NOW - 301), None, by(&one), AuthorKey::Wrong);
    check("from the future", seal(1, now + 301), pin(&one), by(&one), AuthorKey::Unchecked);
    check("nobody answers", seal(1, early), None, Known::Nothing, AuthorKey::Unchecked);
    check("nobody answers, and it is pinned", seal(1, early), pin(&one), Known::Nothing, AuthorKey::Known);
    check("nobody answers, another key", seal(2, early), pin(&one), Known::Nothing, AuthorKey::Unchecked);
    check("two histories", seal(1, early), pin(&one), Known::Split, AuthorKey::Split);
    let forged = {
        let seal = seal(1, early);
        judge(&seal, b"another manifest", pin(&one).as_ref(), by(&one), now).0
    };
    assert_eq!(forged, AuthorKey::Wrong);
}

/// Each link is a signature, and each reader follows the chain.
///
/// proves: KEY-17
#[test]
fn a_chain_is_verified_once_and_not_for_each_reader() {
    let rotated = chain(&[(1, false, false), (2, true, false)]);
    assert_eq!(rotated.links(), [Link::Broken, Link::Rotated]);
    let otherwise = Chain::linked(rotated.records().to_vec(), vec![Link::Broken, Link::Broken]);
    assert_eq!(follow(None, &rotated).keys.len(), 2);
    assert_eq!(follow(None, &otherwise).keys.len(), 1, "what was found before counts");
}

/// A thief of the first key seals as if it were still its time.
///
/// proves: KEY-16, KEY-18, KEY-19
#[test]
fn a_key_that_was_replaced_does_not_come_back_and_escapes_no_revocation() {
    let rotated = chain(&[(1, false, false), (2, true, false)]);
    let back = chain(&[(1, false, false), (2, true, false), (1, true, false)]);
    let revoked = chain(&[(1, false, false), (2, true, false), (1, true, false), (1, false, true)]);
    let behind = chain(&[(1, false, false), (2, true, false), (3, false, false), (1, false, true)]);
    let anew = chain(&[(1, false, false), (1, false, true), (1, false, false)]);
    let (early, late, now) = (NOW + 10, NOW + 2_400, NOW + 10_000);
    let found = |seal: &Seal, pin: Option<&Pin>, known| judge(seal, MANIFEST, pin, known, now).0;
    let before = follow(None, &rotated);
    let pin = follow(Some(&before), &back);
    assert_eq!((&pin.keys, pin.broken_by), (&before.keys, Some(key(1).public())));
    assert_eq!(found(&seal(1, early), Some(&pin), Known::Chain(&back)), AuthorKey::Known);
    assert_eq!(found(&seal(1, late), Some(&pin), Known::Chain(&back)), AuthorKey::Wrong);
    for chain in [&revoked, &behind] {
        let (told, _, after) = judge(&seal(1, early), MANIFEST, Some(&before), Known::Chain(chain), now);
        assert_eq!(told, AuthorKey::Revoked);
        // It is kept in mind, also when nobody answers; and the key after it is what it was.
        assert_eq!(found(&seal(1, early), after.as_ref(), Known::Nothing), AuthorKey::Revoked);
        assert_eq!(found(&seal(2, NOW + 1_100), after.as_ref(), Known::Chain(chain)), AuthorKey::Known);
        let mut both = before.clone();
        both.keys
            .push(PinnedKey { statement: chain.records()[2].statement().digest(), ..both.keys[0].clone() });
        assert_eq!(found(&seal(1, early), Some(&both), Known::Chain(chain)), AuthorKey::Revoked);
    }
    assert_eq!(found(&seal(1, early), None, Known::Chain(&revoked)), AuthorKey::Revoked);
    assert_eq!(found(&seal(1, late), None, Known::Chain(&anew)), AuthorKey::Revoked);
}

/// proves: KEY-17, KEY-18
#[test]
fn what_is_pinned_stays_where_the_chain_breaks() {
    let one = chain(&[(1, false, false)]);
    let pinned = follow(None, &one);
    assert_eq!(pinned.keys.len(), 1);
    let broken = chain(&[(1, false, false), (2, false, false)]);
    let after = follow(Some(&pinned), &broken);
    assert_eq!(after.keys, pinned.keys);
    assert_eq!(after.broken_by, Some(key(2).public()));
    // It is kept in mind, also when nobody answers.
    let (found, _, _) = judge(&seal(2, NOW + 1_100), MANIFEST, Some(&after), Known::Nothing, NOW + 2_000);
    assert_eq!(found, AuthorKey::Broken);
    // A wrong seal pins nothing, and the first good one pins all that follow one another.
    let stranger = Seal::sign(b"x", seal(1, NOW).claims().clone(), &key(1).public().id().0, &key(1));
    assert_eq!(judge(&stranger, MANIFEST, None, Known::Chain(&one), NOW + 9).2, None);
    let many: Vec<(u8, bool, bool)> = (1..=6).map(|number| (number, true, false)).collect();
    let many = follow(None, &chain(&many));
    let numbers: Vec<Digest> = many.keys.iter().map(|one| Digest::of(one.key.as_bytes())).collect();
    let expected: Vec<Digest> = (3..=6).map(|number| Digest::of(key(number).public().as_bytes())).collect();
    assert_eq!(numbers, expected, "the newest stay");
}
