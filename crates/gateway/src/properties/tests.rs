//! Each property, on the verdicts that SPF may give it.

use super::*;

const LETTER: &str = "From: a@sender.test\r\nSubject: hello\r\n\r\nResent-From: x@y.test\r\n";

fn spf(domain: &str, verdict: Verdict, properties: &str) -> Spf {
    let modifiers = properties.split_whitespace().map(|one| {
        let (name, value) = one.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    });
    Spf { verdict, domain: domain.to_owned(), modifiers: modifiers.collect(), ..Spf::default() }
}

/// proves: SPP-1
#[test]
fn properties_are_names_between_dots() {
    let check = |modifiers: &str, expected: &[&str], others: &[&str]| {
        let read = Properties::read(&spf("a.test", Verdict::Pass, modifiers).modifiers);
        let all =
            [("hector", read.hector), ("meng", read.meng), ("scott", read.scott), ("william", read.william)];
        let set: Vec<&str> = all.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect();
        assert_eq!(set, expected, "{modifiers:?}");
        assert_eq!(read.others, others, "{modifiers:?}");
    };
    check("", &[], &[]);
    check("p=hector", &["hector"], &[]);
    check("p=William.SCOTT.scott", &["scott", "william"], &[]);
    check("p=meng.nohector.", &["meng"], &["p=nohector"]);
    check("p=hector p=meng", &[], &[]);
    check("q=hector", &[], &[]);
    check("op=auth", &["scott"], &[]);
    check("op=pra.hector", &[], &["op=pra", "op=hector"]);
    check("p=auth", &[], &["p=auth"]);
    check("p=%{d}", &[], &["p=%{d}"]);
}

/// proves: SPP-2, SPP-3
#[test]
fn hector_lets_the_name_of_the_host_decide() {
    use Verdict::{Fail, Neutral, None, Pass, PermError, SoftFail, TempError};
    let check = |helo: (&str, Verdict, &str), path: (&str, Verdict, &str), expected: (Verdict, Verdict)| {
        let (helo, path) = (spf(helo.0, helo.1, helo.2), spf(path.0, path.1, path.2));
        let effect = apply(&helo, &path, Some("a@sender.test"), false, LETTER.as_bytes());
        assert_eq!((effect.helo, effect.mail_from), expected, "{helo:?} {path:?}");
    };
    let (ours, theirs) = ("mail.sender.test", "mail.other.test");
    // In the record of the name in EHLO.
    for (verdict, becomes) in [
        (Pass, Pass),
        (Fail, Fail),
        (SoftFail, Fail),
        (Neutral, Fail),
        (TempError, TempError),
        (PermError, PermError),
    ] {
        check((theirs, verdict, "p=hector"), ("sender.test", Neutral, ""), (becomes, Neutral));
        check((theirs, verdict, ""), ("sender.test", Neutral, ""), (verdict, Neutral));
    }
    // In the record of the domain in MAIL FROM, for a host of its own.
    for (verdict, becomes) in
        [(Pass, Pass), (Fail, Fail), (None, SoftFail), (Neutral, SoftFail), (TempError, SoftFail)]
    {
        check((ours, verdict, ""), ("sender.test", SoftFail, "p=hector"), (verdict, becomes));
        check((ours, verdict, ""), ("sender.test", SoftFail, ""), (verdict, SoftFail));
    }
    check((ours, Fail, ""), ("sender.test", Pass, "p=hector"), (Fail, Fail));
    check((ours, Pass, ""), ("sender.test", TempError, "p=hector"), (Pass, TempError));
    // A stranger's host decides nothing, whatever its record says.
    check((theirs, Pass, "p=hector"), ("sender.test", Fail, "p=hector"), (Pass, Fail));
    check(("evilsender.test", Pass, "p=hector"), ("sender.test", Fail, "p=hector"), (Pass, Fail));
}

/// proves: SPP-4, FWD-25
#[test]
fn meng_needs_an_arrangement_and_never_makes_a_pass() {
    use Verdict::{Fail, Neutral, None, Pass, SoftFail, TempError};
    let check = |helo: Verdict, properties: &str, path: Verdict, arranged: bool, expected: Verdict| {
        let (helo, path) = (spf("mx.forwarder.test", helo, properties), spf("sender.test", path, ""));
        let effect = apply(&helo, &path, Some("a@sender.test"), arranged, LETTER.as_bytes());
        assert_eq!(effect.mail_from, expected, "{helo:?} {path:?} {arranged}");
        // Who it is does not depend on what was arranged with it.
        assert_eq!(effect.is_forwarder, effect.helo == Pass && properties == "p=meng", "{helo:?}");
    };
    check(Pass, "p=meng", Fail, true, Neutral);
    check(Pass, "p=meng", SoftFail, true, Neutral);
    check(Pass, "p=meng", None, true, None);
    check(Pass, "p=meng", Pass, true, Pass);
    check(Pass, "p=meng", TempError, true, TempError);
    check(Pass, "p=meng", Fail, false, Fail);
    check(Pass, "", Fail, true, Fail);
    check(Neutral, "p=meng", Fail, true, Fail);
    check(Fail, "p=meng", Fail, true, Fail);
}

/// proves: SPP-5
#[test]
fn a_trusted_forwarder_passes_on_only_what_did_not_fail() {
    use Verdict::{Fail, Neutral, None, Pass, PermError, SoftFail, TempError};
    for (verdict, may) in [
        (Pass, true),
        (Neutral, true),
        (None, true),
        (Fail, false),
        (SoftFail, false),
        (TempError, false),
        (PermError, false),
    ] {
        let effect = Effect { mail_from: verdict, ..Effect::default() };
        let checked = Checked { effect, ..Checked::default() };
        assert_eq!(may_forward(&checked).is_ok(), may, "{verdict:?}");
    }
}

/// proves: SPP-6, SPP-7
#[test]
fn scott_and_william_say_more_of_the_address() {
    use Verdict::{Fail, Pass, SoftFail};
    let check = |properties: &str, path: Verdict, letter: &str, expected: (Verdict, bool, bool)| {
        let (helo, path) = (spf("mail.sender.test", Verdict::None, ""), spf("sender.test", path, properties));
        let effect = apply(&helo, &path, Some("a@sender.test"), false, letter.as_bytes());
        assert_eq!(
            (effect.mail_from, effect.whole_address, effect.is_author),
            expected,
            "{properties} {letter:?}"
        );
    };
    check("", Pass, LETTER, (Pass, false, false));
    check("p=scott", Pass, LETTER, (Pass, true, false));
    check("p=scott", SoftFail, LETTER, (SoftFail, false, false));
    check("p=william", Pass, LETTER, (Pass, false, true));
    check("p=william", SoftFail, LETTER, (SoftFail, false, false));
    let forged = LETTER.replace("a@", "b@");
    check("p=william", Pass, &forged, (Fail, false, false));
    check("p=william.scott", Pass, &forged, (Fail, false, false));
    check("", Pass, &forged, (Pass, false, false));
    let sent_for = forged.replace("Subject", "Sender: A <a@SENDER.test>\r\nSubject");
    check("p=william", Pass, &sent_for, (Pass, false, false));
    check("p=william", Pass, "Subject: a\r\n\r\n", (Fail, false, false));
}

/// The order of RFC 4407 section 2.
///
/// proves: SPP-7
#[test]
fn who_is_responsible_is_found_in_the_order_of_the_rfc() {
    let check = |header: &str, expected: Option<(&'static str, &str)>| {
        let message = format!("{}\r\n\r\nFrom: body@a.test\r\n", header.replace('|', "\r\n"));
        let found = responsible(message.as_bytes());
        assert_eq!(found.as_ref().map(|(field, address)| (*field, address.as_str())), expected, "{header}");
    };
    check("From: a@a.test", Some(("From", "a@a.test")));
    check("From: \"x@y.test\" <a@a.test>", Some(("From", "a@a.test")));
    check("From: a@a.test, b@b.test", None);
    check("From: a@a.test|From: a@a.test", None);
    check("From: a@a.test, b@b.test|Sender: b@b.test", Some(("Sender", "b@b.test")));
    check("From: a@a.test|Sender: b@b.test|Sender: c@c.test", None);
    check("From: a@a.test|Sender:", Some(("From", "a@a.test")));
    check("From: a@a.test|Sender: b@b.test|Resent-From: c@c.test", Some(("Resent-From", "c@c.test")));
    check(
        "Resent-From: c@c.test|Resent-Sender: d@d.test|From: a@a.test",
        Some(("Resent-Sender", "d@d.test")),
    );
    check(
        "Resent-From: c@c.test|Received: x|Resent-Sender: d@d.test|From: a@a.test",
        Some(("Resent-From", "c@c.test")),
    );
    check("Resent-Sender: d@d.test|Received: x|Resent-From: c@c.test", Some(("Resent-Sender", "d@d.test")));
    check("Resent-From: |From: a@a.test", Some(("From", "a@a.test")));
    check("From: group:;", None);
    check("Subject: none", None);
}
