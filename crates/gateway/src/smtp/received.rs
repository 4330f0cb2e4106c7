//! The Received field that a session writes (RFC 5321 section 4.4, RFC 3848, RFC 6531 section 4.3).

use std::net::IpAddr;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::{Client, Mav, Recipient};

/// What the field says beside the client.
pub(super) struct Hop<'a> {
    pub(super) host: &'a str,
    pub(super) id: &'a str,
    pub(super) utf8: bool,
    pub(super) mav: Option<&'a Mav>,
    pub(super) recipients: &'a [Recipient],
    pub(super) now_ms: u64,
}

/// Writes the field, folded, with CRLF at its end. Recipients are named only where there is just one.
///
/// keeps: GW-9
pub(super) fn field(client: &Client, hop: &Hop<'_>) -> String {
    let from = match client.address {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    };
    let protocol =
        hop.mav.filter(|mav| mav.names_path).map_or_else(|| keyword(client, hop.utf8), |mav| mav.keyword);
    let tls = client.tls.as_ref().map(|tls| format!(" ({tls})")).unwrap_or_default();
    let recipient = match hop.recipients {
        [one] => format!("\r\n\tfor <{}>", one.address),
        _ => String::new(),
    };
    let (helo, host, id, date) = (&client.helo, hop.host, hop.id, date(hop.now_ms));
    format!(
        "Received: from {helo} ({from})\r\n\tby {host} with {protocol}{tls} id {id}{recipient};\r\n\t{date}\r\n"
    )
}

/// The keyword for the protocol, where no rule of MAV has matched.
pub(super) fn keyword(client: &Client, utf8: bool) -> &'static str {
    match (client.extended, utf8, client.tls.is_some(), client.account.is_some()) {
        (false, ..) => "SMTP",
        (true, false, false, false) => "ESMTP",
        (true, false, true, false) => "ESMTPS",
        (true, false, false, true) => "ESMTPA",
        (true, false, true, true) => "ESMTPSA",
        (true, true, false, false) => "UTF8SMTP",
        (true, true, true, false) => "UTF8SMTPS",
        (true, true, false, true) => "UTF8SMTPA",
        (true, true, true, true) => "UTF8SMTPSA",
    }
}

fn date(now_ms: u64) -> String {
    let now = i64::try_from(now_ms).ok().and_then(|now_ms| Timestamp::from_millisecond(now_ms).ok());
    DateTimePrinter::new().timestamp_to_string(&now.unwrap_or(Timestamp::UNIX_EPOCH)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use message::address::Address;

    use super::*;
    use crate::Service;

    fn client() -> Client {
        Client {
            address: "192.0.2.7".parse().unwrap(),
            came_to: std::net::IpAddr::from([127, 0, 0, 1]),
            helo: "mx.far.test".to_owned(),
            extended: true,
            service: Service::Transfer,
            tls: Some("TLSv1.3 with TLS_AES_128_GCM_SHA256".to_owned()),
            certificate_digest: None,
            account: None,
        }
    }

    #[test]
    fn a_field_names_the_one_recipient_and_no_others() {
        let recipient = |text: &str| Recipient {
            address: Address::from_wire(text).unwrap(),
            notify: None,
            original: None,
        };
        let hop =
            |recipients| Hop { host: "in.test", id: "1f", utf8: false, mav: None, recipients, now_ms: 0 };
        let one = [recipient("bob@in.test")];
        assert_eq!(
            field(&client(), &hop(&one)),
            "Received: from mx.far.test ([192.0.2.7])\r\n\tby in.test with ESMTPS \
             (TLSv1.3 with TLS_AES_128_GCM_SHA256) id 1f\r\n\tfor <bob@in.test>;\r\n\t\
             Thu, 1 Jan 1970 00:00:00 -0000\r\n"
        );
        let two = [recipient("bob@in.test"), recipient("eve@in.test")];
        let mut client = client();
        client.address = "2001:db8::1".parse().unwrap();
        client.tls = None;
        assert_eq!(
            field(&client, &hop(&two)),
            "Received: from mx.far.test ([IPv6:2001:db8::1])\r\n\tby in.test with ESMTP id 1f;\r\n\t\
             Thu, 1 Jan 1970 00:00:00 -0000\r\n"
        );
    }

    /// The keywords are those of RFC 3848 and RFC 6531 section 4.3.
    ///
    /// proves: GW-9
    #[test]
    fn keywords() {
        let check = |extended, utf8, tls: bool, account: bool, word| {
            let mut client = client();
            client.extended = extended;
            client.tls = tls.then(|| "TLSv1.3".to_owned());
            client.account = account.then(|| "bob".to_owned());
            assert_eq!(keyword(&client, utf8), word);
        };
        check(false, false, false, false, "SMTP");
        check(false, false, true, false, "SMTP");
        check(true, false, false, false, "ESMTP");
        check(true, false, true, false, "ESMTPS");
        check(true, false, true, true, "ESMTPSA");
        check(true, false, false, true, "ESMTPA");
        check(true, true, false, false, "UTF8SMTP");
        check(true, true, true, false, "UTF8SMTPS");
        check(true, true, true, true, "UTF8SMTPSA");
    }
}
