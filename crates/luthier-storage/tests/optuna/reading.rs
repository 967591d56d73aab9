//! What Optuna wrote, beside what Optuna reads in it.

use luthier_core::{Direction, Distribution, Outcome, Value};
use luthier_storage::optuna::import;
use serde_json::Value as Json;

use super::{fixture, history};

/// A value as JSON shows it: null is the text "none" here.
fn plain(value: &Value) -> Json {
    match value {
        Value::Bool(value) => Json::from(*value),
        Value::Int(value) => Json::from(*value),
        Value::Float(value) => Json::from(*value),
        Value::Text(text) if text == "none" => Json::Null,
        Value::Text(text) => Json::from(text.clone()),
    }
}

fn number(value: &Json) -> f64 {
    value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

/// An attribute's text as JSON, its NaN as text.
fn attribute(text: &str) -> Json {
    serde_json::from_str(&luthier_core::number::quoted(text)).unwrap()
}

fn compare(file: &str) {
    let imported = import(&fixture(file), Some("mixed")).unwrap();
    let expected: Json =
        serde_json::from_slice(&std::fs::read(fixture(&format!("{file}.json"))).unwrap()).unwrap();
    assert_eq!(imported.definition.direction, Direction::Maximize);
    assert_eq!(imported.definition.objective, "accuracy");
    assert_eq!(imported.definition.slots, None);
    let history = history(&imported);
    let author = &history.attributes().user["author"];
    assert_eq!(attribute(author), expected["user"]["author"]);

    let expected_trials: Vec<&Json> =
        expected["trials"].as_array().unwrap().iter().filter(|trial| trial["state"] != "WAITING").collect();
    assert_eq!(history.trials().len(), expected_trials.len());
    let mut states = Vec::new();
    for (trial, expected) in history.trials().iter().zip(expected_trials) {
        let what = format!("{file}, trial {}", expected["number"]);
        let params = expected["params"].as_object().unwrap();
        assert_eq!(trial.params.len(), params.len(), "{what}");
        for (name, value) in &trial.params {
            assert_eq!(plain(value), params[name], "{what}: {name}");
            let range = &trial.suggested[name];
            assert!(range.contains(value), "{what}: {value} is not in {range}");
            compare_range(range, &expected["distributions"][name]["attributes"], &format!("{what}: {name}"));
        }
        let reports = expected["reports"].as_object().unwrap();
        assert_eq!(trial.reports.len(), reports.len(), "{what}");
        for report in &trial.reports {
            let expected = number(&reports[&report.step.to_string()]);
            assert!(report.value == expected || report.value.is_nan() && expected.is_nan(), "{what}");
        }
        let attributes = trial.imported.as_ref().unwrap();
        for (kind, attributes) in [("user", &attributes.user), ("system", &attributes.system)] {
            let expected = expected[kind].as_object().unwrap();
            assert_eq!(attributes.len(), expected.len(), "{what}");
            assert!(attributes.iter().all(|(key, text)| attribute(text) == expected[key]), "{what}");
        }
        assert_eq!(trial.started_us, expected["started_us"].as_i64(), "{what}");
        if let Some(ended) = expected["ended_us"].as_i64() {
            let seconds = (ended - trial.started_us.unwrap()) as f64 / 1e6;
            assert_eq!(trial.seconds, Some(seconds), "{what}");
        }
        let state = expected["state"].as_str().unwrap();
        states.push(state);
        match &trial.outcome {
            None => assert_eq!(state, "RUNNING", "{what}"),
            Some(Outcome::Complete { value, .. }) => {
                assert_eq!((state, *value), ("COMPLETE", number(&expected["value"])), "{what}");
            }
            Some(Outcome::Stopped { value, .. }) => {
                assert_eq!((state, *value), ("PRUNED", Some(number(&expected["value"]))), "{what}");
            }
            Some(Outcome::Failed { cause }) => {
                let infinite = state == "COMPLETE" && number(&expected["value"]).is_infinite();
                assert!(state == "FAIL" || infinite, "{what}: {cause}");
            }
            Some(Outcome::Infeasible { .. }) => panic!("{what}: Optuna has no such state"),
        }
    }
    for state in ["COMPLETE", "PRUNED", "FAIL", "RUNNING"] {
        assert!(states.contains(&state), "{file} has no {state} trial any more");
    }
    assert_eq!(history.best().map(|best| best.id.0), expected["best"].as_u64());
    assert_eq!(
        imported.notices,
        [
            "waiting trials: 1; they are left out, since what has not begun is no trial here",
            "trials with another number here: 1; numbers have no gaps and come once",
            "running trials: 1; they are unfinished here: `luthier tune` runs them again with their parameters, the \
             library leaves them",
            "complete trials without a finite value: 1; they count as failed, since values are finite here",
        ]
    );
}

fn compare_range(range: &Distribution, expected: &Json, what: &str) {
    match range {
        Distribution::Float { low, high, log, step } => {
            assert_eq!(
                (Some(*low), Some(*high)),
                (expected["low"].as_f64(), expected["high"].as_f64()),
                "{what}"
            );
            assert_eq!((Some(*log), *step), (expected["log"].as_bool(), expected["step"].as_f64()), "{what}");
        }
        Distribution::Int { low, high, log, step } => {
            assert_eq!(
                (Some(*low), Some(*high)),
                (expected["low"].as_i64(), expected["high"].as_i64()),
                "{what}"
            );
            assert_eq!(
                (Some(*log), Some(*step)),
                (expected["log"].as_bool(), expected["step"].as_i64()),
                "{what}"
            );
        }
        Distribution::Choice { options } => {
            let options: Vec<Json> = options.iter().map(plain).collect();
            assert_eq!(Some(&options), expected["choices"].as_array(), "{what}");
        }
    }
}

#[test]
fn a_database_of_optuna_5() {
    compare("mixed.sqlite");
}

#[test]
fn a_journal_of_optuna_5() {
    compare("mixed.journal");
}

#[test]
fn a_database_of_optuna_2_with_the_ranges_of_then() {
    let imported = import(&fixture("version2.sqlite"), None).unwrap();
    assert_eq!(
        (imported.definition.name.as_str(), imported.definition.program.as_str()),
        ("old", "optuna 2.10.1")
    );
    assert!(imported.notices[0].contains("they are taken as UTC"), "{:?}", imported.notices);
    let history = history(&imported);
    let trial = &history.trials()[3];
    let ranges: Vec<String> =
        trial.suggested.iter().map(|(name, range)| format!("{name}: {range}")).collect();
    insta::assert_snapshot!(ranges.join("\n"), @r"
    x: -1.0 … 1.0
    rate: 1e-5 … 0.1, log
    q: 0.0 … 1.0, step 0.25
    n: 1 … 9, whole, step 2
    m: 1 … 64, whole, log
    c: a | b
    ");
    assert!(trial.suggested.iter().all(|(name, range)| range.contains(&trial.params[name])));
    let reported = |trial: usize| history.trials()[trial].reports[0].value;
    assert_eq!((reported(0), reported(1)), (f64::INFINITY, f64::NEG_INFINITY));
    assert_eq!(history.trials()[2].state(), "stopped");
    assert!(matches!(trial.outcome, Some(Outcome::Complete { value, .. }) if value > 0.0));
}

#[test]
fn the_last_line_of_a_journal_may_be_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.log");
    let whole = std::fs::read(fixture("parabola.journal")).unwrap();
    let lines = String::from_utf8_lossy(&whole).lines().count();
    std::fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    let imported = import(&path, None).unwrap();
    assert_eq!(
        imported.notices[0],
        format!(
            "the last line of the journal (line {lines}) is cut off and was left out, as if it had not been written"
        )
    );
    let history = history(&imported);
    assert_eq!(history.trials().len(), 25);
    // What was cut off is the end of the last trial.
    assert_eq!((history.trials()[23].state(), history.trials()[24].state()), ("complete", "waiting"));
}
