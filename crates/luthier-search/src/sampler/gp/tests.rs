//! What the sampler makes of trials of each kind.
#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::testing::{Played, conditional_space};
use luthier_core::{Distribution, Ending, FailCause, History, Outcome, Parameter, Purpose, Streams};

use super::*;

pub(super) fn fixture() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/gaussian_process.json")).unwrap()
}

pub(super) fn numbers(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn square() -> Space {
    Space::new(["x", "y"].map(|name| Parameter::new(name, Distribution::float(0.0, 1.0)))).unwrap()
}

/// A history of trials at these points; those without an outcome run.
fn history(points: &[(f64, f64)], outcome: impl Fn(f64, f64) -> Option<Outcome>) -> History {
    let mut played = Played::new();
    for (x, y) in points {
        let params = Params::from_iter([("x".to_owned(), (*x).into()), ("y".to_owned(), (*y).into())]);
        let trial = played.begin(params, None);
        if let Some(outcome) = outcome(*x, *y) {
            played.finish(trial, outcome);
        }
    }
    played.0
}

fn complete(value: f64) -> Outcome {
    Outcome::Complete { value, step: None, ending: Ending::Full }
}

fn spread(n: u64) -> Vec<(f64, f64)> {
    let point = |i| sobol::scrambled(&Streams::new(0).at(Purpose::Sampler, i), 2);
    (0..n).map(point).map(|point| (point[0], point[1])).collect()
}

fn proposal(history: &History) -> (f64, f64) {
    let mut rng = Streams::new(3).at(Purpose::Sampler, 77);
    let params = Gp::default().propose(&history.view(), &square(), &mut rng).unwrap();
    (params["x"].as_f64().unwrap(), params["y"].as_f64().unwrap())
}

#[test]
fn it_goes_to_the_bottom_of_a_bowl() {
    let bowl = |x: f64, y: f64| Some(complete((x - 0.7).powi(2) + 3.0 * (y - 0.2).powi(2)));
    let (x, y) = proposal(&history(&spread(25), bowl));
    assert!((x - 0.7).abs() < 0.05 && (y - 0.2).abs() < 0.05, "{x} {y}");
}

#[test]
fn a_trial_that_runs_at_the_bottom_turns_it_elsewhere() {
    let bowl = |x: f64, y: f64| Some(complete((x - 0.7).powi(2) + 3.0 * (y - 0.2).powi(2)));
    let first = proposal(&history(&spread(14), bowl));
    let points = [spread(14), vec![first; 1]].concat();
    let second = proposal(&history(&points, |x, y| if (x, y) == first { None } else { bowl(x, y) }));
    let apart = (first.0 - second.0).abs() + (first.1 - second.1).abs();
    assert!(apart > 0.01, "{first:?} {second:?}");
}

#[test]
fn it_avoids_where_trials_fail() {
    let points = spread(40);
    let failing = |x: f64, y: f64| {
        if x > 0.5 {
            Some(Outcome::Failed { cause: FailCause::NotFinite })
        } else {
            Some(complete((x - 0.45).powi(2) + y))
        }
    };
    let (x, _) = proposal(&history(&points, failing));
    assert!(x < 0.6, "{x}");
}

#[test]
fn of_a_long_history_it_sees_the_best_and_some_others() {
    let bowl = |x: f64, y: f64| Some(complete((x - 0.7).powi(2) + 3.0 * (y - 0.2).powi(2)));
    let history = history(&spread(2_000), bowl);
    let space = square();
    let seen: Vec<Observation<'_>> = super::super::observation::observations(&history.view()).collect();
    let known = Known::new(&seen, &Features::new(&space)).unwrap();
    assert_eq!(known.losses.len(), ROWS);
    assert!(known.losses.is_sorted());
    let (x, y) = proposal(&history);
    assert!((x - 0.7).abs() < 0.02 && (y - 0.2).abs() < 0.02, "{x} {y}");
}

#[test]
fn a_finite_space_is_not_asked_twice_for_the_same_while_there_is_more() {
    let space = Space::new([
        Parameter::new("kind", Distribution::choice(["a", "b", "c", "d", "e"])),
        Parameter::new("n", Distribution::int(1, 4)),
    ])
    .unwrap();
    let mut played = Played::new();
    let mut seen = Vec::new();
    for n in 0..20 {
        let mut rng = Streams::new(0).at(Purpose::Sampler, n);
        let params = Gp { startup_trials: 3 }.propose(&played.0.view(), &space, &mut rng).unwrap();
        let value = params["n"].as_f64().unwrap();
        seen.push(params.clone());
        let trial = played.begin(params, None);
        played.complete(trial, value);
    }
    let again = (3..20).filter(|i| seen[..*i].contains(&seen[*i])).count();
    assert_eq!(again, 0, "{seen:?}");
}

#[test]
fn changes_of_a_conditional_space_stay_in_it() {
    // What the search makes of neighbours, with parameters that come and go, is in the space.
    let space = conditional_space();
    let streams = Streams::new(4);
    let mut played = Played::new();
    for n in 0..30 {
        let params =
            Gp::default().propose(&played.0.view(), &space, &mut streams.at(Purpose::Sampler, n)).unwrap();
        assert!(space.contains(&params), "{params:?}");
        let value = params["rate"].as_f64().unwrap().log10() - params["layers"].as_f64().unwrap();
        let trial = played.begin(params, None);
        played.complete(trial, value);
    }
}
