//! Against Optuna, and against functions whose shares are known.
#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::testing::Played;
use luthier_core::{
    Condition, Criteria, Direction, Distribution, Ending, Event, FailCause, Goal, History, Metrics, Outcome,
    Purpose, Report, Streams, Value,
};
use serde_json::Value as Json;

use super::*;

fn fixture() -> Json {
    serde_json::from_str(include_str!("../../tests/fixtures/importance.json")).unwrap()
}

fn cases() -> Vec<Json> {
    fixture()["cases"].as_array().unwrap().clone()
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

fn space(case: &Json) -> Space {
    let parameters = case["parameters"].as_array().unwrap();
    Space::new(parameters.iter().map(|p| Parameter::new(p["name"].as_str().unwrap(), range(p)))).unwrap()
}

/// The trials of a case, each with what it says beside its parameters.
fn trials<'a>(case: &'a Json, space: &'a Space) -> impl Iterator<Item = (Params, &'a Json)> {
    case["trials"].as_array().unwrap().iter().map(|trial| {
        let params = trial["params"].as_object().unwrap().iter().map(|(name, value)| {
            let float = matches!(space.get(name).unwrap().distribution, Distribution::Float { .. });
            let value = match value.as_f64() {
                Some(x) if float => Value::Float(x),
                _ => serde_json::from_value(value.clone()).unwrap(),
            };
            (name.clone(), value)
        });
        (params.collect(), trial)
    })
}

/// The space and the history of a case.
fn study(case: &Json) -> (Space, History) {
    let space = space(case);
    let trials = trials(case, &space).map(|(params, trial)| (params, trial["value"].as_f64().unwrap()));
    let history = Played::completed(serde_json::from_value(case["direction"].clone()).unwrap(), trials);
    (space, history)
}

fn of(method: Method, case: &Json) -> Importances {
    let (space, history) = study(case);
    importance(method, 0, &history.view(), &space, 0).unwrap()
}

/// Whether PED-ANOVA's figures are Optuna's, and how many there are.
fn compare(found: &Importances, optuna: &Json) -> usize {
    let mut compared = 0;
    for parameter in &found.parameters {
        let expected = optuna[&parameter.name].as_f64().unwrap();
        if let Some(measure) = parameter.measure {
            assert!((measure - expected).abs() <= 1e-9, "{}: {measure} {expected}", parameter.name);
            compared += 1;
        } else {
            assert!(parameter.trials < FEWEST);
        }
    }
    let sum: f64 = found.parameters.iter().filter_map(|parameter| parameter.share).sum();
    assert!((sum - 1.0).abs() < 1e-12, "{sum}");
    compared
}

#[test]
fn ped_anova_is_that_of_optuna() {
    for case in cases() {
        assert!(compare(&of(Method::PedAnova, &case), &case["ped_anova"]) >= 3, "{}", case["name"]);
    }
}

/// The history of the case with two losses. The second objective is maximised, so that directions count.
fn two(case: &Json, space: &Space) -> History {
    let goal = Goal { name: "second".into(), direction: Direction::Maximize };
    let criteria = Criteria { objectives: vec![goal], constraints: Vec::new() };
    let mut played = Played(History::new(Direction::Minimize).with_criteria(criteria));
    for (params, values) in trials(case, space) {
        let [value, second] = [0, 1].map(|k| values["values"][k].as_f64().unwrap());
        let trial = played.begin(params, None);
        let metrics = Metrics::from_iter([("second", -second)]);
        played.add(Event::Reported { trial, report: Report { step: 1, value, metrics } });
        played.finish(trial, Outcome::Complete { value, step: Some(1), ending: Ending::Full });
    }
    played.0
}

#[test]
fn each_objective_and_the_front_have_figures_of_their_own() {
    let fixture = fixture();
    let case = &fixture["several"];
    let space = space(case);
    let history = two(case, &space);
    let view = history.view();
    for objective in [0, 1] {
        let found = importance(Method::PedAnova, objective, &view, &space, 0).unwrap();
        assert_eq!(compare(&found, &case["ped_anova"][objective]), 4);
    }
    // Optuna is given the rank of nondominated sorting as the value.
    let front = front_importance(&view, &space).unwrap();
    assert_eq!(compare(&front, &case["ped_anova"][2]), 4);
    // The variance of the first is that of (x - 0.2)², 0.5 y and 0.1 of a coin; kind makes no difference to the second.
    let share = |objective, name: &str| {
        let found = importance(Method::Fanova, objective, &view, &space, 0).unwrap();
        found.parameters.iter().find(|parameter| parameter.name == name).unwrap().share.unwrap()
    };
    let (x, y, kind) = (0.0352, 0.25 / 12.0, 0.0025);
    for (name, part) in [("x", x), ("y", y), ("kind", kind)] {
        let truth = part / (x + y + kind);
        assert!((share(0, name) - truth).abs() < 0.1, "{name}: {} {truth}", share(0, name));
    }
    assert!(share(1, "kind") < 0.05);
}

#[test]
fn of_one_objective_the_front_is_the_best_trial() {
    for case in cases() {
        let (space, history) = study(&case);
        assert_eq!(front_importance(&history.view(), &space).unwrap(), of(Method::PedAnova, &case));
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
    let history = Played::completed(Direction::Minimize, trials);
    let found = importance(Method::Fanova, 0, &history.view(), &space, 0).unwrap();
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
    let history = Played::completed(Direction::Minimize, trials);
    for method in [Method::Fanova, Method::PedAnova] {
        let found = importance(method, 0, &history.view(), &space, 0).unwrap();
        let get = |name: &str| found.parameters.iter().find(|p| p.name == name).unwrap().clone();
        assert_eq!(get("momentum").trials + get("idle").trials, 400);
        assert_eq!((get("rare").share, get("rare").trials), (None, 0));
        // None of the best tenth has momentum: PED-ANOVA sees what it took to be among them, and that is the optimizer.
        assert_eq!(found.parameters[0].name, "optimizer", "{found:?}");
        assert!(get("idle").share.unwrap() < 0.1, "{found:?}");
        assert_eq!(found, importance(method, 0, &history.view(), &space, 0).unwrap());
    }
    // The variance is that between the optimizers, 3.5^2 / 4, and that among half of the trials, 0.5 * 9 / 12.
    let found = importance(Method::Fanova, 0, &history.view(), &space, 0).unwrap();
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
        Played::completed(Direction::Minimize, (0..n).map(trial))
    };
    let message = |history: &History, space: &Space| {
        importance(Method::Fanova, 0, &history.view(), space, 0).unwrap_err().to_string()
    };
    let one = message(&trials(1, |_| 1.0), &space);
    assert!(
        one.starts_with("importance needs at least 4 complete trials with a finite value, and there is 1;")
    );
    assert!(message(&trials(9, |_| f64::NAN), &space).contains("there are 0;"));
    assert!(message(&trials(9, |_| 2.5), &space).starts_with("all 9 complete trials have the same value"));
    assert!(message(&trials(9, |n| n as f64), &Space::default()).contains("nothing was searched"));
    let mut failed = Played::new();
    for _ in 0..9 {
        let trial = failed.start(None);
        failed.finish(trial, Outcome::Failed { cause: FailCause::NotFinite });
    }
    assert!(message(&failed.0, &space).contains("there are 0;"));
    // The largest numbers there are have squares, too.
    let huge = trials(9, |n| if n < 5 { f64::MAX } else { f64::MIN });
    let found = importance(Method::Fanova, 0, &huge.view(), &space, 0).unwrap();
    assert!(found.parameters[0].share.unwrap() > 0.99, "{found:?}");
}

#[test]
fn neighbouring_floats_are_told_apart() {
    let space = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap();
    let near = [0.3, f64::from_bits(0.3_f64.to_bits() + 1)];
    let history = Played::completed(
        Direction::Minimize,
        (0..8).map(|n| {
            let x = near[n % 2];
            (Params::from_iter([("x".to_owned(), Value::Float(x))]), n as f64)
        }),
    );
    let found = importance(Method::Fanova, 0, &history.view(), &space, 0).unwrap();
    assert_eq!(found.parameters.len(), 1);
}
