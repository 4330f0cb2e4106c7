//! `enrol`.

use protocol::Enrol;
use serde::Serialize;

use super::{End, read_password};
use crate::client::Session;
use crate::output::{GOOD, Output, paint};
use crate::profile::{self, Profile, Trust};
use crate::{EnrolArgs, Error, Global};

#[derive(Serialize)]
struct Enrolled<'a> {
    address: String,
    account: &'a str,
    node: String,
    device: &'a str,
    public_key: String,
    profile: String,
}

pub(super) async fn enrol(global: &Global, arguments: &EnrolArgs, output: &mut Output) -> Result<End, Error> {
    let folder = profile::folder(global)?;
    let account = arguments.account.clone().unwrap_or_else(|| arguments.address.to_string());
    let prompt = format!("Password of {account}");
    let password = read_password(arguments.password_file.as_deref(), &prompt, false)?;
    let profile = Profile {
        address: arguments.address.clone(),
        account,
        node: arguments.node.clone(),
        trust: arguments.pin.map_or(Trust::WebPki, Trust::Pinned),
        device: arguments.device.clone(),
    };
    let device = profile::device_key(&folder)?;
    let mut session = Session::connect(&profile.node, &profile.trust, &device).await?;
    let (account, name) = (profile.account.clone(), profile.device.clone());
    session.enrol(Enrol { account, password: password.reveal().to_owned(), device: name }).await?;
    session.close().await;
    // Only a profile that works replaces the one before.
    profile.save(&folder)?;
    let enrolled = Enrolled {
        address: profile.address.to_string(),
        account: &profile.account,
        node: profile.node.to_string(),
        device: &profile.device,
        public_key: data_encoding::HEXLOWER.encode(device.public().as_bytes()),
        profile: folder.display().to_string(),
    };
    if output.is_json() {
        output.object(&enrolled)?;
    } else {
        let Enrolled { address, node, .. } = &enrolled;
        output.line(&format!("{} this device is now one of {address} at {node}", paint(GOOD, "enrolled")))?;
        output.line("Next: waxwing send --to SOMEBODY --subject Hello --text 'Good morning'")?;
    }
    Ok(End::Good)
}
