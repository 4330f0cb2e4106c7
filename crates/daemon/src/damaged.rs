//! A store whose records cannot be opened: what can still be said of it.

use std::path::PathBuf;

use control::{Answer, Failure, FailureKind, FindingView, Operator, Request, Response};

use crate::view::{FINDINGS_MAX, finding_view};
use crate::{Config, Error, running};

/// Answers a check with the damage that keeps the store from being opened and with what is found in its files; every other
/// request with a failure.
pub struct DamagedStore {
    folder: PathBuf,
    reason: String,
}

impl DamagedStore {
    /// Stands for the store of this configuration where it could not be opened because it is damaged; any other error
    /// comes back.
    ///
    /// # Errors
    /// The error that was given, where it is not about damage.
    pub fn after(error: Error, config: &Config) -> Result<DamagedStore, Error> {
        match error {
            Error::Store(storage::Error::Damaged { key }) => {
                Ok(DamagedStore { folder: running::store_folder(config), reason: key })
            }
            other => Err(other),
        }
    }

    fn check(&self) -> Response {
        let mut findings = vec![FindingView {
            kind: "engine".to_owned(),
            subject: self.folder.display().to_string(),
            text: format!(
                "its records cannot be opened ({}): move the folder away and restore it from a backup, or start with an \
                 empty one; the Maildirs are not touched by this",
                self.reason
            ),
            harmful: true,
        }];
        let mut more = false;
        let looked = storage::check_parts(&self.folder, &mut |finding| {
            if findings.len() < FINDINGS_MAX {
                findings.push(finding_view(&finding));
            } else {
                more = true;
            }
        });
        findings.push(FindingView {
            kind: "files".to_owned(),
            subject: self.folder.join("parts").display().to_string(),
            text: match looked {
                Ok(whole) => {
                    format!("{whole} files of parts are whole; whose they are is not known without records")
                }
                Err(error) => format!("the files of parts cannot be looked through: {error}"),
            },
            harmful: false,
        });
        Response::Findings { findings, more }
    }
}

impl Operator for DamagedStore {
    fn handle(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            match request {
                Request::StoreCheck => self.check(),
                _ => Response::Failure(Failure::new(
                    FailureKind::Unavailable,
                    format!("the store cannot be opened: {}; `waxwing store check` says more", self.reason),
                )),
            }
        })
    }
}
