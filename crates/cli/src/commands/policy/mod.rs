//! `policy` and `correspondent`: what is decided and why, and whom the users know.

pub(super) mod print;

use control::Request;

use crate::args::{CorrespondentCommand, PolicyCommand};

/// What is asked of the node.
pub(super) fn policy_request(command: &PolicyCommand) -> Request {
    match command {
        PolicyCommand::Show => Request::PolicyShow,
        PolicyCommand::Explain { message, to, peer } => {
            Request::PolicyExplain { identity: message.clone(), to: to.clone(), peer: peer.clone() }
        }
    }
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
