//! What failures of SQLite and of the file system become: sentences that say where and what to do.

use std::path::Path;

use luthier_core::StorageError;
use rusqlite::ErrorCode;

const ANOTHER: &str = "give another file with `--storage`";

/// Something that is not as it should be, found at `place`.
pub(crate) fn unusable(place: &Path, what: impl Into<String>) -> StorageError {
    StorageError::Corrupt { place: place.display().to_string(), what: what.into() }
}

/// A place that is no storage: what was found there, and the way out.
pub(crate) fn not_a_storage(place: &Path, found: &str) -> StorageError {
    unusable(place, format!("expected a storage of Luthier (an SQLite file), found {found}; {ANOTHER}"))
}

/// A place without the right to write.
pub(crate) fn read_only(place: &Path, cause: &dyn std::error::Error) -> StorageError {
    let what = format!(
        "cannot be written ({cause}), and SQLite writes even where it only reads; \
         make the file and its folder writable for this user, or {ANOTHER}"
    );
    unusable(place, what)
}

/// What a storage would not be able to read back.
pub(crate) fn unwritable(place: &str, source: serde_json::Error) -> StorageError {
    StorageError::Backend {
        what: "cannot keep what could not be read back (is a number in it not finite?)".to_owned(),
        place: place.to_owned(),
        source: Box::new(source),
    }
}

/// A call of the file system that failed.
pub(crate) fn io(what: impl Into<String>, place: &Path, source: std::io::Error) -> StorageError {
    StorageError::Backend { what: what.into(), place: place.display().to_string(), source: Box::new(source) }
}

/// A call of SQLite that failed on the database at `place`.
pub(crate) fn sqlite(what: impl Into<String>, place: &Path, source: rusqlite::Error) -> StorageError {
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => not_a_storage(place, "a file of another kind, or a damaged one"),
        Some(ErrorCode::DatabaseCorrupt) => unusable(
            place,
            format!(
                "the database is damaged or cut off ({source}); put back a copy of it, or save what can \
                 be read with `sqlite3 FILE .recover`"
            ),
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            read_only(place, &source)
        }
        _ => StorageError::Backend {
            what: what.into(),
            place: place.display().to_string(),
            source: Box::new(source),
        },
    }
}
