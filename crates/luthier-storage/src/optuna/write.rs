//! Writing Optuna's tables.

use std::path::{Path, PathBuf};

use luthier_core::{Direction, StorageError};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};

use super::database::{Database, REVISION, SCHEMA, failed};
use super::{Frozen, FrozenTrial, Kind, distribution, time, wrong};

/// The tables of Optuna 5.
const TABLES: &str = include_str!("schema.sql");

/// The version of Optuna whose tables these are.
const LIBRARY: &str = "5.0.0";

/// Adds `study` to the database of Optuna's at `path`, which is made where there is none.
pub(super) fn write(path: &Path, study: &Frozen) -> Result<(), StorageError> {
    let io = |what: &'static str| move |error: std::io::Error| wrong(path, "", format!("{what} ({error})"));
    if std::fs::exists(path).map_err(io("the file cannot be looked at"))? {
        return add(path, study);
    }
    // Made aside, so that nobody ever sees half of it.
    let mut aside = path.as_os_str().to_owned();
    aside.push(".part");
    let aside = PathBuf::from(aside);
    let made = make(&aside, study).and_then(|()| {
        // Unlike a renaming this never takes the place of a file that has come meanwhile.
        std::fs::hard_link(&aside, path)
            .or_else(|error| if path.exists() { Err(error) } else { std::fs::rename(&aside, path) })
            .map_err(io("the file cannot be written"))
    });
    match std::fs::remove_file(&aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            made.and(Err(wrong(&aside, "", format!("the file cannot be removed ({error})"))))
        }
        _ => made,
    }
}

fn make(aside: &Path, study: &Frozen) -> Result<(), StorageError> {
    let failed = |error| failed(aside, "cannot write the database", error);
    if let Some(folder) = aside.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        return Err(wrong(aside, "", format!("there is no folder {}", folder.display())));
    }
    if aside.exists() {
        // What an interrupted export has left.
        std::fs::remove_file(aside)
            .map_err(|error| wrong(aside, "", format!("it is in the way ({error})")))?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut database = Database::open(aside, flags)?;
    let transaction = begin(&mut database.connection).map_err(failed)?;
    transaction.execute_batch(TABLES).map_err(failed)?;
    transaction
        .execute("INSERT INTO version_info VALUES (1, ?1, ?2)", params![SCHEMA, LIBRARY])
        .and_then(|_| transaction.execute("INSERT INTO alembic_version VALUES (?1)", [REVISION]))
        .map_err(failed)?;
    insert(&transaction, study).map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// Adds the study to a database that is there.
fn add(path: &Path, study: &Frozen) -> Result<(), StorageError> {
    if !matches!(Kind::of(path), Ok(Kind::Database)) {
        return Err(wrong(path, "", "it exists and is no database of Optuna's; give another file"));
    }
    let mut database = Database::open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let (library, revision) = database.version()?;
    if revision != REVISION {
        let what = format!(
            "it has the tables of Optuna {library} ({revision}), and only those of {REVISION} can be added to: bring it up \
             to date by `optuna storage upgrade`, or give another file"
        );
        return Err(wrong(path, "", what));
    }
    let failed = |error| failed(path, "cannot write the database", error);
    let transaction = begin(&mut database.connection).map_err(failed)?;
    let taken = transaction
        .prepare("SELECT 1 FROM studies WHERE study_name = ?1")
        .and_then(|mut statement| statement.exists([&study.name]))
        .map_err(failed)?;
    if taken {
        return Err(wrong(path, "", format!("it has a study `{}` already; give another file", study.name)));
    }
    insert(&transaction, study).map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

fn insert(transaction: &Transaction<'_>, study: &Frozen) -> rusqlite::Result<()> {
    transaction.execute("INSERT INTO studies (study_name) VALUES (?1)", [&study.name])?;
    let id = transaction.last_insert_rowid();
    for (objective, direction) in (0_i64..).zip([&study.direction].into_iter().chain(&study.further)) {
        let direction = match direction {
            Direction::Minimize => "MINIMIZE",
            Direction::Maximize => "MAXIMIZE",
        };
        transaction.execute(
            "INSERT INTO study_directions (direction, study_id, objective) VALUES (?1, ?2, ?3)",
            params![direction, id, objective],
        )?;
    }
    for (sql, attributes) in [
        (
            "INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (?1, ?2, ?3)",
            &study.attributes.user,
        ),
        (
            "INSERT INTO study_system_attributes (study_id, key, value_json) VALUES (?1, ?2, ?3)",
            &study.attributes.system,
        ),
    ] {
        for (key, value) in attributes {
            transaction.execute(sql, params![id, key, value])?;
        }
    }
    study.trials.iter().try_for_each(|trial| insert_trial(transaction, id, trial))
}

fn insert_trial(transaction: &Transaction<'_>, study: i64, trial: &FrozenTrial) -> rusqlite::Result<()> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| transaction.prepare_cached(sql)?.execute(values);
    run(
        "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete) VALUES (?1, ?2, ?3, ?4, ?5)",
        &[
            &trial.number,
            &study,
            &trial.state.name(),
            &trial.started_us.and_then(time::write),
            &trial.ended_us.and_then(time::write),
        ],
    )?;
    let id = transaction.last_insert_rowid();
    for (name, (range, value)) in &trial.params {
        run(
            "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?1, ?2, ?3, ?4)",
            &[&id, name, &distribution::kept(range, value), &distribution::write(range)],
        )?;
    }
    for (objective, value) in (0_i64..).zip(trial.value.into_iter().chain(trial.further.iter().copied())) {
        if value.is_nan() {
            continue;
        }
        let (value, kind) = columns(value);
        run(
            "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?1, ?2, ?3, ?4)",
            &[&id, &objective, &value, &kind],
        )?;
    }
    for (step, value) in &trial.reports {
        let (value, kind) = columns(*value);
        run(
            "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
             VALUES (?1, ?2, ?3, ?4)",
            &[&id, &(*step as i64), &value, &kind],
        )?;
    }
    for (sql, attributes) in [
        (
            "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?1, ?2, ?3)",
            &trial.attributes.user,
        ),
        (
            "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (?1, ?2, ?3)",
            &trial.attributes.system,
        ),
    ] {
        for (key, value) in attributes {
            run(sql, &[&id, key, value])?;
        }
    }
    Ok(())
}

/// A number and its kind, as two columns hold it.
fn columns(value: f64) -> (Option<f64>, &'static str) {
    if value.is_finite() {
        (Some(value), "FINITE")
    } else if value.is_nan() {
        (None, "NAN")
    } else {
        (None, if value > 0.0 { "INF_POS" } else { "INF_NEG" })
    }
}
