//! The old world in the quickstart: Zoe, who has an ordinary mail server, writes to Bob by SMTP, and Bob answers.

use std::time::Duration;

use bytes::Bytes;
use cli::client::Outgoing;
use daemon::{Demo, LEGACY_DOMAIN, send_by_smtp};
use message::address::Address;
use message::{Disposition, Message};
use protocol::SubmissionOptions;
use serde_json::json;

use crate::quickstart::{Failure, User, settled};
use crate::show::Printer;

/// Zoe's letter, as her server brings it.
const LETTER: &str = "From: =?UTF-8?Q?Zo=C3=AB?= <zoe@legacy.test>\r\nTo: Bob <bob@south.test>\r\n\
    Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe_aus_der_alten_Welt?=\r\nDate: Mon, 23 Nov 2026 02:00:00 +0000\r\n\
    Message-ID: <quickstart-1@legacy.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
    Content-Transfer-Encoding: quoted-printable\r\n\r\nSch=F6n, dass das noch geht.\r\n";

/// Both ways across the border; whether everything went as it must.
pub(crate) async fn tell(demo: &Demo, bob: &mut User, printers: [&Printer; 2]) -> Result<bool, Failure> {
    let [of_zoe, of_bob] = printers;
    let Some(smtp) = demo.south.running.gateway_addresses().transfer else { return Ok(false) };
    let zoe = Address::from_wire(&format!("zoe@{LEGACY_DOMAIN}"))?;
    let resolver = daemon::system_resolver(Some(demo.dns_address()))?;
    let said =
        send_by_smtp(smtp, resolver, &zoe, &bob.address, Bytes::from_static(LETTER.as_bytes())).await?;
    of_zoe.line(
        "by SMTP",
        &format!("to {} at {smtp}: {said}", bob.address),
        json!({ "server": smtp.to_string(), "reply": said }),
    );
    let entries = bob.session.mailbox(0, 100).await?;
    // In a folder of before it is there already, and is the same one.
    let arrived = entries.iter().any(|entry| entry.origin.starts_with("smtp:"));
    of_bob.line(
        "has",
        &format!("{} from the old world, its quoted-printable and its charset undone", zoe),
        json!({ "from": zoe.to_string(), "arrived": arrived }),
    );
    let answer = answer(&bob.address, &zoe)?;
    let outgoing = Outgoing::from_message(&answer, Vec::new());
    let to = [zoe.clone()];
    let identity = bob.session.submit(&outgoing, &to, SubmissionOptions::default(), &|_| {}).await?.identity;
    let brought = tokio::time::timeout(Duration::from_secs(60), demo.legacy.brought()).await?;
    let brought = brought.ok_or("the old server has ended")?;
    let good = brought.recipients == to;
    of_zoe.line(
        "is brought",
        &format!(
            "Bob's answer, {} octets by SMTP under the return path {}",
            brought.octets.len(),
            shown(&brought.return_path)
        ),
        json!({ "octets": brought.octets.len(), "return_path": shown(&brought.return_path) }),
    );
    let dispositions = settled(bob, identity, &to).await?;
    let relayed = dispositions == [Disposition::Relayed];
    of_bob.line(
        dispositions[0].word(),
        &format!("{zoe}: her server has it, and no notice of failure has come"),
        json!({ "recipient": zoe.to_string(), "disposition": dispositions[0].word(), "final": true }),
    );
    Ok(arrived && good && relayed)
}

fn shown(return_path: &Option<Address>) -> String {
    return_path.as_ref().map_or("<>".to_owned(), ToString::to_string)
}

fn answer(from: &Address, to: &Address) -> Result<Message, Failure> {
    let text = format!(
        "From: Bob <{from}>\r\nTo: =?UTF-8?Q?Zo=C3=AB?= <{to}>\r\nSubject: Re: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         Ja, und sogar mit Umlauten: äöü.\r\n"
    );
    Ok(translate::import(text.as_bytes(), &translate::ImportOptions::default())?.message)
}
