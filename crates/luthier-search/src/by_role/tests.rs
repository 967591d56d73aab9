//! Trials by roles: equal shares, and what is compared.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::testing::Played;
use luthier_core::{Condition, Constraint, Criteria, Direction, Ending, Goal, Outcome, SamplerAndPruner};

use super::*;

/// A study in which a better optimizer needs another rate than a worse one.
fn space() -> Space {
    Space::new([
        Parameter::new("optimizer", Distribution::choice(["adam", "sgd"])).in_role(Role::Scientific),
        Parameter::new("nesterov", Distribution::choice([true, false]))
            .when(Condition::equals("optimizer", "sgd"))
            .in_role(Role::Scientific),
        Parameter::new("rate", Distribution::log_float(1e-5, 1.0)),
    ])
    .unwrap()
}

fn loss(params: &Params) -> f64 {
    let rate = libm::log10(params["rate"].as_f64().unwrap());
    match (params["optimizer"].as_str().unwrap(), params.get("nesterov")) {
        ("adam", _) => 0.2 + (rate + 3.0).powi(2),
        (_, Some(Value::Bool(true))) => 0.1 + (rate + 1.0).powi(2),
        _ => 0.15 + (rate + 1.2).powi(2),
    }
}

fn search(sampler: &str, pruner: &str, space: &Space) -> Box<dyn Search> {
    let (sampler, pruner) =
        (crate::sampler(sampler).unwrap(), crate::PrunerConfig::parse(pruner).unwrap().create());
    ByRole::wrap(Box::new(SamplerAndPruner::new(sampler, pruner)), space).unwrap()
}

/// The history of so many trials, one after the other, each of `steps` steps.
fn run(search: &dyn Search, space: &Space, trials: usize, steps: u64) -> History {
    let mut played = Played::with_steps(steps);
    for _ in 0..trials * 10 {
        let n = played.0.trials().len() as u64;
        let view = played.0.view().closing(n as usize >= trials);
        let (trial, until) =
            match search.next(&view, space, &mut Streams::new(3).at(Purpose::Sampler, n)).unwrap() {
                Next::New { params, until, .. } => {
                    assert!(space.contains(&params), "{params:?}");
                    (played.begin(params, until), until)
                }
                Next::Resume { trial, until } => {
                    played.resume(trial, until);
                    (trial, until)
                }
                Next::Wait | Next::Done => return played.0,
            };
        let known = played.0.trial(trial).unwrap();
        let (value, first) = (loss(&known.params), known.reports.len() as u64 + 1);
        let end = until.unwrap_or(steps).min(steps);
        for step in first..=end {
            played.report(trial, step, value + 1.0 / step as f64);
        }
        if end < steps {
            played.pause(trial);
        } else {
            played.finish(trial, Outcome::Complete { value, step: Some(steps), ending: Ending::Full });
        }
    }
    played.0
}

#[test]
fn every_combination_gets_as_many_trials_and_is_tuned_by_its_own() {
    let space = space();
    assert_eq!(combinations(&space).unwrap().len(), 3);
    let history = run(&*search("tpe", "none", &space), &space, 90, 1);
    assert_eq!(history.trials().len(), 90);
    let compared = compare(&history.view(), &space);
    assert_eq!(compared.iter().map(|compared| compared.trials).collect::<Vec<_>>(), [30, 30, 30]);
    // Each has found its own rate, and so the order is right.
    let best: Vec<f64> = compared.iter().map(|compared| compared.best.unwrap().1).collect();
    for (best, known) in best.iter().zip([0.1, 0.15, 0.2]) {
        assert!((best - known).abs() < 0.03, "{compared:?}");
    }
    // Where a sequence is begun with, the first trials of all have the same rate.
    let history = run(&*search("auto", "none", &space), &space, 3, 1);
    let rates: Vec<&Value> = history.trials()[..3].iter().map(|trial| &trial.params["rate"]).collect();
    assert!(rates.iter().all(|rate| *rate == rates[0]), "{rates:?}");
}

#[test]
fn every_sampler_can_be_had() {
    let space = space();
    for (name, _) in crate::samplers() {
        assert_eq!(run(&*search(name, "none", &space), &space, 30, 1).trials().len().min(15), 15);
    }
}

#[test]
fn each_has_rungs_of_its_own() {
    let space = space();
    let history = run(&*search("random", "asha", &space), &space, 36, 9);
    assert_eq!(history.trials().len(), 36);
    for combination in combinations(&space).unwrap() {
        let mine = |params: &Params| chosen(&["optimizer".into(), "nesterov".into()], params) == combination;
        let complete = history.trials().iter().filter(|trial| mine(&trial.params) && trial.outcome.is_some());
        assert!(complete.count() >= 1, "{combination:?}");
        assert_eq!(history.view().count(mine), 12);
    }
}

#[test]
fn without_scientific_parameters_nothing_changes() {
    let plain = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap();
    assert!(combinations(&plain).unwrap().is_empty());
    assert!(compare(&Played::new().0.view(), &plain).is_empty());
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let child = Space::new([
        Parameter::new("optimizer", Distribution::choice(["adam", "sgd"])),
        Parameter::new("nesterov", Distribution::choice([true, false]))
            .when(Condition::equals("optimizer", "sgd"))
            .in_role(Role::Scientific),
    ])
    .unwrap();
    let error = combinations(&child).unwrap_err().to_string();
    assert!(error.ends_with("what a scientific parameter depends on is scientific too"), "{error}");
    let many = Parameter::new("n", Distribution::int(1, 101)).in_role(Role::Scientific);
    let error = combinations(&Space::new([many]).unwrap()).unwrap_err().to_string();
    assert!(error.contains("more than 100 combinations"), "{error}");
    let few = Parameter::new("rate", Distribution::log_float(1e-4, 1.0)).in_role(Role::Scientific);
    let values = combinations(&Space::new([few]).unwrap()).unwrap();
    assert_eq!(values.len(), 5);
    assert!((values[2]["rate"].as_f64().unwrap() - 1e-2).abs() < 1e-12);
}

fn constrained(constraints: &[&str]) -> Space {
    let constraints = constraints.iter().map(|text| Constraint::parse(text).unwrap());
    space().with_constraints(constraints).unwrap()
}

#[test]
fn combinations_that_cannot_hold_are_left_out() {
    let space = constrained(&["not (optimizer == 'adam')", "nesterov == false or rate >= 0.01"]);
    let history = run(&*search("random", "none", &space), &space, 10, 1);
    let nesterov = |value: bool| history.view().count(|params| params.get("nesterov") == Some(&value.into()));
    assert_eq!((nesterov(true), nesterov(false)), (5, 5));
    assert_eq!(compare(&history.view(), &space).len(), 2);
    // Of one no point of the grid keeps the constraint: the others are tried all the same.
    let space = constrained(&["optimizer == 'adam' or rate > 2e-5 and rate < 3e-5"]);
    let history = run(&*search("grid", "none", &space), &space, 10, 1);
    assert_eq!(history.trials().len(), 5);
    let none = constrained(&["rate > 2"]);
    let error = combinations(&none).unwrap_err().to_string();
    assert_eq!(error, "the constraints allow no combination of the scientific parameters' values");
}

#[test]
fn who_misses_a_constraint_is_not_compared() {
    let tried = |criteria: Criteria, values: &[(&str, f64, f64)]| {
        let mut played = Played(History::new(Direction::Minimize).with_criteria(criteria));
        for (kind, loss, size) in values {
            let params = Params::from_iter([
                ("optimizer".to_owned(), Value::from(*kind)),
                ("rate".to_owned(), Value::Float(0.1)),
            ]);
            let trial = played.begin(params, None);
            played.report_with(trial, 1, *loss, &[("size", *size)]);
            played.finish(trial, Outcome::Complete { value: *loss, step: Some(1), ending: Ending::Full });
        }
        let kind = Parameter::new("optimizer", Distribution::choice(["adam", "sgd"]));
        let space = Space::new([
            kind.in_role(Role::Scientific),
            Parameter::new("rate", Distribution::log_float(1e-5, 1.0)),
        ]);
        let compared = compare(&played.0.view(), &space.unwrap());
        compared.into_iter().map(|compared| (compared.trials, compared.best)).collect::<Vec<_>>()
    };
    let limit =
        Criteria { objectives: Vec::new(), constraints: vec![Constraint::parse("size <= 10").unwrap()] };
    let id = luthier_core::TrialId;
    assert_eq!(
        tried(limit, &[("adam", 0.1, 50.0), ("adam", 0.5, 10.0), ("sgd", 0.2, 11.0)]),
        [(2, Some((id(1), 0.5))), (1, None)]
    );
    let size = Goal { name: "size".to_owned(), direction: Direction::Minimize };
    let two = Criteria { objectives: vec![size], constraints: Vec::new() };
    assert_eq!(
        tried(two, &[("adam", 0.0, 10.0), ("adam", 1.0, 1.0), ("adam", 9.0, 0.0), ("sgd", 0.5, 5.0)]),
        [(1, Some((id(3), 0.5))), (3, Some((id(1), 1.0)))]
    );
}
