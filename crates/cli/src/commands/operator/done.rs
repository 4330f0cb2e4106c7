//! What an order has done, in words: an answer that only says "done" leaves open what.

use control::{ForwardOrder, HandoverOrder, Request};

use crate::output::clean;

/// What holds once the node has done it.
pub(super) fn words(request: &Request) -> String {
    let text = match request {
        Request::AccountAdd { name, addresses, password } => {
            let password = if password.is_some() { "" } else { ", without a password" };
            format!("the account {name} has {}{password}", addresses.join(", "))
        }
        Request::AccountPassword { name, .. } => format!("the account {name} has a new password"),
        Request::AccountNotices { name, on: true } => format!("{name} has notices in the own mailbox"),
        Request::AccountNotices { name, on: false } => format!("{name} has no notices in the own mailbox"),
        Request::AccountRemove { name } => format!("the account {name} is gone; its mail stays in the store"),
        Request::AccountDeviceRemove { name, device } => {
            format!("the device {device} of {name} is refused from now on")
        }
        Request::AccountAddressAdd { name, address } => format!("{name} has {address}, too"),
        Request::AccountAddressRemove { name, address } => format!("{name} has {address} no more"),
        Request::MailReport { account, number } => {
            format!("message {number} of {account} is reported as abuse")
        }
        Request::PeerForget { domain } => format!("what was remembered of {domain} is forgotten"),
        Request::CorrespondentPut { account, who, regard, .. } => format!("{account}: {who} is {regard} now"),
        Request::CorrespondentRemove { account, who } => format!("{account} knows nothing of {who} any more"),
        Request::Forward { order } => forward_words(order),
        Request::Handover { order: HandoverOrder::Retry { account, number } } => {
            format!("message {number} of {account} is handed over again")
        }
        Request::Handover { order: HandoverOrder::Forget { account, number } } => {
            format!("message {number} of {account} stays in the native mailbox only")
        }
        Request::Reload => "the certificates for SMTP were read again".to_owned(),
        Request::Shutdown => "the node ends".to_owned(),
        _ => return "done".to_owned(),
    };
    format!("done: {}", clean(&text))
}

fn forward_words(order: &ForwardOrder) -> String {
    match order {
        ForwardOrder::Remove { alias, target, forget: false } => {
            format!("{alias} leads to {target} no more, and mail for it is refused")
        }
        ForwardOrder::Remove { alias, target, forget: true } => {
            format!("that {alias} led to {target} is forgotten")
        }
        ForwardOrder::Decide { recipient, forwarder, granted: true, .. } => {
            format!("{forwarder} may forward to {recipient}")
        }
        ForwardOrder::Decide { recipient, forwarder, granted: false, .. } => {
            format!("{forwarder} may not forward to {recipient}")
        }
        ForwardOrder::Forget { recipient, forwarder, .. } => {
            format!("what was decided about {forwarder} and {recipient} is forgotten")
        }
        _ => "it is so now".to_owned(),
    }
}

/// What an order about legs has done to so many of them.
pub(super) fn changed(request: &Request, count: u64) -> String {
    let legs = if count == 1 { "1 leg is".to_owned() } else { format!("{count} legs are") };
    let now = match request {
        _ if count == 0 => {
            return "nothing was changed: what was named is not in the queue, or is so already".to_owned();
        }
        Request::QueueRetry { .. } => "due now",
        Request::QueueHold { .. } => "held, and not tried until they are released",
        Request::QueueRelease { .. } => "released",
        Request::QueueRemove { .. } => "given up, and out of the queue",
        _ => "changed",
    };
    format!("{legs} {now}")
}
