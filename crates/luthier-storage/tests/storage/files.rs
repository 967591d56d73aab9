//! The file and the folder beside it.

use std::fs;
use std::path::Path;
use std::thread;

use luthier_core::{SessionId, Storage, testing};
use luthier_storage::SqliteStorage;
use rusqlite::Connection;
use tempfile::tempdir;

use crate::{definition, started};

#[test]
fn passes_the_contract() {
    let folder = tempdir().unwrap();
    testing::storage_contract(&SqliteStorage::open(&folder.path().join("new/folder/luthier.db")).unwrap());
}

#[test]
fn reopening_keeps_everything() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    let storage = SqliteStorage::open(&path).unwrap();
    let study = storage.create_study(&definition("a")).unwrap();
    let gone = storage.create_study(&definition("b")).unwrap();
    let events = storage.append(study.id, 0, &[started(0), started(1)]).unwrap();
    assert!(events[0].at_ms > 1_700_000_000_000);
    storage.put_artifact(study.id, "trial-0.model", b"weights").unwrap();
    storage.delete_study(gone.id).unwrap();
    drop(storage);

    let storage = SqliteStorage::open_existing(&path).unwrap();
    assert_eq!(storage.studies().unwrap(), std::slice::from_ref(&study));
    assert_eq!(storage.study("a").unwrap(), Some(study.clone()));
    assert_eq!(storage.read(study.id, 0).unwrap(), events);
    assert_eq!(storage.artifact(study.id, "trial-0.model").unwrap().unwrap(), b"weights");
    let file = folder.path().join(format!("luthier.files/{}/trial-0.model", study.id.0));
    assert_eq!(fs::read(file).unwrap(), b"weights");
    let next = storage.create_study(&definition("b")).unwrap();
    assert!(next.id > gone.id, "a key is not given again, after a restart either");
}

#[test]
fn many_open_a_new_file_at_once() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    thread::scope(|scope| {
        for n in 0..8 {
            let path = &path;
            scope.spawn(move || {
                let storage = SqliteStorage::open(path).unwrap();
                let study = storage.create_study(&definition(&n.to_string())).unwrap();
                for at in 0..5 {
                    storage.append(study.id, at, &[started(at)]).unwrap();
                }
            });
        }
    });
    let storage = SqliteStorage::open(&path).unwrap();
    let studies = storage.studies().unwrap();
    assert_eq!(studies.len(), 8);
    assert!(studies.iter().all(|study| storage.read(study.id, 0).unwrap().len() == 5));
}

#[test]
fn a_deletion_that_was_interrupted_is_finished_later() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    let storage = SqliteStorage::open(&path).unwrap();
    let kept = storage.create_study(&definition("kept")).unwrap();
    let deleted = storage.create_study(&definition("deleted")).unwrap();
    for study in [&kept, &deleted] {
        storage.put_artifact(study.id, "model", b"weights").unwrap();
    }
    drop(storage);
    // What is left when the process ends between the two halves of a deletion.
    Connection::open(&path)
        .unwrap()
        .execute_batch("INSERT INTO discarded_folders VALUES (2); DELETE FROM studies WHERE id = 2")
        .unwrap();

    let storage = SqliteStorage::open(&path).unwrap();
    assert_eq!(storage.studies().unwrap(), std::slice::from_ref(&kept));
    assert!(!folder.path().join("luthier.files/2").exists());
    assert_eq!(storage.artifacts(kept.id).unwrap(), ["model"]);
    let left: i64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM discarded_folders", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
}

#[test]
fn the_files_of_a_database_that_is_gone_are_neither_taken_nor_removed() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    let old = folder.path().join("luthier.files/7");
    fs::create_dir_all(&old).unwrap();
    fs::write(old.join("trial-0.model"), "of another study").unwrap();
    for name in ["a", "b"] {
        let storage = SqliteStorage::open(&path).unwrap();
        let study = storage.create_study(&definition(name)).unwrap();
        assert!(study.id.0 > 7 && storage.artifacts(study.id).unwrap().is_empty());
    }
    assert!(old.join("trial-0.model").exists());
}

#[test]
fn names_of_artifacts_cannot_leave_the_folder() {
    let folder = tempdir().unwrap();
    let storage = SqliteStorage::open(&folder.path().join("luthier.db")).unwrap();
    let study = storage.create_study(&definition("a")).unwrap();
    for name in ["", ".", "..", ".lock", "../x", "a/b", "a\\b", "C:x", "ü", "a\nb", "a\0"] {
        let message = format!(
            "{}: `{}` cannot be the name of an artifact: expected letters, digits, `.`, `_` and `-`, and no dot \
             at the start",
            fs::canonicalize(folder.path()).unwrap().join("luthier.files/1").display(),
            name.escape_debug()
        );
        assert_eq!(storage.put_artifact(study.id, name, b"x").unwrap_err().to_string(), message);
        assert_eq!(storage.artifact(study.id, name).unwrap_err().to_string(), message);
        assert_eq!(storage.remove_artifact(study.id, name).unwrap_err().to_string(), message);
    }
    storage.put_artifact(study.id, "Trial-0_best.model.1", b"x").unwrap();
    assert_eq!(storage.artifacts(study.id).unwrap(), ["Trial-0_best.model.1"]);
}

#[test]
fn a_session_is_seen_through_another_connection_and_through_a_link() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    let storage = SqliteStorage::open(&path).unwrap();
    let study = storage.create_study(&definition("a")).unwrap();
    let here = storage.enroll(study.id, SessionId(2)).unwrap();
    let other = SqliteStorage::open(&path).unwrap();
    assert_eq!(other.living(study.id).unwrap(), [SessionId(2)].into());
    assert_eq!(storage.artifacts(study.id).unwrap(), Vec::<String>::new(), "a session is no artifact");
    #[cfg(unix)]
    {
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let linked = SqliteStorage::open(&link).unwrap();
        assert_eq!(linked.living(study.id).unwrap(), [SessionId(2)].into());
    }
    drop(here);
    assert!(other.living(study.id).unwrap().is_empty());
}

#[test]
fn what_was_altered_is_found() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    let storage = SqliteStorage::open(&path).unwrap();
    let study = storage.create_study(&definition("a")).unwrap().id;
    let events: Vec<_> = (0..5).map(started).collect();
    storage.append(study, 0, &events[..3]).unwrap();
    storage.append(study, 3, &events[3..]).unwrap();
    assert_eq!(storage.altered(study).unwrap(), None);
    let alter = |change: &str| Connection::open(&path).unwrap().execute_batch(change).unwrap();
    alter("UPDATE events SET event = replace(event, '\"seed\":3', '\"seed\":8') WHERE revision = 4");
    assert_eq!(storage.altered(study).unwrap(), Some(4));
    alter("UPDATE events SET at_ms = at_ms + 1 WHERE revision = 2");
    assert_eq!(storage.altered(study).unwrap(), Some(2));
    alter("UPDATE studies SET definition = replace(definition, 'test', 'best')");
    assert_eq!(storage.altered(study).unwrap(), Some(1));
}

#[test]
fn names_that_mean_something_to_sqlite_are_files() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("file:a?mode=memory.db");
    drop(SqliteStorage::open(&path).unwrap());
    assert!(path.exists());
    assert!(SqliteStorage::open(Path::new("")).is_err());
}
