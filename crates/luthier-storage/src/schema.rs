//! Opening the database: whose file it is, which schema it has, and bringing it up to date.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use luthier_core::StorageError;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, TransactionBehavior};

use crate::artifacts::create_folder;
use crate::errors;

/// Marks a database as one of Luthier's; the letters `Luth`.
const APPLICATION_ID: i32 = 0x4C75_7468;

/// The statements that lead from one version of the schema to the next; the first makes version 1.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001_studies_and_events.sql")];

/// How long a writer waits for the others before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens the database at `path`; `create` also makes it, with its folder, where it is missing.
pub(crate) fn open(path: &Path, create: bool) -> Result<Connection, StorageError> {
    // In full, since SQLite takes some relative names (`:memory:`, `file:…`) for something else.
    let file = std::path::absolute(path).map_err(|error| errors::io("cannot use the path", path, error))?;
    // The file itself is never opened here: closing it again would drop the locks that SQLite holds
    // on it for other connections of this process.
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(errors::not_a_storage(path, "a folder")),
        Ok(found) if !found.is_file() => return Err(errors::not_a_storage(path, "a device, pipe or socket")),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !create => {
            let what = "there is no such file; start a study to create it, or name the file of your \
                        studies with `--storage`";
            return Err(errors::unusable(path, what));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if let Some(folder) = file.parent() {
                create_folder(folder).map_err(|error| errors::read_only(path, &error))?;
            }
        }
        Err(error) => return Err(errors::io("cannot look at the file", path, error)),
    }

    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let open = |error| errors::sqlite("cannot open the database", path, error);
    let mut connection = Connection::open_with_flags(&file, flags).map_err(open)?;
    connection.busy_timeout(PATIENCE).map_err(open)?;
    connection.execute_batch("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL;").map_err(open)?;

    // Nothing is written before it is clear that the file is ours or empty.
    let found = Found::read(&connection).map_err(open)?;
    let version = found.version(path)?;
    if connection.is_readonly(MAIN_DB).map_err(open)? {
        return Err(errors::read_only(path, &std::io::Error::from(std::io::ErrorKind::PermissionDenied)));
    }
    use_write_ahead_log(&connection, path)?;
    if version < MIGRATIONS.len() {
        migrate(&mut connection, path)?;
    }
    Ok(connection)
}

/// What the header of a database says.
struct Found {
    application_id: i32,
    version: i64,
    tables: i64,
}

impl Found {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        // One statement, so that another process's migration is seen whole or not at all.
        connection.query_row(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)
             FROM pragma_application_id, pragma_user_version",
            [],
            |row| Ok(Self { application_id: row.get(0)?, version: row.get(1)?, tables: row.get(2)? }),
        )
    }

    /// The version of the schema, 0 for an empty file, if this program can use the database.
    fn version(&self, path: &Path) -> Result<usize, StorageError> {
        let known = MIGRATIONS.len();
        if self.application_id == 0 && self.version == 0 && self.tables == 0 {
            return Ok(0);
        }
        if self.application_id != APPLICATION_ID {
            return Err(errors::not_a_storage(path, "an SQLite database of another program"));
        }
        match usize::try_from(self.version) {
            Ok(version) if (1..=known).contains(&version) => Ok(version),
            _ => Err(errors::unusable(
                path,
                format!(
                    "expected a storage with a schema up to version {known}, found version {}, which a newer \
                     Luthier wrote; update Luthier, or give another file with `--storage`",
                    self.version
                ),
            )),
        }
    }
}

/// The mode in which readers do not wait for the writer. It stays with the file.
fn use_write_ahead_log(connection: &Connection, path: &Path) -> Result<(), StorageError> {
    let started = Instant::now();
    loop {
        let set =
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0));
        match set {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => {
                let what = format!(
                    "expected a place where SQLite can keep a write-ahead log, found one where its journal \
                     stays `{mode}`; give a file on a local disk with `--storage`"
                );
                return Err(errors::unusable(path, what));
            }
            // For this one change SQLite does not wait itself, and two processes may create the file at once.
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && started.elapsed() < PATIENCE =>
            {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(errors::sqlite("cannot prepare the database", path, error)),
        }
    }
}

/// Brings the schema to the latest version, all steps or none.
fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StorageError> {
    let failed = |error| errors::sqlite("cannot bring the tables up to date", path, error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Another process may have been first.
    let version = Found::read(&transaction).map_err(failed)?.version(path)?;
    for step in MIGRATIONS.iter().skip(version) {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64).map_err(failed)?;
    transaction.commit().map_err(failed)
}
