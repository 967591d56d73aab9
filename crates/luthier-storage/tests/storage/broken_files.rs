//! Files that are no storage, or not any more: what is said, and that nothing panics or is changed.

use std::fs;
use std::path::Path;

use luthier_core::{Event, FailCause, Metrics, Outcome, Params, Storage, TrialId, Value};
use luthier_storage::SqliteStorage;
use rusqlite::Connection;
use tempfile::tempdir;

use crate::{definition, started};

/// What is said on opening `path`, by both ways; what stands before the first `: ` has to be the path.
fn refusal(path: &Path) -> String {
    let message = SqliteStorage::open(path).err().expect("it is refused").to_string();
    assert_eq!(SqliteStorage::open_existing(path).err().expect("it is refused").to_string(), message);
    message.strip_prefix(&format!("{}: ", path.display())).expect("it names the file").to_owned()
}

/// A storage with one study of `events` events.
fn filled(path: &Path, events: u64) {
    let storage = SqliteStorage::open(path).unwrap();
    let study = storage.create_study(&definition("a")).unwrap();
    let events: Vec<Event> = (0..events).map(started).collect();
    storage.append(study.id, 0, &events).unwrap();
}

#[test]
fn a_missing_file_is_not_created_by_reading() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("missing.db");
    assert_eq!(
        SqliteStorage::open_existing(&path).err().unwrap().to_string(),
        format!(
            "{}: there is no such file; start a study to create it, or name the file of your studies with \
             `--storage`",
            path.display()
        )
    );
    assert!(!path.exists());
}

#[test]
fn a_folder() {
    let folder = tempdir().unwrap();
    assert_eq!(
        refusal(folder.path()),
        "expected a storage of Luthier (an SQLite file), found a folder; give another file with `--storage`"
    );
}

#[test]
fn a_file_of_another_kind() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    for content in ["[study]\nname = \"a\"\n".to_owned(), "x".repeat(100_000)] {
        fs::write(&path, &content).unwrap();
        assert_eq!(
            refusal(&path),
            "expected a storage of Luthier (an SQLite file), found a file of another kind, or a damaged one; \
             give another file with `--storage`"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
}

#[test]
fn a_database_of_another_program() {
    let folder = tempdir().unwrap();
    for (name, statements) in [
        ("tables.db", "CREATE TABLE studies (study_id INTEGER)"),
        ("id.db", "PRAGMA application_id = 5"),
        ("version.db", "PRAGMA user_version = 1"),
    ] {
        let path = folder.path().join(name);
        Connection::open(&path).unwrap().execute_batch(statements).unwrap();
        let before = fs::read(&path).unwrap();
        assert_eq!(
            refusal(&path),
            "expected a storage of Luthier (an SQLite file), found an SQLite database of another program; \
             give another file with `--storage`"
        );
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn a_newer_schema() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    filled(&path, 1);
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    assert_eq!(
        refusal(&path),
        "expected a storage with a schema up to version 1, found version 99, which a newer Luthier wrote; \
         update Luthier, or give another file with `--storage`"
    );
}

#[test]
fn an_empty_file_is_a_new_storage() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    fs::write(&path, "").unwrap();
    filled(&path, 1);
}

const DAMAGED: &str = "the database is damaged or cut off (database disk image is malformed); put back a copy \
                       of it, or save what can be read with `sqlite3 FILE .recover`";

#[test]
fn a_file_that_was_cut_off() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    filled(&path, 500);
    let whole = fs::read(&path).unwrap();
    for kept in [whole.len() / 2, 5000, 4096, 100] {
        fs::write(&path, &whole[..kept]).unwrap();
        assert_eq!(refusal(&path), DAMAGED);
    }
}

#[test]
fn a_file_with_damage_inside_is_never_read_as_if_it_were_whole() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    filled(&path, 2_000);
    let whole = fs::read(&path).unwrap();
    let events = SqliteStorage::open(&path).unwrap().read(luthier_core::StudyId(1), 0).unwrap();
    let mut refused = 0;
    for page in 1..whole.len() / 4096 {
        let mut damaged = whole.clone();
        damaged[page * 4096..page * 4096 + 64].fill(0xA5);
        fs::write(&path, &damaged).unwrap();
        let read = SqliteStorage::open(&path).and_then(|storage| storage.read(luthier_core::StudyId(1), 0));
        match read {
            // The page is not part of the study.
            Ok(read) => assert_eq!(read, events),
            Err(error) => {
                refused += 1;
                let message = error.to_string();
                assert!(message.starts_with(&format!("{}: ", path.display())), "{message}");
                assert!(message.contains("put back a copy"), "{message}");
            }
        }
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn an_event_that_is_missing_or_makes_no_sense() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    let advice = "put back a copy of the file, or use the version of Luthier that wrote it";
    for (statement, message) in [
        ("DELETE FROM events WHERE revision = 2", "study 1: expected event 2, found event 3"),
        (
            "UPDATE events SET event = '{\"event\":\"unheard\"}' WHERE revision = 3",
            "study 1: event 3 cannot be read (unknown variant `unheard`, expected one of `trial_started`, \
             `trial_taken`, `trial_imported`, `study_imported`, `params_proposed`, `param_suggested`, `reported`, `trial_paused`, `trial_resumed`, \
             `trial_stopped`, `trial_finished`, `tested`, `session_started`, `session_ended` at line 1 column 18)",
        ),
    ] {
        drop(fs::remove_file(&path));
        filled(&path, 4);
        Connection::open(&path).unwrap().execute_batch(statement).unwrap();
        let storage = SqliteStorage::open(&path).unwrap();
        assert_eq!(
            storage.read(luthier_core::StudyId(1), 0).unwrap_err().to_string(),
            format!("{}: {message}; {advice}", path.display())
        );
    }
}

#[cfg(unix)]
#[test]
fn a_place_without_the_right_to_write() {
    use crate::children::open_as_somebody_else;
    use std::os::unix::fs::PermissionsExt;

    let folder = tempdir().unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let path = folder.path().join("luthier.db");
    let missing = folder.path().join("new.db");
    let below = folder.path().join("new/folder/luthier.db");
    filled(&path, 1);
    mode(&path, 0o444);
    mode(folder.path(), 0o555);
    for path in [&path, &missing, &below] {
        let message = open_as_somebody_else(path);
        let (start, end) = message.split_once(" (").unwrap();
        assert_eq!(start, format!("{}: cannot be written", path.display()));
        assert_eq!(
            end.split_once("), ").unwrap().1,
            "and SQLite writes even where it only reads; make the file and its folder writable for this user, \
             or give another file with `--storage`"
        );
    }
    // A file that is protected itself, in a folder that is not.
    mode(folder.path(), 0o777);
    let message = open_as_somebody_else(&path);
    assert!(message.starts_with(&format!("{}: cannot be written (", path.display())), "{message}");
}

#[cfg(unix)]
#[test]
fn a_file_that_is_deleted_while_it_is_in_use() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    let storage = SqliteStorage::open(&path).unwrap();
    let study = storage.create_study(&definition("a")).unwrap();
    let message = format!(
        "{}: the file was deleted, moved or replaced while it was in use; put it back, and start again",
        path.display()
    );
    fs::rename(&path, folder.path().join("moved.db")).unwrap();
    assert_eq!(storage.append(study.id, 0, &[started(0)]).unwrap_err().to_string(), message);
    drop(Connection::open(&path).unwrap());
    fs::write(&path, "").unwrap();
    assert_eq!(storage.append(study.id, 0, &[started(0)]).unwrap_err().to_string(), message);
}

#[test]
fn an_event_that_could_not_be_read_back_is_refused_before_it_spoils_the_study() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    let storage = SqliteStorage::open(&path).unwrap();
    let study = storage.create_study(&definition("a")).unwrap();
    let params = Params::from_iter([("rate".to_owned(), Value::Float(f64::NAN))]);
    let bad = Event::TrialStarted { trial: TrialId(0), params, seed: 0, until: None, at: None, from: None };
    assert_eq!(
        storage.append(study.id, 0, &[started(0), bad]).unwrap_err().to_string(),
        format!(
            "cannot keep what could not be read back (is a number in it not finite?) in {}",
            path.display()
        )
    );
    assert!(storage.read(study.id, 0).unwrap().is_empty(), "nothing of the append is kept");
    let fine = [
        started(0),
        Event::Tested { trial: TrialId(0), metrics: Metrics::from_iter([("loss", f64::NAN)]) },
        Event::TrialFinished {
            trial: TrialId(0),
            outcome: Outcome::Failed { cause: FailCause::NotFinite },
            seconds: 0.0,
        },
    ];
    storage.append(study.id, 0, &fine).unwrap();
}
