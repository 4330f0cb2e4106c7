//! What operators ask a node: over its control socket, or of an operator in this process.

mod done;
mod peer;
mod print;

use std::path::PathBuf;

use control::{Client, HeldDecision, HeldPlace, Legs, Operator, Request, Response};

use super::held::print::author_line;
use super::policy::{correspondent_request, policy_request};
use super::{End, read_password};
use crate::args::{
    AccountAddressCommand, AccountCommand, ConsoleCommand, HeldCommand, HeldName, LegChoice, PeerCommand,
    QueueCommand, StoreCommand,
};
use crate::limits::HELD_LISTED_MAX;
use crate::output::{GOOD, Output, paint};
use crate::{Command, Error, Global};

/// Where the socket is when nobody says.
const SOCKET: &str = "/var/lib/waxwing/control.sock";
/// Accounts asked for at a time.
const PAGE: u32 = control::limits::LIST_MAX as u32;

/// Who answers.
enum Asked<'a> {
    Socket(Client),
    Here(&'a dyn Operator),
}

impl Asked<'_> {
    async fn ask(&mut self, request: Request) -> Result<Response, Error> {
        let response = match self {
            Asked::Socket(client) => client.call(&request).await?,
            Asked::Here(operator) => operator.handle(request).await,
        };
        match response {
            Response::Failure(failure) => Err(failure.into()),
            response => Ok(response),
        }
    }
}

pub(super) async fn over_socket(
    global: &Global,
    command: &Command,
    output: &mut Output,
) -> Result<End, Error> {
    let requests = requests(command)?;
    let path = global.socket.clone().unwrap_or_else(|| PathBuf::from(SOCKET));
    let client = Client::connect(&path).await?;
    perform(requests, Asked::Socket(client), output).await
}

pub(super) async fn directly(
    command: &Command,
    operator: &dyn Operator,
    output: &mut Output,
) -> Result<End, Error> {
    perform(requests(command)?, Asked::Here(operator), output).await
}

async fn perform(requests: Vec<Request>, mut asked: Asked<'_>, output: &mut Output) -> Result<End, Error> {
    let mut end = End::Good;
    for request in requests {
        if let Request::Accounts { .. } = request {
            accounts(&mut asked, output).await?;
            continue;
        }
        if let Request::HeldList { account, after, .. } = request {
            helds(&mut asked, account, after, output).await?;
            continue;
        }
        let response = asked.ask(request.clone()).await?;
        if print::response(&response, output)? == End::Bad {
            end = End::Bad;
        }
        if !output.is_json() {
            told(&request, &response, output)?;
        }
    }
    Ok(end)
}

/// What an order has done, where the answer does not say it.
fn told(request: &Request, response: &Response, output: &mut Output) -> Result<(), Error> {
    match (request, response) {
        (_, Response::Done) => output.line(&paint(GOOD, &done::words(request))),
        (_, Response::Changed { count }) => output.line(&done::changed(request, *count)),
        (Request::HeldDecide { decision, .. }, Response::HeldDecided { .. }) => {
            let trusted = *decision == HeldDecision::Accept { trust: true };
            let beside = author_line(trusted, *decision == HeldDecision::Block);
            beside.iter().try_for_each(|line| output.line(line))
        }
        _ => Ok(()),
    }
}

/// What is held, page by page, as far as a list may be long; then where to go on.
async fn helds(
    asked: &mut Asked<'_>,
    account: Option<String>,
    mut after: Option<HeldPlace>,
    output: &mut Output,
) -> Result<(), Error> {
    let mut listed = 0;
    while listed < HELD_LISTED_MAX {
        let request = Request::HeldList { account: account.clone(), after, limit: PAGE };
        let response = asked.ask(request).await?;
        let Response::HeldList { held } = &response else {
            return Err(Error::Answer("it is not a list of what is held".to_owned()));
        };
        let Some(last) = held.last().map(|held| held.place) else {
            if listed == 0 && !output.is_json() {
                output.line("Nothing is held.")?;
            }
            return Ok(());
        };
        if after.is_some_and(|before| last <= before) {
            return Err(Error::Answer("its entries are not in their order".to_owned()));
        }
        print::response(&response, output)?;
        listed += held.len();
        after = Some(last);
    }
    if let Some(HeldPlace { envelope, recipient }) = after.filter(|_| !output.is_json()) {
        output.line(&format!("{listed} are listed; the next ones: --after {envelope}.{recipient}"))?;
    }
    Ok(())
}

/// All accounts, page by page.
async fn accounts(asked: &mut Asked<'_>, output: &mut Output) -> Result<(), Error> {
    let mut after = None;
    loop {
        let response = asked.ask(Request::Accounts { after: after.clone(), limit: PAGE }).await?;
        let Response::Accounts { accounts } = &response else {
            return Err(Error::Answer("it is not a list of accounts".to_owned()));
        };
        let Some(last) = accounts.last().map(|account| account.name.clone()) else { return Ok(()) };
        if after.as_ref().is_some_and(|before| last <= *before) {
            return Err(Error::Answer("its accounts are not in their order".to_owned()));
        }
        print::response(&response, output)?;
        after = Some(last);
    }
}

/// What is asked for a command, one thing after the other.
fn requests(command: &Command) -> Result<Vec<Request>, Error> {
    Ok(match command {
        Command::Account(command) => vec![account(command)?],
        Command::Queue(command) => vec![queue(command)?],
        Command::Trace(arguments) => {
            vec![Request::Trace { identity: digits(&arguments.identity)? }]
        }
        Command::Node { peers: false } => vec![Request::Status],
        Command::Node { peers: true } => vec![Request::Status, Request::Peers],
        Command::Peer(command) => vec![peer(command)],
        Command::Policy(command) => vec![policy_request(command)?],
        Command::Correspondent(command) => vec![correspondent_request(command)],
        Command::Forward(command) => vec![super::forward::forward_request(command)],
        Command::Lmtp(command) => vec![super::lmtp::lmtp_request(command)],
        Command::Reload => vec![Request::Reload],
        Command::Held(arguments) => vec![held(&arguments.command)?],
        Command::Shutdown => vec![Request::Shutdown],
        Command::Console(ConsoleCommand::Link) => vec![Request::ConsoleLink],
        Command::Store(StoreCommand::Check { .. }) => vec![Request::StoreCheck],
        Command::Store(StoreCommand::Compact { .. }) => vec![Request::StoreCompact],
        _ => return Err(Error::usage("that command is not one for an operator")),
    })
}

fn peer(command: &PeerCommand) -> Request {
    match command.clone() {
        PeerCommand::List { after } => Request::PeerRecords { after, limit: PAGE },
        PeerCommand::Show { domain } => Request::PeerRecord { domain: domain.to_string() },
        PeerCommand::Forget { domain } => Request::PeerForget { domain: domain.to_string() },
    }
}

fn held(command: &HeldCommand) -> Result<Request, Error> {
    let decide = |name: &HeldName, decision| {
        let recipient = name.to.as_ref().map(ToString::to_string);
        Ok(Request::HeldDecide { identity: digits(&name.identity)?, recipient, decision, account: None })
    };
    match command {
        HeldCommand::List(arguments) => {
            Ok(Request::HeldList { account: arguments.account.clone(), after: arguments.after, limit: PAGE })
        }
        HeldCommand::Show(name) => Ok(Request::HeldShow {
            identity: digits(&name.identity)?,
            recipient: name.to.as_ref().map(ToString::to_string),
            account: None,
        }),
        HeldCommand::Accept { name, trust } => decide(name, HeldDecision::Accept { trust: *trust }),
        HeldCommand::Refuse { name, code } => decide(name, HeldDecision::Refuse { code: code.clone() }),
        HeldCommand::Block(name) => decide(name, HeldDecision::Block),
    }
}

fn account(command: &AccountCommand) -> Result<Request, Error> {
    Ok(match command.clone() {
        AccountCommand::Add { name, addresses, password_file, no_password, .. } => {
            let prompt = format!("New password of {name}");
            let password = match no_password {
                true => None,
                false => Some(read_password(password_file.as_deref(), &prompt, true)?),
            };
            Request::AccountAdd { name, addresses: checked(addresses)?, password }
        }
        AccountCommand::List { .. } => Request::Accounts { after: None, limit: PAGE },
        AccountCommand::Remove { name, .. } => Request::AccountRemove { name },
        AccountCommand::Password { name, password_file, .. } => {
            let prompt = format!("New password of {name}");
            let password = read_password(password_file.as_deref(), &prompt, true)?;
            Request::AccountPassword { name, password }
        }
        AccountCommand::Notices { name, off, .. } => Request::AccountNotices { name, on: !off },
        AccountCommand::Report { name, number } => Request::MailReport { account: name, number },
        AccountCommand::Devices { name, .. } => Request::AccountDevices { name },
        AccountCommand::RemoveDevice { name, device, .. } => {
            Request::AccountDeviceRemove { name, device: digits(&device)? }
        }
        AccountCommand::Address(AccountAddressCommand::Add { name, address, .. }) => {
            Request::AccountAddressAdd { name, address: checked_one(&address)? }
        }
        AccountCommand::Address(AccountAddressCommand::Remove { name, address, .. }) => {
            Request::AccountAddressRemove { name, address: checked_one(&address)? }
        }
    })
}

fn checked(addresses: Vec<String>) -> Result<Vec<String>, Error> {
    addresses.iter().map(|address| checked_one(address)).collect()
}

/// An address as typed becomes one as it is on the wire.
fn checked_one(address: &str) -> Result<String, Error> {
    match message::address::Address::parse(address) {
        Ok(address) => Ok(address.to_string()),
        Err(error) => Err(Error::usage(format!("`{address}`: {error}"))),
    }
}

/// The first digits of an identity or of a key.
pub(super) fn digits(text: &str) -> Result<String, Error> {
    let least = control::limits::IDENTITY_DIGITS_MIN;
    if (least..=64).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Error::usage(format!("`{text}`: give {least} or more of the first hexadecimal digits")))
}

fn queue(command: &QueueCommand) -> Result<Request, Error> {
    Ok(match command {
        QueueCommand::List { lanes: true, .. } => Request::QueueLanes,
        QueueCommand::List { message: Some(message), .. } => Request::QueueOf { identity: digits(message)? },
        QueueCommand::List { lane, after, limit, .. } => {
            Request::QueueList { lane: lane.clone(), after: *after, limit: *limit }
        }
        QueueCommand::Show { leg } => Request::QueueShow { leg: *leg },
        QueueCommand::Retry(choice) => Request::QueueRetry { legs: legs(choice)? },
        QueueCommand::Hold(choice) => Request::QueueHold { legs: legs(choice)? },
        QueueCommand::Release(choice) => Request::QueueRelease { legs: legs(choice)? },
        QueueCommand::Remove(choice) => Request::QueueRemove { legs: legs(choice)? },
    })
}

fn legs(choice: &LegChoice) -> Result<Legs, Error> {
    Ok(match (&choice.lane, &choice.message) {
        (Some(lane), _) => Legs::Lane(lane.clone()),
        (None, Some(message)) => Legs::Message(digits(message)?),
        (None, None) => Legs::Numbers(choice.legs.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Invocation;
    use clap::Parser;
    use control::{ForwardOrder, HandoverOrder};

    #[test]
    fn commands_become_requests() {
        let check = |line: &str, expected: Result<Request, u8>| {
            let invocation = Invocation::try_parse_from(line.split(' ')).unwrap();
            match (requests(&invocation.command), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, [expected], "{line}"),
                (Err(error), Err(code)) => assert_eq!(error.exit_code(), code, "{line}"),
                (found, expected) => panic!("{line}: {found:?}, not {expected:?}"),
            }
        };
        let lane = || Some("exchange:b.test".to_owned());
        check("waxwing queue list", Ok(Request::QueueList { lane: None, after: None, limit: 100 }));
        check("waxwing queue list --lanes", Ok(Request::QueueLanes));
        check(
            "waxwing queue list --lane exchange:b.test --after 7 --limit 5",
            Ok(Request::QueueList { lane: lane(), after: Some(7), limit: 5 }),
        );
        check("waxwing queue retry 4 5", Ok(Request::QueueRetry { legs: Legs::Numbers(vec![4, 5]) }));
        check(
            "waxwing queue hold --lane exchange:b.test",
            Ok(Request::QueueHold { legs: Legs::Lane("exchange:b.test".to_owned()) }),
        );
        check("waxwing queue show 9", Ok(Request::QueueShow { leg: 9 }));
        let whole = format!("waxwing trace {}", "ABCDEF01".repeat(8));
        check(&whole, Ok(Request::Trace { identity: "abcdef01".repeat(8) }));
        check(
            "waxwing policy explain ABCDEF --to ann@a.test",
            Ok(Request::PolicyExplain {
                identity: "abcdef".to_owned(),
                to: "ann@a.test".to_owned(),
                peer: None,
            }),
        );
        // What is no identity is a file, and this one is not there.
        check("waxwing policy explain ./abcdef --to ann@a.test", Err(5));
        let forward = |order| Ok(Request::Forward { order });
        let party = || ("ann@a.test".to_owned(), "b.test".to_owned());
        let (recipient, forwarder) = party();
        check(
            "waxwing forward revoke ann@a.test b.test",
            forward(ForwardOrder::Decide { account: None, recipient, forwarder, granted: false }),
        );
        let (recipient, forwarder) = party();
        check(
            "waxwing forward revoke ann@a.test b.test --forget",
            forward(ForwardOrder::Forget { account: None, recipient, forwarder }),
        );
        check(
            "waxwing forward add ann@a.test ann@b.test --conceal",
            forward(ForwardOrder::Add {
                alias: "ann@a.test".to_owned(),
                target: "ann@b.test".to_owned(),
                conceal: true,
                rewrite: false,
                granted: false,
                keep_sender: false,
            }),
        );
        check("waxwing trace ABCDEF", Ok(Request::Trace { identity: "abcdef".to_owned() }));
        check("waxwing trace abcde", Err(2));
        check("waxwing trace abcdefgh", Err(2));
        check(&format!("{whole}0"), Err(2));
        let message = || "0123ab".to_owned();
        check("waxwing queue list --message 0123AB", Ok(Request::QueueOf { identity: message() }));
        check(
            "waxwing queue hold --message 0123ab",
            Ok(Request::QueueHold { legs: Legs::Message(message()) }),
        );
        let name = || "ann".to_owned();
        check("waxwing account notices ann", Ok(Request::AccountNotices { name: name(), on: true }));
        check("waxwing account notices ann --off", Ok(Request::AccountNotices { name: name(), on: false }));
        check("waxwing account report ann 17", Ok(Request::MailReport { account: name(), number: 17 }));
        check("waxwing account devices ann", Ok(Request::AccountDevices { name: name() }));
        check(
            "waxwing account remove-device ann 0123ab",
            Ok(Request::AccountDeviceRemove { name: name(), device: message() }),
        );
        check("waxwing account remove-device ann 0123", Err(2));
        check(
            "waxwing account add ann --address ann@BÜCHER.test --no-password",
            Ok(Request::AccountAdd {
                name: "ann".to_owned(),
                addresses: vec!["ann@xn--bcher-kva.test".to_owned()],
                password: None,
            }),
        );
        check("waxwing account add ann --address ann --no-password", Err(2));
        let name = || (message(), Some("bob@b.test".to_owned()));
        let (identity, recipient) = name();
        check(
            "waxwing held show 0123AB --to bob@b.test --operator",
            Ok(Request::HeldShow { identity, recipient, account: None }),
        );
        let (identity, recipient) = name();
        let decision = HeldDecision::Accept { trust: true };
        check(
            "waxwing held --operator accept 0123ab --to bob@b.test --trust",
            Ok(Request::HeldDecide { identity, recipient, decision, account: None }),
        );
        check("waxwing held block 012 --operator", Err(2));
        let handover = |order| Ok(Request::Handover { order });
        let account = || "ann".to_owned();
        check("waxwing lmtp retry ann 41", handover(HandoverOrder::Retry { account: account(), number: 41 }));
        check(
            "waxwing lmtp forget ann 41",
            handover(HandoverOrder::Forget { account: account(), number: 41 }),
        );
        check("waxwing lmtp list", handover(HandoverOrder::List { after: None, limit: 1_000 }));
        check("waxwing reload", Ok(Request::Reload));
        check("waxwing store check", Ok(Request::StoreCheck));
        check("waxwing node", Ok(Request::Status));
        check("waxwing shutdown", Ok(Request::Shutdown));
    }
}
