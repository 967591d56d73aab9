//! What every storage promises.

use std::sync::atomic::Ordering;

use crate::{
    Direction, Ending, Event, History, Metrics, Outcome, Params, Report, SessionId, Storage, StorageError,
    StudyDefinition, StudyId, TrialId, Value,
};

fn definition(name: &str) -> StudyDefinition {
    StudyDefinition {
        name: name.to_owned(),
        objective: "val_accuracy".to_owned(),
        direction: Direction::Maximize,
        criteria: crate::Criteria::default(),
        seed: u64::MAX >> 1,
        slots: None,
        steps: None,
        file: Some("[study]\nname = \"ü\"\n".to_owned()),
        data: None,
        program: "luthier 0".to_owned(),
    }
}

fn events() -> Vec<Event> {
    let trial = TrialId(0);
    let mut params = Params::new();
    params.insert("rate".into(), Value::Float(0.1 + 0.2));
    params.insert("units".into(), Value::Int(64));
    params.insert("kind".into(), Value::Text("ad\"am\n".into()));
    params.insert("bias".into(), Value::Bool(true));
    let report = |step, value| Report { step, value, metrics: Metrics::from_iter([("val_loss", f64::NAN)]) };
    vec![
        Event::TrialStarted { trial, params, seed: 7, until: Some(3), at: None, from: None },
        Event::Reported { trial, report: report(1, f64::NEG_INFINITY) },
        Event::Reported { trial, report: report(2, 1.0 / 3.0) },
        Event::TrialFinished {
            trial,
            outcome: Outcome::Complete { value: 1.0 / 3.0, step: Some(2), ending: Ending::Full },
            seconds: 0.25,
        },
    ]
}

/// Checks `storage`, which must be empty, against the contract of [`Storage`].
///
/// # Panics
///
/// Where it breaks the contract.
pub fn storage_contract(storage: &dyn Storage) {
    // Studies have unique names and stay as they were created.
    let a = storage.create_study(&definition("a")).unwrap();
    let b = storage.create_study(&definition("b")).unwrap();
    assert_ne!(a.id, b.id);
    assert_eq!(a.definition, definition("a"));
    assert_eq!(storage.studies().unwrap(), [a.clone(), b.clone()]);
    assert_eq!(storage.study("b").unwrap(), Some(b.clone()));
    assert_eq!(storage.study("c").unwrap(), None);
    assert!(
        matches!(storage.create_study(&definition("a")), Err(StorageError::NameTaken(name)) if name == "a")
    );

    // What is appended is read back, in order, to the bit, from any revision.
    assert!(storage.read(a.id, 0).unwrap().is_empty());
    let events = events();
    let first = storage.append(a.id, 0, &events[..3]).unwrap();
    let second = storage.append(a.id, 3, &events[3..]).unwrap();
    assert_eq!(first.iter().chain(&second).map(|r| r.revision).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let read = storage.read(a.id, 0).unwrap();
    assert_eq!(
        format!("{:?}", read.iter().map(|r| &r.event).collect::<Vec<_>>()),
        format!("{:?}", events.iter().collect::<Vec<_>>())
    );
    assert_eq!(storage.read(a.id, 3).unwrap(), second);
    assert!(storage.read(b.id, 0).unwrap().is_empty(), "studies are apart");
    let history = History::replay(Direction::Maximize, &read).unwrap();
    assert_eq!(history.best().unwrap().params["rate"], Value::Float(0.1 + 0.2));

    // An append on an old view is refused as a whole.
    let late = storage.append(
        a.id,
        3,
        &[Event::TrialStarted {
            trial: TrialId(1),
            params: Params::new(),
            seed: 0,
            until: None,
            at: None,
            from: None,
        }],
    );
    assert!(matches!(late, Err(StorageError::Conflict { expected: 3, found: 4 })), "{late:?}");
    assert_eq!(storage.read(a.id, 0).unwrap().len(), 4);
    assert!(storage.append(a.id, 4, &[]).unwrap().is_empty());

    // Artifacts are replaced whole, and listed.
    assert_eq!(storage.artifact(a.id, "trial-0.model").unwrap(), None);
    storage.put_artifact(a.id, "trial-0.model", &[1, 2, 3]).unwrap();
    storage.put_artifact(a.id, "trial-0.model", &[4]).unwrap();
    storage.put_artifact(a.id, "trial-0.checkpoint", &[]).unwrap();
    assert_eq!(storage.artifact(a.id, "trial-0.model").unwrap(), Some(vec![4]));
    assert_eq!(storage.artifact(b.id, "trial-0.model").unwrap(), None);
    assert_eq!(storage.artifacts(a.id).unwrap(), ["trial-0.checkpoint", "trial-0.model"]);
    storage.remove_artifact(a.id, "trial-0.checkpoint").unwrap();
    storage.remove_artifact(a.id, "trial-0.checkpoint").unwrap();
    assert_eq!(storage.artifacts(a.id).unwrap(), ["trial-0.model"]);

    // Who is at work is known until it no longer is.
    assert!(storage.living(a.id).unwrap().is_empty());
    let (one, two) = (SessionId(1), SessionId(4));
    let here = storage.enroll(a.id, one).unwrap();
    let too = storage.enroll(a.id, two).unwrap();
    assert_eq!(storage.living(a.id).unwrap(), [one, two].into());
    assert!(storage.living(b.id).unwrap().is_empty());
    drop(here);
    assert_eq!(storage.living(a.id).unwrap(), [two].into());
    drop(too);
    assert!(storage.living(a.id).unwrap().is_empty());

    // What is stored is as it was stored.
    assert_eq!(storage.altered(a.id).unwrap(), None);

    // Deleting takes everything of that study and nothing else; its key is not given again.
    storage.delete_study(a.id).unwrap();
    assert_eq!(storage.studies().unwrap(), std::slice::from_ref(&b));
    assert!(matches!(storage.delete_study(a.id), Err(StorageError::NoSuchStudy(_))));
    assert!(matches!(storage.read(a.id, 0), Err(StorageError::NoSuchStudy(_))));
    assert!(matches!(storage.append(a.id, 0, &events), Err(StorageError::NoSuchStudy(_))));
    let none = StudyId(9_999);
    assert!(matches!(storage.enroll(none, one).map(drop), Err(StorageError::NoSuchStudy(_))));
    assert!(matches!(storage.living(none), Err(StorageError::NoSuchStudy(_))));
    assert!(matches!(storage.altered(none), Err(StorageError::NoSuchStudy(_))));
    let again = storage.create_study(&definition("a")).unwrap();
    assert!(again.id != a.id && storage.read(again.id, 0).unwrap().is_empty());
    assert_eq!(storage.artifacts(again.id).unwrap(), Vec::<String>::new());

    // Of many writers at once, each with the latest view, every event lands exactly once; without turns some are
    // refused on the way, with them none.
    let b = &b;
    std::thread::scope(|scope| {
        for writer in 0..4 {
            scope.spawn(move || {
                let mut landed = 0;
                while landed < 5 {
                    let turn = (writer < 2).then(|| storage.turn(b.id, landed).unwrap());
                    let at = match &turn {
                        Some((_, news)) => landed + news.len() as u64,
                        None => storage.read(b.id, 0).unwrap().len() as u64,
                    };
                    let event = Event::TrialStarted {
                        trial: TrialId(at),
                        params: Params::new(),
                        seed: at,
                        until: None,
                        at: None,
                        from: None,
                    };
                    let appended = match turn {
                        Some((turn, _)) => turn.append(at, &[event]),
                        None => storage.append(b.id, at, &[event]),
                    };
                    match appended {
                        Ok(_) => landed += 1,
                        Err(StorageError::Conflict { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    let history = History::replay(Direction::Maximize, &storage.read(b.id, 0).unwrap()).unwrap();
    assert_eq!(history.trials().len(), 20);
    let in_turn = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let (turn, news) = storage.turn(b.id, 20).unwrap();
                    assert!(!in_turn.swap(true, Ordering::SeqCst), "two have the turn at once");
                    let at = 20 + news.len() as u64;
                    assert_eq!(storage.read(b.id, 20).unwrap(), news, "a turn comes with what is newest");
                    in_turn.store(false, Ordering::SeqCst);
                    let stored = turn.append(at, &events[..1]).unwrap();
                    assert_eq!(stored[0].revision, at + 1);
                }
            });
        }
    });
    assert_eq!(storage.read(b.id, 0).unwrap().len(), 40);

    // A turn that stores nothing lets the next one in; one on an old view is refused, and lets it in, too.
    drop(storage.turn(b.id, 40).unwrap());
    let (turn, news) = storage.turn(b.id, 40).unwrap();
    assert!(news.is_empty());
    let late = turn.append(39, &events[..1]);
    assert!(matches!(late, Err(StorageError::Conflict { expected: 39, found: 40 })), "{late:?}");
    assert!(matches!(storage.turn(none, 0).map(drop), Err(StorageError::NoSuchStudy(_))));
    drop(storage.turn(b.id, 40).unwrap());
    assert_eq!(storage.altered(b.id).unwrap(), None);
}
