//! Where a target begins: the vectors of the specification, good and bad ones.

use data_encoding::HEXLOWER;
use serde_json::Value;

/// What a target is to be tried with first.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut found = vec![Vec::new()];
    match target {
        "frames" => {
            for list in ["frames", "tolerated", "refused"] {
                found.extend(field("frames.json", list, "octets"));
            }
        }
        "conversation" => {
            for frame in field("frames.json", "frames", "octets") {
                found.push([&[0, 64][..], &frame[..frame.len().min(250)]].concat());
            }
            found.extend((0..32).map(|first| (0..40).map(|n| first * 8 + n % 8).collect()));
        }
        "manifest" => {
            found.extend(field("message.json", "accepted", "manifest"));
            found.extend(field("message.json", "bad_manifests", "octets"));
        }
        "headers" => found.extend(messages().into_iter().map(|message| {
            let end = message.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
            message[..end].to_vec()
        })),
        "message" | "export" => found.extend(messages()),
        "file" => {
            let all = vectors("message.json");
            found.push(octets(&all["file"]["prelude"]));
            found.push([octets(&all["file"]["prelude"]), messages().remove(0)].concat());
        }
        "seal" => found.extend(field("seals.json", "cases", "seal")),
        "keys" => {
            for list in ["statements", "records"] {
                found.extend(field("keys.json", list, "octets"));
            }
            let answers = vectors("keys.json")["answers"].clone();
            for answer in answers.as_array().into_iter().flatten() {
                found.push(octets(&answer["head"]));
                let hashes = answer["consistency"].as_array().into_iter().flatten().flat_map(octets);
                found.push([3, 5].into_iter().chain(hashes).collect());
            }
        }
        "slice" => found.extend((0..24).map(|n: u8| vec![n, n * 9, n * 10, 1, 2, 3])),
        "address" => found.extend(
            [
                "ada@north.test",
                "grüß@süd.test",
                "a.b+c@xn--sd-xka.test",
                "\u{430}lice@north.test",
                "א@x.test",
                "क्‍ष@x.test",
            ]
            .map(|text| text.as_bytes().to_vec()),
        ),
        "import" => found.extend(legacy()),
        "dns" => found.extend(
            [
                "v=1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
                "v=1; k=ed25519; p=",
                "v=DKIM1; p=x",
            ]
            .map(|text| text.as_bytes().to_vec()),
        ),
        "log" => found.extend(super::log::logs()),
        "store" => found.extend(super::stored::records()),
        "smtp" => found.extend(super::smtp::dialogues()),
        _ => {}
    }
    found
}

fn messages() -> Vec<Vec<u8>> {
    [field("message.json", "accepted", "octets"), field("message.json", "refused", "octets")].concat()
}

fn vectors(name: &str) -> Value {
    // Both who build this lie one folder below the root of the repository.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/vectors/");
    let text = std::fs::read_to_string(format!("{path}{name}")).expect("the vectors of the specification");
    serde_json::from_str(&text).expect("vectors are JSON")
}

fn octets(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap_or_default().as_bytes()).unwrap_or_default()
}

fn field(file: &str, list: &str, name: &str) -> Vec<Vec<u8>> {
    let all = vectors(file);
    all[list].as_array().into_iter().flatten().map(|item| octets(&item[name])).collect()
}

fn legacy() -> Vec<Vec<u8>> {
    let mixed = "From: Zo\u{eb} <zoe@x.test>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n\
                 --b\r\nContent-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
                 =E4=\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: =?utf-8?Q?a?= =?utf-8?B?YQ==?=\r\n\r\nhi\r\n\
                 --b\r\nContent-Type: image/png; name*0*=utf-8''a%20; name*1=b\r\nContent-Transfer-Encoding: base64\r\n\r\n\
                 iVBORw0K\r\n--b--\r\n";
    let signed = "From: a@x.test\r\nContent-Type: multipart/signed; boundary=s; protocol=\"application/pgp-signature\"\r\n\r\n\
                  --s\r\n\r\nx\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\ny\r\n--s--\r\n";
    let plain =
        "From: a@x.test\nTo: undisclosed-recipients:;\nSubject: =?iso-8859-1?q?=E4?=\n\nhello\nworld\n";
    [mixed, signed, plain].map(|text| text.as_bytes().to_vec()).to_vec()
}
