//! Files that cannot be imported or written to: each is refused with its place and the reason.

use luthier_core::{MemoryStorage, Storage};
use luthier_storage::SqliteStorage;
use luthier_storage::optuna::{export, import};
use rusqlite::Connection;

use super::{fixture, history};

/// The error of importing bytes, without the path of the temporary folder.
fn refused(bytes: &[u8], study: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    let error = import(&path, study).unwrap_err().to_string();
    error.replace(folder.path().to_str().unwrap(), "DIR")
}

/// The error of importing a database after a change.
fn changed(sql: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::copy(fixture("mixed.sqlite"), &path).unwrap();
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    let error = import(&path, Some("mixed")).unwrap_err().to_string();
    error.replace(folder.path().to_str().unwrap(), "DIR")
}

#[test]
fn what_is_no_file_of_optuna() {
    assert_eq!(
        refused(b"", None),
        "DIR/file: expected an SQLite database or a journal of Optuna, found an empty file"
    );
    assert!(refused(b"number,value\n0,1\n", None).contains("found a file of another kind"));
    assert!(refused(b"SQLite format 3\0 and nothing more", None).contains("DIR/file"));
    let address = import("postgresql://me:secret@host/optuna".as_ref(), None).unwrap_err().to_string();
    assert!(
        address.starts_with("postgresql://…: expected an SQLite file or a journal")
            && !address.contains("secret")
    );
    assert!(import("missing.db".as_ref(), None).unwrap_err().to_string().contains("cannot be read"));
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("luthier.db");
    drop(SqliteStorage::open(&own).unwrap());
    let error = import(&own, None).unwrap_err().to_string();
    assert!(
        error.ends_with("expected a database of Optuna, found one without the table `version_info`"),
        "{error}"
    );
}

#[test]
fn one_study_has_to_be_meant() {
    let error = |study| import(&fixture("mixed.sqlite"), study).unwrap_err().to_string();
    assert!(error(None).ends_with("there are 2 studies in it: `mixed`, `two`; name one with `--study`"));
    assert!(error(Some("mixd")).ends_with("there is no study `mixd` in it; there is `mixed`, `two`"));
}

#[test]
fn rows_that_make_no_sense_are_named() {
    for (sql, expected) in [
        (
            "UPDATE trial_params SET distribution_json = '{\"name\": \"New\"}' WHERE param_id = 3",
            "DIR/file, table trial_params, row 3: parameter `layers` of trial 0: `New` is no kind of range that is known",
        ),
        (
            "UPDATE trial_params SET param_value = 7 WHERE param_id = 5",
            "DIR/file, table trial_params, row 5: parameter `optimizer` of trial 0: expected the index of one of 3 \
             options, found 7",
        ),
        (
            "UPDATE trials SET state = 'Complete' WHERE trial_id = 2",
            "DIR/file, table trials, row 2: expected one of the states RUNNING, COMPLETE, PRUNED, FAIL, WAITING, found \
             \"Complete\"",
        ),
        (
            "UPDATE trials SET datetime_start = 'noon' WHERE trial_id = 2",
            "DIR/file, table trials, row 2: expected a date and time, found \"noon\"",
        ),
        (
            "UPDATE trial_values SET value = NULL WHERE trial_value_id = 1",
            "DIR/file, table trial_values, row 1: a number of the kind \"FINITE\" cannot be None",
        ),
        (
            "UPDATE trial_intermediate_values SET step = -1 WHERE trial_intermediate_value_id = 4",
            "DIR/file, table trial_intermediate_values, row 4: expected a step of at least 0, found -1",
        ),
    ] {
        assert_eq!(changed(sql), expected);
    }
    let error = changed("UPDATE alembic_version SET version_num = 'v9.0.0.a'");
    assert!(error.contains("found v9.0.0.a (schema 12), written by Optuna 5.0.0"), "{error}");
}

#[test]
fn lines_that_make_no_sense_are_named() {
    let whole = String::from_utf8(std::fs::read(fixture("parabola.journal")).unwrap()).unwrap();
    let mut lines: Vec<&str> = whole.lines().collect();
    let torn = format!("{}{}", &lines[3][..30], lines[4]);
    lines[3] = &torn;
    let error = refused(lines.join("\n").as_bytes(), None);
    assert!(
        error.starts_with("DIR/file, line 4: it is no JSON") && error.contains("a line was cut off here"),
        "{error}"
    );
    for (line, expected) in [
        (r#"{"op_code": 99}"#, "line 1: expected an operation of Optuna's, 0 to 10, as `op_code`, found 99"),
        (r#"{"op_code": 4}"#, "line 1: expected a number as `study_id`, found null"),
        ("{\"a\": 1}", "line 1: expected an operation of Optuna's, 0 to 10, as `op_code`, found null"),
    ] {
        let error = refused(format!("{line}\n").as_bytes(), None);
        assert_eq!(error, format!("DIR/file, {expected}"));
    }
    assert!(refused(b"{\"op_code\": 10}\n", None).ends_with("there is no study in it"));
}

#[test]
fn no_other_file_is_written_over() {
    let imported = import(&fixture("parabola.sqlite"), None).unwrap();
    let storage = MemoryStorage::new();
    let study = imported.store(&storage).unwrap();
    let history = history(&imported);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let refused = |bytes: &[u8], expected: &str| {
        std::fs::write(&path, bytes).unwrap();
        let error = export(&path, &study, &history, None).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    };
    refused(b"precious", "it exists and is no database of Optuna's; give another file");
    refused(b"", "it exists and is no database of Optuna's");
    refused(&std::fs::read(fixture("parabola.sqlite")).unwrap(), "it has a study `parabola` already");
    refused(&std::fs::read(fixture("version2.sqlite")).unwrap(), "only those of v3.2.0.a can be added to");
    let missing = folder.path().join("no/folder.db");
    let error = export(&missing, &study, &history, None).unwrap_err().to_string();
    assert!(error.contains("there is no folder"), "{error}");
    // Whole or not at all: nothing is left beside it.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(matches!(imported.store(&storage), Err(luthier_core::StorageError::NameTaken(_))));
    assert_eq!(storage.studies().unwrap().len(), 1);
}
