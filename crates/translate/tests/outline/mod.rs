//! The outline of a message: its nodes in order, as we have them and as others expect them.

use std::path::Path;

use message::{Message, Part};
use serde_json::Value;
use waxwing_translate::{GLOBAL_HEADERS_TYPE, ImportOptions, SIGNED_ENTITY_TYPE, import};

/// One part: how deep it stands, its type, its file name and, for a leaf, its octets.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) depth: usize,
    pub(crate) media_type: String,
    /// `None` where the expectation says nothing about names.
    pub(crate) name: Option<String>,
    pub(crate) body: Option<Vec<u8>>,
    /// Whether it stands in a signed part, in which line ends are made CRLF.
    pub(crate) signed: bool,
}

impl Node {
    pub(crate) fn agrees(&self, expected: &Node) -> bool {
        self.depth == expected.depth
            && self.media_type == expected.media_type
            && (expected.name.is_none() || self.name == expected.name)
            && if expected.name.is_some() && !self.signed {
                self.body == expected.body
            } else {
                self.lines() == expected.lines()
            }
    }
}

impl Node {
    /// The body; that of a text with its line ends written in one way, since mime4j makes all of them CRLF.
    fn lines(&self) -> Option<Vec<u8>> {
        let body = self.body.as_ref()?;
        if !self.media_type.starts_with("text/") && self.media_type != "application/pgp-signature" {
            return Some(body.clone());
        }
        Some(body.iter().copied().filter(|&octet| octet != b'\r').collect())
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = self.body.as_ref().map(|body| {
            let from = body.len().saturating_sub(50);
            let (start, end) = (&body[..body.len().min(50)], &body[from..]);
            format!(
                "{} {:?}...{:?}",
                body.len(),
                String::from_utf8_lossy(start),
                String::from_utf8_lossy(end)
            )
        });
        write!(f, "{} {} {:?} {:?}", self.depth, self.media_type, self.name, body)
    }
}

/// The outline of a translated message. A signed part, which natively is one leaf, is opened.
pub(crate) fn of_message(message: &Message) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut bodies = message.bodies().iter();
    let mut number = 0;
    walk(message, message.manifest().root(), 0, &mut number, &mut bodies, &mut nodes);
    nodes
}

fn walk<'a>(
    message: &Message,
    part: &Part,
    depth: usize,
    number: &mut usize,
    bodies: &mut impl Iterator<Item = &'a bytes::Bytes>,
    nodes: &mut Vec<Node>,
) {
    let block = &message.headers().parts()[*number];
    *number += 1;
    let parameter = |field: &str, name: &str| {
        let value = block.only(field)?;
        let from = value.to_ascii_lowercase().find(&format!("; {name}="))? + name.len() + 3;
        let rest = &value[from..];
        let text = match rest.strip_prefix('"') {
            None => rest.split(';').next().unwrap().to_owned(),
            Some(quoted) => {
                let mut text = String::new();
                let mut characters = quoted.chars();
                while let Some(c) = characters.next() {
                    match c {
                        '\\' => text.extend(characters.next()),
                        '"' => break,
                        _ => text.push(c),
                    }
                }
                text
            }
        };
        Some(text)
    };
    let name = parameter("Content-Disposition", "filename").or_else(|| parameter("Content-Type", "name"));
    let body = part.leaf().map(|_| bodies.next().unwrap().to_vec());
    if part.media_type == SIGNED_ENTITY_TYPE {
        let open =
            String::from_utf8(body.unwrap()).unwrap().replacen("multipart/signed", "multipart/x-signed", 1);
        let opened = import(open.as_bytes(), &ImportOptions::default()).unwrap();
        nodes.extend(of_message(&opened.message).into_iter().map(|mut node| {
            node.depth += depth;
            node.signed = true;
            node.media_type = node.media_type.replace("x-signed", "signed");
            node
        }));
        return;
    }
    if part.media_type != GLOBAL_HEADERS_TYPE {
        nodes.push(Node {
            depth,
            media_type: part.media_type.clone(),
            name: Some(name.unwrap_or_default()),
            body,
            signed: false,
        });
    }
    for child in part.children() {
        walk(message, child, depth + 1, number, bodies, nodes);
    }
}

/// The outline in a JSON file of mail-parser; `None` where there is no such file.
pub(crate) fn of_mail_parser(json: &Path) -> Option<Vec<Node>> {
    let text = std::fs::read_to_string(json).ok()?;
    let expected: Value = serde_json::from_str(&text).unwrap();
    let mut nodes = Vec::new();
    mail_parser_part(&expected, expected["messages"][0]["root"].as_u64()?, 0, "text/plain", &mut nodes);
    Some(nodes)
}

fn mail_parser_part(all: &Value, id: u64, depth: usize, default: &str, nodes: &mut Vec<Node>) {
    let part = &all["parts"][usize::try_from(id).unwrap()];
    let field = |name: &str| {
        let mut fields = part["headers"].as_array().unwrap().iter();
        fields.find(|field| field["name"].as_str().unwrap().eq_ignore_ascii_case(name))
    };
    let content_type = field("Content-Type").map(|field| &field["value"]["content_type"]);
    let attribute = |header: Option<&Value>, name: &str| {
        let list = header?["attributes"].as_array()?;
        let found = list.iter().find(|pair| pair[0] == name)?;
        Some(found[1].as_str()?.to_owned())
    };
    let disposition = field("Content-Disposition").map(|field| &field["value"]["content_type"]);
    let name = attribute(disposition, "filename").or_else(|| attribute(content_type, "name"));
    let stated = content_type
        .and_then(|value| Some(format!("{}/{}", value["type"].as_str()?, value["subtype"].as_str()?)));
    let media_type = stated.unwrap_or_else(|| default.to_owned());
    let body = match (part["text"].as_str(), part["binary"].as_str()) {
        (Some(text), _) => Some(text.as_bytes().to_vec()),
        (_, Some(base64)) => Some(data_encoding::BASE64.decode(base64.as_bytes()).unwrap()),
        _ => None,
    };
    let default = if media_type == "multipart/digest" { "message/rfc822" } else { "text/plain" };
    nodes.push(Node { depth, media_type, name: Some(name.unwrap_or_default()), body, signed: false });
    for child in part["children"].as_array().into_iter().flatten() {
        mail_parser_part(all, child.as_u64().unwrap(), depth + 1, default, nodes);
    }
    if let Some(nested) = part["nested"].as_u64() {
        let root = all["messages"][usize::try_from(nested).unwrap()]["root"].as_u64().unwrap();
        mail_parser_part(all, root, depth + 1, "text/plain", nodes);
    }
}

/// The outline in the XML file beside a message of mime4j.
pub(crate) fn of_mime4j(msg: &Path) -> Option<Vec<Node>> {
    let stem = msg.file_stem()?.to_str()?;
    let xml = std::fs::read(msg.with_file_name(format!("{stem}_decoded.xml"))).ok()?;
    // The files are in ISO-8859-1, one character an octet.
    let xml: String = xml.iter().map(|&octet| char::from(octet)).collect();
    let mut nodes = Vec::new();
    let mut rest = xml.as_str();
    next_tag(&mut rest);
    mime4j_entity(&mut rest, msg, 0, "text/plain", &mut nodes);
    Some(nodes)
}

/// Reads up to and with the next tag: the text before it and the tag itself.
fn next_tag<'a>(rest: &mut &'a str) -> Option<(&'a str, &'a str)> {
    let (text, after) = rest.split_once('<')?;
    let (tag, after) = after.split_once('>')?;
    *rest = after;
    Some((text, tag))
}

/// Reads an entity of which the opening tag, `message` or `body-part`, is read already.
fn mime4j_entity(rest: &mut &str, msg: &Path, depth: usize, default: &str, nodes: &mut Vec<Node>) {
    let (mut media_type, mut charset) = (None, String::new());
    let place = nodes.len();
    while let Some((text, tag)) = next_tag(rest) {
        let (element, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        match element {
            "/field" => {
                if let Some((name, value)) = text.trim().split_once(':')
                    && name.trim().eq_ignore_ascii_case("content-type")
                    && media_type.is_none()
                {
                    let end =
                        value.trim_start().split([';', ' ', '\r', '\n', '\t']).next().unwrap_or_default();
                    media_type = Some(end.to_ascii_lowercase());
                    let low = value.to_ascii_lowercase();
                    let stated = low.split_once("charset=").map(|(_, rest)| rest.trim_start_matches('"'));
                    let end = stated.and_then(|rest| rest.split(['"', ';', ' ', '\r', '\n']).next());
                    charset = end.unwrap_or_default().to_owned();
                }
            }
            "text-body" | "binary-body" => {
                let file = attributes.split('"').nth(1).unwrap();
                let mut body = std::fs::read(msg.with_file_name(file)).unwrap();
                if element == "text-body"
                    && let Some(encoding) = encoding_rs::Encoding::for_label(charset.as_bytes())
                {
                    // Mime4j writes text in the charset that it came in.
                    body = encoding.decode(&body).0.into_owned().into_bytes();
                }
                let media_type = media_type.clone().unwrap_or_else(|| default.to_owned());
                nodes.push(Node { depth, media_type, name: None, body: Some(body), signed: false });
            }
            "multipart" => {
                let media_type = media_type.clone().unwrap_or_else(|| default.to_owned());
                nodes.push(Node { depth, media_type, name: None, body: None, signed: false });
            }
            "body-part" => {
                let digest = nodes[place].media_type == "multipart/digest";
                let default = if digest { "message/rfc822" } else { "text/plain" };
                mime4j_entity(rest, msg, depth + 1, default, nodes);
            }
            "message" => {
                nodes.push(Node {
                    depth,
                    media_type: media_type.clone().unwrap_or_else(|| default.to_owned()),
                    name: None,
                    body: None,
                    signed: false,
                });
                mime4j_entity(rest, msg, depth + 1, "text/plain", nodes);
            }
            "/body-part" | "/message" => return,
            _ => {}
        }
    }
}

/// The outline that the library mail-parser finds.
pub(crate) fn of_library(eml: &[u8]) -> Option<Vec<Node>> {
    let message = mail_parser::MessageParser::default().parse(eml)?;
    let mut nodes = Vec::new();
    library_part(&message, 0, 0, "text/plain", &mut nodes);
    Some(nodes)
}

fn library_part(
    message: &mail_parser::Message<'_>,
    id: u32,
    depth: usize,
    default: &str,
    nodes: &mut Vec<Node>,
) {
    use mail_parser::{MimeHeaders, PartType};
    let part = &message.parts[usize::try_from(id).unwrap()];
    let stated =
        part.content_type().map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()));
    let media_type = stated.unwrap_or_else(|| default.to_owned()).to_ascii_lowercase();
    let name = Some(part.attachment_name().unwrap_or_default().to_owned());
    let body = match &part.body {
        PartType::Text(text) | PartType::Html(text) => Some(text.as_bytes().to_vec()),
        PartType::Binary(octets) | PartType::InlineBinary(octets) => Some(octets.to_vec()),
        PartType::Message(_) | PartType::Multipart(_) => None,
    };
    let default = if media_type == "multipart/digest" { "message/rfc822" } else { "text/plain" };
    nodes.push(Node { depth, media_type, name, body, signed: false });
    match &part.body {
        PartType::Multipart(children) => {
            children.iter().for_each(|child| library_part(message, *child, depth + 1, default, nodes));
        }
        PartType::Message(inner) => library_part(inner, 0, depth + 1, "text/plain", nodes),
        _ => {}
    }
}
