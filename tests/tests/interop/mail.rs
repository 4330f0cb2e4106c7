//! A letter of the old world that has everything: 8-bit text, encoded words, containers within containers, a large file.

use waxwing_tests::world::random;

/// The text in 8-bit octets.
pub(crate) const TEXT: &str = "Grüße aus Göteborg — ça va?\r\nΚαλημέρα κόσμε\r\n";
/// The subject, as people read it.
pub(crate) const SUBJECT: &str = "Grüße und Zahlen für Köln";
/// The name of the file.
pub(crate) const FILE_NAME: &str = "Übersicht Köln.bin";

/// The letter and the octets of its file.
pub(crate) fn letter(from: &str, to: &str, file_octets: usize) -> (Vec<u8>, Vec<u8>) {
    let mut file = vec![0; file_octets];
    random(&mut file);
    let encoded = data_encoding::BASE64_MIME.encode(&file);
    let mut name = String::new();
    for octet in FILE_NAME.bytes() {
        match octet.is_ascii_alphanumeric() || octet == b'.' {
            true => name.push(char::from(octet)),
            false => name.push_str(&format!("%{octet:02X}")),
        }
    }
    let head = format!(
        "From: =?UTF-8?Q?Zo=C3=AB?= <{from}>\r\nTo: <{to}>\r\n\
         Subject: =?iso-8859-1?Q?Gr=FC=DFe_und_Zahlen?= =?utf-8?B?IGbDvHIgS8O2bG4=?=\r\n\
         Date: Mon, 23 Nov 2026 02:00:00 +0000\r\nMessage-ID: <whole-{file_octets}@{from}>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"outer\"\r\n\r\n\
         --outer\r\nContent-Type: multipart/alternative; boundary=\"inner\"\r\n\r\n\
         --inner\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{TEXT}\r\n\
         --inner\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
         <p>Gr=C3=BC=C3=9Fe</p>\r\n--inner--\r\n\r\n\
         --outer\r\nContent-Type: application/octet-stream; name*=UTF-8''{name}\r\n\
         Content-Disposition: attachment; filename*=UTF-8''{name}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    );
    let mut octets = head.into_bytes();
    octets.extend_from_slice(encoded.as_bytes());
    octets.extend_from_slice(b"\r\n--outer--\r\n");
    (octets, file)
}

/// What Python's email package, which nobody here has written, reads in a message: subject, the first text, name and
/// octets of the file, one per line, the last two in hexadecimal digits.
pub(crate) fn read_by_python(mail: &[u8]) -> (String, String, String, Vec<u8>) {
    let program = "import email, email.policy, sys\n\
        m = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)\n\
        text = next(p for p in m.walk() if p.get_content_type() == 'text/plain')\n\
        file = next(p for p in m.walk() if p.get_content_type() == 'application/octet-stream')\n\
        print(str(m['subject']).encode().hex())\n\
        print(text.get_content().replace('\\r\\n', '\\n').encode().hex())\n\
        print(file.get_filename().encode().hex())\n\
        print(file.get_content().hex())\n";
    let (good, said) = super::street::command("/usr/bin/python3", &["-c", program], mail);
    assert!(good, "{said}");
    let decoded: Vec<Vec<u8>> = said
        .lines()
        .map(|line| data_encoding::HEXLOWER.decode(line.as_bytes()).unwrap_or_else(|_| panic!("{said:.500}")))
        .collect();
    let text = |place: usize| String::from_utf8(decoded[place].clone()).unwrap();
    (text(0), text(1), text(2), decoded[3].clone())
}
