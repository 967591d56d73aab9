//! Trials by roles: equal shares, and what is compared.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::{
    Condition, Direction, Ending, Event, Metrics, Outcome, Recorded, Report, SamplerAndPruner, Stop, TrialId,
};

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

fn apply(history: &mut History, event: Event) {
    let revision = history.revision() + 1;
    history.apply(&Recorded { revision, at_ms: 0, event }).unwrap();
}

/// The history of so many trials, one after the other, each of `steps` steps.
fn run(search: &dyn Search, space: &Space, trials: usize, steps: u64) -> History {
    let mut history = History::new(Direction::Minimize).with_steps(Some(steps));
    for _ in 0..trials * 10 {
        let n = history.trials().len() as u64;
        let view = history.view().closing(n as usize >= trials);
        let (trial, until) =
            match search.next(&view, space, &mut Streams::new(3).at(Purpose::Sampler, n)).unwrap() {
                Next::New { params, until, .. } => {
                    assert!(space.contains(&params), "{params:?}");
                    let trial = TrialId(n);
                    apply(
                        &mut history,
                        Event::TrialStarted { trial, params, seed: 0, until, at: None, from: None },
                    );
                    (trial, until)
                }
                Next::Resume { trial, until } => {
                    apply(&mut history, Event::TrialResumed { trial, until, at: None });
                    (trial, until)
                }
                Next::Wait | Next::Done => return history,
            };
        let known = history.trial(trial).unwrap();
        let (value, first) = (loss(&known.params), known.reports.len() as u64 + 1);
        let end = until.unwrap_or(steps).min(steps);
        for step in first..=end {
            let report = Report { step, value: value + 1.0 / step as f64, metrics: Metrics::default() };
            apply(&mut history, Event::Reported { trial, report });
        }
        if end < steps {
            apply(&mut history, Event::TrialPaused { trial, cause: Stop::Search });
        } else {
            let outcome = Outcome::Complete { value, step: Some(steps), ending: Ending::Full };
            apply(&mut history, Event::TrialFinished { trial, outcome, seconds: 0.0 });
        }
    }
    history
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
    assert!(compare(&History::new(Direction::Minimize).view(), &plain).is_empty());
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
