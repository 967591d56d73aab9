//! Processes that work at the same time, and processes that end at any moment.

use std::time::Duration;
use std::{fs, thread};

use luthier_core::{SessionId, Storage, TrialId};
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

        // It is known to be gone, and what it had half written goes when the next one begins.
        assert!(storage.living(study).unwrap().is_empty());
        drop(storage.enroll(study, SessionId(1)).unwrap());
        let names: Vec<_> = fs::read_dir(folder.path().join("luthier.files/1"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "trial-0.checkpoint" && name != ".turn")
            .collect();
        assert!(names.is_empty(), "{names:?}");
    }
}

#[test]
fn who_is_killed_is_known_to_be_gone_and_loses_its_turn() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    let storage = SqliteStorage::open(&path).unwrap();
    let study = storage.create_study(&definition("a")).unwrap().id;
    let mut other = Other::start("enroll and take the turn", &path);
    assert_eq!(other.line().as_deref(), Some("enrolled"));
    assert_eq!(storage.living(study).unwrap(), [SessionId(5)].into());
    thread::scope(|scope| {
        let next = scope.spawn(|| drop(storage.turn(study, 0).unwrap()));
        thread::sleep(Duration::from_millis(50));
        assert!(!next.is_finished(), "two have the turn at once");
        other.kill();
        next.join().unwrap();
    });
    assert!(storage.living(study).unwrap().is_empty());
}
