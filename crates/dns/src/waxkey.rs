//! A domain's signing keys in the DNS: TXT `<selector>._waxkey.<domain>`, `v=1; k=ed25519; p=<base64>`.
//!
//! The syntax is the tag-list of DKIM (RFC 6376, section 3.2), read strictly: `v=1` stands first, no tag stands
//! twice, unknown tags are ignored, white space is space and tab only.

use data_encoding::BASE64;

use crate::limits::{KEY_RECORD_OCTETS_MAX, KEY_RECORD_TAGS_MAX};
use crate::{Error, Resolver, Security, name};

/// A domain's public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DomainKey {
    /// Ed25519 (RFC 8032), as 32 octets; whether they are a point on the curve is for the verifier to find.
    pub public: [u8; 32],
}

/// What one key record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRecord {
    /// A key in use.
    Key(DomainKey),
    /// An empty `p`: there was a key under this selector, and it must not be trusted any more.
    Revoked,
}

/// A key record as the DNS gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// What the record says.
    pub record: KeyRecord,
    /// How well it is proven.
    pub security: Security,
    /// For how many seconds it may be relied on.
    pub ttl_seconds: u32,
}

/// The name under which a key is looked up, in lower case.
///
/// # Errors
/// [`Error::BadName`] where selector, domain or the whole are no names.
pub fn name_of(selector: &str, domain: &str) -> Result<String, Error> {
    name::below(&format!("{selector}._waxkey"), domain)
}

/// Asks for a domain's key; `None` where there is no record under this selector. keeps: DISCOVERY-10
///
/// # Errors
/// Those of [`Resolver::txt`], and [`Error::MalformedKey`] where the record cannot be read or is not alone.
pub async fn fetch(resolver: &dyn Resolver, selector: &str, domain: &str) -> Result<Option<Found>, Error> {
    let answer = resolver.txt(&name_of(selector, domain)?).await?;
    match answer.records.as_slice() {
        [] => Ok(None),
        [text] => Ok(Some(Found {
            record: parse(text)?,
            security: answer.security,
            ttl_seconds: answer.ttl_seconds,
        })),
        _ => Err(Error::MalformedKey("more than one record under the selector")),
    }
}

/// Reads the text of one record, its strings joined. keeps: DISCOVERY-9
///
/// # Errors
/// [`Error::MalformedKey`].
pub fn parse(text: &[u8]) -> Result<KeyRecord, Error> {
    let (mut algorithm, mut public) = (None, None);
    for (at, (tag, value)) in tags(text)?.into_iter().enumerate() {
        match (at, tag) {
            (0, "v") if value == "1" => {}
            (0, _) => return Err(Error::MalformedKey("does not start with v=1")),
            (_, "k") => algorithm = Some(value),
            (_, "p") => public = Some(value),
            _ => {}
        }
    }
    if algorithm != Some("ed25519") {
        return Err(Error::MalformedKey("k is not ed25519"));
    }
    key(public.ok_or(Error::MalformedKey("no p"))?)
}

/// The text of a record: at most 62 octets, so one string is enough. keeps: DISCOVERY-9
#[must_use]
pub fn write(record: &KeyRecord) -> String {
    match record {
        KeyRecord::Key(key) => format!("v=1; k=ed25519; p={}", BASE64.encode(&key.public)),
        KeyRecord::Revoked => "v=1; k=ed25519; p=".to_owned(),
    }
}

fn key(base64: &str) -> Result<KeyRecord, Error> {
    if base64.is_empty() {
        return Ok(KeyRecord::Revoked);
    }
    // RFC 6376 allows white space inside base64, which long keys need when they are cut into lines.
    let joined: String = base64.chars().filter(|c| !is_space(*c)).collect();
    let octets = BASE64.decode(joined.as_bytes()).map_err(|_| Error::MalformedKey("p is not base64"))?;
    let public = octets.try_into().map_err(|_| Error::MalformedKey("p is not 32 octets"))?;
    Ok(KeyRecord::Key(DomainKey { public }))
}

/// Splits a tag-list; the semicolon after the last tag is optional.
fn tags(text: &[u8]) -> Result<Vec<(&str, &str)>, Error> {
    if text.len() > KEY_RECORD_OCTETS_MAX {
        return Err(Error::MalformedKey("too long"));
    }
    let is_allowed = |octet: &u8| (b' '..=b'~').contains(octet) || *octet == b'\t';
    let text = std::str::from_utf8(text).ok().filter(|text| text.as_bytes().iter().all(is_allowed));
    let text = text.ok_or(Error::MalformedKey("not printable ASCII"))?;
    let text = text.trim_end_matches(is_space);
    let mut tags: Vec<(&str, &str)> = Vec::new();
    for tag in text.strip_suffix(';').unwrap_or(text).split(';') {
        let (tag, value) = tag.split_once('=').ok_or(Error::MalformedKey("a tag without ="))?;
        let (tag, value) = (tag.trim_matches(is_space), value.trim_matches(is_space));
        if !is_tag_name(tag) {
            return Err(Error::MalformedKey("not a tag name"));
        }
        if tags.iter().any(|(known, _)| *known == tag) {
            return Err(Error::MalformedKey("a tag stands twice"));
        }
        if tags.len() == KEY_RECORD_TAGS_MAX {
            return Err(Error::MalformedKey("too many tags"));
        }
        tags.push((tag, value));
    }
    Ok(tags)
}

fn is_space(c: char) -> bool {
    c == ' ' || c == '\t'
}

fn is_tag_name(tag: &str) -> bool {
    tag.starts_with(|c: char| c.is_ascii_alphabetic())
        && tag.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FixedZones, Record};
    use proptest::prelude::*;

    /// A public key in base64, as RFC 8463, appendix A.2, prints it in its TXT record.
    const BASE64_KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    /// The same key in octets, from RFC 8032, section 7.1, TEST 1.
    const OCTETS: [u8; 32] = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e,
        0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
    ];

    #[test] // proves: DISCOVERY-9
    fn records_are_read_strictly() {
        let key = Ok(KeyRecord::Key(DomainKey { public: OCTETS }));
        let bad = |reason| Err(Error::MalformedKey(reason));
        let check = |text: &str, expected: Result<KeyRecord, Error>| {
            assert_eq!(parse(text.replace("KEY", BASE64_KEY).as_bytes()), expected, "{text:?}");
        };
        check("v=1; k=ed25519; p=KEY", key.clone());
        check("v=1;k=ed25519;p=KEY;", key.clone());
        check(" v = 1 ;\tp = KEY ; k\t=ed25519 ; ", key.clone());
        check("v=1; k=ed25519; new=a=b,c; P=upper; p=KEY", key.clone());
        check("v=1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7h cvPapiMlrwIaaPcHURo=", key);
        check("v=1; k=ed25519; p=", Ok(KeyRecord::Revoked));
        check("v=1; k=ed25519; p= ;", Ok(KeyRecord::Revoked));
        check("", bad("a tag without ="));
        check("v=1; k=ed25519;; p=KEY", bad("a tag without ="));
        check("v=1; k=ed25519; p=KEY;;", bad("a tag without ="));
        check("k=ed25519; v=1; p=KEY", bad("does not start with v=1"));
        check("v=2; k=ed25519; p=KEY", bad("does not start with v=1"));
        check("V=1; k=ed25519; p=KEY", bad("does not start with v=1"));
        check("v=DKIM1; k=ed25519; p=KEY", bad("does not start with v=1"));
        check("v=1; p=KEY", bad("k is not ed25519"));
        check("v=1; k=rsa; p=KEY", bad("k is not ed25519"));
        check("v=1; k=ed25519", bad("no p"));
        check("v=1; k=ed25519; p=KEY; p=", bad("a tag stands twice"));
        check("v=1; k=ed25519; 1p=KEY", bad("not a tag name"));
        check("v=1; k=ed25519; p=11qY", bad("p is not 32 octets"));
        check("v=1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo", bad("p is not base64"));
        // The last character carries two bits beyond the 32 octets; they must be 0.
        check("v=1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURp=", bad("p is not base64"));
        check("v=1; k=ed25519;\r\n p=KEY", bad("not printable ASCII"));
        check("v=1; k=ed25519; p=KEY; n=é", bad("not printable ASCII"));
        check(&format!("v=1; k=ed25519; p=KEY; n={}", "x".repeat(1024)), bad("too long"));
        let many: String = (0..16).map(|at| format!("; t{at}=")).collect();
        check(&format!("v=1{many}"), bad("too many tags"));
    }

    #[test] // proves: DISCOVERY-9
    fn records_are_written_as_specified() {
        let key = KeyRecord::Key(DomainKey { public: OCTETS });
        assert_eq!(write(&key), format!("v=1; k=ed25519; p={BASE64_KEY}"));
        assert_eq!(write(&KeyRecord::Revoked), "v=1; k=ed25519; p=");
    }

    #[tokio::test] // proves: DISCOVERY-10
    async fn a_key_is_fetched_by_selector() {
        let zones = FixedZones::new();
        let text = format!("v=1; k=ed25519; p={BASE64_KEY}").into_bytes();
        zones.add("one._waxkey.north.test", Record::Txt(text.clone())).unwrap();
        let found = fetch(&zones, "One", "North.test").await.unwrap().unwrap();
        assert_eq!(found.record, KeyRecord::Key(DomainKey { public: OCTETS }));
        assert_eq!(fetch(&zones, "two", "north.test").await, Ok(None));
        zones.add("one._waxkey.north.test", Record::Txt(text)).unwrap();
        assert!(matches!(fetch(&zones, "one", "north.test").await, Err(Error::MalformedKey(_))));
        assert!(matches!(fetch(&zones, "a b", "north.test").await, Err(Error::BadName(_))));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&text);
        }

        #[test]
        fn no_tag_list_breaks_the_parser(text in "[vkp=; 1a\\t/+]{0,60}") {
            let _ = parse(text.as_bytes());
        }

        #[test] // proves: DISCOVERY-9
        fn what_is_written_is_read_back(public in any::<[u8; 32]>()) {
            let record = KeyRecord::Key(DomainKey { public });
            prop_assert_eq!(parse(write(&record).as_bytes()), Ok(record));
        }
    }
}
