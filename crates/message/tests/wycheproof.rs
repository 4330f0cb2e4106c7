//! Project Wycheproof's Ed25519 cases against `verify_strict`, the verification that seals use.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod vectors;

use data_encoding::HEXLOWER_PERMISSIVE;
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::Value;

/// Cases where `verify_strict` answers otherwise than the file expects, by `tcId` with the reason. There are none.
const DIFFERENCES: &[(u64, &str)] = &[];

#[test]
fn ed25519_verify_strict() {
    let Some(text) = vectors::read("wycheproof/ed25519_test.json") else { return };
    let file: Value = serde_json::from_str(&text).unwrap();
    let (mut valid, mut invalid, mut differences) = (0, 0, Vec::new());
    for group in file["testGroups"].as_array().unwrap() {
        let key = octets(&group["publicKey"]["pk"]);
        for case in group["tests"].as_array().unwrap() {
            let expected = match case["result"].as_str().unwrap() {
                "valid" => true,
                "invalid" => false,
                other => panic!("a result this test does not know: {other}"),
            };
            *(if expected { &mut valid } else { &mut invalid }) += 1;
            if verifies(&key, &octets(&case["msg"]), &octets(&case["sig"])) != expected {
                differences.push(case["tcId"].as_u64().unwrap());
            }
        }
    }
    println!("ed25519: {valid} valid, {invalid} invalid, {} differences", differences.len());
    assert_eq!(differences, DIFFERENCES.iter().map(|(id, _)| *id).collect::<Vec<u64>>());
    assert_eq!((valid, invalid), (88, 63));
}

fn verifies(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = <[u8; 32]>::try_from(key) else { return false };
    let Ok(key) = VerifyingKey::from_bytes(&key) else { return false };
    let Ok(signature) = Signature::from_slice(signature) else { return false };
    key.verify_strict(message, &signature).is_ok()
}

fn octets(value: &Value) -> Vec<u8> {
    HEXLOWER_PERMISSIVE.decode(value.as_str().unwrap().as_bytes()).unwrap()
}
