//! Content that is not what was offered: manifests, seals, headers and bodies (`spec/03`, `04` and `06`).

use message::{Claims, Code, Role, Seal};
use waxwing_tests::peer::seal;
use waxwing_tests::{letter, letter_with};

use crate::frames::{list, octets_of, vectors, word};
use crate::octets::{array, bytes, fields, text, uint};
use crate::scene::{Answer, Case, Scene, Told};
use crate::sketch::{Content, SLICE, Sketch, addresses, manifest_of, seal_list};

const HEADER: &str = "From: alice@hand.test\r\nSubject: Octets\r\n\r\n";
const PART_HEADER: &str = "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n";
const TEXT: &[u8] = b"Hello";

pub(crate) fn cases(scene: &Scene) -> Vec<Case> {
    let mut cases = Vec::new();
    of_order(scene, &mut cases);
    of_lengths(scene, &mut cases);
    of_manifests(scene, &mut cases);
    of_headers(scene, &mut cases);
    of_seals(scene, &mut cases);
    of_evidence(scene, &mut cases);
    cases
}

/// A case whose sketch is changed and then sent.
fn case(scene: &Scene, rule: &str, what: &str, code: Code, change: impl FnOnce(&mut Vec<Content>)) -> Case {
    Case::fails(rule, what, Sketch::new(scene, what).change(change).all(), code)
}

/// EXC-7 leaves a sender no choice in what comes next.
fn of_order(scene: &Scene, cases: &mut Vec<Case>) {
    let code = Code::INVALID_COMMAND;
    let names = ["manifest", "seals", "headers", "body"];
    for place in 0..4 {
        // Without its body a letter is one that still comes, unless its headers are said to be the last.
        if place < 3 {
            let what = format!("no {}", names[place]);
            cases.push(case(scene, "EXC-7", &what, code, |content| drop(content.remove(place))));
        }
        let what = format!("{} twice", names[place]);
        cases.push(case(scene, "EXC-7", &what, code, |content| {
            content[3].last = place != 3;
            let again = Content { last: false, ..content[place].clone() };
            content.insert(place, again);
        }));
        if place < 3 {
            let what = format!("{} after {}", names[place], names[place + 1]);
            cases.push(case(scene, "EXC-7", &what, code, |content| content.swap(place, place + 1)));
            let what = format!("{} said to be the last", names[place]);
            cases.push(case(scene, "EXC-7", &what, code, |content| content[place].last = true));
        }
    }
    cases.push(case(scene, "EXC-7", "a last piece that is not marked", code, |content| {
        content[3].last = false
    }));
    cases.push(case(scene, "EXC-7", "the body of another part", code, |content| {
        content[3].place = Some((1, 0))
    }));
    cases.push(case(scene, "EXC-7", "a body from its second octet", code, |content| {
        content[3].octets.remove(0);
        content[3].place = Some((0, 1));
    }));
    cases.push(case(scene, "EXC-7", "a slice for a body", code, |content| content[3].piece = SLICE));
    for (what, extra) in [
        ("a poll within", fields(&[(0, uint(6)), (1, array(&[]))])),
        ("another offer within", Sketch::new(scene, "inner").offer()[2..].to_vec()),
        ("a failure within", fields(&[(0, uint(11)), (1, text("4.0.0")), (2, text("no"))])),
        ("an outcome within", fields(&[(0, uint(5)), (1, array(&[]))])),
    ] {
        let sketch = Sketch::new(scene, what);
        let frame = crate::octets::frame(&extra);
        let sent = [sketch.offer(), frame, sketch.content[0].all()].concat();
        cases.push(Case::fails("FRM-6", what, sent, code));
    }
    // An offer that says nothing follows: the node has the turn, whatever comes.
    for (eager, pieces) in [(0, 4), (1, 4)] {
        let mut sketch = Sketch::new(scene, "unasked").with(6, uint(eager));
        sketch.content[2].last = eager == 1;
        let what = format!("content of {pieces} pieces unasked, where {eager} was announced");
        cases.push(Case::fails("EXC-3", what, sketch.all(), code));
    }
    for (what, cut) in [("the offer", 0), ("the manifest", 1), ("the headers", 3)] {
        let mut sketch = Sketch::new(scene, what);
        sketch.content.truncate(cut);
        let case = Case::fails("EXC-9", format!("the end behind {what}"), sketch.all(), Code::BAD_CONNECTION);
        cases.push(case.ended());
    }
    let whole = Sketch::new(scene, "the middle").all();
    let cut = whole[..whole.len() - 3].to_vec();
    cases.push(Case::fails("EXC-9", "the end in the middle of a body", cut, Code::BAD_CONNECTION).ended());
}

fn of_lengths(scene: &Scene, cases: &mut Vec<Case>) {
    let order = Code::INVALID_COMMAND;
    let bound = Code::MESSAGE_TOO_LARGE;
    for (what, place, stated, code) in [
        ("a manifest of 65,537 octets", 0, 65_537, bound),
        ("a manifest of 2^56 octets", 0, 1 << 56, bound),
        ("seals of 128 KiB", 1, 128 << 10, bound),
        ("headers of one octet", 2, 1, order),
        ("headers of 2^40 octets", 2, 1 << 40, order),
        ("a body of no octets", 3, 0, order),
        ("a body of 2^56 octets", 3, 1 << 56, order),
    ] {
        cases.push(case(scene, "EXC-6", what, code, |content| content[place].stated = Some(stated)));
    }
    cases.push(case(scene, "EXC-6", "a body with an octet more", order, |content| {
        content[3].octets.push(b'!')
    }));
    cases.push(case(scene, "EXC-6", "a body with an octet less", order, |content| {
        content[3].octets.pop();
    }));
    for (what, octets) in [("one octet more", 1), ("one octet less", u64::MAX), ("2^56 octets", 1 << 56)] {
        let sketch = Sketch::new(scene, what);
        let stated = sketch.message.manifest().message_octets().wrapping_add(octets);
        let what = format!("an offer of {what} than the message has");
        if octets == 1 << 56 {
            // Larger than is taken: no content is needed to say so.
            let told = Answer::Outcome(vec![Told::Refused(bound)]);
            cases.push(Case::answers("EXC-6", what, sketch.with(2, uint(stated)).offer(), told));
        } else {
            cases.push(Case::fails(
                "EXC-6",
                what,
                sketch.with(2, uint(stated)).all(),
                Code::CONTENT_MALFORMED,
            ));
        }
    }
    // More than the window unasked: 64 KiB where nothing is set.
    let large = letter_with(
        &[("From", "alice@hand.test"), ("Subject", "Large")],
        &[("application/octet-stream", &[7; 70_000])],
    );
    let sketch = Sketch::of(&large, &[scene.hand.seal(&large, Role::Submission)]);
    cases.push(Case::fails("EXC-3", "a body past the eager window", sketch.all(), bound));
}

fn of_manifests(scene: &Scene, cases: &mut Vec<Case>) {
    let (malformed, bound) = (Code::CONTENT_MALFORMED, Code::MESSAGE_TOO_LARGE);
    let all = vectors("message.json");
    for vector in list(&all, "bad_manifests") {
        let octets = octets_of(&vector["octets"]);
        if octets.is_empty() {
            // An empty piece is how the digest alone is supplied; it tells nothing, and headers cannot follow.
            continue;
        }
        let sketch = Sketch::of_octets(scene, &octets, 1000, HEADER.as_bytes(), TEXT);
        let name = format!("a manifest, vector: {}", word(vector, "name"));
        let case = Case::fails(word(vector, "rule"), name, sketch.all(), malformed);
        cases.push(Case { answer: Answer::Failure(vec![malformed, bound]), ..case });
    }
    let other = letter("alice@hand.test", "Another one");
    cases.push(case(scene, "EXC-6", "the manifest of another message", Code::INTEGRITY_FAILED, |content| {
        content[0].octets = other.manifest().octets().to_vec();
    }));
    cases.push(case(scene, "EXC-6", "a manifest with a bit flipped", Code::INTEGRITY_FAILED, |content| {
        // In the digest of the body, where it stays well formed.
        let last = content[0].octets.len() - 1;
        content[0].octets[last] ^= 1;
    }));
    cases.push(case(scene, "EXC-7", "an empty manifest, and headers", Code::INVALID_COMMAND, |content| {
        content[0].octets.clear();
    }));
    cases.push(case(scene, "MSG-13", "the headers of another message", Code::INTEGRITY_FAILED, |content| {
        content[2].octets = other.headers().octets().to_vec();
    }));
    cases.push(case(scene, "MSG-13", "headers with a letter changed", Code::INTEGRITY_FAILED, |content| {
        let last = content[2].octets.len() - 6;
        content[2].octets[last] ^= 1;
    }));
    cases.push(case(scene, "EXC-24", "another body of the same length", Code::INTEGRITY_FAILED, |content| {
        content[3].octets[0] ^= 1;
    }));
}

/// Header blocks that break a rule, whose digests and lengths are right.
fn of_headers(scene: &Scene, cases: &mut Vec<Case>) {
    let code = Code::CONTENT_MALFORMED;
    let mut push = |rule: &str, what: &str, header: &[u8], part: &[u8]| {
        let manifest = manifest_of(header, part, TEXT);
        let octets = (header.len() + part.len() + TEXT.len() + 4) as u64;
        let headers = [header, part].concat();
        let sketch = Sketch::of_octets(scene, &manifest, octets, &headers, TEXT);
        cases.push(Case::fails(rule, what, sketch.all(), code));
    };
    let longest = format!("{}: x\r\n\r\n", "N".repeat(77));
    for (rule, what, header) in [
        ("MSG-2", "lines ended by LF", &b"From: alice@hand.test\n\n"[..]),
        ("MSG-2", "no empty line", b"From: alice@hand.test\r\n"),
        ("MSG-2", "no space after the colon", b"From:alice@hand.test\r\n\r\n"),
        ("MSG-2", "no colon", b"From alice\r\n\r\n"),
        ("MSG-2", "octets that are not UTF-8", b"From: \xff\r\n\r\n"),
        ("MSG-3", "NUL", b"From: a\0lice@hand.test\r\n\r\n"),
        ("MSG-3", "a bare CR before another field", b"From: alice@hand.test\rBcc: x\r\n\r\n"),
        ("MSG-3", "a bare LF before another field", b"From: alice@hand.test\nBcc: x\r\n\r\n"),
        ("MSG-3", "an escape sequence", b"Subject: \x1b[2J\r\n\r\n"),
        ("MSG-3", "NEL", "Subject: a\u{85}b\r\n\r\n".as_bytes()),
        ("MSG-4", "a name of 77 octets", longest.as_bytes()),
        ("MSG-4", "an empty name", b": x\r\n\r\n"),
        ("MSG-4", "a space in a name", b"Fr om: x\r\n\r\n"),
        ("MSG-4", "a fold at the beginning", b" From: x\r\n\r\n"),
        ("MSG-4", "a fold of white space", b"From: x\r\n  \r\n\r\n"),
        ("MSG-2", "a second header block", b"From: x\r\n\r\nTo: y\r\n\r\n"),
    ] {
        push(rule, &format!("a header with {what}"), header, PART_HEADER.as_bytes());
    }
    for (rule, what, part) in [
        ("MSG-6", "no type", "Content-Length: 5\r\n\r\n"),
        (
            "MSG-6",
            "two types",
            "Content-Type: text/plain\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n",
        ),
        ("MSG-6", "no length", "Content-Type: text/plain\r\n\r\n"),
        (
            "MSG-6",
            "two lengths",
            "Content-Type: text/plain\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        ),
        ("MSG-13", "another length", "Content-Type: text/plain\r\nContent-Length: 6\r\n\r\n"),
        ("MSG-13", "another type", "Content-Type: text/html\r\nContent-Length: 5\r\n\r\n"),
        ("MSG-6", "a length with a zero before", "Content-Type: text/plain\r\nContent-Length: 05\r\n\r\n"),
        ("MSG-6", "a length with a sign", "Content-Type: text/plain\r\nContent-Length: +5\r\n\r\n"),
        ("MSG-6", "a type in upper case", "Content-Type: Text/Plain\r\nContent-Length: 5\r\n\r\n"),
        (
            "MSG-6",
            "a transfer encoding",
            "Content-Type: text/plain\r\nContent-Length: 5\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        ),
    ] {
        push(rule, &format!("a part with {what}"), HEADER.as_bytes(), part.as_bytes());
    }
}

/// Pieces that are no seals, or too many.
fn of_seals(scene: &Scene, cases: &mut Vec<Case>) {
    let (malformed, bound) = (Code::CONTENT_MALFORMED, Code::MESSAGE_TOO_LARGE);
    let mut push = |rule: &str, what: &str, codes: &[Code], seals: Vec<u8>| {
        let sketch = Sketch::new(scene, what).change(|content| content[1].octets = seals);
        let case = Case::fails(rule, what, sketch.all(), malformed);
        cases.push(Case { answer: Answer::Failure(codes.to_vec()), ..case });
    };
    let all = vectors("seals.json");
    for vector in list(&all, "cases").iter().filter(|vector| word(vector, "expect") == "malformed") {
        let name = format!("a seal, vector: {}", word(vector, "name"));
        push(word(vector, "rule"), &name, &[malformed, bound], seal_list(&[octets_of(&vector["seal"])]));
    }
    let good = scene.hand.seal(&letter("alice@hand.test", "seals"), Role::Submission).octets().to_vec();
    // What is no list of byte strings is no frame either: FRM-10 names one code for fields and one for content.
    let codes = [malformed, Code::INVALID_ARGUMENTS];
    push("SEAL-7", "17 seals", &[bound], seal_list(&vec![good.clone(); 17]));
    push("SEAL-7", "seals that are one seal", &codes, bytes(&good));
    push("SEAL-7", "seals that are a map", &codes, fields(&[(1, bytes(&good))]));
    push("SEAL-7", "a seal that is text", &codes, array(&[text("seal")]));
    push("SEAL-7", "seals and something behind", &codes, [seal_list(&[good]), vec![0]].concat());
    push(
        "SEAL-7",
        "a list that promises 2^63 seals",
        &codes,
        vec![0x9b, 0x7f, 255, 255, 255, 255, 255, 255, 255],
    );
    push("SEAL-7", "seals that are nothing", &codes, Vec::new());
    push("SEC-1", "seals nested 60,000 deep", &codes, [vec![0x81; 60_000], vec![0]].concat());
}

/// Well-formed seals that prove nothing: each recipient is refused (EXC-25).
fn of_evidence(scene: &Scene, cases: &mut Vec<Case>) {
    let own = scene.world.domain_key("hand.test");
    let others = scene.world.domain_key("thief.test");
    let something_else = letter("alice@hand.test", "something else");
    let claims = |role| Claims {
        issuer: "hand.test".to_owned(),
        issued_at: 1_767_225_600,
        expires_at: None,
        role,
        submitter: Some("alice@hand.test".to_owned()),
        recipient: None,
        authorization: None,
        checks: Vec::new(),
    };
    let sign = |message: &message::Message, claims: Claims, name: &[u8]| {
        Seal::sign(message.manifest().octets(), claims, name, &own)
    };
    let (missing, broken) = (Some(Code::NOT_AUTHORIZED), Some(Code::INTEGRITY_FAILED));
    type Make<'a> = Box<dyn Fn(&message::Message) -> Vec<Seal> + 'a>;
    let far = 1 << 40;
    let all: Vec<(&str, &str, Option<Code>, Make<'_>)> = vec![
        ("EXC-25", "no seal", missing, Box::new(|_| vec![])),
        (
            "SEAL-6",
            "a seal over something else",
            broken,
            Box::new(|_| vec![scene.hand.seal(&something_else, Role::Submission)]),
        ),
        (
            "SEAL-5",
            "a seal with another's key",
            broken,
            Box::new(|m| vec![seal(m, "hand.test", &others, Role::Submission)]),
        ),
        (
            "EXC-25",
            "a seal in another's name",
            missing,
            Box::new(|m| vec![seal(m, "thief.test", &own, Role::Submission)]),
        ),
        (
            "EXC-25",
            "an author's seal alone",
            missing,
            Box::new(|m| vec![seal(m, "hand.test", &own, Role::Author)]),
        ),
        (
            "SEAL-4",
            "a seal of an unknown role",
            missing,
            Box::new(|m| vec![seal(m, "hand.test", &own, Role::Unknown(77))]),
        ),
        (
            "EXC-25",
            "a seal of a subdomain",
            missing,
            Box::new(|m| vec![seal(m, "a.hand.test", &own, Role::Submission)]),
        ),
        (
            "EXC-25",
            "a seal of a vouching domain alone",
            missing,
            Box::new(|m| vec![seal(m, "hand.test", &own, Role::Vouch)]),
        ),
        (
            "SEAL-6",
            "a seal that has expired",
            broken,
            Box::new(|m| {
                vec![sign(m, Claims { expires_at: Some(1_767_225_700), ..claims(Role::Submission) }, b"key1")]
            }),
        ),
        (
            "EXC-25",
            "a seal whose selector has no key",
            missing,
            Box::new(|m| vec![sign(m, claims(Role::Submission), b"none")]),
        ),
        (
            "EXC-25",
            "a seal whose selector is no name",
            missing,
            Box::new(|m| vec![sign(m, claims(Role::Submission), b"\xff\x00.")]),
        ),
        (
            "SEAL-7",
            "a good seal twice is one good seal",
            None,
            Box::new(|m| vec![scene.hand.seal(m, Role::Submission); 2]),
        ),
        (
            "SEAL-7",
            "a broken seal with the same name beside a good one",
            None,
            Box::new(|m| {
                vec![scene.hand.seal(&something_else, Role::Submission), scene.hand.seal(m, Role::Submission)]
            }),
        ),
        ("SEAL-7", "16 seals", None, Box::new(|m| vec![scene.hand.seal(m, Role::Submission); 16])),
    ];
    for (rule, what, code, make) in all {
        let message = letter("alice@hand.test", what);
        let sketch = Sketch::of(&message, &make(&message));
        let told = code.map_or(Told::Accepted, Told::Refused);
        let case = Case::answers(rule, what, sketch.all(), Answer::Outcome(vec![told]));
        cases.push(if code.is_none() { case.delivers(message.identity()) } else { case });
    }
    let message = letter("alice@hand.test", "From the future");
    let claims = Claims { issued_at: far, ..claims(Role::Submission) };
    let sketch = Sketch::of(&message, &[sign(&message, claims, b"key1")]);
    let told = Answer::Outcome(vec![Told::Deferred]);
    cases.push(Case::answers("EXC-17", "a seal of the far future", sketch.all(), told));
    // What the envelope says of the issuers is nobody's proof, one way or the other.
    for (what, issuers) in [("of the bank", &["bank.test"][..]), ("of nobody", &[])] {
        let sketch = Sketch::new(scene, what).with(3, addresses(issuers));
        let identity = sketch.message.identity();
        let told = Answer::Outcome(vec![Told::Accepted]);
        let what = format!("an envelope that tells {what}, seals that are good");
        cases.push(Case::answers("EXC-1", what, sketch.all(), told).delivers(identity));
    }
    let forged = letter("president@bank.test", "From another domain");
    let sketch = Sketch::of(&forged, &[scene.hand.seal(&forged, Role::Submission)]);
    let told = Answer::Outcome(vec![Told::Refused(Code::NOT_AUTHORIZED)]);
    cases.push(Case::answers("EXC-25", "From of a domain that has not sealed", sketch.all(), told));
}
