//! The percentile rule on small histories.
#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::testing::Played;
use luthier_core::{Criteria, Decision, Direction, Goal, History, Purpose, StopReason, Streams};

use super::*;

/// A history of complete trials with these values by step, and a running one after them.
fn history(direction: Direction, complete: &[Vec<f64>], running: &[f64]) -> History {
    let mut played = Played(History::new(direction));
    for values in complete {
        let trial = played.begun(None, values);
        played.complete(trial, *values.last().unwrap());
    }
    played.begun(None, running);
    played.0
}

fn decide(rule: &Percentile, history: &History) -> Decision {
    let view = history.view();
    let trial = view.unfinished().last().unwrap();
    rule.decide(&view, &trial, &mut Streams::new(0).at(Purpose::Pruner, 0))
}

fn stops(rule: &Percentile, complete: &[Vec<f64>], running: &[f64]) -> bool {
    decide(rule, &history(Direction::Minimize, complete, running)) != Decision::Continue
}

/// Five trials of ten steps whose losses at every step are 1 to 5.
fn five() -> Vec<Vec<f64>> {
    (1..=5).map(|loss| vec![f64::from(loss); 10]).collect()
}

#[test]
fn behind_the_median_is_stopped_and_told_why() {
    let rule = Percentile::median();
    let reason = StopReason::BehindPercentile { step: 2, percentile: 50.0, loss: 3.5, threshold: 3.0 };
    let behind = history(Direction::Minimize, &five(), &[9.0, 3.5]);
    assert_eq!(decide(&rule, &behind), Decision::Stop(reason));
    assert!(!stops(&rule, &five(), &[9.0, 3.0]), "level with the median is not behind it");
    assert!(!stops(&rule, &five(), &[2.9, 8.0]), "the best so far counts, not the latest");
}

#[test]
fn direction_is_turned_once() {
    let accuracies: Vec<Vec<f64>> = (1..=5).map(|k| vec![f64::from(k) / 10.0; 10]).collect();
    let rule = Percentile::median();
    let stop = |running: &[f64]| decide(&rule, &history(Direction::Maximize, &accuracies, running));
    assert_eq!(stop(&[0.0, 0.35]), Decision::Continue);
    assert!(matches!(stop(&[0.0, 0.25]), Decision::Stop(_)));
}

#[test]
fn startup_warmup_and_min_trials_hold_it_back() {
    let rule = Percentile::median();
    assert!(!stops(&rule, &five()[..4], &[9.0, 9.0]), "four complete trials are too few");
    assert!(!stops(&rule, &five(), &[9.0]), "the first of ten epochs is warm-up");
    let long: Vec<Vec<f64>> = (1..=5).map(|loss| vec![f64::from(loss); 100]).collect();
    assert!(!stops(&rule, &long, &[9.0; 10]), "ten of a hundred are");
    assert!(stops(&rule, &long, &[9.0; 11]));
    assert!(stops(&rule.clone().with_warmup_steps(0), &five(), &[9.0]));
    assert!(!stops(&Percentile { min_trials: 6, ..rule }, &five(), &[9.0, 9.0]));
}

#[test]
fn an_early_stopped_trial_stays_in_the_comparison() {
    let mut complete = five();
    for losses in &mut complete[..4] {
        losses.truncate(3);
    }
    assert!(stops(&Percentile::median(), &complete, &[4.0; 8]), "only one of five reached step 8");
}

#[test]
fn a_report_that_is_no_number_is_the_worst() {
    let rule = Percentile::median();
    let nan = history(Direction::Minimize, &five(), &[f64::NAN, f64::NAN]);
    let Decision::Stop(StopReason::BehindPercentile { loss, .. }) = decide(&rule, &nan) else {
        panic!("it goes on");
    };
    assert_eq!(loss, f64::MAX);
    assert!(!stops(&rule, &five(), &[2.0, f64::NAN]), "an earlier number counts");
    assert!(!stops(&rule, &vec![vec![f64::NAN; 10]; 5], &[f64::NAN; 2]), "no worse than the others");
}

#[test]
fn percentiles_are_those_of_numpy() {
    let cases: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/fixtures/percentile.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let mut values: Vec<f64> =
            case["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        let found = percentile(&mut values, case["percentile"].as_f64().unwrap());
        let expected = case["expected"].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-12, "{case}: {found}");
    }
    assert_eq!(percentile(&mut [1.0, f64::INFINITY, f64::INFINITY], 75.0), f64::INFINITY);
}

#[test]
fn with_several_objectives_who_is_behind_most_fronts_stops() {
    let objectives = vec![Goal { name: "cost".to_owned(), direction: Direction::Minimize }];
    let criteria = Criteria { objectives, constraints: Vec::new() };
    let history = History::new(Direction::Minimize).with_criteria(criteria);
    let mut played = Played(history);
    let told = |played: &mut Played, trial, loss: f64, cost: f64| {
        for step in 1..=3 {
            played.report_with(trial, step, loss, &[("cost", cost)]);
        }
    };
    // Two are on the front, and two behind it.
    for (loss, cost) in [(1.0, 4.0), (4.0, 1.0), (4.5, 4.5), (5.0, 5.0)] {
        let trial = played.start(None);
        told(&mut played, trial, loss, cost);
        played.complete(trial, loss);
    }
    let median = Percentile { startup_trials: 4, ..Percentile::median() };
    let mut decide = |loss, cost| {
        let trial = played.start(None);
        told(&mut played, trial, loss, cost);
        played.decide(&median, trial)
    };
    assert_eq!(decide(9.0, 0.5), Decision::Continue, "on the front by its cost");
    assert_eq!(decide(2.0, 4.2), Decision::Stop(StopReason::BehindFronts { step: 3, before: 2, of: 4 }));
    let silent = played.start(None);
    for step in 1..=3 {
        played.report(silent, step, 9.0);
    }
    assert_eq!(played.decide(&median, silent), Decision::Continue, "its cost is not known yet");
}
