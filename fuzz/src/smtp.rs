//! An SMTP session to which anything is said.

use gateway::smtp::{Encrypted, Input, Limits, Output, Question, Session, Settings};
use gateway::{Client, LoginFailure, Reply, Service, Verdict};
use message::address::Domain;
use message::{Code, Disposition};

/// What a session has come to.
#[derive(Debug, PartialEq, Eq)]
struct End {
    said: Vec<u8>,
    taken: Vec<Vec<u8>>,
    closed: bool,
}

/// The first octet says at which port, and how the others are cut. However that is, the same is said and taken; what
/// is taken has whole lines and nothing that could end a message elsewhere; and once it is closed nothing more is said.
pub fn smtp(octets: &[u8]) {
    let Some((first, octets)) = octets.split_first() else { return };
    let service = if first & 1 == 0 { Service::Transfer } else { Service::Submission };
    let whole = talk(service, octets, octets.len().max(1));
    let cut = talk(service, octets, usize::from(first >> 1).max(1));
    assert_eq!(whole, cut);
    let ends = octets.windows(5).filter(|five| *five == b"\r\n.\r\n").count();
    let chunks = octets.windows(4).filter(|four| four.eq_ignore_ascii_case(b"BDAT")).count();
    let begun = octets.windows(4).filter(|four| four.eq_ignore_ascii_case(b"MAIL")).count();
    assert!(whole.taken.len() <= begun.min(ends + chunks));
    for content in whole.taken {
        let mut rest = &content[..];
        while let Some(at) = rest.iter().position(|octet| matches!(octet, b'\r' | b'\n' | 0)) {
            rest = rest[at..].strip_prefix(b"\r\n").expect("lines end with CRLF, and there is no NUL");
        }
        assert!(rest.is_empty(), "the last line is whole");
    }
}

fn talk(service: Service, octets: &[u8], piece: usize) -> End {
    let client = Client {
        address: [192, 0, 2, 7].into(),
        came_to: [192, 0, 2, 1].into(),
        helo: String::new(),
        extended: false,
        service,
        tls: None,
        certificate_digest: None,
        account: None,
    };
    let settings = Settings {
        host: "mx.in.test".to_owned(),
        domain: Domain::parse("in.test").unwrap(),
        limits: Limits { message_octets_max: 2_000, recipients_max: 5, ..Limits::default() },
    };
    let mut session = Session::alone(settings, client, [7; 32], 0);
    let mut end = End { said: Vec::new(), taken: Vec::new(), closed: false };
    let mut encrypt = drain(&mut session, &mut end);
    for piece in octets.chunks(piece) {
        session.handle(0, Input::Octets(piece));
        encrypt |= drain(&mut session, &mut end);
    }
    if encrypt && !end.closed {
        let description = "TLSv1.3".to_owned();
        session.handle(0, Input::Encrypted(Encrypted { description, certificate_digest: None }));
        drain(&mut session, &mut end);
        let rest = b"EHLO a\r\nAUTH PLAIN AGJvYgBzZWNyZXQ=\r\nMAIL FROM:<>\r\n";
        session.handle(0, Input::Octets(rest));
        drain(&mut session, &mut end);
    }
    end
}

/// Does what the session wants, and says whether it wants a handshake.
fn drain(session: &mut Session, end: &mut End) -> bool {
    let mut encrypt = false;
    while let Some(output) = session.poll() {
        assert!(!end.closed, "it was over");
        match output {
            Output::Pause(_) => {}
            Output::Send(octets) => end.said.extend_from_slice(&octets),
            Output::Ask(question) => session.handle(0, answer(question, end)),
            Output::StartTls => encrypt = true,
            Output::Close => end.closed = true,
        }
    }
    encrypt
}

fn answer(question: Question, end: &mut End) -> Input<'static> {
    let no = || Reply { digits: 550, code: Code::NO_SUCH_ADDRESS, text: "no".to_owned() };
    match question {
        Question::Login { name, password } if password == "secret" => Input::LoggedIn(Ok(name)),
        Question::Login { .. } => Input::LoggedIn(Err(LoginFailure::Wrong)),
        Question::Keys { .. } => Input::Keys(Err(LoginFailure::Later)),
        Question::Failed { .. } => Input::Noted,
        Question::Sender(_) => Input::Sender(Ok(None)),
        Question::Recipient(_, recipient) => {
            let local = recipient.address.domain().as_str() == "in.test";
            Input::Recipient(if local { Verdict::Welcome } else { Verdict::No(no()) })
        }
        Question::Take(letter) => {
            end.taken.push(letter.octets.to_vec());
            Input::Taken(Ok(vec![Disposition::Accepted; letter.recipients.len()]))
        }
        Question::Test { .. } => Input::Tested(no()),
    }
}

/// Whole sessions, good and bad.
pub fn dialogues() -> Vec<Vec<u8>> {
    let begin = "EHLO a\r\nMAIL FROM:<eve@far.test> PRDR SIZE=100\r\nRCPT TO:<bob@in.test> NOTIFY=NEVER\r\n";
    [
        format!("{begin}DATA\r\nSubject: x\r\n\r\n..a\r\n.\r\nQUIT\r\n"),
        format!(
            "{begin}DATA\r\na\n.\r\nMAIL FROM:<x@in.test>\r\nRCPT TO:<bob@in.test>\r\nDATA\r\nb\r\n.\r\n"
        ),
        format!("{begin}BDAT 3\r\na\r\nBDAT 4 LAST\r\nb\r\n.RSET\r\n"),
        format!("{begin}RCPT TO:<x@other.test>\r\nDATA\r\n.\r\nMAIL FROM:<>\r\n"),
        "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n".to_owned(),
        "EHLO a\r\nSTARTTLS\r\n".to_owned(),
        "EHLO a\r\nAUTH PLAIN\r\nAGJvYgBzZWNyZXQ=\r\n".to_owned(),
    ]
    .iter()
    .flat_map(|dialogue| [6, 7].map(|first| [&[first][..], dialogue.as_bytes()].concat()))
    .collect()
}
