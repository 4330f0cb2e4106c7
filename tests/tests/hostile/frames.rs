//! Frames that are none (`spec/05-frames.md`): those of the vectors, and every field of every request spoilt in turn.

use data_encoding::HEXLOWER;
use message::Code;
use protocol::{Frame, Item, Reader};

use crate::octets::{
    FLOAT, NULL, TRUE, array, bytes, fields, frame, map, negative, tagged, text, uint, varint,
};
use crate::scene::{Answer, Case, Scene};
use crate::sketch::Sketch;

/// What is refused whatever stands around it.
pub(crate) fn vectors(name: &str) -> serde_json::Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/vectors/");
    serde_json::from_str(&std::fs::read_to_string(format!("{path}{name}")).unwrap()).unwrap()
}

pub(crate) fn octets_of(value: &serde_json::Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

pub(crate) fn list<'a>(value: &'a serde_json::Value, name: &str) -> &'a [serde_json::Value] {
    value[name].as_array().unwrap()
}

pub(crate) fn word<'a>(value: &'a serde_json::Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

pub(crate) fn cases(scene: &Scene) -> Vec<Case> {
    let mut cases = Vec::new();
    of_vectors(&mut cases);
    of_lengths(&mut cases);
    of_maps(&mut cases);
    let offer = Sketch::new(scene, "fields").fields;
    let cookies = vec![(0, uint(6)), (1, array(&[bytes(&[7; 32])]))];
    let give_up = vec![(0, uint(9)), (1, array(&[bytes(&[7; 32])]))];
    let keys = vec![(0, uint(32)), (1, text("a@hand.test")), (2, uint(1))];
    for (name, fields) in
        [("an offer", &offer), ("a poll", &cookies), ("a give-up", &give_up), ("keys", &keys)]
    {
        of_fields(name, &[], fields, &mut cases);
    }
    let begun = Sketch::new(scene, "content").with(6, uint(1)).offer();
    let content = vec![(0, uint(3)), (1, uint(1)), (2, uint(100))];
    of_fields("content", &begun, &content, &mut cases);
    let body = [(0, uint(3)), (1, uint(4)), (2, uint(1)), (3, uint(0)), (4, uint(0)), (5, TRUE.to_vec())];
    of_fields("a body", &begun, &body, &mut cases);
    cases
}

fn of_vectors(cases: &mut Vec<Case>) {
    let all = vectors("frames.json");
    for vector in list(&all, "refused") {
        let (rule, name) = (word(vector, "rule"), format!("vector: {}", word(vector, "name")));
        let case = Case::fails(rule, name, octets_of(&vector["octets"]), Code::INVALID_ARGUMENTS);
        // Which bounds are passed, and which fields are not what they must be, the vectors do not tell apart.
        let codes = match rule {
            "FRM-4" | "FRM-5" => vec![Code::INVALID_ARGUMENTS, Code::MESSAGE_TOO_LARGE],
            _ => vec![Code::INVALID_ARGUMENTS],
        };
        cases.push(Case { answer: Answer::Failure(codes), ..case });
    }
    // Read as what they are, and so known as something that does not begin a stream.
    for vector in list(&all, "tolerated") {
        let name = format!("vector, another spelling: {}", word(vector, "name"));
        cases.push(Case::fails(
            word(vector, "rule"),
            name,
            octets_of(&vector["octets"]),
            Code::INVALID_COMMAND,
        ));
    }
    for vector in list(&all, "frames") {
        let octets = octets_of(&vector["octets"]);
        let mut reader = Reader::new();
        reader.push(&octets);
        let Ok(Some(Item::Frame(read))) = reader.next_item() else { panic!("{vector}") };
        let begins = match read {
            Frame::Offer(offer) => offer.submission.is_none(),
            Frame::Poll(_) | Frame::GiveUp(_) | Frame::Key(_) => true,
            _ => false,
        };
        if !begins {
            let name = format!("a stream that begins with {}", word(vector, "name"));
            cases.push(Case::fails("FRM-7", name, octets, Code::INVALID_COMMAND));
        }
    }
}

fn poll(extra: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut entries = vec![(uint(0), uint(6)), (uint(1), array(&[]))];
    entries.extend_from_slice(extra);
    map(&entries)
}

fn no_answers() -> Answer {
    Answer::Frame(Frame::Answers(Vec::new()))
}

fn of_lengths(cases: &mut Vec<Case>) {
    let poll = poll(&[]);
    for octets in [1, 2, 4, 8] {
        let sent = [varint(poll.len() as u64, octets), poll.clone()].concat();
        cases.push(Case::answers("FRM-1", format!("a length in {octets} octets"), sent, no_answers()));
    }
    for (what, length, size) in [
        ("one octet past the bound", 65_537, 4),
        ("2^30 - 1", (1 << 30) - 1, 4),
        ("2^62 - 1", (1 << 62) - 1, 8),
    ] {
        // Refused when the length is known: nothing of the frame is ever sent.
        let sent = varint(length, size);
        cases.push(Case::fails("FRM-1", format!("a length of {what}"), sent, Code::MESSAGE_TOO_LARGE));
    }
    let longest = {
        let mut body = poll;
        let filler = 65_536 - body.len() - 2 - 5;
        body[0] += 1;
        body.extend_from_slice(&[0x18, 0x63, 0x5a]);
        body.extend_from_slice(&(filler as u32).to_be_bytes());
        body.resize(65_536, 0);
        frame(&body)
    };
    let filled = Case::answers("FRM-1", "a frame of 65,536 octets is one", longest, no_answers());
    cases.push(filled);
    for (what, sent) in [
        ("half a length", vec![0x80]),
        ("a length and nothing", vec![0x09]),
        ("half a frame", frame(&poll_of_one())[..20].to_vec()),
        ("nothing", Vec::new()),
    ] {
        let case =
            Case::fails("EXC-9", format!("a stream that ends behind {what}"), sent, Code::BAD_CONNECTION);
        cases.push(case.ended());
    }
}

fn poll_of_one() -> Vec<u8> {
    fields(&[(0, uint(6)), (1, array(&[bytes(&[1; 32])]))])
}

fn nested(depth: usize) -> Vec<u8> {
    let mut octets = vec![0x81; depth];
    octets.push(0);
    octets
}

fn of_maps(cases: &mut Vec<Case>) {
    let refused = Code::INVALID_ARGUMENTS;
    let extra = |key: Vec<u8>, value: Vec<u8>| frame(&poll(&[(key, value)]));
    // The map itself is the first level.
    for (what, value) in [("35 levels within", nested(35)), ("a tag", tagged(0, &text("x")))] {
        cases.push(Case::answers(
            "FRM-3",
            format!("an unknown key with {what}"),
            extra(uint(99), value),
            no_answers(),
        ));
    }
    for (what, key) in [("2^31", 1 << 31), ("2^63", 1 << 63), ("2^64 - 1", u64::MAX)] {
        let sent = extra(uint(key), uint(1));
        cases.push(Case::answers("FRM-3", format!("the unknown key {what}"), sent, no_answers()));
    }
    for (what, key) in [("-1", 0), ("-24", 23), ("-2^63 - 1", 1 << 63), ("-2^64", u64::MAX)] {
        cases.push(Case::fails(
            "FRM-3",
            format!("the critical key {what}"),
            extra(negative(key), uint(1)),
            refused,
        ));
    }
    let doubled = map(&[(uint(5), uint(1)), (uint(5), uint(2))]);
    let long_key = [&[0xa3, 0x00, 0x06, 0x01, 0x80][..], &[0x18, 0x01, 0x80]].concat();
    let huge = map(&[(uint(1 << 63), uint(1)), (uint(1 << 63), uint(2))]);
    for (what, body) in [
        ("a doubled key under an unknown one", poll(&[(uint(99), doubled.clone())])),
        ("a doubled key deep under an unknown one", poll(&[(uint(99), array(&[array(&[doubled])]))])),
        ("a doubled key past 2^63", poll(&[(uint(99), huge)])),
        ("a key twice, once in a longer form", long_key),
        ("a known key twice", poll(&[(uint(1), array(&[]))])),
        ("the type twice", poll(&[(uint(0), uint(6))])),
    ] {
        cases.push(Case::fails("FRM-3", what, frame(&body), refused));
    }
    for (what, body) in [
        ("36 levels within", poll(&[(uint(99), nested(36))])),
        ("1,000 levels within", poll(&[(uint(99), nested(1000))])),
        ("60,000 levels", nested(60_000)),
        ("60,000 tags", [vec![0xc1; 60_000], vec![0]].concat()),
        ("an array that promises 2^63 items", vec![0x9b, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
        ("a map that promises 2^63 entries", vec![0xbb, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
        ("a byte string that promises 2^63 octets", vec![0x5b, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
        ("a text that promises 2^63 octets", vec![0x7b, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
        ("a reserved head", vec![0xa1, 0x00, 0x1c]),
        ("a break without a beginning", vec![0xff]),
        ("a tagged map", tagged(55_799, &poll(&[]))),
        ("a key that is octets", poll(&[(bytes(b"k"), uint(1))])),
        ("a key that is an array", poll(&[(array(&[]), uint(1))])),
        ("a key that is null", poll(&[(NULL.to_vec(), uint(1))])),
        ("a key that is a float", poll(&[(FLOAT.to_vec(), uint(1))])),
    ] {
        cases.push(Case::fails("FRM-2", what, frame(&body), refused));
    }
}

/// Values of every CBOR type, each with the number of its major type.
fn values() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("an unsigned integer", uint(1)),
        ("a negative integer", negative(0)),
        ("octets", bytes(b"octets")),
        ("text", text("text")),
        ("a list", array(&[uint(1)])),
        ("a map", fields(&[(1, uint(1))])),
        ("a number in a tag", tagged(2, &bytes(&[1]))),
        ("a boolean", TRUE.to_vec()),
        ("null", NULL.to_vec()),
        ("a float", FLOAT.to_vec()),
    ]
}

/// Every field left out, and of every other type in turn.
fn of_fields(name: &str, before: &[u8], whole: &[(u64, Vec<u8>)], cases: &mut Vec<Case>) {
    let sent = |fields_: &[(u64, Vec<u8>)]| [before.to_vec(), frame(&fields(fields_))].concat();
    for (place, (key, value)) in whole.iter().enumerate() {
        let optional = (name == "a body" && *key == 5) || (name == "keys" && *key == 2);
        if !optional {
            let mut less = whole.to_vec();
            less.remove(place);
            let what = format!("{name} without its field {key}");
            cases.push(Case::fails("FRM-4", what, sent(&less), Code::INVALID_ARGUMENTS));
        }
        for (what, other) in values() {
            // Simple values and floats share a major type and are told apart by the octet.
            let same = if other[0] >> 5 == 7 { other[0] == value[0] } else { other[0] >> 5 == value[0] >> 5 };
            if same {
                continue;
            }
            let mut spoilt = whole.to_vec();
            spoilt[place].1 = other;
            let what = format!("{name} whose field {key} is {what}");
            cases.push(Case::fails("FRM-4", what, sent(&spoilt), Code::INVALID_ARGUMENTS));
        }
    }
}
