use message::address::Domain;

use super::*;
use crate::Service;

fn client() -> Client {
    Client {
        address: "192.0.2.7".parse().unwrap(),
        came_to: std::net::IpAddr::from([127, 0, 0, 1]),
        helo: "host.test".to_owned(),
        extended: true,
        service: Service::Transfer,
        tls: None,
        certificate_digest: None,
        account: None,
    }
}

fn address(text: &str) -> Address {
    Address::from_wire(text).unwrap()
}

fn rule(who: Vec<Who>, may: Vec<May>) -> Rules {
    Rules { rules: vec![Rule { name: "one".to_owned(), who, may }], agreed: Vec::new() }
}

fn network(text: &str) -> Who {
    Who::Network(Network::parse(text).unwrap())
}

/// proves: MAV-1, MAV-3
#[test]
fn a_sender_is_known_by_network_name_account_or_certificate() {
    let check = |who: Vec<Who>, hosts: &[&str], applies: bool| {
        let mut client = client();
        client.account = Some("bob".to_owned());
        client.certificate_digest = Some([7; 32]);
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let judged = rule(who.clone(), vec![May::Anything]).judge(&client, &hosts, &address("a@b.test"));
        assert_eq!(judged.unwrap().is_some(), applies, "{who:?}");
    };
    check(vec![network("192.0.2.7")], &[], true);
    check(vec![network("192.0.2.0/24")], &[], true);
    check(vec![network("0.0.0.0/0")], &[], true);
    check(vec![network("192.0.3.0/24")], &[], false);
    check(vec![network("::/0")], &[], false);
    check(vec![Who::Host("mx.a.test".to_owned())], &["mx.a.test"], true);
    check(vec![Who::Host("mx.a.test".to_owned())], &["x.mx.a.test"], false);
    check(vec![Who::Host("host.test".to_owned())], &[], false); // HELO is no name that was found
    check(vec![Who::HostsOf("a.test".to_owned())], &["mx.a.test"], true);
    check(vec![Who::HostsOf("a.test".to_owned())], &["a.test"], true);
    check(vec![Who::HostsOf("a.test".to_owned())], &["mxa.test"], false);
    check(vec![Who::Account("bob".to_owned())], &[], true);
    check(vec![Who::Account("eve".to_owned())], &[], false);
    check(vec![Who::Certificate([7; 32])], &[], true);
    check(vec![Who::Certificate([8; 32])], &[], false);
    check(vec![Who::Account("bob".to_owned()), network("192.0.2.0/24")], &[], true);
    check(vec![Who::Account("bob".to_owned()), network("198.51.100.0/24")], &[], false);
    check(vec![], &[], false);
}

/// proves: MAV-3
#[tokio::test]
async fn a_name_counts_that_leads_back_to_its_address() {
    let zones = dns::FixedZones::new();
    let address: IpAddr = "192.0.2.7".parse().unwrap();
    let claim = |name: &str| dns::Record::Name(name.to_owned());
    zones.add(&dns::reverse(address), claim("mx.far.test")).unwrap();
    zones.add(&dns::reverse(address), claim("forged.near.test")).unwrap();
    zones.add("mx.far.test", dns::Record::Address(address)).unwrap();
    zones.add("forged.near.test", dns::Record::Address("198.51.100.1".parse().unwrap())).unwrap();
    let names = ConfirmedNames(std::sync::Arc::new(zones));
    assert_eq!(names.confirmed(address).await, ["mx.far.test"]);
    assert!(names.confirmed("192.0.2.8".parse().unwrap()).await.is_empty());
}

/// proves: MAV-4, MAV-5
#[test]
fn only_an_address_or_a_whole_domain_is_allowed() {
    let check = |may: Vec<May>, path: &str, allowed: bool| {
        let judged = rule(vec![network("192.0.2.7")], may.clone()).judge(&client(), &[], &address(path));
        match judged {
            Ok(mav) => assert!(allowed && mav.is_some(), "{may:?} {path}"),
            Err(reply) => {
                assert!(!allowed, "{may:?} {path}");
                assert_eq!((reply.digits, reply.code.to_string().as_str()), (553, "5.7.1"));
            }
        }
    };
    let domain = || vec![May::Domain(Domain::parse("a.test").unwrap())];
    let one = || vec![May::Address(address("bob@a.test"))];
    check(domain(), "x@a.test", true);
    check(domain(), "x@sub.a.test", false);
    check(domain(), "x@bada.test", false);
    check(domain(), "x@a.test.evil.test", false);
    check(one(), "bob@a.test", true);
    check(one(), "BOB@a.test", true);
    check(one(), "xbob@a.test", false);
    check(one(), "bob@sub.a.test", false);
    check(vec![May::Anything], "x@y.test", true);
    check(vec![], "x@y.test", false);
}

/// proves: MAV-2
#[test]
fn the_first_rule_that_applies_decides() {
    let first = rule(vec![network("192.0.2.7")], vec![May::Address(address("bob@a.test"))]);
    let second = rule(vec![network("192.0.2.0/24")], vec![May::Anything]);
    let both = Rules { rules: [first.rules, second.rules].concat(), agreed: Vec::new() };
    assert!(both.judge(&client(), &[], &address("eve@a.test")).is_err());
    let mut other = client();
    other.address = "192.0.2.8".parse().unwrap();
    assert!(both.judge(&other, &[], &address("eve@a.test")).unwrap().is_some());
    other.address = "198.51.100.1".parse().unwrap();
    assert_eq!(both.judge(&other, &[], &address("eve@a.test")), Ok(None));
}

/// proves: MAV-6
#[test]
fn keywords() {
    let check = |extended, tls: bool, account: bool, word| {
        let mut client = client();
        client.extended = extended;
        client.tls = tls.then(|| "TLSv1.3".to_owned());
        client.account = account.then(|| "bob".to_owned());
        assert_eq!(keyword(&client), word);
    };
    check(true, false, false, "ESMTPM");
    check(true, false, true, "ESMTPAM");
    check(true, true, false, "ESMTPSM");
    check(true, true, true, "ESMTPSAM");
    check(false, true, false, "SMTP");
}

/// proves: MAV-7
#[test]
fn the_keyword_of_others_is_believed_only_of_peers_under_agreement() {
    let rules = Rules { rules: Vec::new(), agreed: vec![Agreed::Certificate([7; 32])] };
    let check = |digest: Option<[u8; 32]>, message: &str, word: Option<&str>| {
        let mut client = client();
        client.certificate_digest = digest;
        assert_eq!(rules.earlier(&client, message.as_bytes()), word, "{message}");
    };
    let field = "Subject: x\r\nReceived: from a (with ESMTPM b)\r\n\tby c with ESMTPSAM id d; date with ESMTPM\r\n\r\n";
    check(Some([7; 32]), field, Some("ESMTPSAM"));
    check(Some([8; 32]), field, None);
    check(None, field, None);
    check(Some([7; 32]), "Received: from a by c with ESMTPS id d; date\r\n\r\n", None);
    let older = "Received: from a by c with ESMTP; x\r\nReceived: from a by c with ESMTPM; x\r\n\r\n";
    check(Some([7; 32]), older, None);
    check(Some([7; 32]), "Subject: x\r\n\r\nReceived: from a by c with ESMTPM; x\r\n", None);
}

/// The example of the manual page of `qmail-mfrules`, without what cannot be said here.
///
/// proves: MAV-8
#[test]
fn the_rules_of_qmail_are_read_in_the_order_in_which_it_looks() {
    let text = "# rules\n\n18.23.&@example.com\n=.heaven.mil&God@heaven.mil,st.peter@heaven.mil\n\
        joe@18.23.0.32&joe@example.com\njsmith@virtualdomain.com&john.smith@virtualdomain.com\n\
        fe80:&user@myhost.local\n192.0.2.4-5&\n";
    let rules = import_mailfromrules(text).unwrap();
    let who: Vec<&[Who]> = rules.iter().map(|rule| rule.who.as_slice()).collect();
    let account = |name: &str| Who::Account(name.to_owned());
    assert_eq!(
        who,
        [
            &[account("jsmith@virtualdomain.com")][..],
            &[account("joe"), network("18.23.0.32")],
            &[network("192.0.2.4")],
            &[network("192.0.2.5")],
            &[network("18.23.0.0/16")],
            &[network("fe80::/16")],
            &[Who::HostsOf("heaven.mil".to_owned())],
        ]
    );
    assert_eq!(rules[1].may, [May::Address(address("joe@example.com"))]);
    assert_eq!(rules[2].may, [May::Anything]);
    assert!(rules[2].allows(&address("victim@other.test")) && !rules[2].names(&address("victim@other.test")));
    assert_eq!(rules[4].may, [May::Domain(Domain::parse("example.com").unwrap())]);
    assert_eq!(rules[6].may.len(), 2);
    assert_eq!(rules[4].name, "mailfromrules 3");
}

/// proves: MAV-8
#[test]
fn what_cannot_be_imported_is_named_by_its_line() {
    let check = |line: &str| {
        let error = import_mailfromrules(&format!("# first\n{line}\n")).unwrap_err();
        assert_eq!(error.line, 2, "{line}: {error}");
    };
    check("18.23.");
    check("&@example.com");
    check("18.23.&example.com");
    check("=.heaven.mil&-angles@heaven.mil");
    check("18.23.&@");
    check("18.23.&a@b@c");
    check("=&@example.com");
    check("=a..b&@example.com");
    check("1.2.3.4.5&@example.com");
    check("1.2.3.400&@example.com");
    check("1.2.5-3.&@example.com");
    check("0-255.0-255.0-255.&@example.com");
    check("fe80::1::2&@example.com");
}

proptest::proptest! {
    /// proves: MAV-8
    #[test]
    fn any_file_is_read_or_refused_by_a_line_that_is_there(
        text in "([0-9a-z.:@&=,#-]{0,12}|[0-9]{1,3}\\.([0-9]{1,3}-)?[0-9]{1,3}\\.&|\n|@a\\.test|.){0,12}",
    ) {
        match import_mailfromrules(&text) {
            Ok(rules) => proptest::prop_assert!(rules.iter().all(|rule| !rule.who.is_empty() && !rule.may.is_empty())),
            Err(error) => proptest::prop_assert!((1..=text.lines().count()).contains(&error.line)),
        }
    }
}
