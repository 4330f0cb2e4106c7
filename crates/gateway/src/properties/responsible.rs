//! The purported responsible address of RFC 4407: who a header says has brought a message on its way.

use mail_auth::common::to_a_label;

use crate::check::header_fields;

/// The field and the address that RFC 4407 section 2 selects: the first Resent-Sender, unless a Resent-From of a later
/// block stands above it, else the first Resent-From, else the one Sender, else the one From; and only where that field
/// holds exactly one address.
#[must_use]
pub fn responsible(octets: &[u8]) -> Option<(&'static str, String)> {
    let fields: Vec<(String, String)> = header_fields(octets)
        .into_iter()
        .filter_map(|field| {
            let (name, value) = field.split_once(':')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect();
    let filled = |wanted: &str| {
        let wanted = wanted.to_owned();
        fields.iter().enumerate().filter(move |(_, (name, value))| *name == wanted && !value.is_empty())
    };
    let resent_sender = filled("resent-sender").next();
    let resent_from = filled("resent-from").next();
    let (field, value) = match (resent_sender, resent_from) {
        (Some((sender, (_, value))), from) => {
            let traced = |from: usize| {
                let between = fields.get(from..sender).unwrap_or_default();
                between.iter().any(|(name, _)| name == "received" || name == "return-path")
            };
            match from {
                Some((from, (_, value))) if from < sender && traced(from) => ("Resent-From", value),
                _ => ("Resent-Sender", value),
            }
        }
        (None, Some((_, (_, value)))) => ("Resent-From", value),
        (None, None) => {
            let mut senders = filled("sender");
            let mut authors = filled("from");
            match (senders.next(), senders.next(), authors.next(), authors.next()) {
                (Some((_, (_, value))), None, ..) => ("Sender", value),
                (None, None, Some((_, (_, value))), None) => ("From", value),
                _ => return None,
            }
        }
    };
    only_address(value).map(|address| (field, address))
}

/// The address of a field that holds exactly one, its domain in A-labels.
fn only_address(value: &str) -> Option<String> {
    let line = format!("{value}\r\n");
    let parsed = mail_parser::parsers::MessageStream::new(line.as_bytes()).parse_address();
    let mailboxes: Vec<&mail_parser::Addr<'_>> = parsed.as_address()?.iter().collect();
    let [mailbox] = mailboxes.as_slice() else { return None };
    let (local, domain) = mailbox.address.as_deref()?.rsplit_once('@')?;
    let sound = !local.is_empty() && !domain.is_empty();
    sound.then(|| format!("{local}@{}", to_a_label(domain)))
}
