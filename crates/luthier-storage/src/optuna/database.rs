//! Reading Optuna's tables in an SQLite file, of Optuna 2.4 and later.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use luthier_core::{Attributes, Direction, StorageError};
use rusqlite::types::FromSql;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};

use super::distribution::Range;
use super::{Frozen, FrozenTrial, Source, State, choose, direction, time, wrong};

/// The layout of the tables that Optuna 5 writes, as its migrations name it.
pub(super) const REVISION: &str = "v3.2.0.a";

/// Its number in `version_info`, the same since Optuna 1.
pub(super) const SCHEMA: i64 = 12;

/// Earlier layouts in which all that is read has its place.
const EARLIER: [&str; 6] = ["v2.4.0.a", "v2.6.0.a", "v3.0.0.a", "v3.0.0.b", "v3.0.0.c", "v3.0.0.d"];

/// How long a writer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A database of Optuna's and where it is, for messages.
pub(super) struct Database<'a> {
    pub(super) path: &'a Path,
    pub(super) connection: Connection,
}

impl<'a> Database<'a> {
    /// Opens the file at `path`.
    pub(super) fn open(path: &'a Path, flags: OpenFlags) -> Result<Self, StorageError> {
        // In full, since SQLite takes some relative names for something else.
        let file = std::path::absolute(path).map_err(|error| wrong(path, "", error))?;
        let connection = Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .and_then(|connection| connection.busy_timeout(PATIENCE).map(|()| connection))
            .map_err(|error| failed(path, "cannot open the database", error))?;
        Ok(Self { path, connection })
    }

    /// The version of Optuna that made the tables, and their layout, if they are Optuna's and can be read.
    pub(super) fn version(&self) -> Result<(String, String), StorageError> {
        let connection = &self.connection;
        for table in ["version_info", "studies", "trials", "trial_params", "trial_intermediate_values"] {
            let there = connection
                .prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1")
                .and_then(|mut statement| statement.exists([table]))
                .map_err(|error| self.failed(error))?;
            if !there {
                let what = format!("expected a database of Optuna, found one without the table `{table}`");
                return Err(wrong(self.path, "", what));
            }
        }
        let (schema, library): (i64, String) = connection
            .query_row("SELECT schema_version, library_version FROM version_info", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .map_err(|error| self.failed(error))?;
        let revision: Option<String> = connection
            .query_row("SELECT version_num FROM alembic_version", [], |row| row.get(0))
            .optional()
            .map_err(|error| self.failed(error))?;
        // Optuna takes tables without a mark for those of its own version, too.
        let revision = revision.unwrap_or_else(|| REVISION.to_owned());
        let known = revision == REVISION || EARLIER.contains(&revision.as_str());
        if known && schema == SCHEMA {
            return Ok((library, revision));
        }
        Err(wrong(
            self.path,
            "",
            format!(
                "expected tables of Optuna 2.4 to 5 ({} to {REVISION}), found {revision} (schema {schema}), written by \
                 Optuna {library}; older ones are brought up to date by `optuna storage upgrade`",
                EARLIER[0]
            ),
        ))
    }

    pub(super) fn failed(&self, error: rusqlite::Error) -> StorageError {
        failed(self.path, "cannot read the database", error)
    }

    /// Calls `each` with every row; a row that makes no sense is named by its table and its first column.
    fn rows(
        &self,
        table: &str,
        sql: &str,
        study: i64,
        mut each: impl FnMut(&Row<'_>) -> Result<(), String>,
    ) -> Result<(), StorageError> {
        let mut statement = self.connection.prepare(sql).map_err(|error| self.failed(error))?;
        let mut rows = statement.query([study]).map_err(|error| self.failed(error))?;
        while let Some(row) = rows.next().map_err(|error| self.failed(error))? {
            if let Err(what) = each(row) {
                let key = row.get::<_, i64>(0).map_or_else(|_| "?".to_owned(), |key| key.to_string());
                return Err(wrong(self.path, &format!("table {table}, row {key}"), what));
            }
        }
        Ok(())
    }

    fn has_column(&self, table: &str, column: &str) -> Result<bool, StorageError> {
        self.connection
            .prepare("SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2")
            .and_then(|mut statement| statement.exists([table, column]))
            .map_err(|error| self.failed(error))
    }

    fn attributes(
        &self,
        table: &str,
        sql: &str,
        study: i64,
        mut put: impl FnMut(i64, String, String),
    ) -> Result<(), StorageError> {
        self.rows(table, sql, study, |row| {
            put(get(row, 1)?, get(row, 2)?, get(row, 3)?);
            Ok(())
        })
    }
}

/// What SQLite says, and where.
pub(super) fn failed(path: &Path, what: &str, source: rusqlite::Error) -> StorageError {
    StorageError::Backend {
        what: what.to_owned(),
        place: path.display().to_string(),
        source: Box::new(source),
    }
}

fn get<T: FromSql>(row: &Row<'_>, column: usize) -> Result<T, String> {
    row.get(column).map_err(|error| error.to_string())
}

/// Reads the study of this name, or the only one, from the database at `path`.
pub(super) fn read(path: &Path, wanted: Option<&str>) -> Result<Source, StorageError> {
    let mut database = Database::open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // One transaction, so that what others write meanwhile is seen whole or not at all.
    database
        .connection
        .execute_batch("BEGIN")
        .map_err(|error| failed(path, "cannot read the database", error))?;
    let source = read_study(&mut database, wanted);
    drop(database);
    source
}

fn read_study(database: &mut Database<'_>, wanted: Option<&str>) -> Result<Source, StorageError> {
    let path = database.path;
    let (library, _) = database.version()?;
    let mut studies: Vec<(i64, String)> = Vec::new();
    database.rows(
        "studies",
        "SELECT study_id, study_name FROM studies WHERE ?1 = 0 ORDER BY study_id",
        0,
        |row| {
            studies.push((get(row, 0)?, get(row, 1)?));
            Ok(())
        },
    )?;
    let names: Vec<&str> = studies.iter().map(|(_, name)| name.as_str()).collect();
    let (id, name) = studies[choose(path, &names, wanted)?].clone();

    let mut directions = Vec::new();
    database.rows(
        "study_directions",
        "SELECT study_direction_id, direction FROM study_directions WHERE study_id = ?1 ORDER BY objective",
        id,
        |row| {
            directions.push(match get::<String>(row, 1)?.as_str() {
                "MINIMIZE" => Some(Direction::Minimize),
                "MAXIMIZE" => Some(Direction::Maximize),
                _ => None,
            });
            Ok(())
        },
    )?;
    let (direction, further) = direction(path, &name, &directions)?;
    let mut attributes = Attributes::default();
    for (table, kind) in
        [("study_user_attributes", &mut attributes.user), ("study_system_attributes", &mut attributes.system)]
    {
        let key = table.replace("attributes", "attribute_id");
        let sql = format!(
            "SELECT {key}, study_id, key, value_json FROM {table} WHERE study_id = ?1 ORDER BY {key}"
        );
        database.attributes(table, &sql, id, |_, key, value| {
            kind.insert(key, value);
        })?;
    }
    let trials = read_trials(database, id)?;
    let mut notices = Vec::new();
    let old =
        library.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major < 5);
    if old && trials.iter().any(|trial| trial.started_us.is_some()) {
        notices.push(format!(
            "Optuna {library} kept times in the zone of its machine, without saying which; they are taken as UTC"
        ));
    }
    let study = Frozen { name, direction, further, attributes, trials };
    Ok(Source { study, from: format!("optuna {library}"), notices })
}

fn read_trials(database: &Database<'_>, study: i64) -> Result<Vec<FrozenTrial>, StorageError> {
    let mut trials: BTreeMap<i64, FrozenTrial> = BTreeMap::new();
    database.rows(
        "trials",
        "SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials
         WHERE study_id = ?1 ORDER BY trial_id",
        study,
        |row| {
            let name: String = get(row, 2)?;
            let state = State::NAMES.iter().find(|(known, _)| *known == name);
            let (_, state) = state.ok_or_else(|| {
                let names: Vec<&str> = State::NAMES.iter().map(|(name, _)| *name).collect();
                format!("expected one of the states {}, found {name:?}", names.join(", "))
            })?;
            let mut trial = FrozenTrial::new(get(row, 1)?, *state);
            trial.started_us = get::<Option<String>>(row, 3)?.map(|text| time::read(&text)).transpose()?;
            trial.ended_us = get::<Option<String>>(row, 4)?.map(|text| time::read(&text)).transpose()?;
            trials.insert(get(row, 0)?, trial);
            Ok(())
        },
    )?;
    // Rows of a trial's tables, by the key of the table.
    let of_trials = |table: &str, key: &str, columns: &str| {
        format!(
            "SELECT {key}, trial_id, {columns} FROM {table}
             WHERE trial_id IN (SELECT trial_id FROM trials WHERE study_id = ?1) ORDER BY {key}"
        )
    };
    let gone = || "its trial is not in the study".to_owned();

    let sql = of_trials("trial_params", "param_id", "param_name, param_value, distribution_json");
    database.rows("trial_params", &sql, study, |row| {
        let trial = trials.get_mut(&get(row, 1)?).ok_or_else(gone)?;
        let (name, number) = (get::<String>(row, 2)?, trial.number);
        let in_trial = |what| format!("parameter `{name}` of trial {number}: {what}");
        let range = Range::read(&get::<String>(row, 4)?).map_err(in_trial)?;
        let value = range.value(get(row, 3)?).map_err(in_trial)?;
        trial.params.insert(name, (range.distribution, value));
        Ok(())
    })?;

    let kind = |table: &str, column: &'static str| {
        // Before Optuna 3 there was no such column, and infinities were the largest single-precision numbers.
        Ok::<_, StorageError>(if database.has_column(table, column)? { column } else { "NULL" })
    };
    let columns = format!("value, {}, objective", kind("trial_values", "value_type")?);
    let sql = of_trials("trial_values", "trial_value_id", &columns);
    database.rows("trial_values", &sql, study, |row| {
        let trial = trials.get_mut(&get(row, 1)?).ok_or_else(gone)?;
        let value = number(get(row, 2)?, get::<Option<String>>(row, 3)?.as_deref())?;
        match get::<i64>(row, 4)? {
            0 => trial.value = Some(value),
            objective => {
                let place = usize::try_from(objective - 1).ok().filter(|place| *place < 1_000);
                let place = place.ok_or_else(|| format!("there is no objective {objective}"))?;
                trial.further.resize(trial.further.len().max(place + 1), f64::NAN);
                trial.further[place] = value;
            }
        }
        Ok(())
    })?;

    let columns = format!(
        "step, intermediate_value, {}",
        kind("trial_intermediate_values", "intermediate_value_type")?
    );
    let sql = of_trials("trial_intermediate_values", "trial_intermediate_value_id", &columns);
    database.rows("trial_intermediate_values", &sql, study, |row| {
        let trial = trials.get_mut(&get(row, 1)?).ok_or_else(gone)?;
        let step = get::<i64>(row, 2)?;
        let step = u64::try_from(step).map_err(|_| format!("expected a step of at least 0, found {step}"))?;
        trial.reports.insert(step, number(get(row, 3)?, get::<Option<String>>(row, 4)?.as_deref())?);
        Ok(())
    })?;

    for (table, key) in [
        ("trial_user_attributes", "trial_user_attribute_id"),
        ("trial_system_attributes", "trial_system_attribute_id"),
    ] {
        let sql = of_trials(table, key, "key, value_json");
        database.attributes(table, &sql, study, |trial, key, value| {
            if let Some(trial) = trials.get_mut(&trial) {
                let attributes = &mut trial.attributes;
                let kind = if table == "trial_user_attributes" {
                    &mut attributes.user
                } else {
                    &mut attributes.system
                };
                kind.insert(key, value);
            }
        })?;
    }
    Ok(trials.into_values().collect())
}

/// A number and its kind, as two columns hold it.
fn number(value: Option<f64>, kind: Option<&str>) -> Result<f64, String> {
    match (kind, value) {
        (Some("INF_POS"), _) => Ok(f64::INFINITY),
        (Some("INF_NEG"), _) => Ok(f64::NEG_INFINITY),
        (Some("NAN"), _) | (None, None) => Ok(f64::NAN),
        (None, Some(value)) if value.abs() >= f64::from(f32::MAX) => Ok(f64::INFINITY.copysign(value)),
        (Some("FINITE") | None, Some(value)) => Ok(value),
        (Some(kind), value) => Err(format!("a number of the kind {kind:?} cannot be {value:?}")),
    }
}
