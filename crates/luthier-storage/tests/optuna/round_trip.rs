//! From here to Optuna's tables and back.

use luthier_core::{Direction, Recorded};
use luthier_core::{
    Distribution, Ending, Event, FailCause, History, MemoryStorage, Metrics, Outcome, Parameter, Params,
    Report, Space, Stop, StopReason, Storage, Study, StudyDefinition, Trial, TrialId, Value,
};
use luthier_storage::SqliteStorage;
use luthier_storage::optuna::{export, import};

use super::{fixture, history};

fn rate() -> Distribution {
    Distribution::log_float(1e-5, 1e-1)
}

fn started(trial: u64, params: Params) -> Event {
    Event::TrialStarted {
        trial: TrialId(trial),
        params,
        seed: u64::MAX - trial,
        until: None,
        at: None,
        from: None,
    }
}

fn finished(trial: u64, outcome: Outcome) -> Event {
    Event::TrialFinished { trial: TrialId(trial), outcome, seconds: 1.25 + trial as f64 }
}

fn reported(trial: u64, step: u64, value: f64) -> Event {
    let metrics: Metrics = [("loss", value * 2.0), ("odd", f64::NAN)].into_iter().collect();
    let metrics = if step.is_multiple_of(2) { metrics } else { Metrics::default() };
    Event::Reported { trial: TrialId(trial), report: Report { step, value, metrics } }
}

/// A study with every state, as a study file makes it: its ranges are those of a space.
fn made_here() -> (Study, History, Space) {
    let space = Space::new([
        Parameter::new("rate", rate()),
        Parameter::new("units", Distribution::Int { low: 4, high: 64, log: false, step: 4 }),
        Parameter::new("optimizer", Distribution::choice(["adam", "sgd"])),
        Parameter::new("momentum", Distribution::float(0.0, 0.99)),
        Parameter::new("bias", Distribution::choice([true, false])),
        Parameter::new("size", Distribution::Choice { options: vec![Value::Int(1), Value::Float(0.5)] }),
    ])
    .unwrap();
    let params = |rate: f64, sgd: bool| {
        let mut params = Params::new();
        params.insert("rate".into(), Value::Float(rate));
        params.insert("units".into(), Value::Int(8));
        params.insert("optimizer".into(), Value::from(if sgd { "sgd" } else { "adam" }));
        if sgd {
            params.insert("momentum".into(), Value::Float(0.9));
        }
        params.insert("bias".into(), Value::Bool(!sgd));
        params.insert("size".into(), if sgd { Value::Int(1) } else { Value::Float(0.5) });
        params
    };
    let early = Ending::EarlyStopped { epoch: 3, cause: "no better for 2 reports".to_owned() };
    let behind =
        StopReason::BehindPercentile { step: 1, percentile: 50.0, loss: f64::INFINITY, threshold: 0.5 };
    let error = FailCause::Error { message: "no\nluck".to_owned() };
    let tested = [("accuracy", 0.25)].into_iter().collect();
    let events = [
        Event::SessionStarted {
            program: "luthier".into(),
            worker: None,
            file: Some("[study]\n".into()),
            data: None,
            class: None,
            trials: None,
            at: None,
        },
        started(0, params(0.01, true)),
        reported(0, 1, 0.1),
        reported(0, 2, 0.1 + 0.2),
        finished(0, Outcome::Complete { value: 0.1 + 0.2, step: Some(2), ending: early }),
        started(1, params(1e-5, false)),
        reported(1, 1, f64::NEG_INFINITY),
        reported(1, 2, f64::NAN),
        reported(1, 9, f64::INFINITY),
        finished(1, Outcome::Stopped { reason: behind, value: None }),
        started(2, params(0.1, false)),
        finished(2, Outcome::Infeasible { reason: "the kernel is larger than the image".to_owned() }),
        started(3, params(0.02, true)),
        finished(3, Outcome::Failed { cause: error }),
        started(4, params(0.03, true)),
        reported(4, 1, 0.2),
        Event::TrialPaused { trial: TrialId(4), cause: Stop::Search },
        started(5, params(0.04, false)),
        Event::Tested { trial: TrialId(0), metrics: tested },
    ];
    let definition = StudyDefinition {
        name: "made here".to_owned(),
        objective: "val_accuracy".to_owned(),
        direction: Direction::Maximize,
        criteria: luthier_core::Criteria::default(),
        seed: 1 << 60,
        slots: None,
        steps: Some(9),
        file: None,
        data: None,
        program: "luthier".to_owned(),
    };
    let study = MemoryStorage::new().create_study(&definition).unwrap();
    let mut history = History::of(&definition);
    for (revision, event) in (1..).zip(events) {
        let at_ms = 1_795_271_119_863 + 1_000 * revision as i64;
        history.apply(&Recorded { revision, at_ms, event }).unwrap();
    }
    (study, history, space)
}

/// All that a trial is, apart from the ranges, which are asked for trial by trial after an import.
fn essence(trial: &Trial) -> String {
    format!(
        "{} {:?} {} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        trial.id,
        trial.params,
        trial.seed,
        trial.reports,
        trial.outcome,
        trial.paused,
        trial.started_us,
        trial.seconds,
        trial.tested,
        trial.imported.clone().unwrap_or_default()
    )
}

#[test]
fn a_study_made_here_comes_back_as_it_was() {
    let (study, before, space) = made_here();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("optuna.db");
    assert_eq!(export(&path, &study, &before, Some(&space)).unwrap(), [""; 0]);
    let imported = import(&path, None).unwrap();
    assert_eq!(imported.definition.objective, "val_accuracy");
    assert_eq!((imported.definition.seed, imported.definition.steps), (1 << 60, Some(9)));
    let after = history(&imported);
    for (before, after) in before.trials().iter().zip(after.trials()) {
        assert_eq!(essence(before), essence(after));
        for (name, range) in &after.suggested {
            assert_eq!(Some(range), space.get(name).map(|parameter| &parameter.distribution));
        }
    }
    assert_eq!(before.trials().len(), after.trials().len());
    assert_eq!(after.attributes().user["luthier:file"], r#""[study]\n""#);
}

#[test]
fn a_study_of_optuna_goes_there_and_back() {
    for file in ["mixed.sqlite", "mixed.journal"] {
        let first = import(&fixture(file), Some("mixed")).unwrap();
        let storage = MemoryStorage::new();
        let study = first.store(&storage).unwrap();
        let before = history(&first);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("optuna.db");
        export(&path, &study, &before, None).unwrap();
        let second = import(&path, None).unwrap();
        let after = history(&second);
        for (before, after) in before.trials().iter().zip(after.trials()) {
            assert_eq!(essence(before), essence(after), "{file}");
            assert_eq!(before.suggested, after.suggested, "{file}");
        }
        assert_eq!(before.trials().len(), after.trials().len());
        assert_eq!(before.attributes().user["author"], after.attributes().user["author"]);
        // A second study in the same database.
        let renamed = StudyDefinition { name: "again".to_owned(), ..study.definition.clone() };
        let renamed = Study { definition: renamed, ..study };
        export(&path, &renamed, &before, None).unwrap();
        assert_eq!(import(&path, Some("again")).unwrap().events.len(), second.events.len());
        let same = format!("{second:?}");
        assert!(format!("{:?}", import(&path, Some("mixed")).unwrap()) == same, "{file}");
    }
}

#[test]
fn ranges_that_are_not_known_are_those_that_were_used() {
    let (study, before, _) = made_here();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("optuna.db");
    let space = Space::new([Parameter::new("rate", Distribution::log_float(1e-3, 1e-1))]).unwrap();
    let notices = export(&path, &study, &before, Some(&space)).unwrap();
    assert_eq!(notices.len(), 6);
    assert!(
        notices
            .iter()
            .any(|notice| notice.starts_with("the range of `rate` is not known for all its values"))
    );
    let after = history(&import(&path, None).unwrap());
    let ranges = |trial: usize| &after.trials()[trial].suggested;
    // A value of the space keeps its range; one outside gets that of all values.
    assert_eq!(ranges(0)["rate"], Distribution::log_float(1e-3, 1e-1));
    assert_eq!(ranges(1)["rate"], Distribution::float(1e-5, 0.1));
    assert_eq!(ranges(0)["units"], Distribution::int(8, 8));
    assert_eq!(ranges(0)["optimizer"], Distribution::choice(["sgd", "adam"]));
    assert_eq!(ranges(0)["size"], Distribution::float(0.5, 1.0));
    assert_eq!(ranges(0)["bias"], Distribution::choice([false, true]));
}

#[test]
fn a_choice_that_changed_has_all_its_options_in_optuna() {
    let mut events = Vec::new();
    for (trial, (options, value)) in [(["a", "b"], "b"), (["c", "a"], "c")].into_iter().enumerate() {
        let trial = TrialId(trial as u64);
        events.push(started(trial.0, Params::new()));
        events.push(Event::ParamSuggested {
            trial,
            name: "kind".to_owned(),
            distribution: Distribution::choice(options),
            value: Value::from(value),
            prior: None,
        });
    }
    let (study, ..) = made_here();
    let mut before = History::of(&study.definition);
    for (revision, event) in (1..).zip(events) {
        before.apply(&Recorded { revision, at_ms: 0, event }).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("optuna.db");
    export(&path, &study, &before, None).unwrap();
    let after = history(&import(&path, None).unwrap());
    for (trial, value) in after.trials().iter().zip(["b", "c"]) {
        assert_eq!(trial.suggested["kind"], Distribution::choice(["a", "b", "c"]));
        assert_eq!(trial.params["kind"], Value::from(value));
    }
}

#[test]
fn times_and_attributes_survive_a_storage() {
    let folder = tempfile::tempdir().unwrap();
    let imported = import(&fixture("mixed.sqlite"), Some("mixed")).unwrap();
    let study = imported.store(&SqliteStorage::open(&folder.path().join("luthier.db")).unwrap()).unwrap();
    let storage = SqliteStorage::open(&folder.path().join("luthier.db")).unwrap();
    let mut kept = History::of(&study.definition);
    for recorded in storage.read(study.id, 0).unwrap() {
        kept.apply(&recorded).unwrap();
    }
    let direct = history(&imported);
    assert_eq!(kept.trials().len(), direct.trials().len());
    for (kept, direct) in kept.trials().iter().zip(direct.trials()) {
        assert_eq!(essence(kept), essence(direct));
    }
    let shown: String = rusqlite::Connection::open(folder.path().join("luthier.db"))
        .unwrap()
        .query_row("SELECT started FROM trials WHERE trial = 0", [], |row| row.get(0))
        .unwrap();
    let seconds = direct.trials()[0].started_us.unwrap() / 1_000_000;
    let expected: String = rusqlite::Connection::open_in_memory()
        .unwrap()
        .query_row("SELECT strftime('%Y-%m-%d %H:%M:%S', ?1, 'unixepoch')", [seconds], |row| row.get(0))
        .unwrap();
    assert_eq!(shown, expected);
}

#[test]
fn several_objectives_come_and_go() {
    for file in ["mixed.sqlite", "mixed.journal"] {
        let first = import(&fixture(file), Some("two")).unwrap();
        let goals = &first.definition.criteria.objectives;
        assert_eq!((goals.len(), goals[0].name.as_str()), (1, "value1"), "{file}");
        assert_eq!(
            (first.definition.direction, goals[0].direction),
            (Direction::Minimize, Direction::Maximize)
        );
        let before = history(&first);
        let trial = &before.trials()[0];
        assert_eq!(before.values(trial).unwrap(), [trial.params["x"].as_f64().unwrap(), 1.0], "{file}");
        assert_eq!(before.winners(), [trial.id], "{file}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("optuna.db");
        export(&path, &first.store(&MemoryStorage::new()).unwrap(), &before, None).unwrap();
        let second = import(&path, None).unwrap();
        assert_eq!(second.definition.criteria, first.definition.criteria, "{file}");
        assert_eq!(essence(trial), essence(&history(&second).trials()[0]), "{file}");
    }
}

#[test]
fn constraints_come_and_go() {
    let (study, made, space) = made_here();
    let params = &made.trials()[2].params;
    let constraint = luthier_core::Constraint::parse("size <= 10").unwrap();
    let criteria = luthier_core::Criteria { objectives: Vec::new(), constraints: vec![constraint] };
    let study = Study { definition: StudyDefinition { criteria, ..study.definition }, ..study };
    let mut before = History::of(&study.definition);
    let events = [(0, 12.0), (1, 9.0)].into_iter().flat_map(|(n, size)| {
        let report = Report { step: 1, value: 0.5, metrics: Metrics::from_iter([("size", size)]) };
        let outcome = Outcome::Complete { value: 0.5, step: Some(1), ending: Ending::Full };
        [started(n, params.clone()), Event::Reported { trial: TrialId(n), report }, finished(n, outcome)]
    });
    for (revision, event) in (1..).zip(events) {
        before.apply(&Recorded { revision, at_ms: 1_795_271_119_863, event }).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("optuna.db");
    export(&path, &study, &before, Some(&space)).unwrap();
    let imported = import(&path, None).unwrap();
    assert_eq!(imported.definition.criteria, study.definition.criteria);
    let after = history(&imported);
    assert_eq!(after.winners(), [TrialId(1)]);
    for (before, after) in before.trials().iter().zip(after.trials()) {
        assert_eq!(essence(before), essence(after));
    }
}
