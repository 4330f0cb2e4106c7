//! `policy` and `correspondent`: what is decided and why, and whom the users know.

pub(super) mod print;

use std::path::Path;

use control::Request;
use data_encoding::BASE64;

use super::operator::digits;
use crate::Error;
use crate::args::{CorrespondentCommand, PolicyCommand};
use crate::client::Outgoing;

/// What is asked of the node. What is no identity is the name of a file, whose bodies need not be read, or `-` for what
/// comes over the standard input.
pub(super) fn policy_request(command: &PolicyCommand) -> Result<Request, Error> {
    let PolicyCommand::Explain { message, to, peer } = command else { return Ok(Request::PolicyShow) };
    let (to, peer) = (to.clone(), peer.clone());
    if let Ok(identity) = digits(message) {
        return Ok(Request::PolicyExplain { identity, to, peer });
    }
    let file = match message.as_str() {
        "-" => Outgoing::read(std::io::stdin().lock())?,
        path => Outgoing::open(Path::new(path))?.0,
    };
    Ok(Request::PolicyExplainFile {
        manifest: BASE64.encode(file.manifest().octets()),
        headers: BASE64.encode(&file.headers().octets()),
        seals: file.seals().iter().map(|seal| BASE64.encode(seal.octets())).collect(),
        to,
        peer,
    })
}

/// What is asked of the node.
pub(super) fn correspondent_request(command: &CorrespondentCommand) -> Request {
    let put =
        |account: &String, who: &String, regard: &str, note: &Option<String>| Request::CorrespondentPut {
            account: account.clone(),
            who: who.clone(),
            regard: regard.to_owned(),
            note: note.clone().unwrap_or_default(),
        };
    match command {
        CorrespondentCommand::List { account } => Request::Correspondents {
            account: account.clone(),
            after: None,
            limit: control::limits::LIST_MAX as u32,
        },
        CorrespondentCommand::Trust { account, who, note } => put(account, who, "trusted", note),
        CorrespondentCommand::Block { account, who, note } => put(account, who, "blocked", note),
        CorrespondentCommand::Remove { account, who } => {
            Request::CorrespondentRemove { account: account.clone(), who: who.clone() }
        }
    }
}
