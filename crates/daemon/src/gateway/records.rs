//! The adapter from `gateway` to `storage`: where the gateway remembers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use gateway::{Change, Kind, Later, Record, Records, RecordsError};
use storage::{LegacyChange, LegacyRecord, Store};

/// The gateway's records in the store of the node.
pub(crate) struct StoreRecords(pub(crate) Arc<dyn Store>);

impl Records for StoreRecords {
    fn record(&self, kind: Kind, key: &[u8], now_ms: u64) -> Result<Option<Record>, RecordsError> {
        let found = self.0.legacy_record(kind as u8, key).map_err(failure)?;
        Ok(found.map(record).filter(|record| record.expires_at_ms > now_ms))
    }

    fn records(
        &self,
        kind: Kind,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        now_ms: u64,
    ) -> Result<Vec<Record>, RecordsError> {
        let limit = limit.min(gateway::limits::RECORDS_PER_PAGE_MAX);
        let (mut page, mut after) = (Vec::new(), after.map(<[u8]>::to_vec));
        // What has expired and is not swept yet takes nobody's place.
        while page.len() < limit {
            let found =
                self.0.legacy_records(kind as u8, prefix, after.as_deref(), limit).map_err(failure)?;
            let Some(last) = found.last() else { break };
            after = Some(last.key.clone());
            page.extend(found.into_iter().map(record).filter(|record| record.expires_at_ms > now_ms));
        }
        page.truncate(limit);
        Ok(page)
    }

    fn change(&self, changes: Vec<Change>) -> Later<'_, Result<(), RecordsError>> {
        Box::pin(async move {
            let changes = changes.into_iter().map(stored).collect();
            self.0.change_legacy_records(changes).await.map_err(failure)
        })
    }
}

fn record(stored: LegacyRecord) -> Record {
    Record { key: stored.key, value: stored.value, expires_at_ms: stored.expires_at_ms }
}

fn stored(change: Change) -> LegacyChange {
    match change {
        Change::Put(kind, Record { key, value, expires_at_ms }) => {
            LegacyChange::Put(LegacyRecord { kind: kind as u8, key, value, expires_at_ms })
        }
        Change::Remove(kind, key) => LegacyChange::Remove { kind: kind as u8, key },
    }
}

fn failure(error: storage::Error) -> RecordsError {
    RecordsError(error.to_string())
}

/// Records in memory, for a sender that need not remember anything beyond its process.
#[derive(Default)]
pub(crate) struct MemoryRecords(Mutex<BTreeMap<(Kind, Vec<u8>), Record>>);

impl Records for MemoryRecords {
    fn record(&self, kind: Kind, key: &[u8], now_ms: u64) -> Result<Option<Record>, RecordsError> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(all.get(&(kind, key.to_vec())).filter(|record| record.expires_at_ms > now_ms).cloned())
    }

    fn records(
        &self,
        kind: Kind,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        now_ms: u64,
    ) -> Result<Vec<Record>, RecordsError> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_kind = all.iter().filter(|((of, _), _)| *of == kind).map(|(_, record)| record);
        Ok(of_kind
            .filter(|record| record.key.starts_with(prefix) && record.expires_at_ms > now_ms)
            .filter(|record| after.is_none_or(|after| record.key.as_slice() > after))
            .take(limit)
            .cloned()
            .collect())
    }

    fn change(&self, changes: Vec<Change>) -> Later<'_, Result<(), RecordsError>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                Change::Put(kind, record) => all.insert((kind, record.key.clone()), record),
                Change::Remove(kind, key) => all.remove(&(kind, key)),
            };
        }
        Box::pin(std::future::ready(Ok(())))
    }
}
