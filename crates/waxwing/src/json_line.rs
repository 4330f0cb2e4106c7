//! One line of JSON for one thing that has happened, written without a tree of values in between: a busy node prints
//! several for each message.

use std::borrow::Cow;
use std::fmt::Display;

use node::Event;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use crate::show::{code, selection_words};

/// When it happened, at whom, and what.
pub(crate) struct JsonLine<'a> {
    pub(crate) ms: u64,
    pub(crate) who: &'a str,
    pub(crate) event: &'a str,
    pub(crate) details: Details<'a>,
}

/// What else a line says.
pub(crate) enum Details<'a> {
    /// What stands in an event of the node.
    Of(&'a Event),
    /// The entries of an object.
    Object(&'a Value),
}

impl JsonLine<'_> {
    /// The line with its end. What a terminal might obey is escaped. keeps: CLI-3
    pub(crate) fn text(&self) -> String {
        let mut octets = Vec::with_capacity(320);
        // Nothing here can fail: the keys are strings, and the memory is there or the program ends.
        let _ = self.serialize(&mut serde_json::Serializer::new(&mut octets));
        let mut text = String::from_utf8(octets).unwrap_or_default();
        if let Cow::Owned(escaped) = cli::escape_json(&text) {
            text = escaped;
        }
        text.push('\n');
        text
    }
}

impl Serialize for JsonLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("ms", &self.ms)?;
        map.serialize_entry("who", self.who)?;
        map.serialize_entry("event", self.event)?;
        match self.details {
            Details::Of(event) => event_entries(event, &mut map)?,
            Details::Object(Value::Object(entries)) => {
                entries.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
            }
            Details::Object(_) => {}
        }
        map.end()
    }
}

/// As it is shown, without a string in between.
struct Shown<T>(T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

fn event_entries<M: SerializeMap>(event: &Event, map: &mut M) -> Result<(), M::Error> {
    if let Some(identity) = event.identity() {
        map.serialize_entry("identity", &Shown(identity))?;
    }
    if let Some(recipient) = event.recipient() {
        map.serialize_entry("recipient", &Shown(recipient))?;
    }
    match event {
        Event::Offered { by, octets, recipients, .. } => {
            map.serialize_entry("by", by)?;
            map.serialize_entry("octets", octets)?;
            map.serialize_entry("recipients", recipients)
        }
        Event::Asked { selection, .. } => map.serialize_entry("selection", &selection_words(selection)),
        Event::SealChecked { issuer, role, verified, .. } => {
            map.serialize_entry("issuer", issuer)?;
            map.serialize_entry("role", role)?;
            map.serialize_entry("verified", verified)
        }
        Event::Decided { disposition, rule, evidence, .. } => {
            map.serialize_entry("disposition", disposition.word())?;
            map.serialize_entry("code", &code(disposition))?;
            map.serialize_entry("rule", rule)?;
            map.serialize_entry("evidence", evidence)
        }
        Event::Committed { envelope, .. } => map.serialize_entry("envelope", envelope),
        Event::Delivered { .. } => Ok(()),
        Event::Trying { domain, .. } => map.serialize_entry("domain", &Shown(domain)),
        Event::Step { detail, .. } => map.serialize_entry("detail", detail),
        Event::Settled { disposition, .. } => {
            map.serialize_entry("disposition", disposition.word())?;
            map.serialize_entry("code", &code(disposition))?;
            map.serialize_entry("settled", &true)
        }
        Event::Retrying { domain, reason, at_ms, .. } => {
            map.serialize_entry("domain", &Shown(domain))?;
            map.serialize_entry("reason", reason)?;
            map.serialize_entry("at_ms", at_ms)
        }
        Event::Trouble { what } => map.serialize_entry("what", what),
    }
}

#[cfg(test)]
mod tests {
    use message::{Code, Disposition, Identity};
    use serde_json::json;

    use super::*;

    fn line(details: Details<'_>) -> Value {
        let text = JsonLine { ms: 12, who: "north", event: "said", details }.text();
        assert_eq!(text.lines().count(), 1);
        serde_json::from_str(&text).unwrap()
    }

    /// A script finds what it asks for: the message, the recipient, and what was decided about it.
    #[test]
    fn an_event_is_an_object() {
        let identity = Identity::from_bytes([0xab; 32]);
        let event = Event::Settled {
            identity,
            recipient: "bob@south.test".parse().unwrap(),
            disposition: Disposition::Refused { code: Code::NO_SUCH_ADDRESS, text: "no".to_owned() },
            by: "alice".to_owned(),
        };
        let expected = json!({
            "ms": 12, "who": "north", "event": "said", "identity": "ab".repeat(32), "recipient": "bob@south.test",
            "disposition": "refused", "code": "5.1.1", "settled": true,
        });
        assert_eq!(line(Details::Of(&event)), expected);
    }

    #[test]
    fn other_lines_have_the_entries_that_they_are_given() {
        let expected = json!({ "ms": 12, "who": "north", "event": "said", "count": 3 });
        assert_eq!(line(Details::Object(&json!({ "count": 3 }))), expected);
        assert_eq!(line(Details::Object(&Value::Null))["who"], "north");
    }
}
