//! The storage in a PostgreSQL database: for workers on many machines.

mod connection;
mod schema;

use std::path::Path;

use luthier_core::{
    Event, Recorded, Revision, Storage, StorageError, Study, StudyDefinition, StudyId, StudyLock,
};
use postgres::{Client, GenericClient, Row};

use crate::artifacts::check_name;
use crate::errors;
use connection::{Failure, Server};

/// Studies in a PostgreSQL database, their artifacts in a table of it.
///
/// Milliseconds are those of the server's clock. When the server goes away (it is restarted, the network
/// breaks), every call waits for it to come back, for some minutes; nothing is done twice then.
pub struct PostgresStorage {
    server: Server,
}

/// The server's clock, in milliseconds since 1970.
const NOW_MS: &str = "(extract(epoch from clock_timestamp()) * 1000)::bigint";

impl PostgresStorage {
    /// Connects to the database at `url` (`postgres://USER@HOST:PORT/DATABASE`) and creates the tables where
    /// they are missing.
    ///
    /// # Errors
    ///
    /// [`StorageError`] where `url` makes no sense, the server cannot be reached, or the tables are those of
    /// another version.
    pub fn open(url: &str) -> Result<Self, StorageError> {
        let server = Server::new(url)?;
        server.first("cannot prepare the tables", |client| schema::migrate(client, server.place()))?;
        Ok(Self { server })
    }

    /// Connects to the database at `url`, which has to have the tables.
    ///
    /// # Errors
    ///
    /// As [`PostgresStorage::open`], and where there are no tables.
    pub fn open_existing(url: &str) -> Result<Self, StorageError> {
        let server = Server::new(url)?;
        server.first("cannot read the tables", |client| schema::check(client, server.place()))?;
        Ok(Self { server })
    }

    fn parse_study(&self, row: &Row) -> Result<Study, Failure> {
        let (id, created_ms, definition): (i64, i64, &str) = (row.get(0), row.get(1), row.get(2));
        let definition = serde_json::from_str(definition).map_err(|error| {
            self.damaged(&format!("the definition of study {id} cannot be read ({error})"))
        })?;
        Ok(Study { id: StudyId(id), created_ms, definition })
    }

    fn damaged(&self, what: &str) -> StorageError {
        let what =
            format!("{what}; use the version of Luthier that wrote it, or put back a copy of the database");
        StorageError::Corrupt { place: self.server.place().to_owned(), what }
    }

    fn unwritable(&self, error: serde_json::Error) -> StorageError {
        errors::unwritable(self.server.place(), error)
    }
}

const STUDIES: &str = "SELECT id, created_ms, definition FROM studies";

/// Whether there is such a study.
fn check_study(client: &mut impl GenericClient, study: StudyId) -> Result<(), Failure> {
    match client.query_opt("SELECT 1 FROM studies WHERE id = $1", &[&study.0])? {
        Some(_) => Ok(()),
        None => Err(StorageError::NoSuchStudy(study).into()),
    }
}

/// A number for an append, by which it is known again when the connection broke before the answer came.
fn token() -> i64 {
    use std::hash::{BuildHasher, RandomState};
    // Keyed at random; nothing that is computed depends on it.
    RandomState::new().hash_one(std::process::id()) as i64
}

impl Storage for PostgresStorage {
    fn create_study(&self, definition: &StudyDefinition) -> Result<Study, StorageError> {
        let text = serde_json::to_string(definition).map_err(|error| self.unwritable(error))?;
        let insert = format!(
            "INSERT INTO studies (name, created_ms, definition) VALUES ($1, {NOW_MS}, $2)
             ON CONFLICT (name) DO NOTHING RETURNING id, created_ms"
        );
        let mut tried = false;
        self.server.call("cannot create the study", |client| {
            if let Some(row) = client.query_opt(&insert, &[&definition.name, &text])? {
                let definition = definition.clone();
                return Ok(Study { id: StudyId(row.get(0)), created_ms: row.get(1), definition });
            }
            // If the connection broke after the first attempt had been done, it is this very study.
            let found = client.query_opt(&format!("{STUDIES} WHERE name = $1"), &[&definition.name])?;
            match found.map(|row| self.parse_study(&row)).transpose()? {
                Some(study) if std::mem::replace(&mut tried, true) && study.definition == *definition => {
                    Ok(study)
                }
                _ => Err(StorageError::NameTaken(definition.name.clone()).into()),
            }
        })
    }

    fn studies(&self) -> Result<Vec<Study>, StorageError> {
        self.server.call("cannot read the studies", |client| {
            let rows = client.query(&format!("{STUDIES} ORDER BY id"), &[])?;
            rows.iter().map(|row| self.parse_study(row)).collect()
        })
    }

    fn study(&self, name: &str) -> Result<Option<Study>, StorageError> {
        self.server.call("cannot read the study", |client| {
            let row = client.query_opt(&format!("{STUDIES} WHERE name = $1"), &[&name])?;
            row.map(|row| self.parse_study(&row)).transpose()
        })
    }

    fn delete_study(&self, study: StudyId) -> Result<(), StorageError> {
        self.server.call("cannot delete the study", |client| {
            match client.execute("DELETE FROM studies WHERE id = $1", &[&study.0])? {
                0 => Err(StorageError::NoSuchStudy(study).into()),
                _ => Ok(()),
            }
        })
    }

    fn lock_study(&self, study: StudyId) -> Result<Box<dyn StudyLock>, StorageError> {
        self.server.call("cannot read the study", |client| check_study(client, study))?;
        // On a connection of its own: the lock lives as long as that does.
        let mut client = self.server.connect("cannot lock the study")?;
        let failed = |error| self.server.failed("cannot lock the study", error);
        let name = format!(
            "luthier: process {} on {}, study {}",
            std::process::id(),
            std::env::var("HOSTNAME").unwrap_or_else(|_| "a machine".to_owned()),
            study.0
        );
        client.execute("SELECT set_config('application_name', $1, false)", &[&name]).map_err(failed)?;
        let key = lock_key(study);
        let row = client.query_one("SELECT pg_try_advisory_lock($1)", &[&key]).map_err(failed)?;
        if row.get(0) {
            return Ok(Box::new(Lock { _client: std::sync::Mutex::new(client) }));
        }
        let holder = client
            .query_opt(
                "SELECT application_name, backend_start::timestamp(0)::text FROM pg_stat_activity
                 JOIN pg_locks USING (pid)
                 WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE
                 datname = current_database()) AND ((classid::bigint << 32) | objid::bigint) = $1",
                &[&key],
            )
            .map_err(failed)?;
        let holder = holder.map_or_else(String::new, |row| {
            format!(" ({}, since {})", row.get::<_, &str>(0), row.get::<_, &str>(1))
        });
        Err(StorageError::Locked { holder })
    }

    fn append(
        &self,
        study: StudyId,
        after: Revision,
        events: &[Event],
    ) -> Result<Vec<Recorded>, StorageError> {
        let mut texts = Vec::with_capacity(events.len());
        for event in events {
            let text = serde_json::to_string(event).map_err(|error| self.unwritable(error))?;
            // One that could not be read back would make the whole study unreadable.
            serde_json::from_str::<Event>(&text).map_err(|error| self.unwritable(error))?;
            texts.push(text);
        }
        let token = token();
        let insert = format!(
            "INSERT INTO events (study, revision, at_ms, event, writing)
             SELECT $1, $2 + number, {NOW_MS}, text, $4
             FROM unnest($3::text[]) WITH ORDINALITY AS given (text, number) ORDER BY number
             RETURNING revision, at_ms"
        );
        self.server.call("cannot append to the study", |client| {
            let mut transaction = client.transaction()?;
            // One writer at a time on a study; others may go on.
            let row = transaction.query_opt("SELECT 1 FROM studies WHERE id = $1 FOR UPDATE", &[&study.0])?;
            row.ok_or(StorageError::NoSuchStudy(study))?;
            let last = "SELECT coalesce(max(revision), 0) FROM events WHERE study = $1";
            let found = transaction.query_one(last, &[&study.0])?.get::<_, i64>(0) as Revision;
            let rows = if found == after {
                transaction.query(&insert, &[&study.0, &(after as i64), &texts, &token])?
            } else {
                // The connection may have broken between the commit and its answer.
                let ours =
                    "SELECT revision, at_ms FROM events WHERE study = $1 AND writing = $2 AND revision > $3
                            ORDER BY revision";
                let ours = transaction.query(ours, &[&study.0, &token, &(after as i64)])?;
                if ours.len() != events.len() || events.is_empty() {
                    return Err(StorageError::Conflict { expected: after, found }.into());
                }
                ours
            };
            transaction.commit()?;
            let mut places: Vec<(i64, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            places.sort_unstable();
            let recorded = places.into_iter().zip(events).map(|((revision, at_ms), event)| Recorded {
                revision: revision as Revision,
                at_ms,
                event: event.clone(),
            });
            Ok(recorded.collect())
        })
    }

    fn read(&self, study: StudyId, after: Revision) -> Result<Vec<Recorded>, StorageError> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        self.server.call("cannot read the study", |client| {
            let events = "SELECT revision, at_ms, event FROM events WHERE study = $1 AND revision > $2
                          ORDER BY revision";
            let mut recorded = Vec::new();
            for (row, expected) in client.query(events, &[&study.0, &after])?.iter().zip(after + 1..) {
                let revision: i64 = row.get(0);
                if revision != expected {
                    let what =
                        format!("study {}: expected event {expected}, found event {revision}", study.0);
                    return Err(self.damaged(&what).into());
                }
                let event = serde_json::from_str(row.get(2)).map_err(|error| {
                    self.damaged(&format!("study {}: event {revision} cannot be read ({error})", study.0))
                })?;
                recorded.push(Recorded { revision: revision as Revision, at_ms: row.get(1), event });
            }
            if recorded.is_empty() {
                check_study(client, study)?;
            }
            Ok(recorded)
        })
    }

    fn put_artifact(&self, study: StudyId, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        check_name(Path::new(self.server.place()), name)?;
        self.server.call("cannot keep the artifact", |client| {
            check_study(client, study)?;
            client.execute(
                "INSERT INTO artifacts (study, name, bytes) VALUES ($1, $2, $3)
                 ON CONFLICT (study, name) DO UPDATE SET bytes = excluded.bytes",
                &[&study.0, &name, &bytes],
            )?;
            Ok(())
        })
    }

    fn artifact(&self, study: StudyId, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        check_name(Path::new(self.server.place()), name)?;
        self.server.call("cannot read the artifact", |client| {
            check_study(client, study)?;
            let bytes = "SELECT bytes FROM artifacts WHERE study = $1 AND name = $2";
            Ok(client.query_opt(bytes, &[&study.0, &name])?.map(|row| row.get(0)))
        })
    }

    fn artifacts(&self, study: StudyId) -> Result<Vec<String>, StorageError> {
        self.server.call("cannot list the artifacts", |client| {
            check_study(client, study)?;
            let names = "SELECT name FROM artifacts WHERE study = $1 ORDER BY name";
            Ok(client.query(names, &[&study.0])?.iter().map(|row| row.get(0)).collect())
        })
    }

    fn remove_artifact(&self, study: StudyId, name: &str) -> Result<(), StorageError> {
        check_name(Path::new(self.server.place()), name)?;
        self.server.call("cannot remove the artifact", |client| {
            check_study(client, study)?;
            client.execute("DELETE FROM artifacts WHERE study = $1 AND name = $2", &[&study.0, &name])?;
            Ok(())
        })
    }
}

/// The key of a study's advisory lock: "luth" in front, which is most likely nobody else's.
fn lock_key(study: StudyId) -> i64 {
    (0x6c75_7468 << 32) | (study.0 & 0xffff_ffff)
}

/// A lock that the server frees when the connection ends.
struct Lock {
    _client: std::sync::Mutex<Client>,
}

impl StudyLock for Lock {}
