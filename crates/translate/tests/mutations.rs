//! Octets that nobody wrote: mutations of real messages and pure noise never panic, and what imports keeps its
//! identity.

#![expect(clippy::unwrap_used, reason = "test code outside the test functions: a failure ends the test")]

mod vectors;

use proptest::prelude::*;
use waxwing_translate::{ExportOptions, ImportOptions, Reason, export, import};

/// The property of TRL-1 on any octets; gives whether they import.
fn holds(eml: &[u8]) -> Result<bool, String> {
    let Ok(first) = import(eml, &ImportOptions::default()) else { return Ok(false) };
    let exported = export(&first.message, &ExportOptions::default()).or_else(|refusal| {
        if refusal.reason != Reason::NeedsUtf8Headers {
            return Err(refusal.to_string());
        }
        let options = ExportOptions { utf8_headers: true, eight_bit: false };
        export(&first.message, &options).map_err(|refusal| refusal.to_string())
    })?;
    let wide = ExportOptions { utf8_headers: true, eight_bit: true };
    for form in [exported, export(&first.message, &wide).map_err(|refusal| refusal.to_string())?] {
        let second =
            import(&form, &ImportOptions::default()).map_err(|refusal| format!("again: {refusal}"))?;
        if second.message.identity() != first.message.identity() {
            return Err(format!("{}\n---\n{}", show(&first.message), show(&second.message)));
        }
    }
    Ok(true)
}

fn show(message: &message::Message) -> String {
    String::from_utf8_lossy(&message.to_octets()).into_owned()
}

/// A small generator with a seed: the same mutations on every machine (xorshift, Marsaglia 2003).
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % below.max(1)
    }
}

/// What a mutation may put in: the syntax of mail, and octets that hurt.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\0",
    b"\xff",
    b"\xe4",
    b"=",
    b"=?",
    b"?=",
    b"\"",
    b"\\",
    b"(",
    b")",
    b"<",
    b">",
    b",",
    b";",
    b":",
    b"@",
    b"--",
    b"*",
    b"%",
    b"'",
    b"=\r\n",
    b"=?utf-8?Q?=C3=A4?=",
    b"=?utf-8?B?w6Q=?=",
    b"=?iso-8859-1?Q?=E4,?=",
    b"=?x?q?y?=",
    b"\xc3\xa4",
    b"\r\nContent-Type: multipart/mixed; boundary=x",
    b"\r\nContent-Type: message/rfc822\r\n",
    b"\r\nContent-Transfer-Encoding: base64\r\n",
    b"\r\nContent-Transfer-Encoding: quoted-printable\r\n",
    b"\r\nContent-Type: multipart/signed; boundary=x\r\n",
    b"\r\n--x\r\n",
    b"\r\n--x--\r\n",
    b"; name*0*=utf-8''%C3%A4; name*1=b",
    b"; charset=iso-2022-jp",
    b"\r\nFrom: ",
    b"\r\nTo: ",
    b"\r\nSubject: ",
    b"\x1b$B",
];

fn mutate(eml: &mut Vec<u8>, noise: &mut Noise) {
    for _ in 0..=noise.next(6) {
        // Most of what can go wrong stands near the start.
        let reach = if noise.next(3) == 0 { eml.len() } else { eml.len().min(1500) };
        let at = noise.next(reach + 1);
        let end = (at + noise.next(40)).min(eml.len());
        match noise.next(6) {
            0 => drop(eml.drain(at..end)),
            1 => {
                let copied = eml[at..end].to_vec();
                let to = noise.next(eml.len() + 1);
                eml.splice(to..to, copied);
            }
            2 if at < eml.len() => eml[at] = u8::try_from(noise.next(256)).unwrap(),
            3 => eml.truncate(eml.len() - noise.next(eml.len() / 4 + 1)),
            _ => {
                let piece = PIECES[noise.next(PIECES.len())];
                eml.splice(at..at, piece.iter().copied());
            }
        }
    }
}

/// proves: TRL-1, TRL-2
#[test]
fn mutations_keep_the_property() {
    let Some(root) = vectors::folder() else { return };
    let mut files = vectors::files(&root.join("mime-mime4j"), &["msg"]);
    files.extend(vectors::files(&root.join("mime-cpython"), &["txt"]));
    files.extend(vectors::files(&root.join("mime-mailparser-rs/eml"), &["eml"]));
    files.extend(vectors::files(&root.join("corpus-spamassassin"), &["txt"]).into_iter().step_by(10));
    let mut noise = Noise(0x57_61_78_77_69_6e_67);
    let (mut tried, mut imported) = (0, 0);
    for path in files {
        let original = std::fs::read(&path).unwrap();
        if original.len() > 20_000 {
            continue;
        }
        for round in 0..ROUNDS {
            let mut eml = original.clone();
            mutate(&mut eml, &mut noise);
            tried += 1;
            match holds(&eml) {
                Ok(good) => imported += usize::from(good),
                Err(text) => panic!("{} round {round}: {text}", path.display()),
            }
        }
    }
    println!("{imported} of {tried} mutations import");
    assert!(tried > 3000 && imported * 10 > tried * 9, "{imported} of {tried}");
}

/// Mutations of each file.
const ROUNDS: usize = 12;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// proves: TRL-2
    #[test]
    fn noise_never_panics(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(holds(&octets).is_ok());
    }

    /// proves: TRL-1
    #[test]
    fn syntax_in_any_order_keeps_the_property(choice in proptest::collection::vec(0..PIECES.len(), 0..60)) {
        let mut eml = b"Subject: x".to_vec();
        choice.iter().for_each(|&piece| eml.extend_from_slice(PIECES[piece]));
        if let Err(text) = holds(&eml) {
            prop_assert!(false, "{}", text);
        }
    }
}
