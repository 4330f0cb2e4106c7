use proptest::prelude::*;
use unicode_normalization::is_nfc;

use super::display::{Warning, warnings};
use super::fold::{AccountKey, same_mailbox};
use super::registration::{self, RESERVED, RegistrationError};
use super::*;

/// proves: ADDR-1, ADDR-2
#[test]
fn addresses_from_the_wire() {
    let check = |text: &str, expected: Result<(), AddressError>| {
        let read = Address::from_wire(text);
        assert_eq!(read.clone().map(drop), expected, "{text:?}");
        if let Ok(address) = read {
            assert_eq!(address.to_string(), text);
            assert_eq!(text.parse(), Ok(address));
        }
    };
    check("juliet@example.com", Ok(()));
    check("Juliet@example.com", Ok(()));
    check("юлия@xn--e1afmkfd.xn--p1ai", Ok(()));
    check("no-at.example.com", Err(AddressError::NoAt));
    check("", Err(AddressError::NoAt));
    check("@example.com", Err(AddressError::LocalPartEmpty));
    check("a@", Err(AddressError::DomainInvalid));
    check("a@b@example.com", Err(AddressError::LocalPartCharacter('@')));
    check("<a@example.com>", Err(AddressError::LocalPartCharacter('<')));
    check(" a@example.com", Err(AddressError::LocalPartCharacter(' ')));
    check("a@example.com ", Err(AddressError::DomainInvalid));
    check("a@Example.com", Err(AddressError::DomainNotCanonical));
    check("a@пример.рф", Err(AddressError::DomainNotCanonical));
}

/// proves: ADDR-2, ADDR-4, ADDR-5
#[test]
fn domains_from_the_wire() {
    let check = |text: &str, expected: Result<(), AddressError>| {
        assert_eq!(Domain::from_wire(text).map(drop), expected, "{text:?}");
    };
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    check(&longest, Ok(()));
    check(&format!("{longest}a"), Err(AddressError::DomainTooLong));
    check(&format!("{label}a.example"), Err(AddressError::DomainInvalid));
    check("example", Err(AddressError::DomainTooFewLabels));
    check("localhost", Err(AddressError::DomainTooFewLabels));
    check("example.com.", Err(AddressError::DomainInvalid));
    check(".example.com", Err(AddressError::DomainInvalid));
    check("example..com", Err(AddressError::DomainInvalid));
    check("-a.example", Err(AddressError::DomainInvalid));
    check("a-.example", Err(AddressError::DomainInvalid));
    check("a_b.example", Err(AddressError::DomainInvalid));
    check("[192.0.2.1]", Err(AddressError::DomainIsAddress));
    check("[IPv6:2001:db8::1]", Err(AddressError::DomainIsAddress));
    check("192.0.2.1", Err(AddressError::DomainIsAddress));
    check("example.1", Err(AddressError::DomainIsAddress));
    check("1.example", Ok(()));
    // Not the Punycode of any label, and the Punycode of a label that is ASCII.
    check("xn--a.example", Err(AddressError::DomainInvalid));
    check("xn--abc-.example", Err(AddressError::DomainInvalid));
    check("XN--E1AFMKFD.xn--p1ai", Err(AddressError::DomainNotCanonical));
}

/// proves: ADDR-6, ADDR-7, ADDR-8, ADDR-9
#[test]
fn local_parts_from_the_wire() {
    let check = |text: &str, expected: Result<(), AddressError>| {
        assert_eq!(LocalPart::from_wire(text).map(drop), expected, "{text:?}");
    };
    let refused = |character: char| Err(AddressError::LocalPartCharacter(character));
    check("!#$%&'*+-/=?^_`{|}~.09azAZ", Ok(()));
    for character in "\"(),:;<>@[\\] \t\r\n\0\u{7F}".chars() {
        check(&format!("a{character}b"), refused(character));
    }
    check(".a", Err(AddressError::LocalPartDot));
    check("a.", Err(AddressError::LocalPartDot));
    check("a..b", Err(AddressError::LocalPartDot));
    check(".", Err(AddressError::LocalPartDot));
    check("ü..ü", Err(AddressError::LocalPartDot));
    check(&"a".repeat(64), Ok(()));
    check(&"a".repeat(65), Err(AddressError::LocalPartTooLong));
    check(&"ü".repeat(32), Ok(()));
    check(&"ü".repeat(33), Err(AddressError::LocalPartTooLong));
    check("u\u{308}", Err(AddressError::LocalPartNotNormalized));
    check("☃", Ok(()));
    check("юлия.a+b", Ok(()));
    // One of each: Cc, Cf, Co, Zs, Zl, Zp, default-ignorable, noncharacter, replacement, a reserved ignorable.
    for character in
        ['\u{80}', '\u{AD}', '\u{E000}', '\u{A0}', '\u{2028}', '\u{2029}', '\u{FE0F}', '\u{FDD0}']
    {
        check(&format!("a{character}"), refused(character));
    }
    for character in ['\u{FFFC}', '\u{FFFD}', '\u{202E}', '\u{FEFF}', '\u{2065}', '\u{E0FFF}', '\u{10FFFF}'] {
        check(&format!("a{character}"), refused(character));
    }
    // Unassigned in every version so far.
    check("a\u{50000}", Ok(()));
    // RFC 5892 appendix A: after a virama both joiners, between joining letters the non-joiner.
    check("क्\u{200D}ष", Ok(()));
    check("क्\u{200C}ष", Ok(()));
    check("ب\u{200C}ب", Ok(()));
    check("ب\u{64E}\u{200C}\u{64E}ب", Ok(()));
    check("ب\u{200D}ب", refused('\u{200D}'));
    check("a\u{200C}b", refused('\u{200C}'));
    check("a\u{200D}b", refused('\u{200D}'));
    check("\u{200C}", refused('\u{200C}'));
    // Alef joins to its right only, so nothing is joined after it.
    check("ا\u{200C}ب", refused('\u{200C}'));
}

/// proves: ADDR-3
#[test]
fn addresses_from_a_user() {
    let check = |text: &str, expected: Result<&str, AddressError>| {
        let read = Address::parse(text).map(|address| address.to_string());
        assert_eq!(read.as_deref().map_err(|error| *error), expected, "{text:?}");
    };
    check("Juliet@Example.COM", Ok("Juliet@example.com"));
    check("юлия@Пример.РФ", Ok("юлия@xn--e1afmkfd.xn--p1ai"));
    check("юлия@пример。рф", Ok("юлия@xn--e1afmkfd.xn--p1ai"));
    check("a@XN--E1AFMKFD.xn--p1ai", Ok("a@xn--e1afmkfd.xn--p1ai"));
    check("a@faß.de", Ok("a@xn--fa-hia.de"));
    check("Ju\u{308}rgen@example.com", Ok("J\u{FC}rgen@example.com"));
    check("a@b＠example.com", Err(AddressError::DomainInvalid));
    check(&format!("{}@example.com", "a".repeat(257)), Err(AddressError::LocalPartTooLong));
    check(&format!("a@{}.com", "ü".repeat(1000)), Err(AddressError::DomainTooLong));
    check("a@[192.0.2.1]", Err(AddressError::DomainIsAddress));
    // Fullwidth digits and dots become an IPv4 address.
    check("a@１９２．０．２．１", Err(AddressError::DomainIsAddress));
    assert_eq!(Address::parse("юлия@Пример.РФ").unwrap().to_unicode(), "юлия@пример.рф");
}

/// proves: ADDR-10, ADDR-11
#[test]
fn mailboxes() {
    let check = |one: &str, other: &str, expected: bool| {
        let (one, other) = (LocalPart::from_wire(one).unwrap(), LocalPart::from_wire(other).unwrap());
        assert_eq!(same_mailbox(&one, &other), expected, "{one} {other}");
        assert_eq!(AccountKey::of(&one) == AccountKey::of(&other), expected, "{one} {other}");
    };
    check("Juliet", "juliet", true);
    check("JÜRGEN", "jürgen", true);
    check("ｊｕｌｉｅｔ", "juliet", true);
    check("PARAL·LEL", "paral·lel", true);
    check("Σ", "σ", true);
    check("ς", "σ", false);
    check("fußball", "fussball", false);
    check("a.b", "ab", false);
    check("a+b", "a", false);
    // No identifiers, so not folded: a symbol, a letter with a compatibility form, unassigned, a broken bidi order.
    check("A☃", "a☃", false);
    check("ϴ", "θ", false);
    check("A\u{50000}", "a\u{50000}", false);
    check("אA", "אa", false);
}

/// proves: ADDR-12, ADDR-13
#[test]
fn registrations() {
    let existing: Vec<AccountKey> = ["paypal", "modern", "юлия", "scope"].map(key).into();
    let check = |name: &str, expected: Result<&str, RegistrationError>| {
        let local = LocalPart::from_wire(name).unwrap();
        let ours = registration::check(&local, &existing);
        assert_eq!(ours, expected.map(key), "{name}");
    };
    let looks_like = |name: &str| Err(RegistrationError::LooksLike(name.to_owned()));
    check("juliet", Ok("juliet"));
    check("Juliet.Capulet-2_x", Ok("juliet.capulet-2_x"));
    check("jürgen", Ok("jürgen"));
    check("山田たろうtaro", Ok("山田たろうtaro"));
    check("PayPal", Err(RegistrationError::Taken));
    check("paypa1", looks_like("paypal"));
    check("modem", looks_like("modern"));
    // Wholly Cyrillic, so a single script, and still the picture of a Latin name.
    check("ѕсоре", looks_like("scope"));
    check("pаypal", Err(RegistrationError::NotHighlyRestrictive));
    check("a+b", Err(RegistrationError::NotHighlyRestrictive));
    check("a%b", Err(RegistrationError::NotHighlyRestrictive));
    check("☃", Err(RegistrationError::NotAnIdentifier));
    check("Ⅳ", Err(RegistrationError::NotAnIdentifier));
    check("אa", Err(RegistrationError::NotAnIdentifier));
    check("Postmaster", Err(RegistrationError::Reserved));
    check("postrnaster", looks_like("postmaster"));
    check("adrnin", looks_like("admin"));
    check("rооt", Err(RegistrationError::NotHighlyRestrictive));
    assert!(RESERVED.is_sorted());
    for name in RESERVED {
        check(name, Err(RegistrationError::Reserved));
    }
}

/// proves: ADDR-14
#[test]
fn display_warnings() {
    let known = ["paypal@example.com", "scope@example.com", "juliet@xn--e1afmkfd.xn--p1ai"];
    let known = known.map(|text| Address::from_wire(text).unwrap());
    let check = |text: &str, expected: &[Warning]| {
        assert_eq!(warnings(&Address::parse(text).unwrap(), &known), expected, "{text}");
    };
    let alike = |at: usize| Warning::LooksLike(known[at].clone());
    check("romeo@example.com", &[]);
    check("paypal@example.com", &[]);
    check("PayPal@example.com", &[]);
    check("paypaI@example.com", &[alike(0)]);
    check("paypa1@example.com", &[alike(0)]);
    check("pаypal@example.com", &[Warning::LocalPartMixesScripts, alike(0)]);
    check("ѕсоре@example.com", &[alike(1)]);
    check("paypal@exarnple.com", &[alike(0)]);
    check("paypal@exаmple.com", &[Warning::LabelMixesScripts("exаmple".into()), alike(0)]);
    check("romeo@пример.com", &[]);
    check("paypal@example.org", &[]);
}

fn key(name: &str) -> AccountKey {
    AccountKey::of(&LocalPart::from_wire(name).unwrap())
}

/// Text near the rules: letters of several scripts, marks, joiners, dots, digits, and whatever else.
fn near_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-zA-Z0-9.@_+-]{0,70}",
        "[a-zäßабвאبक्\u{200C}\u{200D}\u{301}\u{308}ﬀＡ一.。@-]{0,20}",
        "(xn--[a-z0-9-]{1,20}\\.){1,3}[a-z]{2,5}",
        "[a-zäא]{1,5}@([a-zäאб-]{1,6}\\.){1,3}[a-zé]{2,5}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// proves: ADDR-1, ADDR-2, ADDR-3, ADDR-6
    #[test]
    fn whatever_is_read_is_canonical_and_reads_back(text in near_text(), other in near_text()) {
        if let Ok(domain) = Domain::parse(&text) {
            prop_assert!(domain.as_str().len() <= limits::DOMAIN_OCTETS_MAX);
            prop_assert!(domain.as_str().is_ascii());
            prop_assert_eq!(Domain::from_wire(domain.as_str()), Ok(domain.clone()));
            prop_assert_eq!(Domain::parse(&domain.to_unicode()), Ok(domain));
        }
        if let Ok(local) = LocalPart::parse(&text) {
            prop_assert!((1..=limits::LOCAL_PART_OCTETS_MAX).contains(&local.as_str().len()));
            prop_assert!(is_nfc(local.as_str()));
            prop_assert_eq!(LocalPart::from_wire(local.as_str()), Ok(local.clone()));
            let key = AccountKey::of(&local);
            prop_assert!(key.as_str().len() <= 3 * local.as_str().len());
            let _ = registration::candidate(&local);
        }
        for joined in [text.clone(), format!("{text}@{other}"), format!("{other}@example.com")] {
            if let Ok(address) = Address::parse(&joined) {
                prop_assert_eq!(Address::from_wire(&address.to_string()), Ok(address.clone()));
                prop_assert_eq!(Address::parse(&address.to_unicode()), Ok(address.clone()));
                prop_assert!(!warnings(&address, [&address]).iter().any(|each| matches!(each, Warning::LooksLike(_))));
            }
            if let Ok(address) = Address::from_wire(&joined) {
                prop_assert_eq!(address.to_string(), joined);
            }
        }
    }
}
