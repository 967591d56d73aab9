//! Against Optuna, and against functions whose shares are known.
#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::testing::record;
use luthier_core::{
    Condition, Direction, Ending, Event, FailCause, History, Outcome, Purpose, Streams, TrialId, Value,
};
use serde_json::Value as Json;

use super::*;

fn cases() -> Vec<Json> {
    let fixture: Json = serde_json::from_str(include_str!("../../tests/fixtures/importance.json")).unwrap();
    fixture["cases"].as_array().unwrap().clone()
}

fn range(parameter: &Json) -> Distribution {
    if let Some(options) = parameter.get("choices") {
        return Distribution::Choice { options: serde_json::from_value(options.clone()).unwrap() };
    }
    let log = parameter["log"].as_bool().unwrap();
    let (low, high, step) = (&parameter["low"], &parameter["high"], &parameter["step"]);
    if parameter["type"] == "float" {
        let [low, high] = [low, high].map(|end| end.as_f64().unwrap());
        Distribution::Float { low, high, log, step: step.as_f64() }
    } else {
        let [low, high, step] = [low, high, step].map(|end| end.as_i64().unwrap());
        Distribution::Int { low, high, log, step }
    }
}

/// The space and the history of a case.
fn study(case: &Json) -> (Space, History) {
    let parameters = case["parameters"].as_array().unwrap();
    let space = parameters.iter().map(|p| Parameter::new(p["name"].as_str().unwrap(), range(p)));
    let space = Space::new(space).unwrap();
    let trials = case["trials"].as_array().unwrap().iter().map(|trial| {
        let params = trial["params"].as_object().unwrap().iter().map(|(name, value)| {
            let float = matches!(space.get(name).unwrap().distribution, Distribution::Float { .. });
            let value = match value.as_f64() {
                Some(x) if float => Value::Float(x),
                _ => serde_json::from_value(value.clone()).unwrap(),
            };
            (name.clone(), value)
        });
        (params.collect(), trial["value"].as_f64().unwrap())
    });
    let direction = serde_json::from_value(case["direction"].clone()).unwrap();
    let history = history(direction, trials);
    (space, history)
}

fn history(direction: Direction, trials: impl Iterator<Item = (Params, f64)>) -> History {
    let events = trials.zip(0..).flat_map(|((params, value), n)| {
        let trial = TrialId(n);
        let outcome = Outcome::Complete { value, step: None, ending: Ending::Full };
        let started = Event::TrialStarted { trial, params, seed: 0, until: None, at: None, from: None };
        [started, Event::TrialFinished { trial, outcome, seconds: 0.0 }]
    });
    History::replay(direction, &record(events)).unwrap()
}

fn of(method: Method, case: &Json) -> Importances {
    let (space, history) = study(case);
    importance(method, &history.view(), &space, 0).unwrap()
}

#[test]
fn ped_anova_is_that_of_optuna() {
    for case in cases() {
        let found = of(Method::PedAnova, &case);
        let mut compared = 0;
        for parameter in &found.parameters {
            let expected = case["ped_anova"][&parameter.name].as_f64().unwrap();
            if let Some(measure) = parameter.measure {
                let message = format!("{}, {}: {measure} {expected}", case["name"], parameter.name);
                assert!((measure - expected).abs() <= 1e-9, "{message}");
                compared += 1;
            } else {
                assert!(parameter.trials < FEWEST);
            }
        }
        assert!(compared >= 3, "{}", case["name"]);
        let sum: f64 = found.parameters.iter().filter_map(|parameter| parameter.share).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
    }
}

#[test]
fn fanova_finds_the_shares_that_are_known_and_those_of_optuna() {
    // A forest of 500 points sees less of interactions and more of noise: Optuna's own figures are up to 0.08 off.
    const TRUTH: f64 = 0.1;
    const OPTUNA: f64 = 0.04;
    let mut compared = 0;
    for case in cases() {
        let (Some(shares), Some(optuna)) = (case["shares"].as_object(), case["fanova"].as_object()) else {
            continue;
        };
        let found = of(Method::Fanova, &case);
        for parameter in &found.parameters {
            let name = &parameter.name;
            let (share, truth) = (parameter.share.unwrap(), shares[name].as_f64().unwrap());
            let theirs = optuna[name].as_f64().unwrap();
            let message = format!("{}, {name}: {share}, Optuna {theirs}, known {truth}", case["name"]);
            assert!((share - truth).abs() < TRUTH && (share - theirs).abs() < OPTUNA, "{message}");
            compared += 1;
        }
        let mut ranked: Vec<(&String, f64)> = optuna.iter().map(|(n, x)| (n, x.as_f64().unwrap())).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        let names: Vec<&String> = found.parameters.iter().map(|parameter| &parameter.name).collect();
        assert_eq!(names, ranked.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        let largest = &found.interactions[0];
        if let Some(both) = shares.get("x z") {
            let both = both.as_f64().unwrap();
            assert_eq!(largest.names, ["x", "z"]);
            assert!((largest.share - both).abs() < TRUTH, "{} {both}", largest.share);
        } else {
            assert!(largest.share < 0.05, "a sum has no interactions: {largest:?}");
        }
    }
    assert_eq!(compared, 6);
}

#[test]
fn a_tree_is_taken_apart_exactly() {
    // Boxes of f = 1 where x < 0.5, and 1 more where also the option is "b" of three: shares by hand.
    let space = Space::new([
        Parameter::new("x", Distribution::float(0.0, 1.0)),
        Parameter::new("kind", Distribution::choice(["a", "b", "c"])),
    ])
    .unwrap();
    let trials = (0..3000).map(|n| {
        let params = space.sample(&mut Streams::new(1).at(Purpose::Data, n));
        let low = params["x"].as_f64().unwrap() < 0.5;
        let value = if low { if params["kind"] == "b".into() { 2.0 } else { 1.0 } } else { 0.0 };
        (params, value)
    });
    let history = history(Direction::Minimize, trials);
    let found = importance(Method::Fanova, &history.view(), &space, 0).unwrap();
    // Mean 2/3, mean of squares 1; by x 4/3 or 0: 4/9; by kind 1/2, 1, 1/2: 1/18; the rest 1/18.
    let share = |name: &str| found.parameters.iter().find(|p| p.name == name).unwrap().share.unwrap();
    assert!((share("x") - 0.8).abs() < 0.01, "{}", share("x"));
    assert!((share("kind") - 0.1).abs() < 0.01, "{}", share("kind"));
    assert!((found.interactions[0].share - 0.1).abs() < 0.01, "{:?}", found.interactions);
}

#[test]
fn a_conditional_parameter_is_judged_where_it_exists() {
    let space = Space::new([
        Parameter::new("optimizer", Distribution::choice(["adam", "sgd"])),
        Parameter::new("momentum", Distribution::float(0.0, 1.0)).when(Condition::equals("optimizer", "sgd")),
        Parameter::new("idle", Distribution::float(0.0, 1.0)).when(Condition::equals("optimizer", "adam")),
        Parameter::new("rare", Distribution::float(0.0, 1.0)).when(Condition::equals("optimizer", "none")),
        Parameter::new("x", Distribution::float(0.0, 1.0)),
    ])
    .unwrap();
    let trials = (0..400).map(|n| {
        let params = space.sample(&mut Streams::new(5).at(Purpose::Data, n));
        let value = params.get("momentum").map_or(0.0, |momentum| 2.0 + 3.0 * momentum.as_f64().unwrap());
        (params, value)
    });
    let history = history(Direction::Minimize, trials);
    for method in [Method::Fanova, Method::PedAnova] {
        let found = importance(method, &history.view(), &space, 0).unwrap();
        let get = |name: &str| found.parameters.iter().find(|p| p.name == name).unwrap().clone();
        assert_eq!(get("momentum").trials + get("idle").trials, 400);
        assert_eq!((get("rare").share, get("rare").trials), (None, 0));
        // None of the best tenth has momentum: PED-ANOVA sees what it took to be among them, and that is the optimizer.
        assert_eq!(found.parameters[0].name, "optimizer", "{found:?}");
        assert!(get("idle").share.unwrap() < 0.1, "{found:?}");
        assert_eq!(found, importance(method, &history.view(), &space, 0).unwrap());
    }
    // The variance is that between the optimizers, 3.5^2 / 4, and that among half of the trials, 0.5 * 9 / 12.
    let found = importance(Method::Fanova, &history.view(), &space, 0).unwrap();
    let get = |name: &str| found.parameters.iter().find(|p| p.name == name).unwrap().clone();
    let all = 3.5 * 3.5 / 4.0 + 0.375;
    assert!((get("optimizer").share.unwrap() - 3.5 * 3.5 / 4.0 / all).abs() < 0.05, "{found:?}");
    assert!((get("momentum").share.unwrap() - 0.375 / all).abs() < 0.03, "{found:?}");
    assert!(get("momentum").measure.unwrap() > 0.9, "{found:?}");
}

#[test]
fn what_cannot_be_judged_is_said() {
    let space = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap();
    let trials = |n: u64, value: fn(u64) -> f64| {
        let trial = move |n| (Params::from([("x".to_owned(), Value::Float(n as f64 / 10.0))]), value(n));
        history(Direction::Minimize, (0..n).map(trial))
    };
    let message = |history: &History, space: &Space| {
        importance(Method::Fanova, &history.view(), space, 0).unwrap_err().to_string()
    };
    let one = message(&trials(1, |_| 1.0), &space);
    assert!(
        one.starts_with("importance needs at least 4 complete trials with a finite value, and there is 1;")
    );
    assert!(message(&trials(9, |_| f64::NAN), &space).contains("there are 0;"));
    assert!(message(&trials(9, |_| 2.5), &space).starts_with("all 9 complete trials have the same value"));
    assert!(message(&trials(9, |n| n as f64), &Space::default()).contains("nothing was searched"));
    let failed = record((0..9).flat_map(|n| {
        let (trial, params) = (TrialId(n), Params::new());
        let outcome = Outcome::Failed { cause: FailCause::NotFinite };
        [
            Event::TrialStarted { trial, params, seed: 0, until: None, at: None, from: None },
            Event::TrialFinished { trial, outcome, seconds: 0.0 },
        ]
    }));
    assert!(
        message(&History::replay(Direction::Minimize, &failed).unwrap(), &space).contains("there are 0;")
    );
    // The largest numbers there are have squares, too.
    let huge = trials(9, |n| if n < 5 { f64::MAX } else { f64::MIN });
    let found = importance(Method::Fanova, &huge.view(), &space, 0).unwrap();
    assert!(found.parameters[0].share.unwrap() > 0.99, "{found:?}");
}

#[test]
fn a_space_that_was_found_is_that_of_the_last_questions() {
    let events = (0..2).flat_map(|n| {
        let trial = TrialId(n);
        let distribution = Distribution::float(0.0, 1.0 + n as f64);
        let outcome = Outcome::Complete { value: 1.0, step: None, ending: Ending::Full };
        [
            Event::TrialStarted { trial, params: Params::new(), seed: 0, until: None, at: None, from: None },
            Event::ParamSuggested { trial, name: "x".into(), distribution, value: Value::Float(0.5) },
            Event::TrialFinished { trial, outcome, seconds: 0.0 },
        ]
    });
    let history = History::replay(Direction::Minimize, &record(events)).unwrap();
    let space = suggested_space(&history.view());
    assert_eq!(space.get("x").unwrap().distribution, Distribution::float(0.0, 2.0));
}
