//! What a user writes after `--storage`, and what it means.

use std::path::Path;

use luthier_core::{Storage, StorageError};

use crate::{PostgresStorage, SqliteStorage};

/// Opens the storage that `url` names, and creates it if it is missing.
///
/// A `url` is the path of an SQLite file, with or without `sqlite:` or `sqlite://` before it, or
/// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, of which all but the host may be left out. The database has to
/// exist; its tables are created.
///
/// # Errors
///
/// [`StorageError`] where `url` names another kind of storage, and as [`SqliteStorage::open`] and
/// [`PostgresStorage::open`].
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("luthier.db");
/// # let path = path.to_str().unwrap();
/// let storage = luthier_storage::open(&format!("sqlite:{path}"))?;
/// assert!(storage.studies()?.is_empty());
/// # Ok::<(), luthier_core::StorageError>(())
/// ```
pub fn open(url: &str) -> Result<Box<dyn Storage>, StorageError> {
    Ok(match Location::of(url)? {
        Location::Sqlite(path) => Box::new(SqliteStorage::open(path)?),
        Location::Postgres => Box::new(PostgresStorage::open(url)?),
    })
}

/// Opens the storage that `url` names; it has to exist.
///
/// # Errors
///
/// [`StorageError`] where `url` names another kind of storage, and as
/// [`SqliteStorage::open_existing`] and [`PostgresStorage::open_existing`].
pub fn open_existing(url: &str) -> Result<Box<dyn Storage>, StorageError> {
    Ok(match Location::of(url)? {
        Location::Sqlite(path) => Box::new(SqliteStorage::open_existing(path)?),
        Location::Postgres => Box::new(PostgresStorage::open_existing(url)?),
    })
}

/// What a URL names.
#[derive(Debug, PartialEq, Eq)]
enum Location<'a> {
    Sqlite(&'a Path),
    Postgres,
}

impl<'a> Location<'a> {
    fn of(url: &'a str) -> Result<Self, StorageError> {
        let expected = "expected the path of an SQLite file, as `PATH` or `sqlite:PATH`, or \
                        `postgres://USER@HOST/DATABASE`";
        // What stands after the scheme may hold a password, so it is not repeated.
        let refuse = |place: &str, found: &str| {
            Err(StorageError::Corrupt { place: place.to_owned(), what: format!("{expected}, found {found}") })
        };
        let path = match url.strip_prefix("sqlite:") {
            Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
            None => match url.split_once("://") {
                Some(("postgres" | "postgresql", _)) => return Ok(Self::Postgres),
                Some((scheme, _)) => {
                    return refuse(&format!("{scheme}://…"), "a kind of storage that is not supported");
                }
                None => url,
            },
        };
        match path {
            "" => refuse("the storage", "nothing"),
            ":memory:" => refuse(path, "a database in memory, which nothing could be read back from"),
            path => Ok(Self::Sqlite(Path::new(path))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_and_without_a_scheme() {
        for (url, path) in [
            ("luthier.db", "luthier.db"),
            ("sqlite:luthier.db", "luthier.db"),
            ("sqlite://sub/luthier.db", "sub/luthier.db"),
            ("sqlite:///srv/luthier.db", "/srv/luthier.db"),
            ("odd:name.db", "odd:name.db"),
        ] {
            let found = Location::of(url).map_err(|e| e.to_string());
            assert_eq!(found, Ok(Location::Sqlite(Path::new(path))));
        }
        for url in ["postgres://me@host/db", "postgresql:///db"] {
            assert_eq!(Location::of(url).map_err(|e| e.to_string()), Ok(Location::Postgres));
        }
    }

    #[test]
    fn other_schemes_are_named_without_their_password() {
        for (url, message) in [
            (
                "mysql://me:secret@host/db",
                "mysql://…: expected the path of an SQLite file, as `PATH` or `sqlite:PATH`, or \
                 `postgres://USER@HOST/DATABASE`, found a kind of storage that is not supported",
            ),
            (
                "sqlite:",
                "the storage: expected the path of an SQLite file, as `PATH` or `sqlite:PATH`, or \
                 `postgres://USER@HOST/DATABASE`, found nothing",
            ),
            (
                "sqlite::memory:",
                ":memory:: expected the path of an SQLite file, as `PATH` or `sqlite:PATH`, or \
                 `postgres://USER@HOST/DATABASE`, found a database in memory, which nothing could be read back from",
            ),
        ] {
            assert_eq!(Location::of(url).map_err(|e| e.to_string()), Err(message.to_owned()));
        }
    }
}
