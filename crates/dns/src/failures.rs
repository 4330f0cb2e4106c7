//! Questions that have failed just now: they are not asked again for a moment, whatever mail comes (RFC 9520, section 3.2).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hickory_proto::rr::{Name, RecordType};
use tokio::time::Instant;

use crate::Error;
use crate::limits::{FAILURE_TIME, FAILURES_MAX};

/// What was asked, how it failed, and when.
type Kept = HashMap<(Name, RecordType), (Error, Instant)>;

/// What has failed lately. A clone shares it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failures(Arc<Mutex<Kept>>);

impl Failures {
    /// How this question has failed, where that was just now.
    pub(crate) fn of(&self, name: &Name, kind: RecordType) -> Option<Error> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (error, since) = failures.get(&(name.clone(), kind))?;
        (since.elapsed() < FAILURE_TIME).then(|| error.clone())
    }

    /// Remembers a failure of the network, a name server or a zone. Others depend on nothing but the question.
    ///
    /// keeps: DISCOVERY-12
    pub(crate) fn remember(&self, name: &Name, kind: RecordType, error: &Error) {
        if !matches!(error, Error::Timeout | Error::ServerFailure(_) | Error::Bogus) {
            return;
        }
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= FAILURES_MAX {
            failures.retain(|_, (_, since)| since.elapsed() < FAILURE_TIME);
        }
        if failures.len() < FAILURES_MAX {
            failures.insert((name.clone(), kind), (error.clone(), Instant::now()));
        }
    }
}
