//! Real notices, those of the RFC, and our own.

use std::collections::{BTreeMap, BTreeSet};

use message::Code;
use message::address::{Address, Domain};

use super::{Action, Form, Notice, Owed, Said, read};
use crate::check::spf::vectors;

/// For each family of real notices: the number of the file, and the classes of the codes of its recipients as the tests of
/// p5-sisimai 5.1 (t/6*.t to t/8*.t) name them; `-` for complaints and answers of programs.
const EXPECTED: &str = include_str!("expected.txt");

/// What is read in another way, with the reason. The list may only shrink.
const DIFFERENT: [(&str, &str); 9] = [
    ("arf-16 arf-17", "a complaint, counted there by its recipients"),
    (
        "lhost-gmail-08 lhost-opensmtpd-04 lhost-opensmtpd-06 lhost-opensmtpd-12 lhost-opensmtpd-15 lhost-opensmtpd-16",
        "it says of itself that the message is only delayed, for which they have a code of their own",
    ),
    ("lhost-gmx-04 lhost-mailru-10 lhost-x2-03", "the time ran out, which is 4.4.x here"),
    ("lhost-exim-07 lhost-exim-08", "a mailbox that is full is 5.2.2 here"),
    ("lhost-sendmail-56 rhost-franceptt-10", "the status stands in a field, and they take the text"),
    ("lhost-amazonses-12 lhost-amazonses-13", "JSON of a service, for a program that has ordered it"),
    (
        "lhost-apachejames-01 lhost-verizon-02 lhost-v5sendmail-01 lhost-exim-52 lhost-fml-02 lhost-fml-03 lhost-postfix-64",
        "no recipient is named in a way that is surely one",
    ),
    ("lhost-amazonses-09 lhost-amazonses-10 lhost-sendmail-14", "an address more is seen in the words"),
    ("lhost-postfix-75 rfc3464-28", "they count recipients of an inner message too, or fewer"),
];

/// The recipients of each of the notices, as p5-sisimai 5.1.0p3 reads them; `-` for none. Of six it reads nothing: see
/// [`WITHOUT_CLASSES`].
const RECIPIENTS: &str = include_str!("recipients.txt");

/// Of which others say nothing in [`EXPECTED`], with the reason.
const WITHOUT_CLASSES: [(&str, &str); 3] = [
    (
        "lhost-googleworkspace-01 lhost-postfix-79 lhost-postfix-80 lhost-x2-06 lhost-x2-07 rfc3464-51 rfc3464-52 \
         rfc3464-53 rfc3464-54 rfc3464-55 rfc3464-56 rfc3464-57 rfc3464-58 rfc3464-59 rfc3464-60 rfc3464-61 rfc3464-62 \
         rfc3464-63 rfc3464-64 rfc3464-65 rfc3464-66 rhost-apple-05 rhost-cloudflare-01 rhost-microsoft-06 \
         rhost-outlook-01 rhost-outlook-02 rhost-outlook-03 rhost-outlook-04 rhost-outlook-06 rhost-outlook-07 \
         rhost-outlook-08 rhost-outlook-09 rhost-zoho-01 rhost-zoho-02 rhost-zoho-03 rhost-zoho-04",
        "came to the collection after the tests of that version were written, which do not name it",
    ),
    (
        "lhost-mfilter-05 lhost-mimecast-01 lhost-mimecast-02 lhost-x1-03 lhost-x1-04",
        "as new, and that version reads nothing in it: the recipient is the one that people read there",
    ),
    ("rfc3834-06", "as new; the answer of a program, which is about no recipient"),
];

/// Whose recipients are read in another way, with the reason. The list may only shrink.
const OTHER_RECIPIENTS: [(&str, &str); 7] = [
    (
        "arf-01 arf-02 arf-11 arf-12 arf-14 arf-15 arf-16 arf-17 arf-18 arf-19 arf-20 arf-21 arf-22 arf-23 arf-24 arf-25 \
         arf-26 lhost-amazonses-11",
        "a complaint: it is about no delivery, and they name who has complained",
    ),
    (
        "lhost-domino-03 lhost-exim-03 lhost-exim-44 lhost-exim-60 lhost-messagingserver-02 lhost-office365-04 \
         lhost-sendmail-15",
        "the recipient as the field of the notice has it (GW-60), where they take one that stands elsewhere",
    ),
    (
        "lhost-amazonses-09 lhost-amazonses-10 lhost-sendmail-14",
        "an address more is seen in the words, in JSON with the sign behind it",
    ),
    ("lhost-amazonses-12 lhost-amazonses-13", "JSON of a service, for a program that has ordered it"),
    (
        "lhost-apachejames-01 lhost-exim-52 lhost-fml-02 lhost-fml-03 lhost-postfix-64 lhost-v5sendmail-01 \
         lhost-verizon-02",
        "no recipient is named in a way that is surely one",
    ),
    ("lhost-postfix-75", "an address more: the sender, in the dialogue that the notice quotes"),
    ("rfc3464-28", "two messages are in that file, and we read one"),
];

fn classes(notice: &Notice) -> String {
    if notice.recipients.is_empty() {
        return "-".to_owned();
    }
    notice.recipients.iter().map(|about| about.code.class.to_string()).collect()
}

fn sorted(text: &str) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    characters.sort_unstable();
    characters.into_iter().collect()
}

/// Of the real notices for which others say what they mean, that many are read with the right number of recipients and the
/// right classes; of the others that many give the number of recipients only; the rest is not understood, and then the tag
/// still says which transaction it is about. The counts may only become better. proves: GW-61
#[test]
fn real_notices_are_read() {
    let Some(folder) = vectors("bounces-sisimai/maildir/bsd") else { return };
    let (mut right, mut counted, mut wrong, mut known) = (0, 0, BTreeMap::<&str, Vec<String>>::new(), 0);
    for line in EXPECTED.lines() {
        let (family, files) = line.split_once(' ').unwrap();
        for (number, expected) in files.split(' ').map(|one| one.split_once(':').unwrap()) {
            known += 1;
            let octets = std::fs::read(folder.join(format!("{family}-{number}.eml"))).unwrap();
            let found = classes(&read(&octets));
            if sorted(&found) == sorted(expected) {
                right += 1;
            } else {
                counted += usize::from(found.len() == expected.len() && found != "-");
                wrong.entry(family).or_default().push(format!("{number}:{found}/{expected}"));
            }
        }
    }
    let different: BTreeSet<String> = wrong
        .iter()
        .flat_map(|(family, list)| list.iter().map(move |one| format!("{family}-{}", &one[..2])))
        .collect();
    let listed: BTreeSet<String> =
        DIFFERENT.iter().flat_map(|(names, _)| names.split(' ').map(str::to_owned)).collect();
    for (family, list) in &wrong {
        println!("{family}: {}", list.join(" "));
    }
    let all = std::fs::read_dir(&folder).unwrap().count();
    println!(
        "{right} of {known} are read right, {counted} more with the right number of recipients; {all} in all"
    );
    assert_eq!(different, listed);
    assert_eq!((right, counted, known, all), (558, 13, 587, 629));
}

/// Of every one of the real notices it is said whom it is about: for those that say it in words, too, and for those that the
/// tests of others do not name. proves: GW-60, GW-61
#[test]
fn real_notices_name_their_recipients() {
    let Some(folder) = vectors("bounces-sisimai/maildir/bsd") else { return };
    let named = |text: &str| -> BTreeMap<String, String> {
        let families = text.lines().map(|line| line.split_once(' ').unwrap());
        families
            .flat_map(|(family, files)| {
                files.split(' ').map(move |one| (family, one.split_once(':').unwrap()))
            })
            .map(|(family, (number, said))| (format!("{family}-{number}"), said.to_owned()))
            .collect()
    };
    let (expected, classes) = (named(RECIPIENTS), named(EXPECTED));
    let mut different = BTreeSet::new();
    for (name, said) in &expected {
        let octets = std::fs::read(folder.join(format!("{name}.eml"))).unwrap();
        let found = read(&octets).recipients;
        let found: BTreeSet<String> =
            found.iter().map(|about| about.recipient.to_ascii_lowercase()).collect();
        let said: BTreeSet<String> = said.split(',').filter(|one| *one != "-").map(str::to_owned).collect();
        if found != said {
            println!("{name}: {found:?}, and they say {said:?}");
            different.insert(name.clone());
        }
    }
    let listed = |list: &[(&str, &str)]| -> BTreeSet<String> {
        list.iter().flat_map(|(names, _)| names.split(' ').map(str::to_owned)).collect()
    };
    assert_eq!(different, listed(&OTHER_RECIPIENTS));
    let without: BTreeSet<String> =
        expected.keys().filter(|name| !classes.contains_key(*name)).cloned().collect();
    assert_eq!(without, listed(&WITHOUT_CLASSES));
    assert_eq!((expected.len(), classes.len(), without.len()), (629, 587, 42));
    assert!(classes.keys().all(|name| expected.contains_key(name)));
}

/// Every notice that has the fields of RFC 3464 in its part gives its recipients as they stand there, in order, whatever is
/// around them. proves: GW-60
#[test]
fn the_fields_of_real_notices_are_taken_as_they_stand() {
    let Some(folder) = vectors("bounces-sisimai/maildir/bsd") else { return };
    let (mut seen, mut whole) = (0, 0);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let octets = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&octets).to_ascii_lowercase();
        // The fields by a second and simpler way: the lines of the file that begin so.
        let named: Vec<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("final-recipient:"))
            .map(|value| value.rsplit([';', ' ', '<']).next().unwrap().trim_matches(['>', ' ']).to_owned())
            .collect();
        let notice = read(&octets);
        if notice.form != Form::Status || named.is_empty() || text.contains("\nfeedback-type:") {
            continue;
        }
        let found: Vec<String> =
            notice.recipients.iter().map(|about| about.recipient.to_ascii_lowercase()).collect();
        if named.iter().all(|one| one.contains('@')) {
            seen += 1;
            // A notice about a notice has the fields of the inner one behind its own.
            assert!(!found.is_empty() && named.starts_with(&found), "{} {found:?}", path.display());
            whole += usize::from(found == named);
        }
    }
    assert_eq!((seen, whole), (341, 336));
}

/// RFC 3464 appendix E. proves: GW-60
#[test]
fn the_examples_of_the_rfc() {
    let Some(path) = vectors("rfc-appendix/rfc3464-appendix-examples.txt") else { return };
    let text = std::fs::read_to_string(path).unwrap();
    // The pages of the document are put together, and its indentation is taken off.
    let pages = text.split('\u{c}').map(|page| {
        let lines: Vec<&str> = page.lines().collect();
        let is_text = |line: &&&str| {
            !line.trim().is_empty() && !line.starts_with("Moore &") && !line.starts_with("RFC 3464")
        };
        let first = lines.iter().position(|line| is_text(&line)).unwrap_or(0);
        let last = lines.iter().rposition(|line| is_text(&line)).unwrap_or(0);
        lines.get(first..=last).unwrap_or_default().to_vec()
    });
    let text: String =
        pages.flatten().map(|line| format!("{}\n", line.strip_prefix("   ").unwrap_or(line))).collect();
    let check = |from: &str, to: &str, expected: &[(&str, Action, &str)]| {
        let example = text.split_once(from).unwrap().1.split_once(to).unwrap().0;
        let head = "Content-Type: multipart/report; boundary=x\n\n";
        let notice = read(format!("{head}{example}").as_bytes());
        let found: Vec<(&str, Action, String)> = notice
            .recipients
            .iter()
            .map(|about| (about.recipient.as_str(), about.action, about.code.to_string()))
            .collect();
        let expected: Vec<(&str, Action, String)> =
            expected.iter().map(|(one, action, code)| (*one, *action, (*code).to_owned())).collect();
        assert_eq!((found, notice.form), (expected, Form::Status), "{from}");
    };
    check("Simple DSN", "Multi-Recipient DSN", &[("louisl@larry.slip.umd.edu", Action::Failed, "4.0.0")]);
    check(
        "Multi-Recipient DSN",
        "DSN from gateway",
        &[
            ("arathib@vnet.ibm.com", Action::Failed, "5.0.0"),
            ("johnh@hpnjld.njd.hp.com", Action::Delayed, "4.0.0"),
            ("wsnell@sdcc13.ucsd.edu", Action::Failed, "5.0.0"),
        ],
    );
    check("DSN from gateway", "Delayed DSN", &[("nair_s", Action::Failed, "5.0.0")]);
    check("Delayed DSN", "Appendix F", &[("thomas@de-montfort.ac.uk", Action::Delayed, "4.0.0")]);
}

fn owed(address: &str, text: &str, header: &str) -> Owed {
    Owed {
        reporter: "mx.north.test".to_owned(),
        domain: Domain::parse("north.test").unwrap(),
        to: Address::parse("zoe@south.test").unwrap(),
        envelope_id: Some("id 1".to_owned()),
        arrived_ms: 1_795_392_000_000,
        now_ms: 1_795_395_600_000,
        recipients: vec![Said {
            address: Address::parse(address).unwrap(),
            original: Some("rfc822;bob+x@north.test".to_owned()),
            action: Action::Failed,
            code: Code::NO_SUCH_ADDRESS,
            remote: Some("mx.west.test".to_owned()),
            text: text.to_owned(),
        }],
        header: header.as_bytes().to_vec(),
    }
}

/// proves: GW-63
#[test]
fn a_notice_says_what_is_read_from_it() {
    let check = |address: &str, text: &str, header: &str, kind: &str| {
        let octets = owed(address, text, header).write();
        let written = String::from_utf8(octets.clone()).unwrap();
        assert!(written.contains(&format!("Content-Type: {kind}\r\n")), "{written}");
        assert!(written.lines().all(|line| line.len() <= 998 && !line.contains('\r')));
        assert!(written.replace("\r\n", "").find(['\r', '\n']).is_none());
        let notice = read(&octets);
        assert_eq!((notice.form, notice.reporter.as_deref()), (Form::Status, Some("mx.north.test")));
        assert_eq!(notice.envelope_id.as_deref(), Some("id 1"));
        let [about] = notice.recipients.as_slice() else { panic!("{notice:?}") };
        let expected = (address, Some("bob+x@north.test"), Action::Failed, Code::NO_SUCH_ADDRESS);
        let said = (about.recipient.as_str(), about.original.as_deref(), about.action, about.code);
        assert_eq!(said, expected);
        assert_eq!(notice.failures().count(), 1);
        for (recipient, only, expected) in [
            (address, false, true),
            ("BOB+X@north.test", false, true),
            ("eve@west.test", false, false),
            ("eve@west.test", true, true),
        ] {
            assert_eq!(about.is_about(recipient, only), expected, "{recipient}");
        }
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&about.diagnostic), words(&text.replace(['\r', '\n'], " ")));
    };
    let header = "From: zoe@south.test\r\nSubject: x\r\n";
    check("bob@north.test", "550 5.1.1 no such user here", header, "message/delivery-status");
    check(
        "bob@north.test",
        &format!("550 5.1.1 {}", "so it is ".repeat(100)),
        header,
        "message/delivery-status",
    );
    check(
        "bob@north.test",
        "550 x\r\nFinal-Recipient: rfc822; eve@west.test",
        header,
        "message/delivery-status",
    );
    check("zoë@north.test", "550 5.1.1 no such user here", header, "message/global-delivery-status");
    check("bob@north.test", "550 5.1.1 größe", header, "message/global-delivery-status");
    check("bob@north.test", "550", "Subject: ü\r\n\r\nnot the body\r\n", "text/rfc822-headers");
    check("bob@north.test", "550", "To: zoë@north.test\r\n", "message/global-headers");
    // A header of ours has each value on one line.
    let many: Vec<String> = (0..60).map(|number| format!("Somebody <u{number}@north.test>")).collect();
    check(
        "bob@north.test",
        "550",
        &format!("To: {}\r\nSubject: ü\r\n", many.join(", ")),
        "text/rfc822-headers",
    );
    check(
        "bob@north.test",
        "550",
        &format!("{}\r\nSubject: x\r\n", "y".repeat(2_000)),
        "text/rfc822-headers",
    );
    check("bob@north.test", "550", "Subject: x\r\n", "text/rfc822-headers");
    let latin =
        Owed { header: b"Subject: gr\xfc\xdfe\r\n".to_vec(), ..owed("bob@north.test", "550", "") }.write();
    assert!(String::from_utf8(latin).unwrap().contains("\r\nSubject: gr??e\r\n"));
    let octets = owed("bob@north.test", "550", "Subject: x\r\n\r\nthe body\r\n").write();
    assert!(!String::from_utf8(octets).unwrap().contains("the body"));
}

/// proves: GW-61
#[test]
fn what_is_no_notice_is_none() {
    let check = |text: &str, form: Form| {
        let notice = read(text.as_bytes());
        assert_eq!((notice.form, notice.recipients.len()), (form, 0), "{text}");
    };
    check("", Form::Unknown);
    check("Subject: hello\r\n\r\nSee you at bob@north.test\r\n", Form::Unknown);
    check("Subject: away\r\nAuto-Submitted: auto-replied\r\n\r\nI am away until Monday\r\n", Form::Answer);
    let away = "Auto-Submitted: auto-replied\r\n\r\n\
                I am away. Your mail was not delivered to anybody else; write to\r\ncarol@old.test\r\n";
    check(away, Form::Answer);
    // Programs that answer so about failures say who failed, or why.
    for failed in [
        format!("X-Failed-Recipients: carol@old.test\r\n{away}"),
        "Auto-Submitted: auto-replied\r\n\r\nYour mail was not delivered:\r\ncarol@old.test\r\n550 5.1.1 unknown\r\n".into(),
    ] {
        let notice = read(failed.as_bytes());
        assert_eq!((notice.form, notice.recipients.len()), (Form::Words, 1), "{failed}");
    }
    let complaint = "Content-Type: multipart/report; report-type=feedback-report; boundary=x\r\n\r\n--x\r\n\
                     Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n\
                     Final-Recipient: rfc822; bob@north.test\r\n\r\n--x--\r\n";
    check(complaint, Form::Complaint);
}

/// Whatever is cut off or altered, a notice is read without harm and within its bounds. proves: GW-61
#[test]
fn broken_notices_do_no_harm() {
    let whole = owed("zoë@north.test", "550 5.1.1 no such user here", "Subject: ü\r\n").write();
    let plain = b"Subject: failure notice\r\n\r\nI wasn't able to deliver your message.\r\n\r\n<a@b.test>:\r\n550 no\r\n";
    for octets in [whole.as_slice(), plain] {
        for place in 0..octets.len() {
            let _ = read(&octets[..place]);
            for other in [0, b'\n', b'<', b';', 0xff] {
                let mut altered = octets.to_vec();
                altered[place] = other;
                assert!(read(&altered).recipients.len() <= 2);
            }
        }
    }
    let many = "Final-Recipient: rfc822; a@b.test\r\nAction: failed\r\n\r\n".repeat(1_000);
    let head = "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; a.test\r\n\r\n";
    let long = format!("Diagnostic-Code: smtp; {}\r\n {}\r\n", "x".repeat(100_000), "y".repeat(100_000));
    let notice = read(format!("{head}Final-Recipient: rfc822; z@b.test\r\n{long}\r\n{many}").as_bytes());
    assert_eq!(notice.recipients.len(), super::limits::RECIPIENTS_MAX);
    assert!(notice.recipients[0].diagnostic.len() <= super::limits::DIAGNOSTIC_OCTETS_MAX);
}
