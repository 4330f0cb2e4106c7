//! Reads the vectors of `spec/vectors`, which a program in another language has made from the specification.

use data_encoding::HEXLOWER;
use serde_json::Value;

/// One of the files.
pub(crate) fn vectors(file: &str) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/vectors/");
    let text = std::fs::read_to_string(format!("{path}{file}")).expect("the vectors are whole");
    serde_json::from_str(&text).expect("the vectors are whole")
}

/// The cases under this name; there must be some.
pub(crate) fn cases<'a>(file: &'a Value, name: &str) -> &'a [Value] {
    let cases = file[name].as_array().expect(name);
    assert!(!cases.is_empty(), "{name}");
    cases
}

/// A text field of a case.
pub(crate) fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().expect(name)
}

/// The octets of a field that holds hexadecimal digits.
pub(crate) fn octets(case: &Value, name: &str) -> Vec<u8> {
    HEXLOWER.decode(text(case, name).as_bytes()).expect("the vectors are whole")
}
