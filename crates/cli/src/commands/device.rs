//! `device`: the programs that may act for your account.

use protocol::Device;
use serde::Serialize;

use super::{End, open_session};
use crate::client::Session;
use crate::limits::IDENTITY_DIGITS_MIN;
use crate::output::{FAINT, Output, STRONG, clean, paint, time};
use crate::{DeviceCommand, Error, Global};

#[derive(Serialize)]
struct DeviceObject {
    device: String,
    name: String,
    enrolled_at_ms: u64,
    this: bool,
}

pub(super) async fn device(
    global: &Global,
    command: &DeviceCommand,
    output: &mut Output,
) -> Result<End, Error> {
    let own = crate::profile::device_key(&crate::profile::folder(global)?)?.public();
    let own = *own.as_bytes();
    let (_, mut session) = open_session(global).await?;
    let done = match command {
        DeviceCommand::List => list(&mut session, &own, output).await,
        DeviceCommand::Remove { device } => remove(&mut session, device, &own, output).await,
    };
    session.close().await;
    done.map(|()| End::Good)
}

async fn list(session: &mut Session, own: &[u8; 32], output: &mut Output) -> Result<(), Error> {
    for device in session.devices().await? {
        let object = object(&device, own);
        if output.is_json() {
            output.object(&object)?;
            continue;
        }
        let this = if object.this { "  (this device)" } else { "" };
        output.line(&format!(
            "{}  enrolled {}  {}{}",
            paint(STRONG, object.device.get(..16).unwrap_or_default()),
            time(device.enrolled_at_ms),
            clean(&device.name),
            paint(FAINT, this)
        ))?;
    }
    Ok(())
}

async fn remove(
    session: &mut Session,
    digits: &str,
    own: &[u8; 32],
    output: &mut Output,
) -> Result<(), Error> {
    let digits = digits.to_ascii_lowercase();
    if digits.len() < IDENTITY_DIGITS_MIN || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(Error::usage(format!(
            "`{digits}`: give {IDENTITY_DIGITS_MIN} or more of the first digits of the device"
        )));
    }
    let mut devices = session.devices().await?;
    devices.retain(|device| object(device, own).device.starts_with(&digits));
    let gone = match devices.as_slice() {
        [one] => one,
        [] => return Err(Error::NotFound(format!("no device begins with {digits}; `waxwing device list`"))),
        _ => return Err(Error::usage(format!("several devices begin with {digits}: give more digits"))),
    };
    session.remove_device(gone.public_key).await?;
    let object = object(gone, own);
    if output.is_json() {
        return output.object(&object);
    }
    let this = if object.this { "; this one has to enrol again" } else { "" };
    output.line(&format!("removed {}{this}", clean(&object.name)))
}

fn object(device: &Device, own: &[u8; 32]) -> DeviceObject {
    DeviceObject {
        device: data_encoding::HEXLOWER.encode(&device.public_key),
        name: device.name.clone(),
        enrolled_at_ms: device.enrolled_at_ms,
        this: device.public_key == *own,
    }
}
