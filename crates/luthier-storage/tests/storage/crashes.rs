//! Processes that work at the same time, and processes that end at any moment.

use std::time::Duration;
use std::{fs, thread};

use luthier_core::{Storage, StorageError, TrialId};
use luthier_storage::SqliteStorage;
use tempfile::tempdir;

use crate::children::{Other, artifact};
use crate::definition;

#[test]
fn of_processes_that_append_at_once_every_event_lands_once() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    let storage = SqliteStorage::open(&path).unwrap();
    let study = storage.create_study(&definition("a")).unwrap().id;
    let mut others = [(); 3].map(|()| Other::start("append 40", &path));
    for other in &mut others {
        let status = other.process.wait().unwrap();
        let said: Vec<String> = std::iter::from_fn(|| other.line()).collect();
        assert!(status.success(), "{said:?}");
    }
    let events = storage.read(study, 0).unwrap();
    let trials: Vec<TrialId> = events.iter().filter_map(|recorded| recorded.event.trial()).collect();
    assert_eq!(trials, (0..120).map(TrialId).collect::<Vec<_>>());
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    let study = SqliteStorage::open(&path).unwrap().create_study(&definition("a")).unwrap().id;
    let (mut revision, mut checkpoint) = (0, 0);
    for round in 0..12 {
        let mut other = Other::start("append for ever", &path);
        let first = other.line().expect("it says something");
        thread::sleep(Duration::from_millis(7 * round));
        for line in std::iter::once(first).chain(other.kill()) {
            match line.strip_prefix("artifact ") {
                Some(n) => checkpoint = n.parse().unwrap(),
                None => revision = line.parse().expect("the number of a revision"),
            }
        }

        let storage = SqliteStorage::open(&path).unwrap();
        let events = storage.read(study, 0).unwrap();
        assert!(events.len() as u64 >= revision, "{} of {revision}", events.len());
        assert_eq!(events.len() % 2, 0, "an append is whole or not there");
        for recorded in &events {
            assert_eq!(recorded.event.trial(), Some(TrialId(recorded.revision - 1)));
        }
        let kept = storage.artifact(study, "trial-0.checkpoint").unwrap();
        let next = events.len() as u64 / 8;
        assert!(
            (checkpoint == 0 && kept.is_none())
                || (checkpoint..=next).any(|n| kept.as_ref() == Some(&artifact(n))),
            "it is neither the one that was acknowledged nor a later one"
        );
        revision = events.len() as u64;

        // The lock is free again, and what was half written goes when it is taken.
        drop(storage.lock_study(study).unwrap());
        let names: Vec<_> = fs::read_dir(folder.path().join("luthier.files/1"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "trial-0.checkpoint" && name != ".lock")
            .collect();
        assert!(names.is_empty(), "{names:?}");
    }
}

#[test]
fn a_lock_is_freed_when_its_holder_is_killed() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    let storage = SqliteStorage::open(&path).unwrap();
    let study = storage.create_study(&definition("a")).unwrap().id;
    let mut other = Other::start("lock", &path);
    assert_eq!(other.line().as_deref(), Some("locked"));
    match storage.lock_study(study) {
        Err(StorageError::Locked { holder }) => {
            let expected = format!(" (process {}, since ", other.process.id());
            assert!(holder.starts_with(&expected), "{holder}");
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it is locked"),
    }
    other.kill();
    drop(storage.lock_study(study).unwrap());
}
