//! The storage in an SQLite file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

use luthier_core::{
    Event, Presence, Recorded, Revision, SessionId, Storage, StorageError, Study, StudyDefinition, StudyId,
    Turn,
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use crate::artifacts::Artifacts;
use crate::clock::now_ms;
use crate::identity::Identity;
use crate::{chain, errors, presence, schema};

/// Studies in one SQLite file, their artifacts in a folder beside it (`luthier.files` for
/// `luthier.db`).
///
/// It may be shared between threads, and any number of processes may have the same file open.
pub struct SqliteStorage {
    /// As the user wrote it, for messages.
    path: PathBuf,
    identity: Identity,
    artifacts: Artifacts,
    connection: Mutex<Connection>,
    /// Whether the last turn had to be waited for.
    others: AtomicBool,
}

impl SqliteStorage {
    /// Opens the storage in the file at `path`, and creates file and folder where they are missing.
    ///
    /// # Errors
    ///
    /// [`StorageError`] where `path` is a folder, cannot be written, or is a file that this program
    /// did not write or cannot read; nothing is changed then.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        Self::open_or_create(path, true)
    }

    /// Opens the storage in the file at `path`, which has to exist.
    ///
    /// # Errors
    ///
    /// As [`SqliteStorage::open`], and where there is no such file.
    pub fn open_existing(path: &Path) -> Result<Self, StorageError> {
        Self::open_or_create(path, false)
    }

    fn open_or_create(path: &Path, create: bool) -> Result<Self, StorageError> {
        let connection = schema::open(path, create)?;
        // The file's own name, so that the folder is the same through a link and after a change of folder.
        let failed = |error| errors::io("cannot look at the file", path, error);
        let file = fs::canonicalize(path).map_err(failed)?;
        let storage = Self {
            path: path.to_owned(),
            identity: Identity::of(&file).map_err(failed)?,
            artifacts: Artifacts::beside(&file),
            connection: Mutex::new(connection),
            others: AtomicBool::new(false),
        };
        storage.remove_discarded_folders()?;
        Ok(storage)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic while it was held has rolled its transaction back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed<'a>(&'a self, what: &'a str) -> impl Fn(rusqlite::Error) -> StorageError + Copy + 'a {
        move |error| errors::sqlite(what, &self.path, error)
    }

    /// Runs `change` as one transaction, and waits until the disk has it.
    fn write<T>(
        &self,
        what: &str,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.identity.check(&self.path)?;
        let mut connection = self.connection();
        // Immediate: a transaction that reads first and writes later may be refused in between.
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(self.failed(what))?;
        let result = change(&transaction)?;
        transaction.commit().map_err(self.failed(what))?;
        Ok(result)
    }

    fn check_study(&self, connection: &Connection, study: StudyId) -> Result<(), StorageError> {
        connection
            .prepare_cached("SELECT 1 FROM studies WHERE id = ?1")
            .and_then(|mut statement| statement.exists([study.0]))
            .map_err(self.failed("cannot read the study"))?
            .then_some(())
            .ok_or(StorageError::NoSuchStudy(study))
    }

    /// The text of a study's definition.
    fn definition(&self, connection: &Connection, study: StudyId) -> Result<String, StorageError> {
        connection
            .prepare_cached("SELECT definition FROM studies WHERE id = ?1")
            .and_then(|mut statement| statement.query_row([study.0], |row| row.get(0)).optional())
            .map_err(self.failed("cannot read the study"))?
            .ok_or(StorageError::NoSuchStudy(study))
    }

    fn parse_study(&self, row: (i64, i64, String)) -> Result<Study, StorageError> {
        let (id, created_ms, definition) = row;
        let definition = serde_json::from_str(&definition).map_err(|error| {
            self.damaged(&format!("the definition of study {id} cannot be read ({error})"))
        })?;
        Ok(Study { id: StudyId(id), created_ms, definition })
    }

    fn damaged(&self, what: &str) -> StorageError {
        let advice = "put back a copy of the file, or use the version of Luthier that wrote it";
        errors::unusable(&self.path, format!("{what}; {advice}"))
    }

    /// Finishes deletions that a crash interrupted.
    fn remove_discarded_folders(&self) -> Result<(), StorageError> {
        let failed = self.failed("cannot read the deleted studies");
        let ids = {
            let connection = self.connection();
            let mut statement = connection.prepare("SELECT study FROM discarded_folders").map_err(failed)?;
            let ids = statement.query_map([], |row| row.get(0)).map_err(failed)?;
            ids.collect::<rusqlite::Result<Vec<i64>>>().map_err(failed)?
        };
        for id in ids {
            // What cannot be removed today stays listed, and is no reason to refuse the other studies.
            if self.artifacts.discard(StudyId(id)).is_ok() {
                self.forget_discarded_folder(id)?;
            }
        }
        Ok(())
    }

    fn forget_discarded_folder(&self, id: i64) -> Result<(), StorageError> {
        let what = "cannot finish the deletion of a study";
        self.write(what, |transaction| {
            transaction
                .execute("DELETE FROM discarded_folders WHERE study = ?1", [id])
                .map_err(self.failed(what))?;
            Ok(())
        })
    }
}

const STUDIES: &str = "SELECT id, created_ms, definition FROM studies";

fn study_columns(row: &Row<'_>) -> rusqlite::Result<(i64, i64, String)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

impl Storage for SqliteStorage {
    fn create_study(&self, definition: &StudyDefinition) -> Result<Study, StorageError> {
        let what = "cannot create the study";
        let failed = self.failed(what);
        let name = &definition.name;
        let text = serde_json::to_string(definition).map_err(|error| self.unwritable(error))?;
        self.write(what, |transaction| {
            let taken = transaction
                .prepare_cached("SELECT 1 FROM studies WHERE name = ?1")
                .and_then(|mut statement| statement.exists([name]))
                .map_err(failed)?;
            if taken {
                return Err(StorageError::NameTaken(name.clone()));
            }
            // Past every number that was ever given, and past the folders of a database that has gone and
            // whose files must not be taken for this study's.
            let given: i64 = transaction
                .query_row(
                    "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'studies'",
                    [],
                    |row| row.get(0),
                )
                .map_err(failed)?;
            let id = given.max(self.artifacts.largest_study()?) + 1;
            let created_ms = now_ms();
            transaction
                .execute(
                    "INSERT INTO studies (id, name, created_ms, definition) VALUES (?1, ?2, ?3, ?4)",
                    params![id, name, created_ms, text],
                )
                .map_err(failed)?;
            Ok(Study { id: StudyId(id), created_ms, definition: definition.clone() })
        })
    }

    fn studies(&self) -> Result<Vec<Study>, StorageError> {
        let failed = self.failed("cannot read the studies");
        let connection = self.connection();
        let mut statement = connection.prepare_cached(&format!("{STUDIES} ORDER BY id")).map_err(failed)?;
        let rows = statement.query_map([], study_columns).map_err(failed)?;
        rows.map(|row| self.parse_study(row.map_err(failed)?)).collect()
    }

    fn study(&self, name: &str) -> Result<Option<Study>, StorageError> {
        let row = self
            .connection()
            .query_row(&format!("{STUDIES} WHERE name = ?1"), [name], study_columns)
            .optional()
            .map_err(self.failed("cannot read the study"))?;
        row.map(|row| self.parse_study(row)).transpose()
    }

    fn delete_study(&self, study: StudyId) -> Result<(), StorageError> {
        let what = "cannot delete the study";
        let failed = self.failed(what);
        self.write(what, |transaction| {
            self.check_study(transaction, study)?;
            transaction.execute("DELETE FROM studies WHERE id = ?1", [study.0]).map_err(failed)?;
            transaction.execute("INSERT INTO discarded_folders VALUES (?1)", [study.0]).map_err(failed)?;
            Ok(())
        })?;
        self.artifacts.discard(study)?;
        self.forget_discarded_folder(study.0)
    }

    fn turn(
        &self,
        study: StudyId,
        after: Revision,
    ) -> Result<(Box<dyn Turn + '_>, Vec<Recorded>), StorageError> {
        self.check_study(&self.connection(), study)?;
        let locked = presence::turn(&self.artifacts.folder(study), &self.others)?;
        let news = self.read(study, after)?;
        Ok((Box::new(FileTurn { storage: self, study, _locked: locked }), news))
    }

    fn enroll(&self, study: StudyId, session: SessionId) -> Result<Box<dyn Presence>, StorageError> {
        self.check_study(&self.connection(), study)?;
        presence::enroll(&self.artifacts.folder(study), session)
    }

    fn living(&self, study: StudyId) -> Result<BTreeSet<SessionId>, StorageError> {
        self.check_study(&self.connection(), study)?;
        presence::living(&self.artifacts.folder(study))
    }

    fn append(
        &self,
        study: StudyId,
        after: Revision,
        events: &[Event],
    ) -> Result<Vec<Recorded>, StorageError> {
        let what = "cannot append to the study";
        let failed = self.failed(what);
        let texts: Vec<String> =
            events.iter().map(|event| self.event_text(event)).collect::<Result<_, _>>()?;
        self.write(what, |transaction| {
            let last: Option<(i64, Vec<u8>)> = transaction
                .prepare_cached(
                    "SELECT revision, digest FROM events WHERE study = ?1 ORDER BY revision DESC LIMIT 1",
                )
                .and_then(|mut statement| {
                    statement.query_row([study.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()
                })
                .map_err(failed)?;
            let (found, mut digest) = match last {
                Some((revision, digest)) => (revision as Revision, digest),
                None => (0, chain::origin(&self.definition(transaction, study)?).to_vec()),
            };
            if found != after {
                return Err(StorageError::Conflict { expected: after, found });
            }
            let mut insert = transaction
                .prepare_cached(
                    "INSERT INTO events (study, revision, at_ms, event, digest) VALUES (?1, ?2, ?3, ?4, ?5)",
                )
                .map_err(failed)?;
            let at_ms = now_ms();
            let mut recorded = Vec::with_capacity(events.len());
            for ((event, text), revision) in events.iter().zip(&texts).zip(after + 1..) {
                digest = chain::link(&digest, revision as i64, at_ms, text).to_vec();
                insert.execute(params![study.0, revision as i64, at_ms, text, digest]).map_err(failed)?;
                recorded.push(Recorded { revision, at_ms, event: event.clone() });
            }
            Ok(recorded)
        })
    }

    fn read(&self, study: StudyId, after: Revision) -> Result<Vec<Recorded>, StorageError> {
        let failed = self.failed("cannot read the study");
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached(
                "SELECT revision, at_ms, event FROM events WHERE study = ?1 AND revision > ?2
                 ORDER BY revision",
            )
            .map_err(failed)?;
        let mut rows =
            statement.query(params![study.0, i64::try_from(after).unwrap_or(i64::MAX)]).map_err(failed)?;
        let mut recorded: Vec<Recorded> = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let revision = row.get::<_, i64>(0).map_err(failed)? as Revision;
            let expected = recorded.last().map_or(after, |last| last.revision) + 1;
            if revision != expected {
                let what = format!("study {}: expected event {expected}, found event {revision}", study.0);
                return Err(self.damaged(&what));
            }
            let text = row.get_ref(2).and_then(|text| Ok(text.as_str()?)).map_err(failed)?;
            let event = serde_json::from_str(text).map_err(|error| {
                self.damaged(&format!("study {}: event {revision} cannot be read ({error})", study.0))
            })?;
            recorded.push(Recorded { revision, at_ms: row.get(1).map_err(failed)?, event });
        }
        if recorded.is_empty() {
            self.check_study(&connection, study)?;
        }
        Ok(recorded)
    }

    fn altered(&self, study: StudyId) -> Result<Option<Revision>, StorageError> {
        let failed = self.failed("cannot read the study");
        let connection = self.connection();
        let mut check = chain::Check::new(&self.definition(&connection, study)?);
        let mut statement = connection
            .prepare_cached(
                "SELECT revision, at_ms, event, digest FROM events WHERE study = ?1 ORDER BY revision",
            )
            .map_err(failed)?;
        let mut rows = statement.query([study.0]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let text: String = row.get(2).map_err(failed)?;
            let digest: Vec<u8> = row.get(3).map_err(failed)?;
            check.event(row.get(0).map_err(failed)?, row.get(1).map_err(failed)?, &text, &digest);
        }
        Ok(check.altered)
    }

    fn put_artifact(&self, study: StudyId, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        self.check_study(&self.connection(), study)?;
        self.artifacts.put(study, name, bytes)
    }

    fn artifact(&self, study: StudyId, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.check_study(&self.connection(), study)?;
        self.artifacts.get(study, name)
    }

    fn artifacts(&self, study: StudyId) -> Result<Vec<String>, StorageError> {
        self.check_study(&self.connection(), study)?;
        self.artifacts.list(study)
    }

    fn remove_artifact(&self, study: StudyId, name: &str) -> Result<(), StorageError> {
        self.check_study(&self.connection(), study)?;
        self.artifacts.remove(study, name)
    }
}

/// The turn on a study, as long as a file is locked.
struct FileTurn<'a> {
    storage: &'a SqliteStorage,
    study: StudyId,
    _locked: presence::Locked,
}

impl Turn for FileTurn<'_> {
    fn append(self: Box<Self>, after: Revision, events: &[Event]) -> Result<Vec<Recorded>, StorageError> {
        self.storage.append(self.study, after, events)
    }
}

impl SqliteStorage {
    /// The event as it is stored. One that could not be read back is refused: it would make the whole
    /// study unreadable.
    fn event_text(&self, event: &Event) -> Result<String, StorageError> {
        serde_json::to_string(event)
            .and_then(|text| serde_json::from_str::<Event>(&text).map(|_| text))
            .map_err(|error| self.unwritable(error))
    }

    fn unwritable(&self, source: serde_json::Error) -> StorageError {
        errors::unwritable(&self.path.display().to_string(), source)
    }
}
