//! Seals: `spec/04-seals.md`, against vectors that another implementation of COSE and Ed25519 has made.

mod support;

use bytes::Bytes;
use coset::{CborSerializable, CoseSign1};
use proptest::prelude::*;
use serde_json::Value;
use support::{cases, octets, octets_of, text, vectors};
use waxwing_message::limits::SEAL_OCTETS_MAX;
use waxwing_message::{Claims, Error, PublicKey, Role, Seal, SecretKey};

fn array<const N: usize>(octets: &[u8]) -> [u8; N] {
    octets.try_into().expect("the vectors are whole")
}

fn secret(seed: &[u8]) -> SecretKey {
    SecretKey::from_seed(&array(seed))
}

fn claims_of(value: &Value) -> Claims {
    let word =
        |name: &str| value.get(name).map(|text| text.as_str().expect("the vectors are whole").to_owned());
    Claims {
        issuer: word("issuer").expect("the vectors are whole"),
        issued_at: value["issued_at"].as_u64().expect("the vectors are whole"),
        expires_at: value.get("expires_at").map(|time| time.as_u64().expect("the vectors are whole")),
        role: Role::from_number(value["role"].as_u64().expect("the vectors are whole")),
        submitter: word("submitter"),
        recipient: word("recipient"),
        authorization: word("authorization"),
        checks: value.get("checks").map(checks_of).unwrap_or_default(),
    }
}

fn checks_of(value: &Value) -> Vec<(String, String)> {
    serde_json::from_value(value.clone()).expect("the vectors are whole")
}

/// In one word what becomes of a seal: the words of the vectors.
fn judge(case: &Value) -> &'static str {
    let Ok(seal) = Seal::parse(Bytes::from(octets(case, "seal"))) else { return "malformed" };
    let key = PublicKey::from_bytes(&array(&octets(case, "key"))).expect("the vectors are whole");
    match seal.verify(&octets(case, "manifest"), &key, case["now"].as_u64().expect("the vectors are whole")) {
        Ok(verified) => {
            assert_eq!(verified.claims(), seal.claims());
            assert_eq!(verified.key(), key);
            "verified"
        }
        Err(Error::Signature) => "signature",
        Err(Error::SealTime(_)) => "time",
        Err(Error::Seal(_)) => "algorithm",
        Err(_) => "another error",
    }
}

/// proves: SEAL-1, SEAL-2, SEAL-3, SEAL-4, SEAL-5, SEAL-6
#[test]
fn seals_are_judged_as_the_vectors_say() {
    for case in cases(&vectors("seals.json"), "cases") {
        assert_eq!(judge(case), text(case, "expect"), "{}: {}", text(case, "rule"), text(case, "name"));
    }
}

/// Ed25519 draws no numbers and the encoding has one form, so two implementations write the same octets.
///
/// proves: SEAL-1, SEAL-2, SEAL-3
#[test]
fn a_seal_made_here_has_the_octets_of_one_made_elsewhere() {
    let all = vectors("seals.json");
    let made: Vec<&Value> = cases(&all, "cases").iter().filter(|case| case.get("seed").is_some()).collect();
    assert_eq!(made.len(), 4);
    for case in made {
        let claims = claims_of(&case["claims"]);
        let key = secret(&octets(case, "seed"));
        let seal = Seal::sign(&octets(case, "manifest"), claims.clone(), &octets(case, "kid"), &key);
        assert_eq!(seal.octets(), &octets(case, "seal"), "{}", text(case, "name"));
        let read = Seal::parse(seal.octets().clone()).unwrap();
        assert_eq!(read, seal);
        assert_eq!(read.claims(), &claims);
        assert_eq!(read.key_name(), octets(case, "kid"));
    }
}

/// proves: SEAL-1
#[test]
fn another_reader_of_cose_reads_our_seals() {
    for case in cases(&vectors("seals.json"), "cases").iter().filter(|case| case.get("seed").is_some()) {
        let key = PublicKey::from_bytes(&array(&octets(case, "key"))).unwrap();
        let dalek = ed25519_dalek::VerifyingKey::from_bytes(key.as_bytes()).unwrap();
        let cose = CoseSign1::from_slice(&octets(case, "seal")).unwrap();
        let verified = cose.verify_detached_signature(
            &octets(case, "manifest"),
            b"waxwing seal 1",
            |signature, signed| {
                dalek.verify_strict(signed, &ed25519_dalek::Signature::from_slice(signature).unwrap())
            },
        );
        assert!(verified.is_ok());
        assert_eq!(cose.protected.header.key_id, octets(case, "kid"));
    }
}

/// proves: SEAL-6
#[test]
fn keys_have_the_ids_of_the_vectors() {
    for case in cases(&vectors("seals.json"), "keys") {
        let public = secret(&octets(case, "seed")).public();
        assert_eq!(public.as_bytes()[..], octets(case, "public"));
        assert_eq!(public.id().to_string(), text(case, "id"));
        assert_eq!(secret(&octets(case, "seed")).seed()[..], octets(case, "seed"));
    }
}

/// proves: SEAL-5
#[test]
fn weak_keys_are_refused_when_they_are_read() {
    for key in cases(&vectors("seals.json"), "weak") {
        assert!(PublicKey::from_bytes(&array(&octets_of(key))).is_err(), "{key}");
    }
    // Not on the curve: y = 2 has no x (x^2 = 3 / (4d + 1) is no square).
    let mut off = [0; 32];
    off[0] = 2;
    assert!(PublicKey::from_bytes(&off).is_err());
}

/// A signature whose scalar is not reduced, S + L: lax verifiers take it for a second signature.
///
/// proves: SEAL-5
#[test]
fn a_second_form_of_a_signature_is_refused() {
    // The order of the group, RFC 8032 section 5.1, little-endian.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let all = vectors("seals.json");
    let mut case = cases(&all, "cases")[0].clone();
    assert_eq!(judge(&case), "verified");
    let mut seal = octets(&case, "seal");
    let scalar = seal.len() - 32;
    let mut carry = 0_u16;
    for (octet, order) in seal[scalar..].iter_mut().zip(ORDER) {
        carry += u16::from(*octet) + u16::from(order);
        *octet = carry as u8;
        carry >>= 8;
    }
    case["seal"] = data_encoding::HEXLOWER.encode(&seal).into();
    assert_eq!(judge(&case), "signature");
}

/// proves: SEAL-4
#[test]
fn what_is_unknown_is_carried_with_its_octets() {
    let all = vectors("seals.json");
    let carried = |name: &str| {
        let case = cases(&all, "cases").iter().find(|case| text(case, "name") == name).unwrap();
        let seal = Seal::parse(Bytes::from(octets(case, "seal"))).unwrap();
        assert_eq!(seal.octets(), &octets(case, "seal"));
        seal
    };
    let role = carried("an unknown role verifies as a signature").claims().role;
    assert_eq!(role, Role::Unknown(99));
    assert_eq!(role.word(), "unknown");
    assert_eq!(carried("an algorithm that has no number yet").claims().issuer, "ada@north.test");
    assert_eq!(carried("an algorithm with a name").claims().role, Role::Author);
}

/// proves: SEAL-1
#[test]
fn deep_and_large_seals_are_refused() {
    let deep = |depth: usize| {
        let mut header = vec![0xa4, 0x01, 0x27, 0x04, 0x41, b'k', 0x0f];
        header.extend([0xa3, 0x01, 0x61, b'a', 0x06, 0x01, 0x3a, 0x00, 0x01, 0x11, 0x70, 0x01, 0x18, 0x64]);
        header.extend(vec![0x81; depth]);
        header.push(0);
        let mut seal = vec![0x84];
        seal.extend(waxwing_message::cbor::encode(&waxwing_message::cbor::bytes(&header)));
        seal.extend([0xa0, 0xf6, 0x40]);
        Seal::parse(Bytes::from(seal)).is_ok()
    };
    assert!(deep(10));
    assert!(!deep(40));
    assert!(!deep(4_000));
    let large = vec![0; SEAL_OCTETS_MAX + 1];
    assert!(matches!(Seal::parse(Bytes::from(large)), Err(Error::Bound { .. })));
}

fn any_claims() -> impl Strategy<Value = Claims> {
    let word = || proptest::option::of("[^\\p{Cc}]{0,60}");
    let check = ("[^\\p{Cc}]{1,8}", "[^\\p{Cc}]{1,48}");
    let checks = proptest::collection::vec(check, 0..=16);
    let all = (
        "[^\\p{Cc}]{0,60}",
        any::<u64>(),
        any::<Option<u64>>(),
        any::<u64>(),
        word(),
        word(),
        word(),
        checks,
    );
    all.prop_map(|(issuer, issued_at, expires_at, role, submitter, recipient, authorization, checks)| {
        Claims {
            issuer,
            issued_at,
            expires_at,
            role: Role::from_number(role),
            submitter,
            recipient,
            authorization,
            checks,
        }
    })
}

proptest! {
    /// proves: SEAL-3
    #[test]
    fn any_claims_come_back(claims in any_claims(), seed in any::<[u8; 32]>(), manifest in any::<Vec<u8>>()) {
        let key = SecretKey::from_seed(&seed);
        let seal = Seal::sign(&manifest, claims.clone(), b"k", &key);
        let read = Seal::parse(seal.octets().clone()).unwrap();
        prop_assert_eq!(read.claims(), &claims);
        let now = claims.issued_at.saturating_sub(300);
        let in_time = claims.expires_at.is_none_or(|expires_at| expires_at > now);
        prop_assert_eq!(read.verify(&manifest, &key.public(), now).is_ok(), in_time);
    }

    /// proves: SEAL-2
    #[test]
    fn any_changed_octet_breaks_a_seal(at in any::<prop::sample::Index>(), bit in 0_u32..8) {
        let all = vectors("seals.json");
        let mut case = cases(&all, "cases")[1].clone();
        let mut seal = octets(&case, "seal");
        let at = at.index(seal.len());
        seal[at] ^= 1 << bit;
        case["seal"] = data_encoding::HEXLOWER.encode(&seal).into();
        prop_assert_ne!(judge(&case), "verified");
    }

    #[test]
    fn no_octets_make_a_reader_panic(octets in any::<Vec<u8>>()) {
        prop_assert!(Seal::parse(Bytes::from(octets)).is_err());
    }
}
