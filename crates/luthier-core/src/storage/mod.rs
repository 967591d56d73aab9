//! The contract of a storage: append events, read them, keep files beside them.

mod memory;

use std::collections::BTreeSet;

use thiserror::Error;

use crate::{Event, Recorded, Revision, SessionId, Study, StudyDefinition, StudyId};

pub use memory::MemoryStorage;

/// Why a storage could not do what was asked.
#[derive(Debug, Error)]
pub enum StorageError {
    /// There is a study of that name.
    #[error("there is already a study named `{0}`")]
    NameTaken(String),
    /// There is no such study.
    #[error("there is no study {}", .0.0)]
    NoSuchStudy(StudyId),
    /// Somebody else appended in between.
    #[error("the study is at revision {found}, not at {expected}: something else works on it")]
    Conflict {
        /// The revision that the writer had seen.
        expected: Revision,
        /// The revision that the study is at.
        found: Revision,
    },
    /// What is stored cannot be what this program stored.
    #[error("{place}: {what}")]
    Corrupt {
        /// The file or table.
        place: String,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The storage itself failed.
    #[error("{what} in {place}")]
    Backend {
        /// What was tried.
        what: String,
        /// The file or address.
        place: String,
        /// What failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Held by a session that is at work; dropping it, or the end of the process, says that it is no more.
pub trait Presence: Send + Sync {}

/// Held by who appends next; dropping it lets the next one in.
pub trait Turn {
    /// Appends as [`Storage::append`] does, and lets the next one in.
    fn append(self: Box<Self>, after: Revision, events: &[Event]) -> Result<Vec<Recorded>, StorageError>;
}

/// Where studies are kept.
///
/// A study is its list of events ([`Event`]) and a set of named artifacts (checkpoints, models).
/// Whatever a method returned `Ok` for is durable: it survives the end of the process at any moment.
pub trait Storage: Send + Sync {
    /// Adds a study. Its name must be free.
    fn create_study(&self, definition: &StudyDefinition) -> Result<Study, StorageError>;

    /// All studies, oldest first.
    fn studies(&self) -> Result<Vec<Study>, StorageError>;

    /// The study of this name.
    fn study(&self, name: &str) -> Result<Option<Study>, StorageError> {
        Ok(self.studies()?.into_iter().find(|study| study.definition.name == name))
    }

    /// Removes a study with its events and artifacts.
    fn delete_study(&self, study: StudyId) -> Result<(), StorageError>;

    /// Waits until whoever else is about to append has done so, first come, first served, and reads the events after
    /// revision `after` then, as [`Storage::read`] does.
    ///
    /// Appending is safe without it: [`Storage::append`] refuses what was made for an older revision. But many
    /// writers without turns mostly refuse each other.
    fn turn(
        &self,
        study: StudyId,
        after: Revision,
    ) -> Result<(Box<dyn Turn + '_>, Vec<Recorded>), StorageError>;

    /// Makes known that a session is at work, until what is returned is dropped or the process ends.
    fn enroll(&self, study: StudyId, session: SessionId) -> Result<Box<dyn Presence>, StorageError>;

    /// The sessions that are at work. One whose process has ended is missing: at once, or after a time in which
    /// a process that is alive and reaches the storage has certainly been heard of.
    fn living(&self, study: StudyId) -> Result<BTreeSet<SessionId>, StorageError>;

    /// Appends `events` in one transaction, if the study is still at revision `after`, and returns
    /// them as they are stored.
    fn append(
        &self,
        study: StudyId,
        after: Revision,
        events: &[Event],
    ) -> Result<Vec<Recorded>, StorageError>;

    /// The events after revision `after`, in order.
    fn read(&self, study: StudyId, after: Revision) -> Result<Vec<Recorded>, StorageError>;

    /// The first event that is not as it was stored, if there is one. Each event is stored with a digest of itself
    /// and of all before it, the study's definition included.
    fn altered(&self, study: StudyId) -> Result<Option<Revision>, StorageError>;

    /// Keeps `bytes` under `name`, in place of what was there.
    fn put_artifact(&self, study: StudyId, name: &str, bytes: &[u8]) -> Result<(), StorageError>;

    /// What is kept under `name`.
    fn artifact(&self, study: StudyId, name: &str) -> Result<Option<Vec<u8>>, StorageError>;

    /// The names of all artifacts, sorted.
    fn artifacts(&self, study: StudyId) -> Result<Vec<String>, StorageError>;

    /// Removes the artifact, if it is there.
    fn remove_artifact(&self, study: StudyId, name: &str) -> Result<(), StorageError>;
}
