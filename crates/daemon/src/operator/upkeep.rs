//! The store is looked through, or gives back room.

use control::{Failure, FailureKind, Request, Response};

use super::{Answered, LocalOperator, failure};
use crate::view::{FINDINGS_MAX, finding_view};

impl LocalOperator {
    pub(super) async fn look_after(&self, request: Request) -> Answered {
        let (store, data) = (self.store().clone(), self.data.clone());
        let done = tokio::task::spawn_blocking(move || match request {
            Request::StoreCompact => {
                let octets_before = crate::files::octets_below(&data);
                store.compact().map_err(failure)?;
                Ok(Response::Compacted { octets_before, octets_after: crate::files::octets_below(&data) })
            }
            _ => {
                let (mut findings, mut more) = (Vec::new(), false);
                store
                    .check(&mut |finding| {
                        if findings.len() < FINDINGS_MAX {
                            findings.push(finding_view(&finding));
                        } else {
                            more = true;
                        }
                    })
                    .map_err(failure)?;
                Ok(Response::Findings { findings, more })
            }
        });
        done.await.map_err(|_| Failure::new(FailureKind::Internal, "the work was not finished"))?
    }
}
