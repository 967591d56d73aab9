//! The storage in a PostgreSQL database: for workers on many machines.

mod connection;
mod events;
mod place;
mod presence;
mod schema;
mod turn;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use luthier_core::{
    Event, Presence, Recorded, Revision, SessionId, Storage, StorageError, Study, StudyDefinition, StudyId,
    Turn,
};
use postgres::{Client, GenericClient, Row};

use crate::artifacts::check_name;
use crate::errors;
use crate::files::Files;
use connection::{Failure, Server};

/// Studies in a PostgreSQL database, their artifacts in a table of it.
///
/// Milliseconds are those of the server's clock. When the server goes away (it is restarted, the network
/// breaks), every call waits for it to come back, for some minutes; nothing is done twice then.
pub struct PostgresStorage {
    server: Arc<Server>,
    /// For how long a session counts as alive that is not heard of.
    lease: Duration,
    /// Where artifacts are kept, if not in the table.
    files: Option<Files>,
}

/// The lease, unless the address gives one: long enough for a server that is restarted.
const LEASE: Duration = Duration::from_secs(15);

/// The server's clock, in milliseconds since 1970.
const NOW_MS: &str = "(extract(epoch from clock_timestamp()) * 1000)::bigint";

impl PostgresStorage {
    /// Connects to the database at `url` (`postgres://USER@HOST:PORT/DATABASE`) and creates the tables where
    /// they are missing. With `?lease=SECONDS` behind it (15 unless set, at least 1), trials of a process that is
    /// not heard of go on elsewhere after that time. With `?files=s3://BUCKET/PREFIX` or `?files=/FOLDER` artifacts are
    /// kept there; the database remembers it, so that once is enough.
    ///
    /// # Errors
    ///
    /// [`StorageError`] where `url` makes no sense, the server cannot be reached, the tables are those of
    /// another version, or the place of the artifacts cannot be used or is another one than before.
    pub fn open(url: &str) -> Result<Self, StorageError> {
        Self::connect(url, "cannot prepare the tables", schema::migrate)
    }

    /// Connects to the database at `url`, which has to have the tables.
    ///
    /// # Errors
    ///
    /// As [`PostgresStorage::open`], and where there are no tables.
    pub fn open_existing(url: &str) -> Result<Self, StorageError> {
        Self::connect(url, "cannot read the tables", schema::check)
    }

    fn connect(
        url: &str,
        what: &str,
        mut prepare: impl FnMut(&mut Client, &str) -> Result<(), Failure>,
    ) -> Result<Self, StorageError> {
        let (url, options) = Options::split(url)?;
        let server = Arc::new(Server::new(&url)?);
        server.first(what, |client| prepare(client, server.place()))?;
        let files = place::settle(&server, options.files.as_deref())?;
        Ok(Self { server, lease: options.lease, files })
    }

    fn parse_study(&self, row: &Row) -> Result<Study, Failure> {
        let (id, created_ms, definition): (i64, i64, &str) = (row.get(0), row.get(1), row.get(2));
        let definition = serde_json::from_str(definition).map_err(|error| {
            self.server.damaged(&format!("the definition of study {id} cannot be read ({error})"))
        })?;
        Ok(Study { id: StudyId(id), created_ms, definition })
    }
}

impl Server {
    fn damaged(&self, what: &str) -> StorageError {
        let what =
            format!("{what}; use the version of Luthier that wrote it, or put back a copy of the database");
        StorageError::Corrupt { place: self.place().to_owned(), what }
    }

    fn unwritable(&self, error: serde_json::Error) -> StorageError {
        errors::unwritable(self.place(), error)
    }

    /// Appends events, and gives the lock of this key back then.
    fn append(
        &self,
        study: StudyId,
        after: Revision,
        events: &[Event],
        key: Option<i64>,
    ) -> Result<Vec<Recorded>, StorageError> {
        let append = events::Append::new(study, after, events).map_err(|error| self.unwritable(error))?;
        self.call("cannot append to the study", |client| append.store(client, events, key))
    }
}

/// What an address says to Luthier, and not to the server.
struct Options {
    lease: Duration,
    files: Option<String>,
}

impl Options {
    /// Takes them out of an address.
    fn split(url: &str) -> Result<(String, Self), StorageError> {
        let mut options = Self { lease: LEASE, files: None };
        let Some((address, query)) = url.split_once('?') else { return Ok((url.to_owned(), options)) };
        let mut rest = Vec::new();
        for part in query.split('&') {
            if let Some(text) = part.strip_prefix("lease=") {
                let seconds = text.parse().ok().filter(|seconds| (1.0..1e6).contains(seconds));
                options.lease = Duration::from_secs_f64(seconds.ok_or_else(|| StorageError::Corrupt {
                    place: "postgres://…".to_owned(),
                    what: format!("expected lease=SECONDS, at least 1, found lease={text}"),
                })?);
            } else if let Some(place) = part.strip_prefix("files=") {
                options.files = Some(place.to_owned());
            } else {
                rest.push(part);
            }
        }
        let query = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
        Ok((format!("{address}{query}"), options))
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

impl Storage for PostgresStorage {
    fn create_study(&self, definition: &StudyDefinition) -> Result<Study, StorageError> {
        let text = serde_json::to_string(definition).map_err(|error| self.server.unwritable(error))?;
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
        })?;
        self.files.as_ref().map_or(Ok(()), |files| files.discard(study))
    }

    fn turn(
        &self,
        study: StudyId,
        after: Revision,
    ) -> Result<(Box<dyn Turn + '_>, Vec<Recorded>), StorageError> {
        turn::turn(&self.server, study, after)
    }

    fn enroll(&self, study: StudyId, session: SessionId) -> Result<Box<dyn Presence>, StorageError> {
        presence::enroll(&self.server, study, session, self.lease)
    }

    fn living(&self, study: StudyId) -> Result<BTreeSet<SessionId>, StorageError> {
        let living =
            self.server.call("cannot look for sessions", |client| presence::living(client, study))?;
        Ok(living.into_iter().collect())
    }

    fn append(
        &self,
        study: StudyId,
        after: Revision,
        events: &[Event],
    ) -> Result<Vec<Recorded>, StorageError> {
        self.server.append(study, after, events, None)
    }

    fn read(&self, study: StudyId, after: Revision) -> Result<Vec<Recorded>, StorageError> {
        let read = |client: &mut Client| events::read(&self.server, client, "", study, after);
        self.server.call("cannot read the study", read)
    }

    fn altered(&self, study: StudyId) -> Result<Option<Revision>, StorageError> {
        self.server.call("cannot read the study", |client| events::altered(client, study))
    }

    fn put_artifact(&self, study: StudyId, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        check_name(Path::new(self.server.place()), name)?;
        let what = "cannot keep the artifact";
        if let Some(files) = &self.files {
            self.server.call(what, |client| check_study(client, study))?;
            return files.put(study, name, bytes);
        }
        self.server.call(what, |client| {
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
        if let Some(files) = &self.files {
            return files.get(study, name);
        }
        self.server.call("cannot read the artifact", |client| {
            check_study(client, study)?;
            let bytes = "SELECT bytes FROM artifacts WHERE study = $1 AND name = $2";
            Ok(client.query_opt(bytes, &[&study.0, &name])?.map(|row| row.get(0)))
        })
    }

    fn artifacts(&self, study: StudyId) -> Result<Vec<String>, StorageError> {
        if let Some(files) = &self.files {
            return files.list(study);
        }
        self.server.call("cannot list the artifacts", |client| {
            check_study(client, study)?;
            let names = "SELECT name FROM artifacts WHERE study = $1 ORDER BY name";
            Ok(client.query(names, &[&study.0])?.iter().map(|row| row.get(0)).collect())
        })
    }

    fn remove_artifact(&self, study: StudyId, name: &str) -> Result<(), StorageError> {
        check_name(Path::new(self.server.place()), name)?;
        if let Some(files) = &self.files {
            return files.remove(study, name);
        }
        self.server.call("cannot remove the artifact", |client| {
            check_study(client, study)?;
            client.execute("DELETE FROM artifacts WHERE study = $1 AND name = $2", &[&study.0, &name])?;
            Ok(())
        })
    }
}
