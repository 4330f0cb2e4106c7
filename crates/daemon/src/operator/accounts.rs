//! Accounts, their addresses and their devices.

use control::{Failure, FailureKind, Request, Response};
use data_encoding::HEXLOWER;
use message::address::Address;

use super::{Answered, LocalOperator, address, bounded, digits_of, failure, only};
use crate::view::account_view;

impl LocalOperator {
    pub(super) async fn accounts(&self, request: Request) -> Answered {
        match request {
            Request::Accounts { after, limit } => {
                let accounts = self.store().accounts(after.as_deref(), bounded(limit)).map_err(failure)?;
                Ok(Response::Accounts { accounts: accounts.iter().map(account_view).collect() })
            }
            Request::AccountAdd { name, addresses, password } => {
                if self.store().account(&name).map_err(failure)?.is_some() {
                    return Err(Failure::new(
                        FailureKind::Conflict,
                        format!("the account {name} is there already"),
                    ));
                }
                let addresses = addresses.iter().map(|text| address(text)).collect::<Result<Vec<_>, _>>()?;
                self.put_account(&name, &addresses, password.map(|password| password.reveal().to_owned()))
                    .await
            }
            Request::AccountPassword { name, password } => {
                let addresses = self.account(&name)?.addresses;
                self.put_account(&name, &addresses, Some(password.reveal().to_owned())).await
            }
            Request::AccountAddressAdd { name, address: text } => {
                let (mut addresses, new) = (self.account(&name)?.addresses, address(&text)?);
                if addresses.contains(&self.node.folded(&new)) {
                    return Err(Failure::new(FailureKind::Conflict, format!("{name} has {new} already")));
                }
                addresses.push(new);
                self.put_account(&name, &addresses, None).await
            }
            Request::AccountAddressRemove { name, address: text } => {
                let gone = self.node.folded(&address(&text)?);
                let mut addresses = self.account(&name)?.addresses;
                let before = addresses.len();
                addresses.retain(|address| *address != gone);
                if addresses.len() == before {
                    let text = format!("{name} does not have the address {gone}");
                    return Err(Failure::new(FailureKind::NotFound, text)
                        .hint("`waxwing account list` shows the addresses of each account"));
                }
                self.put_account(&name, &addresses, None).await
            }
            Request::AccountNotices { name, on } => {
                self.account(&name)?;
                let put = self.node.put_notices(&name, on).await;
                put.map(|()| Response::Done).map_err(|(_, text)| Failure::new(FailureKind::Invalid, text))
            }
            Request::AccountRemove { name } => {
                self.account(&name)?;
                self.store().remove_account(&name).await.map_err(failure)?;
                Ok(Response::Done)
            }
            Request::AccountDevices { name } => {
                Ok(Response::Devices { devices: account_view(&self.account(&name)?).devices })
            }
            Request::AccountDeviceRemove { name, device } => self.remove_device(&name, &device).await,
            _ => Err(Failure::new(FailureKind::Invalid, "this cannot be asked here")),
        }
    }

    /// keeps: SUB-4, CTL-5
    async fn remove_device(&self, name: &str, digits: &str) -> Answered {
        let account = self.account(name)?;
        let digits = digits_of(digits)?;
        let key = |device: &storage::DeviceRecord| HEXLOWER.encode(&device.public_key);
        let found: Vec<_> =
            account.devices.iter().filter(|device| key(device).starts_with(&digits)).collect();
        let gone = only(&digits, "device", found, |device| key(device))
            .map_err(|failure| failure.hint(format!("`waxwing account devices {name}` lists them")))?
            .public_key;
        self.store().remove_device(name, &gone).await.map_err(failure)?;
        Ok(Response::Done)
    }

    pub(super) fn account(&self, name: &str) -> Result<storage::AccountRecord, Failure> {
        self.store()
            .account(name)
            .map_err(failure)?
            .ok_or_else(|| Failure::new(FailureKind::NotFound, format!("there is no account {name}")))
    }

    /// Refuses what is asked for an account that is not there any more, or is closed. keeps: CON-2
    pub(super) fn living(&self, name: &str) -> Result<storage::AccountRecord, Failure> {
        let found = self.store().account(name).map_err(failure)?.filter(|account| !account.disabled);
        found.ok_or_else(|| {
            Failure::new(FailureKind::NotFound, format!("there is no account {name}, or it is closed"))
        })
    }

    async fn put_account(&self, name: &str, addresses: &[Address], password: Option<String>) -> Answered {
        self.node
            .put_account(name, addresses, password)
            .await
            .map(|()| Response::Done)
            .map_err(|(_, text)| Failure::new(FailureKind::Invalid, text))
    }
}
