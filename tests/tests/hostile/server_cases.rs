//! What a hostile server says, and what has to become of the message that was offered to it.

use message::{Code, Disposition};
use transport::Code as Ended;

use crate::frames::{list, octets_of, vectors, word};
use crate::octets::{TRUE, array, bytes, fields, frame, negative, text, uint, varint};

/// What the server does with a stream.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Say(Vec<u8>),
    /// Ends its side in order.
    Finish,
    /// Aborts its side.
    Reset,
    /// Says nothing.
    Nothing,
}

/// What has to become of a message that is offered to such a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// The offer is no transaction: it is made again, and then the server behaves.
    Again,
    /// It is settled for good.
    Settled(Disposition),
    /// It stays as it is while it is watched, with so many requests at the most.
    Waits { requests_max: usize },
}

#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) rule: &'static str,
    pub(super) what: String,
    pub(super) offered: Vec<Act>,
    pub(super) polled: Vec<Act>,
    pub(super) fate: Fate,
    /// With which number the client has to give the stream up, where the rule says so.
    pub(super) ended: Option<Ended>,
}

impl Case {
    pub(super) fn again(rule: &'static str, what: impl Into<String>, said: Vec<u8>, ended: Ended) -> Case {
        let (what, polled) = (what.into(), Vec::new());
        Case { rule, what, offered: vec![Act::Say(said)], polled, fate: Fate::Again, ended: Some(ended) }
    }

    pub(super) fn settled(rule: &'static str, what: &str, said: Vec<u8>, disposition: Disposition) -> Case {
        Case {
            fate: Fate::Settled(disposition),
            ended: None,
            ..Case::again(rule, what, said, Ended::NoError)
        }
    }

    fn polled(rule: &'static str, what: &str, said: Vec<u8>, requests_max: usize) -> Case {
        let pending = outcome(&[pending(what, 1, 1)]);
        let fate = Fate::Waits { requests_max };
        let case = Case::again(rule, what, pending, Ended::NoError);
        Case { polled: vec![Act::Say(said)], fate, ended: None, ..case }
    }
}

pub(super) fn outcome(dispositions: &[Vec<u8>]) -> Vec<u8> {
    frame(&fields(&[(0, uint(5)), (1, array(dispositions))]))
}

pub(super) fn accepted() -> Vec<u8> {
    array(&[uint(0)])
}

/// A cookie that says which case it is of.
pub(super) fn cookie(what: &str) -> [u8; 32] {
    *message::Digest::of(what.as_bytes()).as_bytes()
}

pub(super) fn pending(what: &str, min: u64, max: u64) -> Vec<u8> {
    array(&[uint(2), bytes(&cookie(what)), uint(min), uint(max), uint(4_000_000_000)])
}

fn failure(code: &str) -> Vec<u8> {
    frame(&fields(&[(0, uint(11)), (1, text(code)), (2, text("no"))]))
}

fn want(selection: &[Vec<u8>]) -> Vec<u8> {
    frame(&fields(&[(0, uint(4)), (1, array(selection))]))
}

pub(super) fn answers(all: &[Vec<u8>]) -> Vec<u8> {
    frame(&fields(&[(0, uint(7)), (1, array(all))]))
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    of_outcomes(&mut cases);
    of_wants(&mut cases);
    of_frames(&mut cases);
    of_cookies(&mut cases);
    cases
}

fn of_outcomes(cases: &mut Vec<Case>) {
    use Ended::{Cancelled, FrameTooLarge, ProtocolViolation};
    for count in [0, 2, 100] {
        let said = outcome(&vec![accepted(); count]);
        cases.push(Case::again(
            "EXC-5",
            format!("{count} dispositions for one recipient"),
            said,
            ProtocolViolation,
        ));
    }
    cases.push(Case::again("EXC-5", "101 dispositions", outcome(&vec![accepted(); 101]), FrameTooLarge));
    for (rule, what, one) in [
        ("FRM-4", "a disposition that nobody knows", array(&[uint(8)])),
        ("FRM-4", "accepted in text", array(&[text("accepted")])),
        ("FRM-4", "a disposition in a tag", crate::octets::tagged(2, &bytes(&[0]))),
        ("FRM-5", "a refusal with an escape sequence", array(&[uint(1), text("5.0.0"), text("\u{1b}[2J")])),
        ("FRM-5", "a refusal of class 3", array(&[uint(1), text("3.0.0"), text("no")])),
        ("FRM-4", "pending without bounds", array(&[uint(2), bytes(&[1; 32])])),
        (
            "FRM-4",
            "pending with a short cookie",
            array(&[uint(2), bytes(&[1; 31]), uint(1), uint(1), uint(1)]),
        ),
        ("EXC-19", "a redirection to a name", redirect("mx.test", 7625)),
        ("EXC-19", "a redirection to port 65,536", redirect("192.0.2.1", 65_536)),
    ] {
        cases.push(Case::again(rule, what, outcome(&[one]), ProtocolViolation));
    }
    let refused = |code: &str| Disposition::refused(Code::parse(code).unwrap(), "no");
    let said = outcome(&[array(&[uint(1), text("5.1.1"), text("no")])]);
    cases.push(Case::settled("EXC-5", "a refusal before the content was read", said, refused("5.1.1")));
    cases.push(Case::settled("EXC-5", "a failure of class 5", failure("5.7.1"), refused("5.7.1")));
    let twice = [outcome(&[accepted()]), outcome(&[array(&[uint(1), text("5.0.0"), text("no")])])].concat();
    cases.push(Case::settled("EXC-26", "accepted, and then refused", twice, Disposition::Accepted));
    let behind = [outcome(&[accepted()]), vec![0xff; 1000]].concat();
    cases.push(Case::settled("EXC-26", "accepted, and then nonsense", behind, Disposition::Accepted));
    let sealed = array(&[bytes(&[1; 32]), bytes(b"Subject: other\r\n\r\n"), array(&[])]);
    let said = frame(&fields(&[(0, uint(5)), (1, array(&[accepted()])), (2, sealed)]));
    cases.push(Case::settled("FRM-3", "an outcome that names another identity", said, Disposition::Accepted));
    for class in ["4.7.0", "2.0.0"] {
        let case = Case::again("EXC-5", format!("a failure of code {class}"), failure(class), Cancelled);
        cases.push(Case { ended: None, ..case });
    }
    let deferred = array(&[uint(3), text("4.3.1"), uint(u64::from(u32::MAX))]);
    let case = Case::again("EXC-18", "deferred for 136 years", outcome(&[deferred]), Cancelled);
    cases.push(Case { fate: Fate::Waits { requests_max: 1 }, ended: None, ..case });
}

pub(super) fn redirect(address: &str, port: u64) -> Vec<u8> {
    array(&[uint(4), text(address), uint(port), bytes(&[1; 32]), bytes(b"ticket"), uint(4_000_000_000)])
}

fn of_wants(cases: &mut Vec<Case>) {
    use Ended::{FrameTooLarge, ProtocolViolation};
    let part = |number: u64, from: u64| array(&[uint(number), uint(from)]);
    for (rule, what, selection) in [
        ("EXC-2", "a part that is not there", vec![uint(5), part(9, 0)]),
        ("EXC-2", "a part from behind its end", vec![uint(5), part(0, 1 << 40)]),
        ("EXC-2", "a part, and one that is not there", vec![uint(5), part(0, 0), part(1, 0)]),
        ("EXC-2", "a range behind the end", vec![uint(6), uint(0), uint(1 << 40), uint(1)]),
        ("EXC-2", "a range that wraps around", vec![uint(6), uint(0), uint(u64::MAX), uint(2)]),
        ("EXC-2", "a range of a part that is not there", vec![uint(6), uint(7), uint(0), uint(1)]),
        ("EXC-27", "a part twice", vec![uint(5), part(0, 0), part(0, 1)]),
        ("EXC-27", "a part 256 times", [vec![uint(5)], vec![part(0, 0); 256]].concat()),
        ("FRM-4", "something that nobody knows", vec![uint(7)]),
        ("FRM-4", "nothing", vec![]),
        ("FRM-4", "no parts", vec![uint(5)]),
        ("FRM-4", "a negative part", vec![uint(5), array(&[negative(0), uint(0)])]),
    ] {
        cases.push(Case::again(rule, format!("a want of {what}"), want(&selection), ProtocolViolation));
    }
    let endless: Vec<u8> = (0..17).flat_map(|_| want(&[uint(1)])).collect();
    cases.push(Case::again("EXC-4", "17 wants", endless, FrameTooLarge));
    let much: Vec<u8> = (0..16).flat_map(|_| want(&[uint(0)])).collect();
    let said = [much, outcome(&[accepted()])].concat();
    cases.push(Case::settled("EXC-4", "16 wants, and accepted", said, Disposition::Accepted));
}

fn of_frames(cases: &mut Vec<Case>) {
    use Ended::{Cancelled, FrameTooLarge, ProtocolViolation};
    for (what, said) in [
        ("a poll", fields(&[(0, uint(6)), (1, array(&[]))])),
        ("settings", fields(&[(0, uint(1)), (1, uint(1)), (2, uint(1)), (3, uint(1))])),
        ("answers", fields(&[(0, uint(7)), (1, array(&[]))])),
        ("settled cookies", fields(&[(0, uint(8)), (1, array(&[]))])),
        ("done", fields(&[(0, uint(10))])),
        ("content", fields(&[(0, uint(3)), (1, uint(1)), (2, uint(5)), (5, TRUE.to_vec())])),
        ("a mailbox", fields(&[(0, uint(20)), (1, array(&[]))])),
    ] {
        let what = format!("{what} for an answer");
        cases.push(Case::again("EXC-5", what, frame(&said), ProtocolViolation));
    }
    for (what, said) in [("65,537 octets", varint(65_537, 4)), ("2^62 - 1 octets", varint((1 << 62) - 1, 8))]
    {
        cases.push(Case::again("FRM-1", format!("a frame of {what}"), said, FrameTooLarge));
    }
    for vector in list(&vectors("frames.json"), "refused") {
        let name = word(vector, "name");
        if matches!(word(vector, "rule"), "FRM-2" | "FRM-3") {
            let what = format!("vector: {name}");
            cases.push(Case::again("FRM-9", what, octets_of(&vector["octets"]), ProtocolViolation));
        }
    }
    for (what, acts) in [
        ("the end at once", vec![Act::Finish]),
        ("the end in a frame", vec![Act::Say(vec![0x09, 0xa2]), Act::Finish]),
        ("a reset at once", vec![Act::Reset]),
        ("a reset behind a want", vec![Act::Say(want(&[uint(1)])), Act::Reset]),
    ] {
        let case = Case::again("EXC-9", what, Vec::new(), Cancelled);
        // After a reset there is nobody to tell.
        cases.push(Case { offered: acts, ended: None, ..case });
    }
    let silent = Case::again("EXC-9", "no answer at all", Vec::new(), Cancelled);
    let fate = Fate::Waits { requests_max: 1 };
    cases.push(Case { offered: vec![Act::Nothing], fate, ended: None, ..silent });
}

fn of_cookies(cases: &mut Vec<Case>) {
    let hot = Case::again(
        "STA-4",
        "pending that is to be asked about all the time",
        outcome(&[pending("hot", 0, 0)]),
        Ended::NoError,
    );
    // Once a second is what we do at the most, whatever we are told.
    let polled = vec![Act::Say(answers(&[array(&[uint(2), uint(0), uint(0), uint(0)])]))];
    cases.push(Case {
        what: "hot".into(),
        polled,
        fate: Fate::Waits { requests_max: 6 },
        ended: None,
        ..hot
    });
    let final_of = |one: Vec<u8>| answers(&[array(&[uint(1), one])]);
    for (rule, what, said) in [
        ("STA-6", "no answer for one cookie", answers(&[])),
        ("STA-6", "two answers for one cookie", answers(&[array(&[uint(0)]), array(&[uint(0)])])),
        ("STA-6", "an end that is none", final_of(array(&[uint(3), text("4.0.0"), uint(1)]))),
        ("STA-6", "an end that is pending", final_of(pending("x", 1, 1))),
        ("STA-6", "an answer that nobody knows", answers(&[array(&[uint(4)])])),
        ("STA-6", "done for an answer", frame(&fields(&[(0, uint(10))]))),
        ("STA-6", "a failure for an answer", failure("5.0.0")),
        ("STA-3", "a cookie that is never known", answers(&[array(&[uint(0)])])),
        ("STA-7", "a message that is always wanted again", answers(&[array(&[uint(3), array(&[uint(0)])])])),
    ] {
        // A request for each second, and what is offered again between two of them.
        cases.push(Case::polled(rule, what, said, 10));
    }
    let accepted = final_of(accepted());
    let case = Case::polled("STA-5", "an end that is told", accepted, 2);
    cases.push(Case { fate: Fate::Settled(Disposition::Accepted), ..case });
}
