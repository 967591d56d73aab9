//! The views that a person reads with the `sqlite3` shell.

use luthier_core::{
    Distribution, Ending, Event, FailCause, Metrics, Outcome, Params, Report, SessionId, Stop, StopReason,
    Storage, TrialId, Value,
};
use luthier_storage::SqliteStorage;
use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use tempfile::tempdir;

use crate::{definition, started};

fn rows(connection: &Connection, query: &str) -> Vec<String> {
    let mut statement = connection.prepare(query).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let cells: Vec<String> = (0..columns)
            .map(|i| match row.get(i).unwrap() {
                Cell::Null => "-".to_owned(),
                Cell::Integer(i) => i.to_string(),
                Cell::Real(x) => format!("{x:?}"),
                Cell::Text(text) => text,
                Cell::Blob(_) => "blob".to_owned(),
            })
            .collect();
        Ok(cells.join(" | "))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn trials_and_reports_can_be_read_with_sql() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("luthier.db");
    let storage = SqliteStorage::open(&path).unwrap();
    let study = storage.create_study(&definition("a")).unwrap().id;
    let other = storage.create_study(&definition("b")).unwrap().id;
    storage.append(other, 0, &[started(0)]).unwrap();

    let params = Params::from_iter([
        ("train.optimizer.adam.learning_rate".to_owned(), Value::Float(0.1 + 0.2)),
        ("it's \"odd\"".to_owned(), Value::Text("a\nb".to_owned())),
        ("bias".to_owned(), Value::Bool(true)),
    ]);
    let suggested = |name: &str, value| Event::ParamSuggested {
        trial: TrialId(0),
        name: name.to_owned(),
        distribution: Distribution::int(1, 3),
        value,
        prior: None,
    };
    let reported = |trial, step, value, metrics| Event::Reported {
        trial: TrialId(trial),
        report: Report { step, value, metrics },
    };
    let finished = |trial, outcome| Event::TrialFinished { trial: TrialId(trial), outcome, seconds: 1.5 };
    let events = [
        Event::SessionStarted {
            program: "test".to_owned(),
            worker: None,
            file: None,
            data: None,
            class: None,
            trials: None,
            at: None,
        },
        Event::TrialStarted { trial: TrialId(0), params, seed: u64::MAX, until: None, at: None, from: None },
        suggested("layers", Value::Int(2)),
        suggested("rate", Value::Float(0.1)),
        suggested("nesterov", Value::Bool(false)),
        suggested("kind", Value::Text("s\"gd".to_owned())),
        reported(0, 1, f64::NAN, Metrics::from_iter([("accuracy", 0.5), ("loss", f64::INFINITY)])),
        reported(0, 2, 0.25, Metrics::default()),
        finished(0, Outcome::Complete { value: 0.25, step: Some(2), ending: Ending::Full }),
        started(1),
        finished(1, Outcome::Stopped { reason: StopReason::Requested, value: Some(0.5) }),
        started(2),
        finished(2, Outcome::Failed { cause: FailCause::NotFinite }),
        started(3),
        Event::TrialPaused { trial: TrialId(3), cause: Stop::Search },
        started(4),
        Event::TrialPaused { trial: TrialId(4), cause: Stop::Interrupted },
        Event::TrialTaken { trial: TrialId(4), session: SessionId(1) },
        Event::Tested { trial: TrialId(0), metrics: Metrics::from_iter([("accuracy", 0.5)]) },
    ];
    let recorded = storage.append(study, 0, &events).unwrap();

    let connection = Connection::open(&path).unwrap();
    assert_eq!(
        rows(&connection, "SELECT study, trial, state, value, seconds, outcome FROM trials"),
        [
            "1 | 0 | complete | 0.25 | 1.5 | \
             {\"state\":\"complete\",\"value\":0.25,\"step\":2,\"ending\":{\"how\":\"full\"}}",
            "1 | 1 | stopped | - | 1.5 | {\"state\":\"stopped\",\"reason\":{\"why\":\"requested\"},\"value\":0.5}",
            "1 | 2 | failed | - | 1.5 | {\"state\":\"failed\",\"cause\":{\"kind\":\"not_finite\"}}",
            "1 | 3 | paused | - | - | -",
            "1 | 4 | running | - | - | -",
            "2 | 0 | waiting | - | - | -",
        ]
    );
    assert_eq!(
        rows(&connection, "SELECT params FROM trials WHERE study = 1 AND trial < 2"),
        [
            r#"{"train.optimizer.adam.learning_rate":0.30000000000000004,"it's \"odd\"":"a\nb","bias":true,"layers":2,"rate":0.1,"nesterov":false,"kind":"s\"gd"}"#,
            "{}"
        ]
    );
    assert_eq!(
        rows(&connection, "SELECT strftime('%s', started) FROM trials WHERE study = 1 AND trial = 0"),
        [(recorded[1].at_ms / 1000).to_string()]
    );
    assert_eq!(
        rows(&connection, "SELECT study, trial, step, value, metrics FROM reports"),
        ["1 | 0 | 1 | nan | {\"accuracy\":0.5,\"loss\":\"inf\"}", "1 | 0 | 2 | 0.25 | {}"]
    );
}
