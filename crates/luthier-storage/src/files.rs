//! Where the artifacts of a database are kept, if not in itself: in a folder that all machines reach, or in a bucket.

use std::path::{Path, PathBuf};

use luthier_core::{StorageError, StudyId};

use crate::artifacts::Artifacts;
use crate::bucket::Bucket;

/// A place for artifacts.
pub(crate) enum Files {
    Folder(Artifacts),
    Bucket(Bucket),
}

/// The kinds of places, for messages.
const EXPECTED: &str = "expected files=s3://BUCKET/PREFIX or files=/FOLDER, which all machines reach";

impl Files {
    /// The place that a user writes as `s3://BUCKET/PREFIX`, `/FOLDER` or `file:///FOLDER`. What belongs to one database
    /// is in `own`, a folder in it.
    pub(crate) fn open(place: &str, own: &str) -> Result<Self, StorageError> {
        if place.starts_with("s3://") {
            return Ok(Self::Bucket(Bucket::open(place, own)?));
        }
        let folder = PathBuf::from(place.strip_prefix("file://").unwrap_or(place));
        if !folder.is_absolute() {
            let what = format!("{EXPECTED}, found files={place}");
            return Err(StorageError::Corrupt { place: "postgres://…".to_owned(), what });
        }
        Ok(Self::Folder(Artifacts::inside(folder.join(own))))
    }

    /// Whether the place is there, and may be used.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        match self {
            Self::Folder(folder) => folder.create(),
            Self::Bucket(bucket) => bucket.check(),
        }
    }

    pub(crate) fn put(&self, study: StudyId, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        match self {
            Self::Folder(folder) => folder.put(study, name, bytes),
            Self::Bucket(bucket) => bucket.put(study, name, bytes),
        }
    }

    pub(crate) fn get(&self, study: StudyId, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        match self {
            Self::Folder(folder) => folder.get(study, name),
            Self::Bucket(bucket) => bucket.get(study, name),
        }
    }

    pub(crate) fn list(&self, study: StudyId) -> Result<Vec<String>, StorageError> {
        match self {
            Self::Folder(folder) => folder.list(study),
            Self::Bucket(bucket) => bucket.list(study),
        }
    }

    pub(crate) fn remove(&self, study: StudyId, name: &str) -> Result<(), StorageError> {
        match self {
            Self::Folder(folder) => folder.remove(study, name),
            Self::Bucket(bucket) => bucket.remove(study, name),
        }
    }

    /// Removes all artifacts of a study.
    pub(crate) fn discard(&self, study: StudyId) -> Result<(), StorageError> {
        match self {
            Self::Folder(folder) => folder.discard(study),
            Self::Bucket(bucket) => bucket.discard(study),
        }
    }
}

/// Whether two places that users have written are the same.
pub(crate) fn same_place(one: &str, other: &str) -> bool {
    let plain = |place: &str| {
        let place = place.strip_prefix("file://").unwrap_or(place);
        Path::new(place.trim_end_matches('/')).to_owned()
    };
    plain(one) == plain(other)
}
