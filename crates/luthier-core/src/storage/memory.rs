//! A storage in memory: for tests, and for studies that nobody wants to keep.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::{
    Event, Presence, Recorded, Revision, SessionId, Storage, StorageError, Study, StudyDefinition, StudyId,
    Turn,
};

/// Keeps studies as long as it lives. Its clock stands still at 0.
#[derive(Default)]
pub struct MemoryStorage {
    inner: Arc<Mutex<Inner>>,
    turned: Condvar,
}

#[derive(Default)]
struct Inner {
    next_id: i64,
    studies: BTreeMap<StudyId, Kept>,
}

struct Kept {
    study: Study,
    events: Vec<Recorded>,
    artifacts: BTreeMap<String, Vec<u8>>,
    living: BTreeSet<SessionId>,
    /// Who has the turn, and who waits for it.
    queue: VecDeque<u64>,
    tickets: u64,
}

impl MemoryStorage {
    /// An empty storage.
    pub fn new() -> Self {
        Self::default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    // No method leaves the map half changed, so a panic elsewhere does not spoil it.
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn get(&mut self, study: StudyId) -> Result<&mut Kept, StorageError> {
        self.studies.get_mut(&study).ok_or(StorageError::NoSuchStudy(study))
    }
}

struct Here {
    inner: Arc<Mutex<Inner>>,
    study: StudyId,
    session: SessionId,
}

impl Presence for Here {}

impl Drop for Here {
    fn drop(&mut self) {
        if let Some(kept) = lock(&self.inner).studies.get_mut(&self.study) {
            kept.living.remove(&self.session);
        }
    }
}

struct InTurn<'a> {
    storage: &'a MemoryStorage,
    study: StudyId,
}

impl Turn for InTurn<'_> {
    fn append(self: Box<Self>, after: Revision, events: &[Event]) -> Result<Vec<Recorded>, StorageError> {
        self.storage.append(self.study, after, events)
    }
}

impl Drop for InTurn<'_> {
    fn drop(&mut self) {
        if let Some(kept) = self.storage.inner().studies.get_mut(&self.study) {
            kept.queue.pop_front();
        }
        self.storage.turned.notify_all();
    }
}

impl Storage for MemoryStorage {
    fn create_study(&self, definition: &StudyDefinition) -> Result<Study, StorageError> {
        let mut inner = self.inner();
        if inner.studies.values().any(|kept| kept.study.definition.name == definition.name) {
            return Err(StorageError::NameTaken(definition.name.clone()));
        }
        inner.next_id += 1;
        let study = Study { id: StudyId(inner.next_id), created_ms: 0, definition: definition.clone() };
        let kept = Kept {
            study: study.clone(),
            events: Vec::new(),
            artifacts: BTreeMap::new(),
            living: BTreeSet::new(),
            queue: VecDeque::new(),
            tickets: 0,
        };
        inner.studies.insert(study.id, kept);
        Ok(study)
    }

    fn studies(&self) -> Result<Vec<Study>, StorageError> {
        Ok(self.inner().studies.values().map(|kept| kept.study.clone()).collect())
    }

    fn delete_study(&self, study: StudyId) -> Result<(), StorageError> {
        let removed = self.inner().studies.remove(&study);
        removed.map(|_| ()).ok_or(StorageError::NoSuchStudy(study))
    }

    fn turn(
        &self,
        study: StudyId,
        after: Revision,
    ) -> Result<(Box<dyn Turn + '_>, Vec<Recorded>), StorageError> {
        let mut inner = self.inner();
        let kept = inner.get(study)?;
        kept.tickets += 1;
        let ticket = kept.tickets;
        kept.queue.push_back(ticket);
        while inner.get(study)?.queue.front() != Some(&ticket) {
            inner = self.turned.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        let news = inner.get(study)?.events.iter().skip(after as usize).cloned().collect();
        Ok((Box::new(InTurn { storage: self, study }), news))
    }

    fn enroll(&self, study: StudyId, session: SessionId) -> Result<Box<dyn Presence>, StorageError> {
        self.inner().get(study)?.living.insert(session);
        Ok(Box::new(Here { inner: Arc::clone(&self.inner), study, session }))
    }

    fn living(&self, study: StudyId) -> Result<BTreeSet<SessionId>, StorageError> {
        Ok(self.inner().get(study)?.living.clone())
    }

    fn append(
        &self,
        study: StudyId,
        after: Revision,
        events: &[Event],
    ) -> Result<Vec<Recorded>, StorageError> {
        let mut inner = self.inner();
        let kept = inner.get(study)?;
        let found = kept.events.len() as Revision;
        if found != after {
            return Err(StorageError::Conflict { expected: after, found });
        }
        let recorded: Vec<Recorded> = events
            .iter()
            .zip(after + 1..)
            .map(|(event, revision)| Recorded { revision, at_ms: 0, event: event.clone() })
            .collect();
        kept.events.extend(recorded.iter().cloned());
        Ok(recorded)
    }

    fn read(&self, study: StudyId, after: Revision) -> Result<Vec<Recorded>, StorageError> {
        Ok(self.inner().get(study)?.events.iter().skip(after as usize).cloned().collect())
    }

    fn altered(&self, study: StudyId) -> Result<Option<Revision>, StorageError> {
        self.inner().get(study)?;
        Ok(None)
    }

    fn put_artifact(&self, study: StudyId, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        self.inner().get(study)?.artifacts.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn artifact(&self, study: StudyId, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.inner().get(study)?.artifacts.get(name).cloned())
    }

    fn artifacts(&self, study: StudyId) -> Result<Vec<String>, StorageError> {
        Ok(self.inner().get(study)?.artifacts.keys().cloned().collect())
    }

    fn remove_artifact(&self, study: StudyId, name: &str) -> Result<(), StorageError> {
        self.inner().get(study)?.artifacts.remove(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn passes_the_contract() {
        testing::storage_contract(&MemoryStorage::new());
    }
}
